package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/transfer"
)

const origin = "hub.example/log/1"

var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// hub is a log and the tables beside it, written the way the hub writes them.
type hub struct {
	t      testing.TB
	signer *ledger.Signer
	log    *ledger.Memory
	tree   *ledger.Tree
	leaves []*ledger.Leaf // not written yet
	rows   map[transfer.TransferID]*audit.Row
	order  []transfer.TransferID
}

func newHub(t testing.TB) *hub {
	t.Helper()
	skey, _, err := ledger.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ledger.NewSigner(origin, skey)
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{t: t, signer: signer, log: &ledger.Memory{}, rows: map[transfer.TransferID]*audit.Row{}}
	if h.tree, err = ledger.OpenTree(h.log, signer); err != nil {
		t.Fatal(err)
	}
	return h
}

func id(n int) transfer.TransferID {
	return transfer.TransferID(fmt.Sprintf("0199b3c0-7f9a-7c1e-b1b4-%012d", n))
}

var carerItems = []string{"carer.name.given", "carer.name.family", "carer.phone"}

// add writes a leaf down and, for leaves about a transfer, moves its row.
func (h *hub) add(l *ledger.Leaf) *hub {
	index := h.tree.Size() + int64(len(h.leaves))
	if l.At.IsZero() {
		l.At = start.Add(time.Duration(index) * time.Millisecond)
	}
	h.leaves = append(h.leaves, l)
	if l.Transfer == "" {
		return h
	}
	row := h.rows[l.Transfer]
	if row == nil {
		row = &audit.Row{ID: l.Transfer, DecisionLeaf: index, ReleaseLeaf: -1}
		h.rows[l.Transfer] = row
		h.order = append(h.order, l.Transfer)
	}
	if l.Kind == ledger.KindRelease {
		row.ReleaseLeaf = index
	}
	if l.ForRelease() {
		return h
	}
	row.State = l.State
	row.Payload = slices.Contains([]transfer.State{transfer.Queued, transfer.Held, transfer.Released}, l.State)
	return h
}

func (h *hub) decide(n int, o transfer.Outcome, s transfer.State, items ...string) *hub {
	return h.add(&ledger.Leaf{
		Kind: ledger.KindDecision, Transfer: id(n), Outcome: o, State: s, Sender: "carers-in-hertfordshire", Recipient: "hertfordshire-council",
		Subjects: []ledger.Subject{{Role: transfer.Carer, Commitment: strings.Repeat("c1", 32), Items: items}},
	})
}

// goes releases as the hub does: a decision of its own, and behind it what the recipient may read.
func (h *hub) goes(n int, items ...string) *hub {
	h.decide(n, transfer.PermitReduced, "", items...)
	l := h.leaves[len(h.leaves)-1]
	l.Subjects[0].Facts, l.Subjects[0].Stripped = []string{"adult", "address-protected"}, []string{"carer.address"}
	l.Obligations = []ledger.Obligation{{Code: "review-exception", Who: "sender"}, {Code: "protect", Who: "recipient"}}
	l.Reasons = []ledger.Reason{{Code: "ADDRESS_PROTECTED"}}
	return h.add(l.Release("hmac-sha256:" + strings.Repeat("ab", 32)))
}

// release releases as the first logs have it: in one leaf.
func (h *hub) release(n int, items ...string) *hub {
	return h.add(&ledger.Leaf{
		Kind: ledger.KindRelease, Transfer: id(n), Outcome: transfer.Permit, State: transfer.Released,
		Subjects: []ledger.Subject{{Role: transfer.Carer, Commitment: strings.Repeat("c1", 32), Items: items}}, Payload: "hmac-sha256:" + strings.Repeat("ab", 32),
	})
}

func (h *hub) outcome(n int, s transfer.State) *hub {
	return h.add(&ledger.Leaf{Kind: ledger.KindOutcome, Transfer: id(n), State: s, Receipt: string(s)})
}

// commit writes what was added, in one batch.
func (h *hub) commit() *hub {
	h.t.Helper()
	encoded := make([][]byte, len(h.leaves))
	for i, l := range h.leaves {
		encoded[i] = l.AppendTo(nil)
	}
	h.leaves = nil
	b, err := h.tree.Append(encoded)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.log.Write(b); err != nil {
		h.t.Fatal(err)
	}
	h.tree.Commit(b)
	return h
}

