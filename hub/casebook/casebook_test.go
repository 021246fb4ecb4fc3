package casebook_test

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	sharingagreements "referralhub/sharing-agreements"

	"referralhub/hub/casebook"
	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

var winter = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// What the parties of the agreements say should happen is what the policy decides, and they have said it of every clause.
func TestEveryCaseBesideTheAgreements(t *testing.T) {
	book, faults, err := casebook.Load(sharingagreements.Files, winter)
	if err != nil {
		t.Fatal(err)
	}
	if book == nil {
		t.Fatalf("the agreements or their cases have faults: %v", faults)
	}
	all := book.PlayAll(book.Cases)
	for i := range all {
		if !all[i].Passed() {
			t.Error(written(t, &all[i], false))
		}
	}
	for _, f := range book.Cover(all).Faults {
		t.Error(f)
	}
}

// The example of the package comment is one.
func TestTheExampleOfThePackageComment(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "//\tcases:\n")
	example, _, _ = strings.Cut(example, "\n//\n")
	if p := play(t, strings.ReplaceAll(example, "//\t", "")+"\n"); !p.Passed() {
		t.Error(written(t, &p, false))
	}
}

// county is Hertfordshire with the agreements that are named, and with cases of a test's own.
func county(t *testing.T, cases string, agreements ...string) fstest.MapFS {
	t.Helper()
	root := fstest.MapFS{"hertfordshire/cases/own.cases.yaml": {Data: []byte(cases)}}
	names := []string{"partners.yaml"}
	for _, a := range agreements {
		names = append(names, "agreements/"+a+".v1.yaml")
	}
	for _, name := range names {
		body, err := fs.ReadFile(sharingagreements.Files, "hertfordshire/"+name)
		if err != nil {
			t.Fatal(err)
		}
		root["hertfordshire/"+name] = &fstest.MapFile{Data: body}
	}
	return root
}

// story is a case of Hertswise; more is added to it as a test needs it, indented by four.
func story(name, more string) string {
	return "  - case: " + name + `
    covers: [hertswise@1#refer]
    at: 2026-11-20T10:00:00Z
    from: carers-in-hertfordshire
    to: age-uk-hertfordshire
` + more
}

const (
	maureen = "    message: {like: adult-carer-hertswise, with: {cared_for: null, household: null}}\n"
	agreed  = "    consents:\n      - {by: carers-in-hertfordshire, of: carer, state: given, purpose: referral.service, service: hertswise}\n"
)

// load reads cases that are to be in order.
func load(t *testing.T, stories ...string) *casebook.Book {
	t.Helper()
	book, faults, err := casebook.Load(county(t, "cases:\n"+strings.Join(stories, ""), "hertswise"), winter)
	if err != nil {
		t.Fatal(err)
	}
	if book == nil {
		t.Fatalf("these cases have faults: %v", faults)
	}
	return book
}

// play plays the last of some cases.
func play(t *testing.T, stories ...string) casebook.Played {
	t.Helper()
	book := load(t, stories...)
	p := book.Play(book.Cases[len(book.Cases)-1])
	return p
}

