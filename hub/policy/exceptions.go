package policy

import (
	"fmt"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/dates"
	"referralhub/hub/transfer"
)

// exceptionLasts is how long an exception counts from when somebody decided it (domain.md section 4.3).
const exceptionLasts = 72 * time.Hour

// clockSkew is how far the clock of whoever decided may run ahead of the hub's.
const clockSkew = 5 * time.Minute

// exception is a row of domain.md section 4.3: what may go although no agreement or consent lets it, to whom, and who may say so. It carries
// the items of some kinds of data, so always less than the message may hold; special-category items only where its condition for them is met.
type exception struct {
	row     string               // "E1"
	source  string               // the law and the rules behind it
	code    Code                 // the reason that says so on the permit
	to      []transfer.Kind      // what recipients have to be; nil: see goesTo of a demand
	by      []transfer.StaffRole // who may decide it
	carries []contracts.Category
	mayFind bool // may tell where somebody is whose address is protected
	heeds   bool // what people have said counts (E3a)

	// condition says whether special-category and offence items of a person go; nil: never.
	condition func(e *contracts.Exception, p *person, i *contracts.Item) bool
	// needs is what has to be on record beside what every row asks for.
	needs []need
}

// need is something that has to be on record.
type need struct {
	what string // in the message's words
	met  func(e *contracts.Exception) bool
	code Code // when it is not
}

var (
	necessity   = need{"that it is necessary (necessary)", func(e *contracts.Exception) bool { return e.Necessary }, ExceptionNotShown}
	noOtherWay  = need{"that no less intrusive way exists (no_less_intrusive_way)", func(e *contracts.Exception) bool { return e.NoLessIntrusiveWay }, LessIntrusiveAvailable}
	noOtherLaw  = need{"that no other basis applies (no_other_basis)", func(e *contracts.Exception) bool { return e.NoOtherBasis }, ExceptionNotShown}
	lawToReport = need{"the law by which it is reported (law)", func(e *contracts.Exception) bool { return e.Law != "" }, ExceptionNotShown}
)

// Conditions for special-category and offence items. A message about a carer may be about the emergency of whom they care for, so whoever
// cannot decide for themselves counts beside the person whose message it is.
func ofThePatient(_ *contracts.Exception, p *person, i *contracts.Item) bool {
	return i.Special && (p.primary || p.Facts.Has(LacksCapacity))
}

func ofTheIncapable(e *contracts.Exception, p *person, i *contracts.Item) bool {
	return i.Special && (p.primary && e.Incapable || p.Facts.Has(LacksCapacity))
}

func withALimb(e *contracts.Exception, _ *person, _ *contracts.Item) bool { return isLimb(e.Limb) }

func offenceAlone(_ *contracts.Exception, _ *person, i *contracts.Item) bool { return i.Offence }

// Kinds of data that rows carry.
var (
	toFind    = []contracts.Category{"identity", "address", "contact", "relationship"}
	toRescue  = slices.Concat(toFind, []contracts.Category{"communication", "representation", "safeguarding", "risk", "health", "mental-health"})
	toProtect = slices.Concat(toFind, []contracts.Category{"safeguarding", "risk", "health", "mental-health", "narrative", "offence"})
	toReport  = slices.Concat(toFind, []contracts.Category{"safeguarding", "risk", "offence", "finance"})
)

// Bodies and people that rows name.
var (
	emergencyServices = []transfer.Kind{transfer.NHS, transfer.Council, transfer.Police, transfer.FireAndRescue}
	anybodyThere      = transfer.StaffRoles()
	whoAnswers        = []transfer.StaffRole{transfer.DataProtection, transfer.SafeguardingLead, transfer.CaldicottGuardian}
)

