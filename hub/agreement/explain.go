package agreement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// Explain says in plain English what an agreement permits, for somebody who signs it and reads no YAML: who, why, on what
// ground, what goes, what stays, until when and what happens to it. Wildcards are written out, so that the reader sees
// every item. The index gives the partners' legal names and the later versions.
func Explain(a *Agreement, x *Index) string {
	w := &writer{index: x}
	w.paragraph("%s", a.Title)
	w.paragraph("Agreement %s, version %d, of the county %s. It transcribes the document %s, signed on %s. %s",
		a.ID, a.Version, words(a.County), a.Paper.Reference, day(a.Paper.SignedOn), statusWords[a.Status])

	w.heading("Who")
	for _, p := range a.Parties {
		w.item("%s %s, as a %s.", w.name(p.Partner), directionWords[p.Direction], words(p.Role))
	}
	if a.Lead != "" {
		w.paragraph("%s leads it.", w.name(a.Lead))
	}
	for i := range a.Purposes {
		w.purpose(&a.Purposes[i])
	}
	for _, f := range clauses(a) {
		w.flow(f)
	}
	w.until(a, x)
	w.afterwards(a)
	w.signatures(a)
	return w.String()
}

// ExplainFlow says what one clause permits, and on what ground: what somebody wants to read who asks about one transfer.
func ExplainFlow(f *Flow, x *Index) string {
	w := &writer{index: x}
	w.paragraph("%s, clause %s of %s. %s", f.Agreement.Title, f.ID[strings.Index(f.ID, "#")+1:], f.Agreement.Ref(), statusWords[f.Agreement.Status])
	w.paragraph("The ground is %s.", ground(f.Basis))
	w.flow(f)
	return w.String()
}

var statusWords = map[Status]string{
	Draft:       "It is a draft and permits nothing.",
	Signed:      "It is signed and not yet active: it permits nothing.",
	Active:      "It is active.",
	Suspended:   "It is suspended: nothing may go under it.",
	UnderReview: "It is under review: nothing may go under it until the review is done.",
	Expired:     "It has expired: nothing may go under it.",
	Terminated:  "It was terminated: nothing may go under it.",
}

var directionWords = map[string]string{"discloses": "gives", "receives": "receives", "both": "gives and receives"}

var article6Words = map[string]string{
	"a":  "the person's consent",
	"b":  "a contract with the person",
	"c":  "a legal obligation",
	"d":  "the vital interests of a person",
	"e":  "a public task",
	"ea": "a recognised legitimate interest",
	"f":  "legitimate interests",
}

var article9Words = map[string]string{
	"a": "the person's explicit consent",
	"b": "employment, social security or social protection law",
	"c": "vital interests of somebody who cannot consent",
	"d": "the work of a not-for-profit body for its members",
	"e": "that the person has made it public",
	"f": "legal claims",
	"g": "substantial public interest",
	"h": "health or social care",
	"i": "public health",
	"j": "archiving, research or statistics",
}

var confidentialityWords = map[string]string{
	"explicit-consent": "the person has agreed to it",
	"implied-consent":  "the person expects it as part of their care",
	"statute":          "a law sets it aside",
	"public-interest":  "the public interest overrides it",
}

var roleWords = map[transfer.Role]string{
	transfer.Carer:        "the carer",
	transfer.CaredFor:     "the person cared for",
	transfer.Child:        "other children of the household",
	transfer.Household:    "other adults of the household",
	transfer.AbsentParent: "a parent who lives elsewhere",
	transfer.Professional: "the referrer and other professionals, in their work",
	transfer.Nobody:       "nobody in particular: figures about many people",
}

var transformWords = map[contracts.Transform]string{
	contracts.YearOnly:        "the year only",
	contracts.OutwardPostcode: "the first half only",
	contracts.Pseudonymise:    "replaced by a number that only the recipient sees",
	contracts.SmallNumbers:    "small counts suppressed, the others rounded",
}

var (
	unitWords    = map[string]string{"y": "year", "m": "month", "w": "week", "d": "day", "h": "hour", "wd": "working day"}
	triggerWords = map[string]string{
		"receipt": "receipt", "last-input": "the last entry about the person", "last-entry": "the last entry",
		"case-closed": "the closing of the case", "service-end": "the end of the service", "contract-end": "the end of the contract",
		"agreement-end": "the end of this agreement", "completion": "completion", "settlement": "settlement",
	}
	disposalWords = map[string]string{"delete": "deleted", "return": "returned to whoever sent it", "anonymise": "made anonymous"}
)

