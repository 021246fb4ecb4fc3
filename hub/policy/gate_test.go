package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// agreed is a referral that goes in full under hertswise, so that each test below changes one thing.
func agreed() *policy.Request { return refer(said(consent.Given, everything)) }

func TestMarketingAndSaleAreNeverAReason(t *testing.T) {
	for _, purpose := range []transfer.Purpose{"marketing", "marketing.post", "sale", "sale.leads"} {
		r := agreed()
		r.Purpose = purpose
		r.Subjects[0].Events[0].Purpose = purpose
		a := hertswise(func(f *agreement.Flow) { f.Purpose = purpose })
		expect(t, decide(t, r, a), transfer.Refuse, policy.PurposeProhibited)
	}
}

func TestPartnersHaveToBeActiveAndSafe(t *testing.T) {
	change := func(id transfer.PartnerID, change func(*transfer.Partner)) *agreement.Index {
		all := partners()
		for i := range all {
			if all[i].ID == id {
				change(&all[i])
			}
		}
		x, err := agreement.NewIndex(all, []*agreement.Agreement{hertswise()})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	suspend := func(p *transfer.Partner) { p.Suspended = true }
	move := func(location string) func(*transfer.Partner) {
		return func(p *transfer.Partner) { p.Location = location }
	}
	for _, tt := range []struct {
		story string
		index *agreement.Index
		codes []policy.Code
	}{
		{"the recipient is suspended", change(ageUK, suspend), []policy.Code{policy.PartnerSuspended}},
		{"the sender is suspended", change(cih, suspend), []policy.Code{policy.PartnerSuspended}},
		{"somebody else is suspended", change(council, suspend), nil},
		{"the recipient is in the United States", change(ageUK, move("US")), []policy.Code{policy.TransferAbroadNoSafeguard}},
		{"the recipient is nobody knows where", change(ageUK, move("")), []policy.Code{policy.TransferAbroadNoSafeguard}},
		{"the recipient is in Ireland", change(ageUK, move("IE")), nil},
		{"the recipient is in Wales", change(ageUK, move("GB-WLS")), nil},
		{"the recipient is abroad, with a safeguard", change(ageUK, func(p *transfer.Partner) { p.Location, p.Safeguard = "US", "IDTA 7" }), nil},
		{"the sender is abroad", change(cih, move("US")), nil},
	} {
		t.Run(tt.story, func(t *testing.T) {
			r := agreed()
			d := policy.Decide(tt.index, r)
			check(t, r, &d)
			outcome := transfer.Permit
			if tt.codes != nil {
				outcome = transfer.Refuse
			}
			expect(t, d, outcome, tt.codes...)
		})
	}
}

func TestAnAgreementHasToBeInForceAndCoverTheTransfer(t *testing.T) {
	for _, tt := range []struct {
		story   string
		request func(*policy.Request)
		change  func(*agreement.Flow)
		codes   []policy.Code
	}{
		{story: "the other way round", request: func(r *policy.Request) { r.Sender, r.Recipient = r.Recipient, r.Sender },
			codes: []policy.Code{policy.NoAgreement}},
		{story: "another purpose", request: func(r *policy.Request) { r.Purpose = "advocacy" }, codes: []policy.Code{policy.PurposeNotCovered}},
		{story: "another service", request: func(r *policy.Request) { r.Service = "x" }, codes: []policy.Code{policy.PurposeNotCovered}},
		{story: "no service", request: func(r *policy.Request) { r.Service = "" }, codes: []policy.Code{policy.PurposeNotCovered}},
		{story: "another type of message", change: func(f *agreement.Flow) { f.Messages = []transfer.MessageType{"consent/1"} },
			codes: []policy.Code{policy.NoAgreement}},
		{story: "a message that the hub has no contract for", request: func(r *policy.Request) { r.Contract, r.Subjects = nil, nil },
			codes: []policy.Code{policy.NoAgreement}},
		{story: "a draft", change: func(f *agreement.Flow) { f.Agreement.Status = agreement.Draft }, codes: []policy.Code{policy.AgreementNotStarted}},
		{story: "signed, not active", change: func(f *agreement.Flow) { f.Agreement.Status = agreement.Signed }, codes: []policy.Code{policy.AgreementNotStarted}},
		{story: "starts tomorrow", change: func(f *agreement.Flow) { f.Agreement.Starts = noon.Add(day) }, codes: []policy.Code{policy.AgreementNotStarted}},
		{story: "starts now", change: func(f *agreement.Flow) { f.Agreement.Starts = noon }},
		{story: "ends now", change: func(f *agreement.Flow) { f.Agreement.Ends = noon }, codes: []policy.Code{policy.AgreementExpired}},
		{story: "terminated", change: func(f *agreement.Flow) { f.Agreement.Status = agreement.Terminated }, codes: []policy.Code{policy.AgreementExpired}},
		{story: "suspended", change: func(f *agreement.Flow) { f.Agreement.Status = agreement.Suspended }, codes: []policy.Code{policy.AgreementSuspended}},
		{story: "under review", change: func(f *agreement.Flow) { f.Agreement.Status = agreement.UnderReview }, codes: []policy.Code{policy.AgreementSuspended}},
		{story: "the contract ends now", change: func(f *agreement.Flow) { f.Agreement.Contract.Ends = noon }, codes: []policy.Code{policy.ContractEnded}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			r, a := agreed(), hertswise()
			if tt.request != nil {
				tt.request(r)
			}
			if tt.change != nil {
				tt.change(a.Flows[0])
			}
			d := decide(t, r, a)
			outcome := transfer.Permit
			if tt.codes != nil {
				outcome = transfer.Refuse
				for i := range d.Subjects {
					if !d.Subjects[i].Covered.Empty() {
						t.Error("a refusal without an agreement keeps something")
					}
				}
			}
			expect(t, d, outcome, tt.codes...)
		})
	}
}

