package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/google/renameio/v2/maybe"
	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/receipt"
	"referralhub/hub/ledger/witness"
	"referralhub/hub/server"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

type receiptCmd struct {
	Make   receiptMake   `cmd:"" help:"Write the disclosure receipt of a transfer's newest release."`
	Verify receiptVerify `cmd:"" help:"Check a receipt with the log's verifier key alone. Exit 0 only if it holds."`
}

type receiptMake struct {
	Transfer transfer.TransferID `arg:"" help:"The transfer's id."`
	Out      string              `help:"Write the receipt here instead of to standard output." placeholder:"FILE"`
}

// withBoard opens the store of a hub that has run, and where its checkpoints are published. The hub may be running meanwhile.
func (e *env) withBoard(f func(server.Config, store.Store, *witness.Board) error) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	st, err := server.OpenStore(e.ctx, cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // nothing was written
	board, err := server.NewBoard(cfg, st, e.logger("warn"))
	if err != nil {
		return err
	}
	return f(cfg, st, board)
}

// Run makes the receipt from the log at rest.
func (c *receiptMake) Run(e *env) error {
	return e.withBoard(func(cfg server.Config, st store.Store, board *witness.Board) error {
		rows, err := st.Transfers(e.ctx, []transfer.TransferID{c.Transfer})
		switch {
		case err != nil:
			return err
		case len(rows) == 0:
			return fmt.Errorf("there is no transfer %s", c.Transfer)
		case rows[0].ReleaseLeaf < 0:
			return fmt.Errorf("nothing of transfer %s has been released: it is %s", c.Transfer, rows[0].State)
		case rows[0].Log != cfg.Origin:
			return fmt.Errorf("the release of %s is in the log %s: ask the copy of the hub that keeps it", c.Transfer, rows[0].Log)
		}
		checkpoint, err := board.Covering(e.ctx, rows[0].ReleaseLeaf)
		if err != nil {
			return err
		}
		text, err := receipt.Make(st.Log(e.ctx, cfg.Origin), new(ledger.Prover), rows[0].ReleaseLeaf, checkpoint)
		if err != nil {
			return err
		}
		if c.Out != "" {
			return maybe.WriteFile(c.Out, text, 0o600)
		}
		_, err = e.stdout.Write(text)
		return err
	})
}

type receiptVerify struct {
	File      string   `arg:"" help:"The receipt." type:"existingfile"`
	Key       []string `help:"File with the log's verifier key: keys/log.vkey in the hub's data folder when left out. Once for each log it may be of." type:"existingfile" placeholder:"FILE"`
	Witness   []string `help:"A witness's verifier key, or a file that holds it: its cosignature must be there." placeholder:"KEY"`
	Quorum    int      `help:"So many of the witnesses are enough; all of them when left out." placeholder:"N"`
	Dataset   string   `help:"The dataset as it was received, to check that it is what was released." type:"existingfile" placeholder:"FILE"`
	DigestKey string   `help:"The digest key that came with the dataset, in hexadecimal." placeholder:"HEX"`
}

// Help is what `hub receipt verify --help` says besides.
func (receiptVerify) Help() string {
	return `It works anywhere: neither a hub nor its data is needed, but the log's verifier key, had from the operator by another way than the receipt.

	hub receipt verify case.tlog-proof --key log.vkey
	hub receipt verify case.tlog-proof --key log.vkey --witness pohwer.vkey --witness kent.vkey --quorum 1
	hub receipt verify case.tlog-proof --key log.vkey --dataset case.json --digest-key 5f0c…`
}

// Validate finds flags that do not go together.
func (c *receiptVerify) Validate() error {
	switch {
	case c.Quorum < 0 || c.Quorum > len(c.Witness):
		return fmt.Errorf("--quorum is a number from 1 to that of the witnesses, %d", len(c.Witness))
	case (c.Dataset == "") != (c.DigestKey == ""):
		return errors.New("--dataset and --digest-key go together: without its key nobody can try what a dataset might have been")
	}
	return nil
}

