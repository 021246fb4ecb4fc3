package traffic

import (
	"context"
	"fmt"
	"sort"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
)

// Use is what happened alike in a span of time: how often, and of what was disclosed, when first and last.
type Use struct {
	Shape       *ledger.Shape
	N           int64
	First, Last time.Time
}

// Log is what uses are read from; store.Store is one.
type Log interface {
	Origins(ctx context.Context) ([]string, error)
	Log(ctx context.Context, origin string) ledger.Source
	LeafBodies(ctx context.Context, refs []store.LeafRef) ([][]byte, error)
	EachShape(ctx context.Context, visit func(id int64, body []byte) error) error
	ShapeUse(ctx context.Context, log string, from, to int64) ([]store.ShapeUse, error)
}

// Read counts what was disclosed, and by which decisions, from one instant to another, which is excluded; a zero instant is no bound. The bounds
// are looked up as if times in a log only rose: where a clock was set back, what lies between may be counted on the other side.
func Read(ctx context.Context, log Log, from, to time.Time) ([]Use, error) {
	shapes := map[int64]*ledger.Shape{}
	err := log.EachShape(ctx, func(id int64, body []byte) error {
		shape, err := ledger.ParseShape(body)
		if err != nil {
			return fmt.Errorf("shape %d: %w", id, err)
		}
		switch shape.Kind {
		case ledger.KindDecision, ledger.KindRelease, ledger.KindDisclosure:
			shapes[id] = shape
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read shapes: %w", err)
	}
	origins, err := log.Origins(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	var uses []Use
	for _, origin := range origins {
		if uses, err = counted(ctx, log, origin, from, to, shapes, uses); err != nil {
			return nil, fmt.Errorf("log %s: %w", origin, err)
		}
	}
	return uses, nil
}

// counted adds what one log has.
func counted(ctx context.Context, log Log, origin string, from, to time.Time, shapes map[int64]*ledger.Shape, uses []Use) ([]Use, error) {
	src := log.Log(ctx, origin)
	size, _, err := src.Head()
	if err != nil {
		return nil, fmt.Errorf("read the head: %w", err)
	}
	first, last := int64(0), size
	if !from.IsZero() {
		first, err = since(src, size, from)
	}
	if err == nil && !to.IsZero() {
		last, err = since(src, size, to)
	}
	if err != nil || first >= last {
		return uses, err
	}
	used, err := log.ShapeUse(ctx, origin, first, last)
	if err != nil {
		return nil, fmt.Errorf("count shapes: %w", err)
	}
	var refs []store.LeafRef // the first and the last leaf of each that is dated
	var dated []int          // by their places in uses
	for _, u := range used {
		shape := shapes[u.Shape]
		if shape == nil {
			continue
		}
		if shape.Kind != ledger.KindDecision {
			refs = append(refs, store.LeafRef{Origin: origin, Index: u.First}, store.LeafRef{Origin: origin, Index: u.Last})
			dated = append(dated, len(uses))
		}
		uses = append(uses, Use{Shape: shape, N: u.N})
	}
	bodies, err := log.LeafBodies(ctx, refs)
	if err != nil {
		return nil, fmt.Errorf("read leaves: %w", err)
	}
	for i, body := range bodies {
		l, err := ledger.Parse(body)
		if err != nil {
			return nil, fmt.Errorf("leaf %d: %w", refs[i].Index, err)
		}
		if u := &uses[dated[i/2]]; i%2 == 0 {
			u.First = l.At
		} else {
			u.Last = l.At
		}
	}
	return uses, nil
}

// since is the first leaf of an instant or later.
func since(src ledger.Source, size int64, at time.Time) (_ int64, err error) {
	i := sort.Search(int(size), func(i int) bool {
		if err != nil {
			return true
		}
		var bodies [][]byte
		var l *ledger.Leaf
		if bodies, err = src.Leaves(int64(i), int64(i)+1); err == nil {
			l, err = ledger.Parse(bodies[0])
		}
		return err != nil || !l.At.Before(at)
	})
	return int64(i), err
}
