package replay

import (
	"cmp"
	"context"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// Simulated is what would have been decided if a proposed version had stood in the place of the one in force.
type Simulated struct {
	Transfers int64 // between partners of the proposal or of the present version
	Otherwise int64 // of those, decided otherwise
	People    int64 // whom that concerns, each once
	Moves     []Move
	Newly     []Items // what would have gone and did not, most first
	Gone      []Items // what went and would not have
	Unknown   int64   // transfers of which the log does not say whether a condition of the proposal held: none of the above counts them
	Unread    int64   // decisions that cannot be made again: see Redecide
}

// Move is how many transfers would have had another outcome, or the same outcome for other items.
type Move struct {
	Was, Would transfer.Outcome
	Transfers  int64
}

// Items is in how many transfers an item would have gone, or not.
type Items struct {
	Name      string
	Transfers int64
}

// Change is a transfer that would have been decided otherwise, at the first decision that shows it.
type Change struct {
	Index       int64
	Transfer    transfer.TransferID
	Sender      transfer.PartnerID
	Recipient   transfer.PartnerID
	At          time.Time
	Was, Would  transfer.Outcome
	Newly, Gone []string // items, of all people
	Codes       []string // the reasons that there would have been
}

// Simulate decides the transfers of a log again as if a proposed version of an agreement had stood in the place of the version that was in force
// then, whatever the days from and to which either runs; a time in which the agreement carried nothing stays one. An agreement of which the index
// knows no version is simulated as if it had always been there. What senders never sent, no version could have let go.
//
// Decisions before since are only history. Each change is visited. What is kept for a transfer that changes is about 150 bytes.
func Simulate(ctx context.Context, src ledger.Source, index *agreement.Index, proposed *agreement.Agreement, since time.Time, visit func(Change) error) (Simulated, error) {
	s := simulation{
		h: NewHistory(index), proposed: unending(proposed), pairs: map[pair]bool{}, seen: map[person]bool{}, unknown: map[person]bool{},
		people: map[person]bool{}, changed: map[person]*effect{}, moves: map[Move]int64{}, newly: map[string]int64{}, gone: map[string]int64{},
	}
	s.cover(proposed)
	for _, a := range index.Agreements() {
		if a.ID == proposed.ID {
			s.cover(a)
		}
	}
	err := decisions(ctx, src, s.h, func(at int64, l *ledger.Leaf) error {
		if l.At.Before(since) || !s.pairs[pair{l.Sender, l.Recipient}] {
			return nil
		}
		c, err := s.leaf(l)
		if err != nil || c == nil {
			return err
		}
		c.Index = at
		return visit(*c)
	})
	return s.sum(), err
}

type pair struct{ sender, recipient transfer.PartnerID }

type simulation struct {
	h        *History
	proposed *agreement.Agreement
	pairs    map[pair]bool // that the proposal, or what it replaces, is about

	now  *agreement.Index // as it stood
	then *agreement.Index // the same with the proposal

	seen    map[person]bool // transfers
	unknown map[person]bool // of those, whose conditions are not told
	people  map[person]bool
	changed map[person]*effect // by transfer
	moves   map[Move]int64
	newly   map[string]int64
	gone    map[string]int64
	unread  int64
}

// effect is what the proposal does to the items of one transfer, so that each is counted once for it.
type effect struct{ newly, gone contracts.ItemSet }

func (s *simulation) cover(a *agreement.Agreement) {
	for _, f := range a.Flows {
		for _, from := range f.From {
			for _, to := range f.To {
				s.pairs[pair{from, to}] = true
			}
		}
	}
}

// unending is a version that is in force at every instant.
func unending(a *agreement.Agreement) *agreement.Agreement {
	b := a.Clone()
	b.Status, b.Starts, b.Ends, b.ReviewBy, b.Contract.Ends = agreement.Active, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return b
}

// leaf decides once more as it was and once as it would have been; nil when there is nothing new to tell.
func (s *simulation) leaf(l *ledger.Leaf) (*Change, error) {
	id := personOf(string(l.Transfer))
	s.seen[id] = true
	r, was, err := s.h.again(l)
	if err != nil {
		s.unread++
		return nil, nil
	}
	if now, err := s.h.Index(); err != nil {
		return nil, err
	} else if now != s.now {
		s.now = now
		if s.then, err = s.h.with(s.proposed); err != nil {
			return nil, err
		}
	}
	if a, ok := s.now.Current(s.proposed.ID, l.At); ok && a.Standing(l.At) != agreement.InForce {
		return nil, nil
	}
	if s.untold(&r) {
		s.unknown[id] = true
		return nil, nil
	}
	would := policy.Decide(s.then, &r)
	all, concerned := effectOf(l, &was, &would)
	if len(concerned) == 0 {
		return nil, nil
	}
	for _, commitment := range concerned {
		s.people[personOf(commitment)] = true
	}
	known := s.changed[id]
	first := known == nil
	if first {
		known = &effect{}
		s.changed[id] = known
		s.moves[Move{Was: was.Outcome, Would: would.Outcome}]++
	}
	count(s.newly, r.Contract, all.newly.Minus(known.newly))
	count(s.gone, r.Contract, all.gone.Minus(known.gone))
	known.newly, known.gone = known.newly.Or(all.newly), known.gone.Or(all.gone)
	if !first {
		return nil, nil
	}
	c := &Change{
		Transfer: l.Transfer, Sender: l.Sender, Recipient: l.Recipient, At: l.At, Was: was.Outcome, Would: would.Outcome,
		Newly: r.Contract.Names(all.newly), Gone: r.Contract.Names(all.gone),
	}
	for i := range would.Reasons {
		if code := string(would.Reasons[i].Code); !slices.Contains(c.Codes, code) {
			c.Codes = append(c.Codes, code)
		}
	}
	return c, nil
}

// untold reports whether the proposal turns on a condition that was not evaluated when the message was read, and so is not in the log.
func (s *simulation) untold(r *policy.Request) bool {
	for _, f := range s.proposed.Flows {
		if f.When == nil || f.Purpose != r.Purpose || !slices.Contains(f.From, r.Sender) || !slices.Contains(f.To, r.Recipient) {
			continue
		}
		if _, told := r.Conditions[f.When.Source]; !told {
			return true
		}
	}
	return false
}

// effectOf says what of two decisions about the same transfer is not the same, and whom it concerns: everybody, where none of them gets more or
// fewer items and the outcome is another.
func effectOf(l *ledger.Leaf, was, would *policy.Decision) (all effect, concerned []string) {
	for i := range l.Subjects {
		before, after := was.Subjects[i].Items, would.Subjects[i].Items
		if before != after {
			all.newly, all.gone = all.newly.Or(after.Minus(before)), all.gone.Or(before.Minus(after))
			concerned = append(concerned, l.Subjects[i].Commitment)
		}
	}
	if len(concerned) == 0 && was.Outcome != would.Outcome {
		for i := range l.Subjects {
			concerned = append(concerned, l.Subjects[i].Commitment)
		}
	}
	return all, concerned
}

func count(into map[string]int64, c *contracts.Contract, items contracts.ItemSet) {
	for i := range items.All() {
		into[c.Items[i].Name]++
	}
}

func (s *simulation) sum() Simulated {
	out := Simulated{
		Transfers: int64(len(s.seen)), Otherwise: int64(len(s.changed)), People: int64(len(s.people)), Newly: most(s.newly), Gone: most(s.gone),
		Unknown: int64(len(s.unknown)), Unread: s.unread,
	}
	for m, n := range s.moves {
		m.Transfers = n
		out.Moves = append(out.Moves, m)
	}
	slices.SortFunc(out.Moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(b.Transfers, a.Transfers), cmp.Compare(a.Was, b.Was), cmp.Compare(a.Would, b.Would))
	})
	return out
}

// most lists items, those of most transfers first.
func most(counts map[string]int64) []Items {
	var out []Items
	for name, n := range counts {
		out = append(out, Items{name, n})
	}
	slices.SortFunc(out, func(a, b Items) int {
		return cmp.Or(cmp.Compare(b.Transfers, a.Transfers), cmp.Compare(a.Name, b.Name))
	})
	return out
}
