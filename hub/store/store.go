// Package store is the hub's durable state: transfers, people by pseudonym, consents, sealed payloads, the outbox and the disclosure
// log, written together in one commit. Two engines hold it, PostgreSQL (package postgres) and SQLite (package sqlite), with the same
// statements and under the same conformance suite (package storetest).
//
// MUST lines:
//   - What InTx has committed survives the loss of the process and of the machine's power: both engines sync on every commit.
//   - A transaction is all or nothing. After the first error every further call in it fails, and it is rolled back even if the
//     function swallows the error.
//   - A log grows only from the size it was read at: AppendLog is a compare-and-swap of its head.
//   - A state changes only from the state it was read in: Update is a compare-and-swap of each transfer.
//   - No error text holds a value that was stored.
//
// Times are kept in whole microseconds, UTC. Ids sort by their bytes on both engines.
//
// Deleting a payload or a salt removes it from the live database at once. What the engine keeps behind it (PostgreSQL's dead rows
// until vacuum, either engine's write-ahead log, backups) is useless without the key-encryption key, which is never in the store.
package store

import (
	"context"
	"errors"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/transfer"
)

// ErrNotFound, ErrConflict and ErrBusy are what an engine's own errors become.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict")      // a unique key is taken
	ErrBusy     = errors.New("store is busy") // lock or serialisation failure that outlived the retries
)

// Transfer is the durable state of a transfer. The decision itself is the leaf at DecisionLeaf.
type Transfer struct {
	ID            transfer.TransferID
	Sender        transfer.PartnerID
	SenderSystem  transfer.SystemID
	MessageID     transfer.MessageID
	BodyDigest    []byte // keyed digest of the message as sent, to tell a repeat from a conflict
	CorrelationID string
	Recipient     transfer.PartnerID
	Type          transfer.MessageType
	Purpose       transfer.Purpose
	Service       transfer.Service
	Undertaking   string // the basis asserted by the referrer, empty when there is none
	Flow          string // the agreement clause it was decided under, "hertswise@1#refer"
	Push          bool
	State         transfer.State
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ExpiresAt     time.Time // when its payload goes, whatever happened
	Log           string    // origin of the log that holds its leaves
	DecisionLeaf  int64
	ReleaseLeaf   int64 // -1 before the first release
	MAC           []byte
}

// Subject is a person: a random id, and the salt that makes leaves linkable until it is destroyed.
type Subject struct {
	ID   transfer.SubjectID
	Salt [32]byte
	MAC  []byte // over its identifiers too
}

// TransferSubject joins a transfer to a person in it.
type TransferSubject struct {
	Transfer transfer.TransferID
	Role     transfer.Role
	Position int
	Subject  transfer.SubjectID
}

// Identifier is the keyed hash of a number by which a person is known.
type Identifier struct {
	Hash    [32]byte
	Subject transfer.SubjectID
}

// Consent is a consent event at rest; Body is the event's JSON.
type Consent struct {
	ID         string
	Subject    transfer.SubjectID
	RecordedBy transfer.PartnerID
	At         time.Time
	Body       []byte
	Log        string // of the leaf that records it
	Leaf       int64
	MAC        []byte
}

// Payload is the sealed dataset of a transfer.
type Payload struct {
	Transfer transfer.TransferID
	Sealed   seal.Sealed
	Nonce    [32]byte // key of the payload digest in the release leaf; goes to the recipient, and is destroyed with the payload
}

// Outbox is a transfer that JetStream may not know of yet, or that must be tried again.
type Outbox struct {
	Transfer  transfer.TransferID
	Recipient transfer.PartnerID
	Due       time.Time
	Attempt   int
}

// Queue is a list of work for people.
type Queue string

// The queues.
const (
	Holds      Queue = "holds"
	Refusals   Queue = "refusals" // that somebody may look at until the deadline; from then on they stand
	Exceptions Queue = "exceptions"
)

// Work is a transfer that waits for a person to look at it.
type Work struct {
	Transfer transfer.TransferID
	Queue    Queue
	Sender   transfer.PartnerID // whose people have to look
	Owner    string             // which of them: "sender", "dpl", "safeguarding-lead"
	Deadline time.Time
	Log      string // of the leaf that made the work
	Leaf     int64
}

// WorkKey names a piece of work.
type WorkKey struct {
	Transfer transfer.TransferID
	Queue    Queue
}

// WorkQuery asks for a page of a queue.
type WorkQuery struct {
	Queue  Queue
	Sender transfer.PartnerID // everybody's when empty
	Owner  string             // anybody's when empty
	// Where the page before ended; it begins at From, so that a queue can be read from now on.
	From  time.Time
	After transfer.TransferID
	Limit int
}

