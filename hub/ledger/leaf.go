package ledger

import (
	"time"

	"referralhub/hub/transfer"
)

// version is the "v" of the leaf encoding that this package writes and reads.
const version = 1

// MaxLeafBytes is the longest leaf a log takes: tlog-tiles gives the length of an entry two bytes.
const MaxLeafBytes = 1<<16 - 1

// Kind says what a leaf records.
type Kind string

const (
	KindDecision  Kind = "decision"  // a transfer was judged, whatever the outcome
	KindRelease   Kind = "release"   // a dataset is about to leave: written before it does
	KindOutcome   Kind = "outcome"   // what became of a release, a notice or a queued transfer: receipts, failures, expiry
	KindConsent   Kind = "consent"   // a consent event was recorded
	KindAgreement Kind = "agreement" // a version was activated, suspended, retired
	KindPartner   Kind = "partner"   // a partner was suspended or restored, or its keys changed
	KindQuery     Kind = "query"     // somebody looked at the log
)

// Leaf is one entry of the disclosure log. It holds pseudonyms, names of items, digests and reasons; never a value of an item,
// an identifier or free text of a person. FORMAT.md gives its bytes.
//
// A zero field is an absent one: a pointer to an empty Agreement, Consent or Query reads back as nil. Integers stay within
// 53 bits.
type Leaf struct {
	Kind      Kind
	At        time.Time // UTC, whole microseconds
	Actor     Actor
	Transfer  transfer.TransferID
	Sender    transfer.PartnerID
	Recipient transfer.PartnerID
	Type      transfer.MessageType
	Purpose   transfer.Purpose
	Service   transfer.Service
	Outcome   transfer.Outcome // decision and release
	State     transfer.State   // what the transfer became
	Agreement *Agreement
	Reasons   []Reason
	Subjects  []Subject
	Payload   string // release: keyed digest of the dataset, "hmac-sha256:<hex>"
	Receipt   string // outcome: receipt or failure code
	Fault     string // outcome: owner of the fault
	Attempt   int
	Owner     string
	Deadline  time.Time
	Consent   *Consent // consent
	Query     *Query   // query
	Note      string   // agreement, partner: what was done, in words without personal data
}

// Actor is the partner and the system that did what the leaf records; the operator's own for what the hub does by itself.
type Actor struct {
	Partner transfer.PartnerID
	System  transfer.SystemID
}

// Agreement is the clause of the version of the agreement that was applied. Digest is that of the agreement's canonical form.
type Agreement struct {
	ID      transfer.AgreementID
	Version int
	Digest  string
	Flow    string
}

// Reason is one ground of a decision, as policy.Reason gives it.
type Reason struct {
	Code, Gate, Detail, Remedy, Clause, Source string
	Role                                       transfer.Role
	Items                                      []string
}

// Subject is one person of a transfer, by commitment: what of them went or may go, and what was stripped.
type Subject struct {
	Role       transfer.Role
	Position   int
	Commitment string // hex
	Items      []string
	Stripped   []string
	Consents   []string // ids of the consent events it rests on
}

// Consent is a consent event without its words.
type Consent struct {
	ID         string
	Commitment string
	State      string
	Purpose    transfer.Purpose
	Service    transfer.Service
	Recipients []transfer.PartnerID
	Categories []string
	Explicit   bool
	Method     string
	Authority  string
}

// Query is a look at the log: the log of who looked is part of the log.
type Query struct {
	Kind    string // "subject", "partner", "transfer", ...
	Subject string // commitment, when about a person who is known
	Why     string
	Found   int
}
