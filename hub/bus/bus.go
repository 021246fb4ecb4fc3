// Package bus distributes transfers over NATS JetStream, answers requests that arrive over NATS, and wakes recipients that wait
// for their inbox.
//
// The database is the record and the bus only distributes: everything in it can be lost, and the outbox publishes it again.
// A message says which transfer wants attention and nothing else, so that neither a subject nor a body holds personal data.
//
//	hub.deliver.<recipient>.<transfer>   stream HUB_DELIVER, one durable consumer deliver-<recipient>
//	hub.inbox.<recipient>                plain NATS: something waits for this recipient
//	hub.v1.…                             plain NATS request and reply
//
// The stream is a work queue: an acknowledged message leaves it, so a consumer that has to be made again sees only what is
// still to be done. Under limits retention the same loss would hand fourteen days of settled transfers out again.
//
// MUST lines:
//   - Publish refuses a transfer that the queue already holds, however long ago it was put there. A sweeper may therefore
//     publish what is still unsettled as often as it likes and the queue never grows by it.
//   - A message is redelivered until a handler acknowledges or terminates it; handlers are called at least once.
//   - Losing the stream, the consumers or the whole folder wedges nothing: they are made again.
//
// Known limit: JetStream's default sync interval means that an acknowledged publication may not be on disk yet. That is the
// point of the outbox.
package bus

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"referralhub/hub/transfer"
)

// Stream is the name of the JetStream stream that carries transfers to the delivery workers.
const Stream = "HUB_DELIVER"

const (
	deliverSubject = "hub.deliver."
	inboxSubject   = "hub.inbox."

	duplicateWindow = 2 * time.Minute
	maxAge          = 14 * 24 * time.Hour // an uncollected payload is not kept longer (domain.md section 10.4)
	maxStreamBytes  = 256 << 20           // about a million messages
)

// Config says where the bus is. The zero value needs a StoreDir and runs an embedded server that nothing else can reach.
type Config struct {
	// URL of a NATS server or cluster, comma-separated. Empty: a server is embedded, and StoreDir is required.
	URL string
	// StoreDir is the folder of the embedded server's streams. Deleting it while the hub is stopped loses no transfer.
	StoreDir string
	// ListenAddr opens the embedded server on a loopback address ("127.0.0.1:4222"), for requests and their answers alone: what one
	// partner sends no other hears, though answers can be overheard. Other addresses are refused: it has no accounts, and whoever
	// other machines must reach is a NATS server of its own. Empty: no port.
	ListenAddr string
	// CredentialsFile is a NATS .creds file, for a URL.
	CredentialsFile string
	// TLS is used for a URL that asks for it; nil means the system's roots.
	TLS *tls.Config
	// Replicas of the stream, for a cluster: 1 when zero. An embedded server has one.
	Replicas int
	// Name of this copy of the hub, seen in the server's list of connections.
	Name string

	// PublishWindow is how many publications may be unacknowledged before Publish waits: 256 when zero.
	PublishWindow int
	// FetchBatch is how many messages a consumer asks for at a time: 200 when zero.
	FetchBatch int
	// PerRecipient and Concurrency bound the handlers at work for one recipient and in all: 16 and 128 when zero.
	PerRecipient, Concurrency int
	// AckWait is how long the server waits for word of a message in hand; word is sent three times as often: 30 s when zero.
	AckWait time.Duration
	// Grace is how long handlers may go on once their consumer or service is told to stop: 20 s when zero.
	Grace time.Duration

	// Lost is told of every publication that JetStream did not take. The outbox still has the transfer. Called on the
	// connection's own goroutine: it must not block. Nil: a warning is logged.
	Lost func(Message, error)
	Log  *slog.Logger
}

// Message says that a transfer wants attention.
type Message struct {
	Recipient transfer.PartnerID  `json:"-"` // from the subject
	Transfer  transfer.TransferID `json:"transfer_id"`
	Attempt   int                 `json:"attempt"` // how many attempts were made before this one
}

// Stats counts since Open.
type Stats struct {
	Published int64 // taken by JetStream
	Known     int64 // refused because the queue, or its memory of two minutes, had them
	Lost      int64 // not taken; the outbox has them
	Pending   int64 // not acknowledged yet
	Malformed int64 // terminated because they could not be read
}

// Bus is a connection to NATS, with the server in it when that is embedded. Safe for concurrent use.
type Bus struct {
	cfg      Config
	embedded *server.Server
	conn     *nats.Conn
	js       jetstream.JetStream
	secret   string        // by which the embedded server knows the hub
	slots    chan struct{} // one for each handler at work

	published, known, lost, malformed atomic.Int64
	mending                           atomic.Bool
}

