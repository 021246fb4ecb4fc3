package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/samber/lo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"referralhub/contracts"
	"referralhub/hub/auth"
	"referralhub/hub/exchange"
	"referralhub/hub/server"
	"referralhub/hub/store"
	"referralhub/hub/store/pgtest"
	"referralhub/hub/transfer"
)

type benchLogCmd struct {
	Leaves int64  `help:"How many leaves to write." default:"100000"`
	Store  string `help:"sqlite or postgres; with postgres and no --database, a private server is started and removed afterwards." enum:"sqlite,postgres" default:"sqlite"`
	JSON   bool   `help:"The figures on one line." name:"json"`
	Keep   string `help:"Leave the hub's folder here, for other commands to look at." placeholder:"DIR"`
}

// Help is what `hub bench log --help` says besides.
func (benchLogCmd) Help() string {
	return `Referrals of the cases beside the agreements are submitted, collected and acknowledged by the use cases themselves, without HTTP, for people of whom
each has several; then the log is asked, and audited as by hub verify. It ends with status 1 if the log is not whole.

	hub bench log --leaves 1000000
	hub bench log --leaves 10000000 --json`
}

// logFigures is what a run measured. Scripts rely on these names. Times are milliseconds where they are not seconds.
type logFigures struct {
	Store          string  `json:"store"`
	Cores          int     `json:"cores"`
	FsyncsPerS     float64 `json:"fsyncs_per_s"`
	Leaves         int64   `json:"leaves"`
	Transfers      int64   `json:"transfers"`
	People         int     `json:"people"` // whom the questions below are about; a message may be about several more
	Shapes         int     `json:"shapes"`
	AppendPerS     float64 `json:"append_leaves_per_s"`
	AppendS        float64 `json:"append_s"`
	AppendLastPerS float64 `json:"append_leaves_per_s_of_last_tenth"`
	BytesPerLeaf   float64 `json:"bytes_per_leaf"` // of everything the hub keeps
	AppendPeakMiB  float64 `json:"append_peak_mib"`

	Person      asked   `json:"person_ms"`      // a person's history, when nothing of it is in memory
	PersonAgain asked   `json:"person_warm_ms"` // the same people once more
	PersonFound float64 `json:"person_entries"` // on average
	Partner     asked   `json:"partner_and_item_ms"`
	Agreement   asked   `json:"agreement_ms"`
	Exception   asked   `json:"exception_ms"`

	VerifyS       float64 `json:"verify_s"`
	VerifyPerS    float64 `json:"verify_leaves_per_s"`
	VerifyPeakMiB float64 `json:"verify_peak_mib"`
	LogVerified   bool    `json:"log_verified"`
}

// asked is how long questions took. Each is logged before it is answered, so one commit to disk is in it.
type asked struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func (b *benchLogCmd) Run(e *env) error {
	f, err := b.measure(e)
	if err != nil {
		return err
	}
	out := json.NewEncoder(e.stdout)
	if !b.JSON {
		out.SetIndent("", "  ")
	}
	if err := out.Encode(f); err != nil {
		return err
	}
	if !f.LogVerified {
		fmt.Fprintln(e.stderr, "hub bench log: the log is NOT whole: the figures say nothing")
		return errFailed
	}
	return nil
}

// Validate finds numbers that measure nothing.
func (b *benchLogCmd) Validate() error {
	if b.Leaves < 1000 {
		return errors.New("--leaves is 1000 at least")
	}
	return nil
}

