// Package sqlstore is the store written once, over a seam of five methods that each engine fills.
//
// Statements are written in PostgreSQL's words with $1…$n, which SQLite reads too. One word is the seam's own: ROWS stands for a
// statement's rows, however many there are. PostgreSQL gets them as arrays, in a statement of fixed text; SQLite as VALUES (…), (…), in runs of
// a few fixed lengths so that each is prepared once. Whatever else differs (SQLite has no row locks, because it has one writer) the engine
// does to the text itself.
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

// want is how many rows a statement is about: none when it is not to be run at all.
func (s Stmt) want() int {
	if s.Rows == nil {
		return 1
	}
	return s.Rows.Len()
}

// Changed holds a statement that changed n rows to Exact.
func (s Stmt) Changed(n int64) error {
	if want := s.want(); s.Exact && n != int64(want) {
		return fmt.Errorf("%d of %d rows were as expected: %w", n, want, store.ErrConflict)
	}
	return nil
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

// A Querier is a transaction. Errors are already store's own where store has a name for them.
type Querier interface {
	// Exec runs statements in order, in as few round trips as the engine can.
	Exec(ctx context.Context, stmts ...Stmt) error
	Asker
}

// Asker is what only asks: a transaction, or a database outside of one.
type Asker interface {
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
	Asker
	// InTx runs f in a transaction, and then the statements that f leaves, on the way to the commit.
	InTx(ctx context.Context, f func(Querier) ([]Stmt, error)) error
	// Snapshot asks about one moment.
	Snapshot(ctx context.Context, f func(Asker) error) error
	Ping(ctx context.Context) error
	Close() error
}

// sticky is a transaction that is dead after its first error, as PostgreSQL's are: on SQLite a statement that failed half-way through its rows
// would otherwise be committed as far as it came. It keeps writes back until a question needs their effect or the transaction ends, so
// that all of a group's writes reach the server together, and with the commit: an error of a write may therefore come from a later call, or
// from InTx.
type sticky struct {
	q    Querier
	kept []Stmt
	err  error
}

// keep takes writes that are to happen before whatever follows.
func (s *sticky) keep(stmts ...Stmt) error {
	for _, stmt := range stmts {
		if s.err == nil && stmt.want() > 0 {
			s.kept = append(s.kept, stmt)
		}
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
		s.err = s.q.Exec(ctx, s.kept...)
		s.kept = nil
	}
	return s.err
}

// query collects the rows of a statement.
func query[T any](ctx context.Context, q Asker, s Stmt, scan func(Row, *T) error) ([]T, error) {
	if s.want() == 0 {
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
func queryAll(ctx context.Context, q Asker, questions ...Question) error {
	questions = slices.DeleteFunc(questions, func(q Question) bool { return q.want() == 0 })
	if len(questions) == 0 {
		return nil
	}
	return q.QueryAll(ctx, questions)
}

// one is query for a statement that gives at most one row; ErrNotFound when it gives none.
func one[T any](ctx context.Context, q Asker, s Stmt, scan func(Row, *T) error) (T, error) {
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
