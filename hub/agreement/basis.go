package agreement

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"referralhub/hub/transfer"
)

var (
	article6s   = []string{"a", "b", "c", "d", "e", "ea", "f"}
	article9s   = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	confidences = []string{"explicit-consent", "implied-consent", "statute", "public-interest"}
)

// purposes are the purpose codes, most of them of domain.md section 2.2. Marketing and sale are not among them: no agreement can cover
// them (rules 000-2, 001-6, 002-6).
var purposes = []string{
	"referral.service", "carers-assessment", "young-carer-assessment", "advocacy", "navigation", "dementia-support",
	"home-safety-visit", "safeguarding", "emergency", "contract-monitoring", "contract-case", "quality-feedback",
	"legal-order", "regulator", "crime", "secondary-planning", "research",
	// Sharing that the source notices describe and section 2.2 has no code for.
	"magazine", "it-support", "benefits", "housing", "legal-representation", "family", "provider-change", "safeguarding-board",
	"integrated-dataset", "school-support",
}

// beyondCare are the purposes that are not for the care of the person whose data it is, unless the agreement says otherwise: the National
// Data Opt-Out applies to them (domain.md section 2.5, gate G11). Contract monitoring is about figures, and feedback about the service.
var beyondCare = []string{"secondary-planning", "research", "integrated-dataset"}

// funderPurposes report to whoever pays for a service. A contract with the payer is no contract with the data subject, so
// Art 6(1)(b) does not cover them (domain.md section 12, item 6).
var funderPurposes = []string{"contract-monitoring", "contract-case", "quality-feedback"}

var paragraph = regexp.MustCompile(`^para ([0-9]{1,2})(\([0-9a-z]+\))*$`)

// paragraphNumber reads a condition of DPA 2018 Schedule 1, "para 18(1)(a)"; 0 when it is none. Paragraph 5 says what a policy
// document is for, and those from 38 on what it holds: no conditions.
func paragraphNumber(s string) int {
	m := paragraph.FindStringSubmatch(s)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // two digits
	if n == 5 || n > 37 {
		return 0
	}
	return n
}

// schedule1Part gives the Part of Schedule 1 that an Art 9 condition needs a paragraph of (DPA 2018 s.10(2), (3)), and the
// first and last of those paragraphs; part 0 when it needs none.
func schedule1Part(article9 string) (part, first, last int) {
	switch article9 {
	case "b", "h", "i", "j":
		return 1, 1, 4
	case "g":
		return 2, 6, 28
	}
	return 0, 0, 0
}

// Paired reports whether the Art 9 condition stands together with its Schedule 1 paragraph as DPA 2018 s.10 wants. It holds
// when there is no Art 9 condition at all.
func (b Basis) Paired() bool {
	part, first, last := schedule1Part(b.Article9)
	n := paragraphNumber(b.Schedule1)
	return part == 0 || first <= n && n <= last
}

// NeedsAPD reports whether a Schedule 1 condition of the basis can only be relied on with an appropriate policy document
// (Schedule 1 paragraphs 1(1)(b) and 5; not 10 and 13, which do without for the disclosures they are about).
func (b Basis) NeedsAPD() bool {
	needs := func(s string) bool {
		n := paragraphNumber(s)
		return n == 1 || n >= 6 && n <= 28 && n != 10 && n != 13 || n == 36
	}
	part, _, _ := schedule1Part(b.Article9)
	return part != 0 && needs(b.Schedule1) || needs(b.Offence)
}

// ClaimableBy reports whether a partner can claim the Art 6 basis: public tasks are for public bodies, and those have no legitimate
// interests in performing them, recognised or not (Art 6(1), last sentence; notes to domain.md 4.2). Another body has a public task where a
// statutory function was conferred on it, and then the basis has to name that function as its law (Art 6(3)).
func (b Basis) ClaimableBy(p *transfer.Partner) bool {
	switch b.Article6 {
	case "e":
		return p.Kind.PublicBody() || slices.ContainsFunc(p.Functions, b.restsOn)
	case "f", "ea":
		return !p.Kind.PublicBody()
	}
	return true
}

