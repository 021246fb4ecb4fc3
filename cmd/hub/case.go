package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"referralhub/cmd/partner/client"
	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/dates"
	"referralhub/hub/exchange"
	"referralhub/hub/rights"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

type caseCmd struct {
	Open   caseOpenCmd   `cmd:"" help:"Open a case: a right that somebody exercises, a complaint, a legal hold."`
	List   caseListCmd   `cmd:"" help:"List the cases of all partners."`
	Show   caseShowCmd   `cmd:"" help:"Show a case: what was done, what is due, which steps are possible."`
	Step   caseStepCmd   `cmd:"" help:"Take a step of a case."`
	Report caseReportCmd `cmd:"" help:"Say who received what about the person of a case."`
}

// about works on cases as the operator, from the command line.
func (e *env) about(act func(*rights.Rights, exchange.Principal) error) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	by := auth.Principal{Partner: operator, System: transfer.SystemID(operator) + "/command-line"}
	return server.WithRights(e.ctx, cfg, e.logger("warn"), func(r *rights.Rights) error { return explained(act(r, by)) })
}

// explained says every fault of an answer and what to do about it.
func explained(err error) error {
	var wrong *contracts.InvalidError
	if !errors.As(err, &wrong) {
		return err
	}
	var lines []error
	for _, f := range wrong.Faults {
		lines = append(lines, fmt.Errorf("%s: %s: %s", strings.TrimPrefix(f.Pointer, "/"), f.Detail, f.Remedy))
	}
	return errors.Join(lines...)
}

type caseOpenCmd struct {
	Type     rights.Type        `arg:"" help:"access, rectification, erasure, restriction, portability, objection, complaint, ..."`
	Person   string             `required:"" placeholder:"ID" help:"Who opens it, by the id of the operator's register entry."`
	Nobody   bool               `help:"It is about nobody in particular: no identifier is read."`
	Scheme   string             `help:"What kind of identifier is read: ${enum}." enum:"nhs-number,case-number,ni-number" default:"nhs-number" placeholder:"KIND"`
	Of       transfer.PartnerID `help:"Whose case number it is." placeholder:"PARTNER"`
	Received dates.Date         `placeholder:"DAY" help:"The day on which it came in, today when left out: 2026-11-20."`
	Channel  string             `enum:"telephone,post,email,in-person,online," default:"" placeholder:"HOW" help:"How it came in: telephone, post, email, in-person or online."`
	Confirm  bool               `help:"The person has still to show who they are: the month begins then."`
	Role     transfer.Role      `placeholder:"ROLE" help:"Of the person, in the transfers that it is about."`
	Ground   []string           `placeholder:"CODE" help:"Why, as a code."`
	Item     []string           `placeholder:"NAME" help:"The items it is about, by the names of the referral contract."`
}

// Help is what `hub case open --help` says besides.
func (caseOpenCmd) Help() string {
	return `The identifier comes from standard input, so that it stays out of the shell's history and the process list. The case is the operator's, and so about what
every partner disclosed.

	hub case open access --person dpl-1 --channel telephone
	hub case open rectification --person dpl-1 --scheme case-number --of age-uk-hertfordshire < number`
}

// Run opens a case.
func (c *caseOpenCmd) Run(e *env) error {
	o := rights.Opening{
		MessageID: transfer.MessageID(uuid.NewString()), Type: c.Type, Person: c.Person, IDsOf: c.Of, Received: c.Received, Channel: c.Channel,
		Role: c.Role, Grounds: c.Ground, Items: c.Item,
	}
	if c.Confirm {
		o.Identity = "to-confirm"
	}
	if !c.Nobody {
		ask := auditCmd{Scheme: c.Scheme}
		who, err := ask.person(e.stdin)
		if err != nil {
			return err
		}
		o.Identifiers = []contracts.Identifier{*who}
	}
	return e.about(func(r *rights.Rights, by exchange.Principal) error {
		k, _, err := r.Open(e.ctx, by, &o, nil)
		if err != nil {
			return err
		}
		return e.tellCase(r, by, k)
	})
}