// transfers writes n transfers that were released and received, from the given number on.
func (h *hub) transfers(first, n int) *hub {
	for i := first; i < first+n; i++ {
		h.decide(i, transfer.Permit, transfer.Queued, carerItems...).release(i, carerItems...).outcome(i, transfer.Received)
		if i%50 == 49 {
			h.commit()
		}
	}
	return h.commit()
}

// Transfers makes a hub the Facts of an audit.
func (h *hub) Transfers(ctx context.Context, visit func(audit.Row) error) error {
	for _, id := range h.order {
		if err := visit(*h.rows[id]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (h *hub) check(pinned ...[]byte) *audit.Report {
	h.t.Helper()
	r, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), h, pinned...)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// found gives problems as "class index".
func found(problems []audit.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%s %d", p.Class, p.Index))
	}
	return out
}

func want(t *testing.T, r *audit.Report, problems ...string) {
	t.Helper()
	if diff := cmp.Diff(problems, found(r.Problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
		for _, p := range r.Problems {
			t.Log(p)
		}
	}
}

func TestAGoodLogIsGood(t *testing.T) {
	h := newHub(t)
	want(t, h.check())
	h.transfers(0, 300)
	old := bytes.Clone(h.log.Checkpoint)
	h.decide(1000, transfer.Hold, transfer.Held).decide(1000, transfer.Hold, transfer.Held).decide(1000, transfer.PermitReduced, transfer.Queued, "carer.phone").
		release(1000, carerItems...). // a consent came meanwhile
		outcome(1000, transfer.Accepted).outcome(1000, transfer.Completed)
	h.decide(1001, transfer.Refuse, transfer.Refused)
	h.decide(1002, transfer.Permit, transfer.Queued, carerItems...).decide(1002, transfer.Refuse, transfer.Stopped)
	h.decide(1003, transfer.Permit, transfer.Queued, carerItems...).release(1003, carerItems...).release(1003, "carer.phone").
		outcome(1003, transfer.Released).decide(1003, transfer.Hold, transfer.Stopped)
	h.decide(1004, transfer.Permit, transfer.Queued, carerItems...).outcome(1004, transfer.Expired)
	h.add(&ledger.Leaf{Kind: ledger.KindQuery, Query: &ledger.Query{Kind: "subject"}})
	h.decide(1005, transfer.Permit, transfer.Queued, carerItems...).goes(1005, carerItems...).goes(1005, "carer.phone").outcome(1005, transfer.Received)
	h.commit()

	r := h.check(old)
	want(t, r)
	if len(r.Warnings) > 0 || !r.OK() {
		t.Errorf("warnings: %v", r.Warnings)
	}
	cp, _ := ledger.ReadCheckpoint(h.log.Checkpoint)
	if r.Leaves != h.log.Size || r.Root != cp.Root || r.Transfers != 306 || r.Releases != 305 || r.Origin != origin {
		t.Errorf("got %d leaves, %d transfers, %d releases of %s under %s", r.Leaves, r.Transfers, r.Releases, r.Origin, r.Root)
	}

	dir := filepath.Join(t.TempDir(), "log")
	if err := ledger.Export(h.log, dir); err != nil {
		t.Fatal(err)
	}
	exported, err := ledger.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := audit.Check(context.Background(), exported, h.signer.Verifier(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, alone, cmpopts.IgnoreUnexported(audit.Report{})); diff != "" {
		t.Error(diff)
	}
}

// Every kind of change to what is at rest is caught, named and placed.
func TestTampering(t *testing.T) {
	const n = 900 // leaves: three full tiles and 132 leaves at the edge
	swap := func(h *hub, i, j int) { e := h.log.Entries; e[i], e[j] = e[j], e[i] }
	retell := func(h *hub, i int) { // another leaf that is a good one by itself
		l, err := ledger.Parse(h.log.Entries[i])
		if err != nil {
			t.Fatal(err)
		}
		l.Attempt++
		h.log.Entries[i] = l.AppendTo(nil)
	}
	tileOf := func(h *hub, index int64) {
		for i := range 256 {
			hash := tlog.RecordHash(h.log.Entries[index*256+int64(i)])
			copy(h.log.Tiles[0][index][i*32:], hash[:])
		}
	}
	for _, c := range []struct {
		name   string
		tamper func(h *hub)
		want   []string
	}{
		{"nothing", func(*hub) {}, nil},
		{"one bit of an old leaf", func(h *hub) { h.log.Entries[300][5] ^= 1 }, []string{"encoding 300", "edited 300"}},
		{"an old leaf told otherwise", func(h *hub) { retell(h, 300) }, []string{"edited 300"}},
		{"two old leaves told otherwise", func(h *hub) { retell(h, 3); retell(h, 700) }, []string{"edited 3", "edited 700"}},
		{"an old leaf and its tile", func(h *hub) { retell(h, 300); tileOf(h, 1) }, []string{"edited 768"}},
		{"a leaf at the edge", func(h *hub) { retell(h, 800) }, []string{"edited 768"}},
		{"two old leaves swapped", func(h *hub) { swap(h, 302, 305) }, []string{"reordered 302", "reordered 305"}},
		{"two far leaves swapped", func(h *hub) { swap(h, 2, 602) }, []string{"reordered 2", "reordered 602"}},
		{"two leaves at the edge swapped", func(h *hub) { swap(h, 890, 896) }, []string{"reordered 890", "reordered 896"}},
		{"the tail gone", func(h *hub) { h.log.Entries = h.log.Entries[:894] }, []string{"truncated 894"}},
		{"the tail gone and the head put back", func(h *hub) { h.log.Entries = h.log.Entries[:894]; h.log.Size = 894 }, []string{"truncated 894"}},
		{"the head put back", func(h *hub) { h.log.Size = 894 }, []string{"truncated 894", "truncated 894"}},
		{"the head put forward", func(h *hub) { h.log.Size = 903 }, []string{"head 900", "truncated 900"}},
		{"everything gone", func(h *hub) { h.log.Entries = nil }, []string{"truncated 0"}},
		{"a byte of a tile", func(h *hub) { h.log.Tiles[0][1][44*32] ^= 1 }, []string{"tile 300"}},
		{"a tile gone", func(h *hub) { delete(h.log.Tiles[0], 1) }, []string{"tile 256"}},
		{"a tile cut short", func(h *hub) { h.log.Tiles[0][2] = h.log.Tiles[0][2][:32] }, []string{"tile 512"}},
		{"the root in the checkpoint", func(h *hub) {
			root := tlog.RecordHash([]byte("another"))
			cp, _ := ledger.ReadCheckpoint(h.log.Checkpoint)
			h.log.Checkpoint = bytes.Replace(h.log.Checkpoint, []byte(cp.Root.String()), []byte(root.String()), 1)
		}, []string{"signature -1", "head -1"}},
		{"the signature", func(h *hub) { h.log.Checkpoint = append(h.log.Checkpoint[:len(h.log.Checkpoint)-9], "AAAAAAA=\n"...) }, []string{"signature -1"}},
		{"the checkpoint gone", func(h *hub) { h.log.Checkpoint = nil }, []string{"signature -1"}},
		{"a head signed by somebody else", func(h *hub) {
			cp, _ := ledger.ReadCheckpoint(h.log.Checkpoint)
			h.log.Checkpoint, _ = newHub(t).signer.Sign(cp.Size, cp.Root)
		}, []string{"signature -1"}},
		{"an old leaf, and a head signed by somebody else", func(h *hub) {
			retell(h, 300)
			h.log.Checkpoint, _ = newHub(t).signer.Sign(900, tlog.Hash{})
		}, []string{"signature -1", "edited 300", "head -1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t).transfers(0, n/3)
			c.tamper(h)
			r, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), nil)
			if err != nil {
				t.Fatal(err)
			}
			// Leaves that were moved or lost also tell a story that cannot be; here it is about the tree.
			r.Problems = slices.DeleteFunc(r.Problems, func(p audit.Problem) bool {
				return p.Class == audit.Order || p.Class == audit.Release || p.Class == audit.State
			})
			want(t, r, c.want...)
		})
	}
}

// Whichever bit of a leaf, a tile or the signed text changes, the audit says so.
func TestNoBitOfTheLogIsIdle(t *testing.T) {
	h := newHub(t).transfers(0, 200)
	text := bytes.Index(h.log.Checkpoint, []byte("\n\n"))
	rapid.Check(t, func(t *rapid.T) {
		target := h.log.Checkpoint[:text+1]
		switch rapid.SampledFrom([]string{"leaf", "leaf", "tile", "text"}).Draw(t, "what") {
		case "leaf":
			target = rapid.SampledFrom(h.log.Entries).Draw(t, "leaf")
		case "tile":
			target = h.log.Tiles[0][rapid.Int64Range(0, 1).Draw(t, "tile")]
		}
		i, bit := rapid.IntRange(0, len(target)-1).Draw(t, "byte"), byte(1)<<rapid.IntRange(0, 7).Draw(t, "bit")
		target[i] ^= bit
		r, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), h)
		target[i] ^= bit
		if err != nil {
			t.Fatal(err)
		}
		if r.OK() {
			t.Fatalf("byte %d may change by %#x", i, bit)
		}
	})
	want(t, h.check())
}

