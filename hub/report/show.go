package report

import (
	"slices"
	"time"

	"github.com/samber/lo"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Shown is an entry as its reader may see it, and what JSON and the API's search show of one. Names of members are those of the log's
// FORMAT.md where it has them.
type Shown struct {
	At        time.Time            `json:"at"`
	Kind      ledger.Kind          `json:"kind"`
	Transfer  transfer.TransferID  `json:"transfer_id,omitempty"`
	Sender    transfer.PartnerID   `json:"sender,omitempty"`
	Recipient transfer.PartnerID   `json:"recipient,omitempty"`
	By        transfer.SystemID    `json:"by,omitempty"`
	Person    string               `json:"person,omitempty"` // of the staff, by the id of the register
	As        transfer.StaffRole   `json:"as,omitempty"`     // what that person acted as
	Type      transfer.MessageType `json:"type,omitempty"`
	Purpose   transfer.Purpose     `json:"purpose,omitempty"`
	Service   transfer.Service     `json:"service,omitempty"`
	Outcome   transfer.Outcome     `json:"outcome,omitempty"`
	State     transfer.State       `json:"state,omitempty"` // what the transfer became
	Now       transfer.State       `json:"state_now,omitempty"`
	Receipt   string               `json:"receipt,omitempty"`
	Agreement *Agreement           `json:"agreement,omitempty"`
	Role      transfer.Role        `json:"role,omitempty"`  // of the person asked about
	Items     []string             `json:"items,omitempty"` // of the person asked about, or of everybody
	Stripped  []string             `json:"stripped,omitempty"`
	Reasons   []Reason             `json:"reasons,omitempty"`
	Consent   *Consent             `json:"consent,omitempty"`
	Ruling    *Ruling              `json:"ruling,omitempty"`
	Exception string               `json:"exception,omitempty"` // its kind
	Demand    string               `json:"demand,omitempty"`    // its reference
	Duties    []Duty               `json:"obligations,omitempty"`
	Expires   time.Time            `json:"expires_at,omitzero"`
	Payload   string               `json:"payload,omitempty"` // keyed digest of what left
	Outside   *Outside             `json:"outside,omitempty"`
	Request   *Request             `json:"request,omitempty"`
	Case      *Case                `json:"case,omitempty"`
	Notice    *Notice              `json:"notice,omitempty"`
	Look      *Look                `json:"query,omitempty"`
	Why       string               `json:"why,omitempty"` // of a look at the log
	Note      string               `json:"note,omitempty"`
	Log       Place                `json:"log"`
}

// Agreement is the clause that was applied.
type Agreement struct {
	ID      transfer.AgreementID `json:"id"`
	Version int                  `json:"version"`
	Digest  string               `json:"digest"`
	Flow    string               `json:"flow"`
}

// Reason is one ground of a decision. A recipient sees its code and gate alone.
type Reason struct {
	Code   string        `json:"code"`
	Gate   string        `json:"gate,omitempty"`
	Detail string        `json:"detail,omitempty"`
	Remedy string        `json:"remedy,omitempty"`
	Clause string        `json:"clause,omitempty"`
	Source string        `json:"source,omitempty"`
	Role   transfer.Role `json:"role,omitempty"`
	Items  []string      `json:"items,omitempty"`
}

// Consent is a consent event without the person.
type Consent struct {
	ID         string               `json:"id"`
	State      string               `json:"state"`
	Purpose    transfer.Purpose     `json:"purpose"`
	Service    transfer.Service     `json:"service,omitempty"`
	Recipients []transfer.PartnerID `json:"recipients,omitempty"`
	Categories []string             `json:"categories,omitempty"`
	Explicit   bool                 `json:"explicit"`
	Method     string               `json:"method,omitempty"`
	Authority  string               `json:"authority,omitempty"`
}

// Ruling is what a person decided, and as what.
type Ruling struct {
	Act    string             `json:"act"`
	Codes  []string           `json:"codes,omitempty"`
	Ground string             `json:"ground,omitempty"`
	Person string             `json:"person"`
	Role   transfer.StaffRole `json:"role"`
}

// Duty is what comes with a permit, and for whom.
type Duty struct {
	Code string    `json:"code"`
	Who  string    `json:"who"`
	By   time.Time `json:"by,omitzero"`
}

// Basis is why data was given outside the hub, or asked for: letters and paragraphs.
type Basis struct {
	Article6  string `json:"article6"`
	Article9  string `json:"article9,omitempty"`
	Schedule1 string `json:"schedule1,omitempty"`
	Offence   string `json:"offence,omitempty"`
	Law       string `json:"law,omitempty"`
}

// Outside says how something was disclosed outside the hub, and by whom.
type Outside struct {
	Office    string    `json:"office,omitempty"`
	How       string    `json:"how"`
	Basis     Basis     `json:"basis"`
	Exception string    `json:"exception,omitempty"`
	Request   string    `json:"request,omitempty"`
	Made      time.Time `json:"made"`
	Person    string    `json:"person"`
}

// Request is a one-off request without an agreement, and how it was answered.
type Request struct {
	Reference    string   `json:"reference"`
	Organisation string   `json:"organisation,omitempty"`
	Office       string   `json:"office,omitempty"`
	Received     string   `json:"received,omitempty"`
	Items        []string `json:"items,omitempty"`
	Decision     string   `json:"decision,omitempty"`
	Reasons      []string `json:"reasons,omitempty"`
	Decided      string   `json:"decided,omitempty"`
}

// Case is a step of what people work on.
type Case struct {
	Reference string         `json:"reference"`
	Type      string         `json:"type"`
	Step      string         `json:"step"`
	Grounds   []string       `json:"grounds,omitempty"`
	Items     []string       `json:"items,omitempty"`
	On        string         `json:"on,omitempty"`
	Due       string         `json:"due,omitempty"`
	Channel   string         `json:"channel,omitempty"`
	Counts    map[string]int `json:"counts,omitempty"`
	Kept      []Kept         `json:"kept,omitempty"`
}

// Kept is what was not erased, and the ground.
type Kept struct {
	What   string `json:"what"`
	Ground string `json:"ground"`
}

// Notice is what a partner was told to act on, or what it said that it did.
type Notice struct {
	ID        string                `json:"id"`
	Case      string                `json:"case,omitempty"`
	Act       string                `json:"act"`
	Transfers []transfer.TransferID `json:"transfers,omitempty"`
	Items     []string              `json:"items,omitempty"`
	Effective time.Time             `json:"effective,omitzero"`
	Respond   string                `json:"respond_by,omitempty"`
	Status    string                `json:"status,omitempty"`
	Reason    string                `json:"reason,omitempty"`
}

// Look is a look at the log.
type Look struct {
	Kind    string `json:"kind,omitempty"`
	Filter  string `json:"filter,omitempty"`
	Form    string `json:"form,omitempty"`
	Refused string `json:"refused,omitempty"`
	Found   int    `json:"found"`
}

// Show gives an entry as a partner may see it; nobody ("") is the operator, who sees all of it.
func Show(e Entry, to transfer.PartnerID) Shown {
	e.Leaf = visible(e.Leaf, to)
	return shown(e)
}

func shown(e Entry) Shown {
	l := e.Leaf
	s := Shown{
		At: l.At, Kind: l.Kind, Transfer: l.Transfer, Sender: l.Sender, Recipient: l.Recipient, By: l.Actor.System, Person: l.Actor.Person,
		As: l.Actor.Role, Type: l.Type, Purpose: l.Purpose, Service: l.Service, Outcome: l.Outcome, State: l.State, Now: e.State,
		Receipt: l.Receipt, Expires: l.Expires, Payload: l.Payload, Note: l.Note, Log: Place{e.Origin, e.Index},
		Reasons: lo.Map(l.Reasons, func(r ledger.Reason, _ int) Reason {
			return Reason{r.Code, r.Gate, r.Detail, r.Remedy, r.Clause, r.Source, r.Role, r.Items}
		}),
		Duties: lo.Map(l.Obligations, func(o ledger.Obligation, _ int) Duty { return Duty(o) }),
	}
	if a := l.Agreement; a != nil {
		s.Agreement = &Agreement{a.ID, a.Version, a.Digest, a.Flow}
	}
	if l.Exception != nil {
		s.Exception = l.Exception.Kind
	}
	if l.Demand != nil {
		s.Demand = l.Demand.Reference
	}
	for _, p := range about(l, e.About) {
		s.Items, s.Stripped = append(s.Items, p.Items...), append(s.Stripped, p.Stripped...)
		if e.About != "" {
			s.Role = p.Role
		}
	}
	s.acts(l)
	return s
}

// acts fills in what leaves of one kind alone hold.
func (s *Shown) acts(l *ledger.Leaf) {
	if c := l.Consent; c != nil {
		s.Consent = &Consent{c.ID, c.State, c.Purpose, c.Service, c.Recipients, c.Categories, c.Explicit, c.Method, c.Authority}
	}
	if r := l.Ruling; r != nil {
		s.Ruling = &Ruling{r.Act, r.Codes, r.Ground, l.Actor.Person, l.Actor.Role}
	}
	if d := l.Disclosure; d != nil {
		s.Outside = &Outside{
			Office: d.Office, How: d.How, Basis: Basis(d.Basis), Exception: s.Exception, Request: s.Demand, Made: d.Made, Person: d.Person,
		}
	}
	if r := l.Request; r != nil {
		s.Request = &Request{r.Reference, r.Organisation, r.Office, r.Received, r.Items, r.Decision, r.Reasons, r.Decided}
	}
	if c := l.Case; c != nil {
		s.Case = &Case{
			Reference: c.Reference, Type: c.Type, Step: c.Step, Grounds: c.Grounds, Items: c.Items, On: c.On, Due: c.Due, Channel: c.Channel,
			Counts: lo.SliceToMap(c.Counts, func(n ledger.Count) (string, int) { return n.What, n.N }),
			Kept:   lo.Map(c.Kept, func(k ledger.Kept, _ int) Kept { return Kept(k) }),
		}
	}
	if n := l.Notice; n != nil {
		s.Notice = &Notice{n.ID, n.Case, n.Act, n.Transfers, n.Items, n.Effective, n.Respond, n.Status, n.Reason}
	}
	if q := l.Query; q != nil {
		s.Look, s.Why = &Look{q.Kind, q.Filter, q.Form, q.Refused, q.Found}, q.Why
	}
}

// about lists those people of a leaf that a report speaks of: the one asked about, or all.
func about(l *ledger.Leaf, commitment string) []ledger.Subject {
	if commitment == "" {
		return l.Subjects
	}
	return lo.Filter(l.Subjects, func(p ledger.Subject, _ int) bool { return p.Commitment == commitment })
}

// visible is what a partner may read of a leaf. What a sender weighed, and what it did not let go, is between its people and the hub: a
// recipient, or anybody else, reads codes and no reasons, what went and nothing of what was there, and no obligation of the sender's. Whom a decision
// is about it reads in the release, and of what was refused or held, nowhere. Every form starts from here.
func visible(l *ledger.Leaf, to transfer.PartnerID) *ledger.Leaf {
	if to == "" || l.Sender == to {
		return l
	}
	v := *l
	v.Reasons = lo.Map(l.Reasons, func(r ledger.Reason, _ int) ledger.Reason { return ledger.Reason{Code: r.Code, Gate: r.Gate} })
	v.Subjects = lo.Map(l.Subjects, func(p ledger.Subject, _ int) ledger.Subject {
		p.Stripped, p.Facts, p.Noticed = nil, nil, nil
		return p
	})
	if l.Kind == ledger.KindDecision {
		v.Subjects = nil
	}
	v.Obligations = slices.DeleteFunc(slices.Clone(l.Obligations), func(o ledger.Obligation) bool { return o.Who == "sender" })
	if v.Actor.Partner != to {
		v.Actor.Person, v.Actor.Role = "", ""
	}
	v.Undertaking, v.Secondary, v.Review, v.Conditions, v.Staff, v.Onward, v.Owner = nil, nil, nil, nil, nil, "", ""
	return &v
}
