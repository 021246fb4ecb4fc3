package rights

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"referralhub/hub/dates"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
	"referralhub/hub/watch"
)

// reviewed ends a flag: somebody has looked at it, and says what it was.
const reviewed = "reviewed"

// The grounds of a review.
const (
	expected   = "expected"
	itIsBreach = "incident"
)

// flagged is something unusual in the log (package watch), for somebody to look at. Only the hub raises one. Whoever finds a breach in it makes it
// an incident, from which the 72 hours run.
var flagged = procedure{
	person: nobody,
	roles:  []transfer.StaffRole{transfer.DataProtection, transfer.SafeguardingLead, transfer.CaldicottGuardian},
	opened: raised,
	clock: func(k *Case, c *dates.Calendar) []Deadline {
		_, met := k.took(reviewed)
		due := c.WorkingDays(k.Received, 1)
		return []Deadline{{
			What: "look at it", By: due.Date.String(), Warning: due.Warning, Met: met,
			Source: "Art 33 UK GDPR: hours run from when a breach is known",
		}}
	},
	steps: map[string]rule{
		reviewed: {from: []State{Open}, to: Closed, grounds: []string{expected, itIsBreach}, effect: review},
	},
}

// Flagged is what a flag says, as its case keeps it. It names nobody: a person is a commitment, in the leaf.
type Flagged struct {
	Rule      watch.Rule           `json:"rule"`
	At        time.Time            `json:"at"`
	Sender    transfer.PartnerID   `json:"sender,omitempty"`
	Recipient transfer.PartnerID   `json:"recipient,omitempty"`
	Purpose   transfer.Purpose     `json:"purpose,omitempty"`
	Agreement transfer.AgreementID `json:"agreement,omitempty"`
	Items     []string             `json:"items,omitempty"`
	Seen      int                  `json:"seen"`            // how many there were
	Usual     int                  `json:"usual,omitempty"` // how many there commonly are, where that is known
	Evidence  []watch.Ref          `json:"evidence"`        // leaves
}

// raising is a flag on its way into a case.
type raising struct {
	Flagged
	Partner    transfer.PartnerID `json:"partner"`
	Commitment string             `json:"commitment"`
}

// raised begins a flag's case, for the partner whose people should look.
func raised(w *work) error {
	var in raising
	if !w.auto {
		return invalid("/type", "enum", "flags are raised by the hub alone", "open an incident")
	}
	if err := decode(w.k.Scope, &in); err != nil {
		return fmt.Errorf("read a flag: %w", err)
	}
	text, err := json.Marshal(in.Flagged)
	if err != nil {
		return fmt.Errorf("encode a flag: %w", err)
	}
	w.k.Scope, w.commitment = text, in.Commitment
	w.k.Grounds = []string{string(in.Rule)}
	w.k.Items, w.in.Grounds, w.in.Items = in.Items, w.k.Grounds, in.Items
	if in.Partner != "" {
		w.k.Partner = in.Partner
	}
	w.count("seen", in.Seen)
	return nil
}

// review makes an incident of a flag that somebody finds to be one.
func review(w *work) error {
	if len(w.in.Grounds) != 1 {
		return invalid("/grounds", "enum", "a flag is one thing or the other", "use one of: expected, incident")
	}
	if w.in.Grounds[0] == expected {
		return nil
	}
	var f Flagged
	if err := json.Unmarshal(w.k.Scope, &f); err != nil {
		return fmt.Errorf("read the flag of %s: %w", w.k.Reference, err)
	}
	var scope *Scope
	if f.Recipient != "" {
		scope = &Scope{Sender: f.Sender, Recipient: f.Recipient, Purpose: f.Purpose, Agreement: f.Agreement, Items: f.Items}
	}
	_, err := w.open(Incident, []string{"suspected"}, scope)
	return err
}

// Watcher raises flags as the logs grow.
type Watcher struct {
	rights *Rights
	mu     sync.Mutex
	watch  *watch.Watch
	next   map[string]int64 // by log: the first leaf that it has not seen
	since  time.Time        // what lies before it is learnt from, and not raised
	found  []watch.Flag     // and not raised yet
	back   int64            // how many leaves of each log its first look reads
	open   atomic.Int64
}

// Watcher makes one that knows nothing yet: its first look reads some way back, to learn what is usual.
func (r *Rights) Watcher() *Watcher {
	return &Watcher{rights: r, watch: watch.New(), next: map[string]int64{}, since: r.cfg.Now().Add(-notTooLate), back: learntFrom}
}

// How far back a watcher begins, and what of that it raises: what a hub that was stopped had no time for.
const (
	learntFrom = 50_000 // leaves of each log
	notTooLate = time.Hour
)

// Look reads what has been written since the last look, and raises what is unusual in it. What an error keeps it from, the next look does.
func (w *Watcher) Look(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := errors.Join(w.look(ctx), w.raise(ctx))
	n, counted := w.rights.openFlags(ctx)
	if counted == nil {
		w.open.Store(int64(n))
	}
	return errors.Join(err, counted)
}

// Open is how many flags wait for somebody to look at them.
func (w *Watcher) Open() int64 { return w.open.Load() }

