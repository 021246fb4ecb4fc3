package exchange_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"referralhub/hub/exchange"
	"referralhub/hub/ledger"
	"referralhub/hub/store"
	"referralhub/hub/transfer"
)

// BenchmarkPersonHistory asks about one person, and about one recipient on one day, where the log has 100,000 leaves about others.
func BenchmarkPersonHistory(b *testing.B) {
	for name, engine := range map[string]func(testing.TB) func() store.Store{"SQLite": onSQLite, "PostgreSQL": onPostgreSQL} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b, engine)
			now := time.Now()
			u := h.open(at(func() time.Time { return now }))
			people := make([]string, 64)
			for i := range 3 * len(people) {
				if i < len(people) {
					people[i] = h.somebody()
				}
				t := u.send(h.message(fmt.Sprint("m-", i), people[i%len(people)]), transfer.Queued)
				_, err := u.Collect(context.Background(), by(ageUKHerts), t.ID)
				h.must(err)
			}
			u.end()
			h.fill(100_000)
			u = h.open(at(func() time.Time { return now }))
			for name, q := range map[string]exchange.Query{
				"person":  {Limit: 200, Filter: exchange.Filter{Kinds: []ledger.Kind{ledger.KindDecision, ledger.KindRelease}}},
				"facets":  {Filter: exchange.Filter{Recipient: ageUKHerts, Kinds: []ledger.Kind{ledger.KindRelease}}, Limit: 200},
				"a date":  {Filter: exchange.Filter{From: now.Add(-time.Hour), To: now.Add(time.Second), Kinds: []ledger.Kind{ledger.KindRelease}}, Limit: 200},
				"refused": {Filter: exchange.Filter{Outcome: transfer.Refuse}, Limit: 200},
			} {
				q.Why, q.Everyone = "measured", true
				b.Run(name, func(b *testing.B) {
					for i := 0; b.Loop(); i++ {
						if name == "person" { // each time another one: that somebody asked is part of the history from then on
							q.Person = &known(people[i%len(people)])[0]
						}
						answer, err := u.Search(context.Background(), by(operator), q)
						h.must(err)
						if want := map[string]int{"person": 9, "facets": 200, "a date": 200}[name]; answer.Size != want {
							b.Fatalf("%d entries, want %d", answer.Size, want)
						}
					}
				})
			}
		})
	}
}

// fill adds leaves about others to the first copy's log, in its own words.
func (h *house) fill(n int) {
	h.Helper()
	ctx := context.Background()
	st := h.connect()
	defer st.Close()
	tree, err := ledger.OpenTree(st.Log(ctx, firstCopy), h.signer(firstCopy))
	h.must(err)
	all := h.leaves(st, firstCopy)
	like := all[slices.IndexFunc(all, func(l *ledger.Leaf) bool { return l.Kind == ledger.KindRelease })]
	shape := ledger.ShapeOf(like)
	for made := 0; made < n; {
		var leaves [][]byte
		var about []store.LeafAbout
		for range 5000 {
			made++
			like.Transfer = transfer.TransferID(fmt.Sprintf("other-%d", made))
			like.Subjects[0].Commitment = fmt.Sprintf("%064x", made)
			leaves = append(leaves, like.AppendTo(nil))
			about = append(about, store.LeafAbout{Transfer: like.Transfer, Shape: shape.ID()})
		}
		batch, err := tree.Append(leaves)
		h.must(err)
		h.must(st.InTx(ctx, func(tx store.Tx) error { return tx.AppendLog(ctx, firstCopy, batch, about) }))
		tree.Commit(batch)
	}
}
