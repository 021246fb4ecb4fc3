package agreement_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"referralhub/contracts"
	"referralhub/hub/agreement"
)

// when gives the condition of a clause as a file with it is loaded.
func when(t testing.TB, source string) *agreement.Condition {
	t.Helper()
	m := files(t)
	edit(t, m, careFile, "    delivery: collect\n    items: care\n",
		"    delivery: collect\n    when: |\n      "+source+"\n    otherwise: Telephone the carer.\n    items: care\n")
	for _, f := range loaded(t, m).Candidates("red-house", "green-house") {
		return f.When
	}
	t.Fatal("no clause")
	return nil
}

// message reads an example, with some of it replaced.
func message(t testing.TB, name string, replace ...string) *contracts.Document {
	t.Helper()
	body, err := contracts.Example(name)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(replace...).Replace(string(body))
	if len(replace) > 0 && text == string(body) {
		t.Fatalf("%s holds no %s", name, replace[0])
	}
	referral, _ := contracts.For("referral/1")
	doc, err := referral.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// A clause applies where its condition holds. Where the message does not say, the condition is unknown, which is not the same as false.
func TestConditions(t *testing.T) {
	adult, young := message(t, "adult-carer-hertswise"), message(t, "young-carer")
	for _, test := range []struct {
		story, source string
		doc           *contracts.Document
		holds, known  bool
	}{
		{"a word", `referral.type == "professional"`, adult, true, true},
		{"another word", `referral.type == "self"`, adult, false, true},
		{"one of several", `referral.urgency in ["soon", "routine"]`, adult, true, true},
		{"in a list", `"emotional" in caring_role.tasks`, adult, true, true},
		{"of somebody in a list", `cared_for.exists(p, "dementia" in p.condition)`, adult, true, true},
		{"of everybody in a list", `cared_for.all(p, p.lives_with_carer)`, adult, true, true},
		{"how many", `size(cared_for) == 1`, adult, true, true},
		{"an object inside an object", `carer.magazine.post`, adult, true, true},
		{"it is said", `has(young_carer.agrees)`, young, true, true},
		{"it is not said", `has(carer.religion)`, adult, false, true},
		{"a section that the message lacks says nothing", `has(advocacy.type)`, adult, false, true},
		{"an object that the message lacks says nothing", `has(carer.magazine.post)`, young, false, true},
		{"a list that the message lacks is of nobody", `absent_parents.exists(p, p.contact_prohibited)`, adult, false, true},
		{"what the message lacks is unknown", `carer.magazine.post`, young, false, false},
		{"nor is it false", `!carer.magazine.post`, young, false, false},
		{"nor is it what it is not", `advocacy.type != "imca"`, adult, false, false},
		{"unless the rest decides", `carer.magazine.post || has(young_carer.agrees)`, young, true, true},
		{"a number", `young_carer.year_group < 9`, young, true, true},
		{"a day", `referral.made_on >= "2020-01-01"`, adult, true, true},
		{"for what, by whom and to whom", `purpose == "referral.service" && service == "hertswise" && sender == "red-house" && recipient != "red-house"`, adult, true, true},
	} {
		holds, known := when(t, test.source).Eval(test.doc, "red-house", "green-house")
		if holds != test.holds || known != test.known {
			t.Errorf("%s: %s holds %v, known %v", test.story, test.source, holds, known)
		}
	}
}

// There is no way round: whatever a condition makes of who somebody is, or of what somebody wrote, is a fault.
func TestConditionsCannotAskWhoSomebodyIs(t *testing.T) {
	for _, source := range []string{
		`carer.nhs_number == "9994100009"`,
		`dyn(carer).nhs_number == "9994100009"`,
		`has(dyn(carer).nhs_number)`,
		`[carer.nhs_number][0] == "9994100009"`,
		`{carer.nhs_number: true}.size() == 1`,
		`{"x": carer}.x.nhs_number == "9994100009"`,
		`cared_for[size(carer.nhs_number)].lives_with_carer`,
		`has(cared_for[size(carer.nhs_number)].lives_with_carer)`,
		`size(cared_for[size(carer.nhs_number)].condition) == 1`,
		`cared_for[size(carer.nhs_number)].condition.exists(c, c == "dementia")`,
		`cared_for.exists(p, p.name.family == "O'Brien")`,
		`cared_for.filter(p, p.lives_with_carer).exists(p, p.nhs_number == "9994100378")`,
		`dyn(cared_for).exists(p, p.nhs_number == "9994100378")`,
		`cared_for == cared_for`,
		`string(carer.date_of_birth) < "1960"`,
		`size(risks.notes) > 0`,
		`size(referral.attachments) > 0`,
		`referral.reason.contains("refuge")`,
		`carer.addresses.exists(a, a.postcode.startsWith("SG14"))`,
		`carer.phones.exists(p, p.number.startsWith("07"))`,
		`carer.email.matches(".*@example.org") ? true : false`,
	} {
		m := files(t)
		edit(t, m, careFile, "    delivery: collect\n    items: care\n",
			"    delivery: collect\n    when: |\n      "+source+"\n    otherwise: Telephone the carer.\n    items: care\n")
		_, faults, err := agreement.Load(m, today)
		if err != nil || !slices.ContainsFunc(faults, func(f agreement.Fault) bool { return f.Rule == "condition-item" }) {
			t.Errorf("%s: %v %v", source, err, lines(faults))
		}
	}
}

// A fault points at its place in the file, however the condition is quoted there.
func TestFaultsPointIntoTheCondition(t *testing.T) {
	for _, test := range []struct{ written, want string }{
		{`carer.magazin.post`, "58:17"},
		{`"carer.magazin.post"`, "58:18"},
		{`"carer.gender == \"female\" && carer.magazin.post"`, "58:48"},
		{`'carer.gender == ''female'' && carer.magazin.post'`, "58:48"},
		{"|\n      carer.gender == \"female\" &&\n        carer.magazin.post", "60:15"},
		{">- # for post\n      carer.gender == \"female\"\n      && carer.magazin.post", "60:16"},
		{"carer.gender == \"female\"\n      && carer.magazin.post", "59:16"},
		{`size("ß😀") > 0 && carer.magazin.post`, "58:35"},
		{`"\u00df.x || carer.magazin.post"`, "58:12"},
	} {
		m := files(t)
		edit(t, m, careFile, "    delivery: collect\n    items: care\n", "    delivery: collect\n    when: "+test.written+"\n    otherwise: No.\n    items: care\n")
		_, faults, err := agreement.Load(m, today)
		if err != nil || len(faults) == 0 || faults[0].Rule != "condition" || !strings.Contains(faults[0].String(), ":"+test.want+": ") {
			t.Errorf("%s: want %s: %v %v", test.written, test.want, err, lines(faults))
		}
	}
}

// A condition belongs to the contract that it was checked against, and says nothing about a message of another.
func TestConditionOfAnotherContract(t *testing.T) {
	c := when(t, `referral.type == "professional"`)
	doc := message(t, "adult-carer-hertswise")
	other := *doc.Contract
	other.Type = "referral/2"
	doc.Contract = &other
	if _, known := c.Eval(doc, "red-house", "green-house"); known {
		t.Error("it was known")
	}
	if _, known := new(agreement.Condition).Eval(doc, "red-house", "green-house"); known {
		t.Error("a condition that nobody compiled was known")
	}
}

// Names are what they spell, however the sender has written them.
func TestConditionReadsEscapes(t *testing.T) {
	doc := message(t, "adult-carer-hertswise", `"type": "professional"`, `"t\u0079pe": "prof\u0065ssional"`)
	if holds, known := when(t, `referral.type == "professional"`).Eval(doc, "red-house", "green-house"); !holds || !known {
		t.Errorf("holds %v, known %v", holds, known)
	}
}

func BenchmarkCondition(b *testing.B) {
	doc := message(b, "adult-carer-hertswise")
	for _, test := range []struct{ name, source string }{
		{"word", `referral.type == "professional"`},
		{"purpose", `purpose == "advocacy"`},
		{"object", `has(carer.magazine.post) && carer.magazine.post`},
		{"list", `cared_for.exists(p, "dementia" in p.condition)`},
	} {
		c := when(b, test.source)
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, known := c.Eval(doc, "red-house", "green-house"); !known {
					b.Fatal("unknown")
				}
			}
		})
	}
}

