package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// world is everything that a decision depends on. Its values are drawn from few, so that they meet.
type world struct {
	partners   []transfer.Partner
	agreements []*agreement.Agreement
	r          *policy.Request
}

func (w *world) decide(t *rapid.T) policy.Decision {
	x, err := agreement.NewIndex(w.partners, w.agreements)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Decide(x, w.r)
}

var (
	yeses      = []consent.State{consent.Given, consent.Given, consent.Given, consent.Renewed}
	nos        = []consent.State{consent.Refused, consent.Withdrawn, consent.Objected}
	anyStates  = slices.Concat(yeses, yeses, nos, []consent.State{consent.Requested, consent.Expired, consent.Invalidated, consent.Restricted})
	childItems = items("children.name", "children.relationship_to_carer", "children.address_protected", "children.school")
	richItems  = carerItems.Or(items("carer.nhs_number", "carer.gender", "carer.benefits", "carer.gp", "risks.offences", "risks.safeguarding_notes", "risks.visit_notes"))
	absentOnes = items("absent_parents.name", "absent_parents.phones", "absent_parents.contact_prohibited")
	pool       = richItems.Or(caredForItems).Or(childItems).Or(absentOnes).Or(referrerItems)
	freeText   = items("referral.reason", "risks.safeguarding_notes", "risks.visit_notes", "risks.offences")
	warnings   = []policy.Facts{policy.AddressProtected, policy.AllegedPerpetrator, policy.CapacityInDoubt, policy.IdentifiersDisagree, policy.ParentConflict, policy.Deceased}
	bases      = []agreement.Basis{
		{Article6: "a", Article9: "a", Offence: "para 29"}, {Article6: "a"}, {Article6: "a", Article9: "h", Schedule1: "para 2"},
		{Article6: "b", Article9: "a"}, {Article6: "c", Article9: "a", Offence: "para 33"},
		{Article6: "c", Article9: "h", Schedule1: "para 2"}, {Article6: "d", Article9: "c"},
		{Article6: "e", Article9: "h", Schedule1: "para 2"}, {Article6: "e", Article9: "g", Schedule1: "para 18(1)(a)", APD: "apd", Offence: "para 36"},
		{Article6: "ea", Article9: "g", Schedule1: "para 18", APD: "apd"}, {Article6: "ea", Article9: "b", Schedule1: "para 18"},
		{Article6: "f", LIA: "lia", Article9: "g", Schedule1: "para 16", APD: "apd"}, {Article6: "f", LIA: "lia", Article9: "a"},
		{Article6: "f", LIA: "lia", Article9: "d", Offence: "para 36", APD: "apd"}, {Article6: "f", Article9: "f"},
		{Article6: "c", Article9: "g", Schedule1: "para 19", APD: "apd"}, {Article6: "f", LIA: "lia", Article9: "h", Schedule1: "para 2"},
		{Article6: "e", Article9: "a"}, {Article6: "b", Article9: "g", Schedule1: "para 24", APD: "apd"}, {},
	}
)

// rarely is true once in twenty times.
func rarely(t *rapid.T, label string) bool { return rapid.SampledFrom(twenty).Draw(t, label) }

var twenty = append(make([]bool, 19), true)

func often(t *rapid.T, label string) bool { return !rarely(t, label) }

// subset leaves a few out, and rarely all.
func subset(t *rapid.T, of contracts.ItemSet, label string) contracts.ItemSet {
	all := slices.Collect(of.All())
	if len(all) == 0 || rarely(t, label+" nothing") {
		return contracts.ItemSet{}
	}
	for range rapid.IntRange(0, 3).Draw(t, "without") {
		of = of.Minus(contracts.ItemSet{}.With(rapid.SampledFrom(all).Draw(t, label)))
	}
	return of
}

