package storetest

import (
	"context"
	"errors"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Op names what a store is asked to do.
type Op string

// The operations that Faulty asks about. OpRead is any question, in a transaction or outside of one, OpReadLog any to a log;
// OpLock is a question that locks.
const (
	OpRead           Op = "read"
	OpReadLog        Op = "read log"
	OpLock           Op = "lock"
	OpInsert         Op = "insert"
	OpUpdate         Op = "update"
	OpDeletePayloads Op = "delete payloads"
	OpOutbox         Op = "outbox"
	OpAppendLog      Op = "append log"
	OpSpendAssertion Op = "spend assertion"
	OpErase          Op = "erase"
	OpCommit         Op = "commit"
)

// Ops lists every operation, for tests that fail each in turn.
func Ops() []Op {
	return []Op{OpRead, OpReadLog, OpLock, OpInsert, OpUpdate, OpDeletePayloads, OpOutbox, OpAppendLog, OpSpendAssertion, OpErase, OpCommit}
}

// Faulty is s, except that f is asked before each operation whether it is carried out and which error the caller gets. An operation may be
// carried out and still give an error: for OpCommit that is a commit whose answer was lost, which no caller can tell from one that failed. f is
// called by any goroutine that uses the store.
func Faulty(s store.Store, f func(op Op) (apply bool, err error)) store.Store {
	return &faultyStore{Store: s, faults: f}
}

type faults func(Op) (apply bool, err error)

// do carries out a write as f decides.
func (f faults) do(op Op, write func() error) error {
	apply, err := f(op)
	if apply {
		if e := write(); e != nil {
			return e
		}
	}
	return err
}

// ask carries out a read as f decides.
func ask[T any](f faults, op Op, read func() (T, error)) (T, error) {
	var out T
	err := f.do(op, func() error {
		var err error
		out, err = read()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

type faultyStore struct {
	store.Store
	faults faults
}

// errNotApplied rolls back a commit that is not to happen.
var errNotApplied = errors.New("commit not applied")

func (s *faultyStore) InTx(ctx context.Context, f func(store.Tx) error) error {
	var fault error
	err := s.Store.InTx(ctx, func(tx store.Tx) error {
		if err := f(&faultyTx{tx, s.faults}); err != nil {
			return err
		}
		var apply bool
		if apply, fault = s.faults(OpCommit); !apply {
			return errNotApplied
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNotApplied) {
		return err
	}
	return fault
}

func (s *faultyStore) Snapshot(ctx context.Context, f func(store.Snapshot) error) error {
	return s.faults.do(OpRead, func() error { return s.Store.Snapshot(ctx, f) })
}

func (s *faultyStore) Transfer(ctx context.Context, id transfer.TransferID) (store.Transfer, error) {
	return ask(s.faults, OpRead, func() (store.Transfer, error) { return s.Store.Transfer(ctx, id) })
}

func (s *faultyStore) Transfers(ctx context.Context, ids []transfer.TransferID) ([]store.Transfer, error) {
	return ask(s.faults, OpRead, func() ([]store.Transfer, error) { return s.Store.Transfers(ctx, ids) })
}

func (s *faultyStore) Inbox(ctx context.Context, recipient transfer.PartnerID, after transfer.TransferID, limit int) ([]store.Transfer, error) {
	return ask(s.faults, OpRead, func() ([]store.Transfer, error) { return s.Store.Inbox(ctx, recipient, after, limit) })
}

func (s *faultyStore) InState(ctx context.Context, partner transfer.PartnerID, state transfer.State, after transfer.TransferID, limit int) ([]store.Transfer, error) {
	return ask(s.faults, OpRead, func() ([]store.Transfer, error) { return s.Store.InState(ctx, partner, state, after, limit) })
}

func (s *faultyStore) Work(ctx context.Context, q store.WorkQuery) ([]store.Work, error) {
	return ask(s.faults, OpRead, func() ([]store.Work, error) { return s.Store.Work(ctx, q) })
}

func (s *faultyStore) Requests(ctx context.Context, partner transfer.PartnerID, state, after string, limit int) ([]store.Request, error) {
	return ask(s.faults, OpRead, func() ([]store.Request, error) { return s.Store.Requests(ctx, partner, state, after, limit) })
}

func (s *faultyStore) EachTransfer(ctx context.Context, origin string, visit func(t store.Transfer, payload bool) error) error {
	return s.faults.do(OpRead, func() error { return s.Store.EachTransfer(ctx, origin, visit) })
}

func (s *faultyStore) SubjectsByIdentifier(ctx context.Context, hashes [][32]byte) ([]store.Identifier, error) {
	return ask(s.faults, OpRead, func() ([]store.Identifier, error) { return s.Store.SubjectsByIdentifier(ctx, hashes) })
}

func (s *faultyStore) Subjects(ctx context.Context, ids []transfer.SubjectID) ([]store.Subject, error) {
	return ask(s.faults, OpRead, func() ([]store.Subject, error) { return s.Store.Subjects(ctx, ids) })
}

func (s *faultyStore) TransfersOf(ctx context.Context, subjects []transfer.SubjectID, states []transfer.State) ([]transfer.TransferID, error) {
	return ask(s.faults, OpRead, func() ([]transfer.TransferID, error) { return s.Store.TransfersOf(ctx, subjects, states) })
}

func (s *faultyStore) Consents(ctx context.Context, subjects []transfer.SubjectID) ([]store.Consent, error) {
	return ask(s.faults, OpRead, func() ([]store.Consent, error) { return s.Store.Consents(ctx, subjects) })
}

func (s *faultyStore) Expired(ctx context.Context, now time.Time, limit int) ([]store.Transfer, error) {
	return ask(s.faults, OpRead, func() ([]store.Transfer, error) { return s.Store.Expired(ctx, now, limit) })
}

func (s *faultyStore) Due(ctx context.Context, now time.Time, limit int) ([]store.Outbox, error) {
	return ask(s.faults, OpRead, func() ([]store.Outbox, error) { return s.Store.Due(ctx, now, limit) })
}

func (s *faultyStore) Origins(ctx context.Context) ([]string, error) {
	return ask(s.faults, OpReadLog, func() ([]string, error) { return s.Store.Origins(ctx) })
}

func (s *faultyStore) LeavesOf(ctx context.Context, ids []transfer.TransferID) ([]store.LeafRef, error) {
	return ask(s.faults, OpReadLog, func() ([]store.LeafRef, error) { return s.Store.LeavesOf(ctx, ids) })
}

func (s *faultyStore) LeafBodies(ctx context.Context, refs []store.LeafRef) ([][]byte, error) {
	return ask(s.faults, OpReadLog, func() ([][]byte, error) { return s.Store.LeafBodies(ctx, refs) })
}

func (s *faultyStore) Shapes(ctx context.Context) ([]store.Shape, error) {
	return ask(s.faults, OpReadLog, func() ([]store.Shape, error) { return s.Store.Shapes(ctx) })
}

func (s *faultyStore) EachShape(ctx context.Context, visit func(id int64, body []byte) error) error {
	return s.faults.do(OpReadLog, func() error { return s.Store.EachShape(ctx, visit) })
}

func (s *faultyStore) LeavesByShape(ctx context.Context, q store.ShapeQuery) ([]store.LeafRef, error) {
	return ask(s.faults, OpReadLog, func() ([]store.LeafRef, error) { return s.Store.LeavesByShape(ctx, q) })
}

func (s *faultyStore) ShapeUse(ctx context.Context, log string, from, to int64) ([]store.ShapeUse, error) {
	return ask(s.faults, OpReadLog, func() ([]store.ShapeUse, error) { return s.Store.ShapeUse(ctx, log, from, to) })
}

func (s *faultyStore) Cases(ctx context.Context, q store.CaseQuery) ([]store.Case, error) {
	return ask(s.faults, OpRead, func() ([]store.Case, error) { return s.Store.Cases(ctx, q) })
}

func (s *faultyStore) Notices(ctx context.Context, q store.NoticeQuery) ([]store.Notice, error) {
	return ask(s.faults, OpRead, func() ([]store.Notice, error) { return s.Store.Notices(ctx, q) })
}

func (s *faultyStore) Checkpoints(ctx context.Context, log string, below int64, limit int) ([]store.Checkpoint, error) {
	return ask(s.faults, OpReadLog, func() ([]store.Checkpoint, error) { return s.Store.Checkpoints(ctx, log, below, limit) })
}

func (s *faultyStore) Cosignatures(ctx context.Context, log string, size int64) ([]store.Cosignature, error) {
	return ask(s.faults, OpReadLog, func() ([]store.Cosignature, error) { return s.Store.Cosignatures(ctx, log, size) })
}

func (s *faultyStore) CosignaturesFrom(ctx context.Context, log string, size int64, limit int) ([]store.Cosignature, error) {
	return ask(s.faults, OpReadLog, func() ([]store.Cosignature, error) { return s.Store.CosignaturesFrom(ctx, log, size, limit) })
}

func (s *faultyStore) Log(ctx context.Context, origin string) ledger.Source {
	return &faultySource{s.Store.Log(ctx, origin), s.faults}
}

type faultySource struct {
	ledger.Source
	faults faults
}

func (s *faultySource) Head() (int64, []byte, error) {
	type head struct {
		size       int64
		checkpoint []byte
	}
	h, err := ask(s.faults, OpReadLog, func() (h head, err error) {
		h.size, h.checkpoint, err = s.Source.Head()
		return h, err
	})
	return h.size, h.checkpoint, err
}

func (s *faultySource) Leaves(from, to int64) ([][]byte, error) {
	return ask(s.faults, OpReadLog, func() ([][]byte, error) { return s.Source.Leaves(from, to) })
}

func (s *faultySource) Tile(level int, index int64) ([]byte, error) {
	return ask(s.faults, OpReadLog, func() ([]byte, error) { return s.Source.Tile(level, index) })
}

type faultyTx struct {
	store.Tx
	faults faults
}

func (t *faultyTx) Load(ctx context.Context, want *store.Wanted) (*store.Loaded, error) {
	op := OpRead
	if len(want.Transfers) > 0 {
		op = OpLock
	}
	return ask(t.faults, op, func() (*store.Loaded, error) { return t.Tx.Load(ctx, want) })
}

func (t *faultyTx) LoadPeople(ctx context.Context, exclusive, shared []transfer.SubjectID) ([]store.Subject, []store.Consent, error) {
	type loaded struct {
		people   []store.Subject
		consents []store.Consent
	}
	l, err := ask(t.faults, OpLock, func() (l loaded, err error) {
		l.people, l.consents, err = t.Tx.LoadPeople(ctx, exclusive, shared)
		return l, err
	})
	return l.people, l.consents, err
}

func (t *faultyTx) TransfersOf(ctx context.Context, subjects []transfer.SubjectID, states []transfer.State) ([]transfer.TransferID, error) {
	return ask(t.faults, OpRead, func() ([]transfer.TransferID, error) { return t.Tx.TransfersOf(ctx, subjects, states) })
}

func (t *faultyTx) Insert(ctx context.Context, rows *store.Insertions) error {
	return t.faults.do(OpInsert, func() error { return t.Tx.Insert(ctx, rows) })
}

func (t *faultyTx) Update(ctx context.Context, changes []store.Change) error {
	return t.faults.do(OpUpdate, func() error { return t.Tx.Update(ctx, changes) })
}

func (t *faultyTx) DeletePayloads(ctx context.Context, ids []transfer.TransferID) error {
	return t.faults.do(OpDeletePayloads, func() error { return t.Tx.DeletePayloads(ctx, ids) })
}

func (t *faultyTx) WorkDone(ctx context.Context, done []store.WorkKey, now time.Time) error {
	return t.faults.do(OpUpdate, func() error { return t.Tx.WorkDone(ctx, done, now) })
}

func (t *faultyTx) DecideRequests(ctx context.Context, requests []store.Request) error {
	return t.faults.do(OpUpdate, func() error { return t.Tx.DecideRequests(ctx, requests) })
}

func (s *faultyStore) IdlePeople(ctx context.Context, since time.Time, after transfer.SubjectID, limit int) ([]transfer.SubjectID, error) {
	return ask(s.faults, OpRead, func() ([]transfer.SubjectID, error) { return s.Store.IdlePeople(ctx, since, after, limit) })
}

func (t *faultyTx) UpdateCases(ctx context.Context, cases []store.Case) error {
	return t.faults.do(OpUpdate, func() error { return t.Tx.UpdateCases(ctx, cases) })
}

func (t *faultyTx) UpdateNotices(ctx context.Context, notices []store.Notice) error {
	return t.faults.do(OpUpdate, func() error { return t.Tx.UpdateNotices(ctx, notices) })
}

func (t *faultyTx) RemarkPeople(ctx context.Context, people []store.Subject) error {
	return t.faults.do(OpUpdate, func() error { return t.Tx.RemarkPeople(ctx, people) })
}

func (t *faultyTx) ErasePeople(ctx context.Context, subjects []transfer.SubjectID) error {
	return t.faults.do(OpErase, func() error { return t.Tx.ErasePeople(ctx, subjects) })
}

func (t *faultyTx) DeleteConsents(ctx context.Context, ids []string) error {
	return t.faults.do(OpErase, func() error { return t.Tx.DeleteConsents(ctx, ids) })
}

func (t *faultyTx) DeleteCases(ctx context.Context, references []string) error {
	return t.faults.do(OpErase, func() error { return t.Tx.DeleteCases(ctx, references) })
}

func (t *faultyTx) DeleteRequests(ctx context.Context, references []string) error {
	return t.faults.do(OpErase, func() error { return t.Tx.DeleteRequests(ctx, references) })
}

func (t *faultyTx) PublishCheckpoint(ctx context.Context, c store.Checkpoint) error {
	return t.faults.do(OpInsert, func() error { return t.Tx.PublishCheckpoint(ctx, c) })
}

func (t *faultyTx) Cosign(ctx context.Context, lines []store.Cosignature) error {
	return t.faults.do(OpInsert, func() error { return t.Tx.Cosign(ctx, lines) })
}

func (t *faultyTx) OutboxDone(ctx context.Context, ids []transfer.TransferID) error {
	return t.faults.do(OpOutbox, func() error { return t.Tx.OutboxDone(ctx, ids) })
}

func (t *faultyTx) OutboxDefer(ctx context.Context, rows []store.Outbox) error {
	return t.faults.do(OpOutbox, func() error { return t.Tx.OutboxDefer(ctx, rows) })
}

func (t *faultyTx) AppendLog(ctx context.Context, origin string, b *ledger.Batch, about []store.LeafAbout) error {
	return t.faults.do(OpAppendLog, func() error { return t.Tx.AppendLog(ctx, origin, b, about) })
}

func (t *faultyTx) SpendAssertion(ctx context.Context, digest [32]byte, until, now time.Time) error {
	return t.faults.do(OpSpendAssertion, func() error { return t.Tx.SpendAssertion(ctx, digest, until, now) })
}
