package delivery

import "time"

const (
	openAfter = 5 // failures in a row
	firstOpen = 30 * time.Second
	maxOpen   = 5 * time.Minute
)

// Circuit says whether a partner's endpoint is worth trying. It spares the partner, and it spares every transfer but one an
// attempt while the endpoint is away. The zero Circuit is closed. It is not safe for concurrent use.
//
//	closed ── five failures in a row, or "not before" ──► open ── its time passes ──► half open: one attempt may try
//	  ▲                                                     ▲                            │
//	  │                                                     └──── failure: twice as long ─┤
//	  └──────────────── any answer that is not a failure ─────────────────────────────────┘
type Circuit struct {
	failures int           // in a row
	open     time.Duration // how long it was opened for; zero when closed
	until    time.Time     // open until
	probing  bool          // half open, and an attempt is trying
}

// Allow reports whether an attempt may be made at at, and if not, how long to wait before asking again. Each true is followed by
// one Record, or by one Cancel.
func (c *Circuit) Allow(at time.Time) (ok bool, wait time.Duration) {
	switch {
	case c.open == 0:
		return true, 0
	case at.Before(c.until):
		return false, c.until.Sub(at)
	case c.probing:
		return false, firstOpen / 2
	}
	c.probing = true
	return true, 0
}

// Cancel takes back an Allow: no attempt was made after all.
func (c *Circuit) Cancel() { c.probing = false }

// Record notes how an attempt ended. A rejection is an answer: the endpoint is there. The hub's own faults say nothing about the
// endpoint.
func (c *Circuit) Record(at time.Time, o Outcome) {
	probing := c.probing
	c.probing = false
	switch {
	case o.Fault == FaultHub:
		return
	case o.Kind != Retry:
		*c = Circuit{}
		return
	}
	c.failures++
	if c.failures >= openAfter && (c.open == 0 || probing) {
		c.open = min(max(2*c.open, firstOpen), maxOpen)
		c.until = at.Add(c.open)
	}
	if asked := min(o.After, maxOpen); asked > 0 && c.until.Before(at.Add(asked)) {
		c.open = max(c.open, firstOpen)
		c.until = at.Add(asked)
	}
}

// Closed reports whether attempts are made freely.
func (c *Circuit) Closed() bool { return c.open == 0 }
