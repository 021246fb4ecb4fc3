package policy

import (
	"fmt"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// What somebody outside demands of the sender (E4, E5): exactly what is demanded goes, and no more, under a clause for demands or, where there
// is none, by exception.

// compelling says which instruments oblige the sender, and to what kind of body each may oblige it to disclose. A request is not among them.
var compelling = map[string][]transfer.Kind{
	"court-order": {transfer.Court, transfer.Council, transfer.Police, transfer.Regulator, transfer.Government, transfer.Board},
	"statute":     {transfer.Court, transfer.Council, transfer.Police, transfer.Regulator, transfer.Government, transfer.Board},
	"regulator":   {transfer.Regulator},
	"warrant":     {transfer.Police, transfer.Government, transfer.Court},
}

var (
	compelled = exception{row: "E4", source: "001-7, 002-8, Art 6(1)(c)", code: ExceptionLegal, by: mayDisclose, mayFind: true}
	// What is merely asked for goes when the Data Protection Lead has found the necessity shown, and never tells where somebody is whose address
	// is protected.
	requested   = exception{row: "E5", source: "001-17, Art 6(1)(ea) Annex 1, DPA 2018 Sch 1 para 10, Sch 2 para 2", code: ExceptionLegal, by: mayDisclose}
	mayDisclose = []transfer.StaffRole{transfer.DataProtection, transfer.CaldicottGuardian}
)

func compels(d *contracts.Demand) bool { return d != nil && compelling[d.Instrument] != nil }

// demandGoesTo reports whether what is demanded may go to a body of this kind.
func demandGoesTo(d *contracts.Demand, k transfer.Kind) bool {
	if !compels(d) {
		return k.PublicBody()
	}
	return slices.Contains(compelling[d.Instrument], k)
}

// exactly reports whether only what is demanded goes.
func (c *hearing) exactly() bool {
	return c.exception == &compelled || c.exception == &requested || c.flow != nil && c.flow.Compelled
}

// demanded asks, under a clause for demands, whether there is one that compels. A request that does not stands on a row of its own.
func demanded(c *hearing) []finding {
	switch d := c.request.Demand; {
	case !c.flow.Compelled:
		return nil
	case !compels(d):
		return []finding{{effect: hold, firm: true, Reason: notCompelling("E5", requested.source)}}
	case c.recipient != nil && !demandGoesTo(d, c.recipient.Kind):
		return []finding{{effect: refuse, Reason: Reason{
			Code: ExceptionNotAvailable, Gate: "E4", Source: compelled.source,
			Detail: fmt.Sprintf("An instrument of this kind obliges nobody to disclose to %s.", c.recipient.Name),
			Remedy: "Check which body demands it, and by which instrument.",
		}}}
	}
	return c.demandShown(&compelled)
}

func notCompelling(row, source string) Reason {
	return Reason{
		Code: DemandNotCompelling, Gate: row, Source: source,
		Detail: "Nothing obliges the sender to disclose this: no order, statute, regulator's demand or warrant.",
		Remedy: "The Data Protection Lead has to find from the written request whether disclosing it is necessary. The sender may also refuse.",
	}
}

// demandShown looks at what is on record of a demand: the instrument, who asks, by whose authority or which law, and who at the sender decided.
func (c *hearing) demandShown(x *exception) []finding {
	var found []finding
	d := c.request.Demand
	missing := func(what string) {
		found = append(found, finding{effect: hold, Reason: Reason{
			Code: ExceptionNotShown, Gate: x.row, Source: "001-7",
			Detail: fmt.Sprintf("The message does not say %s.", what),
			Remedy: "Have it recorded, and send the message again.",
		}})
	}
	if d.Reference == "" || d.By == "" {
		missing("which instrument it is, and who asks (demand.reference, demand.by)")
	}
	if x == &compelled && d.Authority == "" && d.Law == "" {
		missing("by whose authority or which law (demand.authority, demand.law)")
	}
	if !c.mayClaim(x, d.Person) {
		missing(fmt.Sprintf("who decided it, by the id of somebody on the sender's register who may (demand.person): %s", listOf(x.by)))
	}
	if x == &requested {
		found = append(found, finding{effect: hold, Reason: notCompelling("E5", x.source)})
		if ruling := c.lifting(DemandNotCompelling); ruling != nil && !c.request.At.Before(ruling.At.Add(exceptionLasts)) {
			found = append(found, c.ranOut(x))
		}
	}
	return found
}

// demandExpires is when a demand that was met has to be looked at again: 72 hours after the Data Protection Lead let it go, and for one that
// compels, which says no instant, after the decision.
func (c *hearing) demandExpires() time.Time {
	if ruling := c.lifting(DemandNotCompelling); c.exception == &requested && ruling != nil {
		return ruling.At.Add(exceptionLasts)
	}
	return c.request.At.Add(exceptionLasts)
}

// asked keeps, under a clause for demands, to what is demanded.
func asked(c *hearing, p *person) []finding {
	if !c.flow.Compelled {
		return nil
	}
	var wanted contracts.ItemSet
	if c.request.Demand != nil {
		wanted = c.request.Demand.Items
	}
	rest := p.left.Minus(wanted)
	if rest.Empty() {
		return nil
	}
	return []finding{c.strip(p, rest, Reason{
		Code: ItemNotListed, Gate: "E4", Source: compelled.source,
		Detail: fmt.Sprintf("Not everything that was sent about %s was demanded.", who(p)),
		Remedy: "Nothing to do: beyond what is demanded, nothing goes.",
	})}
}