// exceptions are the rows that somebody claims, by contracts.Exception.Kind. Demands have rows of their own: see demands.go.
var exceptions = map[string]*exception{
	// Vital interests of somebody who cannot consent (Art 9(2)(c)): whoever is there may decide, and the agreement is not looked for.
	"danger-to-life": {
		row: "E1", source: "001-19, 001-22, Art 6(1)(d), Art 9(2)(c)", code: ExceptionEmergency,
		to: emergencyServices, by: anybodyThere, carries: toRescue, mayFind: true,
		condition: ofThePatient, // who can consent: see capable
		needs:     []need{necessity, noOtherWay},
	},
	// Somebody else's life: every other basis comes first (rule 001-21).
	"danger-to-another": {
		row: "E2", source: "001-21, recital 46", code: ExceptionEmergency,
		to: emergencyServices, by: append([]transfer.StaffRole{transfer.Practitioner}, whoAnswers...), carries: toRescue, mayFind: true,
		condition: ofTheIncapable,
		needs:     []need{necessity, noOtherWay, noOtherLaw},
	},
	// A child or an adult at risk (E3, E3a, E3b).
	"safeguarding": {
		row: "E3", source: "001-18, 002-2, 003-4, DPA 2018 Sch 1 para 18", code: ExceptionSafeguarding,
		to: []transfer.Kind{transfer.Council, transfer.Police}, by: append([]transfer.StaffRole{transfer.Practitioner}, whoAnswers...),
		carries: toProtect, mayFind: true, heeds: true,
		condition: withALimb,
		needs:     []need{necessity},
	},
	// A report of fraud, money laundering, terrorism or another crime. Nobody is told (rule 001-17).
	"crime-report": {
		row: "E6", source: "001-17, 001-18, Art 6(1)(ea) Annex 1, DPA 2018 Sch 1 para 10", code: ExceptionLegal,
		to: []transfer.Kind{transfer.Police, transfer.Government, transfer.Regulator}, by: whoAnswers, carries: toReport, mayFind: true,
		condition: offenceAlone,
		needs:     []need{necessity, lawToReport},
	},
	// An authorised clinician or social worker who cannot wait.
	"break-glass": {
		row: "E7", source: "BTG, Art 9(2)(h)", code: ExceptionEmergency,
		to: []transfer.Kind{transfer.NHS, transfer.Council}, by: []transfer.StaffRole{transfer.Practitioner},
		carries: toRescue, mayFind: true, heeds: true,
		condition: ofThePatient,
		needs:     []need{necessity},
	},
}

func isLimb(s string) bool { return s == "a" || s == "b" || s == "c" }

// unclaimable is what a message stands on that claims an exception nobody knows.
var unclaimable = exception{row: "E1-E7", source: "domain.md section 4.3", code: ExceptionEmergency}

// exceptionOf says on which row of section 4.3 a message stands; nil when it stands on the agreements. It depends on what the sender claims
// and on the agreements, never on what anybody has said, so the machine never turns to an exception because of a no, nor away from one.
//
// What an agreement was made for goes under the agreement: safeguarding under one that rests on Sch 1 para 18 or 19, with the claim as the
// record of why it goes without consent; a demand that compels under a clause for demands.
func exceptionOf(r *Request, f *agreement.Flow) *exception {
	switch e := r.Exception; {
	case r.Contract == nil:
		return nil // nobody can say what is in it
	case compels(r.Demand):
		if f != nil && f.Compelled {
			return nil
		}
		return &compelled
	case carriesClaim(f, r):
		return nil
	case e != nil && exceptions[e.Kind] != nil:
		return exceptions[e.Kind]
	case e != nil:
		return &unclaimable
	case r.Demand != nil:
		return &requested
	}
	return nil
}

// carriesClaim reports whether a claim of safeguarding goes under a clause: one that rests on it and was reviewed in time. An agreement that
// nobody has looked at does not stand in the way of a child.
func carriesClaim(f *agreement.Flow, r *Request) bool {
	return r.Exception != nil && r.Exception.Kind == "safeguarding" && needsLimb(f) && reviewOf(f.Agreement, r.At) != lapsed
}

// goesTo reports whether a body of this kind may receive something on the row.
func (x *exception) goesTo(k transfer.Kind) bool { return slices.Contains(x.to, k) }

// available refuses what a row does not let go to this recipient.
func available(c *hearing) []finding {
	x := c.exception
	if c.recipient != nil && (x.goesTo(c.recipient.Kind) && !c.exactly() || c.exactly() && demandGoesTo(c.request.Demand, c.recipient.Kind)) {
		return nil
	}
	return []finding{{effect: refuse, Reason: Reason{
		Code: ExceptionNotAvailable, Gate: x.row, Source: x.source,
		Detail: fmt.Sprintf("No exception of this kind lets anything go to %s.", c.nameOf(c.request.Recipient)),
		Remedy: "Send it to the body whose task it is, or ask your Data Protection Lead on which other ground it may go.",
	}}}
}

