package report_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/contracts"
	"referralhub/hub/ledger"
	"referralhub/hub/report"
	"referralhub/hub/transfer"
)

// sheet reads a CSV as a program would, a map for each row.
func sheet(t *testing.T, text string) []map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, r := range rows[1:] {
		row := map[string]string{}
		for i, name := range rows[0] {
			row[name] = r[i]
		}
		out = append(out, row)
	}
	return out
}

// The same entries are in every form, in the same order.
func TestTheSameAnswerInEveryForm(t *testing.T) {
	entries := of(carer)
	var want []int64
	for _, e := range entries {
		want = append(want, e.Index)
	}
	rows := sheet(t, written(t, report.CSV, head(charity), entries))
	var document struct {
		Entries []report.Shown
		Query   report.Place `json:"query_leaf"`
		Why     string
		End     report.Tail
	}
	if err := json.Unmarshal([]byte(written(t, report.JSON, head(charity), entries)), &document); err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(written(t, report.Lines, head(charity), entries)))
	audited := events(t, charity, entries)
	page := written(t, report.HTML, head(charity), entries)
	if len(rows) != len(want) || len(document.Entries) != len(want) || len(lines) != len(want) || len(audited) != len(want) {
		t.Fatalf("%d entries: %d rows, %d in JSON, %d lines, %d events", len(want), len(rows), len(document.Entries), len(lines), len(audited))
	}
	for i, e := range entries {
		var line report.Shown
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(document.Entries[i], line); diff != "" {
			t.Errorf("JSON and line (-JSON +line):\n%s", diff)
		}
		number := rows[i]["index"]
		if line.Log.Index != e.Index || !slices.Equal(audited[i].says("leaf"), []string{number}) || !strings.Contains(page, number) {
			t.Errorf("entry %d: line %d, row %s, event %v", e.Index, line.Log.Index, number, audited[i].says("leaf"))
		}
		if rows[i]["items"] != strings.Join(line.Items, "; ") {
			t.Errorf("entry %d: items %q and %q", e.Index, rows[i]["items"], line.Items)
		}
	}
	if document.End != (report.Tail{Entries: len(want), Last: report.Place{Origin: origin, Index: want[len(want)-1]}}) || document.Query.Index != 4725 {
		t.Errorf("%+v", document)
	}
}

// No cell is a formula, whatever somebody entered, and none breaks out of its quotes.
func TestASpreadsheetRunsNothing(t *testing.T) {
	for _, evil := range []string{
		`=HYPERLINK("https://thief.example","names")`, "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "\u00a0=1+1", "\ufeff=1+1",
		"\nplain", "\tplain", "\rplain", "＝1+1", "＋1", "－1", "＠SUM(A1)", "=cmd|' /C calc'!A0", "\u200b@SUM(A1)",
	} {
		e := report.Entry{Leaf: &ledger.Leaf{Kind: ledger.KindDisclosure, At: start, Sender: charity, Disclosure: &ledger.Disclosure{Office: evil, How: "post"}}}
		text := written(t, report.CSV, head(""), []report.Entry{e})
		got := sheet(t, text)[0]["office"]
		if want := "'" + strings.ReplaceAll(evil, "\r\n", "\n"); got != want {
			t.Errorf("%q is %q", evil, got)
		}
	}
	for _, plain := range []string{"duty desk; \"East\", 2nd floor\";=1+1;", "Children's services", "a-b", "1", ""} {
		e := report.Entry{Leaf: &ledger.Leaf{Kind: ledger.KindDisclosure, At: start, Sender: charity, Disclosure: &ledger.Disclosure{Office: plain, How: "post"}}}
		text := written(t, report.CSV, head(""), []report.Entry{e})
		if got := sheet(t, text)[0]["office"]; got != plain {
			t.Errorf("%q is %q", plain, got)
		}
		_, row, _ := strings.Cut(text, "\r\n")
		for _, cell := range strings.Split(strings.TrimSuffix(row, "\r\n"), `","`) {
			if strings.Contains(strings.ReplaceAll(strings.Trim(cell, `"`), `""`, ""), `"`) {
				t.Errorf("%q leaves its cell: %s", plain, cell)
			}
		}
	}
}

