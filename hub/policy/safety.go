package policy

import (
	"fmt"
	"strings"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// Safety flags beat any agreement and any consent: whoever set one knew something that the rest of the message does not say.

// isContact reports whether an item is a way to reach a person, or where they are.
func isContact(i *contracts.Item) bool {
	return (i.Category == "address" || i.Category == "contact") && !i.Directive
}

// reaches reports whether an item leads to a person: their address, number and the like, and the places where they can be waited for.
func reaches(i *contracts.Item) bool {
	_, name, _ := strings.Cut(i.Name, ".")
	switch name {
	case "school", "school_contact", "gp":
		return true
	}
	return isContact(i)
}

// leads reports whether an item leads to somebody who must not be found: what reaches a person, and which surgery, school or team is involved
// with one. Who referred them stays: the recipient has to ask somebody.
func leads(i *contracts.Item) bool {
	switch i.Name {
	case "professionals.name", "professionals.organisation", "professionals.phone", "professionals.email":
		return true
	}
	return reaches(i)
}

// home are the roles of those who may live together. The hub does not know who does, so it takes it that they all do.
func home(r transfer.Role) bool {
	switch r {
	case transfer.Carer, transfer.CaredFor, transfer.Child, transfer.Household:
		return true
	}
	return false
}

// hidden keeps back what leads to somebody whose address is protected, also where it is about those who may live with them or are involved.
func hidden(c *hearing, p *person) []finding {
	if c.mayFind() || !c.protected(p) {
		return nil
	}
	items := c.which(p.left, leads)
	if items.Empty() {
		return nil
	}
	return []finding{c.strip(p, items, Reason{
		Code: ProtectedAddress, Gate: "G6", Source: "section 11, C10",
		Detail: fmt.Sprintf("Somebody in this message may not be found, so nothing goes that leads to %s.", who(p)),
		Remedy: "If the recipient has to reach them, ask the safeguarding lead how it can be done safely.",
	})}
}

// protected reports whether what leads to a person leads to somebody whose address is protected.
func (c *hearing) protected(p *person) bool {
	for i := range c.request.Subjects {
		s := &c.request.Subjects[i]
		if s.Facts.Has(AddressProtected) && (s == p.Subject || home(s.Role) && home(p.Role) || p.Role == transfer.Professional) {
			return true
		}
	}
	return false
}

// mayFind reports whether this goes to somebody who has to be able to find people in order to protect them, or to obey an order.
func (c *hearing) mayFind() bool {
	if c.exception != nil {
		return c.exception.mayFind
	}
	return c.flow.Compelled || c.safeguards() && c.recipient != nil && exceptions["safeguarding"].goesTo(c.recipient.Kind)
}

// apart keeps those who are said to have harmed somebody and those whom they harmed from finding one another: nobody gets the contact details of
// the first to use by mistake, and theirs are kept from recipients through whom the first would learn them.
func apart(c *hearing, p *person) []finding {
	if c.mayFind() || p.Role == transfer.Professional {
		return nil
	}
	accused, leaks := p.Facts.Has(AllegedPerpetrator), false
	for i := range c.request.Subjects {
		s := &c.request.Subjects[i]
		leaks = leaks || s.Facts.Has(AllegedPerpetrator) && (c.toIndividuals() || s.Role == primaryRole(c.request.Subjects))
	}
	if !accused && !leaks {
		return nil
	}
	items := c.which(p.left, reaches)
	if items.Empty() {
		return nil
	}
	return []finding{c.strip(p, items, Reason{
		Code: PerpetratorNamed, Gate: "G6", Source: "C10",
		Detail: fmt.Sprintf("Somebody in this message is said to have harmed somebody else in it, so nothing goes that leads to %s.", who(p)),
		Remedy: "Ask the safeguarding lead how the recipient can reach people safely.",
	})}
}

func (c *hearing) toIndividuals() bool {
	return c.recipient != nil && c.recipient.Kind == transfer.Individuals
}

// endangered holds what goes about a home in which somebody is said to have harmed somebody else, until the safeguarding lead has looked. A
// parent who lives elsewhere is not in it.
func endangered(c *hearing, p *person) []finding {
	if c.mayFind() || !p.Facts.Has(AllegedPerpetrator) || p.Role == transfer.AbsentParent && !c.toIndividuals() {
		return nil
	}
	return []finding{{effect: hold, Reason: Reason{
		Code: PerpetratorNamed, Gate: "G10", Source: "C10", Role: p.Role,
		Detail: fmt.Sprintf("It is said that %s has harmed somebody else in this message.", who(p)),
		Remedy: "The safeguarding lead has to look before anything goes. Do not contact anybody in the home about it.",
	}}}
}

// noticed looks for an address, a number or an e-mail address that somebody has typed into notes. Where the person's contact details may go, it
// is a note. Where they may not, it holds the transfer, also when the person has since said no to the notes: their no makes nothing go that
// had to be looked at before. Of anybody else than whose message it is, the notes stay behind.
func noticed(c *hearing, p *person) []finding {
	items := p.Noticed.And(p.covered)
	if items.Empty() {
		return nil
	}
	reason := Reason{
		Code: ContactInNotes, Gate: "G6", Source: "001-10", Role: p.Role, Items: c.request.Contract.Names(items),
		Detail: fmt.Sprintf("The notes about %s seem to hold an address, a telephone number or an e-mail address.", who(p)),
		Remedy: "Next time put it where the message has a place for it.",
	}
	going := items.And(p.left)
	switch {
	case c.mayReach(p) && going.Empty():
		return nil
	case c.mayReach(p):
		return []finding{{effect: note, Reason: reason}}
	}
	reason.Detail = fmt.Sprintf("The notes about %s seem to hold an address, a telephone number or an e-mail address, and contact details may not go.", who(p))
	reason.Remedy = "Take it out of the notes and send the message again."
	switch {
	case p.primary:
		return []finding{{effect: hold, Reason: reason}}
	case going.Empty():
		return nil
	}
	return []finding{c.strip(p, going, reason)}
}

// mayReach reports whether contact details of a person may go. Nobody knows whose the number in a note is, so none may where anybody in the
// message is hidden.
func (c *hearing) mayReach(p *person) bool {
	if c.mayFind() {
		return true
	}
	for i := range c.request.Subjects {
		if c.request.Subjects[i].Facts.Has(AddressProtected) {
			return false
		}
	}
	if c.exception != nil {
		return true
	}
	may := c.which(c.flow.Allowed, func(i *contracts.Item) bool { return i.Role == p.Role && isContact(i) })
	return !may.Empty() && c.which(p.Items.Minus(p.left), isContact).Empty()
}
