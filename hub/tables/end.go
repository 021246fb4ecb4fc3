package tables

import (
	"bytes"
	"context"
	"encoding/hex"
	"strconv"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/seal"
	"referralhub/hub/store"
)

// checkShapes holds the index of shapes against those that the leaves have.
func (b *Book) checkShapes(ctx context.Context, r *audit.Report) error {
	rows, err := b.snap.Shapes(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		key := strconv.FormatInt(row.ID, 10)
		shape, err := ledger.ParseShape(row.Body)
		switch {
		case err != nil:
			r.Row("shapes", key, row.First.Index, "", "%v", err)
			continue
		case shape.ID() != row.ID || !bytes.Equal(shape.AppendTo(nil), row.Body):
			r.Row("shapes", key, row.First.Index, "", "it does not say what its number stands for")
		}
		if row.First.Origin != b.origin {
			delete(b.first, row.ID) // another log had it first
			continue
		}
		if first, used := b.first[row.ID]; !used {
			r.Row("shapes", key, row.First.Index, "", "no leaf has it")
		} else if first != row.First.Index {
			r.Row("shapes", key, row.First.Index, "", "it names leaf %d as its first, which is leaf %d", row.First.Index, first)
		}
		delete(b.first, row.ID)
	}
	for _, id := range sortedBy(b.first, func(index int64) int64 { return index }) {
		r.Row("shapes", strconv.FormatInt(id, 10), b.first[id], "", "there is no row of the shape of leaf %d, so no search finds it", b.first[id])
	}
	return nil
}

// checkPeople holds everybody who is known against their mark, and whom the leaves name against everybody.
func (b *Book) checkPeople(ctx context.Context, r *audit.Report) error {
	err := b.snap.EachPerson(ctx, func(p store.Subject, known []store.Identifier) error {
		if p.MAC == nil {
			r.Row("identifiers", hex.EncodeToString(known[0].Hash[:8]), -1, "", "it is of nobody who is there")
			return nil
		}
		if c, ok := parse(seal.Commitment(p.Salt, p.ID)); ok {
			delete(b.named, c)
		}
		if b.keys == nil {
			return nil
		}
		sum := p.Sum(b.keys.RowMAC)
		for i := range known {
			sum = known[i].Join(b.keys.RowMAC, sum)
		}
		if !bytes.Equal(sum, p.MAC) {
			r.Row("subjects", string(p.ID), -1, "", "the hub did not write it so: its salt, or what the person is known by (identifiers), is not what its mark was made over")
		}
		return nil
	})
	if err != nil {
		return err
	}
	for c, index := range b.named {
		b.absent[c] = append(b.absent[c], absence{"subjects", index})
	}
	for _, c := range sortedBy(b.absent, func(a []absence) int64 { return a[0].index }) {
		for _, a := range b.absent[c] {
			// What is recorded about somebody after one partner had them erased is there again.
			if erased, said := b.erased[c]; said && (erased >= a.index || a.table == "subjects" || a.table == "cases") {
				continue
			}
			r.Row(a.table, "of "+c.String(), a.index, "", "there is no row as leaf %d has it, and no leaf says that the person was erased", a.index)
		}
	}
	return nil
}

// checkPayloads opens every payload.
func (b *Book) checkPayloads(ctx context.Context, r *audit.Report) error {
	if b.keys == nil {
		return nil
	}
	return b.snap.EachPayload(ctx, func(p store.Payload) error {
		if err := b.keys.Opens(p.Transfer, p.Nonce, p.Sealed); err != nil {
			r.Row("payloads", string(p.Transfer), -1, p.Transfer, "%v", err)
		}
		return nil
	})
}

// checkHeads holds the rows of logs against their checkpoints. What the checkpoint of this log is worth is the auditor's.
func (b *Book) checkHeads(ctx context.Context, r *audit.Report) error {
	heads, err := b.snap.Logs(ctx)
	if err != nil {
		return err
	}
	here := false
	for _, h := range heads {
		here = here || h.Origin == b.origin
		cp, err := ledger.ReadCheckpoint(h.Checkpoint)
		if err != nil || cp.Origin != h.Origin || cp.Size != h.Size || !bytes.Equal(cp.Root[:], h.Root) {
			r.Row("logs", h.Origin, -1, "", "its size and root are not those of its checkpoint")
		}
	}
	if !here && b.strayed {
		r.Row("logs", b.origin, -1, "", "there is no row of this log, and there are rows that belong to it")
	}
	return nil
}

func (b *Book) checkStrays(ctx context.Context, r *audit.Report) error {
	strays, err := b.snap.Strays(ctx)
	if err != nil {
		return err
	}
	b.strayed = len(strays) > 0
	for _, s := range strays {
		r.Row(s.Table, s.Key, -1, "", "%s", s.Detail)
	}
	return nil
}
