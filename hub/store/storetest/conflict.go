package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

func messageTwice(_ *testing.T, d *desk) {
	ctx := d.Context()
	d.insert(referrals(0, 1, 10))
	again := referral(1, 10)
	again.Transfers[0].MessageID = referral(0, 10).Transfers[0].MessageID
	err := d.InTx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, &again) })
	d.errIs(err, store.ErrConflict)
	if strings.Contains(err.Error(), string(again.Transfers[0].MessageID)) {
		d.Errorf("an error says what was stored: %v", err)
	}
	_, err = d.Transfer(ctx, transferID(1))
	d.errIs(err, store.ErrNotFound)

	again.Transfers[0].Recipient = "age-uk-hertfordshire" // the same message on its way to somebody else is another transfer
	d.insert(&again)

	same := store.Insertions{Identifiers: []store.Identifier{{Hash: hash("identifier", 0), Subject: subjectID(9)}}}
	d.errIs(d.InTx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, &same) }), store.ErrConflict)
	orphan := store.Insertions{Payloads: referral(7, 10).Payloads}
	d.errIs(d.InTx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, &orphan) }), store.ErrConflict)
}

func staleState(_ *testing.T, d *desk) {
	ctx := d.Context()
	d.insert(referrals(0, 2, 10))
	err := d.InTx(ctx, func(tx store.Tx) error {
		return tx.Update(ctx, []store.Change{
			{ID: transferID(0), From: transfer.Queued, To: transfer.Released, ReleaseLeaf: 5, Flow: "hertswise@2#refer", At: noon},
			{ID: transferID(1), From: transfer.Held, To: transfer.Queued, ReleaseLeaf: -1, At: noon},
		})
	})
	d.errIs(err, store.ErrConflict)
	got, err := d.Transfers(ctx, []transfer.TransferID{transferID(0), transferID(1)})
	d.noErr(err)
	d.equal("neither has moved", got, referrals(0, 2, 10).Transfers)
	d.errIs(d.InTx(ctx, func(tx store.Tx) error {
		return tx.Update(ctx, []store.Change{{ID: transferID(9), From: transfer.Queued, To: transfer.Held, At: noon}})
	}), store.ErrConflict)
}

func changesInTurn(_ *testing.T, d *desk) {
	ctx := d.Context()
	d.insert(referrals(0, 2, 10))
	later := noon.Add(time.Minute)
	d.commit(func(tx store.Tx) error {
		return tx.Update(ctx, []store.Change{
			{ID: transferID(1), From: transfer.Queued, To: transfer.Released, ReleaseLeaf: 5, Flow: "hertswise@2#refer", At: noon},
			{ID: transferID(0), From: transfer.Queued, To: transfer.Held, ReleaseLeaf: -1, At: noon},
			{ID: transferID(1), From: transfer.Released, To: transfer.Received, ReleaseLeaf: -1, At: later},
		})
	})
	got, err := d.Transfer(ctx, transferID(1))
	d.noErr(err)
	want := referral(1, 10).Transfers[0]
	want.State, want.ReleaseLeaf, want.Flow, want.UpdatedAt = transfer.Received, 5, "hertswise@2#refer", later
	d.equal("what a later change leaves empty stays", got, want)
}

func assertions(_ *testing.T, d *desk) {
	ctx := d.Context()
	spend := func(n int, until, now time.Time) error {
		return d.InTx(ctx, func(tx store.Tx) error { return tx.SpendAssertion(ctx, hash("assertion", n), until, now) })
	}
	until := noon.Add(5 * time.Minute)
	d.noErr(spend(1, until, noon))
	d.noErr(spend(2, until, noon))
	d.errIs(spend(1, until, noon.Add(time.Second)), store.ErrConflict)
	d.errIs(spend(1, until.Add(time.Hour), until), store.ErrConflict)
	d.noErr(spend(1, until.Add(time.Hour), until.Add(time.Microsecond))) // past its expiry it was forgotten: its own expiry refuses it now
}

