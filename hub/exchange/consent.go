package exchange

import (
	"context"
	"encoding/hex"
	"errors"
	"reflect"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Consented is what a consent event did.
type Consented struct {
	ID      string
	Repeat  bool // it was recorded before; nothing else is said
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
	return op.done, nil
}

type recordConsent struct {
	x      *Exchange
	by     Principal
	hashes []hash
	event  consent.Event
	done   Consented
}

func (r *recordConsent) reads(n *needs) {
	n.changed = append(n.changed, r.hashes...)
	n.revisit = append(n.revisit, r.hashes...)
}

func (r *recordConsent) judge(c *commit) error {
	r.done = Consented{ID: r.event.ID}
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
			r.done.Repeat = true
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
			if err := r.revisit(c, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// revisit decides an open transfer again. One that may still go stays where it is: its release decides what of it.
func (r *recordConsent) revisit(c *commit, id transfer.TransferID) error {
	t := c.transfers[id]
	p, sealed := c.payloads[id]
	if t == nil || !sealed || t.Sender != r.by.Partner && t.Recipient != r.by.Partner {
		return nil
	}
	stored, err := r.x.unpack(t, p)
	if err != nil {
		return err
	}
	people, err := c.subjectsOf(t, stored)
	if err != nil {
		return err
	}
	d := c.decide(t, stored.doc.Contract, undertakingOf(t), people)
	switch {
	case d.Outcome.Permits() && t.State == transfer.Held:
		if err := c.move(t, transfer.Queued, d.Agreement.Flow, -1); err != nil {
			return err
		}
		l := c.leafOf(ledger.KindDecision, actorOf(r.by), t, stored.doc.Contract, &d, people)
		l.State = transfer.Queued
		c.leaf(l)
		c.enqueue(t)
		r.done.Resumed = append(r.done.Resumed, id)
	case d.Outcome.Permits(), d.Outcome == transfer.Hold && t.State == transfer.Held:
		// nothing changes
	default:
		if _, err := c.withdraw(actorOf(r.by), t, stored, &d, people); err != nil {
			return err
		}
		r.done.Stopped = append(r.done.Stopped, id)
	}
	return nil
}

// undertakingOf gives the referrer's assertion back as far as a stored transfer keeps it.
func undertakingOf(t *store.Transfer) *contracts.Undertaking {
	if t.Undertaking == "" {
		return nil
	}
	return &contracts.Undertaking{Basis: t.Undertaking}
}
