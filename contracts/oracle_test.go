package contracts_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

func quote(text string) ([]byte, bool) {
	quoted, err := jsontext.AppendQuote(nil, text)
	return quoted, err == nil
}

// oracle is the general validator, compiled from the same schema.
func oracle(t testing.TB, messageType transfer.MessageType) *jsonschema.Schema {
	t.Helper()
	schema, _ := contracts.Schema(messageType)
	library, err := contracts.CompileLibrary(schema)
	if err != nil {
		t.Fatal(err)
	}
	return library
}

// agree fails the test when the pass and the general validator differ over body by more than Parse says: it is stricter about
// numbers, some formats, whom a consent is about and what a demand asks for, and about what is JSON at all.
func agree(t testing.TB, c *contracts.Contract, library *jsonschema.Schema, body []byte) (valid bool) {
	t.Helper()
	_, ours := c.Parse(body)
	value, theirs := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if theirs == nil {
		theirs = library.Validate(value)
	}
	var syntax *contracts.SyntaxError
	var invalid *contracts.InvalidError
	switch {
	case ours == nil && theirs != nil:
		t.Errorf("accepted, and the library says %v: %.300s", theirs, body)
	case errors.As(ours, &syntax):
		if syntax.Rule == "malformed" && json.Valid(body) {
			t.Errorf("%v, and it is JSON: %.300s", ours, body)
		}
	case errors.As(ours, &invalid) && theirs == nil && !slices.ContainsFunc(invalid.Faults, stricter):
		t.Errorf("refused %+v, and the library accepts: %.300s", invalid.Faults, body)
	}
	return ours == nil
}

func stricter(f contracts.Fault) bool {
	return f.Rule == "number" || f.Rule == "unknown-subject" || strings.HasPrefix(f.Pointer, "/demand/items/") || f.Rule == "format" &&
		(strings.Contains(f.Detail, "RFC 3339") || strings.Contains(f.Detail, "e-mail") || strings.Contains(f.Detail, "URI"))
}

func TestThePassAgreesWithTheGeneralValidatorOnThousandsOfMutants(t *testing.T) {
	for messageType, mutants := range map[transfer.MessageType]int{"referral/1": 1500, "aggregate/1": 500} {
		t.Run(string(messageType), func(t *testing.T) { mutate(t, messageType, mutants) })
	}
}

func mutate(t *testing.T, messageType transfer.MessageType, mutants int) {
	c, _ := contracts.For(messageType)
	library := oracle(t, messageType)
	random := rand.New(rand.NewPCG(20261121, 1))
	var seeds []any
	for _, name := range contracts.Examples() {
		var value any
		if err := json.Unmarshal(example(t, name), &value); err != nil {
			t.Fatal(err)
		}
		if value.(map[string]any)["contract"] == string(messageType) {
			seeds = append(seeds, value)
		}
	}
	valid := 0
	for range mutants {
		value := clone(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(2) {
			value = mutated(random, value, 0.05)
		}
		body, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if agree(t, c, library, body) {
			valid++
		}
	}
	if valid < mutants/50 || valid > mutants*49/50 {
		t.Errorf("%d of %d mutants are valid: the test says little", valid, mutants)
	}
}

func FuzzParse(f *testing.F) {
	c, library := referral(f), oracle(f, "referral/1")
	for _, name := range contracts.Examples() {
		f.Add(example(f, name))
	}
	f.Add([]byte(`{"contract":"referral/1","carer":{"name":{"family":"\u00e9"},"addresses":[{"postcode":"SG14 1ZY"}]},"caring_role":{"coping":2.0}}`))
	f.Fuzz(func(t *testing.T, body []byte) { agree(t, c, library, body) })
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, value := range v {
			m[name] = clone(value)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, value := range v {
			list[i] = clone(value)
		}
		return list
	}
	return v
}

// mutated changes a value here and there: p is how likely a place is to be changed.
func mutated(random *rand.Rand, v any, p float64) any {
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		if random.Float64() < p/10 {
			v["unheard_of"] = odd(random)
		}
		for _, name := range names {
			switch {
			case random.Float64() < p/10:
				delete(v, name)
			case random.Float64() < p:
				v[name] = mutated(random, v[name], p)
			}
		}
		if len(names) > 0 {
			name := names[random.IntN(len(names))]
			if value, ok := v[name]; ok {
				v[name] = mutated(random, value, p)
			}
		}
		return v
	case []any:
		if len(v) == 0 {
			return append(v, odd(random))
		}
		at := random.IntN(len(v))
		switch random.IntN(4) {
		case 0:
			return append(v, v[at])
		case 1:
			return slices.Delete(v, at, at+1)
		}
		v[at] = mutated(random, v[at], p)
		return v
	case string:
		switch random.IntN(5) {
		case 0:
			return v + "x"
		case 1:
			return strings.ToUpper(v)
		case 2:
			return strings.Repeat(v, 40)
		case 3:
			return v
		}
	case float64:
		return []any{v + 1, v * 1000, -v, v + 0.5, v}[random.IntN(5)]
	case bool:
		return !v
	}
	return odd(random)
}