// With a level of tiles above, a leaf that was changed together with its tile is still placed.
func TestTamperingUnderTwoLevelsOfTiles(t *testing.T) {
	h := newHub(t)
	for i := range 256*256 + 10 {
		h.add(&ledger.Leaf{Kind: ledger.KindQuery, Query: &ledger.Query{Kind: "transfer", Found: i}})
	}
	h.commit()
	want(t, h.check())

	good := bytes.Clone(h.log.Tiles[1][0])
	h.log.Tiles[1][0][7*32] ^= 1
	want(t, h.check(), "tile 1792")
	h.log.Tiles[1][0] = good

	l := ledger.Leaf{Kind: ledger.KindQuery, At: start}
	h.log.Entries[1800] = l.AppendTo(nil)
	want(t, h.check(), "edited 1800")
	hash := tlog.RecordHash(h.log.Entries[1800])
	copy(h.log.Tiles[0][7][8*32:], hash[:])
	want(t, h.check(), "edited 1792")
}

// An export holds the tile at the edge of the log too, so that even there the leaf that was changed is known.
func TestTamperingWithTheEdgeOfAnExport(t *testing.T) {
	edit := func(t *testing.T, name, from, to string) {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(from)) {
			t.Fatalf("%s has no %q", name, from)
		}
		if err := os.WriteFile(name, bytes.Replace(text, []byte(from), []byte(to), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := newHub(t).transfers(0, 90) // 270 leaves, 14 of them at the edge
	hash := func(i int) string { h := tlog.RecordHash(h.log.Entries[i]); return string(h[:]) }
	for _, c := range []struct {
		name   string
		tamper func(t *testing.T, leaves, tile string)
		want   []string
	}{
		{"leaf", func(t *testing.T, leaves, _ string) { edit(t, leaves, "carers-in-", "barers-in-") }, []string{"edited 258"}},
		{"tile", func(t *testing.T, _, tile string) { edit(t, tile, hash(260)[:4], "oops") }, []string{"tile 260"}},
		{"both", func(t *testing.T, leaves, tile string) {
			edit(t, leaves, "carers-in-", "barers-in-")
			forged := tlog.RecordHash(bytes.Replace(h.log.Entries[258], []byte("carers-in-"), []byte("barers-in-"), 1))
			edit(t, tile, hash(258), string(forged[:]))
		}, []string{"edited 256"}}, // somewhere from there on
		{"tile cut short", func(t *testing.T, _, tile string) { edit(t, tile, hash(269), "") }, []string{"tile 256"}},
		{"no tile", func(t *testing.T, _, tile string) {
			if err := os.Remove(tile); err != nil {
				t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			if err := ledger.Export(h.log, dir); err != nil {
				t.Fatal(err)
			}
			c.tamper(t, filepath.Join(dir, "tile/entries/001.p/14"), filepath.Join(dir, "tile/0/001.p/14"))
			exported, err := ledger.OpenDirectory(dir)
			if err != nil {
				t.Fatal(err)
			}
			r, err := audit.Check(context.Background(), exported, h.signer.Verifier(), nil)
			if err != nil {
				t.Fatal(err)
			}
			want(t, r, c.want...)
		})
	}
}

// gaps hides leaves from an honest source.
type gaps struct {
	*ledger.Memory
	gone []int64
}

func (g *gaps) Leaves(from, to int64) ([][]byte, error) {
	for _, i := range g.gone {
		if from <= i && i < to {
			return nil, fmt.Errorf("leaf %d: %w", i, ledger.ErrAbsent)
		}
	}
	return g.Memory.Leaves(from, to)
}

func TestAMissingLeafIsNotATail(t *testing.T) {
	h := newHub(t).transfers(0, 200)
	g := &gaps{h.log, []int64{301, 302}}
	r, err := audit.Check(context.Background(), g, h.signer.Verifier(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Leaves 301 and 302 were a release and its receipt.
	want(t, r, "missing 301", "missing 302")
	g.gone = []int64{301, 590}
	r, err = audit.Check(context.Background(), g, h.signer.Verifier(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, r, "missing 301", "order 302", "missing 590")
}

// The holder of the key can sign another history. Whoever kept a checkpoint finds out.
func TestAForkIsFoundByWhoeverKeptACheckpoint(t *testing.T) {
	h := newHub(t).transfers(0, 100)
	kept := bytes.Clone(h.log.Checkpoint)

	other := &hub{t: t, signer: h.signer, log: &ledger.Memory{}, rows: map[transfer.TransferID]*audit.Row{}}
	other.tree, _ = ledger.OpenTree(other.log, h.signer)
	other.transfers(5000, 150)
	want(t, other.check())
	want(t, other.check(kept), "forked 299")

	h.transfers(100, 1)
	want(t, h.check(kept))
	// An edit is not a fork: the tiles still lead to the checkpoint that was kept. A fork with an edit is both.
	h.log.Entries[7] = (&ledger.Leaf{Kind: ledger.KindQuery, At: start}).AppendTo(nil)
	want(t, h.check(kept), "order 8", "edited 7", "table 6")
	other.log.Entries[7] = h.log.Entries[7]
	want(t, other.check(kept), "order 8", "edited 7", "forked 299", "table 6")

	shorter := &hub{t: t, signer: h.signer, log: &ledger.Memory{}, rows: map[transfer.TransferID]*audit.Row{}}
	shorter.tree, _ = ledger.OpenTree(shorter.log, h.signer)
	shorter.transfers(0, 50)
	want(t, shorter.check(kept), "truncated 150")

	strangers := newHub(t).transfers(0, 1)
	if _, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), nil, strangers.log.Checkpoint); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("a stranger's checkpoint: %v", err)
	}
}

// The leaves tell the story of each transfer, and some stories cannot be.
func TestStoriesThatCannotBe(t *testing.T) {
	all := carerItems
	for _, c := range []struct {
		name string
		tell func(h *hub)
		want []string
	}{
		{"released without a decision", func(h *hub) { h.release(1, all...) }, []string{"order 0"}},
		{"released before the decision", func(h *hub) { h.release(1, all...).decide(1, transfer.Permit, transfer.Queued, all...) }, []string{"order 0"}},
		{"received without a decision", func(h *hub) { h.outcome(1, transfer.Received) }, []string{"order 0"}},
		{"received without a release", func(h *hub) { h.decide(1, transfer.Permit, transfer.Queued, all...).outcome(1, transfer.Received) }, []string{"order 1"}},
		{"another transfer's decision", func(h *hub) { h.decide(2, transfer.Permit, transfer.Queued, all...).release(1, all...) }, []string{"order 1"}},
		{"released after a refusal", func(h *hub) { h.decide(1, transfer.Refuse, transfer.Refused).release(1, all...) }, []string{"release 1"}},
		{"released from a hold", func(h *hub) { h.decide(1, transfer.Hold, transfer.Held).release(1, all...) }, []string{"release 1"}},
		{"hold lifted without a decision", func(h *hub) {
			h.decide(1, transfer.Hold, transfer.Held).outcome(1, transfer.Queued).release(1, all...)
		}, []string{"release 2"}},
		{"released after it was stopped", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).decide(1, transfer.Refuse, transfer.Stopped).release(1, all...)
		}, []string{"release 2"}},
		{"released after it was withdrawn", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).outcome(1, transfer.Stopped).release(1, all...)
		}, []string{"release 2"}},
		{"released again after it was accepted", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).release(1, all...).outcome(1, transfer.Accepted).release(1, all...)
		}, []string{"release 3"}},
		{"more than was decided", func(h *hub) {
			h.decide(1, transfer.PermitReduced, transfer.Queued, "carer.phone").release(1, "carer.phone", "carer.address")
		}, []string{"release 1"}},
		{"another person than was decided", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).release(1, all...)
			h.leaves[1].Subjects[0].Position = 1
		}, []string{"release 1"}},
		{"a release that refuses", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).release(1, all...)
			h.leaves[1].Outcome = transfer.Hold
		}, []string{"release 1"}},
		{"decided for a release that was not made", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).goes(1, all...).leaves = h.leaves[:2]
		}, []string{"order 1"}},
		{"decided for a release that was made later", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).goes(1, all...).decide(2, transfer.Refuse, transfer.Refused)
			h.leaves[2], h.leaves[3] = h.leaves[3], h.leaves[2]
		}, []string{"order 1"}},
		{"decided for another's release", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).decide(2, transfer.Permit, transfer.Queued, all...).goes(1, all...).leaves[3].Transfer = id(2)
		}, []string{"order 2"}},
		{"decided for a release at another time", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).goes(1, all...).leaves[2].At = start.Add(time.Hour)
		}, []string{"order 1"}},
		{"decided for a release before anything was decided", func(h *hub) { h.goes(1, all...) }, []string{"state 0", "release 1"}},
		{"decided for a release after a refusal", func(h *hub) {
			h.decide(1, transfer.Refuse, transfer.Refused).goes(1, all...)
		}, []string{"release 2"}},
		{"refused for a release", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).goes(1, all...)
			h.leaves[1].Outcome, h.leaves[2].Outcome = transfer.Refuse, transfer.Refuse
		}, []string{"state 1", "state 1", "release 2", "release 2"}},
		{"another item than was decided for it", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).goes(1, "carer.phone").leaves[2].Subjects[0].Items = carerItems[:1]
		}, []string{"release 2"}},
		{"under another clause than was decided for it", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).goes(1, all...).leaves[2].Agreement = &ledger.Agreement{ID: "hertswise", Version: 2}
		}, []string{"release 2"}},
		{"with somebody's circumstances in it", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).goes(1, all...).leaves[2].Subjects[0].Facts = []string{"adult"}
		}, []string{"release 2"}},
		{"more than the first decision, though it was decided for it", func(h *hub) {
			h.decide(1, transfer.PermitReduced, transfer.Queued, "carer.phone").goes(1, all...)
		}, []string{"release 2"}},
		{"without a decision of its own, where others have one", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).goes(1, all...).release(1, all...)
		}, []string{"order 3"}},
		{"decided twice", func(h *hub) {
			h.decide(1, transfer.Permit, transfer.Queued, all...).decide(1, transfer.Permit, transfer.Queued, all...)
		}, []string{"order 1"}},
		{"refused and queued", func(h *hub) { h.decide(1, transfer.Refuse, transfer.Queued) }, []string{"state 0"}},
		{"back from the end", func(h *hub) {
			h.decide(1, transfer.Refuse, transfer.Refused).decide(1, transfer.Permit, transfer.Queued, all...)
		}, []string{"state 1"}},
		{"unheard-of outcome", func(h *hub) { h.decide(1, "maybe", transfer.Queued) }, []string{"state 0"}},
		{"about nothing", func(h *hub) { h.add(&ledger.Leaf{Kind: ledger.KindDecision, Outcome: transfer.Refuse}) }, []string{"order 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t)
			c.tell(h)
			h.commit()
			r, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), nil)
			if err != nil {
				t.Fatal(err)
			}
			want(t, r, c.want...)
		})
	}
}

