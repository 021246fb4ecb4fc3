package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"referralhub/hub/bus"
	"referralhub/hub/exchange"
	"referralhub/hub/store"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

// The store has become so slow that it answers nobody. Only so much may wait for it; everybody else is told at once to come again.
func TestASlowStoreDoesNotLetTheQueueGrow(t *testing.T) {
	h := newHouse(t, onSQLite)
	const inCommit, waiting, arriving = 10, 20, 400
	slow := make(chan struct{})
	var stuck, isStuck atomic.Bool
	u := h.open(through(func(op storetest.Op) (bool, error) {
		if op == storetest.OpCommit && stuck.Load() {
			isStuck.Store(true)
			<-slow
		}
		return true, nil
	}), func(cfg *exchange.Config) { cfg.GroupLimit, cfg.QueueLimit = inCommit, waiting })
	nhs := h.somebody()
	stuck.Store(true)

	var acts []func()
	var accepted, busy atomic.Int32
	ended := make(chan struct{}, arriving)
	for i := range arriving {
		doc := h.message(fmt.Sprint("m-", i), nhs)
		acts = append(acts, func() {
			switch _, err := u.Submit(context.Background(), by(carersInHerts), doc); {
			case err == nil:
				accepted.Add(1)
			case errors.Is(err, store.ErrBusy):
				busy.Add(1)
			default:
				t.Errorf("submit: %v", err)
			}
			ended <- struct{}{}
		})
	}
	go atOnce(acts...)
	h.eventually("the store is asked, and the queue behind it is full", func() bool { return isStuck.Load() && u.Waiting() == waiting })
	for range arriving - inCommit - waiting {
		<-ended // at once, although nothing is committed
	}
	if accepted.Load() != 0 {
		t.Errorf("%d were accepted by a store that does not answer", accepted.Load())
	}
	stuck.Store(false)
	close(slow)
	for len(ended) > 0 || accepted.Load()+busy.Load() < arriving {
		<-ended
	}
	if n := accepted.Load(); n == 0 || n > inCommit+waiting {
		t.Errorf("%d were accepted, want at most the %d that could wait", n, inCommit+waiting)
	}
	u.send(h.message("afterwards", nhs), transfer.Queued)
	h.audited(u.store)
}

// The bus takes nothing. Referrals are accepted all the same, no more and no less of the hub's memory is used for it than a bound, and a hub that is
// told to stop does not wait for the bus.
func TestABusThatTakesNothingHoldsNothingUp(t *testing.T) {
	h := newHouse(t, onSQLite)
	u := h.open(func(cfg *exchange.Config) { cfg.Publisher = deafBus{} })
	before := runtime.NumGoroutine()
	for range 40 {
		u.send(h.message("m-"+h.somebody(), h.somebody()), transfer.Queued)
	}
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("%d goroutines became %d", before, after)
	}
	due, err := u.store.Due(t.Context(), time.Now().Add(time.Hour), 100)
	h.must(err)
	if len(due) != 40 {
		t.Errorf("the outbox holds %d of 40", len(due))
	}
	stopping := time.Now()
	u.end()
	if took := time.Since(stopping); took > 10*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

// deafBus waits as long as it is let.
type deafBus struct{}

func (deafBus) Publish(ctx context.Context, _ []bus.Message) error {
	<-ctx.Done()
	return ctx.Err()
}
