package agreement_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"referralhub/hub/agreement"
	sharingagreements "referralhub/sharing-agreements"
)

// What a partner's own software reads of an agreement.
func TestODRL(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "    delivery: push\n", `    delivery: push
    when: referral.urgency == "urgent"
    otherwise: Ask the carer to telephone.
    told: true
    objection: 14d
    onward: {to: [red-house], purposes: [carers-assessment]}
`)
	x := loaded(t, m)
	a, _ := x.Agreement("care", 1)
	got, err := agreement.ODRL(a, x)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "testdata/export/care.odrl.jsonld", string(got))
}

// What the UK has and the EU has not is named by a term of the hub's own.
func TestODRLNamesUKLaw(t *testing.T) {
	m := files(t)
	edit(t, m, careFile, "      article6: f\n      lia: LIA-1\n", "      article6: ea\n      article9: g\n      schedule1: para 18(1)(a)\n      apd: APD-1\n")
	x := loaded(t, m)
	a, _ := x.Agreement("care", 1)
	got, err := agreement.ODRL(a, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"hub:A6-1-ea"`, `"eu-gdpr:A9-2-g"`, `"hub:DPA2018-Sch1-para18"`, `"DPA 2018 Schedule 1 para 18(1)(a)"`} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("%s is not there", want)
		}
	}
}

// inputs is the folder of the published schemas and vocabularies, which are not part of this repository.
func inputs(t *testing.T) string {
	t.Helper()
	for _, folder := range []string{os.Getenv("HUB_INPUTS"), "../../../shared/inputs"} {
		if _, err := os.Stat(filepath.Join(folder, "odrl-dpv")); folder != "" && err == nil {
			return filepath.Join(folder, "odrl-dpv")
		}
	}
	t.Skip("skipped: the published schemas are not here; set HUB_INPUTS to their folder")
	return ""
}

// Every clause that the hub is built with is an Agreement as the Dataspace Protocol's schema wants it, and uses no term of ODRL or of DPV that
// these do not have.
func TestODRLIsAsPublished(t *testing.T) {
	folder := inputs(t)
	const protocol = "dsp-2025-1/common/api/management-api-schema-validator/src/main/resources/schema/dspace/2025/negotiation/contract-schema.json"
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(folder, protocol))
	if err != nil {
		t.Fatal(err)
	}
	odrl, dpv := odrlTerms(t, folder), dpvTerms(t, folder)
	x, faults, err := agreement.Load(sharingagreements.Files, today)
	if err != nil || x == nil {
		t.Fatalf("load: %v %v", err, lines(faults))
	}
	clauses := 0
	for _, a := range x.Agreements() {
		exported, err := agreement.ODRL(a, x)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(exported))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range value.(map[string]any)["@graph"].([]any) {
			n := n.(map[string]any)
			checkTerms(t, n, odrl, dpv)
			if n["@type"] != "Agreement" {
				continue
			}
			clauses++
			if err := schema.Validate(n); err != nil {
				t.Errorf("%s: %v", n["@id"], err)
			}
		}
	}
	if clauses == 0 {
		t.Error("nothing was exported")
	}
}

// checkTerms looks for terms that their vocabulary does not have, in keys and where a term stands as a value.
func checkTerms(t *testing.T, n any, odrl, dpv map[string]bool) {
	t.Helper()
	known := func(term string) {
		prefix, name, prefixed := strings.Cut(term, ":")
		switch {
		case strings.HasPrefix(term, "@"):
		case !prefixed && !odrl[term]:
			t.Errorf("ODRL has no %q", term)
		case prefixed && prefix == "dpv" && !dpv[name]:
			t.Errorf("DPV has no %q", name)
		}
	}
	switch n := n.(type) {
	case []any:
		for _, entry := range n {
			checkTerms(t, entry, odrl, dpv)
		}
	case map[string]any:
		for key, value := range n {
			known(key)
			if term, ok := value.(string); ok && (key == "@type" || key == "action" || key == "leftOperand" || key == "operator" || key == "conflict") {
				known(term)
			}
			if terms, ok := value.([]any); ok && key == "@type" {
				for _, term := range terms {
					known(term.(string))
				}
				continue
			}
			checkTerms(t, value, odrl, dpv)
		}
	}
}

func odrlTerms(t *testing.T, folder string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "dsp-2025-1/odrl.jsonld"))
	if err != nil {
		t.Fatal(err)
	}
	var published struct {
		Context map[string]any `json:"@context"`
	}
	if err := json.Unmarshal(text, &published); err != nil {
		t.Fatal(err)
	}
	terms := make(map[string]bool)
	for term := range published.Context {
		terms[term] = true
	}
	return terms
}

func dpvTerms(t *testing.T, folder string) map[string]bool {
	t.Helper()
	f, err := os.Open(filepath.Join(folder, "dpv.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	terms := make(map[string]bool)
	for _, row := range rows {
		terms[row[0]] = true
	}
	return terms
}
