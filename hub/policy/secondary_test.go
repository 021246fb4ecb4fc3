package policy_test

import (
	"testing"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// A6 and P1: a funder gets figures, and no figure by which somebody could be told.
func TestA6AFunderGetsFigures(t *testing.T) {
	aggregate, ok := contracts.For("aggregate/1")
	if !ok {
		t.Fatal("there is no contract for figures")
	}
	var all contracts.ItemSet
	for _, item := range aggregate.Items {
		if item.Role == transfer.Nobody {
			all = all.With(item.Index)
		}
	}
	report := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service, f.Messages = []transfer.PartnerID{council}, "contract-monitoring", "", []transfer.MessageType{"aggregate/1"}
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia"}
		f.Allowed, f.Required = all, contracts.ItemSet{}
		f.Figures = agreement.Figures{Below: 5, Round: 5}
	})
	r := &policy.Request{
		Sender: cih, Recipient: council, Contract: aggregate, Purpose: "contract-monitoring", At: noon,
		Subjects: []policy.Subject{{Role: transfer.Nobody, Items: all}},
	}
	d := decide(t, r, report)
	expect(t, d, permit)
	if d.Subjects[0].Items != all {
		t.Errorf("of the figures %v stays behind", aggregate.Names(d.Subjects[0].Stripped))
	}
	for _, o := range d.Obligations {
		if o.Code == "inform" {
			t.Error("nobody can be told of figures about nobody")
		}
	}
	for _, below := range []int{0, 1} {
		report.Flows[0].Figures.Below = below
		expect(t, decide(t, r, report), refuse, policy.SmallNumbers)
	}
}

// P1: who somebody is goes to a funder only where agreement and contract name it and people were told.
func TestAFunderLearnsWhoSomebodyIsOnlyWhereThatIsAgreedAndTold(t *testing.T) {
	monitoring := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service = []transfer.PartnerID{council}, "contract-monitoring", ""
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia"}
		f.Allowed, f.Required = items("carer.name.family", "carer.gender", "caring_role.hours_per_week"), contracts.ItemSet{}
	})
	r := refer()
	r.Recipient, r.Purpose, r.Service = council, "contract-monitoring", ""
	r.Subjects = r.Subjects[:1]
	r.Subjects[0].Items = monitoring.Flows[0].Allowed
	d := decide(t, r, monitoring)
	expect(t, d, strip, policy.NotDeidentified)
	went(t, d, 0, items("carer.gender", "caring_role.hours_per_week"))

	monitoring.Flows[0].Told = true
	monitoring.Contract.Reference = "HCC/2026/4"
	expect(t, decide(t, r, monitoring), hold, policy.SubjectNotInformed)
	r.Undertaking.InformedOn = "2026-11-02"
	expect(t, decide(t, r, monitoring), permit)
	monitoring.Contract.Reference = ""
	expect(t, decide(t, r, monitoring), strip, policy.NotDeidentified)
}

// P9 and G11: for planning and research nothing goes that tells who somebody is, or only past the National Data Opt-Out.
func TestResearchIsDeidentifiedOrPastTheOptOut(t *testing.T) {
	research := hertswise(func(f *agreement.Flow) {
		f.Purpose, f.Service, f.Secondary = "research", "", true
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia", Article9: "j", Schedule1: "para 4"}
		f.Allowed, f.Required = items("carer.nhs_number", "carer.date_of_birth", "carer.condition", "carer.gender"), contracts.ItemSet{}
	})
	ask := func(s *contracts.Secondary, events ...consent.Event) *policy.Request {
		r := refer(events...)
		r.Purpose, r.Service, r.Secondary = "research", "", s
		r.Subjects = r.Subjects[:1]
		r.Subjects[0].Items = research.Flows[0].Allowed
		return r
	}
	forResearch := func(e *consent.Event) {
		e.Purpose, e.Service, e.Recipients = "research", "", []transfer.PartnerID{ageUK}
	}
	checked := contracts.Secondary{CheckedOn: "2026-11-20", Support: "CAG-26-0001"}
	for _, tt := range []struct {
		story   string
		request *policy.Request
		code    policy.Code
	}{
		{"not looked up", ask(nil), policy.NDOONotChecked},
		{"looked up tomorrow", ask(&contracts.Secondary{CheckedOn: "2026-11-22", Support: "CAG-26-0001"}), policy.NDOONotChecked},
		{"opted out", ask(&contracts.Secondary{CheckedOn: "2026-11-20", OptedOut: true, Support: "CAG-26-0001"}), policy.NDOOOptedOut},
		{"nobody approved it, and nobody agreed", ask(&contracts.Secondary{CheckedOn: "2026-11-20"}), policy.NotDeidentified},
		{"approved", ask(&checked), ""},
		{"agreed to", ask(&contracts.Secondary{CheckedOn: "2026-11-20"}, said(consent.Given, forResearch)), ""},
		{"agreed to, and opted out", ask(&contracts.Secondary{CheckedOn: "2026-11-20", OptedOut: true}, said(consent.Given, forResearch)), policy.NDOOOptedOut},
		{"agreed to in so many words", ask(nil, said(consent.Given, everything, forResearch)), ""},
	} {
		t.Run(tt.story, func(t *testing.T) {
			d := decide(t, tt.request, research)
			if tt.code == "" {
				expect(t, d, permit)
				return
			}
			expect(t, d, strip, tt.code)
			went(t, d, 0, items("carer.condition", "carer.gender"))
		})
	}
	t.Run("transformed", func(t *testing.T) {
		blurred := *research.Flows[0]
		blurred.Transform = map[int]contracts.Transform{}
		for i := range items("carer.nhs_number", "carer.date_of_birth").All() {
			blurred.Transform[i] = contracts.Pseudonymise
		}
		a := *research
		a.Flows, blurred.Agreement = []*agreement.Flow{&blurred}, &a
		expect(t, decide(t, ask(nil), &a), permit)
	})
	t.Run("required by a law", func(t *testing.T) {
		law := *research.Flows[0]
		law.Basis = agreement.Basis{Article6: "c", Article9: "j", Schedule1: "para 4"}
		a := *research
		a.Flows, law.Agreement = []*agreement.Flow{&law}, &a
		expect(t, decide(t, ask(nil), &a), permit)
	})
	t.Run("for the person's own care", func(t *testing.T) {
		own := *research.Flows[0]
		own.Secondary = false
		a := *research
		a.Flows, own.Agreement = []*agreement.Flow{&own}, &a
		expect(t, decide(t, ask(nil), &a), permit)
	})
}
