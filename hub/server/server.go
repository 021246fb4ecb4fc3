// Package server is the composition root: it builds the hub from its configuration in the order of the floors, runs it, and drains it
// from the top down. It holds no rules.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/samber/lo"
	"golang.org/x/sync/errgroup"

	"referralhub/adapters/mailbox"
	"referralhub/adapters/webhook"
	"referralhub/hub/agreement"
	"referralhub/hub/api"
	"referralhub/hub/auth"
	"referralhub/hub/bus"
	"referralhub/hub/dates"
	"referralhub/hub/delivery"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/witness"
	"referralhub/hub/rights"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/store/postgres"
	"referralhub/hub/store/sqlite"
	"referralhub/hub/transfer"
)

// Hub is a hub that is built and listens, and does not work yet: Run makes it.
type Hub struct {
	cfg      Config
	log      *slog.Logger
	store    store.Store
	bus      *bus.Bus
	exchange *exchange.Exchange
	rights   *rights.Rights
	watcher  *rights.Watcher
	worker   *delivery.Worker
	webhook  *webhook.Adapter
	clients  *auth.Clients
	tokens   *auth.Tokens
	api      *api.API
	board    *witness.Board
	listener net.Listener
	lock     *flock.Flock // held while the hub is open: the data folder is this copy's alone
	seen     string       // fingerprint of the register in force
	behind   behind       // whether there is a newer one that cannot be taken over
	sealer   *seal.Sealer
	retained dates.Date // the day on which retention ran last
	signing  []string   // ids of the token keys in force
}

