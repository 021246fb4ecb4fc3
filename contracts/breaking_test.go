package contracts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// breaking says what a partner who keeps to the old schema would notice, by the promise of README.md. The schemas are of the
// dialect; references are followed.
func breaking(old, new map[string]any) []string {
	b := &comparison{oldDefs: definitions(old), newDefs: definitions(new)}
	b.compare("", old, new)
	slices.Sort(b.found)
	return b.found
}

type comparison struct {
	oldDefs, newDefs map[string]any
	found            []string
}

func definitions(schema map[string]any) map[string]any {
	defs, _ := schema["$defs"].(map[string]any)
	return defs
}

// resolved is a schema with what it refers to; what stands beside the reference wins.
func resolved(schema any, defs map[string]any) map[string]any {
	all := map[string]any{}
	own, _ := schema.(map[string]any)
	if ref, ok := own["$ref"].(string); ok {
		all = resolved(defs[strings.TrimPrefix(ref, "#/$defs/")], defs)
	}
	for keyword, value := range own {
		all[keyword] = value
	}
	return all
}

func (b *comparison) say(at, message string, args ...any) {
	b.found = append(b.found, strings.TrimPrefix(at, ".")+": "+fmt.Sprintf(message, args...))
}

func (b *comparison) compare(at string, oldSchema, newSchema any) {
	old, new := resolved(oldSchema, b.oldDefs), resolved(newSchema, b.newDefs)
	keywords := map[string]bool{}
	for keyword := range old {
		keywords[keyword] = true
	}
	for keyword := range new {
		keywords[keyword] = true
	}
	for keyword := range keywords {
		was, is := old[keyword], new[keyword]
		if reflect.DeepEqual(was, is) && keyword != "properties" && keyword != "items" {
			continue
		}
		switch keyword {
		case "$schema", "$id", "$defs", "$comment", "$ref", "title", "description", "examples", "default", "deprecated":
		case "properties":
			b.properties(at, was, is)
		case "items":
			if is != nil && was != nil {
				b.compare(at+"[]", was, is)
			} else if is != nil {
				b.say(at, "items is new")
			}
		case "required", "enum":
			b.list(at, keyword, was, is)
		case "minLength", "minItems", "minimum":
			if is != nil && (was == nil || is.(float64) > was.(float64)) {
				b.say(at, "%s is narrower", keyword)
			}
		case "maxLength", "maxItems", "maximum", "maxProperties":
			if is != nil && (was == nil || is.(float64) < was.(float64)) {
				b.say(at, "%s is narrower", keyword)
			}
		case "uniqueItems":
			if is == true {
				b.say(at, "uniqueItems is narrower")
			}
		case "pattern", "format", "const", "type":
			if is != nil {
				b.say(at, "%s is another", keyword)
			}
		case "x-fact": // a decision looks at more than before; nobody sends or gets anything else
			if was != nil {
				b.say(at, "x-fact is another")
			}
		case "additionalProperties":
			if is == false {
				b.say(at, "unknown members are refused")
			}
		default: // marks, and keywords that this comparison cannot judge
			b.say(at, "%s has changed", keyword)
		}
	}
}

func (b *comparison) properties(at string, was, is any) {
	old, _ := was.(map[string]any)
	new, _ := is.(map[string]any)
	for name := range old {
		if _, ok := new[name]; ok {
			b.compare(at+"."+name, old[name], new[name])
		} else {
			b.say(at+"."+name, "is gone")
		}
	}
}

// list compares a set of names: more required names and fewer permitted values are narrower.
func (b *comparison) list(at, keyword string, was, is any) {
	old, _ := was.([]any)
	new, _ := is.([]any)
	switch {
	case keyword == "required":
		for _, name := range new {
			if !slices.Contains(old, name) {
				b.say(fmt.Sprintf("%s.%s", at, name), "is now required")
			}
		}
	case was == nil:
		b.say(at, "enum is new")
	case is != nil:
		for _, value := range old {
			if !slices.Contains(new, value) {
				b.say(at, "%v is no longer permitted", value)
			}
		}
	}
}

