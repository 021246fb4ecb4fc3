package main

import (
	"fmt"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

type holdsCmd struct {
	Exceptions bool `help:"List what went by exception and has not been reviewed, instead."`
	Limit      int  `default:"200" help:"How many at most."`
}

// Help is what `hub holds --help` says besides.
func (holdsCmd) Help() string {
	return `What is overdue comes first. Whose work it is, of which partner, and the codes of the reasons: what they say of a case is for the sender's own people,
who see it with "partner holds".`
}

// Run lists what waits for the people of all partners, without what is in it.
func (c *holdsCmd) Run(e *env) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	var jobs []exchange.Job
	err = server.WithExchange(e.ctx, cfg, e.logger("warn"), func(x *exchange.Exchange) error {
		by := auth.Principal{Partner: operator, System: transfer.SystemID(operator) + "/command-line"}
		list := x.Holds
		if c.Exceptions {
			list = x.Exceptions
		}
		jobs, err = list(e.ctx, by, exchange.Page{Limit: c.Limit}, true)
		return err
	})
	if err != nil {
		return err
	}
	overdue := 0
	for _, j := range jobs {
		due := "due"
		if time.Now().After(j.Work.Deadline) {
			due = "OVERDUE"
			overdue++
		}
		fmt.Fprintf(e.stdout, "%s  %s  %s: %s of %s, %s %s\n", j.Transfer.ID, j.Transfer.State, j.Work.Queue, j.Work.Owner, j.Work.Sender, due,
			j.Work.Deadline.UTC().Format("2006-01-02 15:04"))
		seen := map[string]bool{}
		for _, r := range j.Decision.Reasons {
			if !seen[r.Code] {
				seen[r.Code] = true
				fmt.Fprintf(e.stdout, "  %s\n", r.Code)
			}
		}
	}
	fmt.Fprintf(e.stdout, "%s, %d overdue.\n", client.Count(len(jobs), "transfer"), overdue)
	return nil
}
