// Package contracts is what partners send one another, in a form that machines can check: a JSON Schema for each message type,
// the OpenAPI description and examples, all embedded, and the engine that reads messages by them. README.md is for those who
// write to the hub; this comment is for those who read here.
//
// A schema keeps to a part of JSON Schema 2020-12 and marks what its members mean:
//
//	x-envelope: true        at the top level: for the hub to read, and about nobody
//	x-subject: role         this object, which may be an element of an array, is a data subject
//	x-about: role           the items of this section belong to the first subject of the role
//	x-category: category    this value, with all that is inside it, is one item
//	x-special, x-offence, x-free-text, x-directive: true
//	x-attachment: true      documents as somebody wrote them
//	x-identifier: scheme    the item is a number by which somebody knows the person
//	x-born: true            the item is when the person was born
//	x-fact: name            what the item, or this part of it, says of the person is something that decisions turn on
//
// Compile turns it into a program that reads a message once: it validates, finds every fault, and keeps where each item lies,
// so that cutting a message down copies bytes and never decodes them. A keyword that the program does not know makes it call a
// general validator as well, which is slower and otherwise no different.
//
//   - An item MUST have a name of its own, and every leaf MUST be in an item or in the envelope: what nobody has named, nobody
//     can permit.
//   - A fault MUST NOT quote a value. It may name an unknown member, cut short and with its digits masked.
//   - AppendOnly MUST NOT write a byte of a value that it was not told to keep.
package contracts

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"referralhub/hub/transfer"
)

//go:embed *.schema.json openapi.json examples/*.json
var files embed.FS

// compiled is every contract of this package. A schema that does not compile is a fault of the build, and a test compiles them
// all; hence the panic.
var compiled = sync.OnceValue(func() map[transfer.MessageType]published {
	names, err := files.ReadDir(".")
	if err != nil {
		panic(fmt.Sprintf("contracts: %v", err))
	}
	all := map[transfer.MessageType]published{}
	for _, entry := range names {
		name, isSchema := strings.CutSuffix(entry.Name(), ".schema.json")
		if !isSchema {
			continue
		}
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			panic(fmt.Sprintf("contracts: %v", err))
		}
		contract, err := Compile(text)
		if err != nil {
			panic(fmt.Sprintf("contracts: compile %s: %v", entry.Name(), err))
		}
		described := transfer.MessageType(strings.Replace(name, ".v", "/", 1))
		switch contract.Type {
		case described:
		case "":
			contract = nil
		default:
			panic(fmt.Sprintf("contracts: %s says that it describes %s", entry.Name(), contract.Type))
		}
		all[described] = published{contract, text}
	}
	return all
})

type published struct {
	contract *Contract // nil: what the schema describes is no message (a problem document)
	schema   []byte
}

// Contract is one published message type, compiled from its schema: a catalogue of items and a validator. It does not change,
// and is safe for concurrent use.
type Contract struct {
	Type  transfer.MessageType
	Items []Item // by Index

	byName  map[string]int
	program *program
}

// Document is a message that its contract accepts. It keeps the bytes as sent and knows where every item lies in them, so
// that cutting it down copies and never decodes. It is not safe for concurrent use.
type Document struct {
	Contract    *Contract
	Body        []byte // as sent; it must not change
	Envelope    Envelope
	Subjects    []Subject
	Undertaking *Undertaking
	Exception   *Exception
	Demand      *Demand
	Secondary   *Secondary
	Review      *Review
	Consents    []Consent

	nodes []node
}

// Envelope is what the hub needs in order to route a message. None of it is about a person.
type Envelope struct {
	MessageID     transfer.MessageID
	CorrelationID string
	Purpose       transfer.Purpose
	Service       transfer.Service
	Recipients    []transfer.PartnerID
	OnwardOf      transfer.TransferID // what the sender received and now passes on; empty for what is the sender's own
}

// Subject is one data subject of a document. Subjects stand in the order in which the document first speaks of them.
type Subject struct {
	Role        transfer.Role
	Position    int          // among the subjects of its role, from 0
	Items       ItemSet      // what is present about this person
	Identifiers []Identifier // of this person; several belong to one person
	Born        string       // "2011-04-02", "2011", or empty when unknown
	// Facts are the values of items that the decision turns on, by the name that the schema gives them (x-fact): "capacity":
	// "in-doubt", "address-protected": "true". They are personal data. Nil when the message has none.
	Facts map[string]string
	// Noticed are the free-text items in which somebody has typed what looks like an address, a telephone number, an e-mail address or a
	// number that identifies a person: see notice.
	Noticed ItemSet
}

// Identifier is a number by which somebody knows a person. It is personal data: hash it, never log it.
type Identifier struct {
	Scheme string // "nhs-number", "case-number"
	Value  string
}

// Undertaking is the referrer's assertion that it may refer (notice 001 section 4.1, rule 001-1).
type Undertaking struct {
	Basis       string // "consent", "legal-obligation", ...: as the referral contract lists them
	EvidenceRef string
	AssertedAt  string
	TextVersion string

	InformedOn  string // the day on which the person was told of this sharing: "2026-11-02"; empty when that is not said
	NotInformed string // why the person was not told: "safety", "crime" (rule 003-4), or empty
}

