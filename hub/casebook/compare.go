package casebook

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/samber/lo"

	"referralhub/hub/policy"
	"referralhub/hub/transfer"
)

// Answer is a decision as whoever asked for it is told. Everything that plays cases gives its answers in this form.
type Answer struct {
	At          time.Time
	Outcome     transfer.Outcome
	Owner       string
	Clause      string // "hertswise@1#refer"
	Reasons     []policy.Reason
	People      []Person
	Obligations []string
	Dataset     []byte // what the recipient gets; nil unless the outcome permits
}

// Person is what becomes of the items about one person.
type Person struct {
	Role            transfer.Role
	Position        int
	Items, Stripped []string
}

// Differences says how an answer is not what was expected, each in a line.
func (e *Expect) Differences(a *Answer) []string {
	var out []string
	differ := func(what string, want, got any) {
		out = append(out, fmt.Sprintf("%s: expected %v, came %v", what, want, got))
	}
	if e.Outcome != a.Outcome {
		differ("outcome", e.Outcome, a.Outcome)
	}
	if e.Owner != "" && e.Owner != a.Owner {
		differ("owner", e.Owner, lo.CoalesceOrEmpty(a.Owner, "nobody"))
	}
	codes := codesOf(a.Reasons)
	if e.Reasons != nil {
		want := lo.Uniq(slices.Clone(*e.Reasons))
		slices.Sort(want)
		if !slices.Equal(want, codes) {
			differ("reasons", want, codes)
		}
	}
	for _, code := range e.ReasonsInclude {
		if !slices.Contains(codes, code) {
			differ("reasons", fmt.Sprintf("%s among them", code), codes)
		}
	}
	for _, code := range e.Obligations {
		if !slices.Contains(a.Obligations, code) {
			differ("obligations", fmt.Sprintf("%s among them", code), a.Obligations)
		}
	}
	for _, person := range slices.Sorted(maps.Keys(e.Items)) {
		out = append(out, e.Items[person].differences(person, a.about(person).Items)...)
	}
	for _, person := range slices.Sorted(maps.Keys(e.Stripped)) {
		if gone, _ := lo.Difference(e.Stripped[person], a.about(person).Stripped); len(gone) > 0 {
			out = append(out, fmt.Sprintf("stripped about %s: expected also %s", person, strings.Join(gone, ", ")))
		}
	}
	return append(out, e.Dataset.differences(a.Dataset)...)
}

// about finds a person. Of somebody who is not there nothing goes.
func (a *Answer) about(place string) Person {
	role, position, _ := personOf(place)
	p, _ := lo.Find(a.People, func(p Person) bool { return p.Role == role && p.Position == position })
	return p
}

func (i Items) differences(person string, got []string) []string {
	var out []string
	say := func(what string, names []string) {
		if len(names) > 0 {
			out = append(out, fmt.Sprintf("items about %s: %s %s", person, what, strings.Join(names, ", ")))
		}
	}
	if i.All != nil {
		missing, more := lo.Difference(*i.All, got)
		say("expected and does not go:", missing)
		say("not expected and goes:", more)
	}
	missing, _ := lo.Difference(i.Has, got)
	say("expected and does not go:", missing)
	say("must not go and goes:", lo.Intersect(i.Not, got))
	return out
}

func (d Dataset) differences(body []byte) []string {
	if len(d.Has) == 0 && len(d.Equals) == 0 {
		return nil
	}
	if body == nil {
		return []string{"dataset: expected one, came none"}
	}
	var whole any
	if err := json.Unmarshal(body, &whole); err != nil {
		return []string{fmt.Sprintf("dataset: %v", err)}
	}
	var out []string
	for _, pointer := range d.Has {
		if _, there := lookUp(whole, pointer); !there {
			out = append(out, fmt.Sprintf("dataset: expected something at %s, came nothing", pointer))
		}
	}
	for _, pointer := range slices.Sorted(maps.Keys(d.Equals)) {
		want := plain(d.Equals[pointer])
		if got, there := lookUp(whole, pointer); !there {
			out = append(out, fmt.Sprintf("dataset: expected %s at %s, came nothing", inJSON(want), pointer))
		} else if !reflect.DeepEqual(want, got) {
			out = append(out, fmt.Sprintf("dataset: expected %s at %s, came %s", inJSON(want), pointer, inJSON(got)))
		}
	}
	return out
}

// plain gives a value of YAML as JSON has it, where there is one kind of number.
func plain(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		return v
	}
	return out
}

func inJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// lookUp follows a JSON pointer (RFC 6901).
func lookUp(v any, pointer string) (any, bool) {
	for name := range jsontext.Pointer(pointer).Tokens() {
		switch here := v.(type) {
		case map[string]any:
			next, there := here[name]
			if !there {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(here) {
				return nil, false
			}
			v = here[i]
		default:
			return nil, false
		}
	}
	return v, true
}
