package agreement

import (
	"fmt"
	"time"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// Agreement is one version of a declared data-sharing agreement. It does not change after it is compiled.
type Agreement struct {
	ID      transfer.AgreementID
	Version int    // from 1
	File    string // where it was read, relative to the root
	Digest  string // "sha256:..." of the file's bytes
	Title   string
	County  string // "hertfordshire": the folder it stands in
	Flows   []*Flow

	Status     Status
	Lead       transfer.PartnerID // answers for the agreement and hears about its review
	Supersedes string             // "hertswise@1", or empty
	Paper      Paper
	Source     []Source

	// An agreement applies from Starts until just before Ends. A zero Ends is an agreement without an end: its review keeps
	// it honest. ReviewBy is the first instant at which the review is overdue.
	Starts, Ends, ReviewBy time.Time
	Contract               Contract

	Parties      []Party
	Groups       []Group
	Purposes     []Purpose
	Retention    []Retention
	Transparency []Notice
	Accuracy     Accuracy
	Security     Security
	Rights       Rights
	Complaints   Complaints
	Breach       Breach
	Governance   Governance
}

// Status is what the parties last said about an agreement. Only an Active one carries data.
type Status string

// The statuses of domain.md section 2.1.
const (
	Draft       Status = "draft"
	Signed      Status = "signed"
	Active      Status = "active"
	Suspended   Status = "suspended"
	UnderReview Status = "under-review" // stopped by its lead until the review is done
	Expired     Status = "expired"
	Terminated  Status = "terminated"
)

// Standing is whether an agreement may carry data at an instant, and if it may not, the reason.
type Standing string

// The standings. An overdue review is not one of them: it stops an agreement only after a grace that policy sets.
const (
	InForce       Standing = "in-force"
	NotStarted    Standing = "not-started" // a draft, signed but not activated, or its first day is still to come
	Stopped       Standing = "stopped"     // suspended or under review
	Ended         Standing = "ended"       // terminated, expired, or its last day has passed
	ContractEnded Standing = "contract-ended"
)

// Standing says whether this version may carry data at an instant. It looks at this version alone: see Index.Current for
// which of several versions counts.
func (a *Agreement) Standing(at time.Time) Standing {
	switch {
	case a.Status == Expired, a.Status == Terminated:
		return Ended
	case !a.Contract.Ends.IsZero() && !at.Before(a.Contract.Ends):
		return ContractEnded // an agreement that ends with its contract ended because of it
	case !a.Ends.IsZero() && !at.Before(a.Ends):
		return Ended
	case a.Status == Suspended, a.Status == UnderReview:
		return Stopped
	case a.Status != Active, at.Before(a.Starts):
		return NotStarted
	}
	return InForce
}

// Ref is how a version is written in a supersedes line, a clause or a sentence: "hertswise@1".
func (a *Agreement) Ref() string { return fmt.Sprintf("%s@%d", a.ID, a.Version) }

// Purpose finds what the agreement says about a purpose.
func (a *Agreement) Purpose(code transfer.Purpose) (*Purpose, bool) {
	for i := range a.Purposes {
		if a.Purposes[i].Code == code {
			return &a.Purposes[i], true
		}
	}
	return nil, false
}

// Flow is one permitted direction of an agreement, compiled: who may send what to whom, for which purpose, on which basis.
// A clause for several message types compiles into one Flow for each, because their items differ, and a clause whose senders
// rely on different bases into one for each basis; all have the clause's ID.
type Flow struct {
	Agreement   *Agreement
	ID          string // "hertswise@1#refer"
	From, To    []transfer.PartnerID
	Messages    []transfer.MessageType // one, when it was compiled from a file
	Contract    *contracts.Contract    // of Messages; Required, Allowed and Transform are of its items
	Purpose     transfer.Purpose
	Service     transfer.Service     // empty: the clause is not tied to a service
	Members     []transfer.PartnerID // who delivers Service
	Basis       Basis                // the sender's
	Push        bool                 // the dataset itself may be pushed; otherwise a thin notice goes and the recipient collects
	FreeText    Leave                // whether free-text items may be listed
	Attachments Leave                // whether attachments may be
	Frequency   string               // "event", "daily", ...; empty when the paper does not say
	When        *Condition           // the clause applies only where this holds; nil: always
	Secondary   bool                 // its purpose is beyond the care of the person: gate G11
	Told        bool                 // only where the person was told of it (rule 000-7)
	Compelled   bool                 // only what a demand asks for, and only for a demand (rule 001-7, E4, E5)
	AccessOnly  bool                 // the recipient may look, under its contract, and gets no copy: nothing is ever sent
	Figures     Figures              // for figures about many people
	Objection   time.Duration        // how long people have to object after they were told, before anything goes; 0: no such window
	Onward      Onward
	Required    contracts.ItemSet
	Allowed     contracts.ItemSet // includes Required and every transformed item
	Transform   map[int]contracts.Transform
}

// Leave is whether a clause lets what people write freely, or attach, go.
type Leave string

// The leaves. Without one, nothing of the kind may be listed.
const (
	Never    Leave = ""
	Reviewed Leave = "reviewed" // once somebody at the sender has read it
	Always   Leave = "always"
)

// Figures says how counts of people are blurred before they leave (domain.md section 4.5, P1). The zero value is a clause that is not about
// figures.
type Figures struct {
	Below int // a count under this is suppressed
	Round int // others are rounded to the nearest multiple of this
}

// Onward says to whom the recipient may pass on what it gets, and for what.
type Onward struct {
	To       []transfer.PartnerID // empty: to nobody
	Purposes []transfer.Purpose   // empty: for the clause's own purpose
}

// Basis is why a purpose is lawful.
type Basis struct {
	Article6        string // "a" "b" "c" "d" "e" "ea" "f"
	Article9        string // "a", "g", "h", ...; empty when no special-category item flows
	Schedule1       string // "para 18(1)(a)": the paragraph of DPA 2018 Schedule 1, where Art 9 or 10 needs one
	Offence         string // Schedule 1 condition for offence data, empty when none flows
	APD             string // reference of the appropriate policy document
	LIA             string // reference of the legitimate interests assessment, for (f)
	Confidentiality string // "explicit-consent", "implied-consent", "statute", "public-interest"
	Statute         string // the law behind (c) or (e): "Care Act 2014 s.10"
}

// Paper is the signed document that the file transcribes.
type Paper struct {
	Reference string
	SHA256    string // of the scanned document, lower-case hex
	SignedOn  time.Time
}

// Source names the rules of a public notice that an agreement rests on.
type Source struct {
	Notice string   // "000"
	Rules  []string // "000-3"
}

// Contract is the service contract that a contract-bound agreement ends with (rule 003-2).
type Contract struct {
	Reference string
	Ends      time.Time // first instant after its last day; zero when the agreement is not bound to a contract
}

// Party is one partner's place in an agreement.
type Party struct {
	Partner   transfer.PartnerID
	Role      string // "controller", "joint-controller" or "processor"
	Direction string // "discloses", "receives" or "both"
	Signatory string // an office, never a name: "chief executive"
	Contact   Contact
}

// Contact is an office to reach about an agreement.
type Contact struct{ Office, Email, Phone string }

// Group names several parties, so that flows need not list them.
type Group struct {
	Name     string
	Delivers transfer.Service // the service that these partners deliver together, or empty
	Partners []transfer.PartnerID
}

// Purpose is why data is shared, and what makes that lawful.
type Purpose struct {
	Code       transfer.Purpose
	Aim        string
	Necessity  string // why the aim needs this data
	Benefits   string
	Basis      Basis
	PerParty   map[transfer.PartnerID]Basis // parties that rely on something else than Basis
	BeyondCare bool                         // planning, research and the like: Flow.Secondary (gate G11)
	OptOut     string                       // how the National Data Opt-Out is respected, or the approval under s.251 in its place
	Prohibited []string                     // uses ruled out: "marketing"
	Consent    ConsentModel
}

// BasisFor gives the basis on which a party discloses or receives data for this purpose.
func (p *Purpose) BasisFor(party transfer.PartnerID) Basis {
	if b, ok := p.PerParty[party]; ok {
		return b
	}
	return p.Basis
}

// ConsentModel is how consent is asked for, and what a refusal or withdrawal leads to.
type ConsentModel struct {
	Form         string // the model form and its version: "hertswise-consent/2"
	OnRefusal    string
	OnWithdrawal string
}

// Retention says how long a recipient keeps what it received.
type Retention struct {
	Items    string // name of an item set; empty: everything
	Period   string // "4y", "90d": a whole number of years, months, weeks or days
	Trigger  string // what the period runs from: "last-input", "case-closed"
	Disposal string // "delete", "return" or "anonymise"
}

// String says it in words, but not of which items: "4 years from the last entry, then deleted".
func (r Retention) String() string {
	return fmt.Sprintf("%s from %s, then %s", span(r.Period), triggerWords[r.Trigger], disposalWords[r.Disposal])
}

// Notice is a party's privacy notice, where people are told about the sharing.
type Notice struct {
	Party        transfer.PartnerID
	URL, Version string
}

// Accuracy says who puts wrong data right, and how the others hear of it.
type Accuracy struct {
	Responsible transfer.PartnerID
	Corrections string
}

// Security is what the parties promise about the data in transit and at rest.
type Security struct {
	Transfer, Encryption, Access, Storage string
}

// Rights says how requests from data subjects are handled between the parties.
type Rights struct {
	PassOn  string // time to pass a request on: "2wd" (working days)
	Contact Contact
}

// Complaints says where people complain.
type Complaints struct {
	Route   string
	Contact Contact
}

// Breach says how the parties tell one another of a breach.
type Breach struct {
	NotifyWithin string             // "24h"
	ReportsToICO transfer.PartnerID // who leads the report; empty: the party where it happened
	Contact      Contact
}

// Governance is how the agreement is kept under review and ended.
type Governance struct {
	ReviewEvery, Termination, Audit, Training string
}
