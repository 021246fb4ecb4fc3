package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/dataset"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/replay"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// facts are what a decision needs to know of a message and cannot read in a stored dataset, because it was cut away. They are sealed with
// the dataset, so that a release decides on the same case as the first decision did.
type facts struct {
	Type        transfer.MessageType   `json:"type"`
	People      []personFacts          `json:"people"` // everybody in the message, in its order
	Undertaking *contracts.Undertaking `json:"undertaking,omitempty"`
	Exception   *contracts.Exception   `json:"exception,omitempty"`
	Demand      *contracts.Demand      `json:"demand,omitempty"`
	Demanded    []string               `json:"demanded,omitempty"` // its items by name: a later contract may number them otherwise
	Secondary   *contracts.Secondary   `json:"secondary,omitempty"`
	Review      *contracts.Review      `json:"review,omitempty"`
	Conditions  map[string]bool        `json:"conditions,omitempty"`
	Onward      string                 `json:"onward,omitempty"` // as in the leaf: a clause, or ledger.NotReceived

	// How the clause that it was accepted under had the dataset reduced, by item. Another clause may apply at release, and may want it
	// otherwise.
	Reduced map[string]contracts.Transform `json:"reduced,omitempty"`
	Figures dataset.Figures                `json:"figures,omitzero"`
}

type personFacts struct {
	Role      transfer.Role     `json:"role"`
	Position  int               `json:"position"` // in the message as sent
	Born      string            `json:"born,omitempty"`
	Values    map[string]string `json:"facts,omitempty"`   // contracts.Subject.Facts
	Noticed   []string          `json:"noticed,omitempty"` // items by name
	Ambiguous bool              `json:"ambiguous,omitempty"`
	Kept      bool              `json:"kept,omitempty"` // something about them is in the dataset
}

// factsOf gives what a decision of this request needs later, when it was made under a clause; nil for an exception.
func factsOf(r *policy.Request, flow *agreement.Flow, people []subject) facts {
	f := facts{
		Type: r.Contract.Type, Undertaking: r.Undertaking, Exception: r.Exception, Demand: r.Demand, Secondary: r.Secondary, Review: r.Review,
		Conditions: r.Conditions, Onward: onwardText(r.Onward),
	}
	if r.Demand != nil {
		f.Demanded = r.Contract.Names(r.Demand.Items)
	}
	if flow != nil {
		f.Figures = dataset.Figures(flow.Figures)
		for item, how := range flow.Transform {
			if f.Reduced == nil {
				f.Reduced = make(map[string]contracts.Transform, len(flow.Transform))
			}
			f.Reduced[r.Contract.Items[item].Name] = how
		}
	}
	for i, p := range people {
		if noticed := r.Subjects[i].Noticed; !noticed.Empty() {
			p.Noticed = r.Contract.Names(noticed)
		}
		f.People = append(f.People, p.personFacts)
	}
	return f
}

// contents is a stored payload, opened.
type contents struct {
	facts   facts
	doc     *contracts.Document
	who     []int // for each subject of doc, whose it is among the people of the facts
	dataset []byte
	nonce   [32]byte
}

// pack joins facts and dataset into what is sealed: a line of JSON, then the dataset.
func pack(f facts, data []byte) ([]byte, error) {
	line, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	out := make([]byte, 0, len(line)+1+len(data))
	return append(append(append(out, line...), '\n'), data...), nil
}

// unpack opens a stored payload.
func (x *Exchange) unpack(p store.Payload) (*contents, error) {
	plain, err := x.cfg.Sealer.Open(p.Transfer, p.Nonce, p.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open the payload of %s: %w", p.Transfer, err)
	}
	line, data, ok := bytes.Cut(plain, []byte{'\n'})
	if !ok {
		return nil, fmt.Errorf("the payload of %s has no facts", p.Transfer)
	}
	out := &contents{dataset: data, nonce: p.Nonce}
	if err := json.Unmarshal(line, &out.facts); err != nil {
		return nil, fmt.Errorf("the facts of %s: %w", p.Transfer, err)
	}
	contract, ok := contracts.For(out.facts.Type)
	if !ok {
		return nil, fmt.Errorf("transfer %s is of type %s, which this hub does not have", p.Transfer, out.facts.Type)
	}
	if out.doc, err = contract.ParseDataset(data); err != nil {
		return nil, fmt.Errorf("the dataset of %s: %w", p.Transfer, err)
	}
	if out.who, err = whoIsWho(out); err != nil {
		return nil, fmt.Errorf("the dataset of %s: %w", p.Transfer, err)
	}
	return out, nil
}

