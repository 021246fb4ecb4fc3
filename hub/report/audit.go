package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/samber/lo"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// The profiles of IHE Basic Audit Log Patterns 1.1 (ITI BALP) that leaves go by. Each is about one person, so that a release about two people
// is two events. A leaf that none of them fits (figures about nobody, a ruling, a receipt) is an AuditEvent of plain FHIR R4.
const (
	balp           = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
	profileSource  = balp + "PrivacyDisclosure.Source"
	profileReceipt = balp + "PrivacyDisclosure.Recipient" // a recipient's own view of what it got
	profileConsent = balp + "AuthZconsent"
	profileQuery   = balp + "Query"
	profilePatient = balp + "PatientQuery"
)

// writeAuditEvents writes a FHIR R4 Bundle (type collection) of AuditEvents. A person is the commitment of the log, as the identifier of a
// Reference: never a name or a number.
func writeAuditEvents(w io.Writer, h *Head, entries iter.Seq2[Entry, error], t *Tail) error {
	head, err := json.Marshal(struct {
		ResourceType string     `json:"resourceType"`
		Identifier   identifier `json:"identifier"`
		Type         string     `json:"type"`
		Timestamp    string     `json:"timestamp"`
	}{"Bundle", identifier{own + "log", place(h.Query.Origin, h.Query.Index)}, "collection", stamp(h.At)})
	if err != nil {
		return err
	}
	type bundled struct {
		FullURL  string      `json:"fullUrl"`
		Resource *auditEvent `json:"resource"`
	}
	buf := bufio.NewWriter(w)
	_, _ = buf.WriteString(string(head[:len(head)-1]) + `,"entry":[`) // the error stays in the writer
	err = list(buf, h.seen(entries, h.Limit, t), func(e Entry) []any {
		return lo.Map(h.events(e), func(a *auditEvent, _ int) any { return bundled{"urn:uuid:" + a.ID, a} })
	})
	if err != nil {
		return err
	}
	_, _ = buf.WriteString("]}\n")
	return buf.Flush()
}

// events makes the events of a leaf: one, or one for each person of a decision or disclosure.
func (h *Head) events(e Entry) []*auditEvent {
	l := e.Leaf
	switch {
	case l.Kind == ledger.KindQuery:
		return []*auditEvent{h.look(e)}
	case l.Kind != ledger.KindDecision && l.Kind != ledger.KindRelease && l.Kind != ledger.KindDisclosure:
		return []*auditEvent{h.plain(e)}
	}
	people := lo.Filter(about(l, e.About), func(p ledger.Subject, _ int) bool {
		return l.Kind == ledger.KindDecision || len(p.Items) > 0
	})
	if len(people) == 0 {
		return []*auditEvent{h.plain(e)} // nothing of the person asked about
	}
	return lo.Map(people, func(p ledger.Subject, _ int) *auditEvent {
		if l.Kind == ledger.KindDecision {
			return h.decided(e, &p)
		}
		return h.disclosed(e, &p)
	})
}

// event is what the events of every kind have.
func (h *Head) event(e Entry, commitment string) *auditEvent {
	l := e.Leaf
	a := &auditEvent{
		ResourceType: "AuditEvent",
		ID:           uuid.NewSHA1(uuid.NameSpaceURL, []byte(place(e.Origin, e.Index)+" "+commitment)).String(),
		Recorded:     stamp(l.At), Outcome: "0",
		Source: source{Site: e.Origin, Observer: hub(e.Origin), Type: []coding{{sourceType, "4", "Application Server"}}},
	}
	if l.Purpose != "" {
		a.PurposeOfEvent = []concept{purposeOf(l)}
	}
	return a
}