// anyWorld draws partners, agreements of which several may apply, and a message.
func anyWorld(t *rapid.T) *world {
	w := &world{partners: partners()}
	w.r = anyRequest(t)
	for i := range w.partners {
		p := &w.partners[i]
		switch {
		case p.ID == w.r.Sender:
			p.Profile.SpecialOnLegalGrounds = rarely(t, "special on legal grounds")
			p.Profile.ParentBelow = rapid.SampledFrom([]int{0, 0, 16, 18}).Draw(t, "parent below")
		case p.ID == w.r.Recipient:
			p.Suspended = rarely(t, "suspended")
			if rarely(t, "toolkit") {
				p.DSPT = transfer.DSPT{Status: "standards-met", Expires: rapid.SampledFrom([]string{"2026-11-20", "2026-10-23", "2026-06-30"}).Draw(t, "expires")}
			}
		}
	}
	all := rapid.Permutation(slices.DeleteFunc(slices.Clone(bases), func(b agreement.Basis) bool {
		return often(t, "claimable") && !sound(b, w.r.Sender)
	})).Draw(t, "bases")
	for i := range rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "agreements") {
		w.agreements = append(w.agreements, anyAgreement(t, w.r, transfer.AgreementID(fmt.Sprint("agreement-", i)), all[i]))
	}
	return w
}

// sound reports whether a sender can rely on a basis.
func sound(b agreement.Basis, sender transfer.PartnerID) bool {
	switch b.Article6 {
	case "e":
		return sender == council
	case "f", "ea":
		return sender != council
	}
	return b.Article6 != "" && b.Article6 != "d"
}

func anyRequest(t *rapid.T) *policy.Request {
	r := refer()
	r.Sender = rapid.SampledFrom([]transfer.PartnerID{cih, cih, council}).Draw(t, "sender")
	recipients := []transfer.PartnerID{ageUK, ageUK, ageUK, nhs, fire, family}
	switch rapid.SampledFrom([]int{9, 9, 9, 9, 9, 9, 0, 1, 3, 4}).Draw(t, "ground") {
	case 0, 1:
		r.Exception, recipients = anyException(t), []transfer.PartnerID{nhs, police, police, ageUK}
	case 3:
		r.Demand, recipients = anyDemand(t), []transfer.PartnerID{police, court, cqc, ageUK}
	case 4:
		r.Exception, r.Demand, recipients = anyException(t), anyDemand(t), []transfer.PartnerID{police}
	}
	r.Recipient = rapid.SampledFrom(recipients).Draw(t, "recipient")
	r.Purpose = rapid.SampledFrom([]transfer.Purpose{"referral.service", "referral.service", "advocacy", "contract-case"}).Draw(t, "purpose")
	if often(t, "undertaking") {
		r.Undertaking = &contracts.Undertaking{
			EvidenceRef: rapid.SampledFrom([]string{"file 7", "file 7", ""}).Draw(t, "evidence"),
			InformedOn:  rapid.SampledFrom([]string{"", "2026-10-23", "2026-10-23", "2026-11-20", "2026-11-22"}).Draw(t, "informed on"),
			NotInformed: rapid.SampledFrom([]string{"", "", "safety"}).Draw(t, "not informed"),
		}
	} else {
		r.Undertaking = nil
	}
	r.Subjects = []policy.Subject{
		{Role: transfer.Carer, Items: richItems}, {Role: transfer.Professional, Items: referrerItems}, {Role: transfer.CaredFor, Items: caredForItems},
		{Role: transfer.Child, Items: childItems}, {Role: transfer.AbsentParent, Items: absentOnes},
	}
	if rarely(t, "no carer") {
		r.Subjects = r.Subjects[1:]
	}
	for i := range r.Subjects {
		anySubject(t, r, &r.Subjects[i])
	}
	r.Conditions = rapid.SampledFrom([]map[string]bool{{"x": true}, {"x": true}, {"x": true}, {"x": false}, nil}).Draw(t, "conditions")
	if rapid.Bool().Draw(t, "secondary") {
		r.Secondary = &contracts.Secondary{
			CheckedOn: rapid.SampledFrom([]string{"2026-11-20", "2026-11-20", ""}).Draw(t, "checked"),
			OptedOut:  rarely(t, "opted out"), Support: rapid.SampledFrom([]string{"", "CAG"}).Draw(t, "support"),
		}
	}
	if rapid.Bool().Draw(t, "reviewed") {
		r.Review = &contracts.Review{Person: rapid.SampledFrom([]string{"caseworker-1", "nobody-1"}).Draw(t, "reader")}
	}
	if rarely(t, "passed on") {
		r.Onward = &policy.Onward{}
		if often(t, "on record") {
			r.Onward.Flow = &agreement.Flow{ID: "before@1#refer", Purpose: r.Purpose, Onward: agreement.Onward{To: []transfer.PartnerID{ageUK, nhs}}}
		}
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "rulings") {
		r.Rulings = append(r.Rulings, anyRuling(t))
	}
	return r
}

