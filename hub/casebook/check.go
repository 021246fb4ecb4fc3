package casebook

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// check finds what is wrong with the cases of a file beyond its form: names that nobody has, expectations that say nothing.
func (f *file) check(x *agreement.Index) {
	for i := range f.cases {
		(&checker{f, x, f.cases[i], f.nodes[i]}).all()
	}
	slices.SortStableFunc(f.faults, func(a, b agreement.Fault) int {
		return slices.Compare([]int{a.Line, a.Column}, []int{b.Line, b.Column})
	})
}

// checker looks at one case.
type checker struct {
	*file
	index *agreement.Index
	c     *Case
	node  ast.Node
}

// way leads to something in a case: keys, and positions in lists.
type way []any

func (w way) to(steps ...any) way { return slices.Concat(w, steps) }

func (k *checker) wrong(at way, rule, remedy, detail string, args ...any) {
	k.fault(under(k.node, at...), rule, remedy, detail, args...)
}

func (k *checker) all() {
	c := k.c
	for _, must := range []struct {
		key     string
		missing bool
	}{
		{"case", c.Name == ""}, {"at", c.At.IsZero()}, {"from", c.From == ""}, {"to", c.To == ""},
		{"message", c.Message.empty()}, {"expect", c.Expect.Outcome == ""},
	} {
		if must.missing {
			k.wrong(nil, "missing-key", "Add it.", "the case does not say %s", must.key)
		}
	}
	if first, _ := k.named(c.Name); first != c && c.Name != "" {
		k.wrong(way{"case"}, "duplicate-case", "Give each case of a file a name of its own.", "line %d has this name already", first.Line)
	}
	if c.Scenario != "" && !scenario.MatchString(c.Scenario) {
		k.wrong(way{"scenario"}, "vocabulary", "It is one of A1 to A22 (domain.md section 4.7).", "%q is no scenario", c.Scenario)
	}
	k.partner(c.From, way{"from"})
	k.partner(c.To, way{"to"})
	for i, id := range c.Covers {
		if !slices.ContainsFunc(k.index.Agreements(), func(a *agreement.Agreement) bool { return has(a, id) }) {
			k.wrong(way{"covers", i}, "unknown-clause", "Name a clause by its agreement, version and id: hertswise@1#refer.",
				"no agreement has the clause %q", id)
		}
	}
	k.changes(&c.Changes, nil)
	if first, known := k.named(c.PassesOn); known && first != c {
		c.Received = first
	} else if c.PassesOn != "" {
		k.wrong(way{"passes_on"}, "unknown-case", "Name another case of this file: the one by which the sender received it.",
			"this file has no other case %q", c.PassesOn)
	}
	doc := k.message()
	for i := range c.Consents {
		k.consent(&c.Consents[i], doc, way{"consents", i})
	}
	k.expect(&c.Expect, doc, way{"expect"})
	for i := range c.Then {
		k.step(&c.Then[i], doc, way{"then", i})
	}
}

// named finds the first case of the file that is called so.
func (k *checker) named(name string) (*Case, bool) {
	return lo.Find(k.cases, func(c *Case) bool { return c.Name == name })
}

// has reports whether an agreement has a clause.
func has(a *agreement.Agreement, clause string) bool {
	return slices.ContainsFunc(a.Flows, func(f *agreement.Flow) bool { return f.ID == clause })
}

func (k *checker) partner(id transfer.PartnerID, at way) {
	if _, known := k.index.Partner(id); !known && id != "" {
		k.wrong(at, "unknown-partner", "Take the id from the register (partners.yaml).", "no partner is called %q", id)
	}
}

func (k *checker) changes(c *Changes, at way) {
	for _, id := range slices.Sorted(maps.Keys(c.Register)) {
		k.partner(id, at.to("register", id))
	}
	for _, ref := range slices.Sorted(maps.Keys(c.Agreements)) {
		if !slices.ContainsFunc(k.index.Agreements(), func(a *agreement.Agreement) bool { return a.Ref() == ref }) {
			k.wrong(at.to("agreements", ref), "unknown-agreement", "Name an agreement and its version: hertswise@1.", "there is no agreement %q", ref)
		}
	}
}

// message reads what is sent. Without a message nobody and nothing of it can be checked: then it gives nil.
func (k *checker) message() *contracts.Document {
	m := &k.c.Message
	if m.empty() {
		return nil
	}
	if m.Like != "" && !slices.Contains(contracts.Examples(), m.Like) {
		k.wrong(way{"message", "like"}, "unknown-example", "There are "+strings.Join(contracts.Examples(), ", ")+".",
			"contracts/examples has no %q", m.Like)
		return nil
	}
	doc, err := k.c.Document()
	for _, detail := range whatIsWrong(err) {
		k.wrong(way{"message"}, "message", "With this fault a message is turned away before it is decided.", "%s", detail)
	}
	return doc
}

