package storetest

import (
	"errors"
	"slices"
	"testing"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// snapshot asks about one moment.
func (d *desk) snapshot(f func(store.Snapshot) error) {
	d.Helper()
	d.noErr(d.Snapshot(d.Context(), f))
}

func oneMoment(_ *testing.T, d *desk) {
	ctx := d.Context()
	d.insert(referrals(0, 2, 10))
	both := []transfer.TransferID{transferID(0), transferID(1), transferID(2)}
	d.snapshot(func(s store.Snapshot) error {
		before, err := s.Transfers(ctx, both)
		d.noErr(err)
		d.insert(referrals(2, 3, 10)) // it holds up nobody who writes
		d.commit(func(tx store.Tx) error {
			return errors.Join(tx.Update(ctx, moves(both[:1], transfer.Queued, transfer.Stopped)), tx.DeletePayloads(ctx, both[:1]))
		})
		after, err := s.Transfers(ctx, both)
		d.noErr(err)
		d.equal("transfers, as they were", after, before)
		payloads := 0
		d.noErr(s.EachPayload(ctx, func(store.Payload) error { payloads++; return nil }))
		d.equal("payloads, as they were", payloads, 2)
		return nil
	})
	enough := errors.New("enough")
	d.errIs(d.Snapshot(ctx, func(store.Snapshot) error { return enough }), enough)
	d.snapshot(func(s store.Snapshot) error {
		now, err := s.Transfers(ctx, both)
		d.equal("transfers afterwards", len(now), 3)
		return err
	})
}

func borne(_ *testing.T, d *desk) {
	ctx := d.Context()
	none := func(int64) int64 { return 0 }
	d.grow(origin, 0, 9, none)
	d.grow(another, 0, 9, none)
	id := hash("row", 1)
	mac := []byte{1, 2, 3}
	rows := &store.Insertions{
		Consents:      []store.Consent{{ID: "c", Subject: subjectID(1), RecordedBy: "pohwer", At: noon, Body: []byte("{}"), Log: origin, Leaf: 3, MAC: mac}},
		Rulings:       []store.Ruling{{ID: id, Transfer: transferID(1), At: noon, Body: []byte("{}"), Log: origin, Leaf: 3, MAC: mac}},
		Requests:      []store.Request{{Reference: "r", Partner: "pohwer", State: "open", Body: []byte("{}"), Log: origin, Leaf: 3, MAC: mac}},
		Entries:       []store.Entry{{ID: id, Digest: mac, Answer: "r", Log: origin, Leaf: 3, MAC: mac}},
		AgreementActs: []store.AgreementAct{{Seq: 1, Agreement: "hertswise", Version: 1, Body: []byte("{}"), Log: origin, Leaf: 3, MAC: mac}},
		Cases:         []store.Case{someCase(1)},
		Notices:       []store.Notice{someNotice(1)},
		Work:          []store.Work{someWork(3)},
	}
	rows.Cases[0].Log, rows.Cases[0].Leaf, rows.Cases[0].MAC = origin, 3, mac
	rows.Notices[0].Log, rows.Notices[0].Leaf, rows.Notices[0].MAC = origin, 3, mac
	d.insert(rows)
	want := &store.Borne{
		Leaves:   []store.LeafRow{{Index: 3, LeafAbout: store.LeafAbout{Transfer: transferID(3)}}},
		Consents: rows.Consents, Rulings: rows.Rulings, Requests: rows.Requests, Entries: rows.Entries, Acts: rows.AgreementActs, Cases: rows.Cases,
		Notices: rows.Notices, Work: rows.Work,
	}
	d.snapshot(func(s store.Snapshot) error {
		got, err := s.Borne(ctx, origin, 3, 4)
		d.noErr(err)
		d.equal("what one leaf bears out", got, want)
		got, err = s.Borne(ctx, origin, 4, 9)
		d.noErr(err)
		d.equal("rows of the leaves behind it", []int{len(got.Leaves), len(got.Consents), len(got.Work)}, []int{5, 0, 0})
		got, err = s.Borne(ctx, another, 3, 4)
		d.noErr(err)
		d.equal("rows of another log", []int{len(got.Leaves), len(got.Cases)}, []int{1, 0})
		heads, err := s.Logs(ctx)
		d.noErr(err)
		b, _ := leaves(0, 9, 30)
		d.equal("heads", heads, []store.LogHead{{Origin: another, Size: 9, Root: b.Root[:], Checkpoint: b.Checkpoint}, {Origin: origin, Size: 9, Root: b.Root[:], Checkpoint: b.Checkpoint}})
		return nil
	})

	// A change names its newest leaf, and takes a new mark.
	k, n, q := rows.Cases[0], rows.Notices[0], rows.Requests[0]
	k.Version, k.Leaf, k.MAC = 2, 7, []byte{7}
	n.Version, n.Leaf, n.MAC = 2, 7, []byte{7}
	q.State, q.Leaf, q.MAC = "granted", 7, []byte{7}
	d.commit(func(tx store.Tx) error {
		return errors.Join(tx.UpdateCases(ctx, []store.Case{k}), tx.UpdateNotices(ctx, []store.Notice{n}), tx.DecideRequests(ctx, []store.Request{q}))
	})
	d.snapshot(func(s store.Snapshot) error {
		got, err := s.Borne(ctx, origin, 7, 8)
		d.noErr(err)
		d.equal("what has changed", got, &store.Borne{
			Leaves: []store.LeafRow{{Index: 7, LeafAbout: store.LeafAbout{Transfer: transferID(7)}}}, Cases: []store.Case{k}, Notices: []store.Notice{n}, Requests: []store.Request{q},
		})
		return nil
	})
}

func everybody(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 700, 10) // more people than are read at a time
	lost := store.Identifier{Hash: hash("lost", 1), Subject: "01959a00-0000-7000-9000-000000000700x"}
	last := store.Identifier{Hash: hash("lost", 2), Subject: "nobody"}
	rows.Identifiers = append(rows.Identifiers, store.Identifier{Hash: hash("case number", 7), Subject: subjectID(7)}, lost, last)
	for i := range rows.Subjects {
		rows.Subjects[i].MAC = []byte{byte(i)}
	}
	d.insert(rows)
	d.commit(func(tx store.Tx) error {
		return tx.RemarkPeople(ctx, []store.Subject{{ID: subjectID(7), MAC: []byte("another")}})
	})
	d.errIs(d.InTx(ctx, func(tx store.Tx) error {
		return tx.RemarkPeople(ctx, []store.Subject{{ID: subjectID(5000)}})
	}), store.ErrConflict)
	people, known := 0, map[transfer.SubjectID]int{}
	d.snapshot(func(s store.Snapshot) error {
		return s.EachPerson(ctx, func(p store.Subject, ids []store.Identifier) error {
			if p.MAC != nil {
				people++
			}
			if p.ID == subjectID(7) {
				d.equal("the new mark", string(p.MAC), "another")
			}
			if slices.ContainsFunc(ids, func(i store.Identifier) bool { return i.Subject != p.ID }) {
				d.Errorf("%s is visited with the identifiers of others", p.ID)
			}
			known[p.ID] += len(ids)
			return nil
		})
	})
	d.equal("people", people, 1400)
	d.equal("identifiers of one who has two, of one who has one, and of two who are not there",
		[]int{known[subjectID(7)], known[subjectID(8)], known[lost.Subject], known[last.Subject], len(known)}, []int{2, 1, 1, 1, 1402})
	places := []transfer.TransferID{transferID(3)}
	d.snapshot(func(s store.Snapshot) error {
		got, err := s.Places(ctx, places)
		d.equal("who is in a transfer", got, rows.TransferSubjects[6:8])
		return err
	})
}