func TestAllThatIsWrongIsSaid(t *testing.T) {
	r := agreed()
	r.Purpose, r.Recipient = "sale", abroad
	expect(t, decide(t, r, hertswise()), transfer.Refuse, policy.PurposeProhibited, policy.TransferAbroadNoSafeguard, policy.NoAgreement)
}

func TestSuspendingAVersionDoesNotBringBackTheOneBefore(t *testing.T) {
	first, second := hertswise(), hertswise()
	second.Version, second.Flows[0].ID = 2, "hertswise@2#refer"
	d := decide(t, agreed(), first, second)
	expect(t, d, transfer.Permit)
	if d.Agreement.Version != 2 {
		t.Errorf("decided under version %d", d.Agreement.Version)
	}
	second.Status = agreement.Suspended
	expect(t, decide(t, agreed(), first, second), transfer.Refuse, policy.AgreementSuspended)
	second.Status, second.Flows[0].Purpose = agreement.Active, "advocacy" // the new version has dropped the clause
	expect(t, decide(t, agreed(), first, second), transfer.Refuse, policy.PurposeNotCovered)
}

func TestAnOverdueReviewWarnsAndThenStops(t *testing.T) {
	a := hertswise()
	a.ReviewBy = noon.Add(-90*day + 1)
	d := decide(t, agreed(), a)
	expect(t, d, transfer.Permit, policy.AgreementReviewOverdue)
	went(t, d, 0, carerItems)
	a.ReviewBy = noon.Add(-90 * day)
	r := agreed()
	r.Subjects[0].Items = r.Subjects[0].Items.Or(items("carer.benefits"))
	d = decide(t, r, a)
	expect(t, d, transfer.Hold, policy.AgreementReviewOverdue)
	if d.Owner != policy.OwnerDPL || d.Subjects[0].Covered != carerItems {
		t.Errorf("the hold is %s's and keeps %v", d.Owner, referral.Names(d.Subjects[0].Covered))
	}
}