func TestAClockThatGoesBackIsAWarning(t *testing.T) {
	h := newHub(t).transfers(0, 3)
	h.add(&ledger.Leaf{Kind: ledger.KindPartner, At: start.Add(-4 * time.Second)})
	h.add(&ledger.Leaf{Kind: ledger.KindPartner, At: start.Add(-6 * time.Second)})
	r := h.commit().check()
	want(t, r)
	if diff := cmp.Diff([]string{"time 10"}, found(r.Warnings)); diff != "" {
		t.Error(diff)
	}
}

// The tables say what the leaves say, and payloads are kept exactly as long as they may be.
func TestTablesThatDoNotAgree(t *testing.T) {
	for _, c := range []struct {
		name  string
		alter func(h *hub)
		want  []string
	}{
		{"nothing", func(*hub) {}, nil},
		{"decided by a leaf about another", func(h *hub) { h.rows[id(3)].DecisionLeaf = 0 }, []string{"table 0"}},
		{"never decided", func(h *hub) {
			h.order = append(h.order, id(77))
			h.rows[id(77)] = &audit.Row{ID: id(77), State: transfer.Refused, DecisionLeaf: 12, ReleaseLeaf: -1}
		}, []string{"table 12"}},
		{"decided beyond the end", func(h *hub) {
			h.order = append(h.order, id(77))
			h.rows[id(77)] = &audit.Row{ID: id(77), State: transfer.Refused, DecisionLeaf: 1200, ReleaseLeaf: -1}
		}, []string{"table 1200"}},
		{"released without a leaf", func(h *hub) { h.rows[id(10)].State = transfer.Released }, []string{"table 30"}},
		{"received without a leaf", func(h *hub) { h.rows[id(10)].State, h.rows[id(10)].Payload = transfer.Received, false }, []string{"table 30"}},
		{"another release", func(h *hub) { h.rows[id(3)].ReleaseLeaf = 1 }, []string{"table 9"}},
		{"release forgotten", func(h *hub) { h.rows[id(3)].ReleaseLeaf = -1 }, []string{"table 9"}},
		{"another state", func(h *hub) { h.rows[id(3)].State = transfer.Completed }, []string{"table 9"}},
		{"payload kept after it was received", func(h *hub) { h.rows[id(3)].Payload = true }, []string{"payload 9"}},
		{"another time", func(h *hub) { h.rows[id(3)].Updated = start.Add(time.Hour) }, []string{"table 9"}},
		{"rows gone", func(h *hub) { h.order = h.order[:8] }, []string{"table 24"}},
		{"payload lost", func(h *hub) { h.rows[id(10)].Payload = false }, []string{"payload 30"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t).transfers(0, 10).decide(10, transfer.Permit, transfer.Queued, carerItems...).commit()
			c.alter(h)
			r := h.check()
			want(t, r, c.want...)
			if len(r.Warnings) > 0 {
				t.Error(r.Warnings)
			}
		})
	}
}

