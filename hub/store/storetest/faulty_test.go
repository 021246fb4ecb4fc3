package storetest_test

import (
	"errors"
	"path/filepath"
	"testing"

	"referralhub/hub/store"
	"referralhub/hub/store/sqlite"
	"referralhub/hub/store/storetest"
	"referralhub/hub/transfer"
)

func TestFaultyFailsWhereItIsTold(t *testing.T) {
	lost := errors.New("the line went dead")
	for _, c := range []struct {
		name    string
		op      storetest.Op
		apply   bool
		err     error
		written bool
	}{
		{"no fault", storetest.OpCommit, true, nil, true},
		{"commit that did not happen", storetest.OpCommit, false, lost, false},
		{"commit whose answer was lost", storetest.OpCommit, true, lost, true},
		{"commit that lied", storetest.OpCommit, false, nil, false},
		{"insertion that did not happen", storetest.OpInsert, false, lost, false},
		{"insertion whose answer was lost", storetest.OpInsert, true, lost, false},
		{"question", storetest.OpLock, false, lost, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "hub.db")})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			faulty := storetest.Faulty(s, func(op storetest.Op) (bool, error) {
				if op == c.op {
					return c.apply, c.err
				}
				return true, nil
			})
			err = faulty.InTx(t.Context(), func(tx store.Tx) error {
				if _, err := tx.Load(t.Context(), &store.Wanted{Transfers: []transfer.TransferID{"t1"}}); err != nil {
					return err
				}
				return tx.Insert(t.Context(), &store.Insertions{Transfers: []store.Transfer{{ID: "t1"}}})
			})
			if !errors.Is(err, c.err) {
				t.Errorf("the caller got %v, want %v", err, c.err)
			}
			_, err = s.Transfer(t.Context(), "t1")
			if written := err == nil; written != c.written {
				t.Errorf("written: %v, want %v (%v)", written, c.written, err)
			}
		})
	}
}

// Every operation of a store passes the fault function: none is out of a fault's reach.
func TestFaultyReachesEverything(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	asked := map[storetest.Op]int{}
	storetest.Everything(t, storetest.Faulty(s, func(op storetest.Op) (bool, error) {
		asked[op]++
		return true, nil
	}))
	for _, op := range storetest.Ops() {
		if asked[op] == 0 {
			t.Errorf("%s was never asked about", op)
		}
	}
	if total := 10 * (23 + 1 + 43); total != sum(asked) {
		t.Errorf("asked %d times, want once for each of %d operations: %v", sum(asked), total, asked)
	}
}

func sum(counts map[storetest.Op]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}