func TestOnlyListedItemsGo(t *testing.T) {
	r := agreed()
	r.Subjects[0].Items = r.Subjects[0].Items.Or(items("carer.benefits", "carer.employment_status"))
	d := decide(t, r, hertswise())
	expect(t, d, transfer.PermitReduced, policy.ItemNotListed)
	went(t, d, 0, carerItems)
	if diff := cmp.Diff([]string{"carer.employment_status", "carer.benefits"}, d.Reasons[0].Items); diff != "" {
		t.Errorf("items of the reason (-want +got):\n%s", diff)
	}
}

func TestSomebodyWhomTheAgreementDoesNotMention(t *testing.T) {
	aboutNobodyElse := hertswise(func(f *agreement.Flow) { f.Allowed = f.Allowed.Minus(caredForItems) })
	d := decide(t, withCaredFor(agreed(), said(consent.Given, everything)), aboutNobodyElse)
	expect(t, d, transfer.PermitReduced, policy.SubjectGroupNotCovered)
	went(t, d, 2, contracts.ItemSet{})
	notEvenTheCarer := hertswise(func(f *agreement.Flow) { f.Allowed, f.Required = referrerItems, contracts.ItemSet{} })
	d = decide(t, agreed(), notEvenTheCarer)
	if d.Outcome != transfer.Refuse || d.Reasons[0].Code != policy.SubjectGroupNotCovered {
		t.Errorf("a referral of nobody came to %s %v", d.Outcome, codes(d))
	}
}

func TestWhatTheRecipientCannotDoWithout(t *testing.T) {
	needs := func(names ...string) *agreement.Agreement {
		return hertswise(func(f *agreement.Flow) { f.Required = items(names...) })
	}
	expect(t, decide(t, refer(said(consent.Given)), needs("carer.condition")), transfer.Hold, policy.ConsentNotExplicit, policy.RequiredItemStripped)
	expect(t, decide(t, agreed(), needs("carer.email")), transfer.Hold, policy.RequiredItemStripped)
	expect(t, decide(t, agreed(), needs("cared_for.name.family")), transfer.Permit) // nobody is cared for in this message
	expect(t, decide(t, withCaredFor(agreed()), needs("cared_for.name.family")), transfer.Hold,
		policy.ThirdPartyNoBasis, policy.RequiredItemStripped)
}

func TestNothingLeftIsNothingToSend(t *testing.T) {
	anything := hertswise(func(f *agreement.Flow) { f.Required = contracts.ItemSet{} })
	expect(t, decide(t, refer(said(consent.Given, explicitly("finance"))), anything), transfer.Hold,
		policy.ConsentNotExplicit, policy.ConsentScope, policy.RequiredItemStripped)
}

func TestSpecialCategoryItemsNeedTheirCondition(t *testing.T) {
	for _, tt := range []struct {
		story string
		basis agreement.Basis
		code  policy.Code
	}{
		{"no condition", agreement.Basis{Article6: "a"}, policy.Article9Missing},
		{"a condition without its paragraph", agreement.Basis{Article6: "a", Article9: "h"}, policy.Schedule1Mismatch},
		{"a condition with the wrong paragraph", agreement.Basis{Article6: "a", Article9: "b", Schedule1: "para 18", APD: "apd"}, policy.Schedule1Mismatch},
		{"a paragraph without its policy document", agreement.Basis{Article6: "a", Article9: "g", Schedule1: "para 18"}, policy.APDMissing},
		{"the care condition", agreement.Basis{Article6: "a", Article9: "h", Schedule1: "para 2"}, ""},
		{"safeguarding", agreement.Basis{Article6: "a", Article9: "g", Schedule1: "para 18(1)(a)", APD: "apd"}, ""},
	} {
		t.Run(tt.story, func(t *testing.T) {
			d := decide(t, agreed(), hertswise(func(f *agreement.Flow) { f.Basis = tt.basis }))
			if tt.code == "" {
				expect(t, d, transfer.Permit)
				return
			}
			expect(t, d, transfer.PermitReduced, tt.code)
			went(t, d, 0, carerItems.Minus(items("carer.condition")))
			if !d.Subjects[0].Covered.And(items("carer.condition")).Empty() {
				t.Error("a hold would keep what may never go")
			}
		})
	}
}

