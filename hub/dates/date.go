package dates

import (
	"fmt"
	"time"
	_ "time/tzdata" // a day in London begins at the same instant on every machine, with or without a zone database
)

// Date is a civil date. The zero value is no date at all, and its text is empty. Dates are compared with == and may be keys.
type Date struct {
	midnight time.Time // UTC, a carrier for year, month and day
}

// New makes a date; days beyond the end of a month run on into the next.
func New(year int, month time.Month, day int) Date {
	return Date{time.Date(year, month, day, 0, 0, 0, 0, time.UTC)}
}

// Parse reads "2026-01-31".
func Parse(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.IsZero() {
		return Date{}, fmt.Errorf("%q is no date: write year, month and day as in 2026-01-31", s)
	}
	return Date{t}, nil
}

// On is the day in London on which an instant falls; no date for the zero instant.
func On(t time.Time) Date {
	if t.IsZero() {
		return Date{}
	}
	y, m, d := t.In(london).Date()
	return New(y, m, d)
}

// Start is the first instant of the day in London; the zero instant for no date.
func (d Date) Start() time.Time {
	if d.IsZero() {
		return time.Time{}
	}
	y, m, day := d.midnight.Date()
	return time.Date(y, m, day, 0, 0, 0, 0, london)
}

// End is the first instant after the day in London; the zero instant for no date.
func (d Date) End() time.Time {
	if d.IsZero() {
		return time.Time{}
	}
	return d.AddDays(1).Start()
}

// LastSecond is the last second of the day in London; the zero instant for no date. A deadline that is written as an instant is this one,
// because people read its date.
func (d Date) LastSecond() time.Time {
	if d.IsZero() {
		return time.Time{}
	}
	return d.End().Add(-time.Second)
}

// AddDays is the date so many days later, or earlier.
func (d Date) AddDays(n int) Date { return Date{d.midnight.AddDate(0, 0, n)} }

// AddMonths is the corresponding date so many months later, or the last day of that month where it has no such day (Art 12A UK GDPR).
func (d Date) AddMonths(n int) Date {
	y, m, day := d.midnight.Date()
	last := New(y, m+time.Month(n)+1, 0)
	return New(y, m+time.Month(n), min(day, last.midnight.Day()))
}

// DaysTo is how many days later another date is.
func (d Date) DaysTo(other Date) int {
	return int((other.midnight.Unix() - d.midnight.Unix()) / secondsOfDay)
}

const secondsOfDay = 24 * 60 * 60

// Compare is negative when d is the earlier of the two.
func (d Date) Compare(other Date) int { return d.midnight.Compare(other.midnight) }

// Before reports whether d is the earlier of the two.
func (d Date) Before(other Date) bool { return d.midnight.Before(other.midnight) }

// After reports whether d is the later of the two.
func (d Date) After(other Date) bool { return d.midnight.After(other.midnight) }

// IsZero reports whether it is no date.
func (d Date) IsZero() bool { return d.midnight.IsZero() }

// Weekday is its day of the week.
func (d Date) Weekday() time.Weekday { return d.midnight.Weekday() }

// String is "2026-01-31"; empty for no date.
func (d Date) String() string { return d.Format(time.DateOnly) }

// Format is the date in a layout of the time package; empty for no date.
func (d Date) Format(layout string) string {
	if d.IsZero() {
		return ""
	}
	return d.midnight.Format(layout)
}

// MarshalText writes it as String does.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d = Date{}
	if len(text) > 0 {
		*d, err = Parse(string(text))
	}
	return err
}

// Latest is the last of several dates: a month runs from the latest of request, proof of identity and fee (Art 12A).
func Latest(of ...Date) Date {
	var last Date
	for _, d := range of {
		if d.After(last) {
			last = d
		}
	}
	return last
}

var london = func() *time.Location {
	l, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err) // the zone is linked in
	}
	return l
}()
