package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"referralhub/hub/transfer"
)

// Verdict is what a handler wants done with a message. The zero Verdict hands it out again at once.
type Verdict struct {
	kind  verdictKind
	delay time.Duration
}

type verdictKind int

const (
	nak verdictKind = iota
	ack
	term
)

// Ack takes the message out of the queue.
func Ack() Verdict { return Verdict{kind: ack} }

// NakWithDelay has it handed out again, to any copy of the hub, after d.
func NakWithDelay(d time.Duration) Verdict { return Verdict{kind: nak, delay: d} }

// Term takes a message out that can never be handled.
func Term() Verdict { return Verdict{kind: term} }

// Consume calls handle for the messages of recipients until ctx ends and the handlers at work have returned. Copies of the hub
// that consume for the same recipient share its messages. Call it again, at any time, for recipients that came later.
//
// Handlers run concurrently, within the bounds of Config, with a context that outlives ctx by Config.Grace. As long as one is
// at work the server is told so, and its message is handed to nobody else. Consume returns an error only for a recipient that
// cannot be a subject: a server that is away, or a stream or consumer that is gone, is waited for or made again.
func (b *Bus) Consume(ctx context.Context, recipients []transfer.PartnerID, handle func(context.Context, Message) Verdict) error {
	for _, r := range recipients {
		if err := checkToken(string(r)); err != nil {
			return fmt.Errorf("consume for recipient: %w", err)
		}
	}
	work, done := b.afterwards(ctx)
	defer done()
	var wg sync.WaitGroup
	for _, r := range recipients {
		wg.Go(func() {
			f := &feed{bus: b, recipient: r, handle: handle, work: work, slots: make(chan struct{}, b.cfg.PerRecipient)}
			f.run(ctx)
		})
	}
	wg.Wait()
	return nil
}

// afterwards is the context of handlers: it ends Config.Grace after ctx, or when done is called.
func (b *Bus) afterwards(ctx context.Context) (work context.Context, done func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(b.cfg.Grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { stop(); cancel() }
}

// feed is the consumption of one recipient's messages. run and its heartbeat share inHand; handlers take themselves out of it.
type feed struct {
	bus       *Bus
	recipient transfer.PartnerID
	handle    func(context.Context, Message) Verdict
	work      context.Context
	slots     chan struct{}

	mu     sync.Mutex
	inHand map[jetstream.Msg]struct{}
}

func (f *feed) run(ctx context.Context) {
	f.inHand = make(map[jetstream.Msg]struct{})
	stopped := make(chan struct{})
	var beat, handlers sync.WaitGroup
	beat.Go(func() { f.heartbeat(stopped) })
	var wait time.Duration
	for ctx.Err() == nil {
		err := f.fetchAll(ctx, &handlers)
		if ctx.Err() != nil {
			break
		}
		// The stream may have gone with its folder, or the server be away: begin again, at first at once and then less often.
		f.bus.cfg.Log.WarnContext(ctx, "consumer begins again", "recipient", f.recipient, "err", err)
		wait = min(2*wait+50*time.Millisecond, 2*time.Second)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) && ctx.Err() == nil {
			if err := f.bus.remakeStream(ctx); err == nil {
				wait = 0
			}
		}
	}
	handlers.Wait()
	close(stopped)
	beat.Wait()
}

// fetchAll makes the consumer and fetches until something is wrong with it, or ctx ends.
func (f *feed) fetchAll(ctx context.Context, handlers *sync.WaitGroup) error {
	cfg := f.bus.cfg
	making, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	consumer, err := f.bus.js.CreateOrUpdateConsumer(making, Stream, jetstream.ConsumerConfig{
		Durable:       "deliver-" + string(f.recipient),
		FilterSubject: deliverSubject + string(f.recipient) + ".*",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       cfg.AckWait,
		MaxAckPending: 5 * cfg.FetchBatch,
		MaxDeliver:    -1, // giving up is the exchange's decision, and a leaf
	})
	if err != nil {
		return fmt.Errorf("make consumer for %s: %w", f.recipient, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(cfg.FetchBatch),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return fmt.Errorf("fetch for %s: %w", f.recipient, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, func() {
		if f.bus.conn.IsConnected() {
			messages.Drain()
		} else {
			messages.Stop() // draining would wait for a server that is away
		}
	})()
	var left []jetstream.Msg
	for {
		msg, err := messages.Next()
		if err != nil {
			// Only now has the server forgotten this subscription: earlier, it would hand them out to it again.
			for _, msg := range left {
				f.settle(msg, NakWithDelay(0))
			}
			return fmt.Errorf("fetch for %s: %w", f.recipient, err)
		}
		if !f.take(ctx, msg, handlers) {
			left = append(left, msg)
		}
	}
}

// A request for messages is made anew after pullExpiry. A server with nothing to send says every pullHeartbeat that it is there,
// and after two silent ones it is taken to be away.
const (
	pullExpiry    = 5 * time.Second
	pullHeartbeat = time.Second
)

// take waits for a slot of the recipient and one of the bus, and starts the handler. It reports false when ctx ended first: the
// message is another copy's to handle.
func (f *feed) take(ctx context.Context, msg jetstream.Msg, handlers *sync.WaitGroup) bool {
	f.mu.Lock()
	f.inHand[msg] = struct{}{}
	f.mu.Unlock()
	if !acquire(ctx, f.slots) {
		return false
	}
	if !acquire(ctx, f.bus.slots) {
		<-f.slots
		return false
	}
	handlers.Go(func() {
		defer func() { <-f.bus.slots; <-f.slots }()
		m, err := decode(msg.Subject(), msg.Data())
		if err != nil {
			f.bus.malformed.Add(1)
			f.bus.cfg.Log.ErrorContext(f.work, "terminate message", "recipient", f.recipient, "err", err)
			f.settle(msg, Term())
			return
		}
		f.settle(msg, f.handle(f.work, m))
	})
	return true
}

// acquire takes a slot unless ctx has ended.
func acquire(ctx context.Context, slots chan struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *feed) settle(msg jetstream.Msg, v Verdict) {
	f.mu.Lock()
	delete(f.inHand, msg)
	f.mu.Unlock()
	var err error
	switch v.kind {
	case ack:
		err = msg.Ack()
	case term:
		err = msg.Term()
	default:
		err = msg.NakWithDelay(v.delay)
	}
	if err != nil {
		// The message is handed out again when the server's patience ends, and found settled.
		f.bus.cfg.Log.WarnContext(f.work, "answer for a message was not sent", "recipient", f.recipient, "err", err)
	}
}

// heartbeat tells the server of every message in hand, waiting for a slot or at work, that it is not forgotten.
func (f *feed) heartbeat(stopped <-chan struct{}) {
	tick := time.NewTicker(f.bus.cfg.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-stopped:
			return
		case <-tick.C:
		}
		f.mu.Lock()
		for msg := range f.inHand {
			_ = msg.InProgress() // a lost word costs one redelivery at worst
		}
		f.mu.Unlock()
	}
}