func anySubject(t *rapid.T, r *policy.Request, s *policy.Subject) {
	s.Items = subset(t, s.Items, "present")
	if s.Role == transfer.Professional {
		return
	}
	ages := []policy.Facts{policy.Adult, policy.Adult, 0, policy.SixteenOrSeventeen, policy.UnderSixteen, policy.UnderSixteen | policy.GillickCompetent, policy.UnderSixteen | policy.NotCompetent}
	s.Facts = rapid.SampledFrom(ages).Draw(t, "age")
	switch rapid.SampledFrom([]int{0, 0, 0, 0, 0, 7, 8, 9}).Draw(t, "capacity") {
	case 7:
		s.Facts |= policy.CapacityInDoubt
	case 8, 9:
		s.Facts |= policy.LacksCapacity
		s.Facts |= rapid.SampledFrom([]policy.Facts{0, policy.WelfareAttorney, policy.FinanceAttorney, policy.BestInterests, policy.NonInstructed}).Draw(t, "proxy")
	}
	if rarely(t, "warned") {
		s.Facts |= rapid.SampledFrom(warnings).Draw(t, "warning")
	}
	if rapid.Bool().Draw(t, "noticed") {
		s.Noticed = subset(t, s.Items.And(freeText), "noticed in")
	}
	slots := rapid.Permutation([]int{-9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2}).Draw(t, "when")
	for i := range rapid.IntRange(0, 4).Draw(t, "events") {
		s.Events = append(s.Events, anyEvent(t, r, anyStates, slots[i]))
	}
}

// anyEvent is of an instant of its own: what two events of one instant come to is for the tests of hub/consent.
func anyEvent(t *rapid.T, r *policy.Request, states []consent.State, slot int) consent.Event {
	return said(rapid.SampledFrom(states).Draw(t, "state"), func(e *consent.Event) {
		e.RecordedBy = rapid.SampledFrom([]transfer.PartnerID{r.Sender, r.Sender, r.Sender, r.Recipient, pohwer}).Draw(t, "recorded by")
		e.Purpose = rapid.SampledFrom([]transfer.Purpose{r.Purpose, r.Purpose, r.Purpose, "benefits", ""}).Draw(t, "for")
		e.Service = rapid.SampledFrom([]transfer.Service{r.Service, r.Service, ""}).Draw(t, "service")
		e.Recipients = rapid.SampledFrom([][]transfer.PartnerID{nil, nil, {r.Recipient}, {pohwer}}).Draw(t, "to")
		e.Explicit = rapid.Bool().Draw(t, "explicit")
		e.Authority = rapid.SampledFrom([]string{
			"self", "self", "self", "parent", "gillick", "deputy", "attorney-health-welfare", "attorney-property-finance", "best-interests",
		}).Draw(t, "authority")
		e.Categories = rapid.SampledFrom([][]contracts.Category{
			nil, nil, {"identity", "contact"}, {"health"}, {"finance", "identity"},
			{"identity", "contact", "address", "referral", "health", "safeguarding", "relationship", "offence", "education", "risk", "professional"},
		}).Draw(t, "categories")
		e.At = noon.Add(time.Duration(slot) * 7 * time.Minute)
		if rapid.IntRange(0, 3).Draw(t, "expires") == 0 {
			e.ExpiresAt = e.At.Add(20 * time.Minute)
		}
		if rarely(t, "notice") {
			e.Notice = "notice-1"
		}
	})
}

