package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"referralhub/hub/bus"
	"referralhub/hub/delivery"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Receipt is what a recipient says of a transfer that it collected.
type Receipt struct {
	Status     string // received, accepted, declined, more-information, completed
	Reason     string // a code; required when declined
	RedirectTo transfer.PartnerID
	Items      []string // more-information: the items wanted, by name
}

var receiptStates = map[string]transfer.State{
	"received": transfer.Received, "accepted": transfer.Accepted, "declined": transfer.Declined,
	"more-information": transfer.NeedsInformation, "completed": transfer.Completed,
}

// Acknowledge records a receipt and destroys the payload: the recipient has it. The same receipt again changes nothing. The errors are
// ErrNotYours and *StateError.
func (x *Exchange) Acknowledge(ctx context.Context, by Principal, id transfer.TransferID, r Receipt) (transfer.State, error) {
	done := x.AcknowledgeAll(ctx, by, []Acknowledgement{{id, r}})[0]
	return done.State, done.Err
}

// Acknowledgement is a receipt for one of several transfers.
type Acknowledgement struct {
	Transfer transfer.TransferID
	Receipt  Receipt
}

// Acknowledged is what a receipt came to: the state that its transfer is in now, or an error as from Acknowledge.
type Acknowledged struct {
	State transfer.State
	Err   error
}

// AcknowledgeAll records receipts together, in their order. Each stands for itself.
func (x *Exchange) AcknowledgeAll(ctx context.Context, by Principal, receipts []Acknowledgement) []Acknowledged {
	ops, states := make([]operation, len(receipts)), make([]transfer.State, len(receipts))
	for i, r := range receipts {
		states[i] = receiptStates[r.Receipt.Status]
		ops[i] = &acknowledge{by: by, id: r.Transfer, receipt: r.Receipt, to: states[i]}
	}
	out := make([]Acknowledged, len(receipts))
	for i, err := range x.doAll(ctx, ops) {
		if out[i].Err = err; err == nil {
			out[i].State = states[i]
		}
	}
	return out
}

type acknowledge struct {
	by      Principal
	id      transfer.TransferID
	receipt Receipt
	to      transfer.State
}

func (a *acknowledge) reads(n *needs) { n.transfers = append(n.transfers, a.id) }

func (a *acknowledge) judge(c *commit) error {
	if a.to == "" {
		return fmt.Errorf("receipt status %q: not one of received, accepted, declined, more-information, completed", a.receipt.Status)
	}
	t := c.transfers[a.id]
	if t == nil || t.Recipient != a.by.Partner {
		return ErrNotYours
	}
	if t.State == a.to {
		return nil
	}
	first := t.State == transfer.Released
	if t.ReleaseLeaf < 0 {
		return &StateError{Transfer: t.ID, State: t.State, Asked: "acknowledged before it is collected"}
	}
	if err := c.move(t, a.to, "", -1); err != nil {
		return err
	}
	code := a.receipt.Status
	if a.receipt.Reason != "" {
		code += ":" + a.receipt.Reason
	}
	l := outcomeLeaf(actorOf(a.by), t)
	l.Receipt = code
	var notes []string
	if a.receipt.RedirectTo != "" {
		notes = append(notes, "try "+string(a.receipt.RedirectTo))
	}
	if len(a.receipt.Items) > 0 {
		notes = append(notes, "wanted: "+strings.Join(a.receipt.Items, ", "))
	}
	l.Note = strings.Join(notes, "; ")
	c.leaf(l)
	if first {
		c.erase = append(c.erase, t.ID)
		c.done = append(c.done, t.ID)
	}
	return nil
}

func outcomeLeaf(actor ledger.Actor, t *store.Transfer) *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindOutcome, Actor: actor, Transfer: t.ID, Sender: t.Sender, Recipient: t.Recipient, Type: t.Type,
		Purpose: t.Purpose, Service: t.Service, State: t.State,
	}
}

// Next says what there is to do for a transfer that the bus brought: announce it, deliver it, or nothing any more. A delivery is a
// release: it is decided again and its leaf is committed before this returns.
func (x *Exchange) Next(ctx context.Context, id transfer.TransferID) (delivery.Job, error) {
	if n, ok := x.fresh.Get(id); ok {
		x.fresh.Remove(id) // a second attempt asks the database
		return delivery.Job{Notice: n}, nil
	}
	t, err := x.cfg.Store.Transfer(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return delivery.Job{}, nil
	}
	if err != nil {
		return delivery.Job{}, fmt.Errorf("read transfer %s: %w", id, err)
	}
	if !t.State.Collectable() || t.State == transfer.Released && !t.Push {
		return delivery.Job{}, nil
	}
	if !t.Push {
		return delivery.Job{Notice: noticeOf(&t)}, nil
	}
	parcel, err := x.release(ctx, ledger.Hub, t.ID, t.Recipient)
	var stopped *StoppedError
	var state *StateError
	if errors.As(err, &stopped) || errors.As(err, &state) {
		return delivery.Job{}, nil
	}
	if err != nil {
		return delivery.Job{}, err
	}
	return delivery.Job{Parcel: &parcel}, nil
}

func noticeOf(t *store.Transfer) *delivery.Notice {
	return &delivery.Notice{Transfer: t.ID, Type: t.Type, Sender: t.Sender, Correlation: t.CorrelationID, At: t.CreatedAt}
}