// OpenStore opens the database of a configuration.
func OpenStore(ctx context.Context, cfg Config) (store.Store, error) {
	if cfg.Database != "" {
		s, err := postgres.Open(ctx, postgres.Config{URL: cfg.Database})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: cfg.path("hub.db")})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Open builds a hub. On an error nothing is left open.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Hub, error) {
	h := &Hub{cfg: cfg, log: log}
	if err := h.build(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// build makes the parts in the order of the floors.
func (h *Hub) build(ctx context.Context) (err error) {
	cfg, log := h.cfg, h.log
	if h.lock, err = cfg.own(); err != nil {
		return err
	}
	if h.sealer, err = cfg.sealer(); err != nil {
		return err
	}
	if h.store, err = OpenStore(ctx, cfg); err != nil {
		return err
	}
	h.bus, err = bus.Open(ctx, bus.Config{
		URL: cfg.NATS.URL, CredentialsFile: cfg.NATS.Credentials, Replicas: cfg.NATS.Replicas, ListenAddr: cfg.NATS.Listen,
		StoreDir: cfg.path("jetstream"), Name: cfg.Origin, Grace: cfg.Grace, Log: log,
	})
	if err != nil {
		return err
	}
	var signer *ledger.Signer
	if h.exchange, signer, err = openExchange(cfg, h.sealer, h.store, h.bus, log); err != nil {
		return err
	}
	if err := h.openDoors(signer); err != nil {
		return err
	}
	if err := h.openDelivery(); err != nil {
		return err
	}
	h.listener, err = cfg.listener()
	return err
}

// listener opens the door with the certificate in hand: whoever finds it open finds the hub's authority beside it.
func (c Config) listener() (net.Listener, error) {
	var with *tls.Config
	if !c.TLS.Off {
		cert, err := c.certificate(time.Now())
		if err != nil {
			return nil, err
		}
		with = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if with != nil {
		l = tls.NewListener(l, with)
	}
	return l, nil
}

// own takes the data folder for one hub. Two on one folder would share a JetStream directory, which neither notices, and a log that is
// meant for one.
func (c Config) own() (*flock.Flock, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock := flock.New(c.path("lock"), flock.SetPermissions(0o600))
	free, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder %s: %w", c.Data, err)
	}
	if !free {
		return nil, fmt.Errorf("another hub runs on the data folder %s: stop it first, or give this one a folder and an origin of its own", c.Data)
	}
	return lock, nil
}

// openExchange builds the use cases over a store.
func openExchange(cfg Config, sealer *seal.Sealer, st store.Store, p exchange.Publisher, log *slog.Logger) (*exchange.Exchange, *ledger.Signer, error) {
	signer, err := cfg.logSigner()
	if err != nil {
		return nil, nil, err
	}
	index, err := cfg.index(log)
	if err != nil {
		return nil, nil, err
	}
	x, err := exchange.New(exchange.Config{
		Store: st, Sealer: sealer, Signer: signer, Origin: cfg.Origin, Index: index, Publisher: p, Log: log,
		QueuedFor: cfg.Keep.Queued, HeldFor: cfg.Keep.Held, Now: cfg.Now,
	})
	return x, signer, err
}

// WithExchange opens the use cases for one act from the command line, beside a hub that may be running on the same store. Nothing is
// delivered: what the act queues is in the outbox for the hub that runs.
func WithExchange(ctx context.Context, cfg Config, log *slog.Logger, act func(*exchange.Exchange) error) error {
	return within(ctx, cfg, log, func(x *exchange.Exchange, _ store.Store) error { return act(x) })
}

// WithRights opens the work on cases for one act from the command line, as WithExchange does.
func WithRights(ctx context.Context, cfg Config, log *slog.Logger, act func(*rights.Rights) error) error {
	return within(ctx, cfg, log, func(x *exchange.Exchange, st store.Store) error {
		r, err := rights.New(rights.Config{Exchange: x, Store: st, Origin: cfg.Origin, Now: cfg.Now, Log: log})
		if err != nil {
			return err
		}
		return act(r)
	})
}

func within(ctx context.Context, cfg Config, log *slog.Logger, act func(*exchange.Exchange, store.Store) error) error {
	st, err := OpenStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // every commit has been answered for
	sealer, err := cfg.sealer()
	if err != nil {
		return err
	}
	x, _, err := openExchange(cfg, sealer, st, nowhere{}, log)
	if err != nil {
		return err
	}
	commits := start(ctx, x.Run)
	return errors.Join(act(x, st), commits.stop())
}

// NewBoard is where the log's checkpoints are published and cosigned.
func NewBoard(cfg Config, st store.Store, log *slog.Logger) (*witness.Board, error) {
	witnesses, err := cfg.witnesses()
	if err != nil {
		return nil, err
	}
	return witness.New(witness.Config{Store: st, Origin: cfg.Origin, Witnesses: witnesses, Now: cfg.Now, Log: log}), nil
}

// nowhere leaves what is published to the outbox.
type nowhere struct{}

func (nowhere) Publish(context.Context, []bus.Message) error { return nil }

// index loads the register, and refuses one with faults.
func (c Config) index(log *slog.Logger) (*agreement.Index, error) {
	index, faults, err := c.Register(time.Now())
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		if f.Warning {
			log.Warn("agreement", "file", f.File, "line", f.Line, "rule", f.Rule, "detail", f.Detail)
		}
	}
	if index == nil {
		var text strings.Builder
		if _, err := agreement.Check(&text, faults); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the agreements have faults:\n%s", text.String())
	}
	return index, nil
}

// openDoors builds what partners come in by: their keys, the hub's tokens, and the API.
func (h *Hub) openDoors(signer *ledger.Signer) error {
	var err error
	h.clients, err = auth.NewClients(auth.ClientsConfig{Audiences: []string{h.cfg.URL, h.cfg.URL + "/oauth/token"}})
	if err != nil {
		return err
	}
	if h.seen, err = h.cfg.fingerprint(); err != nil {
		return err
	}
	keys, err := h.cfg.clientKeys(h.exchange.Index())
	if err != nil {
		return err
	}
	if err := h.clients.Replace(keys); err != nil {
		return err
	}
	signing, err := h.cfg.tokenKeys(time.Now())
	if err != nil {
		return err
	}
	h.signing = idsOf(signing)
	h.tokens, err = auth.NewTokens(auth.TokensConfig{Issuer: h.cfg.URL, Keys: signing, Suspended: h.suspended})
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	h.measure(registry)
	if h.board, err = NewBoard(h.cfg, h.store, h.log); err != nil {
		return err
	}
	h.rights, err = rights.New(rights.Config{Exchange: h.exchange, Store: h.store, Origin: h.cfg.Origin, Now: h.cfg.Now, Log: h.log})
	if err != nil {
		return err
	}
	h.watcher = h.rights.Watcher()
	h.api, err = api.New(api.Config{
		Exchange: h.exchange, Rights: h.rights, Clients: h.clients, Tokens: h.tokens, Watcher: h.bus, Issuer: h.cfg.URL,
		Source: func(ctx context.Context) ledger.Source { return h.store.Log(ctx, h.cfg.Origin) },
		Board:  h.board, Origin: h.cfg.Origin, Verifier: signer.VerifierKey(), Ready: h.ready, Registry: registry, Log: h.log,
		MaxBodyBytes: h.cfg.Limits.BodyBytes, MaxInFlight: h.cfg.Limits.InFlight, Now: h.cfg.Now,
	})
	return err
}

// measure adds what the parts count of themselves.
func (h *Hub) measure(registry *prometheus.Registry) {
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("hub_commit_waiting", "Operations that wait for a commit.", func() float64 { return float64(h.exchange.Waiting()) })
	gauge("hub_flags_open", "Flags of the log's watch that nobody has looked at.", func() float64 { return float64(h.watcher.Open()) })
	gauge("hub_register_behind", "1 while the register on disk is not the one in force, because it has faults; the log says which.", h.behind.value)
	gauge("hub_bus_pending", "Publications that JetStream has not acknowledged.", func() float64 { return float64(h.bus.Stats().Pending) })
	gauge("hub_bus_lost", "Publications that JetStream did not take since the start; the outbox has them.", func() float64 { return float64(h.bus.Stats().Lost) })
	gauge("hub_delivery_delivered", "Attempts that got through since the start.", func() float64 { return float64(h.worker.Stats().Delivered) })
	gauge("hub_delivery_retried", "Attempts that will be made again.", func() float64 { return float64(h.worker.Stats().Retried) })
	gauge("hub_delivery_gave_up", "Transfers left to a person since the start.", func() float64 { return float64(h.worker.Stats().GaveUp) })
	gauge("hub_delivery_circuits_open", "Partners that are not tried for a while because they keep failing.", func() float64 { return float64(h.worker.Stats().Open) })
}

func (h *Hub) suspended(id transfer.PartnerID, _ transfer.SystemID) bool {
	p, known := h.exchange.Index().Partner(id)
	return !known || p.Suspended
}

func (h *Hub) ready(ctx context.Context) error {
	return errors.Join(h.store.Ping(ctx), h.bus.Ping(ctx))
}

// openDelivery builds the adapters and the worker that drives them.
func (h *Hub) openDelivery() error {
	var err error
	h.webhook, err = webhook.New(webhook.Config{Secrets: h.cfg.webhookSecrets, AllowHosts: h.cfg.Webhooks.AllowHosts})
	if err != nil {
		return err
	}
	h.worker, err = delivery.New(delivery.Config{
		Bus: h.bus, Exchange: h.exchange, Log: h.log, Now: h.cfg.Now,
		Adapters: map[string]delivery.Adapter{"mailbox": mailbox.New(h.bus), "webhook": h.webhook},
		Partners: func(id transfer.PartnerID) (transfer.Partner, bool) {
			p, known := h.exchange.Index().Partner(id)
			if !known {
				return transfer.Partner{}, false
			}
			return *p, true
		},
		Recipients: func() []transfer.PartnerID {
			var ids []transfer.PartnerID
			for _, p := range h.exchange.Index().Partners() {
				ids = append(ids, p.ID)
			}
			return ids
		},
	})
	return err
}

// URL is where partners reach the hub.
func (h *Hub) URL() string { return h.cfg.URL }

// Addr is where it listens.
func (h *Hub) Addr() string { return h.listener.Addr().String() }

// Run works until ctx ends, then drains: first no more is taken in, then what is being delivered is finished, then what is being
// committed; then everything is closed.
func (h *Hub) Run(ctx context.Context) error {
	defer h.close()
	commits := start(ctx, h.exchange.Run)
	if err := h.exchange.Adopt(ctx, h.exchange.Declared()); err != nil {
		if ctx.Err() != nil {
			err = nil // told to stop before it had begun
		}
		return errors.Join(err, commits.stop())
	}
	work := start(ctx, h.worker.Run, h.every(time.Minute, h.expire), h.every(2*time.Second, h.reload), h.every(2*time.Second, h.rekey),
		h.every(h.cfg.Checkpoints.Every, h.board.Publish), h.every(20*time.Second, h.rights.Sweep), h.every(15*time.Second, h.watcher.Look), h.every(10*time.Minute, h.retain))
	intake := start(ctx, h.serve, func(ctx context.Context) error {
		return h.bus.Serve(ctx, bus.SubjectReferrals, 64, h.api.Intake)
	})
	if soon := dates.EnglandAndWales().Expiring(dates.On(time.Now())); soon != "" {
		h.log.WarnContext(ctx, "bank holidays run out", "detail", soon)
	}
	h.log.InfoContext(ctx, "hub started", "url", h.cfg.URL, "listen", h.Addr(), "origin", h.cfg.Origin)
	select {
	case <-ctx.Done():
	case <-commits.failed:
	case <-work.failed:
	case <-intake.failed:
	}
	return errors.Join(intake.stop(), work.stop(), commits.stop())
}

// stage is a set of components that end together.
type stage struct {
	cancel context.CancelFunc
	group  *errgroup.Group
	failed <-chan struct{} // closed when one of them has ended with an error, or been told to stop
}

// start runs components in a stage of their own, which ctx does not end: stop does, in its turn.
func start(ctx context.Context, components ...func(context.Context) error) *stage {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range components {
		group.Go(func() error { return run(ctx) })
	}
	return &stage{cancel: cancel, group: group, failed: ctx.Done()}
}

func (s *stage) stop() error {
	s.cancel()
	return s.group.Wait()
}

// serve answers HTTP until ctx ends and the requests in hand are answered.
func (h *Hub) serve(ctx context.Context) error {
	server := &http.Server{
		Handler: h.api, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, WriteTimeout: 75 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(h.api.Close)
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.cfg.Grace)
		defer cancel()
		drained <- server.Shutdown(bounded)
	}()
	if err := server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-drained
}

