// Package sqlite keeps the hub's durable state in one SQLite file, for a hub that runs as one copy and needs no database server.
//
// There is one writer, and there are several readers that it does not hold up (write-ahead log). Every commit is synced. Two
// processes must not serve the same file: they would take turns, slowly, and the second to append to a log would be refused.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"referralhub/hub/store"
	"referralhub/hub/store/internal/sqlstore"
)

// Config says where the file is.
type Config struct {
	Path    string // created when absent, readable by its owner alone; its folder must exist
	Readers int    // connections that read beside the writer; default 4, or the number of processors when that is more
}

// Store is the hub's state in a SQLite file.
type Store struct {
	*sqlstore.Store
	db *db
}

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens or creates the file and brings its schema up to date.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Path == "" {
		return nil, errors.New("open SQLite: no path")
	}
	f, err := os.OpenFile(cfg.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open SQLite file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open SQLite file: %w", err)
	}
	d := &db{turn: make(chan struct{}, 1)}
	if err := d.open(ctx, cfg); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open SQLite file %s: %w", cfg.Path, err)
	}
	return &Store{sqlstore.New(d), d}, nil
}

// db is the engine. Statements are prepared once: the writer's on its one connection, a reader's wherever it is used.
type db struct {
	reading querier
	readers *sql.DB

	writers *sql.DB
	turn    chan struct{} // holds a token while a transaction owns conn and writing
	conn    *sql.Conn
	writing querier

	closing  sync.Once
	closeErr error
}

func (d *db) open(ctx context.Context, cfg Config) error {
	var err error
	if d.writers, err = sql.Open("sqlite", dsn(cfg.Path,
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"secure_delete(ON)",        // what was deleted is overwritten
		"wal_autocheckpoint(8192)", // pages: 32 MB of log before it is folded into the file
		"cache_size(-16384)",       // KiB
	)); err != nil {
		return err
	}
	d.writers.SetMaxOpenConns(1)
	if d.conn, err = d.writers.Conn(ctx); err != nil {
		return err
	}
	d.writing = querier{&prepared{on: d.conn, stmts: map[form]*sql.Stmt{}}}
	if err := d.migrate(ctx); err != nil {
		return err
	}
	if d.readers, err = sql.Open("sqlite", dsn(cfg.Path, "query_only(ON)", "cache_size(-16384)")); err != nil {
		return err
	}
	n := cmp.Or(cfg.Readers, max(4, runtime.NumCPU()))
	d.readers.SetMaxOpenConns(n)
	d.readers.SetMaxIdleConns(n)
	d.reading = querier{&prepared{on: d.readers, stmts: map[form]*sql.Stmt{}}}
	return d.Ping(ctx)
}

func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(1000)", "mmap_size(0)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func (d *db) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return d.InTx(ctx, func(q sqlstore.Querier) ([]sqlstore.Stmt, error) {
		script := func(ctx context.Context, text string) error {
			_, err := d.conn.ExecContext(ctx, text)
			return err
		}
		return nil, sqlstore.Migrate(ctx, q, script, files)
	})
}

func (d *db) Query(ctx context.Context, s sqlstore.Stmt, scan func(sqlstore.Row) error) error {
	return d.reading.Query(ctx, s, scan)
}

func (d *db) QueryAll(ctx context.Context, questions []sqlstore.Question) error {
	return d.reading.QueryAll(ctx, questions)
}

var (
	begin    = sqlstore.Stmt{SQL: "BEGIN IMMEDIATE"}
	commit   = sqlstore.Stmt{SQL: "COMMIT"}
	rollback = sqlstore.Stmt{SQL: "ROLLBACK"}
)

func (d *db) InTx(ctx context.Context, f func(sqlstore.Querier) ([]sqlstore.Stmt, error)) error {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the writer: %w", ctx.Err())
	}
	defer func() { <-d.turn }()
	if err := d.writing.Exec(ctx, begin); err != nil {
		return err
	}
	open := true
	defer func() {
		if open {
			_ = d.writing.Exec(context.WithoutCancel(ctx), rollback)
		}
	}()
	last, err := f(d.writing)
	if err != nil {
		return err
	}
	if err := d.writing.Exec(ctx, last...); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.writing.Exec(ctx, commit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	open = false
	return nil
}

// Snapshot reads in one transaction, on a connection of its own.
func (d *db) Snapshot(ctx context.Context, f func(sqlstore.Asker) error) error {
	conn, err := d.readers.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	q := querier{&prepared{on: conn, stmts: map[form]*sql.Stmt{}}}
	defer q.prepared.close() //nolint:errcheck // nothing was written
	if err := q.Exec(ctx, sqlstore.Stmt{SQL: "BEGIN"}); err != nil {
		return err
	}
	defer q.Exec(context.WithoutCancel(ctx), rollback) //nolint:errcheck // nothing was written
	return f(q)
}

func (d *db) Ping(ctx context.Context) error {
	return d.Query(ctx, sqlstore.Stmt{SQL: "SELECT 1"}, func(row sqlstore.Row) error {
		var n int
		return row.Scan(&n)
	})
}

// Close waits for the transaction that is under way, folds the write-ahead log into the file and lets go of it.
func (d *db) Close() error {
	d.closing.Do(func() { d.closeErr = d.close() })
	return d.closeErr
}

