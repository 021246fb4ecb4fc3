package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"referralhub/hub/bus"
	"referralhub/hub/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	council = transfer.PartnerID("hertfordshire-county-council")
	charity = transfer.PartnerID("age-uk-hertfordshire")
)

func open(t testing.TB, cfg bus.Config) *bus.Bus {
	t.Helper()
	if cfg.URL == "" && cfg.StoreDir == "" {
		cfg.StoreDir = t.TempDir()
	}
	b, err := bus.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// natsServer runs a server that is nobody's part, as a county with several copies of the hub has one.
func natsServer(t testing.TB, dir string, port int) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, DisableJetStreamBanner: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return srv
}

// inbox is a handler that keeps what it was given.
type inbox struct {
	got     chan bus.Message
	verdict func(bus.Message) bus.Verdict
}

func newInbox() *inbox {
	return &inbox{got: make(chan bus.Message, 10000), verdict: func(bus.Message) bus.Verdict { return bus.Ack() }}
}

func (i *inbox) handle(_ context.Context, m bus.Message) bus.Verdict {
	i.got <- m
	return i.verdict(m)
}

func (i *inbox) take(t testing.TB) bus.Message {
	t.Helper()
	select {
	case m := <-i.got:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was handed out")
		return bus.Message{}
	}
}

