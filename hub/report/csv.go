package report

import (
	"bufio"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/samber/lo"

	"referralhub/hub/ledger"
)

// column is one column of the CSV.
type column struct {
	name string
	of   func(h *Head, e Entry, s *Shown) string
}

// columns are in a fixed order, and a new one goes to the end: whoever has built a sheet on them keeps it. Lists are joined by "; ", times
// are RFC 3339 in UTC, and a cell is empty where the leaf says nothing.
var columns = []column{
	{"log", func(_ *Head, _ Entry, s *Shown) string { return s.Log.Origin }},
	{"index", func(_ *Head, _ Entry, s *Shown) string { return strconv.FormatInt(s.Log.Index, 10) }},
	{"at", func(_ *Head, _ Entry, s *Shown) string { return stamp(s.At) }},
	{"kind", func(_ *Head, _ Entry, s *Shown) string { return string(s.Kind) }},
	{"transfer", func(_ *Head, _ Entry, s *Shown) string { return string(s.Transfer) }},
	{"sender", func(_ *Head, _ Entry, s *Shown) string { return string(s.Sender) }},
	{"sender_name", func(h *Head, _ Entry, s *Shown) string { return h.name(s.Sender) }},
	{"recipient", func(_ *Head, _ Entry, s *Shown) string { return string(s.Recipient) }},
	{"recipient_name", func(h *Head, _ Entry, s *Shown) string { return h.name(s.Recipient) }},
	{"office", func(_ *Head, _ Entry, s *Shown) string {
		return lo.FromPtr(s.Outside).Office + lo.FromPtr(s.Request).Office
	}},
	{"type", func(_ *Head, _ Entry, s *Shown) string { return string(s.Type) }},
	{"purpose", func(_ *Head, _ Entry, s *Shown) string { return string(s.Purpose) }},
	{"service", func(_ *Head, _ Entry, s *Shown) string { return string(s.Service) }},
	{"outcome", func(_ *Head, _ Entry, s *Shown) string { return string(s.Outcome) }},
	{"state", func(_ *Head, _ Entry, s *Shown) string { return string(s.State) }},
	{"state_now", func(_ *Head, _ Entry, s *Shown) string { return string(s.Now) }},
	{"agreement", func(_ *Head, _ Entry, s *Shown) string { return string(lo.FromPtr(s.Agreement).ID) }},
	{"version", func(_ *Head, _ Entry, s *Shown) string { return number(lo.FromPtr(s.Agreement).Version) }},
	{"clause", func(_ *Head, _ Entry, s *Shown) string { return lo.FromPtr(s.Agreement).Flow }},
	{"agreement_digest", func(_ *Head, _ Entry, s *Shown) string { return lo.FromPtr(s.Agreement).Digest }},
	{"people", func(_ *Head, e Entry, _ *Shown) string { return joined(people(e)) }},
	{"roles", func(_ *Head, e Entry, _ *Shown) string { return joined(roles(e)) }},
	{"items", func(_ *Head, _ Entry, s *Shown) string { return joined(s.Items) }},
	{"stripped", func(_ *Head, _ Entry, s *Shown) string { return joined(s.Stripped) }},
	{"consents", func(_ *Head, e Entry, _ *Shown) string { return joined(consents(e)) }},
	{"reasons", func(_ *Head, _ Entry, s *Shown) string {
		return joined(lo.Uniq(lo.Map(s.Reasons, func(r Reason, _ int) string { return r.Code })))
	}},
	{"exception", func(_ *Head, _ Entry, s *Shown) string { return s.Exception }},
	{"demand", func(_ *Head, _ Entry, s *Shown) string { return s.Demand }},
	{"obligations", func(_ *Head, _ Entry, s *Shown) string {
		return joined(lo.Map(s.Duties, func(d Duty, _ int) string { return d.Who + " " + d.Code }))
	}},
	{"expires", func(_ *Head, _ Entry, s *Shown) string { return stamp(s.Expires) }},
	{"receipt", func(_ *Head, _ Entry, s *Shown) string { return s.Receipt }},
	{"payload", func(_ *Head, _ Entry, s *Shown) string { return s.Payload }},
	{"made", func(_ *Head, _ Entry, s *Shown) string { return stamp(lo.FromPtr(s.Outside).Made) }},
	{"how", func(_ *Head, _ Entry, s *Shown) string { return lo.FromPtr(s.Outside).How + lo.FromPtr(s.Case).Channel }},
	{"reference", func(_ *Head, _ Entry, s *Shown) string { ref, _ := s.act(); return ref }},
	{"act", func(_ *Head, _ Entry, s *Shown) string { _, act := s.act(); return act }},
	{"due", func(_ *Head, _ Entry, s *Shown) string { return lo.FromPtr(s.Case).Due + lo.FromPtr(s.Notice).Respond }},
	{"by_partner", func(_ *Head, e Entry, _ *Shown) string { return string(e.Leaf.Actor.Partner) }},
	{"by_system", func(_ *Head, _ Entry, s *Shown) string { return string(s.By) }},
	{"by_person", func(_ *Head, _ Entry, s *Shown) string { return s.Person }},
	{"by_role", func(_ *Head, _ Entry, s *Shown) string { return string(s.As) }},
	{"why", func(_ *Head, _ Entry, s *Shown) string { return s.Why }},
	{"question", func(_ *Head, _ Entry, s *Shown) string { return lo.FromPtr(s.Look).Filter }},
	{"found", func(_ *Head, _ Entry, s *Shown) string {
		return lo.Ternary(s.Look == nil, "", strconv.Itoa(lo.FromPtr(s.Look).Found))
	}},
	{"note", func(_ *Head, _ Entry, s *Shown) string { return s.Note }},
}

