package transfer

import "slices"

// Partner is an organisation on the hub, as the register declares it.
type Partner struct {
	ID              PartnerID
	Name            string // legal name, as on the agreement
	Kind            Kind
	ODS             string  // NHS ODS code, where it has one
	Charity         string  // Charity Commission number, where it has one
	Company         string  // Companies House number, where it has one
	ICO             string  // ICO registration ("Z1234567")
	DPL             Contact // the Data Protection Lead or Officer
	Location        string  // ISO 3166 code of where it processes data: "GB"
	Safeguard       string  // for a location outside the UK and its adequacy list: the transfer safeguard (domain.md gate G3)
	Suspended       bool
	SuspendedReason string
	Systems         []System
	Delivery        Delivery
	Successor       PartnerID // who took its work over, when it has been renamed, merged or replaced
	Profile         Profile   // how this body reads what notices leave open
	DSPT            DSPT      // NHS Data Security and Protection Toolkit, where it has to publish one
	People          []Person  // who may act for it on the hub, and as what
	Functions       []string  // statutory functions conferred on it ("Care Act 2014 s.67"): they let another body than a public one claim (e)
}

// Profile is what a partner's own rules add to the law. Notices disagree (domain.md section 12), so these are its own to set, and each
// can only make a decision stricter. Complaints decides nothing: it gives clocks.
type Profile struct {
	SpecialOnLegalGrounds bool   // special-category data goes out on legal or substantial-public-interest grounds alone, never on consent (rule 002-3)
	ParentBelow           int    // below this age a parent's consent is needed beside a competent child's own; 0: never (domain.md 4.4, C7, C9)
	Complaints            string // which procedure for complaints its notice has: ThreeStages, or none but the statute's (domain.md 10.2)
}

// ThreeStages is the procedure for complaints of notice 001: informal, formal, and the chief executive.
const ThreeStages = "three-stages"

// DSPT says how a partner stands with the Data Security and Protection Toolkit (domain.md section 11).
type DSPT struct {
	Status  string // "approaching-standards", "standards-met" or "standards-exceeded"; empty when it publishes none
	Expires string // "2027-06-30": the last day on which it counts
}

// Person is somebody who may act for a partner: a member of staff, by an id that the partner gave them. The log names them by this id.
type Person struct {
	ID     string // "dpl-1"; unique within the partner, and never an e-mail address
	Office string // "Data Protection Lead"
	Roles  []StaffRole
}

// StaffRole is what a person may decide.
type StaffRole string

// The roles of domain.md sections 3 and 4.3.
const (
	Caseworker        StaffRole = "caseworker"
	DataProtection    StaffRole = "dpl"
	SafeguardingLead  StaffRole = "safeguarding-lead"
	CaldicottGuardian StaffRole = "caldicott-guardian"
	Practitioner      StaffRole = "practitioner" // an authorised clinician or social worker: may break the glass (E7)
)

// StaffRoles lists them.
func StaffRoles() []StaffRole {
	return []StaffRole{Caseworker, DataProtection, SafeguardingLead, CaldicottGuardian, Practitioner}
}

// Contact is how to reach a partner about data protection: an office, never a member of the public.
type Contact struct{ Name, Email, Phone string }

// Kind is what sort of body a partner is; it decides which lawful bases the body can claim (domain.md section 4.2, notes).
type Kind string

// The kinds of partner of the source notices.
const (
	Council       Kind = "council"
	NHS           Kind = "nhs"
	FireAndRescue Kind = "fire-and-rescue"
	Charity       Kind = "charity"
	Advocacy      Kind = "advocacy"
	Housing       Kind = "housing"
	Company       Kind = "company"
	Regulator     Kind = "regulator"
	Government    Kind = "government" // a department or agency: DWP, HMRC
	Police        Kind = "police"
	Court         Kind = "court" // and a coroner or tribunal
	School        Kind = "school"
	Board         Kind = "board"       // a safeguarding board or partnership
	Individuals   Kind = "individuals" // people, reached through a partner's own staff: family, attorneys, lawyers
	Operator      Kind = "operator"    // whoever runs the hub
)

// PublicBody reports whether the body performs public tasks: such a body may claim Art 6(1)(e) and may not claim (f) or (ea)
// for those tasks; any other body the reverse.
func (k Kind) PublicBody() bool {
	return slices.Contains([]Kind{Council, NHS, FireAndRescue, Regulator, Government, Police, Court, Board}, k)
}

// System is a partner's software: an OAuth client with keys of its own.
type System struct {
	ID         SystemID
	Algorithms []string // JWS algorithms that its assertions may use; never "none" or HMAC
	Scopes     []string // what its tokens may do
}

// Delivery says how a partner is told that something waits for it.
type Delivery struct {
	Adapter string // "mailbox" or "webhook"
	URL     string // webhook: where notices go
}