// consume runs until the test, or stop, ends it.
func consume(t testing.TB, b *bus.Bus, handle func(context.Context, bus.Message) bus.Verdict, recipients ...transfer.PartnerID) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.Consume(ctx, recipients, handle); err != nil {
			t.Errorf("consume: %v", err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func publish(t testing.TB, b *bus.Bus, messages ...bus.Message) {
	t.Helper()
	if err := b.Publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestEachRecipientGetsItsOwn(t *testing.T) {
	b := open(t, bus.Config{})
	councils, charities := newInbox(), newInbox()
	consume(t, b, councils.handle, council)
	toCouncil := bus.Message{Recipient: council, Transfer: "0199-a"}
	toCharity := bus.Message{Recipient: charity, Transfer: "0199-b", Attempt: 3}
	publish(t, b, toCouncil, toCharity)
	if got := councils.take(t); got != toCouncil {
		t.Errorf("the council got %+v", got)
	}
	// The charity joins while the hub runs; what was published before it came is there.
	consume(t, b, charities.handle, charity)
	if got := charities.take(t); got != toCharity {
		t.Errorf("the charity got %+v", got)
	}
	if len(councils.got) != 0 {
		t.Error("the council got what is the charity's")
	}
}

// The sweeper may publish what still waits as often as it likes, and what was handled a moment ago once more.
func TestPublishedAgainIsHandledOnce(t *testing.T) {
	b := open(t, bus.Config{})
	first := bus.Message{Recipient: council, Transfer: "0199-a"}
	publish(t, b, first, first)
	second := bus.Message{Recipient: council, Transfer: "0199-a", Attempt: 1} // another id, and the queue has the transfer still
	publish(t, b, second)
	eventually(t, "two of three are known", func() bool { s := b.Stats(); return s.Published == 1 && s.Known == 2 })

	in := newInbox()
	consume(t, b, in.handle, council)
	if got := in.take(t); got != first {
		t.Errorf("got %+v", got)
	}
	eventually(t, "the queue is empty", func() bool { return waiting(t, b) == 0 })
	publish(t, b, first, second)
	if got := in.take(t); got != second {
		t.Errorf("got %+v; want the second attempt, for the first was handled", got)
	}
	eventually(t, "three are known", func() bool { s := b.Stats(); return s.Published == 2 && s.Known == 3 && s.Lost == 0 })
}

// waiting is how many messages are in the queue.
func waiting(t testing.TB, b *bus.Bus) uint64 {
	t.Helper()
	s, err := b.JetStream().Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestHandedOutAgain(t *testing.T) {
	b := open(t, bus.Config{})
	in := newInbox()
	times := 0
	in.verdict = func(bus.Message) bus.Verdict {
		switch times++; times {
		case 1:
			return bus.NakWithDelay(50 * time.Millisecond)
		case 2:
			return bus.Verdict{}
		}
		return bus.Term()
	}
	consume(t, b, in.handle, council)
	publish(t, b, bus.Message{Recipient: council, Transfer: "0199-a"})
	in.take(t)
	at := time.Now()
	in.take(t)
	if d := time.Since(at); d < 40*time.Millisecond {
		t.Errorf("handed out again after %v", d)
	}
	in.take(t)
	eventually(t, "the terminated message leaves the queue", func() bool { return waiting(t, b) == 0 })
}

// A handler that takes longer than the server's patience keeps its message, and so do those that wait behind it.
func TestSlowHandlerKeepsItsMessage(t *testing.T) {
	b := open(t, bus.Config{AckWait: 400 * time.Millisecond, PerRecipient: 1})
	in := newInbox()
	first := make(chan struct{})
	in.verdict = func(m bus.Message) bus.Verdict {
		if m.Transfer == "0199-a" {
			<-first
		}
		return bus.Ack()
	}
	consume(t, b, in.handle, council)
	publish(t, b, bus.Message{Recipient: council, Transfer: "0199-a"}, bus.Message{Recipient: council, Transfer: "0199-b"})
	in.take(t)
	time.AfterFunc(900*time.Millisecond, func() { close(first) })
	if got := in.take(t); got.Transfer != "0199-b" {
		t.Errorf("got %+v again", got)
	}
	eventually(t, "both are done", func() bool { return waiting(t, b) == 0 })
	if len(in.got) != 0 {
		t.Errorf("%+v was handed out twice", <-in.got)
	}
}

func TestHandlersAreBounded(t *testing.T) {
	b := open(t, bus.Config{PerRecipient: 3, Concurrency: 4})
	var mu sync.Mutex
	working, most := map[transfer.PartnerID]int{}, map[transfer.PartnerID]int{}
	all, mostOfAll := 0, 0
	enough := make(chan struct{})
	var done sync.WaitGroup
	done.Add(40)
	consume(t, b, func(_ context.Context, m bus.Message) bus.Verdict {
		mu.Lock()
		working[m.Recipient]++
		all++
		most[m.Recipient] = max(most[m.Recipient], working[m.Recipient])
		if mostOfAll = max(mostOfAll, all); all == 4 {
			select {
			case <-enough:
			default:
				close(enough)
			}
		}
		mu.Unlock()
		<-enough
		mu.Lock()
		working[m.Recipient]--
		all--
		mu.Unlock()
		done.Done()
		return bus.Ack()
	}, council, charity)
	for i := range 20 {
		publish(t, b, bus.Message{Recipient: council, Transfer: transfer.TransferID(fmt.Sprintf("a%d", i))},
			bus.Message{Recipient: charity, Transfer: transfer.TransferID(fmt.Sprintf("b%d", i))})
	}
	done.Wait()
	if most[council] > 3 || most[charity] > 3 || mostOfAll != 4 {
		t.Errorf("at most %d and %d for one recipient and %d in all", most[council], most[charity], mostOfAll)
	}
}

func TestStoppingLetsHandlersFinish(t *testing.T) {
	b := open(t, bus.Config{PerRecipient: 1})
	in := newInbox()
	finish := make(chan struct{})
	in.verdict = func(bus.Message) bus.Verdict { <-finish; return bus.Ack() }
	ctx, cancel := context.WithCancel(t.Context())
	var consuming sync.WaitGroup
	consuming.Go(func() {
		if err := b.Consume(ctx, []transfer.PartnerID{council}, in.handle); err != nil {
			t.Errorf("consume: %v", err)
		}
	})
	publish(t, b, bus.Message{Recipient: council, Transfer: "0199-a"}, bus.Message{Recipient: council, Transfer: "0199-b"})
	in.take(t)
	cancel()
	close(finish)
	consuming.Wait()
	eventually(t, "the one at work is done, and the other is left", func() bool { return waiting(t, b) == 1 })

	// Left, and not forgotten: whoever consumes next has it at once and not only after the server's patience.
	next := newInbox()
	consume(t, b, next.handle, council)
	if got := next.take(t); got.Transfer != "0199-b" {
		t.Errorf("got %+v", got)
	}
}

// Losing everything that JetStream has wedges nothing: the outbox publishes again what it still holds.
func TestFolderDeletedBetweenRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "jetstream")
	m := bus.Message{Recipient: council, Transfer: "0199-a"}
	b, err := bus.Open(t.Context(), bus.Config{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, m)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	b = open(t, bus.Config{StoreDir: dir})
	in := newInbox()
	consume(t, b, in.handle, council)
	publish(t, b, m)
	if got := in.take(t); got != m {
		t.Errorf("got %+v", got)
	}
}

func TestWaitsOverARestart(t *testing.T) {
	dir := t.TempDir()
	b, err := bus.Open(t.Context(), bus.Config{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	m := bus.Message{Recipient: council, Transfer: "0199-a", Attempt: 2}
	publish(t, b, m)
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	b = open(t, bus.Config{StoreDir: dir})
	in := newInbox()
	consume(t, b, in.handle, council)
	if got := in.take(t); got != m {
		t.Errorf("got %+v", got)
	}
}

func TestStreamDeletedWhileConsuming(t *testing.T) {
	b := open(t, bus.Config{})
	in := newInbox()
	consume(t, b, in.handle, council)
	publish(t, b, bus.Message{Recipient: council, Transfer: "0199-a"})
	in.take(t)
	if err := b.JetStream().DeleteStream(t.Context(), bus.Stream); err != nil {
		t.Fatal(err)
	}
	if err := b.Ping(t.Context()); err == nil {
		t.Error("the bus says that it is well without its stream")
	}
	eventually(t, "the stream is made again", func() bool { return b.Ping(t.Context()) == nil })
	publish(t, b, bus.Message{Recipient: council, Transfer: "0199-b"})
	if got := in.take(t); got.Transfer != "0199-b" {
		t.Errorf("got %+v", got)
	}
}

// A hub whose NATS server is killed and comes back, on the same address and without its folder, goes on.
func TestServerRestartsUnderItsClient(t *testing.T) {
	dir := t.TempDir()
	srv := natsServer(t, dir, server.RANDOM_PORT)
	url := srv.ClientURL()
	lost := make(chan bus.Message, 10)
	hub := open(t, bus.Config{URL: url, Name: "hub-a", Lost: func(m bus.Message, _ error) { lost <- m }})
	in := newInbox()
	consume(t, hub, in.handle, council)
	publish(t, hub, bus.Message{Recipient: council, Transfer: "0199-a"})
	in.take(t)
	eventually(t, "acknowledged", func() bool { return hub.Stats().Pending == 0 })

	port := srv.Addr().(*net.TCPAddr).Port
	srv.Shutdown()
	srv.WaitForShutdown()
	unwell, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := hub.Ping(unwell); err == nil {
		t.Error("the bus says that it is well without a server")
	}
	if err := os.RemoveAll(filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	natsServer(t, dir, port)
	eventually(t, "the hub has found the server again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		return hub.Ping(ctx) == nil
	})
	publish(t, hub, bus.Message{Recipient: council, Transfer: "0199-b"})
	if got := in.take(t); got.Transfer != "0199-b" {
		t.Errorf("got %+v", got)
	}
}

// What JetStream does not take is reported, and is not an error of Publish: the outbox has it.
func TestLostIsReported(t *testing.T) {
	lost := make(chan bus.Message, 1)
	b := open(t, bus.Config{Lost: func(m bus.Message, err error) {
		if err == nil {
			t.Error("lost without a reason")
		}
		lost <- m
	}})
	if err := b.JetStream().DeleteStream(t.Context(), bus.Stream); err != nil {
		t.Fatal(err)
	}
	m := bus.Message{Recipient: council, Transfer: "0199-a"}
	publish(t, b, m)
	if got := <-lost; got != m {
		t.Errorf("reported %+v", got)
	}
	if s := b.Stats(); s.Lost != 1 || s.Pending != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A window that is full holds the publisher up and loses nothing; and a publisher that will wait no longer is let go.
func TestBackPressure(t *testing.T) {
	b := open(t, bus.Config{PublishWindow: 2})
	var many []bus.Message
	for i := range 2000 {
		many = append(many, bus.Message{Recipient: council, Transfer: transfer.TransferID(fmt.Sprintf("t%d", i))})
	}
	publish(t, b, many...)
	eventually(t, "all are taken", func() bool { return b.Stats().Published == 2000 })

	srv := natsServer(t, t.TempDir(), server.RANDOM_PORT)
	silent, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	hub := open(t, bus.Config{URL: srv.ClientURL(), PublishWindow: 2})
	if err := hub.JetStream().DeleteStream(t.Context(), bus.Stream); err != nil {
		t.Fatal(err)
	}
	// Somebody takes the publications and never acknowledges them.
	if _, err := silent.SubscribeSync("hub.deliver.>"); err != nil {
		t.Fatal(err)
	}
	if err := silent.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := hub.Publish(ctx, many[:3]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the third publication into a window of two gave %v", err)
	}
	srv.Shutdown()
}

func TestIdsThatAreNotTokens(t *testing.T) {
	b := open(t, bus.Config{})
	for _, id := range []string{"", "a.b", "*", ">", "a b", "é", strings.Repeat("a", 200)} {
		if err := b.Publish(t.Context(), []bus.Message{{Recipient: transfer.PartnerID(id), Transfer: "0199-a"}}); err == nil {
			t.Errorf("published to recipient %q", id)
		}
		if err := b.Publish(t.Context(), []bus.Message{{Recipient: council, Transfer: transfer.TransferID(id)}}); err == nil {
			t.Errorf("published transfer %q", id)
		}
		if err := b.Consume(t.Context(), []transfer.PartnerID{transfer.PartnerID(id)}, nil); err == nil {
			t.Errorf("consumes for recipient %q", id)
		}
		if _, err := b.Watch(t.Context(), transfer.PartnerID(id)); err == nil {
			t.Errorf("watches recipient %q", id)
		}
		if err := b.Notify(transfer.PartnerID(id)); err == nil {
			t.Errorf("notifies recipient %q", id)
		}
	}
}

// What cannot be read can never be handled.
func TestMalformedIsTerminated(t *testing.T) {
	b := open(t, bus.Config{})
	for subject, body := range map[string]string{
		"hub.deliver.age-uk-hertfordshire.0199-a": "not JSON",
		"hub.deliver.age-uk-hertfordshire.0199-b": `{"transfer_id":"0199-c","attempt":0}`,
		"hub.deliver.age-uk-hertfordshire.0199-d": `{"transfer_id":"0199-d","attempt":-1}`,
	} {
		if _, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	consume(t, b, func(_ context.Context, m bus.Message) bus.Verdict {
		t.Errorf("handed out %+v", m)
		return bus.Ack()
	}, charity)
	eventually(t, "they leave the queue", func() bool { return b.Stats().Malformed == 3 && waiting(t, b) == 0 })
}

func TestOnlyLoopback(t *testing.T) {
	for _, cfg := range []bus.Config{
		{},
		{StoreDir: t.TempDir(), ListenAddr: "0.0.0.0:0"},
		{StoreDir: t.TempDir(), ListenAddr: ":4222"},
		{StoreDir: t.TempDir(), ListenAddr: "192.168.1.5:4222"},
		{StoreDir: t.TempDir(), ListenAddr: "127.0.0.1"},
		{StoreDir: t.TempDir(), Replicas: 3},
		{URL: "nats://127.0.0.1:1"},
	} {
		if b, err := bus.Open(t.Context(), cfg); err == nil {
			b.Close()
			t.Errorf("opened %+v", cfg)
		}
	}
}

func TestRequestAndReply(t *testing.T) {
	b := open(t, bus.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	serving.Go(func() {
		err := b.Serve(ctx, bus.SubjectReferrals, 1, func(_ context.Context, r bus.Request) bus.Reply {
			if string(r.Body) == "slow" {
				entered <- struct{}{}
				<-leave
			}
			if r.Header.Get("Authorization") != "Bearer t" {
				return bus.Reply{Status: http.StatusUnauthorized}
			}
			return bus.Reply{Status: http.StatusCreated, Header: http.Header{"Location": {"/v1/referrals/1"}}, Body: r.Body}
		})
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	ask := func(r bus.Request) (bus.Reply, error) { return b.Request(t.Context(), bus.SubjectReferrals, r) }
	eventually(t, "somebody serves", func() bool { _, err := ask(bus.Request{}); return err == nil })

	// NATS keeps the spelling of header names; the hub does not mind it.
	r, err := ask(bus.Request{Header: http.Header{"authorization": {"Bearer t"}}, Body: []byte(`{"a":1}`)})
	if err != nil || r.Status != http.StatusCreated || r.Header.Get("Location") != "/v1/referrals/1" || string(r.Body) != `{"a":1}` {
		t.Errorf("reply %+v, %v", r, err)
	}
	r, err = ask(bus.Request{})
	if err != nil || r.Status != http.StatusUnauthorized || len(r.Body) == 0 {
		t.Errorf("reply %+v, %v", r, err)
	}

	// Past the bound a request is told to come back, and one at work is answered though the hub is stopping.
	slow := make(chan bus.Reply, 1)
	go func() {
		r, err := ask(bus.Request{Header: http.Header{"Authorization": {"Bearer t"}}, Body: []byte("slow")})
		if err != nil {
			t.Errorf("slow request: %v", err)
		}
		slow <- r
	}()
	<-entered
	r, err = ask(bus.Request{})
	if err != nil || r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("reply %+v, %v; want 503 and when to come back", r, err)
	}
	cancel()
	close(leave)
	if r := <-slow; r.Status != http.StatusCreated {
		t.Errorf("slow reply %+v", r)
	}
	serving.Wait()
	if _, err := ask(bus.Request{}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after the end: %v", err)
	}
}

func TestInboxIsWatched(t *testing.T) {
	b := open(t, bus.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	woken, err := b.Watch(ctx, council)
	if err != nil {
		t.Fatal(err)
	}
	others, err := b.Watch(ctx, charity)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // however often, one wake-up is enough
		if err := b.Notify(council); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-woken:
	case <-time.After(5 * time.Second):
		t.Fatal("not woken")
	}
	if len(others) != 0 {
		t.Error("another partner was woken")
	}
	cancel()
	if _, err := b.Watch(context.Background(), council); err == nil {
		t.Error("watches for ever")
	}
}

func BenchmarkPublishConsume(b *testing.B) {
	hub := open(b, bus.Config{})
	var done sync.WaitGroup
	done.Add(b.N)
	consume(b, hub, func(context.Context, bus.Message) bus.Verdict { done.Done(); return bus.Ack() }, council)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := hub.Publish(b.Context(), []bus.Message{{Recipient: council, Transfer: transfer.TransferID(fmt.Sprintf("t%d", i))}}); err != nil {
			b.Fatal(err)
		}
	}
	done.Wait()
}
