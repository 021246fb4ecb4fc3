package policy

import (
	"fmt"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/transfer"
)

// Who decides for whom (domain.md section 4.4). Whose yes counts is a matter of age, capacity and the power that somebody holds; anybody's no
// counts.

// The authorities by which a consent is given (consent.Event.Authority).
var (
	themselves = []string{"self", "gillick"}
	aParent    = []string{"parent"}
	eitherOne  = []string{"parent", "gillick"} // of a child whose competence nobody has assessed apart from this decision
	forWelfare = []string{"attorney-health-welfare", "deputy"}
	forMoney   = []string{"attorney-property-finance", "deputy"}
	inTheirBI  = []string{"best-interests"}
)

// speakers are those whose yes counts for a person.
type speakers struct {
	main   []string
	money  []string // C4: what they agree to about money counts as well, and about nothing else
	beside []string // whose yes has to stand beside the main one (transfer.Profile.ParentBelow)
	needed bool     // C3 to C5: the person cannot decide, so one of them has to have decided, whatever the basis
}

// speakersFor reads rows C1 to C9. A consent that a parent gave for a child ends with the sixteenth birthday.
func (c *hearing) speakersFor(f Facts) speakers {
	parentBelow := 0
	if c.sender != nil {
		parentBelow = c.sender.Profile.ParentBelow
	}
	switch {
	case f.Has(UnderSixteen) && (f.Has(NotCompetent) || f.Has(LacksCapacity) || f.Has(CapacityInDoubt) && !f.Has(GillickCompetent)):
		return speakers{main: aParent} // C8
	case f.Has(UnderSixteen) && f.Has(GillickCompetent) && parentBelow > 0:
		return speakers{main: themselves, beside: aParent}
	case f.Has(UnderSixteen) && f.Has(GillickCompetent):
		return speakers{main: themselves} // C7
	case f.Has(UnderSixteen) && parentBelow > 0:
		return speakers{main: aParent}
	case f.Has(UnderSixteen):
		return speakers{main: eitherOne}
	case f.Has(LacksCapacity) && f.Has(WelfareAttorney):
		return speakers{main: forWelfare, needed: true} // C3
	case f.Has(LacksCapacity) && f.Has(FinanceAttorney):
		return speakers{main: inTheirBI, money: forMoney, needed: true} // C4
	case f.Has(LacksCapacity):
		return speakers{main: inTheirBI, needed: true} // C5
	case f.Has(SixteenOrSeventeen) && parentBelow > 16:
		return speakers{main: themselves, beside: aParent} // C9
	}
	return speakers{main: themselves} // C1, C9
}

// word is what a person has said about a transfer, or whoever may say it for them.
type word struct {
	speakers
	scope         consent.Scope
	standing      consent.Standing
	said          answer
	heard         string            // as SubjectDecision.Consent has it: who else decides for them does not change what they have said
	moneyStanding *consent.Standing // of speakers.money, where they have said yes
	besideAgrees  *consent.Standing // of speakers.beside, where they have said yes
	moneyAlone    bool              // the yes is one about money
	instructed    bool              // C5: a decision-maker instructs an advocate
}

// ask finds out what a person has said.
func (c *hearing) ask(p *person) word {
	if p.Role == transfer.Professional || isNobody(p) {
		return word{}
	}
	r := c.request
	w := word{speakers: c.speakersFor(p.Facts)}
	w.scope = consent.Scope{Sender: r.Sender, Recipient: r.Recipient, Purpose: r.Purpose, Service: r.Service, Authorities: w.main}
	if c.flow != nil {
		w.scope.Members = c.flow.Members
	}
	w.standing = consent.At(p.Events, w.scope, r.At)
	w.said = answerOf(&w.standing)
	w.heard = answerNames[w.said]
	w.moneyStanding, w.besideAgrees = w.yesOf(w.money, p, r.At), w.yesOf(w.beside, p, r.At)
	w.instructed = w.needed && w.said == silent && p.Facts.Has(NonInstructed) && r.Purpose == "advocacy"
	switch e := r.Exception; {
	case e != nil && e.Refused && p.primary && !w.said.isNo():
		w.said, w.heard = refusal, answerNames[refusal] // the sender says so itself
	case w.said == silent && w.moneyStanding != nil:
		w.said, w.moneyAlone = yes, true
	case w.instructed:
		w.said = yes
	}
	return w
}

