package bus

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"referralhub/hub/transfer"
)

// SubjectReferrals is where partners submit over NATS: the body of POST /v1/referrals, with the token in the Authorization header.
const SubjectReferrals = "hub.v1.referrals"

// Request is what arrived on a subject. Header names are canonical, as in HTTP.
type Request struct {
	Header http.Header
	Body   []byte
}

// Reply is the answer. Status is that of HTTP and travels in a header of that name; a reply always has a body, because NATS
// reads an empty one with status 503 as "nobody is there".
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

const (
	statusHeader = "Status"
	queueGroup   = "hub" // each request is answered by one copy
)

// Serve answers requests on subject until ctx ends and those at work are answered. At most limit are at work; past that a
// request is told to come back (503, Retry-After), for waiting would only make everybody slower. Handlers' contexts outlive
// ctx by Config.Grace.
func (b *Bus) Serve(ctx context.Context, subject string, limit int, handle func(context.Context, Request) Reply) error {
	work, done := b.afterwards(ctx)
	defer done()
	slots := make(chan struct{}, limit)
	var handlers sync.WaitGroup
	sub, err := b.conn.QueueSubscribe(subject, queueGroup, func(msg *nats.Msg) {
		select {
		case slots <- struct{}{}:
		default:
			b.reply(work, msg, busy())
			return
		}
		handlers.Go(func() {
			answer := func() Reply {
				defer func() { <-slots }() // before the reply: whoever has it may ask again at once
				return handle(work, Request{Header: canonical(msg.Header), Body: msg.Data})
			}()
			b.reply(work, msg, answer)
		})
	})
	if err != nil {
		return fmt.Errorf("serve %s: %w", subject, err)
	}
	drained := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(drained) })
	<-ctx.Done()
	if err := sub.Drain(); err == nil { // requests already here are answered
		<-drained
	}
	handlers.Wait()
	if !b.conn.IsConnected() {
		return nil // nobody can be answered: those who asked will ask again
	}
	flush, cancel := context.WithTimeout(work, 2*time.Second)
	defer cancel()
	if err := b.conn.FlushWithContext(flush); err != nil {
		return fmt.Errorf("send the last replies on %s: %w", subject, err)
	}
	return nil
}

func (b *Bus) reply(ctx context.Context, msg *nats.Msg, r Reply) {
	if msg.Reply == "" || strings.HasPrefix(msg.Reply, "hub.") || strings.HasPrefix(msg.Reply, "$") {
		return // nobody waits for it, or it would be an order to the bus in the hub's name
	}
	header := nats.Header(r.Header.Clone())
	if header == nil {
		header = nats.Header{}
	}
	header[statusHeader] = []string{strconv.Itoa(r.Status)}
	if len(r.Body) == 0 {
		r.Body = []byte("{}")
	}
	if err := msg.RespondMsg(&nats.Msg{Header: header, Data: r.Body}); err != nil {
		b.cfg.Log.WarnContext(ctx, "reply was not sent", "subject", msg.Subject, "err", err)
	}
}

// busy is an RFC 9457 problem document.
func busy() Reply {
	return Reply{
		Status: http.StatusServiceUnavailable,
		Header: http.Header{"Retry-After": {"1"}, "Content-Type": {"application/problem+json"}},
		Body:   []byte(`{"title":"The hub has as many requests as it can work on","status":503,"detail":"Send it again after a second; the message id makes that harmless."}`),
	}
}

// Request asks on subject and waits for the reply until ctx ends.
func (b *Bus) Request(ctx context.Context, subject string, r Request) (Reply, error) {
	msg, err := b.conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: nats.Header(r.Header), Data: r.Body})
	if err != nil {
		return Reply{}, fmt.Errorf("ask on %s: %w", subject, err)
	}
	header := canonical(msg.Header)
	status, err := strconv.Atoi(header.Get(statusHeader))
	if err != nil {
		return Reply{}, fmt.Errorf("ask on %s: the reply has no status", subject)
	}
	header.Del(statusHeader)
	return Reply{Status: status, Header: header, Body: msg.Data}, nil
}

// canonical spells header names as HTTP does; NATS keeps them as they were sent.
func canonical(h nats.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		out[name] = append(out[name], values...)
	}
	return out
}

// Notify wakes whoever watches the recipient's inbox on any copy of the hub. Nobody need be there.
func (b *Bus) Notify(recipient transfer.PartnerID) error {
	if err := checkToken(string(recipient)); err != nil {
		return fmt.Errorf("notify recipient: %w", err)
	}
	if err := b.conn.Publish(inboxSubject+string(recipient), nil); err != nil {
		return fmt.Errorf("notify %s: %w", recipient, err)
	}
	return nil
}

// Watch gives a channel on which one value arrives when something came for the recipient since the last one was taken. It ends
// with ctx. A caller watches first, reads the inbox, and then waits: what comes in between is not missed. A wake-up may be
// lost while the bus is away, so a wait needs an end of its own.
func (b *Bus) Watch(ctx context.Context, recipient transfer.PartnerID) (<-chan struct{}, error) {
	if err := checkToken(string(recipient)); err != nil {
		return nil, fmt.Errorf("watch recipient: %w", err)
	}
	if ctx.Done() == nil {
		return nil, fmt.Errorf("watch %s: the context never ends, and the watch would not either", recipient)
	}
	woken := make(chan struct{}, 1)
	sub, err := b.conn.Subscribe(inboxSubject+string(recipient), func(*nats.Msg) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", recipient, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() }) // fails only when the connection has gone, and the watch with it

	// The server must know of the watch before the caller reads the inbox.
	flush, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := b.conn.FlushWithContext(flush); err != nil {
		_ = sub.Unsubscribe()
		return nil, fmt.Errorf("watch %s: %w", recipient, err)
	}
	return woken, nil
}
