package main

import (
	"context"
	"fmt"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

type inboxCommand struct {
	Wait  time.Duration `help:"When nothing waits, wait for so long for something to come: 30s at most."`
	After string        `placeholder:"ID" help:"Only what comes after this transfer."`
	Limit int           `help:"How many at most."`
}

func (c *inboxCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	page, err := hub.Inbox(ctx, c.After, c.Limit, c.Wait)
	if err != nil {
		return err
	}
	return s.print(page, func() {
		if len(page.Entries) == 0 {
			s.say("Nothing waits.")
		}
		for _, e := range page.Entries {
			s.say("%s  %s from %s, %s, since %s; collect it by %s", e.TransferID, e.MessageType, e.Sender, e.Purpose,
				e.QueuedAt.UTC().Format(time.RFC3339), e.ExpiresAt.UTC().Format(time.RFC3339))
		}
	})
}

type collectCommand struct {
	ID  transfer.TransferID `arg:"" help:"The transfer's id, from the inbox."`
	Out string              `placeholder:"FILE" help:"Keep dataset and disclosure together in this file, for our records and for 'partner verify'. Otherwise the dataset is printed."`
}

func (c *collectCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	if c.Out == "" {
		d, err := collect(ctx, hub, c.ID)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "%s\n", d.Dataset)
		return err
	}
	// First the file, so that nothing is disclosed to us that we then cannot keep.
	if err := create(c.Out, nil, 0o600); err != nil {
		return err
	}
	d, err := collect(ctx, hub, c.ID)
	if err != nil {
		return discard(c.Out, err)
	}
	if err := replace(c.Out, d.Raw); err != nil {
		return fmt.Errorf("keep the disclosure (collect it again): %w", err)
	}
	if d.Outcome == transfer.PermitException {
		s.say("Collected into %s: %s from %s, by exception.", c.Out, d.MessageType, d.Sender)
		s.say("  purpose %s", d.Purpose)
	} else {
		s.say("Collected into %s: %s from %s, under agreement %s version %d.", c.Out, d.MessageType, d.Sender, d.Agreement.ID, d.Agreement.Version)
		s.say("  purpose %s; lawful basis Article 6(1)(%s)%s", d.Purpose, d.LawfulBasis.Article6, special(d.LawfulBasis))
	}
	if d.OnwardSharing != "" {
		s.paragraph("  ", "passing it on: %s", d.OnwardSharing)
	}
	if d.Retention != "" {
		s.paragraph("  ", "keep it: %s", d.Retention)
	}
	for _, o := range d.Obligations {
		s.paragraph("  ", "%s", client.Duty(o))
	}
	s.say("Now tell the sender: partner receipt %s received", d.TransferID)
	return nil
}

// collect takes a transfer and makes sure that it came over whole.
func collect(ctx context.Context, hub *client.Client, id transfer.TransferID) (*client.Disclosure, error) {
	d, err := hub.Collect(ctx, id)
	if err != nil {
		return nil, err
	}
	return d, d.CheckDigest()
}

func special(b client.LawfulBasis) string {
	s := ""
	if b.Article9 != "" {
		s += ", Article 9(2)(" + b.Article9 + ")"
	}
	if b.Schedule1 != "" {
		s += ", Schedule 1 " + b.Schedule1
	}
	return s
}

type receiptCommand struct {
	ID         transfer.TransferID `arg:"" help:"The transfer's id."`
	Status     string              `arg:"" enum:"received,accepted,declined,more-information,completed" help:"received, accepted, declined, more-information or completed."`
	Reason     string              `placeholder:"CODE" help:"Why declined: out-of-area, criteria-not-met, no-capacity, duplicate, cannot-contact, person-declined, wrong-service or other."`
	RedirectTo transfer.PartnerID  `placeholder:"PARTNER" help:"Who might take it instead."`
	Wants      []string            `placeholder:"ITEM" help:"More information: the items that are missing, such as carer.phones."`
}

func (c *receiptCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	state, err := hub.Acknowledge(ctx, c.ID, client.Receipt{Status: c.Status, Reason: c.Reason, RedirectTo: c.RedirectTo, ItemsWanted: c.Wants})
	if err != nil {
		return err
	}
	return s.print(map[string]any{"transfer_id": c.ID, "state": state}, func() { s.say("Transfer %s is now %s.", c.ID, state) })
}
