package exchange

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/dates"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Consented is what a consent event did.
type Consented struct {
	ID      string
	Repeat  bool   // it was recorded before, and this is the same answer
	Origin  string // of the log that holds Leaf
	Leaf    int64
	Stopped []transfer.TransferID // will not go, or not until a person has looked
	Resumed []transfer.TransferID // were held and are now queued
}

// RecordConsent records a consent event about the person with these identifiers. In the same commit every open transfer of that person
// which the recording partner sends or receives is decided again: a withdrawal stops what is queued, a consent lets go what was held
// for want of it. The partner's message id is the idempotency key: ErrOtherBody when it recorded another event under it.
func (x *Exchange) RecordConsent(ctx context.Context, by Principal, message transfer.MessageID, person []contracts.Identifier, ev consent.Event) (Consented, error) {
	id := x.cfg.Sealer.IdentifierHash("consent", string(by.Partner), string(message))
	ev.ID, ev.RecordedBy = "c-"+hex.EncodeToString(id[:16]), by.Partner
	op := &recordConsent{x: x, by: by, hashes: x.identifierHashes(by.Partner, person), event: ev}
	err := x.do(ctx, op)
	if errors.Is(err, store.ErrConflict) {
		return Consented{}, ErrOtherBody // the id is taken by an event about somebody else
	}
	if err != nil {
		return Consented{}, err
	}
	if op.done.Repeat {
		return x.consented(ctx, op)
	}
	return op.done, nil
}

// consented reads back from the log what an event did when it was recorded: its own leaf, those about other people whom its identifiers
// meant too, and behind them the decisions that it led to.
func (x *Exchange) consented(ctx context.Context, op *recordConsent) (Consented, error) {
	done := op.done
	found, err := x.entries(ctx, []transfer.TransferID{personKey(op.commitment)})
	if err != nil {
		return Consented{}, err
	}
	at := slices.IndexFunc(found, func(e Entry) bool { return e.Leaf.Kind == ledger.KindConsent && e.Leaf.Consent.ID == done.ID })
	if at < 0 {
		return Consented{}, fmt.Errorf("leaf of consent event %s: %w", done.ID, store.ErrNotFound)
	}
	recorded := found[at]
	done.Origin, done.Leaf = recorded.Origin, recorded.Index
	log := x.cfg.Store.Log(ctx, recorded.Origin)
	size, _, err := log.Head()
	if err != nil {
		return Consented{}, fmt.Errorf("read the head of log %s: %w", recorded.Origin, err)
	}
	for next := recorded.Index + int64(op.people); next < size; next++ {
		l, err := x.leafAt(ctx, recorded.Origin, next)
		if err != nil {
			return Consented{}, err
		}
		if l.Kind == ledger.KindCase && l.Actor == recorded.Leaf.Actor && l.At.Equal(recorded.Leaf.At) {
			continue // the case in which recipients are told
		}
		if l.Kind != ledger.KindDecision || l.ForRelease() || l.Actor != recorded.Leaf.Actor || !l.At.Equal(recorded.Leaf.At) {
			break
		}
		t, err := x.cfg.Store.Transfer(ctx, l.Transfer)
		if err != nil {
			return Consented{}, fmt.Errorf("read transfer %s: %w", l.Transfer, err)
		}
		if t.Log == recorded.Origin && t.DecisionLeaf == next {
			break // the first decision about a message that shared the commit
		}
		if l.State == transfer.Queued {
			done.Resumed = append(done.Resumed, l.Transfer)
		} else {
			done.Stopped = append(done.Stopped, l.Transfer)
		}
	}
	return done, nil
}

type recordConsent struct {
	x      *Exchange
	by     Principal
	hashes []hash
	event  consent.Event

	done       Consented
	people     int    // whom the identifiers mean: one, unless they are ambiguous
	commitment string // of the first of them
}

func (r *recordConsent) reads(n *needs) {
	n.changed = append(n.changed, r.hashes...)
	n.revisit = append(n.revisit, r.hashes...)
	if r.event.State == consent.Withdrawn {
		n.past = append(n.past, r.hashes...)
	}
}

func (r *recordConsent) judge(c *commit) error {
	r.done = Consented{ID: r.event.ID, Origin: r.x.cfg.Origin}
	known := c.subjects(r.hashes)
	for _, s := range known {
		for _, before := range c.events[s] {
			if before.ID != r.event.ID {
				continue
			}
			before.Subject = ""
			if !reflect.DeepEqual(before, r.event) {
				return ErrOtherBody
			}
			r.done.Repeat, r.people, r.commitment = true, len(known), c.commitment(s)
			return nil
		}
	}
	who, ambiguous := c.person(r.hashes)
	ev := r.event
	ev.Subject = who
	var err error
	if r.done.Leaf, err = c.recordConsent(r.by, ev); err != nil {
		return err
	}
	if ambiguous {
		// Identifiers of different people: a consent helps nobody until a person has looked, a withdrawal binds them all.
		for _, other := range known[1:] {
			also := ev
			also.ID, also.Subject = newID(), other
			if _, err := c.recordConsent(r.by, also); err != nil {
				return err
			}
		}
	}
	for _, subject := range known {
		for _, id := range c.openOf[subject] {
			r.revisit(c, id)
		}
		if err := r.tell(c, subject); err != nil {
			return err
		}
	}
	return nil
}

