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
	limit int
	run   func(ctx context.Context, batch []T)
	queue chan entry[T]

	// stopping keeps an item from being queued after the last batch was taken: Do holds it shared while it queues, Run
	// exclusively to close the door.
	stopping sync.RWMutex
	stopped  bool
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
	return &Group[T]{limit: max(limit, 1), run: run, queue: make(chan entry[T], max(queue, 1))}
}

// Do queues item and returns when the batch with it has been run. ErrBusy means that the item was not queued, because too many wait
// or because the group has stopped; *PanicError that run panicked. When ctx ends first, its error is returned and the item may
// still be run, now or later: the caller must not touch it again.
func (g *Group[T]) Do(ctx context.Context, item T) error {
	e := entry[T]{item: item, done: make(chan error, 1)}
	if err := g.enqueue(e); err != nil {
		return err
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for group commit: %w", ctx.Err())
	}
}

func (g *Group[T]) enqueue(e entry[T]) error {
	g.stopping.RLock()
	defer g.stopping.RUnlock()
	if g.stopped {
		return fmt.Errorf("group commit has stopped: %w", ErrBusy)
	}
	select {
	case g.queue <- e:
		return nil
	default:
		return fmt.Errorf("%d items wait for group commit: %w", cap(g.queue), ErrBusy)
	}
}

// Run commits groups until ctx ends; then it takes no more items, runs those that wait, and returns nil. Items queued before Run
// wait for it. A group that has stopped may be run again, but only by one goroutine at a time.
func (g *Group[T]) Run(ctx context.Context) error {
	g.setStopped(false)
	work := context.WithoutCancel(ctx)
	for {
		select {
		case e := <-g.queue:
			g.commit(work, e)
		case <-ctx.Done():
			g.setStopped(true)
			for {
				select {
				case e := <-g.queue:
					g.commit(work, e)
				default:
					return nil
				}
			}
		}
	}
}

// Waiting is how many items are queued for the next batches.
func (g *Group[T]) Waiting() int { return len(g.queue) }

func (g *Group[T]) setStopped(stopped bool) {
	g.stopping.Lock()
	defer g.stopping.Unlock()
	g.stopped = stopped
}

// commit runs first and whatever waits behind it, up to the limit, and tells every caller.
func (g *Group[T]) commit(ctx context.Context, first entry[T]) {
	entries := append(make([]entry[T], 0, min(g.limit, 1+len(g.queue))), first)
	batch := append(make([]T, 0, cap(entries)), first.item)
	for len(entries) < g.limit {
		select {
		case e := <-g.queue:
			entries, batch = append(entries, e), append(batch, e.item)
			continue
		default:
		}
		break
	}
	err := g.guard(ctx, batch)
	for _, e := range entries {
		e.done <- err
	}
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
