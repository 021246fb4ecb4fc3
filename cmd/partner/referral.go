package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

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
