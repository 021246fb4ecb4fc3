package tables

import (
	"cmp"
	"encoding/hex"
	"strconv"
	"time"

	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
)

func (s *span) consents() {
	for i := range s.rows.Consents {
		c := &s.rows.Consents[i]
		s.seen[c.Leaf] = true
		who := s.commitmentOf(c.Subject)
		if who == "" {
			s.r.Row("consents", c.ID, c.Leaf, "", "it is of nobody who is there")
			continue
		}
		row, err := exchange.ConsentLeaf(c, who)
		s.says("consents", c.ID, c.Leaf, row, err)
		s.marked("consents", c.ID, c.Leaf, c.MAC, c.Sum)
	}
}

func (s *span) rulings() {
	for i := range s.rows.Rulings {
		u := &s.rows.Rulings[i]
		s.seen[u.Leaf] = true
		row, err := exchange.RulingLeaf(u)
		s.says("rulings", string(u.Transfer), u.Leaf, row, err)
		s.marked("rulings", string(u.Transfer), u.Leaf, u.MAC, u.Sum)
	}
}

func (s *span) acts() {
	for i := range s.rows.Acts {
		a := &s.rows.Acts[i]
		s.seen[a.Leaf] = true
		key := strconv.FormatInt(a.Seq, 10)
		row, err := exchange.ActLeaf(a)
		s.says("agreement_acts", key, a.Leaf, row, err)
		s.marked("agreement_acts", key, a.Leaf, a.MAC, a.Sum)
	}
}

// unborne looks for leaves of the span that have no row.
func (s *span) unborne() {
	for i, l := range s.leaves {
		index := s.first + int64(i)
		if l == nil || s.seen[index] {
			continue
		}
		switch {
		case l.Kind == ledger.KindConsent && l.Consent != nil:
			s.lacks("consents", index, l.Consent.Commitment)
		case l.Kind == ledger.KindRuling:
			s.r.Row("rulings", string(l.Transfer), index, l.Transfer, "there is no row of what leaf %d says", index)
		case l.Kind == ledger.KindSignature, l.Kind == ledger.KindAgreement && l.Actor.Person != "":
			s.r.Row("agreement_acts", string(exchange.FiledUnder(l)), index, "", "there is no row of what leaf %d says", index)
		}
	}
}

// matched takes the claim of a leaf that a row bears. A row that names an earlier leaf than the newest leaves it open.
func (s *span) matched(table, key string, index int64) {
	if c, open := s.newest[key]; open && c.index == index {
		delete(s.newest, key)
	} else {
		s.r.Row(table, key, index, "", "it stands as it did at leaf %d, and a later leaf says more", index)
	}
}

func (s *span) requests() {
	for i := range s.rows.Requests {
		q := &s.rows.Requests[i]
		row, err := exchange.RequestLeaf(q)
		if s.says("requests", q.Reference, q.Leaf, row, err) {
			s.matched("requests", q.Reference, q.Leaf)
		}
		if l := s.at(q.Leaf); l != nil && l.Request != nil && q.State != cmp.Or(l.Request.Decision, "open") {
			s.r.Row("requests", q.Reference, q.Leaf, "", "it is %q, and in the log %q", q.State, cmp.Or(l.Request.Decision, "open"))
		}
		s.marked("requests", q.Reference, q.Leaf, q.MAC, q.Sum)
	}
}

func (s *span) cases() {
	for i := range s.rows.Cases {
		k := &s.rows.Cases[i]
		s.marked("cases", k.Reference, k.Leaf, k.MAC, k.Sum)
		l := s.at(k.Leaf)
		if l == nil {
			continue
		}
		if l.Case == nil || l.Case.Reference != k.Reference || l.Case.Type != k.Type || l.Sender != k.Partner {
			s.r.Row("cases", k.Reference, k.Leaf, "", "leaf %d is not of this case, of this type and of %s", k.Leaf, k.Partner)
			continue
		}
		s.matched("cases", k.Reference, k.Leaf)
		switch who := l.Case.Commitment; {
		case k.Subject == "" && who != "":
			s.lacks("cases", k.Leaf, who)
		case k.Subject != "" && (who == "" || s.commitmentOf(k.Subject) != who):
			s.r.Row("cases", k.Reference, k.Leaf, "", "it is not about whom leaf %d says", k.Leaf)
		}
	}
}

