package agreement

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// The checks here find clauses that are well formed and make no sense: that nothing can use, or whose keys do not go together.

// combinations checks the keys of a clause against one another.
func (c *compiler) combinations(e *flowEntry, f *Flow) {
	switch {
	case !e.When.empty() && e.Otherwise.empty():
		c.fault(e.When.place, "otherwise", "Write otherwise: and what to do instead.", "nobody says what a caseworker is told where the condition does not hold")
	case e.When.empty() && !e.Otherwise.empty():
		c.fault(e.Otherwise.place, "otherwise", "Write the condition after when:, or take it out.", "there is no condition that could fail")
	}
	told := cmp.Or(e.Objection.place, e.Told.place)
	waits := f.Told || !e.Objection.empty()
	switch {
	case waits && f.Figures != Figures{}:
		c.fault(told, "told", "Take told: and objection: out.", "figures are about nobody, so there is nobody to tell")
	case waits && f.Compelled:
		c.fault(told, "told", "Take told: and objection: out.", "a demand that compels is met whether or not the person was told (E4)")
	case !e.Objection.empty() && !f.Told:
		c.fault(e.Objection.place, "told", "Write told: true beside it.", "the days to object run from when the person was told, and nobody has to be")
	}
	if p, ok := c.made.Purpose(f.Purpose); f.Compelled && ok {
		for _, id := range f.From {
			if b := p.BasisFor(id); b.Article6 != "c" && b.Article6 != "e" {
				c.fault(e.Compelled.place, "compelled", "Declare basis (c) and the law for it.",
					"%s stands on Art 6(1)(%s), and what is compelled goes under a law (E4)", id, b.Article6)
				break
			}
		}
	}
	if f.AccessOnly && e.Onward != nil {
		c.fault(e.Onward.place, "onward", "Take onward: out.", "whoever may only look has no copy to pass on")
	}
	for _, key := range []leave{e.FreeText, e.Attachments} {
		if key.value != Reviewed {
			continue
		}
		if alone := c.without(f.From, func(p *transfer.Partner) bool { return len(p.People) > 0 }); len(alone) > 0 {
			c.fault(key.place, "no-reviewer", "Put whoever reads it on the register, under people.",
				"nobody on the register could have read it for %s", list(alone, "or"))
		}
	}
	c.usable(e, f)
}

// without gives the partners for which something does not hold.
func (c *compiler) without(ids []transfer.PartnerID, holds func(*transfer.Partner) bool) []string {
	var without []string
	for _, id := range ids {
		if p, known := c.partners[id]; known && !holds(p) {
			without = append(without, string(id))
		}
	}
	return without
}

// usable checks that somebody can send under a clause, and somebody else can receive. Members of a group who cannot are only remarked on: the
// clause is there for the others.
func (c *compiler) usable(e *flowEntry, f *Flow) {
	if f.AccessOnly || len(f.From) == 0 || len(f.To) == 0 {
		return // nothing is sent; and who is missing was reported
	}
	mayDo := func(scope string) func(*transfer.Partner) bool {
		return func(p *transfer.Partner) bool {
			return p.Successor == "" && slices.ContainsFunc(p.Systems, func(s transfer.System) bool { return slices.Contains(s.Scopes, scope) })
		}
	}
	check := func(at place, ids []transfer.PartnerID, can func(*transfer.Partner) bool, what, remedy string) {
		switch unable := c.without(ids, can); len(unable) {
		case 0:
		case len(ids):
			c.fault(at, "unusable", remedy, "nothing can go under this clause: %s %s", list(unable, "and"), what)
		default:
			c.warn(at, "unusable", remedy, "%s %s", list(unable, "and"), what)
		}
	}
	check(e.From[0].place, f.From, mayDo("referrals:send"), "cannot send", "Give a system the scope referrals:send on the register.")
	if f.Push {
		check(e.To[0].place, f.To, func(p *transfer.Partner) bool { return p.Delivery.Adapter != "mailbox" },
			"cannot be pushed to", "Write delivery: collect, or give the partner another adapter than the mailbox on the register.")
	} else {
		check(e.To[0].place, f.To, mayDo("inbox:read"), "cannot collect", "Give a system the scope inbox:read on the register.")
	}
	if len(f.From) == 1 && slices.Equal(f.From, f.To) && c.groups[e.From[0].value] != nil {
		c.fault(e.To[0].place, "unusable", "Name somebody else.", "nothing can go under this clause: %s is alone in the group", f.From[0])
	}
}

// retained checks that the agreement says how long what goes under a clause is kept.
func (c *compiler) retained(e *flowEntry) {
	if e.Delivery.value == "access" || len(c.source.Retention) == 0 || e.Items.place == (place{}) && e.Items.Name.empty() {
		return
	}
	for _, r := range c.source.Retention {
		if r.Items.empty() || r.Items.value == e.Items.Name.value {
			return
		}
	}
	c.fault(e.ID.place, "retention-missing", "Write a retention entry for its items, or one without items: for everything.",
		"nobody says how long what goes under %s is kept", e.ID)
}

