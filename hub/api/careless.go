package api

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"referralhub/contracts"
	"referralhub/hub/consent"
)

// What a schema cannot say and people get wrong: a date that has not come yet, a date of birth that is known and unknown at once, a
// person's number where the hub keeps what is about nobody. It is refused while the sender is still there to correct it.

// clockSkew is how far a partner's clock may run ahead of the hub's.
const clockSkew = 5 * time.Minute

// careless finds the faults of a referral.
func (s *server) careless(doc *contracts.Document) []contracts.Fault {
	now := s.Now()
	var faults []contracts.Fault
	if u := doc.Undertaking; u != nil {
		if at, err := time.Parse(time.RFC3339, u.AssertedAt); err != nil || at.After(now.Add(clockSkew)) {
			faults = append(faults, future("/undertaking/asserted_at"))
		}
	}
	bare := map[string]string{"/message_id": string(doc.Envelope.MessageID)}
	if u := doc.Undertaking; u != nil {
		bare["/undertaking/evidence_ref"] = u.EvidenceRef
	}
	if e := doc.Exception; e != nil {
		bare["/exception/record"], bare["/exception/law"] = e.Record, e.Law
	}
	if d := doc.Demand; d != nil {
		bare["/demand/reference"], bare["/demand/by"], bare["/demand/authority"], bare["/demand/law"] = d.Reference, d.By, d.Authority, d.Law
	}
	if d := doc.Secondary; d != nil {
		bare["/secondary/support"] = d.Support
	}
	for i, k := range doc.Consents {
		under := "/consents/" + strconv.Itoa(i)
		ev, err := consent.Parse(k.Body)
		if err != nil {
			faults = append(faults, noEvent(under))
			continue
		}
		faults = append(faults, carelessConsent(under, &ev, now)...)
		bare[under+"/evidence"] = ev.Evidence
	}
	for i := range doc.Subjects {
		faults = append(faults, carelessBirth(doc, i, now)...)
	}
	for _, person := range doc.Subjects {
		faults = append(faults, named(bare, person.Identifiers)...)
	}
	return faults
}

// noEvent is the fault of a consent that its contract accepts and that is no event all the same: one of the year 1.
func noEvent(under string) contracts.Fault {
	return contracts.Fault{Pointer: under + "/at", Rule: "range", Detail: "nothing can have happened then", Remedy: "say when it happened"}
}

// carelessConsent finds the faults of a consent event that stands at the pointer under. Only a yes is held to the clock: a no counts
// however it is dated, and refusing it would let go what it should stop.
func carelessConsent(under string, ev *consent.Event, now time.Time) []contracts.Fault {
	if ev.State != consent.Given && ev.State != consent.Renewed {
		return nil
	}
	var faults []contracts.Fault
	if ev.At.After(now.Add(clockSkew)) {
		faults = append(faults, future(under+"/at"))
	}
	if !ev.ExpiresAt.IsZero() && !ev.ExpiresAt.After(ev.At) {
		faults = append(faults, contracts.Fault{
			Pointer: under + "/expires_at", Rule: "range", Detail: "this consent ends before it begins", Remedy: "correct one of the two dates, or leave expires_at out",
		})
	}
	return faults
}

func future(pointer string) contracts.Fault {
	return contracts.Fault{Pointer: pointer, Rule: "future", Detail: "this has not happened yet", Remedy: "say when it happened, and check the clock of the sending system"}
}

// carelessBirth finds the faults of a person's date of birth. Everybody's clock has reached tomorrow somewhere, so only later is too late.
func carelessBirth(doc *contracts.Document, person int, now time.Time) []contracts.Fault {
	p := &doc.Subjects[person]
	if p.Born == "" {
		return nil
	}
	var at string
	unknown := false
	for i := range p.Items.All() {
		switch name := doc.Contract.Items[i].Name; {
		case strings.HasSuffix(name, ".date_of_birth"):
			section, _, _ := strings.Cut(name, ".")
			if at = "/" + section + "/date_of_birth"; section != "carer" {
				at = fmt.Sprintf("/%s/%d/date_of_birth", section, p.Position)
			}
		case strings.HasSuffix(name, ".date_of_birth_unknown"):
			unknown = string(doc.Value(person, i)) == "true"
		}
	}
	tomorrow := now.UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	switch {
	case unknown:
		return []contracts.Fault{{
			Pointer: at + "_unknown", Rule: "contradiction", Detail: "a date of birth is given and said to be unknown", Remedy: "send one of the two; a date of birth may be a year alone",
		}}
	case p.Born > tomorrow[:len(p.Born)]:
		return []contracts.Fault{future(at)}
	}
	return nil
}

// named finds numbers of people in what is kept in clear and about nobody. A case number is left alone: it says nothing to anybody but
// the sender, who may well count its messages by it.
func named(bare map[string]string, people []contracts.Identifier) []contracts.Fault {
	var faults []contracts.Fault
	for _, id := range people {
		if id.Scheme == "case-number" {
			continue
		}
		for pointer, text := range bare {
			if strings.Contains(text, id.Value) {
				faults = append(faults, contracts.Fault{
					Pointer: pointer, Rule: "personal-data", Detail: "this holds a number by which a person of the message is known, and it is kept in clear",
					Remedy: "use a number that is nobody's, such as a UUID",
				})
			}
		}
	}
	slices.SortFunc(faults, func(a, b contracts.Fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	return faults
}

// identifierForms are what the referral contract asks of each scheme. A number that is spelt otherwise would belong to nobody, and
// a withdrawal under it would stop nothing.
var identifierForms = map[string]struct {
	form   *regexp.Regexp
	remedy string
}{
	"nhs-number":  {regexp.MustCompile(`^[0-9]{10}$`), "write ten digits without spaces"},
	"ni-number":   {regexp.MustCompile(`^[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]$`), "write two capitals, six digits and one capital without spaces"},
	"case-number": {regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ./_-]*$`), "write it as in the referral"},
}

// checkIdentifier finds what is wrong with an identifier that stands at the pointer under.
func checkIdentifier(under string, id contracts.Identifier) []contracts.Fault {
	scheme, known := identifierForms[id.Scheme]
	switch {
	case !known:
		return []contracts.Fault{{
			Pointer: under + "/scheme", Rule: "enum", Detail: "this is no scheme that the hub knows people by", Remedy: "use one of: nhs-number, case-number, ni-number",
		}}
	case !scheme.form.MatchString(id.Value) || len(id.Value) > 64:
		return []contracts.Fault{{Pointer: under + "/value", Rule: "format", Detail: "this is no " + id.Scheme, Remedy: scheme.remedy}}
	case id.Scheme == "nhs-number" && !contracts.ValidNHSNumber(id.Value):
		return []contracts.Fault{{
			Pointer: under + "/value", Rule: "check-digit", Detail: "this is not an NHS number: its check digit does not fit", Remedy: "look it up again; it has ten digits",
		}}
	}
	return nil
}
