package policy_test

import (
	"slices"
	"testing"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// The rows are those of domain.md section 4.4.

// about changes what is known of the carer of a referral.
func about(facts policy.Facts, events ...consent.Event) *policy.Request {
	r := refer(events...)
	r.Subjects[0].Facts = facts
	return r
}

func by(a string) consent.Event { return said(consent.Given, everything, authority(a)) }

func TestWhoDecidesForAnAdult(t *testing.T) {
	const adult = policy.Adult
	for _, tt := range []struct {
		story   string
		facts   policy.Facts
		events  []consent.Event
		outcome transfer.Outcome
		codes   []policy.Code
	}{
		{"C1: they do", adult, []consent.Event{by("self")}, permit, nil},
		{"C1: an attorney for health and welfare does not, while they can", adult | policy.WelfareAttorney,
			[]consent.Event{by("attorney-health-welfare")}, hold, []policy.Code{policy.RepresentativeScope}},
		{"C1: nor a best-interests decision", adult, []consent.Event{by("best-interests")}, hold, []policy.Code{policy.RepresentativeUnverified}},
		{"C2: in doubt", adult | policy.CapacityInDoubt, []consent.Event{by("self")}, hold, []policy.Code{policy.CapacityDoubt}},
		{"C2: in doubt, and they refuse", adult | policy.CapacityInDoubt, []consent.Event{said(consent.Refused)},
			refuse, []policy.Code{policy.ConsentRefused}},
		{"C3: their attorney", adult | policy.LacksCapacity | policy.WelfareAttorney, []consent.Event{by("attorney-health-welfare")}, permit, nil},
		{"C3: their welfare deputy", adult | policy.LacksCapacity | policy.WelfareAttorney, []consent.Event{by("deputy")}, permit, nil},
		{"C3: their attorney, and what they said before they lost capacity does not count", adult | policy.LacksCapacity | policy.WelfareAttorney,
			[]consent.Event{by("self")}, hold, []policy.Code{policy.NoDecisionMaker}},
		{"C3: somebody who says that they are the attorney", adult | policy.LacksCapacity | policy.UnverifiedProxy,
			[]consent.Event{by("attorney-health-welfare")}, hold, []policy.Code{policy.RepresentativeUnverified}},
		{"C5: nobody", adult | policy.LacksCapacity, nil, hold, []policy.Code{policy.NoDecisionMaker}},
		{"C5: a best-interests decision", adult | policy.LacksCapacity | policy.BestInterests, []consent.Event{by("best-interests")}, permit, nil},
		{"C5: a best-interests decision of which nobody says what it covers", adult | policy.LacksCapacity | policy.BestInterests, nil,
			hold, []policy.Code{policy.NoDecisionMaker}},
		{"C6: the attorney agrees to what they refused", adult | policy.LacksCapacity | policy.WelfareAttorney,
			[]consent.Event{said(consent.Refused, at(noon.Add(-48*time.Hour))), by("attorney-health-welfare")}, hold, []policy.Code{policy.EarlierRefusal}},
		{"C6: the attorney agrees to what the attorney refused", adult | policy.LacksCapacity | policy.WelfareAttorney,
			[]consent.Event{said(consent.Refused, authority("attorney-health-welfare"), at(noon.Add(-48*time.Hour))), by("attorney-health-welfare")}, permit, nil},
		{"C13: they have died", adult | policy.Deceased, []consent.Event{by("self")}, hold, []policy.Code{policy.PersonDeceased}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			expect(t, decide(t, about(tt.facts, tt.events...), hertswise()), tt.outcome, tt.codes...)
		})
	}
}

