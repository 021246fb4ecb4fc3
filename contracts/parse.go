package contracts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"referralhub/hub/transfer"
)

const (
	// MaxBodyBytes bounds what Parse reads. A server will want a lower bound of its own.
	MaxBodyBytes = 16 << 20
	// MaxDepth bounds how deep objects and arrays may be nested in a message.
	MaxDepth = 32

	maxSubjects    = 1000
	maxNumberBytes = 16 // so that comparing as float64 is exact
)

// node is one place of a document that Cut keeps or leaves out: an item, or a container of items. The nodes of a document are
// in document order, so that the children of a container are the nodes between it and its next.
type node struct {
	name    span // the member's name with its quotes; empty for the root and for elements
	value   span
	next    int32 // the first node that is not inside this one
	item    int16 // noItem: a container
	subject int16
}

// span is the bytes [start, end) of a body.
type span struct{ start, end int32 }

func (s span) of(body []byte) []byte { return body[s.start:s.end] }

// person is whose data is being read: a subject, or the first of a role that may not have come up yet.
type person struct {
	subject int // noSubject: see role
	role    transfer.Role
}

const noSubject = -1

// reader is the pass. It validates, keeps the place of every item, and finds the people, in one reading of the body.
type reader struct {
	dec      *jsontext.Decoder
	input    bytes.Buffer
	body     []byte
	whole    bool // a message as its sender sends it; otherwise a dataset
	doc      *Document
	way      []step
	nodes    []node
	subjects []Subject
	first    map[transfer.Role]int // index of the first subject of a role
	met      map[transfer.Role]int // how many subjects of a role the document has shown
	entries  [][]byte              // strings of the array being read, when they must differ
	last     []byte                // the string read last, with its quotes
	repeated int                   // where the name stands that its object has twice
	unquoted []byte
	anything *schema
	faults   []Fault
}

var (
	errEnough    = errors.New("as many faults as are reported")
	errDeep      = errors.New("nested too deep")
	errDuplicate = errors.New("name twice in an object")
	errTrailing  = errors.New("more than one value")
	errEncoding  = errors.New("not UTF-8")
)

// Parse reads and validates a message of this contract. The document keeps body, which must not change afterwards. The error
// is a *InvalidError listing every fault, or a *SyntaxError when the bytes are not one JSON value (malformed, duplicate key,
// bad UTF-8, too deep).
//
// It is stricter than the schema in five ways: a number has at most 16 characters and no exponent, a date-time is one that
// time.Time can hold, addresses and URIs are of the common forms, a consent is about somebody who is in the message, and a
// demand asks for items that there are.
func (c *Contract) Parse(body []byte) (*Document, error) { return c.parse(body, true) }

// ParseDataset does the same for a message that Cut has made: required items may be missing, there is no envelope, and
// a string need not match its pattern, format or length, because a transformed value does not. Keywords that only the general
// validator knows do not apply to it.
func (c *Contract) ParseDataset(body []byte) (*Document, error) { return c.parse(body, false) }

func (c *Contract) parse(body []byte, whole bool) (*Document, error) {
	if len(body) > MaxBodyBytes {
		return nil, &SyntaxError{Line: 1, Column: 1, Rule: "too-large",
			Detail: fmt.Sprintf("the message is longer than %d bytes", MaxBodyBytes), Remedy: "send documents another way and refer to them"}
	}
	if !utf8.Valid(body) {
		return nil, syntaxError(body, firstInvalid(body), nil, errEncoding)
	}
	r := c.program.reader(body, whole)
	defer c.program.release(r)
	r.doc = &Document{Contract: c, Body: body}
	err := r.message(c.program.root)
	if err != nil && !errors.Is(err, errEnough) {
		offset := int(r.dec.InputOffset())
		if errors.Is(err, errDuplicate) {
			offset = r.repeated
		}
		if syntactic := (*jsontext.SyntacticError)(nil); errors.As(err, &syntactic) {
			offset = int(syntactic.ByteOffset)
		}
		return nil, syntaxError(body, min(offset, len(body)), r.way, err)
	}
	if len(r.faults) == 0 && whole && c.program.library != nil {
		r.faults = libraryFaults(c.program.library, body)
	}
	if len(r.faults) > 0 {
		return nil, &InvalidError{Faults: slices.Clone(r.faults)}
	}
	r.doc.Subjects, r.doc.nodes = slices.Clone(r.subjects), slices.Clone(r.nodes)
	return r.doc, nil
}

