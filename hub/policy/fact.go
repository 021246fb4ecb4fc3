package policy

import (
	"fmt"
	"math/bits"
	"time"

	"referralhub/hub/transfer"
)

// Facts are the circumstances of a person that a decision turns on: what somebody found or said of them, as a word and never as a value.
// They are few and coarse, so that the log can carry them and a decision can be made again from the log alone.
type Facts uint32

// The facts. Age is that at the instant of the decision; a person of whom none of the three ages is a fact is of unknown age.
const (
	UnderSixteen Facts = 1 << iota
	SixteenOrSeventeen
	Adult
	Deceased            // domain.md section 4.4, C13
	CapacityInDoubt     // C2; and capacity that comes and goes
	LacksCapacity       // C3 to C5, for this decision
	GillickCompetent    // C7
	NotCompetent        // C8: assessed, and not competent for this decision
	WelfareAttorney     // C3: a registered health and welfare attorney or welfare deputy, verified
	FinanceAttorney     // C4: a property and affairs attorney or deputy, verified
	UnverifiedProxy     // somebody is said to act for the person, and nobody has verified it
	BestInterests       // C5: a best-interests decision is on record
	NonInstructed       // C5: a decision-maker instructs an advocate for somebody who cannot
	ParentConflict      // C10: the parent must not be contacted, or is the alleged source of risk
	AddressProtected    // nobody may learn where the person is, whatever an agreement says
	ContactProhibited   // the person must not be contacted
	AllegedPerpetrator  // of harm to somebody else in the message
	IdentifiersDisagree // the identifiers given for this person are known for different people
)

var factNames = [...]string{
	"under-16", "16-or-17", "adult", "deceased", "capacity-in-doubt", "lacks-capacity", "gillick-competent", "not-competent",
	"welfare-attorney", "finance-attorney", "unverified-proxy", "best-interests", "non-instructed", "child-parent-conflict",
	"address-protected", "contact-prohibited", "alleged-perpetrator", "identifiers-disagree",
}

// Has reports whether all of g are facts.
func (f Facts) Has(g Facts) bool { return f&g == g }

// Names lists the facts as the log has them.
func (f Facts) Names() []string {
	var names []string
	for rest := uint32(f); rest != 0; rest &= rest - 1 {
		names = append(names, factNames[bits.TrailingZeros32(rest)])
	}
	return names
}

// ParseFacts reads what Names wrote.
func ParseFacts(names []string) (Facts, error) {
	var f Facts
next:
	for _, name := range names {
		for i, known := range factNames {
			if name == known {
				f |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("%q is not a fact that decisions know", name)
	}
	return f, nil
}

// FactsOf reads the facts of a person from the values that their message gives (contracts.Subject.Facts and Born). Where a value is not one
// that it knows, it takes the more careful reading.
func FactsOf(role transfer.Role, values map[string]string, born string, at time.Time) Facts {
	f := ageAt(role, born, at)
	is := func(name, value string) bool { return values[name] == value }
	add := func(when bool, fact Facts) {
		if when {
			f |= fact
		}
	}
	add(values["deceased"] != "", Deceased)
	switch capacity := values["capacity"]; capacity {
	case "", "not-in-doubt":
	case "lacks":
		f |= LacksCapacity
	default: // in doubt, fluctuating, or a word of a later contract
		f |= CapacityInDoubt
	}
	add(is("competence", "assessed-competent"), GillickCompetent)
	add(is("competence", "assessed-not-competent"), NotCompetent)
	switch verified := values["representative-verified"] != ""; values["representative"] {
	case "", "advocate": // an advocate speaks with the person and decides nothing for them
	case "attorney-health-welfare", "deputy-health-welfare":
		add(verified, WelfareAttorney)
		add(!verified, UnverifiedProxy)
	case "attorney-property-finance", "deputy-property-finance", "appointee":
		add(verified, FinanceAttorney)
		add(!verified, UnverifiedProxy)
	case "best-interests":
		f |= BestInterests
	case "parent": // of a child; whether that is enough is for the age to say
	default:
		f |= UnverifiedProxy
	}
	add(is("instruction", "non-instructed"), NonInstructed)
	add(is("do-not-contact-parent", "true"), ParentConflict)
	add(is("address-protected", "true"), AddressProtected)
	add(is("contact-prohibited", "true"), ContactProhibited)
	add(is("alleged-perpetrator", "true"), AllegedPerpetrator)
	return f
}

// ageAt gives a person's age as a fact. An incomplete date of birth is read as its last day, and one that cannot be read as a child's. A
// child of the household whose date of birth is unknown is under 16; of anybody else whose is, no age is a fact (C1: an adult is presumed).
func ageAt(role transfer.Role, born string, at time.Time) Facts {
	if born == "" {
		if role == transfer.Child {
			return UnderSixteen
		}
		return 0
	}
	day, ok := lastDay(born)
	switch {
	case !ok || at.Before(day.AddDate(16, 0, 0)):
		return UnderSixteen
	case at.Before(day.AddDate(18, 0, 0)):
		return SixteenOrSeventeen
	}
	return Adult
}
