package traffic

import (
	"cmp"
	"slices"
	"time"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/ledger"
	"referralhub/hub/transfer"
)

// RecordOf makes a partner's record of processing (Art 30 UK GDPR) from what was disclosed: an entry for each clause and message type that was
// used, with the kinds of data that went and who was on the other side, and one for what went by exception or outside the hub for a purpose. It
// has the form of agreement.RecordOf, which says what may go. It is not ok when the partner is not on the register.
func RecordOf(x *agreement.Index, uses []Use, of transfer.PartnerID, from, to, at time.Time) (agreement.Record, bool) {
	p, ok := x.Partner(of)
	if !ok {
		return agreement.Record{}, false
	}
	r := agreement.Record{
		Partner: p.ID, Name: p.Name, ICO: p.ICO, Contact: p.DPL, Location: p.Location, AsAt: at, From: from, To: to, Entries: []agreement.RecordEntry{},
	}
	if to.IsZero() {
		r.To = at
	}
	for _, f := range gathered(x, uses, of) {
		standing := agreement.Standing("")
		if f.clause != "" {
			standing = f.flow.Agreement.Standing(at)
		}
		e := x.Entry(&f.flow, p, standing, f.side, f.others)
		e.Disclosures, e.First, e.Last = f.n, f.first, f.last
		if f.clause == "" { // each stands on its own ground, which its leaf has
			e.Role, e.Basis = "controller", "as the log has it of each"
		}
		for _, office := range f.offices {
			e.With = append(e.With, agreement.RecordParty{Name: office, Kind: "office"})
		}
		r.Entries = append(r.Entries, e)
	}
	return r, true
}

// gathering is what one entry is made of. Its flow is the one that was used, and lets go what went.
type gathering struct {
	clause, side string
	flow         agreement.Flow
	others       []transfer.PartnerID
	offices      []string
	n            int64
	first, last  time.Time
}

func gathered(x *agreement.Index, uses []Use, of transfer.PartnerID) []*gathering {
	type key struct {
		line
		purpose transfer.Purpose
		side    string
		outside bool
	}
	found := map[key]*gathering{}
	for _, u := range uses {
		s := u.Shape
		if s.Kind == ledger.KindDecision {
			continue
		}
		for side, other := range map[string]transfer.PartnerID{"discloses": s.Recipient, "receives": s.Sender} {
			if side == "discloses" && s.Sender != of || side == "receives" && s.Recipient != of {
				continue
			}
			k := key{line{s.Flow, s.Type}, s.Purpose, side, s.Kind == ledger.KindDisclosure}
			g := found[k]
			if g == nil {
				g = &gathering{clause: s.Flow, side: side, flow: flowOf(x, s), first: u.First, last: u.Last}
				found[k] = g
			}
			for _, name := range items(s) {
				if item, known := g.flow.Contract.Lookup(name); known {
					g.flow.Allowed = g.flow.Allowed.With(item.Index)
				}
			}
			g.n += u.N
			g.others, g.offices = tidy(append(g.others, other)), tidy(append(g.offices, s.Office))
			if u.First.Before(g.first) {
				g.first = u.First
			}
			if u.Last.After(g.last) {
				g.last = u.Last
			}
		}
	}
	out := make([]*gathering, 0, len(found))
	for _, g := range found {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *gathering) int {
		return cmp.Or(cmp.Compare(a.flow.ID, b.flow.ID), cmp.Compare(a.side, b.side), cmp.Compare(a.flow.Purpose, b.flow.Purpose),
			cmp.Compare(a.flow.Contract.Type, b.flow.Contract.Type))
	})
	return out
}

// flowOf is the flow under which something went, with nothing that it lets go. Where there was none, or the register has it no more, it is one that
// says so.
func flowOf(x *agreement.Index, s *ledger.Shape) agreement.Flow {
	for _, f := range x.Candidates(s.Sender, s.Recipient) {
		if f.ID == s.Flow && slices.Contains(f.Messages, s.Type) {
			out := *f
			out.Allowed = contracts.ItemSet{}
			return out
		}
	}
	contract, ok := contracts.For(s.Type)
	if !ok {
		contract, _ = contracts.For("referral/1") // what was given away outside the hub has no message; its items are named as a referral's are
	}
	f := agreement.Flow{ID: s.Flow, Purpose: s.Purpose, Contract: contract}
	switch {
	case s.Kind == ledger.KindDisclosure:
		f.ID, f.Agreement = Outside, &agreement.Agreement{Title: "no agreement; given outside the hub"}
	case s.Flow == "":
		f.ID, f.Agreement = ByException, &agreement.Agreement{Title: "no agreement; by exception or on demand"}
	default:
		f.Agreement = &agreement.Agreement{ID: s.Agreement, Version: s.Version, Title: "an agreement that the register does not have"}
	}
	return f
}
