package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"referralhub/hub/transfer"
)

// Shape is what a leaf says besides who (people, staff, the transfer), when, and digests. Referrals are much alike: of millions of leaves there
// are few shapes, so that a question in words ("what did the council receive for this purpose?") looks through the shapes, and then at the
// leaves that have them.
//
// A shape is an index and proves nothing: it can be made again from its leaf at any time. Every leaf has one, and its lists are sorted and
// without repetition.
type Shape struct {
	Agreement transfer.AgreementID `json:"agreement,omitempty"`
	By        transfer.PartnerID   `json:"by,omitempty"`     // who did it, where the leaf has no sender: who recorded, asked, acted
	Demand    string               `json:"demand,omitempty"` // its instrument: "court-order"
	Exception string               `json:"exception,omitempty"`
	Flow      string               `json:"flow,omitempty"` // as in the leaf: "hertswise@1#refer"
	Kind      Kind                 `json:"kind"`
	Office    string               `json:"office,omitempty"` // of a disclosure to somebody who is no partner
	Outcome   transfer.Outcome     `json:"outcome,omitempty"`
	Parts     []Part               `json:"parts,omitempty"` // by role
	Purpose   transfer.Purpose     `json:"purpose,omitempty"`
	Reasons   []string             `json:"reasons,omitempty"` // codes
	Recipient transfer.PartnerID   `json:"recipient,omitempty"`
	Sender    transfer.PartnerID   `json:"sender,omitempty"`
	Service   transfer.Service     `json:"service,omitempty"`
	Type      transfer.MessageType `json:"type,omitempty"`
	Version   int                  `json:"version,omitempty"` // of the agreement
}

// Part is what went, or may go, of the people of one role, and what was stripped.
type Part struct {
	Items    []string      `json:"items,omitempty"`
	Role     transfer.Role `json:"role,omitempty"`
	Stripped []string      `json:"stripped,omitempty"`
}

// ShapeOf gives the shape of a leaf.
func ShapeOf(l *Leaf) *Shape {
	s := draft(l)
	s.tidy()
	return s
}

// ID is the first 63 bits of the SHA-256 of the shape's encoding: never negative, and never 0, which stands for no shape.
func (s *Shape) ID() int64 { return shapeID(s.AppendTo(nil)) }

func shapeID(body []byte) int64 {
	sum := sha256.Sum256(body)
	return max(1, int64(binary.BigEndian.Uint64(sum[:])>>1))
}

// AppendTo appends the shape's encoding to b: JSON in the form of RFC 8785, as leaves are.
func (s *Shape) AppendTo(b []byte) []byte {
	e := encoder{append(b, '{')}
	e.str("agreement", string(s.Agreement))
	e.str("by", string(s.By))
	e.str("demand", s.Demand)
	e.str("exception", s.Exception)
	e.str("flow", s.Flow)
	e.str("kind", string(s.Kind))
	e.str("office", s.Office)
	e.str("outcome", string(s.Outcome))
	if len(s.Parts) > 0 {
		e.array("parts")
		for i := range s.Parts {
			p := &s.Parts[i]
			e.element()
			strs(&e, "items", p.Items)
			e.str("role", string(p.Role))
			strs(&e, "stripped", p.Stripped)
			e.close()
		}
		e.end()
	}
	e.str("purpose", string(s.Purpose))
	strs(&e, "reasons", s.Reasons)
	e.str("recipient", string(s.Recipient))
	e.str("sender", string(s.Sender))
	e.str("service", string(s.Service))
	e.str("type", string(s.Type))
	e.num("version", s.Version)
	return append(e.b, '}')
}

// ParseShape reads what AppendTo has written.
func ParseShape(body []byte) (*Shape, error) {
	s := &Shape{}
	if err := json.Unmarshal(body, s); err != nil {
		return nil, fmt.Errorf("read a shape: %w", err)
	}
	return s, nil
}

// draft gives the shape with its lists as they come. They are the leaf's own where that is possible: nothing may change them.
func draft(l *Leaf) *Shape {
	s := &Shape{
		Kind: l.Kind, Sender: l.Sender, Recipient: l.Recipient, Type: l.Type, Purpose: l.Purpose, Service: l.Service, Outcome: l.Outcome,
	}
	if l.Sender == "" {
		s.By = l.Actor.Partner
	}
	if a := l.Agreement; a != nil {
		s.Agreement, s.Version, s.Flow = a.ID, a.Version, a.Flow
	}
	if l.Exception != nil {
		s.Exception = l.Exception.Kind
	}
	if l.Demand != nil {
		s.Demand = l.Demand.Instrument
	}
	if l.Disclosure != nil {
		s.Office = l.Disclosure.Office
	}
	if len(l.Reasons) > 0 {
		s.Reasons = make([]string, len(l.Reasons))
		for i := range l.Reasons {
			s.Reasons[i] = l.Reasons[i].Code
		}
	}
	if len(l.Subjects) > 0 {
		s.Parts = make([]Part, len(l.Subjects))
		for i := range l.Subjects {
			p := &l.Subjects[i]
			s.Parts[i] = Part{Items: p.Items, Role: p.Role, Stripped: p.Stripped}
		}
	}
	return s
}

// tidy gives the shape its one form: parts by role, those of one role united; lists sorted and without repetition.
func (s *Shape) tidy() {
	s.Reasons = inOrder(s.Reasons)
	slices.SortStableFunc(s.Parts, func(a, b Part) int { return cmp.Compare(a.Role, b.Role) })
	parts := s.Parts[:0]
	for _, p := range s.Parts {
		if n := len(parts); n > 0 && parts[n-1].Role == p.Role {
			p.Items, p.Stripped = slices.Concat(parts[n-1].Items, p.Items), slices.Concat(parts[n-1].Stripped, p.Stripped)
			parts = parts[:n-1]
		}
		parts = append(parts, p)
	}
	for i := range parts {
		parts[i].Items, parts[i].Stripped = inOrder(parts[i].Items), inOrder(parts[i].Stripped)
	}
	s.Parts = parts
}

// inOrder gives a list of its own, sorted and without repetition.
func inOrder(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// Shapes remembers shapes that are in the store, so that a leaf like one before it costs a look-up: to sort and to hash its shape takes longer
// than to write the leaf. It belongs to one goroutine.
type Shapes struct {
	known map[string]int64 // ids by draft: leaves with the same lists in another order have drafts of their own
	draft []byte
}

// NewShape is a shape that is not remembered.
type NewShape struct {
	ID    int64
	Body  []byte
	draft string
}

// maxShapes bounds what is remembered: about as many kilobytes. What is forgotten is offered to the store again, which has it.
const maxShapes = 4096

// Of gives the id of a leaf's shape, and the shape itself where it is not remembered.
func (m *Shapes) Of(l *Leaf) (int64, *NewShape) {
	s := draft(l)
	m.draft = s.AppendTo(m.draft[:0])
	if id, known := m.known[string(m.draft)]; known {
		return id, nil
	}
	s.tidy()
	fresh := &NewShape{Body: s.AppendTo(nil), draft: string(m.draft)}
	fresh.ID = shapeID(fresh.Body)
	return fresh.ID, fresh
}

// Keep remembers shapes that have been committed.
func (m *Shapes) Keep(shapes []*NewShape) {
	if m.known == nil || len(m.known)+len(shapes) > maxShapes {
		m.known = make(map[string]int64, maxShapes)
	}
	for _, s := range shapes {
		m.known[s.draft] = s.ID
	}
}