func (w *Watcher) look(ctx context.Context) error {
	s := w.rights.cfg.Store
	origins, err := s.Origins(ctx)
	if err != nil {
		return fmt.Errorf("list logs: %w", err)
	}
	var logs []*leavesOf
	for _, origin := range origins {
		src := s.Log(ctx, origin)
		size, _, err := src.Head()
		if err != nil {
			return fmt.Errorf("read the head of log %s: %w", origin, err)
		}
		if _, known := w.next[origin]; !known {
			from := max(0, size-w.back)
			if err := w.learn(ctx, origin, from); err != nil {
				return err
			}
			w.next[origin] = from
		}
		logs = append(logs, &leavesOf{origin: origin, src: src, at: w.next[origin], end: size})
	}
	return merged(logs, func(at watch.Ref, l *ledger.Leaf) {
		for _, f := range w.watch.See(at, l) {
			if !f.At.Before(w.since) {
				w.found = append(w.found, f)
			}
		}
		w.next[at.Origin] = at.Index + 1
	})
}

// raise opens the cases of what was found.
func (w *Watcher) raise(ctx context.Context) error {
	var failed error
	var again []watch.Flag // those that could not be raised keep no others, and are tried the next time
	for i := range w.found {
		if err := w.rights.raise(ctx, &w.found[i]); err != nil {
			failed = errors.Join(failed, err)
			again = append(again, w.found[i])
		}
	}
	w.found = again
	return failed
}

// learn tells the watch of what is further back, from the shapes of the log.
func (w *Watcher) learn(ctx context.Context, origin string, before int64) error {
	s := w.rights.cfg.Store
	used, err := s.ShapeUse(ctx, origin, 0, before)
	if err != nil {
		return fmt.Errorf("count the shapes of log %s: %w", origin, err)
	}
	if len(used) == 0 {
		return nil
	}
	times := make(map[int64]int64, len(used))
	for _, u := range used {
		times[u.Shape] = u.N
	}
	err = s.EachShape(ctx, func(id int64, body []byte) error {
		n := times[id]
		if n == 0 {
			return nil
		}
		shape, err := ledger.ParseShape(body)
		if err != nil {
			return fmt.Errorf("shape %d: %w", id, err)
		}
		w.watch.Known(shape, n)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read shapes: %w", err)
	}
	return nil
}

// raise opens the case of a flag, once.
func (r *Rights) raise(ctx context.Context, f *watch.Flag) error {
	in := raising{
		Flagged: Flagged{
			Rule: f.Rule, At: f.At, Sender: f.Sender, Recipient: f.Recipient, Purpose: f.Purpose, Agreement: f.Agreement, Items: f.Items,
			Seen: f.Seen, Usual: f.Usual, Evidence: f.Evidence,
		},
		Partner: f.Partner, Commitment: f.Commitment,
	}
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode a flag: %w", err)
	}
	o := &Opening{MessageID: transfer.MessageID("flag-" + f.ID().String()), Type: Flag, Scope: text}
	if _, _, err := r.open(ctx, hub, o, nil, true); err != nil {
		return fmt.Errorf("raise a flag: %w", err)
	}
	return nil
}

func (r *Rights) openFlags(ctx context.Context) (n int, err error) {
	const page = 1000
	for after := ""; ; {
		rows, err := r.cfg.Store.Cases(ctx, store.CaseQuery{Type: string(Flag), State: string(Open), After: after, Limit: page})
		if err != nil {
			return 0, fmt.Errorf("list flags: %w", err)
		}
		n += len(rows)
		if len(rows) < page {
			return n, nil
		}
		after = rows[len(rows)-1].Reference
	}
}

// leavesOf is a part of one log, a page in hand.
type leavesOf struct {
	origin  string
	src     ledger.Source
	at, end int64
	page    [][]byte
	leaf    *ledger.Leaf // the next; nil at the end
}

const leafPage = 256

// next reads the next leaf.
func (s *leavesOf) next() (err error) {
	if s.leaf != nil {
		s.at++
	}
	if s.leaf = nil; s.at >= s.end {
		return nil
	}
	if len(s.page) == 0 {
		if s.page, err = s.src.Leaves(s.at, min(s.at+leafPage, s.end)); err != nil {
			return fmt.Errorf("read log %s from %d: %w", s.origin, s.at, err)
		}
	}
	if s.leaf, err = ledger.Parse(s.page[0]); err != nil {
		return fmt.Errorf("read leaf %d of log %s: %w", s.at, s.origin, err)
	}
	s.page = s.page[1:]
	return nil
}

// merged visits the leaves of several logs in the order of their times.
func merged(logs []*leavesOf, visit func(watch.Ref, *ledger.Leaf)) error {
	for _, l := range logs {
		if err := l.next(); err != nil {
			return err
		}
	}
	for {
		logs = slices.DeleteFunc(logs, func(l *leavesOf) bool { return l.leaf == nil })
		if len(logs) == 0 {
			return nil
		}
		first := slices.MinFunc(logs, func(a, b *leavesOf) int { return cmp.Or(a.leaf.At.Compare(b.leaf.At), cmp.Compare(a.origin, b.origin)) })
		visit(watch.Ref{Origin: first.origin, Index: first.at}, first.leaf)
		if err := first.next(); err != nil {
			return err
		}
	}
}
