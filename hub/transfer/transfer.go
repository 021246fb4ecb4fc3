// Package transfer is the hub's vocabulary: the nouns that every other package speaks, each with a type of its own so that
// one cannot be passed where another is meant. It holds no behaviour beyond the states of a transfer and the edges that join
// them, and it imports nothing.
//
//   - A partner is an organisation on the hub; a system is a partner's software with its own keys.
//   - A message is what a sender submits; a transfer is one message on its way to one recipient.
//   - A data subject is a person in the message, known to the hub by pseudonym alone.
package transfer

type (
	// PartnerID names an organisation on the hub: a lower-case slug such as "age-uk-hertfordshire". It never names a person.
	PartnerID string
	// SystemID names one of a partner's systems, and is its OAuth client id: "carers-in-hertfordshire/casework".
	SystemID string
	// TransferID names one message on its way to one recipient. Given by the hub, time-ordered (UUIDv7).
	TransferID string
	// MessageID is the sender's own id for a message and its idempotency key. Unique for one sender only.
	MessageID string
	// SubjectID is the hub's random pseudonym for a person. It never leaves the hub; leaves carry a commitment to it.
	SubjectID string
	// AgreementID names a declared data-sharing agreement: "hertswise".
	AgreementID string
	// Purpose is a code for why data is shared: "referral.service", "advocacy" (domain.md section 2.2).
	Purpose string
	// Service names a service that several partners deliver together: "hertswise".
	Service string
	// MessageType names a contract and its version: "referral/1".
	MessageType string
)

// Role says what a data subject is in a message. A referral carries several people, and each is decided on alone.
type Role string

// The roles of domain.md section 2.1 (data-subject groups) and section 4.4 (C11, C12).
const (
	Carer        Role = "carer"
	CaredFor     Role = "cared_for"
	Child        Role = "child"         // another child of the household, not the carer
	Household    Role = "household"     // another adult of the household
	AbsentParent Role = "absent_parent" // a parent who lives elsewhere
	Professional Role = "professional"  // the referrer and other professionals, in their working capacity
	Nobody       Role = "nobody"        // figures about many people, of which none can be told apart
)

// Roles lists every role in the order in which decisions and leaves name them.
func Roles() []Role {
	return []Role{Carer, CaredFor, Child, Household, AbsentParent, Professional, Nobody}
}

// Outcome is what a decision came to.
type Outcome string

// The outcomes of domain.md section 3.
const (
	Permit          Outcome = "permit"
	PermitReduced   Outcome = "permit-reduced"
	PermitException Outcome = "permit-exception"
	Hold            Outcome = "hold"
	Refuse          Outcome = "refuse"
)

// Permits reports whether the outcome lets anything go to the recipient.
func (o Outcome) Permits() bool { return o == Permit || o == PermitReduced || o == PermitException }