// What comes otherwise than it was expected is said thing by thing.
func TestWhatIsNotAsExpectedIsSaid(t *testing.T) {
	p := play(t, story("Everything is expected wrongly", maureen+agreed+`    expect:
      outcome: permit
      owner: dpl
      items:
        carer: {has: [carer.condition, carer.name.family], not: [carer.phones]}
        cared_for: {all: [cared_for.condition]}
        professional: {all: [referrer.name]}
        professional[1]: {has: [professionals.name, professionals.email]}
      stripped: {carer: [carer.ethnicity, carer.email]}
      reasons: [ITEM_NOT_LISTED, CONSENT_NONE]
      obligations: [sing]
      dataset:
        has: [/carer/name/family, /cared_for/0]
        equals: {/carer/name/given: Margaret, /carer/name/family: O'Brien, /caring_role/people_cared_for: 2, /professionals/0/name/0: x}
`))
	want := []string{
		"outcome: expected permit, came permit-reduced",
		"owner: expected dpl, came nobody",
		"reasons: expected [CONSENT_NONE ITEM_NOT_LISTED], came [CONSENT_NOT_EXPLICIT ITEM_NOT_LISTED]",
		"obligations: expected sing among them, came [log stamp no-onward-sharing confirm inform register-recipient]",
		"items about cared_for: expected and does not go: cared_for.condition",
		"items about carer: expected and does not go: carer.condition",
		"items about carer: must not go and goes: carer.phones",
		"items about professional: not expected and goes: " +
			"referrer.job_title, referrer.organisation, referrer.phone, referrer.email, referrer.relationship",
		"items about professional[1]: expected and does not go: professionals.email",
		"stripped about carer: expected also carer.email",
		"dataset: expected something at /cared_for/0, came nothing",
		`dataset: expected "Margaret" at /carer/name/given, came "Maureen Bríd"`,
		`dataset: expected 2 at /caring_role/people_cared_for, came 1`,
		`dataset: expected "x" at /professionals/0/name/0, came nothing`,
	}
	if diff := cmp.Diff(want, p.Differences); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

// It is said with the place of the case and, for every decision of it, the reasons.
func TestACaseThatFails(t *testing.T) {
	p := play(t, story("The one before", maureen+agreed+"    expect: {outcome: permit}\n"), story("The one that is played", maureen+agreed+
		`    expect: {outcome: refuse, reasons_include: [CONSENT_REFUSED]}
    then:
      - expect: {outcome: hold, reasons: []}
`))
	got := written(t, &p, false)
	for _, want := range []string{
		"FAIL  hertfordshire/cases/own.cases.yaml:11: The one that is played\n",
		"\n      outcome: expected refuse, came permit-reduced\n",
		"\n      reasons: expected CONSENT_REFUSED among them, came [CONSENT_NOT_EXPLICIT ITEM_NOT_LISTED]\n",
		"\n      then, step 1: outcome: expected hold, came permit\n",
		"\n    2026-11-20 10:00  permit-reduced under hertswise@1#refer\n",
		"\n    2026-11-20 10:01  permit under hertswise@1#refer\n",
		"\n      CONSENT_NOT_EXPLICIT (G10, Art 9(2)(a)): There is no explicit consent of the carer",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("nothing says %q in\n%s", want, got)
		}
	}
}

func written(t *testing.T, p *casebook.Played, verbose bool) string {
	t.Helper()
	var text strings.Builder
	if err := p.Write(&text, verbose); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// A case that passes is quiet, and says what was decided when somebody asks.
func TestACaseThatPasses(t *testing.T) {
	p := play(t, story("Maureen agrees", maureen+agreed+"    expect: {outcome: permit-reduced}\n"))
	if quiet := written(t, &p, false); quiet != "" {
		t.Errorf("nobody asked, and it says %q", quiet)
	}
	got := written(t, &p, true)
	for _, want := range []string{
		"ok    hertfordshire/cases/own.cases.yaml:2: Maureen agrees\n",
		"\n      carer goes: referral.type, ", "\n      carer stays: referral.background, ", "\n      professional[1] goes: professionals.name",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("nothing says %q in\n%s", want, got)
		}
	}
}

// The example's own consents do not count: what people have said stands in the case.
func TestAnExampleIsTakenWithoutItsConsents(t *testing.T) {
	doc, err := load(t, story("Nobody was asked", maureen+"    expect: {outcome: permit}\n")).Cases[0].Document()
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Consents) > 0 || doc.Undertaking.AssertedAt != "2026-11-20T10:00:00Z" || doc.Envelope.Recipients[0] != "age-uk-hertfordshire" {
		t.Errorf("it is not sent as the case has it: %d consents, undertaken at %s", len(doc.Consents), doc.Undertaking.AssertedAt)
	}
	p := play(t, story("Nobody was asked", maureen+"    expect: {outcome: hold, reasons_include: [CONSENT_NONE]}\n"))
	if !p.Passed() {
		t.Error(p.Differences)
	}
	p = play(t, story("The message says that she agreed", `    message:
      like: adult-carer-hertswise
      with:
        cared_for: null
        household: null
        consents:
          - subject: {role: carer}
            state: given
            purpose: referral.service
            service: hertswise
            explicit: false
            method: verbal
            authority: self
            at: "2026-11-19T09:00:00Z"
    expect: {outcome: permit-reduced}
`))
	if !p.Passed() {
		t.Error(p.Differences)
	}
}

