package sqlite_test

import (
	"path/filepath"
	"testing"

	"referralhub/hub/store"
	"referralhub/hub/store/sqlite"
	"referralhub/hub/store/storetest"
)

func fresh(tb testing.TB) storetest.Opener {
	path := filepath.Join(tb.TempDir(), "the hub's #1 file?.db")
	return func() (store.Store, error) { return sqlite.Open(tb.Context(), sqlite.Config{Path: path}) }
}

func TestConformance(t *testing.T) { storetest.Run(t, fresh) }

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, fresh) }
