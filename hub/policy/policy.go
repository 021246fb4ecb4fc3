// Package policy decides what may go: gates in order, each a small pure function, with every reason and not only the first.
// It does no I/O, knows no clock and keeps nothing, so the same index and request give the same decision.
//
// The gates are those of domain.md section 4.1; G1 is the transport's. A message stands either on the agreements or, when it claims an
// exception or answers a demand, on a row of section 4.3; see exceptionOf. What it stands on never depends on what a person has said, and the
// machine never tries the other. Each has three rows of gates:
//
//   - whether this transfer is anybody's to make: the agreement and its terms (G4, G5, G10), or who claims the exception and what they
//     recorded. Before that, for both, prohibited purposes (G2), the partners (G3) and what a person has turned down. When one of these
//     fails, nobody is judged;
//   - what may go about each person: what the clause or the exception lists (G6), special-category items (G7), offence items (G8), and
//     what is safe to send. What is left is what a hold may keep;
//   - what each person has said, or somebody for them (G9, G10), use beyond care (G11), and whether what is left is enough and has been
//     read (G6 again).
//
// A new gate is a function in one of these rows. G12 is the obligations that come with a permit.
//
// Where to look: agreement.go and terms.go for what a clause says; items.go and safety.go for items; matrix.go, consent.go and authority.go
// for what people have said and who may say it; secondary.go for use beyond care; exceptions.go and demands.go for section 4.3; rulings.go for
// who may lift which hold; obligations.go; code.go for the reasons.
//
// Invariants:
//
//   - Deny by default. What no clause lists does not go; an unknown basis, state or partner does not permit.
//   - The choice among several agreements MUST NOT depend on what a person said: the machine never looks for a basis on which
//     a no does not count. See choose.
//   - A further refusal, withdrawal, objection or restriction MUST NOT add an item to a decision, and neither may a fact that warns.
//   - An exception passes no G1, G2 or G3, carries what its row carries and nothing else, and permits nothing once it has run out.
//   - A ruling MUST NOT lift what a person said where consent is the basis, nor anything of G1 to G4.
//   - Every item present about a person is in exactly one of Items and Stripped.
package policy