// Two things that were said without a time were said one after the other, so that the later one counts.
func TestConsentsFollowOneAnother(t *testing.T) {
	refused := "      - {by: carers-in-hertfordshire, of: carer, state: refused, purpose: referral.service}\n"
	given := strings.TrimPrefix(agreed, "    consents:\n")
	for _, tt := range []struct{ said, outcome string }{{given + refused, "refuse"}, {refused + given, "permit-reduced"}} {
		p := play(t, story("Both were said", maureen+"    consents:\n"+tt.said+"    expect: {outcome: "+tt.outcome+", reasons_include: [ITEM_NOT_LISTED]}\n"))
		if !p.Passed() {
			t.Error(p.Differences)
		}
	}
}

// One entry of a list is changed by its place, counted before anything is taken away.
func TestOneEntryOfAListIsChanged(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{
			"/cared_for/0/relationship_to_carer: cousin, /cared_for/0/lives_with_carer: null, /cared_for/1: null",
			"{relationship_to_carer: cousin, condition: [mental-illness, diabetes]}",
		},
		{
			"/cared_for/0: null, /cared_for/1/condition: [cancer, frailty], /cared_for/1/date_of_death: null",
			"{relationship_to_carer: wife, condition: [cancer, frailty]}",
		},
		{"/cared_for/1: null, /cared_for/0: {relationship_to_carer: father}", "{relationship_to_carer: father}"},
	} {
		p := play(t, story("One of two is left", `    message:
      like: navigators
      with: {purpose: referral.service, service: hertswise, household: null}
      set: {`+tt.set+`}
`+agreed+`    expect:
      outcome: permit-reduced
      dataset: {equals: {/cared_for: [`+tt.want+`]}}
`))
		if !p.Passed() {
			t.Error(tt.set, p.Differences)
		}
	}
}

// What was lost on the way does not come back: a transfer goes on with what the decision before left of it.
func TestALaterStepAddsNothing(t *testing.T) {
	again := "      - consent: {by: carers-in-hertfordshire, of: carer, state: given, purpose: referral.service, service: hertswise," +
		" explicit: true, categories: [all]}\n"
	p := play(t, story("She names health too late", maureen+agreed+`    expect: {outcome: permit-reduced, items: {carer: {not: [carer.condition]}}}
    then:
`+again+"        expect: {outcome: permit, reasons: [], items: {carer: {has: [carer.name.family], not: [carer.condition]}}}\n"))
	if !p.Passed() {
		t.Error(p.Differences)
	}
	p = play(t, story("She names health while it is held", maureen+`    expect: {outcome: hold, reasons_include: [CONSENT_NONE]}
    then:
`+again+"        expect: {outcome: permit, reasons: [], items: {carer: {has: [carer.condition], not: [carer.ethnicity]}}}\n"))
	if !p.Passed() {
		t.Error(p.Differences)
	}
	p = play(t, story("She agrees after the end", maureen+
		"    consents:\n      - {by: carers-in-hertfordshire, of: carer, state: refused, purpose: referral.service}\n"+
		"    expect: {outcome: refuse, reasons_include: [CONSENT_REFUSED]}\n    then:\n"+again+"        expect: {outcome: permit}\n"))
	if len(p.Differences) != 1 || !strings.Contains(p.Differences[0], "it cannot be played: then, step 1: a refuse is the end") {
		t.Errorf("a refusal was followed by something: %v", p.Differences)
	}
}

