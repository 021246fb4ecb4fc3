package policy_test

import (
	"strings"
	"testing"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// register is an index in which one partner is different.
func register(t testing.TB, id transfer.PartnerID, change func(*transfer.Partner), agreements ...*agreement.Agreement) *agreement.Index {
	t.Helper()
	all := partners()
	for i := range all {
		if all[i].ID == id {
			change(&all[i])
		}
	}
	x, err := agreement.NewIndex(all, agreements)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func under(t testing.TB, x *agreement.Index, r *policy.Request) policy.Decision {
	t.Helper()
	d := policy.Decide(x, r)
	check(t, r, &d)
	return d
}

func TestAClauseAppliesWhereItsConditionHolds(t *testing.T) {
	const when = `caring_role.hours_per_week != "0-19"`
	conditional := hertswise(func(f *agreement.Flow) {
		f.When = &agreement.Condition{Source: when, Otherwise: "Carers of fewer than twenty hours are helped by the information line."}
	})
	r := agreed()
	r.Conditions = map[string]bool{when: true}
	expect(t, decide(t, r, conditional), permit)

	r.Conditions = map[string]bool{when: false}
	d := decide(t, r, conditional)
	expect(t, d, refuse, policy.ConditionNotMet)
	if d.Reasons[0].Detail != conditional.Flows[0].When.Otherwise || d.Reasons[0].Clause != "hertswise@1#refer" {
		t.Errorf("the caseworker reads %+v", d.Reasons[0])
	}

	r.Conditions = nil
	d = decide(t, r, conditional)
	expect(t, d, hold, policy.ConditionUnknown)
	if d.Owner != policy.OwnerSender {
		t.Errorf("the hold is %s's", d.Owner)
	}

	// Another clause that applies decides, whatever becomes of this one.
	always := hertswise(func(f *agreement.Flow) { f.Agreement.ID, f.ID = "always", "always@1#refer" })
	for _, known := range []map[string]bool{{when: false}, nil} {
		r.Conditions = known
		d = decide(t, r, conditional, always)
		expect(t, d, permit)
		if d.Agreement.ID != "always" {
			t.Errorf("%s decided", d.Agreement.ID)
		}
	}
}

func TestALookIsNoCopy(t *testing.T) {
	look := func(f *agreement.Flow) { f.AccessOnly = true }
	expect(t, decide(t, agreed(), hertswise(look)), refuse, policy.AccessOnly)
	copies := hertswise(func(f *agreement.Flow) { f.Agreement.ID, f.ID = "copies", "copies@1#refer" })
	expect(t, decide(t, agreed(), hertswise(look), copies), permit)
}

func TestWhatWasReceivedIsPassedOnOnlyWhereThatWasAllowed(t *testing.T) {
	received := hertswise(func(f *agreement.Flow) { f.ID = "navigators@1#refer" }).Flows[0]
	for _, tt := range []struct {
		story  string
		onward agreement.Onward
		goes   bool
	}{
		{"to nobody", agreement.Onward{}, false},
		{"to somebody else", agreement.Onward{To: []transfer.PartnerID{pohwer}}, false},
		{"to the recipient, for its own purpose", agreement.Onward{To: []transfer.PartnerID{pohwer, ageUK}}, true},
		{"to the recipient, for another", agreement.Onward{To: []transfer.PartnerID{ageUK}, Purposes: []transfer.Purpose{"advocacy"}}, false},
		{"to the recipient, for this", agreement.Onward{To: []transfer.PartnerID{ageUK}, Purposes: []transfer.Purpose{"advocacy", "referral.service"}}, true},
	} {
		t.Run(tt.story, func(t *testing.T) {
			flow := *received
			flow.Onward = tt.onward
			r := agreed()
			r.Onward = &policy.Onward{Flow: &flow}
			if d := decide(t, r, hertswise()); tt.goes {
				expect(t, d, permit)
			} else {
				expect(t, d, refuse, policy.OnwardNotAllowed)
			}
		})
	}
	r := agreed()
	r.Onward = &policy.Onward{}
	expect(t, decide(t, r, hertswise()), refuse, policy.OnwardNotAllowed)
}

// P10: when a contract moves to a new provider, people are told first, and what they do not object to goes four weeks later (rule 004-3).
func TestPeopleHaveTimeToObject(t *testing.T) {
	moves := hertswise(func(f *agreement.Flow) { f.Objection = 28 * day })
	r := agreed()
	expect(t, decide(t, r, moves), hold, policy.SubjectNotInformed)
	r.Undertaking.InformedOn = "2026-10-24" // four weeks ago today: the last of the 28 days
	d := decide(t, r, moves)
	expect(t, d, hold, policy.ObjectionWindow)
	if !strings.Contains(d.Reasons[0].Detail, "21 November 2026") || !d.Deadline.Equal(noon.Add(7*day)) {
		t.Errorf("until %s, says %q", d.Deadline, d.Reasons[0].Detail)
	}
	r.Undertaking.InformedOn = "2026-10-23"
	expect(t, decide(t, r, moves), permit)
	r.Undertaking.InformedOn = "2026-11-20"
	if d := decide(t, r, moves); !d.Deadline.Equal(time.Date(2026, 12, 19, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("nobody has to look before the time is over; the deadline is %s", d.Deadline)
	}

	// The last of the days is a whole one, also when the clocks have been put back since.
	r.Undertaking.InformedOn, r.At = "2026-10-10", time.Date(2026, 11, 7, 23, 59, 59, 0, time.UTC)
	r.Subjects[0].Events[0].At = r.At
	expect(t, decide(t, r, moves), hold, policy.ObjectionWindow)
	r.At = r.At.Add(time.Second)
	expect(t, decide(t, r, moves), permit)
}

func TestFreeTextGoesWhenTheClauseSaysSo(t *testing.T) {
	text := items("referral.reason")
	t.Run("never", func(t *testing.T) {
		d := decide(t, agreed(), hertswise(func(f *agreement.Flow) { f.FreeText = agreement.Never }))
		expect(t, d, strip, policy.ItemNotListed)
		went(t, d, 0, carerItems.Minus(text))
	})
	reviewed := hertswise(func(f *agreement.Flow) { f.FreeText = agreement.Reviewed })
	t.Run("once somebody has read it", func(t *testing.T) {
		r := agreed()
		d := decide(t, r, reviewed)
		expect(t, d, hold, policy.NotReviewed)
		if d.Owner != policy.OwnerSender || len(d.Reasons[0].Items) != 1 || d.Reasons[0].Items[0] != "referral.reason" {
			t.Errorf("the hold is %s's, for %v", d.Owner, d.Reasons[0].Items)
		}
		r.Review = &contracts.Review{Person: "somebody", At: "2026-11-21T11:00:00Z"}
		expect(t, decide(t, r, reviewed), hold, policy.NotReviewed)
		r.Review.Person = "caseworker-1"
		expect(t, decide(t, r, reviewed), permit)
	})
	t.Run("and what does not go need not be read", func(t *testing.T) {
		r := agreed()
		r.Subjects[0].Items = r.Subjects[0].Items.Minus(text)
		expect(t, decide(t, r, reviewed), permit)
	})
}

func TestAPartnerThatIsSucceededTakesPartNoLonger(t *testing.T) {
	for _, id := range []transfer.PartnerID{ageUK, cih} {
		x := register(t, id, func(p *transfer.Partner) { p.Successor = pohwer }, hertswise())
		d := under(t, x, agreed())
		expect(t, d, refuse, policy.PartnerSuspended)
		if !strings.Contains(d.Reasons[0].Remedy, string(pohwer)) {
			t.Errorf("nobody is told whom to use: %q", d.Reasons[0].Remedy)
		}
	}
}

func TestALapsedToolkitWarnsAndThenStops(t *testing.T) {
	for expires, want := range map[string]transfer.Outcome{
		"2026-11-21": permit, // its last day is today
		"2026-11-20": permit, // with a warning
		"2026-10-23": permit, // with a warning, 29 days on
		"2026-10-22": permit, // the last of the thirty days is today
		"2026-10-21": refuse,
		"":           refuse,
	} {
		x := register(t, ageUK, func(p *transfer.Partner) { p.DSPT = transfer.DSPT{Status: "standards-met", Expires: expires} }, hertswise())
		d := under(t, x, agreed())
		codes := []policy.Code{policy.DSPTLapsed}
		if expires == "2026-11-21" {
			codes = nil
		}
		t.Run(expires, func(t *testing.T) { expect(t, d, want, codes...) })
	}
	x := register(t, cih, func(p *transfer.Partner) { p.DSPT = transfer.DSPT{Status: "standards-met", Expires: "2020-06-30"} }, hertswise())
	expect(t, under(t, x, agreed()), permit) // it is the recipient who has to keep the data safe
}

func TestACharityWithAStatutoryFunctionHasAPublicTask(t *testing.T) {
	task := hertswise(func(f *agreement.Flow) {
		f.Basis = agreement.Basis{Article6: "e", Article9: "h", Schedule1: "para 2", Statute: "Care Act 2014 s.67"}
	})
	confer := func(function string) *agreement.Index {
		return register(t, cih, func(p *transfer.Partner) { p.Functions = []string{function} }, task)
	}
	expect(t, under(t, confer("Care Act 2014 s.67"), agreed()), permit)
	expect(t, under(t, confer("Care Act 2014 s.10"), agreed()), hold, policy.BasisNotAvailable)
}

// Health and social care is a ground among people who are bound to secrecy (DPA 2018 s.11), and a family is not.
func TestHealthDoesNotGoToPeopleAtHomeOnTheGroundOfCare(t *testing.T) {
	home := hertswise(func(f *agreement.Flow) {
		f.To, f.Purpose, f.Service = []transfer.PartnerID{family}, "family", ""
		f.Basis = agreement.Basis{Article6: "f", LIA: "lia", Article9: "h", Schedule1: "para 2"}
	})
	r := refer()
	r.Recipient, r.Purpose, r.Service = family, "family", ""
	d := decide(t, r, home)
	expect(t, d, strip, policy.Schedule1Mismatch)
	went(t, d, 0, carerItems.Minus(items("carer.condition")))
}
