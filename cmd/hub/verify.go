package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"referralhub/cmd/partner/client"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/replay"
	"referralhub/hub/server"
	"referralhub/hub/store"
)

type verifyCmd struct {
	Dir  string   `help:"Verify an exported log in this folder instead of the hub's own." type:"existingdir" placeholder:"DIR"`
	Key  []string `help:"File with the log's verifier key: keys/log.vkey in the hub's data folder when left out. Once for each log." type:"existingfile" placeholder:"FILE"`
	Seen []string `help:"A checkpoint that was kept, to show that the log has only grown since." type:"existingfile" placeholder:"FILE"`

	Redecide bool `help:"Make every past decision again from the log, and say which would come out otherwise. Exit 0 only if none would."`
}

// Help is what `hub verify --help` says besides.
func (verifyCmd) Help() string {
	return `The hub may be running meanwhile. Whoever holds the log's key could write another log: keep a checkpoint where they cannot reach it.

	hub verify
	hub log checkpoint > monday.checkpoint
	hub verify --seen monday.checkpoint
	hub verify --dir log-export --key log.vkey

With --redecide every decision and release is made again on what its leaf and the leaves before it say, under the agreements as they stood then. One
that comes out otherwise is drift: a text that was changed under its number, another register, or other rules in a newer hub.

	hub verify --redecide`
}

// Run audits every log of the store, or one exported log, from the data alone.
func (c *verifyCmd) Run(e *env) error {
	var seen [][]byte
	for _, name := range c.Seen {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		seen = append(seen, text)
	}
	if c.Dir != "" {
		return c.exported(e, seen)
	}
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	verifiers, err := c.verifiers(cfg)
	if err != nil {
		return err
	}
	st, err := server.OpenStore(e.ctx, cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // nothing was written
	if err := c.all(e, cfg, st, verifiers, seen); err != nil {
		return err
	}
	logs := map[string]ledger.Source{}
	origins, err := st.Origins(e.ctx)
	if err != nil {
		return err
	}
	for _, origin := range origins {
		logs[origin] = st.Log(e.ctx, origin)
	}
	return c.again(e, cfg, logs)
}

// again makes the decisions of whole logs again, when that is asked for.
func (c *verifyCmd) again(e *env, cfg server.Config, logs map[string]ledger.Source) error {
	if !c.Redecide {
		return nil
	}
	x, err := e.registerOf(cfg)
	if err != nil {
		return err
	}
	failed := false
	for _, origin := range slices.Sorted(maps.Keys(logs)) {
		shown := 0
		done, err := replay.Redecide(e.ctx, logs[origin], x, func(d replay.Drift) error {
			if shown++; shown <= audit.MaxProblems {
				fmt.Fprintln(e.stdout, "DRIFT:", d)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("log %s: %w", origin, err)
		}
		for _, ref := range done.Rewritten {
			fmt.Fprintf(e.stdout, "note: the file of %s is not byte for byte the one that decisions were made under\n", ref)
		}
		failed = failed || done.Drifts > 0
		if done.Drifts > 0 {
			fmt.Fprintf(e.stdout, "Log %s: %d of %s would come out otherwise.\n", origin, done.Drifts, client.Count(done.Decisions, "decision"))
		} else {
			fmt.Fprintf(e.stdout, "Log %s: %s made again, and none comes out otherwise.\n", origin, client.Count(done.Decisions, "decision"))
		}
	}
	if failed {
		return errFailed
	}
	return nil
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

// exported audits a log that was exported, wherever it came from.
func (c *verifyCmd) exported(e *env, seen [][]byte) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	verifiers, err := c.verifiers(cfg)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: give the file with the log's verifier key with --key", err)
	}
	if err != nil {
		return err
	}
	if len(verifiers) > 1 {
		return errors.New("an exported log has one key: give --key once")
	}
	src, err := ledger.OpenDirectory(c.Dir)
	if err != nil {
		return err
	}
	report, err := audit.Check(e.ctx, src, verifiers[0], nil, seen...)
	if err != nil {
		return err
	}
	if !show(e, report) {
		return errFailed
	}
	return c.again(e, cfg, map[string]ledger.Source{report.Origin: src})
}

// all audits every log that is there, and every log of which somebody has a key: one that is gone is a finding too.
func (c *verifyCmd) all(e *env, cfg server.Config, st store.Store, verifiers []note.Verifier, seen [][]byte) error {
	origins, err := st.Origins(e.ctx)
	if err != nil {
		return err
	}
	known := map[string]note.Verifier{}
	for _, v := range verifiers {
		known[v.Name()] = v
		if !slices.Contains(origins, v.Name()) {
			origins = append(origins, v.Name())
		}
	}
	pins := map[string][][]byte{}
	for i, text := range seen {
		cp, err := ledger.ReadCheckpoint(text)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Seen[i], err)
		}
		if !slices.Contains(origins, cp.Origin) {
			return fmt.Errorf("%s is a checkpoint of the log %s, and this hub has %s", c.Seen[i], cp.Origin, strings.Join(origins, ", "))
		}
		pins[cp.Origin] = append(pins[cp.Origin], text)
	}
	failed := false
	for _, origin := range origins {
		if known[origin] == nil {
			return fmt.Errorf("there is a log %s and no verifier key for it: give its file with --key", origin)
		}
		report, err := server.VerifyLog(e.ctx, cfg, st, known[origin], pins[origin]...)
		if err != nil {
			return err
		}
		failed = !show(e, report) || failed
	}
	if failed {
		return errFailed
	}
	return nil
}

// show prints a report and says whether the log is whole.
func show(e *env, r *audit.Report) bool {
	for _, w := range r.Warnings {
		fmt.Fprintln(e.stdout, "note:", w)
	}
	for _, p := range r.Problems {
		fmt.Fprintln(e.stdout, "PROBLEM:", p)
	}
	switch {
	case !r.OK():
		fmt.Fprintf(e.stdout, "Log %s is NOT whole: %s in %s.\n", r.Origin, client.Count(len(r.Problems)+r.Omitted, "problem"), client.Count(r.Leaves, "leaf"))
		return false
	case r.Leaves == 0:
		fmt.Fprintf(e.stdout, "Log %s is empty: nothing was decided and nothing disclosed.\n", r.Origin)
	default:
		fmt.Fprintf(e.stdout, "Log %s is whole: %s, %s, %s; root %s.\n", r.Origin, client.Count(r.Leaves, "leaf"), client.Count(r.Transfers, "transfer"), client.Count(r.Releases, "release"), r.Root)
	}
	return true
}

type logCmd struct {
	Export     logExport     `cmd:"" help:"Write the log as C2SP tlog-tiles, so that other people's tools can check it."`
	Checkpoint logCheckpoint `cmd:"" help:"Print the newest signed checkpoint. Keep it somewhere else, for hub verify --seen."`
	Show       logShow       `cmd:"" help:"Print leaves, one a line."`
	Witnesses  logWitnesses  `cmd:"" help:"Say which witnesses have cosigned which published checkpoint."`
}

// withLog opens the hub's own log, which has been written to.
func (e *env) withLog(f func(ledger.Source) error) error {
	cfg, err := e.existing()
	if err != nil {
		return err
	}
	st, err := server.OpenStore(e.ctx, cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // nothing was written
	origins, err := st.Origins(e.ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(origins, cfg.Origin) {
		return fmt.Errorf("there is no log %s here, but %s: name the hub's configuration with --config", cfg.Origin, cmp.Or(strings.Join(origins, ", "), "none"))
	}
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
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s: %s.\n", c.Dir, client.Count(size, "leaf"))
		return nil
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
