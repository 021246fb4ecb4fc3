package exchange_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/delivery"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

var errBroken = errors.New("the store is broken")

// fault strikes one operation of the store, once.
type fault struct {
	op      storetest.Op
	nth     int  // 1 is the first
	applied bool // it is carried out, and the caller is told that it was not

	mu   sync.Mutex
	seen map[storetest.Op]int
}

func (f *fault) strike(op storetest.Op) (apply bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[storetest.Op]int{}
	}
	f.seen[op]++
	if op == f.op && f.seen[op] == f.nth {
		return f.applied, errBroken
	}
	return true, nil
}

func (f *fault) String() string {
	how := "not carried out"
	if f.applied {
		how = "carried out, and reported as failed"
	}
	return fmt.Sprintf("%s %d %s", f.op, f.nth, how)
}

// Every operation of the store fails in its turn, at each time that a day of referrals uses it. Partners do what partners do when they are
// answered with an error: they send the same thing again.
func TestADayOnWhichAnythingMayFail(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		h.index = pushingNavigators(t)
		quiet := &fault{}
		h.day("quiet", quiet, false)
		for _, op := range storetest.Ops() {
			if quiet.seen[op] == 0 {
				t.Fatalf("the day never asks the store to %s", op)
			}
			for _, applied := range []bool{false, true} {
				if applied && strings.HasPrefix(string(op), "read") {
					continue // a read that was carried out is no different from one that was not
				}
				t.Run(fmt.Sprintf("%s, carried out %t", op, applied), func(t *testing.T) {
					t.Parallel()
					h := h.elsewhere(t)
					step := 1
					if op == storetest.OpRead {
						step = 3 // there are many, and what goes wrong in one changes nothing
					}
					for nth := 1; nth <= quiet.seen[op]; nth += step {
						f := &fault{op: op, nth: nth, applied: applied}
						h.day(f.String(), f, nth%2 == 0)
						if t.Failed() {
							t.Fatalf("after: %s", f)
						}
					}
				})
			}
		}
	})
}

// pushingNavigators is a register in which what is for the community navigators is pushed.
func pushingNavigators(tb testing.TB) *agreement.Index {
	return register(tb, func(file, text string) string {
		switch {
		case strings.HasPrefix(file, "community-navigators"):
			return strings.Replace(text, "delivery: collect", "delivery: push", 1)
		case file == "partners.yaml": // nothing can be pushed to a mailbox
			return strings.ReplaceAll(text, "{adapter: mailbox}", `{adapter: webhook, url: "https://partner.example/hub"}`)
		}
		return text
	})
}

// day is a day's work of a hub under a fault, and what its partners were told.
type day struct {
	*house
	name     string
	number   int
	fault    *fault
	crash    bool // the process does not survive the fault
	hub      *hub
	boards   []*board // of every process of the day
	accepted map[transfer.MessageID]exchange.Submitted
	docs     map[transfer.MessageID]*contracts.Document
	parcels  []delivery.Parcel
}

func (h *house) day(name string, f *fault, crash bool) {
	h.Helper()
	d := &day{house: h, name: name, number: h.people, fault: f, crash: crash, accepted: map[transfer.MessageID]exchange.Submitted{}, docs: map[transfer.MessageID]*contracts.Document{}}
	d.start()
	people := d.work()
	d.hub.end()
	d.hub = h.open()
	defer d.hub.end()
	d.check(people)
}

// start starts the process of the hub that has the fault.
func (d *day) start() {
	d.Helper()
	d.hub = d.open(through(d.fault.strike))
	d.boards = append(d.boards, d.hub.board)
}

// people are those of the day: who each is in the story, by NHS number.
type people struct{ collected, withdrawn, refused, held, pushed, forgotten string }

