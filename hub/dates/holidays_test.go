package dates_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/gb"
	"github.com/samber/lo"

	"referralhub/hub/dates"
)

// Others have written down the rules of England's bank holidays; what is on file must agree with them, day for day.
func TestBankHolidaysAreThoseThatOthersKnow(t *testing.T) {
	funeral := dates.New(2022, time.September, 19) // of Queen Elizabeth II; those rules do not have it
	rules := cal.NewBusinessCalendar()
	rules.AddHoliday(gb.Holidays...)
	want := map[dates.Date]bool{funeral: true}
	got := map[dates.Date]bool{}
	for d := dates.New(2019, time.January, 1); !d.After(calendar.Until()); d = d.AddDays(1) {
		weekday := d.Weekday() != time.Saturday && d.Weekday() != time.Sunday
		if !rules.IsWorkday(d.Start()) && weekday {
			want[d] = true
		}
		if !calendar.Working(d) && weekday {
			got[d] = true
		}
	}
	text := func(days map[dates.Date]bool) []string {
		return lo.Map(slices.SortedFunc(maps.Keys(days), dates.Date.Compare), func(d dates.Date, _ int) string { return d.String() })
	}
	if diff := cmp.Diff(text(want), text(got)); diff != "" {
		t.Errorf("bank holidays (-rules +file):\n%s", diff)
	}
	if len(got) != 83 { // eight a year; 2022 had ten and 2023 had nine
		t.Errorf("%d bank holidays in ten years", len(got))
	}
}