// growing goes on writing between the reading of the leaves and the reading of the rows.
type growing struct {
	*hub
	write func()
}

func (g growing) Transfers(ctx context.Context, visit func(audit.Row) error) error {
	g.write()
	return g.hub.Transfers(ctx, visit)
}

func TestTheHubMayGoOnWhileItIsAudited(t *testing.T) {
	h := newHub(t).transfers(0, 100).decide(500, transfer.Permit, transfer.Queued, carerItems...).commit()
	check := func(f audit.Facts) *audit.Report {
		r, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), f)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := check(growing{h, func() { h.release(500, carerItems...).transfers(600, 200) }})
	want(t, r)
	if r.Leaves != h.log.Size {
		t.Errorf("%d leaves of %d were read", r.Leaves, h.log.Size)
	}
	// A row that is ahead of the leaves is looked at again, not believed.
	r = check(growing{h, func() {
		h.transfers(900, 10)
		h.rows[id(905)].State = transfer.Completed
	}})
	want(t, r, fmt.Sprintf("table %d", h.rows[id(905)].DecisionLeaf))
}

// A tile that becomes full during the audit is compared as a whole.
func TestATileThatBecomesFullWhileItIsAudited(t *testing.T) {
	h := newHub(t).transfers(0, 90)
	r, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), growing{h, func() {
		h.transfers(600, 200)
		h.log.Tiles[0][1][0] ^= 1
	}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, r, "tile 256")
}

