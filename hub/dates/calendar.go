package dates

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Calendar tells working days from others. It is read-only, and safe for concurrent use.
type Calendar struct {
	holidays    map[Date]string
	from, until Date
}

//go:embed bank-holidays.json
var bankHolidays []byte

// EnglandAndWales is the calendar of England and Wales that is built in.
func EnglandAndWales() *Calendar { return englandAndWales() }

var englandAndWales = sync.OnceValue(func() *Calendar {
	c, err := Read(bankHolidays, "england-and-wales")
	if err != nil {
		panic(err) // a test reads it
	}
	return c
})

// A statute and two common-law days make eight bank holidays a year (Banking and Financial Dealings Act 1971 Schedule 1); a year with fewer has not been
// published whole.
const fewestHolidays = 8

// Read makes the calendar of one division from a file of the form of https://www.gov.uk/bank-holidays.json. The years in it must follow on one
// another, and each must be whole.
func Read(file []byte, division string) (*Calendar, error) {
	var divisions map[string]struct {
		Events []struct {
			Title string `json:"title"`
			Date  Date   `json:"date"`
		} `json:"events"`
	}
	if err := json.Unmarshal(file, &divisions); err != nil {
		return nil, fmt.Errorf("read bank holidays: %w", err)
	}
	events := divisions[division].Events
	if len(events) == 0 {
		return nil, fmt.Errorf("read bank holidays: there are none of %q", division)
	}
	c := &Calendar{holidays: make(map[Date]string, len(events)), from: events[0].Date, until: events[0].Date}
	years := map[int]int{}
	for i, e := range events {
		if e.Date.IsZero() || c.holidays[e.Date] != "" {
			return nil, fmt.Errorf("read bank holidays: event %d, %q: a date that is missing or there before", i+1, e.Title)
		}
		c.holidays[e.Date] = e.Title
		years[e.Date.midnight.Year()]++
		if e.Date.Before(c.from) {
			c.from = e.Date
		}
		c.until = Latest(c.until, e.Date)
	}
	c.from, c.until = New(c.from.midnight.Year(), time.January, 1), New(c.until.midnight.Year(), time.December, 31)
	for y := c.from.midnight.Year(); y <= c.until.midnight.Year(); y++ {
		if years[y] < fewestHolidays {
			return nil, fmt.Errorf("read bank holidays: %d has %d of at least %d: take the file again when the year is whole", y, years[y], fewestHolidays)
		}
	}
	return c, nil
}

// Holiday is the name of the bank holiday on a date, if it is one.
func (c *Calendar) Holiday(d Date) string { return c.holidays[d] }

// Working reports whether a date is a working day: Monday to Friday, and no bank holiday.
func (c *Calendar) Working(d Date) bool {
	return d.Weekday() != time.Saturday && d.Weekday() != time.Sunday && c.holidays[d] == ""
}

// Roll is the date itself when it is a working day, and otherwise the next working day.
func (c *Calendar) Roll(d Date) Date {
	for !c.Working(d) {
		d = d.AddDays(1)
	}
	return d
}

// Until is the last day of which it is known whether it is a bank holiday.
func (c *Calendar) Until() Date { return c.until }

// Expiring is what an operator is told when less than a year is left that the calendar knows; empty before that.
func (c *Calendar) Expiring(today Date) string {
	if today.AddMonths(12).Compare(c.until) <= 0 {
		return ""
	}
	return fmt.Sprintf("bank holidays are known until %s: take the current file from GOV.UK", c.until)
}
