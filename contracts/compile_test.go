package contracts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

func TestTheCatalogueOfReferral(t *testing.T) {
	c := referral(t)
	if len(c.Items) == 0 || len(c.Items) > contracts.MaxItems {
		t.Fatalf("%d items", len(c.Items))
	}
	for i, item := range c.Items {
		found, ok := c.Lookup(item.Name)
		if item.Index != i || !ok || found != item {
			t.Errorf("item %d is %+v, and by its name %+v", i, item, found)
		}
		if item.Role == "" || item.Category == "" || item.Title == "" {
			t.Errorf("%s is nobody's, of no category or has no title", item.Name)
		}
	}
	// In the order of the schema, so that an agreement and a receipt list items as the contract does.
	order := []string{"referral.type", "referral.background", "carer.name.family", "carer.nhs_number", "cared_for.name.family", "caring_role.coping"}
	if !slices.IsSortedFunc(order, func(a, b string) int { return itemIndex(t, c, a) - itemIndex(t, c, b) }) {
		t.Error("the items are not in the order of the schema")
	}
	want := contracts.Item{
		Index: itemIndex(t, c, "referral.background"), Name: "referral.background", Title: "Background", Role: transfer.Carer, Category: "narrative",
		Special: true, FreeText: true,
	}
	if got, _ := c.Lookup("referral.background"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, _ := c.Lookup("carer.case_number"); got.Identifier != "case-number" {
		t.Errorf("case number: %+v", got)
	}
	if got, _ := c.Lookup("cared_for.condition"); got.Role != transfer.CaredFor || !got.Special {
		t.Errorf("condition: %+v", got)
	}
	if got, _ := c.Lookup("carer.address_protected"); !got.Directive {
		t.Errorf("address_protected: %+v", got)
	}
	if _, ok := c.Lookup("carer.phones.number"); ok {
		t.Error("part of an item is an item")
	}
	names := []string{"referral.type", "carer.gender", "caring_role.coping"}
	var set contracts.ItemSet
	for _, name := range []string{"caring_role.coping", "referral.type", "carer.gender"} {
		set = set.With(itemIndex(t, c, name))
	}
	if diff := cmp.Diff(names, c.Names(set)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// wrap puts the members of a carer into a schema that is otherwise right.
func wrap(members string) string {
	return `{"type": "object", "additionalProperties": false, "properties": {
		"contract": {"const": "visit/1", "x-envelope": true},
		"carer": {"type": "object", "additionalProperties": false, "x-subject": "carer", "properties": {` + members + `}}},
		"$defs": {"loop": {"type": "array", "items": {"$ref": "#/$defs/loop"}}, "text": {"type": "string", "maxLength": 5},
			"person": {"type": "object", "additionalProperties": false, "required": ["a"], "properties": {"a": {"x-category": "identity"}}}}}`
}

func TestASchemaThatCannotBeTrustedIsRefused(t *testing.T) {
	many := func(n int) string {
		members := make([]string, n)
		for i := range members {
			members[i] = fmt.Sprintf(`"i%d": {"x-category": "identity"}`, i)
		}
		return strings.Join(members, ", ")
	}
	tests := []struct{ name, members, says string }{
		{"a leaf that nobody marked", `"height": {"type": "number"}`, "carer.height: neither an item"},
		{"a list that nobody marked", `"hats": {"type": "array", "items": {"type": "string"}}`, "carer.hats: neither an item"},
		{"a special item without a category", `"height": {"type": "number", "x-special": true}`, `"x-special" without x-category`},
		{"a mark misspelt", `"height": {"type": "number", "x-category": "health", "x-specail": true}`, `unknown mark "x-specail"`},
		{"an item in an item", `"a": {"type": "object", "additionalProperties": false, "x-category": "health", "properties": {"b": {"type": "string", "x-category": "health"}}}`, "carer.a.b: "},
		{"a person in an item", `"a": {"type": "array", "x-category": "health", "items": {"type": "object", "additionalProperties": false, "properties": {}, "x-subject": "child"}}`, "nothing is marked again"},
		{"an envelope below the top", `"a": {"type": "string", "x-envelope": true}`, "below the top level"},
		{"a role nobody has", `"a": {"type": "object", "additionalProperties": false, "properties": {"b": {"x-category": "identity"}}, "x-subject": "neighbour"}`, `unknown role "neighbour"`},
		{"a list as one person", `"a": {"type": "array", "x-subject": "child", "items": {"x-category": "identity"}}`, "marks the elements"},
		{"an open object", `"a": {"type": "object", "properties": {"b": {"x-category": "identity"}}}`, "unknown items pass"},
		{"an identifier that is no text", `"a": {"type": "integer", "x-category": "identity", "x-identifier": "case-number"}`, "for strings"},
		{"a flag that is no flag", `"a": {"type": "string", "x-category": "identity", "x-special": "yes"}`, "x-special: not true or false"},
		{"a name twice", `"a.b": {"x-category": "identity"}, "a": {"type": "object", "additionalProperties": false, "properties": {"b": {"x-category": "identity"}}}`, "the name repeats"},
		{"too many members", many(contracts.MaxItems + 1), "257 properties"},
		{"too many items", many(200) + `, "more": {"type": "object", "additionalProperties": false, "properties": {` + many(57) + `}}`, "257 items"},
		{"something required that is not there", `"a": {"type": "object", "additionalProperties": false, "required": ["z"], "properties": {"b": {"x-category": "identity"}}}`, `"z" is required and is no property`},
		{"a reference to nothing", `"a": {"$ref": "#/$defs/nothing", "x-category": "identity"}`, "nothing"},
		{"a reference elsewhere", `"a": {"$ref": "https://example.org/schema", "x-category": "identity"}`, "same file"},
		{"a loop", `"a": {"$ref": "#/$defs/loop", "x-category": "identity"}`, "leads to itself"},
		{"members beside a reference that has some", `"a": {"$ref": "#/$defs/person", "properties": {"b": {"x-category": "identity"}}}`, "stands both"},
		{"a pattern that is none", `"a": {"type": "string", "pattern": "(", "x-category": "identity"}`, "pattern"},
		{"a type that is none", `"a": {"type": "text", "x-category": "identity"}`, `unknown type "text"`},
		{"a type among others that is none", `"a": {"type": ["string", "text"], "x-category": "identity"}`, `unknown type "text"`},
		{"a fact that is no item", `"a": {"type": "object", "additionalProperties": false, "x-fact": "capacity", "properties": {"b": {"type": "boolean", "x-category": "health"}}}`, "x-fact outside an item"},
		{"a fact in so many words", `"a": {"type": "string", "x-category": "health", "x-fact": "capacity"}`, "one of a few words"},
		{"a fact that is a birthday", `"a": {"type": "string", "format": "date", "x-category": "identity", "x-born": true, "x-fact": "age"}`, "one of a few words"},
		{"a fact of which there are several", `"a": {"type": "array", "x-category": "health", "items": {"type": "object", "additionalProperties": false, "properties": {"b": {"type": "boolean", "x-fact": "capacity"}}}}`, "x-fact in a list"},
		{"a fact that two items give", `"a": {"type": "boolean", "x-category": "health", "x-fact": "capacity"}, "b": {"type": "boolean", "x-category": "health", "x-fact": "capacity"}`, `two items of one person give the fact "capacity"`},
		{"another mark on a part of an item", `"a": {"type": "object", "additionalProperties": false, "x-category": "health", "properties": {"b": {"type": "boolean", "x-fact": "capacity", "x-special": true}}}`, "nothing is marked again"},
		{"an attachment that is no item", `"a": {"type": "object", "additionalProperties": false, "x-attachment": true, "properties": {"b": {"x-category": "document"}}}`, `"x-attachment" without x-category`},
		{"nobody as a person", `"a": {"type": "object", "additionalProperties": false, "x-subject": "nobody", "properties": {"b": {"type": "integer", "x-category": "figures"}}}`, "x-subject of nobody"},
		{"words about nobody", `"a": {"type": "object", "additionalProperties": false, "x-about": "nobody", "properties": {"b": {"type": "string", "x-category": "figures", "x-free-text": true}}}`, "told apart"},
		{"a number of nobody", `"a": {"type": "object", "additionalProperties": false, "x-about": "nobody", "properties": {"b": {"type": "string", "x-category": "figures", "x-identifier": "nhs-number"}}}`, "told apart"},
		{"names by pattern", `"a": {"type": "object", "additionalProperties": false, "properties": {}, "patternProperties": {"^x": {}}, "x-category": "identity"}`, "patternProperties"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := contracts.Compile([]byte(wrap(test.members)))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("want %q, got %v", test.says, err)
			}
		})
	}
	if _, err := contracts.Compile([]byte(wrap(`"height": {"type": "number", "x-category": "health"}`))); err != nil {
		t.Errorf("the schema around these is refused too: %v", err)
	}
	outside := `{"type": "object", "additionalProperties": false, "properties": {"mood": {"type": "string", "x-category": "health"}}}`
	if _, err := contracts.Compile([]byte(outside)); err == nil || !strings.Contains(err.Error(), "nobody could decide") {
		t.Errorf("an item of nobody: %v", err)
	}
	if _, err := contracts.Compile([]byte(`{"type": `)); err == nil {
		t.Error("half a schema compiles")
	}
}

// A keyword that the pass does not know must not weaken the contract, and must not cost the places of the items.
func TestAnUnknownKeywordIsLeftToTheGeneralValidator(t *testing.T) {
	c, err := contracts.Compile([]byte(wrap(`
		"height": {"type": "integer", "multipleOf": 5, "x-category": "health"},
		"name": {"$ref": "#/$defs/text", "maxLength": 9, "x-category": "identity"},
		"shoe": {"type": ["integer", "string"], "x-category": "identity"}`)))
	if err != nil {
		t.Fatal(err)
	}
	if !contracts.NeedsLibrary(c) || contracts.NeedsLibrary(referral(t)) {
		t.Error("the library is called for the wrong contract")
	}
	doc, err := c.Parse([]byte(`{"contract": "visit/1", "carer": {"height": 170, "name": "Mo", "shoe": "large"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(doc.Value(0, itemIndex(t, c, "carer.height"))); got != "170" {
		t.Errorf("height is %s", got)
	}
	for body, rule := range map[string]string{
		`{"carer": {"height": 171}}`:                 "multipleOf /carer/height",
		`{"carer": {"name": "Maureen"}}`:             "maxLength /carer/name",
		`{"carer": {"shoe": true}}`:                  "type /carer/shoe",
		`{"carer": {"height": "tall"}}`:              "type /carer/height",
		`{"carer": {"height": 171, "hat": "large"}}`: "unknown-item /carer/hat",
	} {
		_, err := c.Parse([]byte(body))
		if f := faultsOf(t, err); f[0].Rule+" "+f[0].Pointer != rule {
			t.Errorf("%s: %+v", body, f)
		}
		if strings.Contains(fmt.Sprintf("%+v", err), "171") {
			t.Errorf("%s: the error quotes the value: %+v", body, err)
		}
	}
	var syntax *contracts.SyntaxError
	if _, err := c.Parse([]byte(`{"carer": {"height": 170, "height": 175}}`)); !errors.As(err, &syntax) {
		t.Errorf("an item twice: %v", err)
	}
}

func TestMarksBesideAReferenceWin(t *testing.T) {
	c, err := contracts.Compile([]byte(`{"type": "object", "additionalProperties": false, "properties": {
		"carer": {"$ref": "#/$defs/person", "x-subject": "carer"},
		"child": {"type": "array", "items": {"$ref": "#/$defs/person", "x-subject": "child"}}},
		"$defs": {"person": {"type": "object", "additionalProperties": false, "properties": {
			"name": {"$ref": "#/$defs/text", "x-category": "identity"}, "school": {"$ref": "#/$defs/text", "x-category": "education"}}},
			"text": {"type": "string", "maxLength": 5, "x-category": "narrative", "x-free-text": true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []contracts.Item{
		{Index: 0, Name: "carer.name", Role: "carer", Category: "identity", FreeText: true},
		{Index: 1, Name: "carer.school", Role: "carer", Category: "education", FreeText: true},
		{Index: 2, Name: "child.name", Role: "child", Category: "identity", FreeText: true},
		{Index: 3, Name: "child.school", Role: "child", Category: "education", FreeText: true},
	}
	if diff := cmp.Diff(want, c.Items); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if _, err := c.Parse([]byte(`{"child": [{"name": "Mo"}, {"name": "Maureen"}]}`)); faultsOf(t, err)[0].Pointer != "/child/1/name" {
		t.Errorf("%v", err)
	}
}
