package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Everything asks s for everything that a store can do, in ten small groups, so that a test of an engine can look at how it does it.
func Everything(tb testing.TB, s store.Store) {
	tb.Helper()
	ctx := tb.Context()
	const group = 3
	for n := 0; n < 10*group; n += group {
		rows := referrals(n, n+group, 100)
		transfers, subject := ids(rows.Transfers), rows.Subjects[0].ID
		rows.Consents = []store.Consent{{ID: string(transfers[0]), Subject: subject, At: noon}}
		batch, about := leaves(int64(n), group, 100)
		err := s.InTx(ctx, func(tx store.Tx) error { return writeEverything(ctx, tx, rows, subject, func() error { return tx.AppendLog(ctx, origin, batch, about) }) })
		if err == nil {
			err = readEverything(ctx, s, transfers, subject)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func writeEverything(ctx context.Context, tx store.Tx, rows *store.Insertions, subject transfer.SubjectID, appendLog func() error) error {
	transfers, subjects := ids(rows.Transfers), []transfer.SubjectID{subject}
	first := rows.Transfers[0]
	change := store.Change{ID: first.ID, From: transfer.Queued, To: transfer.Released, ReleaseLeaf: 1, At: noon}
	_, err1 := tx.TransfersByMessage(ctx, []store.MessageKey{{Sender: first.Sender, MessageID: first.MessageID}})
	_, err2 := tx.SubjectsByIdentifier(ctx, [][32]byte{rows.Identifiers[0].Hash})
	err3 := tx.Insert(ctx, rows)
	_, err4 := tx.LockTransfers(ctx, transfers)
	_, err5 := tx.LockSubjects(ctx, subjects, true)
	_, err6 := tx.LockSubjects(ctx, subjects, false)
	_, err7 := tx.Payloads(ctx, transfers)
	err8 := tx.Update(ctx, []store.Change{change})
	err9 := tx.DeletePayloads(ctx, transfers[1:])
	err10 := tx.OutboxDefer(ctx, rows.Outbox)
	err11 := tx.OutboxDone(ctx, transfers[1:])
	err12 := tx.SpendAssertion(ctx, rows.Identifiers[0].Hash, noon.Add(time.Hour), noon)
	return errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, appendLog())
}

func readEverything(ctx context.Context, s store.Store, transfers []transfer.TransferID, subject transfer.SubjectID) error {
	subjects := []transfer.SubjectID{subject}
	_, err1 := s.Transfer(ctx, transfers[0])
	_, err2 := s.Inbox(ctx, "carers-in-hertfordshire", "", 10)
	_, err3 := s.InState(ctx, "", transfer.Held, "", 10)
	_, err4 := s.InState(ctx, "carers-in-hertfordshire", transfer.Held, "", 10)
	_, err5 := s.Payload(ctx, transfers[0])
	_, err6 := s.Subjects(ctx, subjects)
	_, err7 := s.TransferSubjects(ctx, transfers)
	_, err8 := s.TransfersOf(ctx, subjects, nil)
	_, err9 := s.Consents(ctx, subjects)
	_, err10 := s.Expired(ctx, noon, 10)
	_, err11 := s.Due(ctx, noon, 10)
	_, err12 := s.LeavesOf(ctx, transfers)
	_, err13 := s.Origins(ctx)
	_, _, err14 := s.Log(ctx, origin).Head()
	_, err15 := s.Log(ctx, origin).Leaves(0, 3)
	_, err16 := s.Log(ctx, origin).Tile(0, 0)
	if errors.Is(err16, store.ErrNotFound) {
		err16 = nil // no tile is full yet
	}
	return errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13, err14, err15, err16)
}
