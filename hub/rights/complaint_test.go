package rights_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"referralhub/hub/rights"
	"referralhub/hub/transfer"
)

const csek = transfer.PartnerID("carers-support-east-kent")

// dues lists what is due in a case and not met: "acknowledge 2026-06-23 (notice 001 stage 2)".
func dues(k *rights.Case) []string {
	var out []string
	for _, d := range k.Deadlines {
		if !d.Met {
			out = append(out, d.What+" "+d.By+" ("+d.Source+")")
		}
	}
	slices.Sort(out)
	return out
}

func wants(t *testing.T, k *rights.Case, want ...string) {
	t.Helper()
	if got := dues(k); !slices.Equal(got, want) {
		t.Errorf("due is\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func details(t *testing.T, v any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The worked example of domain.md 10.0, all the way to the chief executive.
func TestAComplaintGoesThroughTheStagesOfTheNotice(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		c.on("2026-06-22")
		k := c.opens(csek, rights.Opening{Type: rights.Complaint, Channel: "telephone", Grounds: []string{"accuracy"}, Identifiers: known(c.somebody())})
		if k.Stage != rights.Formal {
			t.Fatalf("it begins %q", k.Stage)
		}
		wants(t, k, "acknowledge 2026-06-23 (notice 001 stage 2)", "acknowledge 2026-06-25 (notice 001 s.3.5)", "acknowledge 2026-07-21 (DPA 2018 s.164A)",
			"end the stage 2026-07-21 (notice 001 stage 2)", "respond 2026-07-06 (notice 001 stage 2)", "respond 2026-07-10 (notice 001 s.3.5)")
		if due := c.leaves()[k.Steps[0].Log.Index].Case.Due; due != "2026-06-23" {
			t.Errorf("the leaf says that something is due on %s, want the earliest", due)
		}
		c.on("2026-06-23")
		k = c.steps(csek, k, rights.StepIn{Step: "acknowledged"})
		_, err := c.triesTo(csek, k, rights.StepIn{Step: "assigned", Details: details(t, map[string]string{"investigator": "nobody"})})
		if err == nil {
			t.Error("somebody who is not on the register investigates")
		}
		k = c.steps(csek, k, rights.StepIn{Step: "assigned", Details: details(t, map[string]string{"investigator": "dpl-1"})})
		wants(t, k, "end the stage 2026-07-21 (notice 001 stage 2)", "respond 2026-07-06 (notice 001 stage 2)", "respond 2026-07-10 (notice 001 s.3.5)")
		c.impossible(csek, k, rights.StepIn{Step: "escalated", Grounds: []string{"dissatisfied"}}, "after an answer in an earlier stage")
		c.on("2026-07-06")
		k = c.steps(csek, k, rights.StepIn{Step: "action-taken", Grounds: []string{"records-corrected", "apologised"}})
		k = c.steps(csek, k, rights.StepIn{Step: "responded", Grounds: []string{"partly-upheld"}})
		wants(t, k, "end the stage 2026-07-21 (notice 001 stage 2)", "reply of the complainant 2026-07-20 (notice 001 stage 2)")
		c.impossible(csek, k, rights.StepIn{Step: "closed"}, "may reply until 2026-07-20")

		c.on("2026-07-15")
		k = c.steps(csek, k, rights.StepIn{Step: "escalated", Grounds: []string{"dissatisfied"}})
		if k.Stage != rights.ChiefExecutive || k.State != rights.Open {
			t.Fatalf("it is %s in stage %q", k.State, k.Stage)
		}
		wants(t, k, "acknowledge 2026-07-16 (notice 001 stage 3)", "end the stage 2026-08-24 (notice 001 stage 3)",
			"say when it will be considered 2026-07-22 (notice 001 stage 3)")
		c.on("2026-07-16")
		k = c.steps(csek, k, rights.StepIn{Step: "acknowledged"})
		k = c.steps(csek, k, rights.StepIn{Step: "consideration-set", Details: details(t, map[string]string{"until": "2026-08-03"})})
		wants(t, k, "consider 2026-08-05 (notice 001 stage 3)", "end the stage 2026-08-24 (notice 001 stage 3)")
		c.on("2026-08-03")
		k = c.steps(csek, k, rights.StepIn{Step: "considered"})
		wants(t, k, "end the stage 2026-08-24 (notice 001 stage 3)", "respond 2026-08-17 (notice 001 stage 3)")
		c.impossible(csek, k, rights.StepIn{Step: "escalated", Grounds: []string{"dissatisfied"}}, "last stage")
		c.on("2026-08-10")
		k = c.steps(csek, k, rights.StepIn{Step: "responded", Grounds: []string{"upheld"}})
		k = c.steps(csek, k, rights.StepIn{Step: "closed"})
		wants(t, k)

		row := rights.Inventory(k)
		want := []string{
			k.Reference, string(csek), "telephone", "2026-06-22", "accuracy", "chief-executive", "2026-06-23", "dpl-1",
			"2026-07-06 records-corrected, apologised", "2026-07-06 partly-upheld; 2026-07-15 escalated: dissatisfied; 2026-08-10 upheld", "", "", "upheld", "2026-08-10",
		}
		if len(row) != len(rights.InventoryColumns()) || !slices.Equal(row, want) {
			t.Errorf("the inventory has\n%q\nwant\n%q", row, want)
		}
		c.audited()
	})
}

func TestAComplaintThatNobodyRepliesToIsTakenForResolved(t *testing.T) {
	c := newCounty(t)
	c.on("2026-06-22")
	k := c.opens(csek, rights.Opening{Type: rights.Complaint})
	k = c.steps(csek, k, rights.StepIn{Step: "responded", Grounds: []string{"not-upheld"}})
	c.on("2026-07-06")
	c.must(c.rights.Sweep(context.Background()))
	if k = c.shows(csek, k.Reference); k.State != rights.Responded {
		t.Fatalf("on the tenth working day it is %s", k.State)
	}
	c.impossible(csek, k, rights.StepIn{Step: "treated-as-resolved"}, "no step")
	c.on("2026-07-07")
	c.must(c.rights.Sweep(context.Background()))
	c.must(c.rights.Sweep(context.Background()))
	k = c.shows(csek, k.Reference)
	if last := k.Steps[len(k.Steps)-1]; k.State != rights.Closed || last.Step != "treated-as-resolved" || last.Person != "" || len(k.Steps) != 3 {
		t.Errorf("after it, %s by %+v", k.State, last)
	}
}

// A reply opens the complaint again, and another answer gives ten more days.
func TestAReplyOpensAComplaintAgain(t *testing.T) {
	c := newCounty(t)
	c.on("2026-06-22")
	k := c.opens(csek, rights.Opening{Type: rights.Complaint})
	k = c.steps(csek, k, rights.StepIn{Step: "responded", Grounds: []string{"not-upheld"}})
	c.on("2026-06-30")
	k = c.steps(csek, k, rights.StepIn{Step: "replied"})
	if k.State != rights.Open {
		t.Fatalf("it is %s", k.State)
	}
	k = c.steps(csek, k, rights.StepIn{Step: "responded", Grounds: []string{"partly-upheld"}})
	wants(t, k, "end the stage 2026-07-21 (notice 001 stage 2)", "reply of the complainant 2026-07-14 (notice 001 stage 2)")
	c.on("2026-07-15")
	c.must(c.rights.Sweep(context.Background()))
	if k = c.shows(csek, k.Reference); k.State != rights.Closed {
		t.Errorf("it is %s", k.State)
	}
}

func TestAnInformalComplaintHasFiveWorkingDays(t *testing.T) {
	c := newCounty(t)
	c.on("2026-12-22") // Christmas and Boxing Day, observed on the 28th, are no working days
	k := c.opens(csek, rights.Opening{Type: rights.Complaint, Stage: rights.Informal, Channel: "in-person"})
	wants(t, k, "acknowledge 2026-12-29 (notice 001 s.3.5)", "acknowledge 2027-01-20 (DPA 2018 s.164A)", "respond 2026-12-31 (notice 001 stage 1)",
		"respond 2027-01-14 (notice 001 s.3.5)")
	k = c.steps(csek, k, rights.StepIn{Step: "escalated", Grounds: []string{"formal-from-the-start"}})
	if k.Stage != rights.Formal {
		t.Errorf("it is in stage %q", k.Stage)
	}
}

// A partner whose notice has no procedure has the statute's thirty days, and a month may end on any day.
func TestEverybodyElseHasTheStatute(t *testing.T) {
	c := newCounty(t)
	c.on("2026-06-22")
	k := c.opens(carersInHerts, rights.Opening{Type: rights.Complaint, Grounds: []string{"sharing"}})
	wants(t, k, "acknowledge 2026-07-21 (DPA 2018 s.164A)")
	c.impossible(carersInHerts, k, rights.StepIn{Step: "escalated", Grounds: []string{"dissatisfied"}}, "has no stages")
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "responded", Grounds: []string{"upheld"}}) // which acknowledges it too
	wants(t, k)
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "reported-to-ico", Details: details(t, map[string]string{"reference": "IC-123456-A1B2"})})
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "required-by-ico", Grounds: []string{"apologise"}})
	k = c.steps(carersInHerts, k, rights.StepIn{Step: "satisfied"})
	if row := strings.Join(rights.Inventory(k), "|"); !strings.Contains(row, "|IC-123456-A1B2|2026-06-22 apologise|upheld|2026-06-22") {
		t.Errorf("the inventory has %s", row)
	}
}