func (d *db) close() error {
	var errs []error
	if d.readers != nil {
		errs = append(errs, d.readers.Close())
	}
	if d.conn != nil {
		d.turn <- struct{}{}
		defer func() { <-d.turn }()
		errs = append(errs, d.writing.prepared.close(), d.conn.Close())
	}
	if d.writers != nil {
		errs = append(errs, d.writers.Close())
	}
	return errors.Join(errs...)
}

// prepared is the statements of one connection, or of a pool of them.
type prepared struct {
	on interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}

	mu    sync.Mutex // guards stmts
	stmts map[form]*sql.Stmt
}

// form is a statement of so many rows; of none when it has arguments.
type form struct {
	sql           string
	rows, columns int
}

func (p *prepared) stmt(ctx context.Context, f form) (*sql.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.stmts[f]; ok {
		return s, nil
	}
	s, err := p.on.PrepareContext(ctx, compose(f)) //nolint:sqlclosecheck // it is kept until close
	if err != nil {
		return nil, translate(err)
	}
	p.stmts[f] = s
	return s, nil
}

// close finalises the statements. A sql.Conn does not, and SQLite keeps a connection, and its log, for as long as it has any.
func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// locks are words that SQLite does not have and does not need: its one writer is alone.
var locks = regexp.MustCompile(` FOR (UPDATE|SHARE)\b`)

// writes are the verbs of statements that may come upon a row which cannot be written. SQLite would then take back the rest of the statement,
// and keeps a second journal so that it can. A transaction here ends at its first error, so it need not.
var writes = regexp.MustCompile(`\b(INSERT|UPDATE) (INTO|\w+ (?:AS \w+ )?SET)\b`)

// compose puts values in place of the word ROWS.
func compose(f form) string {
	text := locks.ReplaceAllString(f.sql, "")
	text = writes.ReplaceAllString(text, "$1 OR FAIL $2")
	if f.rows == 0 {
		return text
	}
	row := ", (?" + strings.Repeat(", ?", f.columns-1) + ")"
	return strings.Replace(text, "ROWS", "VALUES "+strings.Repeat(row, f.rows)[2:], 1)
}

// querier runs prepared statements. They are not interrupted when their context ends, which would cost a goroutine each: all are short.
type querier struct{ prepared *prepared }

func (q querier) Exec(ctx context.Context, stmts ...sqlstore.Stmt) error {
	for _, s := range stmts {
		changed := int64(0)
		err := q.each(ctx, s, func(ctx context.Context, stmt *sql.Stmt, args []any) error {
			result, err := stmt.ExecContext(ctx, args...)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			changed += n
			return err
		})
		if err != nil {
			return err
		}
		if err := s.Changed(changed); err != nil {
			return err
		}
	}
	return nil
}

func (q querier) Query(ctx context.Context, s sqlstore.Stmt, scan func(sqlstore.Row) error) error {
	return q.each(ctx, s, func(work context.Context, stmt *sql.Stmt, args []any) error {
		rows, err := stmt.QueryContext(work, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

func (q querier) QueryAll(ctx context.Context, questions []sqlstore.Question) error {
	for _, ask := range questions {
		if err := q.Query(ctx, ask.Stmt, ask.Scan); err != nil {
			return err
		}
	}
	return nil
}

// runs are the numbers of rows in one statement: few, so that few are prepared. A statement has no more than maxArgs arguments, unless a row
// has: the driver looks for each parameter among all arguments, so that binding them costs the square of their number.
var runs = [...]int{64, 32, 16, 8, 4, 2, 1}

const maxArgs = 64

// each runs a statement with its arguments, or once for each run of its rows.
func (q querier) each(ctx context.Context, s sqlstore.Stmt, do func(ctx context.Context, stmt *sql.Stmt, args []any) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	work := context.WithoutCancel(ctx)
	if s.Rows == nil {
		stmt, err := q.prepared.stmt(work, form{sql: s.SQL})
		if err != nil {
			return err
		}
		return translate(do(work, stmt, s.Args))
	}
	args := make([]any, 0, max(maxArgs, len(s.Rows)))
	next, total := 0, s.Rows.Len()
	for _, run := range runs {
		if run > 1 && run*len(s.Rows) > maxArgs {
			continue
		}
		for ; total-next >= run; next += run {
			stmt, err := q.prepared.stmt(work, form{s.SQL, run, len(s.Rows)})
			if err != nil {
				return err
			}
			args = values(args[:0], s.Rows, next, next+run)
			if err := translate(do(work, stmt, args)); err != nil {
				return err
			}
		}
	}
	return nil
}

// values appends rows from to to.
func values(args []any, columns sqlstore.Columns, from, to int) []any {
	for i := from; i < to; i++ {
		for _, column := range columns {
			switch column := column.(type) {
			case []int64:
				args = append(args, column[i])
			case []string:
				args = append(args, column[i])
			case [][]byte:
				args = append(args, column[i])
			}
		}
	}
	return args
}

// translate gives the engine's errors the store's names. https://www.sqlite.org/rescode.html
func translate(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	}
	switch e.Code() & 0xff { // the primary code of an extended one
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	}
	return err
}

var _ store.Store = (*Store)(nil)
