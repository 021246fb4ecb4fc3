package policy

import (
	"fmt"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/transfer"
)

// identified holds a transfer about somebody whom the hub cannot tell from somebody else: it would go by the wrong person's
// consent.
func identified(c *hearing, p *person) []finding {
	if !p.Ambiguous {
		return nil
	}
	return []finding{{hold, Reason{
		Code: IdentityAmbiguous, Gate: "G10", Source: "G10", Role: p.Role,
		Detail: fmt.Sprintf("The identifiers given for %s belong to different people.", who(p)),
		Remedy: "Check the identifiers. If they are right, the Data Protection Lead has to say which person it is.",
	}}}
}

// consented is gate G10: what the person has said, on the basis that the agreement declares and on no other. The primary
// subject's answer decides about the transfer; anybody else's about their own items alone (domain.md section 4.4, C11, C12).
//
// Professionals act in a working capacity: that a named nurse refers is not the nurse's to consent to, and the clause lists
// what of it goes.
func consented(c *hearing, p *person) []finding {
	if p.Role == transfer.Professional {
		return nil
	}
	basis := c.flow.Basis
	scope := consent.Scope{
		Sender: c.request.Sender, Recipient: c.request.Recipient,
		Purpose: c.request.Purpose, Service: c.request.Service, Members: c.flow.Members,
		Authorities: deciders(p.Subject, c.request.At),
	}
	standing := consent.At(p.Events, scope, c.request.At)
	p.consents = standing.Refs
	said := answerOf(&standing)

	verdict, careful := c.verdict(said, &standing), ok
	delicate := c.which(p.left, isSpecial)
	if row := caution(basis.Article9, paragraphOf(basis.Schedule1)); row != nil && !delicate.Empty() {
		careful = row[said]
	}
	var found []finding
	switch {
	case verdict.effect >= hold && !p.primary:
		return c.without(p, said, verdict.code, &standing, scope)
	case verdict.effect >= hold:
		// Nothing goes, so there is nothing to strip.
		if careful.code == verdict.code {
			verdict.effect, careful = max(verdict.effect, careful.effect), ok
		}
		for _, v := range [...]cell{verdict, careful} {
			if v.effect >= hold {
				found = append(found, finding{v.effect, c.explain(v.code, p, said, &standing, scope)})
			}
		}
		return found
	case careful.effect >= hold:
		found = append(found, c.strip(p, delicate, c.explain(careful.code, p, said, &standing, scope)))
	}
	return append(found, c.cover(p, said, &standing, scope)...)
}

// verdict reads the matrix, and takes the ways out that two of its cells have.
func (c *hearing) verdict(said answer, standing *consent.Standing) cell {
	v := matrix[c.flow.Basis.Article6][said]
	switch u := c.request.Undertaking; {
	case v.code == SubjectNotInformed && c.informed(standing):
		return ok
	case v.code == ReferrerUndertakingMissing && u != nil && u.EvidenceRef != "":
		return ok
	}
	return v
}

// informed reports whether the person was told of the sharing: shown a privacy notice in person, or able to expect it from the
// one that the sender publishes for this agreement (rules 003-4, 001-13).
func (c *hearing) informed(standing *consent.Standing) bool {
	if standing.Notice != "" {
		return true
	}
	for _, n := range c.flow.Agreement.Transparency {
		if n.Party == c.request.Sender {
			return true
		}
	}
	return false
}

// without takes a third party's items out. A no takes all of them. When nothing speaks for the person, what only explains the
// caring context may stay, except the kinds of data that the person said no to.
func (c *hearing) without(p *person, said answer, code Code, standing *consent.Standing, scope consent.Scope) []finding {
	kept := contracts.ItemSet{}
	reason := c.explain(code, p, said, standing, scope)
	if !said.isNo() {
		kept = c.withDirectives(p, c.which(p.left, func(i *contracts.Item) bool {
			_, out := standing.Except[i.Category]
			return isContext(i) && !out
		}))
		if reason.Code != ParentalConsentMissing && reason.Code != RepresentativeUnverified {
			reason.Code, reason.Source = ThirdPartyNoBasis, "001-14"
			reason.Detail = fmt.Sprintf("Nothing on record lets data about %s go.", who(p))
			reason.Remedy = "Record that person's own consent, or leave the items out."
		}
	}
	items := p.left.Minus(kept)
	if items.Empty() {
		return nil
	}
	return []finding{c.strip(p, items, reason)}
}

