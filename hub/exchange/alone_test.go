package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"referralhub/hub/consent"
	"referralhub/hub/delivery"
	"referralhub/hub/exchange"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

// A commit that goes wrong is done again with its operations one at a time. Each must then get its own answer, and one that is answered with a no must
// not be told that all is well.
func TestOperationsOfACommitThatWentWrongKeepTheirAnswers(t *testing.T) {
	h := newHouse(t, onSQLite)
	synctest.Test(t, func(t *testing.T) {
		h := &house{TB: t, connect: h.connect, sealer: h.sealer, index: h.index, signers: h.signers}
		before := h.open(at(inWinter))
		nhs := h.somebody()
		waiting := before.send(h.message("waiting", nhs), transfer.Queued)
		before.end()

		var attempts atomic.Int32
		u := h.prepare(at(inWinter), through(func(op storetest.Op) (bool, error) {
			if op == storetest.OpCommit && attempts.Add(1) <= 3 {
				return false, fmt.Errorf("another copy was faster: %w", store.ErrConflict)
			}
			return true, nil
		}))
		var other, stranger, early, good error
		var parcel delivery.Parcel
		u.together(
			func() {
				_, other = u.Submit(context.Background(), by(carersInHerts), h.message("waiting", nhs, without("risks")))
			},
			func() { parcel, stranger = u.Collect(context.Background(), by(pohwer), waiting.ID) },
			func() {
				_, early = u.Acknowledge(context.Background(), by(ageUKHerts), waiting.ID, exchange.Receipt{Status: "accepted"})
			},
			func() { _, good = u.Submit(context.Background(), by(carersInHerts), h.message("good", nhs)) },
		)
		if !errors.Is(other, exchange.ErrOtherBody) {
			t.Errorf("another body under the same id: %v", other)
		}
		if !errors.Is(stranger, exchange.ErrNotYours) || parcel.Recipient() != "" {
			t.Errorf("a stranger collects: %v, %v", parcel, stranger)
		}
		if !stopped(early) {
			t.Errorf("a receipt before the collection: %v", early)
		}
		if good != nil {
			t.Errorf("a good message: %v", good)
		}
		if attempts.Load() <= 3 {
			t.Errorf("the commit went wrong %d times only", attempts.Load())
		}
		h.audited(u.store)
		u.end()
	})
}

// A release was decided, its commit went wrong, and before it is tried again another copy of the hub records that the person has withdrawn. Nothing may
// leave on the strength of the decision that was never committed.
func TestNothingLeavesByADecisionThatWasNotCommitted(t *testing.T) {
	h := newHouse(t, onPostgreSQL)
	nhs := h.somebody()
	there := h.open(as(secondCopy))
	id := there.send(h.message("waiting", nhs), transfer.Queued).ID

	var attempts, locks atomic.Int32
	u := h.prepare(through(func(op storetest.Op) (bool, error) {
		switch {
		case op == storetest.OpCommit && attempts.Add(1) <= 3:
			return false, fmt.Errorf("another copy was faster: %w", store.ErrConflict)
		case op == storetest.OpLock && attempts.Load() == 3 && locks.Add(1) == 1:
			// Nothing is locked yet: the first thing that a release does is to lock its transfer.
			if _, err := there.RecordConsent(context.Background(), by(carersInHerts), "w", known(nhs), said(consent.Withdrawn, time.Now())); err != nil {
				t.Errorf("withdraw: %v", err)
			}
		}
		return true, nil
	}))
	var parcel delivery.Parcel
	var collected, submitted error
	fresh := h.message("fresh", h.somebody())
	ended := make(chan struct{}, 2)
	go func() {
		parcel, collected = u.Collect(context.Background(), by(ageUKHerts), id)
		ended <- struct{}{}
	}()
	h.eventually("the collection waits for the first commit", func() bool { return u.Waiting() == 1 })
	go func() {
		_, submitted = u.Submit(context.Background(), by(carersInHerts), fresh)
		ended <- struct{}{}
	}()
	h.eventually("the message waits for it too", func() bool { return u.Waiting() == 2 })
	u.run()
	<-ended
	<-ended
	if submitted != nil {
		t.Errorf("submit: %v", submitted)
	}
	if locks.Load() == 0 {
		t.Error("the collection was not tried again by itself")
	}
	if !stopped(collected) || parcel.Recipient() != "" {
		t.Errorf("collect: %v, %v", parcel, collected)
	}
	for _, l := range h.leaves(there.store, firstCopy) {
		if l.Transfer == id {
			t.Errorf("the log has %s %s of it", l.Kind, l.State)
		}
	}
}
