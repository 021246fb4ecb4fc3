// Package mailbox is the way of a partner that collects: what waits for it lies in its inbox, and the adapter only wakes whoever
// is asking. A small charity with a browser and no system is served like this.
package mailbox

import (
	"context"

	"referralhub/hub/delivery"
	"referralhub/hub/transfer"
)

// Notifier wakes whoever waits for a recipient's inbox, on any copy of the hub.
type Notifier interface {
	Notify(recipient transfer.PartnerID) error
}

// Adapter wakes long polls. Make one with New.
type Adapter struct{ notifier Notifier }

// New makes an Adapter.
func New(n Notifier) *Adapter { return &Adapter{notifier: n} }

// Announce is always delivered: the transfer lies in the inbox already, and a wake-up that is lost costs a poll its wait and no more.
func (a *Adapter) Announce(ctx context.Context, to transfer.Partner, _ delivery.Notice) (delivery.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return delivery.Outcome{}, err
	}
	_ = a.notifier.Notify(to.ID)
	return delivery.Outcome{Kind: delivery.Delivered}, nil
}

// Deliver refuses: a dataset leaves a mailbox when its recipient collects it and not before.
func (a *Adapter) Deliver(ctx context.Context, to transfer.Partner, p delivery.Parcel) (delivery.Outcome, error) {
	if err := p.CheckRecipient(to.ID); err != nil {
		return delivery.Outcome{}, err
	}
	return delivery.Outcome{
		Kind:   delivery.Rejected,
		Fault:  delivery.FaultHub,
		Reason: "the flow says push and the recipient has a mailbox; give the recipient a webhook, or the flow collection",
	}, nil
}

var _ delivery.Adapter = (*Adapter)(nil)
