// Package tables holds what is stored beside a disclosure log against the log. It is a book that the auditor keeps while it reads the leaves
// (audit.Book): for each span of the log it asks for the rows which name its leaves, and finds rows that were changed, put in, moved or taken
// away behind the hub's back, down to the row and what was expected of it.
//
// There are four kinds of rows.
//
//   - Those that a leaf bears out name it, or are named by what the leaf says: transfers, transfer_subjects, consents, rulings, requests,
//     entries, agreement_acts, cases, notices, work, shapes, leaves (by what they are found). Both ways are looked at: no row without its leaf,
//     saying the same; no leaf without its row. A row that changes names its newest leaf, so that an old row put back is found too.
//   - What no leaf may say, because it would name people or is not for the log, is under a MAC of the hub (store.MAC): identifiers with their
//     people, so that one deleted, added or moved is found; message ids; when a payload expires; the rest of what was entered. A sealed payload
//     opens for its transfer and nonce alone. This needs the hub's keys. Without them it is left out, and a warning says so.
//   - Of people who were erased there is no row, and must be none: a leaf about them without its row is in order if a case leaf behind it
//     says that they were erased.
//   - Rows that belong to others without a leaf: payloads to transfers that are open, outbox rows to transfers on their way, checkpoints
//     and cosignatures to the log's tree.
//
// What cannot be seen. A row of assertions or outbox lives for minutes and leaves no trace: that an assertion which was spent has been taken
// away, or when a transfer is tried next, nobody can tell afterwards; the worst of it is a token for a client that has the key anyway, and a
// delivery that comes late or twice, and each delivery is a release of its own in the log. When a checkpoint was published is the hub's word, and
// so is one that was taken away before a witness put its line under it. A refusal is taken off its queue when its time to object is over. Identifiers
// with the person's MAC of the same earlier day put back look as they did on that day. All of it needs somebody who writes to the
// database; none of it changes what the log proves.
//
// Memory is bounded by what is under way and by people known to no transfer, not by the log.
package tables

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// Keys are what of the hub's keys the book needs.
type Keys interface {
	RowMAC(table string, row []byte) []byte
	Opens(id transfer.TransferID, nonce [32]byte, sealed seal.Sealed) error
}

// Book holds the tables of a snapshot against one log. It is for one audit.
type Book struct {
	snap   store.Snapshot
	origin string
	keys   Keys // nil when there are none

	latest time.Time
	// absent are rows that are not there, by the commitment of the person that the leaf names: in order if they were erased.
	absent map[commitment][]absence
	// erased has the newest leaf that says so of a person.
	erased map[commitment]int64
	// named are people whom a leaf names that is about no transfer: nothing else says that they are known.
	named map[commitment]int64
	// newest is the newest leaf of each request, case and notice that has not been matched with its row.
	newest map[string]claim
	// destroyed are cases and requests whose time was over.
	destroyed map[string]bool
	queue     queue
	// entered are leaves of what people entered by hand, of which no entry has been seen.
	entered map[string]int64
	// flows are clauses of transfers that were not released and go by another clause than the first.
	flows map[transfer.TransferID]clause

	found     []finding // before there was a report
	strayed   bool      // rows were found that belong to nothing
	strangers int       // cosignatures by witnesses of whom no key is known

	shapes ledger.Shapes
	first  map[int64]int64 // the first leaf of each shape
}

type commitment [32]byte

// absence is a row that a leaf asks for.
type absence struct {
	table string
	index int64
}

// claim is a leaf that a row of a table must name.
type claim struct {
	table string
	index int64
	of    string // the case of a notice: the two are destroyed together
}

type clause struct {
	flow  string
	index int64
}

// New makes a book. Without keys it leaves out what needs them, and says so.
func New(snap store.Snapshot, origin string, keys Keys) *Book {
	return &Book{
		snap: snap, origin: origin, keys: keys, absent: map[commitment][]absence{}, erased: map[commitment]int64{}, named: map[commitment]int64{},
		newest: map[string]claim{}, destroyed: map[string]bool{}, queue: newQueue(), entered: map[string]int64{}, flows: map[transfer.TransferID]clause{},
		first: map[int64]int64{},
	}
}

// Transfers is audit.Facts'.
func (b *Book) Transfers(ctx context.Context, visit func(audit.Row) error) error {
	return b.snap.EachTransfer(ctx, b.origin, func(t store.Transfer, payload bool) error {
		return visit(audit.Row{
			ID: t.ID, State: t.State, DecisionLeaf: t.DecisionLeaf, ReleaseLeaf: t.ReleaseLeaf, Payload: payload, Updated: t.UpdatedAt,
		})
	})
}

