package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Both move the head of a log and give its number, or no row when the head is not where the batch begins. The row stays locked until
// the commit, so two writers of one log are one after the other and the second finds the head moved.
const (
	startLog = `INSERT INTO logs (origin, size, root, checkpoint) VALUES ($1, $2, $3, $4)
	ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, checkpoint = excluded.checkpoint WHERE logs.size = 0
	RETURNING id`
	moveHead  = `UPDATE logs SET size = $2, root = $3, checkpoint = $4 WHERE origin = $1 AND size = $5`
	extendLog = moveHead + ` RETURNING id`

	insertLeaves = `INSERT INTO leaves (id, transfer_id, shape, body) ROWS`
	insertTiles  = `INSERT INTO tiles (log, level, idx, hashes) ROWS`
)

// AppendLog is store.Tx's.
func (t *tx) AppendLog(ctx context.Context, origin string, b *ledger.Batch, about []store.LeafAbout) error {
	if len(about) != len(b.Leaves) || b.Size != b.First+int64(len(b.Leaves)) {
		return fmt.Errorf("append to log %s: %d leaves about %d things from %d to %d", origin, len(b.Leaves), len(about), b.First, b.Size)
	}
	if id, known := t.logs.Load(origin); known && b.First > 0 {
		head := Stmt{SQL: moveHead, Args: []any{origin, b.Size, b.Root[:], blob(b.Checkpoint), b.First}, Exact: true}
		return t.live.keep(append([]Stmt{head}, leafRows(id.(int64), b, about)...)...)
	}
	head := Stmt{SQL: startLog, Args: []any{origin, b.Size, b.Root[:], blob(b.Checkpoint)}}
	if b.First > 0 {
		head = Stmt{SQL: extendLog, Args: append(head.Args, b.First)}
	}
	log, err := one(ctx, t.q, head, func(row Row, id *int64) error { return row.Scan(id) })
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("log %s does not end at %d: %w", origin, b.First, store.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("append to log %s: %w", origin, err)
	}
	if b.First > 0 {
		t.logs.Store(origin, log) // it was there before this transaction, so it stays whatever becomes of this one
	}
	return t.live.keep(leafRows(log, b, about)...)
}

// A leaf's id is the number of its log and, in the lower 40 bits, its index: one number is the key of a SQLite table itself, two would be in
// an index beside it. The statements below know the 40 too.
func leafID(log, index int64) int64 { return log<<40 + index }
func leafIndex(id int64) int64      { return id & (1<<40 - 1) }

// leafRows are the statements that add the leaves and tiles of a batch to a log.
func leafRows(log int64, b *ledger.Batch, about []store.LeafAbout) []Stmt {
	leaves := make([]int64, len(b.Leaves))
	for i := range leaves {
		leaves[i] = leafID(log, b.First+int64(i))
	}
	return []Stmt{
		{SQL: insertLeaves, Rows: Columns{
			leaves,
			column(about, func(a *store.LeafAbout) string { return string(a.Transfer) }),
			column(about, func(a *store.LeafAbout) int64 { return a.Shape }),
			column(b.Leaves, func(leaf *[]byte) []byte { return blob(*leaf) }),
		}},
		{SQL: insertTiles, Rows: Columns{
			column(b.Tiles, func(*ledger.Tile) int64 { return log }),
			column(b.Tiles, func(tile *ledger.Tile) int64 { return int64(tile.Level) }),
			column(b.Tiles, func(tile *ledger.Tile) int64 { return tile.Index }),
			column(b.Tiles, func(tile *ledger.Tile) []byte { return tile.Hash }),
		}},
	}
}

// Log reads one log. A log that was never written to has size 0 and no checkpoint.
func (r reads) Log(ctx context.Context, origin string) ledger.Source {
	return &source{ctx: ctx, q: r.q, origin: origin}
}

// source is a log at rest, read under the context it was asked for with: ledger.Source takes none.
type source struct {
	ctx    context.Context
	q      Asker
	origin string
}

const logHead = `SELECT size, checkpoint FROM logs WHERE origin = $1`

