package report_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A validator of FHIR AuditEvents, as much of one as the profiles of IHE BALP ask for: the elements, cardinalities, types and codes of R4, and
// of a profile's differential the cardinalities, patterns, slices, bindings, kinds of reference and constraints. What it does not know it
// refuses, so that nothing passes because nobody looked.

// base is FHIR R4 as testdata/fhir/r4.json has it.
type base struct {
	Structures map[string][]struct {
		Path                 string
		Min                  int
		Max                  string
		Types                []string
		Required, Extensible string
	}
	ValueSets map[string][]string // "system|code"
}

// rule is one element of a profile's differential.
type rule struct {
	min, max   string
	pattern    any
	valueSet   string
	patient    bool // a reference to a Patient
	constraint string
	by         []string // slicing: discriminators
	closed     bool
	sliced     bool
}

type profile struct {
	base  string
	rules map[string]*rule // by id
}

type validator struct {
	base     base
	profiles map[string]*profile
	faults   []string
}

var readFHIR = sync.OnceValues(func() (*validator, error) {
	v := &validator{profiles: map[string]*profile{}}
	if text, err := os.ReadFile("testdata/fhir/r4.json"); err != nil {
		return nil, err
	} else if err := json.Unmarshal(text, &v.base); err != nil {
		return nil, err
	}
	systems := map[string][]string{}
	for _, kind := range []string{"CodeSystem", "ValueSet", "StructureDefinition"} {
		names, _ := filepath.Glob("testdata/fhir/" + kind + "-*.json")
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			var r struct {
				URL, BaseDefinition string
				Concept             []struct{ Code string }
				Compose             struct {
					Include []struct {
						System  string
						Concept []struct{ Code string }
					}
				}
				Differential struct{ Element []map[string]any }
			}
			if err := json.Unmarshal(text, &r); err != nil {
				return nil, err
			}
			for _, c := range r.Concept {
				systems[r.URL] = append(systems[r.URL], r.URL+"|"+c.Code)
			}
			for _, i := range r.Compose.Include {
				for _, c := range i.Concept {
					v.base.ValueSets[r.URL] = append(v.base.ValueSets[r.URL], i.System+"|"+c.Code)
				}
				if len(i.Concept) == 0 {
					v.base.ValueSets[r.URL] = append(v.base.ValueSets[r.URL], systems[i.System]...)
				}
			}
			if kind == "StructureDefinition" {
				p := &profile{r.BaseDefinition, map[string]*rule{}}
				for _, e := range r.Differential.Element {
					if p.rules[e["id"].(string)], err = readRule(e); err != nil {
						return nil, fmt.Errorf("%s: %w", name, err)
					}
				}
				v.profiles[r.URL] = p
			}
		}
	}
	return v, nil
})

func readRule(e map[string]any) (*rule, error) {
	r := &rule{}
	for key, value := range e {
		switch key {
		case "id", "path", "short", "definition", "comment", "requirements", "sliceName", "mustSupport":
		case "min":
			r.min = fmt.Sprint(value)
		case "max":
			r.max = value.(string)
		case "binding":
			if b := value.(map[string]any); b["strength"] == "required" {
				r.valueSet = b["valueSet"].(string)
			}
		case "type":
			target := value.([]any)[0].(map[string]any)["targetProfile"].([]any)[0]
			if r.patient = target == "http://hl7.org/fhir/StructureDefinition/Patient"; !r.patient {
				return nil, fmt.Errorf("a reference to %v, which this does not know", target)
			}
		case "constraint":
			r.constraint = value.([]any)[0].(map[string]any)["expression"].(string)
		case "slicing":
			s := value.(map[string]any)
			r.sliced, r.closed = true, s["rules"] == "closed"
			for _, d := range s["discriminator"].([]any) {
				r.by = append(r.by, d.(map[string]any)["path"].(string))
			}
		default:
			if !strings.HasPrefix(key, "pattern") {
				return nil, fmt.Errorf("%v: %q, which this does not know", e["id"], key)
			}
			r.pattern = value
		}
	}
	return r, nil
}

// check gives what is wrong with a resource, by R4 and by the profiles that it says it follows.
func check(t *testing.T, text []byte) []string {
	t.Helper()
	read, err := readFHIR()
	if err != nil {
		t.Fatal(err)
	}
	var resource map[string]any
	if err := json.Unmarshal(text, &resource); err != nil {
		return []string{err.Error()}
	}
	v := &validator{base: read.base, profiles: read.profiles}
	v.resource(resource)
	return v.faults
}

func (v *validator) fault(at, message string, args ...any) {
	v.faults = append(v.faults, at+": "+fmt.Sprintf(message, args...))
}