// The register and the agreements are changed for one case, and not for the next.
func TestChangesAreOfOneCase(t *testing.T) {
	suspended := "    register: {age-uk-hertfordshire: {suspended: its toolkit has lapsed}}\n"
	abroad := "    register: {age-uk-hertfordshire: {location: US}}\n"
	draft := "    agreements: {hertswise@1: draft}\n"
	ends := "    expect: {outcome: refuse, reasons: [%s]}\n"
	for _, tt := range []struct {
		changes string
		code    policy.Code
	}{{suspended, policy.PartnerSuspended}, {abroad, policy.TransferAbroadNoSafeguard}, {draft, policy.AgreementNotStarted}} {
		changed := story("Changed", tt.changes+maureen+agreed+fmt.Sprintf(ends, tt.code))
		book := load(t, changed, story("Unchanged", maureen+agreed+"    expect: {outcome: permit-reduced}\n"))
		all := book.PlayAll(book.Cases)
		for _, p := range all {
			if !p.Passed() {
				t.Error(p.Name, p.Differences)
			}
		}
	}
	p := play(t, story("A register that no hub would start on",
		"    register: {age-uk-hertfordshire: {location: the moon}}\n"+maureen+agreed+"    expect: {outcome: permit}\n"))
	if len(p.Differences) != 1 || !strings.Contains(p.Differences[0], "is not well formed") {
		t.Errorf("the register may be anything: %v", p.Differences)
	}
}

// A change in a later step joins those before it.
func TestStepsChangeTheRegisterFromThenOn(t *testing.T) {
	p := play(t, story("The partner moves abroad, and later its safeguard ends", maureen+agreed+`    expect: {outcome: permit-reduced}
    then:
      - register: {age-uk-hertfordshire: {location: US, safeguard: UK IDTA}}
        expect: {outcome: permit}
      - register: {age-uk-hertfordshire: {safeguard: null}}
        expect: {outcome: refuse, reasons: [TRANSFER_ABROAD_NO_SAFEGUARD]}
`))
	if !p.Passed() {
		t.Error(p.Differences)
	}
}

func TestWhatHasToHaveACase(t *testing.T) {
	permits := story("Maureen agrees", maureen+agreed+"    expect: {outcome: permit-reduced}\n")
	holds := story("Nobody was asked", maureen+"    expect: {outcome: hold, reasons_include: [CONSENT_NONE]}\n")
	wrong := story("Wrongly expected", maureen+agreed+"    expect: {outcome: permit}\n")
	elsewhere := strings.Replace(story("Of nothing", maureen+agreed+"    expect: {outcome: permit-reduced}\n"), "[hertswise@1#refer]", "[]", 1)
	body, err := fs.ReadFile(sharingagreements.Files, "hertfordshire/agreements/hertswise.v1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(body)
	for _, tt := range []struct {
		story   string
		cases   []string
		clauses int
		lacks   []string
	}{
		{"both", []string{permits, holds}, 1, nil},
		{"nothing is kept back", []string{permits}, 1, []string{"agreement-without-no"}},
		{"nothing goes", []string{holds}, 0, []string{"clause-without-case"}},
		{"what fails shows nothing", []string{wrong, holds}, 0, []string{"clause-without-case"}},
		{"what is a case of nothing shows nothing", []string{elsewhere, holds}, 0, []string{"clause-without-case"}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			book := load(t, tt.cases...)
			all := book.PlayAll(book.Cases)
			cover := book.Cover(all)
			var rules []string
			for _, f := range cover.Faults {
				rules = append(rules, f.Rule)
				line := 1
				if f.Rule == "clause-without-case" {
					line = strings.Count(text[:strings.Index(text, "- id: refer")], "\n") + 1
				}
				if f.File != "hertfordshire/agreements/hertswise.v1.yaml" || f.Line != line || f.Warning {
					t.Errorf("%s", f)
				}
			}
			if cover.Clauses != tt.clauses || !slices.Equal(rules, tt.lacks) {
				t.Errorf("%d clauses covered and %v, and should be %d and %v", cover.Clauses, rules, tt.clauses, tt.lacks)
			}
		})
	}
}

