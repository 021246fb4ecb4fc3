package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"referralhub/hub/bus"
	"referralhub/hub/transfer"
)

// Bus is what the worker needs of the bus.
type Bus interface {
	// Consume calls handle, concurrently and at least once, for every message of the recipients until ctx ends and the handlers
	// have returned.
	Consume(ctx context.Context, recipients []transfer.PartnerID, handle func(context.Context, bus.Message) bus.Verdict) error
	// Publish may be given what the queue already holds.
	Publish(ctx context.Context, messages []bus.Message) error
}

// Exchange decides and records. All methods are safe for concurrent use; an error means that nothing was decided or recorded, or
// that it is not known, and that the same call may be made again.
type Exchange interface {
	// Next says what there is to do for a transfer. When that is to deliver, the decision has been made afresh and its release
	// leaf is committed.
	Next(ctx context.Context, id transfer.TransferID) (Job, error)
	// Settle records how an attempt ended. Once it returns the outbox says when the transfer is due again, with one attempt
	// more, or no longer holds it.
	Settle(ctx context.Context, id transfer.TransferID, attempt int, s Settlement) error
	// Due hands out at most limit transfers of the outbox whose time has come, oldest first, and puts each off by a while, so
	// that the next call hands out others.
	Due(ctx context.Context, now time.Time, limit int) ([]bus.Message, error)
}

// Config is what a Worker is made of. Bus, Exchange, Adapters, Partners and Recipients are required.
type Config struct {
	Bus      Bus
	Exchange Exchange
	Adapters map[string]Adapter // by the name in Partner.Delivery
	// Partners gives a partner of the register in force; Recipients gives all their ids. Both are asked again and again, so
	// that a partner who joins is served without a restart.
	Partners   func(transfer.PartnerID) (transfer.Partner, bool)
	Recipients func() []transfer.PartnerID

	SweepEvery time.Duration // how often the outbox is looked at: 2 s when zero
	SweepLimit int           // how many transfers are read from it at a time: 500 when zero

	Log  *slog.Logger
	Now  func() time.Time
	Rand func() float64 // in [0,1), for jitter
}

// Stats counts since New.
type Stats struct {
	Delivered, Retried, Rejected int64 // attempts, by how they ended
	GaveUp                       int64 // transfers left to a person
	Nothing                      int64 // transfers that needed nothing any more
	Before                       int64 // times that the hub's own faults kept it from an attempt
	Unsettled                    int64 // outcomes not recorded yet
	Open                         int64 // circuits that are not closed
}

// Worker delivers what the bus brings, and publishes again what the outbox holds. Safe for concurrent use.
type Worker struct {
	cfg Config

	delivered, retried, rejected, gaveUp, nothing, before atomic.Int64

	mu       sync.Mutex
	circuits map[transfer.PartnerID]*Circuit
	// unsettled holds the outcomes that could not be recorded, by the message that will come again for each. The bus bounds
	// their number: it hands out only so many messages that are not acknowledged.
	unsettled map[bus.Message]Settlement
}

const (
	retryBefore   = 10 * time.Second // the store or the register is not as it should be
	retryUnknown  = time.Minute      // the register has no way to this partner
	settleTimeout = 10 * time.Second
	sweepPages    = 20 // of SweepLimit in one sweep
)

// New checks the configuration and fills its defaults.
func New(cfg Config) (*Worker, error) {
	if cfg.Bus == nil || cfg.Exchange == nil || len(cfg.Adapters) == 0 || cfg.Partners == nil || cfg.Recipients == nil {
		return nil, errors.New("delivery: bus, exchange, adapters, partners and recipients are required")
	}
	cfg.SweepEvery = cmp.Or(cfg.SweepEvery, 2*time.Second)
	cfg.SweepLimit = cmp.Or(cfg.SweepLimit, 500)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	return &Worker{
		cfg:       cfg,
		circuits:  make(map[transfer.PartnerID]*Circuit),
		unsettled: make(map[bus.Message]Settlement),
	}, nil
}

