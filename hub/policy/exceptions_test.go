package policy_test

import (
	"testing"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// The rows are those of domain.md section 4.3. No agreement lets any of these go.

const exception = transfer.PermitException

// claim is an exception that was decided an hour ago, with everything on record.
func claim(kind, person string) *contracts.Exception {
	return &contracts.Exception{
		Kind: kind, Person: person, At: "2026-11-21T11:00:00Z", Record: "file 12", Limb: "c",
		Necessary: true, NoLessIntrusiveWay: true, NoOtherBasis: true, Incapable: kind == "danger-to-life", Law: "Terrorism Act 2000 s.19",
	}
}

// urgent is a message about a carer, whom everything is known of, and a cared-for person, under the claim of an exception.
func urgent(to transfer.PartnerID, e *contracts.Exception, events ...consent.Event) *policy.Request {
	r := withCaredFor(refer(events...))
	r.Recipient, r.Purpose, r.Service, r.Exception = to, "emergency", "", e
	r.Subjects[0].Items = r.Subjects[0].Items.Or(items("carer.benefits", "carer.ethnicity", "risks.safeguarding_notes", "risks.offences"))
	return r
}

// endOf is the last second of a winter's day.
func endOf(day string) time.Time {
	at, _ := time.Parse(time.DateTime, day+" 23:59:59")
	return at
}

// The glass that is broken on Christmas Eve is looked at after Christmas, the weekend, and the day that stands in for Boxing Day.
func TestReviewWaitsForBankHolidays(t *testing.T) {
	broken := claim("break-glass", "practitioner-1")
	broken.At = "2026-12-24T11:00:00Z"
	r := urgent(nhs, broken)
	r.At = time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)
	if d := decide(t, r); d.Outcome != exception || !d.Deadline.Equal(endOf("2026-12-29")) {
		t.Errorf("a %s, reviewed by %s", d.Outcome, d.Deadline)
	}
}

// no is a refusal of anything.
func no() consent.Event {
	return said(consent.Refused, func(e *consent.Event) { e.Purpose, e.Service = "", "" })
}

func TestWhatGoesByException(t *testing.T) {
	find := items("carer.name.given", "carer.name.family", "carer.phones", "carer.addresses.lines", "carer.safe_to_contact", "carer.address_protected")
	for _, tt := range []struct {
		row, person string
		to          transfer.PartnerID
		claim       *contracts.Exception
		code        policy.Code
		goes        contracts.ItemSet
		caredFor    contracts.ItemSet
	}{
		{"E1", "caseworker-1", nhs, claim("danger-to-life", "caseworker-1"), policy.ExceptionEmergency,
			find.Or(items("carer.condition", "risks.safeguarding_notes")),
			items("cared_for.name.family", "cared_for.nhs_number", "cared_for.relationship_to_carer", "cared_for.contact_prohibited")},
		{"E2", "practitioner-1", police, claim("danger-to-another", "practitioner-1"), policy.ExceptionEmergency, find,
			items("cared_for.name.family", "cared_for.nhs_number", "cared_for.relationship_to_carer", "cared_for.contact_prohibited")},
		{"E3", "safeguarding-1", council, claim("safeguarding", "safeguarding-1"), policy.ExceptionSafeguarding,
			find.Or(items("carer.condition", "risks.safeguarding_notes", "risks.offences")), caredForItems},
		{"E6", "dpl-1", police, claim("crime-report", "dpl-1"), policy.ExceptionLegal, find.Or(items("carer.benefits", "risks.offences")),
			items("cared_for.name.family", "cared_for.nhs_number", "cared_for.relationship_to_carer", "cared_for.contact_prohibited")},
		{"E7", "practitioner-1", nhs, claim("break-glass", "practitioner-1"), policy.ExceptionEmergency,
			find.Or(items("carer.condition", "risks.safeguarding_notes")),
			items("cared_for.name.family", "cared_for.nhs_number", "cared_for.relationship_to_carer", "cared_for.contact_prohibited")},
	} {
		t.Run(tt.row, func(t *testing.T) {
			r := urgent(tt.to, tt.claim)
			d := decide(t, r)
			if d.Outcome != exception || codes(d)[len(d.Reasons)-1] != tt.code || d.Reasons[len(d.Reasons)-1].Gate != tt.row {
				t.Fatalf("it is a %s %v", d.Outcome, codes(d))
			}
			went(t, d, 0, tt.goes)
			went(t, d, 1, referrerItems)
			went(t, d, 2, tt.caredFor)
			decided := noon.Add(-time.Hour)
			review := decided.Add(72 * time.Hour)
			if tt.row == "E7" {
				review = endOf("2026-11-23") // the Monday after a Saturday
			}
			if !d.Expires.Equal(decided.Add(72*time.Hour)) || !d.Deadline.Equal(review) || d.Owner != policy.OwnerDPL {
				t.Errorf("it runs out %s and is reviewed by %s until %s", d.Expires, d.Owner, d.Deadline)
			}
			for i := range d.Subjects {
				if !d.Subjects[i].Items.Minus(d.Subjects[i].Covered).Empty() {
					t.Error("more goes than a hold would have kept")
				}
			}

			r.At = decided.Add(72 * time.Hour)
			d = decide(t, r)
			expect(t, d, refuse, policy.ExceptionExpired)
			if d.Deadline.Sub(r.At) != policy.UrgentPeriod {
				t.Errorf("somebody looks at it by %s", d.Deadline)
			}
		})
	}
}

