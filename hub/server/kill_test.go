package server_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

// The hub as the process that an operator runs, and what can happen to one.
func TestTheHubAsAProcess(t *testing.T) {
	t.Parallel() // most of it is waiting for processes
	binary := filepath.Join(t.TempDir(), "hub")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "referralhub/cmd/hub").CombinedOutput(); err != nil {
		t.Fatalf("build the hub: %v\n%s", err, out)
	}
	t.Run("killed again and again", func(t *testing.T) { killedAgainAndAgain(t, binary) })
	t.Run("its files may not grow", func(t *testing.T) { filesMayNotGrow(t, binary) })
}

// killedAgainAndAgain kills the process while partners work with it. HUB_KILLS says how often (6 when it is not set), HUB_KILL_SEED at which
// instants: the seed of a run is in its output.
func killedAgainAndAgain(t *testing.T, binary string) {
	kills, seed := 6, uint64(time.Now().UnixNano())
	if v := os.Getenv("HUB_KILLS"); v != "" {
		var err error
		if kills, err = strconv.Atoi(v); err != nil {
			t.Fatalf("HUB_KILLS: %v", err)
		}
	}
	if v := os.Getenv("HUB_KILL_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("HUB_KILL_SEED: %v", err)
		}
	}
	for name, database := range map[string]func(testing.TB) string{
		"SQLite": func(testing.TB) string { return "" }, "PostgreSQL": storetest.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCounty(t, database(t))
			c.stop() // from here on it is a process of its own
			k := &killing{county: c, binary: binary, books: newBooks(), chance: rand.New(rand.NewPCG(seed, 0))}
			t.Logf("HUB_KILL_SEED=%d", seed)
			for round := range kills {
				k.round(round, round == kills/2)
				if t.Failed() {
					t.Fatalf("after kill %d", round+1)
				}
			}
			k.end()
		})
	}
}

// killing is a county whose hub is a process that dies.
type killing struct {
	*county
	binary string
	books  *books
	chance *rand.Rand
	output bytes.Buffer
}

// books are what the partners know, whatever became of the hub.
type books struct {
	mu        sync.Mutex
	sent      map[string]referral           // by message id: everything they ever tried to send
	accepted  map[string]*client.SendResult // what was answered with yes
	collected []*client.Disclosure          // what they received
	receipts  map[transfer.TransferID]bool  // what they acknowledged, and were told so
	withdrawn map[transfer.TransferID]bool  // of these the withdrawal was answered
	late      []transfer.TransferID         // collected after that
}

func newBooks() *books {
	return &books{
		sent: map[string]referral{}, accepted: map[string]*client.SendResult{}, receipts: map[transfer.TransferID]bool{},
		withdrawn: map[transfer.TransferID]bool{},
	}
}