func (v *validator) resource(r map[string]any) {
	kind, _ := r["resourceType"].(string)
	if v.base.Structures[kind] == nil {
		v.fault("resource", "of type %q", kind)
		return
	}
	rest := maps.Clone(r)
	delete(rest, "resourceType")
	v.object(kind, kind, rest, kind)
	m, _ := r["meta"].(map[string]any)
	for _, url := range all(m["profile"]) {
		v.profile(r, fmt.Sprint(url))
	}
}

// object checks a value by the elements of a structure below a path.
func (v *validator) object(structure, path string, value map[string]any, at string) {
	if len(value) == 0 {
		v.fault(at, "empty")
	}
	known := map[string]bool{}
	for _, e := range v.base.Structures[structure] {
		name, below := strings.CutPrefix(e.Path, path+".")
		if !below || strings.Contains(name, ".") {
			continue
		}
		names := []string{name}
		if choice, ok := strings.CutSuffix(name, "[x]"); ok {
			names = nil
			for _, t := range e.Types {
				names = append(names, choice+strings.ToUpper(t[:1])+t[1:])
			}
		}
		found := 0
		for i, n := range names {
			known[n] = true
			raw, present := value[n]
			if !present {
				continue
			}
			if _, list := raw.([]any); list != (e.Max == "*") {
				v.fault(at+"."+n, "a list where there is to be one, or one where there is to be a list")
			}
			for _, x := range all(raw) {
				found++
				v.value(structure, e.Path, e.Types[min(i, len(e.Types)-1)], x, at+"."+n)
				v.coded(e.Required, x, at+"."+n, true)
				v.coded(e.Extensible, x, at+"."+n, false)
			}
		}
		if found < e.Min || e.Max == "1" && found > 1 {
			v.fault(at+"."+name, "%d, and there are to be %d to %s", found, e.Min, e.Max)
		}
	}
	for name := range value {
		if !known[name] {
			v.fault(at+"."+name, "no such element")
		}
	}
	if structure == "AuditEvent" && path == "AuditEvent.entity" && value["name"] != nil && value["query"] != nil {
		v.fault(at, "sev-1: both a name and a query")
	}
}

var primitives = map[string]*regexp.Regexp{
	"string": regexp.MustCompile(`^[ \r\n\t\S]+$`), "code": regexp.MustCompile(`^[^\s]+(\s[^\s]+)*$`), "uri": regexp.MustCompile(`^\S+$`),
	"canonical": regexp.MustCompile(`^\S+$`), "id": regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`),
	"instant":  regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`),
	"dateTime": regexp.MustCompile(`^\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?$`),
}

func (v *validator) value(structure, path, kind string, x any, at string) {
	text, isText := x.(string)
	object, isObject := x.(map[string]any)
	switch {
	case kind == "boolean":
		if _, ok := x.(bool); !ok {
			v.fault(at, "not true or false")
		}
	case kind == "base64Binary":
		if _, err := base64.StdEncoding.DecodeString(text); err != nil || text == "" {
			v.fault(at, "not base64")
		}
	case primitives[kind] != nil:
		if !isText || !primitives[kind].MatchString(text) || text != strings.TrimSpace(text) {
			v.fault(at, "%q is no %s", x, kind)
		}
	case !isObject:
		v.fault(at, "no object")
	case kind == "BackboneElement":
		v.object(structure, path, object, at)
	case kind == "Resource":
		v.resource(object)
	case v.base.Structures[kind] != nil:
		v.object(kind, kind, object, at)
	default:
		v.fault(at, "a %s, which this does not know", kind)
	}
}

// coded checks a code, Coding or CodeableConcept against a value set: a code of a system that the set draws on is one of the set.
func (v *validator) coded(set string, x any, at string, required bool) {
	codes := v.base.ValueSets[set]
	if set == "" {
		return
	}
	if len(codes) == 0 {
		v.fault(at, "nobody knows the codes of %s", set)
	}
	if concept, ok := x.(map[string]any); ok && concept["coding"] != nil {
		for _, c := range all(concept["coding"]) {
			v.coded(set, c, at, required)
		}
		return
	}
	if text, ok := x.(string); ok {
		if !slices.ContainsFunc(codes, func(c string) bool { return strings.HasSuffix(c, "|"+text) }) {
			v.fault(at, "%q is not in %s", text, set)
		}
		return
	}
	if c, ok := x.(map[string]any); ok && c["code"] != nil {
		system, code := fmt.Sprint(c["system"]), fmt.Sprint(c["code"])
		draws := slices.ContainsFunc(codes, func(c string) bool { return strings.HasPrefix(c, system+"|") })
		if (draws || required) && !slices.Contains(codes, system+"|"+code) {
			v.fault(at, "%s of %s is not in %s", code, system, set)
		}
	}
}