func (w *writer) purpose(p *Purpose) {
	w.heading("Why: " + string(p.Code))
	w.paragraph("%s %s %s", p.Aim, p.Necessity, p.Benefits)
	w.paragraph("The ground is %s.", ground(p.Basis))
	for _, id := range sortedKeys(p.PerParty) {
		w.item("%s relies on %s.", w.name(id), ground(p.PerParty[id]))
	}
	if p.BeyondCare {
		w.paragraph("It is beyond the care of the person, so the National Data Opt-Out applies. %s", p.OptOut)
	}
	if len(p.Prohibited) > 0 {
		w.paragraph("It may never be used for %s.", list(p.Prohibited, "or"))
	}
	if c := p.Consent; c.Form != "" || c.OnRefusal != "" || c.OnWithdrawal != "" {
		w.sentences("Consent is asked for with the form "+c.Form+".", c.Form)
		w.sentences("If the person refuses: "+c.OnRefusal, c.OnRefusal)
		w.sentences("If the person withdraws: "+c.OnWithdrawal, c.OnWithdrawal)
		w.end()
	}
}

// ground says on what a basis stands, in words and in the citation that a lawyer looks for.
func ground(b Basis) string {
	s := article6Words[b.Article6]
	if b.Statute != "" {
		s += " under " + b.Statute
	}
	s += " (Art 6(1)(" + b.Article6 + ") UK GDPR)"
	if b.LIA != "" {
		s += ", weighed in " + b.LIA
	}
	if b.Article9 != "" {
		s += fmt.Sprintf(", and for special-category data %s (Art 9(2)(%s)", article9Words[b.Article9], b.Article9)
		if b.Schedule1 != "" {
			s += ", DPA 2018 Schedule 1 " + b.Schedule1
		}
		s += ")"
	}
	if b.Offence != "" {
		s += ", and for criminal-offence data DPA 2018 Schedule 1 " + b.Offence
	}
	if b.APD != "" {
		s += ", with the policy document " + b.APD
	}
	if b.Confidentiality != "" {
		s += "; it breaks no confidence, because " + confidentialityWords[b.Confidentiality]
	}
	return s
}

func (w *writer) flow(f *Flow) {
	w.heading("What goes: " + f.ID)
	service := ""
	if f.Service != "" {
		service = fmt.Sprintf(" in the service %s", f.Service)
	}
	way := "The recipient is told that something waits, and collects it."
	switch {
	case f.Push:
		way = "The data itself is sent to the recipient."
	case f.AccessOnly:
		way = "The recipient may look at it under its contract, and gets no copy: nothing is sent."
	}
	who := fmt.Sprintf("%s may send to %s", w.partners(f.From), w.partners(f.To))
	if len(f.From) > 1 && slices.Equal(f.From, f.To) {
		who = fmt.Sprintf("%s may send to one another", w.partners(f.From))
	}
	w.paragraph("%s, for %s%s. %s", who, f.Purpose, service, way)
	w.limits(f)
	if f.Contract == nil {
		w.paragraph("%d items may go.", f.Allowed.Len())
		return
	}
	var uncovered []string
	var directives, stays contracts.ItemSet
	for _, role := range transfer.Roles() {
		var goes, rest contracts.ItemSet
		for _, item := range f.Contract.Items {
			switch {
			case item.Role != role:
			case !f.Allowed.Has(item.Index):
				rest = rest.With(item.Index)
			case item.Directive:
				directives = directives.With(item.Index)
			default:
				goes = goes.With(item.Index)
			}
		}
		switch {
		case !goes.Empty():
			stays = stays.Or(rest)
			w.paragraph("About %s:", roleWords[role])
			w.catalogue(f, goes)
		case !rest.Empty():
			uncovered = append(uncovered, roleWords[role])
		}
	}
	if !directives.Empty() {
		var ds []string
		for i := range directives.All() {
			name := f.Contract.Items[i].Name
			ds = append(ds, words(name[strings.LastIndex(name, ".")+1:]))
		}
		w.paragraph("With it goes how to treat people: %s.", list(lo.Uniq(ds), "and"))
	}
	if f.Basis.Article6 == "a" {
		w.paragraph(`Everybody decides for themselves: what is about a person goes only with the consent of that person. Of a
			person cared for who has not been asked, no more goes than the relation to the carer and the broad condition.`)
	}
	w.stays(f, stays, uncovered)
}

// clauses gives the flows of an agreement with those put together that one clause was split into, because its senders stand on different ground.
func clauses(a *Agreement) []*Flow {
	var whole []*Flow
	for _, f := range a.Flows {
		i := slices.IndexFunc(whole, func(g *Flow) bool {
			return g.ID == f.ID && g.Contract == f.Contract && (g.Basis.Article6 == "a") == (f.Basis.Article6 == "a")
		})
		if i < 0 || f.Contract == nil {
			whole = append(whole, lo.ToPtr(*f))
			continue
		}
		whole[i].From = slices.Concat(whole[i].From, f.From)
	}
	return whole
}

