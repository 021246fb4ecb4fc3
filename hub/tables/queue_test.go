package tables

import (
	"strings"
	"testing"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// A hold that somebody has ruled on is not put back into the queue as it was, and one that waits is not taken out.
func TestWhatWaitsForPeople(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	held := &ledger.Leaf{Kind: ledger.KindDecision, Transfer: "t", Outcome: transfer.Hold, State: transfer.Held, Deadline: noon}
	refused := &ledger.Leaf{Kind: ledger.KindDecision, Transfer: "t", Outcome: transfer.Refuse, State: transfer.Refused, Deadline: noon}
	excepted := &ledger.Leaf{Kind: ledger.KindDecision, Transfer: "t", Outcome: transfer.PermitException, State: transfer.Queued}
	reviewed := &ledger.Leaf{Kind: ledger.KindRuling, Transfer: "t", State: transfer.Queued, Ruling: &ledger.Ruling{Act: ledger.Reviewed}}
	for _, c := range []struct {
		name   string
		leaves []*ledger.Leaf
		in     map[store.Queue]int64 // by the leaf that the row names
		latest time.Time
		want   string
	}{
		{"it waits", []*ledger.Leaf{held}, map[store.Queue]int64{store.Holds: 0}, noon, ""},
		{"it waits, and nobody is told", []*ledger.Leaf{held}, nil, noon, "not in the queue of holds"},
		{"it waits on another decision", []*ledger.Leaf{held, held}, map[store.Queue]int64{store.Holds: 0}, noon, "as leaf 1 has it"},
		{"it was refused, and waits again", []*ledger.Leaf{held, refused}, map[store.Queue]int64{store.Holds: 0, store.Refusals: 1}, noon, "and that is done"},
		{"it was refused, and may be questioned", []*ledger.Leaf{refused}, nil, noon.Add(-time.Hour), "not in the queue of refusals"},
		{"it was refused, and stands", []*ledger.Leaf{refused}, nil, noon, ""},
		{"it was refused, stands, and nobody has cleaned up", []*ledger.Leaf{refused}, map[store.Queue]int64{store.Refusals: 0}, noon.Add(time.Hour), ""},
		{"it went by exception", []*ledger.Leaf{excepted}, map[store.Queue]int64{store.Exceptions: 0}, noon, ""},
		{"it went by exception, and nobody will review it", []*ledger.Leaf{excepted}, nil, noon, "not in the queue of exceptions"},
		{"it was reviewed", []*ledger.Leaf{excepted, reviewed}, nil, noon, ""},
		{"it was reviewed, and is to be again", []*ledger.Leaf{excepted, reviewed}, map[store.Queue]int64{store.Exceptions: 0}, noon, "and that is done"},
	} {
		q, r := newQueue(), &audit.Report{}
		for i, l := range c.leaves {
			q.leaf(int64(i), l)
		}
		for in, leaf := range c.in {
			q.has[store.WorkKey{Transfer: "t", Queue: in}] = leaf
		}
		q.close(r, c.latest)
		switch {
		case c.want == "" && len(r.Problems) > 0, c.want != "" && (len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Detail, c.want)):
			t.Errorf("%s: %v", c.name, r.Problems)
		}
	}
}
