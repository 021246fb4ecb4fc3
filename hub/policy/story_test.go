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

// The stories are those of domain.md section 4.7.

func TestA1ACarerWhoAgreesIsReferredInFull(t *testing.T) {
	d := decide(t, refer(said(consent.Given, everything)), hertswise())
	expect(t, d, transfer.Permit)
	went(t, d, 0, carerItems)
	went(t, d, 1, referrerItems)
	if d.Agreement.Flow != "hertswise@1#refer" || d.Agreement.Digest != "sha256:1" || len(d.Subjects[0].Consents) != 1 {
		t.Errorf("the decision does not say what it rests on: %+v", d)
	}
	if d.Subjects[0].Consent != "given" || d.Subjects[1].Consent != "" {
		t.Errorf("consent of the carer is %q, of the referrer %q, whom nobody asks", d.Subjects[0].Consent, d.Subjects[1].Consent)
	}
}

func TestA2WithoutConsentForHealthTheRestGoes(t *testing.T) {
	for story, event := range map[string]consent.Event{
		"agreed to the service":       said(consent.Given),
		"named everything but health": said(consent.Given, explicitly("identity", "contact", "address", "referral", "safeguarding")),
		"ticked health, no words":     said(consent.Given, naming("identity", "contact", "address", "referral", "safeguarding", "health")),
	} {
		t.Run(story, func(t *testing.T) {
			d := decide(t, refer(event), hertswise())
			expect(t, d, transfer.PermitReduced, policy.ConsentNotExplicit)
			went(t, d, 0, carerItems.Minus(items("carer.condition")))
			if r := d.Reasons[0]; r.Role != transfer.Carer || len(r.Items) != 1 || r.Items[0] != "carer.condition" || r.Clause != "hertswise@1#refer" {
				t.Errorf("the reason does not say what was stripped: %+v", r)
			}
		})
	}
}

func TestA3AWithdrawalAfterQueueingStopsTheRelease(t *testing.T) {
	yes := said(consent.Given, everything)
	expect(t, decide(t, refer(yes), hertswise()), transfer.Permit)
	later := refer(yes, said(consent.Withdrawn, at(noon.Add(time.Hour))))
	later.At = noon.Add(2 * time.Hour)
	d := decide(t, later, hertswise())
	expect(t, d, transfer.Refuse, policy.ConsentWithdrawn)
	if d.Owner != policy.OwnerDPL || !d.Deadline.Equal(later.At.Add(14*day)) {
		t.Errorf("a refusal is reviewed by %s before %s", d.Owner, d.Deadline)
	}
}

func TestA4TheAdvocacyDatabaseGetsAdvocacyCasesOnly(t *testing.T) {
	advocacy := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service, f.Members = []transfer.PartnerID{pohwer}, "advocacy", "", nil
	})
	r := refer(said(consent.Given, everything, func(e *consent.Event) { e.Recipients, e.Service = []transfer.PartnerID{pohwer}, "" }))
	r.Recipient = pohwer
	expect(t, decide(t, r, advocacy), transfer.Refuse, policy.PurposeNotCovered)
}

func TestA5TheCouncilGetsOnlyTheYoungCarerServiceThatItFunds(t *testing.T) {
	funded := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service, f.Told = []transfer.PartnerID{council}, "contract-case", "young-carers-funded", true
		f.Members = []transfer.PartnerID{council}
	})
	r := refer(said(consent.Given, everything, func(e *consent.Event) { e.Purpose, e.Service = "contract-case", "young-carers-funded" }))
	r.Recipient, r.Purpose = council, "contract-case"
	for _, service := range []transfer.Service{"young-carers-trips", ""} {
		r.Service = service
		expect(t, decide(t, r, funded), transfer.Refuse, policy.PurposeNotCovered)
	}
	r.Service = "young-carers-funded"
	expect(t, decide(t, r, funded), transfer.Hold, policy.SubjectNotInformed) // the person is told when that is so (rule 000-7)
	r.Undertaking.NotInformed = "safety"
	expect(t, decide(t, r, funded), transfer.Hold, policy.SubjectNotInformed)
	r.Undertaking.InformedOn = "2026-11-02"
	expect(t, decide(t, r, funded), transfer.Permit)
	r.Undertaking.InformedOn = ""
	r.Subjects[0].Events[0].Notice = "young-carers-2026"
	expect(t, decide(t, r, funded), transfer.Permit)
}