// limits says what a clause asks for besides, and what it forbids.
func (w *writer) limits(f *Flow) {
	if c := f.When; c != nil {
		w.item("It applies only where %s (written as: %s). Elsewhere: %s", c.words, c.Source, c.Otherwise)
	}
	if f.Compelled {
		w.item("It goes only where an order or a law demands it, and no more of it than is demanded.")
	}
	if f.Told {
		w.item("It goes only where the person was told of this sharing.")
	}
	if f.Objection > 0 {
		w.item("Nothing goes before the person has had %d days to object, from the day they were told.", int(f.Objection.Hours()/24))
	}
	if f.FreeText == Reviewed {
		w.item("What people have written freely goes once somebody at the sender has read it.")
	}
	if f.Attachments == Reviewed {
		w.item("Documents go once somebody at the sender has read them.")
	}
	if g := f.Figures; g != (Figures{}) {
		rounded := ""
		if g.Round > 0 {
			rounded = fmt.Sprintf(" Others are rounded to the nearest %d.", g.Round)
		}
		w.item("Counts of people under %d are suppressed.%s", g.Below, rounded)
	}
	switch {
	case f.AccessOnly:
	case len(f.Onward.To) == 0:
		w.item("The recipient may pass it on to nobody.")
	case len(f.Onward.Purposes) == 0:
		w.item("The recipient may pass it on to %s, for the same purpose.", w.partners(f.Onward.To))
	default:
		w.item("The recipient may pass it on to %s, for %s.", w.partners(f.Onward.To), list(spelt(f.Onward.Purposes), "or"))
	}
}

// stays says what a clause does not let go. It names what is sensitive; a page that named all of it would be read by nobody.
func (w *writer) stays(f *Flow, set contracts.ItemSet, uncovered []string) {
	if set.Empty() && len(uncovered) == 0 {
		return
	}
	counts := make(map[string]int)
	var whole []string
	for i := range set.All() {
		section, _, _ := strings.Cut(f.Contract.Items[i].Name, ".")
		if counts[section]++; counts[section] == countIn(f.Contract, section) {
			whole = append(whole, words(section))
		}
	}
	var sensitive contracts.ItemSet
	for i := range set.All() {
		item := f.Contract.Items[i]
		section, _, _ := strings.Cut(item.Name, ".")
		if counts[section] < countIn(f.Contract, section) && (item.Special || item.Offence || item.Identifier != "" || item.FreeText) {
			sensitive = sensitive.With(i)
		}
	}
	if len(uncovered) == 0 && len(whole) == 0 && sensitive.Empty() {
		w.paragraph("Whatever is not listed stays where it is.")
		return
	}
	w.paragraph("Whatever is not listed stays where it is. That is, among other things,")
	if len(uncovered) > 0 {
		w.item("anything about %s.", list(uncovered, "or"))
	}
	if len(whole) > 0 {
		w.item("anything of the sections %s.", list(whole, "and"))
	}
	if !sensitive.Empty() {
		w.catalogue(&Flow{Contract: f.Contract}, sensitive)
	}
}

// catalogue lists items by the section of the message that they stand in: one line for each section.
func (w *writer) catalogue(f *Flow, set contracts.ItemSet) {
	var sections []string
	lines := make(map[string][]string)
	for i := range set.All() {
		item := f.Contract.Items[i]
		section, rest, _ := strings.Cut(item.Name, ".")
		parent, child, nested := strings.Cut(rest, ".")
		label := words(parent)
		if nested {
			label = words(child)
		}
		if f.Required.Has(i) {
			label += " [always]"
		}
		if how, ok := f.Transform[i]; ok {
			label += " [" + transformWords[how] + "]"
		}
		line := lines[section]
		if line == nil {
			sections = append(sections, section)
		}
		switch head := words(parent) + " ("; {
		case nested && len(line) > 0 && strings.HasPrefix(line[len(line)-1], head):
			line[len(line)-1] = strings.TrimSuffix(line[len(line)-1], ")") + ", " + label + ")"
		case nested:
			line = append(line, head+label+")")
		default:
			line = append(line, label)
		}
		lines[section] = line
	}
	for _, section := range sections {
		w.item("%s: %s.", words(section), strings.Join(lines[section], ", "))
	}
}

func countIn(c *contracts.Contract, section string) int {
	n := 0
	for _, item := range c.Items {
		if strings.HasPrefix(item.Name, section+".") {
			n++
		}
	}
	return n
}

func (w *writer) until(a *Agreement, x *Index) {
	w.heading("Until when")
	if a.Ends.IsZero() {
		w.paragraph("It applies from %s, without an end.", day(a.Starts))
	} else {
		w.paragraph("It applies from %s to %s.", day(a.Starts), lastDay(a.Ends))
	}
	w.paragraph("It has to be reviewed by %s.", lastDay(a.ReviewBy))
	if c := a.Contract; !c.Ends.IsZero() {
		w.paragraph("It ends with the contract %s, which runs to %s.", c.Reference, lastDay(c.Ends))
	}
	for _, later := range x.versions[a.ID] {
		if later.Version > a.Version && later.Status != Draft {
			w.paragraph("Version %d takes its place from %s.", later.Version, day(later.Starts))
		}
	}
}

