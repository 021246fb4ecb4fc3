package report

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/samber/lo"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Statement tells a person who was given information about them: actual recipients, dates, items, purpose, ground, source and how long it is
// kept (Art 15(1)(a) to (d) and (g) UK GDPR; C-154/21; domain.md section 10.1), and of their rights and where to complain (Art 15(1)(e), (f)).
//
// Whoever makes it decides what the person may be told (exceptions of row E6, DPA 2018 Schedules 2 and 3) and leaves the rest out; the wording
// is the same whether or not something was left out.
type Statement struct {
	Index      *agreement.Index
	By         transfer.PartnerID // the controller that answers
	Reference  string             // of the request: the hub does not know the person's name
	At         time.Time          // when it was made
	From, To   time.Time          // the period that it covers, To excluded; zero: from the beginning, until At
	Entries    []Entry            // of any kind, each About the person, oldest first: disclosures from and to By are picked out
	Withheld   []string           // names of items that the person is not told of: those that say what somebody said of them, for instance
	Checkpoint string             // a signed note over a log that holds every entry; empty when there is none
}

// HTML writes the statement as a page to print.
func (s *Statement) HTML(w io.Writer) error {
	return s.write(w, pages.ExecuteTemplate, "statement.html")
}

// Text writes it as plain text, to send in an e-mail or to read out.
func (s *Statement) Text(w io.Writer) error {
	return s.write(w, texts.ExecuteTemplate, "statement.txt")
}

var texts = template.Must(template.New("").ParseFS(files, "pages/*.txt"))

func (s *Statement) write(w io.Writer, execute func(io.Writer, string, any) error, name string) error {
	buf := bufio.NewWriter(w)
	if err := execute(buf, name, s.letter()); err != nil {
		return err
	}
	return buf.Flush()
}

// letter is what a statement says.
type letter struct {
	By              string
	Contact         transfer.Contact
	Reference, Made string
	Period          string
	Summary         string
	Given, Got      []*counterpart
	Complaints      []string // where the agreements say that people complain
	Logs            []string
	Checkpoint      string
}

// counterpart is an organisation that was given information, or gave it.
type counterpart struct {
	Name   string
	Office bool // no partner of the hub: only its office is known
	Abroad string
	Told   []*told
	Keeps  []string
}

// told is one disclosure.
type told struct {
	Days   []string
	As     string
	Items  []group
	Why    string
	Ground string
	Under  string
	How    string // outside the hub
	State  string
	Record []string

	transfer transfer.TransferID
	names    []string
	kind     transfer.MessageType
}

// When names the days.
func (t *told) When() string { return listed(t.Days) }

// Records names the places in the log.
func (t *told) Records() string { return strings.Join(t.Record, ", ") }

func (s *Statement) letter() *letter {
	l := &letter{
		By: named(s.Index, s.By), Reference: s.Reference, Made: day(s.At), Checkpoint: s.Checkpoint,
		Period: "from the beginning of our records until " + day(cmp.Or(s.end(), s.At)),
	}
	if !s.From.IsZero() {
		l.Period = "from " + day(s.From) + " until " + day(cmp.Or(s.end(), s.At))
	}
	if s.Index != nil {
		if p, ok := s.Index.Partner(s.By); ok {
			l.Contact = p.DPL
		}
	}
	var before *Entry
	for _, e := range s.Entries {
		weighed := weighed(before, e)
		before = &e
		leaf := e.Leaf
		if leaf.Kind != ledger.KindRelease && leaf.Kind != ledger.KindDisclosure {
			continue
		}
		switch s.By {
		case leaf.Sender:
			l.Given = s.tell(l.Given, e, weighed, leaf.Recipient, false)
		case leaf.Recipient:
			l.Got = s.tell(l.Got, e, weighed, leaf.Sender, true)
		default:
			continue
		}
	}
	l.Summary = summary(l.Given)
	return l
}

// end is the last instant of the period.
func (s *Statement) end() time.Time {
	if s.To.IsZero() {
		return s.To
	}
	return s.To.Add(-time.Microsecond)
}

