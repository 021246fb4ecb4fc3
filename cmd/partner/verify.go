package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/renameio/v2/maybe"
	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

type verifyCommand struct {
	Files      []string `arg:"" optional:"" help:"Files that 'partner collect --out' wrote."`
	Receipt    []string `placeholder:"FILE" help:"A disclosure receipt ('partner proof'). It is checked without the hub, and a collected file of the same transfer against it."`
	LogKey     string   `required:"" env:"HUB_LOG_KEY" placeholder:"KEY" help:"The log's verifier key (origin+id+base64), or a file that holds it. Have it from the hub's operator by another way than from the hub."`
	Witness    []string `placeholder:"KEY" help:"The verifier key of a witness, or a file that holds it: a receipt must have its cosignature."`
	Quorum     int      `placeholder:"N" help:"So many of the witnesses are enough; all of them when left out."`
	Checkpoint string   `env:"HUB_CHECKPOINT" placeholder:"FILE" help:"Keep the log's checkpoint here, and check that the log has only grown since the one kept before."`
}

// Validate finds flags that do not go together.
func (c *verifyCommand) Validate() error {
	if c.Quorum < 0 || c.Quorum > len(c.Witness) {
		return fmt.Errorf("--quorum is a number from 1 to that of the witnesses, %d", len(c.Witness))
	}
	if len(c.Witness) > 0 && len(c.Receipt) == 0 {
		return errors.New("--witness goes with --receipt: a receipt is what witnesses have cosigned")
	}
	return nil
}

// keyIn gives a key that is written out, or that a file of this name holds.
func keyIn(flag string) string {
	if text, err := os.ReadFile(flag); err == nil {
		return strings.TrimSpace(string(text))
	}
	return flag
}

// Run checks receipts by themselves. For what has none it asks the hub for a checkpoint and for proofs, and checks them here: the hub is not
// believed, only its log's signature is.
func (c *verifyCommand) Run(ctx context.Context, s *session) error {
	key := keyIn(c.LogKey)
	var faults []error
	receipts := map[transfer.TransferID]*client.VerifiedReceipt{}
	for _, name := range c.Receipt {
		r, err := c.receipt(s, name, key)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			continue
		}
		receipts[r.Release.Transfer] = r
	}
	var rest []string
	for _, name := range c.Files {
		with, err := against(s, receipts, name)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		} else if !with {
			rest = append(rest, name)
		}
	}
	if len(rest) > 0 || c.Checkpoint != "" || len(c.Receipt) == 0 {
		faults = append(faults, c.byHub(ctx, s, rest, key))
	}
	return errors.Join(faults...)
}

// receipt checks a disclosure receipt and says what it shows.
func (c *verifyCommand) receipt(s *session, name, key string) (*client.VerifiedReceipt, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	witnesses := lo.Map(c.Witness, func(w string, _ int) string { return keyIn(w) })
	r, err := client.VerifyReceipt(text, key, witnesses)
	if err != nil {
		return nil, err
	}
	if need := cmp.Or(c.Quorum, len(witnesses)); len(r.Cosigned) < need {
		return nil, fmt.Errorf("its checkpoint has the cosignatures of %d of these witnesses, and %d are needed; ask the hub for the receipt again, once they have cosigned", len(r.Cosigned), need)
	}
	l := &r.Release
	s.say("%s: entry %d of log %s, as signed at %s.", name, r.Log.Index, r.Log.Origin, client.Count(r.Size, "entry"))
	if len(r.Cosigned) > 0 {
		s.say("  cosigned by %s", strings.Join(r.Cosigned, ", "))
	}
	s.say("  transfer %s, released %s, from %s to %s, for %s", l.Transfer, l.At.UTC().Format(time.RFC3339), l.Sender, l.Recipient, l.Purpose)
	if l.Agreement.ID == "" {
		s.say("  by exception")
	} else {
		s.say("  under %s version %d, %s", l.Agreement.Flow, l.Agreement.Version, l.Agreement.Digest)
	}
	for _, p := range l.Subjects {
		consent := ""
		if len(p.Consents) > 0 {
			consent = ", on consent " + strings.Join(p.Consents, ", ")
		}
		if p.Consent != "" {
			consent += " (" + p.Consent + ")"
		}
		s.say("  %s: %s%s", client.Person(p.Role, p.Position), client.Count(len(p.Items), "item"), consent)
		s.items("    ", p.Items)
	}
	s.say("  dataset %s", l.Payload)
	return r, nil
}

// against checks a collected file against the receipt of its transfer, if there is one.
func against(s *session, receipts map[transfer.TransferID]*client.VerifiedReceipt, name string) (found bool, err error) {
	if len(receipts) == 0 {
		return false, nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	d, err := client.ParseDisclosure(raw)
	if err != nil {
		return false, err
	}
	r := receipts[d.TransferID]
	if r == nil {
		return false, nil
	}
	if err := errors.Join(d.CheckDigest(), d.CheckLeaf(r.Leaf)); err != nil {
		return false, err
	}
	s.say("%s: the dataset is whole, and it is what the receipt is of.", name)
	return true, nil
}

// byHub checks the log as the hub shows it now, and collected files against it.
func (c *verifyCommand) byHub(ctx context.Context, s *session, files []string, key string) error {
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
	for _, name := range files {
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
