// Package report says what was found in the disclosure log, to whoever has to read it: a spreadsheet (CSV), a program (JSON, one object or a
// line for each entry), an audit repository (FHIR R4 AuditEvent by the profiles of IHE BALP), a Data Protection Lead at a desk (HTML to print),
// and the person it is about (Statement, the report of Art 15(1)(c) UK GDPR).
//
// It renders and nothing else: what was found, who may see it and at what instant are its caller's, and no form holds more than the leaves do.
// Leaves hold pseudonyms, names of items and codes, so no form can hold a value.
//
// Every form is written as the entries come. An error, of the entries or of the writer, ends it where it stands: a caller that keeps a file
// writes under another name and renames, and one that answers over HTTP breaks the connection off.
package report

import (
	"fmt"
	"io"
	"iter"
	"time"

	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// Entry is one leaf found.
type Entry struct {
	Origin string
	Index  int64
	Leaf   *ledger.Leaf
	About  string         // the commitment of the person asked about; empty when nobody was
	State  transfer.State // of the leaf's transfer now; empty when it has none, or its caller did not look
}

// Place is where a leaf stands.
type Place struct {
	Origin string `json:"origin"`
	Index  int64  `json:"index"`
}

// Line is one part of a question, in words that may be shown and kept: never a person's name or number.
type Line struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Head is what a report says of itself.
type Head struct {
	Index      *agreement.Index   // names of partners, and what the agreements say; with nil, ids stand alone
	For        transfer.PartnerID // who will read it. Empty: the operator, who sees everything; anybody else sees what Show lets them
	Question   []Line
	By         ledger.Actor // who asked
	Why        string
	At         time.Time // when it was answered
	Query      Place     // the leaf of the question
	Checkpoint string    // a signed note over a log that holds every entry; empty when the caller has none
	Limit      int       // how many entries at most; 0: all, though no more than MostPrinted where it is for paper
	More       bool      // there is more to find than the entries that are given
}

// Tail is what there is to say once a report is written.
type Tail struct {
	Entries int   `json:"entries"`
	Last    Place `json:"last,omitzero"` // the last entry written
	More    bool  `json:"more"`          // there are entries behind it
}

// Form is what a report is written as.
type Form string

// The forms.
const (
	CSV        Form = "csv"
	JSON       Form = "json"
	Lines      Form = "jsonl"
	AuditEvent Form = "auditevent"
	HTML       Form = "html"
)

// Forms lists them.
func Forms() []Form { return []Form{CSV, JSON, Lines, AuditEvent, HTML} }

// MediaType is the Content-Type of a form.
func (f Form) MediaType() string {
	return map[Form]string{
		CSV: "text/csv; charset=utf-8; header=present", JSON: "application/json", Lines: "application/jsonl",
		AuditEvent: "application/fhir+json; fhirVersion=4.0", HTML: "text/html; charset=utf-8",
	}[f]
}

// Write writes a report. The errors are those of the entries and of w, and one for a form that there is none of.
func (f Form) Write(w io.Writer, h *Head, entries iter.Seq2[Entry, error]) (Tail, error) {
	write, known := map[Form]func(io.Writer, *Head, iter.Seq2[Entry, error], *Tail) error{
		CSV: writeCSV, JSON: writeJSON, Lines: writeLines, AuditEvent: writeAuditEvents, HTML: writeHTML,
	}[f]
	if !known {
		return Tail{}, fmt.Errorf("no report is written as %q: the forms are %v", f, Forms())
	}
	var t Tail
	err := write(w, h, entries, &t)
	return t, err
}

// Each makes entries of a list that is there already.
func Each(list []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// seen gives the entries as their reader may see them, up to the limit (0: all), and notes in t where that was.
func (h *Head) seen(entries iter.Seq2[Entry, error], limit int, t *Tail) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range entries {
			switch {
			case err != nil:
				yield(Entry{}, err)
				return
			case limit > 0 && t.Entries == limit:
				t.More = true
				return
			}
			e.Leaf = visible(e.Leaf, h.For)
			t.Entries, t.Last = t.Entries+1, Place{e.Origin, e.Index}
			if !yield(e, nil) {
				return
			}
		}
		t.More = h.More
	}
}

// name is a partner's legal name, or empty where nobody knows it.
func (h *Head) name(id transfer.PartnerID) string {
	if h.Index != nil {
		if p, ok := h.Index.Partner(id); ok {
			return p.Name
		}
	}
	return ""
}