func TestA7AReferralNeedsAnUndertakingAndTheConsentThatItClaims(t *testing.T) {
	r := refer()
	expect(t, decide(t, r, hertswise()), transfer.Hold, policy.ConsentNone)
	r.Undertaking.Basis = "legal-obligation" // the agreement says consent: no other basis is tried
	expect(t, decide(t, r, hertswise()), transfer.Hold, policy.ConsentNone)
	r.Undertaking = nil
	d := decide(t, r, hertswise())
	expect(t, d, transfer.Hold, policy.ReferrerUndertakingMissing)
	if d.Owner != policy.OwnerSender || !d.Deadline.Equal(noon.Add(7*day)) {
		t.Errorf("the hold is %s's until %s", d.Owner, d.Deadline)
	}
	if d.Subjects[0].Covered != carerItems {
		t.Errorf("the hold may keep %v", referral.Names(d.Subjects[0].Covered))
	}
}

func TestA11HomeStartSendsNoHealthOnConsentAlone(t *testing.T) {
	strict := func(basis agreement.Basis) *agreement.Index {
		return register(t, cih, func(p *transfer.Partner) { p.Profile.SpecialOnLegalGrounds = true },
			hertswise(func(f *agreement.Flow) { f.Basis = basis }))
	}
	d := under(t, strict(agreement.Basis{Article6: "a", Article9: "a"}), agreed())
	expect(t, d, transfer.PermitReduced, policy.LegalGroundMissing)
	went(t, d, 0, carerItems.Minus(items("carer.condition")))
	expect(t, under(t, strict(agreement.Basis{Article6: "f", LIA: "lia", Article9: "h", Schedule1: "para 2"}), agreed()),
		transfer.PermitReduced, policy.LegalGroundMissing)
	for _, basis := range []agreement.Basis{
		{Article6: "a", Article9: "g", Schedule1: "para 17", APD: "apd"}, {Article6: "a", Article9: "f"}, {Article6: "c", Article9: "a"},
	} {
		expect(t, under(t, strict(basis), agreed()), transfer.Permit)
	}
}

func TestA12SharingEndsWithTheContract(t *testing.T) {
	a := hertswise()
	a.Contract.Ends = noon.Add(-time.Hour)
	d := decide(t, refer(said(consent.Given, everything)), a)
	expect(t, d, transfer.Refuse, policy.ContractEnded)
	if d.Reasons[0].Clause != "hertswise@1#refer" {
		t.Errorf("the reason does not name the clause: %+v", d.Reasons[0])
	}
	a.Contract.Ends = noon.Add(time.Hour)
	expect(t, decide(t, refer(said(consent.Given, everything)), a), transfer.Permit)
}

func TestA13TheFireServiceGetsNoDiagnosis(t *testing.T) {
	list := hertswise(func(f *agreement.Flow) {
		f.From, f.To = []transfer.PartnerID{council}, []transfer.PartnerID{fire}
		f.Purpose, f.Service, f.Members = "home-safety-visit", "", nil
		f.Basis = agreement.Basis{Article6: "e"}
		f.Agreement.Transparency = []agreement.Notice{{Party: council, Version: "1"}}
		f.Allowed = f.Allowed.Minus(items("carer.condition"))
	})
	r := refer()
	r.Sender, r.Recipient, r.Purpose, r.Service = council, fire, "home-safety-visit", ""
	d := decide(t, r, list)
	expect(t, d, transfer.PermitReduced, policy.ItemNotListed)
	went(t, d, 0, carerItems.Minus(items("carer.condition")))
}