func (b *benchLogCmd) measure(e *env) (f *logFigures, err error) {
	dir := b.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "hub-bench-log-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a folder of its own in the temporary folder
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	database := e.cli.Database
	if b.Store == "postgres" && database == "" {
		cluster, failed := pgtest.Start(e.ctx)
		if failed != nil {
			return nil, failed
		}
		defer func() { err = errors.Join(err, cluster.Stop()) }()
		if database, err = cluster.NewDatabase(e.ctx); err != nil {
			return nil, err
		}
	}
	cfg, err := server.ReadConfig("", func(c *server.Config) { c.Data, c.Database = dir, database })
	if err != nil {
		return nil, err
	}
	if cfg.Exists() == nil {
		return nil, fmt.Errorf("a hub lives in %s already: name a folder that is empty", dir)
	}
	tune()
	f = &logFigures{Store: b.Store, Cores: runtime.NumCPU(), FsyncsPerS: fsyncRate(dir)}
	w, err := newWorkload(cfg.Agreements)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(*env, server.Config, *workload, *logFigures) error{b.write, b.ask, b.verify} {
		peakFromHere()
		if err := step(e, cfg, w, f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// abreast is how many errands are under way at once: enough for full commits.
const abreast = 400

// write fills the log.
func (b *benchLogCmd) write(e *env, cfg server.Config, w *workload, f *logFigures) error {
	err := server.WithExchange(e.ctx, cfg, e.logger("error"), func(x *exchange.Exchange) error {
		if err := x.Adopt(e.ctx, x.Declared()); err != nil {
			return err
		}
		start, told, last := time.Now(), time.Now(), time.Time{}
		group, ctx := errgroup.WithContext(e.ctx)
		group.SetLimit(abreast)
		for ctx.Err() == nil && w.leaves.Load() < b.Leaves {
			errand, left := w.next()
			if !left {
				return errors.Join(group.Wait(), errors.New("the NHS numbers that are kept for tests are used up: ask for fewer leaves"))
			}
			group.Go(func() error { return errand.run(ctx, x) })
			if last.IsZero() && w.leaves.Load() > b.Leaves*9/10 {
				last, f.AppendLastPerS = time.Now(), float64(w.leaves.Load())
			}
			if time.Since(told) > 10*time.Second {
				told = time.Now()
				fmt.Fprintf(e.stderr, "%d leaves, %.0f/s\n", w.leaves.Load(), float64(w.leaves.Load())/time.Since(start).Seconds())
			}
		}
		err := group.Wait()
		f.AppendS = round(time.Since(start).Seconds())
		f.AppendPerS = round(float64(w.leaves.Load()) / time.Since(start).Seconds())
		f.AppendLastPerS = round((float64(w.leaves.Load()) - f.AppendLastPerS) / time.Since(last).Seconds())
		return err
	})
	if err != nil {
		return err
	}
	f.AppendPeakMiB, f.Transfers, f.People = peak(), w.transfers.Load(), len(w.numbers)
	size, err := onDisk(e.ctx, cfg.Data, cfg.Database)
	if err != nil {
		return err
	}
	return withStore(e.ctx, cfg, func(st store.Store) error {
		f.Leaves, _, err = st.Log(e.ctx, cfg.Origin).Head()
		f.BytesPerLeaf = round(float64(size) / float64(f.Leaves))
		shapes, failed := st.Shapes(e.ctx)
		f.Shapes = len(shapes)
		return errors.Join(err, failed)
	})
}

// ask puts questions to the log.
func (b *benchLogCmd) ask(e *env, cfg server.Config, w *workload, f *logFigures) error {
	forget(cfg.Data)
	return server.WithExchange(e.ctx, cfg, e.logger("error"), func(x *exchange.Exchange) error {
		by := auth.Principal{Partner: operator, System: transfer.SystemID(operator) + "/command-line"}
		ask := func(questions []exchange.Query) (a asked, found int, err error) {
			took := make([]time.Duration, 0, len(questions))
			for _, q := range questions {
				q.Why, q.Everyone = "measured", true
				start := time.Now()
				answer, err := x.Search(e.ctx, by, q)
				if err != nil {
					return a, 0, err
				}
				for _, err := range answer.Each(e.ctx) {
					if err != nil {
						return a, 0, err
					}
				}
				took, found = append(took, time.Since(start)), found+answer.Size
			}
			slices.Sort(took)
			at := func(p float64) float64 {
				return round(float64(took[int(float64(len(took)-1)*p)].Microseconds()) / 1000)
			}
			return asked{at(0.50), at(0.99)}, found, nil
		}
		random := dice(0, 0)
		about := lo.Times(200, func(int) exchange.Query {
			return exchange.Query{Person: &contracts.Identifier{Scheme: "nhs-number", Value: w.number(random.IntN(len(w.numbers)))}}
		})
		first, found, err := ask(about)
		if err != nil {
			return err
		}
		f.Person, f.PersonFound = first, round(float64(found)/float64(len(about)))
		if f.PersonAgain, _, err = ask(about); err != nil {
			return err
		}
		page := func(like func(*exchange.Filter)) []exchange.Query {
			return lo.Times(20, func(i int) exchange.Query {
				q := exchange.Query{Limit: 100, Newest: i%2 == 0}
				like(&q.Filter)
				return q
			})
		}
		for _, question := range []struct {
			into *asked
			like func(*exchange.Filter)
		}{
			{&f.Partner, func(q *exchange.Filter) { q.Recipient, q.Item = "age-uk-hertfordshire", "carer.name.family" }},
			{&f.Agreement, func(q *exchange.Filter) { q.Agreement = "hertswise" }},
			{&f.Exception, func(q *exchange.Filter) { q.Exception = exchange.AnyException }},
		} {
			if *question.into, _, err = ask(page(question.like)); err != nil {
				return err
			}
		}
		return nil
	})
}

// verify audits the log as `hub verify` does.
func (b *benchLogCmd) verify(e *env, cfg server.Config, _ *workload, f *logFigures) error {
	// It is a program of its own, with an ordinary collector.
	debug.SetGCPercent(100)
	debug.SetMemoryLimit(math.MaxInt64)
	return withStore(e.ctx, cfg, func(st store.Store) error {
		start := time.Now()
		report, err := server.Verify(e.ctx, cfg, st)
		if err != nil {
			return err
		}
		f.VerifyS = round(time.Since(start).Seconds())
		f.VerifyPerS = round(float64(report.Leaves) / time.Since(start).Seconds())
		f.VerifyPeakMiB, f.LogVerified = peak(), report.OK()
		for _, p := range report.Problems[:min(len(report.Problems), 5)] {
			fmt.Fprintln(e.stderr, "hub bench log:", p)
		}
		return nil
	})
}

func withStore(ctx context.Context, cfg server.Config, look func(store.Store) error) error {
	st, err := server.OpenStore(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(look(st), st.Close())
}

// forget has the system drop what it remembers of the files of a folder, as far as it can: the first question finds them on the disk.
func forget(dir string) {
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if file, err := os.Open(name); err == nil { //nolint:gosec // in a folder of the command's own
			_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED) // a wish
			_ = file.Close()
		}
		return nil
	})
}

// peakFromHere forgets how much memory was used at most before, where the system can.
func peakFromHere() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peak is how much memory this process has used at most, in MiB; 0 where the system does not say.
func peak() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return round(kib / 1024)
}