func schemaFrom(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestNoPublishedContractIsBroken(t *testing.T) {
	published, err := filepath.Glob("published/*.schema.json")
	if err != nil || len(published) == 0 {
		t.Fatalf("no published contracts: %v", err)
	}
	for _, file := range published {
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		living, err := os.ReadFile(filepath.Base(file))
		if err != nil {
			t.Errorf("%s is gone; partners still send by it", filepath.Base(file))
			continue
		}
		for _, change := range breaking(schemaFrom(t, old), schemaFrom(t, living)) {
			t.Errorf("%s breaks its promise (README.md, \"What stays as it is\"); make it a new version: %s", filepath.Base(file), change)
		}
	}
	living, err := filepath.Glob("*.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range living {
		if _, err := os.Stat(filepath.Join("published", file)); err != nil {
			t.Errorf("%s has no copy in published/ that it can be held against", file)
		}
	}
}

func TestWhatBreaksAContract(t *testing.T) {
	const before = `{"type": "object", "additionalProperties": false, "required": ["carer"], "properties": {
		"carer": {"type": "object", "x-subject": "carer", "required": ["name"], "properties": {
			"name": {"$ref": "#/$defs/text", "x-category": "identity"},
			"mood": {"enum": ["good", "bad"], "x-category": "health", "x-special": true},
			"tasks": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/text"}, "x-category": "caring-role"},
			"coping": {"type": "integer", "minimum": 1, "maximum": 5, "x-category": "caring-role"}}}},
		"$defs": {"text": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^.*$", "format": "email"}}}`
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"nothing", "", "", nil},
		{"a new optional item", `"coping": {`, `"hat": {"type": "string", "x-category": "identity"}, "coping": {`, nil},
		{"a further value", `"bad"]`, `"bad", "mixed"]`, nil},
		{"better words", `"format": "email"`, `"format": "email", "description": "a text"`, nil},
		{"a wider limit, in a definition", `"maxLength": 9`, `"maxLength": 10`, nil},
		{"a wider scale", `"minimum": 1, "maximum": 5`, `"minimum": 0, "maximum": 10`, nil},
		{"an item that decisions look at from now on", `"minimum": 1`, `"x-fact": "coping", "minimum": 1`, nil},
		{"less required", `"required": ["name"],`, ``, nil},
		{"no pattern any more", `"pattern": "^.*$", `, ``, nil},
		{"an item renamed", `"coping"`, `"stress"`, []string{"carer.coping: is gone"}},
		{"more required", `["name"]`, `["name", "mood"]`, []string{"carer.mood: is now required"}},
		{"a value less", `"good", "bad"`, `"good"`, []string{"carer.mood: bad is no longer permitted"}},
		{"another pattern", `^.*$`, `^.+$`, []string{"carer.name: pattern is another", "carer.tasks[]: pattern is another"}},
		{"another format", `"email"`, `"uri"`, []string{"carer.name: format is another", "carer.tasks[]: format is another"}},
		{"shorter texts", `"maxLength": 9`, `"maxLength": 8`, []string{"carer.name: maxLength is narrower", "carer.tasks[]: maxLength is narrower"}},
		{"longer texts", `"minLength": 1`, `"minLength": 2`, []string{"carer.name: minLength is narrower", "carer.tasks[]: minLength is narrower"}},
		{"fewer tasks", `"maxItems": 3`, `"maxItems": 2`, []string{"carer.tasks: maxItems is narrower"}},
		{"tasks that differ", `"maxItems": 3`, `"maxItems": 3, "uniqueItems": true`, []string{"carer.tasks: uniqueItems is narrower"}},
		{"another type", `"integer"`, `"string"`, []string{"carer.coping: type is another"}},
		{"a narrower scale", `"maximum": 5`, `"maximum": 4`, []string{"carer.coping: maximum is narrower"}},
		{"no longer special", `, "x-special": true`, ``, []string{"carer.mood: x-special has changed"}},
		{"another category", `"x-category": "identity"`, `"x-category": "contact"`, []string{"carer.name: x-category has changed"}},
		{"another person", `"x-subject": "carer"`, `"x-subject": "child"`, []string{"carer: x-subject has changed"}},
		{"a keyword of another kind", `"integer"`, `"integer", "multipleOf": 2`, []string{"carer.coping: multipleOf has changed"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			after := strings.Replace(before, test.old, test.new, 1)
			if test.old != test.new && after == before {
				t.Fatal("the change changes nothing")
			}
			got := breaking(schemaFrom(t, []byte(before)), schemaFrom(t, []byte(after)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
