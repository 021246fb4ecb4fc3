package policy

import (
	"fmt"
	"slices"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/transfer"
)

// identified holds a transfer about somebody whom the hub cannot tell from somebody else: it would go by the wrong person's
// consent.
func identified(c *hearing, p *person) []finding {
	if !p.Facts.Has(IdentifiersDisagree) {
		return nil
	}
	return []finding{{effect: hold, Reason: Reason{
		Code: IdentityAmbiguous, Gate: "G10", Source: "G10", Role: p.Role,
		Detail: fmt.Sprintf("The identifiers given for %s belong to different people.", who(p)),
		Remedy: "Check the identifiers. If they are right, the Data Protection Lead has to say which person it is.",
	}}}
}

// unrestricted is gate G9: what somebody has had restricted is kept and not used (Art 18), except with their consent since, for legal claims,
// to protect somebody else, or where a law compels. A restriction of some kinds of data takes those out; one of everything about the person
// whose message it is holds it.
func unrestricted(c *hearing, p *person) []finding {
	s := &p.word.standing
	if len(s.Restricted) == 0 || c.exactly() || c.safeguards() || c.flow.Basis.Article9 == "f" {
		return nil
	}
	var out contracts.ItemSet
	held, refs := false, make([]string, len(s.Restricted))
	for i := range s.Restricted {
		one := consent.Standing{State: s.State, Explicit: s.Explicit, Categories: s.Categories, Except: s.Except, Restricted: s.Restricted[i : i+1]}
		hit := c.which(p.left, one.Restricts)
		if p.primary && len(s.Restricted[i].Categories) == 0 && !s.Restricted[i].Agreed {
			held = held || !hit.Empty()
		} else {
			out = out.Or(hit)
		}
		refs[i] = s.Restricted[i].Ref
	}
	p.rests(refs)
	reason := Reason{
		Code: Restricted, Gate: "G9", Source: "Art 18", Role: p.Role,
		Detail: fmt.Sprintf("On record is that data about %s may be kept and not used until the restriction is lifted.", who(p)),
		Remedy: "Wait until it is lifted, or ask the person whether they agree to this transfer all the same.",
	}
	found := c.but(p, p.left.Minus(out), reason)
	if held {
		found = append(found, finding{effect: hold, Reason: reason})
	}
	return found
}

// consented is gate G10: what the person has said, on the basis that the agreement declares and on no other. The primary
// subject's answer decides about the transfer; anybody else's about their own items alone (domain.md section 4.4, C11, C12).
//
// Professionals act in a working capacity: that a named nurse refers is not the nurse's to consent to, and the clause lists
// what of it goes. Figures are about nobody.
func consented(c *hearing, p *person) []finding {
	if p.Role == transfer.Professional || isNobody(p) {
		return nil
	}
	p.rests(p.word.standing.Refs)
	said, verdict, found := c.verdict(p)
	delicate := c.which(p.left, isSpecial)
	careful := ok
	if row := caution(c.flow.Basis); row != nil && !delicate.Empty() {
		var lifted []finding
		careful, lifted = c.cautious(p, row, said)
		found = append(found, lifted...)
	}
	if careful.effect >= hold && (verdict.effect < hold || !p.primary) {
		found = append(found, c.strip(p, delicate, c.explain(careful.code, p, said)))
	}
	switch {
	case verdict.effect >= hold && !p.primary:
		return append(found, c.without(p, said, verdict.code)...)
	case verdict.effect >= hold:
		// Nothing goes, so there is nothing to strip.
		if careful.code == verdict.code {
			verdict.effect, careful = max(verdict.effect, careful.effect), ok
		}
		for _, v := range [...]cell{verdict, careful} {
			if v.effect >= hold {
				found = append(found, finding{effect: v.effect, firm: true, Reason: c.explain(v.code, p, said)})
			}
		}
		return found
	}
	return append(found, c.cover(p, said)...)
}

// rests adds to the events that the decision about a person rests on.
func (p *person) rests(refs []string) {
	if p.consents == nil {
		p.consents = refs
	} else {
		p.consents = slices.Concat(p.consents, refs)
	}
}

// verdict reads the matrix for the transfer as a whole and then, in the order of section 4.4, whether whoever spoke could. What a ruling has
// lifted comes back as findings. Behind a no that was lifted, or that does not stop what protects somebody, the person counts as silent.
func (c *hearing) verdict(p *person) (said answer, v cell, lifted []finding) {
	said = p.word.said
	firm := c.flow.Basis.Article6 == "a"
	passes := func(v cell) bool {
		if v.effect != hold || firm || !p.primary || c.lifting(v.code) == nil {
			return v.effect < hold
		}
		lifted = append(lifted, finding{effect: hold, Reason: c.explain(v.code, p, said)})
		return true
	}
	if p.Facts.Has(CapacityInDoubt) && restsOnWord(c.flow.Basis) && p.primary && c.lifting(CapacityDoubt) != nil {
		lifted = append(lifted, finding{effect: hold, Reason: c.explain(CapacityDoubt, p, said)})
	}
	if said.isNo() {
		switch v = matrix[c.flow.Basis.Article6][said]; {
		case v == ok:
			return said, ok, lifted
		case v.effect == hold && c.overrides(p):
		case !passes(v):
			return said, v, lifted
		}
		said = silent
	}
	if restsOnWord(c.flow.Basis) && c.doubted(p) {
		return said, cell{hold, CapacityDoubt}, lifted
	}
	for _, v := range [...]cell{
		c.wayOut(p, matrix[c.flow.Basis.Article6][said]), c.decided(p, said), c.parentBeside(p, said),
	} {
		if v.code == ConsentNone {
			v.code = c.silence(p)
		}
		if !passes(v) {
			return said, v, lifted
		}
	}
	return said, ok, lifted
}

