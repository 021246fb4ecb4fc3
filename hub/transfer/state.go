package transfer

import "slices"

// State is where a transfer stands.
//
//	              ┌────────► refused
//	submit ───────┼────────► held ─────────────┬──► queued (decided again, or let go by a person: it may go)
//	              │                            └──► refused, returned (to its sender, to be put right), expired
//	              └────────► queued ─┬─► released ─┬─► received ─► needs-information ─► accepted ─► completed
//	                                 │             │        └──► declined
//	                                 ├─► held      └─► undeliverable
//	                                 ├─► stopped (decided again at release: it may not go)
//	                                 ├─► expired (nobody collected it)
//	                                 └─► undeliverable
type State string

// The states. Released means that the release leaf is committed: from then on the payload may have left.
const (
	Queued           State = "queued"
	Held             State = "held"
	Refused          State = "refused"
	Returned         State = "returned"
	Stopped          State = "stopped"
	Released         State = "released"
	Received         State = "received"
	NeedsInformation State = "needs-information"
	Accepted         State = "accepted"
	Declined         State = "declined"
	Completed        State = "completed"
	Expired          State = "expired"
	Undeliverable    State = "undeliverable"
)

var edges = map[State][]State{
	"":               {Queued, Held, Refused},
	Queued:           {Released, Held, Stopped, Expired, Undeliverable},
	Held:             {Queued, Refused, Returned, Stopped, Expired},
	Released:         {Released, Received, NeedsInformation, Accepted, Declined, Completed, Stopped, Expired, Undeliverable},
	Received:         {NeedsInformation, Accepted, Declined, Completed},
	NeedsInformation: {NeedsInformation, Accepted, Declined, Completed},
	Accepted:         {NeedsInformation, Declined, Completed},
}

// CanBecome reports whether a transfer in state s may move to next. The empty state is that of a transfer not yet stored.
func (s State) CanBecome(next State) bool { return slices.Contains(edges[s], next) }

// Final reports whether nothing can follow s.
func (s State) Final() bool { return len(edges[s]) == 0 }

// Collectable reports whether the recipient may ask for the payload of a transfer in state s. A released transfer may be
// collected again, when the answer was lost on the way: that is a fresh decision and a leaf of its own.
func (s State) Collectable() bool { return s == Queued || s == Released }

// States lists every state, in the order in which a transfer may meet them.
func States() []State {
	return []State{
		Queued, Held, Refused, Returned, Stopped, Released, Received, NeedsInformation, Accepted, Declined, Completed, Expired, Undeliverable,
	}
}
