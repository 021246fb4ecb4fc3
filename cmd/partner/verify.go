package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/renameio/v2/maybe"

	"referralhub/cmd/partner/client"
)

type verifyCommand struct {
	Files      []string `arg:"" optional:"" help:"Files that 'partner collect --out' wrote."`
	LogKey     string   `required:"" env:"HUB_LOG_KEY" placeholder:"KEY" help:"The log's verifier key (origin+id+base64), or a file that holds it. Have it from the hub's operator by another way than from the hub."`
	Checkpoint string   `env:"HUB_CHECKPOINT" placeholder:"FILE" help:"Keep the log's checkpoint here, and check that the log has only grown since the one kept before."`
}

// Run asks the hub for a checkpoint and for proofs and checks them here: the hub is not believed, only its log's signature is.
func (c *verifyCommand) Run(ctx context.Context, s *session) error {
	key := c.LogKey
	if text, err := os.ReadFile(c.LogKey); err == nil {
		key = string(text)
	}
	hub, err := s.hub()
	if err != nil {
		return err
	}
	signed, err := hub.Checkpoint(ctx)
	if err != nil {
		return err
	}
	now, err := client.VerifyCheckpoint(signed, key)
	if err != nil {
		return err
	}
	s.say("Log %s: %s, signed.", now.Origin, client.Count(now.Size, "entry"))
	if c.Checkpoint != "" {
		if err := c.grown(ctx, s, hub, now, signed, key); err != nil {
			return err
		}
	}
	var faults []error
	for _, name := range c.Files {
		if err := verify(ctx, s, hub, now, name); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}

// grown checks the log against the checkpoint kept from before, and keeps this one in its place.
func (c *verifyCommand) grown(ctx context.Context, s *session, hub *client.Client, now client.Checkpoint, signed []byte, key string) error {
	kept, err := os.ReadFile(c.Checkpoint)
	switch {
	case errors.Is(err, os.ErrNotExist):
		s.say("  its checkpoint is kept in %s from now on.", c.Checkpoint)
		return replace(c.Checkpoint, signed)
	case err != nil:
		return fmt.Errorf("read the checkpoint kept before: %w", err)
	}
	before, err := client.VerifyCheckpoint(kept, key)
	if err != nil {
		return fmt.Errorf("the checkpoint kept in %s: %w", c.Checkpoint, err)
	}
	if now.Size < before.Size {
		return fmt.Errorf("the log has %d entries and had %d: entries were taken out, or the hub was set back to an older copy; ask its operator, and keep %s", now.Size, before.Size, c.Checkpoint)
	}
	proof := &client.ConsistencyProof{From: before.Size, To: now.Size}
	if before.Size < now.Size && before.Size > 0 {
		if proof, err = hub.ConsistencyProof(ctx, before.Size, now.Size); err != nil {
			return err
		}
	}
	if before.Size > 0 {
		if err := client.VerifyConsistency(before, now, proof); err != nil {
			return fmt.Errorf("%w; ask the hub's operator, and keep %s: it is signed evidence", err, c.Checkpoint)
		}
	}
	s.say("  it has only grown since it had %d.", before.Size)
	return replace(c.Checkpoint, signed)
}

func verify(ctx context.Context, s *session, hub *client.Client, now client.Checkpoint, name string) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	d, err := client.ParseDisclosure(raw)
	if err != nil {
		return err
	}
	if err := d.CheckDigest(); err != nil {
		return err
	}
	if d.Log.Origin != now.Origin {
		return fmt.Errorf("its release is in the log %s, and this is %s: ask the copy of the hub that keeps that log", d.Log.Origin, now.Origin)
	}
	if d.Log.Index >= now.Size {
		return fmt.Errorf("its release is entry %d, and the log has only %d", d.Log.Index, now.Size)
	}
	proof, err := hub.InclusionProof(ctx, d.Log.Index, now.Size)
	if err != nil {
		return err
	}
	if proof.Index != d.Log.Index {
		return fmt.Errorf("the hub proved entry %d when asked for %d", proof.Index, d.Log.Index)
	}
	if err := client.VerifyInclusion(now, proof); err != nil {
		return err
	}
	if proof.Leaf == nil {
		s.say("%s: the dataset is whole, and the log has an entry %d. The hub did not show the entry, so what it says is not checked.", name, d.Log.Index)
		return nil
	}
	if err := d.CheckLeaf(proof.Leaf); err != nil {
		return err
	}
	under := "under agreement " + strings.TrimSpace(string(d.Agreement.ID))
	if d.Agreement.ID == "" {
		under = "by exception"
	}
	s.say("%s: the dataset is whole, and entry %d of the log is its release, %s.", name, d.Log.Index, under)
	return nil
}

// replace writes a file whole or not at all.
func replace(name string, text []byte) error { return maybe.WriteFile(name, text, 0o600) }

// discard takes back the empty file that was made for what did not come.
func discard(name string, err error) error { return errors.Join(err, os.Remove(name)) }