func (s *span) notices() {
	for i := range s.rows.Notices {
		n := &s.rows.Notices[i]
		s.marked("notices", n.ID, n.Leaf, n.MAC, n.Sum)
		l := s.at(n.Leaf)
		if l == nil {
			continue
		}
		if l.Notice == nil || l.Notice.ID != n.ID || l.Notice.Case != n.Case || l.Sender != n.Sender || l.Recipient != n.Recipient {
			s.r.Row("notices", n.ID, n.Leaf, "", "leaf %d is not of this notice, of case %s, from %s to %s", n.Leaf, n.Case, n.Sender, n.Recipient)
			continue
		}
		s.matched("notices", n.ID, n.Leaf)
		if state := cmp.Or(l.Notice.Status, "sent"); n.State != state {
			s.r.Row("notices", n.ID, n.Leaf, "", "it is %q, and in the log %q", n.State, state)
		}
	}
}

// together is what a person did about cases in one commit: it was entered as one, whatever came of it.
func together(l *ledger.Leaf) string { return "at " + l.At.Format(time.RFC3339Nano) }

// disclosed notes that a disclosure outside the hub was entered: of several leaves that one entry made, and those of one commit by one partner, the
// first has the entry.
func (s *span) disclosed(index int64, l *ledger.Leaf) {
	if i := index - s.first; i > 0 {
		if before := s.leaves[i-1]; before != nil && before.Kind == l.Kind && before.Actor == l.Actor && before.At.Equal(l.At) {
			return
		}
	}
	s.entered["leaf "+strconv.FormatInt(index, 10)] = index
}

func (s *span) entries() {
	for i := range s.rows.Entries {
		e := &s.rows.Entries[i]
		key := hex.EncodeToString(e.ID[:8])
		s.marked("entries", key, e.Leaf, e.MAC, e.Sum)
		l := s.at(e.Leaf)
		switch {
		case l == nil:
		case l.Kind == ledger.KindRequest && l.Request != nil:
			if l.Request.Reference != e.Answer {
				s.r.Row("entries", key, e.Leaf, "", "leaf %d is of another request than it was answered with", e.Leaf)
			}
			delete(s.entered, l.Request.Reference)
		case l.Kind == ledger.KindDisclosure:
			delete(s.entered, "leaf "+strconv.FormatInt(e.Leaf, 10))
		case l.Case != nil, l.Notice != nil:
			delete(s.entered, together(l))
		default:
			s.r.Row("entries", key, e.Leaf, "", "leaf %d is a %s, and nobody enters those by hand", e.Leaf, l.Kind)
		}
	}
}

// unmatched reports leaves whose rows never came.
func (b *Book) unmatched(r *audit.Report) {
	for _, key := range sortedBy(b.newest, func(c claim) int64 { return c.index }) {
		c := b.newest[key]
		if b.destroyed[c.of] {
			continue
		}
		r.Row(c.table, key, c.index, "", "there is no row as leaf %d has it", c.index)
	}
	for _, key := range sortedBy(b.entered, func(index int64) int64 { return index }) {
		r.Row("entries", key, b.entered[key], "", "there is no row of what leaf %d says was entered", b.entered[key])
	}
	for _, id := range sortedBy(b.flows, func(c clause) int64 { return c.index }) {
		r.Row("transfers", string(id), b.flows[id].index, id, "it goes by clause %q, by which nobody decided", b.flows[id].flow)
	}
}