func odd(random *rand.Rand) any {
	return []any{
		nil, true, 0, 1, -1, 2.5, 1e12, "", "x", "☕", "yes", "other", "2024-02-29", "2023-02-29", "1984", "9994100009", "9994100008",
		"SG14 1ZY", "a@example.org", []any{}, []any{"x"}, map[string]any{}, map[string]any{"x": 1}, strings.Repeat("é", 300),
	}[random.IntN(24)]
}

// inputs is the folder of third-party inputs, which are not part of this repository.
func inputs(t *testing.T) fs.FS {
	t.Helper()
	folder := os.Getenv("HUB_INPUTS")
	for dir, _ := os.Getwd(); folder == "" && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			folder = filepath.Join(dir, "..", "shared", "inputs")
		}
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skip("skipped: the third-party inputs are not here; set HUB_INPUTS to their folder")
	}
	return os.DirFS(folder)
}

// The official test suite of JSON Schema decides what a keyword means.
func TestTheOfficialSuiteOfJSONSchema(t *testing.T) {
	folder, err := fs.Sub(inputs(t), "json-schema-test-suite/draft2020-12")
	if err != nil {
		t.Fatal(err)
	}
	ran, byLibrary := 0, 0
	for _, keyword := range []string{
		"additionalProperties", "boolean_schema", "const", "enum", "items", "maxItems", "maxLength", "maximum", "minItems", "minLength",
		"minimum", "pattern", "properties", "ref", "required", "type", "uniqueItems", "anyOf", "oneOf", "not", "if-then-else", "minProperties", "maxProperties",
	} {
		text, err := fs.ReadFile(folder, keyword+".json")
		if err != nil {
			t.Fatal(err)
		}
		var groups []struct {
			Description string
			Schema      json.RawMessage
			Tests       []struct {
				Description string
				Data        json.RawMessage
				Valid       bool
			}
		}
		if err := json.Unmarshal(text, &groups); err != nil {
			t.Fatal(err)
		}
		for _, group := range groups {
			c, err := contracts.Compile(group.Schema)
			if err != nil {
				continue // a reference beyond #/$defs or to itself: refused when the contract is loaded, not when a message is read
			}
			if contracts.NeedsLibrary(c) {
				byLibrary++
			}
			for _, test := range group.Tests {
				_, err := c.Parse(test.Data)
				var invalid *contracts.InvalidError
				if errors.As(err, &invalid) && slices.ContainsFunc(invalid.Faults, stricter) {
					continue
				}
				ran++
				if (err == nil) != test.Valid {
					t.Errorf("%s: %s: %s: valid is %v, got %v", keyword, group.Description, test.Description, test.Valid, err)
				}
			}
		}
	}
	if ran < 400 || byLibrary == 0 {
		t.Errorf("only %d cases ran, %d schemas by the library", ran, byLibrary)
	}
	t.Logf("%d cases, %d schemas by the library", ran, byLibrary)
}
