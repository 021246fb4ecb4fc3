package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"referralhub/cmd/partner/client"
	"referralhub/hub/exchange"
	"referralhub/hub/rights"
	"referralhub/hub/transfer"
)

type incidentCmd struct {
	Size   incidentSizeCmd   `cmd:"" help:"Say how far something reached: people, items, recipients, agreements."`
	Report incidentReportCmd `cmd:"" help:"Draft what the Information Commissioner is told about an incident."`
}

type incidentSizeCmd struct {
	client.Scope `embed:""`
	Why          why  `required:"" help:"Why you ask: it is logged with the question. Name nobody in it." placeholder:"REASON"`
	JSON         bool `name:"json" help:"For other programs, with every item."`
}

// Help is what `hub incident size --help` says besides.
func (incidentSizeCmd) Help() string {
	return `This partner was compromised between these instants; this item was wrong in these messages:

	hub incident size --recipient hils --from 2026-11-20T09:00:00Z --to 2026-11-20T17:00:00Z --held --why "laptop stolen"
	hub incident size --sender carers-in-hertfordshire --item carer.phones --why "wrong telephone numbers"

The incident itself is a case: hub case open incident --nobody --ground unauthorised-access --person dpl-1`
}

// Run sizes an incident over what all partners sent.
func (c *incidentSizeCmd) Run(e *env) error {
	var scope rights.Scope
	text, err := json.Marshal(c.Scope)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &scope); err != nil {
		return err
	}
	return e.about(func(r *rights.Rights, by exchange.Principal) error {
		found, err := r.Measure(e.ctx, by, &scope, string(c.Why))
		if unknown := (*exchange.WordError)(nil); errors.As(err, &unknown) {
			return fmt.Errorf("--%s: %s", unknown.Field, unknown.Detail)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return indented(e.stdout, found)
		}
		if text, err = json.Marshal(found); err != nil {
			return err
		}
		var size client.Size
		if err := json.Unmarshal(text, &size); err != nil {
			return err
		}
		size.Tell(func(format string, args ...any) { fmt.Fprintf(e.stdout, format+"\n", args...) })
		return nil
	})
}

type incidentReportCmd struct {
	Reference string `arg:"" help:"The incident's reference: a case."`
	JSON      bool   `name:"json" help:"As JSON."`
}

// Run drafts a notification.
func (c *incidentReportCmd) Run(e *env) error {
	return e.about(func(r *rights.Rights, by exchange.Principal) error {
		n, err := r.Notification(e.ctx, by, c.Reference)
		if err != nil {
			return err
		}
		if c.JSON {
			return indented(e.stdout, n)
		}
		return n.WriteText(e.stdout)
	})
}

type flagsCmd struct {
	All    bool   `help:"Also those that somebody has looked at."`
	Look   bool   `help:"Look at the log first, as a running hub does by itself."`
	Review string `placeholder:"REFERENCE" help:"Say what a flag was."`
	Ground string `enum:"expected,incident," default:"" placeholder:"CODE" help:"With --review: expected, or incident, which opens one."`
	Person string `placeholder:"ID" help:"With --review: who has looked, by the id of the operator's register entry."`
	Limit  int    `default:"200" help:"How many at most."`
}

// Help is what `hub flags --help` says besides.
func (flagsCmd) Help() string {
	return `A running hub flags what is unusual in its log within a minute: a first-seen flow or item, more in an hour than there ever is, a flow at a time of the
night at which it never ran, one person looked up again and again, a burst of refusals, a release on a consent that had been withdrawn.

	hub flags
	hub flags --review case-01939b0a-7c1e-7d55-9f3a-2b8e6a4c1d0e --ground expected --person dpl-1`
}

// Validate finds flags that do not go together.
func (c *flagsCmd) Validate() error {
	if given := c.Ground != "" && c.Person != ""; (c.Review != "") != given || c.Review == "" && c.Ground+c.Person != "" {
		return errors.New("--review, --ground and --person go together")
	}
	return nil
}

// Run lists flags, or reviews one.
func (c *flagsCmd) Run(e *env) error {
	return e.about(func(r *rights.Rights, by exchange.Principal) error {
		if c.Review != "" {
			in := rights.StepIn{MessageID: transfer.MessageID(uuid.NewString()), Step: "reviewed", Person: c.Person, Grounds: []string{c.Ground}}
			k, _, err := r.Step(e.ctx, by, c.Review, &in, nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "%s: reviewed as %s.\n", k.Reference, c.Ground)
			return nil
		}
		if c.Look {
			if err := r.Watcher().Look(e.ctx); err != nil {
				return err
			}
		}
		which := rights.Which{Type: rights.Flag, State: rights.Open, Limit: c.Limit}
		if c.All {
			which.State = ""
		}
		list, err := r.Cases(e.ctx, by, which)
		if err != nil {
			return err
		}
		for i := range list {
			if err := e.tellFlag(&list[i]); err != nil {
				return err
			}
		}
		fmt.Fprintf(e.stdout, "%s.\n", client.Count(len(list), "flag"))
		return nil
	})
}

func (e *env) tellFlag(k *rights.Case) error {
	var f rights.Flagged
	if err := json.Unmarshal(k.Scope, &f); err != nil {
		return fmt.Errorf("read flag %s: %w", k.Reference, err)
	}
	fmt.Fprintf(e.stdout, "%s  %s  %s, %s\n", k.Reference, f.At.UTC().Format("2006-01-02 15:04"), f.Rule, k.State)
	if f.Sender != "" {
		to := cmp.Or(string(f.Recipient), "...")
		fmt.Fprintf(e.stdout, "  %s\n", strings.Join(strings.Fields(fmt.Sprintf("%s -> %s %s %s", f.Sender, to, f.Purpose, f.Agreement)), " "))
	}
	if len(f.Items) > 0 {
		fmt.Fprintf(e.stdout, "  %s\n", strings.Join(f.Items, ", "))
	}
	if f.Usual > 0 || f.Seen > 1 {
		fmt.Fprintf(e.stdout, "  %d, and usually %d\n", f.Seen, f.Usual)
	}
	last := f.Evidence[len(f.Evidence)-1]
	fmt.Fprintf(e.stdout, "  evidence: %s, the last %d of %s\n", client.Count(len(f.Evidence), "leaf"), last.Index, last.Origin)
	return nil
}
