package agreement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/samber/lo"

	"referralhub/hub/transfer"
)

// Effect is what becomes of something when one version takes the place of another.
type Effect string

// The effects.
const (
	NewlyFlows   Effect = "newly-flows"
	StopsFlowing Effect = "stops-flowing"
	Altered      Effect = "altered"
)

// Difference is one thing that one version says otherwise than another: about what goes on one route, or, where there is no route, about the
// agreement as a whole.
type Difference struct {
	Route
	Effect Effect `json:"effect"`
	What   string `json:"what"`             // an item ("carer.phones"), or a term ("basis", "ends")
	Before string `json:"before,omitempty"` // in words; empty when there was none
	After  string `json:"after,omitempty"`
}

// Route is from whom to whom something goes, as what, and why.
type Route struct {
	From    transfer.PartnerID   `json:"from,omitempty"`
	To      transfer.PartnerID   `json:"to,omitempty"`
	Message transfer.MessageType `json:"message,omitempty"`
	Purpose transfer.Purpose     `json:"purpose,omitempty"`
	Service transfer.Service     `json:"service,omitempty"`
}

// Diff says what would newly flow, stop flowing or change if b took the place of a: item by item and term by term, for every sender and
// recipient. Either may be nil: an agreement that did not exist, or that is given up. It compares what the versions say, whatever their status;
// that is one of the terms.
func Diff(a, b *Agreement) []Difference {
	diffs := compareTerms(Route{}, agreementTerms(a), agreementTerms(b))
	before, after := routes(a), routes(b)
	all := lo.Uniq(append(lo.Keys(before), lo.Keys(after)...))
	slices.SortFunc(all, compareRoutes)
	for _, r := range all {
		for _, pair := range pairClauses(before[r], after[r]) {
			diffs = append(diffs, compareTerms(r, clauseTerms(pair[0]), clauseTerms(pair[1]))...)
		}
	}
	return diffs
}

func compareRoutes(r, s Route) int {
	return cmp.Or(cmp.Compare(r.From, s.From), cmp.Compare(r.To, s.To), cmp.Compare(r.Purpose, s.Purpose),
		cmp.Compare(r.Service, s.Service), cmp.Compare(r.Message, s.Message))
}

// routes finds every flow of a version by the routes that it opens.
func routes(a *Agreement) map[Route][]*Flow {
	found := make(map[Route][]*Flow)
	if a == nil {
		return found
	}
	for _, f := range a.Flows {
		for _, from := range f.From {
			for _, to := range f.To {
				for _, m := range f.Messages {
					if r := (Route{from, to, m, f.Purpose, f.Service}); from != to {
						found[r] = append(found[r], f)
					}
				}
			}
		}
	}
	return found
}

// pairClauses joins the clauses of one route before and after: by their names, and what is left over in the order of the file.
func pairClauses(before, after []*Flow) [][2]*Flow {
	name := func(f *Flow) string { _, name, _ := strings.Cut(f.ID, "#"); return name }
	var pairs [][2]*Flow
	var left []*Flow
	rest := slices.Clone(after)
	for _, f := range before {
		i := slices.IndexFunc(rest, func(g *Flow) bool { return name(f) == name(g) })
		if i < 0 {
			left = append(left, f)
			continue
		}
		pairs = append(pairs, [2]*Flow{f, rest[i]})
		rest = slices.Delete(rest, i, i+1)
	}
	for i := range max(len(left), len(rest)) {
		var pair [2]*Flow
		if i < len(left) {
			pair[0] = left[i]
		}
		if i < len(rest) {
			pair[1] = rest[i]
		}
		pairs = append(pairs, pair)
	}
	return pairs
}

// term is one thing that a version says, in words that can be compared.
type term struct {
	what, says string
	item       bool
}