func TestC4AnAttorneyForMoneyDecidesAboutMoneyAlone(t *testing.T) {
	money := items("carer.benefits", "carer.money_worries")
	a := hertswise(func(f *agreement.Flow) { f.Allowed, f.Required = f.Allowed.Or(money), contracts.ItemSet{} })
	facts := policy.Adult | policy.LacksCapacity | policy.FinanceAttorney
	ask := func(events ...consent.Event) *policy.Request {
		r := about(facts, events...)
		r.Subjects[0].Items = r.Subjects[0].Items.Or(money)
		return r
	}
	agrees := said(consent.Given, explicitly("finance", "identity", "health"), authority("attorney-property-finance"))
	t.Run("alone", func(t *testing.T) {
		d := decide(t, ask(agrees), a)
		expect(t, d, strip, policy.RepresentativeScope)
		went(t, d, 0, money.Or(items("carer.safe_to_contact", "carer.address_protected")))
	})
	t.Run("beside a best-interests decision about the rest", func(t *testing.T) {
		d := decide(t, ask(agrees, said(consent.Given, explicitly("identity", "health"), authority("best-interests"))), a)
		expect(t, d, strip, policy.ConsentScope)
		went(t, d, 0, money.Or(items("carer.name.given", "carer.name.family", "carer.condition", "carer.safe_to_contact", "carer.address_protected")))
	})
}

func TestCapacityDoesNotMatterWhereALawDecides(t *testing.T) {
	statute := hertswise(func(f *agreement.Flow) {
		f.From = []transfer.PartnerID{council}
		f.Basis = agreement.Basis{Article6: "e", Article9: "h", Schedule1: "para 2", Confidentiality: "statute"}
		f.Agreement.Transparency = []agreement.Notice{{Party: council, Version: "1"}}
	})
	impliedConsent := hertswise(func(f *agreement.Flow) {
		*f = *statute.Flows[0]
		f.Basis.Confidentiality = "implied-consent"
		f.Agreement.ID = "implied"
	})
	impliedConsent.Flows[0].Agreement = impliedConsent
	impliedConsent.Transparency = statute.Transparency
	for facts, code := range map[policy.Facts]policy.Code{
		policy.Adult | policy.CapacityInDoubt: policy.CapacityDoubt, policy.Adult | policy.LacksCapacity: policy.NoDecisionMaker,
	} {
		r := about(facts)
		r.Sender = council
		expect(t, decide(t, r, statute), permit)
		expect(t, decide(t, r, impliedConsent), hold, code)
	}
}

// C5: an advocate may be instructed for somebody who cannot instruct one, and for nothing else.
func TestAnAdvocateIsInstructedForSomebodyWhoCannot(t *testing.T) {
	advocacy := hertswise(func(f *agreement.Flow) { f.To, f.Purpose, f.Service = []transfer.PartnerID{pohwer}, "advocacy", "" })
	instruct := func(facts policy.Facts, events ...consent.Event) *policy.Request {
		r := about(facts, events...)
		r.Recipient, r.Purpose, r.Service = pohwer, "advocacy", ""
		return r
	}
	d := decide(t, instruct(policy.Adult|policy.LacksCapacity|policy.NonInstructed), advocacy)
	expect(t, d, strip, policy.ConsentNotExplicit) // an instruction is no explicit consent to health data
	went(t, d, 0, carerItems.Minus(items("carer.condition")))
	if d.Subjects[0].Consent != "none" {
		t.Errorf("the log says that consent is %q, and somebody else decided", d.Subjects[0].Consent)
	}
	expect(t, decide(t, instruct(policy.Adult|policy.NonInstructed), advocacy), hold, policy.ConsentNone)
	no := said(consent.Refused, func(e *consent.Event) { e.Purpose, e.Service = "advocacy", "" })
	expect(t, decide(t, instruct(policy.Adult|policy.LacksCapacity|policy.NonInstructed, no), advocacy), refuse, policy.ConsentRefused)
	expect(t, decide(t, about(policy.Adult|policy.LacksCapacity|policy.NonInstructed), hertswise()), hold, policy.NoDecisionMaker)
}