// A recipient reads what it got, and nothing of what its sender weighed or kept back, in any form.
func TestARecipientSeesNothingOfWhatWasWeighed(t *testing.T) {
	for _, f := range report.Forms() {
		text := written(t, f, head(ageUK), history()[:7])
		for _, secret := range []string{"domestic", "ethnicity", "Ethnic", "does not list", "nobody has asked", "notify", "family name of", "adult\""} {
			if strings.Contains(text, secret) {
				t.Errorf("%s for the recipient says %q", f, secret)
			}
		}
		for _, known := range []string{"hertswise", "ITEM_NOT_LISTED"} {
			if !strings.Contains(text, known) {
				t.Errorf("%s for the recipient does not say %q", f, known)
			}
		}
		if !strings.Contains(written(t, f, head(charity), history()[:7]), "notify") {
			t.Errorf("%s hides from the sender what it has to do", f)
		}
	}
}

// Who of a sender's staff decided is between them and the hub.
func TestARecipientDoesNotLearnWhoDecided(t *testing.T) {
	e := history()[1]
	e.Leaf.Actor = lead
	if s := report.Show(e, ageUK); s.Person != "" || s.As != "" || s.By != lead.System {
		t.Errorf("the recipient sees %q as %q", s.Person, s.As)
	}
	if s := report.Show(e, charity); s.Person != "dpl-1" || e.Leaf.Actor.Person != "dpl-1" {
		t.Errorf("the sender sees %q", s.Person)
	}
}

// A commitment that stood beside a refusal and beside a release would tell a recipient whom it was that it did not get.
func TestARecipientDoesNotLearnWhomItDidNotGet(t *testing.T) {
	var held []report.Entry
	for _, e := range history() {
		if e.Leaf.Kind == ledger.KindDecision {
			held = append(held, e)
		}
	}
	for _, f := range report.Forms() {
		for _, to := range []transfer.PartnerID{ageUK, council} {
			text := written(t, f, head(to), held)
			for _, who := range []string{carer[:8], caree[:8], "0199b3c0-0000-7000-8000-000000000001"} {
				if strings.Contains(text, who) {
					t.Errorf("%s for %s says of decisions that they are about %s", f, to, who)
				}
			}
		}
		if text := written(t, f, head(charity), held); !strings.Contains(text, carer[:8]) && f != report.JSON && f != report.Lines {
			t.Errorf("%s for the sender does not say whom its decisions are about", f)
		}
	}
}

// A decision stands on the page with its release, and by itself where its release is not in the answer.
func TestADecisionStandsWithItsRelease(t *testing.T) {
	h := history()
	whole := written(t, report.HTML, head(""), h[2:4])
	if !strings.Contains(whole, "4703, decided in 4702") || strings.Contains(whole, "What else") {
		t.Error("the release does not stand with its decision")
	}
	for _, entries := range [][]report.Entry{{h[2]}, {h[2], h[4]}, {h[2], h[6]}} {
		if page := written(t, report.HTML, head(""), entries); !strings.Contains(page, ">4702<") || !strings.Contains(page, "What else") {
			t.Errorf("the decision before %d is lost", entries[len(entries)-1].Index)
		}
	}
}

// A report stops where its limit is and says so; what is behind is not read.
func TestALimitIsSaid(t *testing.T) {
	for _, f := range report.Forms() {
		h := head(charity)
		h.Limit = 3
		read := 0
		var out strings.Builder
		tail, err := f.Write(&out, h, func(yield func(report.Entry, error) bool) {
			for _, e := range history() {
				if read++; !yield(e, nil) {
					return
				}
			}
		})
		if want := (report.Tail{Entries: 3, Last: report.Place{Origin: origin, Index: 4702}, More: true}); err != nil || tail != want || read != 4 {
			t.Errorf("%s: %+v, %v after %d entries", f, tail, err, read)
		}
	}
	many := slices.Repeat(history(), report.MostPrinted/len(history())+1)
	if tail, err := report.HTML.Write(io.Discard, head(charity), report.Each(many)); err != nil || !tail.More || tail.Entries != report.MostPrinted {
		t.Errorf("more than anybody prints: %+v, %v", tail, err)
	}
	h := head(charity)
	if h.Limit = 3; !strings.Contains(written(t, report.HTML, h, history()), "There is more") {
		t.Error("the page does not say that there is more")
	}
	h.Limit, h.More = 0, true
	if tail, err := report.CSV.Write(io.Discard, h, report.Each(history())); err != nil || !tail.More || !strings.Contains(written(t, report.HTML, h, history()), "There is more") {
		t.Errorf("its caller has more, and the report does not say so: %+v, %v", tail, err)
	}
	h.More = false
	if h.Limit = len(history()); strings.Contains(written(t, report.HTML, h, history()), "There is more") {
		t.Error("the page says that there is more")
	}
}

type broken struct{ room int }

