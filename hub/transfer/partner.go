package transfer

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
	Operator      Kind = "operator" // whoever runs the hub
)

// PublicBody reports whether the body performs public tasks: such a body may claim Art 6(1)(e) and may not claim (f) or (ea)
// for those tasks; any other body the reverse.
func (k Kind) PublicBody() bool {
	return k == Council || k == NHS || k == FireAndRescue || k == Regulator
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
