package contracts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"referralhub/hub/transfer"
)

// program is a contract's schema as the pass runs it. References are followed at compile time, so that every place of a
// message has a schema of its own and with it an item, a subject and a name.
type program struct {
	root    *schema
	library *jsonschema.Schema // validates as well, when the schema uses a keyword that the pass does not know; otherwise nil
	readers sync.Pool
}

// schema is what one place of a message must look like, and what it means.
type schema struct {
	name  string // dotted path, for the catalogue
	kinds kinds

	// Strings.
	minLength, maxLength int // in code points; maxLength -1: no bound
	pattern              *regexp.Regexp
	format               *format
	allowed              map[string]bool // enum and const of strings; nil: any
	allowedBool          []bool          // the same of booleans; nil: any
	choices              []string        // allowed, in the schema's order, for the remedy
	example              string

	// Numbers.
	minimum, maximum *float64

	// Arrays.
	items              *schema // nil: anything
	minItems, maxItems int     // maxItems -1: no bound
	unique             bool

	// Objects.
	members       map[string]*member
	ordered       []*member
	required      ItemSet // by member.index
	maxProperties int     // -1: no bound
	closed        bool

	// Meaning.
	envelope   bool          // for the hub to read and not about a person
	recorded   bool          // a container that holds items: Cut has to rebuild it
	item       int           // noItem unless this place is an item
	subject    transfer.Role // a data subject starts here
	about      transfer.Role // what is below belongs to the first subject of this role
	identifier string
	born       bool
	fact       string
	freeText   int   // noItem, or the item of free text that this string is, or is in
	slot       *slot // nil: the hub does not read it
	kept       bool  // a string that reader.keep does something with
}

// member is a property of an object.
type member struct {
	name   string
	index  int
	schema *schema
}

const (
	noItem     = -1
	maxMembers = MaxItems // so that an ItemSet can say which members of an object were seen
	maxUnique  = 256      // entries that are compared one with another
	maxNesting = 24       // of a schema; a message may be a little deeper only where the schema is open
)

// kinds is a set of JSON types.
type kinds uint8

const (
	kindObject kinds = 1 << iota
	kindArray
	kindString
	kindInteger
	kindNumber
	kindBoolean
	kindNull

	kindAny = kindObject | kindArray | kindString | kindInteger | kindNumber | kindBoolean | kindNull
)

var kindNames = map[string]kinds{
	"object": kindObject, "array": kindArray, "string": kindString, "integer": kindInteger,
	"number": kindNumber | kindInteger, "boolean": kindBoolean, "null": kindNull,
}

// Compile reads a schema of the dialect that README.md describes. It refuses, with every reason, a schema in which a leaf is
// neither part of an item nor of the envelope, a name repeats, an item is nobody's, an object that carries data is open, a
// mark is unknown or misplaced, or there are more than MaxItems items. A schema without any mark is only a validator.
func Compile(text []byte) (*Contract, error) {
	c := &compiler{names: map[string]bool{}, facts: map[string]bool{}, data: hasMarks(text)}
	top, err := membersOf(text)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	c.defs, err = membersOf(top.value("$defs"))
	if err != nil {
		return nil, fmt.Errorf("read $defs: %w", err)
	}
	root := c.schema(text, place{freeText: noItem})
	if len(c.items) > MaxItems {
		c.refuse("", "%d items, and a contract may have %d", len(c.items), MaxItems)
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	contract := &Contract{Type: messageType(root), Items: c.items, program: &program{root: root}}
	contract.byName = make(map[string]int, len(c.items))
	for _, item := range c.items {
		contract.byName[item.Name] = item.Index
	}
	if c.needsLibrary {
		if contract.program.library, err = compileLibrary(text); err != nil {
			return nil, err
		}
	}
	return contract, nil
}

// messageType is the constant that the contract's own messages carry.
func messageType(root *schema) transfer.MessageType {
	if m := root.members["contract"]; m != nil && len(m.schema.choices) == 1 {
		return transfer.MessageType(m.schema.choices[0])
	}
	return ""
}

// object is a JSON object in the order in which it was written, which decoding into a map would lose.
type object []struct {
	name string
	raw  jsontext.Value
}

func (o object) value(name string) jsontext.Value {
	for _, m := range o {
		if m.name == name {
			return m.raw
		}
	}
	return nil
}

// membersOf splits an object; nil has no members.
func membersOf(raw jsontext.Value) (object, error) {
	if raw == nil {
		return nil, nil
	}
	if raw.Kind() != '{' {
		return nil, errors.New("not an object")
	}
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	var o object
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		o = append(o, struct {
			name string
			raw  jsontext.Value
		}{key, value.Clone()})
	}
	_, err := dec.ReadToken()
	return o, err
}