// A version that is superseded needs no cases any more, and one that is still to come needs them already.
func TestVersionsThatHaveToHaveCases(t *testing.T) {
	for _, tt := range []struct {
		starts  string // of the second version
		clauses int
		lacks   []string
	}{{"2026-06-01", 1, nil}, {"2027-06-01", 1, []string{"hertswise@1#refer", "hertswise@1"}}} {
		at := tt.starts + "T10:00:00Z"
		permits := story("Maureen agrees", maureen+agreed+"    expect: {outcome: permit-reduced}\n")
		holds := story("Nobody was asked", maureen+"    expect: {outcome: hold, reasons_include: [CONSENT_NONE]}\n")
		root := county(t, strings.NewReplacer("@1#", "@2#", "2026-11-20T10:00:00Z", at).Replace("cases:\n"+permits+holds), "hertswise")
		first := string(root["hertfordshire/agreements/hertswise.v1.yaml"].Data)
		root["hertfordshire/agreements/hertswise.v2.yaml"] = &fstest.MapFile{Data: []byte(
			strings.NewReplacer("version: 1\n", "version: 2\nsupersedes: hertswise@1\n", "starts: 2026-01-01", "starts: "+tt.starts).Replace(first))}
		book, faults, err := casebook.Load(root, winter)
		if err != nil || book == nil {
			t.Fatal(faults, err)
		}
		cover := book.Cover(book.PlayAll(book.Cases))
		var lacks []string
		for _, f := range cover.Faults {
			lacks = append(lacks, strings.Fields(strings.TrimPrefix(f.Detail, "no case shows "))[0])
		}
		if cover.Clauses != tt.clauses || !slices.Equal(lacks, tt.lacks) {
			t.Errorf("from %s on: %+v", tt.starts, cover)
		}
	}
}

// A clause that gives access and no copy is covered by a copy that is refused.
func TestAClauseThatGivesAccessSendsNothing(t *testing.T) {
	refused := story("Age UK asks for a copy", maureen+agreed+"    expect: {outcome: refuse, reasons_include: [ACCESS_ONLY]}\n")
	held := story("Nobody has signed", maureen+"    agreements: {hertswise@1: draft}\n    expect: {outcome: refuse, reasons: [AGREEMENT_NOT_STARTED]}\n")
	for _, tt := range []struct {
		cases   string
		clauses int
		lacks   int
	}{{refused, 1, 0}, {held, 0, 1}} {
		root := county(t, "cases:\n"+tt.cases, "hertswise")
		file := root["hertfordshire/agreements/hertswise.v1.yaml"]
		file.Data = []byte(strings.Replace(string(file.Data), "delivery: collect", "delivery: access", 1))
		book, faults, err := casebook.Load(root, winter)
		if err != nil || book == nil {
			t.Fatal(faults, err)
		}
		all := book.PlayAll(book.Cases)
		if cover := book.Cover(all); cover.Clauses != tt.clauses || len(cover.Faults) != tt.lacks || !all[0].Passed() {
			t.Errorf("%v %+v", all[0].Differences, cover)
		}
	}
}

// Somebody with a role decides about what is held, and what nobody may decide stays held.
func TestARulingIsAStep(t *testing.T) {
	overdue := strings.Replace(story("The review is overdue", maureen+agreed+
		"    expect: {outcome: hold, reasons_include: [AGREEMENT_REVIEW_OVERDUE]}\n    then:\n"), "2026-11-20", "2027-10-20", 1)
	for ruling, outcome := range map[string]string{
		"{by: dpl-1, act: release, codes: [AGREEMENT_REVIEW_OVERDUE], ground: review-under-way}":        "permit-reduced, reasons_include: [AGREEMENT_REVIEW_OVERDUE]",
		"{by: dpl-1, as: dpl, act: release, codes: [CONSENT_NOT_EXPLICIT], ground: review-under-way}":   "hold, reasons_include: [AGREEMENT_REVIEW_OVERDUE]",
		"{by: caseworker-1, act: release, codes: [AGREEMENT_REVIEW_OVERDUE], ground: review-under-way}": "hold, reasons_include: [AGREEMENT_REVIEW_OVERDUE]",
		"{by: dpl-1, act: refuse, codes: [AGREEMENT_REVIEW_OVERDUE], ground: not-lawful}":               "refuse, reasons_include: [TURNED_DOWN]",
		"{by: safeguarding-1, act: return, codes: [AGREEMENT_REVIEW_OVERDUE], ground: wrong-recipient}": "refuse, reasons_include: [TURNED_DOWN]",
	} {
		if p := play(t, overdue+"      - ruling: "+ruling+"\n        expect: {outcome: "+outcome+"}\n"); !p.Passed() {
			t.Error(ruling, p.Differences)
		}
	}
}