// sense checks a clause against the contract of one of its messages.
func (c *compiler) sense(e *flowEntry, f *Flow, message text) {
	figures := !slices.ContainsFunc(f.Contract.Items, func(i contracts.Item) bool { return i.Role != transfer.Nobody })
	switch {
	case figures && e.Figures == nil:
		c.fault(message.place, "figures", "Write figures: {below: 5, round: 5}.", "%s carries figures, and the clause does not say how they are blurred", message)
	case !figures && e.Figures != nil:
		c.fault(e.Figures.place, "figures", "Take figures: out, or send aggregate/1.", "%s is about people and has no figures to blur", message)
	case e.Figures != nil && e.Figures.Below.value == 1:
		c.fault(e.Figures.Below.place, "figures", "Write 5, or what the paper says.", "no count is below 1, so nothing would be suppressed")
	}
	if f.Attachments != Never && !slices.ContainsFunc(f.Contract.Items, func(i contracts.Item) bool { return i.Attachment }) {
		c.fault(e.Attachments.place, "attachments", "Leave it out.", "%s has no attachments", message)
	}
	purpose, _ := c.made.Purpose(f.Purpose)
	if purpose == nil || !purpose.BeyondCare || purpose.OptOut != "" {
		return
	}
	if telling := c.telling(f); len(telling) > 0 {
		c.fault(e.Items.start(), "opt-out-missing",
			"Transform them or take them out; or write opt_out: in the purpose, and how the National Data Opt-Out is respected or which approval stands in its place.",
			"%s is beyond the care of the person, and these tell who it is: %s (gate G11)", f.Purpose, strings.Join(telling, ", "))
	}
}

// identifies reports whether an item tells who somebody is: numbers, names, days of birth and ways to reach them, and free text, which may hold
// any of these. One word of several does not, such as a gender.
func (c *compiler) identifies(contract *contracts.Contract, item contracts.Item) bool {
	switch {
	case item.Identifier != "", item.FreeText, item.Attachment:
		return true
	case item.Category != "identity" && item.Category != "contact" && item.Category != "address":
		return false
	}
	s := c.shapeOf(contract, item)
	return s == nil || s.asks() != "" || s.words == nil && s.typ == cel.StringType
}

// clauseOf is a flow and where its clause stands.
type clauseOf struct {
	flow *Flow
	file string
	at   place
}

// contradictions finds clauses that say differently how the same may go from the same to the same. Versions of one agreement follow one another,
// and an agreement that is over contradicts nobody. Of two clauses with conditions of their own, each may hold where the other does not.
func (c *compiler) contradictions() {
	type route struct {
		from, to transfer.PartnerID
		message  transfer.MessageType
		purpose  transfer.Purpose
		service  transfer.Service
	}
	seen := make(map[route][]clauseOf)
	told := make(map[[2]string]bool)
	for _, later := range c.clauses {
		for _, from := range later.flow.From {
			for _, to := range later.flow.To {
				if from == to {
					continue
				}
				r := route{from, to, later.flow.Messages[0], later.flow.Purpose, later.flow.Service}
				for _, earlier := range seen[r] {
					pair := [2]string{earlier.flow.ID, later.flow.ID}
					if how := contradict(earlier.flow, later.flow); how != "" && !told[pair] {
						told[pair] = true
						c.file = later.file
						c.fault(later.at, "contradiction", "Agree on one of them, or tell them apart by service or condition.",
							"%s and %s both say how %s may send %s to %s for %s, and differ: %s",
							earlier.flow.ID, later.flow.ID, from, r.message, to, r.purpose, how)
					}
				}
				seen[r] = append(seen[r], later)
			}
		}
	}
}

// contradict says in what two clauses on the same route differ that cannot both be; empty when in nothing.
func contradict(f, g *Flow) string {
	a, b := f.Agreement, g.Agreement
	over := func(a *Agreement) bool { return a.Status == Expired || a.Status == Terminated }
	switch {
	case a != b && (a.ID == b.ID || over(a) || over(b) || a.Supersedes == b.Ref() || b.Supersedes == a.Ref()),
		!a.Ends.IsZero() && !b.Starts.Before(a.Ends), !b.Ends.IsZero() && !a.Starts.Before(b.Ends),
		f.When != nil && g.When != nil && f.When.Source != g.When.Source,
		!slices.Contains(article6s, f.Basis.Article6), !slices.Contains(article6s, g.Basis.Article6): // reported where it stands
		return ""
	case f.Basis.Article6 != g.Basis.Article6 || f.Basis.Article9 != g.Basis.Article9 || f.Basis.Schedule1 != g.Basis.Schedule1:
		return "one on " + f.Basis.String() + ", the other on " + g.Basis.String()
	case f.Compelled != g.Compelled:
		return "one only where a demand compels it, the other always"
	case f.AccessOnly != g.AccessOnly:
		return "one to look at, the other as a copy"
	}
	return ""
}
