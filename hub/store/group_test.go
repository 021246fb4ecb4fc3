package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"referralhub/hub/store"
)

// clerk is a run function that a test can hold up: it says when it has taken a batch and waits for leave to finish it.
type clerk struct {
	taken chan []int
	leave chan struct{}
}

func newClerk() *clerk { return &clerk{taken: make(chan []int), leave: make(chan struct{})} }

func (c *clerk) run(_ context.Context, batch []int) {
	c.taken <- slices.Clone(batch)
	<-c.leave
}

func TestGroupTakesWhateverArrivedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClerk()
		g := store.NewGroup(3, 10, c.run)
		ctx, stop := context.WithCancel(t.Context())
		go g.Run(ctx)
		defer stop()

		var callers sync.WaitGroup
		submit := func(item int) {
			callers.Go(func() {
				if err := g.Do(ctx, item); err != nil {
					t.Errorf("item %d: %v", item, err)
				}
			})
			synctest.Wait()
		}
		submit(1)
		if got := <-c.taken; !slices.Equal(got, []int{1}) {
			t.Fatalf("a lone item must not wait for company, got batch %v", got)
		}
		for item := 2; item <= 6; item++ {
			submit(item)
		}
		for _, want := range [][]int{{2, 3, 4}, {5, 6}} {
			c.leave <- struct{}{}
			if got := <-c.taken; !slices.Equal(got, want) {
				t.Fatalf("got batch %v, want %v", got, want)
			}
		}
		c.leave <- struct{}{}
		callers.Wait()
	})
}

func TestGroupRefusesWhatItCannotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := store.NewGroup(10, 2, func(context.Context, []int) {})
		ctx, stop := context.WithCancel(t.Context())
		for item := range 2 {
			go g.Do(ctx, item)
		}
		synctest.Wait()
		if err := g.Do(ctx, 3); !errors.Is(err, store.ErrBusy) {
			t.Errorf("third of two places: got %v, want ErrBusy", err)
		}
		stop()
	})
}

func TestGroupItemsOfOneCallerShareABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClerk()
		g := store.NewGroup(3, 4, c.run)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go g.Run(ctx)
		synctest.Wait() // it is idle

		answers := make(chan []error, 1)
		go func() { answers <- g.DoAll(ctx, []int{1, 2, 3, 4, 5, 6}) }()
		for _, want := range [][]int{{1, 2, 3}, {4}} {
			if got := <-c.taken; !slices.Equal(got, want) {
				t.Fatalf("got batch %v, want %v", got, want)
			}
			c.leave <- struct{}{}
		}
		for i, err := range <-answers {
			if refused := errors.Is(err, store.ErrBusy); refused != (i >= 4) || !refused && err != nil {
				t.Errorf("item %d of six, where four have a place: %v", i+1, err)
			}
		}
		if errs := g.DoAll(ctx, nil); len(errs) != 0 {
			t.Errorf("nothing at all: %v", errs)
		}
	})
}

func TestGroupCallerOfSeveralMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClerk()
		g := store.NewGroup(1, 10, c.run)
		running, stop := context.WithCancel(t.Context())
		go g.Run(running)
		ctx, giveUp := context.WithCancel(t.Context())
		answers := make(chan []error, 1)
		go func() { answers <- g.DoAll(ctx, []int{1, 2}) }()
		<-c.taken
		c.leave <- struct{}{}
		<-c.taken
		synctest.Wait()
		giveUp()
		if errs := <-answers; errs[0] != nil || !errors.Is(errs[1], context.Canceled) {
			t.Errorf("the first was run before the caller gave up, and the second was not: %v", errs)
		}
		c.leave <- struct{}{}
		stop()
	})
}

func TestGroupDrainsBeforeItStopsAndCanStartAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		g := store.NewGroup(2, 100, func(ctx context.Context, batch []int) {
			if ctx.Err() != nil {
				t.Error("work was cancelled by the shutdown")
			}
			ran = append(ran, batch...)
		})
		for round := range 100 {
			if round > 0 {
				if err := g.Do(t.Context(), -1); !errors.Is(err, store.ErrBusy) {
					t.Fatalf("a stopped group took an item: %v", err)
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- g.Run(ctx) }()
			synctest.Wait()
			if err := g.Do(ctx, round); err != nil {
				t.Fatal(err)
			}
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if len(ran) != 100 {
			t.Errorf("ran %d items, want 100", len(ran))
		}
	})
}

func TestGroupRunsWhatWaitsAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClerk()
		g := store.NewGroup(10, 10, c.run)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		errs := make(chan error, 3)
		for item := range 3 {
			go func() { errs <- g.Do(context.WithoutCancel(ctx), item) }()
			synctest.Wait()
		}
		if got := <-c.taken; !slices.Equal(got, []int{0}) {
			t.Fatalf("first batch %v", got)
		}
		stop()
		c.leave <- struct{}{}
		if got := <-c.taken; !slices.Equal(got, []int{1, 2}) {
			t.Errorf("items that waited at shutdown: ran %v, want [1 2]", got)
		}
		c.leave <- struct{}{}
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestGroupSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := store.NewGroup(1, 10, func(_ context.Context, batch []string) {
			if batch[0] == "poison" {
				panic("a value that must not be in the error text")
			}
		})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go g.Run(ctx)
		err := g.Do(ctx, "poison")
		if p, ok := errors.AsType[*store.PanicError](err); !ok || p.Error() != "group commit panicked" || len(p.Stack) == 0 {
			t.Errorf("poison: got %v, want a PanicError that hides its value", err)
		}
		if err := g.Do(ctx, "next"); err != nil {
			t.Errorf("the batch after a panic: %v", err)
		}
	})
}

func TestGroupCallerMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClerk()
		g := store.NewGroup(1, 10, c.run)
		running, stop := context.WithCancel(t.Context())
		go g.Run(running)
		ctx, giveUp := context.WithCancel(t.Context())
		errs := make(chan error, 1)
		go func() { errs <- g.Do(ctx, 1) }()
		<-c.taken
		giveUp()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		c.leave <- struct{}{}
		stop()
	})
}
