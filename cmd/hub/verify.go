package main

import (
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/server"
	"referralhub/hub/store"
)

type verifyCmd struct {
	Dir  string   `help:"Verify an exported log in this folder instead of the hub's own." type:"existingdir"`
	Key  []string `help:"File with the log's verifier key; <data>/keys/log.vkey when left out." type:"existingfile"`
	Seen []string `help:"A checkpoint seen before, to show that history was not rewritten." type:"existingfile"`
}

// Run audits every log of the store, or one exported log, from the data alone.
func (c *verifyCmd) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	verifiers, err := c.verifiers(cfg)
	if err != nil {
		return err
	}
	var seen [][]byte
	for _, name := range c.Seen {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		seen = append(seen, text)
	}
	if c.Dir != "" {
		src, err := ledger.OpenDirectory(c.Dir)
		if err != nil {
			return err
		}
		report, err := audit.Check(e.ctx, src, verifiers[0], nil, seen...)
		if err != nil {
			return err
		}
		if !show(e, verifiers[0].Name(), report) {
			return errFailed
		}
		return nil
	}
	st, err := server.OpenStore(e.ctx, cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // nothing was written
	return c.all(e, st, verifiers, seen)
}

func (c *verifyCmd) all(e *env, st store.Store, verifiers []note.Verifier, seen [][]byte) error {
	origins, err := st.Origins(e.ctx)
	if err != nil {
		return err
	}
	if len(origins) == 0 {
		fmt.Fprintln(e.stdout, "There is no log yet: nothing was decided and nothing disclosed.")
		return nil
	}
	known := map[string]note.Verifier{}
	for _, v := range verifiers {
		known[v.Name()] = v
	}
	failed := false
	for _, origin := range origins {
		if known[origin] == nil {
			return fmt.Errorf("there is a log %s and no verifier key for it: give its file with --key", origin)
		}
		report, err := server.VerifyLog(e.ctx, st, known[origin], seen...)
		if err != nil {
			return err
		}
		failed = !show(e, origin, report) || failed
	}
	if failed {
		return errFailed
	}
	return nil
}

// show prints a report and says whether the log is whole.
func show(e *env, origin string, report *audit.Report) bool {
	for _, w := range report.Warnings {
		fmt.Fprintln(e.stdout, "note:", w)
	}
	for _, p := range report.Problems {
		fmt.Fprintln(e.stdout, "PROBLEM:", p)
	}
	if !report.OK() {
		fmt.Fprintf(e.stdout, "Log %s is NOT whole: %d problems in %d leaves.\n", origin, len(report.Problems)+report.Omitted, report.Leaves)
		return false
	}
	fmt.Fprintf(e.stdout, "Log %s is whole: %d leaves, %d transfers, %d releases; root %s.\n", origin, report.Leaves, report.Transfers, report.Releases, report.Root)
	return true
}

func (c *verifyCmd) verifiers(cfg server.Config) ([]note.Verifier, error) {
	names := c.Key
	if len(names) == 0 {
		names = []string{cfg.VerifierFile()}
	}
	var out []note.Verifier
	for _, name := range names {
		v, err := server.ReadVerifier(name)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

type logCmd struct {
	Export     logExport     `cmd:"" help:"Write the log as C2SP tlog-tiles, so that other people's tools can check it."`
	Checkpoint logCheckpoint `cmd:"" help:"Print the newest signed checkpoint. Keep it somewhere else, for hub verify --seen."`
	Show       logShow       `cmd:"" help:"Print leaves, one a line."`
}

// withLog opens the hub's own log.
func (e *env) withLog(f func(ledger.Source) error) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	st, err := server.OpenStore(e.ctx, cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // nothing was written
	return f(st.Log(e.ctx, cfg.Origin))
}

type logExport struct {
	Dir string `arg:"" help:"A new folder, or an earlier export of the same log." type:"path"`
}

func (c *logExport) Run(e *env) error {
	return e.withLog(func(src ledger.Source) error {
		if err := ledger.Export(src, c.Dir); err != nil {
			return err
		}
		size, _, err := src.Head()
		fmt.Fprintf(e.stdout, "%d leaves are in %s\n", size, c.Dir)
		return err
	})
}

type logCheckpoint struct{}

func (logCheckpoint) Run(e *env) error {
	return e.withLog(func(src ledger.Source) error {
		_, note, err := src.Head()
		if err != nil {
			return err
		}
		_, err = e.stdout.Write(note)
		return err
	})
}

type logShow struct {
	From int64 `help:"Index of the first leaf." default:"0"`
	To   int64 `help:"Index after the last leaf; the end of the log when left out."`
}

func (c *logShow) Run(e *env) error {
	return e.withLog(func(src ledger.Source) error {
		size, _, err := src.Head()
		if err != nil {
			return err
		}
		to := size
		if c.To > 0 && c.To < size {
			to = c.To
		}
		for from := max(c.From, 0); from < to; {
			leaves, err := src.Leaves(from, min(from+256, to))
			if err != nil {
				return err
			}
			for i, l := range leaves {
				fmt.Fprintf(e.stdout, "%d %s\n", from+int64(i), l)
			}
			from += int64(len(leaves))
		}
		return nil
	})
}
