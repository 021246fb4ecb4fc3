package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
	"referralhub/hub/replay"
)

type agreementUsage struct {
	Since time.Time `help:"Leave out what was decided before this day." format:"2006-01-02" placeholder:"DATE"`
}

// Help is what `hub agreement usage --help` says besides.
func (agreementUsage) Help() string {
	return `For each clause in force it says how many transfers went under it, what it lets go that nobody ever sent, and what senders send that is always cut
out: tell them to stop collecting it. All of it comes from the log.

	hub agreement usage
	hub agreement usage --since 2026-01-01`
}

func (c *agreementUsage) Run(e *env) error {
	x, err := e.register()
	if err != nil {
		return err
	}
	return e.withLog(func(src ledger.Source) error {
		used, err := replay.Usage(e.ctx, src, x, c.Since, time.Now())
		if err != nil {
			return err
		}
		for i := range used {
			tellUsed(e.stdout, &used[i])
		}
		idle := lo.CountBy(used, func(u replay.Used) bool { return u.Transfers == 0 })
		fmt.Fprintf(e.stdout, "%s in force: %d in use, %d not.\n", client.Count(len(used), "clause"), len(used)-idle, idle)
		return nil
	})
}

func tellUsed(w io.Writer, u *replay.Used) {
	if u.Transfers == 0 {
		fmt.Fprintf(w, "%s, %s: never used\n", u.Clause, u.Message)
		return
	}
	fmt.Fprintf(w, "%s, %s: %s, %d of them collected\n", u.Clause, u.Message, client.Count(u.Transfers, "transfer"), u.Released)
	if len(u.NeverSent) > 0 {
		fmt.Fprint(w, client.Wrap("  ", "allowed and never sent: "+strings.Join(client.Sections(u.NeverSent), "; ")))
	}
	tellItems(w, "  ", "sent, not listed and so always cut out: stop sending it", u.Stripped)
	tellItems(w, "  ", "listed and sent, and cut out each time for want of consent or a condition", u.Withheld)
}

// tellItems lists items, those of as many transfers together.
func tellItems(w io.Writer, indent, what string, items []replay.Items) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(w, "%s%s\n", indent, what)
	for len(items) > 0 {
		n := items[0].Transfers
		alike := lo.Filter(items, func(i replay.Items, _ int) bool { return i.Transfers == n })
		items = items[len(alike):]
		names := client.Sections(lo.Map(alike, func(i replay.Items, _ int) string { return i.Name }))
		fmt.Fprint(w, client.Wrap(indent+"  ", fmt.Sprintf("in %s: %s", client.Count(n, "transfer"), strings.Join(names, "; "))))
	}
}
