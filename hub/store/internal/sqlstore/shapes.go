package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// The number of the log is asked for in place, so that a shape of a log that is not there is refused (NOT NULL) and not forgotten.
const insertShapes = `WITH s (id, body, origin, idx) AS (ROWS)
	INSERT INTO shapes (id, body, first_leaf)
	SELECT s.id, s.body, ((SELECT logs.id FROM logs WHERE logs.origin = s.origin) << 40) + s.idx FROM s WHERE true ON CONFLICT (id) DO NOTHING`

func shapeRows(in []store.Shape) Columns {
	in = slices.Clone(in) // in order, so that two copies of the hub that write the same shapes wait for each other in turn
	slices.SortFunc(in, func(a, b store.Shape) int { return cmp.Compare(a.ID, b.ID) })
	return Columns{
		column(in, func(s *store.Shape) int64 { return s.ID }),
		column(in, func(s *store.Shape) []byte { return blob(s.Body) }),
		column(in, func(s *store.Shape) string { return s.First.Origin }),
		column(in, func(s *store.Shape) int64 { return s.First.Index }),
	}
}

const (
	allShapes = `SELECT s.id, s.body, logs.origin, s.first_leaf, l.transfer_id FROM shapes AS s
	CROSS JOIN logs CROSS JOIN leaves AS l WHERE logs.id = s.first_leaf >> 40 AND l.id = s.first_leaf ORDER BY s.id`
	// For each shape a range of an index that holds all that is asked for: as long as the span is, and not as the log.
	shapeUse = `SELECT s.id,
		(SELECT count(*) FROM leaves WHERE shape = s.id AND shape <> 0 AND id >= span.first AND id < span.past),
		coalesce((SELECT min(id) FROM leaves WHERE shape = s.id AND shape <> 0 AND id >= span.first AND id < span.past), 0),
		coalesce((SELECT max(id) FROM leaves WHERE shape = s.id AND shape <> 0 AND id >= span.first AND id < span.past), 0)
	FROM (SELECT (id << 40) + $2 AS first, (id << 40) + $3 AS past FROM logs WHERE origin = $1) AS span CROSS JOIN shapes AS s ORDER BY s.id`
)

// Shapes is store.Store's.
func (r reads) Shapes(ctx context.Context) ([]store.Shape, error) {
	return query(ctx, r.q, Stmt{SQL: allShapes}, func(row Row, s *store.Shape) error {
		var first int64
		err := row.Scan(&s.ID, &s.Body, &s.First.Origin, &first, &s.First.Transfer)
		s.First.Index = leafIndex(first)
		return err
	})
}

const eachShape = `SELECT id, body FROM shapes WHERE id > $1 ORDER BY id LIMIT $2`