// reader takes a reader from the pool and points it at body.
func (p *program) reader(body []byte, whole bool) *reader {
	r, ok := p.readers.Get().(*reader)
	if !ok {
		r = &reader{first: map[transfer.Role]int{}, met: map[transfer.Role]int{}}
		r.anything = &schema{kinds: kindAny, item: noItem, freeText: noItem, maxItems: -1, maxProperties: -1}
		r.dec = jsontext.NewDecoder(&r.input)
	}
	r.input = *bytes.NewBuffer(body)
	// The pass sees names twice by itself, which is much cheaper than having the decoder remember every name.
	r.dec.Reset(&r.input, jsontext.AllowDuplicateNames(true))
	r.body, r.whole = body, whole
	return r
}

// release puts a reader back without anything of the message in it.
func (p *program) release(r *reader) {
	r.input = bytes.Buffer{}
	r.dec.Reset(&r.input)
	clear(r.subjects[:cap(r.subjects)])
	clear(r.unquoted[:cap(r.unquoted)])
	clear(r.first)
	clear(r.met)
	clear(r.way[:cap(r.way)])
	clear(r.entries[:cap(r.entries)])
	r.body, r.last, r.doc, r.faults = nil, nil, nil, nil
	r.way, r.nodes, r.subjects = r.way[:0], r.nodes[:0], r.subjects[:0]
	p.readers.Put(r)
}