// whoIsWho finds the people of a dataset among those of the facts. The dataset keeps the order of the message, so the k-th person of a role in
// one is the k-th kept of that role in the other.
func whoIsWho(s *contents) ([]int, error) {
	byRole := map[transfer.Role][]int{}
	for i, f := range s.facts.People {
		if f.Kept {
			byRole[f.Role] = append(byRole[f.Role], i)
		}
	}
	out := make([]int, len(s.doc.Subjects))
	for i, ds := range s.doc.Subjects {
		left := byRole[ds.Role]
		if len(left) == 0 {
			return nil, fmt.Errorf("a %s of it is not among its people", ds.Role)
		}
		out[i], byRole[ds.Role] = left[0], left[1:]
	}
	return out, nil
}

// subject is a person of a message together with who the hub knows them to be.
type subject struct {
	personFacts
	id transfer.SubjectID
}

// peopleOf joins the people of a message with the pseudonyms that belong to their identifiers.
func (c *commit) peopleOf(doc *contracts.Document, hashes [][]hash) []subject {
	people := make([]subject, len(doc.Subjects))
	for i, ds := range doc.Subjects {
		id, ambiguous := c.person(hashes[i])
		people[i] = subject{personFacts{Role: ds.Role, Position: ds.Position, Born: ds.Born, Values: ds.Facts, Ambiguous: ambiguous}, id}
	}
	return people
}

// known gives the people of a stored transfer their pseudonyms.
func (c *commit) known(t *store.Transfer, facts []personFacts) []subject {
	out := make([]subject, len(facts))
	for i, f := range facts {
		out[i].personFacts = f
		for _, j := range c.people[t.ID] {
			if j.Role == f.Role && j.Position == f.Position {
				out[i].id = j.Subject
			}
		}
	}
	return out
}

// requestOf puts the case of a stored transfer once more: what is left of the message, and all else as it was recorded. Only ages are
// those of today.
func (c *commit) requestOf(t *store.Transfer, s *contents) (policy.Request, []subject, error) {
	f, contract := &s.facts, s.doc.Contract
	r := c.requestFor(t, contract)
	r.Undertaking, r.Exception, r.Secondary, r.Review, r.Conditions = f.Undertaking, f.Exception, f.Secondary, f.Review, f.Conditions
	r.Onward = c.onwardBy(f.Onward)
	var err error
	if f.Demand != nil {
		demand := *f.Demand
		if demand.Items, err = itemSet(contract, f.Demanded); err != nil {
			return r, nil, fmt.Errorf("transfer %s: %w", t.ID, err)
		}
		r.Demand = &demand
	}
	r.Subjects = make([]policy.Subject, len(f.People))
	for i, p := range f.People {
		r.Subjects[i] = policy.Subject{Role: p.Role, Position: p.Position, Facts: policy.FactsOf(p.Role, p.Values, p.Born, c.at)}
		if r.Subjects[i].Noticed, err = itemSet(contract, p.Noticed); err != nil {
			return r, nil, fmt.Errorf("transfer %s: %w", t.ID, err)
		}
	}
	for i, ds := range s.doc.Subjects {
		r.Subjects[s.who[i]].Items = ds.Items
	}
	return r, c.known(t, f.People), nil
}

func (c *commit) requestFor(t *store.Transfer, contract *contracts.Contract) policy.Request {
	return policy.Request{
		Sender: t.Sender, Recipient: t.Recipient, Contract: contract, Purpose: t.Purpose, Service: t.Service, At: c.at, Rulings: c.rulings[t.ID],
	}
}