// Whatever stands after when:, it is a fault or a condition that can be asked, and never a panic.
func FuzzCondition(f *testing.F) {
	for _, seed := range []string{
		`carer.magazine.post`, `has(advocacy.type) && advocacy.type in ["imca"]`, `cared_for.exists(p, "dementia" in p.condition)`,
		`size(cared_for) > 0 ? purpose == "advocacy" : !(sender != "red-house")`, `cared_for[0].capacity == "lacks"`, `"`, `{}`, `a.b.c(`, `1/0 == 1`,
		`cared_for.map(p, p.lives_with_carer)[0]`, `timestamp("2026-01-01T00:00:00Z") < timestamp("2027-01-01T00:00:00Z")`, `é.ü == "ß"`,
	} {
		f.Add(seed)
	}
	doc := message(f, "adult-carer-hertswise")
	f.Fuzz(func(t *testing.T, source string) {
		quoted, err := json.Marshal(source)
		if err != nil || strings.Contains(source, "\n") {
			t.Skip()
		}
		m := files(t)
		edit(t, m, careFile, "    delivery: collect\n    items: care\n",
			"    delivery: collect\n    when: "+string(quoted)+"\n    otherwise: Telephone the carer.\n    items: care\n")
		x, faults, err := agreement.Load(m, today)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 {
				t.Errorf("%q: %s", source, fault)
			}
		}
		if x == nil {
			return
		}
		for _, clause := range x.Candidates("red-house", "green-house") {
			clause.When.Eval(doc, "red-house", "green-house")
			agreement.ExplainFlow(clause, x)
		}
	})
}