// profile checks the rules of a profile and of those it is built on.
func (v *validator) profile(r map[string]any, url string) {
	rules := map[string]*rule{}
	for next := url; next != "http://hl7.org/fhir/StructureDefinition/AuditEvent"; {
		p, known := v.profiles[next]
		if !known {
			v.fault("profile", "nobody knows %s", next)
			return
		}
		for id, own := range p.rules {
			if derived := rules[id]; derived != nil && derived.min == "" {
				derived.min = own.min
			} else if derived == nil {
				merged := *own
				rules[id] = &merged
			}
			if own.sliced {
				rules[id].sliced, rules[id].closed, rules[id].by = true, own.closed, own.by
			}
		}
		next = p.base
	}
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		p := strings.LastIndex(id, ".")
		for _, parent := range v.find(rules, r, id[:p]) {
			v.obey(rules, r, id, v.members(rules, parent, id))
		}
	}
}

// find gives the values at an id: "AuditEvent.agent:source.who".
func (v *validator) find(rules map[string]*rule, r map[string]any, id string) []any {
	p := strings.LastIndex(id, ".")
	if p < 0 {
		return []any{r}
	}
	var found []any
	for _, parent := range v.find(rules, r, id[:p]) {
		found = append(found, v.members(rules, parent, id)...)
	}
	return found
}

// members gives the values of one parent at an id: of a slice, those that belong to it.
func (v *validator) members(rules map[string]*rule, parent any, id string) []any {
	object, _ := parent.(map[string]any)
	name, slice, _ := strings.Cut(id[strings.LastIndex(id, ".")+1:], ":")
	values := all(object[name])
	if slice == "" {
		return values
	}
	return slices.DeleteFunc(slices.Clone(values), func(x any) bool { return !v.belongs(rules, x, id) })
}

func (v *validator) belongs(rules map[string]*rule, x any, id string) bool {
	whole := rules[id[:strings.LastIndex(id, ":")]]
	if whole == nil || !whole.sliced {
		v.fault(id, "a slice of what is not sliced")
		return false
	}
	for _, by := range whole.by {
		at, value := id+"."+by, x
		if by == "$this" {
			at = id
		} else {
			value = x.(map[string]any)[by]
		}
		r := rules[at]
		switch {
		case r != nil && r.pattern != nil:
			if !holds(r.pattern, value) {
				return false
			}
		case r != nil && r.valueSet != "":
			probe := &validator{base: v.base}
			if probe.coded(r.valueSet, value, "", true); len(probe.faults) > 0 {
				return false
			}
		default:
			v.fault(id, "nothing tells this slice apart")
		}
	}
	return true
}

func (v *validator) obey(rules map[string]*rule, r map[string]any, id string, values []any) {
	own := rules[id]
	least, _ := strconv.Atoi(own.min)
	if most, err := strconv.Atoi(own.max); len(values) < least || err == nil && len(values) > most {
		v.fault(id, "%d, and there are to be %s to %s", len(values), own.min, own.max)
	}
	for _, x := range values {
		if own.pattern != nil && !holds(own.pattern, x) {
			v.fault(id, "%v is not %v", x, own.pattern)
		}
		v.coded(own.valueSet, x, id, true)
		if ref, ok := x.(map[string]any); own.patient && (!ok || ref["type"] != "Patient" && !strings.HasPrefix(fmt.Sprint(ref["reference"]), "Patient/")) {
			v.fault(id, "no reference to a Patient")
		}
		switch own.constraint {
		case "":
		case "$this.who = %resource.source.observer":
			if observer := r["source"].(map[string]any)["observer"]; !reflect.DeepEqual(x.(map[string]any)["who"], observer) {
				v.fault(id, "val-audit-source: it is not the observer")
			}
		default:
			v.fault(id, "nobody knows how to check %s", own.constraint)
		}
		if own.closed && !slices.ContainsFunc(slices.Collect(maps.Keys(rules)), func(slice string) bool {
			name, of := strings.CutPrefix(slice, id+":")
			return of && !strings.Contains(name, ".") && v.belongs(rules, x, slice)
		}) {
			v.fault(id, "%v is in none of the slices, and there may be no other", x)
		}
	}
}

// holds reports whether a value has all that a pattern has.
func holds(pattern, value any) bool {
	switch p := pattern.(type) {
	case map[string]any:
		object, ok := value.(map[string]any)
		for key, want := range p {
			ok = ok && holds(want, object[key])
		}
		return ok
	case []any:
		for _, want := range p {
			if !slices.ContainsFunc(all(value), func(x any) bool { return holds(want, x) }) {
				return false
			}
		}
		return true
	}
	return pattern == value
}

func all(x any) []any {
	switch x := x.(type) {
	case nil:
		return nil
	case []any:
		return x
	}
	return []any{x}
}
