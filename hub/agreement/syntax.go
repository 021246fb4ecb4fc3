package agreement

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"referralhub/hub/dates"
)

// maxFileBytes bounds a file. The longest real agreement is some 30 KB.
const maxFileBytes = 1 << 20

// place is where something stands in a file.
type place struct{ line, column int }

// The leaves of a file. Each remembers its place, so that whatever is found out about it later can point there.
type (
	text struct {
		place
		value string
	}
	number struct {
		place
		value int
	}
	flag struct {
		place
		value bool
	}
	// leave is whether something may go: "true", "reviewed" or "false".
	leave struct {
		place
		value Leave
	}
	// date is a civil date, "2026-01-01". It becomes an instant in the compiler.
	date struct {
		place
		value dates.Date
	}
)

func (t text) String() string { return t.value }
func (t text) empty() bool    { return t.value == "" }

// leaf is a scalar of a file.
type leaf interface {
	// read takes the scalar as the file spells it. When it cannot, it says what it wanted instead.
	read(source string, at place) (wanted string)
}

func (t *text) read(s string, at place) string {
	t.value, t.place = s, at
	return ""
}

func (n *number) read(s string, at place) string {
	v, err := strconv.Atoi(s)
	n.value, n.place = v, at
	if err != nil || v < 1 {
		return "a whole number from 1"
	}
	return ""
}

func (f *flag) read(s string, at place) string {
	f.place = at
	if s != "true" && s != "false" {
		return "true or false"
	}
	f.value = s == "true"
	return ""
}

func (l *leave) read(s string, at place) string {
	l.place = at
	switch s {
	case "true":
		l.value = Always
	case "reviewed":
		l.value = Reviewed
	case "false":
	default:
		return "true, false or reviewed"
	}
	return ""
}

func (d *date) read(s string, at place) string {
	v, err := dates.Parse(s)
	d.value, d.place = v, at
	if err != nil {
		return "a date such as 2026-01-01"
	}
	return ""
}

// decoder fills the structs of file.go from YAML, and collects faults where a library would stop at the first.
//
// A field is tagged `yaml:"name"` or `yaml:"name,required"`. Besides scalars there are: a struct, written as a mapping; a
// pointer to a struct, the same and nil when absent; a slice, written as a list, where a single entry may stand without
// brackets when entries are scalars. A struct with a field tagged `yaml:",key"` is an entry of a table: a slice of them is
// written as a mapping. A field tagged `yaml:",scalar"` takes the whole value when it is written as a scalar.
type decoder struct {
	file   string
	body   []byte // of file
	faults []Fault
}

func (d *decoder) fault(at place, rule, remedy, detail string, args ...any) {
	d.faults = append(d.faults, Fault{
		File: d.file, Line: at.line, Column: at.column, Rule: rule, Detail: fmt.Sprintf(detail, args...), Remedy: remedy,
	})
}

func (d *decoder) warn(at place, rule, remedy, detail string, args ...any) {
	d.fault(at, rule, remedy, detail, args...)
	d.faults[len(d.faults)-1].Warning = true
}

// decode fills into, a pointer to a struct, from the bytes of a file. It reports whether there was anything to fill it from.
func (d *decoder) decode(body []byte, into any) bool {
	start := place{1, 1}
	if len(body) > maxFileBytes {
		d.fault(start, "too-long", "Split it.", "the file has %d bytes and may have %d", len(body), maxFileBytes)
		return false
	}
	d.body = body
	f, err := parser.ParseBytes(body, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, detail := start, err.Error()
		if e, ok := errors.AsType[yaml.Error](err); ok {
			detail = e.GetMessage()
			if t := e.GetToken(); t != nil {
				at = placeOf(t)
			}
		}
		d.fault(at, "syntax", "Make it well-formed YAML; everything after this place is unread.", "%s", detail)
		return false
	}
	docs := slices.DeleteFunc(f.Docs, func(doc *ast.DocumentNode) bool { return doc.Body == nil })
	if len(docs) != 1 {
		d.fault(start, "one-document", "Write one YAML document in a file.", "the file holds %d documents", len(docs))
		return false
	}
	d.fill(docs[0].Body, reflect.ValueOf(into).Elem())
	return true
}

// inside finds the place in the file of a place in a text, given as a line from 1 and a column from 0. YAML folds and indents long texts, and
// changes nothing but white space by that: so it counts what is not white space.
func (d *decoder) inside(t text, line, column int) place {
	ahead := 0
	for i, l := range strings.Split(t.value, "\n") {
		for j, r := range []rune(l) {
			if (i+1 < line || i+1 == line && j < column) && !unicode.IsSpace(r) {
				ahead++
			}
		}
	}
	lines := strings.Split(string(d.body), "\n")
	at := t.place
	if at.line > len(lines) || at.column > len([]rune(lines[at.line-1])) {
		return at
	}
	var quote rune
	switch first := []rune(lines[at.line-1])[at.column-1]; first {
	case '|', '>':
		at = place{at.line + 1, 1}
	case '"', '\'':
		quote = first
		at.column++
	}
	for ; at.line <= len(lines); at = (place{at.line + 1, 1}) {
		for rest := []rune(lines[at.line-1]); at.column <= len(rest); at.column++ {
			r := rest[at.column-1]
			if unicode.IsSpace(r) {
				continue
			}
			if ahead == 0 {
				return at
			}
			ahead--
			if quote == '"' && r == '\\' || quote == '\'' && r == '\'' {
				at.column++ // the character that is escaped
			}
		}
	}
	return t.place
}

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{t.Position.Line, t.Position.Column}
}

