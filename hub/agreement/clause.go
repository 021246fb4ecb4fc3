package agreement

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// side resolves one side of a flow, where groups and parties may both stand.
func (c *compiler) side(ts []text, forbidden, word string) []transfer.PartnerID {
	var side []transfer.PartnerID
	for _, t := range ts {
		members, isGroup := c.groups[t.value]
		if isGroup {
			c.used["group "+t.value] = true
		} else if id, ok := c.party(t); ok {
			members = []transfer.PartnerID{id}
		}
		for _, id := range members {
			if c.parties[id].Direction == forbidden {
				c.fault(t.place, "direction", "Correct the flow, or the party's direction.", "%s only %s and does not %s", id, forbidden, word)
			}
			if !slices.Contains(side, id) {
				side = append(side, id)
			}
		}
	}
	return side
}

func (c *compiler) compileFlows() {
	seen := make(map[string]place)
	involved := make(map[transfer.Purpose][]transfer.PartnerID)
	for i := range c.source.Flows {
		e := &c.source.Flows[i]
		c.wellFormed(e.ID, slug, `Write a lower-case name with hyphens, such as "refer".`)
		if first, twice := seen[e.ID.value]; twice && !e.ID.empty() {
			c.fault(e.ID.place, "duplicate-flow", "Give it an id of its own.", "%s is already a flow at line %d", e.ID, first.line)
		}
		seen[e.ID.value] = e.ID.place
		flow, ok := c.clause(e)
		if !ok {
			continue
		}
		purpose, _ := c.made.Purpose(flow.Purpose)
		flow.Secondary = purpose.BeyondCare
		involved[flow.Purpose] = append(involved[flow.Purpose], slices.Concat(flow.From, flow.To)...)
		for _, t := range e.Messages {
			c.flowsFor(e, flow, purpose, t)
		}
		c.combinations(e, &flow)
		c.retained(e)
	}
	for i := range c.source.Purposes {
		e, p := &c.source.Purposes[i], &c.made.Purposes[i]
		parties := involved[p.Code]
		slices.Sort(parties)
		c.claims(e, p, slices.Compact(parties))
	}
}

// clause compiles what a clause says whatever the message. It reports whether that is enough to go on with.
func (c *compiler) clause(e *flowEntry) (Flow, bool) {
	f := Flow{
		Agreement: c.made, ID: c.made.Ref() + "#" + e.ID.value,
		From: c.side(e.From, "receives", "disclose"), To: c.side(e.To, "discloses", "receive"),
		Purpose: transfer.Purpose(e.Purpose.value), Service: transfer.Service(e.Service.value),
		Push: c.oneOf(e.Delivery, "way of delivery", deliveries) == "push", AccessOnly: e.Delivery.value == "access",
		FreeText: e.FreeText.value, Attachments: e.Attachments.value,
		Frequency: c.oneOf(e.Frequency, "frequency", frequencies),
		Told:      e.Told.value, Compelled: e.Compelled.value, Objection: c.window(e.Objection),
	}
	if e.Figures != nil {
		f.Figures = Figures{Below: e.Figures.Below.value, Round: e.Figures.Round.value}
	}
	if e.Onward != nil {
		f.Onward = c.onward(e.Onward)
	}
	if f.Service != "" {
		i := slices.IndexFunc(c.made.Groups, func(g Group) bool { return g.Delivers == f.Service })
		if i < 0 {
			c.fault(e.Service.place, "unknown-service", "Write delivers: "+e.Service.value+" in the group of those who deliver it.",
				"nobody in this agreement delivers %q", e.Service)
		} else {
			f.Members = c.made.Groups[i].Partners
			c.used["group "+c.made.Groups[i].Name] = true
		}
	}
	if len(e.From) == 1 && len(e.To) == 1 && e.From[0].value == e.To[0].value && len(f.From) == 1 && c.groups[e.From[0].value] == nil {
		c.fault(e.To[0].place, "to-itself", "Name somebody else.", "%s cannot disclose to itself", f.From[0])
	}
	if _, declared := c.made.Purpose(f.Purpose); !declared {
		var codes []string
		for _, p := range c.made.Purposes {
			codes = append(codes, string(p.Code))
		}
		if !e.Purpose.empty() {
			c.fault(e.Purpose.place, "undeclared-purpose", orSuggest(e.Purpose.value, codes, "Declare it under purposes."),
				"%q is not a purpose of this agreement", e.Purpose)
		}
		return f, false
	}
	c.used["purpose "+e.Purpose.value] = true
	return f, true
}