func (b *books) note(f func(b *books)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

// serve starts the hub's process and waits until it answers.
func (k *killing) serve() *exec.Cmd {
	k.Helper()
	args := []string{"serve", "--data", k.cfg.Data, "--listen", k.cfg.Listen, "--plain-http"}
	if k.cfg.Database != "" {
		args = append(args, "--database", k.cfg.Database)
	}
	hub := exec.Command(k.binary, args...)
	hub.Stdout, hub.Stderr = &k.output, &k.output
	k.must(hub.Start())
	k.until("the hub answers", func() bool {
		r, err := http.Get(k.cfg.URL + "/healthz")
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	})
	return hub
}

// round lets partners work until the hub is killed at some instant, and then holds what is left to what they were told.
func (k *killing) round(n int, forgetBus bool) {
	k.Helper()
	hub := k.serve()
	k.Cleanup(func() { hub.Process.Kill(); hub.Wait() }) // if something fails before it is killed below
	working, stop := context.WithCancel(context.Background())
	var partners sync.WaitGroup
	for i := range 3 {
		chance := rand.New(rand.NewPCG(k.chance.Uint64(), 0))
		partners.Go(func() { k.sends(working, fmt.Sprintf("k%d-%d", n, i), chance) })
	}
	for range 2 {
		partners.Go(func() { k.receives(working) })
	}
	<-time.After(time.Duration(100+k.chance.IntN(400)) * time.Millisecond) // the instant of the kill is what is tried out
	k.must(hub.Process.Kill())
	hub.Wait()
	stop()
	partners.Wait()
	hangUp()
	k.check()
	if forgetBus {
		k.forgetBus()
	}
}

// sends is a partner that refers people, and whose people sometimes change their minds.
func (k *killing) sends(ctx context.Context, name string, chance *rand.Rand) {
	sender := k.as(carersInHerts)
	for i := 0; ctx.Err() == nil; i++ {
		id, nhs := fmt.Sprintf("%s-%d", name, i), synthetic(chance.IntN(1_000_000))
		m := k.example("adult-carer-hertswise").with(id, whose(nhs))
		k.books.note(func(b *books) { b.sent[id] = m })
		sent, err := sender.Send(ctx, m.bytes())
		if err != nil {
			continue
		}
		k.books.note(func(b *books) { b.accepted[id] = sent })
		if chance.IntN(4) > 0 {
			continue
		}
		if done, err := sender.Consent(ctx, consent("w-"+id, nhs, "withdrawn")); err == nil {
			k.books.note(func(b *books) {
				b.withdrawn[sent.Transfers[0].ID] = true
				for _, id := range done.Stopped {
					b.withdrawn[id] = true
				}
			})
		}
	}
}

// synthetic is an NHS number of the range 999 that nobody has.
func synthetic(n int) string {
	for ; ; n++ {
		digits := fmt.Sprintf("999%06d", n%1_000_000)
		sum := 0
		for i, d := range digits {
			sum += int(d-'0') * (10 - i)
		}
		if check := (11 - sum%11) % 11; check < 10 {
			return digits + strconv.Itoa(check)
		}
	}
}

// receives is a partner that collects what waits for it, and acknowledges most of it.
func (k *killing) receives(ctx context.Context) {
	recipient := k.as(ageUKHerts)
	for ctx.Err() == nil {
		box, err := recipient.Inbox(ctx, "", 20, time.Second)
		if err != nil {
			continue
		}
		for _, e := range box.Entries {
			if ctx.Err() != nil {
				return
			}
			var withdrawn bool
			k.books.note(func(b *books) { withdrawn = b.withdrawn[e.TransferID] })
			got, err := recipient.Collect(ctx, e.TransferID)
			if err != nil {
				continue
			}
			k.books.note(func(b *books) {
				b.collected = append(b.collected, got)
				if withdrawn {
					b.late = append(b.late, e.TransferID)
				}
			})
			if _, err := recipient.Receipt(ctx, e.TransferID, "accepted", ""); err == nil {
				k.books.note(func(b *books) { b.receipts[e.TransferID] = true })
			}
		}
	}
}

// check holds the database of a dead hub to what its partners know.
func (k *killing) check() {
	k.Helper()
	st := k.opened()
	report := k.audited()
	there := map[string]store.Transfer{}
	k.must(st.EachTransfer(k.Context(), k.cfg.Origin, func(t store.Transfer, _ bool) error {
		if _, twice := there[string(t.MessageID)]; twice {
			k.Errorf("message %s became two transfers", t.MessageID)
		}
		there[string(t.MessageID)] = t
		return nil
	}))
	for id, sent := range k.books.accepted {
		if t := there[id]; t.ID != sent.Transfers[0].ID {
			k.Errorf("message %s was accepted as %s and is now %q", id, sent.Transfers[0].ID, t.ID)
		}
	}
	for _, t := range there {
		if k.books.receipts[t.ID] && t.State != transfer.Accepted {
			k.Errorf("transfer %s was acknowledged and is %s", t.ID, t.State)
		}
	}
	for _, got := range k.books.collected {
		k.released(st, got)
	}
	for _, id := range k.books.late {
		k.Errorf("transfer %s was collected after its withdrawal had been answered", id)
	}
	k.Logf("%d messages sent, %d accepted, %d there; %d datasets received, %d releases, %d leaves",
		len(k.books.sent), len(k.books.accepted), len(there), len(k.books.collected), report.Releases, report.Leaves)
}

// released expects the release of what a partner received in the log, at the place and with the digest that the partner was given.
func (k *killing) released(st store.Store, got *client.Disclosure) {
	k.Helper()
	raw, err := st.Log(k.Context(), got.Log.Origin).Leaves(got.Log.Index, got.Log.Index+1)
	if err != nil {
		k.Errorf("the release of %s: %v", got.TransferID, err)
		return
	}
	l, err := ledger.Parse(raw[0])
	k.must(err)
	key, err := hex.DecodeString(got.DigestKey)
	k.must(err)
	if l.Kind != ledger.KindRelease || l.Transfer != got.TransferID || l.Recipient != ageUKHerts || l.Payload != seal.Digest([32]byte(key), got.Dataset) {
		k.Errorf("%s was received, and leaf %d says something else: %s %s", got.TransferID, got.Log.Index, l.Kind, l.Transfer)
	}
}

// forgetBus deletes the bus's memory while the hub is dead. What waits must be announced again.
func (k *killing) forgetBus() {
	k.Helper()
	k.must(os.RemoveAll(filepath.Join(k.cfg.Data, "jetstream")))
	hub := k.serve()
	// One more, that nobody has been told of when the hub dies: it is in the outbox, and its time comes.
	sent := k.insist(k.as(carersInHerts), k.example("adult-carer-hertswise").with("forgotten", whose(joan))).Transfers[0]
	k.books.note(func(b *books) {
		b.sent["forgotten"] = k.example("adult-carer-hertswise").with("forgotten", whose(joan))
	})
	k.must(hub.Process.Kill())
	hub.Wait()
	hangUp()
	k.must(os.RemoveAll(filepath.Join(k.cfg.Data, "jetstream")))
	const unannounced = `INSERT INTO outbox (transfer_id, recipient, due, attempt)
		SELECT id, recipient, 0, 0 FROM transfers WHERE state = 'queued' AND id NOT IN (SELECT transfer_id FROM outbox)`
	k.sql(unannounced, unannounced)
	k.sweepSoon()
	waiting := len(k.outbox())
	if waiting == 0 {
		k.Errorf("nothing waits, not even %s", sent.ID)
	}
	hub = k.serve()
	k.until("everything has been announced again", func() bool { return len(k.outbox()) == 0 })
	k.must(hub.Process.Signal(os.Interrupt))
	if err := hub.Wait(); err != nil {
		k.Errorf("told to stop, the hub ended with %v", err)
	}
	hangUp()
	k.Logf("%d transfers were announced again", waiting)
}

// end sends everything again that was not answered, lets everything be collected, and stops the hub as an operator does.
func (k *killing) end() {
	k.Helper()
	hub := k.serve()
	sender, recipient := k.as(carersInHerts), k.as(ageUKHerts)
	for id, m := range k.books.sent {
		again := k.insist(sender, m)
		if first := k.books.accepted[id]; first != nil && (!again.Repeat || again.Transfers[0].ID != first.Transfers[0].ID) {
			k.Errorf("message %s was accepted as %s and then as %s", id, first.Transfers[0].ID, again.Transfers[0].ID)
		}
		k.books.accepted[id] = again
	}
	for {
		box, err := recipient.Inbox(k.Context(), "", 50, 0)
		k.must(err)
		if len(box.Entries) == 0 {
			break
		}
		for _, e := range box.Entries {
			got, err := recipient.Collect(k.Context(), e.TransferID)
			var p *client.Problem
			if errors.As(err, &p) && p.Status == http.StatusConflict {
				continue // withdrawn
			}
			k.must(err)
			k.books.collected = append(k.books.collected, got)
			_, err = recipient.Receipt(k.Context(), e.TransferID, "accepted", "")
			k.must(err)
			k.books.receipts[e.TransferID] = true
		}
	}
	k.must(hub.Process.Signal(os.Interrupt))
	if err := hub.Wait(); err != nil {
		k.Errorf("told to stop, the hub ended with %v\n%s", err, k.output.String())
	}
	hangUp()
	k.check()
	st := k.opened()
	k.must(st.EachTransfer(k.Context(), k.cfg.Origin, func(t store.Transfer, payload bool) error {
		if payload || t.State == transfer.Queued || t.State == transfer.Released {
			k.Errorf("transfer %s is still %s", t.ID, t.State)
		}
		return nil
	}))
}