// writeCSV writes a row for each entry (RFC 4180) behind a row of names, in UTF-8 without a byte order mark: with one, the first column has
// another name for every reader that does not know of it, and all that is beyond ASCII here is the names of offices.
func writeCSV(w io.Writer, h *Head, entries iter.Seq2[Entry, error], t *Tail) error {
	buf := bufio.NewWriter(w)
	cells := lo.Map(columns, func(c column, _ int) string { return c.name })
	_ = Row(buf, cells...) // the error stays in the writer
	for e, err := range h.seen(entries, h.Limit, t) {
		if err != nil {
			return err
		}
		s := shown(e)
		for i, c := range columns {
			cells[i] = c.of(h, e, &s)
		}
		if err := Row(buf, cells...); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// Row writes a line of a CSV. It quotes every cell: what is in quotes cannot end it, whatever a spreadsheet takes for a separator; and none is
// a formula.
func Row(w io.Writer, cells ...string) error {
	quoted := lo.Map(cells, func(cell string, _ int) string { return `"` + strings.ReplaceAll(harmless(cell), `"`, `""`) + `"` })
	_, err := io.WriteString(w, strings.Join(quoted, ",")+"\r\n")
	return err
}

// harmless takes its meaning from what a spreadsheet would read as a formula: an apostrophe goes before =, +, - and @, in full width too, and
// before tabs and line breaks (OWASP, CSV injection). Blanks in front do not hide one: some programs strip them.
func harmless(cell string) string {
	first := strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	if strings.HasPrefix(cell, "\t") || strings.HasPrefix(cell, "\r") || strings.HasPrefix(cell, "\n") ||
		first != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(first)[0]) {
		return "'" + cell
	}
	return cell
}

// act gives the reference and the word of what people did, whatever the kind of leaf.
func (s *Shown) act() (reference, act string) {
	switch {
	case s.Consent != nil:
		return s.Consent.ID, s.Consent.State
	case s.Ruling != nil:
		return "", s.Ruling.Act
	case s.Request != nil:
		return s.Request.Reference, s.Request.Decision
	case s.Case != nil:
		return s.Case.Reference, s.Case.Type + " " + s.Case.Step
	case s.Notice != nil:
		return s.Notice.ID, strings.TrimSpace(s.Notice.Act + " " + s.Notice.Status)
	case s.Look != nil:
		return "", s.Look.Kind
	}
	return "", ""
}

// people lists the commitments of those an entry is about.
func people(e Entry) []string {
	l := e.Leaf
	out := []string{lo.FromPtr(l.Consent).Commitment, lo.FromPtr(l.Case).Commitment, lo.FromPtr(l.Notice).Commitment, lo.FromPtr(l.Query).Subject}
	for _, p := range about(l, e.About) {
		out = append(out, p.Commitment)
	}
	return lo.Uniq(lo.Compact(out))
}

func roles(e Entry) []string {
	return lo.Uniq(lo.Map(about(e.Leaf, e.About), func(p ledger.Subject, _ int) string { return string(p.Role) }))
}

func consents(e Entry) []string {
	return lo.Uniq(lo.FlatMap(about(e.Leaf, e.About), func(p ledger.Subject, _ int) []string { return p.Consents }))
}

func joined(list []string) string { return strings.Join(list, "; ") }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
