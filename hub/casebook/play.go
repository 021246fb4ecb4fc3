package casebook

import (
	"fmt"
	"slices"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/dataset"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// Played is what came of a case.
type Played struct {
	*Case
	Answers     []Answer // to the message, and after each step
	Differences []string // between what was expected and what came; none when the case passes
}

// Passed reports whether everything came as it was expected.
func (p *Played) Passed() bool { return len(p.Differences) == 0 }

// Play plays a case through the policy. That a case cannot be played is a difference too.
func (b *Book) Play(c *Case) Played {
	p := Played{Case: c}
	if err := p.play(b); err != nil {
		p.Differences = append(p.Differences, "it cannot be played: "+err.Error())
	}
	return p
}

// PlayAll plays cases in their order.
func (b *Book) PlayAll(cases []*Case) []Played {
	return lo.Map(cases, func(c *Case, _ int) Played { return b.Play(c) })
}

func (p *Played) play(b *Book) error {
	t, err := b.submit(p.Case)
	if err != nil {
		return err
	}
	if err := p.compare("", &p.Expect, t); err != nil {
		return err
	}
	if clause := t.clause(); clause != "" && len(p.Covers) > 0 && !slices.Contains(p.Covers, clause) {
		p.Differences = append(p.Differences, fmt.Sprintf("covers: expected to be decided under one of %v, came %s", p.Covers, clause))
	}
	for i := range p.Then {
		s := &p.Then[i]
		when := fmt.Sprintf("then, step %d: ", i+1)
		if err := t.follow(b, s); err != nil {
			return fmt.Errorf("%s%w", when, err)
		}
		if err := p.compare(when, &s.Expect, t); err != nil {
			return err
		}
	}
	return nil
}

func (p *Played) compare(when string, e *Expect, t *played) error {
	a, err := t.answer()
	if err != nil {
		return fmt.Errorf("%s%w", when, err)
	}
	p.Answers = append(p.Answers, a)
	for _, d := range e.Differences(&a) {
		p.Differences = append(p.Differences, when+d)
	}
	return nil
}

// played is a transfer as far as the policy knows of one.
type played struct {
	c        *Case
	doc      *contracts.Document
	changes  Changes
	index    *agreement.Index
	events   [][]consent.Event // by subject
	items    []contracts.ItemSet
	rulings  []policy.Ruling
	onward   *policy.Onward
	at       time.Time
	decision policy.Decision
	over     bool // nothing can follow
}

// submit puts the message of a case to the policy.
func (b *Book) submit(c *Case) (*played, error) {
	doc, err := c.Document()
	if err != nil {
		return nil, err
	}
	t := &played{c: c, doc: doc, changes: c.Changes, events: make([][]consent.Event, len(doc.Subjects)), at: c.At.Time}
	if t.index, err = b.changed(&c.Changes); err != nil {
		return nil, err
	}
	for i := range c.Consents {
		if err := t.record(&c.Consents[i]); err != nil {
			return nil, err
		}
	}
	for _, k := range doc.Consents {
		ev, err := consent.Parse(k.Body)
		if err != nil {
			return nil, err
		}
		ev.RecordedBy = c.From
		t.said(k.Role, k.Position, ev)
	}
	if doc.Envelope.OnwardOf != "" {
		t.onward = &policy.Onward{} // of a transfer that is not on record, unless the case says by which it came
	}
	if c.Received != nil {
		first, err := b.submit(c.Received)
		if err != nil {
			return nil, fmt.Errorf("what it passes on: %w", err)
		}
		if first.decision.Outcome.Permits() && c.Received.To == c.From {
			t.onward.Flow = first.decision.Flow
		}
	}
	for i := range doc.Subjects {
		t.items = append(t.items, doc.Subjects[i].Items)
	}
	t.decide()
	return t, nil
}

// record adds a consent event as the partner who records it tells the hub of it.
func (t *played) record(e *Consent) error {
	body, err := t.c.ConsentMessage(e, "case", nil)
	if err != nil {
		return err
	}
	ev, err := consent.Parse(body)
	if err != nil {
		return err
	}
	ev.RecordedBy = e.By
	role, position, _ := personOf(e.Of)
	t.said(role, position, ev)
	return nil
}

func (t *played) said(role transfer.Role, position int, ev consent.Event) {
	for i, s := range t.doc.Subjects {
		if s.Role == role && s.Position == position {
			ev.ID = fmt.Sprintf("%s/%d", PersonAt(role, position), len(t.events[i])+1)
			t.events[i] = append(t.events[i], ev)
		}
	}
}

// follow lets a step happen, and decides again what is left of the transfer.
func (t *played) follow(b *Book, s *Step) (err error) {
	if t.over {
		return fmt.Errorf("a %s is the end: what goes after it is a message of its own, and another case", t.decision.Outcome)
	}
	t.at = s.At.Time
	if !s.Changes.none() {
		t.changes = t.changes.And(&s.Changes)
		if t.index, err = b.changed(&t.changes); err != nil {
			return err
		}
	}
	if s.Consent != nil {
		if err := t.record(s.Consent); err != nil {
			return err
		}
	}
	if r := s.Ruling; r != nil {
		t.rulings = append(t.rulings, policy.Ruling{Act: r.Act, Person: r.By, Role: r.As, Codes: r.Codes, Ground: r.Ground, At: s.At.Time})
	}
	t.decide()
	return nil
}

// decide asks the policy. What does not go now is not kept: after a permit what it permits, after a hold what the agreement lets go.
func (t *played) decide() {
	r := policy.NewRequest(t.index, t.c.From, t.c.To, t.doc, t.at)
	r.Rulings, r.Onward = t.rulings, t.onward
	for i := range r.Subjects {
		r.Subjects[i].Events, r.Subjects[i].Items = t.events[i], t.items[i]
	}
	t.decision = policy.Decide(t.index, &r)
	for i, s := range t.decision.Subjects {
		t.items[i] = s.Covered
		if t.decision.Outcome.Permits() {
			t.items[i] = s.Items
		}
	}
	t.over = t.decision.Outcome == transfer.Refuse
}

func (t *played) clause() string {
	if t.decision.Flow == nil {
		return ""
	}
	return t.decision.Flow.ID
}

// answer is the decision as a partner's system is told of it, with the dataset that its recipient would collect.
func (t *played) answer() (Answer, error) {
	d := &t.decision
	a := Answer{At: t.at, Outcome: d.Outcome, Owner: d.Owner, Reasons: d.Reasons, Clause: t.clause()}
	for _, o := range d.Obligations {
		a.Obligations = append(a.Obligations, o.Code)
	}
	parts := make([]dataset.Part, len(d.Subjects))
	for i, s := range d.Subjects {
		a.People = append(a.People, Person{
			Role: s.Role, Position: s.Position, Items: t.doc.Contract.Names(s.Items), Stripped: t.doc.Contract.Names(s.Stripped),
		})
		parts[i] = dataset.Part{Items: s.Items, Pseudonym: func(scheme, _ string) string { return "pseudonym of the " + scheme }}
		if d.Flow != nil {
			parts[i].Transform, parts[i].Figures = d.Flow.Transform, dataset.Figures(d.Flow.Figures)
		}
	}
	if !d.Outcome.Permits() {
		return a, nil
	}
	var err error
	a.Dataset, err = dataset.Cut(t.doc, parts)
	return a, err
}

// codesOf lists the codes of reasons, each once, in alphabetical order.
func codesOf(reasons []policy.Reason) []policy.Code {
	codes := lo.Uniq(lo.Map(reasons, func(r policy.Reason, _ int) policy.Code { return r.Code }))
	slices.Sort(codes)
	return codes
}
