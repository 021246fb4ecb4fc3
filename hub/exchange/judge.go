package exchange

import (
	"bytes"
	"encoding/json"
	"fmt"

	"referralhub/contracts"
	"referralhub/hub/consent"
	"referralhub/hub/dataset"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/replay"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// facts are what a decision needs to know of the people in a stored dataset and cannot read there, because it was cut away. They
// are sealed with the dataset.
type facts struct {
	Type   transfer.MessageType `json:"type"`
	People []personFacts        `json:"people"` // in the order of the dataset
}

type personFacts struct {
	Role      transfer.Role `json:"role"`
	Position  int           `json:"position"` // in the message as sent
	Born      string        `json:"born,omitempty"`
	Ambiguous bool          `json:"ambiguous,omitempty"`
}

// contents is a stored payload, opened.
type contents struct {
	facts   facts
	doc     *contracts.Document
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
	plain, err := x.cfg.Sealer.Open(p.Transfer, p.Sealed)
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
	return out, nil
}

// subject is a person of a message together with who the hub knows them to be.
type subject struct {
	personFacts
	id    transfer.SubjectID
	items contracts.ItemSet
}

// subjectsOf joins the people of a stored dataset with their pseudonyms. The dataset keeps the order of the message, so the k-th
// person of a role in one is the k-th of that role in the other.
func (c *commit) subjectsOf(t *store.Transfer, s *contents) ([]subject, error) {
	byRole := map[transfer.Role][]personFacts{}
	for _, f := range s.facts.People {
		byRole[f.Role] = append(byRole[f.Role], f)
	}
	out := make([]subject, len(s.doc.Subjects))
	for i, ds := range s.doc.Subjects {
		left := byRole[ds.Role]
		if len(left) == 0 {
			return nil, fmt.Errorf("transfer %s: a %s of the dataset is not among its people", t.ID, ds.Role)
		}
		out[i] = subject{personFacts: left[0], items: ds.Items}
		byRole[ds.Role] = left[1:]
		for _, j := range c.people[t.ID] {
			if j.Role == out[i].Role && j.Position == out[i].Position {
				out[i].id = j.Subject
			}
		}
	}
	return out, nil
}

// decided is a decision and what it was made on: the log has both.
type decided struct {
	policy.Decision
	request policy.Request
}

// decide puts the case of one transfer to the policy.
func (c *commit) decide(t *store.Transfer, contract *contracts.Contract, undertaking *contracts.Undertaking, people []subject) decided {
	r := policy.Request{
		Sender: t.Sender, Recipient: t.Recipient, Contract: contract,
		Purpose: t.Purpose, Service: t.Service, Undertaking: undertaking, At: c.at,
		Subjects: make([]policy.Subject, len(people)),
	}
	for i, p := range people {
		r.Subjects[i] = policy.Subject{
			Role: p.Role, Position: p.Position, Items: p.items, Events: c.events[p.id],
			Facts: policy.FactsOf(p.Role, nil, p.Born, c.at),
		}
		if p.Ambiguous {
			r.Subjects[i].Facts |= policy.IdentifiersDisagree
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
			out[i].Transform = d.Flow.Transform
		}
		out[i].Pseudonym = func(scheme, value string) string {
			if scheme == caseNumber {
				scheme += ":" + string(t.Sender) // two senders' case 1001 are two people
			}
			return c.x.cfg.Sealer.Pseudonym(t.Recipient, scheme, value)
		}
	}
	return out
}

func permitted(s *policy.SubjectDecision) contracts.ItemSet { return s.Items }
func covered(s *policy.SubjectDecision) contracts.ItemSet   { return s.Covered }

// leafOf writes a decision down as a leaf of the given kind.
func (c *commit) leafOf(kind ledger.Kind, actor ledger.Actor, t *store.Transfer, d *decided, people []subject) *ledger.Leaf {
	l := &ledger.Leaf{
		Kind: kind, Actor: actor, Transfer: t.ID, Sender: t.Sender, Recipient: t.Recipient, Type: t.Type,
		Purpose: t.Purpose, Service: t.Service, Outcome: d.Outcome, Owner: d.Owner, Deadline: d.Deadline,
		Expires: d.Expires,
	}
	if a := d.Agreement; a != nil {
		l.Agreement = &ledger.Agreement{ID: a.ID, Version: a.Version, Digest: a.Digest, Flow: a.Flow}
	}
	for _, r := range d.Reasons {
		l.Reasons = append(l.Reasons, ledger.Reason{
			Code: string(r.Code), Gate: r.Gate, Detail: r.Detail, Remedy: r.Remedy, Clause: r.Clause, Source: r.Source,
			Role: r.Role, Items: r.Items,
		})
	}
	for _, o := range d.Obligations {
		if !o.By.IsZero() { // the others come with every permit
			l.Obligations = append(l.Obligations, ledger.Obligation{Code: o.Code, Who: o.Who, By: o.By})
		}
	}
	contract := d.request.Contract
	for i, s := range d.Subjects {
		line := ledger.Subject{
			Role: s.Role, Position: s.Position, Commitment: c.commitment(people[i].id),
			Stripped: contract.Names(s.Stripped), Consents: s.Consents,
		}
		if d.Outcome.Permits() {
			line.Items = contract.Names(s.Items)
		}
		l.Subjects = append(l.Subjects, line)
	}
	replay.WriteInputs(l, &d.request)
	return l
}

func actorOf(by Principal) ledger.Actor { return ledger.Actor{Partner: by.Partner, System: by.System} }

// recordConsent adds a consent event and its leaf, and lets later operations of this commit see it.
func (c *commit) recordConsent(by Principal, ev consent.Event) (int64, error) {
	body, err := json.Marshal(ev)
	if err != nil {
		return 0, fmt.Errorf("encode consent event: %w", err)
	}
	c.insert.Consents = append(c.insert.Consents, store.Consent{
		ID: ev.ID, Subject: ev.Subject, RecordedBy: ev.RecordedBy, At: ev.At, Body: body,
	})
	c.events[ev.Subject] = append(c.events[ev.Subject], ev)
	categories := make([]string, len(ev.Categories))
	for i, k := range ev.Categories {
		categories[i] = string(k)
	}
	commitment := c.commitment(ev.Subject)
	return c.leafUnder(personKey(commitment), &ledger.Leaf{
		Kind: ledger.KindConsent, Actor: actorOf(by),
		Consent: &ledger.Consent{
			ID: ev.ID, Commitment: commitment, State: string(ev.State), Purpose: ev.Purpose, Service: ev.Service,
			Recipients: ev.Recipients, Categories: categories, Explicit: ev.Explicit, Method: ev.Method,
			Evidence: ev.Evidence != "", Authority: ev.Authority, Notice: ev.Notice, At: ev.At, Expires: ev.ExpiresAt,
		},
	}), nil
}
