package sqlstore

import (
	"context"
	"math"

	"referralhub/hub/store"
)

const (
	publishCheckpoint = `INSERT INTO checkpoints (log, size, at, note) VALUES ((SELECT id FROM logs WHERE origin = $1), $2, $3, $4)
	ON CONFLICT (log, size) DO NOTHING`
	checkpoints = `SELECT size, at, note FROM checkpoints WHERE log = (SELECT id FROM logs WHERE origin = $1) AND size < $2
	ORDER BY log DESC, size DESC LIMIT $3`
	insertCosignatures = `WITH c (origin, size, witness, at, line) AS (ROWS)
	INSERT INTO cosignatures (log, size, witness, at, line)
	SELECT (SELECT id FROM logs WHERE logs.origin = c.origin), c.size, c.witness, c.at, c.line FROM c WHERE true
	ON CONFLICT (log, size, witness) DO NOTHING`
	cosignatures = `SELECT size, witness, at, line FROM cosignatures WHERE log = (SELECT id FROM logs WHERE origin = $1) AND size = $2
	ORDER BY log, size, witness`
	cosignaturesFrom = `SELECT size, witness, at, line FROM cosignatures WHERE log = (SELECT id FROM logs WHERE origin = $1) AND size >= $2
	ORDER BY log DESC, size DESC, witness DESC LIMIT $3`
)

// PublishCheckpoint is store.Tx's.
func (t *tx) PublishCheckpoint(_ context.Context, c store.Checkpoint) error {
	return t.live.keep(Stmt{SQL: publishCheckpoint, Args: []any{c.Log, c.Size, micros(c.At), blob(c.Note)}})
}

// Checkpoints is store.Store's.
func (r reads) Checkpoints(ctx context.Context, log string, below int64, limit int) ([]store.Checkpoint, error) {
	if below == 0 {
		below = math.MaxInt64
	}
	return query(ctx, r.q, Stmt{SQL: checkpoints, Args: []any{log, below, int64(limit)}}, func(row Row, c *store.Checkpoint) error {
		var at int64
		err := row.Scan(&c.Size, &at, &c.Note)
		c.Log, c.At = log, instant(at)
		return err
	})
}

// Cosign is store.Tx's.
func (t *tx) Cosign(_ context.Context, lines []store.Cosignature) error {
	return t.live.keep(Stmt{SQL: insertCosignatures, Rows: Columns{
		column(lines, func(c *store.Cosignature) string { return c.Log }),
		column(lines, func(c *store.Cosignature) int64 { return c.Size }),
		column(lines, func(c *store.Cosignature) string { return c.Witness }),
		column(lines, func(c *store.Cosignature) int64 { return micros(c.At) }),
		column(lines, func(c *store.Cosignature) []byte { return blob(c.Line) }),
	}})
}

// Cosignatures is store.Store's.
func (r reads) Cosignatures(ctx context.Context, log string, size int64) ([]store.Cosignature, error) {
	return r.cosignatures(ctx, log, Stmt{SQL: cosignatures, Args: []any{log, size}})
}

// CosignaturesFrom is store.Store's.
func (r reads) CosignaturesFrom(ctx context.Context, log string, size int64, limit int) ([]store.Cosignature, error) {
	return r.cosignatures(ctx, log, Stmt{SQL: cosignaturesFrom, Args: []any{log, size, int64(limit)}})
}

func (r reads) cosignatures(ctx context.Context, log string, s Stmt) ([]store.Cosignature, error) {
	return query(ctx, r.q, s, func(row Row, c *store.Cosignature) error {
		var at int64
		err := row.Scan(&c.Size, &c.Witness, &at, &c.Line)
		c.Log, c.At = log, instant(at)
		return err
	})
}
