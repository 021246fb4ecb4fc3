package casebook

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"referralhub/hub/agreement"
)

// ending is how the name of a file of cases ends.
const ending = ".cases.yaml"

// file is a file of cases that is being read.
type file struct {
	name   string
	nodes  []ast.Node // of the cases that could be read, in their order
	cases  []*Case
	faults []agreement.Fault
}

// sources lists the files of cases of every county.
func sources(root fs.FS) ([]string, error) {
	names, err := fs.Glob(root, "*/cases/*")
	slices.Sort(names)
	return names, err
}

// read reads a file of cases strictly. A case with a fault is left out, and the others are read on.
func read(root fs.FS, name string) (*file, error) {
	f := &file{name: name}
	body, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(name, ending) {
		f.fault(nil, "file-name", "Call it after what it tries, as in hertswise"+ending+".", "%s is not the name of a file of cases", path.Base(name))
		return f, nil
	}
	tree, err := parser.ParseBytes(body, 0)
	if err != nil {
		f.unread(err)
		return f, nil
	}
	docs := slices.DeleteFunc(tree.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(docs) != 1 {
		f.fault(nil, "one-document", "Write one YAML document in a file.", "the file holds %d documents", len(docs))
		return f, nil
	}
	for _, kind := range []ast.NodeType{ast.AnchorType, ast.AliasType, ast.TagType} {
		for _, n := range ast.Filter(kind, docs[0].Body) {
			f.fault(n, "no-anchors", "Write it out: a case is read by itself.", "anchors, aliases and tags have no place here")
		}
	}
	if len(f.faults) > 0 {
		return f, nil
	}
	var list struct {
		Cases []ast.Node `yaml:"cases"`
	}
	if err := yaml.NodeToValue(docs[0].Body, &list, yaml.Strict()); err != nil {
		f.unread(err)
		return f, nil
	}
	if len(list.Cases) == 0 {
		f.fault(docs[0].Body, "missing-key", "Write the cases under it, each after a dash.", "cases is missing or empty")
	}
	for _, node := range list.Cases {
		c := &Case{File: name}
		if err := yaml.NodeToValue(node, c, yaml.Strict()); err != nil {
			f.unread(err)
			continue
		}
		c.Line, _ = placeOf(node)
		f.nodes, f.cases = append(f.nodes, node), append(f.cases, c)
	}
	return f, nil
}

// unread takes over what the YAML library says is wrong, at the place where it found it.
func (f *file) unread(err error) {
	fault := agreement.Fault{File: f.name, Line: 1, Column: 1, Rule: "syntax", Detail: err.Error(), Remedy: "Make it well-formed YAML."}
	if e, ok := errors.AsType[yaml.Error](err); ok {
		fault.Detail = strings.ToLower(e.GetMessage())
		if t := e.GetToken(); t != nil && t.Position != nil {
			fault.Line, fault.Column = t.Position.Line, t.Position.Column
		}
	}
	if unknown := (*yaml.UnknownFieldError)(nil); errors.As(err, &unknown) {
		fault.Rule, fault.Detail = "unknown-key", fmt.Sprintf("there is no key %q here", unknown.Token.Value)
		fault.Remedy = "See which keys there are: go doc ./hub/casebook."
	}
	if wrong, ill := (*yaml.TypeError)(nil), (*yaml.UnexpectedNodeTypeError)(nil); errors.As(err, &wrong) || errors.As(err, &ill) {
		fault.Rule, fault.Remedy = "type", "Write a value of the kind that the key takes: go doc ./hub/casebook."
	}
	if twice := (*yaml.DuplicateKeyError)(nil); errors.As(err, &twice) {
		fault.Rule, fault.Remedy = "duplicate-key", "Keep one of the two."
	}
	f.faults = append(f.faults, fault)
}

// fault reports what is wrong at a node; nil is the file as a whole.
func (f *file) fault(at ast.Node, rule, remedy, detail string, args ...any) {
	line, column := placeOf(at)
	f.faults = append(f.faults, agreement.Fault{
		File: f.name, Line: line, Column: column, Rule: rule, Detail: fmt.Sprintf(detail, args...), Remedy: remedy,
	})
}

// placeOf is where a node starts. The token of a mapping is its first colon, so the place is that of its first key.
func placeOf(n ast.Node) (line, column int) {
	switch m := n.(type) {
	case nil:
		return 1, 1
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return placeOf(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return placeOf(m.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 1, 1
}

// under finds what stands under keys and positions of a node, or else the nearest thing above it.
func under(n ast.Node, way ...any) ast.Node {
	for _, step := range way {
		b := (&yaml.PathBuilder{}).Root()
		switch step := step.(type) {
		case int:
			b = b.Index(uint(step))
		default:
			b = b.Child(fmt.Sprint(step))
		}
		next, err := b.Build().FilterNode(n)
		if err != nil || next == nil {
			return n
		}
		n = next
	}
	return n
}
