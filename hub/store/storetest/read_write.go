package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

func empty(_ *testing.T, d *desk) {
	ctx := d.Context()
	d.noErr(d.Ping(ctx))
	for what, list := range map[string]func() (int, error){
		"inbox": func() (int, error) { l, err := d.Inbox(ctx, "carers-in-hertfordshire", "", 10); return len(l), err },
		"held": func() (int, error) {
			l, err := d.InState(ctx, "carers-in-hertfordshire", transfer.Held, "", 10)
			return len(l), err
		},
		"expired":     func() (int, error) { l, err := d.Expired(ctx, noon, 10); return len(l), err },
		"due":         func() (int, error) { l, err := d.Due(ctx, noon, 10); return len(l), err },
		"origins":     func() (int, error) { l, err := d.Origins(ctx); return len(l), err },
		"transfers":   func() (int, error) { l, err := d.Transfers(ctx, nil); return len(l), err },
		"identifiers": func() (int, error) { l, err := d.SubjectsByIdentifier(ctx, nil); return len(l), err },
	} {
		n, err := list()
		d.noErr(err)
		d.equal(what, n, 0)
	}
	size, checkpoint, err := d.Log(ctx, origin).Head()
	d.noErr(err)
	d.equal("size of a log never written to", size, int64(0))
	d.equal("its checkpoint", len(checkpoint), 0)

	d.commit(func(store.Tx) error { return nil })
	d.commit(func(tx store.Tx) error {
		return errors.Join(tx.Insert(ctx, &store.Insertions{}), tx.Update(ctx, nil), tx.DeletePayloads(ctx, nil), tx.OutboxDone(ctx, nil), tx.OutboxDefer(ctx, nil))
	})
}

func missing(_ *testing.T, d *desk) {
	ctx := d.Context()
	absent := []transfer.TransferID{transferID(9)}
	d.insert(referrals(1, 3, 10))
	_, err := d.Transfer(ctx, transferID(9))
	d.errIs(err, store.ErrNotFound)
	_, err = d.Log(ctx, origin).Leaves(0, 1)
	d.errIs(err, ledger.ErrAbsent)
	_, err = d.Log(ctx, origin).Tile(0, 0)
	d.errIs(err, ledger.ErrAbsent)
	if _, err = d.Log(ctx, origin).Leaves(1, 0); err == nil {
		d.Error("a range that ends before it begins was read")
	}

	got, err := d.Transfers(ctx, []transfer.TransferID{transferID(9), transferID(2), transferID(1), transferID(2)})
	d.noErr(err)
	d.equal("of four ids, one absent and one named twice", ids(got), []transfer.TransferID{transferID(1), transferID(2)})
	d.equal("what nothing is known of", d.load(&store.Wanted{
		Messages: []store.MessageKey{{Sender: "another-sender", MessageID: "msg"}}, Identifiers: [][32]byte{hash("unknown", 0)},
		Transfers: absent, People: absent, Payloads: absent,
	}), &store.Loaded{})
}

// oddReferral has every field filled, and with what is easily lost on the way.
func oddReferral() store.Insertions {
	r := referral(1, 70_000)
	t := &r.Transfers[0]
	t.Undertaking, t.Push, t.State, t.ReleaseLeaf = "public-task", true, transfer.Released, 1<<40
	t.CorrelationID = "“Ŵyth” ' \" \\ ; -- \n€"
	t.BodyDigest = []byte{0, 1, 0, 255}
	t.UpdatedAt = noon.Add(time.Microsecond)
	r.TransferSubjects = append(r.TransferSubjects, store.TransferSubject{Transfer: t.ID, Role: transfer.Child, Position: 11, Subject: subjectID(2)})
	return r
}

