package storetest

import (
	"errors"
	"testing"
	"time"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// someWork is the n-th hold of a charity, due n hours after noon.
func someWork(n int) store.Work {
	return store.Work{
		Transfer: transferID(n), Queue: store.Holds, Sender: "carers-in-hertfordshire", Owner: "dpl",
		Deadline: noon.Add(time.Duration(n) * time.Hour), Log: origin, Leaf: int64(n),
	}
}

func work(_ *testing.T, d *desk) {
	ctx := d.Context()
	late, early, tie, other, refusal := someWork(5), someWork(1), someWork(6), someWork(3), someWork(7)
	tie.Deadline, tie.Owner = late.Deadline, "sender"
	other.Sender = "pohwer"
	refusal.Queue = store.Refusals
	d.insert(&store.Insertions{Work: []store.Work{late, tie, early, other, refusal}})

	list := func(what string, q store.WorkQuery, want ...store.Work) {
		d.Helper()
		q.Queue, q.Limit = store.Holds, max(q.Limit, 1)
		got, err := d.Work(ctx, q)
		d.noErr(err)
		d.equal(what, got, want)
	}
	const sender = transfer.PartnerID("carers-in-hertfordshire")
	list("a sender's, the earliest deadline first", store.WorkQuery{Sender: sender, Limit: 2}, early, late)
	list("the next page, from the middle of one deadline", store.WorkQuery{Sender: sender, From: late.Deadline, After: late.Transfer, Limit: 2}, tie)
	list("everybody's", store.WorkQuery{Limit: 10}, early, other, late, tie)
	list("one owner's", store.WorkQuery{Sender: sender, Owner: "sender", Limit: 10}, tie)

	moved := early
	moved.Owner, moved.Deadline, moved.Leaf = "safeguarding-lead", noon.Add(9*time.Hour), 99
	d.insert(&store.Insertions{Work: []store.Work{moved}})
	list("after it was decided again", store.WorkQuery{Sender: sender, Limit: 10}, late, tie, moved)
	for range 2 {
		d.commit(func(tx store.Tx) error {
			return tx.WorkDone(ctx, []store.WorkKey{{Transfer: late.Transfer, Queue: store.Holds}, {Transfer: tie.Transfer, Queue: store.Refusals}}, noon)
		})
		list("after one was done", store.WorkQuery{Sender: sender, Limit: 10}, tie, moved)
	}
	refusals := func() int {
		got, err := d.Work(ctx, store.WorkQuery{Queue: store.Refusals, Limit: 10})
		d.noErr(err)
		return len(got)
	}
	d.equal("refusals before their deadline", refusals(), 1)
	d.commit(func(tx store.Tx) error { return tx.WorkDone(ctx, nil, refusal.Deadline.Add(time.Second)) })
	d.equal("refusals after it", refusals(), 0)
	list("and nothing else is over", store.WorkQuery{Sender: sender, Limit: 10}, tie, moved)
}

func rulings(_ *testing.T, d *desk) {
	ctx := d.Context()
	first := store.Ruling{ID: hash("ruling", 1), Transfer: transferID(1), At: noon, Body: []byte(`{"Act":"release"}`)}
	second := store.Ruling{ID: hash("ruling", 2), Transfer: transferID(1), At: noon.Add(time.Microsecond), Body: []byte{}}
	d.insert(&store.Insertions{Rulings: []store.Ruling{second, first}})
	d.errIs(d.InTx(ctx, func(tx store.Tx) error {
		return tx.Insert(ctx, &store.Insertions{Rulings: []store.Ruling{first}})
	}), store.ErrConflict)
	got := d.load(&store.Wanted{People: []transfer.TransferID{transferID(1), transferID(2)}})
	d.equal("rulings, with the people of a transfer, oldest first", got.Rulings, []store.Ruling{first, second})
}

func requests(_ *testing.T, d *desk) {
	ctx := d.Context()
	a := store.Request{Reference: "req-a", Partner: "carers-in-hertfordshire", State: "open", Body: []byte(`{"n":1}`)}
	b := store.Request{Reference: "req-b", Partner: "carers-in-hertfordshire", State: "open", Body: []byte(`{"n":2}`)}
	c := store.Request{Reference: "req-c", Partner: "pohwer", State: "open", Body: []byte(`{"n":3}`)}
	d.insert(&store.Insertions{Requests: []store.Request{c, b, a}})
	granted := a
	granted.State, granted.Body = "granted", []byte(`{"n":4}`)
	decide := func() error {
		return d.InTx(ctx, func(tx store.Tx) error {
			_, err := tx.Load(ctx, &store.Wanted{Requests: []string{"req-a"}})
			return errors.Join(err, tx.DecideRequests(ctx, []store.Request{granted}))
		})
	}
	d.noErr(decide())
	d.errIs(decide(), store.ErrConflict)
	d.equal("requests by reference", d.load(&store.Wanted{Requests: []string{"req-a", "req-x"}}).Requests, []store.Request{granted})
	list := func(what string, partner transfer.PartnerID, state, after string, want ...store.Request) {
		d.Helper()
		got, err := d.Requests(ctx, partner, state, after, 10)
		d.noErr(err)
		d.equal(what, got, want)
	}
	list("a partner's", "carers-in-hertfordshire", "", "", granted, b)
	list("those still open", "carers-in-hertfordshire", "open", "", b)
	list("everybody's after the first", "", "", "req-a", b, c)
}

func entries(_ *testing.T, d *desk) {
	ctx := d.Context()
	e := store.Entry{ID: hash("entry", 1), Digest: []byte{1, 2}, Answer: "req-1", Log: origin, Leaf: 7}
	d.insert(&store.Insertions{Entries: []store.Entry{e}})
	d.errIs(d.InTx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, &store.Insertions{Entries: []store.Entry{e}}) }), store.ErrConflict)
	d.equal("what was entered", d.load(&store.Wanted{Entries: [][32]byte{hash("entry", 1), hash("entry", 2)}}).Entries, []store.Entry{e})
}

func agreementActs(_ *testing.T, d *desk) {
	ctx := d.Context()
	first := store.AgreementAct{Seq: 1, Agreement: "hertswise", Version: 1, Body: []byte(`{"do":"suspend"}`), Log: origin, Leaf: 7}
	second := store.AgreementAct{Seq: 2, Agreement: "hertswise", Version: 2, Body: []byte(`{"do":"sign"}`), Log: origin, Leaf: 9}
	d.insert(&store.Insertions{AgreementActs: []store.AgreementAct{first}})
	d.insert(&store.Insertions{AgreementActs: []store.AgreementAct{second}})
	another := store.AgreementAct{Seq: 2, Agreement: "pohwer-advocacy", Version: 1, Log: origin}
	d.errIs(d.InTx(ctx, func(tx store.Tx) error {
		return tx.Insert(ctx, &store.Insertions{AgreementActs: []store.AgreementAct{another}})
	}), store.ErrConflict)
	for after, want := range [][]store.AgreementAct{{first, second}, {second}, nil} {
		d.equal("acts", d.load(&store.Wanted{ActsAfter: int64(after)}).Acts, want)
	}
}
