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

var (
	yeses      = []consent.State{consent.Given, consent.Given, consent.Given, consent.Renewed}
	nos        = []consent.State{consent.Refused, consent.Withdrawn, consent.Objected}
	anyStates  = slices.Concat(yeses, nos, []consent.State{consent.Requested, consent.Expired, consent.Invalidated})
	childItems = items("children.name", "children.relationship_to_carer", "children.address_protected")
	pool       = carerItems.Or(caredForItems).Or(childItems).Or(referrerItems)
	bases      = []agreement.Basis{
		{Article6: "a", Article9: "a"}, {Article6: "a"}, {Article6: "a", Article9: "h", Schedule1: "para 2"},
		{Article6: "b", Article9: "a"}, {Article6: "c", Article9: "a"}, {Article6: "c", Article9: "h", Schedule1: "para 2"},
		{Article6: "d", Article9: "c"}, {Article6: "ea", Article9: "g", Schedule1: "para 18", APD: "apd"},
		{Article6: "f", LIA: "lia", Article9: "g", Schedule1: "para 16", APD: "apd"}, {Article6: "f", LIA: "lia", Article9: "a"}, {},
	}
)

func anyEvent(t *rapid.T, states []consent.State) consent.Event {
	return said(rapid.SampledFrom(states).Draw(t, "state"), func(e *consent.Event) {
		e.RecordedBy = rapid.SampledFrom([]transfer.PartnerID{cih, cih, ageUK, council}).Draw(t, "recorded by")
		e.Purpose = rapid.SampledFrom([]transfer.Purpose{"referral.service", "referral.service", "advocacy"}).Draw(t, "purpose")
		e.Explicit = rapid.Bool().Draw(t, "explicit")
		e.Authority = rapid.SampledFrom([]string{"self", "self", "parent", "gillick", "deputy"}).Draw(t, "authority")
		e.Categories = rapid.SampledFrom([][]contracts.Category{
			nil, nil, {"identity", "contact"}, {"health"}, {"identity", "contact", "address", "referral", "health", "safeguarding", "relationship"},
		}).Draw(t, "categories")
		e.At = noon.Add(time.Duration(rapid.IntRange(-4, 1).Draw(t, "at")) * time.Hour)
		if rapid.IntRange(0, 3).Draw(t, "expires") == 0 {
			e.ExpiresAt = e.At.Add(2 * time.Hour)
		}
	})
}

func subset(t *rapid.T, of contracts.ItemSet, label string) contracts.ItemSet {
	var out contracts.ItemSet
	for i := range of.All() {
		if rapid.IntRange(0, 4).Draw(t, label) > 0 {
			out = out.With(i)
		}
	}
	return out
}

func anyRequest(t *rapid.T) *policy.Request {
	r := refer()
	r.Subjects = append(r.Subjects, policy.Subject{Role: transfer.CaredFor, Items: caredForItems}, policy.Subject{Role: transfer.Child, Items: childItems})
	for i := range r.Subjects {
		s := &r.Subjects[i]
		s.Items = subset(t, s.Items, "present")
		s.Facts = born(s.Role, rapid.SampledFrom([]string{"1961", "2011-04-02", "2009-01", ""}).Draw(t, "born"))
		if rapid.IntRange(0, 9).Draw(t, "ambiguous") == 0 {
			s.Facts |= policy.IdentifiersDisagree
		}
		for range rapid.IntRange(0, 3).Draw(t, "events") {
			s.Events = append(s.Events, anyEvent(t, anyStates))
		}
	}
	if rapid.Bool().Draw(t, "no undertaking") {
		r.Undertaking = nil
	}
	return r
}

func anyAgreement(t *rapid.T, id transfer.AgreementID) *agreement.Agreement {
	a := hertswise(func(f *agreement.Flow) {
		f.ID = string(id) + "@1#refer"
		f.Basis = rapid.SampledFrom(bases).Draw(t, "basis")
		f.Allowed = subset(t, pool, "allowed")
		f.Required = contracts.ItemSet{}
		if rapid.Bool().Draw(t, "requires") {
			f.Required = f.Allowed.And(items("carer.name.family", "cared_for.relationship_to_carer"))
		}
	})
	a.ID = id
	a.ReviewBy = noon.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 1, -1, -91}).Draw(t, "review")) * day)
	return a
}

