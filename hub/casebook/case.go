package casebook

import (
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"referralhub/hub/agreement"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// Case is one story beside the agreements, as its file tells it: the package comment explains every key.
type Case struct {
	Name     string   `yaml:"case"`
	Covers   []string `yaml:"covers"`
	Scenario string   `yaml:"scenario"`
	At       Moment   `yaml:"at"`

	From     transfer.PartnerID `yaml:"from"`
	To       transfer.PartnerID `yaml:"to"`
	Message  Message            `yaml:"message"`
	PassesOn string             `yaml:"passes_on"`
	Changes  `yaml:",inline"`
	Consents []Consent `yaml:"consents"`
	Expect   Expect    `yaml:"expect"`
	Then     []Step    `yaml:"then"`

	File     string `yaml:"-"` // relative to the root
	Line     int    `yaml:"-"` // where the case starts, from 1
	Received *Case  `yaml:"-"` // what PassesOn names
}

// Moment is an instant of a file: RFC 3339, nothing else. (The YAML library would read what it does not know as no time at all.)
type Moment struct{ time.Time }

// UnmarshalYAML reads the scalar.
func (m *Moment) UnmarshalYAML(n ast.Node) error {
	at, err := time.Parse(time.RFC3339, n.GetToken().Value)
	if err != nil {
		return &yaml.SyntaxError{Message: "this is not a time such as 2026-11-20T10:00:00Z", Token: n.GetToken()}
	}
	m.Time = at.UTC()
	return nil
}

// Message says what is sent.
type Message struct {
	Like string         `yaml:"like"`
	With map[string]any `yaml:"with"` // a merge patch
	Set  map[string]any `yaml:"set"`  // by JSON pointer: what a merge patch cannot reach
}

func (m *Message) empty() bool { return m.Like == "" && m.With == nil }

// Changes are made to what stands in the folder of agreements.
type Changes struct {
	Register   map[transfer.PartnerID]map[string]any `yaml:"register"`
	Agreements map[string]agreement.Status           `yaml:"agreements"`
}

// Consent is an event of consent/1 without its subject and its ids.
type Consent struct {
	By transfer.PartnerID `yaml:"by" json:"-"`
	Of string             `yaml:"of" json:"-"`

	State      string               `yaml:"state" json:"state"`
	Purpose    transfer.Purpose     `yaml:"purpose" json:"purpose"`
	Service    transfer.Service     `yaml:"service" json:"service,omitempty"`
	Recipients []transfer.PartnerID `yaml:"recipients" json:"recipients,omitempty"`
	Categories []string             `yaml:"categories" json:"categories,omitempty"`
	Explicit   bool                 `yaml:"explicit" json:"explicit"`
	Method     string               `yaml:"method" json:"method"`
	Evidence   string               `yaml:"evidence" json:"evidence,omitempty"`
	Authority  string               `yaml:"authority" json:"authority"`
	Notice     string               `yaml:"notice" json:"notice,omitempty"`
	At         Moment               `yaml:"at" json:"at"`
	ExpiresAt  Moment               `yaml:"expires_at" json:"expires_at,omitzero"`
}

// Step is something that happens after the message was submitted, and what the hub then says of it. A step without a consent, a
// ruling or a change lets time pass.
type Step struct {
	At      Moment   `yaml:"at"`
	Consent *Consent `yaml:"consent"`
	Ruling  *Ruling  `yaml:"ruling"`
	Changes `yaml:",inline"`
	Expect  Expect `yaml:"expect"`
}

// Ruling is what a person of the sender decides about a transfer that is held.
type Ruling struct {
	By     string             `yaml:"by"`
	As     transfer.StaffRole `yaml:"as"`
	Act    policy.Act         `yaml:"act"`
	Codes  []policy.Code      `yaml:"codes"`
	Ground string             `yaml:"ground"`
}

// Expect is what a decision should be. What it leaves out is not compared.
type Expect struct {
	Outcome        transfer.Outcome    `yaml:"outcome"`
	Items          map[string]Items    `yaml:"items"`
	Stripped       map[string][]string `yaml:"stripped"`
	Reasons        *[]policy.Code      `yaml:"reasons"`
	ReasonsInclude []policy.Code       `yaml:"reasons_include"`
	Obligations    []string            `yaml:"obligations"`
	Owner          string              `yaml:"owner"`
	Dataset        Dataset             `yaml:"dataset"`
}

// Items says which items of a person may go.
type Items struct {
	All *[]string `yaml:"all"` // exactly these
	Has []string  `yaml:"has"`
	Not []string  `yaml:"not"`
}

// Dataset says what stands in what the recipient gets, by JSON pointer.
type Dataset struct {
	Has    []string       `yaml:"has"`
	Equals map[string]any `yaml:"equals"`
}
