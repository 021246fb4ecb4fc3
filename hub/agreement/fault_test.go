package agreement_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"referralhub/hub/agreement"
)

// What `hub agreement check` prints on a folder of broken agreements, for a person to read: every file breaks one rule.
func TestBrokenAgreements(t *testing.T) {
	const golden = "testdata/broken/faults.txt"
	x, faults, err := agreement.Load(os.DirFS("testdata/broken"), today)
	if err != nil {
		t.Fatal(err)
	}
	if x != nil {
		t.Error("a hub would start on these")
	}
	var printed bytes.Buffer
	if ok, err := agreement.Check(&printed, faults); ok || err != nil {
		t.Errorf("checked: %v %v", ok, err)
	}
	compare(t, golden, printed.String())
}

// Every rule that the package comment names is broken by a file of the folder, and no fault is of a rule that it does not name.
func TestEveryRuleIsDocumentedAndBroken(t *testing.T) {
	_, faults, err := agreement.Load(os.DirFS("testdata/broken"), today)
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{"too-long": true} // see TestTooLong
	for _, f := range faults {
		broken[f.Rule] = true
	}
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(file.Doc.Text(), "- of the form: ")
	rules, _, _ = strings.Cut(rules, "The folder testdata/broken")
	documented := map[string]bool{}
	for _, rule := range regexp.MustCompile("[a-z0-9]+(-[a-z0-9]+)*").FindAllString(rules, -1) {
		documented[rule] = true
	}
	for rule := range broken {
		if !documented[rule] {
			t.Errorf("the package comment does not name %s", rule)
		}
	}
	for _, words := range []string{"of", "the", "form", "names", "law", "what", "may", "flow", "warnings", "and", "where", "public", "notices",
		"make", "same", "mistake", "for", "some", "a", "group"} {
		delete(documented, words)
	}
	for rule := range documented {
		if !broken[rule] {
			t.Errorf("no file breaks %s", rule)
		}
	}
}

// A file of more than a megabyte is no agreement that anybody has signed.
func TestTooLong(t *testing.T) {
	m := files(t)
	m[careFile].Data = append(m[careFile].Data, bytes.Repeat([]byte("# on and on\n"), 1<<17)...)
	_, faults, err := agreement.Load(m, today)
	if err != nil || len(faults) != 1 || faults[0].Rule != "too-long" {
		t.Errorf("faults %v, error %v", faults, err)
	}
}
