package exchange

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Reach is a question for everything that went, or may still go, so that it can be counted or stopped. Unlike a Query it has no end but its own.
type Reach struct {
	Filter
	Transfers []transfer.TransferID // only these; any when empty
	Everyone  bool                  // the asker sees every partner's transfers, not only its own
}

// Went is a dataset that left: a release, or a disclosure outside the hub.
type Went struct {
	Origin string
	Index  int64
	Body   []byte
	Leaf   *ledger.Leaf
	// Weighed is the encoded leaf directly before a release, which is the decision that it rests on; nil where that is not the asker's to know.
	Weighed []byte
}

// Words is the question as the log has it. The errors are *WordError, and *RefusedError for what is none of the asker's business.
func (x *Exchange) Words(ctx context.Context, by Principal, r *Reach) (string, error) {
	s, err := x.reach(ctx, by, r)
	if err != nil {
		return "", err
	}
	return text(s.terms), nil
}

func (x *Exchange) reach(ctx context.Context, by Principal, r *Reach) (*search, error) {
	q := &Query{Filter: r.Filter, Everyone: r.Everyone}
	s := &search{x: x, by: by, q: q, terms: q.terms(x.Index())}
	q.Kinds = []ledger.Kind{ledger.KindRelease, ledger.KindDisclosure}
	if err := s.learn(ctx, true); err != nil {
		return nil, err
	}
	if err := q.outside(by); err != nil {
		return nil, err
	}
	return s, nil
}

// Each visits what went, log by log, in the order of the log.
func (x *Exchange) Each(ctx context.Context, by Principal, r *Reach, visit func(*Went) error) error {
	s, err := x.reach(ctx, by, r)
	if err != nil {
		return err
	}
	find := s.like
	if len(r.Transfers) > 0 {
		find = func(ctx context.Context) ([]*strand, error) { return s.under(ctx, r.Transfers) }
	}
	strands, err := find(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(strands, func(a, b *strand) int { return cmp.Compare(a.origin, b.origin) })
	for _, t := range strands {
		for last := t.at; ; {
			refs, err := t.more(ctx, last, readOnce)
			if err != nil {
				return err
			}
			if err := s.went(ctx, refs, visit); err != nil {
				return err
			}
			if len(refs) < readOnce {
				break
			}
			last = refs[len(refs)-1].Index
		}
	}
	return nil
}

func (s *search) went(ctx context.Context, refs []store.LeafRef, visit func(*Went) error) error {
	both := make([]store.LeafRef, 0, 2*len(refs))
	for _, r := range refs {
		both = append(both, store.LeafRef{Origin: r.Origin, Index: max(0, r.Index-1)}, r)
	}
	bodies, err := s.x.cfg.Store.LeafBodies(ctx, both)
	if err != nil {
		return fmt.Errorf("read leaves: %w", err)
	}
	for i, r := range refs {
		e := &Went{Origin: r.Origin, Index: r.Index, Body: bodies[2*i+1]}
		if e.Leaf, err = ledger.Parse(e.Body); err != nil {
			return fmt.Errorf("read leaf %d of log %s: %w", r.Index, r.Origin, err)
		}
		if !s.takes(&Entry{Leaf: e.Leaf}) || !slices.Contains(s.q.Kinds, e.Leaf.Kind) {
			continue
		}
		if s.q.Everyone || e.Leaf.Sender == s.by.Partner {
			e.Weighed = bodies[2*i]
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

// Recallable is a transfer that has left or may, and that nobody has confirmed to have, with the decision that says what is in it.
type Recallable struct {
	store.Transfer
	Leaf   *ledger.Leaf
	Unseen bool // it waits for the asker, who does not know yet what is in it: Leaf names no items
}

// Recallable visits the transfers that can still be stopped: queued, held, and released without a receipt. The time of a transfer is that at which
// it came in; for whoever receives it, that is only when it began to wait, so that it counts from then on.
func (x *Exchange) Recallable(ctx context.Context, by Principal, r *Reach, visit func(*Recallable) error) error {
	s, err := x.reach(ctx, by, r)
	if err != nil {
		return err
	}
	seen := map[transfer.TransferID]bool{}
	for _, p := range s.concerned() {
		for _, state := range []transfer.State{transfer.Queued, transfer.Held, transfer.Released} {
			for after := transfer.TransferID(""); ; {
				page, err := x.cfg.Store.InState(ctx, p, state, after, readOnce)
				if err != nil {
					return fmt.Errorf("list transfers: %w", err)
				}
				fresh := slices.DeleteFunc(slices.Clone(page), func(t store.Transfer) bool {
					before := seen[t.ID]
					seen[t.ID] = true
					return before || len(r.Transfers) > 0 && !slices.Contains(r.Transfers, t.ID)
				})
				if err := s.recallable(ctx, fresh, visit); err != nil {
					return err
				}
				if len(page) < readOnce {
					break
				}
				after = page[len(page)-1].ID
			}
		}
	}
	return nil
}

// concerned are the partners one of whom sends or receives whatever is asked for.
func (s *search) concerned() []transfer.PartnerID {
	for _, p := range []transfer.PartnerID{s.q.Partner, s.q.Recipient, s.q.Sender} {
		if p != "" {
			return []transfer.PartnerID{p}
		}
	}
	if !s.q.Everyone {
		return []transfer.PartnerID{s.by.Partner}
	}
	var out []transfer.PartnerID
	for _, p := range s.x.Index().Partners() {
		out = append(out, p.ID)
	}
	return out
}

func (s *search) recallable(ctx context.Context, rows []store.Transfer, visit func(*Recallable) error) error {
	refs := make([]store.LeafRef, len(rows))
	for i, t := range rows {
		refs[i] = store.LeafRef{Origin: t.Log, Index: t.DecisionLeaf}
	}
	read, err := s.x.leavesAt(ctx, refs)
	if err != nil {
		return err
	}
	for i := range read {
		l := read[i].Leaf
		when := Filter{From: s.q.From, To: s.q.To}
		if s.q.Recipient != "" || s.q.Partner == l.Recipient {
			when.From = time.Time{}
		}
		if mine := s.q.Everyone || l.Sender == s.by.Partner || l.Recipient == s.by.Partner; !mine || !when.during(rows[i].CreatedAt) {
			continue
		}
		// What is in something before it is released is between its sender and the hub: who asks for items must not find it out so.
		unseen := !s.q.Everyone && l.Sender != s.by.Partner && rows[i].State != transfer.Released
		if unseen && rows[i].State == transfer.Held {
			continue
		}
		if l.Outcome == transfer.Hold { // it lets nothing go, and has all that waits among what was stripped: a person may have let it go since
			whole := *l
			whole.Subjects = slices.Clone(l.Subjects)
			for j := range whole.Subjects {
				whole.Subjects[j].Items = slices.Concat(l.Subjects[j].Items, l.Subjects[j].Stripped)
			}
			l = &whole
		}
		if unseen {
			bare := *l
			bare.Subjects = nil
			l = &bare
		}
		if !fits(s.terms, nil, ledger.ShapeOf(l)) {
			continue
		}
		if err := visit(&Recallable{rows[i], l, unseen}); err != nil {
			return err
		}
	}
	return nil
}
