package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

type auditCmd struct {
	Scheme   string              `help:"What kind of identifier it is." default:"nhs-number"`
	Why      string              `required:"" help:"Why you ask: it is logged with the question. Name nobody in it."`
	Transfer transfer.TransferID `help:"Ask about one transfer instead of a person."`
}

// Run asks the hub's own log. The identifier comes from standard input, so that it stays out of the shell's history and the process list.
func (c *auditCmd) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	q := exchange.Query{Transfer: c.Transfer, Why: c.Why, Everyone: true}
	if c.Transfer == "" {
		line, err := bufio.NewReader(e.stdin).ReadString('\n')
		if value := strings.TrimSpace(line); value != "" {
			q.Person = &contracts.Identifier{Scheme: c.Scheme, Value: value}
		} else {
			return errors.Join(errors.New("whom do you ask about? Give the identifier on standard input: echo NUMBER | hub audit ..."), err)
		}
		if c.Scheme == "nhs-number" && !contracts.ValidNHSNumber(strings.ReplaceAll(q.Person.Value, " ", "")) {
			return errors.New("that is not an NHS number: its check digit does not fit; it has ten digits")
		}
	}
	var found []exchange.Entry
	var leaf int64
	err = server.WithExchange(e.ctx, cfg, e.logger("warn"), func(x *exchange.Exchange) error {
		by := auth.Principal{Partner: "hub-operator", System: "hub-operator/command-line"}
		found, leaf, err = x.Search(e.ctx, by, q)
		return err
	})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LEAF\tWHEN\tWHAT\tFROM\tTO\tPURPOSE\tUNDER\tITEMS")
	for _, f := range found {
		l := f.Leaf
		what, under, items := string(l.Kind), "", []string{}
		switch {
		case l.Outcome != "":
			what += " " + string(l.Outcome)
		case l.Receipt != "":
			what += " " + l.Receipt
		case l.Consent != nil:
			what += " " + l.Consent.State
		}
		if l.Agreement != nil {
			under = l.Agreement.Flow
		}
		for _, s := range l.Subjects {
			if f.About == "" || s.Commitment == f.About {
				items = append(items, s.Items...)
			}
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Index, l.At.Format("2006-01-02 15:04:05"), what, l.Sender, l.Recipient, l.Purpose, under, strings.Join(items, " "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%d entries. That you asked is leaf %d.\n", len(found), leaf)
	return nil
}
