package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

const another = "hub.example.org/another"

// grow appends n leaves to a log; index i is about transfer i and has the shape that shape says.
func (d *desk) grow(log string, first int64, n int, shape func(index int64) int64) *ledger.Batch {
	d.Helper()
	batch, about := leaves(first, n, 30)
	for i := range about {
		about[i].Shape = shape(first + int64(i))
	}
	d.commit(func(tx store.Tx) error { return tx.AppendLog(d.Context(), log, batch, about) })
	return batch
}

func leafBodies(_ *testing.T, d *desk) {
	ctx := d.Context()
	none := func(int64) int64 { return 0 }
	all := d.grow(origin, 0, 100, none).Leaves
	d.grow(another, 0, 3, none)
	var refs []store.LeafRef
	var want [][]byte
	for _, i := range []int64{99, 3, 70, 3, 0} {
		refs, want = append(refs, store.LeafRef{Origin: origin, Index: i}), append(want, all[i])
	}
	refs, want = append(refs, store.LeafRef{Origin: another, Index: 2}), append(want, all[2])
	got, err := d.LeafBodies(ctx, refs)
	d.noErr(err)
	d.equal("leaves of two logs, one of them twice", got, want)
	got, err = d.LeafBodies(ctx, nil)
	d.noErr(err)
	d.equal("none", len(got), 0)
	for _, absent := range []store.LeafRef{{Origin: origin, Index: 100}, {Origin: another, Index: 3}, {Origin: "hub.example.org/unknown"}} {
		_, err = d.LeafBodies(ctx, []store.LeafRef{refs[0], absent})
		d.errIs(err, ledger.ErrAbsent)
	}
}

func shapes(_ *testing.T, d *desk) {
	ctx := d.Context()
	first := store.Shape{ID: 1<<63 - 1, Body: []byte(`{"kind":"release"}`), First: store.LeafRef{Origin: origin, Index: 1, Transfer: transferID(1)}}
	second := store.Shape{ID: 7, Body: []byte{}, First: store.LeafRef{Origin: another, Index: 0, Transfer: transferID(0)}}
	insert := func(s ...store.Shape) error {
		return d.InTx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, &store.Insertions{Shapes: s}) })
	}
	if insert(first) == nil {
		d.Error("a shape of a log that is not there was taken")
	}
	d.grow(origin, 0, 2, func(int64) int64 { return first.ID })
	d.grow(another, 0, 2, func(int64) int64 { return second.ID })
	d.noErr(insert(first, second))
	later := first
	later.Body, later.First.Index = []byte(`{"kind":"decision"}`), 0
	d.noErr(insert(later, second))
	got, err := d.Shapes(ctx)
	d.noErr(err)
	d.equal("shapes", got, []store.Shape{second, first})

	var many []store.Shape // more than are read at once
	for id := range int64(2500) {
		many = append(many, store.Shape{ID: 100 + id, Body: fmt.Append(nil, id), First: first.First})
	}
	d.noErr(insert(many...))
	var visited []int64
	d.noErr(d.EachShape(ctx, func(id int64, body []byte) error {
		if visited = append(visited, id); id >= 100 && id < 2600 {
			d.equal("the body of a shape", string(body), fmt.Sprint(id-100))
		}
		return nil
	}))
	d.equal("shapes visited", len(visited), len(many)+2)
	d.equal("shapes in order", slices.IsSorted(visited), true)
	enough := errors.New("enough")
	d.errIs(d.EachShape(ctx, func(int64, []byte) error { return enough }), enough)
}

func leavesByShape(_ *testing.T, d *desk) {
	ctx := d.Context()
	// Shape 1 is every other leaf, shape 2 every tenth, 3 a few in a row, and each leaf that is left has one of its own.
	shape := func(i int64) int64 {
		switch {
		case i%2 == 0:
			return 1
		case i%10 == 5:
			return 2
		case 300 < i && i < 320:
			return 3
		case i%7 == 0:
			return 0
		}
		return 1000 + i
	}
	const size = 600
	d.grow(origin, 0, size, shape)
	d.grow(another, 0, 50, func(int64) int64 { return 1 })
	var own []int64 // shapes of leaves that have one of their own
	for i := range int64(size) {
		if shape(i) > 1000 {
			own = append(own, shape(i))
		}
	}
	for _, wanted := range [][]int64{{1}, {3}, {3, 3}, {1, 2}, {2, 1, 3, 99}, own, append([]int64{1, 2, 3}, own...), {77}, {}} {
		for _, span := range [][2]int64{{0, size}, {0, 10000}, {100, 101}, {305, 330}, {330, 305}} {
			for _, limit := range []int{1, 7, 100, 1000, 0} {
				for _, down := range []bool{false, true} {
					var want []store.LeafRef
					for i := max(span[0], 0); i < min(span[1], size); i++ {
						if shape(i) != 0 && slices.Contains(wanted, shape(i)) {
							want = append(want, store.LeafRef{Origin: origin, Index: i, Transfer: transferID(int(i))})
						}
					}
					if down {
						slices.Reverse(want)
					}
					want = want[:min(limit, len(want))]
					got, err := d.LeavesByShape(ctx, store.ShapeQuery{
						Log: origin, Shapes: wanted, From: span[0], To: span[1], Descending: down, Limit: limit,
					})
					d.noErr(err)
					d.equal(fmt.Sprintf("up to %d leaves of %d shapes from %d to %d, the newest first: %v", limit, len(wanted), span[0], span[1], down), got, want)
				}
			}
		}
	}
	got, err := d.LeavesByShape(ctx, store.ShapeQuery{Log: "hub.example.org/unknown", Shapes: []int64{1}, To: size, Limit: 10})
	d.noErr(err)
	d.equal("of a log that is not there", len(got), 0)
}

