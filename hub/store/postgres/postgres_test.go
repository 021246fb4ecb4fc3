package postgres_test

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"referralhub/hub/store"
	"referralhub/hub/store/postgres"
	"referralhub/hub/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func fresh(mode pgx.QueryExecMode) func(testing.TB) storetest.Opener {
	return func(tb testing.TB) storetest.Opener {
		url := storetest.Postgres(tb)
		return func() (store.Store, error) {
			return postgres.Open(tb.Context(), postgres.Config{URL: url, ExecMode: mode})
		}
	}
}

func TestConformance(t *testing.T) { storetest.Run(t, fresh(pgx.QueryExecModeCacheStatement)) }

func TestConformanceBehindAPooler(t *testing.T) { storetest.Run(t, fresh(pgx.QueryExecModeExec)) }

// Copies of the hub that start together on an empty database take turns at its schema.
func TestCopiesStartTogether(t *testing.T) {
	url := storetest.Postgres(t)
	var copies sync.WaitGroup
	for range 4 {
		copies.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	copies.Wait()
}

func TestServerThatForgetsIsRefused(t *testing.T) {
	url := storetest.Postgres(t) + "&synchronous_commit=off"
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: url}); err == nil || !strings.Contains(err.Error(), "synchronous_commit off") {
		t.Errorf("got %v, want a refusal that names the setting", err)
	}
}

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, fresh(pgx.QueryExecModeCacheStatement)) }