func hasMarks(text []byte) bool {
	for mark := range marks {
		if bytes.Contains(text, []byte(`"`+mark+`"`)) {
			return true
		}
	}
	return false
}

// marks are the annotations of this house, and whether they qualify an item. (x-fact may also stand on a part of one.)
var marks = map[string]bool{
	"x-envelope": false, "x-subject": false, "x-about": false, "x-category": false,
	"x-special": true, "x-offence": true, "x-free-text": true, "x-directive": true, "x-identifier": true, "x-born": true,
	"x-attachment": true, "x-fact": false,
}

// annotations say nothing about which messages are valid.
var annotations = []string{"$schema", "$id", "$defs", "$comment", "$ref", "title", "description", "examples", "default", "deprecated"}

// place is where in the message a schema applies.
type place struct {
	name       string
	role       transfer.Role // of the subject around it
	inItem     bool
	inEnvelope bool
	inList     bool // of one subject, so that there may be several of what is here
	freeText   int  // noItem, or the item of free text that this is in
	depth      int
}

type compiler struct {
	defs         object
	items        []Item
	names        map[string]bool
	facts        map[string]bool // role and name of a fact
	data         bool            // the schema carries marks: every leaf must be accounted for
	needsLibrary bool
	errs         []error
}

func (c *compiler) refuse(name, message string, args ...any) {
	at := "the schema"
	if name != "" {
		at = name
	}
	c.errs = append(c.errs, fmt.Errorf("%s: %s", at, fmt.Sprintf(message, args...)))
}

// schema compiles one place. Faults are collected in c.errs; the answer is never nil.
func (c *compiler) schema(raw jsontext.Value, at place) *schema {
	s := &schema{name: at.name, kinds: kindAny, maxLength: -1, maxItems: -1, maxProperties: -1, item: noItem, freeText: noItem}
	if at.depth > maxNesting {
		c.refuse(at.name, "nested deeper than %d, or a reference that leads to itself", maxNesting)
		return s
	}
	if raw.Kind() != '{' { // true and false are schemas too
		c.needsLibrary = true
		c.leaf(at)
		return s
	}
	o, err := c.resolve(raw, 0)
	if err != nil {
		c.refuse(at.name, "%v", err)
		return s
	}
	below := c.mark(s, o, at)
	c.constrain(s, o, at)
	c.fact(s, o, below)
	c.structure(s, o, below)
	if s.kinds&kindString != 0 && s.allowed == nil && s.format == nil && s.pattern == nil {
		s.freeText = below.freeText
	}
	if s.items == nil && s.members == nil {
		c.leaf(below)
	}
	s.recorded = c.data && s.item == noItem && !below.inItem && !below.inEnvelope && s.kinds&(kindObject|kindArray) != 0
	if below.inEnvelope {
		s.slot = slots[at.name]
	}
	s.kept = s.identifier != "" || s.born || s.fact != "" || s.freeText != noItem || s.slot != nil && s.slot.text != nil
	return s
}

// leaf refuses a value that nobody has said anything about: it could never be decided on.
func (c *compiler) leaf(at place) {
	if c.data && !at.inItem && !at.inEnvelope {
		c.refuse(at.name, "neither an item (x-category) nor part of the envelope (x-envelope)")
	}
}

