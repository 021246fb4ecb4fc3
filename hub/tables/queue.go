package tables

import (
	"cmp"
	"slices"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// queue follows what waits for people: what the leaves say must be in a queue, and what is.
type queue struct {
	must map[store.WorkKey]waiting
	has  map[store.WorkKey]int64 // the leaf that the row names
}

type waiting struct {
	index    int64
	deadline time.Time
}

func newQueue() queue { return queue{map[store.WorkKey]waiting{}, map[store.WorkKey]int64{}} }

// leaf says what a leaf puts into queues and takes out of them.
func (q *queue) leaf(index int64, l *ledger.Leaf) {
	if l.Transfer == "" {
		return
	}
	if l.State != "" && l.State != transfer.Held {
		delete(q.must, store.WorkKey{Transfer: l.Transfer, Queue: store.Holds})
	}
	switch {
	case l.Kind == ledger.KindRuling && l.Ruling != nil && l.Ruling.Act == ledger.Reviewed:
		delete(q.must, store.WorkKey{Transfer: l.Transfer, Queue: store.Exceptions})
	case l.Kind == ledger.KindDecision && !l.ForRelease():
		if in := queueOf(l); in != "" {
			q.must[store.WorkKey{Transfer: l.Transfer, Queue: in}] = waiting{index, l.Deadline}
		}
	}
}

// queueOf is where a decision has its transfer wait; nowhere when a person has looked already.
func queueOf(l *ledger.Leaf) store.Queue {
	switch {
	case l.State == transfer.Held:
		return store.Holds
	case l.Outcome == transfer.PermitException:
		return store.Exceptions
	case !l.Outcome.Permits() && !l.Deadline.IsZero():
		return store.Refusals
	}
	return ""
}

func (s *span) work() {
	for i := range s.rows.Work {
		w := &s.rows.Work[i]
		key := store.WorkKey{Transfer: w.Transfer, Queue: w.Queue}
		l := s.at(w.Leaf)
		if l == nil {
			continue
		}
		if l.Kind != ledger.KindDecision || l.Transfer != w.Transfer || l.Sender != w.Sender || l.Owner != w.Owner || queueOf(l) != w.Queue ||
			!l.Deadline.Equal(w.Deadline) && !l.Deadline.IsZero() {
			s.r.Row("work", string(w.Transfer), w.Leaf, w.Transfer, "leaf %d does not have it wait in %s for the %s of %s until %s",
				w.Leaf, w.Queue, w.Owner, w.Sender, w.Deadline.Format(time.RFC3339))
			continue
		}
		s.queue.has[key] = w.Leaf
	}
}

// close compares what waits with what must. A refusal whose time is over need not be in its queue any more.
func (q *queue) close(r *audit.Report, latest time.Time) {
	for _, key := range sortedBy(q.must, func(w waiting) int64 { return w.index }) {
		w := q.must[key]
		if key.Queue == store.Refusals && !w.deadline.After(latest) {
			continue
		}
		if at, there := q.has[key]; !there || at != w.index {
			r.Row("work", string(key.Transfer), w.index, key.Transfer, "it is not in the queue of %s as leaf %d has it", key.Queue, w.index)
		}
	}
	for _, key := range sortedBy(q.has, func(index int64) int64 { return index }) {
		if _, must := q.must[key]; !must && key.Queue != store.Refusals {
			r.Row("work", string(key.Transfer), q.has[key], key.Transfer, "it is in the queue of %s, and that is done", key.Queue)
		}
	}
}

// sortedBy lists the keys of a map by something of their values.
func sortedBy[K comparable, V any](m map[K]V, by func(V) int64) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int { return cmp.Compare(by(m[a]), by(m[b])) })
	return keys
}
