package store_test

import (
	"cmp"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"referralhub/hub/store/postgres"
	"referralhub/hub/store/sqlite"
	"referralhub/hub/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// thing is a column of a table or of an index.
type thing struct {
	Table, Index, Column, Type string
	Place                      int // in the key, from 1; 0 when the column is in no primary key
	NotNull, Unique            bool
}

// Both engines have the same tables, columns, keys and indexes, so that what holds on one holds on the other.
func TestSchemasAgree(t *testing.T) {
	url := storetest.Postgres(t)
	p, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	path := filepath.Join(t.TempDir(), "hub.db")
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	onPostgres, onSQLite := postgresThings(t, url), sqliteThings(t, path)
	if len(onPostgres) < 70 {
		t.Errorf("only %d columns were looked at", len(onPostgres))
	}
	if diff := gocmp.Diff(onPostgres, onSQLite); diff != "" {
		t.Errorf("schemas differ (-PostgreSQL +SQLite):\n%s", diff)
	}
}

func postgresThings(t *testing.T, url string) []thing {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const columns = `
		SELECT c.relname, '' AS index, a.attname, upper(format_type(a.atttypid, NULL)),
			coalesce(array_position(k.indkey::int2[], a.attnum), -1) + 1, a.attnotnull, false
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
			LEFT JOIN pg_index k ON k.indrelid = c.oid AND k.indisprimary
		WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
		UNION ALL
		SELECT c.relname, i.relname, a.attname, '', array_position(k.indkey::int2[], a.attnum) + 1, false, k.indisunique
		FROM pg_index k JOIN pg_class i ON i.oid = k.indexrelid JOIN pg_class c ON c.oid = k.indrelid
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.indkey::int2[])
		WHERE NOT k.indisprimary AND c.relnamespace = current_schema()::regnamespace`
	rows, err := conn.Query(t.Context(), columns)
	if err != nil {
		t.Fatal(err)
	}
	things, err := pgx.CollectRows(rows, pgx.RowToStructByPos[thing])
	if err != nil {
		t.Fatal(err)
	}
	return sorted(things)
}

func sqliteThings(t *testing.T, path string) []thing {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const columns = `
		SELECT t.name, '' AS "index", c.name, c.type, c.pk, c."notnull", 0
		FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'
		UNION ALL
		SELECT t.name, i.name, c.name, '', c.seqno + 1, 0, i."unique"
		FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c WHERE t.type = 'table' AND i.origin = 'c'`
	rows, err := db.QueryContext(t.Context(), columns)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	same := strings.NewReplacer("INTEGER", "BIGINT", "BLOB", "BYTEA")
	var things []thing
	for rows.Next() {
		var c thing
		if err := rows.Scan(&c.Table, &c.Index, &c.Column, &c.Type, &c.Place, &c.NotNull, &c.Unique); err != nil {
			t.Fatal(err)
		}
		c.Type = same.Replace(c.Type)
		things = append(things, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sorted(things)
}

func sorted(things []thing) []thing {
	slices.SortFunc(things, func(a, b thing) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Column, b.Column))
	})
	return things
}
