package rights

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/policy"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Scope is what went wrong, in words of the log: this partner was compromised between these instants; this item was wrong in these messages; this
// transfer went to the wrong recipient. All that is set must hold.
type Scope struct {
	Partner    transfer.PartnerID    `json:"partner,omitempty"` // as sender or recipient
	Sender     transfer.PartnerID    `json:"sender,omitempty"`
	Recipient  transfer.PartnerID    `json:"recipient,omitempty"`
	System     transfer.SystemID     `json:"system,omitempty"` // that sent the message, or collected it
	Agreement  transfer.AgreementID  `json:"agreement,omitempty"`
	Version    int                   `json:"version,omitempty"` // of Agreement
	Purpose    transfer.Purpose      `json:"purpose,omitempty"`
	Service    transfer.Service      `json:"service,omitempty"`
	Items      []string              `json:"items,omitempty"`      // any of them; names, or sections: "carer.name"
	Categories []contracts.Category  `json:"categories,omitempty"` // any of them
	Transfers  []transfer.TransferID `json:"transfers,omitempty"`
	From       time.Time             `json:"from,omitzero"`
	To         time.Time             `json:"to,omitzero"` // excluded
	// Held takes in what the partner had been given before From and could still read: everything up to To.
	Held bool `json:"held,omitempty"`
}

// maxScope bounds the lists of a scope: the log keeps its words.
const maxScope = 200

// check finds what is wrong with a scope, beside words that nothing knows.
func (s *Scope) check() error {
	switch {
	case s.partners() == "" && s.System == "" && s.Agreement == "" && s.Purpose == "" && s.Service == "" && len(s.Items)+len(s.Categories)+len(s.Transfers) == 0 && s.From.IsZero():
		return invalid("/scope", "required", "nothing is said of what went wrong", "name a partner, an agreement, items, transfers or a time")
	case !s.From.IsZero() && !s.To.IsZero() && !s.From.Before(s.To):
		return invalid("/scope/to", "range", "the end is not after the beginning", "give the first instant at which it was over")
	case s.Held && s.partners() == "":
		return invalid("/scope/held", "unexpected", "nobody is named who held anything", "name the partner, or leave it out")
	case len(s.Items)+len(s.Categories) > maxScope || len(s.Transfers) > maxScope:
		return invalid("/scope", "size", "the lists are too long", fmt.Sprintf("name at most %d", maxScope))
	}
	for i, item := range s.Items {
		if !contracts.AnyItem(func(k contracts.Item) bool { return contracts.Within(k.Name, item) }) {
			return invalid("/scope/items/"+strconv.Itoa(i), "unknown-item", "no contract has this item", "take the name from the contract of the message")
		}
	}
	for i, c := range s.Categories {
		if !contracts.AnyItem(func(k contracts.Item) bool { return k.Category == c }) {
			return invalid("/scope/categories/"+strconv.Itoa(i), "enum", "no item of a contract has this category", "take the category from the contract of the message")
		}
	}
	for i, id := range s.Transfers {
		if uuid.Validate(string(id)) != nil {
			return invalid("/scope/transfers/"+strconv.Itoa(i), "format", "this is no id of a transfer", "take it from the answer, the notice or the log")
		}
	}
	return nil
}

func (s *Scope) partners() transfer.PartnerID { return cmp.Or(s.Partner, s.Recipient, s.Sender) }

// reach is the scope as a question to the log.
func (s *Scope) reach(everyone bool) *exchange.Reach {
	r := &exchange.Reach{
		Filter: exchange.Filter{
			Partner: s.Partner, Sender: s.Sender, Recipient: s.Recipient, Agreement: s.Agreement, Version: s.Version, Purpose: s.Purpose,
			Service: s.Service, From: s.From, To: s.To,
		},
		Transfers: s.Transfers, Everyone: everyone,
	}
	if s.Held {
		r.From = time.Time{}
	}
	if len(s.Items) == 1 && len(s.Categories) == 0 { // the rest is looked for in the leaves
		r.Item = s.Items[0]
	}
	if len(s.Categories) == 1 && len(s.Items) == 0 {
		r.Category = s.Categories[0]
	}
	return r
}

