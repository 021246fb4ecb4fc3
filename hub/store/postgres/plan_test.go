package postgres

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"referralhub/hub/store/storetest"
)

// A plan is kept as long as its connection. The one that was made for an empty table must do for a full one.
func TestPlansMadeOnEmptyTablesUseIndexes(t *testing.T) {
	s, err := Open(t.Context(), Config{URL: storetest.Postgres(t), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.Everything(t, s)

	conn, err := s.db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	rows, err := conn.Query(t.Context(), `SELECT name, statement, cardinality(parameter_types) AS parameters FROM pg_prepared_statements`)
	if err != nil {
		t.Fatal(err)
	}
	type prepared struct {
		Name, Statement string
		Parameters      int
	}
	statements, err := pgx.CollectRows(rows, pgx.RowToStructByName[prepared])
	if err != nil {
		t.Fatal(err)
	}
	plan := func(p prepared) string {
		execute := fmt.Sprintf(`SET plan_cache_mode = force_generic_plan; EXPLAIN EXECUTE %s`, pgx.Identifier{p.Name}.Sanitize())
		if p.Parameters > 0 {
			execute += "(NULL" + strings.Repeat(", NULL", p.Parameters-1) + ")"
		}
		results, err := conn.Conn().PgConn().Exec(t.Context(), execute).ReadAll()
		if err != nil {
			t.Fatalf("explain %s: %v", p.Statement, err)
		}
		var lines strings.Builder
		for _, row := range results[1].Rows {
			fmt.Fprintf(&lines, "%s\n", row[0])
		}
		return lines.String()
	}
	scan := regexp.MustCompile(`Seq Scan on|Index (?:Only )?Scan using \w+ on (\w+)`)
	small := []string{"migrations", "logs", "shapes"}
	own := map[string]string{ // what has an index that is shorter than the others that would do
		"FROM transfers\n\tWHERE recipient = $1": "transfers_inbox",
		"SELECT id FROM leaves WHERE shape = $4": "leaves_shape",
		"count(*) FROM leaves":                   "Index Only Scan using leaves_shape",
		"FROM cases WHERE due > 0":               "cases_due",
		"FROM cases WHERE subject_id":            "cases_subject",
		"FROM cases WHERE partner":               "cases_partner",
		"FROM notices WHERE sender":              "notices_sender",
	}
	explained := 0
	for _, p := range statements {
		if !regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE|WITH)`).MatchString(p.Statement) || strings.Contains(p.Statement, "pg_") {
			continue
		}
		explained++
		steps := plan(p)
		lines := strings.Split(steps, "\n")
		for i, line := range lines {
			m := scan.FindStringSubmatch(line)
			if m != nil && !slices.Contains(small, m[1]) && !strings.Contains(lines[i+1], "Index Cond:") {
				t.Errorf("a table is read from end to end:\n%s\n%s", p.Statement, steps)
			}
		}
		for part, index := range own {
			if strings.Contains(p.Statement, part) && !strings.Contains(steps, index) {
				t.Errorf("%s is read by another index than %s:\n%s", part, index, steps)
			}
		}
	}
	if explained < 60 {
		t.Errorf("only %d statements were looked at", explained)
	}
}
