package policy

import (
	"fmt"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

// strip takes items away from a person and gives the finding that says so.
func (c *hearing) strip(p *person, items contracts.ItemSet, reason Reason) finding {
	p.left = p.left.Minus(items)
	reason.Role, reason.Items = p.Role, c.request.Contract.Names(items)
	return finding{effect: reduce, Reason: reason}
}

// which gives the items of a set for which want holds.
func (c *hearing) which(items contracts.ItemSet, want func(*contracts.Item) bool) contracts.ItemSet {
	var out contracts.ItemSet
	for i := range items.All() {
		if want(&c.request.Contract.Items[i]) {
			out = out.With(i)
		}
	}
	return out
}

func isSpecial(i *contracts.Item) bool   { return i.Special }
func isOffence(i *contracts.Item) bool   { return i.Offence }
func isDirective(i *contracts.Item) bool { return i.Directive }

// listed is gate G6: only what the clause lists goes. Notes and attachments have to be let go beside that.
func listed(c *hearing, p *person) []finding {
	unlisted := p.left.Minus(c.flow.Allowed).Or(c.which(p.left, func(i *contracts.Item) bool { return c.leave(i) == agreement.Never }))
	if unlisted.Empty() {
		return nil
	}
	ofRole := func(i *contracts.Item) bool { return i.Role == p.Role }
	if c.which(c.flow.Allowed, ofRole).Empty() {
		found := c.strip(p, unlisted, Reason{
			Code: SubjectGroupNotCovered, Gate: "G6", Source: "G6",
			Detail: fmt.Sprintf("The agreement lets nothing go about %s.", who(p)),
			Remedy: "Leave this person out, or have the agreement changed.",
		})
		if p.primary && !c.exactly() {
			found.effect = refuse
		}
		return []finding{found}
	}
	return []finding{c.strip(p, unlisted, Reason{
		Code: ItemNotListed, Gate: "G6", Source: "001-10, 002-1, 003-1, 003-3",
		Detail: fmt.Sprintf("The agreement does not list everything that was sent about %s.", who(p)),
		Remedy: "Nothing to do, unless the recipient needs the items: then the agreement has to list them.",
	})}
}

// special is gate G7: special-category items need an Art 9 condition, the Schedule 1 paragraph that goes with it, and the
// appropriate policy document where that paragraph asks for one (DPA 2018 s.10, Sch 1 para 5). The sender's own rules may ask for more.
func special(c *hearing, p *person) []finding {
	items := c.which(p.left, isSpecial)
	if items.Empty() {
		return nil
	}
	basis := c.flow.Basis
	reason := Reason{Gate: "G7", Source: "Art 9, DPA 2018 s.10", Remedy: "Have the agreement corrected, or do without the items."}
	switch {
	case basis.Article9 == "":
		reason.Code = Article9Missing
		reason.Detail = fmt.Sprintf("The agreement names no condition for special-category data about %s.", who(p))
	case !basis.Paired():
		reason.Code = Schedule1Mismatch
		reason.Detail = fmt.Sprintf("The condition for special-category data about %s lacks its paragraph of Schedule 1.", who(p))
	case basis.APD == "" && basis.NeedsAPD():
		reason.Code, reason.Source = APDMissing, "001-28, DPA 2018 Sch 1 para 5"
		reason.Detail = fmt.Sprintf("The condition for special-category data about %s lacks its appropriate policy document.", who(p))
	case basis.Article9 == "h" && c.recipient != nil && c.recipient.Kind == transfer.Individuals:
		reason.Code, reason.Source = Schedule1Mismatch, "DPA 2018 s.11"
		reason.Detail = fmt.Sprintf("Health and social care is a ground to tell those who are bound to secrecy about %s, and people at home are not.", who(p))
	case c.sender != nil && c.sender.Profile.SpecialOnLegalGrounds && !legalGround(basis):
		reason.Code, reason.Source = LegalGroundMissing, "002-3"
		reason.Detail = fmt.Sprintf("%s gives special-category data away only on legal or substantial-public-interest grounds, and the agreement names none for data about %s.",
			c.sender.Name, who(p))
		reason.Remedy = "Do without the items, or have the agreement declare such a ground where there is one."
	default:
		return nil
	}
	return []finding{c.strip(p, items, reason)}
}

// legalGround reports whether special-category data goes for legal reasons or on grounds of substantial public interest (rules 002-3, 002-9): a
// legal obligation, social protection law, vital interests, legal claims, or Schedule 1 Part 2.
func legalGround(b agreement.Basis) bool {
	switch b.Article9 {
	case "b", "c", "f", "g":
		return true
	}
	return b.Article6 == "c"
}

// offence is gate G8: criminal-offence items need a condition of Schedule 1, with its policy document where it asks for one.
func offence(c *hearing, p *person) []finding {
	items := c.which(p.left, isOffence)
	if items.Empty() {
		return nil
	}
	reason := Reason{Gate: "G8", Source: "Art 10, DPA 2018 s.10(5)", Remedy: "Have the agreement corrected, or do without the items."}
	switch basis := c.flow.Basis; {
	case basis.Offence == "":
		reason.Code = OffenceMissing
		reason.Detail = fmt.Sprintf("The agreement names no condition for criminal-offence data about %s.", who(p))
	case basis.APD == "" && basis.NeedsAPD():
		reason.Code = APDMissing
		reason.Detail = fmt.Sprintf("The condition for criminal-offence data about %s lacks its appropriate policy document.", who(p))
	default:
		return nil
	}
	return []finding{c.strip(p, items, reason)}
}

// directives makes sure that nobody learns where a person is without learning how to treat it: when a directive ("safe to
// contact?", "address must be protected") is present and cannot go, neither can what leads to the person. What a demand compels goes exactly
// as it is demanded; the recipient is then told how to treat it by an obligation.
func directives(c *hearing, p *person) []finding {
	if c.exactly() || c.which(p.Items.Minus(p.left), isDirective).Empty() {
		return nil
	}
	items := c.which(p.left, reaches)
	if items.Empty() {
		return nil
	}
	found := c.strip(p, items, Reason{
		Code: ItemNotListed, Gate: "G6", Source: "G6",
		Detail: fmt.Sprintf("A safety instruction about %s may not go, so neither may the contact details that it protects.", who(p)),
		Remedy: "Have the agreement list the instruction.",
	})
	return []finding{found}
}

// sufficient is the other half of gate G6: a recipient gets what it cannot do without, or nothing until somebody has looked. When nothing is
// left, there is nothing that a ruling could let go.
func sufficient(c *hearing, p *person) []finding {
	if c.exactly() {
		return nil // what is demanded, or nothing: see nothing
	}
	lacking := c.which(c.flow.Required.Minus(p.left), func(i *contracts.Item) bool { return i.Role == p.Role })
	if !lacking.Empty() {
		return []finding{{effect: hold, firm: p.primary && p.left.Empty(), Reason: Reason{
			Code: RequiredItemStripped, Gate: "G6", Source: "G6", Role: p.Role, Items: c.request.Contract.Names(lacking),
			Detail: fmt.Sprintf("The recipient needs items about %s that may not go or were not sent.", who(p)),
			Remedy: "Send what is missing, or obtain the consent that lets it go.",
		}}}
	}
	if p.primary && p.left.Empty() && !p.Items.Empty() {
		return []finding{{effect: hold, firm: true, Reason: Reason{
			Code: RequiredItemStripped, Gate: "G6", Source: "G6", Role: p.Role,
			Detail: fmt.Sprintf("Nothing that was sent about %s may go, so there is nothing to send.", who(p)),
			Remedy: "See the other reasons.",
		}}}
	}
	return nil
}

// nothing holds what stands on a demand or an exception when no item of anybody may go by it.
func nothing(c *hearing, people []person) []finding {
	if c.exception == nil && !c.exactly() {
		return nil
	}
	for i := range people {
		if !people[i].left.Empty() {
			return nil
		}
	}
	return []finding{{effect: hold, firm: true, Reason: Reason{
		Code: RequiredItemStripped, Gate: "G6", Source: "G6",
		Detail: "Nothing that was sent may go on this ground, so there is nothing to send.",
		Remedy: "See the other reasons, or send what is asked for.",
	}}}
}

var roleNames = map[transfer.Role]string{
	transfer.Carer:        "the carer",
	transfer.CaredFor:     "the cared-for person",
	transfer.Child:        "the child",
	transfer.Household:    "the household member",
	transfer.AbsentParent: "the parent who lives elsewhere",
	transfer.Professional: "the professional",
	transfer.Nobody:       "people as a whole",
}

// who names a person of a message without saying who it is.
func who(p *person) string {
	if p.Position > 0 {
		return fmt.Sprintf("%s (number %d)", roleNames[p.Role], p.Position+1)
	}
	return roleNames[p.Role]
}

func isNobody(p *person) bool { return p.Role == transfer.Nobody }
