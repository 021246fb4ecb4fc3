package sqlstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"referralhub/hub/store"
)

// Store is a store.Store on an engine.
type Store struct {
	reads
	db   DB
	logs sync.Map // origin → int64: the numbers of logs, which never change
}

// New makes a store of an engine whose schema is up to date.
func New(db DB) *Store { return &Store{reads: reads{db}, db: db} }

// attempts is how often a transaction is tried that others get in the way of.
const attempts = 5

// InTx is store.Store's. An engine answers ErrBusy only when it knows that nothing was committed, so that is what is tried again.
func (s *Store) InTx(ctx context.Context, f func(store.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := s.db.InTx(ctx, func(q Querier) ([]Stmt, error) {
			live := &sticky{q: q}
			if err := f(&tx{reads{live}, live, &s.logs}); err != nil {
				return nil, err
			}
			return live.kept, live.err
		})
		if attempt == attempts || !errors.Is(err, store.ErrBusy) {
			return err
		}
		jitter := time.Duration(rand.Int64N(int64(10 * time.Millisecond))) //nolint:gosec // it keeps two copies apart, it guards no secret
		pause := time.NewTimer(time.Duration(attempt) * jitter)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Close ends the use of the database. What was committed stays.
func (s *Store) Close() error { return s.db.Close() }

// reads are the questions that may be asked in a transaction and outside of one; tx adds what only a transaction may do.
type (
	reads struct{ q Asker }
	tx    struct {
		reads
		live *sticky
		logs *sync.Map // Store's
	}
)

var (
	_ store.Store = (*Store)(nil)
	_ store.Tx    = (*tx)(nil)
)

// column takes one value of each row.
func column[R, V any](rows []R, of func(*R) V) []V {
	out := make([]V, len(rows))
	for i := range rows {
		out[i] = of(&rows[i])
	}
	return out
}

// keys is a column of ids, each once and in order: who locks several rows locks them in the same order as everybody else.
func keys[T ~string](ids []T) Columns {
	out := column(ids, func(id *T) string { return string(*id) })
	slices.Sort(out)
	return Columns{slices.Compact(out)}
}

func hashes(in [][32]byte) Columns {
	return Columns{column(in, func(h *[32]byte) []byte { return h[:] })}
}

// blob makes no bytes an empty value: nil would be NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func micros(t time.Time) int64   { return t.UnixMicro() }
func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

// moment and whenever are micros and instant for a time that may not be: it is kept as 0.
func moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

func whenever(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return instant(us)
}

var errLength = errors.New("stored value is not 32 bytes long")

// bytes32 reads a column that holds 32 bytes.
func bytes32(b []byte) ([32]byte, error) {
	if len(b) != 32 {
		return [32]byte{}, errLength
	}
	return [32]byte(b), nil
}
