// Package postgres keeps the hub's durable state in PostgreSQL 14 or newer, for a hub that runs as several copies. The statements are those
// of package sqlstore; here is how they reach the server: each group of new rows as arrays, all statements of a step in one round trip.
//
// Transactions run at READ COMMITTED. What must not change under a decision is locked by row (transfers, people, the head of the
// log), always in id order, and what must not exist twice has a unique index.
package postgres

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"referralhub/hub/store"
	"referralhub/hub/store/internal/sqlstore"
)

// Config says where the database is.
type Config struct {
	URL      string            // postgres://user@host/database?…, or key=value pairs; the usual PG… variables fill what is left out
	MaxConns int               // connections at most; default 16
	ExecMode pgx.QueryExecMode // default: cached prepared statements; pgx.QueryExecModeExec behind a pooler that does not keep sessions
}

// Store is the hub's state in a PostgreSQL database.
type Store struct {
	*sqlstore.Store
	db *db
}

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock that copies of the hub take while they bring the schema up to date.
const migrationLock = 0x7265666572 // "refer"

// session is set on every connection. Statements here always have an index to use, and a plan is kept for as long as the connection: one that was
// made while a table was small must not be a scan that lasts until the table is large. It is the same for any number of rows, so none is
// planned for just those at hand. Plans at that price would set off the JIT
// compiler, which costs more than any of them. The timeouts turn a copy of the hub that hangs into an error for the others.
const session = `SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '60s'`

// Open connects, brings the schema up to date and refuses a server whose commits are not durable.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read PostgreSQL URL: %w", err)
	}
	pc.MaxConns = int32(cmp.Or(cfg.MaxConns, 16))
	pc.ConnConfig.DefaultQueryExecMode = cmp.Or(cfg.ExecMode, pgx.QueryExecModeCacheStatement)
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.PgConn().Exec(ctx, session).ReadAll()
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	d := &db{querier{conn: pool}, pool}
	if err := d.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return &Store{sqlstore.New(d), d}, nil
}

// db is the engine.
type db struct {
	querier
	pool *pgxpool.Pool
}

func (d *db) prepare(ctx context.Context) error {
	var fsync, commits string
	const durability = `SELECT coalesce(current_setting('fsync', true), ''), coalesce(current_setting('synchronous_commit', true), '')`
	if err := d.pool.QueryRow(ctx, durability).Scan(&fsync, &commits); err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if fsync == "off" || commits == "off" {
		return fmt.Errorf("PostgreSQL does not keep what it commits (fsync %s, synchronous_commit %s): turn both on", fsync, commits)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return fmt.Errorf("wait for another copy's migration: %w", err)
		}
		script := func(ctx context.Context, text string) error {
			_, err := tx.Conn().PgConn().Exec(ctx, text).ReadAll()
			return err
		}
		return sqlstore.Migrate(ctx, querier{conn: tx}, script, files)
	})
}

// InTx sends the last statements and COMMIT together. The server does not come to COMMIT when one of them fails.
func (d *db) InTx(ctx context.Context, f func(sqlstore.Querier) ([]sqlstore.Stmt, error)) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return translate(err)
	}
	defer conn.Release() // a connection that is still in a transaction is closed, which rolls it back
	begun := false
	defer func() {
		if !begun {
			return
		}
		// It must reach the server even if ctx has ended, or the connection is lost.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = conn.Exec(ctx, "ROLLBACK")
	}()
	q := querier{conn, &begun}
	last, err := f(q)
	if err != nil || !begun && len(last) == 0 {
		return err
	}
	tags, err := q.exec(ctx, append(last[:len(last):len(last)], sqlstore.Stmt{SQL: "COMMIT"}))
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	begun = false
	if tag := tags[len(last)].String(); tag != "COMMIT" {
		return fmt.Errorf("commit: the server answered %s", tag)
	}
	return nil
}

