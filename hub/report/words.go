package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/dates"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Codes in plain English. A code that is not listed is printed with blanks for its hyphens: a report leaves nothing out because it has no
// words for it.

// words makes "carers-assessment" readable.
func words[T ~string](code T) string {
	return strings.NewReplacer("-", " ", "_", " ", ".", " ").Replace(string(code))
}

func wordsOf[T ~string](m map[T]string, code T) string {
	if w, ok := m[code]; ok {
		return w
	}
	return words(code)
}

// purposeWords go on after "to" or "for": what it was wanted for.
var purposeWords = map[transfer.Purpose]string{
	"referral.service":       "a referral to a service that can help",
	"carers-assessment":      "a carer's assessment",
	"young-carer-assessment": "a young carer's assessment",
	"advocacy":               "advocacy: somebody independent to speak up",
	"navigation":             "help with finding the right services",
	"dementia-support":       "support with dementia",
	"home-safety-visit":      "a home safety visit by the fire and rescue service",
	"safeguarding":           "keeping a child or an adult safe",
	"safeguarding-board":     "a review by a safeguarding board",
	"emergency":              "an emergency",
	"contract-monitoring":    "a report to whoever pays for the service",
	"contract-case":          "a service that the council pays for",
	"quality-feedback":       "asking how good the service was",
	"legal-order":            "an order of a court, or a law",
	"regulator":              "an inspection by a regulator",
	"crime":                  "the prevention or investigation of a crime",
	"secondary-planning":     "the planning of services",
	"research":               "research",
	"magazine":               "sending the carers' magazine",
	"it-support":             "support of computer systems",
	"benefits":               "help with benefits",
	"housing":                "help with housing",
	"legal-representation":   "legal representation",
	"family":                 "keeping the family informed",
	"provider-change":        "a change of care provider",
	"integrated-dataset":     "the planning of health and care",
	"school-support":         "support at school",
}

// categoryWords are the kinds of data an item may be.
var categoryWords = map[contracts.Category]string{
	"identity": "Who the person is", "address": "Address", "contact": "Contact details", "referral": "The referral",
	"narrative": "In somebody's own words", "document": "Documents", "consent-preference": "Wishes and preferences",
	"relationship": "Family and relationships", "housing": "Home", "health": "Health", "mental-health": "Mental health",
	"caring-role": "The caring role", "communication": "Communication", "finance": "Money and benefits", "employment": "Work",
	"education": "School and college", "ethnicity": "Ethnicity", "religion": "Religion or belief", "sexual-orientation": "Sexual orientation",
	"safeguarding": "Safety", "risk": "Risks", "offence": "Offences", "professional": "Professionals", "representation": "Who decides or speaks",
	"monitoring": "How the service was found", "figures": "Figures",
}

var roleWords = map[transfer.Role]string{
	transfer.Carer: "the carer", transfer.CaredFor: "the person cared for", transfer.Child: "a child of the household",
	transfer.Household: "an adult of the household", transfer.AbsentParent: "a parent who lives elsewhere",
	transfer.Professional: "a professional, at work", transfer.Nobody: "nobody: figures about many people",
}

var staffWords = map[transfer.StaffRole]string{
	transfer.Caseworker: "caseworker", transfer.DataProtection: "Data Protection Lead", transfer.SafeguardingLead: "Safeguarding Lead",
	transfer.CaldicottGuardian: "Caldicott Guardian", transfer.Practitioner: "practitioner",
}

var outcomeWords = map[transfer.Outcome]string{
	transfer.Permit: "permitted", transfer.PermitReduced: "permitted in part", transfer.PermitException: "permitted as an exception",
	transfer.Hold: "held for a person to look at", transfer.Refuse: "refused",
}

var kindWords = map[ledger.Kind]string{
	ledger.KindDecision: "decision", ledger.KindRelease: "released", ledger.KindOutcome: "what became of it", ledger.KindRuling: "ruling",
	ledger.KindConsent: "consent", ledger.KindRequest: "request", ledger.KindDisclosure: "disclosed outside the hub",
	ledger.KindAgreement: "agreement", ledger.KindSignature: "signature", ledger.KindPartner: "partner", ledger.KindQuery: "look at the log",
	ledger.KindCase: "case", ledger.KindNotice: "notice",
}

// exceptionWords say why something went that no agreement or consent let go (domain.md section 4.3).
var exceptionWords = map[string]string{
	"danger-to-life": "a life was in danger", "danger-to-another": "somebody else's life was in danger",
	"safeguarding": "a child or an adult at risk had to be kept safe", "crime-report": "a crime was reported to whoever may act on it",
	"break-glass": "a practitioner could not wait in an emergency",
}

// group is the items of one kind, by their titles.
type group struct {
	Kind   string
	Titles []string
}

func (g group) String() string { return g.Kind + ": " + strings.Join(g.Titles, ", ") }

// sentence runs groups together.
func sentence(groups []group) string {
	return strings.Join(lo.Map(groups, func(g group, _ int) string { return g.String() }), "; ")
}

// grouped gives names of items as people call them, by kind. What no contract knows keeps its name.
func grouped(of transfer.MessageType, names []string) []group {
	contract, ok := contracts.For(of)
	if !ok {
		contract, _ = contracts.For("referral/1") // by whose names disclosures outside the hub are entered
	}
	var groups []group
	for _, name := range names {
		kind, title := "Other", words(name)
		if item, ok := contract.Lookup(name); ok {
			kind, title = wordsOf(categoryWords, item.Category), item.Title
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.Kind == kind })
		if i < 0 {
			i, groups = len(groups), append(groups, group{Kind: kind})
		}
		if !slices.Contains(groups[i].Titles, title) {
			groups[i].Titles = append(groups[i].Titles, title)
		}
	}
	return groups
}

// named is what people call a partner.
func named(x *agreement.Index, id transfer.PartnerID) string {
	if x != nil {
		if p, ok := x.Partner(id); ok {
			return p.Name
		}
	}
	return words(id)
}

// clauseOf finds the agreement that a leaf was decided under. It is nil where the leaf has none, or the index does not know the version.
func clauseOf(x *agreement.Index, l *ledger.Leaf) *agreement.Agreement {
	if x == nil || l.Agreement == nil {
		return nil
	}
	a, _ := x.Agreement(l.Agreement.ID, l.Agreement.Version)
	return a
}

// basisOf is the basis on which a sender disclosed; not known where the agreement is not.
func basisOf(x *agreement.Index, l *ledger.Leaf) (agreement.Basis, bool) {
	if d := l.Disclosure; d != nil {
		b := d.Basis
		return agreement.Basis{Article6: b.Article6, Article9: b.Article9, Schedule1: b.Schedule1, Offence: b.Offence, Statute: b.Law}, true
	}
	if a := clauseOf(x, l); a != nil {
		if p, ok := a.Purpose(l.Purpose); ok {
			return p.BasisFor(l.Sender), true
		}
	}
	return agreement.Basis{}, false
}

// day is a day in London, as people write it.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return london(t).Format("2 January 2006")
}

// minute is a time in London.
func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return london(t).Format("2 January 2006, 15:04")
}

func london(t time.Time) time.Time { return t.In(dates.On(t).Start().Location()) }

// times counts.
func times(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// listed joins what people would join with "and".
func listed(all []string) string {
	all = lo.Uniq(lo.Compact(all))
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}
