package exchange_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/transfer"
)

// clock is a hub's clock, which can be set.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock(start time.Time) *clock {
	c := &clock{}
	c.now.Store(&start)
	return c
}

func (c *clock) read() time.Time { return *c.now.Load() }

func (c *clock) step(d time.Duration) {
	next := c.read().Add(d)
	c.now.Store(&next)
}

// Somebody sets the hub's clock back an hour. What was decided stays decided.
func TestTheClockGoesBackAnHour(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		clock := newClock(winter)
		u := h.open(at(clock.read))
		withdrew, lapsed, plain := h.somebody(), h.somebody(), h.somebody()
		a := u.send(h.message("a", withdrew), transfer.Queued)
		b := u.send(h.message("b", lapsed, until(winter.Add(15*time.Minute))), transfer.Queued)
		c := u.send(h.message("c", plain), transfer.Queued)
		d := u.send(h.message("d", plain), transfer.Queued)

		clock.step(30 * time.Minute)
		if _, err := u.RecordConsent(t.Context(), by(carersInHerts), "w", known(withdrew), said(consent.Withdrawn, clock.read())); err != nil {
			t.Fatal(err)
		}
		var over *exchange.StoppedError
		if _, err := u.Collect(t.Context(), by(ageUKHerts), b.ID); !errors.As(err, &over) || over.Decision.Reasons[0].Code != "CONSENT_EXPIRED" {
			t.Errorf("what rests on a consent that has ended: %v", err)
		}
		if _, err := u.Collect(t.Context(), by(ageUKHerts), c.ID); err != nil {
			t.Error(err)
		}

		clock.step(-time.Hour)
		for _, id := range []transfer.TransferID{a.ID, b.ID} {
			if p, err := u.Collect(t.Context(), by(ageUKHerts), id); !stopped(err) || p.Recipient() != "" {
				t.Errorf("what was stopped came to life again: %v, %v", p, err)
			}
		}
		// The consent that the message carries is older than the withdrawal, whatever the hub's clock says now.
		u.send(h.message("a-again", withdrew), transfer.Refused)
		// Everything else goes on, also what was begun at a time that is now to come.
		if _, err := u.Acknowledge(t.Context(), by(ageUKHerts), c.ID, exchange.Receipt{Status: "accepted"}); err != nil {
			t.Error(err)
		}
		if _, err := u.Collect(t.Context(), by(ageUKHerts), d.ID); err != nil {
			t.Error(err)
		}
		if again, err := u.Submit(t.Context(), by(carersInHerts), h.message("d", plain)); err != nil || !again.Repeat {
			t.Errorf("the repeat of a message of a time to come: %+v, %v", again, err)
		}
		if _, err := u.Expire(t.Context(), 10); err != nil || u.state(d.ID) != transfer.Released {
			t.Errorf("after the sweep it is %s (%v)", u.state(d.ID), err)
		}
		report := h.audited(u.store)
		for _, w := range report.Warnings {
			if w.Class != audit.Time {
				t.Errorf("the audit warns: %s", w)
			}
		}
		if len(report.Warnings) == 0 {
			t.Error("the audit does not see that the clock went back")
		}
		u.end()
		h.audited(h.open(at(clock.read)).store)
	})
}

// A consent that the partner dates in the future does not count before its time, nor again when the clock goes back behind it.
func TestAConsentOfTomorrowDoesNotCountToday(t *testing.T) {
	h := newHouse(t, onSQLite)
	clock := newClock(winter)
	u := h.open(at(clock.read))
	nhs := h.somebody()
	u.send(h.message("held", nhs, without("consents")), transfer.Held)
	if done, err := u.RecordConsent(t.Context(), by(carersInHerts), "y", known(nhs), said(consent.Given, winter.Add(24*time.Hour))); err != nil || len(done.Resumed) > 0 {
		t.Errorf("a consent of tomorrow resumed %v (%v)", done.Resumed, err)
	}
	clock.step(25 * time.Hour)
	waiting := u.send(h.message("next-day", nhs, without("consents")), transfer.Queued)
	clock.step(-3 * time.Hour)
	if _, err := u.Collect(t.Context(), by(ageUKHerts), waiting.ID); !stopped(err) {
		t.Errorf("it was collected before the consent was given: %v", err)
	}
	h.audited(u.store)
}

// What the register says is recorded in the order in which it was said, whichever time the clock showed.
func TestSuspensionsAreRecordedInOrderWhateverTheClockDoes(t *testing.T) {
	h := newHouse(t, onSQLite)
	clock := newClock(winter)
	u := h.open(at(clock.read))
	without := register(t, func(file, text string) string {
		if file != "partners.yaml" {
			return text
		}
		return strings.Replace(text, "  - id: pohwer\n", "  - id: pohwer\n    suspended: DSPT lapsed\n", 1)
	})
	for _, index := range []*agreement.Index{h.index, without, without, h.index, h.index, without, h.index} {
		if err := u.Adopt(context.Background(), index); err != nil {
			t.Fatal(err)
		}
		clock.step(-20 * time.Minute)
	}
	var notes []string
	for _, l := range h.leaves(u.store, firstCopy) {
		if l.Kind == ledger.KindPartner && l.Recipient == pohwer {
			word, _, _ := strings.Cut(l.Note, ":")
			notes = append(notes, word)
		}
	}
	if got := strings.Join(notes, " "); got != "suspended restored suspended restored" {
		t.Errorf("the log says %q", got)
	}
}

func TestWhatBecomesOfAnAgreementIsRecorded(t *testing.T) {
	h := newHouse(t, onSQLite)
	u := h.open(at(newClock(winter).read))
	written := func(change string, replacement string) *agreement.Index {
		return register(t, func(file, text string) string {
			if !strings.Contains(file, "hertswise") {
				return text
			}
			return strings.Replace(text, change, replacement, 1)
		})
	}
	suspended := written("status: active", "status: suspended")
	for _, index := range []*agreement.Index{h.index, suspended, suspended, h.index} {
		if err := u.Adopt(context.Background(), index); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Adopt(context.Background(), written("title: Hertswise", "title: Another")); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("an active version with another text: %v", err)
	}
	var notes []string
	for _, l := range h.leaves(u.store, firstCopy) {
		if l.Kind == ledger.KindAgreement && l.Agreement.ID == "hertswise" {
			notes = append(notes, l.Note)
		}
	}
	if got := strings.Join(notes, " "); got != "activated suspended activated" {
		t.Errorf("the log says %q", got)
	}
}
