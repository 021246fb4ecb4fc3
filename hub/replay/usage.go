package replay

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Used is what one clause carried of one message type.
type Used struct {
	Clause    string // "hertswise@1#refer"
	Message   transfer.MessageType
	Transfers int64 // decided under it; 0: nobody used it
	Released  int64 // of those, the ones that left at least once
	// NeverSent are the items that the clause lets go and no sender sent: what nobody needs should not be on the list (Art 5(1)(c)).
	NeverSent []string
	// Stripped are the items that were sent, that the clause does not list, and that were cut out while others went: whoever sends them should
	// stop. Withheld are items that it lists and that were cut out each time all the same, for want of consent or a condition. Those that
	// were sent most often come first.
	Stripped, Withheld []Items
}

// Usage counts what the clauses in force at an instant have carried since another, by clause and message type. Clauses under which nothing is ever
// sent, because the recipient looks and gets no copy, are left out. What is kept for a transfer is about 50 bytes.
func Usage(ctx context.Context, src ledger.Source, index *agreement.Index, since, now time.Time) ([]Used, error) {
	u := usage{lines: map[line]*carried{}, released: map[person]bool{}, decided: map[person]bool{}}
	for _, a := range index.Agreements() {
		if current, _ := index.Current(a.ID, now); current == a && a.Standing(now) == agreement.InForce {
			u.list(a)
		}
	}
	err := walk(ctx, src, func(_ int64, l *ledger.Leaf) error {
		decided := l.Kind == ledger.KindDecision || l.Kind == ledger.KindRelease
		if decided && l.Agreement != nil && !l.At.Before(since) {
			u.leaf(l)
		}
		return nil
	})
	return u.sum(), err
}

// line is a clause for one message type.
type line struct {
	clause  string
	message transfer.MessageType
}

type carried struct {
	contract            *contracts.Contract
	allowed             contracts.ItemSet
	sent, went, cut     contracts.ItemSet // cut: while the rest might go
	times               map[string]int64  // sent, by item
	transfers, released int64
}

type usage struct {
	lines             map[line]*carried
	decided, released map[person]bool // transfers under a clause
}

func (u *usage) list(a *agreement.Agreement) {
	for _, f := range a.Flows {
		if f.AccessOnly {
			continue
		}
		for _, m := range f.Messages {
			c := u.lines[line{f.ID, m}]
			if c == nil {
				c = &carried{contract: f.Contract, times: map[string]int64{}}
				u.lines[line{f.ID, m}] = c
			}
			c.allowed = c.allowed.Or(f.Allowed)
		}
	}
}

// leaf takes a decision or a release. The first about a transfer shows all that was sent; later ones what is still there.
func (u *usage) leaf(l *ledger.Leaf) {
	c := u.lines[line{l.Agreement.Flow, l.Type}]
	if c == nil {
		return
	}
	id := personOf(string(l.Transfer) + " " + l.Agreement.Flow)
	first := !u.decided[id]
	if first {
		u.decided[id] = true
		c.transfers++
	}
	if l.Kind == ledger.KindRelease && !u.released[id] {
		u.released[id] = true
		c.released++
	}
	var present contracts.ItemSet
	for i := range l.Subjects {
		s := &l.Subjects[i]
		for _, name := range s.Items {
			if item, known := c.contract.Lookup(name); known {
				present, c.went = present.With(item.Index), c.went.With(item.Index)
			}
		}
		for _, name := range s.Stripped {
			if item, known := c.contract.Lookup(name); known {
				present = present.With(item.Index)
				if l.Outcome.Permits() {
					c.cut = c.cut.With(item.Index)
				}
			}
		}
	}
	c.sent = c.sent.Or(present)
	if first {
		count(c.times, c.contract, present)
	}
}

func (u *usage) sum() []Used {
	out := make([]Used, 0, len(u.lines))
	for l, c := range u.lines {
		used := Used{Clause: l.clause, Message: l.message, Transfers: c.transfers, Released: c.released}
		if c.transfers > 0 {
			used.NeverSent = c.contract.Names(c.allowed.Minus(c.sent))
			never := c.cut.Minus(c.went)
			for _, i := range most(c.times) {
				item, _ := c.contract.Lookup(i.Name)
				switch {
				case !never.Has(item.Index):
				case c.allowed.Has(item.Index):
					used.Withheld = append(used.Withheld, i)
				default:
					used.Stripped = append(used.Stripped, i)
				}
			}
		}
		out = append(out, used)
	}
	slices.SortFunc(out, func(a, b Used) int {
		return cmp.Or(strings.Compare(a.Clause, b.Clause), cmp.Compare(a.Message, b.Message))
	})
	return out
}
