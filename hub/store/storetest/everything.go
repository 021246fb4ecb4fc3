package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Everything asks s for everything that a store can do, in ten small groups, so that a test of an engine can look at how it does it.
func Everything(tb testing.TB, s store.Store) {
	tb.Helper()
	const group = 3
	for n := 0; n < 10*group; n += group {
		rows := referrals(n, n+group, 100)
		subject := rows.Subjects[0].ID
		rows.Consents = []store.Consent{{ID: fmt.Sprint(n), Subject: subject, At: noon}}
		rows.Cases = []store.Case{{Reference: fmt.Sprint("case-", n), Version: 1}}
		rows.Notices = []store.Notice{{ID: fmt.Sprint("notice-", n), Version: 1}}
		rows.Shapes = []store.Shape{{ID: int64(n) + 1, First: store.LeafRef{Origin: origin, Index: int64(n)}}}
		rows.AgreementActs = []store.AgreementAct{{Seq: int64(n) + 1, Agreement: "hertswise", Version: 1, Log: origin}}
		batch, about := leaves(int64(n), group, 100)
		write := func(tx store.Tx) error {
			return errors.Join(tx.AppendLog(tb.Context(), origin, batch, about), writeEverything(tb.Context(), tx, rows, subject))
		}
		if err := s.InTx(tb.Context(), write); err != nil {
			tb.Fatal(err)
		}
		if err := readEverything(tb.Context(), s, ids(rows.Transfers), rows.Identifiers[0]); err != nil {
			tb.Fatal(err)
		}
	}
}

func writeEverything(ctx context.Context, tx store.Tx, rows *store.Insertions, subject transfer.SubjectID) error {
	transfers, subjects := ids(rows.Transfers), []transfer.SubjectID{subject}
	first := rows.Transfers[0]
	change := store.Change{ID: first.ID, From: transfer.Queued, To: transfer.Released, ReleaseLeaf: 1, At: noon}
	known := rows.Identifiers[0].Hash
	work := store.Work{Transfer: first.ID, Queue: store.Holds, Sender: first.Sender, Owner: "dpl", Deadline: noon, Log: origin}
	var errs [22]error
	_, errs[0] = tx.Load(ctx, &store.Wanted{
		Messages: []store.MessageKey{{Sender: first.Sender, MessageID: first.MessageID}}, Identifiers: [][32]byte{known},
	})
	errs[1] = tx.Insert(ctx, rows)
	errs[2] = tx.Insert(ctx, &store.Insertions{
		Work: []store.Work{work}, Rulings: []store.Ruling{{ID: known, Transfer: first.ID, At: noon}},
		Requests: []store.Request{{Reference: string(first.ID), Partner: first.Sender, State: "open"}},
		Entries:  []store.Entry{{ID: known, Digest: []byte{1}, Log: origin}},
	})
	_, errs[3] = tx.Load(ctx, &store.Wanted{
		Transfers: transfers, People: transfers, Payloads: transfers, Requests: []string{string(first.ID)}, Entries: [][32]byte{known},
		Cases: []string{rows.Cases[0].Reference}, Notices: []string{rows.Notices[0].ID}, NoticesOf: []string{rows.Cases[0].Reference},
	})
	_, _, errs[4] = tx.LoadPeople(ctx, subjects, []transfer.SubjectID{rows.Subjects[1].ID})
	_, errs[5] = tx.TransfersOf(ctx, subjects, nil)
	errs[6] = tx.Update(ctx, []store.Change{change})
	errs[21] = tx.RemarkPeople(ctx, rows.Subjects[:1])
	errs[7] = tx.DeletePayloads(ctx, transfers[1:])
	errs[8] = tx.WorkDone(ctx, []store.WorkKey{{Transfer: first.ID, Queue: store.Refusals}}, noon)
	errs[9] = tx.DecideRequests(ctx, []store.Request{{Reference: string(first.ID), State: "granted"}})
	errs[10] = tx.OutboxDefer(ctx, rows.Outbox)
	errs[11] = tx.OutboxDone(ctx, transfers[1:])
	errs[12] = tx.SpendAssertion(ctx, known, noon.Add(time.Hour), noon)
	errs[13] = tx.UpdateCases(ctx, []store.Case{{Reference: rows.Cases[0].Reference, Version: 2}})
	errs[14] = tx.UpdateNotices(ctx, []store.Notice{{ID: rows.Notices[0].ID, Version: 2}})
	errs[15] = tx.ErasePeople(ctx, []transfer.SubjectID{rows.Subjects[2].ID})
	errs[16] = tx.PublishCheckpoint(ctx, store.Checkpoint{Log: origin, Size: first.DecisionLeaf, At: noon})
	errs[18] = tx.DeleteConsents(ctx, []string{"c-none"})
	errs[19] = tx.DeleteCases(ctx, []string{"case-none"})
	errs[20] = tx.DeleteRequests(ctx, []string{"req-none"})
	errs[17] = tx.Cosign(ctx, []store.Cosignature{{Log: origin, Size: first.DecisionLeaf, Witness: "pohwer", At: noon}})
	return errors.Join(errs[:]...)
}

