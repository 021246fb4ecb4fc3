package report_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"referralhub/hub/report"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a page with the one that somebody has looked at.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

func statement() *report.Statement {
	return &report.Statement{
		Index: index(), By: charity, Reference: "case-0199b3c0-0000-7000-8000-00000000000a", At: start.AddDate(0, 0, 20), Entries: of(carer),
		Checkpoint: head("").Checkpoint,
	}
}

// What people read, word for word.
func TestPages(t *testing.T) {
	golden(t, "lead.html", written(t, report.HTML, head(charity), history()))
	golden(t, "person.csv", written(t, report.CSV, head(charity), of(carer)))
	golden(t, "person.json", written(t, report.JSON, head(charity), of(carer)))
	var page, text strings.Builder
	if err := statement().HTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := statement().Text(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "statement.html", page.String())
	golden(t, "statement.txt", text.String())
}
