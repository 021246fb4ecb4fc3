package storetest

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"referralhub/hub/store/pgtest"
)

// cluster is this test binary's PostgreSQL server, started by the first test that asks for a database.
var cluster struct {
	once sync.Once
	*pgtest.Cluster
	err error
}

// Main runs a package's tests and ends the server that they started. A package that calls Postgres calls it from TestMain.
func Main(m *testing.M) int {
	defer func() {
		if cluster.Cluster != nil {
			_ = cluster.Stop()
		}
	}()
	return m.Run()
}

// Postgres gives tb an empty database of its own, by URL. Where PostgreSQL is not installed the test is skipped, but fails when CI is true:
// there nobody would notice.
func Postgres(tb testing.TB) string {
	tb.Helper()
	cluster.once.Do(func() { cluster.Cluster, cluster.err = pgtest.Start(context.Background()) })
	if errors.Is(cluster.err, pgtest.ErrMissing) && os.Getenv("CI") != "true" {
		tb.Skip(cluster.err)
	}
	if cluster.err != nil {
		tb.Fatal(cluster.err)
	}
	url, err := cluster.NewDatabase(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return url
}
