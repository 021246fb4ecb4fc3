package main

import (
	"context"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

type holdsCommand struct {
	Owner      string `enum:",sender,dpl,safeguarding-lead" default:"" placeholder:"ROLE" help:"Only those of sender, dpl or safeguarding-lead."`
	Exceptions bool   `help:"List what went by exception and has not been reviewed, instead."`
	After      string `placeholder:"PLACE" help:"Only what comes after the page that ended with this."`
	Limit      int    `help:"How many at most."`
}

func (c *holdsCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	page, err := c.page(ctx, hub)
	if err != nil {
		return err
	}
	return s.print(page, func() {
		jobs := append(page.Holds, page.Exceptions...)
		if len(jobs) == 0 {
			s.say("Nothing waits for anybody.")
		}
		for i := range jobs {
			s.job(&jobs[i])
		}
		if page.Next != "" {
			s.say("There is more: --after %s", page.Next)
		}
	})
}

func (c *holdsCommand) page(ctx context.Context, hub *client.Client) (*client.Jobs, error) {
	if c.Exceptions {
		return hub.Exceptions(ctx, c.After, c.Limit)
	}
	return hub.Holds(ctx, c.Owner, c.After, c.Limit)
}

// job tells a caseworker what there is to do.
func (s *session) job(j *client.Job) {
	due := "by " + j.Deadline.UTC().Format(time.RFC3339)
	if j.Overdue {
		due = "OVERDUE since " + j.Deadline.UTC().Format(time.RFC3339)
	}
	s.say("%s  %s, for the %s, %s", j.TransferID, j.State, j.Owner, due)
	s.say("  %s to %s, %s", j.MessageID, j.Recipient, j.Purpose)
	for _, r := range j.Reasons {
		s.paragraph("  ", "%s", r)
	}
}

type ruleCommand struct {
	ID     transfer.TransferID `arg:"" help:"The transfer's id, from 'partner holds'."`
	Act    string              `arg:"" enum:"release,refuse,return" help:"release, refuse or return."`
	Person string              `required:"" placeholder:"ID" help:"Who decided it, by the id of our entry in the register."`
	Code   []string            `required:"" placeholder:"CODE" help:"The reasons that they looked at, as 'partner holds' shows them."`
	Ground string              `required:"" placeholder:"CODE" help:"Why, as the contract ruling/1 lists it: review-under-way, not-necessary, ask-the-person, ..."`
	At     time.Time           `placeholder:"TIME" help:"When they decided it, as 2026-11-20T09:30:00Z; now when left out. Give it to send the same ruling again."`
}

func (c *ruleCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	if c.At.IsZero() {
		c.At = time.Now().UTC().Truncate(time.Second)
	}
	t, err := hub.Rule(ctx, c.ID, client.Ruling{Act: c.Act, Person: c.Person, Codes: c.Code, Ground: c.Ground, At: c.At})
	if err != nil {
		return err
	}
	return s.print(t, func() {
		s.say("Transfer %s is now %s.", t.ID, t.State)
		if t.State == transfer.Held {
			for _, r := range t.Reasons {
				s.paragraph("  ", "%s", r)
			}
		}
	})
}
