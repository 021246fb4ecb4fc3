package sqlite

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"referralhub/hub/store/storetest"
)

// A table that grows is never read from end to end: what a request costs must not depend on how long the hub has run.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.Everything(t, s)

	grows := regexp.MustCompile(`^SCAN (transfers|t|payloads|subjects|identifiers|transfer_subjects|consents|outbox|leaves|l|tiles|assertions)\b`)
	plans := 0
	for _, p := range []*prepared{s.db.reading.prepared, s.db.writing.prepared} {
		p.stmts.Range(func(key, _ any) bool {
			f := key.(form)
			columns := 1
			if strings.Contains(f.sql, "(sender, message_id) IN") {
				columns = 2
			}
			if !strings.HasPrefix(f.sql, "SELECT") && !strings.HasPrefix(f.sql, "WITH") && !strings.HasPrefix(f.sql, "DELETE") {
				return true
			}
			if head, _, ok := strings.Cut(f.sql, ") AS (ROWS)"); ok {
				columns = strings.Count(head, ",") + 1
			}
			for _, step := range explain(t, s, compose(f, columns)) {
				t.Log(step)
				if grows.MatchString(step) {
					t.Errorf("%s\n\t%s", f.sql, step)
				}
			}
			plans++
			return true
		})
	}
	if plans < 20 {
		t.Errorf("only %d statements were explained", plans)
	}
}

func explain(t *testing.T, s *Store, text string) []string {
	t.Helper()
	t.Log(text)
	rows, err := s.db.readers.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, make([]any, 100)...)
	if err != nil {
		t.Fatalf("explain %s: %v", text, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	return steps
}
