package dates

import "time"

// Rule is for how many financial years after a day something is kept: "4 years from the last entry". Without a trigger the time has not begun to
// run: a contract that has not ended.
type Rule struct {
	Years   int
	Trigger Date
}

// Window is how long something is kept, and within which year it is destroyed.
type Window struct {
	KeepUntil   Date // 31 March, the last day
	DestroyFrom Date // the day after
	DestroyBy   Date // 31 March of the year after
}

// Keep gives the window of the rule that keeps longest. There is none without rules, and none before every rule has its trigger: nothing is
// destroyed while one of them may still keep it longer. A legal hold, a complaint or an open request comes before all of it, and that is
// the caller's to know (domain.md section 10.4).
func Keep(rules ...Rule) Window {
	var until Date
	for _, r := range rules {
		if r.Trigger.IsZero() {
			return Window{}
		}
		until = Latest(until, YearEnd(r.Trigger).AddMonths(12*r.Years))
	}
	if until.IsZero() {
		return Window{}
	}
	return Window{KeepUntil: until, DestroyFrom: until.AddDays(1), DestroyBy: until.AddMonths(12)}
}

// YearEnd is the last day of the financial year in which a date falls: the 31 March on it or after it (rule 001-38).
func YearEnd(d Date) Date {
	year, month, _ := d.midnight.Date()
	if month > time.March {
		year++
	}
	return New(year, time.March, 31)
}