// cover takes out the items that the person's consent does not cover, where consent is what lets them go, and the categories
// that the person has said no to, except where the law leaves them no choice.
func (c *hearing) cover(p *person, said answer, standing *consent.Standing, scope consent.Scope) []finding {
	var found []finding
	kept := p.left
	var stripped [len(coverCodes)]contracts.ItemSet
	for i := range p.left.All() {
		item := &c.request.Contract.Items[i]
		code, covered := c.covers(item, p, said, standing)
		if covered {
			continue
		}
		for k := range coverCodes {
			if coverCodes[k] == code {
				stripped[k] = stripped[k].With(i)
			}
		}
		kept = kept.Minus(contracts.ItemSet{}.With(i))
	}
	kept = c.withDirectives(p, kept)
	for k, items := range stripped {
		if items = items.Minus(kept); !items.Empty() {
			found = append(found, c.strip(p, items, c.explain(coverCodes[k], p, said, standing, scope)))
		}
	}
	return found
}

// coverCodes are the reasons why an item may not be covered, in the order in which they are given.
var coverCodes = [...]Code{
	ConsentRefused, ConsentWithdrawn, Objection, ConsentExpired, ConsentNone, ConsentNotExplicit, ConsentScope,
}

// covers reports whether a person's standing lets an item go, and if not, why.
func (c *hearing) covers(item *contracts.Item, p *person, said answer, standing *consent.Standing) (Code, bool) {
	basis := c.flow.Basis
	if state, out := standing.Except[item.Category]; out && binding(basis, item) {
		switch state {
		case consent.Withdrawn:
			return ConsentWithdrawn, false
		case consent.Objected:
			return Objection, false
		}
		return ConsentRefused, false
	}
	gated := basis.Article6 == "a" || basis.Article9 == "a" && item.Special
	switch {
	case !gated, standing.Covers(item), !p.primary && !said.isNo() && isContext(item):
		return "", true
	case said == yesExplicit || said == yes:
		if item.Special {
			return ConsentNotExplicit, false
		}
		return ConsentScope, false
	}
	return matrix["a"][said].code, false
}

// binding reports whether a person's no to a kind of data counts on this basis: always, except where a law compels the sender.
// Then it counts for special-category data alone, and there on the conditions that ask for it or are cautious about it.
func binding(basis agreement.Basis, item *contracts.Item) bool {
	return basis.Article6 != "c" ||
		item.Special && (basis.Article9 == "a" || caution(basis.Article9, paragraphOf(basis.Schedule1)) != nil)
}

// withDirectives adds the directives that the agreement lets go to whatever else is kept about a person: how to treat the rest
// is not the person's to withhold from those who receive it.
func (c *hearing) withDirectives(p *person, kept contracts.ItemSet) contracts.ItemSet {
	if kept.Empty() {
		return kept
	}
	return kept.Or(c.which(p.covered, isDirective))
}

// isContext reports whether an item only explains the caring context, and so may go without the word of the person it is about
// unless that person says no (domain.md section 4.4, C11): how a cared-for person or a child of the household is related to
// the carer, and the broadest words for what the cared-for person lives with. Never what identifies or finds somebody. Of
// other adults nothing is context (C12).
func isContext(i *contracts.Item) bool {
	switch i.Role {
	case transfer.CaredFor:
		return i.Category == "relationship" || i.Name == "cared_for.condition"
	case transfer.Child:
		return i.Category == "relationship"
	}
	return false
}

