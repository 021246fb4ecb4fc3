package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"referralhub/cmd/partner/client"
	"referralhub/hub/server"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

// seize takes the database for somebody else, so that nothing can be committed until it is let go.
func (c *county) seize() (letGo func()) {
	c.Helper()
	if c.cfg.Database != "" {
		conn, err := pgx.Connect(context.Background(), c.cfg.Database)
		c.must(err)
		_, err = conn.Exec(context.Background(), "BEGIN; LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
		c.must(err)
		return sync.OnceFunc(func() { conn.Close(context.Background()) })
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.cfg.Data, "hub.db")+"?_pragma=busy_timeout(5000)")
	c.must(err)
	conn, err := db.Conn(context.Background())
	c.must(err)
	_, err = conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
	c.must(err)
	return sync.OnceFunc(func() { conn.Close(); db.Close() })
}

// hangUp ends the connections that clients keep for later: a server that stops gives one that was never used five seconds.
func hangUp() { http.DefaultTransport.(*http.Transport).CloseIdleConnections() }

// ready is a client that has logged in.
func (c *county) ready(who transfer.PartnerID) *client.Client {
	c.Helper()
	out := c.as(who)
	_, err := out.Token(c.Context())
	c.must(err)
	return out
}

// storm sends n messages at once and says of each, as they are answered, whether it was taken.
func (c *county) storm(sender *client.Client, name string, n int) <-chan bool {
	taken := make(chan bool, n)
	for i := range n {
		m := c.example("adult-carer-hertswise").with(fmt.Sprintf("%s-%d", name, i), whose(joan))
		go func() {
			_, ok := c.offer(sender, m)
			taken <- ok
		}()
	}
	return taken
}

// More arrives than the hub works on at once, and what it works on goes slowly. The rest is told at once to come again, nothing piles up, and
// afterwards all is as before.
func TestMoreArrivesThanTheHubTakesOn(t *testing.T) {
	const places, arriving = 4, 60
	story := func(t *testing.T, c *county) {
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("before", whose(gwen)), transfer.PermitReduced)
		sender := c.ready(carersInHerts)
		letGo := c.seize()
		defer letGo()
		taken := c.storm(sender, "storm", arriving)
		for range arriving - places {
			if <-taken {
				t.Error("a message was taken while nothing could be committed")
			}
		}
		// It is alive, and says so, while it can take no more.
		alive, err := http.Get(c.cfg.URL + "/healthz")
		c.must(err)
		alive.Body.Close()
		if alive.StatusCode != http.StatusOK {
			t.Errorf("while it is busy the hub says that it is not alive: %s", alive.Status)
		}
		letGo()
		for range places {
			if !<-taken {
				t.Error("a message that was being worked on was given up")
			}
		}
		for i := range arriving {
			c.insist(sender, c.example("adult-carer-hertswise").with("storm-"+strconv.Itoa(i), whose(joan)))
		}
		if report := c.audited(); report.Transfers != arriving+1 {
			t.Errorf("%d transfers", report.Transfers)
		}
		hangUp()
	}
	few := func(cfg *server.Config) { cfg.Limits.InFlight = places }
	t.Run("SQLite", func(t *testing.T) { story(t, newCounty(t, "", few)) })
	t.Run("PostgreSQL", func(t *testing.T) { story(t, newCounty(t, storetest.Postgres(t), few)) })
}

// A hub under load holds no more memory than its places need, however long the load lasts.
func TestLoadDoesNotGrowTheHub(t *testing.T) {
	c := newCounty(t, "", func(cfg *server.Config) { cfg.Limits.InFlight = 16 })
	size := func() (bytes uint64, goroutines int) {
		hangUp()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	sender := c.ready(carersInHerts)
	wave := func(n int) {
		taken := c.storm(sender, fmt.Sprint("wave-", n), 200)
		for range 200 {
			<-taken
		}
	}
	wave(0) // everything that is made once is made
	before, idle := size()
	for n := range 4 {
		wave(n + 1)
	}
	c.until("the connections have ended", func() bool {
		_, now := size()
		return now <= idle+20
	})
	if after, _ := size(); after > before+16<<20 {
		t.Errorf("the heap grew from %d KiB to %d KiB", before>>10, after>>10)
	}
}

// The hub is told to stop while requests are in hand. They are answered, nothing is half done, and nothing of the hub goes on.
func TestAHubThatIsToldToStopFinishesWhatItHasInHand(t *testing.T) {
	const places, arriving = 6, 30
	story := func(t *testing.T, c *county) {
		c.stop()
		hangUp()
		here := goleak.IgnoreCurrent()
		c.start()
		c.send(carersInHerts, c.example("adult-carer-hertswise").with("before", whose(gwen)), transfer.PermitReduced)
		sender, polling := c.ready(carersInHerts), c.ready(pohwer)
		polled := make(chan error, 1)
		go func() {
			_, err := polling.Inbox(context.Background(), "", 10, 25*time.Second)
			polled <- err
		}()

		letGo := c.seize()
		defer letGo()
		taken := c.storm(sender, "last", arriving)
		for range arriving - places {
			<-taken // no: the others have all the places
		}
		hangUp()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			c.stop()
		}()
		c.until("nobody new is let in", func() bool {
			conn, err := net.Dial("tcp", c.cfg.Listen)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
		letGo()
		for range places {
			if !<-taken {
				t.Error("a message in hand was not taken")
			}
		}
		if err := <-polled; err != nil {
			c.problem(err, http.StatusServiceUnavailable) // it may not find a place for its last look
		}
		<-stopped
		hangUp()
		goleak.VerifyNone(t, here)
		if report := c.audited(); report.Transfers != places+1 {
			t.Errorf("%d transfers", report.Transfers)
		}
	}
	few := func(cfg *server.Config) { cfg.Limits.InFlight = places }
	t.Run("SQLite", func(t *testing.T) { story(t, newCounty(t, "", few)) })
	t.Run("PostgreSQL", func(t *testing.T) { story(t, newCounty(t, storetest.Postgres(t), few)) })
}