func written(_ *testing.T, d *desk) {
	ctx := d.Context()
	r := oddReferral()
	r.Consents = []store.Consent{
		{ID: "c2", Subject: subjectID(2), RecordedBy: "age-uk-hertfordshire", At: noon.Add(time.Microsecond), Body: []byte(`{"b":1, "a":2}`)},
		{ID: "c1", Subject: subjectID(2), RecordedBy: "age-uk-hertfordshire", At: noon, Body: []byte{}},
	}
	d.insert(&r)
	id := r.Transfers[0].ID

	got, err := d.Transfer(ctx, id)
	d.noErr(err)
	d.equal("transfer", got, r.Transfers[0])
	subjects, err := d.Subjects(ctx, []transfer.SubjectID{subjectID(2), subjectID(3)})
	d.noErr(err)
	slices.SortFunc(r.Subjects, func(a, b store.Subject) int { return strings.Compare(string(a.ID), string(b.ID)) })
	d.equal("subjects, in id order", subjects, r.Subjects)
	consents, err := d.Consents(ctx, []transfer.SubjectID{subjectID(3), subjectID(2)})
	d.noErr(err)
	d.equal("consents, in time order", consents, []store.Consent{r.Consents[1], r.Consents[0]})
	due, err := d.Due(ctx, noon.Add(time.Hour), 10)
	d.noErr(err)
	d.equal("outbox", due, r.Outbox)

	d.equal("all that a request may depend on", d.load(&store.Wanted{
		Messages: []store.MessageKey{
			{Sender: r.Transfers[0].Sender, MessageID: r.Transfers[0].MessageID},
			{Sender: "another-sender", MessageID: r.Transfers[0].MessageID},
		},
		Identifiers: [][32]byte{r.Identifiers[0].Hash},
		Transfers:   []transfer.TransferID{id}, People: []transfer.TransferID{transferID(9), id}, Payloads: []transfer.TransferID{id, transferID(9)},
	}), &store.Loaded{
		ByMessage: r.Transfers, Identifiers: r.Identifiers[:1], Transfers: r.Transfers, People: r.TransferSubjects, Payloads: r.Payloads,
	})
	d.commit(func(tx store.Tx) error {
		locked, consents, err := tx.LoadPeople(ctx, []transfer.SubjectID{r.Subjects[0].ID}, []transfer.SubjectID{r.Subjects[1].ID, subjectID(99)})
		d.equal("people, the exclusive ones first", locked, r.Subjects)
		d.equal("their consents", consents, []store.Consent{r.Consents[1], r.Consents[0]})
		return err
	})
}

func groups(_ *testing.T, d *desk) {
	ctx := d.Context()
	next := 0
	for _, size := range []int{1, 2, 15, 64, 67, 200} {
		rows := referrals(next, next+size, 100)
		var wanted []transfer.TransferID
		for _, t := range rows.Transfers {
			wanted = append(wanted, t.ID)
		}
		batch, about := leaves(int64(next), size, 50)
		d.commit(func(tx store.Tx) error {
			if err := tx.Insert(ctx, rows); err != nil {
				return err
			}
			return tx.AppendLog(ctx, origin, batch, about)
		})
		var changes []store.Change
		for _, id := range wanted {
			changes = append(changes, store.Change{ID: id, From: transfer.Queued, To: transfer.Released, ReleaseLeaf: 7, At: noon})
		}
		backwards := slices.Clone(wanted)
		slices.Reverse(backwards)
		d.equal(fmt.Sprintf("group of %d", size), d.load(&store.Wanted{Transfers: backwards, Payloads: backwards}),
			&store.Loaded{Transfers: rows.Transfers, Payloads: rows.Payloads})
		d.commit(func(tx store.Tx) error { return tx.Update(ctx, changes) })
		got, err := d.Transfers(ctx, wanted)
		d.noErr(err)
		for i, t := range got {
			if t.ID != wanted[i] || t.State != transfer.Released || t.ReleaseLeaf != 7 || t.Flow != rows.Transfers[i].Flow {
				d.Fatalf("group of %d: transfer %d is %+v", size, i, t)
			}
		}
		stored, err := d.Log(ctx, origin).Leaves(int64(next), int64(next+size))
		d.noErr(err)
		d.equal("leaves", stored, batch.Leaves)
		next += size
	}
}

