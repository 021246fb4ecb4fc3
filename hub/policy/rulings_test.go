package policy_test

import (
	"strings"
	"testing"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// ruled is a decision of half an hour ago to let a transfer go.
func ruled(person string, role transfer.StaffRole, codes ...policy.Code) policy.Ruling {
	return policy.Ruling{
		Act: policy.LetGo, Person: person, Role: role, Codes: codes, Ground: policy.Grounds(policy.LetGo)[0], At: noon.Add(-30 * time.Minute),
	}
}

// objected is a referral as a public task to which the carer objects.
func objected() *policy.Request {
	return byCouncil(said(consent.Objected, recordedBy(council), at(noon.Add(-time.Hour))))
}

func informing() *agreement.Agreement {
	a := publicTask()
	a.Transparency = []agreement.Notice{{Party: council, Version: "4"}}
	return a
}

func TestAPersonWithTheRoleLetsAHoldGo(t *testing.T) {
	r := objected()
	expect(t, decide(t, r, informing()), hold, policy.Objection)
	r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.Objection)}
	d := decide(t, r, informing())
	expect(t, d, permit, policy.Objection)
	if !strings.Contains(d.Reasons[0].Remedy, "dpl-1 (dpl)") {
		t.Errorf("nobody reads who let it go: %q", d.Reasons[0].Remedy)
	}
	went(t, d, 0, r.Subjects[0].Items)
}

func TestARulingLiftsWhatThePersonLookedAtAndMayLift(t *testing.T) {
	for story, change := range map[string]func(*policy.Request){
		"somebody without the role":           func(r *policy.Request) { r.Rulings[0].Person, r.Rulings[0].Role = "caseworker-1", transfer.Caseworker },
		"somebody who says that they have it": func(r *policy.Request) { r.Rulings[0].Person = "caseworker-1" },
		"somebody who is not on the register": func(r *policy.Request) { r.Rulings[0].Person = "dpl-2" },
		"somebody with the role for something else": func(r *policy.Request) {
			r.Rulings[0].Person, r.Rulings[0].Role = "safeguarding-1", transfer.SafeguardingLead
		},
		"another reason was looked at":       func(r *policy.Request) { r.Rulings[0].Codes = []policy.Code{policy.ConsentRefused} },
		"no ground":                          func(r *policy.Request) { r.Rulings[0].Ground = "" },
		"an hour from now":                   func(r *policy.Request) { r.Rulings[0].At = noon.Add(time.Hour) },
		"the carer has objected again since": func(r *policy.Request) { r.Rulings[0].At = noon.Add(-2 * time.Hour) },
	} {
		t.Run(story, func(t *testing.T) {
			r := objected()
			r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.Objection)}
			change(r)
			expect(t, decide(t, r, informing()), hold, policy.Objection)
		})
	}
	t.Run("another reason has come up", func(t *testing.T) {
		r := objected()
		r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.Objection)}
		r.Subjects[0].Facts |= policy.CapacityInDoubt
		expect(t, decide(t, r, informing()), hold, policy.Objection, policy.CapacityDoubt)
	})
	t.Run("behind the no, the carer was not told", func(t *testing.T) {
		r := objected()
		r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.Objection)}
		expect(t, decide(t, r, publicTask()), hold, policy.Objection, policy.SubjectNotInformed)
	})
}