func logGrows(_ *testing.T, d *desk) {
	ctx := d.Context()
	add := func(log string, first int64, n int) error {
		batch, about := leaves(first, n, 30)
		if n > 0 {
			about[0].Transfer = ""
		}
		return d.InTx(ctx, func(tx store.Tx) error { return tx.AppendLog(ctx, log, batch, about) })
	}
	d.errIs(add(origin, 3, 1), store.ErrConflict)
	d.noErr(add(origin, 0, 0))
	d.noErr(add(origin, 0, 3))
	d.noErr(add("hub.example.org/another", 0, 2))
	d.errIs(add(origin, 0, 1), store.ErrConflict)
	d.errIs(add(origin, 2, 1), store.ErrConflict)
	d.errIs(add(origin, 4, 1), store.ErrConflict)
	d.errIs(add(origin, 0, 0), store.ErrConflict) // nothing added, but the head would go back to the beginning
	d.noErr(add(origin, 3, 600))

	all, err := d.Origins(ctx)
	d.noErr(err)
	d.equal("logs", all, []string{"hub.example.org/another", origin})
	log := d.Log(ctx, origin)
	size, checkpoint, err := log.Head()
	d.noErr(err)
	want, _ := leaves(3, 600, 30)
	d.equal("size", size, int64(603))
	d.equal("checkpoint", checkpoint, want.Checkpoint)
	got, err := log.Leaves(3, 603)
	d.noErr(err)
	d.equal("leaves", got, want.Leaves)
	got, err = log.Leaves(5, 5)
	d.noErr(err)
	d.equal("an empty range", len(got), 0)
	_, err = log.Leaves(600, 604)
	d.errIs(err, ledger.ErrAbsent)
	for i := range int64(2) {
		tile, err := log.Tile(0, i)
		d.noErr(err)
		d.equal("tile", tile, want.Tiles[i].Hash)
	}
	_, err = log.Tile(0, 2)
	d.errIs(err, ledger.ErrAbsent)
	refs, err := d.LeavesOf(ctx, []transfer.TransferID{transferID(1), transferID(300), transferID(9999)})
	d.noErr(err)
	d.equal("leaves about two transfers", refs, []store.LeafRef{
		{Origin: "hub.example.org/another", Index: 1, Transfer: transferID(1)},
		{Origin: origin, Index: 1, Transfer: transferID(1)},
		{Origin: origin, Index: 300, Transfer: transferID(300)},
	})

	batch, about := leaves(603, 2, 30)
	if err := d.InTx(ctx, func(tx store.Tx) error { return tx.AppendLog(ctx, origin, batch, about[:1]) }); err == nil {
		d.Error("two leaves about one transfer were taken")
	}
}

func nothingLeft(t *testing.T, d *desk) {
	ctx := d.Context()
	batch, about := leaves(0, 2, 30)
	bad := errors.New("the caller thought better of it")
	d.errIs(d.InTx(ctx, func(tx store.Tx) error {
		return errors.Join(tx.Insert(ctx, referrals(0, 2, 10)), tx.AppendLog(ctx, origin, batch, about), bad)
	}), bad)

	// An error that the caller swallows still fails the commit: half of what was asked for must not stay.
	d.errIs(d.InTx(ctx, func(tx store.Tx) error {
		rows := referrals(0, 100, 10)
		rows.Identifiers = append(rows.Identifiers, rows.Identifiers[0])
		_ = tx.Insert(ctx, rows)
		if _, err := tx.Load(ctx, &store.Wanted{Transfers: []transfer.TransferID{transferID(1)}}); err == nil {
			t.Error("a transaction goes on after an error")
		}
		return nil
	}), store.ErrConflict)

	func() {
		defer func() { _ = recover() }()
		_ = d.InTx(ctx, func(tx store.Tx) error {
			if err := tx.Insert(ctx, referrals(0, 1, 10)); err != nil {
				t.Error(err)
			}
			panic("in a transaction")
		})
	}()

	got, err := d.Inbox(ctx, "carers-in-hertfordshire", "", 10)
	d.noErr(err)
	d.equal("transfers", len(got), 0)
	size, _, err := d.Log(ctx, origin).Head()
	d.noErr(err)
	d.equal("size of the log", size, int64(0))
	d.insert(referrals(0, 2, 10))
}

// patience is how long a test watches for something that must not happen.
const patience = 30 * time.Millisecond