// window reads for how long people may object.
func (c *compiler) window(t text) time.Duration {
	c.wellFormed(t, window, `Write a number and d or w: "28d".`)
	if !window.MatchString(t.value) {
		return 0
	}
	days, _ := strconv.Atoi(t.value[:len(t.value)-1]) // three digits
	if strings.HasSuffix(t.value, "w") {
		days *= 7
	}
	return time.Duration(days) * 24 * time.Hour
}

// onward resolves to whom the recipient may pass on what it gets: groups, and partners of the register whether or not they are parties.
func (c *compiler) onward(e *onwardEntry) Onward {
	var o Onward
	for _, t := range e.To {
		members, isGroup := c.groups[t.value]
		if isGroup {
			c.used["group "+t.value] = true
		} else if id, ok := c.partner(t); ok {
			members = []transfer.PartnerID{id}
		}
		for _, id := range members {
			if !slices.Contains(o.To, id) {
				o.To = append(o.To, id)
			}
		}
	}
	for _, t := range e.Purposes {
		o.Purposes = append(o.Purposes, transfer.Purpose(c.oneOf(t, "purpose", purposes)))
	}
	return o
}

// flowsFor resolves a clause's items in one contract, and adds a flow for each basis that its senders rely on.
func (c *compiler) flowsFor(e *flowEntry, clause Flow, purpose *Purpose, message text) {
	contract, ok := contracts.For(transfer.MessageType(message.value))
	if !ok {
		if !message.empty() {
			c.fault(message.place, "unknown-message", `Write the name and version of a contract, such as "referral/1".`,
				"there is no message type %q", message)
		}
		return
	}
	clause.Messages, clause.Contract = []transfer.MessageType{transfer.MessageType(message.value)}, contract
	if !c.items(e, &clause) {
		return
	}
	if !e.When.empty() {
		clause.When = c.condition(e, contract)
	}
	c.sense(e, &clause, message)
	senders := clause.From
	for len(senders) > 0 {
		basis := purpose.BasisFor(senders[0])
		flow := clause
		flow.Basis, flow.From = basis, nil
		var others []transfer.PartnerID
		for _, id := range senders {
			if purpose.BasisFor(id) == basis {
				flow.From = append(flow.From, id)
			} else {
				others = append(others, id)
			}
		}
		senders = others
		c.grounds(e, &flow)
		c.clauses = append(c.clauses, clauseOf{&flow, c.file, e.ID.place})
		c.made.Flows = append(c.made.Flows, &flow)
	}
}

// grounds checks that special-category and offence items do not flow without a condition of their own.
func (c *compiler) grounds(e *flowEntry, f *Flow) {
	var special, offence []string
	for i := range f.Allowed.All() {
		if item := f.Contract.Items[i]; item.Special {
			special = append(special, item.Name)
		} else if item.Offence {
			offence = append(offence, item.Name)
		}
	}
	if f.Basis.Article6 == "" {
		return // the purpose has no basis at all, which was reported
	}
	if len(special) > 0 && f.Basis.Article9 == "" {
		c.fault(e.Items.place, "article9-missing", "Declare article9: for the purpose, or take the items out.",
			"special-category items flow without a condition of Art 9(2): %s", strings.Join(special, ", "))
	}
	if len(offence) > 0 && f.Basis.Offence == "" {
		c.fault(e.Items.place, "offence-missing", "Declare offence: and a paragraph of Schedule 1 for the purpose, or take the items out.",
			"criminal-offence items flow without a condition (Art 10): %s", strings.Join(offence, ", "))
	}
}