type caseListCmd struct {
	Type    rights.Type  `placeholder:"TYPE" help:"Only those of a type: access, rectification, complaint, ..."`
	State   rights.State `placeholder:"STATE" help:"Only those in a state: open, telling, closed, ..."`
	Overdue bool         `help:"Only those in which something is past its deadline."`
	After   string       `placeholder:"REFERENCE" help:"Only what comes after the page that ended with this."`
	Limit   int          `default:"200" help:"How many at most."`
	JSON    bool         `name:"json" help:"One JSON object a line." xor:"form"`
	CSV     bool         `name:"csv" help:"With --type complaint: the Data Protection Complaint Inventory, for spreadsheets." xor:"form"`
}

// Validate finds flags that do not go together.
func (c *caseListCmd) Validate() error {
	if c.CSV && c.Type != rights.Complaint {
		return errors.New("--csv is the inventory of complaints: it goes with --type complaint")
	}
	return nil
}

// Run lists the cases of all partners.
func (c *caseListCmd) Run(e *env) error {
	return e.about(func(r *rights.Rights, by exchange.Principal) error {
		list, err := r.Cases(e.ctx, by, rights.Which{Type: c.Type, State: c.State, Overdue: c.Overdue, After: c.After, Limit: c.Limit})
		if err != nil {
			return err
		}
		if c.CSV {
			return rights.WriteInventory(e.stdout, list)
		}
		for i := range list {
			k := &list[i]
			if c.JSON {
				if err := json.NewEncoder(e.stdout).Encode(k); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(e.stdout, "%s  %s of %s, %s, received %s\n", k.Reference, k.Type, k.Partner, k.State, k.Received)
			e.deadlines(k)
		}
		if !c.JSON {
			fmt.Fprintf(e.stdout, "%s.\n", client.Count(len(list), "case"))
		}
		return nil
	})
}

type caseShowCmd struct {
	Reference string `arg:"" help:"The case's reference."`
	JSON      bool   `name:"json" help:"As JSON."`
}

// Run shows a case.
func (c *caseShowCmd) Run(e *env) error {
	return e.about(func(r *rights.Rights, by exchange.Principal) error {
		k, err := r.Case(e.ctx, by, c.Reference)
		if err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(k)
		}
		return e.tellCase(r, by, k)
	})
}

type caseStepCmd struct {
	Reference string     `arg:"" help:"The case's reference."`
	Step      string     `arg:"" help:"The step: 'hub case show' lists those that are possible."`
	Person    string     `required:"" placeholder:"ID" help:"Who takes it, by the id of the operator's register entry."`
	On        dates.Date `placeholder:"DAY" help:"The day that counts, today when left out: 2026-11-20."`
	Ground    []string   `placeholder:"CODE" help:"Why, as a code."`
	Item      []string   `placeholder:"NAME" help:"The items it is about, by the names of the referral contract."`
	Notice    string     `placeholder:"ID" help:"The notice it is about."`
	Task      string     `placeholder:"ID" help:"The task that was done."`
	Entry     []place    `placeholder:"LOG:INDEX" help:"Entries of the log that it is about, for reveal."`
	Details   string     `placeholder:"JSON" help:"What else it says: codes, dates, references."`
}

// place is where a leaf stands, on the command line: "hub.example.org/log/1:4711".
type place struct{ rights.Place }

// UnmarshalText reads one.
func (p *place) UnmarshalText(text []byte) error {
	at := strings.LastIndexByte(string(text), ':')
	if at < 0 {
		return errors.New("write the log and the index, as hub.example.org/log/1:4711")
	}
	index, err := strconv.ParseInt(string(text[at+1:]), 10, 64)
	if err != nil || index < 0 {
		return errors.New("write the log and the index, as hub.example.org/log/1:4711")
	}
	p.Place = rights.Place{Origin: string(text[:at]), Index: index}
	return nil
}