// explain puts an answer into words.
func (c *hearing) explain(code Code, p *person, said answer, standing *consent.Standing, scope consent.Scope) Reason {
	if code == ConsentNone && said == silent {
		code = c.silence(p, standing, scope)
	}
	w := wordings[code]
	return Reason{Code: code, Gate: "G10", Role: p.Role, Detail: fmt.Sprintf(w.detail, who(p)), Remedy: w.remedy, Source: w.source}
}

// silence says more exactly what is missing when no consent is on record.
func (c *hearing) silence(p *person, standing *consent.Standing, scope consent.Scope) Code {
	anybody := scope
	anybody.Authorities = nil
	byAnother := consent.At(p.Events, anybody, c.request.At)
	switch {
	case underSixteen(p.Subject, c.request.At) && (p.primary || byAnother.State == consent.Given):
		return ParentalConsentMissing
	case byAnother.State == consent.Given:
		return RepresentativeUnverified
	case standing.OutOfScope:
		return ConsentScope
	case p.primary && c.request.Undertaking == nil && standing.State == consent.None && c.flow.Basis.Article6 == "a":
		return ReferrerUndertakingMissing
	}
	return ConsentNone
}

// wordings are what a caseworker reads. %s is the person, without saying who it is.
var wordings = map[Code]struct{ detail, remedy, source string }{
	ConsentNone: {
		"No consent of %s to this is on record.",
		"Ask for consent and record the answer.", "000-1, 001-12",
	},
	ConsentScope: {
		"The consent of %s on record is for something else: another purpose, recipient, service or kind of data.",
		"Ask for consent to exactly this and record the answer.", "004-2, 003-5",
	},
	ConsentNotExplicit: {
		"There is no explicit consent of %s that names this kind of special-category data.",
		"If the recipient needs it, ask for explicit consent that names it, and record the answer.", "Art 9(2)(a)",
	},
	ConsentExpired: {
		"The consent of %s has run out.",
		"Ask for consent again and record the answer.", "004-6",
	},
	ConsentRefused: {
		"On record is that %s refused this sharing.",
		"Respect the refusal. It may be asked about again only when circumstances have changed.", "003-5",
	},
	ConsentWithdrawn: {
		"On record is that %s withdrew consent to this sharing.",
		"Respect the withdrawal, and tell those who received the data before.", "001-4, 002-7, Art 7(3)",
	},
	Objection: {
		"On record is that %s objects to this sharing.",
		"Stop, unless the Data Protection Lead finds compelling grounds.", "001-35, Art 21",
	},
	ParentalConsentMissing: {
		"Nothing shows that somebody with parental responsibility has consented for %s, or that the child was found competent to decide.",
		"Record a parent's consent, or that the child is Gillick-competent for this decision and consents.", "recital 38, Gillick competence",
	},
	RepresentativeUnverified: {
		"Somebody else consented for %s, and nothing shows that they may.",
		"Record the person's own consent. If they cannot decide this, ask the Data Protection Lead.", "Mental Capacity Act 2005",
	},
	ReferrerUndertakingMissing: {
		"Nothing on record says on which ground data about %s is sent.",
		"Give the undertaking with the referral, with its evidence, and record the consent it rests on.", "001-1",
	},
	SubjectNotInformed: {
		"Nothing shows that %s was told of this sharing.",
		"Show the privacy notice and record that it was shown, or record in the agreement where it is published.", "003-4, 001-13",
	},
	LessIntrusiveAvailable: {
		"Vital interests of %s are claimed, and nobody has recorded that life is in danger and no less intrusive way exists.",
		"If life is in danger, call the emergency services. The safeguarding lead has to record the exception.", "001-19",
	},
	VitalInterestsCapable: {
		"Vital interests are no ground for special-category data about %s, who is presumed able to consent.",
		"Ask for explicit consent. If the person cannot decide this now, the safeguarding lead has to record it.", "001-20, Art 9(2)(c)",
	},
}
