// Package policy decides what may go: gates in order, each a small pure function, with every reason and not only the first.
// It does no I/O, knows no clock and keeps nothing, so the same index and request give the same decision.
//
// The gates are those of domain.md section 4.1; G1 is the transport's. They come in three rows:
//
//   - whether this transfer is anybody's to make: prohibited purposes (G2), the partners (G3), the agreement (G4), its review
//     (G5) and whether its basis can be claimed. When one of these fails, nobody is judged;
//   - what the agreement lets go about each person: listed items (G6), special-category items (G7), offence items (G8), and
//     no contact details without the directives that protect them. What is left is what a hold may keep;
//   - what each person has said (G10), and whether what is left is enough (G6 again).
//
// A new gate is a function in one of these rows.
//
// Invariants:
//
//   - Deny by default. What no clause lists does not go; an unknown basis, state or partner does not permit.
//   - The choice among several agreements MUST NOT depend on what a person said: the machine never looks for a basis on which
//     a no does not count. See choose.
//   - A further refusal, withdrawal or objection MUST NOT add an item to a decision.
//   - Every item present about a person is in exactly one of Items and Stripped.
//
// Not decided here yet: the restriction of Art 18 (G9), capacity and representatives (section 4.4), secondary use (G11) and the
// exceptions E1 to E7. Until they are, a representative's consent holds the transfer and vital interests never permit by
// themselves.
package policy

import (
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/transfer"
)

// Request is everything that a decision depends on.
type Request struct {
	Sender, Recipient transfer.PartnerID
	Contract          *contracts.Contract
	Purpose           transfer.Purpose
	Service           transfer.Service
	Undertaking       *contracts.Undertaking
	Subjects          []Subject
	At                time.Time
}

// Subject is one person of the message, as the decision sees it.
type Subject struct {
	Role      transfer.Role
	Position  int
	Items     contracts.ItemSet // what is present, or for a stored transfer what is still there
	Events    []consent.Event
	Born      string // "2011-04-02", "2011-04", "2011", or empty when unknown
	Ambiguous bool   // identifiers of this person point at different people: a hold for a person to look at
}

// Decision is the answer, with every reason. It serialises to JSON for receipts, and its leaf form is the ledger's.
type Decision struct {
	Outcome   transfer.Outcome  `json:"outcome"`
	Agreement *AgreementRef     `json:"agreement,omitempty"` // the clause that decided; nil when none is in force
	Reasons   []Reason          `json:"reasons,omitempty"`   // on a permit: what was stripped and why, and warnings
	Subjects  []SubjectDecision `json:"subjects"`            // in the order of the request
	Owner     string            `json:"owner,omitempty"`     // hold and refusal: whose work it is now, one of the Owner constants
	Deadline  time.Time         `json:"deadline,omitzero"`   // by when
	Push      bool              `json:"-"`
	Flow      *agreement.Flow   `json:"-"` // what Agreement refers to
}

// AgreementRef says under which clause of which version a decision was made.
type AgreementRef struct {
	ID      transfer.AgreementID `json:"id"`
	Version int                  `json:"version"`
	Digest  string               `json:"digest"`
	Flow    string               `json:"flow"`
}

// SubjectDecision is what may go about one person. Items and Stripped together are what is present.
type SubjectDecision struct {
	Role     transfer.Role     `json:"role"`
	Position int               `json:"position"`
	Items    contracts.ItemSet `json:"-"` // may go; empty unless the outcome permits
	Stripped contracts.ItemSet `json:"-"` // present and may not go
	Covered  contracts.ItemSet `json:"-"` // what the agreement lets go, before consent: what a hold may keep
	Consents []string          `json:"consents,omitempty"`
}

// Reason is one ground of a decision.
type Reason struct {
	Code   Code          `json:"code"`
	Gate   string        `json:"gate"`             // "G4"
	Detail string        `json:"detail"`           // a sentence for the caseworker
	Remedy string        `json:"remedy,omitempty"` // what to do about it
	Clause string        `json:"clause,omitempty"` // "hertswise@1#refer"
	Source string        `json:"source,omitempty"` // "000-3", "Art 9(2)(a)", "G6"
	Role   transfer.Role `json:"role,omitempty"`
	Items  []string      `json:"items,omitempty"`
}

// Who has to look at a hold or a refusal. Both are the sender's people: the sender is the controller that wants to disclose.
const (
	OwnerSender       = "sender"            // the caseworker who sent it: ask, correct, send again
	OwnerDPL          = "dpl"               // the sender's Data Protection Lead
	OwnerSafeguarding = "safeguarding-lead" // the sender's safeguarding lead
)

// How long a person has to look at what the machine did not let go. No result that is against somebody is final before that
// (Arts 22A-D UK GDPR, rule 004-7). Calendar days: a hold is work that waits, five working days or a little less over a bank
// holiday; a refusal stands meanwhile, so its review has twice that.
const (
	HoldPeriod    = 7 * 24 * time.Hour
	RefusalPeriod = 14 * 24 * time.Hour
)

