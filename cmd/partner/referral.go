package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

type sendCommand struct {
	File   string `arg:"" help:"The referral as JSON (contract referral/1), or - for standard input."`
	DryRun bool   `help:"Only ask what would be decided. Nothing is stored and nothing goes."`
}

// Help is what `partner send --help` says besides.
func (sendCommand) Help() string {
	return `Sending the same file again is safe: it gives the same answer and nothing goes twice. The status is 0 when the hub has taken the referral, whatever it
decided.

	partner send referral.json
	partner --json send --dry-run referral.json`
}

// wrongCommand says which command takes a message that is no referral.
func wrongCommand(body []byte) error {
	var m struct {
		Contract string `json:"contract"`
	}
	if json.Unmarshal(body, &m) != nil {
		return nil // the hub says where it cannot be read
	}
	switch kind, _, _ := strings.Cut(m.Contract, "/"); kind {
	case "consent":
		return errors.New("this is a consent event and no referral: hand it in with 'partner consent'")
	case "receipt":
		return errors.New("this is a receipt and no referral: give it with 'partner receipt ID STATUS'")
	}
	return nil
}

func (c *sendCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	body, err := s.read(c.File)
	if err != nil {
		return fmt.Errorf("read the referral: %w", err)
	}
	if err := wrongCommand(body); err != nil {
		return err
	}
	if c.DryRun {
		decisions, err := hub.Decide(ctx, body)
		if err != nil {
			return err
		}
		return s.print(decisions, func() {
			s.say("Nothing was sent. This is what would be decided:")
			for _, d := range decisions {
				s.describe(&d)
			}
		})
	}
	result, err := hub.Send(ctx, body)
	if err != nil {
		return err
	}
	return s.print(result, func() {
		if result.Repeat {
			s.say("The hub has had message %s before. This is its first answer; nothing was sent again.", result.MessageID)
		}
		for _, t := range result.Transfers {
			s.describe(&t)
		}
	})
}

type transferCommand struct {
	ID transfer.TransferID `arg:"" help:"The transfer's id."`
}

func (c *transferCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	t, err := hub.Transfer(ctx, c.ID)
	if err != nil {
		return err
	}
	return s.print(t, func() { s.describe(t) })
}

// describe tells in plain words what was decided about a transfer and what to do.
func (s *session) describe(t *client.Transfer) {
	s.say("%s", t.Summary())
	if meaning := meanings[t.Outcome]; meaning != "" {
		s.say("  %s", meaning)
	}
	if t.ID != "" {
		s.say("  transfer %s", t.ID)
	}
	if a := t.Agreement; a != nil {
		s.say("  under agreement %s version %d, flow %s", a.ID, a.Version, a.Flow[strings.LastIndex(a.Flow, "#")+1:])
	}
	for _, p := range t.Subjects {
		if len(p.Stripped) > 0 && t.Outcome != transfer.Refuse { // of what is refused nothing goes, and the reasons say why
			s.say("  not passed on about %s:", client.Person(p.Role, p.Position))
			s.items("    ", p.Stripped)
		}
	}
	for _, r := range client.Together(t.Reasons) {
		s.paragraph("  ", "because %s", r)
	}
}

var meanings = map[transfer.Outcome]string{
	transfer.Permit:          "All of it may go.",
	transfer.PermitReduced:   "It may go, without what the agreement or the consent does not cover.",
	transfer.PermitException: "It may go by way of an exception, which the Data Protection Lead will look at.",
	transfer.Hold:            "It waits for a person to decide.",
	transfer.Refuse:          "It may not go.",
}

type consentCommand struct {
	File string `arg:"" help:"The consent event as JSON (contract consent/1), or - for standard input."`
}

func (c *consentCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	body, err := s.read(c.File)
	if err != nil {
		return fmt.Errorf("read the consent event: %w", err)
	}
	done, err := hub.Consent(ctx, body)
	if err != nil {
		return err
	}
	return s.print(done, func() {
		s.say("Recorded as %s.", done.ConsentID)
		for _, id := range done.Stopped {
			s.say("  stopped transfer %s", id)
		}
		for _, id := range done.Resumed {
			s.say("  transfer %s, which was held, goes on", id)
		}
	})
}

type searchCommand struct {
	Transfer transfer.TransferID `xor:"about" required:"" placeholder:"ID" help:"Ask about one transfer."`
	Person   string              `xor:"about" required:"" placeholder:"SCHEME" help:"Ask about one person, by an identifier of this scheme (nhs-number, case-number). The identifier itself is read from standard input, so that it stays out of the shell's history."`
	Why      string              `required:"" help:"Why we ask. It is logged; name nobody in it."`
	From     time.Time           `placeholder:"TIME" help:"Not before, as 2026-03-02T00:00:00Z."`
	To       time.Time           `placeholder:"TIME" help:"Not after."`
	Limit    int                 `help:"How many entries at most."`
}

func (c *searchCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	q := client.Query{TransferID: c.Transfer, Why: c.Why, From: c.From, To: c.To, Limit: c.Limit}
	if c.Person != "" {
		value, err := s.read("-")
		if err != nil {
			return fmt.Errorf("read the identifier: %w", err)
		}
		q.Subject = &client.Identifier{Scheme: c.Person, Value: strings.TrimSpace(string(value))}
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
			s.say("There are more: ask with a larger --limit or a later --from.")
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
