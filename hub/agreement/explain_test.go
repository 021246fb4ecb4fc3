package agreement_test

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"referralhub/hub/agreement"
)

var update = flag.Bool("update", false, "write the golden files")

// What a trustee is asked to sign, word for word.
func TestExplain(t *testing.T) {
	const golden = "testdata/explain/care.txt"
	m := files(t)
	edit(t, m, careFile, "    delivery: collect\n    items: care\n", "    delivery: collect\n    free_text: true\n    items: care\n")
	edit(t, m, careFile, "carer.condition, carer.phones]\n", "carer.condition, carer.phones, referral.reason]\n")
	m["herts/agreements/care.v2.yaml"] = m[careFile]
	edit(t, m, "herts/agreements/care.v2.yaml", "version: 1", "version: 2")
	edit(t, m, "herts/agreements/care.v2.yaml", "starts: 2026-01-01", "starts: 2027-01-01")
	x := loaded(t, m)
	a, _ := x.Agreement("care", 1)
	got := agreement.Explain(a, x)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("explained (-want +got):\n%s", diff)
	}
}