func (k *checker) consent(e *Consent, doc *contracts.Document, at way) {
	if e.By == "" {
		k.wrong(at, "missing-key", "Say which partner records it.", "the consent does not say by")
	}
	k.partner(e.By, at.to("by"))
	role, position, ok := personOf(e.Of)
	if !ok {
		k.wrong(at.to("of"), "person", "Say whose consent it is, as in carer or cared_for[1].", "%q is nobody's place in a message", e.Of)
		return
	}
	// An event without its subject is no message, so somebody stands in.
	event, _ := contracts.For("consent/1")
	body, err := k.c.ConsentMessage(e, "case", []contracts.Identifier{{Scheme: "case-number", Value: "1"}})
	if err == nil {
		_, err = event.Parse(body)
	}
	for _, detail := range whatIsWrong(err) {
		k.wrong(at, "consent", "Write it as the contract consent/1 has it.", "%s", detail)
	}
	if doc == nil {
		return
	}
	person, there := lo.Find(doc.Subjects, func(s contracts.Subject) bool { return s.Role == role && s.Position == position })
	switch {
	case !there:
		k.wrong(at.to("of"), "unknown-person", "Say whose consent it is, as in carer or cared_for[1].", "the message has no %s", e.Of)
	// A case number is the sender's own.
	case !slices.ContainsFunc(person.Identifiers, func(i contracts.Identifier) bool { return e.By == k.c.From || i.Scheme != "case-number" }):
		k.wrong(at.to("of"), "no-number", "Give this person an NHS number, or carry the consent in the message (with: {consents: ...}).",
			"the message gives %s no number by which %s could record a consent", e.Of, e.By)
	}
}

func (k *checker) step(s *Step, doc *contracts.Document, at way) {
	k.changes(&s.Changes, at)
	if s.Consent != nil {
		k.consent(s.Consent, doc, at.to("consent"))
	}
	if s.Ruling != nil {
		k.ruling(s.Ruling, at.to("ruling"))
	}
	if s.Expect.Outcome == "" {
		k.wrong(at, "missing-key", "Say what is decided then.", "the step does not say what to expect")
	}
	k.expect(&s.Expect, doc, at.to("expect"))
}

func (k *checker) ruling(r *Ruling, at way) {
	if !slices.Contains(acts, r.Act) {
		k.wrong(at.to("act"), "vocabulary", fmt.Sprintf("It is one of %v.", acts), "%q is no act", r.Act)
	}
	sender, known := k.index.Partner(k.c.From)
	if !known {
		return // said already
	}
	switch person, known := lo.Find(sender.People, func(p transfer.Person) bool { return p.ID == r.By }); {
	case !known:
		k.wrong(at.to("by"), "unknown-person", "Name one of the sender's people in the register.", "%s has no %q", k.c.From, r.By)
	case r.As == "" && len(person.Roles) == 1:
		r.As = person.Roles[0]
	case !slices.Contains(person.Roles, r.As):
		k.wrong(at, "vocabulary", fmt.Sprintf("Say as: which of %v.", person.Roles), "%s cannot decide as %q", r.By, r.As)
	}
}

// The words for what a ruling does, and for what a decision comes to.
var (
	acts     = []policy.Act{policy.LetGo, policy.TurnDown, policy.SendBack}
	outcomes = []transfer.Outcome{transfer.Permit, transfer.PermitReduced, transfer.PermitException, transfer.Hold, transfer.Refuse}
)

func (k *checker) expect(e *Expect, doc *contracts.Document, at way) {
	switch {
	case e.Outcome == "": // said already
	case !slices.Contains(outcomes, e.Outcome):
		k.wrong(at.to("outcome"), "vocabulary", fmt.Sprintf("It is one of %v.", outcomes), "%q is no outcome", e.Outcome)
	case !e.Outcome.Permits() && e.Reasons == nil && len(e.ReasonsInclude) == 0:
		k.wrong(at, "missing-key", "List the codes under reasons.", "a %s has reasons, and this expects none in particular", e.Outcome)
	}
	for _, person := range slices.Sorted(maps.Keys(e.Items)) {
		i := e.Items[person]
		k.items(person, slices.Concat(lo.FromPtr(i.All), i.Has, i.Not), doc, at.to("items", person))
	}
	for _, person := range slices.Sorted(maps.Keys(e.Stripped)) {
		k.items(person, e.Stripped[person], doc, at.to("stripped", person))
	}
	for _, pointer := range slices.Concat(e.Dataset.Has, slices.Sorted(maps.Keys(e.Dataset.Equals))) {
		if !strings.HasPrefix(pointer, "/") {
			k.wrong(at.to("dataset"), "pointer", "Write a JSON pointer, as in /carer/name/family.", "%q is no JSON pointer", pointer)
		}
	}
}

// items checks names of items about a person. A name that is misspelt never goes, so expecting that it does not would pass for ever.
func (k *checker) items(person string, names []string, doc *contracts.Document, at way) {
	role, _, ok := personOf(person)
	if !ok {
		k.wrong(at, "person", "Name somebody by the place in the message, as in carer or cared_for[1].", "%q is nobody's place in a message", person)
		return
	}
	if doc == nil {
		return
	}
	for _, name := range names {
		if item, known := doc.Contract.Lookup(name); !known || item.Role != role {
			k.wrong(at, "unknown-item", "Take the name from the contract.", "%s has no item %q about a %s", doc.Contract.Type, name, role)
		}
	}
}

var scenario = regexp.MustCompile(`^A([1-9]|1[0-9]|2[0-2])$`)

var place = regexp.MustCompile(`^([a-z_]+)(?:\[([0-9]{1,2})\])?$`)

// personOf reads a person's place in a message: "carer", "cared_for[1]".
func personOf(text string) (role transfer.Role, position int, ok bool) {
	m := place.FindStringSubmatch(text)
	if m == nil || !slices.Contains(transfer.Roles(), transfer.Role(m[1])) {
		return "", 0, false
	}
	position, _ = strconv.Atoi(m[2]) // 0 when it is left out
	return transfer.Role(m[1]), position, true
}

// PersonAt is a person's place in a message, as cases write it: without a position for the first of a role.
func PersonAt(role transfer.Role, position int) string {
	if position == 0 {
		return string(role)
	}
	return fmt.Sprintf("%s[%d]", role, position)
}