func TestAnExceptionNeedsEverythingOnRecord(t *testing.T) {
	for story, tt := range map[string]struct {
		change func(*contracts.Exception)
		code   policy.Code
	}{
		"who decided":                    {func(e *contracts.Exception) { e.Person = "somebody" }, policy.ExceptionNotShown},
		"somebody who may not":           {func(e *contracts.Exception) { e.Person = "caseworker-1" }, policy.ExceptionNotShown},
		"where it is written down":       {func(e *contracts.Exception) { e.Record = "" }, policy.ExceptionNotShown},
		"when":                           {func(e *contracts.Exception) { e.At = "today" }, policy.ExceptionNotShown},
		"when, and not tomorrow":         {func(e *contracts.Exception) { e.At = "2026-11-22T11:00:00Z" }, policy.ExceptionNotShown},
		"that it is necessary":           {func(e *contracts.Exception) { e.Necessary = false }, policy.ExceptionNotShown},
		"that there is no other basis":   {func(e *contracts.Exception) { e.NoOtherBasis = false }, policy.ExceptionNotShown},
		"that there is no lesser way":    {func(e *contracts.Exception) { e.NoLessIntrusiveWay = false }, policy.LessIntrusiveAvailable},
		"nothing is said of the dangers": {func(e *contracts.Exception) { *e = contracts.Exception{Kind: e.Kind, Person: e.Person, Record: "file"} }, policy.ExceptionNotShown},
	} {
		t.Run(story, func(t *testing.T) {
			e := claim("danger-to-another", "safeguarding-1")
			tt.change(e)
			d := decide(t, urgent(police, e))
			if d.Outcome != hold || codes(d)[0] != tt.code || d.Deadline.Sub(noon) != policy.UrgentPeriod {
				t.Errorf("it is a %s %v until %s", d.Outcome, codes(d), d.Deadline)
			}
		})
	}
	e := claim("crime-report", "dpl-1")
	e.Law = ""
	expect(t, decide(t, urgent(police, e)), hold, policy.ExceptionNotShown)
}

func TestAnExceptionGoesToTheBodiesThatItsRowNames(t *testing.T) {
	for kind, to := range map[string][]transfer.PartnerID{
		"danger-to-life": {pohwer, court, cqc, family}, "danger-to-another": {pohwer, court, cqc, family},
		"safeguarding": {ageUK, nhs, fire, family}, "crime-report": {council, nhs, ageUK}, "break-glass": {police, fire, ageUK},
		"curiosity": {council, police, nhs},
	} {
		for _, id := range to {
			d := decide(t, urgent(id, claim(kind, "safeguarding-1")))
			if d.Outcome != refuse || codes(d)[0] != policy.ExceptionNotAvailable {
				t.Errorf("%s to %s: it is a %s %v", kind, id, d.Outcome, codes(d))
			}
		}
	}
}

