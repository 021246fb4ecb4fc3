package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/cmd/partner/client"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/replay"
	"referralhub/hub/server"
)

type agreementSimulate struct {
	File  string    `arg:"" help:"The proposed version: a file such as hertswise.v2.yaml." type:"existingfile"`
	Since time.Time `help:"Leave out what was decided before this day." format:"2006-01-02" placeholder:"DATE"`
	List  int       `help:"How many of the transfers to list." default:"20"`
}

// Help is what `hub agreement simulate --help` says besides.
func (agreementSimulate) Help() string {
	return `Every transfer in the hub's log is decided again as if the proposed version had stood in the place of the one in force then: on what was sent, what
people had said and what was ruled, all from the log alone. Only the clauses count, and not the days from and to which the version runs.

	hub agreement simulate hertswise.v2.yaml
	hub agreement simulate hertswise.v2.yaml --since 2026-01-01 --list 100`
}

func (c *agreementSimulate) Run(e *env) error {
	x, err := e.register()
	if err != nil {
		return err
	}
	proposed, err := c.proposed(e)
	if err != nil {
		return err
	}
	return e.withLog(func(src ledger.Source) error {
		listed := 0
		done, err := replay.Simulate(e.ctx, src, x, proposed, c.Since, func(ch replay.Change) error {
			if listed++; listed <= c.List {
				tellChange(e.stdout, ch)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if listed > c.List {
			fmt.Fprintf(e.stdout, "and %s more.\n", client.Count(listed-c.List, "transfer"))
		}
		tellSimulated(e.stdout, proposed, &done)
		return nil
	})
}

func tellChange(w io.Writer, c replay.Change) {
	would := "would have been " + string(c.Would)
	if c.Was == c.Would {
		would = "would have been so for other items"
	}
	fmt.Fprintf(w, "%s  %s  %s to %s\n", c.At.Format(time.DateOnly), c.Transfer, c.Sender, c.Recipient)
	if len(c.Codes) > 0 {
		would += fmt.Sprintf(" [%s]", strings.Join(c.Codes, ", "))
	}
	fmt.Fprint(w, client.Wrap("  ", fmt.Sprintf("was %s, and %s", c.Was, would)))
	if len(c.Newly) > 0 {
		fmt.Fprint(w, client.Wrap("  ", "would have gone too: "+strings.Join(client.Sections(c.Newly), "; ")))
	}
	if len(c.Gone) > 0 {
		fmt.Fprint(w, client.Wrap("  ", "would not have gone: "+strings.Join(client.Sections(c.Gone), "; ")))
	}
}

func tellSimulated(w io.Writer, a *agreement.Agreement, s *replay.Simulated) {
	for _, m := range s.Moves {
		would := fmt.Sprintf("%s instead of %s", m.Would, m.Was)
		if m.Was == m.Would {
			would = string(m.Was) + " as it was, and other items"
		}
		fmt.Fprintf(w, "%s: %s\n", would, client.Count(m.Transfers, "transfer"))
	}
	tellItems(w, "", "newly going", s.Newly)
	tellItems(w, "", "no longer going", s.Gone)
	if s.Unknown > 0 {
		fmt.Fprintf(w, "note: %s not counted, because a condition of the proposal was not asked of them and the log cannot answer it.\n", client.Count(s.Unknown, "transfer"))
	}
	if s.Unread > 0 {
		fmt.Fprintf(w, "note: %s not counted, because they cannot be made again: hub verify --redecide says why.\n", client.Count(s.Unread, "decision"))
	}
	fmt.Fprintf(w, "Under %s %d of %s would have been decided otherwise, about %s.\n", a.Ref(), s.Otherwise, client.Count(s.Transfers, "transfer"), persons(s.People))
}

func persons(n int64) string {
	if n == 1 {
		return "1 person"
	}
	return fmt.Sprintf("%d people", n)
}

// proposed compiles the file among the agreements that the hub has, in the place of the one with its name where there is one.
func (c *agreementSimulate) proposed(e *env) (*agreement.Agreement, error) {
	cfg, err := e.existing()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return nil, err
	}
	county := countyLine.FindSubmatch(text)
	if county == nil {
		return nil, fmt.Errorf("%s names no county: is it an agreement?", c.File)
	}
	dir, err := os.MkdirTemp("", "hub-simulate-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // copies of public files
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // likewise
	name := path.Join(string(county[1]), "agreements", filepath.Base(c.File))
	if err := errors.Join(copyDeclared(root, folder(cfg.Agreements)), writeUnder(root, name, text)); err != nil {
		return nil, err
	}
	x, faults, err := agreement.Load(root.FS(), time.Now())
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, e.faulty(faults)
	}
	found, ok := lo.Find(x.Agreements(), func(a *agreement.Agreement) bool { return a.File == name })
	if !ok {
		return nil, fmt.Errorf("%s is no agreement: call it after the agreement and version, as in hertswise.v2.yaml", c.File)
	}
	return found, nil
}

var countyLine = regexp.MustCompile(`(?m)^county:\s*([a-z][a-z0-9-]*)`)

// copyDeclared copies what is declared of partners and agreements, and nothing else that stands beside it.
func copyDeclared(to *os.Root, from fs.FS) error {
	for _, pattern := range []string{"*/partners.yaml", "*/agreements/*.yaml"} {
		names, err := fs.Glob(from, pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := fs.ReadFile(from, name)
			if err != nil {
				return err
			}
			if err := writeUnder(to, name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeUnder(to *os.Root, name string, text []byte) error {
	if err := to.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	return to.WriteFile(name, text, 0o600)
}

// register reads the agreements and partners of the hub, as it has them now.
func (e *env) register() (*agreement.Index, error) {
	cfg, err := e.existing()
	if err != nil {
		return nil, err
	}
	return e.registerOf(cfg)
}

func (e *env) registerOf(cfg server.Config) (*agreement.Index, error) {
	x, faults, err := cfg.Register(time.Now())
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, e.faulty(faults)
	}
	return x, nil
}

// faulty says what is wrong with agreements, and ends the command.
func (e *env) faulty(faults []agreement.Fault) error {
	_, err := agreement.Check(e.stderr, faults)
	return errors.Join(err, errFailed)
}
