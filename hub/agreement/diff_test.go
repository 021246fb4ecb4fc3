package agreement_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"referralhub/hub/agreement"
)

// next gives the agreement of the stories and its next version, in which something was edited.
func next(t testing.TB, edits ...string) (a, b *agreement.Agreement) {
	t.Helper()
	const second = "herts/agreements/care.v2.yaml"
	m := files(t)
	m[second] = m[careFile]
	edit(t, m, second, "version: 1", "version: 2")
	for pair := range slices.Chunk(edits, 2) {
		edit(t, m, second, pair[0], pair[1])
	}
	x := loaded(t, m)
	a, _ = x.Agreement("care", 1)
	b, _ = x.Agreement("care", 2)
	return a, b
}

// A lead who is asked to sign the next version reads what it would change, and for whom.
func TestDiff(t *testing.T) {
	const (
		houses  = "green-house, red-house -> green-house, red-house, for referral.service in care (referral/1)\n"
		council = "green-house, red-house -> shire-council, for carers-assessment (referral/1)\n"
	)
	for _, test := range []struct {
		story string
		edits []string
		want  string
	}{
		{"nothing", nil, "Nothing changes.\n"},
		{
			"the council gets the e-mail address in place of the telephone number",
			[]string{"[carer.name.family, carer.phones]", "[carer.name.family, carer.email]"},
			council + "  - carer.phones stops flowing\n  + carer.email newly flows\n",
		},
		{
			"an item goes as less than it says",
			[]string{"{carer.date_of_birth: year}", "{carer.date_of_birth: year, carer.addresses.postcode: outward-postcode}", "carer.condition, carer.phones]", "carer.phones]"},
			houses + "  - carer.condition stops flowing\n  + carer.addresses.postcode newly flows: the first half only\n",
		},
		{
			"an item that could be left out is required, and one goes whole",
			[]string{"required: [carer.name.family]", "required: [carer.name.family, carer.phones]", "      transformed: {carer.date_of_birth: year}\n", "",
				"carer.condition, carer.phones]", "carer.condition, carer.date_of_birth]"},
			houses + "  ~ carer.date_of_birth: as it is (was the year only)\n  ~ carer.phones: as it is, always (was as it is)\n",
		},
		{
			"it stands on other ground",
			[]string{"article6: f\n      lia: LIA-1", "article6: a"},
			council + "  ~ basis: the person's consent (Art 6(1)(a) UK GDPR) (was legitimate interests (Art 6(1)(f) UK GDPR), weighed in LIA-1)\n",
		},
		{
			"it becomes stricter",
			[]string{"purpose: carers-assessment\n    delivery: push", `purpose: carers-assessment
    delivery: collect
    when: referral.urgency == "urgent"
    otherwise: Ask the carer to telephone the council.
    told: true
    objection: 2w`},
			council + `  ~ delivery: collect (was push)
  ~ condition: referral.urgency == "urgent"; otherwise: Ask the carer to telephone the council. (was not said)
  ~ only where the person was told: yes (was not said)
  ~ days to object: 14 days (was not said)
`,
		},
		{
			"it may be passed on",
			[]string{"    service: care\n", "    service: care\n    onward: {to: [shire-council], purposes: [carers-assessment]}\n"},
			houses + "  ~ onward: to shire-council, for carers-assessment (was not said)\n",
		},
		{
			"it runs longer, on a longer contract, and is kept for less long",
			[]string{"ends: 2028-12-31\nreview_by", "ends: 2029-12-31\nreview_by", "  ends: 2028-12-31\nparties", "  ends: 2030-12-31\nparties", "period: 4y", "period: 1y"},
			`The agreement
  ~ ends: 31 December 2029 (was 31 December 2028)
  ~ contract ends: 31 December 2030 (was 31 December 2028)
  ~ retention of everything: 1 year from the last entry about the person, then deleted (was 4 years from the last entry about the person, then deleted)
`,
		},
		{
			"only one house sends to the council",
			[]string{"from: [red-house, green-house]", "from: red-house"},
			"green-house -> shire-council, for carers-assessment (referral/1)\n" + gone,
		},
		{
			"a clause has a new name and says the same",
			[]string{"id: assess", "id: assessment"},
			"Nothing changes.\n",
		},
	} {
		t.Run(test.story, func(t *testing.T) {
			if diff := cmp.Diff(test.want, agreement.DiffText(agreement.Diff(next(t, test.edits...)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// gone is what green-house no longer sends to the council: every directive among it, because there is nobody left whom to treat with care.
const gone = `  - referral.may_contact_other_agencies stops flowing
  - carer.name.family stops flowing
  - carer.address_protected stops flowing
  - carer.phones stops flowing
  - carer.safe_to_contact stops flowing
  - carer.contact_prohibited stops flowing
  - carer.leave_message stops flowing
  - carer.safe_contact_notes stops flowing
  - carer.may_tell_family stops flowing
  - risks.two_person_visit stops flowing
  - young_carer.may_contact_school stops flowing
  - young_carer.do_not_contact_parent stops flowing
  ~ basis: no longer said (was legitimate interests (Art 6(1)(f) UK GDPR), weighed in LIA-1)
  ~ delivery: no longer said (was push)
`

// Whatever was edited, what one way newly flows stops flowing the other way.
func TestDiffIsSymmetric(t *testing.T) {
	all := []string{"carer.name.given", "carer.phones", "carer.email", "carer.gender", "carer.employment_status", "carer.pronouns"}
	rapid.Check(t, func(r *rapid.T) {
		items := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, len(all), rapid.ID[string]).Draw(r, "items")
		a, b := next(t, "[carer.name.family, carer.phones]", "["+strings.Join(items, ", ")+"]")
		flipped := map[agreement.Effect]agreement.Effect{
			agreement.NewlyFlows: agreement.StopsFlowing, agreement.StopsFlowing: agreement.NewlyFlows, agreement.Altered: agreement.Altered,
		}
		back := make(map[agreement.Difference]bool)
		for _, d := range agreement.Diff(b, a) {
			back[d] = true
		}
		there := agreement.Diff(a, b)
		for _, d := range there {
			if !back[agreement.Difference{Route: d.Route, Effect: flipped[d.Effect], What: d.What, Before: d.After, After: d.Before}] {
				r.Fatalf("%+v has no counterpart", d)
			}
		}
		if len(there) != len(back) {
			r.Fatalf("%d differences one way, %d the other", len(there), len(back))
		}
	})
}

// An agreement that did not exist lets everything newly flow, and giving it up stops it.
func TestDiffWithNothing(t *testing.T) {
	a, _ := next(t)
	flows := func(diffs []agreement.Difference, c agreement.Effect) (n int) {
		for _, d := range diffs {
			if d.Effect == c {
				n++
			}
		}
		return n
	}
	born, ended := agreement.Diff(nil, a), agreement.Diff(a, nil)
	n := flows(born, agreement.NewlyFlows)
	if n == 0 || n != flows(ended, agreement.StopsFlowing) || flows(born, agreement.StopsFlowing) != 0 {
		t.Errorf("%d newly flow, %d stop", n, flows(ended, agreement.StopsFlowing))
	}
}