// yesOf gives what those with other authorities have said, when it comes to a yes.
func (w *word) yesOf(authorities []string, p *person, at time.Time) *consent.Standing {
	if authorities == nil {
		return nil
	}
	scope := w.scope
	scope.Authorities = authorities
	if s := consent.At(p.Events, scope, at); s.State == consent.Given {
		return &s
	}
	return nil
}

// covers reports whether the word is a consent to send an item.
func (w *word) covers(item *contracts.Item) bool {
	switch {
	case w.moneyStanding != nil && item.Category == "finance" && w.moneyStanding.Covers(item):
		return true
	case w.instructed:
		return !item.Special && !item.Offence // an instruction is no explicit consent
	}
	return w.standing.Covers(item) && (w.beside == nil || w.besideAgrees != nil && w.besideAgrees.Covers(item))
}

// restsOnWord reports whether sharing on a basis rests on a decision of the person, or of somebody for them: consent to the processing or,
// said or taken as read, to the confidence being shared. Where a law decides instead, it does not matter who can.
func restsOnWord(b agreement.Basis) bool {
	switch {
	case b.Article6 == "c":
		return false
	case b.Article6 == "a" || b.Article9 == "a":
		return true
	}
	return b.Confidentiality != "statute" && b.Confidentiality != "public-interest"
}

// doubted reports whether it is in doubt that the person can decide, and nobody has said since that they can (C2). For a child who was never
// found competent, a parent decides, and it makes no difference.
func (c *hearing) doubted(p *person) bool {
	return p.Facts.Has(CapacityInDoubt) && (!p.Facts.Has(UnderSixteen) || p.Facts.Has(GillickCompetent)) &&
		(!p.primary || c.lifting(CapacityDoubt) == nil)
}

// decided asks that whoever has to decide for a person who cannot has done so, in force and without going over what the person said while they
// could (C3 to C6).
func (c *hearing) decided(p *person, said answer) cell {
	w := &p.word
	switch {
	case !w.needed || !restsOnWord(c.flow.Basis) || said.isNo():
		return ok
	case said == lapsedYes:
		return cell{hold, ConsentExpired}
	case said == silent:
		return cell{hold, ConsentNone} // which silence puts more exactly
	case c.refusedBefore(p):
		return cell{hold, EarlierRefusal}
	}
	return ok
}

// refusedBefore reports whether the person themselves has said no, whatever somebody has said for them since (C6).
func (c *hearing) refusedBefore(p *person) bool {
	s := c.standingOf(p, themselves)
	return answerOf(&s).isNo()
}

// standingOf folds the events of some authorities alone, yes and no.
func (c *hearing) standingOf(p *person, authorities []string) consent.Standing {
	var theirs []consent.Event
	for i := range p.Events {
		if slices.Contains(authorities, p.Events[i].Authority) {
			theirs = append(theirs, p.Events[i])
		}
	}
	scope := p.word.scope
	scope.Authorities = nil
	return consent.At(theirs, scope, c.request.At)
}

// parentBeside asks for the parent's consent that the sender's own rules want beside the young person's (C7, C9), where consent is the basis.
func (c *hearing) parentBeside(p *person, said answer) cell {
	if c.flow.Basis.Article6 != "a" || p.word.beside == nil || p.word.besideAgrees != nil || said != yes && said != yesExplicit {
		return ok
	}
	return cell{hold, ParentalConsentMissing}
}

// alive stops what is about somebody who has died until a person has looked (C13): confidentiality outlives them, and the power to act for
// them does not.
func alive(c *hearing, p *person) []finding {
	if !p.Facts.Has(Deceased) || c.exactly() {
		return nil
	}
	reason := Reason{
		Code: PersonDeceased, Gate: "G10", Source: "C13", Role: p.Role,
		Detail: fmt.Sprintf("According to the message, %s has died.", who(p)),
		Remedy: "The Data Protection Lead has to look: what they confided is still confidential.",
	}
	if p.primary {
		return []finding{{effect: hold, Reason: reason}}
	}
	return c.but(p, c.context(p), reason)
}

