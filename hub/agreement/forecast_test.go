package agreement_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A lead looks ahead: what stops on which day if nobody does anything, and why.
func TestForecast(t *testing.T) {
	const second = "herts/agreements/care.v2.yaml"
	for _, test := range []struct {
		story    string
		edits    []string // of the agreement
		follows  []string // edits of its next version, where there is one
		from, to string
		want     string
	}{
		{
			"nothing is due", nil, nil, "2026-11-21", "2027-03-01", "",
		},
		{
			"the review is missed, and a recipient's toolkit lapses", nil, nil, "2026-11-21", "2028-01-01", `
2027-07-31 care@1#assess stops for shire-council: toolkit-lapsed
2027-09-29 care@1#assess stops: review-missed
2027-09-29 care@1#refer stops: review-missed`,
		},
		{
			"a missed review has stopped it before it ends", nil, nil, "2028-01-01", "2030-01-01", "",
		},
		{
			"it ends", []string{"review_by: 2027-06-30", "review_by: 2028-12-31", "contract:\n  reference: Carers contract 2026\n  ends: 2028-12-31\n", ""}, nil, "2028-01-01", "2030-01-01", `
2029-01-01 care@1#assess stops: ends
2029-01-01 care@1#refer stops: ends`,
		},
		{
			"it ends with its contract", []string{"review_by: 2027-06-30", "review_by: 2027-01-31", "ends: 2028-12-31\nreview_by", "ends: 2027-03-31\nreview_by", "  ends: 2028-12-31\nparties", "  ends: 2027-03-31\nparties"}, nil,
			"2026-12-01", "2027-12-31", `
2027-04-01 care@1#assess stops: contract-ends
2027-04-01 care@1#refer stops: contract-ends`,
		},
		{
			"it has not begun", []string{"starts: 2026-01-01", "starts: 2027-01-01"}, nil, "2026-11-21", "2027-01-31", `
2027-01-01 care@1#assess starts: begins
2027-01-01 care@1#refer starts: begins`,
		},
		{
			"the next version takes over, without a clause", nil,
			[]string{"version: 1", "version: 2", "starts: 2026-01-01", "starts: 2027-01-01", "  - id: assess\n", "  - id: assessment\n"}, "2026-11-21", "2027-01-31", `
2027-01-01 care@1#assess stops: replaced
2027-01-01 care@1#refer stops: replaced
2027-01-01 care@2#assessment starts: replaces
2027-01-01 care@2#refer starts: replaces`,
		},
		{
			"a clause whose senders stand on different ground is one clause",
			[]string{"        shire-council: {article6: e, statute: Care Act 2014 s.10}", "        shire-council: {article6: e, statute: Care Act 2014 s.10}\n        green-house: {article6: a}"}, nil,
			"2027-08-01", "2028-01-01", `
2027-09-29 care@1#assess stops: review-missed
2027-09-29 care@1#refer stops: review-missed`,
		},
		{
			"somebody has suspended it", []string{"status: active", "status: suspended"}, nil, "2026-11-21", "2030-01-01", "",
		},
	} {
		t.Run(test.story, func(t *testing.T) {
			m := files(t)
			if test.follows != nil {
				m[second] = m[careFile]
			}
			for i := 0; i < len(test.edits); i += 2 {
				edit(t, m, careFile, test.edits[i], test.edits[i+1])
			}
			for i := 0; i < len(test.follows); i += 2 {
				edit(t, m, second, test.follows[i], test.follows[i+1])
			}
			var got strings.Builder
			for _, c := range loaded(t, m).Forecast(date(test.from), date(test.to)) {
				verb := map[bool]string{true: "stops", false: "starts"}[c.Stops]
				if c.To != "" {
					verb += " for " + string(c.To)
				}
				fmt.Fprintf(&got, "\n%s %s %s: %s", c.At.Format(time.DateOnly), c.Clause, verb, c.Cause)
			}
			if diff := cmp.Diff(test.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