// Law 5: nobody rules a person's answer away where consent is the basis, nor gives an agreement a basis, a term or an instant.
func TestWhatNoRulingLifts(t *testing.T) {
	for _, tt := range []struct {
		story   string
		request *policy.Request
		change  func(*agreement.Flow)
		code    policy.Code
	}{
		{"no consent", refer(), nil, policy.ConsentNone},
		{"consent that has run out", refer(said(consent.Given, func(e *consent.Event) { e.ExpiresAt = noon })), nil, policy.ConsentExpired},
		{"consent refused", refer(said(consent.Refused)), nil, policy.ConsentRefused},
		{"consent withdrawn", refer(said(consent.Given), said(consent.Withdrawn)), nil, policy.ConsentWithdrawn},
		{"what was refused before capacity was lost", about(policy.Adult|policy.LacksCapacity|policy.WelfareAttorney,
			said(consent.Refused, at(noon.Add(-48*time.Hour))), by("attorney-health-welfare")), nil, policy.EarlierRefusal},
		{"a basis that nobody can claim", agreed(), func(f *agreement.Flow) { f.Basis.Article6 = "e" }, policy.BasisNotAvailable},
		{"an agreement that has ended", agreed(), func(f *agreement.Flow) { f.Agreement.Ends = noon }, policy.AgreementExpired},
		{"a condition that nobody can tell", agreed(), func(f *agreement.Flow) { f.When = &agreement.Condition{Source: "x"} }, policy.ConditionUnknown},
		{"people who were not told, where the clause asks", agreed(), func(f *agreement.Flow) { f.Told = true }, policy.SubjectNotInformed},
		{"time to object", func() *policy.Request { r := agreed(); r.Undertaking.InformedOn = "2026-11-20"; return r }(),
			func(f *agreement.Flow) { f.Objection = day }, policy.ObjectionWindow},
		{"nothing left", func() *policy.Request { r := agreed(); r.Subjects[0].Items = items("carer.benefits"); return r }(), nil, policy.RequiredItemStripped},
		{"two people for one", func() *policy.Request { r := agreed(); r.Subjects[0].Facts |= policy.IdentifiersDisagree; return r }(), nil, policy.IdentityAmbiguous},
	} {
		t.Run(tt.story, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*agreement.Flow) {}
			}
			before := decide(t, tt.request, hertswise(change))
			for _, p := range staff {
				tt.request.Rulings = append(tt.request.Rulings, ruled(p.ID, p.Roles[0], codes(before)...))
			}
			after := decide(t, tt.request, hertswise(change))
			expect(t, after, before.Outcome, codes(before)...)
			if after.Outcome.Permits() || codes(after)[len(after.Reasons)-1] != tt.code {
				t.Errorf("it is a %s %v", after.Outcome, codes(after))
			}
		})
	}
}

func TestWhatAPersonTurnedDownDoesNotGo(t *testing.T) {
	for _, act := range []policy.Act{policy.TurnDown, policy.SendBack} {
		r := agreed()
		r.Rulings = []policy.Ruling{{Act: act, Person: "dpl-1", Role: transfer.DataProtection, Ground: policy.Grounds(act)[0], At: noon}}
		expect(t, decide(t, r, hertswise()), refuse, policy.TurnedDown)
		r.Rulings = append(r.Rulings, ruled("dpl-1", transfer.DataProtection, policy.TurnedDown))
		expect(t, decide(t, r, hertswise()), refuse, policy.TurnedDown)
	}
}

func TestHoldsAreLiftedByWhoeverMay(t *testing.T) {
	overdue := hertswise()
	overdue.ReviewBy = noon.Add(-91 * day)
	lacking := hertswise(func(f *agreement.Flow) { f.Required = items("carer.email") })
	unread := hertswise(func(f *agreement.Flow) { f.FreeText = agreement.Reviewed })
	fact := func(facts policy.Facts, events ...consent.Event) *policy.Request { return about(facts, events...) }
	care := hertswise(func(f *agreement.Flow) {
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia", Article9: "h", Schedule1: "para 2"}
	})
	refusedBefore := []consent.Event{said(consent.Refused, at(noon.Add(-48*time.Hour))), by("attorney-health-welfare")}
	for _, tt := range []struct {
		code    policy.Code
		person  string
		role    transfer.StaffRole
		request *policy.Request
		a       *agreement.Agreement
	}{
		{policy.AgreementReviewOverdue, "dpl-1", transfer.DataProtection, agreed(), overdue},
		{policy.RequiredItemStripped, "dpl-1", transfer.DataProtection, agreed(), lacking},
		{policy.NotReviewed, "caseworker-1", transfer.Caseworker, agreed(), unread},
		{policy.CapacityDoubt, "practitioner-1", transfer.Practitioner, fact(policy.Adult|policy.CapacityInDoubt, by("self")), hertswise()},
		{policy.PersonDeceased, "caldicott-1", transfer.CaldicottGuardian, fact(policy.Adult|policy.Deceased, by("self")), hertswise()},
		{policy.ChildParentConflict, "safeguarding-1", transfer.SafeguardingLead,
			fact(policy.UnderSixteen|policy.GillickCompetent|policy.ParentConflict, by("self")), hertswise()},
		{policy.EarlierRefusal, "caldicott-1", transfer.CaldicottGuardian,
			fact(policy.Adult|policy.LacksCapacity|policy.WelfareAttorney, refusedBefore...), care},
		{policy.Restricted, "dpl-1", transfer.DataProtection, refer(said(consent.Given, everything), said(consent.Restricted)), hertswise()},
	} {
		t.Run(string(tt.code), func(t *testing.T) {
			expect(t, decide(t, tt.request, tt.a), hold, tt.code)
			tt.request.Rulings = []policy.Ruling{ruled(tt.person, tt.role, tt.code)}
			expect(t, decide(t, tt.request, tt.a), permit, tt.code)
		})
	}
}
