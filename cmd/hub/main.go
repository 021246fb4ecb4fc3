// Command hub is the referral hub: it runs it, shows it, verifies its log, and checks the agreements it acts by.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"referralhub/hub/server"
)

// cli is the command line. Every command that works on a hub's own state finds it by --config, or by --data and --database.
type cli struct {
	Config   string `help:"Configuration file." type:"existingfile" placeholder:"FILE"`
	Data     string `help:"The hub's data folder, in place of the one in the configuration." placeholder:"DIR"`
	Database string `help:"PostgreSQL URL, in place of the one in the configuration." placeholder:"URL"`

	Serve     serveCmd     `cmd:"" help:"Run the hub until it is told to stop."`
	Demo      demoCmd      `cmd:"" help:"Start a hub of its own and play a story with real partner clients."`
	Verify    verifyCmd    `cmd:"" help:"Audit the whole disclosure log. Exit 0 only if it is whole."`
	Log       logCmd       `cmd:"" help:"Export the log, or show its checkpoint or leaves."`
	Audit     auditCmd     `cmd:"" help:"Ask the log who received what about a person. The identifier is read from standard input."`
	Agreement agreementCmd `cmd:"" help:"Check agreements, or explain one in plain English."`
	Partner   partnerCmd   `cmd:"" help:"List partners, enrol a system's keys, suspend or restore a partner."`
	Conf      confCmd      `cmd:"" name:"config" help:"Check or print the configuration."`
	Bench     benchCmd     `cmd:"" help:"Measure a hub of its own from submit to receipt."`
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
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errFailed ends a command with status 1 that has already said why.
var errFailed = errors.New("failed")

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c, kong.Name("hub"), kong.Description("The referral hub."), kong.UsageOnError(),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exit = code }))
	if err != nil {
		fmt.Fprintln(stderr, "hub:", err)
		return 2
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintln(stderr, "hub:", err)
		return 2
	}
	err = k.Run(&env{ctx: ctx, cli: &c, stdin: stdin, stdout: stdout, stderr: stderr})
	if err == nil {
		return 0
	}
	if !errors.Is(err, errFailed) {
		fmt.Fprintln(stderr, "hub:", err)
	}
	return 1
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

// tune sets the collector for a server: a larger heap is cheaper than more frequent collections, up to a limit.
func tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
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
}

func (s *serveCmd) Run(e *env) error {
	tune()
	cfg, err := e.config(func(c *server.Config) {
		if s.Listen != "" {
			c.Listen = s.Listen
		}
		c.TLS.Off = c.TLS.Off || s.PlainHTTP
	})
	if err != nil {
		return err
	}
	h, err := server.Open(e.ctx, cfg, e.logger(cfg.LogLevel))
	if err != nil {
		return err
	}
	return h.Run(e.ctx)
}

type confCmd struct {
	Check struct {
		confCheck
	} `cmd:"" help:"Report every fault of the configuration."`
	Print struct {
		confPrint
	} `cmd:"" help:"Print the configuration as the hub sees it, secrets masked."`
}

type (
	confCheck struct{}
	confPrint struct{}
)

func (confCheck) Run(e *env) error {
	if _, err := e.config(); err != nil {
		return err
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
