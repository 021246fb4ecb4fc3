package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Benchmark measures the commits of the hot path, for groups of 1, 64 and 200 transfers that arrive together. submit looks for repeats and for known
// people, and writes a transfer with a payload of 3 KB, two people new to the hub, an outbox row and a leaf of 1 KB. settle locks a
// transfer, moves it on, deletes its payload and its outbox row and writes a leaf. One operation is one transfer. cpu-µs/op is what this
// process spent: on SQLite that includes the database, on PostgreSQL it does not.
func Benchmark(b *testing.B, fresh func(tb testing.TB) Opener) {
	for _, group := range []int{1, 64, 200} {
		b.Run(fmt.Sprintf("submit/group=%d", group), func(b *testing.B) {
			r := newRun(b, fresh)
			for n := 0; n < b.N; n += group {
				r.commit(n, min(n+group, b.N), submit, true)
			}
			r.report()
		})
		b.Run(fmt.Sprintf("settle/group=%d", group), func(b *testing.B) {
			r := newRun(b, fresh)
			for n := 0; n < b.N; n += 200 {
				r.commit(n, min(n+200, b.N), submit, false)
			}
			for n := 0; n < b.N; n += group {
				r.commit(n, min(n+group, b.N), settle, true)
			}
			r.report()
		})
	}
}

// run is one benchmark under way. Only the commits that count are timed, not the making of their rows.
type run struct {
	b    *testing.B
	s    store.Store
	size int64 // of the log
	cpu  time.Duration
}

func newRun(b *testing.B, fresh func(tb testing.TB) Opener) *run {
	s, err := fresh(b)()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	b.ResetTimer()
	b.StopTimer()
	return &run{b: b, s: s}
}

// commit does work on the transfers from n to m in one transaction, with a leaf about each.
func (r *run) commit(n, m int, work func(context.Context, store.Tx, *store.Insertions) error, counts bool) {
	ctx := context.Background()
	rows := referrals(n, m, 3000)
	batch, about := leaves(r.size, m-n, 1000)
	if counts {
		r.b.StartTimer()
	}
	began := processCPU()
	err := r.s.InTx(ctx, func(tx store.Tx) error {
		if err := work(ctx, tx, rows); err != nil {
			return err
		}
		return tx.AppendLog(ctx, origin, batch, about)
	})
	if counts {
		r.cpu += processCPU() - began
		r.b.StopTimer()
	}
	if err != nil {
		r.b.Fatal(err)
	}
	r.size = batch.Size
}

func (r *run) report() {
	n := float64(r.b.N)
	r.b.ReportMetric(float64(r.cpu.Microseconds())/n, "cpu-µs/op")
	r.b.ReportMetric(n/r.b.Elapsed().Seconds(), "transfers/s")
}

func submit(ctx context.Context, tx store.Tx, rows *store.Insertions) error {
	var messages []store.MessageKey
	for _, t := range rows.Transfers {
		messages = append(messages, store.MessageKey{Sender: t.Sender, MessageID: t.MessageID})
	}
	var identifiers [][32]byte
	for _, i := range rows.Identifiers {
		identifiers = append(identifiers, i.Hash)
	}
	if _, err := tx.TransfersByMessage(ctx, messages); err != nil {
		return err
	}
	if _, err := tx.SubjectsByIdentifier(ctx, identifiers); err != nil {
		return err
	}
	return tx.Insert(ctx, rows)
}

func settle(ctx context.Context, tx store.Tx, rows *store.Insertions) error {
	transfers := ids(rows.Transfers)
	if _, err := tx.LockTransfers(ctx, transfers); err != nil {
		return err
	}
	var changes []store.Change
	for _, id := range transfers {
		changes = append(changes, store.Change{ID: id, From: transfer.Queued, To: transfer.Received, ReleaseLeaf: 1, At: noon})
	}
	if err := tx.Update(ctx, changes); err != nil {
		return err
	}
	if err := tx.DeletePayloads(ctx, transfers); err != nil {
		return err
	}
	return tx.OutboxDone(ctx, transfers)
}