func TestWhoDecidesForAYoungPerson(t *testing.T) {
	const child, teen = policy.UnderSixteen, policy.SixteenOrSeventeen
	for _, tt := range []struct {
		story       string
		facts       policy.Facts
		parentBelow int
		events      []consent.Event
		codes       []policy.Code
	}{
		{"C7: found competent, agrees", child | policy.GillickCompetent, 0, []consent.Event{by("self")}, nil},
		{"C7: found competent, and only the parent agrees", child | policy.GillickCompetent, 0, []consent.Event{by("parent")},
			[]policy.Code{policy.ConsentNone}},
		{"C7: found competent, the sender wants the parent's too", child | policy.GillickCompetent, 16, []consent.Event{by("self")},
			[]policy.Code{policy.ParentalConsentMissing}},
		{"C7: found competent, both agree", child | policy.GillickCompetent, 18, []consent.Event{by("self"), by("parent")}, nil},
		{"C7: competent by the record of the consent, the sender wants the parent's too", child, 16, []consent.Event{by("gillick")},
			[]policy.Code{policy.ParentalConsentMissing}},
		{"C8: found not competent, the parent agrees", child | policy.NotCompetent, 0, []consent.Event{by("parent")}, nil},
		{"C8: found not competent, agrees alone", child | policy.NotCompetent, 0, []consent.Event{by("gillick")},
			[]policy.Code{policy.ParentalConsentMissing}},
		{"C8: in doubt, the parent agrees", child | policy.CapacityInDoubt, 0, []consent.Event{by("parent")}, nil},
		{"C2: found competent, and in doubt for this", child | policy.GillickCompetent | policy.CapacityInDoubt, 0, []consent.Event{by("self")},
			[]policy.Code{policy.CapacityDoubt}},
		{"C9: 16, agrees", teen, 16, []consent.Event{by("self")}, nil},
		{"C9: 16, the sender wants the parent's too", teen, 18, []consent.Event{by("self")}, []policy.Code{policy.ParentalConsentMissing}},
		{"C9: 16, both agree", teen, 18, []consent.Event{by("self"), by("parent")}, nil},
		{"C10: the parent must not hear of it", child | policy.GillickCompetent | policy.ParentConflict, 0, []consent.Event{by("self")},
			[]policy.Code{policy.ChildParentConflict}},
		{"C10: the child refused before the parent agreed", child, 0,
			[]consent.Event{said(consent.Refused, at(noon.Add(-48*time.Hour))), by("parent")}, []policy.Code{policy.ChildParentConflict}},
		{"C10: grown up, whatever is said of the parent", policy.Adult | policy.ParentConflict, 0, []consent.Event{by("self")}, nil},
	} {
		t.Run(tt.story, func(t *testing.T) {
			x := register(t, cih, func(p *transfer.Partner) { p.Profile.ParentBelow = tt.parentBelow }, hertswise())
			d := under(t, x, about(tt.facts, tt.events...))
			want := permit
			if tt.codes != nil {
				want = hold
			}
			expect(t, d, want, tt.codes...)
			if tt.codes != nil && (d.Owner == policy.OwnerSafeguarding) != (tt.codes[0] == policy.ChildParentConflict) {
				t.Errorf("the hold is %s's", d.Owner)
			}
		})
	}
}

// C10: a parent who is said to be the risk is not asked, and no consent of a parent settles it.
func TestAParentWhoIsSaidToBeTheRiskIsForTheSafeguardingLead(t *testing.T) {
	absent := items("absent_parents.name", "absent_parents.phones")
	r := about(policy.UnderSixteen, by("parent"))
	r.Subjects = append(r.Subjects, policy.Subject{Role: transfer.AbsentParent, Items: absent, Facts: policy.Adult | policy.AllegedPerpetrator})
	d := decide(t, r, hertswise(func(f *agreement.Flow) { f.Allowed = f.Allowed.Or(absent) }))
	if d.Outcome != hold || d.Owner != policy.OwnerSafeguarding || !slices.Contains(codes(d), policy.ChildParentConflict) {
		t.Errorf("it is a %s %v for %s", d.Outcome, codes(d), d.Owner)
	}
}

