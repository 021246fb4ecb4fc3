package exchange

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/dataset"
	"referralhub/hub/delivery"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// StoppedError says that a transfer may no longer go: it was decided again at the moment of release.
type StoppedError struct {
	Transfer transfer.TransferID
	State    transfer.State
	Decision *ledger.Leaf
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("transfer %s was decided again at release and is now %s", e.Transfer, e.State)
}

// Collect releases a transfer to its recipient: it decides again, writes the decision and its release, and only then hands out the parcel. The
// errors are ErrNotYours, *StateError, and *StoppedError when the fresh decision does not permit.
func (x *Exchange) Collect(ctx context.Context, by Principal, id transfer.TransferID) (delivery.Parcel, error) {
	return x.release(ctx, actorOf(by), id, by.Partner)
}

// Collected is what became of one of several transfers that were collected together: a parcel, or why there is none.
type Collected struct {
	Parcel delivery.Parcel
	Err    error // as from Collect, or ErrNoRoom
}

// CollectAll collects transfers together, in their order. Each is decided and logged by itself, and one that may not go holds up no other.
// Once the datasets come to room bytes the rest are not released: they get ErrNoRoom, and may be asked for again.
func (x *Exchange) CollectAll(ctx context.Context, by Principal, ids []transfer.TransferID, room int) []Collected {
	releases, ops := make([]*release, len(ids)), make([]operation, len(ids))
	for i, id := range ids {
		releases[i] = &release{x: x, actor: actorOf(by), id: id, to: by.Partner, room: &room}
		ops[i] = releases[i]
	}
	out := make([]Collected, len(ids))
	for i, err := range x.doAll(ctx, ops) {
		out[i].Parcel, out[i].Err = releases[i].parcel(err)
	}
	return out
}

func (x *Exchange) release(ctx context.Context, actor ledger.Actor, id transfer.TransferID, to transfer.PartnerID) (delivery.Parcel, error) {
	op := &release{x: x, actor: actor, id: id, to: to}
	return op.parcel(x.do(ctx, op))
}

// parcel is made once the release has been committed; err says that it has not, or that nobody knows.
func (r *release) parcel(err error) (delivery.Parcel, error) {
	if err != nil {
		return delivery.Parcel{}, err
	}
	if r.stopped != nil {
		return delivery.Parcel{}, r.stopped
	}
	parcel, err := delivery.NewParcel(r.leaf, r.index, r.dataset, r.nonce, r.disclosure())
	if err != nil {
		return delivery.Parcel{}, fmt.Errorf("parcel for %s: %w", r.id, err)
	}
	return parcel, nil
}

type release struct {
	x     *Exchange
	actor ledger.Actor
	id    transfer.TransferID
	to    transfer.PartnerID
	room  *int // bytes that those collected together may still take, counted by the committing goroutine; nil: no bound

	transfer store.Transfer
	nonce    [32]byte
	leaf     *ledger.Leaf
	index    int64
	dataset  []byte
	flow     *agreement.Flow
	stopped  *StoppedError
}

func (r *release) reads(n *needs) {
	n.transfers = append(n.transfers, r.id)
	n.decided = append(n.decided, r.id)
	n.payloads = append(n.payloads, r.id)
}

func (r *release) judge(c *commit) error {
	r.takeRoom(-len(r.dataset))
	r.leaf, r.dataset, r.stopped = nil, nil, nil // of an attempt that was not committed
	t := c.transfers[r.id]
	if t == nil || t.Recipient != r.to {
		return ErrNotYours
	}
	if !t.State.Collectable() {
		return &StateError{Transfer: t.ID, State: t.State, Asked: "collected"}
	}
	if r.room != nil && *r.room <= 0 {
		return ErrNoRoom
	}
	p, sealed := c.payloads[r.id]
	if !sealed {
		return &StateError{Transfer: t.ID, State: transfer.Expired, Asked: "collected"}
	}
	stored, err := r.x.unpack(p)
	if err != nil {
		return err
	}
	request, people, err := c.requestOf(t, stored)
	if err != nil {
		return err
	}
	d := c.decide(request, people)
	if !d.Outcome.Permits() {
		l := c.withdraw(r.actor, t, &d, people)
		r.stopped = &StoppedError{Transfer: t.ID, State: t.State, Decision: l}
		return nil
	}
	if !c.at.Before(t.ExpiresAt) {
		return &StateError{Transfer: t.ID, State: transfer.Expired, Asked: "collected"} // the sweeper ends it
	}
	if r.dataset, err = c.datasetOf(t, stored, &d); err != nil {
		return err
	}
	r.takeRoom(len(r.dataset))
	weighed := c.leafOf(r.actor, t, &d, people)
	weighed.State = "" // it leaves the transfer as it is, and its release moves it
	c.leaf(weighed)
	r.leaf, r.flow, r.nonce = weighed.Release(seal.Digest(stored.nonce, r.dataset)), d.Flow, stored.nonce
	r.index = c.leaf(r.leaf)
	if err := c.move(t, transfer.Released, d.clause(), r.index); err != nil {
		return err
	}
	if !t.Push {
		c.done = append(c.done, t.ID) // who collects need not be told any more
	}
	r.transfer = *t
	return nil
}