func TestOffenceItemsNeedTheirConditionAndTheirName(t *testing.T) {
	withOffences := func(change ...func(*agreement.Flow)) *agreement.Agreement {
		return hertswise(append(change, func(f *agreement.Flow) { f.Allowed = f.Allowed.Or(items("risks.offences")) })...)
	}
	r := agreed()
	r.Subjects[0].Items = r.Subjects[0].Items.Or(items("risks.offences"))
	d := decide(t, r, withOffences(func(f *agreement.Flow) { f.Basis.Offence = "" }))
	expect(t, d, transfer.PermitReduced, policy.OffenceMissing)
	went(t, d, 0, carerItems)
	d = decide(t, r, withOffences())
	expect(t, d, transfer.PermitReduced, policy.ConsentScope) // the consent does not name offences
	went(t, d, 0, carerItems)
	r.Subjects[0].Events = []consent.Event{said(consent.Given, explicitly("identity", "contact", "address", "referral", "health", "safeguarding", "offence"))}
	expect(t, decide(t, r, withOffences()), transfer.Permit)
}

func TestDirectivesGoWithWhatTheyProtect(t *testing.T) {
	directives := items("carer.safe_to_contact", "carer.address_protected")
	reaching := items("carer.phones", "carer.addresses.lines")
	t.Run("whatever the consent says", func(t *testing.T) {
		d := decide(t, refer(said(consent.Given, explicitly("identity", "contact", "referral", "health"))), hertswise())
		expect(t, d, transfer.PermitReduced, policy.ConsentScope)
		went(t, d, 0, carerItems.Minus(items("carer.addresses.lines")))
	})
	t.Run("also when they were taken back", func(t *testing.T) {
		d := decide(t, refer(said(consent.Given, everything), said(consent.Withdrawn, naming("safeguarding"), at(noon))), hertswise())
		expect(t, d, transfer.Permit)
		went(t, d, 0, carerItems)
	})
	t.Run("or what they protect stays", func(t *testing.T) {
		d := decide(t, agreed(), hertswise(func(f *agreement.Flow) { f.Allowed = f.Allowed.Minus(items("carer.safe_to_contact")) }))
		expect(t, d, transfer.PermitReduced, policy.ItemNotListed, policy.ItemNotListed)
		went(t, d, 0, carerItems.Minus(reaching).Minus(items("carer.safe_to_contact")))
		if !d.Subjects[0].Covered.And(reaching).Empty() {
			t.Error("a hold would keep the address and lose the directive, and the next decision would let the address go")
		}
	})
	t.Run("unless there are none", func(t *testing.T) {
		r := agreed()
		r.Subjects[0].Items = r.Subjects[0].Items.Minus(directives)
		d := decide(t, r, hertswise(func(f *agreement.Flow) { f.Allowed = f.Allowed.Minus(directives) }))
		expect(t, d, transfer.Permit)
	})
}

func TestBasesThatCannotBeClaimed(t *testing.T) {
	for _, tt := range []struct {
		story string
		basis agreement.Basis
		code  policy.Code
	}{
		{"a charity has no public task", agreement.Basis{Article6: "e"}, policy.BasisNotAvailable},
		{"a basis that does not exist", agreement.Basis{Article6: "x"}, policy.BasisNotAvailable},
		{"no basis", agreement.Basis{}, policy.BasisNotAvailable},
		{"legitimate interests that nobody assessed", agreement.Basis{Article6: "f"}, policy.LIAMissing},
	} {
		t.Run(tt.story, func(t *testing.T) {
			d := decide(t, agreed(), hertswise(func(f *agreement.Flow) { f.Basis = tt.basis }))
			expect(t, d, transfer.Hold, tt.code)
			if d.Owner != policy.OwnerDPL {
				t.Errorf("the hold is %s's", d.Owner)
			}
		})
	}
	monitoring := hertswise(func(f *agreement.Flow) { f.Purpose, f.Basis = "contract-monitoring", agreement.Basis{Article6: "b"} })
	r := agreed()
	r.Purpose = "contract-monitoring"
	expect(t, decide(t, r, monitoring), transfer.Hold, policy.BasisBNotSubjectContract)
}