func readEverything(ctx context.Context, s store.Store, transfers []transfer.TransferID, known store.Identifier) error {
	subjects := []transfer.SubjectID{known.Subject}
	var errs [41]error
	_, errs[0] = s.Transfer(ctx, transfers[0])
	_, errs[1] = s.Transfers(ctx, transfers)
	_, errs[2] = s.Inbox(ctx, "carers-in-hertfordshire", "", 10)
	_, errs[3] = s.InState(ctx, "carers-in-hertfordshire", transfer.Held, "", 10)
	_, errs[4] = s.SubjectsByIdentifier(ctx, [][32]byte{known.Hash})
	_, errs[5] = s.Subjects(ctx, subjects)
	_, errs[6] = s.TransfersOf(ctx, subjects, nil)
	_, errs[7] = s.Consents(ctx, subjects)
	_, errs[8] = s.Expired(ctx, noon, 10)
	_, errs[9] = s.Due(ctx, noon, 10)
	_, errs[10] = s.LeavesOf(ctx, transfers)
	_, errs[11] = s.Origins(ctx)
	_, _, errs[12] = s.Log(ctx, origin).Head()
	_, errs[13] = s.Log(ctx, origin).Leaves(0, 3)
	errs[14] = s.EachTransfer(ctx, origin, func(store.Transfer, bool) error { return nil })
	_, errs[15] = s.Work(ctx, store.WorkQuery{Queue: store.Holds, Limit: 10})
	_, errs[16] = s.Work(ctx, store.WorkQuery{Queue: store.Holds, Sender: "carers-in-hertfordshire", Limit: 10})
	_, errs[17] = s.Requests(ctx, "", "", "", 10)
	_, errs[18] = s.Requests(ctx, "carers-in-hertfordshire", "open", "", 10)
	_, errs[19] = s.LeafBodies(ctx, []store.LeafRef{{Origin: origin, Index: 1}})
	_, errs[20] = s.Shapes(ctx)
	errs[20] = errors.Join(errs[20], s.EachShape(ctx, func(int64, []byte) error { return nil }))
	_, errs[21] = s.ShapeUse(ctx, origin, 0, 100)
	_, errs[22] = s.LeavesByShape(ctx, store.ShapeQuery{Log: origin, Shapes: []int64{1, 2}, To: 3, Limit: 10})
	_, errs[23] = s.LeavesByShape(ctx, store.ShapeQuery{Log: origin, Shapes: []int64{1, 2}, To: 100, Limit: 10})
	_, errs[24] = s.LeavesByShape(ctx, store.ShapeQuery{Log: origin, Shapes: []int64{1, 2}, To: 100, Limit: 10, Descending: true})
	for i, q := range []store.CaseQuery{
		{}, {Partner: "pohwer"}, {Type: "access"}, {State: "open"}, {Subject: "person"}, {DueBefore: noon}, {State: "open", DueBefore: noon},
	} {
		q.Limit = 10
		_, errs[25+i] = s.Cases(ctx, q)
	}
	for i, q := range []store.NoticeQuery{{Sender: "pohwer"}, {Recipient: "pohwer"}, {Case: "case-1"}, {Recipient: "pohwer", State: "sent", DueBefore: noon}} {
		q.Limit = 10
		_, errs[32+i] = s.Notices(ctx, q)
	}
	_, errs[36] = s.Checkpoints(ctx, origin, 0, 10)
	_, errs[37] = s.Cosignatures(ctx, origin, 3)
	_, errs[38] = s.CosignaturesFrom(ctx, origin, 3, 10)
	if _, err := s.Log(ctx, origin).Tile(0, 0); !errors.Is(err, ledger.ErrAbsent) {
		return fmt.Errorf("a tile that is not full yet: %w", err)
	}
	_, errs[39] = s.IdlePeople(ctx, noon, "", 10)
	errs[40] = s.Snapshot(ctx, func(snap store.Snapshot) error {
		_, err := snap.Borne(ctx, origin, 0, 3)
		_, err2 := snap.Places(ctx, transfers)
		return errors.Join(err, err2)
	})
	return errors.Join(errs[:]...)
}