// Ruling is what a person ruled about a transfer; Body is a policy.Ruling as JSON.
type Ruling struct {
	ID       [32]byte // from what was ruled: the same ruling is one row
	Transfer transfer.TransferID
	At       time.Time
	Body     []byte
	Log      string // of its leaf
	Leaf     int64
	MAC      []byte
}

// Request is a one-off request without an agreement; Body is the exchange's.
type Request struct {
	Reference string
	Partner   transfer.PartnerID // of whom it is made
	State     string             // "open", and then what was decided
	Body      []byte
	Log       string // of its newest leaf
	Leaf      int64
	MAC       []byte
}

// Entry is what was entered by hand: under which id, as which bytes, and what came of it.
type Entry struct {
	ID     [32]byte
	Digest []byte
	Answer string
	Log    string
	Leaf   int64
	MAC    []byte
}

// AgreementAct is what somebody did about a version of an agreement, or a party's signature under it; Body is the exchange's.
type AgreementAct struct {
	Seq       int64 // from 1 without a gap, over all agreements, so that of two copies of the hub only one writes the next
	Agreement transfer.AgreementID
	Version   int
	Body      []byte
	Log       string
	Leaf      int64
	MAC       []byte
}

// Shape is what a leaf says besides who and when; many leaves have the same. A shape that is there already stays as it is.
type Shape struct {
	ID    int64 // never 0
	Body  []byte
	First LeafRef // the first leaf that has it; its log must be there when the shape is written
}

// Case is a rights request, a complaint, an incident or a legal hold under way; Body is the JSON of package rights.
type Case struct {
	Reference string
	Type      string
	Partner   transfer.PartnerID // whose case it is
	Subject   transfer.SubjectID // whom it is about; empty when that is nobody in particular
	State     string
	Opened    time.Time
	Due       time.Time // zero when nothing is
	Closed    time.Time // zero until then
	Version   int64     // from 1
	Body      []byte
	Log       string // of its newest leaf
	Leaf      int64
	MAC       []byte
}

// Notice is what a recipient is told about what it was given, and its answer; Body is the JSON of package rights.
type Notice struct {
	ID        string
	Case      string
	Sender    transfer.PartnerID
	Recipient transfer.PartnerID
	State     string
	Due       time.Time // zero when nothing is
	Version   int64     // from 1
	Body      []byte
	Log       string // of its newest leaf
	Leaf      int64
	MAC       []byte
}

// CaseQuery asks for a page of cases, by reference. Empty fields mean any.
type CaseQuery struct {
	Reference    string
	Partner      transfer.PartnerID
	Type         string
	State        string
	Subject      transfer.SubjectID
	DueBefore    time.Time // those that have something due, and before this
	ClosedBefore time.Time // those that are closed, and were before this
	After        string    // the last reference of the page before
	Limit        int
}

// NoticeQuery asks for a page of notices, by id. Empty fields mean any.
type NoticeQuery struct {
	ID                string
	Sender, Recipient transfer.PartnerID
	Case              string
	State             string
	DueBefore         time.Time
	After             string
	Limit             int
}

// Checkpoint is a signed checkpoint that was published.
type Checkpoint struct {
	Log  string // origin
	Size int64
	At   time.Time
	Note []byte
}

// Cosignature is what a witness put under a published checkpoint.
type Cosignature struct {
	Log     string
	Size    int64
	Witness string
	At      time.Time
	Line    []byte
}

// Insertions are the new rows of one commit. Work replaces what the queue has about the transfer.
type Insertions struct {
	Subjects         []Subject
	Identifiers      []Identifier
	Transfers        []Transfer
	TransferSubjects []TransferSubject
	Payloads         []Payload
	Consents         []Consent
	Outbox           []Outbox
	Work             []Work
	Rulings          []Ruling
	Requests         []Request
	Entries          []Entry
	AgreementActs    []AgreementAct
	Shapes           []Shape
	Cases            []Case
	Notices          []Notice
}

// Change moves a transfer on. The store applies it only if the transfer is still in state From.
type Change struct {
	ID          transfer.TransferID
	From, To    transfer.State
	Flow        string // kept as it is when empty
	ReleaseLeaf int64  // kept as it is when negative
	At          time.Time
}

// MessageKey is a sender's idempotency key.
type MessageKey struct {
	Sender    transfer.PartnerID
	MessageID transfer.MessageID
}

// Wanted is what a group of requests depends on.
type Wanted struct {
	Messages    []MessageKey
	Identifiers [][32]byte
	Transfers   []transfer.TransferID // locked
	People      []transfer.TransferID // whose people are wanted, and what was ruled about them
	Payloads    []transfer.TransferID
	Requests    []string // locked
	Entries     [][32]byte
	ActsAfter   int64    // agreement acts later than this
	Cases       []string // locked
	Notices     []string // locked
	NoticesOf   []string // cases whose notices are wanted
}