func (r *release) takeRoom(n int) {
	if r.room != nil {
		*r.room -= n
	}
}

// datasetOf gives what may go now: the stored bytes, or less. They were reduced as the clause wants that the message was accepted under; what
// has since been lost is cut, and what the clause of now wants reduced otherwise is reduced again.
func (c *commit) datasetOf(t *store.Transfer, s *contents, d *decided) ([]byte, error) {
	parts := make([]dataset.Part, len(s.doc.Subjects))
	again, figures := s.reduceAgain(d.Flow)
	whole := figures == s.facts.Figures
	for i := range parts {
		items := d.Subjects[s.who[i]].Items
		parts[i] = dataset.Part{Items: items, Transform: again, Figures: figures, Pseudonym: c.pseudonymFor(t)}
		whole = whole && s.doc.Subjects[i].Items.Minus(items).Empty()
		for item := range again {
			whole = whole && !s.doc.Subjects[i].Items.Has(item)
		}
	}
	if whole {
		return s.dataset, nil
	}
	data, err := dataset.Cut(s.doc, parts)
	if err != nil {
		return nil, fmt.Errorf("cut the dataset of %s again: %w", t.ID, err)
	}
	return data, nil
}

// reduceAgain says what a clause wants reduced that has not been reduced so, and how it wants figures.
func (s *contents) reduceAgain(f *agreement.Flow) (map[int]contracts.Transform, dataset.Figures) {
	if f == nil {
		return nil, s.facts.Figures
	}
	var again map[int]contracts.Transform
	for item, how := range f.Transform {
		// Counts are blurred by numbers and not by a word, and blurring them twice changes nothing.
		if s.facts.Reduced[s.doc.Contract.Items[item].Name] == how && how != contracts.SmallNumbers {
			continue
		}
		if again == nil {
			again = make(map[int]contracts.Transform)
		}
		again[item] = how
	}
	return again, dataset.Figures(f.Figures)
}

// withdraw takes back an open transfer that a fresh decision does not permit. A refusal ends it and destroys its payload; a hold keeps it
// for a person, unless it has been released before: then it ends too.
func (c *commit) withdraw(actor ledger.Actor, t *store.Transfer, d *decided, people []subject) *ledger.Leaf {
	to := transfer.Stopped
	switch {
	case t.State == transfer.Queued && d.Outcome == transfer.Hold:
		to = transfer.Held
	case t.State == transfer.Held:
		to = transfer.Refused
	}
	c.moved(t, to, "", -1)
	l := c.leafOf(actor, t, d, people)
	shorten(l)
	c.workOf(t, d, c.leaf(l))
	c.done = append(c.done, t.ID)
	if to != transfer.Held {
		c.erase = append(c.erase, t.ID)
	}
	return l
}

// shorten leaves the words out of a leaf that would not fit into the log with them: that something is stopped must not fail for that.
func shorten(l *ledger.Leaf) {
	if len(l.AppendTo(nil)) <= ledger.MaxLeafBytes {
		return
	}
	for i := range l.Reasons {
		l.Reasons[i].Detail, l.Reasons[i].Remedy, l.Reasons[i].Items = "", "", nil
	}
}

func (r *release) disclosure() delivery.Disclosure {
	d := delivery.Disclosure{
		TransferID: r.transfer.ID, MessageType: r.transfer.Type, Sender: r.transfer.Sender, Purpose: r.transfer.Purpose,
		Service: r.transfer.Service, CorrelationID: r.transfer.CorrelationID, Outcome: r.leaf.Outcome,
		OnwardSharing: "no", ReleasedAt: r.leaf.At,
	}
	if a := r.leaf.Agreement; a != nil {
		d.Agreement = delivery.AgreementRef{ID: a.ID, Version: a.Version, Digest: a.Digest, Flow: a.Flow}
	}
	if f := r.flow; f != nil {
		d.Retention = retentionOf(f.Agreement)
		d.LawfulBasis = delivery.LawfulBasis{Article6: f.Basis.Article6, Article9: f.Basis.Article9, Schedule1: f.Basis.Schedule1}
	}
	for _, s := range r.leaf.Subjects {
		d.Consents = append(d.Consents, s.Consents...)
	}
	d.Log = delivery.LogRef{Origin: r.x.cfg.Origin, Index: r.index}
	return d
}

// retentionOf says how long the recipient may keep what it gets, as the agreement has it.
func retentionOf(a *agreement.Agreement) string {
	var all []string
	for _, r := range a.Retention {
		text := fmt.Sprintf("%s from %s, then %s", r.Period, r.Trigger, r.Disposal)
		if r.Items != "" {
			text = r.Items + ": " + text
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func newNonce() (n [32]byte) {
	rand.Read(n[:]) // never fails: it ends the process instead
	return n
}
