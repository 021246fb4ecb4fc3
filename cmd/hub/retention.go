package main

import (
	"fmt"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/dates"
	"referralhub/hub/rights"
	"referralhub/hub/server"
)

type retentionCmd struct {
	Due retentionDue `cmd:"" help:"Say how long each kind of record is kept, and how many are past their time on a day."`
	Run retentionRun `cmd:"" help:"Destroy what is past its time. A running hub does so by itself, once a day."`
}

type retentionDue struct {
	On dates.Date `help:"The day: today when left out." placeholder:"2034-04-01"`
}

// Help is what `hub retention due --help` says besides.
func (retentionDue) Help() string {
	return `Years are financial years, 1 April to 31 March. What a legal hold or an open case keeps is counted too: it is past its time, and stays.`
}

func (c *retentionDue) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	day := c.On
	if day.IsZero() {
		day = dates.On(time.Now())
	}
	return server.WithRights(e.ctx, cfg, e.logger("warn"), func(r *rights.Rights) error {
		due, err := r.RetentionDue(e.ctx, day)
		if err != nil {
			return err
		}
		for _, d := range due {
			fmt.Fprintf(e.stdout, "%s: %s from %s\n", d.Class.Class, client.Count(d.Years, "financial year"), d.From)
			fmt.Fprintf(e.stdout, "  %s of before %s may go now; more may from %s on  [%s]\n", client.Count(d.Past, "record"), d.Before, d.Next, d.Source)
		}
		return nil
	})
}

type retentionRun struct{}

// Help is what `hub retention run --help` says besides.
func (retentionRun) Help() string {
	return `Whoever nothing has been heard of for as long as the class says is forgotten: salt, identifiers, consents. The log stays, byte for byte, and
cannot be linked to them any more. Each leaves a leaf behind. What a legal hold or an open case keeps stays.`
}

func (retentionRun) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	return server.WithRights(e.ctx, cfg, e.logger("warn"), func(r *rights.Rights) error {
		done, err := r.Retain(e.ctx)
		for _, class := range rights.Classes() {
			if n := done.Destroyed[class.Class]; n > 0 {
				fmt.Fprintf(e.stdout, "%s: %s destroyed.\n", class.Class, client.Count(n, "record"))
			}
			if n := done.Kept[class.Class]; n > 0 {
				fmt.Fprintf(e.stdout, "%s: %s past the time and kept, for a legal hold or an open case.\n", class.Class, client.Count(n, "record"))
			}
		}
		if done.Reference == "" && err == nil {
			fmt.Fprintln(e.stdout, "Nothing is past its time.")
		}
		return err
	})
}