var errFull = errors.New("no space left on device")

func (b *broken) Write(p []byte) (int, error) {
	if b.room -= len(p); b.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// A full disk and a log that cannot be read are errors, and no form swallows one.
func TestAReportThatFailsSaysSo(t *testing.T) {
	errLog := errors.New("the log cannot be read")
	var failing iter.Seq2[report.Entry, error] = func(yield func(report.Entry, error) bool) {
		_ = yield(history()[0], nil) && yield(report.Entry{}, errLog)
	}
	for _, f := range report.Forms() {
		if _, err := f.Write(&strings.Builder{}, head(""), failing); !errors.Is(err, errLog) {
			t.Errorf("%s of a log that cannot be read: %v", f, err)
		}
		for _, room := range []int{0, 5000} {
			if _, err := f.Write(&broken{room}, head(""), report.Each(history())); !errors.Is(err, errFull) {
				t.Errorf("%s on a full disk: %v", f, err)
			}
		}
	}
	if _, err := report.Form("pdf").Write(&strings.Builder{}, head(""), report.Each(nil)); err == nil || !strings.Contains(err.Error(), "csv") {
		t.Errorf("a form that there is none of: %v", err)
	}
	if statement().HTML(&broken{}) == nil || statement().Text(&broken{}) == nil {
		t.Error("a statement on a full disk is no error")
	}
}

// Nothing found is an answer, and a leaf that says next to nothing breaks no form.
func TestWhatSaysLittle(t *testing.T) {
	kinds := []ledger.Kind{"of-tomorrow"}
	for _, e := range history() {
		kinds = append(kinds, e.Leaf.Kind)
	}
	for _, to := range []transfer.PartnerID{"", ageUK} {
		for _, f := range report.Forms() {
			written(t, f, &report.Head{For: to}, nil)
			for _, kind := range kinds {
				bare := report.Entry{Origin: origin, Leaf: &ledger.Leaf{Kind: kind, At: start}}
				one := report.Entry{Origin: origin, Index: 1, Leaf: &ledger.Leaf{
					Kind: kind, At: start, Agreement: &ledger.Agreement{ID: "x"}, Subjects: []ledger.Subject{{Items: []string{"of.tomorrow"}}},
					Disclosure: &ledger.Disclosure{}, Query: &ledger.Query{}, Ruling: &ledger.Ruling{}, Case: &ledger.Case{}, Notice: &ledger.Notice{},
				}}
				written(t, f, &report.Head{For: to}, []report.Entry{bare, one})
				if f == report.AuditEvent {
					events(t, to, []report.Entry{bare, one})
				}
			}
		}
	}
	if page := written(t, report.HTML, head(""), nil); !strings.Contains(page, "Nothing was disclosed") {
		t.Error("the page does not say that nothing was found")
	}
}

// Every item and category of every contract has words for people.
func TestEveryItemHasWords(t *testing.T) {
	for _, kind := range contracts.Types() {
		c, ok := contracts.For(kind)
		if !ok {
			continue
		}
		for _, item := range c.Items {
			e := report.Entry{Origin: origin, About: carer, Leaf: &ledger.Leaf{
				Kind: ledger.KindRelease, At: start, Type: kind, Sender: charity, Recipient: ageUK, Transfer: referred, Purpose: "advocacy",
				Subjects: []ledger.Subject{{Role: item.Role, Commitment: carer, Items: []string{item.Name}}},
			}}
			s := &report.Statement{Index: index(), By: charity, At: start, Entries: []report.Entry{e}}
			var text strings.Builder
			if err := s.Text(&text); err != nil {
				t.Fatal(err)
			}
			_, line, _ := strings.Cut(text.String(), "  - ")
			line, _, _ = strings.Cut(line, "\n")
			words, title, _ := strings.Cut(line, ": ")
			if words == string(item.Category) || title == "" || strings.ContainsAny(words, "-_.") || title == item.Name {
				t.Errorf("%s of %s is called %q", item.Name, kind, line)
			}
		}
	}
}

// Midnight in London counts for a day, not that of Greenwich.
func TestDaysAreThoseOfLondon(t *testing.T) {
	e := history()[11]
	e.About = carer
	e.Leaf.Disclosure.Made = time.Date(2026, 6, 30, 23, 30, 0, 0, time.UTC)
	s := &report.Statement{Index: index(), By: charity, At: start, Entries: []report.Entry{e}}
	var text strings.Builder
	if err := s.Text(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "* 1 July 2026, by telephone") {
		t.Error(text.String())
	}
}
