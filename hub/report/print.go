package report

import (
	"bufio"
	"cmp"
	"embed"
	"html/template"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/samber/lo"

	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// MostPrinted is how many entries a report for paper holds at most. Whoever needs more asks a narrower question, or takes another form.
const MostPrinted = 5000

//go:embed pages
var files embed.FS

// pages are plain: no scripts, nothing from elsewhere, and they print on A4.
var pages = template.Must(template.New("").ParseFS(files, "pages/*.html"))

// page is the report for a Data Protection Lead.
type page struct {
	Head       *Head
	Tail       *Tail
	Asker      string
	At         string
	Recipients []*received
	Disclosed  []printed
	Others     []printed
}

// printed is an entry in words.
type printed struct {
	When, What, By, From, To string
	Why, Under, Basis        string
	People                   []someone
	Notes                    []string
	State, Record, Log       string
}

// someone is a person of an entry: what of them went, and what was left out.
type someone struct{ Who, Goes, Left string }

// received sums up what one recipient got.
type received struct {
	Name              string
	Times, Exceptions int
	People            map[string]bool
	First, Last       time.Time
	Under             []string
}

// Since is the day of the first.
func (r *received) Since() string { return day(r.First) }

// Until is the day of the last.
func (r *received) Until() string { return day(r.Last) }

// Agreements names those under which it came.
func (r *received) Agreements() string { return listed(r.Under) }

// writeHTML writes the report that a Data Protection Lead prints or keeps: who received what, under which agreement, why, and how each line
// can be proved. It is in the memory as a whole, because what it sums up stands before it.
func writeHTML(w io.Writer, h *Head, entries iter.Seq2[Entry, error], t *Tail) error {
	p := page{Head: h, Tail: t, At: minute(h.At), Asker: h.actor(h.By)}
	var before *Entry // a decision whose release may come next
	for e, err := range h.seen(entries, cmp.Or(min(h.Limit, MostPrinted), MostPrinted), t) {
		if err != nil {
			return err
		}
		weighed := weighed(before, e)
		if before != nil && weighed == e.Leaf {
			p.Others = append(p.Others, h.printed(*before, before.Leaf))
		}
		if before = nil; e.Leaf.ForRelease() {
			before = &e
			continue
		}
		p.add(e, h.printed(e, weighed))
	}
	if before != nil {
		p.Others = append(p.Others, h.printed(*before, before.Leaf))
	}
	buf := bufio.NewWriter(w)
	if err := pages.ExecuteTemplate(buf, "report.html", p); err != nil {
		return err
	}
	return buf.Flush()
}

// add puts an entry where it belongs, and counts what its recipient got.
func (p *page) add(e Entry, line printed) {
	l := e.Leaf
	if l.Kind != ledger.KindRelease && l.Kind != ledger.KindDisclosure {
		p.Others = append(p.Others, line)
		return
	}
	p.Disclosed = append(p.Disclosed, line)
	to, known := lo.Find(p.Recipients, func(r *received) bool { return r.Name == line.To })
	if !known {
		to = &received{Name: line.To, First: happened(l), Last: happened(l), People: map[string]bool{}}
		p.Recipients = append(p.Recipients, to)
	}
	to.Times, to.Under = to.Times+1, append(to.Under, line.Under)
	if happened(l).Before(to.First) {
		to.First = happened(l)
	}
	if happened(l).After(to.Last) {
		to.Last = happened(l)
	}
	if l.Outcome == transfer.PermitException || l.Exception != nil {
		to.Exceptions++
	}
	for _, who := range people(e) {
		to.People[who] = true
	}
}

// weighed is the leaf that says on what a release rests: the decision directly before it, where its reader may see that, or itself.
func weighed(before *Entry, e Entry) *ledger.Leaf {
	if before != nil && before.Origin == e.Origin && before.Index+1 == e.Index && e.Leaf.RestsOn(before.Leaf) {
		return before.Leaf
	}
	return e.Leaf
}

// happened is when data was given: a disclosure outside the hub is entered afterwards.
func happened(l *ledger.Leaf) time.Time {
	if l.Disclosure != nil {
		return l.Disclosure.Made
	}
	return l.At
}

// printed says an entry in words; weighed is the leaf with what a release rests on.
func (h *Head) printed(e Entry, weighed *ledger.Leaf) printed {
	l := e.Leaf
	p := printed{
		When: minute(happened(l)), What: wordsOf(kindWords, l.Kind), By: h.actor(l.Actor), Why: wordsOf(purposeWords, l.Purpose),
		State:  words(cmp.Or(e.State, l.State)),
		Record: strconv.FormatInt(e.Index, 10), Log: e.Origin,
	}
	if l.Sender != "" {
		p.From = named(h.Index, l.Sender)
	}
	if l.Recipient != "" {
		p.To = named(h.Index, l.Recipient)
	} else if l.Disclosure != nil {
		p.To = l.Disclosure.Office
	}
	if c := l.Agreement; c != nil {
		p.Under = cmp.Or(c.Flow, string(c.ID)+"@"+strconv.Itoa(c.Version))
		if a := clauseOf(h.Index, l); a != nil {
			p.Under = a.Title + " (" + p.Under + ")"
		}
	}
	if b, ok := basisOf(h.Index, l); ok && l.Outcome.Permits() || l.Disclosure != nil {
		p.Basis = b.String()
	}
	for _, s := range about(weighed, e.About) {
		goes := cmp.Or(sentence(grouped(l.Type, s.Items)), "nothing")
		p.People = append(p.People, someone{who(&s, e.About), goes, sentence(grouped(l.Type, s.Stripped))})
	}
	if len(p.People) == 0 && e.About == "" {
		p.People = lo.Map(people(e), func(commitment string, _ int) someone { return someone{Who: "person" + short(commitment)} })
	}
	if weighed != l {
		p.Record += ", decided in " + strconv.FormatInt(e.Index-1, 10)
	}
	p.Notes = h.notes(l, weighed)
	return p
}

// notes are what else somebody who audits has to know of an entry, a sentence for each.
func (h *Head) notes(l, weighed *ledger.Leaf) []string {
	var notes []string
	add := func(title string, parts ...string) {
		if said := strings.Join(lo.Compact(parts), ", "); said != "" {
			notes = append(notes, title+": "+said)
		}
	}
	if l.Outcome != "" {
		add("Outcome", wordsOf(outcomeWords, l.Outcome))
	}
	if x := weighed.Exception; x != nil {
		add("Exception", wordsOf(exceptionWords, x.Kind), x.Law)
	}
	if d := weighed.Demand; d != nil {
		add("In answer to", words(d.Instrument)+" "+d.Reference, d.Law)
	}
	if d := l.Disclosure; d != nil {
		add("Made", "by "+words(d.How), "by "+d.Person, "entered "+minute(l.At))
		add("Law", d.Basis.Law)
	}
	for _, r := range weighed.Reasons {
		add("Reason", r.Code, r.Detail)
	}
	for _, o := range weighed.Obligations {
		add("For the "+o.Who, words(o.Code), lo.Ternary(o.By.IsZero(), "", "by "+day(o.By)))
	}
	if !l.Expires.IsZero() {
		add("Expires", minute(l.Expires))
	}
	add("Receipt", words(l.Receipt), lo.Ternary(l.Fault == "", "", "fault of the "+l.Fault), l.Note)
	s := shown(Entry{Leaf: l})
	reference, act := s.act()
	switch {
	case s.Consent != nil:
		add("Consent", act, wordsOf(purposeWords, s.Consent.Purpose), s.Consent.Method)
	case s.Look != nil:
		add("Asked", act, s.Look.Filter, "found "+strconv.Itoa(s.Look.Found), s.Look.Form)
		add("Not answered", s.Look.Refused)
		add("Why", s.Why)
	case s.Ruling != nil:
		add("Ruling", act, words(s.Ruling.Ground), strings.Join(s.Ruling.Codes, " "))
	case s.Case != nil:
		add("Case", act, reference, lo.Ternary(s.Case.Due == "", "", "due "+s.Case.Due))
	case s.Notice != nil:
		add("Notice", act, reference, words(s.Notice.Reason), lo.Ternary(s.Notice.Respond == "", "", "answer by "+s.Notice.Respond))
	case s.Request != nil:
		add("Request", reference, s.Request.Organisation, s.Request.Office, s.Request.Decision)
	}
	return notes
}

// who tells the people of a transfer apart, by the beginning of their commitments.
func who(s *ledger.Subject, asked string) string {
	role := wordsOf(roleWords, s.Role)
	if asked != "" {
		return role
	}
	return role + short(s.Commitment)
}

func short(commitment string) string {
	if len(commitment) < 8 {
		return ""
	}
	return " " + commitment[:8]
}

// actor names who did something: the partner, and where somebody answers for it, who.
func (h *Head) actor(a ledger.Actor) string {
	if a.Partner == "" {
		return ""
	}
	parts := []string{named(h.Index, a.Partner), a.Person}
	if a.Role != "" {
		parts = append(parts, "as "+wordsOf(staffWords, a.Role))
	}
	return strings.Join(lo.Compact(parts), ", ")
}
