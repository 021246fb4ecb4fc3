package main

import (
	"context"
	"fmt"
)

type disclosedCommand struct {
	File string `arg:"" default:"-" help:"What was disclosed, by the contract disclosure/1: to whom, about whom, which items, why and how; standard input when left out."`
}

// Run enters a disclosure. The file keeps identifiers out of the shell's history and the process list.
func (c *disclosedCommand) Run(ctx context.Context, s *session) error {
	disclosure, err := s.read(c.File)
	if err != nil {
		return fmt.Errorf("read what was disclosed: %w", err)
	}
	hub, err := s.hub()
	if err != nil {
		return err
	}
	at, err := hub.Disclosed(ctx, disclosure)
	if err != nil {
		return err
	}
	return s.print(at, func() { s.say("Entered: leaf %d of log %s.", at.Index, at.Origin) })
}
