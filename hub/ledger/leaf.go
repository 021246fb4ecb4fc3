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
	KindDecision   Kind = "decision"   // a transfer was judged, whatever the outcome
	KindRelease    Kind = "release"    // a dataset is about to leave: written before it does
	KindOutcome    Kind = "outcome"    // what became of a release, a notice or a queued transfer: receipts, failures, expiry
	KindRuling     Kind = "ruling"     // a named person decided about a hold, or reviewed an exception
	KindConsent    Kind = "consent"    // a consent event was recorded
	KindRequest    Kind = "request"    // somebody asked for data without an agreement, and how that was answered
	KindDisclosure Kind = "disclosure" // data was given away outside the hub, and somebody entered it afterwards
	KindAgreement  Kind = "agreement"  // a version was activated, suspended, retired
	KindSignature  Kind = "signature"  // a party signed a version of an agreement
	KindPartner    Kind = "partner"    // a partner was suspended or restored, or its keys changed
	KindQuery      Kind = "query"      // somebody looked at the log
	KindCase       Kind = "case"       // a step in the work on a right, a complaint, an incident, a legal hold, retention
	KindNotice     Kind = "notice"     // a partner was told something that it has to act on, or said what it did
)

// Leaf is one entry of the disclosure log. It holds pseudonyms, names of items, digests and reasons; never a value of an item,
// an identifier or free text of a person. FORMAT.md gives its bytes.
//
// A decision says everything that it depended on, as coarse words, so that it can be made again from the log alone: what a person had said and
// what people had ruled stand in the leaves before it. The release behind one says what its recipient may read (Release).
//
// A zero field is an absent one: a pointer to an empty struct reads back as nil. Integers stay within 53 bits.
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

	// What else a decision depended on.
	Undertaking *Undertaking
	Exception   *Exception
	Demand      *Demand
	Secondary   *Secondary
	Review      *Review
	Conditions  []Condition // by If
	Staff       []Person    // of those whom the above and the rulings name, the ones on the sender's register, as it had them
	Onward      string      // the clause under which the sender received what it passes on, or NotReceived; empty for its own data

	Payload     string       // release: keyed digest of the dataset, "hmac-sha256:<hex>"
	Obligations []Obligation // what comes with a permit
	Expires     time.Time    // permit-exception: from then on it permits nothing
	Receipt     string       // outcome: receipt or failure code
	Fault       string       // outcome: owner of the fault
	Attempt     int
	Owner       string
	Deadline    time.Time
	Ruling      *Ruling     // ruling
	Consent     *Consent    // consent
	Request     *Request    // request
	Disclosure  *Disclosure // disclosure
	Signature   *Signature  // signature
	Query       *Query      // query
	Case        *Case       // case
	Notice      *Notice     // notice
	Note        string      // agreement, partner: what was done, in words without personal data
}

// Actor is the partner and the system that did what the leaf records; the operator's own for what the hub does by itself. Person is set
// where a member of staff answers for it, by the id of the partner's register entry, and Role is what they acted as.
type Actor struct {
	Partner transfer.PartnerID
	System  transfer.SystemID
	Person  string
	Role    transfer.StaffRole
}

// Hub is who acts when nobody asked: the delivery worker, the sweepers.
var Hub = Actor{Partner: "hub-operator", System: "hub-operator/hub"}

// Agreement is the clause of the version of the agreement that was applied. Digest is that of the version's text.
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

// Subject is one person of a transfer, by commitment: what of them went or may go, and what was stripped. Together the two are what was there.
type Subject struct {
	Role       transfer.Role
	Position   int
	Commitment string   // hex
	Facts      []string // circumstances, as policy.Facts names them: "adult", "lacks-capacity"
	Noticed    []string // free-text items that seem to hold an address or a number
	Items      []string
	Stripped   []string
	Consents   []string // ids of the consent events it rests on
	Consent    string   // what they come to, as policy.SubjectDecision has it; empty where nobody was asked
}

// Undertaking is the referrer's assertion that it may refer (rule 001-1), without the reference of its evidence.
type Undertaking struct {
	Basis       string // "consent", ...
	Evidence    bool   // it names evidence
	InformedOn  string // "2026-11-02"
	NotInformed string // "safety" or "crime" (rule 003-4)
}

// Exception is the sender's claim that a transfer has to go all the same (domain.md section 4.3). Its fields are those of
// contracts.Exception, so that one converts to the other and none can be forgotten.
type Exception struct {
	Kind   string
	Limb   string
	Person string // by the id of the sender's register entry
	At     string // as the message has it, RFC 3339
	Record string // the sender's own reference of the written reasons

	Necessary           bool
	NoLessIntrusiveWay  bool
	NoOtherBasis        bool
	Incapable           bool
	Refused             bool
	OthersAtRisk        bool
	SeriousCrime        bool
	Coercion            bool
	InformingRaisesRisk bool
	Law                 string
}

// Demand is an order, a statute or a request that somebody outside made of the sender (domain.md section 4.3, E4 and E5).
type Demand struct {
	Instrument string
	Reference  string
	By         string // office
	Authority  string // office
	Law        string
	On         string // "2026-11-02"
	Items      []string
	Person     string // by the id of the sender's register entry
}

// Secondary is what a message for planning or research says about the National Data Opt-Out. Its fields are those of contracts.Secondary.
type Secondary struct {
	CheckedOn string
	OptedOut  bool
	Support   string
}

// Review says that somebody at the sender has read what is written freely and what is attached. Its fields are those of contracts.Review.
type Review struct {
	Person string
	At     string
}

// Condition is what a clause's when: came to for a message.
type Condition struct {
	If    string // its source text
	Holds bool
}

