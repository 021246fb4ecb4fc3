// Package sqlstore is the store written once, over a seam of five methods that each engine fills.
//
// Statements are written in PostgreSQL's words with $1…$n, which SQLite reads too. One word is the seam's own: ROWS stands for a
// statement's rows, however many there are. PostgreSQL gets them as SELECT * FROM unnest($1::text[], …), a single statement of fixed text;
// SQLite as VALUES (…), (…), in runs of a few fixed lengths so that each is prepared once. Whatever else differs (SQLite has no row locks, because it
// has one writer) the engine takes out of the text itself.
package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"referralhub/hub/store"
)

// Stmt is one statement with either arguments or rows.
type Stmt struct {
	SQL  string
	Args []any   // int64, string or []byte, for $1…$n
	Rows Columns // in place of the word ROWS; with no rows the statement is not run

	// Exact makes the statement a compare-and-swap: ErrConflict unless it changes one row for each of its rows (or just one, when
	// it has arguments).
	Exact bool
}

// Columns are rows held by column: each is a []int64, []string or [][]byte, all of one length.
type Columns []any

// Len is the number of rows.
func (c Columns) Len() int {
	if len(c) == 0 {
		return 0
	}
	switch column := c[0].(type) {
	case []int64:
		return len(column)
	case []string:
		return len(column)
	case [][]byte:
		return len(column)
	}
	panic(fmt.Sprintf("column of %T", c[0]))
}

// Row is the row a query stands at.
type Row interface{ Scan(dest ...any) error }

// A Querier is a database, or a transaction on one. Errors are already store's own where store has a name for them.
type Querier interface {
	// Exec runs statements in order, in as few round trips as the engine can, and gives the number of rows that each changed.
	Exec(ctx context.Context, stmts ...Stmt) ([]int64, error)
	asker
}

// asker is the half of a Querier that only asks.
type asker interface {
	// Query runs one statement and calls scan at each row. scan must not use the Querier.
	Query(ctx context.Context, s Stmt, scan func(Row) error) error
	// QueryAll is Query for several, in order, in as few round trips as the engine can.
	QueryAll(ctx context.Context, questions []Question) error
}

// Question is a statement that gives rows, and what to do at each.
type Question struct {
	Stmt
	Scan func(Row) error
}

// DB is an engine.
type DB interface {
	Querier
	// InTx runs f in a transaction, retried as store.Store says.
	InTx(ctx context.Context, f func(Querier) error) error
	Ping(ctx context.Context) error
	Close() error
}

// sticky is a transaction that is dead after its first error, as PostgreSQL's are: on SQLite a statement that failed half-way through its rows
// would otherwise be committed as far as it came. It keeps writes back until a question needs their effect or the transaction ends, so
// that all of a group's writes reach the server together: an error of a write may therefore come from a later call, or from InTx.
type sticky struct {
	q    Querier
	kept []Stmt
	err  error
}

// keep takes writes that are to happen before whatever follows.
func (s *sticky) keep(stmts ...Stmt) error {
	if s.err == nil {
		s.kept = append(s.kept, stmts...)
	}
	return s.err
}

// Query asks, after the writes that were kept back.
func (s *sticky) Query(ctx context.Context, stmt Stmt, scan func(Row) error) error {
	if s.flush(ctx) == nil {
		s.err = s.q.Query(ctx, stmt, scan)
	}
	return s.err
}

// QueryAll asks, after the writes that were kept back.
func (s *sticky) QueryAll(ctx context.Context, questions []Question) error {
	if s.flush(ctx) == nil {
		s.err = s.q.QueryAll(ctx, questions)
	}
	return s.err
}

// flush sends the writes that were kept back.
func (s *sticky) flush(ctx context.Context) error {
	if s.err == nil && len(s.kept) > 0 {
		s.err = exec(ctx, s.q, s.kept...)
		s.kept = nil
	}
	return s.err
}

// exec leaves out statements without rows and holds the others to Exact.
func exec(ctx context.Context, q Querier, stmts ...Stmt) error {
	run := make([]Stmt, 0, len(stmts))
	for _, s := range stmts {
		if s.Rows == nil || s.Rows.Len() > 0 {
			run = append(run, s)
		}
	}
	if len(run) == 0 {
		return nil
	}
	counts, err := q.Exec(ctx, run...)
	if err != nil {
		return err
	}
	for i, s := range run {
		if want := int64(max(s.Rows.Len(), 1)); s.Exact && counts[i] != want {
			return fmt.Errorf("%d of %d rows were as expected: %w", counts[i], want, store.ErrConflict)
		}
	}
	return nil
}

// query collects the rows of a statement.
func query[T any](ctx context.Context, q asker, s Stmt, scan func(Row, *T) error) ([]T, error) {
	if s.Rows != nil && s.Rows.Len() == 0 {
		return nil, nil
	}
	var out []T
	err := q.Query(ctx, s, func(row Row) error {
		var v T
		if err := scan(row, &v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}

// collect is a question whose rows end up in into. It is not asked when its rows are none.
func collect[T any](s Stmt, scan func(Row, *T) error, into *[]T) Question {
	return Question{Stmt: s, Scan: func(row Row) error {
		var v T
		if err := scan(row, &v); err != nil {
			return err
		}
		*into = append(*into, v)
		return nil
	}}
}

// queryAll asks those questions that have something to ask about.
func queryAll(ctx context.Context, q asker, questions ...Question) error {
	questions = slices.DeleteFunc(questions, func(q Question) bool { return q.Rows != nil && q.Rows.Len() == 0 })
	if len(questions) == 0 {
		return nil
	}
	return q.QueryAll(ctx, questions)
}

// one is query for a statement that gives at most one row; ErrNotFound when it gives none.
func one[T any](ctx context.Context, q asker, s Stmt, scan func(Row, *T) error) (T, error) {
	rows, err := query(ctx, q, s, scan)
	if err == nil && len(rows) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return rows[0], nil
}
