package agreement_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

const partnersFile = "herts/partners.yaml"

// rules loads files after some edits, and names what was found: "told", or "unusable (warning)".
func rules(t *testing.T, m fstest.MapFS, edits ...change) string {
	t.Helper()
	for _, e := range edits {
		if e.file == "" {
			e.file = careFile
		}
		edit(t, m, e.file, e.old, e.new)
	}
	_, faults, err := agreement.Load(m, today)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range faults {
		if f.Warning {
			f.Rule += " (warning)"
		}
		found = append(found, f.Rule)
	}
	return strings.Join(found, ", ")
}

// change is one edit, of the agreement unless a file is given.
type change struct{ old, new, file string }

// A rule that finds too much is as bad as one that finds too little: people stop reading.
func TestWhatIsInOrder(t *testing.T) {
	const (
		basis   = "      article6: f\n      lia: LIA-1\n      per_party:\n        shire-council: {article6: e, statute: Care Act 2014 s.10}\n"
		contact = "        allowed: [carer.name.family, carer.phones]\n"
		council = "  - {partner: shire-council, role: controller, direction: receives}\n"
		clause  = "    purpose: carers-assessment\n    delivery: push\n"
	)
	public := func(statute string) change {
		return change{old: basis, new: "      article6: e\n      statute: " + statute + "\n"}
	}
	functions := change{file: partnersFile, old: "    people:\n      - {id: worker-1", new: "    functions: [Care Act 2014 s.67]\n    people:\n      - {id: worker-1"}
	green := change{old: "    from: [red-house, green-house]\n", new: "    from: green-house\n"}
	research := []change{
		{old: "  carers-assessment:\n", new: "  research:\n"}, {old: "    purpose: carers-assessment\n", new: "    purpose: research\n"},
	}
	for _, test := range []struct {
		story string
		edits []change
		want  string
	}{
		{"as it is", nil, ""},
		{"a charity has a public task where the law has given it a function", []change{public("Care Act 2014 s.67"), functions, green}, ""},
		{"and by a subsection of that law", []change{public("Care Act 2014 s.67(2)"), functions, green}, ""},
		{"but not by the next section", []change{public("Care Act 2014 s.670"), functions, green}, "basis-not-available"},
		{"nor without a function", []change{public("Care Act 2014 s.67"), green}, "basis-not-available"},
		{"a processor stands on the basis of whom it works for", []change{
			public("Care Act 2014 s.10"), functions, {old: green.old, new: "    from: shire-council\n"}, {old: "    to: shire-council\n", new: "    to: green-house\n"},
			{old: "  - {partner: green-house, role: controller, direction: both}\n", new: "  - {partner: green-house, role: processor, direction: both}\n"},
			{old: council, new: "  - {partner: shire-council, role: controller, direction: discloses}\n"},
			{old: "        scopes: [inbox:read]\n", new: "        scopes: [referrals:send]\n", file: partnersFile},
		}, ""},
		{"people at home are under no article", []change{
			public("Care Act 2014 s.67"), functions, green, {old: "    kind: council\n", new: "    kind: individuals\n", file: partnersFile},
		}, ""},
		{"research on nobody in particular", append([]change{{old: contact, new: "        allowed: [carer.gender, carer.employment_status]\n" +
			"        transformed: {carer.date_of_birth: year, carer.addresses.postcode: outward-postcode, carer.nhs_number: pseudonym}\n"}}, research...), ""},
		{"research on people who can be told apart", research, "opt-out-missing"},
		{"with a word of the opt-out", append([]change{{old: "    aim: To have the carer assessed.\n", new: "    aim: To learn.\n    opt_out: The list is checked.\n"}}, research...), ""},
		{"research that is care", append([]change{{old: "    aim: To have the carer assessed.\n", new: "    aim: To learn.\n    beyond_care: false\n"}}, research...), ""},
		{"an assessment that is beyond care", []change{{old: "    aim: To have the carer assessed.\n", new: "    aim: To count.\n    beyond_care: true\n"}}, "opt-out-missing"},
		{"documents where they are allowed", []change{{old: clause, new: clause + "    attachments: reviewed\n"},
			{old: contact, new: "        allowed: [carer.name.family, referral.attachments]\n"},
			{old: "      lia: LIA-1\n", new: "      lia: LIA-1\n      article9: h\n      schedule1: para 2\n"}}, ""},
		{"days to object, of people who are told", []change{{old: clause, new: clause + "    told: true\n    objection: 28d\n"}}, ""},
		{"one of several cannot collect", []change{{old: "        scopes: [referrals:send, inbox:read]\n    people:\n      - {id: dpl-1", new: "        scopes: [referrals:send]\n    people:\n      - {id: dpl-1", file: partnersFile}},
			"unusable (warning)"},
		{"one of several has a successor", []change{{old: "    people:\n      - {id: worker-1", new: "    successor: red-house\n    people:\n      - {id: worker-1", file: partnersFile}},
			"unusable (warning), unusable (warning), unusable (warning)"},
		{"whoever looks needs no inbox", []change{{old: "        scopes: [inbox:read]\n", new: "        scopes: [log:read]\n", file: partnersFile},
			{old: "    delivery: push\n", new: "    delivery: access\n"}}, ""},
		{"what is only looked at is not kept", []change{{old: "  - period: 4y\n", new: "  - items: care\n    period: 4y\n"}, {old: "    delivery: push\n", new: "    delivery: access\n"}}, ""},
		{"what is sent is", []change{{old: "  - period: 4y\n", new: "  - items: care\n    period: 4y\n"}}, "retention-missing"},
	} {
		if got := rules(t, files(t), test.edits...); got != test.want {
			t.Errorf("%s: %q, want %q", test.story, got, test.want)
		}
	}
}