// Head gives the size and the checkpoint of the last commit.
func (s *source) Head() (int64, []byte, error) {
	type head struct {
		size       int64
		checkpoint []byte
	}
	h, err := one(s.ctx, s.q, Stmt{SQL: logHead, Args: []any{s.origin}}, func(row Row, h *head) error {
		return row.Scan(&h.size, &h.checkpoint)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, nil, fmt.Errorf("read head of log %s: %w", s.origin, err)
	}
	return h.size, h.checkpoint, nil
}

const logLeaves = `SELECT id, body FROM leaves WHERE id >= ((SELECT id FROM logs WHERE origin = $1) << 40) + $2
	AND id < ((SELECT id FROM logs WHERE origin = $1) << 40) + $3 ORDER BY id`

// Leaves gives the encoded leaves from to to, the latter excluded; ledger.ErrAbsent when one of them is missing.
func (s *source) Leaves(from, to int64) ([][]byte, error) {
	if from < 0 || to < from {
		return nil, fmt.Errorf("read leaves %d to %d of log %s: no such range", from, to, s.origin)
	}
	next := from
	leaves, err := query(s.ctx, s.q, Stmt{SQL: logLeaves, Args: []any{s.origin, from, to}}, func(row Row, leaf *[]byte) error {
		var id int64
		if err := row.Scan(&id, leaf); err != nil {
			return err
		}
		if leafIndex(id) != next {
			return fmt.Errorf("leaf %d: %w", next, ledger.ErrAbsent)
		}
		next++
		return nil
	})
	if err == nil && next != to {
		err = fmt.Errorf("leaf %d: %w", next, ledger.ErrAbsent)
	}
	if err != nil {
		return nil, fmt.Errorf("read leaves %d to %d of log %s: %w", from, to, s.origin, err)
	}
	return leaves, nil
}

const logTile = `SELECT hashes FROM tiles WHERE log = (SELECT id FROM logs WHERE origin = $1) AND level = $2 AND idx = $3`

// Tile gives a full tile; ledger.ErrAbsent when it is missing.
func (s *source) Tile(level int, index int64) ([]byte, error) {
	tile, err := one(s.ctx, s.q, Stmt{SQL: logTile, Args: []any{s.origin, int64(level), index}}, func(row Row, b *[]byte) error {
		return row.Scan(b)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ledger.ErrAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("read tile %d/%d of log %s: %w", level, index, s.origin, err)
	}
	return tile, nil
}

const origins = `SELECT origin FROM logs ORDER BY origin`

// Origins lists the logs there are.
func (r reads) Origins(ctx context.Context) ([]string, error) {
	return query(ctx, r.q, Stmt{SQL: origins}, func(row Row, o *string) error { return row.Scan(o) })
}

const leavesOf = `SELECT logs.origin, l.id, l.transfer_id FROM leaves AS l CROSS JOIN logs
	WHERE l.transfer_id IN (ROWS) AND l.transfer_id <> '' AND logs.id = l.id >> 40 ORDER BY l.transfer_id, logs.origin, l.id`

// LeavesOf is store.Store's: by transfer, log and index.
func (r reads) LeavesOf(ctx context.Context, ids []transfer.TransferID) ([]store.LeafRef, error) {
	return query(ctx, r.q, Stmt{SQL: leavesOf, Rows: keys(ids)}, func(row Row, l *store.LeafRef) error {
		var id int64
		err := row.Scan(&l.Origin, &id, &l.Transfer)
		l.Index = leafIndex(id)
		return err
	})
}

const leafBodies = `WITH r (origin, idx) AS (ROWS) SELECT logs.origin, l.id, l.body FROM r CROSS JOIN logs CROSS JOIN leaves AS l
	WHERE logs.origin = r.origin AND l.id = (logs.id << 40) + r.idx`

// LeafBodies is store.Store's.
func (r reads) LeafBodies(ctx context.Context, refs []store.LeafRef) ([][]byte, error) {
	type place struct {
		origin string
		index  int64
	}
	found := make(map[place][]byte, len(refs))
	ask := Stmt{SQL: leafBodies, Rows: Columns{
		column(refs, func(l *store.LeafRef) string { return l.Origin }),
		column(refs, func(l *store.LeafRef) int64 { return l.Index }),
	}}
	err := queryAll(ctx, r.q, Question{Stmt: ask, Scan: func(row Row) error {
		var p place
		var body []byte
		err := row.Scan(&p.origin, &p.index, &body)
		p.index = leafIndex(p.index)
		found[p] = body
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("read %d leaves: %w", len(refs), err)
	}
	bodies := make([][]byte, len(refs))
	for i, l := range refs {
		body, ok := found[place{l.Origin, l.Index}]
		if !ok {
			return nil, fmt.Errorf("leaf %d of log %s: %w", l.Index, l.Origin, ledger.ErrAbsent)
		}
		bodies[i] = body
	}
	return bodies, nil
}