// Run takes a step of a case.
func (c *caseStepCmd) Run(e *env) error {
	in := rights.StepIn{
		MessageID: transfer.MessageID(uuid.NewString()), Step: c.Step, Person: c.Person, On: c.On, Grounds: c.Ground, Items: c.Item,
		Notice: c.Notice, Task: c.Task,
	}
	if c.Details != "" {
		in.Details = json.RawMessage(c.Details)
		if !json.Valid(in.Details) {
			return errors.New("--details is no JSON")
		}
	}
	for _, p := range c.Entry {
		in.Entries = append(in.Entries, p.Place)
	}
	return e.about(func(r *rights.Rights, by exchange.Principal) error {
		k, _, err := r.Step(e.ctx, by, c.Reference, &in, nil)
		if err != nil {
			return err
		}
		return e.tellCase(r, by, k)
	})
}

type caseReportCmd struct {
	Reference string             `arg:"" help:"The case's reference."`
	For       rights.Reader      `enum:"person,dpl" default:"person" placeholder:"READER" help:"Who will read it: ${enum}. What must not be revealed to the person is in the other alone."`
	Form      string             `enum:"text,html,json" default:"text" placeholder:"FORM" help:"Write it as ${enum}."`
	Of        transfer.PartnerID `placeholder:"PARTNER" help:"From whom the letter comes, in a case of the operator's."`
	From      client.Instant     `placeholder:"DAY" help:"Not before this day, or time."`
	To        client.Instant     `placeholder:"DAY" help:"Before this day, or time."`
	Out       string             `placeholder:"FILE" help:"Write it into this file, which is whole or not there."`
}

// Run makes a report, which is a leaf in the log.
func (c *caseReportCmd) Run(e *env) error {
	return e.about(func(r *rights.Rights, by exchange.Principal) error {
		found, err := r.Report(e.ctx, by, c.Reference, rights.Ask{For: c.For, Form: c.Form, Of: c.Of, From: c.From.Time, To: c.To.Time})
		if err != nil {
			return err
		}
		if c.Out != "" {
			return client.Whole(c.Out, func(w io.Writer) error {
				_, err := w.Write(found.Text)
				return err
			})
		}
		_, err = e.stdout.Write(found.Text)
		return err
	})
}

func (e *env) tellCase(r *rights.Rights, by exchange.Principal, k *rights.Case) error {
	fmt.Fprintf(e.stdout, "Case %s of %s: %s, %s, received %s.\n", k.Reference, k.Partner, k.Type, k.State, k.Received)
	for _, s := range k.Steps {
		fmt.Fprintf(e.stdout, "  %s  %s %s\n", s.On, s.Step, strings.Join(s.Grounds, ", "))
	}
	e.deadlines(k)
	notices, err := r.NoticesOf(e.ctx, by, k.Reference)
	if err != nil {
		return err
	}
	for _, n := range notices {
		fmt.Fprintf(e.stdout, "  %s  %s, to %s, %s\n", n.ID, n.Act, n.Recipient, strings.TrimSpace(string(n.State)+" "+n.Reason))
	}
	for _, t := range k.Tasks {
		switch {
		case t.Done:
		case t.Act == "send-again":
			fmt.Fprintf(e.stdout, "  %s: %s sends again what was stopped, with what is right\n", t.ID, t.Office)
		default:
			fmt.Fprintf(e.stdout, "  %s: tell %s to %s what it was told on %s\n", t.ID, t.Office, t.Act, strings.Join(t.Made, ", "))
		}
	}
	if possible := r.Possible(k); len(possible) > 0 {
		fmt.Fprintf(e.stdout, "Possible now: %s.\n", strings.Join(possible, ", "))
	}
	return nil
}

func (e *env) deadlines(k *rights.Case) {
	now := time.Now()
	for _, d := range k.Deadlines {
		switch at := d.Instant(); {
		case d.Met:
		case at.IsZero():
			fmt.Fprintf(e.stdout, "  %s: %s (%s)\n", d.What, d.Warning, d.Source)
		case at.Before(now):
			fmt.Fprintf(e.stdout, "  %s: OVERDUE since %s (%s)\n", d.What, d.By, d.Source)
		default:
			fmt.Fprintf(e.stdout, "  %s: by %s (%s)\n", d.What, strings.TrimSpace(d.By+" "+d.Warning), d.Source)
		}
	}
}