// What a sender received under one case it passes on in another.
func TestPassingOn(t *testing.T) {
	first := story("Age UK receives it", maureen+agreed+"    expect: {outcome: permit-reduced}\n")
	on := strings.NewReplacer("to: age-uk-hertfordshire", "to: hils", "carers-in-hertfordshire", "age-uk-hertfordshire").
		Replace(story("Age UK passes it on", "    passes_on: Age UK receives it\n"+maureen+agreed+"    expect: {outcome: refuse, reasons: [ONWARD_NOT_ALLOWED]}\n"))
	if p := play(t, first, on); !p.Passed() {
		t.Error(p.Differences)
	}
	unknown := strings.NewReplacer("    passes_on: Age UK receives it\n", "",
		"household: null}", "household: null, onward_of: 01939b0a-7c1e-7d55-9f3a-2b8e6a4c1d01}").Replace(on)
	if p := play(t, first, unknown); !p.Passed() {
		t.Error(p.Differences)
	}
	own := strings.Replace(strings.Replace(on, "    passes_on: Age UK receives it\n", "", 1), "refuse, reasons: [ONWARD_NOT_ALLOWED]", "permit-reduced", 1)
	if p := play(t, first, own); !p.Passed() {
		t.Error(p.Differences)
	}
}

// A case may be of several clauses and shows only that one permitting something under which it was decided.
func TestAPermitCountsForItsOwnClause(t *testing.T) {
	both := "cases:\n" + strings.Replace(story("Of both", maureen+agreed+"    expect: {outcome: permit-reduced}\n"),
		"hertswise@1#refer", "hertswise@1#refer, pohwer-advocacy@1#refer", 1)
	book, _, err := casebook.Load(county(t, both, "hertswise", "pohwer-advocacy"), winter)
	if err != nil || book == nil {
		t.Fatal(err)
	}
	all := book.PlayAll(book.Cases)
	cover := book.Cover(all)
	if cover.Clauses != 1 || !all[0].Passed() || len(cover.Faults) == 0 || cover.Faults[len(cover.Faults)-1].File != "hertfordshire/agreements/pohwer-advocacy.v1.yaml" {
		t.Errorf("%v %+v", all[0].Differences, cover)
	}
}

// A case that says it is of one clause and is decided under another is wrong about one of the two.
func TestACaseIsDecidedUnderTheClauseThatItCovers(t *testing.T) {
	misplaced := "cases:\n" + strings.Replace(story("Misplaced", maureen+agreed+"    expect: {outcome: permit-reduced}\n"),
		"hertswise@1#refer", "pohwer-advocacy@1#refer", 1)
	book, _, err := casebook.Load(county(t, misplaced, "hertswise", "pohwer-advocacy"), winter)
	if err != nil || book == nil {
		t.Fatal(err)
	}
	p := book.Play(book.Cases[0])
	if want := "covers: expected to be decided under one of [pohwer-advocacy@1#refer], came hertswise@1#refer"; !slices.Equal(p.Differences, []string{want}) {
		t.Error(p.Differences)
	}
}

