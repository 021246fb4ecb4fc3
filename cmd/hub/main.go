// Command hub is the referral hub: it runs it, shows it, verifies its log, and checks the agreements it acts by.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"referralhub/hub/agreement"
	"referralhub/hub/server"
)

// cli is the command line. Every command that works on a hub's own state finds it by --config, or by --data and --database.
type cli struct {
	Config   string `help:"Configuration file." type:"existingfile" placeholder:"FILE"`
	Data     string `help:"The hub's data folder, in place of the one in the configuration." placeholder:"DIR"`
	Database string `help:"PostgreSQL URL, in place of the one in the configuration." placeholder:"URL"`

	Demo  demoCmd  `cmd:"" group:"Run a hub" help:"Start a hub of its own and play a story with real partner clients."`
	Serve serveCmd `cmd:"" group:"Run a hub" help:"Run the hub until it is told to stop."`
	Conf  confCmd  `cmd:"" group:"Run a hub" name:"config" help:"Check or print the configuration."`
	Keys  keysCmd  `cmd:"" group:"Run a hub" help:"List the hub's own keys, rotate them, or have a key management service guard them."`

	Partner   partnerCmd   `cmd:"" group:"Partners and agreements" help:"List partners, enrol a system's keys, suspend or restore a partner."`
	Agreement agreementCmd `cmd:"" group:"Partners and agreements" help:"Check agreements, or explain one in plain English."`

	Holds     holdsCmd     `cmd:"" group:"The disclosure log" help:"List what waits for the people of all partners."`
	Audit     auditCmd     `cmd:"" group:"The disclosure log" help:"Ask the log who received what about a person."`
	Verify    verifyCmd    `cmd:"" group:"The disclosure log" help:"Audit the whole disclosure log. Exit 0 only if it is whole."`
	Receipt   receiptCmd   `cmd:"" group:"The disclosure log" help:"Make a disclosure receipt, or check one without a hub."`
	Retention retentionCmd `cmd:"" group:"The disclosure log" help:"Say what is kept for how long, or destroy what is past its time."`
	Log       logCmd       `cmd:"" group:"The disclosure log" help:"Export the log, or show its checkpoint or leaves."`

	Flows flowsCmd `cmd:"" group:"The disclosure log" help:"Compare what was disclosed with what is declared, both ways."`

	Incident incidentCmd `cmd:"" group:"Rights" help:"Size an incident, or draft what the Information Commissioner is told about it."`
	Flags    flagsCmd    `cmd:"" group:"Rights" help:"List what is unusual in the log, and say what it was."`

	Case caseCmd `cmd:"" group:"Rights" help:"Work on rights, complaints, incidents and legal holds."`

	Dates datesCmd `cmd:"" group:"Clocks of the law" help:"Count the days that requests, complaints and records have."`

	Bench benchCmds `cmd:"" group:"Measure" help:"Measure a hub of its own: from submit to receipt, or its log."`
}

// env is what a command gets from the outside.
type env struct {
	ctx    context.Context
	cli    *cli
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errFailed ends a command with status 1 that has already said why.
var errFailed = errors.New("failed")

// run gives the exit status: 0 when all is well, 1 when it is not, 2 when the command line makes no sense.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c, kong.Name("hub"), kong.Writers(stdout, stderr), kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Description("The referral hub: it carries carer referrals between organisations, and logs every disclosure before it happens."))
	if err != nil {
		complain(stderr, err)
		return 2
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit // it was asked for help
	}
	if err != nil {
		parser.Stdout = stderr
		if wrong := (*kong.ParseError)(nil); errors.As(err, &wrong) && (len(args) == 0 || len(wrong.Context.Path) > 1) {
			_ = wrong.Context.PrintUsage(len(args) > 0) // all of it for somebody who has asked for nothing yet
		}
		complain(stderr, err)
		return 2
	}
	err = k.Run(&env{ctx: ctx, cli: &c, stdin: stdin, stdout: stdout, stderr: stderr})
	if err == nil {
		return 0
	}
	if !errors.Is(err, errFailed) {
		complain(stderr, err)
	}
	return 1
}

// complain says what went wrong, an error of several lines below its first.
func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "hub:", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n     "))
}

// config reads the configuration and lays the flags over it, those of the command last.
func (e *env) config(flags ...func(*server.Config)) (server.Config, error) {
	return server.ReadConfig(e.cli.Config, func(c *server.Config) {
		if e.cli.Data != "" {
			c.Data = e.cli.Data
		}
		if e.cli.Database != "" {
			c.Database = e.cli.Database
		}
		for _, f := range flags {
			f(c)
		}
	})
}

// existing reads the configuration of a hub that has run.
func (e *env) existing() (server.Config, error) {
	cfg, err := e.config()
	if err != nil {
		return cfg, err
	}
	return cfg, cfg.Exists()
}

// tune sets the collector for a server: a larger heap is cheaper than more frequent collections, up to a limit.
func tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(256 << 20)
	}
}

func (e *env) logger(level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: l}))
}

type serveCmd struct {
	Listen    string `help:"Address of the API, in place of the one in the configuration." placeholder:"HOST:PORT"`
	PlainHTTP bool   `help:"Serve without TLS. Loopback addresses only." name:"plain-http"`
	LogLevel  string `help:"debug, info, warn or error, in place of the one in the configuration." placeholder:"LEVEL"`
	Profile   string `help:"Write a CPU profile to this file until the hub ends." hidden:"" placeholder:"FILE"`
}

func (s *serveCmd) Run(e *env) error {
	tune()
	if s.Profile != "" {
		f, err := os.Create(s.Profile)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // a profile that is cut short says so itself
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	cfg, err := e.config(func(c *server.Config) {
		if s.Listen != "" {
			c.Listen = s.Listen
		}
		if s.LogLevel != "" {
			c.LogLevel = s.LogLevel
		}
		c.TLS.Off = c.TLS.Off || s.PlainHTTP
	})
	if err != nil {
		return err
	}
	h, err := server.Open(e.ctx, cfg, e.logger(cfg.LogLevel))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program has %s; choose another address with --listen", err, cfg.Listen)
	}
	if err != nil {
		return err
	}
	return h.Run(e.ctx)
}

// Help is what `hub serve --help` says besides.
func (serveCmd) Help() string {
	return `Without a configuration the hub listens on 127.0.0.1:8443, keeps everything in the folder data, and makes its own keys and certificate authority on
its first start: partners trust data/tls/ca.pem. It ends on SIGTERM or Ctrl-C, once what it has in hand is finished.

	hub serve
	hub --config hub.yaml serve`
}

type confCmd struct {
	Check confCheck `cmd:"" help:"Report every fault of the configuration."`
	Print confPrint `cmd:"" help:"Print the configuration as the hub sees it, secrets masked."`
}

type (
	confCheck struct{}
	confPrint struct{}
)

// Run looks into the files too that the configuration names: a hub should not find out when it starts.
func (confCheck) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if cfg.TLS.Cert != "" {
		if _, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	x, faults, err := cfg.Register(time.Now())
	if err != nil {
		return fmt.Errorf("agreements %s: %w", cfg.Agreements, err)
	}
	if x == nil {
		if _, err := agreement.Check(e.stdout, faults); err != nil {
			return err
		}
		return errFailed
	}
	fmt.Fprintln(e.stdout, "The configuration is in order.")
	return nil
}

func (confPrint) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	return cfg.Print(e.stdout)
}
