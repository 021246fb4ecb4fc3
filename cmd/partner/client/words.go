package client

import (
	"fmt"
	"go/doc/comment"
	"slices"
	"strings"

	"github.com/samber/lo"

	"referralhub/hub/transfer"
)

// pageWidth is how many columns what a person reads takes at most.
const pageWidth = 100

// Duty puts an obligation of a recipient into words.
func Duty(o Obligation) string {
	text, known := map[string]string{
		"protect":               "Somebody in it must not be found or contacted by others: keep addresses, numbers and places from everybody who does not need them.",
		"do-not-inform":         "Do not tell people of this sharing before the sender says so: it would do harm.",
		"do-not-contact-parent": "Do not contact the parent about this without the safeguarding lead.",
	}[o.Code]
	if !known {
		text = "Heed what comes with it: " + o.Code + "."
	}
	if !o.By.IsZero() {
		text += " By " + o.By.Format("2 January 2006") + "."
	}
	return text
}

// KeepFromThePerson stands with what must not be told to the person it is about, in an answer to a subject access request either (rule
// 001-17; domain.md section 4.3, E6).
const KeepFromThePerson = "KEEP THIS FROM THE PERSON: it reports a crime, and telling them of it may be an offence."

// Secret reports whether that goes for something that the disclosure log has, by the exception behind it and what comes with it.
func Secret(exception string, obligations []string) bool {
	return exception == "crime-report" || slices.Contains(obligations, "tipping-off")
}

// Wrap lays text out as one paragraph of at most 100 columns with indent before each line. It ends with a line break, unless text is
// empty.
func Wrap(indent, text string) string {
	if text == "" {
		return ""
	}
	p := comment.Printer{TextPrefix: indent, TextWidth: pageWidth - len(indent)}
	return string(p.Text(&comment.Doc{Content: []comment.Block{&comment.Paragraph{Text: []comment.Text{comment.Plain(text)}}}}))
}

// Count says how many there are of something: "1 leaf", "2 leaves", "3 entries".
func Count[N int | int64](n N, what string) string {
	switch {
	case n == 1:
	case what == "leaf":
		what = "leaves"
	case what == "person":
		what = "people"
	case strings.HasSuffix(what, "y") && !strings.HasSuffix(what, "ay"):
		what = strings.TrimSuffix(what, "y") + "ies"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

var people = map[transfer.Role]string{
	transfer.Carer: "the carer", transfer.CaredFor: "the cared-for person", transfer.Child: "the child", transfer.Household: "the household member",
	transfer.AbsentParent: "the parent who lives elsewhere", transfer.Professional: "the professional", transfer.Nobody: "people as a whole",
}

// Office names whoever has to settle a hold, as Transfer.Owner has them: "Data Protection Lead".
func Office(owner string) string {
	if name, known := map[string]string{"dpl": "Data Protection Lead", "safeguarding-lead": "Safeguarding Lead"}[owner]; known {
		return name
	}
	return owner
}

// Person names somebody of a message by role, and by number past the first, without saying who it is: "the child (number 2)".
func Person(role transfer.Role, position int) string {
	name, known := people[role]
	if !known {
		name = "the " + strings.ReplaceAll(string(role), "_", " ")
	}
	if position > 0 {
		name = fmt.Sprintf("%s (number %d)", name, position+1)
	}
	return name
}

// Sections names items as a person reads them: a line for each section of the message, and what belongs to one thing in one place.
// "carer.name.given", "carer.name.family" and "carer.phones" become "carer: name (given, family), phones".
func Sections(items []string) []string {
	sections := groups(items)
	return lo.Map(sections, func(s group, _ int) string {
		things := lo.Map(groups(s.below), func(t group, _ int) string {
			if len(t.below) == 0 {
				return t.name
			}
			return t.name + " (" + strings.Join(t.below, ", ") + ")"
		})
		if len(things) == 0 {
			return s.name
		}
		return s.name + ": " + strings.Join(things, ", ")
	})
}

// group is the names that begin alike: what comes before their first dot, and what each of them has behind it.
type group struct {
	name  string
	below []string
}

func groups(names []string) []group {
	var out []group
	for _, n := range names {
		head, rest, more := strings.Cut(n, ".")
		i := slices.IndexFunc(out, func(g group) bool { return g.name == head })
		if i < 0 {
			i, out = len(out), append(out, group{name: head})
		}
		if more {
			out[i].below = append(out[i].below, rest)
		}
	}
	return out
}

// Together makes one reason of those that say the same about several people: "Nothing is on record about the carer, the child and the
// child (number 2)." The order stays that of the first of each. A reason that was put together is about no single role.
func Together(reasons []Reason) []Reason {
	type kind struct{ code, gate, remedy, clause, source string }
	var order []kind
	alike := map[kind][]Reason{}
	for _, r := range reasons {
		k := kind{r.Code, r.Gate, r.Remedy, r.Clause, r.Source}
		if alike[k] == nil {
			order = append(order, k)
		}
		alike[k] = append(alike[k], r)
	}
	var out []Reason
	for _, k := range order {
		rs := alike[k]
		detail, ok := combine(lo.Map(rs, func(r Reason, _ int) string { return r.Detail }))
		if !ok {
			out = append(out, rs...)
			continue
		}
		one := rs[0]
		one.Detail = detail
		for _, r := range rs[1:] {
			if r.Role != one.Role {
				one.Role = ""
			}
			one.Items = append(slices.Clip(one.Items), r.Items...)
		}
		out = append(out, one)
	}
	return out
}

// combine makes one sentence of sentences that differ in whom they are about and in nothing else. A person is called "the" something.
func combine(sentences []string) (string, bool) {
	sentences = lo.Uniq(sentences)
	if len(sentences) == 1 {
		return sentences[0], true
	}
	words := lo.Map(sentences, func(s string, _ int) []string { return strings.Fields(strings.TrimSuffix(s, ".")) })
	shortest := len(lo.MinBy(words, func(a, b []string) bool { return len(a) < len(b) }))
	same := func(at func(w []string) string) bool {
		return lo.EveryBy(words, func(w []string) bool { return at(w) == at(words[0]) })
	}
	before := 0
	for before < shortest && same(func(w []string) string { return w[before] }) {
		before++
	}
	before = lo.LastIndexOf(words[0][:before], "the")
	if before < 0 {
		return "", false
	}
	after := 0
	// "(number 2)" belongs to the person, who has "the" and one word more at least.
	for after < shortest-before-2 && same(func(w []string) string { return w[len(w)-1-after] }) && !strings.HasSuffix(words[0][len(words[0])-1-after], ")") {
		after++
	}
	people := lo.Map(words, func(w []string, _ int) string { return strings.Join(w[before:len(w)-after], " ") })
	last := len(people) - 1
	parts := slices.Concat(words[0][:before], []string{strings.Join(people[:last], ", "), "and", people[last]}, words[0][len(words[0])-after:])
	return strings.Join(parts, " ") + ".", true
}