// work is the day: one referral is collected and accepted, one is withdrawn while it waits, one is refused, one waits for its consent, one is
// pushed to its recipient, and one is about somebody who is forgotten.
func (d *day) work() people {
	ctx := context.Background()
	p := people{d.somebody(), d.somebody(), d.somebody(), d.somebody(), d.somebody(), d.somebody()}
	d.insist("log in", func() error {
		return d.hub.Spend(ctx, [32]byte([]byte(fmt.Sprintf("%32s", d.somebody()))), time.Now().Add(time.Minute))
	})

	first := d.submit("collected", p.collected)
	d.insist("announce", func() error {
		job, err := d.hub.Next(ctx, first)
		if err == nil && job.Notice == nil {
			d.Errorf("%s: what waits for collection gave %+v", d.name, job)
		}
		return err
	})
	d.insist("settle the notice", func() error {
		return d.hub.Settle(ctx, first, 0, delivery.Settlement{Announced: true, Outcome: delivery.Outcome{Kind: delivery.Delivered}})
	})
	d.insist("collect", func() error { return d.collect(first) })
	d.insist("acknowledge", func() error {
		_, err := d.hub.Acknowledge(ctx, by(ageUKHerts), first, exchange.Receipt{Status: "accepted"})
		return err
	})

	second := d.submit("withdrawn", p.withdrawn)
	if done := d.consent("withdrawn", p.withdrawn, consent.Withdrawn); !slices.Equal(done.Stopped, []transfer.TransferID{second}) {
		d.Errorf("%s: the withdrawal was answered with %+v", d.name, done)
	}
	if err := d.collectOnce(second); err == nil {
		d.Errorf("%s: what was withdrawn was collected", d.name)
	}

	d.submit("refused", p.refused, to(council))

	third := d.submit("held", p.held, without("consents"))
	if done := d.consent("held", p.held, consent.Given); !slices.Equal(done.Resumed, []transfer.TransferID{third}) {
		d.Errorf("%s: the consent was answered with %+v", d.name, done)
	}
	d.insist("collect what was held", func() error { return d.collect(third) })

	fourth := d.submit("pushed", p.pushed, navigators)
	d.insist("push", func() error {
		job, err := d.hub.Next(ctx, fourth)
		if err == nil && job.Parcel == nil {
			d.Errorf("%s: what is to be pushed gave %+v", d.name, job)
		}
		if job.Parcel != nil {
			d.parcels = append(d.parcels, *job.Parcel)
		}
		return err
	})
	d.insist("settle the push", func() error {
		return d.hub.Settle(ctx, fourth, 0, delivery.Settlement{Outcome: delivery.Outcome{Kind: delivery.Delivered}})
	})
	fifth := d.submit("forgotten", p.forgotten)
	d.insist("forget", func() error {
		return d.hub.Do(ctx, &forget{nhs: p.forgotten, entry: d.hub.Entry("erase", carersInHerts, d.id("forget"), nil)})
	})
	if err := d.collectOnce(fifth); err == nil {
		d.Errorf("%s: what is about somebody forgotten was collected", d.name)
	}
	d.insist("sweep", func() error {
		_, err := d.hub.Due(ctx, time.Now().Add(time.Hour), 10)
		return err
	})
	return p
}

// insist does again what failed for a fault of the hub, as a partner does, who waits and tries again.
func (d *day) insist(what string, act func() error) {
	d.Helper()
	for range 4 {
		err := act()
		if err == nil {
			return
		}
		if !errors.Is(err, errBroken) {
			d.Fatalf("%s: %s: %v", d.name, what, err)
		}
		if d.crash {
			d.hub.end()
			d.start()
		}
	}
	d.Fatalf("%s: %s: it goes on failing", d.name, what)
}

func (d *day) id(what string) transfer.MessageID {
	return transfer.MessageID(fmt.Sprintf("day-%d.%s", d.number, what))
}

func (d *day) submit(what, nhs string, change ...func(map[string]any)) transfer.TransferID {
	d.Helper()
	id := d.id(what)
	d.docs[id] = d.message(string(id), nhs, change...)
	d.insist("submit "+what, func() error {
		sent, err := d.hub.Submit(context.Background(), by(carersInHerts), d.docs[id])
		if err == nil {
			d.accepted[id] = sent
		}
		return err
	})
	if n := len(d.accepted[id].Transfers); n != 1 {
		d.Fatalf("%s: %s became %d transfers", d.name, what, n)
	}
	return d.accepted[id].Transfers[0].Transfer.ID
}

// consent records an event, whatever it takes, and expects every answer to say what it did: the first, and that to a repeat.
func (d *day) consent(what, nhs string, state consent.State) exchange.Consented {
	d.Helper()
	ev := said(state, time.Now())
	record := func() (done exchange.Consented, err error) {
		done, err = d.hub.RecordConsent(context.Background(), by(carersInHerts), d.id(what), known(nhs), ev)
		done.Repeat = false
		return done, err
	}
	var first exchange.Consented
	d.insist("record consent "+what, func() (err error) {
		first, err = record()
		return err
	})
	d.insist("repeat consent "+what, func() error {
		again, err := record()
		if diff := cmp.Diff(first, again); err == nil && diff != "" {
			d.Errorf("%s: consent %s was answered differently when it was repeated (-first +again):\n%s", d.name, what, diff)
		}
		return err
	})
	return first
}

// collect keeps the parcel, if there is one.
func (d *day) collect(id transfer.TransferID) error {
	p, err := d.hub.Collect(context.Background(), by(ageUKHerts), id)
	if err == nil {
		d.parcels = append(d.parcels, p)
	} else if p.Recipient() != "" {
		d.Errorf("%s: an error came with a parcel: %v", d.name, err)
	}
	return err
}

// collectOnce is for what may not go: an answer, whichever it is, and no fault.
func (d *day) collectOnce(id transfer.TransferID) (err error) {
	for range 4 {
		if err = d.collect(id); !errors.Is(err, errBroken) {
			return err
		}
	}
	return err
}

