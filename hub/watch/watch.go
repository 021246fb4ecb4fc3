// Package watch looks over the disclosure log as it grows, and flags what somebody should look at: a flow or an item that was never there
// before, more in an hour than there ever is, a flow that runs at night and never did, one person looked up again and again, a
// burst of what may not go, and a release that stands on a consent which had been withdrawn.
//
// A flag accuses nobody. It stops nothing and decides nothing: it names its evidence by leaf, and a person says what it was.
//
// The package is pure: leaves come in the order of the log, or where there are several logs in the order of their times, and flags come out. What
// is usual is learnt from the same leaves. Thresholds are robust (the median of the hours before, and how far hours commonly lie from it), so that
// one great day does not make the next one look small. What is flagged has a key of its own, by the day where it may come again: whoever reads
// the same leaves twice, or begins further back, finds the same flags.
//
// Flows and items are known from the shapes of the whole log, so that what is first seen is so. The habits of flows, what people have said and who
// was looked up are known from the leaves that were seen: a log is read from some way back, and Flag.At says what is old.
package watch

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"referralhub/hub/dates"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Rule is what a flag was raised by.
type Rule string

// The rules.
const (
	FirstFlow    Rule = "first-seen-flow"            // a sender, recipient, purpose and agreement that never were together
	FirstItem    Rule = "first-seen-item"            // an item that never went on a flow which is well known
	Volume       Rule = "unusual-volume"             // more on a flow within an hour than is usual for it
	Hour         Rule = "unusual-hour"               // a flow runs at a time of the night at which it never ran
	LookedUp     Rule = "repeated-lookup"            // one person was looked up again and again
	Burst        Rule = "burst-of-refusals"          // more of a sender's transfers are held or refused than is usual for it
	AfterConsent Rule = "disclosed-after-withdrawal" // a release stands on a consent that was withdrawn: it must never happen
)

// Ref points at a leaf.
type Ref struct {
	Origin string `json:"origin"`
	Index  int64  `json:"index"`
}

// Flag is what somebody should look at. It names nobody: a person is a commitment.
type Flag struct {
	Rule       Rule
	Key        string             // what it is about; two flags of a rule with one key are the same flag
	At         time.Time          // of the leaf that raised it
	Partner    transfer.PartnerID // whose people should look: the sender; empty for whoever runs the hub
	Sender     transfer.PartnerID
	Recipient  transfer.PartnerID
	Purpose    transfer.Purpose
	Agreement  transfer.AgreementID
	Commitment string
	Items      []string
	Seen       int   // how many there were
	Usual      int   // how many there commonly are; 0 where nothing is known of that
	Evidence   []Ref // oldest first, at most 100, the newest
}

// mostEvidence is how many leaves a flag names.
const mostEvidence = 100

// ID is the same for the same flag, whoever finds it.
func (f *Flag) ID() uuid.UUID { return uuid.NewSHA1(space, []byte(string(f.Rule)+"\x00"+f.Key)) }

var space = uuid.NewSHA1(uuid.NameSpaceOID, []byte("referralhub/hub/watch"))

// Watch is what was learnt from the leaves so far. It is not safe for concurrent use.
type Watch struct {
	flows   map[flowKey]*flow
	refused map[transfer.PartnerID]*rhythm
	looks   map[string][]look
	people  people
	raised  map[uuid.UUID]dates.Date // today's flags
	today   dates.Date
}

// New makes a watch that knows nothing: it takes every flow for new.
func New() *Watch {
	return &Watch{
		flows: map[flowKey]*flow{}, refused: map[transfer.PartnerID]*rhythm{}, looks: map[string][]look{}, people: newPeople(),
		raised: map[uuid.UUID]dates.Date{},
	}
}

// Known tells of n leaves of one shape that See is not called for, because they are too far back.
func (w *Watch) Known(s *ledger.Shape, n int64) {
	if s.Kind != ledger.KindRelease && s.Kind != ledger.KindDisclosure {
		return
	}
	f := w.flow(flowKey{s.Sender, s.Recipient, s.Office, s.Purpose, s.Agreement})
	f.seen += n
	for i := range s.Parts {
		f.learn(s.Parts[i].Items)
	}
}

// See takes the next leaf, and gives what it gives cause for. A flag is given once, by whichever leaf was the first to be cause enough.
func (w *Watch) See(at Ref, l *ledger.Leaf) []Flag {
	w.turn(dates.On(l.At))
	var found []Flag
	switch l.Kind {
	case ledger.KindRelease:
		found = append(w.carried(at, l), w.people.released(at, l)...)
	case ledger.KindDisclosure:
		found = w.carried(at, l)
	case ledger.KindDecision:
		found = w.decided(at, l)
	case ledger.KindQuery:
		found = w.looked(at, l)
	case ledger.KindConsent:
		w.people.said(at, l)
	}
	return slices.DeleteFunc(found, func(f Flag) bool {
		id := f.ID()
		_, before := w.raised[id]
		w.raised[id] = w.today
		return before
	})
}

// turn begins a day: what was raised or looked up long ago is forgotten.
func (w *Watch) turn(day dates.Date) {
	if !day.After(w.today) {
		return
	}
	w.today = day
	for id, raised := range w.raised {
		if raised.AddDays(2).Before(day) {
			delete(w.raised, id)
		}
	}
	for who, looks := range w.looks {
		if dates.On(looks[len(looks)-1].at).AddDays(2).Before(day) {
			delete(w.looks, who)
		}
	}
}

// newest are the last of many leaves.
func newest(all []Ref) []Ref { return slices.Clone(all[max(0, len(all)-mostEvidence):]) }