// atOdds stops what is about a child or young person who disagrees with their parent, or whose parent must not hear of it or is said to be the
// risk (C10).
func atOdds(c *hearing, p *person) []finding {
	if c.exactly() || c.safeguards() || p.Facts.Has(Adult) || !c.conflict(p) {
		return nil
	}
	reason := Reason{
		Code: ChildParentConflict, Gate: "G10", Source: "C10", Role: p.Role,
		Detail: fmt.Sprintf("A parent of %s must not be asked about this, or is said to be the risk, or the two disagree.", who(p)),
		Remedy: "The safeguarding lead has to look. Do not contact the parent.",
	}
	if p.primary {
		return []finding{{effect: hold, Reason: reason}}
	}
	return c.but(p, contracts.ItemSet{}, reason)
}

func (c *hearing) conflict(p *person) bool {
	switch {
	case p.Facts.Has(ParentConflict), p.primary && p.Facts&(UnderSixteen|SixteenOrSeventeen) != 0 && c.absentParentAccused():
		return true
	case !p.Facts.Has(UnderSixteen) && p.word.beside == nil || len(p.Events) < 2:
		return false
	}
	child, parent := c.standingOf(p, themselves), c.standingOf(p, aParent)
	theirs, parents := answerOf(&child), answerOf(&parent)
	return theirs.isNo() && (parents == yes || parents == yesExplicit) || parents.isNo() && (theirs == yes || theirs == yesExplicit)
}

// absentParentAccused reports whether a parent who lives elsewhere is said to have harmed somebody. One at home is for endangered to see.
func (c *hearing) absentParentAccused() bool {
	return slices.ContainsFunc(c.request.Subjects, func(s Subject) bool {
		return s.Role == transfer.AbsentParent && s.Facts.Has(AllegedPerpetrator)
	})
}

// silence says more exactly what is missing when nobody who may decide has.
func (c *hearing) silence(p *person) Code {
	byAnother := c.elseAgreed(p)
	switch f := p.Facts; {
	case f.Has(UnderSixteen) && !f.Has(GillickCompetent) && (p.primary || byAnother != ""):
		return ParentalConsentMissing
	case byAnother != "" && !f.Has(UnderSixteen) && !(f.Has(LacksCapacity) && (byAnother == "self" || byAnother == "gillick")):
		return beyondTheirPower(f, byAnother)
	case p.word.standing.OutOfScope:
		return ConsentScope
	case f.Has(LacksCapacity) && !f.Has(UnderSixteen):
		return NoDecisionMaker
	case p.primary && c.request.Undertaking == nil && p.word.standing.State == consent.None && c.flow.Basis.Article6 == "a":
		return ReferrerUndertakingMissing
	}
	return ConsentNone
}

// elseAgreed gives the authority of somebody else who has said yes.
func (c *hearing) elseAgreed(p *person) string {
	anybody := p.word.scope
	anybody.Authorities = nil
	s := consent.At(p.Events, anybody, c.request.At)
	if s.State != consent.Given {
		return ""
	}
	for i := range p.Events {
		if p.Events[i].ID == s.Refs[0] {
			return p.Events[i].Authority
		}
	}
	return ""
}

// beyondTheirPower tells a representative whose power does not reach this from one of whom nothing shows that they have one. A power for
// health and welfare counts once capacity is lost, and one for property and affairs for money alone (C3, C4).
func beyondTheirPower(f Facts, authority string) Code {
	switch {
	case f.Has(WelfareAttorney) && slices.Contains(forWelfare, authority), f.Has(FinanceAttorney) && slices.Contains(forMoney, authority):
		return RepresentativeScope
	}
	return RepresentativeUnverified
}

// lastDay reads a date of birth, "2011-04-02", "2011-04" or "2011", as the last day that it can mean, in UTC.
func lastDay(born string) (time.Time, bool) {
	switch len(born) {
	case len(time.DateOnly):
		t, err := time.Parse(time.DateOnly, born)
		return t, err == nil
	case len("2006-01"):
		t, err := time.Parse("2006-01", born)
		return t.AddDate(0, 1, -1), err == nil
	case len("2006"):
		t, err := time.Parse("2006", born)
		return t.AddDate(1, 0, -1), err == nil
	}
	return time.Time{}, false
}
