package policy_test

import (
	"testing"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// stopping has a case for each gate, in which it alone keeps something from going.
var stopping = map[string]situation{
	"entry/prohibited": func(t testing.TB) (*agreement.Index, *policy.Request) {
		r := agreed()
		r.Purpose, r.Subjects[0].Events[0].Purpose = "sale", "sale"
		return index(t, hertswise(func(f *agreement.Flow) { f.Purpose = "sale" })), r
	},
	"entry/partners": func(t testing.TB) (*agreement.Index, *policy.Request) {
		return register(t, ageUK, func(p *transfer.Partner) { p.Location = "US" }, hertswise()), agreed()
	},
	"entry/turnedDown": given(func(r *policy.Request, _ *agreement.Flow) { r.Rulings = []policy.Ruling{{Act: policy.TurnDown}} }),

	"agreement/reviewed":  given(func(_ *policy.Request, f *agreement.Flow) { f.Agreement.ReviewBy = noon.Add(-91 * day) }),
	"agreement/claimable": given(func(_ *policy.Request, f *agreement.Flow) { f.Basis = agreement.Basis{Article6: "f", Article9: "a"} }),
	"agreement/passedOn":  given(func(r *policy.Request, _ *agreement.Flow) { r.Onward = &policy.Onward{} }),
	"agreement/waited":    given(func(_ *policy.Request, f *agreement.Flow) { f.Objection = 28 * day }),
	"agreement/demanded": given(func(r *policy.Request, f *agreement.Flow) {
		r.Demand, f.Compelled = demand("regulator"), true // and the recipient is a charity
	}),
	"agreement/claimed": given(func(r *policy.Request, f *agreement.Flow) {
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia", Article9: "g", Schedule1: "para 18", APD: "apd"}
		r.Exception = claim("safeguarding", "caseworker-1")
	}),
	"agreement/figures": func(t testing.TB) (*agreement.Index, *policy.Request) {
		aggregate, _ := contracts.For("aggregate/1")
		all := contracts.ItemSet{}.With(0)
		r := &policy.Request{
			Sender: cih, Recipient: ageUK, Contract: aggregate, Purpose: "contract-monitoring", At: noon,
			Subjects: []policy.Subject{{Role: transfer.Nobody, Items: all}},
		}
		return index(t, hertswise(func(f *agreement.Flow) {
			f.Purpose, f.Service, f.Messages = "contract-monitoring", "", []transfer.MessageType{"aggregate/1"}
			f.Allowed, f.Required, f.Basis = all, contracts.ItemSet{}, agreement.Basis{Article6: "f", LIA: "lia"}
		})), r
	},

	"agreement/listed": given(func(_ *policy.Request, f *agreement.Flow) { f.Allowed = f.Allowed.Minus(items("carer.condition")) }),
	"agreement/asked": given(func(r *policy.Request, f *agreement.Flow) {
		f.To, r.Recipient, r.Demand, f.Compelled = []transfer.PartnerID{cqc}, cqc, demand("regulator"), true
		f.Basis = agreement.Basis{Article6: "c", Article9: "f"}
	}),
	"agreement/special": given(func(_ *policy.Request, f *agreement.Flow) { f.Basis.Article9 = "" }),
	"agreement/offence": given(func(r *policy.Request, f *agreement.Flow) {
		r.Subjects[0].Items = r.Subjects[0].Items.Or(items("risks.offences"))
		r.Subjects[0].Events = []consent.Event{said(consent.Given, explicitly("identity", "contact", "address", "referral", "health", "safeguarding", "offence"))}
		f.Allowed, f.Basis.Offence = f.Allowed.Or(items("risks.offences")), ""
	}),
	"agreement/hidden": given(func(r *policy.Request, _ *agreement.Flow) { r.Subjects[0].Facts |= policy.AddressProtected }),
	"agreement/apart": given(func(r *policy.Request, _ *agreement.Flow) {
		r.Subjects[0].Facts |= policy.AllegedPerpetrator
		r.Rulings = []policy.Ruling{ruled("safeguarding-1", transfer.SafeguardingLead, policy.PerpetratorNamed)}
	}),
	"agreement/directives": given(func(_ *policy.Request, f *agreement.Flow) {
		f.Allowed = f.Allowed.Minus(items("carer.safe_to_contact"))
	}),

	"agreement/identified": given(func(r *policy.Request, _ *agreement.Flow) { r.Subjects[0].Facts |= policy.IdentifiersDisagree }),
	"agreement/alive":      given(func(r *policy.Request, _ *agreement.Flow) { r.Subjects[0].Facts |= policy.Deceased }),
	"agreement/atOdds": given(func(r *policy.Request, _ *agreement.Flow) {
		r.Subjects[0].Facts = policy.UnderSixteen | policy.GillickCompetent | policy.ParentConflict
	}),
	"agreement/endangered": given(func(r *policy.Request, _ *agreement.Flow) { r.Subjects[0].Facts |= policy.AllegedPerpetrator }),
	"agreement/told":       given(func(_ *policy.Request, f *agreement.Flow) { f.Told = true }),
	"agreement/unrestricted": given(func(r *policy.Request, _ *agreement.Flow) {
		r.Subjects[0].Events = append(r.Subjects[0].Events, said(consent.Restricted, at(noon)))
	}),
	"agreement/consented": given(func(r *policy.Request, _ *agreement.Flow) { r.Subjects[0].Events = nil }),
	"agreement/beyondCare": given(func(_ *policy.Request, f *agreement.Flow) {
		f.Secondary, f.Basis = true, agreement.Basis{Article6: "f", LIA: "lia", Article9: "h", Schedule1: "para 2"}
		f.Required = contracts.ItemSet{}
	}).silent(),
	"agreement/sufficient": given(func(_ *policy.Request, f *agreement.Flow) { f.Required = items("carer.email") }),
	"agreement/read":       given(func(_ *policy.Request, f *agreement.Flow) { f.FreeText = agreement.Reviewed }),
	"agreement/noticed": given(func(r *policy.Request, f *agreement.Flow) {
		r.Subjects[0].Noticed, f.Allowed = items("referral.reason"), f.Allowed.Minus(items("carer.phones", "carer.addresses.lines"))
	}),

	"exception/available": claiming(ageUK, "safeguarding", nil),
	"exception/shown":     claiming(council, "safeguarding", func(r *policy.Request) { r.Exception.Person = "caseworker-1" }),
	"exception/carried":   claiming(council, "safeguarding", nil),
	"exception/hidden": func(t testing.TB) (*agreement.Index, *policy.Request) {
		r := answer(police, demand("request"))
		r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.DemandNotCompelling)}
		return index(t), r
	},
	"exception/directives": claiming(police, "crime-report", func(r *policy.Request) {
		// In a contract to come, how to treat somebody may itself be data about their health.
		r.Contract = &contracts.Contract{Type: "visit/1", Items: []contracts.Item{
			{Index: 0, Name: "carer.phone", Role: transfer.Carer, Category: "contact"},
			{Index: 1, Name: "carer.approach", Role: transfer.Carer, Category: "health", Special: true, Directive: true},
			{Index: 2, Name: "carer.name", Role: transfer.Carer, Category: "identity"},
		}}
		r.Subjects = []policy.Subject{{Role: transfer.Carer, Items: contracts.ItemSet{}.With(0).With(1).With(2)}}
	}),
	"exception/capable": claiming(nhs, "danger-to-life", func(r *policy.Request) { r.Exception.Incapable = false }),
	"exception/refused": claiming(council, "safeguarding", func(r *policy.Request) { r.Exception.Refused = true }),
	"exception/noticed": func(t testing.TB) (*agreement.Index, *policy.Request) {
		r := answer(police, demand("request"))
		r.Demand.Items = items("referral.reason")
		r.Subjects[0].Noticed = items("referral.reason")
		r.Rulings = []policy.Ruling{ruled("dpl-1", transfer.DataProtection, policy.DemandNotCompelling)}
		return index(t), r
	},
}