// span is a run of leaves with the rows that name them.
type span struct {
	*Book
	first  int64
	leaves []*ledger.Leaf
	rows   *store.Borne
	who    map[transfer.SubjectID]store.Subject
	r      *audit.Report
	seen   map[int64]bool // leaves of kinds with one row each that have theirs
}

// Leaves is audit.Book's.
func (b *Book) Leaves(ctx context.Context, first int64, leaves []*ledger.Leaf, r *audit.Report) error {
	rows, err := b.snap.Borne(ctx, b.origin, first, first+int64(len(leaves)))
	if err != nil {
		return err
	}
	s := &span{Book: b, first: first, leaves: leaves, rows: rows, r: r, seen: map[int64]bool{}}
	s.filed()
	transfers, places, err := s.transfers(ctx)
	if err != nil {
		return err
	}
	if err := s.people(ctx, places); err != nil {
		return err
	}
	for i, l := range leaves {
		if l != nil {
			s.leaf(first+int64(i), l)
		}
	}
	s.checkTransfers(transfers, places)
	s.consents()
	s.rulings()
	s.requests()
	s.acts()
	s.cases()
	s.notices()
	s.entries()
	s.work()
	s.unborne()
	return nil
}

// at gives a leaf of the span; nil when it is missing or cannot be read.
func (s *span) at(index int64) *ledger.Leaf { return s.leaves[index-s.first] }

// filed holds by what each leaf is found against what it says.
func (s *span) filed() {
	next := 0
	for i, l := range s.leaves {
		index := s.first + int64(i)
		for next < len(s.rows.Leaves) && s.rows.Leaves[next].Index < index {
			next++
		}
		if l == nil || next == len(s.rows.Leaves) || s.rows.Leaves[next].Index != index {
			continue // the auditor says that the leaf is missing
		}
		row := s.rows.Leaves[next]
		if want := exchange.FiledUnder(l); row.Transfer != want {
			s.r.Row("leaves", strconv.FormatInt(index, 10), index, l.Transfer, "it is filed under %q, and is about %q", row.Transfer, want)
		}
		shape, fresh := s.shapes.Of(l)
		if fresh != nil {
			s.shapes.Keep([]*ledger.NewShape{fresh})
		}
		if row.Shape != shape {
			s.r.Row("leaves", strconv.FormatInt(index, 10), index, l.Transfer, "it has the shape %d, and is indexed as %d", shape, row.Shape)
		}
		if _, before := s.Book.first[shape]; !before {
			s.Book.first[shape] = index
		}
	}
}

// leaf remembers what the rows of later leaves, and the tables at the end, are held to.
func (s *span) leaf(index int64, l *ledger.Leaf) {
	if l.At.After(s.latest) {
		s.latest = l.At
	}
	s.queue.leaf(index, l)
	switch l.Kind {
	case ledger.KindRequest:
		if r := l.Request; r != nil {
			s.newest[r.Reference] = claim{"requests", index, r.Reference}
			if r.Decision == "" {
				s.entered[r.Reference] = index
			}
		}
	case ledger.KindDisclosure:
		for i := range l.Subjects {
			s.name(index, l.Subjects[i].Commitment)
		}
		s.disclosed(index, l)
	case ledger.KindCase:
		if k := l.Case; k != nil {
			if !s.ends(index, k) { // what retention does, it does without a step of its case
				s.newest[k.Reference] = claim{"cases", index, k.Reference}
			}
			s.name(index, k.Commitment)
			if l.Actor.Person != "" {
				s.entered[together(l)] = index
			}
		}
	case ledger.KindNotice:
		if n := l.Notice; n != nil {
			s.newest[n.ID] = claim{"notices", index, n.Case}
			s.name(index, n.Commitment)
			if n.Status != "" && l.Actor.Person != "" {
				s.entered[together(l)] = index
			}
		}
	case ledger.KindQuery:
		if q := l.Query; q != nil {
			s.name(index, q.Subject)
		}
	case ledger.KindDecision, ledger.KindRelease, ledger.KindOutcome, ledger.KindRuling, ledger.KindConsent, ledger.KindAgreement,
		ledger.KindSignature, ledger.KindPartner:
	}
}

