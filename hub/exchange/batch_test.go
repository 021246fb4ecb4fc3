package exchange_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

const plenty = 1 << 20 // of room

// outcomes says in a word what became of each transfer of a batch.
func outcomes(collected []exchange.Collected) []string {
	out := make([]string, len(collected))
	for i, c := range collected {
		switch {
		case c.Err == nil && c.Parcel.Recipient() == ageUKHerts:
			out[i] = "given"
		case c.Parcel.Recipient() != "":
			out[i] = "given all the same"
		case errors.Is(c.Err, exchange.ErrNotYours):
			out[i] = "not yours"
		case errors.Is(c.Err, exchange.ErrNoRoom):
			out[i] = "no room"
		case errors.Is(c.Err, store.ErrBusy):
			out[i] = "busy"
		case errors.Is(c.Err, errBroken):
			out[i] = "broken"
		case stopped(c.Err):
			out[i] = "stopped"
		}
	}
	return out
}

// slower lets the first n commits of a hub be those of one that another copy has overtaken, and counts all of them.
func slower(n int32, commits *atomic.Int32) func(*exchange.Config) {
	return through(func(op storetest.Op) (bool, error) {
		if op == storetest.OpCommit && commits.Add(1) <= n {
			return false, fmt.Errorf("another copy was faster: %w", store.ErrConflict)
		}
		return true, nil
	})
}

// What is collected together shares a commit and is judged one by one, also when the commit has to be repeated, and when it is given up and
// everything in it is carried through alone.
func TestWhatIsCollectedTogetherIsJudgedOneByOne(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		for overtaken, want := range map[int32]int32{0: 1, 1: 2, 3: 3 + 6} {
			t.Run(fmt.Sprint("overtaken ", overtaken), func(t *testing.T) {
				h := h.elsewhere(t)
				before := h.open()
				gone, soon := h.somebody(), time.Now().Add(time.Hour)
				ids := []transfer.TransferID{
					before.send(h.message("first", h.somebody()), transfer.Queued).ID,
					before.send(h.message("withdrawn", gone), transfer.Queued).ID,
					before.send(h.message("of-others", h.somebody(), navigators), transfer.Queued).ID,
					"01900000-0000-7000-8000-000000000000",
					before.send(h.message("lapsed", h.somebody(), until(soon)), transfer.Queued).ID,
					before.send(h.message("last", h.somebody()), transfer.Queued).ID,
				}
				_, err := before.RecordConsent(t.Context(), by(carersInHerts), "w", known(gone), said(consent.Withdrawn, time.Now()))
				h.must(err)
				before.end()

				var commits atomic.Int32
				u := h.open(slower(overtaken, &commits), at(func() time.Time { return soon }))
				collected := u.CollectAll(t.Context(), by(ageUKHerts), ids, plenty)
				if got := outcomes(collected); !slices.Equal(got, []string{"given", "stopped", "not yours", "not yours", "stopped", "given"}) {
					t.Errorf("collected: %q", got)
				}
				if n := commits.Load(); n != want {
					t.Errorf("it took %d commits, want %d", n, want)
				}
				leaves := h.leaves(u.store, firstCopy)
				for _, i := range []int{0, 5} {
					d := collected[i].Parcel.Disclosure()
					if l := leaves[d.Log.Index]; l.Kind != ledger.KindRelease || l.Transfer != ids[i] || d.TransferID != ids[i] || l.Payload != d.PayloadDigest {
						t.Errorf("%s came as %s under the leaf of %s %s", ids[i], d.TransferID, l.Kind, l.Transfer)
					}
				}

				var receipts []exchange.Acknowledgement
				for _, id := range append(ids, ids[0]) {
					receipts = append(receipts, exchange.Acknowledgement{Transfer: id, Receipt: exchange.Receipt{Status: "received"}})
				}
				receipts[5].Receipt.Status, receipts[6].Receipt.Status = "made-up-word", "accepted"
				var states []transfer.State
				for i, a := range u.AcknowledgeAll(t.Context(), by(ageUKHerts), receipts) {
					if (a.Err == nil) != (a.State != "") || i == 5 && !strings.Contains(a.Err.Error(), "made-up-word") {
						t.Errorf("a receipt was answered with %q and %v", a.State, a.Err)
					}
					states = append(states, a.State)
				}
				if want := []transfer.State{transfer.Received, "", "", "", "", "", transfer.Accepted}; !slices.Equal(states, want) {
					t.Errorf("receipts: %q, want %q", states, want)
				}
				if report := h.audited(u.store); report.Releases != 2 || u.state(ids[0]) != transfer.Accepted || u.state(ids[5]) != transfer.Released {
					t.Errorf("%d releases, the first is %s and the last %s", report.Releases, u.state(ids[0]), u.state(ids[5]))
				}
			})
		}
	})
}

