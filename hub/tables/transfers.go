package tables

import (
	"context"
	"encoding/hex"
	"slices"

	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

type places = map[transfer.TransferID][]store.TransferSubject

// transfers reads the rows of those transfers that leaves of the span decided or released, and who is in them.
func (s *span) transfers(ctx context.Context) (map[transfer.TransferID]*store.Transfer, places, error) {
	var ids []transfer.TransferID
	for _, l := range s.leaves {
		if l != nil && l.Transfer != "" && (l.Kind == ledger.KindRelease || l.Kind == ledger.KindDecision && !l.ForRelease()) {
			ids = append(ids, l.Transfer)
		}
	}
	rows, err := s.snap.Transfers(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	found := make(map[transfer.TransferID]*store.Transfer, len(rows))
	for i := range rows {
		found[rows[i].ID] = &rows[i]
	}
	joins, err := s.snap.Places(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	in := places{}
	for _, j := range joins {
		in[j.Transfer] = append(in[j.Transfer], j)
	}
	return found, in, nil
}

// people reads whom the rows of the span are about.
func (s *span) people(ctx context.Context, in places) error {
	var ids []transfer.SubjectID
	for _, joins := range in {
		for _, j := range joins {
			ids = append(ids, j.Subject)
		}
	}
	for _, c := range s.rows.Consents {
		ids = append(ids, c.Subject)
	}
	for _, k := range s.rows.Cases {
		if k.Subject != "" {
			ids = append(ids, k.Subject)
		}
	}
	people, err := s.snap.Subjects(ctx, ids)
	if err != nil {
		return err
	}
	s.who = make(map[transfer.SubjectID]store.Subject, len(people))
	for _, p := range people {
		s.who[p.ID] = p
	}
	return nil
}

// commitmentOf is what leaves say of a person; empty when there is no such person.
func (s *span) commitmentOf(id transfer.SubjectID) string {
	p, known := s.who[id]
	if !known {
		return ""
	}
	return seal.Commitment(p.Salt, id)
}

// checkTransfers holds the rows of transfers against the leaves of their first decisions and their last releases. States and the places of these
// leaves are the auditor's.
func (s *span) checkTransfers(rows map[transfer.TransferID]*store.Transfer, in places) {
	for i, l := range s.leaves {
		if l == nil || l.Kind != ledger.KindDecision && l.Kind != ledger.KindRelease {
			continue
		}
		index := s.first + int64(i)
		t := rows[l.Transfer]
		switch {
		case t == nil:
		case l.Kind == ledger.KindDecision && t.DecisionLeaf == index && t.Log == s.origin:
			s.decided(index, l, t, in[t.ID])
		case l.Kind == ledger.KindRelease && t.ReleaseLeaf == index:
			if flow := flowOf(l); flow != "" && flow != t.Flow {
				s.r.Row("transfers", string(t.ID), index, t.ID, "it goes by clause %s, and was released by %s", t.Flow, flow)
			}
		case l.Kind == ledger.KindDecision && !l.ForRelease() && l.State == transfer.Queued && t.ReleaseLeaf < 0:
			if flowOf(l) == t.Flow {
				delete(s.flows, t.ID)
			}
		}
	}
}

func flowOf(l *ledger.Leaf) string {
	if l.Agreement == nil {
		return ""
	}
	return l.Agreement.Flow
}

// decided holds a row against the leaf of the first decision.
func (s *span) decided(index int64, l *ledger.Leaf, t *store.Transfer, joins []store.TransferSubject) {
	undertaking := ""
	if l.Undertaking != nil {
		undertaking = l.Undertaking.Basis
	}
	for _, c := range []struct{ what, row, leaf string }{
		{"the sender", string(t.Sender), string(l.Sender)}, {"the sender's system", string(t.SenderSystem), string(l.Actor.System)},
		{"the recipient", string(t.Recipient), string(l.Recipient)}, {"the type", string(t.Type), string(l.Type)},
		{"the purpose", string(t.Purpose), string(l.Purpose)}, {"the service", string(t.Service), string(l.Service)},
		{"the undertaking", t.Undertaking, undertaking},
	} {
		if c.row != c.leaf {
			s.r.Row("transfers", string(t.ID), index, t.ID, "%s is %q, and in the log %q", c.what, c.row, c.leaf)
		}
	}
	if !t.CreatedAt.Equal(l.At) {
		s.r.Row("transfers", string(t.ID), index, t.ID, "it was decided at another time")
	}
	if t.ReleaseLeaf < 0 && t.Flow != flowOf(l) {
		s.flows[t.ID] = clause{t.Flow, index}
	}
	s.marked("transfers", string(t.ID), index, t.MAC, t.Sum)
	s.inIt(index, l, joins)
}

// inIt holds who is in a transfer against the leaf of its first decision.
func (s *span) inIt(index int64, l *ledger.Leaf, joins []store.TransferSubject) {
	matched := make([]bool, len(joins))
	for i := range l.Subjects {
		p := &l.Subjects[i]
		at := slices.IndexFunc(joins, func(j store.TransferSubject) bool { return j.Role == p.Role && j.Position == p.Position })
		switch {
		case at < 0:
			s.lacks("transfer_subjects", index, p.Commitment)
			continue
		case s.commitmentOf(joins[at].Subject) == "":
			s.r.Row("transfer_subjects", string(l.Transfer), index, l.Transfer, "its %s is nobody who is there", p.Role)
		case s.commitmentOf(joins[at].Subject) != p.Commitment:
			s.r.Row("transfer_subjects", string(l.Transfer), index, l.Transfer, "its %s is not who leaf %d says", p.Role, index)
		}
		matched[at] = true
	}
	for i, j := range joins {
		if !matched[i] {
			s.r.Row("transfer_subjects", string(l.Transfer), index, l.Transfer, "leaf %d knows no %s at position %d in it", index, j.Role, j.Position)
		}
	}
}

// fixed is a commitment as text.
func (c commitment) String() string { return hex.EncodeToString(c[:8]) + "…" }