// resolve merges a schema with what it refers to. What stands beside the reference wins for annotations and marks.
func (c *compiler) resolve(raw jsontext.Value, depth int) (object, error) {
	o, err := membersOf(raw)
	if err != nil {
		return nil, err
	}
	ref, err := stringOf(o.value("$ref"))
	if ref == "" || err != nil {
		return o, err
	}
	name, ok := strings.CutPrefix(ref, "#/$defs/")
	target := c.defs.value(name)
	if !ok || target == nil {
		return nil, fmt.Errorf("reference %q: only definitions of the same file (#/$defs/...) can be referred to", ref)
	}
	if depth > maxNesting {
		return nil, fmt.Errorf("reference %q leads to itself", ref)
	}
	if target.Kind() != '{' {
		c.needsLibrary = true
		return o, nil
	}
	referred, err := c.resolve(target, depth+1)
	if err != nil {
		return nil, err
	}
	for _, m := range referred {
		switch own := o.value(m.name); {
		case own == nil:
			o = append(o, m)
		case m.name == "properties" || m.name == "additionalProperties" || m.name == "items":
			return nil, fmt.Errorf("%q stands both beside the reference %q and in what it refers to", m.name, ref)
		case marks[m.name] || strings.HasPrefix(m.name, "x-") || slices.Contains(annotations, m.name):
		default:
			c.needsLibrary = true // both apply; the pass checks one of them
		}
	}
	return o, nil
}

// mark reads the x- annotations, adds the item to the catalogue, and says what holds for the places below.
func (c *compiler) mark(s *schema, o object, at place) place {
	for _, m := range o {
		qualifies, known := marks[m.name]
		switch {
		case !strings.HasPrefix(m.name, "x-"):
			continue
		case !known:
			c.refuse(at.name, "unknown mark %q", m.name)
		case at.inEnvelope || at.inItem && m.name != "x-fact":
			c.refuse(at.name, "%q inside an item or the envelope, where nothing is marked again", m.name)
		case qualifies && o.value("x-category") == nil:
			c.refuse(at.name, "%q without x-category", m.name)
		}
	}
	if c.flag(o, "x-envelope", at) {
		if at.depth != 1 {
			c.refuse(at.name, "x-envelope below the top level")
		}
		s.envelope, at.inEnvelope = true, true
	}
	s.subject, s.about = c.role(o, "x-subject", at), c.role(o, "x-about", at)
	if s.subject != "" && c.text(o, "type", at) != "object" {
		c.refuse(at.name, "x-subject is for an object; of a list it marks the elements")
	}
	if s.subject != "" || s.about != "" {
		at.role = s.subject
		if s.about != "" {
			at.role = s.about
		}
		at.inList = false
	}
	if s.subject == transfer.Nobody {
		c.refuse(at.name, "x-subject of nobody: figures are a section, with x-about")
	}
	category := c.text(o, "x-category", at)
	if category == "" {
		return at
	}
	s.identifier, s.born = c.text(o, "x-identifier", at), c.flag(o, "x-born", at)
	if kind := c.text(o, "type", at); kind != "string" && (s.identifier != "" || s.born) {
		c.refuse(at.name, "x-identifier and x-born are for strings")
	}
	if at.role == "" {
		c.refuse(at.name, "an item outside every x-subject and x-about: nobody could decide about it")
	}
	if at.inEnvelope || s.subject != "" || s.about != "" {
		c.refuse(at.name, "x-category together with x-envelope, x-subject or x-about")
	}
	if c.names[at.name] {
		c.refuse(at.name, "the name repeats")
	}
	c.names[at.name] = true
	s.item = len(c.items)
	item := Item{
		Index: s.item, Name: at.name, Title: c.text(o, "title", at), Role: at.role, Category: Category(category), Identifier: s.identifier,
		Fact:    c.text(o, "x-fact", at),
		Special: c.flag(o, "x-special", at), Offence: c.flag(o, "x-offence", at), FreeText: c.flag(o, "x-free-text", at),
		Attachment: c.flag(o, "x-attachment", at), Directive: c.flag(o, "x-directive", at),
	}
	if item.Role == transfer.Nobody && (item.Identifier != "" || s.born || item.FreeText || item.Attachment) {
		c.refuse(at.name, "an item about nobody in which somebody could be told apart")
	}
	if item.FreeText {
		at.freeText = item.Index
	}
	c.items = append(c.items, item)
	at.inItem = true
	return at
}