func withdrawalAndRelease(t *testing.T, d *desk) {
	ctx := d.Context()
	d.insert(referrals(0, 1, 10))
	person := []transfer.SubjectID{subjectID(0)}
	seen := make(chan int, 1) // consent events that the release saw
	var release sync.WaitGroup
	withdraw := func(tx store.Tx) error {
		if _, _, err := tx.LoadPeople(ctx, person, nil); err != nil {
			return err
		}
		release.Go(func() {
			err := d.InTx(ctx, func(tx store.Tx) error {
				_, consents, err := tx.LoadPeople(ctx, nil, person)
				seen <- len(consents)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		select {
		case <-seen:
			return errors.New("a release went ahead while consent was being withdrawn")
		case <-time.After(patience):
		}
		return tx.Insert(ctx, &store.Insertions{Consents: []store.Consent{{ID: "withdrawal", Subject: person[0], At: noon}}})
	}
	err := d.InTx(ctx, withdraw)
	release.Wait()
	d.noErr(err)
	d.equal("consent events that the release saw", <-seen, 1)
}

func twoReleases(t *testing.T, d *desk) {
	ctx := d.Context()
	d.insert(referrals(0, 1, 10))
	id := []transfer.TransferID{transferID(0)}
	seen := make(chan transfer.State, 1) // by the second
	var second sync.WaitGroup
	err := d.InTx(ctx, func(tx store.Tx) error {
		if _, err := tx.Load(ctx, &store.Wanted{Transfers: id}); err != nil {
			return err
		}
		second.Go(func() {
			err := d.InTx(ctx, func(tx store.Tx) error {
				got, err := tx.Load(ctx, &store.Wanted{Transfers: id})
				if err == nil {
					seen <- got.Transfers[0].State
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		select {
		case <-seen:
			return errors.New("a transfer was read for a release while it was being released")
		case <-time.After(patience):
		}
		return tx.Update(ctx, []store.Change{{ID: id[0], From: transfer.Queued, To: transfer.Released, ReleaseLeaf: 1, At: noon}})
	})
	second.Wait()
	d.noErr(err)
	d.equal("the state that the second release saw", <-seen, transfer.Released)
}

func twoWriters(t *testing.T, d *desk) {
	ctx := d.Context()
	const rounds = 10
	for round := range int64(rounds) {
		var (
			writers sync.WaitGroup
			results [3]error
		)
		for w := range results {
			writers.Go(func() {
				batch, about := leaves(round*2, 2, 30)
				results[w] = d.InTx(ctx, func(tx store.Tx) error { return tx.AppendLog(ctx, origin, batch, about) })
			})
		}
		writers.Wait()
		won := 0
		for _, err := range results {
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrConflict) {
				t.Errorf("round %d: a loser gets ErrConflict, got %v", round, err)
			}
		}
		d.equal("winners", won, 1)
	}
	_, err := d.Log(ctx, origin).Leaves(0, 2*rounds)
	d.noErr(err)
}

func lockOrder(t *testing.T, d *desk) {
	ctx := d.Context()
	d.insert(referrals(0, 4, 10))
	orders := [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}}
	var copies sync.WaitGroup
	for _, order := range orders {
		copies.Go(func() {
			var persons []transfer.SubjectID
			var transfers []transfer.TransferID
			for _, n := range order {
				persons, transfers = append(persons, subjectID(n)), append(transfers, transferID(n))
			}
			for range 20 {
				tries := 0
				err := d.InTx(ctx, func(tx store.Tx) error {
					tries++
					_, err := tx.Load(ctx, &store.Wanted{Transfers: transfers})
					_, _, err2 := tx.LoadPeople(ctx, persons, nil)
					return errors.Join(err, err2)
				})
				if err != nil || tries > 1 {
					t.Errorf("locking took %d tries: %v", tries, err)
				}
			}
		})
	}
	copies.Wait()
}

func givesUp(_ *testing.T, d *desk) {
	ctx, giveUp := context.WithCancel(d.Context())
	err := d.InTx(ctx, func(tx store.Tx) error {
		if err := tx.Insert(ctx, referrals(0, 1, 10)); err != nil {
			return err
		}
		giveUp()
		_, err := tx.Load(ctx, &store.Wanted{Transfers: []transfer.TransferID{transferID(0)}})
		return err
	})
	d.errIs(err, context.Canceled)
	_, err = d.Transfer(ctx, transferID(0))
	d.errIs(err, context.Canceled)
	d.errIs(d.InTx(ctx, func(store.Tx) error { return nil }), context.Canceled)
	_, err = d.Transfer(d.Context(), transferID(0))
	d.errIs(err, store.ErrNotFound)
	d.insert(referrals(0, 1, 10))
}