// disclosed is a release, or a disclosure outside the hub: what one person's data went where. The sender is the source that observes it; in
// its recipient's own view it is the recipient that took it in.
func (h *Head) disclosed(e Entry, p *ledger.Subject) *auditEvent {
	l := e.Leaf
	a := h.event(e, p.Commitment)
	from := agent{
		Type: &concept{Coding: []coding{{dicom, "110153", "Source Role ID"}}}, Who: h.partner(l.Sender), Network: net(l.Sender, l.Actor),
		Requestor: l.Actor.Partner == l.Sender,
	}
	to := agent{
		Type: &concept{Coding: []coding{{dicom, "110152", "Destination Role ID"}}}, Who: h.partner(l.Recipient), Network: net(l.Recipient, l.Actor),
		Requestor: l.Actor.Partner == l.Recipient && l.Recipient != "",
	}
	if c := l.Agreement; c != nil && c.Flow != "" {
		to.Policy = []string{clause(c.Flow)}
	}
	if d := l.Disclosure; d != nil {
		if !d.Made.IsZero() {
			a.Period = &period{stamp(d.Made), stamp(d.Made)}
		}
		to.Network = &network{Address: cmp.Or(d.How, "outside the hub")}
		if l.Recipient == "" {
			to.Who = &reference{Display: cmp.Or(d.Office, "not on record")}
		}
	}
	a.Type, a.Action, a.Source.Observer = coding{dicom, "110106", "Export"}, "R", from.Who
	profile := profileSource
	if h.For != "" && l.Recipient == h.For && l.Sender != h.For {
		a.Type, a.Action, a.Source.Observer = coding{dicom, "110107", "Import"}, "C", to.Who
		profile = profileReceipt
	}
	a.Subtype = []coding{{lifecycle, "disclose", "Disclose Record Lifecycle Event"}}
	a.OutcomeDesc = string(l.Outcome)
	a.Agent = []agent{from, to}
	if p.Commitment != "" {
		a.Meta = &meta{[]string{profile}}
		a.Entity = append(a.Entity, patient(p.Commitment, p.Role))
	}
	a.Entity = append(a.Entity, entity{
		What: thing(e), Type: coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "3", "Report"}, Detail: details(e, p),
	})
	if l.Agreement != nil {
		a.Entity = append(a.Entity, contract(l.Agreement))
	}
	for _, id := range p.Consents {
		a.Entity = append(a.Entity, consent(&reference{Type: "Consent", Identifier: &identifier{own + "consent", id}}))
	}
	return a
}

// decided is a decision about one person of a message. The profile wants a Consent that it was decided by: where nobody was asked, the clause
// of the agreement stands in its place, and where there is none, the words for that.
func (h *Head) decided(e Entry, p *ledger.Subject) *auditEvent {
	l := e.Leaf
	a := h.event(e, p.Commitment)
	a.Type, a.Action = coding{dicom, "110113", "Security Alert"}, "E"
	a.Subtype = []coding{{authzSubtype, "AuthZ-Consent", ""}}
	a.OutcomeDesc = string(l.Outcome)
	if codes := reasonCodes(l); len(codes) > 0 {
		a.OutcomeDesc += ": " + strings.Join(codes, ", ")
	}
	if !l.Outcome.Permits() {
		a.Outcome = "8"
	}
	a.Source.Type = []coding{{sourceType, "6", "Security Server"}}
	a.Agent = []agent{
		{
			Type: &concept{Coding: []coding{{dicom, "110150", "Application"}}}, Who: h.system(l.Actor),
			Network: &network{cmp.Or(string(l.Actor.System), string(l.Actor.Partner), "not on record"), "1"},
		},
		{
			Type: &concept{Coding: []coding{{participation, "IRCP", "information recipient"}}}, Who: h.partner(l.Recipient), Requestor: true,
			PurposeOfUse: a.PurposeOfEvent,
		},
		{Type: &concept{Coding: []coding{{roleClass, "PROV", "healthcare provider"}}}, Who: h.partner(l.Recipient)},
		{Type: &concept{Coding: []coding{{securityRole, "authserver", "authorization server"}}}, Who: a.Source.Observer},
	}
	if p.Commitment != "" {
		a.Meta = &meta{[]string{profileConsent}}
		a.Entity = append(a.Entity, patient(p.Commitment, p.Role))
	}
	by := lo.Map(p.Consents, func(id string, _ int) *reference {
		return &reference{Type: "Consent", Identifier: &identifier{own + "consent", id}}
	})
	switch {
	case len(by) > 0:
	case l.Agreement != nil:
		by = []*reference{{Identifier: &identifier{own + "clause", cmp.Or(l.Agreement.Flow, string(l.Agreement.ID))}, Display: "no consent: the clause of an agreement"}}
	default:
		by = []*reference{{Display: "neither a consent nor an agreement"}}
	}
	for i, b := range by {
		c := consent(b)
		if i == 0 {
			c.Detail = details(e, p)
		}
		a.Entity = append(a.Entity, c)
	}
	return a
}