// EachShape is store.Store's.
func (r reads) EachShape(ctx context.Context, visit func(id int64, body []byte) error) error {
	for after := int64(0); ; {
		page, err := query(ctx, r.q, Stmt{SQL: eachShape, Args: []any{after, int64(eachPage)}}, func(row Row, s *store.Shape) error {
			return row.Scan(&s.ID, &s.Body)
		})
		if err != nil {
			return fmt.Errorf("read shapes: %w", err)
		}
		for _, s := range page {
			if err := visit(s.ID, s.Body); err != nil {
				return err
			}
		}
		if len(page) < eachPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// ShapeUse is store.Store's.
func (r reads) ShapeUse(ctx context.Context, log string, from, to int64) ([]store.ShapeUse, error) {
	uses, err := query(ctx, r.q, Stmt{SQL: shapeUse, Args: []any{log, from, to}}, func(row Row, u *store.ShapeUse) error {
		err := row.Scan(&u.Shape, &u.N, &u.First, &u.Last)
		u.First, u.Last = leafIndex(u.First), leafIndex(u.Last)
		return err
	})
	return slices.DeleteFunc(uses, func(u store.ShapeUse) bool { return u.N == 0 }), err
}

const (
	logSpan    = `(SELECT (id << 40) + $2 FROM logs WHERE origin = $1) AND id < (SELECT (id << 40) + $3 FROM logs WHERE origin = $1)`
	oneShape   = `SELECT id FROM leaves WHERE shape = $4 AND shape <> 0 AND id >= ` + logSpan
	walk       = `SELECT id, shape FROM leaves WHERE id >= ` + logSpan
	rising     = ` ORDER BY shape, id LIMIT $5`
	falling    = ` ORDER BY shape DESC, id DESC LIMIT $5`
	filedUnder = `SELECT id, transfer_id FROM leaves WHERE id IN (ROWS)`
)

// LeavesByShape is store.Store's. However many leaves there are, it reads few:
//
// Where the span has fewer leaves than four for each shape, it walks the span. Otherwise it reads a range of an index for each of the k
// shapes, and merges them, in two rounds. The first reads c = limit/√k leaves of each; the limit-th of all of these is as far as the answer
// can go. Of shapes of which all c came before that there may be more: fewer than limit/c shapes, of which a second round reads up to
// limit each. That is k + 2·limit·√k entries of the index at most.
func (r reads) LeavesByShape(ctx context.Context, q store.ShapeQuery) ([]store.LeafRef, error) {
	shapes := slices.Clone(q.Shapes)
	slices.Sort(shapes)
	shapes = slices.Compact(shapes)
	if len(shapes) == 0 || q.Limit <= 0 || q.To <= q.From {
		return nil, nil
	}
	var ids []int64
	var err error
	if q.To-q.From <= 4*int64(len(shapes)) {
		ids, err = r.walkShapes(ctx, q, shapes)
	} else {
		ids, err = r.mergeShapes(ctx, q, shapes)
	}
	if err != nil {
		return nil, fmt.Errorf("find leaves of %d shapes: %w", len(shapes), err)
	}
	refs := make([]store.LeafRef, len(ids))
	place := make(map[int64]*store.LeafRef, len(ids))
	for i, id := range ids {
		refs[i] = store.LeafRef{Origin: q.Log, Index: leafIndex(id)}
		place[id] = &refs[i]
	}
	return refs, queryAll(ctx, r.q, Question{Stmt: Stmt{SQL: filedUnder, Rows: Columns{ids}}, Scan: func(row Row) error {
		var id int64
		var under transfer.TransferID
		err := row.Scan(&id, &under)
		place[id].Transfer = under
		return err
	}})
}

// walkShapes looks at each leaf of the span.
func (r reads) walkShapes(ctx context.Context, q store.ShapeQuery, shapes []int64) ([]int64, error) {
	var ids []int64
	err := r.q.Query(ctx, Stmt{SQL: walk, Args: []any{q.Log, q.From, q.To}}, func(row Row) error {
		var id, shape int64
		err := row.Scan(&id, &shape)
		if _, wanted := slices.BinarySearch(shapes, shape); wanted {
			ids = append(ids, id)
		}
		return err
	})
	return merge(q, ids), err
}

// mergeShapes looks at a range of the index for each shape.
func (r reads) mergeShapes(ctx context.Context, q store.ShapeQuery, shapes []int64) ([]int64, error) {
	few := max(1, int(float64(q.Limit)/math.Sqrt(float64(len(shapes)))))
	heads, err := r.shapeRanges(ctx, q, shapes, few)
	if err != nil {
		return nil, err
	}
	found := merge(q, heads...)
	rest := q // what of the span comes before the last that was found
	if full := len(found) == q.Limit; full && q.Descending {
		rest.From = leafIndex(found[q.Limit-1])
	} else if full {
		rest.To = leafIndex(found[q.Limit-1]) + 1
	}
	var more []int64
	for i, head := range heads {
		if len(head) == few && few < q.Limit && rest.From <= leafIndex(head[few-1]) && leafIndex(head[few-1]) < rest.To {
			more = append(more, shapes[i])
		}
	}
	longer, err := r.shapeRanges(ctx, rest, more, q.Limit)
	return merge(q, append(longer, found)...), err
}

// shapeRanges gives up to limit leaves of each shape.
func (r reads) shapeRanges(ctx context.Context, q store.ShapeQuery, shapes []int64, limit int) ([][]int64, error) {
	order := rising
	if q.Descending {
		order = falling
	}
	ranges := make([][]int64, len(shapes))
	ask := make([]Question, len(shapes))
	for i, shape := range shapes {
		s := Stmt{SQL: oneShape + order, Args: []any{q.Log, q.From, q.To, shape, int64(limit)}}
		ask[i] = collect(s, func(row Row, id *int64) error { return row.Scan(id) }, &ranges[i])
	}
	return ranges, queryAll(ctx, r.q, ask...)
}

// merge puts lists of leaves into the order of the query, each leaf once, and cuts them to its limit.
func merge(q store.ShapeQuery, lists ...[]int64) []int64 {
	all := slices.Concat(lists...)
	slices.Sort(all)
	all = slices.Compact(all)
	if q.Descending {
		slices.Reverse(all)
	}
	return all[:min(len(all), q.Limit)]
}