// wayOut takes the ways out that some cells of the matrix have.
func (c *hearing) wayOut(p *person, v cell) cell {
	open := false
	switch u := c.request.Undertaking; v.code {
	case SubjectNotInformed:
		open = c.informed(p)
	case ReferrerUndertakingMissing:
		open = u != nil && u.EvidenceRef != "" || c.safeguards()
	case LimbMissing:
		open = c.limbRecorded()
	}
	if open {
		return ok
	}
	return v
}

// informed reports whether the person was told of the sharing, or there is a recorded reason why not: shown a privacy notice in person, told on
// a day that the sender names, able to expect it from the notice that the sender publishes for this agreement; or not told for reasons of
// safety or crime (rules 003-4, 001-13).
func (c *hearing) informed(p *person) bool {
	if p.word.standing.Notice != "" {
		return true
	}
	if _, told := c.toldOn(); told {
		return true
	}
	if u := c.request.Undertaking; u != nil && (u.NotInformed == "safety" || u.NotInformed == "crime") {
		return true
	}
	if e := c.request.Exception; e != nil && e.InformingRaisesRisk {
		return true
	}
	return slices.ContainsFunc(c.flow.Agreement.Transparency, func(n agreement.Notice) bool { return n.Party == c.request.Sender })
}

// cautious reads a row of caution, and as verdict does what a ruling has lifted of it.
func (c *hearing) cautious(p *person, r *row, said answer) (v cell, lifted []finding) {
	mayLift := func(v cell) bool {
		return v.effect == hold && p.primary && c.flow.Basis.Article6 != "a" && c.lifting(v.code) != nil
	}
	if v = r[said]; said.isNo() && v.effect == hold && (c.overrides(p) || mayLift(v)) {
		if !c.overrides(p) {
			lifted = append(lifted, finding{effect: hold, Reason: c.explain(v.code, p, said)})
		}
		said = silent
	}
	if v = c.wayOut(p, r[said]); mayLift(v) {
		return ok, append(lifted, finding{effect: hold, Reason: c.explain(v.code, p, said)})
	}
	return v, lifted
}

// without takes a third party's items out. A no takes all of them. When nothing speaks for the person, what only explains the
// caring context may stay, except the kinds of data that the person said no to.
func (c *hearing) without(p *person, said answer, code Code) []finding {
	kept := contracts.ItemSet{}
	reason := c.explain(code, p, said)
	if !said.isNo() {
		kept = c.context(p)
		switch reason.Code {
		case ParentalConsentMissing, RepresentativeUnverified, RepresentativeScope, NoDecisionMaker, EarlierRefusal:
		case CapacityDoubt:
			if said == silent {
				reason = c.strangers(p)
			}
		default:
			reason = c.strangers(p)
		}
	}
	return c.but(p, kept, reason)
}

// strangers says that nothing speaks for a third party.
func (c *hearing) strangers(p *person) Reason {
	return Reason{
		Code: ThirdPartyNoBasis, Gate: "G10", Role: p.Role, Source: "001-14",
		Detail: fmt.Sprintf("Nothing on record lets data about %s go.", who(p)),
		Remedy: "Record that person's own consent, or leave the items out.",
	}
}

// but strips everything about a person except some items, and the directives that go along with those.
func (c *hearing) but(p *person, kept contracts.ItemSet, reason Reason) []finding {
	items := p.left.Minus(c.withDirectives(p, kept))
	if items.Empty() {
		return nil
	}
	return []finding{c.strip(p, items, reason)}
}

// cover takes out the items that the person's consent does not cover, where consent is what lets them go, and the categories
// that the person has said no to, except where the law leaves them no choice.
func (c *hearing) cover(p *person, said answer) []finding {
	var found []finding
	kept := p.left
	var stripped [len(coverCodes)]contracts.ItemSet
	for i := range p.left.All() {
		code, covered := c.covers(&c.request.Contract.Items[i], p, said)
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
			found = append(found, c.strip(p, items, c.explain(coverCodes[k], p, said)))
		}
	}
	return found
}