// Two papers about the same sharing have to agree on how; but not every two that look alike are about the same.
func TestContradictions(t *testing.T) {
	const other = "herts/agreements/other.v1.yaml"
	ground := change{file: other, old: "      article6: f\n      lia: LIA-1\n", new: "      article6: a\n"}
	when := func(file, condition string) change {
		return change{file: file, old: "    purpose: carers-assessment\n    delivery: push\n", new: "    purpose: carers-assessment\n    when: " + condition + "\n    otherwise: No.\n    delivery: push\n"}
	}
	for _, test := range []struct {
		story string
		edits []change
		want  string
	}{
		{"the same twice", nil, ""},
		{"on other ground", []change{ground}, "contradiction"},
		{"to look at, and as a copy", []change{{file: other, old: "    delivery: push\n", new: "    delivery: access\n"}}, "contradiction"},
		{"only on demand, and always", []change{
			{file: careFile, old: "      article6: f\n      lia: LIA-1\n", new: "      article6: c\n      statute: Children Act 1989 s.47\n"},
			{file: other, old: "      article6: f\n      lia: LIA-1\n", new: "      article6: c\n      statute: Children Act 1989 s.47\n"},
			{file: other, old: "    delivery: push\n", new: "    delivery: push\n    compelled: true\n"},
		}, "contradiction"},
		{"one is over", []change{ground, {file: other, old: "status: active", new: "status: terminated"}}, ""},
		{"one comes after the other", []change{ground, {file: other, old: "starts: 2026-01-01", new: "starts: 2029-01-01"},
			{file: other, old: "ends: 2028-12-31\nreview_by: 2027-06-30\n", new: "ends: 2030-12-31\nreview_by: 2030-06-30\n"},
			{file: other, old: "  ends: 2028-12-31\nparties", new: "  ends: 2030-12-31\nparties"}}, ""},
		{"one takes the place of the other", []change{ground, {file: other, old: "lead: red-house\n", new: "lead: red-house\nsupersedes: care@1\n"}}, ""},
		{"for another service", []change{ground, {file: other, old: "    purpose: carers-assessment\n    delivery: push\n", new: "    purpose: carers-assessment\n    service: care\n    delivery: push\n"}}, ""},
		{"each on a condition of its own", []change{ground, when(careFile, `referral.urgency == "urgent"`), when(other, `referral.urgency != "urgent"`)}, ""},
		{"both on one condition", []change{ground, when(careFile, `referral.urgency == "urgent"`), when(other, `referral.urgency == "urgent"`)}, "contradiction"},
		{"one on a condition", []change{ground, when(other, `referral.urgency == "urgent"`)}, "contradiction"},
	} {
		m := files(t)
		m[other] = m[careFile]
		edit(t, m, other, "agreement: care", "agreement: other")
		if got := rules(t, m, test.edits...); got != test.want {
			t.Errorf("%s: %q, want %q", test.story, got, test.want)
		}
	}
}

