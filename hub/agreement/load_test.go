package agreement_test

import (
	"bytes"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
	sharingagreements "referralhub/sharing-agreements"
)

// A house may refer to the other house with what the clause lists, cut down where it says so, and the directive goes along.
func TestCompiledFlow(t *testing.T) {
	x := loaded(t, files(t))
	flows := x.Candidates("red-house", "green-house")
	if len(flows) != 1 {
		t.Fatalf("%d flows from house to house, want 1", len(flows))
	}
	f := flows[0]
	if f.ID != "care@1#refer" || f.Agreement.Ref() != "care@1" || f.Push || f.Service != "care" {
		t.Errorf("flow %+v", f)
	}
	if diff := cmp.Diff([]transfer.PartnerID{"red-house", "green-house"}, f.Members); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"carer.name.family"}, itemNames(f, f.Required)); diff != "" {
		t.Errorf("required (-want +got):\n%s", diff)
	}
	want := []string{
		"cared_for.relationship_to_carer", "carer.condition", "carer.date_of_birth", "carer.name.family", "carer.name.given",
		"carer.name.known_as", "carer.name.title", "carer.phones",
	}
	var directives contracts.ItemSet
	for _, item := range f.Contract.Items {
		if item.Directive {
			directives = directives.With(item.Index)
		}
	}
	safe, _ := f.Contract.Lookup("carer.safe_to_contact")
	if !f.Allowed.Has(safe.Index) {
		t.Error("whether the carer is safe to contact does not go along")
	}
	if diff := cmp.Diff(want, itemNames(f, f.Allowed.Minus(directives))); diff != "" {
		t.Errorf("allowed (-want +got):\n%s", diff)
	}
	born, _ := f.Contract.Lookup("carer.date_of_birth")
	if diff := cmp.Diff(map[int]contracts.Transform{born.Index: contracts.YearOnly}, f.Transform); diff != "" {
		t.Errorf("transformed (-want +got):\n%s", diff)
	}
}

// Two senders of one clause may stand on different ground: each transfer is judged by its own sender's.
func TestSenderGovernsTheBasis(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "        shire-council: {article6: e, statute: Care Act 2014 s.10}",
		"        shire-council: {article6: e, statute: Care Act 2014 s.10}\n        green-house: {article6: a}")
	x := loaded(t, m)
	for sender, want := range map[transfer.PartnerID]string{"red-house": "f", "green-house": "a"} {
		flows := x.Candidates(sender, "shire-council")
		if len(flows) != 1 || flows[0].Basis.Article6 != want || flows[0].ID != "care@1#assess" {
			t.Errorf("%s relies on %v, want one flow under (%s)", sender, flows, want)
		}
	}
}

// Dates are days in London: in summer a day ends an hour before it ends in UTC.
func TestDatesAreLondonDays(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "ends: 2028-12-31\nreview_by: 2027-06-30", "ends: 2027-06-30\nreview_by: 2027-01-31")
	a, _ := loaded(t, m).Agreement("care", 1)
	for at, want := range map[string]agreement.Standing{
		"2025-12-31T23:59:59Z": agreement.NotStarted,
		"2026-01-01T00:00:00Z": agreement.InForce,
		"2027-06-30T22:59:59Z": agreement.InForce,
		"2027-06-30T23:00:00Z": agreement.Ended,
	} {
		instant, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Standing(instant); got != want {
			t.Errorf("at %s it is %s, want %s", at, got, want)
		}
	}
}

// The agreements that the hub is built with have no fault. What they let go is for their cases to say (hub/casebook).
func TestDeclaredAgreementsLoad(t *testing.T) {
	x, faults, err := agreement.Load(sharingagreements.Files, today)
	if err != nil || x == nil {
		t.Fatalf("load: %v %v", err, lines(faults))
	}
	for _, a := range x.Agreements() {
		for _, f := range a.Flows {
			if page := agreement.ExplainFlow(f, x); f.When != nil && strings.Contains(page, "(see the source)") {
				t.Errorf("%s has a condition that there are no words for:\n%s", f.ID, page)
			}
		}
	}
}