import (
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

// Decision is the answer, with every reason. It serialises to JSON for receipts, and its leaf form is the ledger's.
type Decision struct {
	Outcome   transfer.Outcome  `json:"outcome"`
	Agreement *AgreementRef     `json:"agreement,omitempty"` // the clause that decided; nil when none is in force, and for an exception
	Reasons   []Reason          `json:"reasons,omitempty"`   // on a permit: what was stripped and why, warnings, and what a ruling has lifted
	Subjects  []SubjectDecision `json:"subjects"`            // in the order of the request
	Owner     string            `json:"owner,omitempty"`     // hold, refusal and exception: whose work it is now, one of the Owner constants
	Deadline  time.Time         `json:"deadline,omitzero"`   // by when
	// Obligations come with a permit (domain.md section 4.8), and with an exception its review.
	Obligations []Obligation    `json:"obligations,omitempty"`
	Expires     time.Time       `json:"expires,omitzero"` // of an exception: from then on it permits nothing
	Push        bool            `json:"-"`
	Flow        *agreement.Flow `json:"-"` // what Agreement refers to
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
	Covered  contracts.ItemSet `json:"-"` // what the agreement or the exception lets go, before consent: what a hold may keep
	Consents []string          `json:"consents,omitempty"`
	// Consent is what the person has said, or the sender says that they have, as the log has it: "given", "given-not-explicit", "none" (nothing
	// that counts for this transfer), "expired", "refused", "withdrawn" or "objected". It is empty where the decision did not ask: of
	// professionals, of figures, and where the transfer is nobody's to make.
	Consent string `json:"-"`
}

// Reason is one ground of a decision.
type Reason struct {
	Code   Code          `json:"code"`
	Gate   string        `json:"gate"`             // "G4"; a row of section 4.3, "E3"; or "ruling"
	Detail string        `json:"detail"`           // a sentence for the caseworker
	Remedy string        `json:"remedy,omitempty"` // what to do about it, or who has lifted it
	Clause string        `json:"clause,omitempty"` // "hertswise@1#refer"
	Source string        `json:"source,omitempty"` // "000-3", "Art 9(2)(a)", "G6"
	Role   transfer.Role `json:"role,omitempty"`
	Items  []string      `json:"items,omitempty"`
}

// Who has to look at a hold, a refusal or an exception. All are the sender's people: the sender is the controller that wants to disclose.
const (
	OwnerSender       = "sender"            // the caseworker who sent it: ask, correct, send again
	OwnerDPL          = "dpl"               // the sender's Data Protection Lead
	OwnerSafeguarding = "safeguarding-lead" // the sender's safeguarding lead
)

// How long a person has to look at what the machine did not let go. No result that is against somebody is final before that
// (Arts 22A-D UK GDPR, rule 004-7). Calendar days: a hold is work that waits, five working days or a little less over a bank
// holiday; a refusal stands meanwhile, so its review has twice that. Where somebody claims an exception, it is urgent.
const (
	HoldPeriod    = 7 * 24 * time.Hour
	RefusalPeriod = 14 * 24 * time.Hour
	UrgentPeriod  = 24 * time.Hour
)

// Decide judges one transfer. It is pure: the same index and request give the same decision.
func Decide(x *agreement.Index, r *Request) Decision {
	c := hearing{index: x, request: r}
	c.sender, _ = x.Partner(r.Sender)
	c.recipient, _ = x.Partner(r.Recipient)
	for _, gate := range entryGates {
		c.find(gate(&c))
	}
	flow, found := underAgreement(&c)
	rows := &agreementRows
	if c.exception = exceptionOf(r, flow); c.exception != nil {
		rows = &exceptionRows
	} else {
		c.flow = flow
		c.find(found)
	}
	grounded := c.flow != nil || c.exception != nil
	if grounded {
		for _, gate := range rows.transfer {
			c.find(gate(&c))
		}
	}

	people := make([]person, len(r.Subjects))
	primary := primaryRole(r.Subjects)
	judged := grounded && c.worst < hold
	for i := range people {
		p := &people[i]
		*p = person{Subject: &r.Subjects[i], primary: r.Subjects[i].Role == primary}
		if !grounded {
			continue
		}
		p.left = p.Items
		for _, gate := range rows.items {
			if found := gate(&c, p); judged {
				c.find(found)
			}
		}
		p.covered = p.left
	}
	if judged {
		for i := range people {
			p := &people[i]
			p.word = c.ask(p)
			for _, gate := range rows.people {
				c.find(gate(&c, p))
			}
		}
		c.find(nothing(&c, people))
	}
	return c.decision(people)
}

// hearing is one decision in the making.
type hearing struct {
	index             *agreement.Index
	request           *Request
	sender, recipient *transfer.Partner // nil when they are not on the register
	flow              *agreement.Flow   // nil until an agreement is found, and for an exception
	exception         *exception        // nil unless the message stands on a row of section 4.3
	worst             effect
	owner             string    // of the holds so far
	until             time.Time // when a hold ends by itself
	reasons           []Reason
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
	firm bool // a hold that no ruling lifts, whatever its code
}

// person is a subject on the way through the gates.
type person struct {
	*Subject
	primary  bool              // what this person's consent comes to decides about the whole transfer
	left     contracts.ItemSet // what no gate has stripped so far
	covered  contracts.ItemSet // what the agreement or the exception lets go
	word     word              // what they have said
	consents []string
}

// rows are the gates on one of the two grounds that a message can stand on.
type rows struct {
	transfer []func(*hearing) []finding
	items    []func(*hearing, *person) []finding
	people   []func(*hearing, *person) []finding
}

var (
	entryGates    = []func(*hearing) []finding{prohibited, partners, turnedDown}
	agreementRows = rows{
		transfer: []func(*hearing) []finding{reviewed, claimable, passedOn, waited, demanded, claimed, figures},
		items:    []func(*hearing, *person) []finding{listed, asked, special, offence, hidden, apart, directives},
		people: []func(*hearing, *person) []finding{
			identified, alive, atOdds, endangered, told, consented, unrestricted, beyondCare, noticed, sufficient, read,
		},
	}
	exceptionRows = rows{
		transfer: []func(*hearing) []finding{available, shown},
		items:    []func(*hearing, *person) []finding{carried, hidden, directives},
		people:   []func(*hearing, *person) []finding{capable, refused, noticed},
	}
)

// find records what a gate found. A hold that a person has lifted is for the record.
func (c *hearing) find(found []finding) {
	for _, f := range found {
		if f.effect == hold && !f.firm {
			if ruling := c.lifting(f.Code); ruling != nil {
				f.effect, f.Remedy = note, ruling.said()
			}
		}
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
	if c.exception != nil && c.worst < hold {
		c.find(c.granted())
	}
	d := Decision{Flow: c.flow, Reasons: c.reasons, Subjects: make([]SubjectDecision, len(people))}
	stripped := false
	for i := range people {
		p := &people[i]
		s := SubjectDecision{Role: p.Role, Position: p.Position, Stripped: p.Items, Covered: p.covered, Consents: p.consents, Consent: p.word.heard}
		if c.worst < hold {
			s.Items = p.left
			s.Stripped = p.Items.Minus(p.left)
		}
		stripped = stripped || !s.Stripped.Empty()
		d.Subjects[i] = s
	}
	switch {
	case c.worst == refuse:
		d.Outcome, d.Owner, d.Deadline = transfer.Refuse, OwnerDPL, r.At.Add(c.period(RefusalPeriod))
		if c.owner == OwnerSafeguarding {
			d.Owner = OwnerSafeguarding
		}
	case c.worst == hold:
		d.Outcome, d.Owner, d.Deadline = transfer.Hold, c.owner, r.At.Add(c.period(HoldPeriod))
		if c.until.After(d.Deadline) {
			d.Deadline = c.until
		}
	case c.exception != nil:
		d.Outcome = transfer.PermitException
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
	if d.Outcome.Permits() {
		if d.Expires = c.expiry(); d.Outcome == transfer.PermitException {
			d.Owner, d.Deadline = OwnerDPL, c.reviewBy()
		}
		d.Obligations = c.obligations(people)
	}
	return d
}

// period is how long a person has to look.
func (c *hearing) period(usual time.Duration) time.Duration {
	if c.request.Exception != nil {
		return UrgentPeriod
	}
	return usual
}

// ownerOf says whose work a hold for this reason is. What a caseworker can put right goes to the sender; a hold that weighs one
// ground against another is the Data Protection Lead's, and the safeguarding lead's where the ground is safeguarding or danger
// to life (domain.md section 4.3, E3a; section 4.4, C10).
func (c *hearing) ownerOf(code Code) string {
	switch code {
	case VitalInterestsCapable, LessIntrusiveAvailable, ChildParentConflict, PerpetratorNamed:
		return OwnerSafeguarding
	case ConsentRefused, ConsentWithdrawn, Objection:
		if c.exception != nil || restsOnSafeguarding(c.flow) {
			return OwnerSafeguarding
		}
	case ConsentNone, ConsentScope, ConsentExpired, ReferrerUndertakingMissing, RequiredItemStripped, ParentalConsentMissing,
		RepresentativeUnverified, RepresentativeScope, NoDecisionMaker, CapacityDoubt, SubjectNotInformed, ConditionUnknown, ObjectionWindow,
		NotReviewed, ContactInNotes:
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
// about nobody is about figures; one only about professionals is nobody's.
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