func shapeUse(_ *testing.T, d *desk) {
	ctx := d.Context()
	d.grow(origin, 0, 40, func(i int64) int64 { return i % 4 })
	d.grow(another, 0, 9, func(int64) int64 { return 3 })
	d.insert(&store.Insertions{Shapes: []store.Shape{
		{ID: 1, First: store.LeafRef{Origin: origin, Index: 1}}, {ID: 2, First: store.LeafRef{Origin: origin, Index: 2}},
		{ID: 3, First: store.LeafRef{Origin: origin, Index: 3}},
	}})
	use := func(what, log string, from, to int64, want ...store.ShapeUse) {
		d.Helper()
		got, err := d.ShapeUse(ctx, log, from, to)
		d.noErr(err)
		d.equal(what, got, want)
	}
	use("a whole log", origin, 0, 40, store.ShapeUse{Shape: 1, N: 10, First: 1, Last: 37},
		store.ShapeUse{Shape: 2, N: 10, First: 2, Last: 38}, store.ShapeUse{Shape: 3, N: 10, First: 3, Last: 39})
	use("three leaves", origin, 10, 13, store.ShapeUse{Shape: 2, N: 1, First: 10, Last: 10}, store.ShapeUse{Shape: 3, N: 1, First: 11, Last: 11})
	use("the other log", another, 0, 100, store.ShapeUse{Shape: 3, N: 9, First: 0, Last: 8})
	use("no leaves", origin, 40, 100)
	use("a log that is not there", "hub.example.org/unknown", 0, 100)
}

func checkpoints(_ *testing.T, d *desk) {
	ctx := d.Context()
	at := func(log string, size int64) store.Checkpoint {
		return store.Checkpoint{Log: log, Size: size, At: noon, Note: fmt.Appendf(nil, "%s\n%d\n", log, size)}
	}
	publish := func(cs ...store.Checkpoint) error {
		return d.InTx(ctx, func(tx store.Tx) error {
			for _, c := range cs {
				if err := tx.PublishCheckpoint(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if publish(at(origin, 1)) == nil {
		d.Error("a checkpoint of a log that is not there was taken")
	}
	none := func(int64) int64 { return 0 }
	d.grow(origin, 0, 9, none)
	d.grow(another, 0, 9, none)
	d.noErr(publish(at(origin, 3), at(origin, 5), at(another, 4), at(origin, 9)))
	again := at(origin, 5)
	again.Note = []byte("another")
	d.noErr(publish(again))
	list := func(below int64, limit int) []store.Checkpoint {
		got, err := d.Checkpoints(ctx, origin, below, limit)
		d.noErr(err)
		return got
	}
	d.equal("published, newest first", list(0, 2), []store.Checkpoint{at(origin, 9), at(origin, 5)})
	d.equal("the next page", list(5, 2), []store.Checkpoint{at(origin, 3)})

	line := func(size int64, witness string) store.Cosignature {
		return store.Cosignature{Log: origin, Size: size, Witness: witness, At: noon, Line: fmt.Appendf(nil, "— %s %d", witness, size)}
	}
	other := line(5, "pohwer")
	other.Line = []byte("another")
	for _, lines := range [][]store.Cosignature{{line(5, "pohwer"), line(9, "pohwer")}, {line(5, "age-uk-hertfordshire"), other}} {
		d.commit(func(tx store.Tx) error { return tx.Cosign(ctx, lines) })
	}
	got, err := d.Cosignatures(ctx, origin, 5)
	d.noErr(err)
	d.equal("under one checkpoint, by witness", got, []store.Cosignature{line(5, "age-uk-hertfordshire"), line(5, "pohwer")})
	got, err = d.Cosignatures(ctx, another, 5)
	d.noErr(err)
	d.equal("under none", len(got), 0)
	got, err = d.CosignaturesFrom(ctx, origin, 5, 2)
	d.noErr(err)
	d.equal("the largest first", got, []store.Cosignature{line(9, "pohwer"), line(5, "pohwer")})
	got, err = d.CosignaturesFrom(ctx, origin, 6, 9)
	d.noErr(err)
	d.equal("and none below", got, []store.Cosignature{line(9, "pohwer")})
}

func erased(_ *testing.T, d *desk) {
	ctx := d.Context()
	rows := referrals(0, 2, 10)
	gone, stays := rows.Subjects[0].ID, rows.Subjects[2].ID
	for i, of := range []transfer.SubjectID{gone, gone, stays} {
		rows.Consents = append(rows.Consents, store.Consent{ID: fmt.Sprint(i), Subject: of, At: noon})
	}
	d.insert(rows)
	for range 2 {
		d.commit(func(tx store.Tx) error { return tx.ErasePeople(ctx, []transfer.SubjectID{gone}) })
	}
	people, err := d.Subjects(ctx, []transfer.SubjectID{gone, stays})
	d.noErr(err)
	d.equal("salts", people, rows.Subjects[2:3])
	known, err := d.SubjectsByIdentifier(ctx, [][32]byte{rows.Identifiers[0].Hash, rows.Identifiers[2].Hash})
	d.noErr(err)
	d.equal("identifiers", known, rows.Identifiers[2:3])
	consents, err := d.Consents(ctx, []transfer.SubjectID{gone, stays})
	d.noErr(err)
	d.equal("consents", consents, rows.Consents[2:])
	left, err := d.TransfersOf(ctx, []transfer.SubjectID{gone}, nil)
	d.noErr(err)
	d.equal("their transfers", len(left), 0)
	places := d.load(&store.Wanted{People: []transfer.TransferID{transferID(0)}}).People
	d.equal("places in the transfer", places, rows.TransferSubjects[:1])
}
