// Package delivery brings transfers to their recipients: what an adapter must do, when an attempt is made again, when a recipient
// is left alone for a while, and when the hub gives up.
//
// An attempt has three phases, and they are kept apart because only the second one is an attempt:
//
//	before   the bus brought a transfer; the exchange is asked what to do with it, and for a dataset it decides again and commits
//	         the release leaf. What goes wrong here is the hub's own fault: nothing was tried, nothing is counted.
//	during   the adapter carries a notice or a parcel, and says what happened. This is counted.
//	after    the exchange records how it ended. If that fails the outcome is kept and recorded later; the attempt is not repeated.
//
// MUST lines:
//   - A dataset leaves only inside a Parcel, and a Parcel is made only from a committed release leaf.
//   - An adapter never retries by itself: a second attempt is a second decision.
//   - Every transfer ends: delivered, rejected, or given up after the last attempt of the schedule, with the owner of the fault.
package delivery

import (
	"context"
	"time"

	"referralhub/hub/transfer"
)

// Adapter carries notices and parcels to a partner over one protocol. Implementations are safe for concurrent use, honour
// ctx, and never retry by themselves: they say what happened, and the hub decides when to try again.
//
// The partner recognises a repetition by an id that is the same for every attempt at the same notice or parcel.
type Adapter interface {
	// Announce tells the recipient that a transfer waits for it. A notice holds ids and no data about a person.
	Announce(ctx context.Context, to transfer.Partner, n Notice) (Outcome, error)
	// Deliver carries the dataset itself, for a flow that says push. It refuses, with an error, a parcel that is empty or for
	// somebody else (Parcel.CheckRecipient).
	Deliver(ctx context.Context, to transfer.Partner, p Parcel) (Outcome, error)
}

// Notice is what a recipient is told before it collects.
type Notice struct {
	Transfer    transfer.TransferID  `json:"transfer_id"`
	Type        transfer.MessageType `json:"message_type"`
	Sender      transfer.PartnerID   `json:"sender"`
	Correlation string               `json:"correlation_id,omitempty"`
	At          time.Time            `json:"at"`
}

// Kind says how an attempt ended.
type Kind int

const (
	Delivered Kind = iota + 1
	Retry          // the receiver could not take it now
	Rejected       // the receiver will never take it
)

func (k Kind) String() string {
	switch k {
	case Delivered:
		return "delivered"
	case Retry:
		return "retry"
	case Rejected:
		return "rejected"
	}
	return "nothing"
}

// The owners of a fault. Whoever owns it is who must act when the hub gives up.
const (
	FaultReceiver = "receiver"
	FaultHub      = "hub"
	FaultNetwork  = "network"
)

// Outcome is how an attempt ended. An error from an Adapter is the hub's own fault; anything the receiver did is an Outcome.
type Outcome struct {
	Kind   Kind
	After  time.Duration // Retry: not before, when the receiver said so
	Fault  string        // owner of the fault: "receiver", "hub", "network"
	Reason string        // in words, without personal data
}

// Job is what the exchange wants done with a transfer: announce it, deliver it, or, when both are nil, nothing any more.
type Job struct {
	Notice *Notice
	Parcel *Parcel
}

// Settlement is how an attempt ended and what follows from it. Neither GiveUp nor Delivered: the transfer is due again After.
type Settlement struct {
	Outcome Outcome
	// Announced: it was a notice that was tried, and not the dataset.
	Announced bool
	GiveUp    bool          // rejected, or the last attempt of the schedule has failed: a person must look
	After     time.Duration // until the next attempt
}