// every calls f from time to time until ctx ends. f's errors are logged: the next call may do better.
func (h *Hub) every(d time.Duration, f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				if err := f(ctx); err != nil && ctx.Err() == nil {
					h.log.ErrorContext(ctx, "housekeeping", "err", err)
				}
			}
		}
	}
}

// retain destroys what is past its time, once a day.
func (h *Hub) retain(ctx context.Context) error {
	today := dates.On(h.now())
	if today == h.retained {
		return nil
	}
	done, err := h.rights.Retain(ctx)
	h.retained = today // what went wrong is tried again tomorrow
	if done.Reference != "" {
		h.log.InfoContext(ctx, "retention", "case", done.Reference, "destroyed", done.Destroyed, "kept", done.Kept)
	}
	return err
}

func (h *Hub) now() time.Time {
	if h.cfg.Now != nil {
		return h.cfg.Now()
	}
	return time.Now()
}

// expire ends what is past its time, a page at a time.
func (h *Hub) expire(ctx context.Context) error {
	const page = 100
	for {
		n, err := h.exchange.Expire(ctx, page)
		if err != nil || n < page {
			return err
		}
	}
}

// rekey takes over keys that were rotated, and lets go of those that nothing needs any more. One that cannot be read changes nothing.
func (h *Hub) rekey(ctx context.Context) error {
	return errors.Join(h.takeTokenKeys(ctx), h.takeSealingKeys(ctx))
}

