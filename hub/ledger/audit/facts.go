package audit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Facts is the state of the transfers whose leaves are in the log, as the tables have it. Each row must be of one moment, its
// payload included; rows may be of different moments, and each must have been read after Transfers was called.
type Facts interface {
	// Transfers calls visit for each row, in any order, and stops with visit's error.
	Transfers(ctx context.Context, visit func(Row) error) error
}

// Row is one transfer.
type Row struct {
	ID           transfer.TransferID
	State        transfer.State
	DecisionLeaf int64
	ReleaseLeaf  int64     // -1 before the first release
	Payload      bool      // the tables hold a payload for it
	Updated      time.Time // when it became what it is; zero when that is not to be looked at
}

// Book is facts that are compared with the leaves as they go by: what else the tables hold. All of it must be of one moment, and that of the
// log's head.
type Book interface {
	Facts
	// Leaves takes the next leaves of the log, in order. One that is missing or cannot be read is nil.
	Leaves(ctx context.Context, first int64, leaves []*ledger.Leaf, r *Report) error
	// Close takes the size of the log, once all of it has gone by.
	Close(ctx context.Context, size int64, r *Report) error
}

// tables compares every row with the leaves up to size, and those that are ahead of them with the leaves added since.
func (a *auditor) tables(ctx context.Context, facts Facts, size int64) error {
	s := a.stories
	s.watch = map[key]Row{}
	err := facts.Transfers(ctx, func(row Row) error {
		k := keyOf(row.ID)
		st, known := s.byTransfer[k]
		if !known {
			st = story{decision: -1, release: -1}
		} else if !st.row {
			st.row = true
			s.byTransfer[k] = st
		}
		a.payload(row)
		if s.disagreement(row, st) != "" {
			s.watch[k] = row
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the transfers: %w", err)
	}
	if len(s.watch) > 0 {
		if now, _, err := a.src.Head(); err != nil {
			return fmt.Errorf("read the head: %w", err)
		} else if now > size {
			if _, err := a.upToHead(ctx); err != nil {
				return err
			}
		}
	}
	ahead := slices.SortedFunc(maps.Values(s.watch), func(x, y Row) int {
		return cmp.Or(cmp.Compare(x.DecisionLeaf, y.DecisionLeaf), cmp.Compare(x.ID, y.ID))
	})
	for _, row := range ahead {
		st, known := s.byTransfer[keyOf(row.ID)]
		if !known {
			st = story{decision: -1, release: -1}
		}
		a.report.problem(Table, row.DecisionLeaf, row.ID, "transfers: %s", s.disagreement(row, st))
	}
	s.orphans(a, size)
	return nil
}

// orphans reports transfers that the log knows and the tables do not.
func (s *stories) orphans(a *auditor, size int64) {
	n, first := 0, int64(0)
	for _, st := range s.byTransfer {
		if !st.row && st.decision >= 0 && st.decision < size {
			if n == 0 || st.decision < first {
				first = st.decision
			}
			n++
		}
	}
	if n > 0 {
		a.report.problem(Table, first, "", "transfers: there is no row for %d transfers of the log; this is the first", n)
	}
}

// payload holds a row to law 9: a payload goes once it is acknowledged or expires, and not before.
func (a *auditor) payload(row Row) {
	switch row.State {
	case transfer.Queued, transfer.Held, transfer.Released:
		if !row.Payload {
			a.report.problem(Payload, row.DecisionLeaf, row.ID, "payloads: a transfer that is %s has lost its payload", row.State)
		}
	case transfer.Undeliverable: // kept until a person has looked, or it expires
	default:
		if row.Payload {
			a.report.problem(Payload, row.DecisionLeaf, row.ID, "payloads: a transfer that is %s still has its payload", row.State)
		}
	}
}

// disagreement says how a row differs from the story of its transfer; nothing when it does not.
func (s *stories) disagreement(row Row, st story) string {
	state := s.states[st.state]
	switch {
	case st.decision < 0:
		return fmt.Sprintf("the row says that leaf %d decided it; the log has no decision about it", row.DecisionLeaf)
	case row.DecisionLeaf != st.decision:
		return fmt.Sprintf("the row says that leaf %d decided it; in the log it is leaf %d", row.DecisionLeaf, st.decision)
	case st.release < 0 && (row.State == transfer.Released || collected(row.State)):
		return fmt.Sprintf("the row says %s; the log has no release", row.State)
	case row.ReleaseLeaf != st.release:
		return fmt.Sprintf("the row says that leaf %d released it last; in the log it is leaf %d", row.ReleaseLeaf, st.release)
	case row.State != state:
		return fmt.Sprintf("the row says %s; the last leaf says %s", row.State, orNothing(state))
	case !row.Updated.IsZero() && row.Updated.UnixMicro() != st.moved:
		return fmt.Sprintf("the row says that it became so at %s; in the log it was at %s", row.Updated.Format(time.RFC3339Nano), time.UnixMicro(st.moved).UTC().Format(time.RFC3339Nano))
	}
	return ""
}