func anyException(t *rapid.T) *contracts.Exception {
	kinds := []string{"danger-to-life", "danger-to-another", "safeguarding", "safeguarding", "safeguarding", "crime-report", "break-glass"}
	yes := func(label string) bool { return often(t, label) }
	return &contracts.Exception{
		Kind:   rapid.SampledFrom(kinds).Draw(t, "kind"),
		Limb:   rapid.SampledFrom([]string{"a", "c", ""}).Draw(t, "limb"),
		Person: rapid.SampledFrom([]string{"safeguarding-1", "safeguarding-1", "practitioner-1", "dpl-1", "caseworker-1", "nobody-1"}).Draw(t, "claims"),
		At:     rapid.SampledFrom([]string{"2026-11-21T11:00:00Z", "2026-11-21T11:00:00Z", "2026-11-21T11:00:00Z", "2026-11-21T11:00:00Z", "2026-11-19T12:00:00Z", "2026-11-18T12:00:00Z", "2026-11-21T12:30:00Z", "now"}).Draw(t, "decided"),
		Record: rapid.SampledFrom([]string{"file", "file", "file", ""}).Draw(t, "record"),
		Law:    rapid.SampledFrom([]string{"Proceeds of Crime Act 2002 s.330", ""}).Draw(t, "law"),

		Necessary: yes("necessary"), NoLessIntrusiveWay: yes("no lesser way"), NoOtherBasis: yes("no other basis"),
		Incapable: rapid.Bool().Draw(t, "incapable"), Refused: rarely(t, "refused"), OthersAtRisk: rarely(t, "others"),
		Coercion: rarely(t, "coercion"), SeriousCrime: rarely(t, "crime"), InformingRaisesRisk: rapid.Bool().Draw(t, "informing"),
	}
}

func anyDemand(t *rapid.T) *contracts.Demand {
	return &contracts.Demand{
		Instrument: rapid.SampledFrom([]string{"court-order", "statute", "regulator", "warrant", "request", "request"}).Draw(t, "instrument"),
		Reference:  rapid.SampledFrom([]string{"B/77", "B/77", ""}).Draw(t, "reference"), By: "Inspector",
		Law: rapid.SampledFrom([]string{"an Act", "an Act", ""}).Draw(t, "law"), Items: subset(t, pool, "demanded"),
		Person: rapid.SampledFrom([]string{"dpl-1", "dpl-1", "caldicott-1", "caseworker-1"}).Draw(t, "met by"),
	}
}

func anyRuling(t *rapid.T) policy.Ruling {
	p := rapid.SampledFrom(staff).Draw(t, "who rules")
	codes := []policy.Code{
		policy.AgreementReviewOverdue, policy.ConsentRefused, policy.ConsentWithdrawn, policy.Objection, policy.Restricted, policy.CapacityDoubt,
		policy.EarlierRefusal, policy.ChildParentConflict, policy.PersonDeceased, policy.PerpetratorNamed, policy.NotReviewed, policy.ContactInNotes,
		policy.RequiredItemStripped, policy.ExceptionNotShown, policy.DemandNotCompelling, policy.SubjectNotInformed, policy.ReferrerUndertakingMissing,
		policy.ConsentNone, policy.LessIntrusiveAvailable, policy.VitalInterestsCapable, policy.NoAgreement, policy.ConditionUnknown, policy.LimbMissing,
	}
	r := ruled(p.ID, p.Roles[0], codes...)
	r.At = noon.Add(time.Duration(rapid.IntRange(-60, 5).Draw(t, "ruled")) * time.Minute)
	if rarely(t, "turned down") {
		r.Act = policy.TurnDown
	}
	return r
}

func anyAgreement(t *rapid.T, r *policy.Request, id transfer.AgreementID, basis agreement.Basis) *agreement.Agreement {
	a := hertswise(func(f *agreement.Flow) {
		f.ID, f.Basis = string(id)+"@1#refer", basis
		f.Basis.Confidentiality = rapid.SampledFrom([]string{"", "implied-consent", "statute"}).Draw(t, "confidentiality")
		f.From, f.To = []transfer.PartnerID{cih, council}, []transfer.PartnerID{ageUK, nhs, police, cqc, court, family, fire, council}
		f.Members = []transfer.PartnerID{ageUK, nhs, police, family}
		if often(t, "same purpose") {
			f.Purpose = r.Purpose
		}
		f.Allowed = subset(t, pool, "allowed")
		f.Required = contracts.ItemSet{}
		if rapid.Bool().Draw(t, "requires") {
			f.Required = f.Allowed.And(items("carer.name.family", "cared_for.relationship_to_carer"))
		}
		f.FreeText = rapid.SampledFrom([]agreement.Leave{agreement.Always, agreement.Always, agreement.Reviewed, agreement.Never}).Draw(t, "free text")
		if rapid.IntRange(0, 3).Draw(t, "conditional") == 0 {
			f.When = &agreement.Condition{Source: "x"}
		}
		f.Told, f.Secondary, f.AccessOnly = rarely(t, "told"), rarely(t, "beyond care"), rarely(t, "access")
		f.Compelled = rarely(t, "compelled")
		if rarely(t, "objection") {
			f.Objection = 28 * day
		}
	})
	a.ID = id
	a.ReviewBy = noon.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -91}).Draw(t, "review")) * day)
	a.Status = rapid.SampledFrom([]agreement.Status{agreement.Active, agreement.Active, agreement.Active, agreement.Active, agreement.Active, agreement.Active, agreement.Active, agreement.Suspended}).Draw(t, "status")
	if rapid.Bool().Draw(t, "published") {
		a.Transparency = []agreement.Notice{{Party: cih}, {Party: council}}
	}
	return a
}