// tell adds a disclosure to that of its counterpart. What was collected twice is one disclosure, on two days perhaps.
func (s *Statement) tell(list []*counterpart, e Entry, weighed *ledger.Leaf, with transfer.PartnerID, source bool) []*counterpart {
	l := e.Leaf
	var names []string
	var as []string
	for _, p := range about(l, e.About) {
		names, as = append(names, lo.Without(p.Items, s.Withheld...)...), append(as, wordsOf(roleWords, p.Role))
	}
	if len(names) == 0 {
		return list // about somebody else, or nothing that the person is told of
	}
	name, office := named(s.Index, with), false
	if with == "" && l.Disclosure != nil {
		name, office = upper(cmp.Or(l.Disclosure.Office, "somebody who is not on record")), true
	}
	i := slices.IndexFunc(list, func(c *counterpart) bool { return c.Name == name && c.Office == office })
	if i < 0 {
		i, list = len(list), append(list, &counterpart{Name: name, Office: office, Abroad: s.abroad(with)})
	}
	c := list[i]
	if t, again := lo.Find(c.Told, func(t *told) bool { return l.Transfer != "" && t.transfer == l.Transfer }); again {
		t.Days = append(t.Days, day(happened(l)))
		t.Record = append(t.Record, place(e.Origin, e.Index))
		t.names = lo.Uniq(append(t.names, names...))
		t.Items = grouped(t.kind, t.names)
		return list
	}
	t := &told{
		Days: []string{day(happened(l))}, As: listed(as), Why: wordsOf(purposeWords, l.Purpose), Ground: s.ground(l, weighed),
		Items: grouped(l.Type, names), State: arrived(e, source), Record: []string{place(e.Origin, e.Index)},
		transfer: l.Transfer, names: names, kind: l.Type,
	}
	if a := clauseOf(s.Index, l); a != nil {
		t.Under = a.Title
		if !source {
			c.Keeps = lo.Uniq(append(c.Keeps, lo.Map(a.Retention, func(r agreement.Retention, _ int) string {
				return lo.Ternary(r.Items == "", "", words(r.Items)+": ") + r.String()
			})...))
		}
	}
	if l.Disclosure != nil {
		t.How = words(l.Disclosure.How)
	}
	c.Told = append(c.Told, t)
	return list
}

// abroad says where a partner keeps data, when that is not in the United Kingdom (Art 15(2)).
func (s *Statement) abroad(id transfer.PartnerID) string {
	if s.Index == nil {
		return ""
	}
	p, ok := s.Index.Partner(id)
	if !ok || p.Location == "GB" {
		return ""
	}
	return p.Location + lo.Ternary(p.Safeguard == "", "", " with this safeguard: "+p.Safeguard)
}

// summary says how much there is, in a sentence.
func summary(given []*counterpart) string {
	if len(given) == 0 {
		return "We have no record that we gave information about you to any other organisation through the referral hub in this time."
	}
	n := lo.SumBy(given, func(c *counterpart) int { return len(c.Told) })
	return "We gave information about you to " + times(len(given), "organisation", "organisations") + ", " + times(n, "time", "times") + " in all: " +
		listed(lo.Map(given, func(c *counterpart, _ int) string { return c.Name })) + "."
}

// arrived says what became of a disclosure, as far as that is known.
func arrived(e Entry, source bool) string {
	switch e.State {
	case transfer.Received, transfer.NeedsInformation:
		return "It arrived."
	case transfer.Accepted:
		return lo.Ternary(source, "We took it on.", "It arrived, and they took it on.")
	case transfer.Completed:
		return lo.Ternary(source, "We have dealt with it.", "It arrived, and they have dealt with it.")
	case transfer.Declined:
		return lo.Ternary(source, "We did not take it on.", "It arrived, and they did not take it on.")
	}
	if e.State == "" {
		return "" // nobody looked
	}
	return lo.Ternary(source, "We may have received it.", "It was sent. They have not told us that it arrived.")
}

// ground says in words to the person why a disclosure was lawful.
func (s *Statement) ground(l, weighed *ledger.Leaf) string {
	var parts []string
	if x := weighed.Exception; x != nil {
		parts = append(parts, "It went as an exception, because "+wordsOf(exceptionWords, x.Kind)+"."+law(x.Law))
	} else if l.Outcome == transfer.PermitException {
		parts = append(parts, "It went as an exception, because it could not wait.")
	}
	if d := weighed.Demand; d != nil {
		parts = append(parts, upper(wordsOf(instrumentWords, d.Instrument))+"."+law(d.Law))
	}
	b, known := basisOf(s.Index, l)
	if !known || len(parts) > 0 && l.Disclosure == nil {
		return cmp.Or(strings.Join(parts, " "), "Ask us, and we look it up.")
	}
	said := wordsOf(basisWords, b.Article6) + " (Article 6(1)(" + b.Article6 + "))." + law(b.Statute)
	if b.Article9 != "" {
		said += " For health and other sensitive information: " + wordsOf(sensitiveWords, b.Article9) + " (Article 9(2)(" + b.Article9 + "))."
	}
	return strings.Join(append(parts, said), " ")
}

func law(name string) string {
	if name == "" {
		return ""
	}
	return " The law: " + name + "."
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

var instrumentWords = map[string]string{
	"court-order": "a court ordered it", "statute": "a law required it", "regulator": "a regulator required it", "warrant": "a warrant required it",
	"request": "somebody asked for it who may",
}

var basisWords = map[string]string{
	"a":  "You agreed to it",
	"b":  "It was needed for a contract with you",
	"c":  "The law required it",
	"d":  "It was needed to protect somebody's life",
	"e":  "It was needed for a task that the law gives to a public body",
	"ea": "It was needed for a purpose that the law recognises, such as keeping people safe",
	"f":  "There was a good reason for it, which was weighed against your rights",
}

var sensitiveWords = map[string]string{
	"a": "you agreed to it explicitly", "b": "the law on social security and social protection", "c": "somebody's life, when they could not agree",
	"d": "the work of a charity for its members", "e": "you had made it public", "f": "legal claims", "g": "a substantial public interest",
	"h": "health or social care", "i": "public health", "j": "research or statistics",
}