func TestNoExceptionPassesTheFirstGates(t *testing.T) {
	r := urgent(council, claim("safeguarding", "safeguarding-1"))
	r.Purpose = "sale"
	expect(t, decide(t, r), refuse, policy.PurposeProhibited)
	r.Purpose = "safeguarding"
	for code, change := range map[policy.Code]func(*transfer.Partner){
		policy.PartnerSuspended:          func(p *transfer.Partner) { p.Suspended = true },
		policy.TransferAbroadNoSafeguard: func(p *transfer.Partner) { p.Location = "US" },
		policy.DSPTLapsed:                func(p *transfer.Partner) { p.DSPT.Status = "standards-met" },
	} {
		d := under(t, register(t, council, change), r)
		expect(t, d, refuse, code)
	}
}

// A8, and rows (d) of section 4.2: vital interests are no ground for health data about somebody who can consent (rule 001-20).
func TestA8VitalInterestsDoNotOverrideACapableAdult(t *testing.T) {
	capable := claim("danger-to-life", "caseworker-1")
	capable.Incapable = false
	d := decide(t, urgent(nhs, capable, no()))
	if d.Outcome != refuse || codes(d)[len(d.Reasons)-1] != policy.VitalInterestsCapable {
		t.Errorf("refused: it is a %s %v", d.Outcome, codes(d))
	}
	d = decide(t, urgent(nhs, capable))
	if d.Outcome != hold || codes(d)[len(d.Reasons)-1] != policy.VitalInterestsCapable || d.Owner != policy.OwnerSafeguarding {
		t.Errorf("not asked: it is a %s %v for %s", d.Outcome, codes(d), d.Owner)
	}
	ordinary := urgent(nhs, capable, no())
	ordinary.Subjects = ordinary.Subjects[:1]
	ordinary.Subjects[0].Items = items("carer.name.family", "carer.phones")
	expect(t, decide(t, ordinary), exception, policy.ExceptionEmergency)

	// The same under an agreement that rests on vital interests: the machine finds no danger to life by itself.
	vital := hertswise(func(f *agreement.Flow) { f.Basis = agreement.Basis{Article6: "d", Article9: "c"} })
	expect(t, decide(t, refer(said(consent.Refused)), vital), refuse, policy.LessIntrusiveAvailable, policy.VitalInterestsCapable)
	d = decide(t, refer(), vital)
	expect(t, d, hold, policy.LessIntrusiveAvailable, policy.VitalInterestsCapable)
	if d.Owner != policy.OwnerSafeguarding {
		t.Errorf("the hold is %s's", d.Owner)
	}
}

func TestA9TheAmbulanceLearnsWhatItNeedsAboutSomebodyUnconscious(t *testing.T) {
	d := decide(t, urgent(nhs, claim("danger-to-life", "caseworker-1"), no())) // what she said when she was well does not let her die
	if d.Outcome != exception || d.Subjects[0].Items.And(items("carer.condition", "carer.addresses.lines")).Len() != 2 {
		t.Errorf("it is a %s %v", d.Outcome, codes(d))
	}
	if o := obligation(t, d, "review-exception"); o.Who != "sender" || !o.By.Equal(d.Deadline) {
		t.Errorf("nobody reviews it: %+v", o)
	}
}

// The person in danger may be the one who is cared for.
func TestTheAmbulanceLearnsWhatAilsSomebodyWhoCannotDecide(t *testing.T) {
	r := urgent(nhs, claim("danger-to-life", "caseworker-1"))
	r.Subjects[2].Facts = policy.Adult | policy.LacksCapacity
	went(t, decide(t, r), 2, caredForItems)
	r = urgent(police, claim("danger-to-another", "practitioner-1"))
	r.Subjects[2].Facts = policy.Adult | policy.LacksCapacity
	went(t, decide(t, r), 2, caredForItems)
}

func TestE3aAnAdultsNoAboutTheirOwnRiskIsForTheSafeguardingLead(t *testing.T) {
	e := claim("safeguarding", "safeguarding-1")
	for story, r := range map[string]*policy.Request{
		"on record":          urgent(council, e, no()),
		"as the sender says": urgent(council, func() *contracts.Exception { e := *e; e.Refused = true; return &e }()),
	} {
		t.Run(story, func(t *testing.T) {
			d := decide(t, r)
			if d.Outcome != hold || d.Owner != policy.OwnerSafeguarding || codes(d)[len(d.Reasons)-1] != policy.ConsentRefused {
				t.Fatalf("it is a %s %v for %s", d.Outcome, codes(d), d.Owner)
			}
			r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.ConsentRefused)}
			if d := decide(t, r); d.Outcome != hold {
				t.Errorf("the Data Protection Lead made it a %s", d.Outcome)
			}
			r.Rulings = []policy.Ruling{ruled("safeguarding-1", transfer.SafeguardingLead, policy.ConsentRefused)}
			if d := decide(t, r); d.Outcome != exception {
				t.Errorf("the safeguarding lead made it a %s %v", d.Outcome, codes(d))
			}
		})
	}
}