// A14 and P7: the mailing house gets the address, for whoever has chosen post, and nothing else.
func TestA14TheMailingHouseGetsTheAddressOfWhoeverChosePost(t *testing.T) {
	const post = "has(carer.magazine) && carer.magazine.post"
	house := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service, f.Members = []transfer.PartnerID{abroad}, "magazine", "", nil
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia"}
		f.When = &agreement.Condition{Source: post, Otherwise: "The magazine goes by post to whoever has chosen post."}
		f.Allowed, f.Required = items("carer.addresses.lines", "carer.safe_to_contact", "carer.address_protected"), items("carer.addresses.lines")
	})
	x := register(t, abroad, func(p *transfer.Partner) { p.Location = "GB" }, house)
	r := refer()
	r.Recipient, r.Purpose, r.Service, r.Conditions = abroad, "magazine", "", map[string]bool{post: true}
	d := under(t, x, r)
	expect(t, d, transfer.PermitReduced, policy.ItemNotListed, policy.SubjectGroupNotCovered)
	went(t, d, 0, house.Flows[0].Allowed)
	r.Conditions[post] = false
	expect(t, under(t, x, r), transfer.Refuse, policy.ConditionNotMet)
}

// A16 and P6: who paid for the service may ask how it was, with what it needs in order to ask.
func TestA16TheCouncilAsksWhetherPeopleWereHelped(t *testing.T) {
	contact := items("carer.name.given", "carer.name.family", "carer.phones", "carer.addresses.lines", "carer.safe_to_contact", "carer.address_protected")
	sample := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service = []transfer.PartnerID{council}, "quality-feedback", ""
		f.Basis, f.Allowed = agreement.Basis{Article6: "f", LIA: "lia"}, contact
	})
	r := refer()
	r.Recipient, r.Purpose, r.Service = council, "quality-feedback", ""
	d := decide(t, r, sample)
	expect(t, d, transfer.PermitReduced, policy.ItemNotListed, policy.SubjectGroupNotCovered)
	went(t, d, 0, contact)
	r.Subjects[0].Events = []consent.Event{said(consent.Objected, func(e *consent.Event) { e.Purpose, e.Service = "quality-feedback", "" })}
	expect(t, decide(t, r, sample), transfer.Hold, policy.ItemNotListed, policy.SubjectGroupNotCovered, policy.Objection)
}

// A17 and P5: a member of the family learns what the carer is comfortable with their learning (rule 002-4).
func TestA17TheFamilyLearnsNothingUnlessTheCarerIsComfortable(t *testing.T) {
	const comfortable = "carer.may_tell_family"
	relatives := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service = []transfer.PartnerID{family}, "family", ""
		f.When = &agreement.Condition{Source: comfortable, Otherwise: "The carer has not said that their family may be told."}
	})
	yes := said(consent.Given, everything, func(e *consent.Event) {
		e.Purpose, e.Service, e.Recipients = "family", "", []transfer.PartnerID{family}
	})
	r := refer(yes)
	r.Recipient, r.Purpose, r.Service = family, "family", ""
	expect(t, decide(t, r, relatives), transfer.Hold, policy.ConditionUnknown)
	r.Conditions = map[string]bool{comfortable: false}
	expect(t, decide(t, r, relatives), transfer.Refuse, policy.ConditionNotMet)
	r.Conditions[comfortable] = true
	expect(t, decide(t, r, relatives), transfer.Permit)

	r.Recipient = "a-cousin"
	expect(t, decide(t, r, relatives), transfer.Refuse, policy.NoAgreement, policy.NoAgreement)
}

func TestA18WithoutTheCaredForPersonsWordOnlyTheContextGoes(t *testing.T) {
	d := decide(t, withCaredFor(refer(said(consent.Given, everything))), hertswise())
	expect(t, d, transfer.PermitReduced, policy.ThirdPartyNoBasis)
	went(t, d, 0, carerItems)
	went(t, d, 2, items("cared_for.relationship_to_carer", "cared_for.condition", "cared_for.contact_prohibited"))

	d = decide(t, withCaredFor(refer(said(consent.Given, everything)), said(consent.Refused, naming("health"))), hertswise())
	expect(t, d, transfer.PermitReduced, policy.ThirdPartyNoBasis)
	went(t, d, 2, items("cared_for.relationship_to_carer", "cared_for.contact_prohibited"))
}

