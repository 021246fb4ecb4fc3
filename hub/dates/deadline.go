package dates

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Due is by when something has to be done: by the end of that day.
type Due struct {
	Date    Date   // none while the clock stands
	Warning string // what whoever relies on the date has to know; empty when it is certain
}

// Pause is a time for which a clock stands, while the person has been asked what they mean (Art 12A, "stop the clock"). No day from the asking to the
// receipt of the answer counts, and neither do those two. Without an answer the clock still stands; an answer before the question is none.
type Pause struct {
	Asked, Answered Date
}

// Month is when an answer is due to what was received on a day: requests of Arts 15 to 21, the notice of Arts 13 and 14. It is also by when
// whoever asked must have been told that it will take longer.
func (c *Calendar) Month(received Date, stood ...Pause) Due { return c.months(1, received, stood) }

// Extended is when the answer is due after an extension by two months, for what is complex or numerous: three months from the receipt.
func (c *Calendar) Extended(received Date, stood ...Pause) Due { return c.months(3, received, stood) }

func (c *Calendar) months(n int, received Date, stood []Pause) Due {
	end := received.AddMonths(n)
	counted := received.AddDays(-1) // up to here no day is taken twice, where pauses overlap
	for _, p := range slices.SortedFunc(slices.Values(stood), func(a, b Pause) int { return a.Asked.Compare(b.Asked) }) {
		if p.Asked.After(end) {
			break // it was asked when the time was over, if only by a weekend, and that gives none back
		}
		if p.Answered.IsZero() {
			return Due{Warning: fmt.Sprintf("the clock stands since %s, until the question is answered", p.Asked)}
		}
		from := Latest(p.Asked, counted.AddDays(1))
		if !p.Answered.Before(from) {
			end = end.AddDays(from.DaysTo(p.Answered) + 1)
			counted = p.Answered
		}
	}
	end = c.Roll(end)
	return c.due(end, end)
}

// WorkingDays is the n-th working day after a date: with 1, the next working day. With 0 it is the date itself, or where nobody works then, the
// next working day.
func (c *Calendar) WorkingDays(after Date, n int) Due {
	d := after
	if n <= 0 {
		d = c.Roll(d)
	}
	for ; n > 0; n-- {
		d = c.Roll(d.AddDays(1))
	}
	return c.due(after, d)
}

// Acknowledge is the thirtieth day of a complaint, the day of its receipt being the first: by then it must have been acknowledged
// (DPA 2018 s.164A).
func Acknowledge(received Date) Date { return received.AddDays(29) }

// BreachNotice is how long a controller has, from becoming aware of a breach, to tell the Information Commissioner (Art 33).
const BreachNotice = 72 * time.Hour

// Earliest is the first of several deadlines: where the notice and the statute both give a time, the earlier counts (domain.md 10.2). A clock
// that stands gives none.
func Earliest(of ...Due) Due {
	running := slices.DeleteFunc(slices.Clone(of), func(d Due) bool { return d.Date.IsZero() })
	if len(running) == 0 {
		return Due{}
	}
	return slices.MinFunc(running, func(a, b Due) int { return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Warning, b.Warning)) })
}

// due says of a date whether every bank holiday that went into it was known.
func (c *Calendar) due(from, to Date) Due {
	d := Due{Date: to}
	if from.Before(c.from) || to.After(c.until) {
		d.Warning = fmt.Sprintf("bank holidays are known from %s until %s: look at those that fall on %s or before it", c.from, c.until, to)
	}
	return d
}
