package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/hub/agreement"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

func obligations(d policy.Decision) []string {
	var out []string
	for _, o := range d.Obligations {
		out = append(out, o.Code)
	}
	slices.Sort(out)
	return out
}

func TestWhatComesWithEveryPermit(t *testing.T) {
	usual := []string{"confirm", "inform", "log", "no-onward-sharing", "register-recipient", "stamp"}
	d := decide(t, agreed(), hertswise())
	if diff := cmp.Diff(usual, obligations(d)); diff != "" {
		t.Errorf("obligations (-want +got):\n%s", diff)
	}
	if o := obligation(t, d, "inform"); o.Who != "recipient" || !o.By.Equal(endOf("2026-12-21")) {
		t.Errorf("the person is told by the %s until %s", o.Who, o.By)
	}
	for _, o := range d.Obligations {
		if o.Detail == "" || o.Source == "" || o.Who != "hub" && o.Who != "sender" && o.Who != "recipient" {
			t.Errorf("an obligation that says too little: %+v", o)
		}
	}
	if d := decide(t, refer(), hertswise()); d.Obligations != nil {
		t.Errorf("a %s obliges to %v", d.Outcome, obligations(d))
	}
}

func TestANoticeIsDueWithinAMonth(t *testing.T) {
	for from, want := range map[string]string{"2026-01-31": "2026-02-28", "2026-11-30": "2026-12-30", "2025-12-31": "2026-01-31"} {
		r := agreed()
		r.At, _ = time.Parse(time.DateOnly, from)
		r.At = r.At.Add(12 * time.Hour)
		r.Subjects[0].Events[0].At = r.At
		a := hertswise()
		a.Starts, a.ReviewBy = r.At.Add(-day), r.At.Add(day)
		if o := obligation(t, decide(t, r, a), "inform"); !o.By.Equal(endOf(want)) {
			t.Errorf("from %s on it is due %s", from, o.By)
		}
	}
}

func TestObligationsFollowFromTheCase(t *testing.T) {
	for _, tt := range []struct {
		story  string
		change func(*policy.Request, *agreement.Flow)
		has    string
		not    string
	}{
		{"not told, for safety", func(r *policy.Request, _ *agreement.Flow) { r.Undertaking.NotInformed = "safety" }, "do-not-inform", "inform"},
		{"a law compels", func(r *policy.Request, f *agreement.Flow) { f.Basis = agreement.Basis{Article6: "c", Article9: "a"} }, "notify-dpl", ""},
		{"an address that is protected", func(r *policy.Request, _ *agreement.Flow) { r.Subjects[0].Facts |= policy.AddressProtected }, "protect", ""},
		{"a person who must not be contacted", func(r *policy.Request, _ *agreement.Flow) { r.Subjects[0].Facts |= policy.ContactProhibited }, "protect", ""},
		{"a parent who must not hear of it", func(r *policy.Request, _ *agreement.Flow) {
			r.Subjects[0].Facts = policy.UnderSixteen | policy.GillickCompetent | policy.ParentConflict
			r.Rulings = []policy.Ruling{ruled("safeguarding-1", transfer.SafeguardingLead, policy.ChildParentConflict)}
		}, "do-not-contact-parent", ""},
	} {
		t.Run(tt.story, func(t *testing.T) {
			r, a := agreed(), hertswise()
			tt.change(r, a.Flows[0])
			got := obligations(decide(t, r, a))
			if !slices.Contains(got, tt.has) || slices.Contains(got, tt.not) {
				t.Errorf("it obliges to %v", got)
			}
		})
	}
	r := agreed()
	r.Subjects[0].Facts |= policy.ContactProhibited
	if o := obligation(t, decide(t, r, hertswise()), "inform"); o.Who != "sender" {
		t.Errorf("the %s contacts somebody who must not be contacted", o.Who)
	}
	d := decide(t, urgent(police, claim("crime-report", "dpl-1")))
	obligation(t, d, "tipping-off")
	obligation(t, d, "do-not-inform")
}
