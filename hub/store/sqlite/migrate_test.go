package sqlite

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"referralhub/hub/store/internal/sqlstore"
)

func TestMigrationsAreAddedAndNeverChanged(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	original, err := migrations.ReadFile("migrations/0001_initial.sql")
	if err != nil {
		t.Fatal(err)
	}
	known := func(more map[string]string) fstest.MapFS {
		files := fstest.MapFS{"0001_initial.sql": {Data: original}}
		for name, text := range more {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return files
	}
	const second, third = "0002_second.sql", "0003_third.sql"
	for _, step := range []struct {
		name  string
		files fstest.MapFS
		want  string // in the error; empty when there is none
	}{
		{"nothing new", known(nil), ""},
		{"a gap in the numbers", known(map[string]string{third: "SELECT 1"}), "want number 0002"},
		{"one that fails half-way", known(map[string]string{second: "CREATE TABLE a (n); nonsense"}), "migration 2 (second)"},
		{"two statements in one", known(map[string]string{second: "CREATE TABLE a (n); CREATE TABLE b (n);"}), ""},
		{"the same again", known(map[string]string{second: "CREATE TABLE a (n); CREATE TABLE b (n);"}), ""},
		{"an old one changed", known(map[string]string{second: "CREATE TABLE a (n)"}), "not the one that was applied"},
		{"a database of a newer hub", known(nil), "a newer one"},
	} {
		err := s.db.InTx(t.Context(), func(q sqlstore.Querier) ([]sqlstore.Stmt, error) {
			script := func(ctx context.Context, text string) error {
				_, err := s.db.conn.ExecContext(ctx, text)
				return err
			}
			return nil, sqlstore.Migrate(t.Context(), q, script, step.files)
		})
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: got %v, want %q", step.name, err, step.want)
		}
	}
}