// shown asks whether all is recorded that the row wants on record.
func shown(c *hearing) []finding {
	if c.exactly() {
		return c.demandShown(c.exception)
	}
	return c.claimShown(c.exception)
}

// claimed asks the same of a claim of safeguarding under an agreement that needs one.
func claimed(c *hearing) []finding {
	if !c.claims() {
		return nil
	}
	return c.claimShown(exceptions["safeguarding"])
}

// claimShown looks at a claim: in time, by somebody who may, and with what the row wants on record. What is missing is for the Data Protection
// Lead to see; what has run out has to be decided anew.
func (c *hearing) claimShown(x *exception) []finding {
	e := c.request.Exception
	if x == &unclaimable {
		return nil // and available has refused it
	}
	at, err := time.Parse(time.RFC3339, e.At)
	if err == nil && !c.request.At.Before(at.Add(exceptionLasts)) {
		return []finding{c.ranOut(x)}
	}
	var found []finding
	missing := func(code Code, firm bool, what string) {
		found = append(found, finding{effect: hold, firm: firm, Reason: Reason{
			Code: code, Gate: x.row, Source: x.source,
			Detail: fmt.Sprintf("An exception is claimed, and the message does not say %s.", what),
			Remedy: "If it is so, have it recorded and send the message again. If life is in danger, call the emergency services.",
		}})
	}
	if err != nil || at.After(c.request.At.Add(clockSkew)) {
		missing(ExceptionNotShown, true, "when it was decided (at)")
	}
	if !c.mayClaim(x, e.Person) {
		missing(ExceptionNotShown, false, fmt.Sprintf("who decided it, by the id of somebody on the sender's register who may (person): %s", listOf(x.by)))
	}
	if e.Record == "" {
		missing(ExceptionNotShown, false, "where the reasons are written down (record)")
	}
	for _, n := range x.needs {
		if !n.met(e) {
			missing(n.code, n.code != ExceptionNotShown, n.what)
		}
	}
	return found
}

func (c *hearing) ranOut(x *exception) finding {
	return finding{effect: refuse, Reason: Reason{
		Code: ExceptionExpired, Gate: x.row, Source: x.source,
		Detail: "The exception has run out: it counts for 72 hours from when it was decided.",
		Remedy: "If it is still necessary, have it decided again and send the message again.",
	}}
}

// mayClaim reports whether somebody on the sender's register has a role that may decide the row.
func (c *hearing) mayClaim(x *exception, person string) bool {
	p := c.staff(person)
	return p != nil && slices.ContainsFunc(p.Roles, func(r transfer.StaffRole) bool { return slices.Contains(x.by, r) })
}

func listOf(roles []transfer.StaffRole) string {
	var s string
	for i, r := range roles {
		if i > 0 {
			s += ", "
		}
		s += string(r)
	}
	return s
}

// claims reports whether the sender claims safeguarding under an agreement that needs a limb.
func (c *hearing) claims() bool {
	return c.request.Exception != nil && c.request.Exception.Kind == "safeguarding" && needsLimb(c.flow)
}

// limbRecorded reports whether somebody has recorded why it goes without consent. Whether they may is what claimed asks.
func (c *hearing) limbRecorded() bool { return c.claims() && isLimb(c.request.Exception.Limb) }

// safeguards reports whether this goes to protect somebody, under an agreement made for that.
func (c *hearing) safeguards() bool { return c.claims() && restsOnSafeguarding(c.flow) }

// overrides reports whether a person's no does not stop what protects a child, an adult who cannot decide, or others (E3, E3b). The no of an
// adult who can decide, about their own risk alone, is for the safeguarding lead (E3a).
func (c *hearing) overrides(p *person) bool {
	e := c.request.Exception
	if e == nil || c.exception == nil && (!c.safeguards() || !c.limbRecorded()) {
		return false
	}
	return p.Facts&(UnderSixteen|SixteenOrSeventeen) != 0 || p.Facts.Has(LacksCapacity) || e.Incapable ||
		e.OthersAtRisk || e.SeriousCrime || e.Coercion
}