// Faults are reported together, each at its place and with what to do.
func TestFaultsOfAFile(t *testing.T) {
	const expects = "    expect: {outcome: permit-reduced}\n"
	fine := "cases:\n" + story("Fine", maureen+agreed+expects)
	but := func(changes ...string) string { return strings.NewReplacer(changes...).Replace(fine) }
	with := func(more string) string { return "cases:\n" + story("Fine", more) }
	for _, tt := range []struct {
		story, cases string
		want         []string // of each fault
	}{
		{"not YAML", "cases: [", []string{":1:8: syntax: "}},
		{"two documents", "cases: []\n---\ncases: []\n", []string{":1:1: one-document: the file holds 2 documents"}},
		{"no cases", "cases: []\n", []string{"missing-key: cases is missing or empty"}},
		{"another key beside", fine + "version: 2\n", []string{`:11:1: unknown-key: there is no key "version" here`}},
		{"an anchor", but("to: age", "to: &a age"), []string{":6:9: no-anchors: "}},
		{
			"a key that is misspelt, and in another case another",
			but("covers:", "cover:") + strings.TrimPrefix(but("outcome:", "outcom:"), "cases:\n"),
			[]string{`:3:5: unknown-key: there is no key "cover" here`, `:19:14: unknown-key: there is no key "outcom" here`},
		},
		{"a key twice", but("    to:", "    from: hils\n    to:"), []string{`mapping key "from" already defined`}},
		{
			"a word for a list", but("[hertswise@1#refer]", "hertswise@1#refer"),
			[]string{":3:13: type: string was used where sequence is expected"},
		},
		{"no time", but("2026-11-20T10:00:00Z", "yesterday"), []string{":4:9: syntax: this is not a time such as"}},
		{"nothing said", "cases:\n  - {covers: []}\n", []string{
			"does not say case", "does not say at", "does not say from", "does not say to", "does not say message", "does not say expect",
		}},
		{"one name twice", fine + strings.TrimPrefix(fine, "cases:\n"), []string{":11:11: duplicate-case: line 2 has this name already"}},
		{"a scenario that there is not", but("at: 2026", "scenario: A23\n    at: 2026"), []string{`:4:15: vocabulary: "A23" is no scenario`}},
		{"strangers", but("from: carers-in-hertfordshire", "from: carers-in-herts", "@1#refer", "@2#refer"), []string{
			`:3:14: unknown-clause: no agreement has the clause "hertswise@2#refer"`, `:5:11: unknown-partner: no partner is called "carers-in-herts"`,
		}},
		{
			"an unknown example", but("like: adult-carer-hertswise", "like: adult-carer"),
			[]string{`:7:21: unknown-example: contracts/examples has no "adult-carer"`},
		},
		{
			"a change of what is not there", but("like: adult", "set: {/cared_for/3: null}, like: adult"),
			[]string{":7:14: message: set /cared_for/3: "},
		},
		{
			"a message that no contract takes", but("cared_for: null", `carer: {nhs_number: "999"}`),
			[]string{":7:14: message: /carer/nhs_number: "},
		},
		{"changes of nothing", with("    register: {nobody: {}}\n    agreements: {hertswise@3: active}\n" + maureen + expects), []string{
			`unknown-partner: no partner is called "nobody"`, `unknown-agreement: there is no agreement "hertswise@3"`,
		}},
		{"consents of nobody", with(maureen + `    consents:
      - {of: carer, state: given, purpose: referral.service}
      - {by: hils, of: the carer, state: given, purpose: referral.service}
      - {by: hils, of: "carer[1]", state: given, purpose: referral.service}
      - {by: hils, of: professional, state: given, purpose: referral.service}
      - {by: hils, of: carer, state: agreed, purpose: referral.service}
      - {by: hils, of: carer, state: given}
` + expects), []string{
			":9:9: missing-key: the consent does not say by", `:10:24: person: "the carer" is nobody's place`,
			"unknown-person: the message has no carer[1]", "no-number: the message gives professional no number", ":13:", ":14:",
		}},
		{
			"a consent that nobody else could record", but("with: {", "with: {carer: {nhs_number: null}, ", "by: carers-in-hertfordshire", "by: hils"),
			[]string{"no-number: the message gives carer no number by which hils could record a consent"},
		},
		{"expectations of nothing", with(maureen + `    expect:
      outcome: allowed
      items: {carer: {not: [carer.nmae.family]}, wife: {has: []}, cared_for: {has: [carer.name.family]}}
      stripped: {carer: [carer.wishes]}
      dataset: {has: [carer.name]}
`), []string{
			`:9:16: vocabulary: "allowed" is no outcome`, `person: "wife" is nobody's place`,
			`unknown-item: referral/1 has no item "carer.nmae.family" about a carer`,
			`unknown-item: referral/1 has no item "carer.name.family" about a cared_for`,
			`no item "carer.wishes"`, `pointer: "carer.name" is no JSON pointer`,
		}},
		{
			"a hold for no reason", with(maureen + "    expect: {outcome: hold}\n"),
			[]string{"missing-key: a hold has reasons, and this expects none in particular"},
		},
		{"passing on what nobody sent", with("    passes_on: Fine\n" + maureen + expects), []string{`unknown-case: this file has no other case "Fine"`}},
		{"steps of nobody", with(maureen + expects + `    then:
      - ruling: {by: dpl-9, act: wave-through, codes: []}
      - ruling: {by: dpl-1, as: safeguarding-lead, act: release, codes: []}
        expect: {outcome: permit}
      - consent: {by: nobody, of: carer, state: withdrawn, purpose: referral.service}
        expect: {outcome: refuse, reasons: []}
`), []string{
			`unknown-person: carers-in-hertfordshire has no "dpl-9"`, `vocabulary: "wave-through" is no act`,
			`vocabulary: dpl-1 cannot decide as "safeguarding-lead"`, "the step does not say what to expect",
			`unknown-partner: no partner is called "nobody"`,
		}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			book, faults, err := casebook.Load(county(t, tt.cases, "hertswise"), winter)
			if err != nil {
				t.Fatal(err)
			}
			if book != nil {
				t.Error("a book was made of it")
			}
			var got []string
			for _, f := range faults {
				if !f.Warning {
					got = append(got, f.String())
				}
				if f.File == "hertfordshire/cases/own.cases.yaml" && (f.Line < 1 || f.Column < 1 || f.Remedy == "") {
					t.Errorf("a fault without a place or a remedy: %s", f)
				}
			}
			for _, want := range tt.want {
				if !slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, want) }) {
					t.Errorf("nothing says %q", want)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d faults, and should be %d", len(got), len(tt.want))
			}
			if t.Failed() {
				t.Log(strings.Join(got, "\n"))
			}
		})
	}
}

