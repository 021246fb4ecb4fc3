package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Benchmark measures the three commits of a transfer, for groups of 1, 10 and 100 transfers that arrive together, with rows as large as a
// usual referral makes them. submit looks for repeats and for known people, and writes a transfer with its payload, two people new to the hub
// and their identifiers, a consent, an outbox row and two leaves. release locks a transfer and its people, reads its payload, moves it on and
// deletes its outbox row; receive locks a transfer, moves it on and deletes its payload; each writes a leaf. One operation is one transfer.
// cpu-µs/op is what this process spent: on SQLite that includes the database, on PostgreSQL it does not.
func Benchmark(b *testing.B, fresh func(tb testing.TB) Opener) {
	for _, group := range []int{1, 10, 100} {
		for i, step := range steps {
			b.Run(fmt.Sprintf("%s/group=%d", step.name, group), func(b *testing.B) {
				r := newRun(b, fresh)
				for _, before := range steps[:i] {
					r.take(before, 100, false)
				}
				r.take(step, group, true)
				r.report()
			})
		}
	}
}

// step is one of the commits of a transfer: how many leaves of how many bytes it writes, and what it does besides.
type step struct {
	name         string
	leaves, size int
	do           func(context.Context, store.Tx, *store.Insertions) error
}

var steps = []step{{"submit", 2, 2500, submit}, {"release", 1, 2100, release}, {"receive", 1, 400, receive}}

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

// take takes every transfer through a step, so many in one transaction.
func (r *run) take(s step, group int, counts bool) {
	ctx := context.Background()
	for n := 0; n < r.b.N; n += group {
		rows := referrals(n, min(n+group, r.b.N), 2200)
		for i, p := range rows.Subjects {
			rows.Identifiers = append(rows.Identifiers, store.Identifier{Hash: hash("case number", 2*n+i), Subject: p.ID})
		}
		for i, t := range rows.Transfers {
			rows.Consents = append(rows.Consents, store.Consent{
				ID: string(t.ID), Subject: rows.Subjects[2*i].ID, RecordedBy: t.Sender, At: t.CreatedAt, Body: make([]byte, 600),
			})
		}
		batch, about := leaves(r.size, s.leaves*len(rows.Transfers), s.size)
		for i := range about {
			about[i].Transfer = rows.Transfers[i%len(rows.Transfers)].ID
		}
		if counts {
			r.b.StartTimer()
		}
		began := processCPU()
		err := r.s.InTx(ctx, func(tx store.Tx) error {
			if err := tx.AppendLog(ctx, origin, batch, about); err != nil {
				return err
			}
			return s.do(ctx, tx, rows)
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
}

func (r *run) report() {
	n := float64(r.b.N)
	r.b.ReportMetric(float64(r.cpu.Microseconds())/n, "cpu-µs/op")
	r.b.ReportMetric(n/r.b.Elapsed().Seconds(), "transfers/s")
}

func submit(ctx context.Context, tx store.Tx, rows *store.Insertions) error {
	var want store.Wanted
	for _, t := range rows.Transfers {
		want.Messages = append(want.Messages, store.MessageKey{Sender: t.Sender, MessageID: t.MessageID})
	}
	for _, i := range rows.Identifiers {
		want.Identifiers = append(want.Identifiers, i.Hash)
	}
	if _, err := tx.Load(ctx, &want); err != nil {
		return err
	}
	return tx.Insert(ctx, rows)
}

func release(ctx context.Context, tx store.Tx, rows *store.Insertions) error {
	all := ids(rows.Transfers)
	if _, err := tx.Load(ctx, &store.Wanted{Transfers: all, People: all, Payloads: all}); err != nil {
		return err
	}
	var people []transfer.SubjectID
	for _, s := range rows.Subjects {
		people = append(people, s.ID)
	}
	if _, _, err := tx.LoadPeople(ctx, nil, people); err != nil {
		return err
	}
	if err := tx.Update(ctx, moves(all, transfer.Queued, transfer.Released)); err != nil {
		return err
	}
	return tx.OutboxDone(ctx, all)
}

func receive(ctx context.Context, tx store.Tx, rows *store.Insertions) error {
	all := ids(rows.Transfers)
	if _, err := tx.Load(ctx, &store.Wanted{Transfers: all}); err != nil {
		return err
	}
	if err := tx.Update(ctx, moves(all, transfer.Released, transfer.Received)); err != nil {
		return err
	}
	return tx.DeletePayloads(ctx, all)
}

func moves(all []transfer.TransferID, from, to transfer.State) []store.Change {
	var out []store.Change
	for _, id := range all {
		out = append(out, store.Change{ID: id, From: from, To: to, ReleaseLeaf: 1, At: noon})
	}
	return out
}