// Exception is a claim that a transfer has to go although the agreements and consents do not let it (domain.md section 4.3). Somebody with
// the role makes it, answers for it, and it is reviewed.
type Exception struct {
	Kind   string // "danger-to-life" (E1), "danger-to-another" (E2), "safeguarding" (E3), "crime-report" (E6), "break-glass" (E7)
	Limb   string // E3: which limb of Sch 1 para 18 holds, "a", "b" or "c"
	Person string // who decided, by the id that the sender's register entry gives them
	At     string // when, RFC 3339
	Record string // the sender's own reference of the written reasons

	Necessary           bool   // it cannot be done with less
	NoLessIntrusiveWay  bool   // E1, E2: rule 001-19
	NoOtherBasis        bool   // E2: rule 001-21
	Incapable           bool   // E1: the person cannot consent, physically or legally
	Refused             bool   // the person has capacity and said no (E3a, E3b)
	OthersAtRisk        bool   // E3b
	SeriousCrime        bool   // E3b
	Coercion            bool   // E3b: or a position of trust is abused
	InformingRaisesRisk bool   // so the person is not told (rule 003-4)
	Law                 string // E6: the Act and section
}

// Demand is an order, a statute or a request that somebody outside made of the sender (E4, E5), in the words of its instrument.
type Demand struct {
	Instrument string // "court-order", "statute", "regulator", "warrant" compel; "request" does not
	Reference  string
	By         string  // office of the officer who asks: "Detective Sergeant, Hertfordshire Constabulary"
	Authority  string  // office of who authorised it
	Law        string  // the power: "Health and Social Care Act 2008 s.64"
	On         string  // "2026-11-02"
	Items      ItemSet // exactly what is asked for
	Person     string  // who at the sender decided that it must or may be met
}

// Secondary is what a message for planning or research says about the National Data Opt-Out (gate G11).
type Secondary struct {
	CheckedOn string // the day on which the opt-out was looked up; empty when it was not
	OptedOut  bool   // somebody of this message has opted out
	Support   string // approval under s.251 NHS Act 2006, or empty
}

// Review says that somebody at the sender has read what is written freely in the message and what is attached to it.
type Review struct {
	Person string // by the id that the sender's register entry gives them
	At     string
}

// Consent is a consent event carried inside a message, about one of its subjects.
type Consent struct {
	Role     transfer.Role
	Position int
	Body     []byte // the event as it stands in the message, its member "subject" included, for consent.Parse
}

// Fault is one thing wrong with a message, in words its sender can act on. It never quotes the value.
type Fault struct {
	Pointer string `json:"pointer"` // RFC 6901: "/carer/nhs_number"
	Rule    string `json:"rule"`    // "required", "unknown-item", "type", "format", "check-digit", "duplicate-key", ...
	Detail  string `json:"detail"`
	Remedy  string `json:"remedy"`
}

// Lookup finds an item by name.
func (c *Contract) Lookup(name string) (Item, bool) {
	i, ok := c.byName[name]
	if !ok {
		return Item{}, false
	}
	return c.Items[i], true
}

// Names gives the names of a set, in catalogue order. It is never nil.
func (c *Contract) Names(s ItemSet) []string {
	names := make([]string, 0, s.Len())
	for i := range s.All() {
		names = append(names, c.Items[i].Name)
	}
	return names
}

// For returns the contract of a message type.
func For(t transfer.MessageType) (*Contract, bool) {
	contract := compiled()[t].contract
	return contract, contract != nil
}

// Named gives the message type that a message says it is of, without looking at the rest of it; empty when it does not say.
func Named(body []byte) transfer.MessageType {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return ""
	}
	for {
		name, err := d.ReadToken()
		if err != nil || name.Kind() != '"' {
			return ""
		}
		if name.String() != "contract" {
			if d.SkipValue() != nil {
				return ""
			}
			continue
		}
		value, err := d.ReadToken()
		if err != nil || value.Kind() != '"' {
			return ""
		}
		return transfer.MessageType(value.String())
	}
}

// Types lists everything that has a schema: the message types, and "problem/1", which describes an answer and is no message.
func Types() []transfer.MessageType { return slices.Sorted(maps.Keys(compiled())) }

// Schema returns a schema of Types as published, byte for byte. The caller must not change it.
func Schema(t transfer.MessageType) ([]byte, bool) {
	p, ok := compiled()[t]
	return p.schema, ok
}

// OpenAPI returns the description of the hub's interface, OpenAPI 3.1, as published.
func OpenAPI() []byte {
	text, _ := files.ReadFile("openapi.json") // embedded: it cannot fail
	return text
}

// Examples names the synthetic messages that come with the contracts, for people who write to the hub and for tests.
func Examples() []string {
	entries, _ := files.ReadDir("examples") // embedded: it cannot fail
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), ".json"))
	}
	return names
}

// Example returns a synthetic message by the name of its file without the ending: "adult-carer-hertswise".
func Example(name string) ([]byte, error) {
	text, err := files.ReadFile("examples/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("read example: %w", err)
	}
	return text, nil
}