// A file beside the cases that is none of them is a slip.
func TestAFileThatIsNoFileOfCases(t *testing.T) {
	root := county(t, "cases:\n"+story("Fine", maureen+agreed+"    expect: {outcome: permit-reduced}\n"), "hertswise")
	root["hertfordshire/cases/hertswise.yaml"] = &fstest.MapFile{Data: []byte("cases: []")}
	book, faults, err := casebook.Load(root, winter)
	if err != nil || book != nil || len(faults) == 0 || !strings.Contains(faults[len(faults)-1].String(), "cases/hertswise.yaml:1:1: file-name: ") {
		t.Errorf("%v %v", faults, err)
	}
}

// A consent is posted by whoever recorded it, in the words of its contract.
func TestAConsentIsAMessage(t *testing.T) {
	book := load(t, story("Maureen agrees", maureen+agreed+"    expect: {outcome: permit-reduced}\n"))
	c := book.Cases[0]
	body, err := c.ConsentMessage(&c.Consents[0], "m-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"contract":"consent/1","message_id":"m-1","subject":{"identifiers":null},"state":"given","purpose":"referral.service","service":"hertswise",` +
		`"explicit":false,"method":"verbal","authority":"self","at":"2026-11-19T10:00:00Z"}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if casebook.PersonAt(transfer.CaredFor, 1) != "cared_for[1]" {
		t.Error("a person's place is written otherwise than it is read")
	}
}