func (h *Hub) takeTokenKeys(ctx context.Context) error {
	keys, err := h.cfg.tokenKeysInForce(time.Now())
	if err != nil {
		return fmt.Errorf("the token keys stay as they were: %w", err)
	}
	ids := idsOf(keys)
	if slices.Equal(ids, h.signing) {
		return nil
	}
	if err := h.tokens.Rotate(keys); err != nil {
		return fmt.Errorf("the token keys stay as they were: %w", err)
	}
	h.signing = ids
	h.log.InfoContext(ctx, "token keys taken over", "signs", ids[0], "verify", ids[1:])
	return nil
}

func (h *Hub) takeSealingKeys(ctx context.Context) error {
	changed, err := h.sealer.Reload()
	if err != nil {
		return fmt.Errorf("the sealing keys stay as they were: %w", h.cfg.explained(err))
	}
	if changed {
		h.log.InfoContext(ctx, "sealing keys taken over", "seals", fmt.Sprintf("%08x", h.sealer.KeyID()))
	}
	return nil
}

func idsOf(keys []auth.Key) []string {
	return lo.Map(keys, func(k auth.Key, _ int) string { return k.ID })
}

func (h *Hub) close() {
	if h.listener != nil {
		h.listener.Close() //nolint:errcheck // serve has closed it unless it never ran
	}
	if h.webhook != nil {
		if err := h.webhook.Close(); err != nil {
			h.log.Warn("close the webhooks", "err", err)
		}
	}
	if h.bus != nil {
		if err := h.bus.Close(); err != nil {
			h.log.Warn("close the bus", "err", err)
		}
	}
	if h.store != nil {
		if err := h.store.Close(); err != nil {
			h.log.Error("close the store", "err", err)
		}
	}
	if h.lock != nil {
		if err := h.lock.Unlock(); err != nil {
			h.log.Warn("release the data folder", "err", err)
		}
	}
}