func strays(_ *testing.T, d *desk) {
	ctx := d.Context()
	d.grow(origin, 0, 600, func(int64) int64 { return 0 })
	whole := referrals(0, 4, 10)
	d.insert(whole)
	d.insert(&store.Insertions{Shapes: []store.Shape{{ID: 1, First: store.LeafRef{Origin: origin, Index: 5}}}})
	found := func() (out []string) {
		d.snapshot(func(s store.Snapshot) error {
			all, err := s.Strays(ctx)
			for _, x := range all {
				out = append(out, x.Table+" "+x.Key)
			}
			return err
		})
		return out
	}
	d.equal("of a whole store", len(found()), 0)

	pushed := referral(5, 10)
	pushed.Transfers[0].Push, pushed.Outbox, pushed.Transfers[0].Log = true, nil, "hub.example.org/unknown"
	d.insert(&pushed)
	d.insert(&store.Insertions{
		Outbox:           []store.Outbox{{Transfer: transferID(9), Recipient: "pohwer"}},
		TransferSubjects: []store.TransferSubject{{Transfer: transferID(9), Role: transfer.Carer, Subject: subjectID(1)}},
		Cases:            []store.Case{{Reference: "case-1", Version: 1, Log: "hub.example.org/unknown"}},
		Shapes:           []store.Shape{{ID: 2, First: store.LeafRef{Origin: origin, Index: 5000}}},
	})
	d.commit(func(tx store.Tx) error {
		return errors.Join(tx.Cosign(ctx, []store.Cosignature{{Log: origin, Size: 3, Witness: "kent.example/witness", At: noon}}),
			tx.Update(ctx, moves([]transfer.TransferID{transferID(1)}, transfer.Queued, transfer.Stopped)))
	})
	d.equal("rows that belong to nothing", found(), []string{
		"transfers " + string(transferID(5)), "cases case-1", "transfer_subjects " + string(transferID(9)),
		"outbox " + string(transferID(1)), "outbox " + string(transferID(9)), "outbox " + string(transferID(5)),
		"cosignatures kent.example/witness", "shapes 2",
	})
}
