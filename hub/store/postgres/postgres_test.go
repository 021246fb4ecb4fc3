package postgres_test

import (
	"os"
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

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, fresh(pgx.QueryExecModeCacheStatement)) }