// The parent's consent counts for no more than it says, also where it stands beside the young person's.
func TestBothConsentsHaveToCoverAnItem(t *testing.T) {
	x := register(t, cih, func(p *transfer.Partner) { p.Profile.ParentBelow = 18 }, hertswise())
	d := under(t, x, about(policy.SixteenOrSeventeen, by("self"), said(consent.Given, explicitly("identity", "referral"), authority("parent"))))
	expect(t, d, strip, policy.ConsentNotExplicit, policy.ConsentScope)
	went(t, d, 0, items("carer.name.given", "carer.name.family", "referral.reason", "carer.safe_to_contact", "carer.address_protected"))
}

// C10, C13 and G9 about somebody else than the carer keep that person's items out, and the carer's go.
func TestOfSomebodyElseTheirItemsStay(t *testing.T) {
	yes := said(consent.Given, explicitly("identity", "relationship", "health", "mental-health"))
	context := items("cared_for.relationship_to_carer", "cared_for.condition", "cared_for.contact_prohibited")
	for _, tt := range []struct {
		story  string
		facts  policy.Facts
		events []consent.Event
		code   policy.Code
		goes   contracts.ItemSet
	}{
		{"in doubt", policy.Adult | policy.CapacityInDoubt, []consent.Event{yes}, policy.CapacityDoubt, context},
		{"in doubt, and nobody asked", policy.Adult | policy.CapacityInDoubt, nil, policy.ThirdPartyNoBasis, context},
		{"cannot decide", policy.Adult | policy.LacksCapacity, []consent.Event{yes}, policy.NoDecisionMaker, context},
		{"has died", policy.Adult | policy.Deceased, []consent.Event{yes}, policy.PersonDeceased, context},
		{"has data restricted", policy.Adult, []consent.Event{yes, said(consent.Restricted, at(noon))}, policy.Restricted, contracts.ItemSet{}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			r := withCaredFor(agreed(), tt.events...)
			r.Subjects[2].Facts = tt.facts
			d := decide(t, r, hertswise())
			expect(t, d, strip, tt.code)
			went(t, d, 0, carerItems)
			went(t, d, 2, tt.goes)
		})
	}
}

// G9: what is restricted is kept and not used, except with a consent that came later, for legal claims, or where a law compels.
func TestARestrictionStopsWhatConsentLetGo(t *testing.T) {
	restricted := func(change ...func(*consent.Event)) consent.Event {
		return said(consent.Restricted, append(change, at(noon.Add(-time.Hour)))...)
	}
	yes := said(consent.Given, everything)
	d := decide(t, refer(yes, restricted()), hertswise())
	expect(t, d, hold, policy.Restricted)
	if d.Owner != policy.OwnerDPL || len(d.Subjects[0].Consents) != 2 || d.Subjects[0].Covered != carerItems {
		t.Errorf("the hold is %s's, rests on %v and keeps %v", d.Owner, d.Subjects[0].Consents, referral.Names(d.Subjects[0].Covered))
	}
	d = decide(t, refer(yes, restricted(naming("health"))), hertswise())
	expect(t, d, strip, policy.Restricted)
	went(t, d, 0, carerItems.Minus(items("carer.condition")))
	expect(t, decide(t, refer(yes, restricted(), said(consent.RestrictionLifted, at(noon))), hertswise()), permit)
	expect(t, decide(t, refer(restricted(), said(consent.Given, everything, at(noon))), hertswise()), permit)
	claims := hertswise(func(f *agreement.Flow) { f.Basis = agreement.Basis{Article6: "f", LIA: "lia", Article9: "f"} })
	expect(t, decide(t, refer(restricted()), claims), permit)
}