// Loaded is the answer to Wanted. What is not there is left out.
type Loaded struct {
	ByMessage   []Transfer
	Identifiers []Identifier
	Transfers   []Transfer        // in id order
	People      []TransferSubject // by transfer, role and position
	Rulings     []Ruling          // by transfer, oldest first
	Payloads    []Payload         // in id order
	Requests    []Request         // by reference
	Entries     []Entry
	Acts        []AgreementAct // by Seq
	Cases       []Case         // by reference
	Notices     []Notice       // by id, each once
}

// Tx is one transaction. Every method takes a batch, so that a group of requests costs a fixed number of statements.
type Tx interface {
	// Load answers what a group depends on, in one round trip. It keeps anybody else from changing the transfers, requests, cases
	// and notices until the commit.
	Load(ctx context.Context, want *Wanted) (*Loaded, error)
	// LoadPeople locks people, first the exclusive ones, and then reads their consents, in one round trip. A release holds people
	// shared and a consent event exclusively, so that a withdrawal and a release of the same person are one after the other on every
	// copy of the hub.
	LoadPeople(ctx context.Context, exclusive, shared []transfer.SubjectID) ([]Subject, []Consent, error)
	// TransfersOf finds the transfers of people that are in one of states, or in any when there are none.
	TransfersOf(ctx context.Context, subjects []transfer.SubjectID, states []transfer.State) ([]transfer.TransferID, error)

	Insert(ctx context.Context, rows *Insertions) error
	// Update applies changes; ErrConflict when a transfer is not in the state it was read in.
	Update(ctx context.Context, changes []Change) error
	DeletePayloads(ctx context.Context, ids []transfer.TransferID) error
	// WorkDone takes work out of its queues, and with it the refusals whose deadline was before now. Doing it twice is no error.
	WorkDone(ctx context.Context, done []WorkKey, now time.Time) error
	// DecideRequests gives requests another state and body; ErrConflict when one is not open any more.
	DecideRequests(ctx context.Context, requests []Request) error
	// RemarkPeople gives people another MAC, when they have been given more identifiers. They must have been locked exclusively.
	RemarkPeople(ctx context.Context, people []Subject) error
	// OutboxDone forgets, OutboxDefer changes when a transfer is tried next.
	OutboxDone(ctx context.Context, ids []transfer.TransferID) error
	OutboxDefer(ctx context.Context, rows []Outbox) error
	// UpdateCases and UpdateNotices put rows in place of those of the version before; ErrConflict when another version is stored.
	UpdateCases(ctx context.Context, cases []Case) error
	UpdateNotices(ctx context.Context, notices []Notice) error
	// ErasePeople deletes people with their salts, their identifiers, their consents and their places in transfers, and takes them out of
	// cases. Nothing is left that links a leaf to them. Doing it twice is no error.
	ErasePeople(ctx context.Context, subjects []transfer.SubjectID) error
	// DeleteConsents deletes consent events. Doing it twice is no error.
	DeleteConsents(ctx context.Context, ids []string) error
	// DeleteCases deletes cases with their notices, and DeleteRequests one-off requests, because their time is over.
	DeleteCases(ctx context.Context, references []string) error
	DeleteRequests(ctx context.Context, references []string) error
	// AppendLog writes a batch of leaves; about[i] says what Leaves[i] is about. ErrConflict when the log's head is not at b.First:
	// somebody else writes to this log.
	AppendLog(ctx context.Context, origin string, b *ledger.Batch, about []LeafAbout) error
	// PublishCheckpoint keeps a checkpoint of a log that is there, and Cosign what witnesses put under some. What is there already
	// stays as it is, and is no error.
	PublishCheckpoint(ctx context.Context, c Checkpoint) error
	Cosign(ctx context.Context, lines []Cosignature) error
	// SpendAssertion remembers a client assertion; ErrConflict when it was spent before. Forgets those past their expiry.
	SpendAssertion(ctx context.Context, digest [32]byte, until, now time.Time) error
}