// carried is what a row lets go about a person.
func carried(c *hearing, p *person) []finding {
	x := c.exception
	var vital, limbless contracts.ItemSet
	kept := c.which(p.left, func(i *contracts.Item) bool {
		switch {
		case c.exactly():
			return c.request.Demand.Items.Has(i.Index)
		case p.Role == transfer.Professional:
			return len(x.carries) > 0 // whoever receives it has to know whom to ask
		case !slices.Contains(x.carries, i.Category):
			return false
		case !i.Special && !i.Offence, x.condition(c.request.Exception, p, i):
			return true
		case x.row == "E3":
			limbless = limbless.With(i.Index)
		case i.Special && p.primary && x.row != "E6":
			vital = vital.With(i.Index)
		}
		return false
	})
	if !kept.Empty() && !c.exactly() {
		kept = kept.Or(c.which(p.left, func(i *contracts.Item) bool { return i.Directive && !i.Special && !i.Offence }))
	}
	var found []finding
	if !limbless.Empty() {
		found = append(found, c.strip(p, limbless, c.explain(LimbMissing, p, silent)))
	}
	if !vital.Empty() {
		found = append(found, c.strip(p, vital, c.explain(VitalInterestsCapable, p, silent)))
	}
	if rest := p.left.Minus(kept); !rest.Empty() {
		reason := Reason{
			Code: ItemNotListed, Gate: x.row, Source: x.source,
			Detail: fmt.Sprintf("An exception carries no more about %s than it needs.", who(p)),
			Remedy: "Nothing to do. What the recipient needs beyond it has to go on another ground.",
		}
		if c.exactly() {
			reason.Detail = fmt.Sprintf("Not everything that was sent about %s was demanded.", who(p))
		}
		found = append(found, c.strip(p, rest, reason))
	}
	return found
}

// capable keeps special-category data about somebody who can consent from going on vital interests (rule 001-20): their consent has to be
// asked for, and their no stands. What is ordinary may go all the same, when it is sent without the rest.
func capable(c *hearing, p *person) []finding {
	if c.exception.row != "E1" || !p.primary || c.request.Exception.Incapable || p.Facts.Has(LacksCapacity) || c.which(p.left, isSpecial).Empty() {
		return nil
	}
	f := finding{effect: hold, Reason: c.explain(VitalInterestsCapable, p, p.word.said)}
	if p.word.said.isNo() {
		f.effect = refuse
	}
	p.rests(p.word.standing.Refs)
	return []finding{f}
}

// refused heeds what people have said where the row does (E3a): a no of the person whose message it is goes to the safeguarding lead, and one
// of anybody else keeps their own data out. That others are at risk, for whoever harms them too, is for the claim to say (E3b).
func refused(c *hearing, p *person) []finding {
	if !c.exception.heeds || !p.word.said.isNo() || c.overrides(p) {
		return nil
	}
	p.rests(p.word.standing.Refs)
	reason := c.explain(matrix["a"][p.word.said].code, p, p.word.said)
	reason.Gate, reason.Source = c.exception.row, "E3a"
	if !p.primary {
		return c.but(p, contracts.ItemSet{}, reason)
	}
	reason.Remedy = "The safeguarding lead has to look. By default the refusal is respected, and support is offered."
	return []finding{{effect: hold, Reason: reason}}
}

// granted is the reason that stands on a permit by exception.
func (c *hearing) granted() []finding {
	x := c.exception
	return []finding{{effect: note, Reason: Reason{
		Code: x.code, Gate: x.row, Source: x.source,
		Detail: "It goes by exception, decided by a person who answers for it, reduced to what the exception carries.",
		Remedy: "The Data Protection Lead reviews it.",
	}}}
}

// expiry is when what is permitted by exception, or with the record of one, runs out; zero for everything else.
func (c *hearing) expiry() time.Time {
	e := c.request.Exception
	switch {
	case c.exception == nil && !c.claims():
		return time.Time{}
	case c.exception != nil && c.exactly():
		return c.demandExpires()
	}
	at, _ := time.Parse(time.RFC3339, e.At)
	return at.Add(exceptionLasts).UTC()
}

// reviewBy is by when the Data Protection Lead reviews an exception: while it counts, and by the end of the working day after the
// glass was broken.
func (c *hearing) reviewBy() time.Time {
	if c.exception == nil || c.exception.row != "E7" {
		return c.expiry()
	}
	at, _ := time.Parse(time.RFC3339, c.request.Exception.At)
	return dates.EnglandAndWales().WorkingDays(dates.On(at), 1).Date.LastSecond().UTC()
}