func TestE3bTheNoDoesNotCountWhereOthersAreAtRisk(t *testing.T) {
	for story, change := range map[string]func(*policy.Request){
		"others are at risk":          func(r *policy.Request) { r.Exception.OthersAtRisk = true },
		"a serious crime":             func(r *policy.Request) { r.Exception.SeriousCrime = true },
		"coercion":                    func(r *policy.Request) { r.Exception.Coercion = true },
		"the person cannot decide":    func(r *policy.Request) { r.Exception.Incapable = true },
		"nor could they before":       func(r *policy.Request) { r.Subjects[0].Facts |= policy.LacksCapacity },
		"the person is a child of 15": func(r *policy.Request) { r.Subjects[0].Facts = policy.UnderSixteen },
		"the person is 17":            func(r *policy.Request) { r.Subjects[0].Facts = policy.SixteenOrSeventeen },
	} {
		t.Run(story, func(t *testing.T) {
			r := urgent(council, claim("safeguarding", "safeguarding-1"), no())
			change(r)
			if d := decide(t, r); d.Outcome != exception {
				t.Errorf("it is a %s %v", d.Outcome, codes(d))
			}
		})
	}
}

func TestSomebodyElsesNoKeepsTheirOwnItemsOut(t *testing.T) {
	r := urgent(council, claim("safeguarding", "safeguarding-1"))
	r.Subjects[2].Events = []consent.Event{no()}
	d := decide(t, r)
	if d.Outcome != exception {
		t.Fatalf("it is a %s %v", d.Outcome, codes(d))
	}
	went(t, d, 2, contracts.ItemSet{})
}

func TestWithoutALimbHealthStaysBehind(t *testing.T) {
	e := claim("safeguarding", "safeguarding-1")
	e.Limb = ""
	d := decide(t, urgent(council, e))
	if d.Outcome != exception || codes(d)[0] != policy.LimbMissing {
		t.Errorf("it is a %s %v", d.Outcome, codes(d))
	}
	if !d.Subjects[0].Items.And(items("carer.condition", "risks.safeguarding_notes", "risks.offences")).Empty() {
		t.Errorf("special-category data goes: %v", referral.Names(d.Subjects[0].Items))
	}
}

func TestWhoProtectsSomebodyMayFindThem(t *testing.T) {
	for _, e := range []*contracts.Exception{claim("safeguarding", "safeguarding-1"), claim("danger-to-life", "caseworker-1")} {
		r := urgent(council, e)
		r.Subjects[0].Facts |= policy.AddressProtected
		r.Subjects[2].Facts |= policy.AllegedPerpetrator
		d := decide(t, r)
		if d.Outcome != exception || d.Subjects[0].Items.And(items("carer.addresses.lines", "carer.phones")).Len() != 2 {
			t.Errorf("%s: it is a %s %v", e.Kind, d.Outcome, codes(d))
		}
		obligation(t, d, "protect")
	}
}