// nodePlace is where a node starts. The token of a mapping is its first colon, so the place is that of its first key.
func nodePlace(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return nodePlace(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return nodePlace(n.Key)
	}
	return placeOf(n.GetToken())
}

func (d *decoder) fill(n ast.Node, v reflect.Value) {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.fault(nodePlace(n), "no-anchors", "Write it out: people sign what they can read.", "anchors, aliases and tags have no place here")
		return
	}
	if l, ok := v.Addr().Interface().(leaf); ok {
		d.fillLeaf(n, l)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.fill(n, v.Elem())
	case reflect.Slice:
		if hasKey(v.Type().Elem()) {
			d.fillTable(n, v)
		} else {
			d.fillList(n, v)
		}
	case reflect.Struct:
		d.fillStruct(n, v)
	default:
		panic(fmt.Sprintf("agreement: a file cannot hold a %s", v.Type()))
	}
}

// scalarSource gives a scalar as the file spells it: 0123 stays "0123" and no becomes nobody's false.
func scalarSource(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d *decoder) fillLeaf(n ast.Node, l leaf) {
	at := nodePlace(n)
	source, ok := scalarSource(n)
	if !ok {
		if _, null := n.(*ast.NullNode); null {
			d.fault(at, "empty-value", "Write a value, or leave the key out.", "nothing is written here")
		} else {
			d.fault(at, "type", "Write a single value, in quotes if it has a colon.", "this should be one value and is a list or a mapping")
		}
		return
	}
	source = strings.TrimSpace(source)
	if wanted := l.read(source, at); wanted != "" {
		d.fault(at, "type", "Write "+wanted+".", "%q is not %s", source, wanted)
	} else if source == "" {
		d.fault(at, "empty-value", "Write a value, or leave the key out.", "nothing is written here")
	}
}

func (d *decoder) fillList(n ast.Node, v reflect.Value) {
	entries := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		entries = seq.Values
	} else if _, isLeaf := reflect.New(v.Type().Elem()).Interface().(leaf); !isLeaf {
		d.fault(nodePlace(n), "type", "Write a list: one entry a line, each after a dash.", "this should be a list")
		return
	}
	for _, entry := range entries {
		e := reflect.New(v.Type().Elem()).Elem()
		d.fill(entry, e)
		v.Set(reflect.Append(v, e))
	}
}

// pairs gives the entries of a mapping, without those whose key came before.
func (d *decoder) pairs(n ast.Node) (entries []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		return nil, false
	}
	seen := make(map[string]place)
	var unique []*ast.MappingValueNode
	for _, e := range entries {
		key, isScalar := scalarSource(e.Key)
		at := nodePlace(e.Key)
		if !isScalar {
			d.fault(at, "key", "Write a plain word before the colon.", "this cannot be a key")
			continue
		}
		if first, twice := seen[key]; twice {
			d.fault(at, "duplicate-key", "Keep one of the two.", "%s is already given at line %d", key, first.line)
			continue
		}
		seen[key] = at
		unique = append(unique, e)
	}
	return unique, true
}

func (d *decoder) fillTable(n ast.Node, v reflect.Value) {
	entries, ok := d.pairs(n)
	if !ok {
		d.fault(nodePlace(n), "type", "Write a mapping: a name, a colon and what it stands for.", "this should be a mapping")
		return
	}
	for _, e := range entries {
		row := reflect.New(v.Type().Elem()).Elem()
		for _, f := range fieldsOf(row.Type()) {
			if f.key {
				d.fill(e.Key, row.FieldByIndex(f.index))
			}
		}
		d.fillStruct(e.Value, row)
		v.Set(reflect.Append(v, row))
	}
}

func (d *decoder) fillStruct(n ast.Node, v reflect.Value) {
	fields := fieldsOf(v.Type())
	if at, ok := v.Addr().Interface().(interface{ stand(place) }); ok {
		at.stand(nodePlace(n))
	}
	entries, ok := d.pairs(n)
	if !ok {
		if i := slices.IndexFunc(fields, func(f field) bool { return f.scalar }); i >= 0 {
			d.fill(n, v.FieldByIndex(fields[i].index))
			return
		}
		d.fault(nodePlace(n), "type", "Write it as keys and values.", "this should be a mapping")
		return
	}
	given := make([]bool, len(fields))
	for _, e := range entries {
		key, _ := scalarSource(e.Key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key && key != "" })
		if i < 0 {
			var names []string
			for _, f := range fields {
				if f.name != "" {
					names = append(names, f.name)
				}
			}
			d.fault(nodePlace(e.Key), "unknown-key",
				orSuggest(key, names, "The keys known here are "+strings.Join(names, ", ")+"."), "there is no key %q here", key)
			continue
		}
		given[i] = true
		d.fill(e.Value, v.FieldByIndex(fields[i].index))
	}
	for i, f := range fields {
		if f.required && !given[i] {
			d.fault(nodePlace(n), "missing-key", "Add it.", "%s is missing", f.name)
		}
	}
}

// stand lets a struct that embeds a place know where it starts.
func (p *place) stand(at place) { *p = at }

// field is what a tag says of a struct's field.
type field struct {
	name                  string // empty for a key and a scalar
	index                 []int
	required, key, scalar bool
}

// fieldsOf reads the tags of a struct and of what it embeds. Nothing fills a field without a tag.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		if tag, ok := f.Tag.Lookup("yaml"); ok {
			name, option, _ := strings.Cut(tag, ",")
			fields = append(fields, field{
				name: name, index: f.Index, required: option == "required", key: option == "key", scalar: option == "scalar",
			})
		}
	}
	return fields
}

func hasKey(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && slices.ContainsFunc(fieldsOf(t), func(f field) bool { return f.key })
}
