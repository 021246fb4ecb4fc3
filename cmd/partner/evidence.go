package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/transfer"
)

type proofCommand struct {
	ID  transfer.TransferID `arg:"" help:"The transfer's id."`
	Out string              `placeholder:"FILE" help:"Keep the receipt in this file, ID.tlog-proof when left out; - prints it."`
}

// Run keeps the disclosure receipt of a transfer. A receipt that is there is replaced: a newer one may have more cosignatures.
func (c *proofCommand) Run(ctx context.Context, s *session) error {
	hub, err := s.hub()
	if err != nil {
		return err
	}
	text, err := hub.DisclosureReceipt(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.Out == "-" {
		_, err := s.out.Write(text)
		return err
	}
	name := cmp.Or(c.Out, string(c.ID)+".tlog-proof")
	if err := replace(name, text); err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	s.say("%s: check it with partner verify --receipt %s --log-key KEY, with or without the hub.", name, name)
	return nil
}

type reconcileCommand struct {
	Dir  string    `arg:"" type:"existingdir" help:"The folder of what we have collected ('partner collect --out'), and of receipts ('partner proof')."`
	From time.Time `required:"" format:"2006-01-02" placeholder:"DAY" help:"The first day of the statement, in UTC: 2026-11-01."`
	To   time.Time `required:"" format:"2006-01-02" placeholder:"DAY" help:"The day after the last."`

	LogKey string `env:"HUB_LOG_KEY" placeholder:"KEY" help:"The log's verifier key, or a file that holds it: receipts in the folder are checked before they count."`
}

// errDiffers ends a reconciliation that has said what differs.
var errDiffers = errors.New("what we hold and the hub's log differ: ask your Data Protection Lead to look into each line above")

// Run compares what is in the folder with what the hub's log says was released to us.
func (c *reconcileCommand) Run(ctx context.Context, s *session) error {
	held, err := c.holdings()
	if err != nil {
		return err
	}
	hub, err := s.hub()
	if err != nil {
		return err
	}
	got, err := hub.Reconcile(ctx, c.From, c.To, held)
	if err != nil {
		return err
	}
	if err := s.print(got, func() { tellStatement(s, got) }); err != nil {
		return err
	}
	if len(got.Missing)+len(got.Unknown)+len(got.Differing) > 0 {
		return errDiffers
	}
	return nil
}

func tellStatement(s *session, got *client.Statement) {
	s.say("%s of what we hold: in the log, as we hold it.", client.Count(got.Matched, "release"))
	for _, m := range got.Missing {
		also := ""
		if m.AnotherHeld {
			also = "; we hold another release of it, so that this one may be an answer that was lost on the way"
		}
		s.paragraph("", "NOT HELD: transfer %s was released to %s on %s, entry %d of %s%s.", m.TransferID, m.By, m.At.UTC().Format(time.RFC3339), m.Log.Index, m.Log.Origin, also)
	}
	for _, u := range got.Unknown {
		s.paragraph("", "NOT IN THE LOG: we hold transfer %s, as of entry %d of %s, and nothing of it was ever released to us.", u.TransferID, u.Log.Index, u.Log.Origin)
	}
	for _, d := range got.Differing {
		s.paragraph("", "DIFFERS: we hold transfer %s, as of entry %d with %s.", d.TransferID, d.Log.Index, d.PayloadDigest)
		for _, l := range d.Logged {
			s.paragraph("  ", "the log has it at entry %d with %s", l.Log.Index, l.PayloadDigest)
		}
	}
	s.say("That we asked is entry %d of %s.", got.QueryLeaf.Index, got.QueryLeaf.Origin)
}

// holdings reads the folder and those in it. A disclosure and a receipt of the same release are one holding; files that are neither are passed over.
func (c *reconcileCommand) holdings() ([]client.Holding, error) {
	seen := map[client.Holding]bool{}
	var out []client.Holding
	err := filepath.WalkDir(c.Dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		h, err := c.holding(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if h != nil && !seen[*h] {
			seen[*h] = true
			out = append(out, *h)
		}
		return nil
	})
	return out, err
}

func (c *reconcileCommand) holding(name string) (*client.Holding, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(name) == ".tlog-proof" {
		if c.LogKey == "" {
			return nil, errors.New("this is a receipt, and it counts only when it is checked: give the log's verifier key with --log-key")
		}
		r, err := client.VerifyReceipt(text, keyIn(c.LogKey), nil)
		if err != nil {
			return nil, err
		}
		return &client.Holding{TransferID: r.Release.Transfer, Log: r.Log, PayloadDigest: r.Release.Payload}, nil
	}
	d, err := client.ParseDisclosure(text)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // a file of some other kind: the folder is the partner's
	}
	if err := d.CheckDigest(); err != nil {
		return nil, err
	}
	return &client.Holding{TransferID: d.TransferID, Log: d.Log, PayloadDigest: d.PayloadDigest}, nil
}