func anyAgreements(t *rapid.T) []*agreement.Agreement {
	all := make([]*agreement.Agreement, rapid.IntRange(1, 3).Draw(t, "agreements"))
	for i := range all {
		all[i] = anyAgreement(t, transfer.AgreementID(fmt.Sprint("agreement-", i)))
	}
	return all
}

func decideAny(t *rapid.T, r *policy.Request, agreements []*agreement.Agreement) policy.Decision {
	x, err := agreement.NewIndex(partners(), agreements)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Decide(x, r)
}

var sameFlow = cmpopts.IgnoreFields(policy.Decision{}, "Flow")

func TestTheSameInputsGiveTheSameDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, agreements := anyRequest(t), anyAgreements(t)
		first := decideAny(t, r, agreements)
		if diff := cmp.Diff(first, decideAny(t, r, agreements), sameFlow); diff != "" {
			t.Errorf("the second time (-first +second):\n%s", diff)
		}
		other := *r
		other.Subjects = slices.Clone(r.Subjects)
		for i := range other.Subjects {
			other.Subjects[i].Events = rapid.Permutation(other.Subjects[i].Events).Draw(t, "order of events")
		}
		if diff := cmp.Diff(first, decideAny(t, &other, rapid.Permutation(agreements).Draw(t, "order")), sameFlow); diff != "" {
			t.Errorf("in another order (-first +second):\n%s", diff)
		}
	})
}

func TestEveryDecisionIsSound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := anyRequest(rt)
		d := decideAny(rt, r, anyAgreements(rt))
		check(t, r, &d)
		if t.Failed() {
			rt.FailNow()
		}
		for i, s := range d.Subjects {
			if d.Flow != nil && !s.Items.Minus(d.Flow.Allowed).Empty() {
				rt.Errorf("%s: an item goes that the clause does not list", s.Role)
			}
			reaching := items("carer.phones", "carer.addresses.lines")
			protecting := items("carer.safe_to_contact", "carer.address_protected").And(r.Subjects[i].Items)
			if !s.Items.And(reaching).Empty() && !protecting.Minus(s.Items).Empty() {
				rt.Error("contact details go without the directives that protect them")
			}
		}
	})
}

func TestANoNeverLetsMoreGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, agreements := anyRequest(t), anyAgreements(t)
		before := decideAny(t, r, agreements)
		i := rapid.IntRange(0, len(r.Subjects)-1).Draw(t, "who")
		r.Subjects[i].Events = append(slices.Clone(r.Subjects[i].Events), anyEvent(t, nos))
		after := decideAny(t, r, agreements)
		if after.Outcome.Permits() && !before.Outcome.Permits() || before.Outcome == transfer.Refuse && after.Outcome != transfer.Refuse {
			t.Errorf("a %s became a %s", before.Outcome, after.Outcome)
		}
		for i := range after.Subjects {
			if more := after.Subjects[i].Items.Minus(before.Subjects[i].Items); !more.Empty() {
				t.Errorf("about the %s %v goes as well", after.Subjects[i].Role, referral.Names(more))
			}
		}
	})
}

func TestListingLessNeverLetsMoreGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, a := anyRequest(t), anyAgreement(t, "hertswise")
		before := decideAny(t, r, []*agreement.Agreement{a})
		for i := range a.Flows[0].Allowed.All() {
			if rapid.IntRange(0, 5).Draw(t, "unlist") == 0 {
				a.Flows[0].Allowed = a.Flows[0].Allowed.Minus(contracts.ItemSet{}.With(i))
			}
		}
		after := decideAny(t, r, []*agreement.Agreement{a})
		for i := range after.Subjects {
			if more := after.Subjects[i].Items.Minus(before.Subjects[i].Items); !more.Empty() {
				t.Errorf("about the %s %v goes as well", after.Subjects[i].Role, referral.Names(more))
			}
			if more := after.Subjects[i].Covered.Minus(before.Subjects[i].Covered); !more.Empty() {
				t.Errorf("about the %s %v is covered as well", after.Subjects[i].Role, referral.Names(more))
			}
		}
	})
}
