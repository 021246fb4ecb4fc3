package policy

import (
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/transfer"
)

// Request is everything that a decision depends on, besides the index. It holds no value of an item and nobody's identifiers, so that the log
// can carry it: `hub verify --redecide` makes it again from the leaves alone.
type Request struct {
	Sender, Recipient transfer.PartnerID
	Contract          *contracts.Contract
	Purpose           transfer.Purpose
	Service           transfer.Service
	Undertaking       *contracts.Undertaking
	Exception         *contracts.Exception
	Demand            *contracts.Demand
	Secondary         *contracts.Secondary
	Review            *contracts.Review
	Onward            *Onward // what the message passes on; nil for the sender's own data
	// Conditions has what each when: (agreement.Condition.Source) came to when the message was read. One that is missing cannot be told any
	// more, and its clause does not apply.
	Conditions map[string]bool
	Rulings    []Ruling // what people have decided about this transfer, oldest first
	Subjects   []Subject
	At         time.Time
}

// Subject is one person of the message, as the decision sees it.
type Subject struct {
	Role     transfer.Role
	Position int
	Items    contracts.ItemSet // what is present, or for a stored transfer what is still there
	Noticed  contracts.ItemSet // free-text items in which somebody typed what looks like an address, a number or an e-mail address
	Events   []consent.Event
	Facts    Facts
}

// Onward says under which clause the sender received what it now passes on; Flow is nil when no such disclosure to it is on record.
type Onward struct {
	Flow *agreement.Flow
}

// Ruling is what a person with a role decided about a transfer that was held. It lifts the holds for the reasons that the person looked at, as
// far as the role reaches, and no others: a reason that comes up later holds the transfer again.
type Ruling struct {
	Act    Act
	Person string // by the id of the register
	Role   transfer.StaffRole
	Codes  []Code // the reasons looked at
	Ground string // why, as a code of Grounds: the log has no free text about a person
	At     time.Time
}

// Act is what a ruling does.
type Act string

// The acts on a hold.
const (
	LetGo    Act = "release"
	TurnDown Act = "refuse"
	SendBack Act = "return" // to the sender, to put right and send again
)

// Obligation is what comes with a permit (domain.md section 4.8).
type Obligation struct {
	Code   string    `json:"code"` // "log", "stamp", "inform", "register-recipient", "confirm", "review-exception", "notify-dpl", ...
	Who    string    `json:"who"`  // "sender", "recipient" or "hub"
	Detail string    `json:"detail"`
	By     time.Time `json:"by,omitzero"`
	Source string    `json:"source,omitempty"`
}

// NewRequest puts the case of a message for one of its recipients, except for what the message does not know: what people have said before
// (Subject.Events), whether their identifiers agree, what is passed on, and what people have ruled.
func NewRequest(x *agreement.Index, sender, recipient transfer.PartnerID, doc *contracts.Document, at time.Time) Request {
	r := Request{
		Sender: sender, Recipient: recipient, Contract: doc.Contract, Purpose: doc.Envelope.Purpose, Service: doc.Envelope.Service,
		Undertaking: doc.Undertaking, Exception: doc.Exception, Demand: doc.Demand, Secondary: doc.Secondary, Review: doc.Review,
		Subjects: make([]Subject, len(doc.Subjects)), At: at,
	}
	if doc.Envelope.OnwardOf != "" {
		r.Onward = &Onward{} // until the caller has found how it came, it did not
	}
	for i := range doc.Subjects {
		s := &doc.Subjects[i]
		r.Subjects[i] = Subject{
			Role: s.Role, Position: s.Position, Items: s.Items, Noticed: s.Noticed, Facts: FactsOf(s.Role, s.Facts, s.Born, at),
		}
	}
	for _, f := range x.Candidates(sender, recipient) {
		if f.When == nil {
			continue
		}
		holds, known := f.When.Eval(doc, sender, recipient)
		if _, done := r.Conditions[f.When.Source]; done || !known {
			continue
		}
		if r.Conditions == nil {
			r.Conditions = make(map[string]bool)
		}
		r.Conditions[f.When.Source] = holds
	}
	return r
}
