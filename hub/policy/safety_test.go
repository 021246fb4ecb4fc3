package policy_test

import (
	"testing"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// household is a referral of a carer, a cared-for person and a child of one home, and a parent who lives elsewhere, all of whom agree to
// everything, under an agreement that lists ways to reach each of them.
func household() (*policy.Request, *agreement.Agreement) {
	all := explicitly("identity", "contact", "address", "referral", "health", "safeguarding", "relationship", "mental-health", "education", "professional")
	r := withCaredFor(refer(said(consent.Given, all)), said(consent.Given, all))
	r.Subjects[0].Items = r.Subjects[0].Items.Or(items("carer.gp", "risks.hard_to_find"))
	r.Subjects[2].Items = r.Subjects[2].Items.Or(items("cared_for.phones"))
	child := items("children.name", "children.school", "children.address_protected")
	absent := items("absent_parents.name", "absent_parents.phones")
	r.Subjects = append(r.Subjects,
		policy.Subject{Role: transfer.Child, Items: child, Events: []consent.Event{said(consent.Given, all, authority("parent"))}, Facts: policy.UnderSixteen},
		policy.Subject{Role: transfer.AbsentParent, Items: absent, Events: []consent.Event{said(consent.Given, all)}, Facts: policy.Adult})
	a := hertswise(func(f *agreement.Flow) {
		for i := range r.Subjects {
			f.Allowed = f.Allowed.Or(r.Subjects[i].Items)
		}
	})
	return r, a
}

// ways are the items by which somebody of household could be found.
var ways = []contracts.ItemSet{
	items("carer.phones", "carer.addresses.lines", "carer.gp", "risks.hard_to_find"), {}, items("cared_for.phones"), items("children.school"),
	items("absent_parents.phones"),
}

// wentWithout checks that everything goes about everybody, but for these.
func wentWithout(t *testing.T, r *policy.Request, d policy.Decision, without ...int) {
	t.Helper()
	for i := range r.Subjects {
		want := r.Subjects[i].Items
		for _, w := range without {
			if w == i {
				want = want.Minus(ways[i])
			}
		}
		went(t, d, i, want)
	}
}

const (
	carer, referrer, caredFor, child, absent = 0, 1, 2, 3, 4
)

func TestEverythingGoesAboutAHouseholdInWhichNobodyIsInDanger(t *testing.T) {
	r, a := household()
	d := decide(t, r, a)
	expect(t, d, permit)
	wentWithout(t, r, d)
}

func TestAProtectedAddressBeatsEveryAgreement(t *testing.T) {
	for who, hidden := range map[int][]int{
		carer: {carer, caredFor, child}, caredFor: {carer, caredFor, child}, child: {carer, caredFor, child}, absent: {absent},
	} {
		r, a := household()
		r.Subjects[who].Facts |= policy.AddressProtected
		d := decide(t, r, a)
		if d.Outcome != strip || d.Reasons[0].Code != policy.ProtectedAddress || len(d.Reasons) != len(hidden) {
			t.Errorf("%s: it is a %s %v", r.Subjects[who].Role, d.Outcome, codes(d))
		}
		wentWithout(t, r, d, hidden...)
		if !d.Subjects[who].Covered.And(ways[who]).Empty() {
			t.Error("a hold would keep the address")
		}
	}
}

// A surgery leads to its patients, also where it is named as that of the doctor who is involved.
func TestWhoIsInvolvedWithSomebodyHiddenIsNotNamed(t *testing.T) {
	names := items("professionals.name", "professionals.organisation", "professionals.phone", "professionals.email")
	for _, who := range []int{carer, child, absent} {
		r, a := household()
		doctor := policy.Subject{Role: transfer.Professional, Position: 1, Items: names.Or(items("professionals.involved_as"))}
		r.Subjects = append(r.Subjects, doctor)
		a.Flows[0].Allowed = a.Flows[0].Allowed.Or(doctor.Items)
		went(t, decide(t, r, a), 5, doctor.Items)
		r.Subjects[who].Facts |= policy.AddressProtected
		d := decide(t, r, a)
		went(t, d, 5, items("professionals.involved_as"))
		went(t, d, referrer, r.Subjects[referrer].Items)
	}
}

func TestAProtectedAddressThatTheRecipientNeedsIsAHold(t *testing.T) {
	r, a := household()
	a.Flows[0].Required = items("carer.addresses.lines")
	r.Subjects[carer].Facts |= policy.AddressProtected
	expect(t, decide(t, r, a), hold, policy.ProtectedAddress, policy.ProtectedAddress, policy.ProtectedAddress, policy.RequiredItemStripped)
}

func TestAnAllegedPerpetrator(t *testing.T) {
	t.Run("in the home is for the safeguarding lead", func(t *testing.T) {
		r, a := household()
		r.Subjects[caredFor].Facts |= policy.AllegedPerpetrator
		d := decide(t, r, a)
		expect(t, d, hold, policy.PerpetratorNamed, policy.PerpetratorNamed)
		if d.Owner != policy.OwnerSafeguarding {
			t.Errorf("the hold is %s's", d.Owner)
		}
		r.Rulings = []policy.Ruling{ruled("safeguarding-1", transfer.SafeguardingLead, policy.PerpetratorNamed)}
		d = decide(t, r, a)
		expect(t, d, strip, policy.PerpetratorNamed, policy.PerpetratorNamed)
		wentWithout(t, r, d, caredFor) // nobody telephones him by mistake
	})
	t.Run("who lives elsewhere cannot be telephoned by mistake", func(t *testing.T) {
		r, a := household()
		r.Subjects[absent].Facts |= policy.AllegedPerpetrator
		d := decide(t, r, a)
		expect(t, d, strip, policy.PerpetratorNamed)
		wentWithout(t, r, d, absent)
	})
	t.Run("does not learn through the family where the others are", func(t *testing.T) {
		r, a := household()
		r.Recipient, a.Flows[0].To = family, []transfer.PartnerID{family}
		a.Flows[0].Members = append(a.Flows[0].Members, family)
		r.Subjects[absent].Facts |= policy.AllegedPerpetrator
		r.Rulings = []policy.Ruling{ruled("safeguarding-1", transfer.SafeguardingLead, policy.PerpetratorNamed)}
		d := decide(t, r, a)
		if d.Outcome != strip {
			t.Errorf("it is a %s %v", d.Outcome, codes(d))
		}
		wentWithout(t, r, d, carer, caredFor, child, absent)
	})
	t.Run("who is referred does not learn where the others are", func(t *testing.T) {
		r, a := household()
		r.Subjects[carer].Facts |= policy.AllegedPerpetrator
		r.Rulings = []policy.Ruling{ruled("safeguarding-1", transfer.SafeguardingLead, policy.PerpetratorNamed)}
		wentWithout(t, r, decide(t, r, a), carer, caredFor, child, absent)
	})
}

func TestAnAddressTypedIntoNotesIsNoticedBeforeItLeaves(t *testing.T) {
	notes := items("referral.reason")
	t.Run("where contact details may go, for the record", func(t *testing.T) {
		r, a := household()
		r.Subjects[carer].Noticed = notes
		expect(t, decide(t, r, a), permit, policy.ContactInNotes)
	})
	t.Run("where the notes stay, not at all", func(t *testing.T) {
		r, a := household()
		r.Subjects[carer].Noticed, a.Flows[0].Allowed = notes, a.Flows[0].Allowed.Minus(notes)
		expect(t, decide(t, r, a), strip, policy.ItemNotListed)
	})
	for story, change := range map[string]func(*policy.Request, *agreement.Flow){
		"where the clause lists no way to reach the carer": func(_ *policy.Request, f *agreement.Flow) {
			f.Allowed = f.Allowed.Minus(items("carer.phones", "carer.addresses.lines", "risks.hard_to_find"))
		},
		"where the carer does not let the number go": func(r *policy.Request, _ *agreement.Flow) {
			r.Subjects[carer].Events = append(r.Subjects[carer].Events, said(consent.Refused, naming("contact"), at(noon)))
		},
		"where somebody else may not be found": func(r *policy.Request, _ *agreement.Flow) {
			r.Subjects[absent].Facts |= policy.AddressProtected
		},
	} {
		t.Run(story, func(t *testing.T) {
			r, a := household()
			r.Subjects[carer].Noticed = notes
			change(r, a.Flows[0])
			d := decide(t, r, a)
			if d.Outcome != hold || d.Owner != policy.OwnerSender || codes(d)[len(d.Reasons)-1] != policy.ContactInNotes {
				t.Errorf("it is a %s %v for %s", d.Outcome, codes(d), d.Owner)
			}
		})
	}
}
