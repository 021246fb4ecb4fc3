package exchange_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"referralhub/hub/consent"
	"referralhub/hub/delivery"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// winter is when these stories happen: the clock of a synctest bubble stands in the year 2000, before any agreement.
var winter = time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC)

func inWinter() time.Time { return winter }

// together carries operations through one commit of a hub that has not begun to commit, in this order, and then starts it.
func (u *hub) together(acts ...func()) {
	var done []chan struct{}
	for _, act := range acts {
		ended := make(chan struct{})
		done = append(done, ended)
		go func() {
			defer close(ended)
			act()
		}()
		synctest.Wait() // until it is queued
	}
	u.run()
	for _, ended := range done {
		<-ended
	}
}

// What arrives at the same instant shares a commit. Each operation must see what those before it did, and one that is answered with a no must
// leave nothing behind.
func TestWhatArrivesAtTheSameInstant(t *testing.T) {
	receipt := func(u *hub, id transfer.TransferID, err *error) func() {
		return func() {
			_, *err = u.Acknowledge(context.Background(), by(ageUKHerts), id, exchange.Receipt{Status: "accepted"})
		}
	}
	collect := func(u *hub, id transfer.TransferID, err *error) func() {
		return func() {
			var p delivery.Parcel
			if p, *err = u.Collect(context.Background(), by(ageUKHerts), id); *err != nil && p.Recipient() != "" {
				u.house.Errorf("an error came with a parcel: %v", *err)
			}
		}
	}
	withdraw := func(u *hub, message transfer.MessageID, nhs string, done *exchange.Consented, err *error) func() {
		return func() {
			*done, *err = u.RecordConsent(context.Background(), by(carersInHerts), message, known(nhs), said(consent.Withdrawn, winter))
		}
	}

	type play func(h *house, nhs string, waiting, collected store.Transfer, u *hub)
	for name, story := range map[string]play{
		"a collection and then a withdrawal": func(h *house, nhs string, waiting, _ store.Transfer, u *hub) {
			var c, w error
			var done exchange.Consented
			u.together(collect(u, waiting.ID, &c), withdraw(u, "w", nhs, &done, &w))
			if c != nil || w != nil {
				h.Errorf("collect: %v, withdraw: %v", c, w)
			}
			if u.state(waiting.ID) != transfer.Stopped || !slices.Contains(done.Stopped, waiting.ID) {
				h.Errorf("it is %s, and the withdrawal stopped %v", u.state(waiting.ID), done.Stopped)
			}
		},
		"a withdrawal and then a collection": func(h *house, nhs string, waiting, _ store.Transfer, u *hub) {
			var c, w error
			var done exchange.Consented
			u.together(withdraw(u, "w", nhs, &done, &w), collect(u, waiting.ID, &c))
			if !stopped(c) || w != nil {
				h.Errorf("collect: %v, withdraw: %v", c, w)
			}
		},
		"a consent and then a collection, by the same": func(h *house, nhs string, waiting, _ store.Transfer, u *hub) {
			var g, c error
			var done exchange.Consented
			given := func() {
				done, g = u.RecordConsent(context.Background(), by(ageUKHerts), "g", known(nhs), said(consent.Given, winter))
			}
			u.together(given, collect(u, waiting.ID, &c))
			if given(); g != nil || c != nil || !done.Repeat || len(done.Resumed)+len(done.Stopped) > 0 {
				h.Errorf("record: %+v %v, collect: %v", done, g, c)
			}
		},
		"a receipt and then a withdrawal": func(h *house, nhs string, waiting, collected store.Transfer, u *hub) {
			var a, w error
			var done exchange.Consented
			u.together(receipt(u, collected.ID, &a), withdraw(u, "w", nhs, &done, &w))
			if a != nil || w != nil {
				h.Errorf("receipt: %v, withdraw: %v", a, w)
			}
			if u.state(collected.ID) != transfer.Accepted || u.state(waiting.ID) != transfer.Stopped {
				h.Errorf("what was accepted is %s, what waited is %s", u.state(collected.ID), u.state(waiting.ID))
			}
		},
		"two withdrawals": func(h *house, nhs string, _, _ store.Transfer, u *hub) {
			var first, second error
			var a, b exchange.Consented
			u.together(withdraw(u, "w-1", nhs, &a, &first), withdraw(u, "w-2", nhs, &b, &second))
			if first != nil || second != nil {
				h.Errorf("first: %v, second: %v", first, second)
			}
		},
		"the same withdrawal twice": func(h *house, nhs string, _, _ store.Transfer, u *hub) {
			var first, second error
			var a, b exchange.Consented
			u.together(withdraw(u, "w", nhs, &a, &first), withdraw(u, "w", nhs, &b, &second))
			if first != nil || second != nil || a.ID != b.ID || !b.Repeat {
				h.Errorf("first: %+v %v, second: %+v %v", a, first, b, second)
			}
		},
		"a referral and then a withdrawal": func(h *house, nhs string, _, _ store.Transfer, u *hub) {
			var sent exchange.Submitted
			var s, w error
			var done exchange.Consented
			u.together(func() {
				sent, s = u.Submit(context.Background(), by(carersInHerts), h.message("late", nhs, without("consents")))
			}, withdraw(u, "w", nhs, &done, &w))
			if s != nil || w != nil {
				h.Fatalf("submit: %v, withdraw: %v", s, w)
			}
			if _, err := u.Collect(context.Background(), by(ageUKHerts), sent.Transfers[0].Transfer.ID); !stopped(err) {
				h.Errorf("what was sent in the same instant was collected after the withdrawal: %v", err)
			}
		},
		"the same referral twice, and another under its id": func(h *house, nhs string, _, _ store.Transfer, u *hub) {
			var a, b exchange.Submitted
			var first, second, other error
			u.together(
				func() { a, first = u.Submit(context.Background(), by(carersInHerts), h.message("same", nhs)) },
				func() { b, second = u.Submit(context.Background(), by(carersInHerts), h.message("same", nhs)) },
				func() {
					_, other = u.Submit(context.Background(), by(carersInHerts), h.message("same", nhs, without("risks")))
				},
			)
			if first != nil || second != nil || !b.Repeat || a.Transfers[0].Transfer.ID != b.Transfers[0].Transfer.ID {
				h.Errorf("first: %+v %v, second: %+v %v", a, first, b, second)
			}
			if !errors.Is(other, exchange.ErrOtherBody) {
				h.Errorf("another body under the same id: %v", other)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, onSQLite)
			synctest.Test(t, func(t *testing.T) {
				h := &house{TB: t, connect: h.connect, sealer: h.sealer, index: h.index, signers: h.signers}
				nhs := h.somebody()
				before := h.open(at(inWinter))
				waiting := before.send(h.message("waiting", nhs), transfer.Queued)
				collected := before.send(h.message("collected", nhs), transfer.Queued)
				if _, err := before.Collect(t.Context(), by(ageUKHerts), collected.ID); err != nil {
					t.Fatal(err)
				}
				before.end()
				u := h.prepare(at(inWinter))
				story(h, nhs, waiting, collected, u)
				h.audited(u.store)
				h.noReleaseAfterWithdrawal(u.store)
				u.end()
			})
		})
	}
}

// noReleaseAfterWithdrawal expects that the log of one copy holds no release about a person after that person's withdrawal.
func (h *house) noReleaseAfterWithdrawal(st store.Store) {
	h.Helper()
	withdrawn := map[string]bool{}
	for i, l := range h.leaves(st, firstCopy) {
		if l.Kind == ledger.KindConsent && l.Consent.State == string(consent.Withdrawn) {
			withdrawn[l.Consent.Commitment] = true
		}
		for _, s := range l.Subjects {
			if l.Kind == ledger.KindRelease && withdrawn[s.Commitment] {
				h.Errorf("leaf %d releases %s after the withdrawal", i, l.Transfer)
			}
		}
	}
}