// noBetter fails when a decision became more favourable.
func noBetter(t *rapid.T, before, after policy.Decision) {
	t.Helper()
	if before.Outcome == transfer.Refuse && after.Outcome != transfer.Refuse {
		t.Errorf("a refusal %v became a %s %v", codes(before), after.Outcome, codes(after))
	}
	addsNothing(t, before, after)
}

// addsNothing fails when something goes that did not go before.
func addsNothing(t *rapid.T, before, after policy.Decision) {
	t.Helper()
	if after.Outcome.Permits() && !before.Outcome.Permits() {
		t.Errorf("a %s %v became a %s %v", before.Outcome, codes(before), after.Outcome, codes(after))
	}
	for i := range after.Subjects {
		if more := after.Subjects[i].Items.Minus(before.Subjects[i].Items); !more.Empty() {
			t.Errorf("about the %s %v goes as well", after.Subjects[i].Role, referral.Names(more))
		}
	}
}

var sameFlow = cmpopts.IgnoreFields(policy.Decision{}, "Flow")

func TestTheReferenceAgrees(t *testing.T) {
	for range 10 { // a hundred worlds each
		rapid.Check(t, compareWithTheBook)
	}
}

func compareWithTheBook(t *rapid.T) {
	w := anyWorld(t)
	d := w.decide(t)
	outcome, goes := decideByTheBook(w.partners, w.agreements, w.r)
	if outcome != d.Outcome {
		t.Fatalf("Decide: %s %v; by the book: %s", d.Outcome, codes(d), outcome)
	}
	for i := range goes {
		if goes[i] != d.Subjects[i].Items {
			t.Errorf("about the %s, Decide lets %v go %v and the book %v", d.Subjects[i].Role,
				referral.Names(d.Subjects[i].Items.Minus(goes[i])), codes(d), referral.Names(goes[i].Minus(d.Subjects[i].Items)))
		}
	}
}

func TestTheSameInputsGiveTheSameDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t)
		first := w.decide(t)
		if diff := cmp.Diff(first, w.decide(t), sameFlow); diff != "" {
			t.Errorf("the second time (-first +second):\n%s", diff)
		}
		r := *w.r
		r.Subjects = slices.Clone(w.r.Subjects)
		for i := range r.Subjects {
			r.Subjects[i].Events = rapid.Permutation(r.Subjects[i].Events).Draw(t, "order of events")
		}
		other := world{w.partners, rapid.Permutation(w.agreements).Draw(t, "order"), &r}
		if diff := cmp.Diff(first, other.decide(t), sameFlow); diff != "" {
			t.Errorf("in another order (-first +second):\n%s", diff)
		}
	})
}

func TestEveryDecisionIsSound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := anyWorld(rt)
		d := w.decide(rt)
		check(t, w.r, &d)
		if t.Failed() {
			rt.FailNow()
		}
		for i, s := range d.Subjects {
			if d.Flow != nil && !s.Items.Minus(d.Flow.Allowed).Empty() {
				rt.Errorf("%s: an item goes that the clause does not list", s.Role)
			}
			reaching := items("carer.phones", "carer.addresses.lines")
			protecting := items("carer.safe_to_contact", "carer.address_protected").And(w.r.Subjects[i].Items)
			if w.r.Demand == nil && !s.Items.And(reaching).Empty() && !protecting.Minus(s.Items).Empty() {
				rt.Error("contact details go without the directives that protect them")
			}
		}
	})
}

func TestANoNeverLetsMoreGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t)
		before := w.decide(t)
		i := rapid.IntRange(0, len(w.r.Subjects)-1).Draw(t, "who")
		no := anyEvent(t, w.r, append(nos, consent.Restricted), rapid.IntRange(-12, 3).Draw(t, "when"))
		no.Notice = "" // which would show besides that the person was told
		w.r.Subjects[i].Events = append(slices.Clone(w.r.Subjects[i].Events), no)
		noBetter(t, before, w.decide(t))
	})
}

func TestAWarningNeverLetsMoreGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t)
		before := w.decide(t)
		i := rapid.IntRange(0, len(w.r.Subjects)-1).Draw(t, "who")
		w.r.Subjects[i].Facts |= rapid.SampledFrom(warnings).Draw(t, "warning")
		noBetter(t, before, w.decide(t))
	})
}

// Listing less lets nothing more go, once the notes have been read: notes that are not listed need not be.
func TestListingLessNeverLetsMoreGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t)
		w.agreements = w.agreements[:1]
		w.r.Review = &contracts.Review{Person: "caseworker-1"}
		for i := range w.r.Subjects {
			w.r.Subjects[i].Noticed = contracts.ItemSet{}
		}
		before := w.decide(t)
		f := w.agreements[0].Flows[0]
		f.Allowed = f.Allowed.And(subset(t, f.Allowed, "still listed"))
		after := w.decide(t)
		addsNothing(t, before, after)
		for i := range after.Subjects {
			if more := after.Subjects[i].Covered.Minus(before.Subjects[i].Covered); !more.Empty() {
				t.Errorf("about the %s %v is covered as well", after.Subjects[i].Role, referral.Names(more))
			}
		}
	})
}

// Taking a clause away adds nothing, unless it was the one to decide under and another covers the same: a clause on which a person's word
// counts stands before one on which it does not, and to take it away is to declare the other basis. What then goes is what that one lists.
func TestRemovingAClauseNeverLetsMoreGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t)
		before := w.decide(t)
		gone := rapid.IntRange(0, len(w.agreements)-1).Draw(t, "gone")
		id := w.agreements[gone].ID
		w.agreements = slices.Delete(slices.Clone(w.agreements), gone, gone+1)
		after := w.decide(t)
		if before.Agreement == nil || before.Agreement.ID != id || after.Agreement == nil && after.Outcome != transfer.PermitException {
			addsNothing(t, before, after)
			return
		}
		if after.Agreement == nil {
			return // the claim that stood under the clause stands by itself now, and carries what its row carries
		}
		for i := range after.Subjects {
			if more := after.Subjects[i].Items.Minus(after.Flow.Allowed); !more.Empty() {
				t.Errorf("about the %s %v goes", after.Subjects[i].Role, referral.Names(more))
			}
		}
	})
}

func TestAnExceptionThatHasRunOutPermitsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t)
		w.r.Exception = anyException(t)
		w.r.Demand = nil
		d := w.decide(t)
		if !d.Outcome.Permits() {
			return
		}
		if d.Expires.IsZero() {
			t.Fatal("what a claim lets go never runs out")
		}
		w.r.At = d.Expires
		if d := w.decide(t); d.Outcome.Permits() {
			t.Errorf("afterwards it is a %s", d.Outcome)
		}
	})
}

// Law 5: where consent is the basis, nobody rules a person's answer away.
func TestNoRulingTakesThePlaceOfConsent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t)
		w.r.Rulings = nil
		before := w.decide(t)
		for _, p := range staff {
			w.r.Rulings = append(w.r.Rulings, ruled(p.ID, p.Roles[0], codes(before)...))
		}
		after := w.decide(t)
		said := []policy.Code{policy.ConsentNone, policy.ConsentScope, policy.ConsentExpired, policy.ConsentRefused, policy.ConsentWithdrawn, policy.Objection}
		for _, reason := range before.Reasons {
			early := reason.Gate == "G2" || reason.Gate == "G3" || reason.Gate == "G4"
			onConsent := before.Flow != nil && before.Flow.Basis.Article6 == "a" && slices.Contains(said, reason.Code) && reason.Role == transfer.Carer
			if !before.Outcome.Permits() && after.Outcome.Permits() && (early && reason.Code != policy.DSPTLapsed || onConsent && reason.Items == nil) {
				t.Errorf("a ruling lifted %s: a %s became a %s", reason.Code, before.Outcome, after.Outcome)
			}
		}
		for i := range after.Subjects {
			if more := after.Subjects[i].Items.Minus(after.Subjects[i].Covered); !more.Empty() {
				t.Errorf("about the %s %v goes", after.Subjects[i].Role, referral.Names(more))
			}
		}
	})
}