// Decide judges one transfer. It is pure: the same index and request give the same decision.
func Decide(x *agreement.Index, r *Request) Decision {
	c := hearing{index: x, request: r}
	c.find(prohibited(r))
	c.find(partners(x, r))
	flow, found := underAgreement(x, r)
	c.flow = flow
	c.find(found)
	if flow != nil {
		c.find(reviewed(&c))
		c.find(claimable(&c))
	}

	people := make([]person, len(r.Subjects))
	primary := primaryRole(r.Subjects)
	judged := c.worst < hold
	for i := range people {
		p := &people[i]
		*p = person{Subject: &r.Subjects[i], primary: r.Subjects[i].Role == primary}
		if flow == nil {
			continue
		}
		p.left = p.Items
		for _, gate := range itemGates {
			if found := gate(&c, p); judged {
				c.find(found)
			}
		}
		p.covered = p.left
	}
	if judged {
		for i := range people {
			for _, gate := range personGates {
				c.find(gate(&c, &people[i]))
			}
		}
	}
	return c.decision(people)
}

// hearing is one decision in the making.
type hearing struct {
	index   *agreement.Index
	request *Request
	flow    *agreement.Flow // nil until an agreement is found
	worst   effect
	owner   string // of the holds so far
	reasons []Reason
}

// effect is what a finding does to a transfer.
type effect uint8

const (
	note   effect = iota // for the record
	reduce               // something does not go; the rest may
	hold
	refuse
)

// finding is a reason and what it does.
type finding struct {
	effect
	Reason
}

// person is a subject on the way through the gates.
type person struct {
	*Subject
	primary  bool              // what this person's consent comes to decides about the whole transfer
	left     contracts.ItemSet // what no gate has stripped so far
	covered  contracts.ItemSet // what the agreement lets go
	consents []string
}

// itemGates ask what the agreement lets go about a person.
var itemGates = [...]func(*hearing, *person) []finding{listed, special, offence, directives}

// personGates ask what the person has said, and whether what is left is enough.
var personGates = [...]func(*hearing, *person) []finding{identified, consented, sufficient}

// find records what a gate found.
func (c *hearing) find(found []finding) {
	for _, f := range found {
		c.worst = max(c.worst, f.effect)
		if f.effect == hold {
			if owner := c.ownerOf(f.Code); c.owner == "" || ownerRank(owner) > ownerRank(c.owner) {
				c.owner = owner
			}
		}
		if f.Clause == "" && c.flow != nil {
			f.Clause = c.flow.ID
		}
		c.reasons = append(c.reasons, f.Reason)
	}
}

// decision sums up.
func (c *hearing) decision(people []person) Decision {
	r := c.request
	d := Decision{Flow: c.flow, Reasons: c.reasons, Subjects: make([]SubjectDecision, len(people))}
	stripped := false
	for i := range people {
		p := &people[i]
		s := SubjectDecision{Role: p.Role, Position: p.Position, Stripped: p.Items, Covered: p.covered, Consents: p.consents}
		if c.worst < hold {
			s.Items = p.left
			s.Stripped = p.Items.Minus(p.left)
		}
		stripped = stripped || !s.Stripped.Empty()
		d.Subjects[i] = s
	}
	switch {
	case c.worst == refuse:
		d.Outcome, d.Owner, d.Deadline = transfer.Refuse, OwnerDPL, r.At.Add(RefusalPeriod)
	case c.worst == hold:
		d.Outcome, d.Owner, d.Deadline = transfer.Hold, c.owner, r.At.Add(HoldPeriod)
	case stripped:
		d.Outcome = transfer.PermitReduced
	default:
		d.Outcome = transfer.Permit
	}
	if f := c.flow; f != nil {
		a := f.Agreement
		d.Agreement = &AgreementRef{ID: a.ID, Version: a.Version, Digest: a.Digest, Flow: f.ID}
		d.Push = f.Push
	}
	return d
}

// ownerOf says whose work a hold for this reason is. What a caseworker can put right goes to the sender; a hold that weighs one
// ground against another is the Data Protection Lead's, and the safeguarding lead's where the ground is safeguarding or danger
// to life (domain.md section 4.3, E3a).
func (c *hearing) ownerOf(code Code) string {
	switch code {
	case VitalInterestsCapable, LessIntrusiveAvailable:
		return OwnerSafeguarding
	case ConsentRefused, ConsentWithdrawn, Objection:
		if b := c.flow.Basis; b.Article9 == "g" && paragraphOf(b.Schedule1) == 18 {
			return OwnerSafeguarding
		}
	case ConsentNone, ConsentScope, ConsentExpired, ReferrerUndertakingMissing, RequiredItemStripped, ParentalConsentMissing,
		RepresentativeUnverified, SubjectNotInformed:
		return OwnerSender
	}
	return OwnerDPL
}

func ownerRank(owner string) int {
	switch owner {
	case OwnerSafeguarding:
		return 3
	case OwnerDPL:
		return 2
	}
	return 1
}

// primaryRole says whose message it is: the carer's, or in a message without a carer that of the first other role. A message
// about nobody, or only about professionals, is nobody's.
func primaryRole(subjects []Subject) transfer.Role {
	for _, role := range transfer.Roles() {
		if role == transfer.Professional {
			continue
		}
		for i := range subjects {
			if subjects[i].Role == role {
				return role
			}
		}
	}
	return ""
}