// Snapshot reads at REPEATABLE READ: what the first statement sees, all see.
func (d *db) Snapshot(ctx context.Context, f func(sqlstore.Asker) error) error {
	tx, err := d.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return translate(err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	return f(querier{conn: tx})
}

func (d *db) Ping(ctx context.Context) error { return translate(d.pool.Ping(ctx)) }

func (d *db) Close() error {
	d.pool.Close()
	return nil
}

// querier sends statements over the pool or a transaction.
type querier struct {
	conn interface {
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
		SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	}
	// begun is whether a transaction has begun: its first statements take BEGIN along. Nil outside of a transaction.
	begun *bool
}

// begins reports whether the next statements are the first of a transaction.
func (q querier) begins() bool { return q.begun != nil && !*q.begun }

// send sends statements together, behind the BEGIN that they may need.
func (q querier) send(ctx context.Context, stmts ...sqlstore.Stmt) (pgx.BatchResults, error) {
	batch := &pgx.Batch{}
	begins := q.begins()
	if begins {
		batch.Queue("BEGIN")
	}
	for _, s := range stmts {
		sql, args := compose(s)
		batch.Queue(sql, args...)
	}
	results := q.conn.SendBatch(ctx, batch)
	if !begins {
		return results, nil
	}
	*q.begun = true
	if _, err := results.Exec(); err != nil {
		_ = results.Close() // it has the same error
		return nil, translate(err)
	}
	return results, nil
}

func (q querier) Exec(ctx context.Context, stmts ...sqlstore.Stmt) error {
	_, err := q.exec(ctx, stmts)
	return err
}

func (q querier) exec(ctx context.Context, stmts []sqlstore.Stmt) (tags []pgconn.CommandTag, err error) {
	results, err := q.send(ctx, stmts...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := results.Close(); err == nil {
			err = translate(e)
		}
	}()
	for range stmts {
		tag, err := results.Exec()
		if err != nil {
			return nil, translate(err)
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

func (q querier) Query(ctx context.Context, s sqlstore.Stmt, scan func(sqlstore.Row) error) error {
	if q.begins() {
		return q.QueryAll(ctx, []sqlstore.Question{{Stmt: s, Scan: scan}})
	}
	sql, args := compose(s)
	rows, err := q.conn.Query(ctx, sql, args...)
	if err != nil {
		return translate(err)
	}
	return scanAll(rows, scan)
}

func (q querier) QueryAll(ctx context.Context, questions []sqlstore.Question) (err error) {
	if len(questions) == 1 && !q.begins() {
		return q.Query(ctx, questions[0].Stmt, questions[0].Scan)
	}
	stmts := make([]sqlstore.Stmt, len(questions))
	for i, ask := range questions {
		stmts[i] = ask.Stmt
	}
	results, err := q.send(ctx, stmts...)
	if err != nil {
		return err
	}
	defer func() {
		if e := results.Close(); err == nil {
			err = translate(e)
		}
	}()
	for _, ask := range questions {
		rows, err := results.Query()
		if err != nil {
			return translate(err)
		}
		if err := scanAll(rows, ask.Scan); err != nil {
			return err
		}
	}
	return nil
}

func scanAll(rows pgx.Rows, scan func(sqlstore.Row) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

// compose puts arrays in place of the word ROWS, and lets the server count where a statement must change all of its rows: by the time that
// the count came here, it might be committed.
func compose(s sqlstore.Stmt) (string, []any) {
	text, args, want := s.SQL, s.Args, "1"
	if s.Rows != nil {
		arrays, columns := make([]string, len(s.Rows)), []any(s.Rows)
		for i, column := range s.Rows {
			arrays[i] = "$" + strconv.Itoa(i+1) + arrayOf(column)
		}
		if len(columns) == 1 { // an index takes the array as it is
			text = strings.Replace(text, "IN (ROWS)", "= ANY ("+arrays[0]+")", 1)
		}
		text = strings.Replace(text, "ROWS", "SELECT * FROM unnest("+strings.Join(arrays, ", ")+")", 1)
		args, want = columns, "cardinality("+arrays[0]+")"
	}
	if s.Exact {
		text = "WITH changed AS (" + text + " RETURNING 1) SELECT 1 / (count(*) = " + want + ")::int FROM changed"
	}
	return text, args
}

func arrayOf(column any) string {
	switch column.(type) {
	case []int64:
		return "::bigint[]"
	case []string:
		return "::text[]"
	default:
		return "::bytea[]"
	}
}

// translate gives the server's errors the store's names. https://www.postgresql.org/docs/current/errcodes-appendix.html
func translate(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch e.Code {
	case "23505", "22012": // unique_violation; division_by_zero, which is an exact statement's (see compose)
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	case "40001", "40P01", "55P03": // serialization_failure, deadlock_detected, lock_not_available
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	}
	return err
}

var _ store.Store = (*Store)(nil)
