package agreement_test

import (
	"flag"
	"strings"
	"testing"

	"referralhub/hub/agreement"
)

var update = flag.Bool("update", false, "write the golden files")

// What a trustee is asked to sign, word for word.
func TestExplain(t *testing.T) {
	const golden = "testdata/explain/care.txt"
	m := files(t)
	edit(t, m, careFile, "    delivery: collect\n    items: care\n", "    delivery: collect\n    free_text: true\n    items: care\n")
	edit(t, m, careFile, "carer.condition, carer.phones]\n", "carer.condition, carer.phones, referral.reason]\n")
	m["herts/agreements/care.v2.yaml"] = m[careFile]
	edit(t, m, "herts/agreements/care.v2.yaml", "version: 1", "version: 2")
	edit(t, m, "herts/agreements/care.v2.yaml", "starts: 2026-01-01", "starts: 2027-01-01")
	x := loaded(t, m)
	a, _ := x.Agreement("care", 1)
	got := agreement.Explain(a, x)
	compare(t, golden, got)
}

// Each key that makes a clause stricter is a sentence of the page.
func TestLimitsInEnglish(t *testing.T) {
	for _, test := range []struct{ story, keys, want string }{
		{
			"a condition", "    when: has(carer.magazine) && has(carer.magazine.post) && carer.magazine.post\n    otherwise: Telephone the carer.\n",
			"It applies only where carer magazine post is true (written as: has(carer.magazine) && has(carer.magazine.post) && carer.magazine.post). Elsewhere: Telephone the carer.",
		},
		{
			"one of several", "    when: advocacy.type in [\"imca\", \"imha\"] || !has(advocacy.type)\n    otherwise: No.\n",
			"It applies only where advocacy type is imca or imha or advocacy type is not said (written as:",
		},
		{
			"somebody", "    when: cared_for.exists(p, \"dementia\" in p.condition && !p.lives_with_carer)\n    otherwise: No.\n",
			"It applies only where for at least one of cared for (dementia is among condition and lives with carer is not true) (written as:",
		},
		{
			"everybody", "    when: size(cared_for) >= 1 && cared_for.all(p, has(p.condition)) && !(purpose == \"advocacy\" || sender != \"red-house\")\n    otherwise: No.\n",
			"It applies only where the number of cared for is at least 1 and for every one of cared for condition is said and " +
				"it is not the case that (purpose is advocacy or sender is not red-house) (written as:",
		},
		{"told", "    told: true\n", "It goes only where the person was told of this sharing."},
		{"objection", "    told: true\n    objection: 4w\n", "Nothing goes before the person has had 28 days to object, from the day they were told."},
		{"free text", "    free_text: reviewed\n", "What people have written freely goes once somebody at the sender has read it."},
		{"attachments", "    attachments: reviewed\n", "Documents go once somebody at the sender has read them."},
		{"nobody else", "", "The recipient may pass it on to nobody."},
		{"somebody else", "    onward: {to: [shire-council]}\n", "The recipient may pass it on to Shire County Council, for the same purpose."},
		{"for something else", "    onward: {to: [shire-council], purposes: [carers-assessment]}\n", "The recipient may pass it on to Shire County Council, for carers-assessment."},
	} {
		m := files(t)
		edit(t, m, careFile, "    service: care\n", "    service: care\n"+test.keys)
		x := loaded(t, m)
		page := agreement.ExplainFlow(x.Candidates("red-house", "green-house")[0], x)
		if !strings.Contains(strings.Join(strings.Fields(page), " "), test.want) {
			t.Errorf("%s: %q is not in\n%s", test.story, test.want, page)
		}
	}
}

// So are the kinds of clause that let less go than a copy of what somebody wrote.
func TestOtherClausesInEnglish(t *testing.T) {
	const figures = `    messages: aggregate/1
    purpose: carers-assessment
    delivery: collect
    figures: {below: 5, round: 5}
    items:
      nobody:
        allowed: [report.title, report.measures]
`
	clause := "    messages: referral/1\n    purpose: carers-assessment\n    delivery: push\n    items:\n      carer:\n        allowed: [carer.name.family, carer.phones]\n"
	for _, test := range []struct{ story, old, new, want string }{
		{"figures", clause, figures, "Counts of people under 5 are suppressed. Others are rounded to the nearest 5. - The recipient may pass it on to nobody. " +
			"About nobody in particular: figures about many people: - report: title, measures [small counts suppressed, the others rounded]."},
		{"a look", "    delivery: push\n", "    delivery: access\n", "The recipient may look at it under its contract, and gets no copy: nothing is sent. About the carer:"},
	} {
		m := files(t)
		edit(t, m, careFile, test.old, test.new)
		x := loaded(t, m)
		page := agreement.ExplainFlow(x.Candidates("red-house", "shire-council")[0], x)
		if !strings.Contains(strings.Join(strings.Fields(page), " "), test.want) {
			t.Errorf("%s: %q is not in\n%s", test.story, test.want, page)
		}
	}
	m := files(t)
	edit(t, m, careFile, "      article6: f\n      lia: LIA-1\n", "      article6: c\n      statute: Children Act 1989 s.47\n")
	edit(t, m, careFile, "    delivery: push\n", "    delivery: push\n    compelled: true\n")
	x := loaded(t, m)
	page := agreement.ExplainFlow(x.Candidates("red-house", "shire-council")[0], x)
	if want := "It goes only where an order or a law demands it, and no more of it than is demanded."; !strings.Contains(strings.Join(strings.Fields(page), " "), want) {
		t.Errorf("%q is not in\n%s", want, page)
	}
}