// A wildcard reaches ordinary items only: somebody has to have named the others.
func TestWildcardsReachOrdinaryItemsOnly(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "        allowed: [carer.name.family, carer.phones]\n", "        allowed: [carer.*, referral.*, risks.*]\n")
	f := loaded(t, m).Candidates("red-house", "shire-council")[0]
	for i := range f.Allowed.All() {
		if item := f.Contract.Items[i]; !item.Directive && (item.Special || item.Offence || item.FreeText || item.Attachment) {
			t.Errorf("%s goes", item.Name)
		}
	}
	if smoking, _ := f.Contract.Lookup("risks.smoking"); !f.Allowed.Has(smoking.Index) {
		t.Error("an ordinary item stays")
	}
}

// Where nobody can tell who somebody is, nothing goes along that was written about how to treat them.
func TestNotesStayBehindInResearch(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "  carers-assessment:\n", "  research:\n")
	edit(t, m, careFile, "    purpose: carers-assessment\n", "    purpose: research\n")
	edit(t, m, careFile, "[carer.name.family, carer.phones]", "[carer.gender]")
	f := loaded(t, m).Candidates("red-house", "shire-council")[0]
	notes, _ := f.Contract.Lookup("carer.safe_contact_notes")
	safe, _ := f.Contract.Lookup("carer.safe_to_contact")
	if f.Allowed.Has(notes.Index) || !f.Allowed.Has(safe.Index) || !f.Secondary {
		t.Errorf("goes: %v, beyond care: %v", itemNames(f, f.Allowed), f.Secondary)
	}
}

// Every key of a clause arrives in what decisions go by.
func TestCompiledKeys(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "    purpose: carers-assessment\n    delivery: push\n", `    purpose: carers-assessment
    delivery: access
    free_text: reviewed
    attachments: true
    told: true
    objection: 2w
`)
	edit(t, m, careFile, "    service: care\n", "    service: care\n    onward: {to: [houses, shire-council], purposes: [advocacy]}\n")
	edit(t, m, partnersFile, "    dspt: {status: standards-met, expires: 2027-06-30}", `    successor: red-house
    profile: {special_on_legal_grounds: true, parent_below: 16}
    dspt: {status: standards-exceeded, expires: 2027-06-30}
    people: [{id: dpl-1, office: Data Protection Officer, roles: [dpl, safeguarding-lead]}]
    functions: [Care Act 2014 s.67]`)
	x := loaded(t, m)
	f := x.Candidates("red-house", "shire-council")[0]
	if !f.AccessOnly || f.Push || f.FreeText != agreement.Reviewed || f.Attachments != agreement.Always || !f.Told || f.Objection.Hours() != 14*24 {
		t.Errorf("compiled %+v", f)
	}
	o := x.Candidates("red-house", "green-house")[0].Onward
	if len(o.To) != 3 || o.To[2] != "shire-council" || len(o.Purposes) != 1 || o.Purposes[0] != "advocacy" {
		t.Errorf("onward %+v", o)
	}
	p, _ := x.Partner("shire-council")
	if p.Successor != "red-house" || p.Profile != (transfer.Profile{SpecialOnLegalGrounds: true, ParentBelow: 16}) ||
		p.DSPT != (transfer.DSPT{Status: "standards-exceeded", Expires: "2027-06-30"}) || len(p.Functions) != 1 ||
		len(p.People) != 1 || p.People[0].Roles[1] != transfer.SafeguardingLead {
		t.Errorf("compiled %+v", p)
	}
}

// Counts are blurred whether or not somebody has thought of writing so at the item.
func TestFiguresAreBlurred(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "    messages: referral/1\n    purpose: carers-assessment\n    delivery: push\n    items:\n      carer:\n        allowed: [carer.name.family, carer.phones]\n",
		"    messages: aggregate/1\n    purpose: carers-assessment\n    delivery: push\n    figures: {below: 5, round: 5}\n    items:\n      nobody:\n        allowed: [report.title, report.measures]\n")
	f := loaded(t, m).Candidates("red-house", "shire-council")[0]
	measures, _ := f.Contract.Lookup("report.measures")
	if f.Figures != (agreement.Figures{Below: 5, Round: 5}) || f.Transform[measures.Index] != contracts.SmallNumbers || len(f.Transform) != 1 {
		t.Errorf("figures %+v, transforms %v", f.Figures, f.Transform)
	}
}