// A10: an agreement that was made for safeguarding carries it, and the claim is the record of why nobody asked for consent.
func TestA10AChildAtRiskIsReportedUnderTheAgreementForIt(t *testing.T) {
	mash := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service = []transfer.PartnerID{council}, "safeguarding", ""
		f.Basis = agreement.Basis{Article6: "ea", Article9: "g", Schedule1: "para 18(1)(a)", APD: "apd", Offence: "para 36"}
	})
	mash.ReviewBy = noon.Add(90 * day)
	report := func(e *contracts.Exception) *policy.Request {
		r := refer()
		r.Recipient, r.Purpose, r.Service, r.Exception, r.Undertaking = council, "safeguarding", "", e, nil
		r.Subjects[0].Facts = policy.UnderSixteen
		return r
	}
	e := claim("safeguarding", "safeguarding-1")
	e.InformingRaisesRisk = true
	d := decide(t, report(e), mash)
	expect(t, d, permit)
	went(t, d, 0, carerItems)
	if d.Agreement == nil || d.Agreement.Flow != "hertswise@1#refer" || !d.Expires.Equal(noon.Add(71*time.Hour)) {
		t.Errorf("it goes under %v until %s", d.Agreement, d.Expires)
	}
	obligation(t, d, "do-not-inform")
	obligation(t, d, "review-exception")

	expect(t, decide(t, report(nil), mash), hold, policy.ReferrerUndertakingMissing, policy.LimbMissing)
	late := report(e)
	late.At = noon.Add(71 * time.Hour)
	expect(t, decide(t, late, mash), refuse, policy.ExceptionExpired)
	unknown := *e
	unknown.Person = "caseworker-1"
	expect(t, decide(t, report(&unknown), mash), hold, policy.ExceptionNotShown)

	hidden := report(e)
	hidden.Subjects[0].Facts |= policy.AddressProtected
	d = decide(t, hidden, mash)
	expect(t, d, permit)
	went(t, d, 0, carerItems)

	grown := report(e)
	grown.Subjects[0].Facts, grown.Subjects[0].Events = policy.Adult, []consent.Event{no()}
	expect(t, decide(t, grown, mash), hold, policy.ConsentRefused)
	grown.Exception = claim("safeguarding", "safeguarding-1")
	grown.Exception.OthersAtRisk = true
	expect(t, decide(t, grown, mash), permit)

	// An agreement that nobody has reviewed in time does not stand in the way of the child.
	mash.ReviewBy = noon.Add(-91 * day)
	if d := decide(t, report(e), mash); d.Outcome != exception {
		t.Errorf("it is a %s %v", d.Outcome, codes(d))
	}
}

// demand is an order or request that asks for the name and the address.
func demand(instrument string) *contracts.Demand {
	return &contracts.Demand{
		Instrument: instrument, Reference: "B/2026/77", By: "Inspector, Care Quality Commission", Law: "Health and Social Care Act 2008 s.64",
		On: "2026-11-20", Items: items("carer.name.family", "carer.addresses.lines"), Person: "dpl-1",
	}
}

func answer(to transfer.PartnerID, d *contracts.Demand) *policy.Request {
	r := refer(no())
	r.Recipient, r.Purpose, r.Service, r.Demand = to, "legal-order", "", d
	r.Subjects[0].Facts |= policy.AddressProtected
	return r
}