// Settle records how an attempt ended. A notice that got through, and one that never will, both take the transfer out of the outbox:
// it stays in the recipient's inbox. A dataset that was pushed is received; one that never got through is undeliverable.
func (x *Exchange) Settle(ctx context.Context, id transfer.TransferID, attempt int, s delivery.Settlement) error {
	return x.do(ctx, &settle{id: id, attempt: attempt, s: s})
}

type settle struct {
	id      transfer.TransferID
	attempt int
	s       delivery.Settlement
}

// announced reports the usual case, in which nothing about the transfer changes and so nothing of it is read.
func (s *settle) announced() bool { return s.s.Announced && s.s.Outcome.Kind == delivery.Delivered }

func (s *settle) reads(n *needs) {
	if !s.announced() {
		n.transfers = append(n.transfers, s.id)
	}
}

func (s *settle) judge(c *commit) error {
	if s.announced() {
		c.done = append(c.done, s.id)
		return nil
	}
	t := c.transfers[s.id]
	if t == nil || t.State.Final() {
		c.done = append(c.done, s.id)
		return nil
	}
	pushed := !s.s.Announced && t.State == transfer.Released
	switch {
	case s.s.Outcome.Kind == delivery.Delivered && !pushed:
		c.done = append(c.done, t.ID) // it is recorded already, or the recipient's own receipt was faster
		return nil
	case s.s.Outcome.Kind == delivery.Delivered:
		if err := c.move(t, transfer.Received, "", -1); err != nil {
			return err
		}
		c.done, c.erase = append(c.done, t.ID), append(c.erase, t.ID)
	case s.s.GiveUp:
		if pushed {
			if err := c.move(t, transfer.Undeliverable, "", -1); err != nil {
				return err
			}
			c.erase = append(c.erase, t.ID)
		}
		c.done = append(c.done, t.ID)
	default:
		c.deferAt = append(c.deferAt, store.Outbox{
			Transfer: t.ID, Recipient: t.Recipient, Due: c.at.Add(s.s.After), Attempt: s.attempt + 1,
		})
		if !pushed {
			return nil // a notice that was not taken discloses nothing
		}
	}
	l := outcomeLeaf(ledger.Hub, t)
	l.Attempt, l.Fault, l.Note = s.attempt, s.s.Outcome.Fault, s.s.Outcome.Reason
	l.Receipt = map[delivery.Kind]string{
		delivery.Delivered: "delivered", delivery.Retry: "not-delivered", delivery.Rejected: "rejected",
	}[s.s.Outcome.Kind]
	c.leaf(l)
	return nil
}

// Due hands out transfers of the outbox whose time has come, oldest first, and puts each off, so that the next call hands out others.
func (x *Exchange) Due(ctx context.Context, now time.Time, limit int) ([]bus.Message, error) {
	rows, err := x.cfg.Store.Due(ctx, now, limit)
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	op := &putOff{}
	messages := make([]bus.Message, len(rows))
	for i, r := range rows {
		messages[i] = bus.Message{Recipient: r.Recipient, Transfer: r.Transfer, Attempt: r.Attempt}
		r.Due = now.Add(x.cfg.RetryAfter)
		op.rows = append(op.rows, r)
	}
	if err := x.do(ctx, op); err != nil {
		return nil, err
	}
	return messages, nil
}

type putOff struct{ rows []store.Outbox }

func (p *putOff) reads(*needs) {}

func (p *putOff) judge(c *commit) error {
	c.deferAt = append(c.deferAt, p.rows...)
	return nil
}

// Expire ends transfers whose time is over and destroys their payloads. It gives how many it looked at, so that the caller can go on
// until there are none. Holds whose deadline has come are decided again on the way: some end by themselves.
func (x *Exchange) Expire(ctx context.Context, limit int) (int, error) {
	failed := x.reconsider(ctx, limit)
	rows, err := x.cfg.Store.Expired(ctx, x.cfg.Now(), limit)
	if err != nil {
		return 0, errors.Join(failed, fmt.Errorf("list expired transfers: %w", err))
	}
	for _, t := range rows {
		if err := x.do(ctx, &expire{id: t.ID, now: x.cfg.Now()}); err != nil {
			failed = errors.Join(failed, fmt.Errorf("expire %s: %w", t.ID, err))
		}
	}
	return len(rows), failed
}

type expire struct {
	id  transfer.TransferID
	now time.Time
}

func (e *expire) reads(n *needs) { n.transfers = append(n.transfers, e.id) }

func (e *expire) judge(c *commit) error {
	t := c.transfers[e.id]
	if t == nil || e.now.Before(t.ExpiresAt) {
		return nil
	}
	c.erase, c.done = append(c.erase, t.ID), append(c.done, t.ID)
	if !t.State.CanBecome(transfer.Expired) {
		return nil
	}
	if t.State == transfer.Held {
		c.workDone(t.ID, store.Holds)
	}
	if err := c.move(t, transfer.Expired, "", -1); err != nil {
		return err
	}
	l := outcomeLeaf(ledger.Hub, t)
	l.Receipt, l.Fault = "expired", "receiver"
	c.leaf(l)
	return nil
}
