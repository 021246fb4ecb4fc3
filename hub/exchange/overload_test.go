package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
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
	answer := sync.OnceFunc(func() { close(slow) })
	var stuck, isStuck atomic.Bool
	u := h.open(through(func(op storetest.Op) (bool, error) {
		if op == storetest.OpCommit && stuck.Load() {
			isStuck.Store(true)
			<-slow
		}
		return true, nil
	}), func(cfg *exchange.Config) { cfg.GroupLimit, cfg.QueueLimit = inCommit, waiting })
	t.Cleanup(answer) // before the hub ends, which waits for its commits
	nhs := h.somebody()
	stuck.Store(true)

	var accepted, busy atomic.Int32
	ended := make(chan struct{}, 1+arriving)
	submit := func(message string) func() {
		doc := h.message(message, nhs)
		return func() {
			defer func() { ended <- struct{}{} }()
			switch _, err := u.Submit(context.Background(), by(carersInHerts), doc); {
			case err == nil:
				accepted.Add(1)
			case errors.Is(err, store.ErrBusy):
				busy.Add(1)
			default:
				t.Errorf("submit: %v", err)
			}
		}
	}
	go submit("the-first")()
	h.eventually("the store is asked", isStuck.Load)
	var acts []func()
	for i := range arriving {
		acts = append(acts, submit(fmt.Sprint("m-", i)))
	}
	go atOnce(acts...)
	for range arriving - waiting {
		<-ended // at once, although nothing is committed
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d were accepted by a store that does not answer", n)
	}
	stuck.Store(false)
	answer()
	for range 1 + waiting {
		<-ended
	}
	if a, b := accepted.Load(), busy.Load(); a != 1+waiting || b != arriving-waiting {
		t.Errorf("%d were accepted and %d told to come again, want the first and the %d that could wait, and everybody else", a, b, waiting)
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
