package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/dates"
)

type datesCmd struct {
	Month       monthCmd       `cmd:"" help:"By when a request is answered or extended, and a complaint acknowledged."`
	WorkingDays workingDaysCmd `cmd:"" help:"The n-th working day after a day."`
	Keep        keepCmd        `cmd:"" help:"When a record that is kept for some financial years is destroyed."`
}

// Help is what `hub dates --help` says besides.
func (datesCmd) Help() string {
	return `Days are those of England and Wales. A day of receipt is the day in London.

	hub dates month 2026-01-31
	hub dates month 2026-03-03 --asked 2026-03-10 --answered 2026-03-20
	hub dates working-days 2026-06-22 10
	hub dates keep 2024-06-15 4`
}

const longDate = "Monday 2 January 2006"

type monthCmd struct {
	Received dates.Date   `arg:"" help:"The day of receipt, or of what was needed to act on it where that is later."`
	Asked    []dates.Date `help:"The day on which the person was asked what they mean; once for each time." placeholder:"DATE"`
	Answered []dates.Date `help:"The day of each answer, in the same order; the last may be missing." placeholder:"DATE"`
}

func (c *monthCmd) Run(e *env) error {
	if n := len(c.Asked) - len(c.Answered); n != 0 && n != 1 {
		return fmt.Errorf("%s and %s: give one answer for each, or one fewer", client.Count(len(c.Asked), "question"), client.Count(len(c.Answered), "answer"))
	}
	stood := lo.Map(c.Asked, func(d dates.Date, _ int) dates.Pause { return dates.Pause{Asked: d} })
	for i, d := range c.Answered {
		stood[i].Answered = d
	}
	calendar := dates.EnglandAndWales()
	return errors.Join(
		tellDue(e, "a request: answer by", calendar.Month(c.Received, stood...)),
		tellDue(e, "where the person was told by then that it takes longer, by", calendar.Extended(c.Received, stood...)),
		tellDue(e, "a complaint: acknowledge by", dates.Due{Date: dates.Acknowledge(c.Received)}))
}

type workingDaysCmd struct {
	After dates.Date `arg:"" help:"The day from which is counted; it is not one of them."`
	Days  uint16     `arg:"" help:"How many."`
}

func (c *workingDaysCmd) Run(e *env) error {
	return tellDue(e, fmt.Sprintf("working day %d is", c.Days), dates.EnglandAndWales().WorkingDays(c.After, int(c.Days)))
}

type keepCmd struct {
	Trigger dates.Date `arg:"" help:"The day from which it is kept: of the last entry, of the end of the contract."`
	Years   uint8      `arg:"" help:"How many financial years."`
}

func (c *keepCmd) Run(e *env) error {
	w := dates.Keep(dates.Rule{Years: int(c.Years), Trigger: c.Trigger})
	_, err := fmt.Fprintf(e.stdout, "keep until %s; destroy from %s to %s\n", w.KeepUntil.Format(longDate), w.DestroyFrom.Format(longDate), w.DestroyBy.Format(longDate))
	return err
}

func tellDue(e *env, what string, d dates.Due) error {
	but := lo.Ternary(d.Warning == "", "", "\n  but: "+d.Warning)
	_, err := fmt.Fprintln(e.stdout, what, cmp.Or(d.Date.Format(longDate), "a day that is not certain yet")+but)
	return err
}