func TestTheBasisDoesNotChangeWithTheAnswer(t *testing.T) {
	care := agreement.Basis{Article6: "a", Article9: "h", Schedule1: "para 2"}
	for _, tt := range []struct {
		story           string
		strict, lenient agreement.Basis
		said            consent.Event
		outcome         transfer.Outcome
		code            policy.Code
	}{
		{"refused, and a law would do without", care, agreement.Basis{Article6: "c", Article9: "h", Schedule1: "para 2"},
			said(consent.Refused), transfer.Refuse, policy.ConsentRefused},
		{"not explicit, and a care purpose would do without", agreement.Basis{Article6: "c", Article9: "a"},
			agreement.Basis{Article6: "c", Article9: "h", Schedule1: "para 2"},
			said(consent.Given), transfer.PermitReduced, policy.ConsentNotExplicit},
	} {
		t.Run(tt.story, func(t *testing.T) {
			strict, lenient := hertswise(), hertswise(func(f *agreement.Flow) { f.Agreement.ID, f.ID = "aaa", "aaa@1#refer" })
			strict.Flows[0].Basis, lenient.Flows[0].Basis = tt.strict, tt.lenient
			for _, order := range [][]*agreement.Agreement{{strict, lenient}, {lenient, strict}} {
				d := decide(t, refer(tt.said), order...)
				expect(t, d, tt.outcome, tt.code)
				if d.Agreement.Flow != "hertswise@1#refer" {
					t.Errorf("decided under %s", d.Agreement.Flow)
				}
			}
		})
	}
}

func TestAnAgreementThatIsOverdueGivesWayToOneThatIsNot(t *testing.T) {
	overdue := hertswise(func(f *agreement.Flow) { f.Agreement.ID, f.ID = "aaa", "aaa@1#refer" })
	overdue.ReviewBy = noon.Add(-100 * day)
	expect(t, decide(t, agreed(), overdue), transfer.Hold, policy.AgreementReviewOverdue)
	expect(t, decide(t, agreed(), overdue, hertswise()), transfer.Permit)
}

func TestOfSeveralClausesOnOneBasisTheFullestDecides(t *testing.T) {
	full, other := hertswise(), hertswise(func(f *agreement.Flow) { f.Allowed = f.Allowed.Minus(items("carer.phones")) })
	other.ID, other.Flows[0].ID = "aaa", "aaa@1#refer"
	for _, order := range [][]*agreement.Agreement{{full, other}, {other, full}} {
		d := decide(t, agreed(), order...)
		expect(t, d, transfer.Permit)
		if d.Agreement.ID != "hertswise" {
			t.Errorf("decided under %s", d.Agreement.ID)
		}
	}
	other.Flows[0].Allowed = full.Flows[0].Allowed
	if d := decide(t, agreed(), full, other); d.Agreement.ID != "aaa" {
		t.Errorf("of two that are equal, %s decides and not the first by id", d.Agreement.ID)
	}
}

func TestADecisionReadsAsJSON(t *testing.T) {
	body, err := json.Marshal(decide(t, refer(), hertswise()))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"outcome":"hold","agreement":{"id":"hertswise","version":1,"digest":"sha256:1","flow":"hertswise@1#refer"},` +
		`"reasons":[{"code":"CONSENT_NONE","gate":"G10","detail":"No consent of the carer to this is on record.",` +
		`"remedy":"Ask for consent and record the answer.","clause":"hertswise@1#refer","source":"000-1, 001-12","role":"carer"}],` +
		`"subjects":[{"role":"carer","position":0},{"role":"professional","position":0}],` +
		`"owner":"sender","deadline":"2026-11-28T12:00:00Z"}`
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}
