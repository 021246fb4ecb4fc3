package store

import (
	"context"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Snapshot is all that is stored, as it was at one moment. It is what an audit reads, beside a hub that goes on writing: nothing in it is half
// changed. It holds up no writer, but while it lasts the engine keeps what is deleted meanwhile.
type Snapshot interface {
	Log(ctx context.Context, origin string) ledger.Source
	Logs(ctx context.Context) ([]LogHead, error)
	// Borne gives the rows that leaves from index from to index to (excluded) of a log bear out.
	Borne(ctx context.Context, origin string, from, to int64) (*Borne, error)
	Transfers(ctx context.Context, ids []transfer.TransferID) ([]Transfer, error)
	EachTransfer(ctx context.Context, origin string, visit func(t Transfer, payload bool) error) error
	// Places gives who is in transfers, by transfer, role and position.
	Places(ctx context.Context, ids []transfer.TransferID) ([]TransferSubject, error)
	Subjects(ctx context.Context, ids []transfer.SubjectID) ([]Subject, error)
	// EachPerson visits everybody with the identifiers they are known by, in id order. Identifiers of nobody who is there come with a person
	// without MAC. EachPayload visits every payload, in id order.
	EachPerson(ctx context.Context, visit func(s Subject, known []Identifier) error) error
	EachPayload(ctx context.Context, visit func(Payload) error) error
	Shapes(ctx context.Context) ([]Shape, error)
	Checkpoints(ctx context.Context, log string, below int64, limit int) ([]Checkpoint, error)
	Cosignatures(ctx context.Context, log string, size int64) ([]Cosignature, error)
	// Strays gives rows that cannot stand as they do whatever the leaves say, because what they belong to is not there or is otherwise.
	Strays(ctx context.Context) ([]Stray, error)
}

// Borne are the rows that some leaves bear out, each kind in the order of the leaves.
type Borne struct {
	Leaves   []LeafRow
	Consents []Consent
	Rulings  []Ruling
	Requests []Request
	Entries  []Entry
	Acts     []AgreementAct
	Cases    []Case
	Notices  []Notice
	Work     []Work
}

// LeafRow is by what a leaf is found.
type LeafRow struct {
	Index int64
	LeafAbout
}

// LogHead is the head of a log as its row has it.
type LogHead struct {
	Origin     string
	Size       int64
	Root       []byte
	Checkpoint []byte
}

// Stray is a row that belongs to nothing.
type Stray struct {
	Table  string
	Key    string
	Detail string
}