func TestTheCaredForPersonsOwnWordDecidesAboutTheirItems(t *testing.T) {
	yes := said(consent.Given, everything)
	t.Run("their consent", func(t *testing.T) {
		d := decide(t, withCaredFor(refer(yes), said(consent.Given, explicitly("identity", "relationship", "health", "mental-health"))), hertswise())
		expect(t, d, transfer.Permit)
		went(t, d, 2, caredForItems)
	})
	t.Run("their ordinary consent leaves the context as it was", func(t *testing.T) {
		d := decide(t, withCaredFor(refer(yes), said(consent.Given)), hertswise())
		expect(t, d, transfer.PermitReduced, policy.ConsentNotExplicit)
		went(t, d, 2, caredForItems.Minus(items("cared_for.mental_health")))
	})
	for state, code := range map[consent.State]policy.Code{
		consent.Refused: policy.ConsentRefused, consent.Withdrawn: policy.ConsentWithdrawn, consent.Objected: policy.Objection,
	} {
		t.Run("they "+string(state), func(t *testing.T) {
			d := decide(t, withCaredFor(refer(yes), said(state)), hertswise())
			expect(t, d, transfer.PermitReduced, code)
			went(t, d, 0, carerItems)
			went(t, d, 2, contracts.ItemSet{})
		})
	}
	t.Run("a refusal does not get the recipient what it needs of them", func(t *testing.T) {
		needs := hertswise(func(f *agreement.Flow) { f.Required = f.Required.Or(items("cared_for.relationship_to_carer")) })
		expect(t, decide(t, withCaredFor(refer(yes)), needs), transfer.PermitReduced, policy.ThirdPartyNoBasis)
		expect(t, decide(t, withCaredFor(refer(yes), said(consent.Refused)), needs), transfer.Hold,
			policy.ConsentRefused, policy.RequiredItemStripped)
	})
	t.Run("the carer's consent is not theirs", func(t *testing.T) {
		d := decide(t, withCaredFor(refer(), said(consent.Given, everything)), hertswise())
		if d.Outcome != transfer.Hold {
			t.Errorf("the cared-for person's consent made it a %s", d.Outcome)
		}
	})
}

func TestOfAnotherAdultNothingGoesWithoutTheirWord(t *testing.T) {
	absent := items("absent_parents.name", "absent_parents.relationship_to_carer", "absent_parents.contact_prohibited")
	lists := hertswise(func(f *agreement.Flow) { f.Allowed = f.Allowed.Or(absent) })
	r := refer(said(consent.Given, everything))
	r.Subjects = append(r.Subjects, policy.Subject{Role: transfer.AbsentParent, Items: absent})
	d := decide(t, r, lists)
	expect(t, d, transfer.PermitReduced, policy.ThirdPartyNoBasis)
	went(t, d, 2, contracts.ItemSet{})
}

func TestA19WhoConsentsForAYoungCarer(t *testing.T) {
	const fifteen, sixteen, seventeen = "2011-11-22", "2010-11-21", "2009-01"
	for _, tt := range []struct {
		story, born string
		events      []consent.Event
		outcome     transfer.Outcome
		codes       []policy.Code
	}{
		{"15, nobody asked", fifteen, nil, transfer.Hold, []policy.Code{policy.ParentalConsentMissing}},
		{"15, agrees alone", fifteen, []consent.Event{said(consent.Given, everything)}, transfer.Hold, []policy.Code{policy.ParentalConsentMissing}},
		{"15, a parent agrees", fifteen, []consent.Event{said(consent.Given, everything, authority("parent"))}, transfer.Permit, nil},
		{"15, found competent", fifteen, []consent.Event{said(consent.Given, everything, authority("gillick"))}, transfer.Permit, nil},
		{"15, both agree", fifteen, []consent.Event{
			said(consent.Given, everything, authority("parent")), said(consent.Given, at(noon.Add(-time.Hour))),
		}, transfer.Permit, nil},
		{"15, a parent agrees and the child does not", fifteen, []consent.Event{
			said(consent.Given, everything, authority("parent")), said(consent.Refused),
		}, transfer.Refuse, []policy.Code{policy.ChildParentConflict, policy.ConsentRefused}},
		{"16 today, agrees", sixteen, []consent.Event{said(consent.Given, everything)}, transfer.Permit, nil},
		{"16 today, a parent agrees", sixteen, []consent.Event{said(consent.Given, everything, authority("parent"))},
			transfer.Hold, []policy.Code{policy.RepresentativeUnverified}},
		{"17, agrees", seventeen, []consent.Event{said(consent.Given, everything)}, transfer.Permit, nil},
		{"15 or 16, by the year", "2010", []consent.Event{said(consent.Given, everything)}, transfer.Hold, []policy.Code{policy.ParentalConsentMissing}},
		{"15 or 16, by the month", "2010-11", []consent.Event{said(consent.Given, everything)}, transfer.Hold, []policy.Code{policy.ParentalConsentMissing}},
		{"born nobody knows when", "", []consent.Event{said(consent.Given, everything)}, transfer.Permit, nil},
		{"born nobody can read when", "May 1961", []consent.Event{said(consent.Given, everything)}, transfer.Hold, []policy.Code{policy.ParentalConsentMissing}},
		{"an adult for whom an attorney agrees", "1940", []consent.Event{said(consent.Given, everything, authority("attorney-health-welfare"))},
			transfer.Hold, []policy.Code{policy.RepresentativeUnverified}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			r := refer(tt.events...)
			r.Subjects[0].Facts = born(transfer.Carer, tt.born)
			expect(t, decide(t, r, hertswise()), tt.outcome, tt.codes...)
		})
	}
}

