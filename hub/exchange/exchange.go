// Package exchange holds the use cases of the hub: submit, collect, acknowledge, consent, settle, expire, ask the log; and those of people: rule
// on a hold, review an exception, answer a request, enter what was told outside the hub. It is the only
// place where a decision, the disclosure log and the durable state of a transfer meet, and they meet in one commit.
//
// Every use case is an operation. Operations that arrive together share a commit: they are read for together, judged one after
// the other in memory, and written together, with their leaves, under one checkpoint. There is no timer: the next commit takes
// whatever arrived while the last one was being written.
//
// MUST lines:
//   - A payload leaves this package only inside a delivery.Parcel, and a Parcel is made only after the commit that holds its
//     release leaf has succeeded.
//   - An operation that is refused or fails adds nothing to the commit.
//   - What somebody has said is recorded whatever is wrong with the transfers that it is about.
//   - Every decision about a stored transfer is made on the case that was decided first, as it is sealed with the dataset, and on all rulings.
//   - After a commit whose fate is unknown nothing is answered as done, and the right edge of the log is read again.
package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"referralhub/hub/agreement"
	"referralhub/hub/bus"
	"referralhub/hub/delivery"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Publisher hands transfers to the bus after their commit. It may block for back-pressure and must not lose its place in the
// outbox on error: what it could not publish is published again when its outbox row is due.
type Publisher interface {
	Publish(ctx context.Context, messages []bus.Message) error
}

// Config is what an Exchange is made of. Store, Sealer, Signer, Origin, Index and Publisher are required.
type Config struct {
	Store     store.Store
	Sealer    *seal.Sealer
	Signer    *ledger.Signer
	Origin    string // of this copy's log
	Index     *agreement.Index
	Publisher Publisher
	Log       *slog.Logger
	Now       func() time.Time

	QueuedFor  time.Duration // how long an uncollected payload is kept: 14 days (domain.md section 10.4, hub defaults)
	HeldFor    time.Duration // how long a held one is kept: 30 days
	RetryAfter time.Duration // when the sweeper looks at a published transfer again: 30 s
	GroupLimit int           // operations in one commit: 200
	QueueLimit int           // operations that may wait for one: 1024
}

// Exchange carries out the use cases. It is safe for concurrent use; Run must be running.
type Exchange struct {
	cfg      Config
	group    *store.Group[*ticket]
	register atomic.Pointer[register] // replaced by the committing goroutine alone

	publish chan []bus.Message // from the committing goroutine to the publisher

	// fresh holds the notices of transfers that were committed a moment ago, so that announcing them asks the database nothing. A
	// notice names no person, and whoever is told of a transfer that was stopped meanwhile is told so when collecting it.
	fresh *lru.Cache[transfer.TransferID, *delivery.Notice]

	// looked is up to which deadline holds have been decided again, under lookedMu.
	looked   time.Time
	lookedMu sync.Mutex

	// tree is the right edge of this copy's log. It is owned by the committing goroutine; nil means that it must be read again.
	tree *ledger.Tree

	// shapes are those of leaves that were committed. They are the committing goroutine's too.
	shapes ledger.Shapes

	mostRead int // leaves for one answer
}