// fact reads x-fact: on an item, or on a part of one. A fact is a word that a decision turns on, so it is coarse, and there is one of it.
func (c *compiler) fact(s *schema, o object, at place) {
	if s.fact = c.text(o, "x-fact", at); s.fact == "" {
		return
	}
	coarse := s.kinds == kindBoolean || s.kinds == kindString && (s.allowed != nil || s.format != nil)
	switch key := string(at.role) + " " + s.fact; {
	case !at.inItem:
		c.refuse(at.name, "x-fact outside an item")
	case !coarse || s.identifier != "" || s.born:
		c.refuse(at.name, "x-fact is for a boolean, a date or one of a few words")
	case at.inList:
		c.refuse(at.name, "x-fact in a list, where nobody could say which of them counts")
	case c.facts[key]:
		c.refuse(at.name, "two items of one person give the fact %q", s.fact)
	default:
		c.facts[key] = true
	}
}

// constrain reads the keywords that say which values are valid.
func (c *compiler) constrain(s *schema, o object, at place) {
	for _, m := range o {
		var err error
		switch m.name {
		case "type":
			var permitted kinds
			permitted, err = kindsOf(m.raw)
			s.kinds &= permitted
		case "enum", "const":
			c.choices(s, m.name, m.raw)
		case "pattern":
			var text string
			if text, err = stringOf(m.raw); err == nil {
				s.pattern, err = regexp.Compile(text)
			}
		case "format":
			var name string
			if name, err = stringOf(m.raw); err == nil {
				if s.format = formatNamed(name); s.format == nil {
					c.needsLibrary = true
				}
			}
		case "minLength":
			s.minLength, err = intOf(m.raw)
		case "maxLength":
			s.maxLength, err = intOf(m.raw)
		case "minItems":
			s.minItems, err = intOf(m.raw)
		case "maxItems":
			s.maxItems, err = intOf(m.raw)
		case "maxProperties":
			s.maxProperties, err = intOf(m.raw)
		case "minimum":
			s.minimum, err = floatOf(m.raw)
		case "maximum":
			s.maximum, err = floatOf(m.raw)
		case "uniqueItems":
			s.unique = string(m.raw) == "true"
		case "examples":
			var examples []any
			if json.Unmarshal(m.raw, &examples) == nil && len(examples) > 0 {
				s.example, _ = examples[0].(string)
			}
		case "patternProperties", "prefixItems": // these change what additionalProperties and items mean
			err = errors.New("this dialect does not have it")
		case "properties", "required", "additionalProperties", "items":
		default:
			if !slices.Contains(annotations, m.name) && !strings.HasPrefix(m.name, "x-") {
				c.needsLibrary = true
			}
		}
		if err != nil {
			c.refuse(at.name, "%s: %v", m.name, err)
		}
	}
	if s.pattern != nil && s.format != nil && s.format.implies == s.pattern.String() {
		s.pattern = nil
	}
}

// choices reads enum and const. Numbers, null and structures are the library's.
func (c *compiler) choices(s *schema, keyword string, raw jsontext.Value) {
	var values []any
	if keyword == "const" {
		values = []any{nil}
		if json.Unmarshal(raw, &values[0]) != nil {
			return
		}
	} else if json.Unmarshal(raw, &values) != nil {
		c.needsLibrary = true
		return
	}
	if s.allowed != nil { // enum and const together
		c.needsLibrary = true
		return
	}
	texts, bools := map[string]bool{}, []bool{}
	for _, v := range values {
		switch v := v.(type) {
		case string:
			texts[v] = true
		case bool:
			bools = append(bools, v)
		default:
			c.needsLibrary = true
			return
		}
	}
	s.allowed, s.allowedBool = texts, bools
	for _, v := range values {
		s.choices = append(s.choices, fmt.Sprint(v))
	}
	var permitted kinds
	if len(texts) > 0 {
		permitted |= kindString
	}
	if len(bools) > 0 {
		permitted |= kindBoolean
	}
	s.kinds &= permitted
}