func (w *writer) afterwards(a *Agreement) {
	w.heading("What happens to it")
	for _, r := range a.Retention {
		what := "What was received"
		if r.Items != "" {
			what = "What was received as " + words(r.Items)
		}
		w.item("%s is kept for %s from %s, and then %s.", what, span(r.Period), triggerWords[r.Trigger], disposalWords[r.Disposal])
	}
	w.say(a.Accuracy.Corrections, "%s", a.Accuracy.Corrections)
	w.say(a.Security.Transfer, "Transfer: %s.", a.Security.Transfer)
	w.say(a.Security.Encryption, "Encryption: %s.", a.Security.Encryption)
	w.say(a.Security.Access, "Access: %s.", a.Security.Access)
	w.say(a.Security.Storage, "Storage: %s.", a.Security.Storage)
	w.say(a.Rights.PassOn, "A request from the person is passed on within %s.", span(a.Rights.PassOn))
	w.say(a.Complaints.Route, "Complaints: %s", a.Complaints.Route)
	w.say(a.Breach.NotifyWithin, "A breach is told to the other parties within %s.", span(a.Breach.NotifyWithin))
	w.say(a.Governance.Termination, "Ending it: %s", a.Governance.Termination)
}

// signatures leaves room for the people who sign, and says which bytes they sign for.
func (w *writer) signatures(a *Agreement) {
	w.heading("Signatures")
	w.paragraph("This page says in English what the file %s says, whose digest is %s.", a.File, a.Digest)
	for _, p := range a.Parties {
		office := ""
		if p.Signatory != "" {
			office = ", " + p.Signatory
		}
		w.item("For %s%s: ____________________ on ____________", w.name(p.Partner), office)
	}
}

// writer lays out plain text for a page of lineWidth columns.
type writer struct {
	strings.Builder
	index   *Index
	pending []string
}

const lineWidth = 100

func (w *writer) heading(s string) { fmt.Fprintf(w, "\n%s\n%s\n", s, strings.Repeat("-", len(s))) }

func (w *writer) paragraph(format string, args ...any) { w.wrap("", fmt.Sprintf(format, args...)) }

func (w *writer) item(format string, args ...any) { w.wrap("  - ", fmt.Sprintf(format, args...)) }

// say writes an item unless what it is about was left out of the agreement.
func (w *writer) say(given, format string, args ...any) {
	if given != "" {
		w.item(format, args...)
	}
}

// sentences gathers sentences of one paragraph, which end closes.
func (w *writer) sentences(s, given string) {
	if given != "" {
		w.pending = append(w.pending, s)
	}
}

func (w *writer) end() {
	w.paragraph("%s", strings.Join(w.pending, " "))
	w.pending = nil
}

func (w *writer) wrap(bullet, s string) {
	line, indent := bullet, strings.Repeat(" ", len(bullet))
	for i, word := range strings.Fields(s) {
		switch {
		case i == 0:
			line += word
		case len(line)+1+len(word) > lineWidth:
			w.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	w.WriteString(line + "\n")
}

func (w *writer) name(id transfer.PartnerID) string { return w.index.nameOf(id) }

func (w *writer) partners(ids []transfer.PartnerID) string {
	var ns []string
	for _, id := range ids {
		ns = append(ns, w.name(id))
	}
	return list(ns, "and")
}

// list joins words as a sentence does: "a, b and c".
func list(ss []string, conjunction string) string {
	if len(ss) < 2 {
		return strings.Join(ss, "")
	}
	return strings.Join(ss[:len(ss)-1], ", ") + " " + conjunction + " " + ss[len(ss)-1]
}

// words turns a name of the machine's into words: "date_of_birth" becomes "date of birth".
func words(s string) string { return strings.NewReplacer("_", " ", "-", " ").Replace(s) }

func day(t time.Time) string { return t.Format("2 January 2006") }

// lastDay names the last day before an instant at which something is over.
func lastDay(end time.Time) string { return day(end.AddDate(0, 0, -1)) }

// span says a period in words: "4y" becomes "4 years".
func span(period string) string {
	unit := strings.TrimLeft(period, "0123456789")
	n := strings.TrimSuffix(period, unit)
	if n != "1" {
		return n + " " + unitWords[unit] + "s"
	}
	return n + " " + unitWords[unit]
}

func sortedKeys(m map[transfer.PartnerID]Basis) []transfer.PartnerID {
	var ids []transfer.PartnerID
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