// An answer has room for so much. What does not fit is not released, however often the commit is tried, and goes with the next answer.
func TestWhatDoesNotFitIntoAnAnswerStaysWhereItIs(t *testing.T) {
	for _, overtaken := range []int32{0, 2, 3} {
		t.Run(fmt.Sprint("overtaken ", overtaken), func(t *testing.T) {
			h := newHouse(t, onSQLite)
			before := h.open()
			var ids []transfer.TransferID
			for i := range 3 {
				ids = append(ids, before.send(h.message(fmt.Sprint("m-", i), h.somebody()), transfer.Queued).ID)
			}
			before.end()
			var commits atomic.Int32
			u := h.open(slower(overtaken, &commits))
			first := u.CollectAll(t.Context(), by(ageUKHerts), ids, 1)
			if got := outcomes(first); !slices.Equal(got, []string{"given", "no room", "no room"}) {
				t.Fatalf("into one byte went %q", got)
			}
			if h.audited(u.store).Releases != 1 || u.state(ids[1]) != transfer.Queued {
				t.Errorf("what did not fit is %s", u.state(ids[1]))
			}
			two := len(first[0].Parcel.Dataset()) + 1
			if got := outcomes(u.CollectAll(t.Context(), by(ageUKHerts), ids, two)); !slices.Equal(got, []string{"given", "given", "no room"}) {
				t.Errorf("into the room of one and a byte went %q", got)
			}
			if got := outcomes(u.CollectAll(t.Context(), by(ageUKHerts), ids[2:], two)); !slices.Equal(got, []string{"given"}) {
				t.Errorf("with the next answer came %q", got)
			}
			h.audited(u.store)
		})
	}
}

// Law 1 for a batch: a commit that failed, or of which nobody knows, gives out nothing. And what finds no place in the queue says so for itself.
func TestNothingOfABatchIsGivenWithoutItsCommit(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprint("carried out ", applied), func(t *testing.T) {
			h := newHouse(t, onSQLite)
			before := h.open()
			ids := []transfer.TransferID{
				before.send(h.message("a", h.somebody()), transfer.Queued).ID, before.send(h.message("b", h.somebody()), transfer.Queued).ID,
				before.send(h.message("c", h.somebody()), transfer.Queued).ID,
			}
			before.end()
			f := &fault{op: storetest.OpCommit, nth: 1, applied: applied}
			u := h.open(through(f.strike), func(cfg *exchange.Config) { cfg.QueueLimit = 2 })
			if got := outcomes(u.CollectAll(t.Context(), by(ageUKHerts), ids, plenty)); !slices.Equal(got, []string{"broken", "broken", "busy"}) {
				t.Errorf("of a commit that went wrong came %q", got)
			}
			if got := outcomes(u.CollectAll(t.Context(), by(ageUKHerts), ids[:2], plenty)); !slices.Equal(got, []string{"given", "given"}) {
				t.Errorf("when it was asked again came %q", got)
			}
			h.audited(u.store)
		})
	}
}
