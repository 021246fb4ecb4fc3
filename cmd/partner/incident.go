package main

import (
	"context"

	"referralhub/cmd/partner/client"
)

type incidentCommand struct {
	Size   incidentSizeCommand   `cmd:"" help:"Say how far something reached: people, items, recipients, agreements."`
	Report incidentReportCommand `cmd:"" help:"Draft what the Information Commissioner is told about an incident."`
}

type incidentSizeCommand struct {
	client.Scope `embed:""`
	Why          string `required:"" help:"Why we ask. It is logged; name nobody in it."`
}

// Run sizes an incident.
func (c *incidentSizeCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	size, err := hub.SizeIncident(ctx, c.Scope, c.Why)
	if err != nil {
		return err
	}
	return s.print(size, func() { size.Tell(s.say) })
}

type incidentReportCommand struct {
	Reference string `arg:"" help:"The incident's reference: a case."`
	Form      string `enum:"text,json" default:"text" placeholder:"FORM" help:"Write it as ${enum}."`
}

// Run drafts a notification.
func (c *incidentReportCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	text, err := hub.Notification(ctx, c.Reference, c.Form)
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}