// Open connects, after starting the embedded server if there is no URL, and makes the stream. ctx bounds the opening only.
// The connection is kept up for ever after.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	cfg.Replicas = cmp.Or(cfg.Replicas, 1)
	cfg.Name = cmp.Or(cfg.Name, "hub")
	cfg.PublishWindow = cmp.Or(cfg.PublishWindow, 256)
	cfg.FetchBatch = cmp.Or(cfg.FetchBatch, 200)
	cfg.PerRecipient = cmp.Or(cfg.PerRecipient, 16)
	cfg.Concurrency = cmp.Or(cfg.Concurrency, 128)
	cfg.AckWait = cmp.Or(cfg.AckWait, 30*time.Second)
	cfg.Grace = cmp.Or(cfg.Grace, 20*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Lost == nil {
		cfg.Lost = func(m Message, err error) {
			//nolint:sloglint // told at any time, long after the context of Open has ended
			cfg.Log.Warn("publication lost; the outbox has it", "transfer_id", m.Transfer, "recipient", m.Recipient, "err", err)
		}
	}

	b := &Bus{cfg: cfg, secret: rand.Text(), slots: make(chan struct{}, cfg.Concurrency)}
	if cfg.URL == "" {
		srv, err := startEmbedded(cfg, b.secret)
		if err != nil {
			return nil, err
		}
		b.embedded = srv
	}
	if err := b.connect(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if err := b.ensureStream(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Bus) connect() error {
	log := b.cfg.Log
	options := []nats.Option{
		nats.Name(b.cfg.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("bus disconnected", "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("bus reconnected") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("bus", "err", err) }),
	}
	url := b.cfg.URL
	if b.embedded != nil {
		options = append(options, nats.InProcessServer(b.embedded), nats.CustomInboxPrefix(inboxPrefix))
		if b.cfg.ListenAddr != "" {
			options = append(options, nats.UserInfo(hubUser, b.secret))
		}
	} else {
		if b.cfg.CredentialsFile != "" {
			options = append(options, nats.UserCredentials(b.cfg.CredentialsFile))
		}
		if b.cfg.TLS != nil {
			options = append(options, nats.Secure(b.cfg.TLS))
		}
	}
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return fmt.Errorf("connect to the bus: %w", err)
	}
	b.conn = conn
	b.js, err = jetstream.New(conn,
		jetstream.WithPublishAsyncMaxPending(b.cfg.PublishWindow),
		jetstream.WithPublishAsyncTimeout(5*time.Second),
		jetstream.WithPublishAsyncAckHandler(b.onAck),
		jetstream.WithPublishAsyncErrHandler(b.onLost),
	)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	return nil
}

func (b *Bus) stream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Stream,
		Description: "transfers for the delivery workers; the outbox holds them all",
		Subjects:    []string{deliverSubject + "*.*"},
		Retention:   jetstream.WorkQueuePolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew, // a full queue pushes back; it never drops what it took
		MaxBytes:    maxStreamBytes,
		MaxAge:      maxAge,
		Duplicates:  duplicateWindow,
		Replicas:    b.cfg.Replicas,
	}
}

// ensureStream makes the stream, or brings one that is there to this shape. It is called before there are consumers: a server that changes a
// stream while it makes consumers of it races with itself.
func (b *Bus) ensureStream(ctx context.Context) error {
	if _, err := b.js.CreateOrUpdateStream(ctx, b.stream()); err != nil {
		return fmt.Errorf("make stream %s: %w", Stream, err)
	}
	return nil
}

// remakeStream makes a stream that has gone. One that somebody else has made meanwhile is left as it is.
func (b *Bus) remakeStream(ctx context.Context) error {
	if _, err := b.js.CreateStream(ctx, b.stream()); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("make stream %s again: %w", Stream, err)
	}
	return nil
}

// Ping reports whether the server answers and has the stream.
func (b *Bus) Ping(ctx context.Context) error {
	if _, err := b.js.Stream(ctx, Stream); err != nil {
		return fmt.Errorf("ask for stream %s: %w", Stream, err)
	}
	return nil
}

// Stats is a snapshot of the counters.
func (b *Bus) Stats() Stats {
	return Stats{
		Published: b.published.Load(),
		Known:     b.known.Load(),
		Lost:      b.lost.Load(),
		Pending:   int64(b.js.PublishAsyncPending()),
		Malformed: b.malformed.Load(),
	}
}

// ClientURL is where the embedded server listens; empty when it has no port or there is none.
func (b *Bus) ClientURL() string {
	if b.embedded == nil || b.cfg.ListenAddr == "" {
		return ""
	}
	return b.embedded.ClientURL()
}

// Close waits a few seconds for publications to be acknowledged, closes the connection and stops the embedded server.
// Consumers and services end with their own contexts, and must have ended before. Closing twice is harmless.
func (b *Bus) Close() error {
	var err error
	if b.conn != nil && !b.conn.IsClosed() {
		if b.js != nil {
			select {
			case <-b.js.PublishAsyncComplete():
			case <-time.After(5 * time.Second):
				err = errors.New("close the bus: publications were left unacknowledged; the outbox has them")
			}
			b.js.CleanupPublisher()
		}
		b.conn.Close()
	}
	if b.embedded != nil {
		b.embedded.Shutdown()
		b.embedded.WaitForShutdown()
	}
	return err
}

// checkToken keeps an id from being read as more than one token of a subject, or as a wildcard.
func checkToken(id string) error {
	if id == "" || len(id) > 128 {
		return fmt.Errorf("an id of %d bytes cannot be part of a NATS subject", len(id))
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return fmt.Errorf("id with character %q cannot be part of a NATS subject", c)
		}
	}
	return nil
}