// restsOn reports whether the law of the basis is a statutory function, or a subsection of it.
func (b Basis) restsOn(function string) bool {
	return b.Statute == function || strings.HasPrefix(b.Statute, function+"(")
}

// String names the basis the way people cite it.
func (b Basis) String() string {
	s := "Art 6(1)(" + b.Article6 + ")"
	if b.Article9 != "" {
		s += " with Art 9(2)(" + b.Article9 + ")"
	}
	if b.Schedule1 != "" {
		s += " and Sch 1 " + b.Schedule1
	}
	return s
}

// basis compiles a basis and checks what can be checked without knowing who relies on it.
func (c *compiler) basis(w *basisWords) Basis {
	b := Basis{
		Article6:  c.oneOf(w.Article6, "basis of Art 6(1)", article6s),
		Article9:  c.oneOf(w.Article9, "condition of Art 9(2)", article9s),
		Schedule1: w.Schedule1.value, Offence: w.Offence.value, APD: w.APD.value, LIA: w.LIA.value,
		Confidentiality: c.oneOf(w.Confidentiality, "ground of confidentiality", confidences),
		Statute:         w.Statute.value,
	}
	switch {
	case b.Article6 == "f" && b.LIA == "":
		c.fault(w.Article6.place, "lia-missing", "Write lia: and its reference.", "Art 6(1)(f) needs a legitimate interests assessment")
	case (b.Article6 == "c" || b.Article6 == "e") && b.Statute == "":
		c.fault(w.Article6.place, "statute-missing", "Write statute: and the Act and section.",
			"Art 6(1)(%s) needs a law behind it (Art 6(3))", b.Article6)
	}
	if b.Confidentiality == "statute" && b.Statute == "" {
		c.fault(w.Confidentiality.place, "statute-missing", "Write statute: and the Act and section.",
			"confidentiality is set aside by a law that is not named")
	}
	for _, t := range []text{w.Schedule1, w.Offence} {
		if !t.empty() && paragraphNumber(t.value) == 0 {
			c.fault(t.place, "format", `Write it as "para 18" or "para 18(1)(a)".`, "%q is not a condition of DPA 2018 Schedule 1", t)
			return b
		}
	}
	c.pairing(w, b)
	if b.NeedsAPD() && b.APD == "" {
		c.fault(w.Article6.place, "apd-missing", "Write apd: and its reference.",
			"a Schedule 1 condition claimed here needs an appropriate policy document")
	}
	return b
}

// pairing checks the Art 9 condition against DPA 2018 s.10. The mis-pairings that public notices do contain (domain.md
// section 12, item 4: (b) and (j) with Part 2) are warnings, because the paper says so and somebody has to put it right; no
// decision passes special-category data on them all the same.
func (c *compiler) pairing(w *basisWords, b Basis) {
	part, first, last := schedule1Part(b.Article9)
	n := paragraphNumber(b.Schedule1)
	switch {
	case b.Paired() && part == 0 && n != 0:
		c.warn(w.Schedule1.place, "schedule1-idle", "Leave it out, or declare the condition that it belongs to.",
			"no condition claimed here needs %s", b.Schedule1)
	case b.Paired():
	case n == 0:
		c.fault(w.Article9.place, "schedule1-missing",
			fmt.Sprintf("Write schedule1: and a paragraph from %d to %d.", first, last),
			"Art 9(2)(%s) needs a condition of DPA 2018 Schedule 1 Part %d (s.10)", b.Article9, part)
	case (b.Article9 == "b" || b.Article9 == "j") && n >= 6 && n <= 28:
		c.warn(w.Schedule1.place, "schedule1-mismatch", fmt.Sprintf("Name a paragraph from %d to %d.", first, last),
			"Art 9(2)(%s) pairs with Part %d, and %s is in Part 2, as notice 001 has it by mistake (rules 001-24 and 001-25); special-category items will not go",
			b.Article9, part, b.Schedule1)
	default:
		c.fault(w.Schedule1.place, "schedule1-mismatch", fmt.Sprintf("Name a paragraph from %d to %d.", first, last),
			"Art 9(2)(%s) pairs with DPA 2018 Schedule 1 Part %d, and %s is not in it (s.10)", b.Article9, part, b.Schedule1)
	}
}

