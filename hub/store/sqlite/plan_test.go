package sqlite

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"referralhub/hub/store/storetest"
)

// What a request costs must not depend on how long the hub has run: no table that grows is read from end to end.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.Everything(t, s)

	scan := regexp.MustCompile(`^SCAN (transfers|t|payloads|subjects|identifiers|transfer_subjects|consents|outbox|leaves|l|tiles|assertions|work|rulings|requests|entries|agreement_acts|cases|notices|checkpoints|cosignatures)( |$)`)
	control := regexp.MustCompile(`^(BEGIN|COMMIT|ROLLBACK)`)
	explained := 0
	for _, p := range []*prepared{s.db.reading.prepared, s.db.writing.prepared} {
		for f := range p.stmts {
			if control.MatchString(f.sql) {
				continue
			}
			explained++
			steps := explain(t, s, compose(f))
			if strings.Contains(f.sql, "leaves WHERE shape = ") && !strings.Contains(strings.Join(steps, "\n"), "COVERING INDEX leaves_shape (shape=? AND id>? AND id<?)") {
				t.Errorf("%v\n\tin: %s", steps, f.sql)
			}
			for _, step := range steps {
				if scan.MatchString(step) {
					t.Errorf("%s\n\tin: %s", step, f.sql)
				}
			}
		}
	}
	if explained < 60 {
		t.Errorf("only %d statements were looked at", explained)
	}
}

func explain(t *testing.T, s *Store, text string) []string {
	t.Helper()
	anything := make([]any, 100)
	rows, err := s.db.readers.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, anything...)
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
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