// structure compiles what is below.
func (c *compiler) structure(s *schema, o object, at place) {
	if raw := o.value("items"); raw != nil {
		at := at
		at.depth++
		at.inList = true
		s.items = c.schema(raw, at)
	}
	if s.unique && (s.items == nil || s.items.kinds != kindString || s.maxItems < 0 || s.maxItems > maxUnique) {
		s.unique, c.needsLibrary = false, true
	}
	properties, err := membersOf(o.value("properties"))
	if err != nil {
		c.refuse(at.name, "properties: %v", err)
	}
	if len(properties) > maxMembers {
		c.refuse(at.name, "%d properties, and an object may have %d", len(properties), maxMembers)
		return
	}
	if o.value("properties") != nil {
		s.members = make(map[string]*member, len(properties))
	}
	for i, p := range properties {
		below := at
		below.depth++
		below.name = p.name
		if at.name != "" {
			below.name = at.name + "." + p.name
		}
		child := &member{name: p.name, index: i, schema: c.schema(p.raw, below)}
		s.members[p.name] = child
		s.ordered = append(s.ordered, child)
	}
	var required []string
	if raw := o.value("required"); raw != nil && json.Unmarshal(raw, &required) != nil {
		c.refuse(at.name, "required is not a list of names")
	}
	for _, name := range required {
		if m := s.members[name]; m != nil {
			s.required = s.required.With(m.index)
		} else if c.data {
			c.refuse(at.name, "%q is required and is no property", name)
		} else {
			c.needsLibrary = true
		}
	}
	switch open := o.value("additionalProperties"); {
	case string(open) == "false":
		s.closed = true
	case open != nil && string(open) != "true":
		c.needsLibrary = true
	}
	if c.data && !s.closed && s.kinds&kindObject != 0 && (s.kinds == kindObject || s.members != nil) {
		c.refuse(at.name, "an object without additionalProperties: false would let unknown items pass")
	}
}

func (c *compiler) text(o object, keyword string, at place) string {
	text, err := stringOf(o.value(keyword))
	if err != nil && strings.HasPrefix(keyword, "x-") {
		c.refuse(at.name, "%s: %v", keyword, err)
	}
	return text
}

func (c *compiler) flag(o object, keyword string, at place) bool {
	raw := o.value(keyword)
	if raw != nil && string(raw) != "true" && string(raw) != "false" {
		c.refuse(at.name, "%s: not true or false", keyword)
	}
	return string(raw) == "true"
}

func (c *compiler) role(o object, keyword string, at place) transfer.Role {
	role := transfer.Role(c.text(o, keyword, at))
	if role != "" && !slices.Contains(transfer.Roles(), role) {
		c.refuse(at.name, "%s: unknown role %q", keyword, role)
	}
	return role
}

// stringOf is the string that raw holds; nil holds an empty one.
func stringOf(raw jsontext.Value) (string, error) {
	if raw == nil {
		return "", nil
	}
	if raw.Kind() != '"' {
		return "", errors.New("not a string")
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	return string(text), err
}

// kindsOf reads type: a name, or a list of some.
func kindsOf(raw jsontext.Value) (kinds, error) {
	var names []string
	if raw.Kind() == '"' {
		raw = slices.Concat(jsontext.Value("["), raw, jsontext.Value("]"))
	}
	if json.Unmarshal(raw, &names) != nil {
		return 0, errors.New("not the name of a type, or a list of some")
	}
	var all kinds
	for _, name := range names {
		if kindNames[name] == 0 {
			return 0, fmt.Errorf("unknown type %q", name)
		}
		all |= kindNames[name]
	}
	return all, nil
}

func intOf(raw jsontext.Value) (int, error) {
	f, err := floatOf(raw)
	if err != nil || *f != float64(int(*f)) {
		return 0, errors.New("not a whole number")
	}
	return int(*f), nil
}

func floatOf(raw jsontext.Value) (*float64, error) {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return nil, errors.New("not a number")
	}
	return &f, nil
}