// wants reports whether an item is one of those that the scope is about.
func (s *Scope) wants(item *contracts.Item) bool {
	return len(s.Items)+len(s.Categories) == 0 || slices.Contains(s.Categories, item.Category) ||
		slices.ContainsFunc(s.Items, func(named string) bool { return contracts.Within(item.Name, named) })
}

// words is the scope as the log has it.
func (s *Scope) words(filter string) string {
	words := []string{filter}
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				words = append(words, name+"="+v)
			}
		}
	}
	add("system", string(s.System))
	if len(s.Items)+len(s.Categories) != 1 {
		add("item", s.Items...)
		add("category", strs(s.Categories)...)
	}
	add("transfer", strs(s.Transfers)...)
	if s.Held {
		add("held", "yes")
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

func strs[T ~string](in []T) []string {
	return lo.Map(in, func(v T, _ int) string { return string(v) })
}

// Size is what an incident reached, as the log has it: the facts that Art 33(3)(a) asks for and the hub can know. It names nobody.
type Size struct {
	Disclosures   int           `json:"disclosures"` // datasets that left, each time that one did
	Transfers     int           `json:"transfers"`
	People        int           `json:"people"`        // data subjects but professionals; somebody erased since counts as they did then
	Professionals int           `json:"professionals"` // in their working capacity, at most: few of them are known again in another message
	Records       int           `json:"records"`       // people, counted again with each disclosure
	Children      int           `json:"children"`      // of the people, those known to be under 18: it is not always known
	Roles         []Counted     `json:"roles"`
	Items         []CountedItem `json:"items"`
	Categories    []CountedItem `json:"categories"`
	Recipients    []Counted     `json:"recipients"`
	Senders       []Counted     `json:"senders"` // the controllers whose data it is
	Agreements    []Counted     `json:"agreements"`
	Exceptions    []Counted     `json:"exceptions"`
	First         time.Time     `json:"first,omitzero"`
	Last          time.Time     `json:"last,omitzero"`
	Waiting       Waiting       `json:"waiting"`
	Evidence      []Evidence    `json:"evidence"`
}

// Counted is in how many disclosures something was, and about how many people: professionals too where it is a role or an item.
type Counted struct {
	What        string `json:"what"`
	Disclosures int    `json:"disclosures"`
	People      int    `json:"people"`
}

// CountedItem is of how many people an item, or an item of a category, went.
type CountedItem struct {
	Counted
	Category contracts.Category `json:"category,omitempty"` // of an item
	Special  bool               `json:"special,omitempty"`  // Art 9 UK GDPR
	Offence  bool               `json:"offence,omitempty"`  // Art 10 UK GDPR
}

// Waiting is what can still be stopped.
type Waiting struct {
	Queued   int `json:"queued"`
	Held     int `json:"held"`
	Released int `json:"released"` // and nobody has confirmed to have it
}

// Evidence is where in a log the counted leaves stand, and the signed checkpoint under which each can be proven.
type Evidence struct {
	Origin     string `json:"origin"`
	First      int64  `json:"first"` // index
	Last       int64  `json:"last"`
	Leaves     int    `json:"leaves"`
	Digest     string `json:"digest"` // "sha256:<hex>" over the SHA-256 of each of the leaves, in their order
	Checkpoint string `json:"checkpoint"`
}

// Measure finds what an incident reached, and writes down that it was asked before it answers. A partner's answer is about its own transfers,
// the operator's about all. The errors are *contracts.InvalidError, *exchange.WordError and *exchange.RefusedError.
func (r *Rights) Measure(ctx context.Context, by exchange.Principal, s *Scope, why string) (*Size, error) {
	return r.measure(ctx, by, by.Partner, s, why)
}

// measure answers by for a partner: with what that partner may know.
func (r *Rights) measure(ctx context.Context, by exchange.Principal, of transfer.PartnerID, s *Scope, why string) (*Size, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.System != "" && !r.declared(s.System) {
		return nil, invalid("/scope/system", "unknown-system", "no partner of the register has this system", "take its id from the register")
	}
	who, reach := exchange.Principal{Partner: of, System: by.System}, s.reach(r.operates(of))
	filter, err := r.cfg.Exchange.Words(ctx, who, reach)
	asked := &ledger.Query{Kind: "incident", Why: why, Filter: s.words(filter)}
	if refused := (*exchange.RefusedError)(nil); errors.As(err, &refused) {
		return nil, cmp.Or(r.cfg.Exchange.Refuse(ctx, by, asked, refused.Code), error(refused))
	}
	if err != nil {
		return nil, err
	}
	m := r.newMeasure(ctx, s)
	if err := r.cfg.Exchange.Each(ctx, who, reach, m.add); err != nil {
		return nil, err
	}
	if err := r.cfg.Exchange.Recallable(ctx, who, reach, m.wait); err != nil {
		return nil, err
	}
	size := m.size()
	for i := range size.Evidence {
		_, checkpoint, err := r.cfg.Store.Log(ctx, size.Evidence[i].Origin).Head()
		if err != nil {
			return nil, fmt.Errorf("read the head of log %s: %w", size.Evidence[i].Origin, err)
		}
		size.Evidence[i].Checkpoint = string(checkpoint)
	}
	asked.Found = size.Disclosures
	_, err = r.cfg.Exchange.Log(ctx, &ledger.Leaf{Kind: ledger.KindQuery, Actor: ledger.Actor{Partner: by.Partner, System: by.System}, Query: asked})
	return size, err
}

func (r *Rights) declared(id transfer.SystemID) bool {
	return slices.ContainsFunc(r.cfg.Exchange.Index().Partners(), func(p *transfer.Partner) bool {
		return slices.ContainsFunc(p.Systems, func(s transfer.System) bool { return s.ID == id })
	})
}

// measure counts as leaves are read. What is counted are labels: a role, an item, a recipient. Of each person it keeps which labels they have, as
// bits, because an incident may reach a million of them.
type measure struct {
	scope    *Scope
	labels   map[label]int
	times    []int // how many disclosures have a label, by its number
	people   map[affected][]uint64
	through  map[transfer.TransferID]bool
	transfer func(transfer.TransferID) ([]store.Transfer, error)
	evidence []*proven
	total    Size
}

type label struct{ of, what string }

// affected is a person, by the start of the SHA-256 of their commitment, and whether they are in it for their work: most professionals are known by
// no number, so that each message has another.
type affected struct {
	who    [16]byte
	atWork bool
}

type proven struct {
	Evidence
	sum hash.Hash
}

func (r *Rights) newMeasure(ctx context.Context, s *Scope) *measure {
	return &measure{
		scope: s, labels: map[label]int{}, people: map[affected][]uint64{}, through: map[transfer.TransferID]bool{},
		transfer: func(id transfer.TransferID) ([]store.Transfer, error) {
			return r.cfg.Store.Transfers(ctx, []transfer.TransferID{id})
		},
	}
}

// add counts a disclosure.
func (m *measure) add(w *exchange.Went) error {
	l := w.Leaf
	if ours, err := m.bySystem(l); err != nil || !ours {
		return err
	}
	var weighed *ledger.Leaf
	if l.Outcome == transfer.PermitException || bytes.Contains(w.Weighed, []byte(`"`+underSixteen+`"`)) || bytes.Contains(w.Weighed, []byte(`"`+sixteen+`"`)) {
		before, err := ledger.Parse(w.Weighed)
		if err != nil {
			return fmt.Errorf("read leaf %d of log %s: %w", w.Index-1, w.Origin, err)
		}
		if l.RestsOn(before) {
			weighed = before
		}
	}
	var all []int // labels of the disclosure
	common := m.common(l, weighed)
	for i := range l.Subjects {
		all = append(all, m.person(&l.Subjects[i], common, weighed)...)
	}
	if len(all) == 0 {
		return nil // of what it is about, nothing went
	}
	slices.Sort(all)
	for _, n := range slices.Compact(all) {
		m.times[n]++
	}
	m.total.Disclosures++
	if l.Transfer != "" {
		m.through[l.Transfer] = true
	}
	if m.total.First.IsZero() || l.At.Before(m.total.First) {
		m.total.First = l.At
	}
	if l.At.After(m.total.Last) {
		m.total.Last = l.At
	}
	m.prove(w)
	return nil
}

// bySystem reports whether the scope's system collected the dataset, or sent the message.
func (m *measure) bySystem(l *ledger.Leaf) (bool, error) {
	if m.scope.System == "" || l.Actor.System == m.scope.System {
		return true, nil
	}
	if l.Transfer == "" {
		return false, nil
	}
	rows, err := m.transfer(l.Transfer)
	if err != nil {
		return false, fmt.Errorf("read transfer %s: %w", l.Transfer, err)
	}
	return len(rows) == 1 && rows[0].SenderSystem == m.scope.System, nil
}

// common are the labels of a disclosure that all people in it share.
func (m *measure) common(l, weighed *ledger.Leaf) []int {
	to := string(l.Recipient)
	if to == "" && l.Disclosure != nil {
		to = l.Disclosure.Office
	}
	out := []int{m.number("sender", string(l.Sender)), m.number("recipient", to)}
	if l.Agreement != nil {
		out = append(out, m.number("agreement", fmt.Sprintf("%s@%d", l.Agreement.ID, l.Agreement.Version)))
	}
	if weighed == nil {
		weighed = l
	}
	if weighed.Exception != nil {
		out = append(out, m.number("exception", weighed.Exception.Kind))
	}
	if weighed.Demand != nil {
		out = append(out, m.number("exception", weighed.Demand.Instrument))
	}
	return out
}

// The ages under 18, as facts of a decision.
var (
	underSixteen = policy.UnderSixteen.Names()[0]
	sixteen      = policy.SixteenOrSeventeen.Names()[0]
)

// person counts somebody in a disclosure, and gives the labels that it has by them; none when nothing went of them that the scope is about.
func (m *measure) person(s *ledger.Subject, common []int, weighed *ledger.Leaf) []int {
	var mine []int
	for _, name := range s.Items {
		if item := itemOf(name); m.scope.wants(item) {
			mine = append(mine, m.number("item", name), m.number("category", string(item.Category)))
		}
	}
	if len(mine) == 0 {
		return nil
	}
	mine = append(append(mine, common...), m.number("role", string(s.Role)))
	facts := s.Facts
	if weighed != nil {
		for i := range weighed.Subjects {
			if o := &weighed.Subjects[i]; o.Role == s.Role && o.Position == s.Position {
				facts = o.Facts
			}
		}
	}
	if s.Role == transfer.Child || slices.Contains(facts, underSixteen) || slices.Contains(facts, sixteen) {
		mine = append(mine, m.number("child", ""))
	}
	sum := sha256.Sum256([]byte(s.Commitment))
	who := affected{[16]byte(sum[:16]), s.Role == transfer.Professional}
	if !who.atWork {
		m.total.Records++
	}
	bits := m.people[who]
	for _, n := range mine {
		for len(bits) <= n/64 {
			bits = append(bits, 0)
		}
		bits[n/64] |= 1 << (n % 64)
	}
	m.people[who] = bits
	return mine
}

func (m *measure) number(of, what string) int {
	n, known := m.labels[label{of, what}]
	if !known {
		n = len(m.times)
		m.labels[label{of, strings.Clone(what)}] = n
		m.times = append(m.times, 0)
	}
	return n
}

func (m *measure) prove(w *exchange.Went) {
	last := len(m.evidence) - 1
	if last < 0 || m.evidence[last].Origin != w.Origin {
		m.evidence = append(m.evidence, &proven{Evidence{Origin: w.Origin, First: w.Index}, sha256.New()})
		last++
	}
	e := m.evidence[last]
	e.Last, e.Leaves = w.Index, e.Leaves+1
	sum := sha256.Sum256(w.Body)
	e.sum.Write(sum[:])
}

// wait counts a transfer that can still be stopped.
func (m *measure) wait(t *exchange.Recallable) error {
	if !m.scope.waits(t) {
		return nil
	}
	switch t.State {
	case transfer.Queued:
		m.total.Waiting.Queued++
	case transfer.Held:
		m.total.Waiting.Held++
	case transfer.Released:
		m.total.Waiting.Released++
	}
	return nil
}

// waits reports whether a transfer that is not confirmed is part of the scope.
func (s *Scope) waits(t *exchange.Recallable) bool {
	if owner, _, _ := strings.Cut(string(s.System), "/"); s.System != "" && t.SenderSystem != s.System && string(t.Recipient) != owner {
		return false // it neither sent it nor could fetch it
	}
	if t.Unseen {
		return len(s.Items)+len(s.Categories) == 0
	}
	return slices.ContainsFunc(t.Leaf.Subjects, func(p ledger.Subject) bool {
		return slices.ContainsFunc(p.Items, func(name string) bool { return s.wants(itemOf(name)) })
	})
}

// size sums up.
func (m *measure) size() *Size {
	s := m.total
	s.Transfers = len(m.through)
	s.Roles, s.Recipients, s.Senders, s.Agreements, s.Exceptions = []Counted{}, []Counted{}, []Counted{}, []Counted{}, []Counted{}
	s.Items, s.Categories, s.Evidence = []CountedItem{}, []CountedItem{}, []Evidence{}
	people, all := make([]int, len(m.times)), make([]int, len(m.times))
	for who, bits := range m.people {
		if who.atWork {
			s.Professionals++
		} else {
			s.People++
		}
		for n := range all {
			if n/64 < len(bits) && bits[n/64]&(1<<(n%64)) != 0 {
				all[n]++
				if !who.atWork {
					people[n]++
				}
			}
		}
	}
	for l, n := range m.labels {
		c := Counted{What: l.what, Disclosures: m.times[n], People: people[n]}
		if l.of == "item" || l.of == "category" || l.of == "role" {
			c.People = all[n]
		}
		if c.Disclosures == 0 {
			continue // of a disclosure that did not count
		}
		switch l.of {
		case "child":
			s.Children = c.People
		case "role":
			s.Roles = append(s.Roles, c)
		case "recipient":
			s.Recipients = append(s.Recipients, c)
		case "sender":
			s.Senders = append(s.Senders, c)
		case "agreement":
			s.Agreements = append(s.Agreements, c)
		case "exception":
			s.Exceptions = append(s.Exceptions, c)
		case "item":
			k := itemOf(l.what)
			s.Items = append(s.Items, CountedItem{Counted: c, Category: k.Category, Special: k.Special, Offence: k.Offence})
		case "category":
			item := CountedItem{Counted: c}
			for _, k := range catalog() {
				if string(k.Category) == l.what {
					item.Special, item.Offence = item.Special || k.Special, item.Offence || k.Offence
				}
			}
			s.Categories = append(s.Categories, item)
		}
	}
	for _, list := range [][]Counted{s.Roles, s.Recipients, s.Senders, s.Agreements, s.Exceptions} {
		slices.SortFunc(list, func(a, b Counted) int { return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.What, b.What)) })
	}
	for _, list := range [][]CountedItem{s.Items, s.Categories} {
		slices.SortFunc(list, func(a, b CountedItem) int {
			return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.What, b.What))
		})
	}
	for _, e := range m.evidence {
		e.Digest = "sha256:" + hex.EncodeToString(e.sum.Sum(nil))
		s.Evidence = append(s.Evidence, e.Evidence)
	}
	return &s
}

// catalog has the items of all contracts, by name.
var catalog = sync.OnceValue(func() map[string]*contracts.Item {
	items := map[string]*contracts.Item{}
	for _, t := range contracts.Types() {
		if c, ok := contracts.For(t); ok {
			for i := range c.Items {
				items[c.Items[i].Name] = &c.Items[i]
			}
		}
	}
	return items
})

// itemOf finds an item; one of a contract that is no more has nothing but its name.
func itemOf(name string) *contracts.Item {
	if item := catalog()[name]; item != nil {
		return item
	}
	return &contracts.Item{Name: name}
}
