package replay

import (
	"crypto/sha256"
	"strings"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// History is what the leaves read so far say of the circumstances of those that follow: what people said, what was ruled, and how agreements
// and partners stood.
type History struct {
	index   *agreement.Index // every version, whatever became of it
	last    *ledger.Leaf     // that was added
	rulings map[transfer.TransferID][]policy.Ruling
	stands

	newest map[person]int32 // by person: one more than the place of their newest event
	said   []said
	terms  []consent.Event // what events say, each kind once
	termOf map[string]int32
}

// person is the start of the SHA-256 of a commitment: a quarter of its size.
type person [16]byte

func personOf(commitment string) person {
	sum := sha256.Sum256([]byte(commitment))
	return person(sum[:16])
}

// said is a consent event. Years of a county's events are in hand at once, so it is kept small: what many events have in common stands in terms.
type said struct {
	id          string
	at, expires int64 // microseconds
	terms       int32
	before      int32 // one more than the place of the same person's event before it
}

// NewHistory begins at the first leaf of a log. The index holds the agreements and the register that the caller has now.
func NewHistory(index *agreement.Index) *History {
	return &History{
		index: index, rulings: map[transfer.TransferID][]policy.Ruling{}, stands: newStands(index),
		newest: map[person]int32{}, termOf: map[string]int32{},
	}
}

// Add takes the next leaf, and reports whether it records a decision with what that was made on. A release does where it rests on no decision
// right before it.
func (h *History) Add(l *ledger.Leaf) (decides bool) {
	rests := l.RestsOn(h.last)
	h.last = l
	switch l.Kind {
	case ledger.KindConsent:
		if l.Consent != nil {
			h.consent(l)
		}
	case ledger.KindRuling:
		if r := l.Ruling; r != nil && r.Act != ledger.Reviewed {
			h.rulings[l.Transfer] = append(h.rulings[l.Transfer], policy.Ruling{
				Act: policy.Act(r.Act), Person: l.Actor.Person, Role: l.Actor.Role, Codes: codes(r.Codes), Ground: r.Ground, At: l.At,
			})
		}
	case ledger.KindAgreement, ledger.KindPartner:
		h.changed(l)
	case ledger.KindDecision, ledger.KindRelease:
		if rests {
			return false
		}
		h.named(l)
		if names := named(l, h.rulings[l.Transfer]); len(names) > 0 {
			h.employed(l.Sender, names, l.Staff)
		}
		return true
	}
	return false
}

func (h *History) consent(l *ledger.Leaf) {
	c := l.Consent
	h.said = append(h.said, said{strings.Clone(c.ID), c.At.UnixMicro(), c.Expires.UnixMicro(), h.termsOf(l), h.newest[personOf(c.Commitment)]})
	h.newest[personOf(c.Commitment)] = int32(len(h.said))
}

// termsOf numbers what an event says beside when and of whom.
func (h *History) termsOf(l *ledger.Leaf) int32 {
	c := l.Consent
	parts := []string{
		string(l.Actor.Partner), c.State, string(c.Purpose), string(c.Service), c.Method, c.Authority, c.Notice,
		strings.Join(c.Categories, " "), map[bool]string{true: "explicit"}[c.Explicit], map[bool]string{true: "evidence"}[c.Evidence],
	}
	for _, r := range c.Recipients {
		parts = append(parts, string(r))
	}
	key := strings.Join(parts, "\n")
	n, known := h.termOf[key]
	if known {
		return n
	}
	e := consent.Event{
		RecordedBy: transfer.PartnerID(strings.Clone(parts[0])), State: consent.State(strings.Clone(c.State)),
		Purpose: transfer.Purpose(strings.Clone(parts[2])), Service: transfer.Service(strings.Clone(parts[3])), Explicit: c.Explicit,
		Method: strings.Clone(c.Method), Authority: strings.Clone(c.Authority), Notice: strings.Clone(c.Notice),
	}
	if c.Evidence {
		e.Evidence = onRecord
	}
	for _, r := range c.Recipients {
		e.Recipients = append(e.Recipients, transfer.PartnerID(strings.Clone(string(r))))
	}
	for _, k := range c.Categories {
		e.Categories = append(e.Categories, contracts.Category(strings.Clone(k)))
	}
	n = int32(len(h.terms))
	h.terms, h.termOf[key] = append(h.terms, e), n
	return n
}

// events gives what a person had said to the sender or the recipient of a transfer: what others were told does not count for it.
func (h *History) events(commitment string, sender, recipient transfer.PartnerID) []consent.Event {
	var out []consent.Event
	for n := h.newest[personOf(commitment)]; n > 0; {
		s := &h.said[n-1]
		n = s.before
		e := h.terms[s.terms]
		if e.RecordedBy != sender && e.RecordedBy != recipient {
			continue
		}
		e.ID, e.At, e.ExpiresAt = s.id, time.UnixMicro(s.at).UTC(), time.UnixMicro(s.expires).UTC()
		out = append(out, e)
	}
	return out
}

func codes(in []string) []policy.Code {
	out := make([]policy.Code, len(in))
	for i, c := range in {
		out[i] = policy.Code(c)
	}
	return out
}