// Person is a member of staff, by the id of their partner's register entry, and what they may decide.
type Person struct {
	ID    string
	Roles []transfer.StaffRole
}

// NotReceived stands in Leaf.Onward for what no disclosure to the sender is on record of.
const NotReceived = "none"

// Obligation is what comes with a permit, beside what comes with every permit (domain.md section 4.8).
type Obligation struct {
	Code string
	Who  string // "sender", "recipient" or "hub"
	By   time.Time
}

// Ruling is what a person decided about a transfer. Who it was, and as what, is the leaf's Actor; when, its At.
type Ruling struct {
	Act    string   // "release", "refuse" or "return" a hold; Reviewed for an exception
	Codes  []string // the reasons that the person looked at
	Ground string   // why, as a code
}

// Reviewed is the act of a ruling that ends the review of an exception.
const Reviewed = "reviewed"

// Consent is a consent event without its words. The partner of the leaf's Actor recorded it.
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
	Evidence   bool // there is some
	Authority  string
	Notice     string    // version of the privacy notice that was shown
	At         time.Time // when it happened, which may be long before it was recorded
	Expires    time.Time
}

// Basis is why data may be given to somebody: letters and paragraphs, as agreement.Basis has them.
type Basis struct {
	Article6, Article9, Schedule1, Offence string
	Law                                    string // the power: "Police and Criminal Evidence Act 1984 s.9"
}

// Request is a one-off request without an agreement, on the form of the ICO's data sharing code (Annex B, domain.md section 2.1). There is a
// leaf when it comes in and one when it is decided, with the same Reference; the leaf's Purpose is what the data is asked for. Offices, codes
// and names of items; nobody's name.
type Request struct {
	Reference    string // given by the hub
	Organisation string // that asks: a partner's id, or the name of a body that is none
	Office       string // of whoever asks for it: "Detective Sergeant"
	Received     string // "2026-11-02"
	Items        []string
	Basis        Basis  // with its conditions and the legal power
	DPIA         string // whether an impact assessment was considered: "done", "not-needed", "not-considered"
	View         string // of the Data Protection Lead, as a code: "agrees", "disagrees", "not-asked"

	Decision string   // "granted", "part" or "refused"; empty until then
	Reasons  []string // codes
	Decided  string   // "2026-11-03"
	Person   string   // who decided, by the id of the register
	Role     transfer.StaffRole
}

// Disclosure is one that was made outside the hub. To whom it was made is the leaf's Recipient, or Office where that is no partner; for what,
// the leaf's Purpose; about whom and which items, its Subjects; the exception or demand behind it, the leaf's. Who entered it is its Actor.
type Disclosure struct {
	Office string // "duty desk, East of England Ambulance Service"
	How    string // "telephone", "post", "in-person", ...
	Basis  Basis
	Person string    // who made it, by the id of the sender's register entry
	Made   time.Time // when it was made; the leaf's At is when it was entered
}

// Signature is a party's signature under the text of the leaf's Agreement.
type Signature struct {
	Party transfer.PartnerID
	JWS   string // compact (RFC 7515): it names the key
}

// Query is a look at the log: the log of who looked is part of the log.
type Query struct {
	Kind    string // "person", "transfer", "log", "report", "reconciliation", ...
	Subject string // commitment, when about a person who is known
	Why     string
	Found   int
	Filter  string // what else was asked for, in words that name nobody: "recipient=hertfordshire-council purpose=referral.service"
	Form    string // in which form: "json", "csv", "auditevent", "html"; empty for an answer of the API
	Refused string // why it was not answered; empty when it was
}

// Case is a step of what people work on: a right that somebody exercises (domain.md section 10.1), a complaint, an incident, a legal hold, what
// retention has ended. Who took the step, and as what, is the leaf's Actor; whose case it is, its Sender.
type Case struct {
	Reference  string   // given by the hub: "case-<uuid>"
	Type       string   // "access", "rectification", "complaint", "incident", "legal-hold", ...
	Step       string   // "opened", "identity-confirmed", "extended", "told-recipients", "erased", "closed", ...
	Commitment string   // of the person, where it is about one
	Grounds    []string // codes
	Items      []string
	On         string  // the day that counts for the step: "2026-11-02"
	Due        string  // by when the next step is due: a day, or an instant (RFC 3339) where hours count
	Channel    string  // how it came in: "telephone", "post", ...
	Counts     []Count // what was found, told or removed
	Kept       []Kept  // what an erasure left
}

// Erased reports whether a leaf says that its sender has erased the person (Art 17).
func (l *Leaf) Erased() bool {
	return l.Kind == KindCase && l.Case != nil && l.Case.Type == "erasure" && l.Case.Step == "erased"
}

// Count is a number of something: people, transfers, payloads.
type Count struct {
	What string
	N    int
}

// Kept is what was not erased, and the ground: "art17(3)(b)".
type Kept struct{ What, Ground string }

// Notice tells a partner what it has to act on (Art 19 and its like), or says what it did. The leaf's Sender tells its Recipient. A notice is its
// leaf: the proof that the leaf is in the log is the signature under the notice.
type Notice struct {
	ID         string // given by the hub: "notice-<uuid>"
	Case       string // reference
	Act        string // "rectify", "erase", "restrict", "lift-restriction", "objection", "withdrawn", "recall", "incident"
	Commitment string // of the person, as in the releases it is about
	Transfers  []transfer.TransferID
	Items      []string // names; empty: all of them
	Effective  time.Time
	Respond    string // by which day: "2026-12-02"
	Status     string // empty when it is sent; then "received", "actioned" or "refused"
	Reason     string // code, when refused
}