func TestADelayIsToldWithAnEstimate(t *testing.T) {
	c := newCounty(t)
	c.on("2026-06-22")
	k := c.opens(csek, rights.Opening{Type: rights.Complaint})
	_, err := c.triesTo(csek, k, rights.StepIn{Step: "delay-notified"})
	c.invalid(err, "/details/until")
	k = c.steps(csek, k, rights.StepIn{Step: "delay-notified", Details: details(t, map[string]string{"until": "2026-07-31"})})
	if got := dues(k); !slices.Contains(got, "respond, as estimated 2026-07-31 (notice 001 s.3.5)") || slices.Contains(got, "respond 2026-07-10 (notice 001 s.3.5)") {
		t.Errorf("due is %q", got)
	}
}

func TestWhoMayRefuseAComplaintAndWhy(t *testing.T) {
	c := newCounty(t)
	k := c.opens(csek, rights.Opening{Type: rights.Complaint})
	_, err := c.triesTo(csek, k, rights.StepIn{Step: "refused", Grounds: []string{"vexatious"}})
	c.invalid(err, "/grounds")
	c.impossible(csek, k, rights.StepIn{Step: "not-pursued", Grounds: []string{"not-enough-information"}}, "only an anonymous complaint")
	if _, err := c.triesTo(csek, k, rights.StepIn{Step: "refused", Person: "caseworker-1", Grounds: []string{"vexatious", "next-step-weighed"}}); err == nil {
		t.Error("a caseworker refuses a complaint")
	}
	k = c.steps(csek, k, rights.StepIn{Step: "refused", Grounds: []string{"vexatious", "next-step-weighed"}})
	if k.State != rights.Refused {
		t.Errorf("it is %s", k.State)
	}
	anonymous := c.opens(csek, rights.Opening{Type: rights.Complaint, Grounds: []string{"anonymous", "security"}})
	anonymous = c.steps(csek, anonymous, rights.StepIn{Step: "referred-to-trustees", Grounds: []string{"serious"}})
	anonymous = c.steps(csek, anonymous, rights.StepIn{Step: "not-pursued", Grounds: []string{"not-enough-information"}})
	if row := rights.Inventory(anonymous); !slices.Contains(row, "not-enough-information") {
		t.Errorf("an anonymous complaint is recorded all the same, and the inventory has %q", row)
	}
}