type situation func(testing.TB) (*agreement.Index, *policy.Request)

// given is a referral that goes in full, but for one change.
func given(change func(*policy.Request, *agreement.Flow)) situation {
	return func(t testing.TB) (*agreement.Index, *policy.Request) {
		r, a := agreed(), hertswise()
		change(r, a.Flows[0])
		return index(t, a), r
	}
}

// silent is the same of a carer who has said nothing.
func (s situation) silent() situation {
	return func(t testing.TB) (*agreement.Index, *policy.Request) {
		x, r := s(t)
		r.Subjects[0].Events = nil
		return x, r
	}
}

// claiming is a message that goes by exception, but for one change.
func claiming(to transfer.PartnerID, kind string, change func(*policy.Request)) situation {
	return func(t testing.TB) (*agreement.Index, *policy.Request) {
		r := urgent(to, claim(kind, "safeguarding-1"))
		if change != nil {
			change(r)
		}
		return index(t), r
	}
}

// TestEveryGateStopsSomething takes each gate away in turn: the case that it alone stops then goes further. A gate without a case fails, and
// so does a case without a gate.
func TestEveryGateStopsSomething(t *testing.T) {
	left := map[string]bool{}
	for name := range stopping {
		left[name] = true
	}
	for _, gate := range policy.Gates() {
		t.Run(gate.Name, func(t *testing.T) {
			delete(left, gate.Name)
			situation := stopping[gate.Name]
			if situation == nil {
				t.Fatal("nothing would be noticed if this gate were gone")
			}
			x, r := situation(t)
			with := policy.Decide(x, r)
			check(t, r, &with)
			var without policy.Decision
			gate.Without(func() { without = policy.Decide(x, r) })
			further := with.Outcome != without.Outcome && without.Outcome.Permits()
			for i := range with.Subjects {
				further = further || !without.Subjects[i].Items.Minus(with.Subjects[i].Items).Empty()
			}
			if !further {
				t.Errorf("with it %s %v, without it %s %v", with.Outcome, codes(with), without.Outcome, codes(without))
			}
		})
	}
	for name := range left {
		t.Errorf("there is no gate %s", name)
	}
}