func TestAChildOfTheHouseholdNeedsAParentsConsent(t *testing.T) {
	child := items("children.name", "children.relationship_to_carer")
	lists := hertswise(func(f *agreement.Flow) { f.Allowed = f.Allowed.Or(child) })
	for _, tt := range []struct {
		story, born string
		events      []consent.Event
		codes       []policy.Code
		goes        contracts.ItemSet
	}{
		{"nobody asked", "2015", nil, []policy.Code{policy.ThirdPartyNoBasis}, items("children.relationship_to_carer")},
		{"the child agrees", "2015", []consent.Event{said(consent.Given)}, []policy.Code{policy.ParentalConsentMissing}, items("children.relationship_to_carer")},
		{"a parent agrees", "2015", []consent.Event{said(consent.Given, authority("parent"))}, nil, child},
		{"a parent agrees, of whatever age", "", []consent.Event{said(consent.Given, authority("parent"))}, nil, child},
		{"grown up, and agrees", "1999", []consent.Event{said(consent.Given)}, nil, child},
		{"the parent refuses", "2015", []consent.Event{said(consent.Refused, authority("parent"))}, []policy.Code{policy.ConsentRefused}, contracts.ItemSet{}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			r := refer(said(consent.Given, everything))
			r.Subjects = append(r.Subjects, policy.Subject{Role: transfer.Child, Items: child, Facts: born(transfer.Child, tt.born), Events: tt.events})
			d := decide(t, r, lists)
			outcome := transfer.Permit
			if tt.codes != nil {
				outcome = transfer.PermitReduced
			}
			expect(t, d, outcome, tt.codes...)
			went(t, d, 2, tt.goes)
		})
	}
}

func TestAConsentForSomethingElseIsNoConsent(t *testing.T) {
	elsewhere := said(consent.Given, everything, func(e *consent.Event) { e.Service = "community-navigators" })
	expect(t, decide(t, refer(elsewhere), hertswise()), transfer.Hold, policy.ConsentScope)
	d := decide(t, refer(said(consent.Given, explicitly("identity", "referral"))), hertswise())
	expect(t, d, transfer.PermitReduced, policy.ConsentNotExplicit, policy.ConsentScope)
	went(t, d, 0, items("carer.name.given", "carer.name.family", "referral.reason", "carer.safe_to_contact", "carer.address_protected"))
}

func TestTakingBackOneKindOfDataLeavesTheRest(t *testing.T) {
	d := decide(t, refer(said(consent.Given, everything), said(consent.Withdrawn, naming("contact", "health"), at(noon))), hertswise())
	expect(t, d, transfer.PermitReduced, policy.ConsentWithdrawn)
	went(t, d, 0, carerItems.Minus(items("carer.phones", "carer.condition")))
}

func TestSomebodyWhoCouldBeTwoPeopleIsLookedAt(t *testing.T) {
	r := withCaredFor(refer(said(consent.Given, everything)))
	r.Subjects[2].Facts |= policy.IdentifiersDisagree
	d := decide(t, r, hertswise())
	expect(t, d, transfer.Hold, policy.IdentityAmbiguous, policy.ThirdPartyNoBasis)
	if d.Owner != policy.OwnerDPL {
		t.Errorf("the hold is %s's", d.Owner)
	}
}
