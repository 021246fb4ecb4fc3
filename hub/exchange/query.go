package exchange

import (
	"context"
	"fmt"
	"time"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Considered is what would become of a message for one recipient.
type Considered struct {
	Recipient transfer.PartnerID
	Decision  policy.Decision
}

// Consider judges a message as Submit would, without keeping, logging or sending anything. Consents that the message carries count
// as if they had been recorded.
func (x *Exchange) Consider(ctx context.Context, by Principal, doc *contracts.Document) ([]Considered, error) {
	c := newCommit(x)
	hashes := make([][]hash, len(doc.Subjects))
	for i, ds := range doc.Subjects {
		hashes[i] = x.identifierHashes(by.Partner, ds.Identifiers)
		rows, err := x.cfg.Store.SubjectsByIdentifier(ctx, hashes[i])
		if err != nil {
			return nil, fmt.Errorf("read identifiers: %w", err)
		}
		for _, r := range rows {
			c.subjectOf[r.Hash] = r.Subject
		}
	}
	people := c.peopleOf(doc, hashes)
	for _, p := range people {
		if c.events[p.id] != nil {
			continue // in the message twice
		}
		stored, err := x.cfg.Store.Consents(ctx, []transfer.SubjectID{p.id})
		if err != nil {
			return nil, fmt.Errorf("read consents: %w", err)
		}
		if err := c.addEvents(stored); err != nil {
			return nil, err
		}
	}
	for _, k := range doc.Consents {
		ev, err := consent.Parse(k.Body)
		if err != nil {
			return nil, fmt.Errorf("read consent of the message: %w", err)
		}
		for _, p := range people {
			if p.Role == k.Role && p.Position == k.Position {
				ev.ID, ev.Subject, ev.RecordedBy = newID(), p.id, by.Partner
				c.events[p.id] = append(c.events[p.id], ev)
			}
		}
	}
	out := make([]Considered, len(doc.Envelope.Recipients))
	onward, err := x.onward(ctx, by.Partner, doc.Envelope.OnwardOf)
	if err != nil {
		return nil, err
	}
	for i, to := range doc.Envelope.Recipients {
		r := policy.NewRequest(c.index, by.Partner, to, doc, c.at)
		r.Onward = onward
		out[i] = Considered{Recipient: to, Decision: c.decide(r, people).Decision}
	}
	return out, nil
}

// Transfer gives a transfer to one of its two partners, with the decision that it stands under now and the newest word on what became of
// it. The error is ErrNotYours for anybody else.
func (x *Exchange) Transfer(ctx context.Context, by Principal, id transfer.TransferID) (Judged, error) {
	rows, err := x.cfg.Store.Transfers(ctx, []transfer.TransferID{id})
	if err != nil {
		return Judged{}, fmt.Errorf("read transfer %s: %w", id, err)
	}
	if len(rows) == 0 || rows[0].Sender != by.Partner && rows[0].Recipient != by.Partner {
		return Judged{}, ErrNotYours
	}
	found, err := x.entries(ctx, []transfer.TransferID{id})
	if err != nil {
		return Judged{}, err
	}
	out := Judged{Transfer: rows[0]}
	for _, e := range found {
		switch {
		case e.Leaf.Kind == ledger.KindDecision && !e.Leaf.ForRelease(): // which decides about what is left of the message alone
			out.Decision, out.Transfer.Log, out.Transfer.DecisionLeaf = e.Leaf, e.Origin, e.Index
		case e.Leaf.Kind == ledger.KindRelease:
			out.Release = Place{Origin: e.Origin, Index: e.Index}
		case e.Leaf.Kind == ledger.KindOutcome:
			out.Last = e.Leaf
		}
	}
	if out.Decision == nil {
		return Judged{}, fmt.Errorf("decision of %s: %w", id, store.ErrNotFound)
	}
	return out, nil
}

// InState lists a partner's transfers in a state, oldest first, with their first decisions.
func (x *Exchange) InState(ctx context.Context, by Principal, s transfer.State, after transfer.TransferID, limit int) ([]Judged, error) {
	rows, err := x.cfg.Store.InState(ctx, by.Partner, s, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list transfers: %w", err)
	}
	return x.judged(ctx, rows)
}

// Inbox lists what waits for a partner, oldest first. It says nothing about any person.
func (x *Exchange) Inbox(ctx context.Context, by Principal, after transfer.TransferID, limit int) ([]store.Transfer, error) {
	rows, err := x.cfg.Store.Inbox(ctx, by.Partner, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list the inbox: %w", err)
	}
	return rows, nil
}

// Spend uses up a client assertion. The error is store.ErrConflict when it was used before.
func (x *Exchange) Spend(ctx context.Context, digest [32]byte, until time.Time) error {
	return x.cfg.Store.InTx(ctx, func(tx store.Tx) error { return tx.SpendAssertion(ctx, digest, until, x.cfg.Now()) })
}