// look is a look at the log. One that was refused fits no profile, because theirs succeed.
func (h *Head) look(e Entry) *auditEvent {
	l, q := e.Leaf, e.Leaf.Query
	if q == nil {
		q = &ledger.Query{}
	}
	a := h.event(e, "")
	a.Type, a.Action = coding{eventType, "rest", "RESTful Operation"}, "E"
	a.Subtype = []coding{{interaction, "search", "search"}}
	server := agent{
		Type: &concept{Coding: []coding{{dicom, "110152", "Destination Role ID"}}}, Who: hub(e.Origin), Network: &network{e.Origin, "1"},
	}
	client := agent{
		Type: &concept{Coding: []coding{{dicom, "110153", "Source Role ID"}}}, Who: h.system(l.Actor), Requestor: l.Actor.Person == "",
		Network: &network{cmp.Or(string(l.Actor.System), string(l.Actor.Partner), "not on record"), "1"},
	}
	a.Agent = []agent{client, server}
	if l.Actor.Person != "" {
		a.Agent = append(a.Agent, person(l.Actor))
	}
	question := strings.Join(lo.Compact([]string{q.Kind, string(l.Transfer), q.Filter}), " ")
	a.Entity = []entity{
		{Type: coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "24", "Query"}, Query: []byte(cmp.Or(question, "log"))},
		{Type: coding{entityType, "4", "Other"}, What: thing(e), Detail: details(e, nil)},
	}
	profile := profileQuery
	if q.Subject != "" {
		a.Entity, profile = append(a.Entity, patient(q.Subject, "")), profilePatient
	}
	if q.Refused != "" {
		a.Outcome, a.OutcomeDesc = "8", q.Refused
		return a
	}
	a.Meta = &meta{[]string{profile}}
	return a
}

// plain is a leaf of any other kind.
func (h *Head) plain(e Entry) *auditEvent {
	l := e.Leaf
	a := h.event(e, "")
	a.Type, a.Action = coding{dicom, "110100", "Application Activity"}, "E"
	a.Subtype = []coding{{own + "kind", string(l.Kind), ""}}
	a.Agent = []agent{{Who: h.system(l.Actor), Requestor: l.Actor.Person == ""}}
	if l.Actor.Person != "" {
		a.Agent = append(a.Agent, person(l.Actor))
	}
	if l.Fault != "" {
		a.Outcome, a.OutcomeDesc = "8", l.Receipt
	}
	for _, commitment := range people(e) {
		a.Entity = append(a.Entity, patient(commitment, ""))
	}
	a.Entity = append(a.Entity, entity{
		What: thing(e), Type: coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "3", "Report"}, Detail: details(e, nil),
	})
	if l.Agreement != nil {
		a.Entity = append(a.Entity, contract(l.Agreement))
	}
	return a
}

// details says of a leaf what FHIR has no place for; p is the person that the event is about, or nil.
func details(e Entry, p *ledger.Subject) []detail {
	s := shown(e)
	var out []detail
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				out = append(out, detail{name, v})
			}
		}
	}
	add("log", e.Origin)
	add("leaf", strconv.FormatInt(e.Index, 10))
	add("kind", string(s.Kind))
	add("message", string(s.Type))
	add("purpose", string(s.Purpose))
	add("service", string(s.Service))
	add("outcome", string(s.Outcome))
	add("state", string(s.State))
	add("state-now", string(s.Now))
	if a := s.Agreement; a != nil {
		add("agreement", string(a.ID))
		add("agreement-version", strconv.Itoa(a.Version))
		add("agreement-digest", a.Digest)
		add("clause", a.Flow)
	}
	if p != nil {
		add("role", string(p.Role))
		add("item", p.Items...)
		add("stripped", p.Stripped...)
	}
	add("reason", reasonCodes(e.Leaf)...)
	add("exception", s.Exception)
	add("demand", s.Demand)
	for _, d := range s.Duties {
		add("obligation", d.Who+" "+d.Code)
	}
	add("expires", stamp(s.Expires))
	add("payload", s.Payload)
	if o := s.Outside; o != nil {
		add("basis", strings.Join(lo.Compact([]string{o.Basis.Article6, o.Basis.Article9, o.Basis.Schedule1, o.Basis.Offence, o.Basis.Law}), ", "))
		add("how", o.How)
	}
	reference, act := s.act()
	add("reference", reference)
	add("act", act)
	add("receipt", s.Receipt)
	add("why", s.Why)
	if s.Look != nil {
		add("form", s.Look.Form)
		add("found", strconv.Itoa(s.Look.Found))
	}
	add("note", s.Note)
	return out
}

func reasonCodes(l *ledger.Leaf) []string {
	return lo.Uniq(lo.Map(l.Reasons, func(r ledger.Reason, _ int) string { return r.Code }))
}

// net is where a partner took part: at the system of its that acted, or at its own place on the hub.
func net(id transfer.PartnerID, by ledger.Actor) *network {
	if by.Partner == id && by.System != "" {
		return &network{string(by.System), "1"}
	}
	return &network{Address: cmp.Or(string(id), "not on record")}
}
