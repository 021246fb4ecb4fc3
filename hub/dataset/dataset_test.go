package dataset_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/dataset"
	"referralhub/hub/transfer"
)

func referral(t testing.TB) *contracts.Contract {
	t.Helper()
	c, ok := contracts.For("referral/1")
	if !ok {
		t.Fatal("there is no contract referral/1")
	}
	return c
}

func parsed(t testing.TB, name string) *contracts.Document {
	t.Helper()
	body, err := contracts.Example(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := referral(t).Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func items(t testing.TB, names ...string) contracts.ItemSet {
	t.Helper()
	var set contracts.ItemSet
	for _, name := range names {
		item, ok := referral(t).Lookup(name)
		if !ok {
			t.Fatalf("%s is no item", name)
		}
		set = set.With(item.Index)
	}
	return set
}

// permit gives parts that permit about each role the items named, and nothing about anybody else.
func permit(t testing.TB, doc *contracts.Document, permitted map[transfer.Role]contracts.ItemSet) []dataset.Part {
	t.Helper()
	parts := make([]dataset.Part, len(doc.Subjects))
	for i, s := range doc.Subjects {
		parts[i].Items = permitted[s.Role]
	}
	return parts
}

func TestAgeUKGetsWhatItNeedsAndNothingOfTheHusband(t *testing.T) {
	doc := parsed(t, "adult-carer-hertswise")
	parts := permit(t, doc, map[transfer.Role]contracts.ItemSet{
		transfer.Carer:    items(t, "referral.reason_codes", "carer.name.given", "carer.addresses.postcode", "carer.phones", "carer.safe_to_contact"),
		transfer.CaredFor: items(t, "cared_for.relationship_to_carer"),
	})
	got, err := dataset.Cut(doc, parts)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"referral":{"reason_codes":["emotional-support", "short-break", "breakdown-risk", "emergency-planning"]},` +
		`"carer":{"name":{"given":"Maureen Bríd"},"addresses":[{"postcode":"SG14 1ZY"},{"postcode":"SG12 9ZZ"}],` +
		`"phones":[{"number": "07700 900417", "kind": "mobile"}, {"number": "01632 960417", "kind": "home"}],"safe_to_contact":true},` +
		`"cared_for":[{"relationship_to_carer":"husband"}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("dataset (-want +got):\n%s", diff)
	}
}

func TestWhereNothingIsPermittedNothingIsLeft(t *testing.T) {
	doc := parsed(t, "adult-carer-hertswise")
	got, err := dataset.Cut(doc, make([]dataset.Part, len(doc.Subjects)))
	if err != nil || string(got) != "{}" {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := dataset.Cut(doc, nil); err == nil {
		t.Error("a message was cut without anybody saying what may go")
	}
}

// The younger child's consent was refused: the elder moves up and nobody can see that there was another.
func TestASubjectOfWhomNothingGoesLeavesNoTrace(t *testing.T) {
	c := referral(t)
	doc, err := c.ParseDataset([]byte(`{"cared_for": [ {"gender": "male"}, {"gender": "female"}, {} ]}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := dataset.Cut(doc, []dataset.Part{{}, {Items: items(t, "cared_for.gender")}, {Items: items(t, "cared_for.gender")}})
	if err != nil || string(got) != `{"cared_for":[{"gender":"female"}]}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestReducedValues(t *testing.T) {
	tests := []struct {
		item, value string
		transform   contracts.Transform
		want        string // empty: refused
	}{
		{"carer.date_of_birth", `"1951-03-17"`, contracts.YearOnly, `"1951"`},
		{"carer.date_of_birth", `"1951-03"`, contracts.YearOnly, `"1951"`},
		{"carer.date_of_birth", `"1951"`, contracts.YearOnly, `"1951"`},
		{"carer.date_of_birth", `"\u0031951-03-17"`, contracts.YearOnly, `"1951"`},
		{"carer.date_of_birth", `"17/03/1951"`, contracts.YearOnly, ""},
		{"carer.date_of_birth", `"19510317"`, contracts.YearOnly, ""},
		{"carer.date_of_birth", `""`, contracts.YearOnly, ""},
		{"carer.date_of_birth_unknown", `true`, contracts.YearOnly, ""},
		{"carer.ni_number", `"SG14 1ZY"`, contracts.OutwardPostcode, `"SG14"`},
		{"carer.ni_number", `"sg141zy"`, contracts.OutwardPostcode, `"SG14"`},
		{"carer.ni_number", `"E1 6AN"`, contracts.OutwardPostcode, `"E1"`},
		{"carer.ni_number", `"EC1A 1BB"`, contracts.OutwardPostcode, `"EC1A"`},
		{"carer.ni_number", `"SG14"`, contracts.OutwardPostcode, `"SG14"`},
		{"carer.ni_number", `"EC1A"`, contracts.OutwardPostcode, `"EC1A"`},
		{"carer.ni_number", `"118 Quill Lane, SG14 1ZY"`, contracts.OutwardPostcode, ""},
		{"carer.ni_number", `"Ware"`, contracts.OutwardPostcode, ""},
		{"carer.ni_number", `"S"`, contracts.OutwardPostcode, ""},
		{"carer.phones", `[{"number": "SG14 1ZY"}]`, contracts.OutwardPostcode, ""},
		{"carer.nhs_number", `"9994100009"`, contracts.Pseudonymise, `"nhs-number of 9000014999"`},
		{"carer.case_number", `"CIH/1 \"x\""`, contracts.Pseudonymise, `"case-number of \"x\" 1/HIC"`},
		{"carer.email", `"mo@example.org"`, contracts.Pseudonymise, ""},
		{"carer.nhs_number", `"9994100009"`, "rot13", ""},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.transform, test.value), func(t *testing.T) {
			name := strings.TrimPrefix(test.item, "carer.")
			doc, err := referral(t).ParseDataset(fmt.Appendf(nil, `{"carer":{%q:%s}}`, name, test.value))
			if err != nil {
				t.Fatal(err)
			}
			set := items(t, test.item)
			part := dataset.Part{Items: set, Transform: map[int]contracts.Transform{}, Pseudonym: backwards}
			for i := range set.All() {
				part.Transform[i] = test.transform
			}
			got, err := dataset.Cut(doc, []dataset.Part{part})
			switch {
			case test.want == "" && !errors.Is(err, dataset.ErrTransform):
				t.Errorf("got %s, %v; want it refused", got, err)
			case test.want != "" && (err != nil || string(got) != fmt.Sprintf(`{"carer":{%q:%s}}`, name, test.want)):
				t.Errorf("got %s, %v; want %s", got, err, test.want)
			case err != nil && strings.Contains(err.Error(), strings.Trim(test.value, `"`)) && len(test.value) > 2 && test.value != "true":
				t.Errorf("the error quotes the value: %v", err)
			}
			if err == nil {
				if _, err := referral(t).ParseDataset(got); err != nil {
					t.Errorf("the recipient cannot read %s: %v", got, err)
				}
			}
		})
	}
	doc, err := referral(t).ParseDataset([]byte(`{"carer":{"nhs_number":"9994100009"}}`))
	if err != nil {
		t.Fatal(err)
	}
	item, _ := referral(t).Lookup("carer.nhs_number")
	part := dataset.Part{Items: items(t, "carer.nhs_number"), Transform: map[int]contracts.Transform{item.Index: contracts.Pseudonymise}}
	if got, err := dataset.Cut(doc, []dataset.Part{part}); !errors.Is(err, dataset.ErrTransform) {
		t.Errorf("a number went out because nobody could make a pseudonym: %s", got)
	}
}

func backwards(scheme, value string) string {
	b := []byte(value)
	slices.Reverse(b)
	return scheme + " of " + string(b)
}

// marked is a message in which every text that may be anything is a marker of its own.
type marked struct {
	doc     *contracts.Document
	schema  map[string]any
	markers []marker
}

// marker is a text of the message, and whose item it is.
type marker struct {
	text     string
	item     int
	role     transfer.Role
	position int
}

// mark puts markers into an example and works out, from the shape of the message alone, to what each belongs.
func mark(t *testing.T, name string) marked {
	t.Helper()
	c := referral(t)
	original := parsed(t, name)
	var tree map[string]any
	if err := json.Unmarshal(original.Body, &tree); err != nil {
		t.Fatal(err)
	}
	schema, _ := contracts.Schema(c.Type)
	m := marked{}
	if err := json.Unmarshal(schema, &m.schema); err != nil {
		t.Fatal(err)
	}
	for name, member := range m.schema["properties"].(map[string]any) {
		if member.(map[string]any)["x-envelope"] == true {
			delete(tree, name)
		}
	}
	met := map[transfer.Role]int{}
	for _, section := range slices.Sorted(maps.Keys(tree)) { // the order in which json.Marshal writes them
		people, several := tree[section].([]any)
		if !several {
			people = []any{tree[section]}
		}
		for i := range people {
			role, position := transfer.Carer, 0
			switch section {
			case "cared_for", "household", "carer":
				role = transfer.Role(section)
			case "children":
				role = transfer.Child
			case "absent_parents":
				role = transfer.AbsentParent
			case "referrer", "professionals":
				role = transfer.Professional
			}
			if several || section == "referrer" {
				position = met[role]
				met[role]++
			}
			people[i] = m.replace(t, c, section, people[i], marker{role: role, position: position})
		}
		if !several {
			tree[section] = people[0]
		}
	}
	body, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if m.doc, err = c.ParseDataset(body); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *marked) replace(t *testing.T, c *contracts.Contract, path string, value any, who marker) any {
	switch value := value.(type) {
	case map[string]any:
		for name := range value {
			value[name] = m.replace(t, c, path+"."+name, value[name], who)
		}
		return value
	case []any:
		for i := range value {
			value[i] = m.replace(t, c, path, value[i], who)
		}
		return value
	case string:
		who.text = fmt.Sprintf("marker-%04d", len(m.markers))
		name := path
		for {
			if item, ok := c.Lookup(name); ok {
				who.item = item.Index
				break
			}
			cut := strings.LastIndexByte(name, '.')
			if cut < 0 {
				t.Fatalf("%s is in no item", path)
			}
			name = name[:cut]
		}
		if !m.anyText(path) {
			return value
		}
		m.markers = append(m.markers, who)
		return who.text
	}
	return value
}

// anyText reports whether the contract takes any text at a place.
func (m *marked) anyText(path string) bool {
	node := m.schema
	defs := node["$defs"].(map[string]any)
	follow := func(n map[string]any) map[string]any {
		for {
			ref, isRef := n["$ref"].(string)
			inner, isList := n["items"].(map[string]any)
			switch {
			case isRef:
				n = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
			case isList:
				n = inner
			default:
				return n
			}
		}
	}
	node = follow(node)
	for name := range strings.SplitSeq(path, ".") {
		node = follow(node["properties"].(map[string]any)[name].(map[string]any))
	}
	return node["enum"] == nil
}

func TestWhatIsNotPermittedDoesNotSurviveAndWhatIsPermittedDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(20261121, 2))
	c := referral(t)
	for _, name := range contracts.Examples() {
		body, err := contracts.Example(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(body, []byte(`"referral/1"`)) {
			continue
		}
		m := mark(t, name)
		if len(m.markers) < 9 {
			t.Errorf("%s: only %d texts are marked", name, len(m.markers))
		}
		for round := range 40 {
			parts := make([]dataset.Part, len(m.doc.Subjects))
			share := float64(round%5) / 4 // from nothing to everything
			for i := range parts {
				for item := range c.Items {
					if random.Float64() < share {
						parts[i].Items = parts[i].Items.With(item)
					}
				}
			}
			got, err := dataset.Cut(m.doc, parts)
			if err != nil {
				t.Fatal(err)
			}
			again, err := c.ParseDataset(got)
			if err != nil {
				t.Fatalf("%s: the recipient cannot read %s: %v", name, got, err)
			}
			checkMarkers(t, m, parts, got)
			checkSubjects(t, m.doc, parts, again)
			if share == 1 && !sameJSON(t, got, m.doc.Body) {
				t.Errorf("%s: everything was permitted and something is missing", name)
			}
		}
	}
}

func checkMarkers(t *testing.T, m marked, parts []dataset.Part, got []byte) {
	t.Helper()
	for _, mk := range m.markers {
		subject := slices.IndexFunc(m.doc.Subjects, func(s contracts.Subject) bool { return s.Role == mk.role && s.Position == mk.position })
		if subject < 0 {
			t.Fatalf("no %s %d", mk.role, mk.position)
		}
		permitted := parts[subject].Items.Has(mk.item)
		if survives := bytes.Contains(got, []byte(mk.text)); survives != permitted {
			t.Errorf("%s of %s %d: permitted is %v, survives is %v", m.doc.Contract.Items[mk.item].Name, mk.role, mk.position, permitted, survives)
		}
	}
}

// checkSubjects holds the people of a dataset against what was permitted: the same items of each, in the same order.
func checkSubjects(t *testing.T, doc *contracts.Document, parts []dataset.Part, got *contracts.Document) {
	t.Helper()
	var want []string
	for i, s := range doc.Subjects {
		if left := s.Items.And(parts[i].Items); !left.Empty() {
			want = append(want, fmt.Sprint(s.Role, doc.Contract.Names(left)))
		}
	}
	var have []string
	for _, s := range got.Subjects {
		have = append(have, fmt.Sprint(s.Role, got.Contract.Names(s.Items)))
	}
	slices.Sort(want) // a section may now be the first to speak of somebody
	slices.Sort(have)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("people (-want +got):\n%s", diff)
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		t.Fatal(err)
	}
	return cmp.Equal(x, y)
}

func TestCuttingTwiceIsCuttingOnce(t *testing.T) {
	doc := parsed(t, "adult-carer-hertswise")
	set := items(t, "carer.name.family", "carer.date_of_birth", "carer.addresses.postcode", "cared_for.date_of_birth")
	reduce := map[int]contracts.Transform{}
	for i := range set.All() {
		switch name := doc.Contract.Items[i].Name; {
		case strings.HasSuffix(name, "date_of_birth"):
			reduce[i] = contracts.YearOnly
		case strings.HasSuffix(name, "postcode"):
			reduce[i] = contracts.OutwardPostcode
		}
	}
	cut := func(doc *contracts.Document) []byte {
		parts := make([]dataset.Part, len(doc.Subjects))
		for i := range parts {
			parts[i] = dataset.Part{Items: set, Transform: reduce}
		}
		got, err := dataset.Cut(doc, parts)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	once := cut(doc)
	const want = `{"carer":{"name":{"family":"O'Brien"},"date_of_birth":"1951","addresses":[{"postcode":"SG14"},{"postcode":"SG12"}]},` +
		`"cared_for":[{"date_of_birth":"1948"}]}`
	if string(once) != want {
		t.Errorf("got %s", once)
	}
	stored, err := doc.Contract.ParseDataset(once)
	if err != nil {
		t.Fatal(err)
	}
	if twice := cut(stored); !bytes.Equal(once, twice) {
		t.Errorf("cut again: %s", twice)
	}
}

// FuzzCut cuts whatever the contract takes for a dataset, at random, and reads the result again.
func FuzzCut(f *testing.F) {
	c := referral(f)
	f.Add([]byte(`{"carer":{"name":{"given":"Mo"},"addresses":[{"postcode":"SG14"},{}]},"caring_role":{"tasks":["practical"]}}`), uint64(1))
	f.Add([]byte(`{"risks":{"pets":"One \"cat\""}, "cared_for":[{}, {"g\u0065nder":"male"}], "children":[]}`), uint64(2))
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		doc, err := c.ParseDataset(body)
		if err != nil {
			return
		}
		random := rand.New(rand.NewPCG(seed, 3))
		parts := make([]dataset.Part, len(doc.Subjects))
		for i := range parts {
			for item := range c.Items {
				if random.IntN(2) == 0 {
					parts[i].Items = parts[i].Items.With(item)
				}
			}
		}
		got, err := dataset.Cut(doc, parts)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.ParseDataset(got)
		if err != nil {
			t.Fatalf("the recipient cannot read %s: %v", got, err)
		}
		checkSubjects(t, doc, parts, again)
	})
}

func BenchmarkCut(b *testing.B) {
	doc := parsed(b, "adult-carer-hertswise")
	var set contracts.ItemSet
	for i := range doc.Contract.Items {
		if i%2 == 0 {
			set = set.With(i)
		}
	}
	item, _ := doc.Contract.Lookup("carer.date_of_birth")
	parts := make([]dataset.Part, len(doc.Subjects))
	for i := range parts {
		parts[i] = dataset.Part{Items: set, Transform: map[int]contracts.Transform{item.Index: contracts.YearOnly}}
	}
	b.SetBytes(int64(len(doc.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dataset.Cut(doc, parts); err != nil {
			b.Fatal(err)
		}
	}
}
