package store

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Group is group commit without a timer. Items that arrive while a batch is being run wait and become the next batch, so a batch is
// as large as the load makes it: one item on a quiet hub, the limit on a busy one, and nobody ever waits for company.
type Group[T any] struct {
	limit, places int
	run           func(ctx context.Context, batch []T)
	more          chan struct{} // holds a value after something was queued

	mu      sync.Mutex
	waiting []entry[T]
	stopped bool // and so nothing more is queued
}

type entry[T any] struct {
	item T
	done chan error // takes one result without blocking
}

// PanicError is what the callers of a batch get when its run panicked. Error leaves out the value, which may hold anything;
// Value and Stack are for a crash report.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return "group commit panicked" }

// NewGroup makes a group that runs at most limit items at a time and lets at most queue items wait. The outcome of an item is
// the item's own affair: run leaves it in the item, for instance behind a pointer. run is called by one goroutine at a time, with
// a context that shutdown does not cancel, and must not keep batch.
func NewGroup[T any](limit, queue int, run func(ctx context.Context, batch []T)) *Group[T] {
	return &Group[T]{limit: max(limit, 1), places: max(queue, 1), run: run, more: make(chan struct{}, 1)}
}

// Do queues item and returns when the batch with it has been run. ErrBusy means that the item was not queued, because too many wait
// or because the group has stopped; *PanicError that run panicked. When ctx ends first, its error is returned and the item may
// still be run, now or later: the caller must not touch it again.
func (g *Group[T]) Do(ctx context.Context, item T) error { return g.DoAll(ctx, []T{item})[0] }

// DoAll queues items one behind the other, with nobody's in between, and returns when each has been run, as Do would for each alone. They
// share batches as far as the limit lets them. The errors are in the order of the items.
func (g *Group[T]) DoAll(ctx context.Context, items []T) []error {
	errs := make([]error, len(items))
	done := make([]chan error, len(items)) // nil where the item was not queued
	g.mu.Lock()
	for i, item := range items {
		switch {
		case g.stopped:
			errs[i] = fmt.Errorf("group commit has stopped: %w", ErrBusy)
		case len(g.waiting) == g.places:
			errs[i] = fmt.Errorf("%d items wait for group commit: %w", g.places, ErrBusy)
		default:
			done[i] = make(chan error, 1)
			g.waiting = append(g.waiting, entry[T]{item, done[i]})
		}
	}
	g.mu.Unlock()
	select {
	case g.more <- struct{}{}:
	default:
	}
	for i := range items {
		if done[i] == nil {
			continue
		}
		select {
		case errs[i] = <-done[i]:
		case <-ctx.Done():
			errs[i] = fmt.Errorf("wait for group commit: %w", ctx.Err())
		}
	}
	return errs
}

// Run commits groups until ctx ends; then it takes no more items, runs those that wait, and returns nil. Items queued before Run
// wait for it. A group that has stopped may be run again, but only by one goroutine at a time.
func (g *Group[T]) Run(ctx context.Context) error {
	g.setStopped(false)
	work := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		if g.commit(work) {
			continue
		}
		select {
		case <-g.more:
		case <-ctx.Done():
		}
	}
	g.setStopped(true)
	for g.commit(work) {
	}
	return nil
}

// Waiting is how many items are queued for the next batches.
func (g *Group[T]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

func (g *Group[T]) setStopped(stopped bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = stopped
}

// commit runs whatever waits, up to the limit, and tells every caller. It reports whether anything did.
func (g *Group[T]) commit(ctx context.Context) bool {
	entries := g.take()
	if len(entries) == 0 {
		return false
	}
	batch := make([]T, len(entries))
	for i := range entries {
		batch[i] = entries[i].item
	}
	err := g.guard(ctx, batch)
	for _, e := range entries {
		e.done <- err
	}
	return true
}

func (g *Group[T]) take() []entry[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), g.limit)
	taken := g.waiting[:n:n]
	if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
		g.waiting = nil // so that nothing is held that has been run
	}
	return taken
}

func (g *Group[T]) guard(ctx context.Context, batch []T) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	g.run(ctx, batch)
	return nil
}
