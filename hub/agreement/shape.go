package agreement

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// shape is what a place of a message may hold, as a condition sees it.
type shape struct {
	path    string // "carer.magazine.post"
	typ     *cel.Type
	members map[string]*shape // of an object
	element *shape            // of a list
	words   []string          // the only values it can have, where the contract lists them
	open    bool              // text in which anything may stand
	closed  string            // why no condition may look at it: "free text"; empty when one may
	size    uint64            // the most entries of a list, or characters of a text
}

// Sizes that stand in where a contract sets none. They are only for the cost of a condition.
const (
	unboundedList = 1000 // as many people as the longest message may have
	unboundedText = 10_000
	shortText     = 64 // names of partners, purposes and services
)

// schemaNode is the part of a JSON Schema that says what a condition may see.
type schemaNode struct {
	Ref        string                 `json:"$ref"`
	Defs       map[string]*schemaNode `json:"$defs"`
	Type       any                    `json:"type"`
	Properties map[string]*schemaNode `json:"properties"`
	Items      *schemaNode            `json:"items"`
	Enum       []any                  `json:"enum"`
	Const      any                    `json:"const"`
	Format     string                 `json:"format"`
	MaxItems   uint64                 `json:"maxItems"`
	MaxLength  uint64                 `json:"maxLength"`

	Envelope   bool   `json:"x-envelope"`
	FreeText   bool   `json:"x-free-text"`
	Attachment bool   `json:"x-attachment"`
	Identifier string `json:"x-identifier"`
	Born       bool   `json:"x-born"`
}

// sections reads from a contract's schema what conditions may see of its messages: every section that is not of the envelope.
func sections(schema []byte) (map[string]*shape, error) {
	var root schemaNode
	if err := json.Unmarshal(schema, &root); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	all := make(map[string]*shape)
	for name, n := range root.Properties {
		if !n.Envelope {
			all[name] = n.shape(root.Defs, name, "", 0)
		}
	}
	return all, nil
}

// maxNesting bounds how deep references of a schema may lead.
const maxNesting = 32

func (n *schemaNode) shape(defs map[string]*schemaNode, path, closed string, depth int) *shape {
	switch {
	case n.FreeText:
		closed = "free text"
	case n.Attachment:
		closed = "an attachment"
	case n.Identifier != "":
		closed = "a number by which somebody knows the person"
	case n.Born:
		closed = "when the person was born"
	}
	if def := defs[strings.TrimPrefix(n.Ref, "#/$defs/")]; def != nil && depth < maxNesting {
		return def.shape(defs, path, closed, depth+1)
	}
	s := &shape{path: path, closed: closed, typ: cel.StringType, open: true, size: n.MaxLength}
	switch n.Type {
	case "object":
		// A blank keeps the name of the type from being taken for the path that it describes.
		s.typ, s.open, s.members = cel.ObjectType("the "+path), false, make(map[string]*shape)
		for name, m := range n.Properties {
			s.members[name] = m.shape(defs, path+"."+name, closed, depth+1)
		}
	case "array":
		element := n.Items
		if element == nil {
			element = &schemaNode{}
		}
		s.element = element.shape(defs, path, closed, depth+1)
		s.typ, s.open, s.size = cel.ListType(s.element.typ), false, min(n.MaxItems, unboundedList)
		if n.MaxItems == 0 {
			s.size = unboundedList
		}
	case "boolean":
		s.typ, s.open = cel.BoolType, false
	case "integer":
		s.typ, s.open = cel.IntType, false
	case "number":
		s.typ, s.open = cel.DoubleType, false
	case "string":
		s.open = n.Format != "date" && n.Format != "partial-date" && n.Format != "date-time"
		s.enumerate(append(slices.Clone(n.Enum), n.Const))
		if s.size == 0 {
			s.size = unboundedText
		}
	}
	return s
}

// enumerate closes a text to the words that its contract lists.
func (s *shape) enumerate(values []any) {
	for _, v := range values {
		if w, ok := v.(string); ok {
			s.words, s.open, s.size = append(s.words, w), false, max(s.size, uint64(len(w)))
		}
	}
}

// asks reports why a condition that uses the value of this place would look at what it may not.
func (s *shape) asks() string {
	switch {
	case s.closed != "":
		return s.closed
	case s.open:
		return "text in which anything may stand"
	case s.element != nil:
		return s.element.asks()
	}
	for _, m := range s.members {
		if why := m.asks(); why != "" {
			return why
		}
	}
	return ""
}

// at follows a path from a section, as the cost estimator gives it: names, and "@items" for the entries of a list.
func (s *shape) at(path []string) *shape {
	for _, name := range path {
		switch {
		case s == nil:
			return nil
		case name == "@items":
			s = s.element
		default:
			s = s.members[name]
		}
	}
	return s
}

// shapes makes the sections of a message, and all that is in them, types of CEL.
type shapes struct {
	types.Provider // of the types that come with the language
	objects        map[string]*shape
}

func newShapes(sections map[string]*shape) *shapes {
	p := &shapes{Provider: types.NewEmptyRegistry(), objects: make(map[string]*shape)}
	var add func(*shape)
	add = func(s *shape) {
		if s.element != nil {
			add(s.element)
		}
		if s.members != nil {
			p.objects[s.typ.TypeName()] = s
		}
		for _, m := range s.members {
			add(m)
		}
	}
	for _, s := range sections {
		add(s)
	}
	return p
}

// FindStructType is part of types.Provider.
func (p *shapes) FindStructType(name string) (*types.Type, bool) {
	if s, ok := p.objects[name]; ok {
		return types.NewTypeTypeWithParam(s.typ), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames is part of types.Provider.
func (p *shapes) FindStructFieldNames(name string) ([]string, bool) {
	if s, ok := p.objects[name]; ok {
		return names(s.members), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType is part of types.Provider.
func (p *shapes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	s, ok := p.objects[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, field)
	}
	m, ok := s.members[field]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:    m.typ,
		IsSet:   func(target any) bool { return target.(*value).member(field) != nil },
		GetFrom: func(target any) (any, error) { return target.(*value).get(field, m) },
	}, true
}

// NewValue is part of types.Provider. A condition asks and makes nothing.
func (p *shapes) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.WrapErr(errors.New("a condition cannot make a " + name))
}