// New checks the configuration and fills its defaults.
func New(cfg Config) (*Exchange, error) {
	if cfg.Store == nil || cfg.Sealer == nil || cfg.Signer == nil || cfg.Origin == "" || cfg.Index == nil || cfg.Publisher == nil {
		return nil, errors.New("exchange: store, sealer, signer, origin, index and publisher are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.QueuedFor = orElse(cfg.QueuedFor, 14*24*time.Hour)
	cfg.HeldFor = orElse(cfg.HeldFor, 30*24*time.Hour)
	cfg.RetryAfter = orElse(cfg.RetryAfter, 30*time.Second)
	cfg.GroupLimit = orElse(cfg.GroupLimit, 200)
	cfg.QueueLimit = orElse(cfg.QueueLimit, 1024)
	fresh, err := lru.New[transfer.TransferID, *delivery.Notice](4096)
	if err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	x := &Exchange{cfg: cfg, publish: make(chan []bus.Message, 256), fresh: fresh, mostRead: mostRead}
	declared, err := newRegister(cfg.Index, nil, 0)
	if err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	x.register.Store(declared)
	x.group = store.NewGroup(cfg.GroupLimit, cfg.QueueLimit, x.commit)
	return x, nil
}

func orElse[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Run commits operations until ctx ends and those already queued are done. It may be called once.
func (x *Exchange) Run(ctx context.Context) error {
	published := make(chan struct{})
	publishing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() {
		defer close(published)
		x.publisher(publishing)
	}()
	err := x.group.Run(ctx)
	close(x.publish)
	// A bus that is away does not hold the end up: what it has not taken by then is in the outbox.
	defer time.AfterFunc(2*time.Second, stop).Stop()
	<-published
	return err
}

// Waiting is how many operations wait for a commit.
func (x *Exchange) Waiting() int { return x.group.Waiting() }

// Index is the agreements and partners in force.
func (x *Exchange) Index() *agreement.Index { return x.register.Load().index }

// An operation is one use case on its way through a commit. judge may run more than once, when a commit has to be repeated;
// it starts from nothing each time.
type operation interface {
	// reads names what the operation depends on, before the transaction.
	reads(n *needs)
	// judge decides in memory and adds what must be written. It adds nothing when it returns an answer (see answered).
	judge(c *commit) error
}

// ticket is an operation in a group, and what became of it.
type ticket struct {
	op  operation
	err error
}

// do carries op through a commit. ctx bounds the wait and not the work: an operation whose caller has gone is still committed.
func (x *Exchange) do(ctx context.Context, op operation) error {
	t := &ticket{op: op}
	if err := x.group.Do(ctx, t); err != nil {
		return err
	}
	return t.err
}

// doAll carries operations through as few commits as they fit into, in their order. Each has an answer of its own.
func (x *Exchange) doAll(ctx context.Context, ops []operation) []error {
	tickets := make([]*ticket, len(ops))
	for i, op := range ops {
		tickets[i] = &ticket{op: op}
	}
	errs := x.group.DoAll(ctx, tickets)
	for i, t := range tickets {
		if errs[i] == nil { // otherwise it may still be on its way
			errs[i] = t.err
		}
	}
	return errs
}

// commit writes one group. It is called by one goroutine at a time.
func (x *Exchange) commit(ctx context.Context, tickets []*ticket) {
	// An act looks at all there is of a person, and what the operations beside it in a group come to is not there yet.
	if at := slices.IndexFunc(tickets, alone); at >= 0 && len(tickets) > 1 {
		if at > 0 {
			x.commit(ctx, tickets[:at])
		}
		x.commit(ctx, tickets[at:at+1])
		if at+1 < len(tickets) {
			x.commit(ctx, tickets[at+1:])
		}
		return
	}
	err := x.attempt(ctx, tickets)
	if fault := (*faultError)(nil); len(tickets) > 1 && (errors.Is(err, store.ErrConflict) || errors.As(err, &fault)) {
		for _, t := range tickets {
			x.commit(ctx, []*ticket{t})
		}
		return
	}
	if err == nil {
		return // each ticket has its own answer
	}
	x.cfg.Log.ErrorContext(ctx, "commit", "operations", len(tickets), "first", fmt.Sprintf("%T", tickets[0].op), "err", err)
	for _, t := range tickets {
		t.err = err
	}
}

// attempt tries again when another copy of the hub wrote the same message or identifier first: what it wrote is there to be read then. It
// may happen twice, when one copy brings a person's number and another one their case number.
func (x *Exchange) attempt(ctx context.Context, tickets []*ticket) error {
	const times = 3
	var err error
	for range times {
		if err = x.try(ctx, tickets); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// try carries tickets through one transaction. An error is about all of them: nothing was written, or it is not known. Otherwise each
// ticket has its answer in err.
func (x *Exchange) try(ctx context.Context, tickets []*ticket) error {
	if x.tree == nil {
		tree, err := ledger.OpenTree(x.cfg.Store.Log(ctx, x.cfg.Origin), x.cfg.Signer)
		if err != nil {
			return fmt.Errorf("read the right edge of log %s: %w", x.cfg.Origin, err)
		}
		x.tree = tree
	}
	var c *commit
	var wrote bool
	err := x.cfg.Store.InTx(ctx, func(tx store.Tx) error {
		c, wrote = newCommit(x), false
		if err := c.read(ctx, tx, tickets); err != nil {
			return err
		}
		for _, t := range tickets {
			t.err = t.op.judge(c)
			if t.err == nil {
				t.err = c.broken
			}
			if t.err != nil && !answered(t.err) {
				return &faultError{t.err}
			}
		}
		if len(tickets) == 1 && alone(tickets[0]) && tickets[0].err != nil {
			return nil // an act that was answered with a refusal may have begun: nothing of it is written
		}
		wrote = true
		return c.write(ctx, tx)
	})
	if err != nil {
		// It may have been committed all the same: what the log holds now is read before anything is added to it.
		x.tree = nil
		return err
	}
	if !wrote {
		return nil
	}
	if c.batch != nil {
		x.tree.Commit(c.batch)
	}
	x.shapes.Keep(c.shapes)
	x.register.Store(c.register)
	for _, n := range c.notices {
		x.fresh.Add(n.Transfer, n)
	}
	if len(c.publish) > 0 {
		select {
		case x.publish <- c.publish:
		default: // the bus is slow or away; the outbox has them, and commits do not wait for it
		}
	}
	return nil
}

// publisher hands transfers to the bus, away from the committing goroutine.
func (x *Exchange) publisher(ctx context.Context) {
	for messages := range x.publish {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		if err := x.cfg.Publisher.Publish(bounded, messages); err != nil {
			x.cfg.Log.WarnContext(ctx, "publish after commit; the outbox has them", "transfers", len(messages), "err", err)
		}
		cancel()
	}
}

// faultError is an operation that went wrong half-way. What it may have added must not be written, so the whole group is given up
// and its operations are carried through one at a time.
type faultError struct{ error }

func (e *faultError) Unwrap() error { return e.error }

// answered reports whether err is an answer to whoever asked rather than a fault of the hub.
func answered(err error) bool {
	var state *StateError
	var role *RoleError
	var stale *StaleError
	var act *ActError
	var signature *SignatureError
	var answer *answeredError
	if errors.As(err, &answer) || errors.As(err, &state) || errors.As(err, &role) || errors.As(err, &stale) || errors.As(err, &act) || errors.As(err, &signature) {
		return true
	}
	return slices.ContainsFunc(answers, func(a error) bool { return errors.Is(err, a) })
}

var answers = []error{ErrOtherBody, ErrNotYours, ErrNoAgreement, ErrNoRoom, ErrNoException, ErrReviewed, ErrNoRequest, ErrNotYourRequest, ErrDecided}

// StateError says that a transfer is not in a state that allows what was asked.
type StateError struct {
	Transfer transfer.TransferID
	State    transfer.State
	Asked    string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("transfer %s is %s: it cannot be %s", e.Transfer, e.State, e.Asked)
}

// ErrOtherBody says that a message id was used before for another message.
var ErrOtherBody = errors.New("this message id was used before with another body")

// ErrTooLarge says that a message is about so many people and items that its decision does not fit into one leaf of the log.
var ErrTooLarge = errors.New("the decision does not fit into one leaf")

// ErrNoRoom says that those before a transfer filled the answer. Nothing of it was disclosed, and it waits as it did.
var ErrNoRoom = errors.New("those that were collected before it filled the answer")

// ErrNotYours is what a partner gets for anything that does not exist or is another partner's: the two are not told apart.
var ErrNotYours = fmt.Errorf("no such transfer of yours: %w", store.ErrNotFound)
