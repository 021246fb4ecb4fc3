package dates_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"referralhub/hub/dates"
)

var calendar = dates.EnglandAndWales()

func on(t testing.TB, s string) dates.Date {
	t.Helper()
	d, err := dates.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// due compares a deadline about whose bank holidays there is no doubt.
func due(t *testing.T, got dates.Due, want string) {
	t.Helper()
	if got.Date.String() != want || got.Warning != "" {
		t.Errorf("due %s (%q), want %s", got.Date, got.Warning, want)
	}
}

// The worked examples of domain.md section 10.0.

func TestRequestReceivedOnTheLastOfJanuary(t *testing.T) {
	// There is no 31 February, and the 28th is a Saturday.
	due(t, calendar.Month(on(t, "2026-01-31")), "2026-03-02")
}

func TestRequestThatHadToBeClarified(t *testing.T) {
	received, question := on(t, "2026-03-03"), dates.Pause{Asked: on(t, "2026-03-10"), Answered: on(t, "2026-03-20")}
	due(t, calendar.Month(received), "2026-04-07") // the 3rd is Good Friday, and then it is Easter
	due(t, calendar.Month(received, question), "2026-04-14")
	due(t, calendar.Extended(received, question), "2026-06-15") // 3 June and eleven days are a Sunday
}

func TestComplaintReceivedOnMidsummer(t *testing.T) {
	received := on(t, "2026-06-22")
	if got := dates.Acknowledge(received).String(); got != "2026-07-21" {
		t.Errorf("the statute wants it acknowledged by %s", got)
	}
	due(t, calendar.WorkingDays(received, 1), "2026-06-23")
	due(t, calendar.WorkingDays(received, 10), "2026-07-06")
	due(t, dates.Earliest(dates.Due{Date: dates.Acknowledge(received)}, dates.Due{}, calendar.WorkingDays(received, 1)), "2026-06-23")
	if got := dates.Earliest(dates.Due{Warning: "the clock stands"}); !got.Date.IsZero() {
		t.Errorf("a clock that stands is due on %s", got.Date)
	}
}

func TestBreachNoticedOnFridayEvening(t *testing.T) {
	friday := on(t, "2026-11-20").Start().Add(17 * time.Hour)
	if got := friday.Add(dates.BreachNotice).Format("Mon 15:04"); got != "Mon 17:00" {
		t.Errorf("the Commissioner is told by %s", got)
	}
}

// The worked examples of domain.md section 10.4.

func TestRecordsAreKeptForFinancialYears(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []dates.Rule
		want  [3]string
	}{
		{"carer's data, four years from the last input", []dates.Rule{{4, on(t, "2024-06-15")}}, [3]string{"2029-03-31", "2029-04-01", "2030-03-31"}},
		{"contract that ended with the year, six years", []dates.Rule{{6, on(t, "2023-03-31")}}, [3]string{"2029-03-31", "2029-04-01", "2030-03-31"}},
		{"contract that ended a day later", []dates.Rule{{6, on(t, "2023-04-01")}}, [3]string{"2030-03-31", "2030-04-01", "2031-03-31"}},
		{
			"the longer of two, though its time began before", []dates.Rule{{4, on(t, "2026-01-10")}, {7, on(t, "2023-03-31")}, {2, on(t, "2026-09-01")}},
			[3]string{"2030-03-31", "2030-04-01", "2031-03-31"},
		},
		{"contract that still runs", []dates.Rule{{4, on(t, "2010-06-15")}, {7, dates.Date{}}}, [3]string{}},
		{"no rule", nil, [3]string{}},
	} {
		w := dates.Keep(c.rules...)
		if diff := cmp.Diff(c.want, [3]string{w.KeepUntil.String(), w.DestroyFrom.String(), w.DestroyBy.String()}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// What else the clocks promise.

func TestDayIsThatOfLondon(t *testing.T) {
	for instant, want := range map[string]string{
		"2026-06-30T22:59:59Z": "2026-06-30",
		"2026-06-30T23:30:00Z": "2026-07-01", // half past midnight, summer time
		"2026-12-31T23:30:00Z": "2026-12-31",
	} {
		at, err := time.Parse(time.RFC3339, instant)
		if err != nil {
			t.Fatal(err)
		}
		d := dates.On(at)
		if d.String() != want {
			t.Errorf("%s is on %s, want %s", instant, d, want)
		}
		if at.Before(d.Start()) || !at.Before(d.End()) {
			t.Errorf("%s is not between the ends of its day, %s and %s", at, d.Start(), d.End())
		}
	}
	if got := on(t, "2026-03-29").LastSecond().UTC().Format(time.RFC3339); got != "2026-03-29T22:59:59Z" {
		t.Errorf("the day on which summer time begins ends at %s", got)
	}
	if d := dates.On(time.Time{}); !d.IsZero() || d.String() != "" || !d.Start().IsZero() || !d.End().IsZero() || !d.LastSecond().IsZero() {
		t.Errorf("no instant is on %q, from %s to %s", d, d.Start(), d.LastSecond())
	}
}

func TestClockStandsWhileAQuestionIsOpen(t *testing.T) {
	received := on(t, "2026-03-03")
	pause := func(asked, answered string) dates.Pause {
		p := dates.Pause{Asked: on(t, asked)}
		if answered != "" {
			p.Answered = on(t, answered)
		}
		return p
	}
	for name, c := range map[string]struct {
		stood []dates.Pause
		want  string
	}{
		"two questions":                       {[]dates.Pause{pause("2026-03-10", "2026-03-12"), pause("2026-03-16", "2026-03-17")}, "2026-04-08"},
		"the other way round":                 {[]dates.Pause{pause("2026-03-16", "2026-03-17"), pause("2026-03-10", "2026-03-12")}, "2026-04-08"},
		"two at once count once":              {[]dates.Pause{pause("2026-03-10", "2026-03-20"), pause("2026-03-12", "2026-03-16")}, "2026-04-14"},
		"the second lasts longer":             {[]dates.Pause{pause("2026-03-10", "2026-03-16"), pause("2026-03-12", "2026-03-20")}, "2026-04-14"},
		"days before the request":             {[]dates.Pause{pause("2026-02-01", "2026-03-05")}, "2026-04-07"}, // 3, 4 and 5 March: 6 April is Easter Monday
		"answered before it was asked":        {[]dates.Pause{pause("2026-03-20", "2026-03-10")}, "2026-04-07"},
		"asked when the time was over":        {[]dates.Pause{pause("2026-04-08", "2026-04-20")}, "2026-04-07"},
		"asked then, and never answered":      {[]dates.Pause{pause("2026-04-08", "")}, "2026-04-07"},
		"asked in the days that Easter gives": {[]dates.Pause{pause("2026-04-07", "2026-04-20")}, "2026-04-07"},
		"asked in time, given time by another": {
			[]dates.Pause{pause("2026-03-10", "2026-03-20"), pause("2026-04-13", "2026-04-14")}, "2026-04-16",
		},
	} {
		if got := calendar.Month(received, c.stood...); got.Date.String() != c.want || got.Warning != "" {
			t.Errorf("%s: due %s (%q), want %s", name, got.Date, got.Warning, c.want)
		}
	}
	open := calendar.Month(received, pause("2026-03-10", ""))
	if !open.Date.IsZero() || open.Warning != "the clock stands since 2026-03-10, until the question is answered" {
		t.Errorf("while the person is asked it is due on %s: %q", open.Date, open.Warning)
	}
}

func TestWorkingDaysKnowBankHolidays(t *testing.T) {
	due(t, calendar.WorkingDays(on(t, "2026-12-24"), 1), "2026-12-29") // Christmas, a weekend, and a substitute for Boxing Day
	due(t, calendar.WorkingDays(on(t, "2026-12-26"), 0), "2026-12-29")
	due(t, calendar.WorkingDays(on(t, "2026-11-23"), 0), "2026-11-23")
	due(t, calendar.WorkingDays(on(t, "2026-11-21"), 1), "2026-11-23") // a Saturday: Monday is the first working day after it
	if got := calendar.Holiday(on(t, "2026-12-28")); got != "Boxing Day" {
		t.Errorf("28 December 2026 is %q", got)
	}
}

func TestWhoRunsOutOfBankHolidaysIsTold(t *testing.T) {
	last := calendar.Until()
	if last.String() != "2028-12-31" {
		t.Errorf("bank holidays are known until %s", last)
	}
	for _, d := range []dates.Due{
		calendar.Month(on(t, "2028-12-01")), calendar.WorkingDays(last, 1), calendar.Extended(on(t, "2028-10-02")),
		calendar.WorkingDays(on(t, "2018-12-21"), 10), // Christmas 2018 is not on file
	} {
		if !strings.Contains(d.Warning, "until 2028-12-31") || d.Date.IsZero() {
			t.Errorf("due %s, and nobody is told that holidays are missing: %q", d.Date, d.Warning)
		}
	}
	if w := calendar.Expiring(on(t, "2027-12-31")); w != "" {
		t.Errorf("a year before the end: %q", w)
	}
	if w := calendar.Expiring(on(t, "2028-01-01")); !strings.Contains(w, "2028-12-31") {
		t.Errorf("less than a year before the end: %q", w)
	}
}

func TestBankHolidaysThatAreNotWhole(t *testing.T) {
	whole := func(year string) string {
		var events []string
		for _, day := range []string{"01-01", "03-29", "04-01", "05-06", "05-27", "08-26", "12-25", "12-26"} {
			events = append(events, `{"title": "holiday", "date": "`+year+"-"+day+`"}`)
		}
		return strings.Join(events, ",")
	}
	file := func(events ...string) string {
		return `{"england-and-wales": {"events": [` + strings.Join(events, ",") + `]}}`
	}
	if c, err := dates.Read([]byte(file(whole("2030"), whole("2029"))), "england-and-wales"); err != nil || c.Until().String() != "2030-12-31" {
		t.Errorf("two whole years, the later one first: %v", err)
	}
	for name, c := range map[string]struct{ file, says string }{
		"nothing":               {``, "read bank holidays"},
		"another division":      {`{"scotland": {"events": []}}`, `none of "england-and-wales"`},
		"a year half published": {file(whole("2029"), `{"title": "New Year", "date": "2030-01-01"}`), "2030 has 1 of at least 8"},
		"a year missing":        {file(whole("2029"), whole("2031")), "2030 has 0"},
		"a day twice":           {file(whole("2029"), whole("2029")), "event 9"},
		"no date":               {file(`{"title": "May Day"}`), `event 1, "May Day"`},
		"no such date":          {file(`{"title": "May Day", "date": "2029-05-32"}`), `"2029-05-32" is no date`},
	} {
		if _, err := dates.Read([]byte(c.file), "england-and-wales"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestDateIsWrittenAsItIsRead(t *testing.T) {
	type request struct {
		Received dates.Date `json:"received"`
		Paid     dates.Date `json:"paid,omitzero"`
	}
	text := `{"received":"2026-02-28"}`
	var r request
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Received != dates.New(2026, time.February, 28) || !r.Paid.IsZero() {
		t.Fatalf("%+v: %v", r, err)
	}
	if again, err := json.Marshal(r); err != nil || string(again) != text {
		t.Errorf("%s: %v", again, err)
	}
	for _, wrong := range []string{"2026-02-29", "28/02/2026", "2026-2-8", "", "0001-01-01"} {
		if _, err := dates.Parse(wrong); err == nil || !strings.Contains(err.Error(), "2026-01-31") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// Laws that hold for every day.

func anyDay() *rapid.Generator[dates.Date] {
	return rapid.Custom(func(t *rapid.T) dates.Date {
		return dates.New(2019, time.January, 1).AddDays(rapid.IntRange(0, 3560).Draw(t, "day"))
	})
}

func TestEveryMonth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		received := anyDay().Draw(t, "received")
		month, extended := calendar.Month(received), calendar.Extended(received)
		if !calendar.Working(month.Date) || !calendar.Working(extended.Date) {
			t.Fatalf("due %s, extended %s: one is no working day", month.Date, extended.Date)
		}
		corresponding := received.AddMonths(1)
		if n := received.DaysTo(corresponding); n < 28 || n > 31 || corresponding.Format("02") > received.Format("02") {
			t.Fatalf("the corresponding date is %s", corresponding)
		}
		if n := corresponding.DaysTo(month.Date); n < 0 || n > 4 {
			t.Fatalf("%s was moved to %s", corresponding, month.Date)
		}
		if later := calendar.Month(received.AddDays(1)).Date; later.Before(month.Date) {
			t.Fatalf("what came a day later is due on %s, before %s", later, month.Date)
		}
		asked := received.AddDays(rapid.IntRange(0, 25).Draw(t, "asked after"))
		answered := asked.AddDays(rapid.IntRange(0, 60).Draw(t, "answered after"))
		stood := asked.DaysTo(answered) + 1
		if got, want := calendar.Month(received, dates.Pause{Asked: asked, Answered: answered}).Date, calendar.Roll(corresponding.AddDays(stood)); got != want {
			t.Fatalf("with %d days on which the clock stood it is due on %s, want %s", stood, got, want)
		}
	})
}

func TestEveryWorkingDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after, n := anyDay().Draw(t, "after"), rapid.IntRange(1, 30).Draw(t, "n")
		got, counted := calendar.WorkingDays(after, n).Date, 0
		for d := after.AddDays(1); !d.After(got); d = d.AddDays(1) {
			if calendar.Working(d) {
				counted++
			}
		}
		if counted != n || !calendar.Working(got) {
			t.Fatalf("from %s to %s there are %d working days, want %d", after, got, counted, n)
		}
	})
}

func TestEveryFinancialYear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := dates.Rule{Years: rapid.IntRange(0, 51).Draw(t, "years"), Trigger: anyDay().Draw(t, "trigger")}
		w := dates.Keep(r)
		if w.KeepUntil.Format("01-02") != "03-31" || w.DestroyBy.Format("01-02") != "03-31" || w.KeepUntil.AddDays(1) != w.DestroyFrom {
			t.Fatalf("%+v gives %+v", r, w)
		}
		if full := r.Trigger.AddMonths(12 * r.Years); w.KeepUntil.Before(full) || !full.AddMonths(12).After(w.KeepUntil) {
			t.Fatalf("%+v is kept until %s: less than its years, or a whole year more", r, w.KeepUntil)
		}
	})
}