// Run consumes for every recipient and sweeps the outbox until ctx ends and the attempts under way are settled.
func (w *Worker) Run(ctx context.Context) error {
	var consumers sync.WaitGroup
	defer consumers.Wait()
	started := make(map[transfer.PartnerID]bool)
	tick := time.NewTicker(w.cfg.SweepEvery)
	defer tick.Stop()
	for {
		for _, r := range w.cfg.Recipients() {
			if started[r] {
				continue
			}
			started[r] = true
			consumers.Go(func() {
				if err := w.cfg.Bus.Consume(ctx, []transfer.PartnerID{r}, w.handle); err != nil {
					w.cfg.Log.ErrorContext(ctx, "recipient is not served", "recipient", r, "err", err)
				}
			})
		}
		if err := w.sweep(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Log.WarnContext(ctx, "sweep of the outbox", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep publishes what is due: first attempts that JetStream lost, and every attempt after the first.
func (w *Worker) sweep(ctx context.Context) error {
	for range sweepPages {
		due, err := w.cfg.Exchange.Due(ctx, w.cfg.Now(), w.cfg.SweepLimit)
		if err != nil {
			return fmt.Errorf("read what is due: %w", err)
		}
		if len(due) > 0 {
			if err := w.cfg.Bus.Publish(ctx, due); err != nil {
				return fmt.Errorf("publish what is due: %w", err)
			}
		}
		if len(due) < w.cfg.SweepLimit {
			return nil
		}
	}
	return nil
}

// handle makes one attempt. The message is acknowledged once the outcome is recorded: the next attempt then comes out of the
// outbox as a message of its own, so that a wait of a day rests in the database and not in JetStream.
func (w *Worker) handle(ctx context.Context, m bus.Message) bus.Verdict {
	if s, ok := w.recall(m); ok {
		return w.settle(ctx, m, s)
	}

	to, known := w.cfg.Partners(m.Recipient)
	adapter := w.cfg.Adapters[to.Delivery.Adapter]
	if !known || adapter == nil {
		w.before.Add(1)
		w.cfg.Log.ErrorContext(ctx, "no way to the recipient", "transfer_id", m.Transfer, "recipient", m.Recipient, "adapter", to.Delivery.Adapter)
		return bus.NakWithDelay(retryUnknown)
	}
	if wait, ok := w.allow(to.ID); !ok {
		return bus.NakWithDelay(wait)
	}
	job, err := w.cfg.Exchange.Next(ctx, m.Transfer)
	if err != nil {
		w.cancel(to.ID)
		w.before.Add(1)
		w.cfg.Log.ErrorContext(ctx, "ask what to do with a transfer", "transfer_id", m.Transfer, "err", err)
		return bus.NakWithDelay(retryBefore)
	}
	if job.Notice == nil && job.Parcel == nil {
		w.cancel(to.ID)
		w.nothing.Add(1)
		return bus.Ack()
	}

	outcome, err := carry(ctx, adapter, to, m, job)
	if err != nil && ctx.Err() != nil {
		w.cancel(to.ID)
		return bus.NakWithDelay(0) // the hub is stopping; whether it arrived is not known, and the release leaf stands
	}
	if err != nil {
		w.cfg.Log.ErrorContext(ctx, "attempt", "transfer_id", m.Transfer, "recipient", to.ID, "attempt", m.Attempt, "err", err)
		outcome = Outcome{Kind: Retry, Fault: FaultHub, Reason: "the hub could not carry it"}
	}
	w.record(to.ID, outcome)

	s := Settlement{Outcome: outcome, Announced: job.Notice != nil}
	s.After, s.GiveUp = Next(m.Attempt, outcome, w.cfg.Rand())
	w.count(ctx, m, s)
	return w.settle(ctx, m, s)
}

// carry gives the adapter what the exchange released, after a last look that it is this transfer and this recipient.
func carry(ctx context.Context, a Adapter, to transfer.Partner, m bus.Message, job Job) (o Outcome, err error) {
	if to.ID != m.Recipient {
		return Outcome{}, fmt.Errorf("the register gave partner %s for %s", to.ID, m.Recipient)
	}
	if p := job.Parcel; p != nil {
		if err := p.CheckRecipient(to.ID); err != nil {
			return Outcome{}, err
		}
		if p.Transfer() != m.Transfer {
			return Outcome{}, fmt.Errorf("the exchange gave a parcel of transfer %s for %s", p.Transfer(), m.Transfer)
		}
		o, err = a.Deliver(ctx, to, *p)
	} else {
		if job.Notice.Transfer != m.Transfer {
			return Outcome{}, fmt.Errorf("the exchange gave a notice of transfer %s for %s", job.Notice.Transfer, m.Transfer)
		}
		o, err = a.Announce(ctx, to, *job.Notice)
	}
	if err == nil && (o.Kind < Delivered || o.Kind > Rejected) {
		err = errors.New("the adapter did not say how the attempt ended")
	}
	return o, err
}

// settle records an outcome. It does not end with ctx: what has happened has happened, and the log must say so.
func (w *Worker) settle(ctx context.Context, m bus.Message, s Settlement) bus.Verdict {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err := w.cfg.Exchange.Settle(within, m.Transfer, m.Attempt, s)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.unsettled[m] = s
		w.cfg.Log.ErrorContext(ctx, "record an outcome; it is kept", "transfer_id", m.Transfer, "attempt", m.Attempt, "err", err)
		return bus.NakWithDelay(retryBefore)
	}
	delete(w.unsettled, m)
	return bus.Ack()
}

func (w *Worker) recall(m bus.Message) (Settlement, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.unsettled[m]
	return s, ok
}

func (w *Worker) allow(id transfer.PartnerID) (wait time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.circuits[id]
	if c == nil {
		c = new(Circuit)
		w.circuits[id] = c
	}
	ok, wait = c.Allow(w.cfg.Now())
	return wait, ok
}

func (w *Worker) cancel(id transfer.PartnerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.circuits[id].Cancel()
}

func (w *Worker) record(id transfer.PartnerID, o Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.circuits[id]
	was := c.Closed()
	c.Record(w.cfg.Now(), o)
	if was != c.Closed() {
		w.cfg.Log.Warn("circuit", "recipient", id, "closed", c.Closed())
	}
}

func (w *Worker) count(ctx context.Context, m bus.Message, s Settlement) {
	level := slog.LevelInfo
	switch s.Outcome.Kind {
	case Delivered:
		w.delivered.Add(1)
		level = slog.LevelDebug
	case Retry:
		w.retried.Add(1)
	case Rejected:
		w.rejected.Add(1)
	}
	if s.GiveUp {
		w.gaveUp.Add(1)
		level = slog.LevelWarn
	}
	w.cfg.Log.Log(ctx, level, "attempt", "transfer_id", m.Transfer, "recipient", m.Recipient, "attempt", m.Attempt,
		"outcome", s.Outcome.Kind.String(), "fault", s.Outcome.Fault, "reason", s.Outcome.Reason, "give_up", s.GiveUp, "after", s.After)
}

// Stats is a snapshot of the counters.
func (w *Worker) Stats() Stats {
	s := Stats{
		Delivered: w.delivered.Load(), Retried: w.retried.Load(), Rejected: w.rejected.Load(),
		GaveUp: w.gaveUp.Load(), Nothing: w.nothing.Load(), Before: w.before.Load(),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Unsettled = int64(len(w.unsettled))
	for _, c := range w.circuits {
		if !c.Closed() {
			s.Open++
		}
	}
	return s
}