// compareTerms finds what two lists say otherwise: items first, each in the order of the first list, and then what only the second says.
func compareTerms(r Route, before, after []term) []Difference {
	says := func(ts []term) map[string]string {
		return lo.SliceToMap(ts, func(t term) (string, string) { return t.what, t.says })
	}
	was, is := says(before), says(after)
	all := lo.UniqBy(append(slices.Clone(before), after...), func(t term) string { return t.what })
	items, others := lo.FilterReject(all, func(t term, _ int) bool { return t.item })
	var diffs []Difference
	for _, t := range append(items, others...) {
		old, had := was[t.what]
		now, has := is[t.what]
		effect := Altered
		switch {
		case had == has && old == now:
			continue
		case t.item && !had:
			effect = NewlyFlows
		case t.item && !has:
			effect = StopsFlowing
		}
		diffs = append(diffs, Difference{r, effect, t.what, old, now})
	}
	return diffs
}

// clauseTerms lists what a clause says. An item says how it goes.
func clauseTerms(f *Flow) []term {
	if f == nil {
		return nil
	}
	var ts []term
	if f.Contract != nil {
		for i := range f.Allowed.All() {
			says := "as it is"
			if how, ok := f.Transform[i]; ok {
				says = transformWords[how]
			}
			if f.Required.Has(i) {
				says += ", always"
			}
			ts = append(ts, term{f.Contract.Items[i].Name, says, true})
		}
	}
	yes := func(b bool) string { return lo.Ternary(b, "yes", "") }
	delivery := lo.Ternary(f.Push, "push", lo.Ternary(f.AccessOnly, "access", "collect"))
	condition, onward, window, figures := "", "", "", ""
	if f.When != nil {
		condition = f.When.Source + "; otherwise: " + f.When.Otherwise
	}
	if len(f.Onward.To) > 0 {
		onward = "to " + list(sorted(f.Onward.To), "and")
		if len(f.Onward.Purposes) > 0 {
			onward += ", for " + list(sorted(f.Onward.Purposes), "or")
		}
	}
	if f.Objection > 0 {
		window = fmt.Sprintf("%d days", int(f.Objection.Hours()/24))
	}
	if f.Figures != (Figures{}) {
		figures = fmt.Sprintf("below %d suppressed, rounded to %d", f.Figures.Below, f.Figures.Round)
	}
	return append(ts, given(
		"basis", ground(f.Basis), "delivery", delivery, "free text", string(f.FreeText), "attachments", string(f.Attachments),
		"condition", condition, "only where the person was told", yes(f.Told), "days to object", window,
		"only where it is compelled", yes(f.Compelled), "figures", figures, "onward", onward, "beyond care", yes(f.Secondary),
		"frequency", f.Frequency, "who delivers the service", list(sorted(f.Members), "and"),
	)...)
}

// agreementTerms lists what a version says as a whole.
func agreementTerms(a *Agreement) []term {
	if a == nil {
		return nil
	}
	endless := func(s string, zero bool) string { return lo.Ternary(zero, "no end", s) }
	ts := given(
		"title", a.Title, "status", string(a.Status), "lead", string(a.Lead), "paper", a.Paper.Reference, "starts", day(a.Starts),
		"ends", endless(lastDay(a.Ends), a.Ends.IsZero()), "review by", lastDay(a.ReviewBy), "contract", a.Contract.Reference,
		"contract ends", lo.Ternary(a.Contract.Ends.IsZero(), "", lastDay(a.Contract.Ends)),
	)
	for _, p := range a.Parties {
		ts = append(ts, given("party "+string(p.Partner), words(p.Role)+", "+directionWords[p.Direction])...)
	}
	for i := range a.Purposes {
		p := &a.Purposes[i]
		on := func(what string) string { return what + " of " + string(p.Code) }
		ts = append(ts, given(on("aim"), p.Aim, on("necessity"), p.Necessity, on("benefits"), p.Benefits, on("prohibited uses"),
			list(p.Prohibited, "and"), on("opt-out"), p.OptOut, on("consent form"), p.Consent.Form, on("refusal"), p.Consent.OnRefusal,
			on("withdrawal"), p.Consent.OnWithdrawal)...)
	}
	for _, r := range a.Retention {
		ts = append(ts, given("retention of "+cmp.Or(r.Items, "everything"), r.String())...)
	}
	for _, n := range a.Transparency {
		ts = append(ts, given("privacy notice of "+string(n.Party), strings.TrimSpace(n.URL+" "+n.Version))...)
	}
	return append(ts, given(
		"who answers for accuracy", string(a.Accuracy.Responsible), "corrections", a.Accuracy.Corrections, "transfer", a.Security.Transfer,
		"encryption", a.Security.Encryption, "access", a.Security.Access, "storage", a.Security.Storage,
		"requests are passed on within", a.Rights.PassOn, "complaints", a.Complaints.Route, "breaches are told within", a.Breach.NotifyWithin,
		"breaches are reported by", string(a.Breach.ReportsToICO), "reviewed every", a.Governance.ReviewEvery,
		"termination", a.Governance.Termination, "audit", a.Governance.Audit, "training", a.Governance.Training,
	)...)
}