// Run checks the receipt and says what it shows.
func (c *receiptVerify) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	logs, err := (&verifyCmd{Key: c.Key}).verifiers(cfg)
	if err != nil {
		return fmt.Errorf("%w: give the file with the log's verifier key with --key", err)
	}
	by := receipt.Witnesses{Quorum: cmp.Or(c.Quorum, len(c.Witness))}
	for _, flag := range c.Witness {
		text, err := os.ReadFile(flag)
		if err != nil {
			text = []byte(flag)
		}
		key, err := ledger.NewWitness(strings.TrimSpace(string(text)))
		if err != nil {
			return err
		}
		by.Keys = append(by.Keys, key)
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	r, err := receipt.Verify(text, logs, by)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	dataset := ""
	if c.Dataset != "" {
		bytes, err := os.ReadFile(c.Dataset)
		if err != nil {
			return err
		}
		if err := r.CheckDataset(bytes, c.DigestKey); err != nil {
			return fmt.Errorf("%s: %w", c.Dataset, err)
		}
		dataset = ", which is " + c.Dataset
	}
	fmt.Fprintf(e.stdout, "The receipt holds: entry %d of log %s, as signed at %s.\n", r.Index, r.Checkpoint.Origin, client.Count(r.Checkpoint.Size, "leaf"))
	for _, w := range r.Cosigned {
		fmt.Fprintf(e.stdout, "  cosigned by %s on %s\n", w.Witness, w.At.Format("2006-01-02 15:04:05"))
	}
	l := r.Leaf
	line := func(format string, args ...any) {
		fmt.Fprint(e.stdout, client.Wrap("  ", fmt.Sprintf(format, args...)))
	}
	line("transfer %s, released %s, from %s to %s, for %s: %s", l.Transfer, l.At.Format("2006-01-02 15:04:05"), l.Sender, l.Recipient, l.Purpose, l.Outcome)
	if a := l.Agreement; a != nil {
		line("under %s version %d, %s", a.Flow, a.Version, a.Digest)
	}
	for _, p := range l.Subjects {
		consents := ""
		if len(p.Consents) > 0 {
			consents = ", on consent " + strings.Join(p.Consents, ", ")
		}
		if p.Consent != "" {
			consents += " (" + p.Consent + ")"
		}
		line("%s: %s%s", client.Person(p.Role, p.Position), client.Count(len(p.Items), "item"), consents)
		for _, s := range client.Sections(p.Items) {
			fmt.Fprint(e.stdout, client.Wrap("    ", s))
		}
	}
	line("dataset %s%s", l.Payload, dataset)
	return nil
}

type logWitnesses struct {
	Limit int `help:"How many checkpoints, newest first." default:"10"`
}

// Run says who has cosigned what.
func (c *logWitnesses) Run(e *env) error {
	return e.withBoard(func(_ server.Config, _ store.Store, board *witness.Board) error {
		published, err := board.List(e.ctx, 0, c.Limit)
		if err != nil {
			return err
		}
		names := board.Witnesses()
		if len(names) == 0 {
			fmt.Fprintln(e.stdout, "No witness is configured: nobody but this hub can tell whether its log was rewritten. See witnesses in deploy/hub.yaml.")
		}
		if len(published) == 0 {
			fmt.Fprintln(e.stdout, "No checkpoint has been published yet.")
			return nil
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, strings.Join(append([]string{"LEAVES", "PUBLISHED"}, names...), "\t"))
		for _, p := range published {
			row := []string{fmt.Sprint(p.Size), p.At.Format("2006-01-02 15:04:05")}
			for _, name := range names {
				at := "-"
				if s, ok := lo.Find(p.By, func(s ledger.Cosignature) bool { return s.Witness == name }); ok {
					at = s.At.Format("2006-01-02 15:04:05")
				}
				row = append(row, at)
			}
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		return w.Flush()
	})
}
