package casebook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/goccy/go-yaml"

	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

// none reports whether nothing is changed.
func (c *Changes) none() bool { return len(c.Register) == 0 && len(c.Agreements) == 0 }

// And lays later changes over c.
func (c *Changes) And(later *Changes) Changes {
	out := Changes{Register: map[transfer.PartnerID]map[string]any{}, Agreements: map[string]agreement.Status{}}
	for _, each := range []*Changes{c, later} {
		for id, patch := range each.Register {
			if out.Register[id] == nil {
				out.Register[id] = map[string]any{}
			}
			for key, value := range patch {
				out.Register[id][key] = value
			}
		}
		for ref, status := range each.Agreements {
			out.Agreements[ref] = status
		}
	}
	return out
}

// Files gives the files of the folder of agreements that changes alter, as they would stand there then.
func (b *Book) Files(c *Changes) (map[string][]byte, error) {
	files := map[string][]byte{}
	for ref, status := range c.Agreements {
		i := slices.IndexFunc(b.Index.Agreements(), func(a *agreement.Agreement) bool { return a.Ref() == ref })
		if i < 0 {
			return nil, fmt.Errorf("there is no agreement %s", ref)
		}
		name := b.Index.Agreements()[i].File
		body, err := fs.ReadFile(b.root, name)
		if err != nil {
			return nil, fmt.Errorf("change the status of %s: %w", ref, err)
		}
		files[name] = statusLine.ReplaceAll(body, []byte("status: "+status))
	}
	registers, err := fs.Glob(b.root, "*/partners.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range registers {
		body, err := fs.ReadFile(b.root, name)
		if err != nil {
			return nil, fmt.Errorf("change the register: %w", err)
		}
		changed, err := amend(body, c.Register)
		if err != nil {
			return nil, fmt.Errorf("change %s: %w", name, err)
		}
		if changed != nil {
			files[name] = changed
		}
	}
	return files, nil
}

var statusLine = regexp.MustCompile(`(?m)^status: .*$`)

// amend lays merge patches over the entries of a register. It gives nil when none of the partners is in it. What it gives is JSON, which is
// YAML too.
func amend(body []byte, patches map[transfer.PartnerID]map[string]any) ([]byte, error) {
	var register struct {
		Partners []map[string]any `yaml:"partners" json:"partners"`
	}
	if len(patches) == 0 {
		return nil, nil
	}
	if err := yaml.Unmarshal(body, &register); err != nil {
		return nil, err
	}
	found := false
	for i, entry := range register.Partners {
		id, _ := entry["id"].(string)
		changes, is := patches[transfer.PartnerID(id)]
		if !is {
			continue
		}
		found = true
		before, err := json.Marshal(entry)
		if err != nil {
			return nil, err
		}
		patch, err := json.Marshal(changes)
		if err != nil {
			return nil, err
		}
		after, err := jsonpatch.MergePatch(before, patch)
		if err != nil {
			return nil, err
		}
		register.Partners[i] = nil
		if err := json.Unmarshal(after, &register.Partners[i]); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, nil
	}
	return json.MarshalIndent(register, "", " ")
}

// changed loads the agreements as changes leave them.
func (b *Book) changed(c *Changes) (*agreement.Index, error) {
	if c.none() {
		return b.Index, nil
	}
	key, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	if x, done := b.indexes[string(key)]; done {
		return x, nil
	}
	files, err := b.Files(c)
	if err != nil {
		return nil, err
	}
	x, faults, err := agreement.Load(overlay{b.root, files}, b.at)
	if err != nil {
		return nil, err
	}
	if x == nil {
		var text strings.Builder
		if _, err := agreement.Check(&text, slices.DeleteFunc(faults, func(f agreement.Fault) bool { return f.Warning })); err != nil {
			return nil, err
		}
		return nil, errors.New("the agreements have faults once they are changed so:\n" + strings.TrimSpace(text.String()))
	}
	b.indexes[string(key)] = x
	return x, nil
}

// overlay is a folder in which some files stand otherwise.
type overlay struct {
	fs.FS
	files map[string][]byte
}

func (o overlay) ReadFile(name string) ([]byte, error) {
	if body, changed := o.files[path.Clean(name)]; changed {
		return body, nil
	}
	return fs.ReadFile(o.FS, name)
}