// check looks at everything with a hub that has come up again and has no fault.
func (d *day) check(p people) {
	d.Helper()
	ctx := context.Background()
	d.audited(d.hub.store)
	d.checkParcels()
	for _, b := range d.boards {
		for _, m := range b.published() {
			if t, err := d.hub.store.Transfer(ctx, m.Transfer); err != nil || t.Recipient != m.Recipient {
				d.Errorf("%s: the bus was given %+v, and the store has %+v (%v)", d.name, m, t, err)
			}
		}
	}

	count := map[transfer.MessageID]int{}
	d.must(d.hub.store.EachTransfer(ctx, firstCopy, func(t store.Transfer, _ bool) error {
		count[t.MessageID]++
		return nil
	}))
	for id, first := range d.accepted {
		if count[id] != 1 {
			d.Errorf("%s: message %s is there %d times", d.name, id, count[id])
		}
		again, err := d.hub.Submit(ctx, by(carersInHerts), d.docs[id])
		d.must(err)
		if !again.Repeat {
			d.Errorf("%s: message %s was taken for a new one", d.name, id)
		}
		if diff := cmp.Diff(decided(first), decided(again)); diff != "" {
			d.Errorf("%s: message %s was answered differently when it was repeated (-first +again):\n%s", d.name, id, diff)
		}
	}

	for nhs, want := range map[string][]string{
		p.collected: {"consent", "decision queued", "release released", "outcome accepted"},
		p.withdrawn: {"consent", "decision queued", "consent", "decision stopped"},
		p.refused:   {"consent", "decision refused"},
		p.held:      {"decision held", "consent", "decision queued", "release released"},
		p.pushed:    {"consent", "decision queued", "release released", "outcome received"},
	} {
		if got := d.history(nhs); !slices.Equal(got, want) {
			d.Errorf("%s: the log says %q, want %q", d.name, got, want)
		}
	}
}

// decided is what the sender was told of its message.
func decided(s exchange.Submitted) map[transfer.TransferID]*ledger.Leaf {
	out := map[transfer.TransferID]*ledger.Leaf{}
	for _, j := range s.Transfers {
		l := *j.Decision
		// A leaf that was read back holds no empty lists.
		parsed, err := ledger.Parse(l.AppendTo(nil))
		if err != nil {
			panic(err)
		}
		out[j.Transfer.ID] = parsed
	}
	return out
}

// history is what the log says of a person, with releases and the decisions for them as one, and those that followed one another counted once:
// a recipient who got no answer collects again.
func (d *day) history(nhs string) []string {
	d.Helper()
	found := d.hub.found(by(operator), exchange.Query{Person: &known(nhs)[0], Why: "test", Everyone: true})
	var out []string
	for _, e := range found {
		if !e.Leaf.ForRelease() {
			out = append(out, strings.TrimSpace(string(e.Leaf.Kind)+" "+string(e.Leaf.State)))
		}
	}
	return slices.Compact(out)
}

// checkParcels holds everything that left to the log: its release is there, at its place, about these bytes and this recipient.
func (d *day) checkParcels() {
	d.Helper()
	for _, p := range d.parcels {
		about := p.Disclosure()
		raw, err := d.hub.store.Log(context.Background(), about.Log.Origin).Leaves(about.Log.Index, about.Log.Index+1)
		d.must(err)
		l, err := ledger.Parse(raw[0])
		d.must(err)
		key, err := hex.DecodeString(about.DigestKey)
		d.must(err)
		if l.Kind != ledger.KindRelease || l.Transfer != p.Transfer() || l.Recipient != p.Recipient() || l.Payload != seal.Digest([32]byte(key), p.Dataset()) {
			d.Errorf("%s: %s left, and leaf %d says something else: %+v", d.name, p, about.Log.Index, l)
		}
	}
	if len(d.parcels) < 3 {
		d.Errorf("%s: %d parcels were handed out, want one each for what was collected, held and pushed", d.name, len(d.parcels))
	}
}

// Law 1. While the log cannot be written nothing leaves, by whichever way out; afterwards everything goes.
func TestNothingLeavesWhileTheLogCannotBeWritten(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		h.index = pushingNavigators(t)
		for _, op := range []storetest.Op{storetest.OpAppendLog, storetest.OpCommit} {
			for _, applied := range []bool{false, true} {
				var broken atomic.Bool
				u := h.open(through(func(asked storetest.Op) (bool, error) {
					if asked == op && broken.Load() {
						return applied, errBroken
					}
					return true, nil
				}))
				pull := u.send(h.message("pull-"+h.somebody(), h.somebody()), transfer.Queued)
				push := u.send(h.message("push-"+h.somebody(), h.somebody(), navigators), transfer.Queued)
				broken.Store(true)
				for range 3 {
					if p, err := u.Collect(t.Context(), by(ageUKHerts), pull.ID); err == nil || p.Recipient() != "" || len(p.Dataset()) > 0 {
						t.Errorf("%s fails, and a parcel was collected: %v, %v", op, p, err)
					}
					if job, err := u.Next(t.Context(), push.ID); err == nil || job.Parcel != nil {
						t.Errorf("%s fails, and a parcel was given to an adapter: %+v, %v", op, job, err)
					}
				}
				broken.Store(false)
				if _, err := u.Collect(t.Context(), by(ageUKHerts), pull.ID); err != nil {
					t.Errorf("after %s works again: %v", op, err)
				}
				if job, err := u.Next(t.Context(), push.ID); err != nil || job.Parcel == nil {
					t.Errorf("after %s works again: %+v, %v", op, job, err)
				}
				u.end()
			}
		}
		u := h.open()
		h.audited(u.store)
	})
}
