package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

type searchCommand struct {
	Why      string              `required:"" help:"Why we ask. It is logged; name nobody in it."`
	Transfer transfer.TransferID `xor:"about" placeholder:"ID" help:"Ask about one transfer."`
	Person   string              `xor:"about" placeholder:"SCHEME" help:"Ask about one person, by an identifier of this scheme (nhs-number, case-number). The identifier itself is read from standard input, so that it stays out of the shell's history."`
	Of       transfer.PartnerID  `placeholder:"PARTNER" help:"Who gave the person that case number; the operator alone may ask by those of others."`

	client.Facets `embed:"" group:"What an entry has to say"`
	From          client.Instant `placeholder:"DAY" help:"Not before this day, or time." group:"What an entry has to say"`
	To            client.Instant `placeholder:"DAY" help:"Before this day, or time." group:"What an entry has to say"`

	Everyone bool   `help:"Ask about every partner's transfers: the operator alone may."`
	Newest   bool   `help:"The newest first."`
	Limit    int    `help:"How many entries at most."`
	Form     string `help:"Write all there is as ${enum}, in place of a page of text." enum:"text,csv,json,jsonl,auditevent,html" default:"text" placeholder:"FORM"`
	Out      string `placeholder:"FILE" help:"Write the form into this file, which is whole or not there."`
}

// Validate finds flags that do not go together.
func (c *searchCommand) Validate() error {
	switch {
	case c.Transfer == "" && c.Person == "" && c.Facets.Empty() && c.From.IsZero() && c.To.IsZero():
		return errors.New("say what is asked about: --transfer, --person, or what an entry has to say")
	case c.Out != "" && c.Form == "text":
		return errors.New("--out goes with a --form")
	case c.Limit != 0 && c.Form != "text":
		return errors.New("--limit goes with text: a form has all there is")
	}
	return nil
}

func (c *searchCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	q := client.Query{
		Of: c.Of, TransferID: c.Transfer, Facets: c.Facets, From: c.From.Time, To: c.To.Time, Everyone: c.Everyone, Why: c.Why, Limit: c.Limit,
	}
	if c.Newest {
		q.Order = "newest"
	}
	if c.Person != "" {
		value, err := s.read("-")
		if err != nil {
			return fmt.Errorf("read the identifier: %w", err)
		}
		q.Subject = &client.Identifier{Scheme: c.Person, Value: strings.TrimSpace(string(value))}
	}
	if c.Form != "text" {
		write := func(w io.Writer) error { return hub.Export(ctx, q, c.Form, w) }
		if c.Out == "" {
			return write(s.out)
		}
		return client.Whole(c.Out, write)
	}
	found, err := hub.Search(ctx, q)
	if err != nil {
		return err
	}
	return s.print(found, func() {
		for _, e := range found.Entries {
			s.entry(&e)
		}
		s.say("%s. The question itself is entry %d of %s.", client.Count(len(found.Entries), "entry"), found.QueryLeaf.Index, found.QueryLeaf.Origin)
		if found.Next != nil {
			s.say("There are more: ask with a larger --limit, by dates, or with a --form.")
		}
	})
}

// entry tells what the log has. What a recipient received is named item by item; of what was only decided, how much it was.
func (s *session) entry(e *client.Entry) {
	what := cmp.Or(string(e.Outcome), e.Receipt, string(e.State))
	about := string(e.Purpose)
	if c := e.Consent; c != nil {
		what, about = c.State, string(c.Purpose)
	}
	to := string(e.Recipient)
	if o := e.Outside; o != nil {
		what, to = "outside the hub, by "+o.How, cmp.Or(to, o.Office)
	}
	if r := e.Ruling; r != nil {
		what = r.Act
	}
	s.say("%s  %s", e.At.UTC().Format(time.RFC3339), strings.TrimSuffix(e.Kind+": "+what, ": "))
	switch {
	case to != "":
		s.paragraph("  ", "%s to %s, for %s", e.Sender, to, about)
	case about != "":
		s.say("  recorded by %s, for %s", e.By, about)
	}
	if e.TransferID != "" {
		s.say("  transfer %s", e.TransferID)
	}
	if l := e.Look; l != nil {
		s.paragraph("  ", "%s asked %s: %s", e.By, cmp.Or(l.Filter, "about a "+l.Kind), cmp.Or(e.Why, "refused, "+l.Refused))
	}
	s.grounds(e)
	switch {
	case len(e.Items) == 0:
	case e.Kind == "release", e.Kind == "disclosure":
		s.say("  %s received:", client.Count(len(e.Items), "item"))
		s.items("    ", e.Items)
	case e.Outcome.Permits():
		s.say("  %s may go", client.Count(len(e.Items), "item"))
	}
}

// grounds tells what an entry rests on, and what comes with it.
func (s *session) grounds(e *client.Entry) {
	if e.Exception != "" {
		s.say("  claimed as an exception: %s", e.Exception)
	}
	if e.Demand != "" {
		s.say("  demanded, reference %s", e.Demand)
	}
	if r := e.Ruling; r != nil {
		s.paragraph("  ", "%s, as %s: %s; looked at %s", r.Person, r.Role, r.Ground, strings.Join(r.Codes, ", "))
	}
	if o := e.Outside; o != nil {
		s.say("  made on %s by %s", o.Made.UTC().Format(time.RFC3339), o.Person)
	}
	if e.Outcome != "" && !e.Outcome.Permits() && len(e.Reasons) > 0 {
		s.paragraph("  ", "because %s", strings.Join(lo.Uniq(lo.Map(e.Reasons, func(r client.Reason, _ int) string { return r.Code })), ", "))
	}
	if client.Secret(e.Exception, lo.Map(e.Duties, func(d client.Task, _ int) string { return d.Code })) {
		s.say("  %s", client.KeepFromThePerson)
	}
}