// tell opens a case in which those are told who were given something on the consent that is withdrawn (domain.md section 4.2, "notify
// recipients"). It is only opened here, so that it cannot be forgotten; package rights goes on with it.
func (r *recordConsent) tell(c *commit, subject transfer.SubjectID) error {
	if r.event.State != consent.Withdrawn || !slices.ContainsFunc(c.past[subject], func(t store.Transfer) bool {
		if live := c.transfers[t.ID]; live != nil { // an operation before this one in the same commit may have released it
			t = *live
		}
		return r.restedOn(c.index, &t)
	}) {
		return nil
	}
	k := store.Case{
		Reference: "case-" + newID(), Type: "withdrawal", Partner: r.by.Partner, Subject: subject, State: "telling", Opened: c.at, Version: 1,
	}
	scope := map[string]any{"consent": r.event.ID, "purpose": r.event.Purpose, "service": r.event.Service, "recipients": r.event.Recipients, "categories": r.event.Categories}
	day := dates.On(c.at).String()
	var err error
	k.Body, err = json.Marshal(map[string]any{
		"reference": k.Reference, "type": k.Type, "partner": k.Partner, "state": k.State, "received": day, "scope": scope,
	})
	if err != nil {
		return fmt.Errorf("encode case %s: %w", k.Reference, err)
	}
	c.insert.Cases = append(c.insert.Cases, k)
	commitment := c.commitment(subject)
	c.leafUnder(personKey(commitment), &ledger.Leaf{
		Kind: ledger.KindCase, Actor: actorOf(r.by), Sender: r.by.Partner,
		Case: &ledger.Case{Reference: k.Reference, Type: k.Type, Step: "opened", Commitment: commitment, On: day},
	})
	return nil
}

// restedOn reports whether a past disclosure may have rested on the consent that is withdrawn.
func (r *recordConsent) restedOn(x *agreement.Index, t *store.Transfer) bool {
	clause := clauseOf(x, t.Flow)
	return t.Sender == r.by.Partner && t.ReleaseLeaf >= 0 && (clause == nil || clause.Basis.Article6 == "a" || clause.Basis.Article9 == "a") &&
		(r.event.Purpose == "" || r.event.Purpose == t.Purpose) && (r.event.Service == "" || r.event.Service == t.Service) &&
		(len(r.event.Recipients) == 0 || slices.Contains(r.event.Recipients, t.Recipient))
}

// revisit decides an open transfer again. One that may still go stays where it is: its release decides what of it. Whatever is wrong with
// the transfer, the event is recorded: what somebody said must not be lost because of it, and its release sees it.
func (r *recordConsent) revisit(c *commit, id transfer.TransferID) {
	t := c.transfers[id]
	if t == nil || t.Sender != r.by.Partner && t.Recipient != r.by.Partner {
		return
	}
	if t.State != transfer.Queued && t.State != transfer.Held && t.State != transfer.Released {
		return // an operation before this one in the same commit has ended it
	}
	if _, sealed := c.payloads[id]; !sealed || !c.knowsAll(id) {
		return // nothing of it can be released
	}
	k, err := c.reopen(t)
	if err != nil {
		r.x.cfg.Log.Error("a consent event was recorded, and an open transfer could not be decided again", "transfer_id", id, "err", err)
		return
	}
	if k.lost() {
		return
	}
	d := c.decide(k.request, k.people)
	switch {
	case d.Outcome.Permits() && t.State == transfer.Held && k.readable:
		c.resume(actorOf(r.by), t, &d, k.people)
		r.done.Resumed = append(r.done.Resumed, id)
	case d.Outcome.Permits(), d.Outcome == transfer.Hold && t.State == transfer.Held:
		// nothing changes
	default:
		c.withdraw(actorOf(r.by), t, &d, k.people)
		r.done.Stopped = append(r.done.Stopped, id)
	}
}

// resume queues what was held, on a decision that permits it.
func (c *commit) resume(actor ledger.Actor, t *store.Transfer, d *decided, people []subject) {
	c.moved(t, transfer.Queued, d.clause(), -1)
	c.workOf(t, d, c.leaf(c.leafOf(actor, t, d, people)))
	c.enqueue(t)
}

// knowsAll reports whether nobody in a transfer has been erased. Of somebody who has been, no leaf can be written, and so nothing released.
func (c *commit) knowsAll(id transfer.TransferID) bool {
	return !slices.ContainsFunc(c.people[id], func(j store.TransferSubject) bool {
		_, known := c.salts[j.Subject]
		return !known
	})
}