// ends takes what a case leaf says was destroyed: a person, or cases and requests by their references. It reports whether that was retention.
func (s *span) ends(index int64, k *ledger.Case) (retention bool) {
	switch k.Step {
	case "erased":
		if c, ok := parse(k.Commitment); ok {
			s.erased[c] = index
		}
	case "destroyed":
		for _, reference := range k.Items {
			s.destroyed[reference] = true
		}
	default:
		return false
	}
	return k.Type == "retention"
}

func (s *span) name(index int64, text string) {
	if c, ok := parse(text); ok {
		s.named[c] = index
	}
}

func parse(text string) (c commitment, ok bool) {
	n, err := hex.Decode(c[:], []byte(text))
	return c, err == nil && n == len(c) && len(text) == 2*len(c)
}

// lacks notes that a row is not there which a leaf about a person asks for.
func (b *Book) lacks(table string, index int64, text string) {
	c, _ := parse(text)
	b.absent[c] = append(b.absent[c], absence{table, index})
}

// marked checks the MAC of a row.
func (s *span) marked(table, key string, index int64, mac []byte, sum func(store.MAC) []byte) {
	if s.keys != nil && !bytes.Equal(mac, sum(s.keys.RowMAC)) {
		s.r.Row(table, key, index, "", "the hub did not write it so: its mark is not that of what it holds")
	}
}

// says holds what a row says against its leaf, which must be of the row's kind.
func (s *span) says(table, key string, index int64, row *ledger.Leaf, err error) bool {
	l := s.at(index)
	switch {
	case l == nil: // the auditor says why
		return false
	case err != nil:
		s.r.Row(table, key, index, l.Transfer, "%v", err)
	case l.Kind != row.Kind:
		s.r.Row(table, key, index, l.Transfer, "it names leaf %d, which is a %s", index, l.Kind)
	default:
		want, got := exchange.SameAs(l).AppendTo(nil), row.AppendTo(nil)
		if !bytes.Equal(got, want) {
			s.r.Row(table, key, index, l.Transfer, "it does not say what its leaf says: %s", differ(got, want))
		}
		return true
	}
	return false
}

// differ shows where two encodings part. Leaves hold no personal data, and what a row says of a leaf holds no more.
func differ(got, want []byte) string {
	from := 0
	for from < len(got) && from < len(want) && got[from] == want[from] {
		from++
	}
	cut := func(b []byte) []byte { return b[max(0, min(from, len(b))-20):min(len(b), from+40)] }
	return fmt.Sprintf("…%s… where the leaf has …%s…", cut(got), cut(want))
}

// Close is audit.Book's.
func (b *Book) Close(ctx context.Context, size int64, r *audit.Report) error {
	if b.keys == nil {
		r.Warn("without the hub's keys, payloads were not opened and the marks on rows were not checked: who is known by which identifier, for one")
	}
	for _, span := range [][2]int64{{math.MinInt64, 0}, {size, math.MaxInt64}} {
		if err := b.outside(ctx, span[0], span[1], r); err != nil {
			return err
		}
	}
	b.unmatched(r)
	b.queue.close(r, b.latest)
	for _, check := range []func(context.Context, *audit.Report) error{b.sayAll, b.checkShapes, b.checkPeople, b.checkPayloads, b.checkStrays, b.checkHeads} {
		if err := check(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// outside reports rows that name leaves which the log does not have.
func (b *Book) outside(ctx context.Context, from, to int64, r *audit.Report) error {
	if from < 0 { // ids of leaves are made with it
		from = -1 << 39
	} else {
		to = 1<<40 - 1
	}
	rows, err := b.snap.Borne(ctx, b.origin, from, to)
	if err != nil {
		return err
	}
	no := func(table, key string, leaf int64) {
		r.Row(table, key, leaf, "", "it names leaf %d, which the log does not have", leaf)
	}
	for _, c := range rows.Consents {
		no("consents", c.ID, c.Leaf)
	}
	for _, u := range rows.Rulings {
		no("rulings", string(u.Transfer), u.Leaf)
	}
	for _, q := range rows.Requests {
		no("requests", q.Reference, q.Leaf)
	}
	for _, e := range rows.Entries {
		no("entries", e.Answer, e.Leaf)
	}
	for _, a := range rows.Acts {
		no("agreement_acts", strconv.FormatInt(a.Seq, 10), a.Leaf)
	}
	for _, k := range rows.Cases {
		no("cases", k.Reference, k.Leaf)
	}
	for _, n := range rows.Notices {
		no("notices", n.ID, n.Leaf)
	}
	for _, w := range rows.Work {
		no("work", string(w.Transfer), w.Leaf)
	}
	return nil
}
