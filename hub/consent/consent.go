// Package consent keeps what people have agreed to, as append-only events, and says what those events permit at an instant.
// It is pure: no I/O, no clock.
//
// A person says yes once and no for ever after, until they say yes again. So the two kinds of event are read differently:
//
//   - Giving must be specific (rule 004-2). It counts for the purpose it names and for the recipients it names or, naming none,
//     for the partners that deliver the service it names.
//   - Refusing need not be. A refusal, withdrawal or objection, and likewise the end of a consent, counts for every transfer
//     that it could mean: a part that it leaves out means all of them. One that names a service blocks that service only
//     (rule 003-5).
//
// A restriction of processing (Art 18 UK GDPR) is neither: it is of data, whatever for, so the purpose and the service that its event names
// do not narrow it; recipients do, when it names any. It changes nothing about a yes or a no, lasts until it is lifted by whoever recorded
// it or by the sender, and lifting it gives nothing that a yes had not given.
//
// Only events that the sender or the recipient of a transfer recorded count for it. What another partner knows of a person is
// never confirmed, neither by a permit nor by a refusal.
package consent

import (
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// State is what an event made of a consent (ISO/IEC TS 27560 event_state; DPV consent status).
type State string

const (
	None        State = ""          // nothing recorded, or nothing in scope
	Requested   State = "requested" // asked, not answered: it changes nothing that was decided before
	Deferred    State = "deferred"  // asked, and the person wants to think: likewise
	Given       State = "given"
	Renewed     State = "renewed" // given again, on the terms of this event
	Refused     State = "refused"
	Withdrawn   State = "withdrawn"
	Expired     State = "expired"
	Invalidated State = "invalidated" // found never to have been valid
	Objected    State = "objected"    // Art 21

	Restricted        State = "restricted"         // Art 18: kept, and not used; never the state of a Standing
	RestrictionLifted State = "restriction-lifted" // Art 18(3): likewise
)

// Event is one thing that happened to a consent. Events are never changed or removed, only followed.
type Event struct {
	ID         string               `json:"id"`
	Subject    transfer.SubjectID   `json:"-"`
	RecordedBy transfer.PartnerID   `json:"recorded_by,omitempty"`
	State      State                `json:"state"`
	Purpose    transfer.Purpose     `json:"purpose,omitempty"`
	Service    transfer.Service     `json:"service,omitempty"`
	Recipients []transfer.PartnerID `json:"recipients,omitempty"` // empty: the partners that deliver Service
	Categories []contracts.Category `json:"categories,omitempty"` // empty: every ordinary category; special ones must be named
	Explicit   bool                 `json:"explicit"`
	Method     string               `json:"method"` // paper, online, email, verbal, verbal-witnessed
	Evidence   string               `json:"evidence,omitempty"`
	Authority  string               `json:"authority"` // who decided: self, parent, ...
	Notice     string               `json:"notice,omitempty"`
	At         time.Time            `json:"at"`
	ExpiresAt  time.Time            `json:"expires_at,omitzero"`
}

// permits reports whether the event is a yes.
func (e *Event) permits() bool { return e.State == Given || e.State == Renewed }

// restricts reports whether the event begins or ends a restriction of processing.
func (e *Event) restricts() bool { return e.State == Restricted || e.State == RestrictionLifted }

// asks reports whether the event is a question that nobody has answered.
func (e *Event) asks() bool { return e.State == Requested || e.State == Deferred }

// denies reports whether the event is a no.
func (e *Event) denies() bool { return e.State.denies() }

func (s State) denies() bool { return s == Refused || s == Withdrawn || s == Objected }

// Scope is the transfer that a consent is asked about.
type Scope struct {
	Sender, Recipient transfer.PartnerID
	Purpose           transfer.Purpose
	Service           transfer.Service
	Members           []transfer.PartnerID // who delivers Service
	Authorities       []string             // whose yes counts (Event.Authority); nil: anybody's. Everybody's no counts.
}

// Standing is what a person's events come to, for one scope at one instant.
type Standing struct {
	// State is Given after Given and Renewed alike. It is a no only when the no was to everything: see Except.
	State      State
	Explicit   bool
	Categories []contracts.Category // what a valid consent covers; nil means every ordinary category
	Refs       []string             // ids of the events that it rests on
	OutOfScope bool                 // there are consents, but none for this scope (CONSENT_SCOPE rather than CONSENT_NONE)

	// Except holds the categories that the person has refused, withdrawn or objected to since, and how. They are out whatever
	// State says.
	Except map[contracts.Category]State

	// Restricted are the restrictions of processing in force, by the time of their events; see Restricts. They are beside State, which says what
	// the person has agreed to.
	Restricted []Restriction

	Notice string // the privacy notice that the person was last shown about this scope; empty when none is on record
}

// Covers reports whether the standing is a consent to send an item. Special-category items need an explicit consent that
// names their category (Art 9(2)(a)), criminal-offence items one that names it.
func (s *Standing) Covers(item *contracts.Item) bool {
	if s.State != Given {
		return false
	}
	if _, out := s.Except[item.Category]; out {
		return false
	}
	if len(s.Categories) == 0 {
		return !item.Special && !item.Offence
	}
	for _, c := range s.Categories {
		if c == item.Category {
			return s.Explicit || !item.Special
		}
	}
	return false
}

// Restriction is a restriction of processing that is in force (Art 18 UK GDPR).
type Restriction struct {
	Ref        string               // id of the event
	By         transfer.PartnerID   // who recorded it
	Categories []contracts.Category // what is restricted; empty: everything about the person
	// Agreed says that the person has said yes to this transfer since, which lifts the restriction for what that yes covers (Art 18(2)).
	Agreed bool
}

// Restricts reports whether a restriction keeps an item from being used: one that nobody has lifted, while no yes that the person gave to
// this transfer since covers the item.
func (s *Standing) Restricts(item *contracts.Item) bool {
	for i := range s.Restricted {
		r := &s.Restricted[i]
		if (len(r.Categories) == 0 || slices.Contains(r.Categories, item.Category)) && !(r.Agreed && s.Covers(item)) {
			return true
		}
	}
	return false
}