// Rule 001-37: from the day on which a complaint is established to have been a breach, hours run.
func TestABreachFoundInAComplaintIsAnIncident(t *testing.T) {
	c := newCounty(t)
	c.on("2026-06-26") // Friday, at ten
	k := c.opens(csek, rights.Opening{Type: rights.Complaint, Identifiers: known(c.somebody())})
	c.steps(csek, k, rights.StepIn{Step: "breach-found", Grounds: []string{"wrong-recipient"}})
	found, err := c.rights.Cases(context.Background(), by(csek), rights.Which{Type: rights.Incident, Limit: 10})
	c.must(err)
	if len(found) != 1 || found[0].Of != k.Reference {
		t.Fatalf("incidents are %+v", found)
	}
	wants(t, &found[0], "notify the ICO 2026-06-29T10:00:00Z (Art 33(1) UK GDPR)")
	if others, err := c.rights.Cases(context.Background(), by(carersInHerts), rights.Which{Limit: 10}); err != nil || len(others) != 0 {
		t.Errorf("another partner sees %+v %v", others, err)
	}
	c.audited()
}

func TestAComplaintThatIsNoneIsNotTaken(t *testing.T) {
	c := newCounty(t)
	for pointer, o := range map[string]rights.Opening{
		"/stage":   {Stage: "chief-executive"},
		"/grounds": {Grounds: []string{"he said that she said"}},
		"/scope":   {Scope: details(t, map[string]string{"words": "about somebody"})},
	} {
		o.Type = rights.Complaint
		_, err := c.tries(csek, o)
		c.invalid(err, pointer)
	}
	_, err := c.tries(carersInHerts, rights.Opening{Type: rights.Complaint, Stage: rights.Formal})
	c.invalid(err, "/stage")
	k := c.opens(csek, rights.Opening{Type: rights.Complaint})
	for _, in := range []rights.StepIn{
		{Step: "acknowledged", Details: details(t, map[string]string{"note": "Mrs Example called"})},
		{Step: "reported-to-ico", Details: details(t, map[string]string{"reference": "IC-1", "note": "Mrs Example called"})},
	} {
		_, err := c.triesTo(csek, k, in)
		c.invalid(err, "/details")
	}
	_, err = c.triesTo(csek, k, rights.StepIn{Step: "reported-to-ico", Details: details(t, map[string]string{"reference": "Mrs Example"})})
	c.invalid(err, "/details/reference")
}

// After a reply the clocks of the answer run again: nobody closes the complaint on the day of the second answer.
func TestASecondAnswerGivesTimeToReply(t *testing.T) {
	c := newCounty(t)
	c.on("2026-06-22")
	k := c.opens(csek, rights.Opening{Type: rights.Complaint})
	k = c.steps(csek, k, rights.StepIn{Step: "responded", Grounds: []string{"not-upheld"}})
	c.on("2026-06-23")
	k = c.steps(csek, k, rights.StepIn{Step: "replied"})
	c.on("2026-07-10") // after the ten days that the first answer gave
	k = c.steps(csek, k, rights.StepIn{Step: "responded", Grounds: []string{"not-upheld"}})
	c.impossible(csek, k, rights.StepIn{Step: "closed"}, "may reply until 2026-07-24")
	c.on("2026-07-24")
	c.must(c.rights.Sweep(context.Background()))
	if k = c.shows(csek, k.Reference); k.State != rights.Responded {
		t.Errorf("on the last day for a reply it is %s", k.State)
	}
}