// The example of the package comment is a file that loads; only the ground it gives for nothing is remarked on.
func TestDocumentedExampleLoads(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	blocks := codeBlocks(file.Doc)
	m := fstest.MapFS{
		"hertfordshire/agreements/hertswise.v2.yaml": {Data: []byte(blocks["agreement:"])},
		"hertfordshire/partners.yaml":                {Data: []byte(blocks["partners:"] + others)},
	}
	x, faults, err := agreement.Load(m, today)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"hertswise.v2.yaml:1:1: warning: supersedes: hertswise@2 supersedes hertswise@1, which is not here. " +
			"Keep the older file: decisions were made under it.",
		"hertswise.v2.yaml:45:18: warning: schedule1-idle: no condition claimed here needs para 18(1)(a). " +
			"Leave it out, or declare the condition that it belongs to.",
	}
	if diff := cmp.Diff(want, lines(faults)); diff != "" || x == nil {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// So is the example of the guide for authors, beside the register of Hertfordshire.
func TestGuideExampleLoads(t *testing.T) {
	guide, err := os.ReadFile("../../sharing-agreements/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(guide), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	register, err := fs.ReadFile(sharingagreements.Files, "hertfordshire/partners.yaml")
	if err != nil {
		t.Fatal(err)
	}
	x, faults, err := agreement.Load(fstest.MapFS{
		"hertfordshire/agreements/admiral-nursing.v1.yaml": {Data: []byte(example)},
		"hertfordshire/partners.yaml":                      {Data: register},
	}, today)
	if err != nil || len(faults) > 0 || len(x.Candidates("carers-in-hertfordshire", "dementia-uk")) != 1 {
		t.Errorf("load: %v %v", err, lines(faults))
	}
}

const others = `
  - id: age-uk-hertfordshire
    name: Age UK
    kind: charity
    ico: Z1234567
    dpl: {name: DPL, email: dpl@a.example}
    location: GB
    systems:
      - id: age-uk-hertfordshire/casework
        algorithms: [ES256]
        scopes: [referrals:send, inbox:read]
    people: [{id: worker-1, office: Support worker, roles: [caseworker]}]
  - id: hertfordshire-county-council
    name: HCC
    kind: council
    ico: Z1234568
    dpl: {name: DPO, email: dpo@h.example}
    location: GB
    systems:
      - id: hertfordshire-county-council/adults
        algorithms: [ES256]
        scopes: [inbox:read]
`

// codeBlocks gives the code blocks of a doc comment by their first word.
func codeBlocks(doc *ast.CommentGroup) map[string]string {
	blocks := make(map[string]string)
	var p comment.Parser
	for _, block := range p.Parse(doc.Text()).Content {
		if code, ok := block.(*comment.Code); ok {
			first, _, _ := strings.Cut(strings.TrimSpace(code.Text), " ")
			first, _, _ = strings.Cut(first, "\n")
			blocks[first] = code.Text
		}
	}
	return blocks
}

// A file in the folder of agreements that is not called like one might be a suspended version that nobody reads.
func TestStrayFile(t *testing.T) {
	m := files(t)
	m["herts/agreements/care.v2.yml"] = m[careFile]
	m["README.md"] = &fstest.MapFile{Data: []byte("not ours")}
	m["testdata/notes.txt"] = &fstest.MapFile{Data: []byte("not ours")}
	_, faults, err := agreement.Load(m, today)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`care.v2.yml:1:1: file-name: this is not the name of an agreement file. ` +
		`Call it after the agreement and version, as in "hertswise.v1.yaml".`}
	if diff := cmp.Diff(want, lines(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// One version cannot be declared by two counties.
func TestDuplicateVersion(t *testing.T) {
	m := files(t)
	m["kent/agreements/care.v1.yaml"] = m[careFile]
	edit(t, m, "kent/agreements/care.v1.yaml", "county: herts", "county: kent")
	_, faults, err := agreement.Load(m, today)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"care.v1.yaml:1:1: duplicate-version: care@1 is already declared in herts/agreements/care.v1.yaml. " +
		"Give it the next version, or another name."}
	if diff := cmp.Diff(want, lines(faults)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// A broken disk is an error and no fault of an author's.
func TestUnreadableFolder(t *testing.T) {
	if _, faults, err := agreement.Load(broken{}, today); err == nil {
		t.Errorf("no error, and the faults %v", faults)
	}
}

type broken struct{}

func (broken) Open(string) (fs.File, error) { return nil, io.ErrUnexpectedEOF }

func TestCheckPrintsFaultsAndAllowsWarnings(t *testing.T) {
	fault := agreement.Fault{
		File: "herts/partners.yaml", Line: 3, Column: 5, Rule: "type", Detail: "this should be a list", Remedy: "Write a list.",
	}
	warning := fault
	warning.Warning = true
	var out bytes.Buffer
	if ok, err := agreement.Check(&out, []agreement.Fault{warning}); err != nil || !ok {
		t.Errorf("a warning alone: %v %v", ok, err)
	}
	if ok, err := agreement.Check(&out, []agreement.Fault{warning, fault}); err != nil || ok {
		t.Errorf("a fault: %v %v", ok, err)
	}
	const want = "herts/partners.yaml:3:5: warning: type: this should be a list. Write a list.\n"
	if got := out.String(); got != want+want+strings.Replace(want, "warning: ", "", 1) {
		t.Errorf("printed %s", got)
	}
}

// Whatever bytes stand in a file, reading it ends in faults or an index and never in a panic.
func FuzzLoad(f *testing.F) {
	for name, file := range files(f) {
		f.Add(string(file.Data), name == careFile)
	}
	f.Add("a: &a [*a]\n? [x]\n: y\n---\n- 1", true)
	f.Fuzz(func(t *testing.T, body string, isAgreement bool) {
		m, name := files(t), "herts/partners.yaml"
		if isAgreement {
			name = careFile
		}
		m[name] = &fstest.MapFile{Data: []byte(body)}
		x, faults, err := agreement.Load(m, today)
		if err != nil || (x == nil) == (len(faults) == 0) && x == nil {
			t.Errorf("index %v, faults %v, error %v", x != nil, faults, err)
		}
		if x != nil {
			for _, a := range x.Agreements() {
				agreement.Explain(a, x)
			}
		}
	})
}
