package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"referralhub/cmd/partner/client"
	"referralhub/hub/server"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

// offer sends a message and reports whether the hub took it. A hub that does not must say so in a problem document that says when to come again.
func (c *county) offer(from *client.Client, m referral) (*client.SendResult, bool) {
	c.Helper()
	sent, err := from.Send(c.Context(), m.bytes())
	if err == nil {
		return sent, true
	}
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || p.RetryAfter <= 0 {
		c.Errorf("%s was answered with %v, want a transfer or a 503 that says when to come again", m["message_id"], err)
	}
	return nil, false
}

// insist sends a message until the hub takes it.
func (c *county) insist(from *client.Client, m referral) *client.SendResult {
	c.Helper()
	var sent *client.SendResult
	c.until(fmt.Sprint("the hub takes ", m["message_id"]), func() bool {
		var taken bool
		sent, taken = c.offer(from, m)
		return taken
	})
	return sent
}

// The database goes away in the middle of a day, and comes back.
func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	url := storetest.Postgres(t)
	c := newCounty(t, url)
	at, err := pgx.ParseConfig(url)
	c.must(err)
	name := at.Database
	at.Database = "postgres"
	admin, err := pgx.ConnectConfig(t.Context(), at)
	c.must(err)
	t.Cleanup(func() { admin.Close(context.Background()) })
	allow := func(yes bool) {
		_, err := admin.Exec(context.Background(), fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS %t", pgx.Identifier{name}.Sanitize(), yes))
		c.must(err)
		_, err = admin.Exec(context.Background(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
		c.must(err)
	}
	t.Cleanup(func() { allow(true) })

	sender, recipient := c.as(carersInHerts), c.as(ageUKHerts)
	message := func(i int) referral {
		return c.example("adult-carer-hertswise").with(fmt.Sprintf("m.%d", i), whose(joan))
	}
	before := c.insist(sender, message(-1)).Transfers[0]
	_, err = recipient.Token(t.Context())
	c.must(err)

	for round := range 3 {
		taken := make(chan bool, 20)
		for i := range cap(taken) { // the connections are cut while these are on their way
			go func() {
				_, ok := c.offer(sender, message(100*round+i))
				taken <- ok
			}()
		}
		allow(false)
		for range cap(taken) {
			<-taken
		}
		if _, ok := c.offer(sender, message(100*round+99)); ok {
			t.Error("a message was taken without a database")
		}
		if got, err := recipient.Collect(t.Context(), before.ID); err == nil || got != nil {
			t.Error("a dataset was handed out without a database")
		}
		if ready, err := http.Get(c.cfg.URL + "/readyz"); err != nil || ready.StatusCode == http.StatusOK {
			t.Errorf("without its database the hub says that it is ready (%v)", err)
		}
		allow(true)
		// Whatever was answered, and however often it is sent again, each is there once.
		for i := range cap(taken) {
			c.insist(sender, message(100*round+i))
		}
	}
	if _, err := recipient.Collect(t.Context(), before.ID); err != nil {
		t.Errorf("once the database is back: %v", err)
	}
	if report := c.audited(); report.Transfers != 1+3*20 || report.Releases != 1 {
		t.Errorf("%d transfers, %d releases", report.Transfers, report.Releases)
	}
}

// natsAt is a NATS server of its own, as an operator runs it.
func natsAt(t *testing.T, addr, dir string) *natsserver.Server {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	s, err := natsserver.NewServer(&natsserver.Options{Host: host, Port: n, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// NATS goes away, comes back, and the second time has forgotten everything. Referrals are taken all the while, and every recipient hears of every one.
func TestNATSGoesAwayAndComesBack(t *testing.T) {
	t.Parallel() // most of it is waiting
	addr, dir := freeAddress(t), t.TempDir()
	bus := natsAt(t, addr, dir)
	c := newCounty(t, "", func(cfg *server.Config) { cfg.NATS.URL = "nats://" + addr })
	sender, recipient := c.as(carersInHerts), c.as(ageUKHerts)

	for round, dir := range []string{dir, t.TempDir()} {
		bus.Shutdown()
		bus.WaitForShutdown()
		for i := range 5 {
			if _, taken := c.offer(sender, c.example("adult-carer-hertswise").with(fmt.Sprintf("r-%d-%d", round, i), whose(joan))); !taken {
				t.Errorf("round %d: a referral was not taken because the bus is away", round)
			}
		}
		box, err := recipient.Inbox(t.Context(), "", 50, 0)
		c.must(err)
		if len(box.Entries) != 5*(round+1) {
			t.Errorf("round %d: %d entries wait, want all of them, bus or not", round, len(box.Entries))
		}
		bus = natsAt(t, addr, dir)
		c.until("everything has been announced", func() bool {
			c.sweepSoon()
			return len(c.outbox()) == 0
		})
	}
	c.audited()
	// A hub that is told to stop while the bus is away stops all the same.
	bus.Shutdown()
	bus.WaitForShutdown()
	c.stop()
}

// sweepSoon lets the time pass after which the hub looks at its outbox again.
func (c *county) sweepSoon() {
	c.Helper()
	c.sql(`UPDATE outbox SET due = 0`, `UPDATE outbox SET due = 0`)
}

// outbox is what has not been announced yet.
func (c *county) outbox() []transfer.TransferID {
	c.Helper()
	st, err := server.OpenStore(c.Context(), c.cfg)
	c.must(err)
	defer st.Close()
	due, err := st.Due(c.Context(), time.Now().Add(1000*time.Hour), 1000)
	c.must(err)
	var ids []transfer.TransferID
	for _, d := range due {
		ids = append(ids, d.Transfer)
	}
	return ids
}
