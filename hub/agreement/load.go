package agreement

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// Load reads partners and agreements from the folders under root, compiles them and reports every fault it finds, in the
// order of the files. The instant is only for warnings about reviews and ends: it does not choose what is loaded.
//
// The index is nil when a fault is worse than a warning: a hub must not start on half of what was signed. The error is about
// reading root, never about what is written there.
func Load(root fs.FS, at time.Time) (*Index, []Fault, error) {
	registers, agreements, err := sources(root)
	if err != nil {
		return nil, nil, fmt.Errorf("load agreements: %w", err)
	}
	c := &compiler{
		partners: make(map[transfer.PartnerID]*transfer.Partner), at: at,
		languages: make(map[*contracts.Contract]*language),
	}
	for _, name := range registers {
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, nil, fmt.Errorf("load agreements: %w", err)
		}
		c.file = name
		var f registerFile
		if c.decode(body, &f) {
			c.register(&f)
		}
	}
	c.checkSuccessors()
	var made []*Agreement
	for _, name := range agreements {
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, nil, fmt.Errorf("load agreements: %w", err)
		}
		c.file = name
		if !fileName.MatchString(path.Base(name)) {
			c.fault(place{1, 1}, "file-name", `Call it after the agreement and version, as in "hertswise.v1.yaml".`,
				"this is not the name of an agreement file")
			continue
		}
		var f agreementFile
		if c.decode(body, &f) {
			sum := sha256.Sum256(body)
			made = append(made, c.agreement(&f, "sha256:"+hex.EncodeToString(sum[:])))
		}
	}
	c.versions(made)
	c.contradictions()
	sortFaults(c.faults)
	c.faults = slices.Compact(c.faults) // a set that two flows use is resolved twice
	if slices.ContainsFunc(c.faults, func(f Fault) bool { return !f.Warning }) {
		return nil, c.faults, nil
	}
	var partners []transfer.Partner
	for _, p := range c.partners {
		partners = append(partners, *p)
	}
	x, err := NewIndex(partners, made)
	if err != nil {
		return nil, c.faults, fmt.Errorf("load agreements: %w", err)
	}
	return x, c.faults, nil
}

var fileName = regexp.MustCompile(`^[a-z][a-z0-9-]*\.v[1-9][0-9]*\.yaml$`)

// sources lists the files of every county: a folder that holds partners.yaml or a folder of agreements. Whatever else stands
// under root is somebody else's.
func sources(root fs.FS) (registers, agreements []string, err error) {
	counties, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, nil, err
	}
	for _, county := range counties {
		if !county.IsDir() {
			continue
		}
		register := path.Join(county.Name(), "partners.yaml")
		if _, err := fs.Stat(root, register); err == nil {
			registers = append(registers, register)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		folder := path.Join(county.Name(), "agreements")
		entries, err := fs.ReadDir(root, folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		for _, e := range entries {
			if !e.IsDir() {
				agreements = append(agreements, path.Join(folder, e.Name()))
			}
		}
	}
	return registers, agreements, nil
}

// versions finds one version declared in two counties, and versions that claim to supersede what nobody knows.
func (c *compiler) versions(made []*Agreement) {
	first := make(map[string]*Agreement)
	for _, a := range made {
		c.file = a.File
		if b, twice := first[a.Ref()]; twice {
			c.fault(place{1, 1}, "duplicate-version", "Give it the next version, or another name.", "%s is already declared in %s", a.Ref(), b.File)
			continue
		}
		first[a.Ref()] = a
	}
	for _, a := range made {
		if _, known := first[a.Supersedes]; a.Supersedes != "" && !known {
			c.file = a.File
			c.warn(place{1, 1}, "supersedes", "Keep the older file: decisions were made under it.", "%s supersedes %s, which is not here", a.Ref(), a.Supersedes)
		}
	}
}