// message reads the one value of the body and checks what the schema cannot say.
func (r *reader) message(root *schema) error {
	if err := r.value(root, person{subject: noSubject}, span{}); err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.Join(errTrailing, err)
	}
	for i, c := range r.doc.Consents {
		known := slices.ContainsFunc(r.subjects, func(s Subject) bool { return s.Role == c.Role && s.Position == c.Position })
		if !known && c.Role != "" { // without a role it has been reported
			r.way = append(r.way[:0], step{name: "consents"}, step{position: i}, step{name: "subject"})
			err := r.fault("unknown-subject", "is nobody in this message",
				"give the role and the position, from 0, of a person whom the message describes")
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// value reads one value. A nil schema accepts anything.
func (r *reader) value(s *schema, who person, name span) error {
	kind := r.dec.PeekKind()
	switch {
	case s == nil:
		return r.skip()
	case kind == '{' && s.kinds&kindObject != 0:
		return r.object(s, who, name)
	case kind == '[' && s.kinds&kindArray != 0:
		return r.array(s, who, name)
	case kind == '{' || kind == '[':
		if err := r.wrongKind(s); err != nil {
			return err
		}
		return r.skip()
	}
	raw, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	start := int(r.dec.InputOffset()) - len(raw)
	place := r.open(s, who, name, start)
	r.close(place, start+len(raw))
	switch kind {
	case '"':
		return r.text(s, who, raw)
	case '0':
		return r.number(s, raw)
	case 't', 'f':
		return r.boolean(s, who, kind == 't')
	}
	if s.kinds&kindNull == 0 {
		return r.wrongKind(s)
	}
	return nil
}

func (r *reader) object(s *schema, who person, name span) error {
	if err := r.enter(); err != nil {
		return err
	}
	start := int(r.dec.InputOffset()) - 1
	who = r.whose(s, who)
	place := r.open(s, who, name, start)
	if s.slot != nil && s.slot.open != nil {
		s.slot.open(r)
	}
	var seen ItemSet
	var others map[string]bool // names of an open object, or unknown ones
	for r.dec.PeekKind() != '}' {
		raw, err := r.dec.ReadValue()
		if err != nil {
			return err
		}
		end := int32(r.dec.InputOffset())
		key := r.unquote(raw)
		m := s.members[string(key)]
		if m == nil || m.schema.envelope && !r.whole {
			if others[string(key)] {
				return r.twice(raw)
			}
			if others == nil {
				others = map[string]bool{}
			}
			others[string(key)] = true
			if err := r.stranger(s, string(key)); err != nil {
				return err
			}
			continue
		}
		r.way = append(r.way, step{name: m.name})
		if seen.Has(m.index) {
			return r.twice(raw)
		}
		seen = seen.With(m.index)
		if err := r.value(m.schema, who, span{end - int32(len(raw)), end}); err != nil {
			return err
		}
		r.way = r.way[:len(r.way)-1]
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	end := int(r.dec.InputOffset())
	r.close(place, end)
	if s.slot != nil && s.slot.close != nil {
		s.slot.close(r, r.body[start:end:end])
	}
	if n := s.maxProperties; n >= 0 && r.whole && seen.Len()+len(others) > n {
		if err := r.fault("too-many", fmt.Sprintf("has more than %d members", n), "keep the ones that matter"); err != nil {
			return err
		}
	}
	if missing := s.required.Minus(seen); r.whole && !missing.Empty() {
		return r.missing(s, missing)
	}
	return nil
}

// twice reports that the name just read stands in its object for the second time.
func (r *reader) twice(name []byte) error {
	r.repeated = int(r.dec.InputOffset()) - len(name)
	return errDuplicate
}

// stranger deals with a member that the schema does not name.
func (r *reader) stranger(s *schema, key string) error {
	if !s.closed {
		return r.skip()
	}
	shown := presentable(key)
	r.way = append(r.way, step{name: shown})
	remedy := "leave it out, or ask for it to be added to the contract"
	if meant := nearest(key, s.ordered); meant != "" && meant != key {
		remedy = fmt.Sprintf("leave it out, or write %q if that is meant", meant)
	}
	if err := r.fault("unknown-item", "is no item of this contract", remedy); err != nil {
		return err
	}
	if err := r.skip(); err != nil {
		return err
	}
	r.way = r.way[:len(r.way)-1]
	return nil
}

func (r *reader) missing(s *schema, missing ItemSet) error {
	for i := range missing.All() {
		r.way = append(r.way, step{name: s.ordered[i].name})
		if err := r.fault("required", "is missing", "add it; the contract cannot do without it"); err != nil {
			return err
		}
		r.way = r.way[:len(r.way)-1]
	}
	return nil
}

func (r *reader) array(s *schema, who person, name span) error {
	if err := r.enter(); err != nil {
		return err
	}
	who = r.whose(s, who)
	place := r.open(s, who, name, int(r.dec.InputOffset())-1)
	if s.unique {
		r.entries = r.entries[:0]
	}
	n := 0
	for ; r.dec.PeekKind() != ']'; n++ {
		r.way = append(r.way, step{position: n})
		if err := r.element(s, who, n); err != nil {
			return err
		}
		r.way = r.way[:len(r.way)-1]
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	r.close(place, int(r.dec.InputOffset()))
	switch {
	case n < s.minItems && r.whole:
		return r.fault("too-few", fmt.Sprintf("has %d entries, and %d is the least", n, s.minItems), "add what is missing")
	case s.maxItems >= 0 && n > s.maxItems:
		return r.fault("too-many", fmt.Sprintf("has %d entries, and %d is the most", n, s.maxItems), "send fewer, or several messages")
	}
	return nil
}

// element reads entry n. Entries that must differ are compared one with another: Compile sees to it that they are few.
func (r *reader) element(s *schema, who person, n int) error {
	r.last = nil
	err := r.value(s.items, who, span{})
	if err != nil || !s.unique || n >= s.maxItems {
		return err
	}
	entry := r.last
	if entry == nil { // of the wrong type, and reported
		return nil
	}
	for _, other := range r.entries {
		if sameText(entry, other) {
			return r.fault("repeated", "repeats an entry before it", "name each once")
		}
	}
	r.entries = append(r.entries, entry)
	return nil
}

// sameText compares JSON strings, which may spell a character in several ways.
func sameText(a, b []byte) bool {
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return bytes.Equal(a, b)
	}
	a, _ = jsontext.AppendUnquote(nil, a)
	b, _ = jsontext.AppendUnquote(nil, b)
	return bytes.Equal(a, b)
}

func (r *reader) text(s *schema, who person, raw []byte) error {
	text := r.unquote(raw)
	r.last = raw
	switch {
	case s.kinds&kindString == 0:
		return r.wrongKind(s)
	case s.allowed != nil && !s.allowed[string(text)]:
		return r.notAllowed(s)
	}
	if s.kept {
		if err := r.keep(s, who, text); err != nil {
			return err
		}
	}
	if !r.whole {
		return nil
	}
	switch {
	case s.maxLength >= 0 && len(text) > s.maxLength && utf8.RuneCount(text) > s.maxLength:
		return r.fault("too-long", fmt.Sprintf("has %d characters, and %d is the most", utf8.RuneCount(text), s.maxLength), "shorten it")
	case s.minLength > 0 && utf8.RuneCount(text) < s.minLength:
		return r.fault("too-short", fmt.Sprintf("has %d characters, and %d is the least", utf8.RuneCount(text), s.minLength),
			"write it in full, or leave the item out")
	case s.format != nil && !s.format.valid(text):
		return r.fault(s.format.rule, s.format.detail, s.format.remedy)
	case s.pattern != nil && !s.pattern.Match(text):
		remedy := "write it as the pattern says"
		if s.example != "" {
			remedy = fmt.Sprintf("write it like %q", s.example)
		}
		return r.fault("pattern", "does not have the form "+s.pattern.String(), remedy)
	}
	return nil
}

func (r *reader) number(s *schema, raw []byte) error {
	integer, fraction, _ := bytes.Cut(raw, []byte("."))
	kind := kindInteger
	if len(bytes.Trim(fraction, "0")) > 0 {
		kind = kindNumber
	}
	switch {
	case s.kinds&(kindInteger|kindNumber) == 0:
		return r.wrongKind(s)
	case len(raw) > maxNumberBytes || bytes.ContainsAny(raw, "eE"):
		return r.fault("number", "is a number with an exponent or too many digits",
			fmt.Sprintf("write it in plain digits, %d characters at most", maxNumberBytes))
	case s.kinds&kind == 0:
		return r.wrongKind(s)
	}
	if s.slot != nil && s.slot.number != nil {
		whole, _ := strconv.Atoi(string(integer))
		s.slot.number(r, whole)
	}
	if s.minimum == nil && s.maximum == nil {
		return nil
	}
	number, _ := strconv.ParseFloat(string(raw), 64)
	switch {
	case s.minimum != nil && number < *s.minimum:
		return r.fault("minimum", fmt.Sprintf("is less than %g", *s.minimum), "correct it, or leave the item out")
	case s.maximum != nil && number > *s.maximum:
		return r.fault("maximum", fmt.Sprintf("is more than %g", *s.maximum), "correct it, or leave the item out")
	}
	return nil
}

func (r *reader) boolean(s *schema, who person, value bool) error {
	switch {
	case s.kinds&kindBoolean == 0:
		return r.wrongKind(s)
	case s.allowed != nil && !slices.Contains(s.allowedBool, value):
		return r.notAllowed(s)
	case s.slot != nil && s.slot.truth != nil:
		s.slot.truth(r, value)
	case s.fact != "":
		r.fact(s, who, strconv.FormatBool(value))
	}
	return nil
}

// keep takes over what the hub itself reads: identifiers, the year of birth, facts, what was noticed in free text, and the envelope.
func (r *reader) keep(s *schema, who person, text []byte) error {
	switch {
	case s.identifier != "":
		subject := &r.subjects[r.subject(who)]
		subject.Identifiers = append(subject.Identifiers, Identifier{Scheme: s.identifier, Value: string(text)})
	case s.born:
		r.subjects[r.subject(who)].Born = string(text)
	case s.fact != "":
		r.fact(s, who, s.word(text))
	case s.freeText != noItem && notice(text) != nothing:
		subject := &r.subjects[r.subject(who)]
		subject.Noticed = subject.Noticed.With(s.freeText)
	case s.slot != nil && s.slot.text != nil:
		return s.slot.text(r, text)
	}
	return nil
}

// fact notes a fact about a person.
func (r *reader) fact(s *schema, who person, value string) {
	subject := &r.subjects[r.subject(who)]
	if subject.Facts == nil {
		subject.Facts = make(map[string]string)
	}
	subject.Facts[s.fact] = value
}

// word is text as a string; one that the schema lists costs nothing.
func (s *schema) word(text []byte) string {
	for _, choice := range s.choices {
		if choice == string(text) {
			return choice
		}
	}
	return string(text)
}

// enter reads the bracket that opens an object or an array.
func (r *reader) enter() error {
	_, err := r.dec.ReadToken()
	if err == nil && r.dec.StackDepth() > MaxDepth {
		return errDeep
	}
	return err
}

// skip reads a value that nothing is known about; it must still be well-formed and not too deep. An error inside it is
// reported at the value itself.
func (r *reader) skip() error {
	here := len(r.way)
	var err error
	switch r.dec.PeekKind() {
	case '{':
		err = r.object(r.anything, person{subject: noSubject}, span{})
	case '[':
		err = r.array(r.anything, person{subject: noSubject}, span{})
	default:
		_, err = r.dec.ReadValue()
	}
	r.way = r.way[:here]
	return err
}

// whose says whose data is inside a value.
func (r *reader) whose(s *schema, who person) person {
	switch {
	case s.about != "":
		return person{subject: noSubject, role: s.about}
	case s.subject == "":
		return who
	}
	position := r.met[s.subject]
	r.met[s.subject]++
	if at, ok := r.first[s.subject]; ok && position == 0 {
		return person{subject: at}
	}
	return person{subject: r.meet(s.subject, position)}
}

// subject is the index of the person, who comes to be here when only a section has spoken of them so far.
func (r *reader) subject(who person) int {
	if who.subject != noSubject {
		return who.subject
	}
	if at, ok := r.first[who.role]; ok {
		return at
	}
	return r.meet(who.role, 0)
}

func (r *reader) meet(role transfer.Role, position int) int {
	at := len(r.subjects)
	if at == maxSubjects {
		// Reported here and not returned: the message is refused in any case.
		_ = r.fault("too-many", fmt.Sprintf("is one person more than the %d of a message", maxSubjects), "send several messages")
		return at - 1
	}
	r.subjects = append(r.subjects, Subject{Role: role, Position: position})
	if position == 0 {
		r.first[role] = at
	}
	return at
}

// open notes that an item or a container of items starts; close, where it ends.
func (r *reader) open(s *schema, who person, name span, start int) (place int) {
	if s.item == noItem && !s.recorded {
		return -1
	}
	n := node{name: name, value: span{start: int32(start)}, item: int16(s.item), subject: noSubject}
	if s.item != noItem {
		at := r.subject(who)
		r.subjects[at].Items = r.subjects[at].Items.With(s.item)
		n.subject = int16(at)
	}
	r.nodes = append(r.nodes, n)
	return len(r.nodes) - 1
}

func (r *reader) close(place, end int) {
	if place >= 0 {
		r.nodes[place].value.end = int32(end)
		r.nodes[place].next = int32(len(r.nodes))
	}
}

// unquote is what a JSON string says, until the next call.
func (r *reader) unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	r.unquoted, _ = jsontext.AppendUnquote(r.unquoted[:0], raw)
	return r.unquoted
}

func (r *reader) wrongKind(s *schema) error {
	return r.fault("type", "is not of type "+s.kinds.String(), "write it as "+s.kinds.String())
}

func (r *reader) notAllowed(s *schema) error {
	rule := "enum"
	if len(s.choices) == 1 {
		rule = "const"
	}
	return r.fault(rule, "is none of the values the contract lists", "use one of: "+oneOf(s.choices))
}

// fault records what is wrong with the value being read, and stops the pass when there is enough.
func (r *reader) fault(rule, detail, remedy string) error {
	r.faults = append(r.faults, Fault{Pointer: pointer(r.way), Rule: rule, Detail: dotted(r.way) + " " + detail, Remedy: remedy})
	if len(r.faults) >= MaxFaults {
		return errEnough
	}
	return nil
}