func inbox(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 6, 10)
	rows.Transfers[1].Recipient = "age-uk-hertfordshire"
	rows.Transfers[2].State = transfer.Released
	rows.Transfers[3].State = transfer.Received
	d.insert(rows)
	first, err := d.Inbox(ctx, "carers-in-hertfordshire", "", 2)
	d.noErr(err)
	d.equal("first page: queued, and released but not yet received", ids(first), []transfer.TransferID{transferID(0), transferID(2)})
	second, err := d.Inbox(ctx, "carers-in-hertfordshire", first[1].ID, 10)
	d.noErr(err)
	d.equal("second page", ids(second), []transfer.TransferID{transferID(4), transferID(5)})
	d.equal("a whole row", second[0], rows.Transfers[4])
	d.commit(func(tx store.Tx) error {
		return tx.Update(ctx, []store.Change{
			{ID: transferID(0), From: transfer.Queued, To: transfer.Released, ReleaseLeaf: 9, At: noon},
			{ID: transferID(2), From: transfer.Released, To: transfer.Received, ReleaseLeaf: -1, At: noon},
			{ID: transferID(4), From: transfer.Queued, To: transfer.Stopped, ReleaseLeaf: -1, At: noon},
		})
	})
	left, err := d.Inbox(ctx, "carers-in-hertfordshire", "", 10)
	d.noErr(err)
	d.equal("after one was collected, one received and one stopped", ids(left), []transfer.TransferID{transferID(0), transferID(5)})
}

func inState(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 6, 10)
	for i := range rows.Transfers {
		rows.Transfers[i].State = transfer.Held
	}
	rows.Transfers[1].Sender = "age-uk-hertfordshire"
	rows.Transfers[2].Recipient = "age-uk-hertfordshire"
	rows.Transfers[3].Sender, rows.Transfers[3].State = "age-uk-hertfordshire", transfer.Refused
	d.insert(rows)
	list := func(p transfer.PartnerID, s transfer.State, after transfer.TransferID, limit int) []transfer.TransferID {
		got, err := d.InState(ctx, p, s, after, limit)
		d.noErr(err)
		return ids(got)
	}
	const recipient = transfer.PartnerID("carers-in-hertfordshire")
	d.equal("held, first page", list(recipient, transfer.Held, "", 3), []transfer.TransferID{transferID(0), transferID(1), transferID(4)})
	d.equal("held, second page", list(recipient, transfer.Held, transferID(4), 3), []transfer.TransferID{transferID(5)})
	d.equal("held, sent or received by one partner", list("age-uk-hertfordshire", transfer.Held, "", 9), []transfer.TransferID{transferID(1), transferID(2)})
	d.equal("refused", list("age-uk-hertfordshire", transfer.Refused, "", 9), []transfer.TransferID{transferID(3)})
	d.equal("somebody else's", len(list("other", transfer.Held, "", 9)), 0)
}

func eachTransfer(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 1005, 10) // more than are read at a time
	rows.Transfers[7].Log = "hub.example.org/another"
	d.insert(rows)
	d.commit(func(tx store.Tx) error { return tx.DeletePayloads(ctx, []transfer.TransferID{transferID(3)}) })
	var got []store.Transfer
	d.noErr(d.EachTransfer(ctx, origin, func(t store.Transfer, payload bool) error {
		d.equal("payload of "+string(t.ID), payload, t.ID != transferID(3))
		got = append(got, t)
		return nil
	}))
	d.equal("transfers of one log", got, slices.Delete(rows.Transfers, 7, 8))
	enough := errors.New("enough")
	d.errIs(d.EachTransfer(ctx, origin, func(store.Transfer, bool) error { return enough }), enough)
}