// Store is durable state. It is safe for concurrent use.
type Store interface {
	// InTx runs f in a transaction and commits it. Serialisation and lock failures are retried; f must have no other effect.
	// An error from the commit itself leaves it unknown whether the commit happened.
	InTx(ctx context.Context, f func(Tx) error) error
	// Snapshot reads all of one moment.
	Snapshot(ctx context.Context, f func(Snapshot) error) error

	Transfer(ctx context.Context, id transfer.TransferID) (Transfer, error)
	Transfers(ctx context.Context, ids []transfer.TransferID) ([]Transfer, error)
	// Inbox lists what waits for a recipient, oldest first, after a cursor (an id).
	Inbox(ctx context.Context, recipient transfer.PartnerID, after transfer.TransferID, limit int) ([]Transfer, error)
	// InState lists the transfers that a partner sends or receives and that are in a state, oldest first, after a cursor (an id).
	InState(ctx context.Context, partner transfer.PartnerID, state transfer.State, after transfer.TransferID, limit int) ([]Transfer, error)
	// Work lists a queue: the earliest deadline first, and so what is overdue before all else.
	Work(ctx context.Context, q WorkQuery) ([]Work, error)
	// Requests lists a partner's one-off requests (every partner's when empty), or those in one state, oldest first, after a reference.
	Requests(ctx context.Context, partner transfer.PartnerID, state, after string, limit int) ([]Request, error)
	// EachTransfer visits every transfer of a log, with whether its payload is still there, in id order; it stops with visit's error.
	EachTransfer(ctx context.Context, origin string, visit func(t Transfer, payload bool) error) error
	SubjectsByIdentifier(ctx context.Context, hashes [][32]byte) ([]Identifier, error)
	Subjects(ctx context.Context, ids []transfer.SubjectID) ([]Subject, error)
	TransfersOf(ctx context.Context, subjects []transfer.SubjectID, states []transfer.State) ([]transfer.TransferID, error)
	Consents(ctx context.Context, subjects []transfer.SubjectID) ([]Consent, error)
	// IdlePeople lists people with whom nothing has happened since an instant, no transfer and no consent event, by id after a cursor.
	IdlePeople(ctx context.Context, since time.Time, after transfer.SubjectID, limit int) ([]transfer.SubjectID, error)
	// Expired lists transfers whose payload is past its time.
	Expired(ctx context.Context, now time.Time, limit int) ([]Transfer, error)
	// Due lists outbox rows to publish again.
	Due(ctx context.Context, now time.Time, limit int) ([]Outbox, error)

	// Log reads one log; Origins lists the logs there are.
	Log(ctx context.Context, origin string) ledger.Source
	Origins(ctx context.Context) ([]string, error)
	// LeavesOf gives the indexes of the leaves about transfers, by log.
	LeavesOf(ctx context.Context, ids []transfer.TransferID) ([]LeafRef, error)
	// LeafBodies reads the leaves that refs point at, in their order; ledger.ErrAbsent when one is missing.
	LeafBodies(ctx context.Context, refs []LeafRef) ([][]byte, error)
	// Shapes lists the shapes that leaves ever had, by id. EachShape visits them, for a log of which no two leaves are alike, and stops with
	// visit's error.
	Shapes(ctx context.Context) ([]Shape, error)
	EachShape(ctx context.Context, visit func(id int64, body []byte) error) error
	// LeavesByShape lists the leaves of one log that have one of some shapes, by index.
	LeavesByShape(ctx context.Context, q ShapeQuery) ([]LeafRef, error)
	// ShapeUse counts the leaves from index from to index to (excluded) of a log by shape, for the shapes that are used there, by id.
	ShapeUse(ctx context.Context, log string, from, to int64) ([]ShapeUse, error)

	Cases(ctx context.Context, q CaseQuery) ([]Case, error)
	Notices(ctx context.Context, q NoticeQuery) ([]Notice, error)
	// Checkpoints lists the published checkpoints of a log that are smaller than below (any when 0), newest first.
	Checkpoints(ctx context.Context, log string, below int64, limit int) ([]Checkpoint, error)
	// Cosignatures lists what witnesses put under the checkpoint of that size, by witness.
	Cosignatures(ctx context.Context, log string, size int64) ([]Cosignature, error)
	// CosignaturesFrom lists what witnesses put under checkpoints of size leaves and more, the largest first, and of one checkpoint by witness, backwards.
	CosignaturesFrom(ctx context.Context, log string, size int64, limit int) ([]Cosignature, error)
	Ping(ctx context.Context) error
	Close() error
}

// LeafRef points at a leaf.
type LeafRef struct {
	Origin   string
	Index    int64
	Transfer transfer.TransferID // what it is filed under
}

// LeafAbout is by what a leaf is found: the transfer or the person that it is filed under, or empty; and its shape, or 0.
type LeafAbout struct {
	Transfer transfer.TransferID
	Shape    int64
}

// ShapeQuery asks for the leaves of a log that have one of some shapes.
type ShapeQuery struct {
	Log        string
	Shapes     []int64
	From, To   int64 // indexes; To is excluded
	Descending bool  // the newest first
	Limit      int
}

// ShapeUse is how often a shape was used in a span of a log, and by which leaves first and last.
type ShapeUse struct {
	Shape, N    int64
	First, Last int64 // indexes
}