// broken fails to read, which says nothing about the log.
type broken struct{ *ledger.Memory }

var errDisk = errors.New("disk on fire")

func (broken) Leaves(int64, int64) ([][]byte, error) { return nil, errDisk }

func TestAReadErrorIsNotAFinding(t *testing.T) {
	h := newHub(t).transfers(0, 3)
	if _, err := audit.Check(context.Background(), broken{h.log}, h.signer.Verifier(), nil); !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := audit.Check(ctx, h.log, h.signer.Verifier(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAReportIsBounded(t *testing.T) {
	h := newHub(t)
	for i := range 300 {
		h.release(i, carerItems...)
	}
	r := h.commit().check()
	// Each release is out of order, and so is its row. The first of the rows is told although there is no more room.
	if len(r.Problems) != audit.MaxProblems+1 || r.Problems[audit.MaxProblems].Class != audit.Table || r.Omitted != 2*300-audit.MaxProblems-1 || r.OK() {
		t.Errorf("%d problems, %d omitted", len(r.Problems), r.Omitted)
	}
}

func BenchmarkCheck(b *testing.B) {
	h := newHub(b)
	const transfers = 20_000
	h.transfers(0, transfers)
	var size int
	for _, e := range h.log.Entries {
		size += len(e)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := audit.Check(context.Background(), h.log, h.signer.Verifier(), h); err != nil || !r.OK() {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.N)*3*transfers/b.Elapsed().Seconds(), "leaves/s")
}