// E4 and A15: exactly what is compelled goes, whatever anybody has said.
func TestA15WhatIsCompelledGoesExactly(t *testing.T) {
	want := items("carer.name.family", "carer.addresses.lines")
	byClause := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service, f.Compelled = []transfer.PartnerID{cqc}, "legal-order", "", true
		f.Basis = agreement.Basis{Article6: "c", Article9: "g", Schedule1: "para 6", APD: "apd"}
	})
	for _, tt := range []struct {
		story      string
		to         transfer.PartnerID
		instrument string
		agreements []*agreement.Agreement
		outcome    transfer.Outcome
		codes      []policy.Code
	}{
		{"a regulator, under a clause for it", cqc, "regulator", []*agreement.Agreement{byClause}, strip, []policy.Code{policy.ItemNotListed, policy.ItemNotListed}},
		{"a regulator", cqc, "regulator", nil, exception, []policy.Code{policy.ItemNotListed, policy.ItemNotListed, policy.ExceptionLegal}},
		{"a court", court, "court-order", nil, exception, []policy.Code{policy.ItemNotListed, policy.ItemNotListed, policy.ExceptionLegal}},
		{"the police, with a warrant", police, "warrant", nil, exception, []policy.Code{policy.ItemNotListed, policy.ItemNotListed, policy.ExceptionLegal}},
		{"a charity, with a warrant", ageUK, "warrant", nil, refuse, []policy.Code{policy.ExceptionNotAvailable}},
		{"the police, as if they were a regulator", police, "regulator", nil, refuse, []policy.Code{policy.ExceptionNotAvailable}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			d := decide(t, answer(tt.to, demand(tt.instrument)), tt.agreements...)
			expect(t, d, tt.outcome, tt.codes...)
			if !d.Outcome.Permits() {
				return
			}
			went(t, d, 0, want)
			went(t, d, 1, contracts.ItemSet{})
			obligation(t, d, "notify-dpl")
			if o := obligation(t, d, "inform"); o.Who != "sender" {
				t.Errorf("the %s tells the person", o.Who)
			}
		})
	}
	t.Run("nothing of what is demanded was sent", func(t *testing.T) {
		r := answer(cqc, demand("regulator"))
		r.Demand.Items = items("cared_for.name.family")
		for _, agreements := range [][]*agreement.Agreement{nil, {byClause}} {
			d := decide(t, r, agreements...)
			if d.Outcome != hold || codes(d)[len(d.Reasons)-1] != policy.RequiredItemStripped {
				t.Errorf("it is a %s %v", d.Outcome, codes(d))
			}
		}
	})
	for story, change := range map[string]func(*contracts.Demand){
		"no reference":            func(d *contracts.Demand) { d.Reference = "" },
		"nobody asks":             func(d *contracts.Demand) { d.By = "" },
		"no authority and no law": func(d *contracts.Demand) { d.Law = "" },
		"nobody decided":          func(d *contracts.Demand) { d.Person = "caseworker-1" },
	} {
		t.Run(story, func(t *testing.T) {
			for _, agreements := range [][]*agreement.Agreement{nil, {byClause}} {
				r := answer(cqc, demand("regulator"))
				change(r.Demand)
				d := decide(t, r, agreements...)
				expect(t, d, hold, policy.ExceptionNotShown)
				if d.Owner != policy.OwnerDPL {
					t.Errorf("the hold is %s's", d.Owner)
				}
			}
		})
	}
	t.Run("the clause carries nothing without a demand", func(t *testing.T) {
		r := answer(cqc, nil)
		r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.DemandNotCompelling)}
		expect(t, decide(t, r, byClause), hold, policy.DemandNotCompelling)
	})
}

func TestE5ARequestIsTheDataProtectionLeadsToDecide(t *testing.T) {
	r := answer(police, demand("request"))
	r.Subjects[0].Facts = policy.Adult
	d := decide(t, r)
	expect(t, d, hold, policy.DemandNotCompelling)
	if d.Owner != policy.OwnerDPL {
		t.Errorf("the hold is %s's", d.Owner)
	}
	r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.DemandNotCompelling)}
	d = decide(t, r)
	if d.Outcome != exception || !d.Expires.Equal(r.Rulings[0].At.Add(72*time.Hour)) {
		t.Errorf("it is a %s %v until %s", d.Outcome, codes(d), d.Expires)
	}
	went(t, d, 0, r.Demand.Items)

	hidden := *r
	hidden.Subjects = append([]policy.Subject{}, r.Subjects...)
	hidden.Subjects[0].Facts |= policy.AddressProtected // asking is not enough to be told where she is
	went(t, decide(t, &hidden), 0, items("carer.name.family"))

	r.At = r.Rulings[0].At.Add(72 * time.Hour)
	if d := decide(t, r); d.Outcome != refuse || codes(d)[len(d.Reasons)-1] != policy.ExceptionExpired {
		t.Errorf("three days later it is a %s %v", d.Outcome, codes(d))
	}
	expect(t, decide(t, answer(ageUK, demand("request"))), refuse, policy.ExceptionNotAvailable, policy.DemandNotCompelling)
}

// What a message stands on never depends on what anybody has said, so that the machine tries nothing else after a no (law 5).
func TestAnExceptionIsNoWayRoundANo(t *testing.T) {
	r := agreed()
	r.Exception = claim("break-glass", "practitioner-1")
	d := decide(t, r, hertswise()) // everything is agreed to, and the claim goes to nobody who may break the glass
	expect(t, d, refuse, policy.ExceptionNotAvailable)
	if d.Agreement != nil {
		t.Error("the machine went back to the agreement")
	}
}

func obligation(t testing.TB, d policy.Decision, code string) policy.Obligation {
	t.Helper()
	for _, o := range d.Obligations {
		if o.Code == code {
			return o
		}
	}
	t.Errorf("there is no obligation %q", code)
	return policy.Obligation{}
}