func dueAndExpired(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 4, 10)
	for i, days := range []int{3, 1, 2, 9} {
		rows.Transfers[i].ExpiresAt = noon.AddDate(0, 0, days)
		rows.Outbox[i].Due = noon.AddDate(0, 0, days)
		rows.Outbox[i].Attempt = days
	}
	d.insert(rows)

	expired, err := d.Expired(ctx, noon.AddDate(0, 0, 3), 10)
	d.noErr(err)
	d.equal("past their time, to the microsecond", ids(expired), []transfer.TransferID{transferID(1), transferID(2), transferID(0)})
	expired, err = d.Expired(ctx, noon.AddDate(0, 0, 3), 2)
	d.noErr(err)
	d.equal("the first two", ids(expired), []transfer.TransferID{transferID(1), transferID(2)})
	d.commit(func(tx store.Tx) error { return tx.DeletePayloads(ctx, []transfer.TransferID{transferID(2)}) })
	expired, err = d.Expired(ctx, noon.AddDate(0, 0, 3), 10)
	d.noErr(err)
	d.equal("a payload that has gone does not expire", ids(expired), []transfer.TransferID{transferID(1), transferID(0)})

	due, err := d.Due(ctx, noon.AddDate(0, 0, 2), 10)
	d.noErr(err)
	d.equal("due", due, []store.Outbox{rows.Outbox[1], rows.Outbox[2]})
	later := store.Outbox{Transfer: transferID(1), Recipient: rows.Outbox[1].Recipient, Due: noon.AddDate(0, 0, 20), Attempt: 2}
	again := rows.Outbox[0]
	again.Attempt = 0 // of 3: attempts never become fewer
	d.commit(func(tx store.Tx) error {
		return errors.Join(tx.OutboxDefer(ctx, []store.Outbox{later, again, {Transfer: transferID(99), Due: noon}}), tx.OutboxDone(ctx, []transfer.TransferID{transferID(2)}))
	})
	due, err = d.Due(ctx, noon.AddDate(0, 0, 30), 10)
	d.noErr(err)
	d.equal("due, after one was deferred and one done", due, []store.Outbox{rows.Outbox[0], rows.Outbox[3], later})
}

func people(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 3, 10)
	rows.TransferSubjects[2*2+1].Subject = subjectID(0) // the carer of the third referral is the carer of the first
	rows.Transfers[2].State = transfer.Held
	d.insert(rows)
	found, err := d.SubjectsByIdentifier(ctx, [][32]byte{hash("identifier", 0), hash("unknown", 0)})
	d.noErr(err)
	d.equal("known by an identifier", found, []store.Identifier{{Hash: hash("identifier", 0), Subject: subjectID(0)}})
	of := func(states ...transfer.State) []transfer.TransferID {
		got, err := d.TransfersOf(ctx, []transfer.SubjectID{subjectID(0), subjectID(1)}, states)
		d.noErr(err)
		return got
	}
	d.equal("every transfer of two people, each once", of(), []transfer.TransferID{transferID(0), transferID(2)})
	d.equal("those that are held", of(transfer.Held, transfer.Expired), []transfer.TransferID{transferID(2)})
	d.equal("those that are expired", len(of(transfer.Expired)), 0)
}

func deletedTwice(_ *testing.T, d *desk) {
	ctx := d.Context()
	d.insert(referrals(0, 2, 10))
	for range 2 {
		d.commit(func(tx store.Tx) error {
			return errors.Join(tx.DeletePayloads(ctx, []transfer.TransferID{transferID(0)}), tx.OutboxDone(ctx, []transfer.TransferID{transferID(0)}))
		})
	}
	both := []transfer.TransferID{transferID(0), transferID(1)}
	left := d.load(&store.Wanted{Transfers: both, Payloads: both})
	d.equal("transfers", ids(left.Transfers), both)
	d.equal("payloads", left.Payloads, referral(1, 10).Payloads)
	due, err := d.Due(ctx, noon.Add(time.Hour), 10)
	d.noErr(err)
	d.equal("outbox", len(due), 1)
}

func reopened(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 5, 3000)
	batch, about := leaves(0, 300, 40)
	d.commit(func(tx store.Tx) error {
		return errors.Join(tx.Insert(ctx, rows), tx.AppendLog(ctx, origin, batch, about))
	})
	for range 2 {
		before := d.Store
		d.reopen()
		if err := before.InTx(ctx, func(store.Tx) error { return nil }); err == nil {
			d.Error("a closed store takes a transaction")
		}
		got, err := d.Inbox(ctx, "carers-in-hertfordshire", "", 10)
		d.noErr(err)
		d.equal("transfers", got, rows.Transfers)
		d.equal("payload", d.load(&store.Wanted{Payloads: []transfer.TransferID{transferID(4)}}).Payloads, rows.Payloads[4:])
		size, checkpoint, err := d.Log(ctx, origin).Head()
		d.noErr(err)
		d.equal("size of the log", size, batch.Size)
		d.equal("checkpoint", checkpoint, batch.Checkpoint)
	}
}