// given makes terms of pairs of a name and what is said, without those of which nothing is said.
func given(pairs ...string) []term {
	var ts []term
	for _, p := range lo.Chunk(pairs, 2) {
		if p[1] != "" {
			ts = append(ts, term{what: p[0], says: p[1]})
		}
	}
	return ts
}

func sorted[S ~string](ss []S) []string { return slices.Sorted(slices.Values(spelt(ss))) }

// DiffText writes differences for people, one a line. Routes on which the same changes are named together:
//
//	green-house, red-house -> shire-council, for carers-assessment (referral/1)
//	  + carer.email newly flows
//	  - carer.phones stops flowing
//	  ~ basis: a public task under ... (was the person's consent ...)
func DiffText(diffs []Difference) string {
	if len(diffs) == 0 {
		return "Nothing changes.\n"
	}
	lines := make(map[Route][]string)
	var order []Route
	for _, d := range diffs {
		if lines[d.Route] == nil {
			order = append(order, d.Route)
		}
		lines[d.Route] = append(lines[d.Route], d.line())
	}
	type block struct {
		as    Route // without the partners
		lines string
	}
	on := make(map[block][]Route)
	var blocks []block
	for _, r := range order {
		b := block{Route{Message: r.Message, Purpose: r.Purpose, Service: r.Service}, strings.Join(lines[r], "\n")}
		if on[b] == nil {
			blocks = append(blocks, b)
		}
		on[b] = append(on[b], r)
	}
	var s strings.Builder
	for i, b := range blocks {
		if i > 0 {
			s.WriteString("\n")
		}
		fmt.Fprintf(&s, "%s\n%s\n", between(on[b]), b.lines)
	}
	return s.String()
}

func (d Difference) line() string {
	switch {
	case d.Effect == NewlyFlows:
		return "  + " + d.What + " newly flows" + lo.Ternary(d.After == "as it is", "", ": "+d.After)
	case d.Effect == StopsFlowing:
		return "  - " + d.What + " stops flowing"
	case d.Before == "":
		return "  ~ " + d.What + ": " + d.After + " (was not said)"
	case d.After == "":
		return "  ~ " + d.What + ": no longer said (was " + d.Before + ")"
	}
	return "  ~ " + d.What + ": " + d.After + " (was " + d.Before + ")"
}

// between names routes that have the same message, purpose and service. Where everybody of one list may send to everybody of another, it names the
// lists; elsewhere each pair.
func between(rs []Route) string {
	r := rs[0]
	if r == (Route{}) {
		return "The agreement"
	}
	from := lo.Uniq(lo.Map(rs, func(r Route, _ int) string { return string(r.From) }))
	to := lo.Uniq(lo.Map(rs, func(r Route, _ int) string { return string(r.To) }))
	slices.Sort(to)
	who := strings.Join(from, ", ") + " -> " + strings.Join(to, ", ")
	if both := len(lo.Intersect(from, to)); len(rs) != len(from)*len(to)-both {
		who = strings.Join(lo.Map(rs, func(r Route, _ int) string { return string(r.From) + " -> " + string(r.To) }), "; ")
	}
	service := lo.Ternary(r.Service == "", "", " in "+string(r.Service))
	return fmt.Sprintf("%s, for %s%s (%s)", who, r.Purpose, service, r.Message)
}
