package report

import (
	"strconv"
	"strings"

	"github.com/samber/lo"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// The code systems and naming systems of the events.
const (
	dicom         = "http://dicom.nema.org/resources/ontology/DCM"
	lifecycle     = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
	actReason     = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	participation = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	roleClass     = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
	securityRole  = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
	sourceType    = "http://terminology.hl7.org/CodeSystem/security-source-type"
	entityType    = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	objectRole    = "http://terminology.hl7.org/CodeSystem/object-role"
	eventType     = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	interaction   = "http://hl7.org/fhir/restful-interaction"
	resourceType  = "http://hl7.org/fhir/resource-types"
	authzSubtype  = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"
	own           = "urn:referralhub:" // as in the agreements' export to ODRL
)

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type concept struct {
	Coding []coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

type identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

type reference struct {
	Type       string      `json:"type,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

type network struct {
	Address string `json:"address"`
	Type    string `json:"type,omitempty"` // "1": the name of a machine
}

type agent struct {
	Type         *concept   `json:"type,omitempty"`
	Role         []concept  `json:"role,omitempty"`
	Who          *reference `json:"who"`
	Requestor    bool       `json:"requestor"`
	Policy       []string   `json:"policy,omitempty"`
	Network      *network   `json:"network,omitempty"`
	PurposeOfUse []concept  `json:"purposeOfUse,omitempty"`
}

type detail struct {
	Type  string `json:"type"`
	Value string `json:"valueString"`
}

type entity struct {
	What   *reference `json:"what,omitempty"`
	Type   coding     `json:"type"`
	Role   *coding    `json:"role,omitempty"`
	Query  []byte     `json:"query,omitempty"`
	Detail []detail   `json:"detail,omitempty"`
}

type auditEvent struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id"`
	Meta         *meta  `json:"meta,omitempty"`

	Type           coding    `json:"type"`
	Subtype        []coding  `json:"subtype,omitempty"`
	Action         string    `json:"action"`
	Period         *period   `json:"period,omitempty"`
	Recorded       string    `json:"recorded"`
	Outcome        string    `json:"outcome"` // "0" success, "8" it was not to be
	OutcomeDesc    string    `json:"outcomeDesc,omitempty"`
	PurposeOfEvent []concept `json:"purposeOfEvent,omitempty"`
	Agent          []agent   `json:"agent"`
	Source         source    `json:"source"`
	Entity         []entity  `json:"entity,omitempty"`
}

type meta struct {
	Profile []string `json:"profile"`
}

type period struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

type source struct {
	Site     string     `json:"site"`
	Observer *reference `json:"observer"`
	Type     []coding   `json:"type"`
}

func place(origin string, index int64) string { return origin + " " + strconv.FormatInt(index, 10) }

// thing names what a leaf is about: the transfer, or where there is none the leaf itself.
func thing(e Entry) *reference {
	if e.Leaf.Transfer != "" {
		return &reference{Identifier: &identifier{own + "transfer", string(e.Leaf.Transfer)}}
	}
	return &reference{Identifier: &identifier{own + "log", place(e.Origin, e.Index)}}
}

func patient(commitment string, role transfer.Role) entity {
	p := entity{
		What: &reference{Type: "Patient", Identifier: &identifier{own + "commitment", commitment}},
		Type: coding{entityType, "1", "Person"}, Role: &coding{objectRole, "1", "Patient"},
	}
	if role != "" {
		p.Detail = []detail{{"role", string(role)}}
	}
	return p
}

func consent(by *reference) entity {
	return entity{What: by, Type: coding{resourceType, "Consent", "Consent"}}
}

func contract(a *ledger.Agreement) entity {
	return entity{
		What:   &reference{Identifier: &identifier{own + "agreement", string(a.ID) + "@" + strconv.Itoa(a.Version)}},
		Type:   coding{resourceType, "Contract", "Contract"},
		Detail: lo.Filter([]detail{{"digest", a.Digest}, {"clause", a.Flow}}, func(d detail, _ int) bool { return d.Value != "" }),
	}
}

// clause is the URI of a clause, as the agreements' export to ODRL has it.
func clause(flow string) string {
	return own + "clause:" + strings.NewReplacer("@", ":", "#", ":", "/", ":").Replace(flow)
}

func hub(origin string) *reference {
	return &reference{Type: "Device", Identifier: &identifier{own + "log", origin}, Display: "referral hub"}
}

func (h *Head) partner(id transfer.PartnerID) *reference {
	if id == "" {
		return &reference{Display: "not on record"}
	}
	return &reference{
		Type:       "Organization", //nolint:misspell // the name of a resource of FHIR
		Identifier: &identifier{own + "partner", string(id)}, Display: h.name(id),
	}
}

func (h *Head) system(a ledger.Actor) *reference {
	if a.System == "" {
		return h.partner(a.Partner)
	}
	return &reference{Type: "Device", Identifier: &identifier{own + "system", string(a.System)}, Display: h.name(a.Partner)}
}

// person is a member of staff, by the id of their partner's register entry.
func person(a ledger.Actor) agent {
	p := agent{
		Type:      &concept{Coding: []coding{{participation, "IRCP", "information recipient"}}},
		Who:       &reference{Type: "Practitioner", Identifier: &identifier{own + "staff:" + string(a.Partner), a.Person}},
		Requestor: true,
	}
	if a.Role != "" {
		p.Role = []concept{{Text: string(a.Role)}}
	}
	return p
}

// purposeOf gives a purpose as HL7 has it where it has one, and as the agreements do.
func purposeOf(l *ledger.Leaf) concept {
	c := concept{Text: string(l.Purpose)}
	code, display := actReasons[l.Purpose].Code, actReasons[l.Purpose].Display
	if l.Exception != nil && l.Exception.Kind == "break-glass" {
		code, display = "BTG", "break the glass"
	}
	if code != "" {
		c.Coding = []coding{{actReason, code, display}}
	}
	return c
}

// actReasons are the purposes of domain.md section 2.2 in HL7 v3 ActReason, as near as it has them.
var actReasons = map[transfer.Purpose]struct{ Code, Display string }{
	"referral.service":       {"COC", "coordination of care"},
	"carers-assessment":      {"CAREMGT", "care management"},
	"young-carer-assessment": {"CAREMGT", "care management"},
	"advocacy":               {"SUPNWK", "support network"},
	"navigation":             {"COC", "coordination of care"},
	"dementia-support":       {"CAREMGT", "care management"},
	"home-safety-visit":      {"PATSFTY", "patient safety"},
	"safeguarding":           {"PATSFTY", "patient safety"},
	"safeguarding-board":     {"PATSFTY", "patient safety"},
	"emergency":              {"ETREAT", "Emergency Treatment"},
	"contract-monitoring":    {"HPRGRP", "health program reporting"},
	"contract-case":          {"HPRGRP", "health program reporting"},
	"quality-feedback":       {"HQUALIMP", "health quality improvement"},
	"legal-order":            {"HLEGAL", "legal"},
	"legal-representation":   {"HLEGAL", "legal"},
	"crime":                  {"HLEGAL", "legal"},
	"regulator":              {"HCOMPL", "health compliance"},
	"secondary-planning":     {"HOPERAT", "healthcare operations"},
	"research":               {"HRESCH", "healthcare research"},
	"integrated-dataset":     {"POPHLTH", "population health"},
	"magazine":               {"PATRQT", "patient requested"},
	"it-support":             {"HSYSADMIN", "health system administration"},
	"benefits":               {"ELIGDTRM", "eligibility determination"},
	"housing":                {"COC", "coordination of care"},
	"family":                 {"SUPNWK", "support network"},
	"provider-change":        {"COC", "coordination of care"},
	"school-support":         {"COC", "coordination of care"},
}
