package agreement_test

import (
	"encoding/json"
	"strings"
	"testing"

	"referralhub/hub/agreement"
)

// The Data Protection Lead of the Red House is asked for the record of processing.
func TestRecordOfProcessing(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "  - {partner: green-house, role: controller, direction: both}", "  - {partner: green-house, role: processor, direction: both}")
	edit(t, m, careFile, "retention:\n", "security: {transfer: through the hub only, encryption: TLS 1.3}\nretention:\n")
	edit(t, m, "herts/partners.yaml", "dpl@green-house.example}\n    location: GB", "dpl@green-house.example}\n    location: US\n    safeguard: UK IDTA of 2026-02-01")
	x := loaded(t, m)
	r, ok := agreement.RecordOf(x, "red-house", today)
	if !ok {
		t.Fatal("the Red House is not on the register")
	}
	compare(t, "testdata/export/red-house.md", r.Markdown())
	var back agreement.Record
	if text, err := json.Marshal(r); err != nil || json.Unmarshal(text, &back) != nil || len(back.Entries) != len(r.Entries) {
		t.Errorf("as JSON: %s %v", text, err)
	}

	green, _ := agreement.RecordOf(x, "green-house", today)
	if page := green.Markdown(); !strings.Contains(page, "| Works for | The Red House and Shire County Council |") {
		t.Errorf("a processor's record does not say for whom it works:\n%s", page)
	}
	if _, ok := agreement.RecordOf(x, "brown-house", today); ok {
		t.Error("a stranger has a record")
	}
	for _, day := range []string{"2025-12-31", "2029-01-01"} {
		if r, _ := agreement.RecordOf(x, "red-house", date(day)); day == "2029-01-01" && len(r.Entries) != 0 {
			t.Errorf("on %s, when the agreement is over, it still describes %s", day, r.Entries[0].Clause)
		} else if day == "2025-12-31" && r.Entries[0].Standing != agreement.NotStarted {
			t.Errorf("before it starts, it is %s", r.Entries[0].Standing)
		}
	}
}