func itemSet(contract *contracts.Contract, names []string) (contracts.ItemSet, error) {
	var out contracts.ItemSet
	for _, name := range names {
		item, known := contract.Lookup(name)
		if !known {
			return out, fmt.Errorf("%s has no item %s", contract.Type, name)
		}
		out = out.With(item.Index)
	}
	return out, nil
}

// reopened is the case of an open transfer.
type reopened struct {
	request  policy.Request
	people   []subject
	readable bool // its payload
}

// lost reports whether somebody in the transfer has been erased: no leaf can be written about them, and so nothing released.
func (k *reopened) lost() bool {
	return slices.ContainsFunc(k.people, func(p subject) bool { return p.id == "" })
}

// reopen puts the case of an open transfer once more. Where its payload cannot be opened, because the key that sealed it is not here or not
// here yet, the case is what the leaf of the first decision says of it: that is enough to stop it, and nothing can be sent.
func (c *commit) reopen(t *store.Transfer) (reopened, error) {
	stored, err := c.x.unpack(c.payloads[t.ID])
	if err == nil {
		r, people, err := c.requestOf(t, stored)
		return reopened{r, people, true}, err
	}
	c.x.cfg.Log.Error("a payload cannot be opened; its transfer is decided by the log", "transfer_id", t.ID, "err", err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	l, err := c.x.leafAt(ctx, t.Log, t.DecisionLeaf)
	if err != nil {
		return reopened{}, err
	}
	r, err := replay.Request(l, replay.NewHistory(c.index))
	if err != nil {
		return reopened{}, fmt.Errorf("the decision about %s: %w", t.ID, err)
	}
	r.At, r.Rulings = c.at, c.rulings[t.ID]
	facts := make([]personFacts, len(r.Subjects))
	for i, s := range r.Subjects {
		facts[i] = personFacts{Role: s.Role, Position: s.Position}
	}
	return reopened{r, c.known(t, facts), false}, nil
}

// decided is a decision and what it was made on: the log has both.
type decided struct {
	policy.Decision
	request policy.Request
}

// clause is what the decision was made under; empty for an exception, and where there is none.
func (d *decided) clause() string {
	if d.Agreement == nil {
		return ""
	}
	return d.Agreement.Flow
}

// decide puts a case to the policy, with what people have said to its sender or its recipient: what they told others does not count for it.
func (c *commit) decide(r policy.Request, people []subject) decided {
	for i, p := range people {
		s := &r.Subjects[i]
		s.Events = nil
		for _, ev := range c.events[p.id] {
			if ev.RecordedBy == r.Sender || ev.RecordedBy == r.Recipient {
				s.Events = append(s.Events, ev)
			}
		}
		if p.Ambiguous {
			s.Facts |= policy.IdentifiersDisagree
		}
	}
	return decided{policy.Decide(c.index, &r), r}
}

// parts says what of each person may be kept or sent.
func (c *commit) parts(t *store.Transfer, d *decided, pick func(*policy.SubjectDecision) contracts.ItemSet) []dataset.Part {
	out := make([]dataset.Part, len(d.Subjects))
	for i := range d.Subjects {
		out[i].Items = pick(&d.Subjects[i])
		if d.Flow != nil {
			out[i].Transform, out[i].Figures = d.Flow.Transform, dataset.Figures(d.Flow.Figures)
		}
		out[i].Pseudonym = c.pseudonymFor(t)
	}
	return out
}

func (c *commit) pseudonymFor(t *store.Transfer) func(scheme, value string) string {
	return func(scheme, value string) string {
		if scheme == caseNumber {
			scheme += ":" + string(t.Sender) // two senders' case 1001 are two people
		}
		return c.x.cfg.Sealer.Pseudonym(t.Recipient, scheme, value)
	}
}

func permitted(s *policy.SubjectDecision) contracts.ItemSet { return s.Items }
func covered(s *policy.SubjectDecision) contracts.ItemSet   { return s.Covered }

// leafOf writes a decision down, which leaves the transfer as it is now.
func (c *commit) leafOf(actor ledger.Actor, t *store.Transfer, d *decided, people []subject) *ledger.Leaf {
	l := &ledger.Leaf{
		Kind: ledger.KindDecision, Actor: actor, Transfer: t.ID, Sender: t.Sender, Recipient: t.Recipient, Type: t.Type,
		Purpose: t.Purpose, Service: t.Service, Outcome: d.Outcome, State: t.State, Owner: d.Owner, Deadline: d.Deadline,
		Expires: d.Expires,
	}
	if a := d.Agreement; a != nil {
		l.Agreement = &ledger.Agreement{ID: a.ID, Version: a.Version, Digest: a.Digest, Flow: a.Flow}
	}
	l.Reasons = reasonsOf(d)
	for _, o := range d.Obligations {
		if ordinary[o.Code] != o.Who {
			l.Obligations = append(l.Obligations, ledger.Obligation{Code: o.Code, Who: o.Who, By: o.By})
		}
	}
	contract := d.request.Contract
	for i, s := range d.Subjects {
		line := ledger.Subject{
			Role: s.Role, Position: s.Position, Commitment: c.commitment(people[i].id),
			Stripped: contract.Names(s.Stripped), Consents: s.Consents, Consent: s.Consent,
		}
		if d.Outcome.Permits() {
			line.Items = contract.Names(s.Items)
		}
		l.Subjects = append(l.Subjects, line)
	}
	replay.WriteInputs(l, &d.request, c.index)
	return l
}

// ordinary is what every permit obliges whom to: leaves do not repeat it.
var ordinary = map[string]string{
	"log": "hub", "stamp": "hub", "register-recipient": "hub", "no-onward-sharing": "recipient", "confirm": "recipient", "inform": "recipient",
}

func reasonsOf(d *decided) []ledger.Reason {
	var out []ledger.Reason
	for _, r := range d.Reasons {
		out = append(out, ledger.Reason{
			Code: string(r.Code), Gate: r.Gate, Detail: r.Detail, Remedy: r.Remedy, Clause: r.Clause, Source: r.Source,
			Role: r.Role, Items: r.Items,
		})
	}
	return out
}

func actorOf(by Principal) ledger.Actor { return ledger.Actor{Partner: by.Partner, System: by.System} }

// recordConsent adds a consent event and its leaf, and lets later operations of this commit see it.
func (c *commit) recordConsent(by Principal, ev consent.Event) (int64, error) {
	body, err := json.Marshal(ev)
	if err != nil {
		return 0, fmt.Errorf("encode consent event: %w", err)
	}
	c.events[ev.Subject] = append(c.events[ev.Subject], ev)
	commitment := c.commitment(ev.Subject)
	leaf := c.leafUnder(personKey(commitment), &ledger.Leaf{Kind: ledger.KindConsent, Actor: actorOf(by), Consent: consentIn(&ev, commitment)})
	c.insert.Consents = append(c.insert.Consents, store.Consent{
		ID: ev.ID, Subject: ev.Subject, RecordedBy: ev.RecordedBy, At: ev.At, Body: body, Log: c.x.cfg.Origin, Leaf: leaf,
	})
	return leaf, nil
}

// consentIn is a consent event as its leaf has it.
func consentIn(ev *consent.Event, commitment string) *ledger.Consent {
	categories := make([]string, len(ev.Categories))
	for i, k := range ev.Categories {
		categories[i] = string(k)
	}
	return &ledger.Consent{
		ID: ev.ID, Commitment: commitment, State: string(ev.State), Purpose: ev.Purpose, Service: ev.Service,
		Recipients: ev.Recipients, Categories: categories, Explicit: ev.Explicit, Method: ev.Method,
		Evidence: ev.Evidence != "", Authority: ev.Authority, Notice: ev.Notice, At: ev.At, Expires: ev.ExpiresAt,
	}
}
