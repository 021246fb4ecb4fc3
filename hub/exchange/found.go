package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/samber/lo"

	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Found is an answer to a Query. Leaves of one log are in the order of the log, those of several are merged by their times.
type Found struct {
	Leaf int64   // that it was asked
	Size int     // how many entries there are in it
	Next []Place // for Query.After, where there may be more: of each log, the last leaf that was looked at

	x       *Exchange
	head    report.Head
	entries []Entry // beyond the first mostHeld without their leaves
}

// Place is where a leaf stands, and Entry one leaf found.
type (
	Place = report.Place
	Entry = report.Entry
)

const (
	// MostFound is how many entries an answer has at most.
	MostFound = 100_000

	mostHeld = 1000    // entries that are kept in memory with their leaves: what is further on is read again when it is shown
	mostRead = 200_000 // leaves read for one answer: it may end before its limit, and even be empty, and have a Next
	readOnce = 500

	// slack is how far a hub's clock may have been set back without a leaf being missed that is asked for by its time. The audit of a log warns
	// of each such step.
	slack = 24 * time.Hour
)

// ErrNoPlace says that there is no leaf where an answer is to go on.
var ErrNoPlace = errors.New("the log has no leaf at the place where this is to go on")

// Each gives the entries of the answer.
func (f *Found) Each(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for at := 0; at < len(f.entries); at += readOnce {
			part := f.entries[at:min(at+readOnce, len(f.entries))]
			if part[len(part)-1].Leaf == nil {
				read, err := f.x.leavesAt(ctx, lo.Map(part, func(e Entry, _ int) store.LeafRef { return store.LeafRef{Origin: e.Origin, Index: e.Index} }))
				if err != nil {
					yield(Entry{}, err)
					return
				}
				for i := range read {
					read[i].About, read[i].State = part[i].About, part[i].State
				}
				part = read
			}
			for _, e := range part {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Write writes the answer as a report, for whoever asked. Where it fails, what was written of it is no report.
func (f *Found) Write(ctx context.Context, w io.Writer, form report.Form) error {
	_, err := form.Write(w, &f.head, f.Each(ctx))
	return err
}

// search is a query being answered.
type search struct {
	x      *Exchange
	by     Principal
	q      *Query
	terms  []term
	shapes []int64 // of leaves that may be part of the answer; only of a question in words alone
	about  string
	read   int
	since  time.Time // what is not later is none of the asker's any more; zero when all is
}

// learn checks the words of a question and, where alike is set, finds the shapes that fit. What no register declares any more is a word all the
// same where a leaf has it, for somebody who sees every leaf.
func (s *search) learn(ctx context.Context, alike bool) error {
	var unknown []term
	for _, t := range s.terms {
		if !t.declared {
			unknown = append(unknown, t)
		}
	}
	if alike || s.q.Everyone && len(unknown) > 0 {
		err := s.x.cfg.Store.EachShape(ctx, func(id int64, body []byte) error {
			shape, err := ledger.ParseShape(body)
			if err != nil {
				return fmt.Errorf("shape %d: %w", id, err)
			}
			if s.q.Everyone {
				unknown = slices.DeleteFunc(unknown, func(t term) bool { return t.is != nil && t.is(shape) })
			}
			p := s.by.Partner
			if alike && fits(s.terms, s.q.Kinds, shape) && (s.q.Everyone || shape.Sender == p || shape.Recipient == p || shape.By == p) {
				s.shapes = append(s.shapes, id)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(unknown) > 0 {
		return &WordError{Field: unknown[0].name, Detail: unknown[0].unknown}
	}
	return nil
}

// takes reports whether a leaf is part of the answer.
func (s *search) takes(e *Entry) bool {
	l := e.Leaf
	if !s.since.IsZero() && !l.At.After(s.since) {
		return false
	}
	if !s.q.during(l.At) || s.q.State != "" && e.State != s.q.State || !s.q.Everyone && !sees(s.by.Partner, l) {
		return false
	}
	if len(s.terms) == 0 {
		return true
	}
	if s.about != "" { // what went of others is no answer about this person
		own := *l
		own.Subjects = lo.Filter(l.Subjects, func(p ledger.Subject, _ int) bool { return p.Commitment == s.about })
		l = &own
	}
	return fits(s.terms, s.q.Kinds, ledger.ShapeOf(l))
}

// sees reports whether a partner may see a leaf: it is about its own transfers or its own doing, and not about what a sender's people weighed,
// which is between them and the hub.
func sees(p transfer.PartnerID, l *ledger.Leaf) bool {
	mine := l.Sender == p || l.Recipient == p || l.Actor.Partner == p
	theirs := l.Sender != p && (l.Kind == ledger.KindRuling || l.ForRelease())
	return mine && !theirs && l.Kind != ledger.KindQuery
}

// reached reports whether what a leaf says of a transfer has reached the asker. To its recipient a transfer that was refused, or that waits, is
// nobody's: that somebody was to be referred is personal data, and the decision is that it does not go, or not yet.
func (s *search) reached(l *ledger.Leaf, row *store.Transfer) bool {
	return s.q.Everyone || l.Transfer == "" || l.Sender == s.by.Partner || row.ReleaseLeaf >= 0
}

// strand is what one log has to say to a question, in the order that was asked for.
type strand struct {
	origin string
	at     int64   // the last index that was looked at, or the one before the first
	held   []Entry // looked at, part of the answer, and not given yet
	end    bool
	done   *Place // up to where everything is looked at and given
	// more gives up to n leaves that come behind an index; fewer than n are the last.
	more func(ctx context.Context, behind int64, n int) ([]store.LeafRef, error)
}

// under finds what is filed under keys.
func (s *search) under(ctx context.Context, keys []transfer.TransferID) ([]*strand, error) {
	refs, err := s.x.cfg.Store.LeavesOf(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("find leaves: %w", err)
	}
	var out []*strand
	for origin, refs := range lo.GroupBy(refs, func(r store.LeafRef) string { return r.Origin }) {
		slices.SortFunc(refs, func(a, b store.LeafRef) int { return s.order(a.Index, b.Index) })
		start := int64(-1)
		if s.q.Newest {
			start = math.MaxInt64
		}
		out = append(out, &strand{origin: origin, at: start, more: func(_ context.Context, behind int64, n int) ([]store.LeafRef, error) {
			from := sort.Search(len(refs), func(i int) bool { return s.order(refs[i].Index, behind) > 0 })
			return refs[from:min(from+n, len(refs))], nil
		}})
	}
	return out, nil
}

// like finds the leaves of the shapes that fit.
func (s *search) like(ctx context.Context) ([]*strand, error) {
	if len(s.shapes) == 0 {
		return nil, nil
	}
	origins, err := s.x.cfg.Store.Origins(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	var out []*strand
	for _, origin := range origins {
		from, to, err := s.span(ctx, origin)
		if err != nil {
			return nil, fmt.Errorf("find the time in log %s: %w", origin, err)
		}
		start := from - 1
		if s.q.Newest {
			start = to
		}
		out = append(out, &strand{origin: origin, at: start, more: func(ctx context.Context, behind int64, n int) ([]store.LeafRef, error) {
			q := store.ShapeQuery{Log: origin, Shapes: s.shapes, From: max(from, behind+1), To: to, Limit: n}
			if s.q.Newest {
				q.From, q.To, q.Descending = from, min(to, behind), true
			}
			return s.x.cfg.Store.LeavesByShape(ctx, q)
		}})
	}
	return out, nil
}

// order compares two indexes in the order that was asked for.
func (s *search) order(a, b int64) int {
	if s.q.Newest {
		a, b = b, a
	}
	return cmp.Compare(a, b)
}

// span gives the part of a log that has all leaves of the time asked for: it may have others too. Times in a log rise, but for a clock that is
// set back; whatever of it lies by more than slack before another cannot be behind that.
func (s *search) span(ctx context.Context, origin string) (from, to int64, err error) {
	size, _, err := s.x.cfg.Store.Log(ctx, origin).Head()
	if err != nil {
		return 0, 0, err
	}
	since := func(t time.Time) int64 {
		return int64(sort.Search(int(size), func(i int) bool {
			if err != nil {
				return true
			}
			var l *ledger.Leaf
			l, err = s.x.leafAt(ctx, origin, int64(i))
			return err != nil || !l.At.Before(t)
		}))
	}
	from, to = 0, size
	if !s.q.From.IsZero() {
		from = since(s.q.From.Add(-slack))
	}
	if !s.q.To.IsZero() {
		to = since(s.q.To.Add(slack))
	}
	return from, to, err
}

// collect makes one answer of the strands.
func (s *search) collect(ctx context.Context, strands []*strand) (*Found, error) {
	for _, p := range s.q.After {
		size, _, err := s.x.cfg.Store.Log(ctx, p.Origin).Head()
		if err != nil {
			return nil, fmt.Errorf("read the head of log %s: %w", p.Origin, err)
		}
		if p.Index < 0 || p.Index >= size {
			return nil, ErrNoPlace
		}
		for _, t := range strands {
			if t.origin == p.Origin && s.order(t.at, p.Index) < 0 {
				t.at, t.done = p.Index, &p
			}
		}
	}
	out := &Found{x: s.x}
	limit := MostFound
	if s.q.Limit > 0 {
		limit = min(s.q.Limit, MostFound)
	}
	for {
		t, err := s.next(ctx, strands, min(readOnce, limit+1))
		if err != nil {
			return nil, err
		}
		if t == nil && s.read < s.x.mostRead {
			break
		}
		if t == nil || len(out.entries) == limit {
			out.Next = lo.FilterMap(strands, func(t *strand, _ int) (Place, bool) { return lo.FromPtr(t.done), t.done != nil })
			if len(out.Next) == 0 {
				out.Next = nil
			}
			break
		}
		e := t.held[0]
		t.held, t.done = t.held[1:], &Place{Origin: e.Origin, Index: e.Index}
		if len(out.entries) >= mostHeld {
			e.Leaf = nil
		}
		out.entries = append(out.entries, e)
	}
	out.Size = len(out.entries)
	return out, nil
}

// next gives the strand whose turn it is; nil when all have come to their ends, or enough has been read.
func (s *search) next(ctx context.Context, strands []*strand, n int) (*strand, error) {
	var first *strand
	for _, t := range strands {
		for len(t.held) == 0 && !t.end {
			if s.read >= s.x.mostRead {
				return nil, nil
			}
			if err := s.fill(ctx, t, n); err != nil {
				return nil, err
			}
		}
		if len(t.held) > 0 && (first == nil || s.before(&t.held[0], &first.held[0])) {
			first = t
		}
	}
	return first, nil
}

// before reports whether an entry of one log stands before that of another.
func (s *search) before(a, b *Entry) bool {
	order := cmp.Or(a.Leaf.At.Compare(b.Leaf.At), cmp.Compare(a.Origin, b.Origin))
	if s.q.Newest {
		order = -order
	}
	return order < 0
}

// fill looks at further leaves of a strand.
func (s *search) fill(ctx context.Context, t *strand, n int) error {
	refs, err := t.more(ctx, t.at, n)
	if err != nil {
		return err
	}
	t.end = len(refs) < n
	if len(refs) == 0 {
		return nil
	}
	t.at = refs[len(refs)-1].Index
	s.read += len(refs)
	read, err := s.x.leavesAt(ctx, refs)
	if err != nil {
		return err
	}
	ids := lo.Uniq(lo.FilterMap(read, func(e Entry, _ int) (transfer.TransferID, bool) { return e.Leaf.Transfer, e.Leaf.Transfer != "" }))
	rows, err := s.x.cfg.Store.Transfers(ctx, ids)
	if err != nil {
		return fmt.Errorf("read transfers: %w", err)
	}
	byID := lo.KeyBy(rows, func(r store.Transfer) transfer.TransferID { return r.ID })
	for _, e := range read {
		row := byID[e.Leaf.Transfer]
		e.About, e.State = s.about, row.State
		if s.reached(e.Leaf, &row) && s.takes(&e) {
			t.held = append(t.held, e)
		}
	}
	// Of a person's leaves a partner is told no place but those of its own: how many others have, and where, says that there are others.
	if len(t.held) == 0 && (s.q.Person == nil || s.q.Everyone) {
		t.done = &Place{Origin: t.origin, Index: t.at}
	}
	return nil
}
