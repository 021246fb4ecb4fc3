package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/samber/lo"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Holding is what a partner keeps of something that was released to it.
type Holding struct {
	Transfer transfer.TransferID
	Place    Place  // of the release in the log, as the disclosure or its receipt names it
	Payload  string // keyed digest of the dataset
}

// Statement is how a partner's holdings compare with the log: what a bank's statement is to the account book of its customer.
type Statement struct {
	Matched   int
	Missing   []Entry     // releases to the partner in that time of which it holds nothing: lost on the way, or taken by somebody else in its name
	Unknown   []Holding   // nothing of this transfer was ever released to the partner
	Differing []Differing // of the same transfer, at another place or with another dataset
	Leaf      int64       // that it was asked
}

// Differing is a holding, and what the log has of its transfer.
type Differing struct {
	Holding Holding
	Logged  []Entry // the releases to the partner, oldest first
}

// ErrTooMuch says that more was released in the time asked about than one statement holds.
var ErrTooMuch = errors.New("more was released in this time than one statement compares")

// Reconcile compares what a partner holds with what the log says was released to it from a time to another (excluded), and writes down that it did,
// with the counts. A holding is looked up wherever it is in the log, also before or after that time. A transfer that was taken several times has a
// release for each, of which the partner may well hold one: the others are Missing all the same, because only the partner knows that it asked again.
func (x *Exchange) Reconcile(ctx context.Context, by Principal, from, to time.Time, held []Holding) (*Statement, error) {
	released, err := x.releasedTo(ctx, by, from, to)
	if err != nil {
		return nil, err
	}
	logged, err := x.entries(ctx, lo.Uniq(lo.Map(held, func(h Holding, _ int) transfer.TransferID { return h.Transfer })))
	if err != nil {
		return nil, err
	}
	ofTransfer := lo.GroupBy(lo.Filter(logged, func(e Entry, _ int) bool {
		return e.Leaf.Kind == ledger.KindRelease && e.Leaf.Recipient == by.Partner
	}), func(e Entry) transfer.TransferID { return e.Leaf.Transfer })

	out := &Statement{}
	has := map[Place]bool{}
	for _, h := range held {
		releases := ofTransfer[h.Transfer]
		_, same := lo.Find(releases, func(e Entry) bool {
			return Place{Origin: e.Origin, Index: e.Index} == h.Place && e.Leaf.Payload == h.Payload
		})
		switch {
		case same:
			has[h.Place] = true
		case len(releases) == 0:
			out.Unknown = append(out.Unknown, h)
		default:
			out.Differing = append(out.Differing, Differing{h, releases})
		}
	}
	out.Matched = len(has)
	out.Missing = lo.Reject(released, func(e Entry, _ int) bool { return has[Place{Origin: e.Origin, Index: e.Index}] })
	q := &ledger.Query{Kind: "reconciliation", Found: len(out.Missing) + len(out.Unknown) + len(out.Differing)}
	q.Filter = fmt.Sprintf("recipient=%s from=%s to=%s held=%d matched=%d missing=%d unknown=%d differing=%d", by.Partner, from.UTC().Format(time.RFC3339),
		to.UTC().Format(time.RFC3339), len(held), out.Matched, len(out.Missing), len(out.Unknown), len(out.Differing))
	out.Leaf, err = x.Log(ctx, &ledger.Leaf{Kind: ledger.KindQuery, Actor: actorOf(by), Query: q})
	return out, err
}

// releasedTo gives the releases to a partner in a time, oldest first.
func (x *Exchange) releasedTo(ctx context.Context, by Principal, from, to time.Time) ([]Entry, error) {
	q := Query{Filter: Filter{Kinds: []ledger.Kind{ledger.KindRelease}, Recipient: by.Partner, From: from, To: to}}
	s := &search{x: x, by: by, q: &q, terms: q.terms(x.Index())}
	if err := s.learn(ctx, true); err != nil {
		return nil, err
	}
	strands, err := s.like(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.collect(ctx, strands)
	if err != nil {
		return nil, err
	}
	if len(found.Next) > 0 {
		return nil, ErrTooMuch
	}
	var out []Entry
	for e, err := range found.Each(ctx) {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