// coverCodes are the reasons why an item may not be covered, in the order in which they are given.
var coverCodes = [...]Code{
	ConsentRefused, ConsentWithdrawn, Objection, ConsentExpired, ConsentNone, CapacityDoubt, RepresentativeScope, ConsentNotExplicit, ConsentScope,
}

// covers reports whether a person's word lets an item go, and if not, why.
func (c *hearing) covers(item *contracts.Item, p *person, said answer) (Code, bool) {
	basis, w := c.flow.Basis, &p.word
	if state, out := w.standing.Except[item.Category]; out && binding(basis, item) && !c.overrides(p) {
		switch state {
		case consent.Withdrawn:
			return ConsentWithdrawn, false
		case consent.Objected:
			return Objection, false
		}
		return ConsentRefused, false
	}
	switch {
	case !p.primary && !said.isNo() && isContext(item):
		return "", true
	case w.moneyAlone && restsOnWord(basis) && item.Category != "finance":
		return RepresentativeScope, false
	case !gated(basis, item):
		return "", true
	case c.doubted(p):
		return CapacityDoubt, false
	case w.covers(item) && !said.isNo():
		return "", true
	case said == yesExplicit || said == yes:
		if item.Special {
			return ConsentNotExplicit, false
		}
		return ConsentScope, false
	}
	return matrix["a"][said].code, false
}

// gated reports whether an item goes by consent alone: all of them where consent is the basis, special-category items on the conditions that
// ask for it (Art 9(2)(a), and (d) for what leaves the body), offence items on that of Sch 1 para 29.
func gated(b agreement.Basis, item *contracts.Item) bool {
	return b.Article6 == "a" || item.Special && (b.Article9 == "a" || b.Article9 == "d") || item.Offence && paragraphOf(b.Offence) == 29
}

// binding reports whether a person's no to a kind of data counts on this basis: always, except where a law compels the sender.
// Then it counts for special-category data alone, and there on the conditions that ask for it or are cautious about it.
func binding(basis agreement.Basis, item *contracts.Item) bool {
	return basis.Article6 != "c" || gated(basis, item) || item.Special && caution(basis) != nil
}

// withDirectives adds the directives that the agreement lets go to whatever else is kept about a person: how to treat the rest
// is not the person's to withhold from those who receive it.
func (c *hearing) withDirectives(p *person, kept contracts.ItemSet) contracts.ItemSet {
	if kept.Empty() {
		return kept
	}
	return kept.Or(c.which(p.covered, isDirective))
}

// context gives what only explains the caring context, except the kinds of data that the person said no to.
func (c *hearing) context(p *person) contracts.ItemSet {
	return c.which(p.left, func(i *contracts.Item) bool {
		_, out := p.word.standing.Except[i.Category]
		return isContext(i) && !out
	})
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
func (c *hearing) explain(code Code, p *person, said answer) Reason {
	if code == ConsentNone && said == silent {
		code = c.silence(p)
	}
	w := wordings[code]
	return Reason{Code: code, Gate: "G10", Role: p.Role, Detail: fmt.Sprintf(w.detail, who(p)), Remedy: w.remedy, Source: w.source}
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
	CapacityDoubt: {
		"It is in doubt whether %s can decide this.",
		"Have it assessed for this decision, with support. If it cannot wait, the safeguarding lead may claim an exception.", "C2, Mental Capacity Act 2005 ss.2-3",
	},
	NoDecisionMaker: {
		"Nobody who may decide for %s, who cannot decide this, has done so.",
		"Record the decision of their health and welfare attorney or deputy, or a best-interests decision.", "C3-C5, Mental Capacity Act 2005 s.4",
	},
	EarlierRefusal: {
		"While they could decide, %s refused this, and a representative agrees to it now.",
		"The Data Protection Lead or Caldicott Guardian has to weigh the refusal.", "C6",
	},
	RepresentativeScope: {
		"Somebody agreed for %s whose power does not reach this: health and welfare once capacity is lost, property and affairs for money alone.",
		"Record the person's own consent, or the decision of whoever may decide this for them.", "C3, C4",
	},
	ParentalConsentMissing: {
		"Nothing shows that somebody with parental responsibility has consented for %s, or that the child was found competent to decide where that is enough.",
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
		"Show the privacy notice and record that it was shown, or say in the undertaking when the person was told, or why not.", "003-4, 001-13",
	},
	LimbMissing: {
		"Nobody has recorded why special-category data about %s goes without consent.",
		"Whoever may has to claim it as safeguarding, and say which limb holds (exception.limb).", "DPA 2018 Sch 1 paras 18(2), 19(2)",
	},
	LessIntrusiveAvailable: {
		"Vital interests of %s are claimed, and nobody has recorded that life is in danger and no less intrusive way exists.",
		"If life is in danger, call the emergency services. Whoever decides has to claim the exception.", "001-19",
	},
	VitalInterestsCapable: {
		"Vital interests are no ground for special-category data about %s, who is presumed able to consent.",
		"Ask for explicit consent. If the person cannot decide this now, the exception has to say so.", "001-20, Art 9(2)(c)",
	},
}