// purpose compiles what the file says about one purpose.
func (c *compiler) purpose(e *purposeEntry) Purpose {
	p := Purpose{
		Code: transfer.Purpose(e.Code.value), Aim: e.Aim.value, Necessity: e.Necessity.value, Benefits: e.Benefits.value,
		BeyondCare: slices.Contains(beyondCare, e.Code.value), OptOut: e.OptOut.value,
		Basis: c.basis(&e.Basis.basisWords), PerParty: make(map[transfer.PartnerID]Basis), Prohibited: values(e.Prohibited),
		Consent: ConsentModel{
			Form: e.Consent.Form.value, OnRefusal: e.Consent.OnRefusal.value, OnWithdrawal: e.Consent.OnWithdrawal.value,
		},
	}
	if e.BeyondCare != nil {
		p.BeyondCare = e.BeyondCare.value
	}
	switch code := e.Code.value; {
	case code == "marketing" || code == "sale" || strings.HasPrefix(code, "marketing."):
		c.fault(e.Code.place, "purpose-prohibited", "Take it out: no agreement can cover it.", "%s is never a reason to share (gate G2)", code)
	case !slices.Contains(purposes, code):
		c.fault(e.Code.place, "unknown-purpose", orSuggest(code, purposes, "The purposes are "+strings.Join(purposes, ", ")+"."),
			"%q is not a purpose", code)
	}
	for i := range e.Basis.PerParty {
		own := &e.Basis.PerParty[i]
		b := c.basis(&own.basisWords)
		if id, ok := c.party(own.Party); ok {
			p.PerParty[id] = b
		}
	}
	for _, w := range c.basesOf(e) {
		if w.Article6.value == "b" && slices.Contains(funderPurposes, e.Code.value) {
			c.warn(w.Article6.place, "basis-b-not-subject-contract", "Declare another basis.",
				"Art 6(1)(b) is about a contract with the data subject, not with a funder, although notice 001 has it so (rule 001-16)")
		}
	}
	return p
}

// basesOf lists every basis that a purpose declares.
func (c *compiler) basesOf(e *purposeEntry) []*basisWords {
	all := []*basisWords{&e.Basis.basisWords}
	for i := range e.Basis.PerParty {
		all = append(all, &e.Basis.PerParty[i].basisWords)
	}
	return all
}

// claims checks, once for each purpose and party, that a body of its kind can claim the basis it relies on.
func (c *compiler) claims(e *purposeEntry, p *Purpose, parties []transfer.PartnerID) {
	for _, id := range parties {
		partner, known := c.partners[id]
		if !known || !slices.Contains(kinds, string(partner.Kind)) {
			continue
		}
		if c.parties[id].Role == "processor" || partner.Kind == transfer.Individuals {
			continue // a processor stands on the basis of whom it works for, and people at home on none (Art 2(2)(a))
		}
		b, written := p.BasisFor(id), &e.Basis.basisWords
		for i := range e.Basis.PerParty {
			if e.Basis.PerParty[i].Party.value == string(id) {
				written = &e.Basis.PerParty[i].basisWords
			}
		}
		if b.Article9 == "g" && paragraphNumber(b.Schedule1) == 6 && !partner.Kind.PublicBody() && len(partner.Functions) == 0 {
			c.warn(written.Schedule1.place, "schedule1-not-public", "Name another paragraph, or put the function that was conferred on it on the register.",
				"para 6 is for functions that a law confers, and %s is a %s; notice 001 claims it all the same (rule 001-23)", id, partner.Kind)
		}
		if b.ClaimableBy(partner) {
			continue
		}
		remedy := "Public bodies rely on (e) for their tasks: declare it for " + string(id) + " under per_party."
		if b.Article6 == "e" {
			remedy = "Declare another basis for " + string(id) + " under per_party, or put the statutory function that was conferred on it on the register."
		}
		c.fault(written.Article6.place, "basis-not-available", remedy, "%s is a %s and cannot claim Art 6(1)(%s)", id, partner.Kind, b.Article6)
	}
}
