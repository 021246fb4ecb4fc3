package replay_test

import (
	"context"
	"fmt"
	"testing"

	"referralhub/contracts"
	"referralhub/hub/agreement"
	"referralhub/hub/consent"
	"referralhub/hub/ledger"
	"referralhub/hub/replay"
	"referralhub/hub/transfer"
)

// county is a log of so many carers, each of whom consents, is referred and is collected: three leaves. They are made as they are read.
type county struct{ texts [][3]string }

func (c county) Head() (int64, []byte, error) { return int64(3 * len(c.texts)), nil, nil }

func (c county) Leaves(from, to int64) ([][]byte, error) {
	var out [][]byte
	for i := from; i < to; i++ {
		out = append(out, []byte(c.texts[i/3][i%3]))
	}
	return out, nil
}

func (c county) Tile(int, int64) ([]byte, error) { return nil, ledger.ErrAbsent }

func newCounty(t testing.TB, carers int) (county, *agreement.Index) {
	first := hertswise(1)
	var c county
	for n := range carers {
		h := newHub(t)
		h.log.Entries = nil
		h.index = register(t, []*agreement.Agreement{first})
		who, id := fmt.Sprintf("%064x", n), transfer.TransferID(fmt.Sprintf("0199b3c0-7f9a-7c1e-b1b4-%012d", n))
		h.says(who, consent.Given, func(e *consent.Event) {
			e.ID = fmt.Sprintf("0199b3c0-0000-7c1e-b1b4-%012d", n)
			e.Categories = []contracts.Category{"identity", "contact", "address"}
		})
		h.refers(id, who, carerAll...)
		h.releases(id, who, append(named, reached...)...)
		c.texts = append(c.texts, [3]string{string(h.log.Entries[0]), string(h.log.Entries[1]), string(h.log.Entries[2])})
	}
	return c, register(t, []*agreement.Agreement{first})
}

func BenchmarkRedecide(b *testing.B) {
	const carers = 5_000
	log, x := newCounty(b, carers)
	b.ReportAllocs()
	for b.Loop() {
		done, err := replay.Redecide(context.Background(), log, x, func(d replay.Drift) error { return fmt.Errorf("%s", d) })
		if err != nil || done.Decisions != 2*carers {
			b.Fatal(done, err)
		}
	}
	b.ReportMetric(float64(b.N)*3*carers/b.Elapsed().Seconds(), "leaves/s")
}

func BenchmarkSimulate(b *testing.B) {
	const carers = 5_000
	log, x := newCounty(b, carers)
	proposed := hertswise(2, listing(named...))
	b.ReportAllocs()
	for b.Loop() {
		done, err := replay.Simulate(context.Background(), log, x, proposed, noon, func(replay.Change) error { return nil })
		if err != nil || done.People != carers {
			b.Fatal(done, err)
		}
	}
	b.ReportMetric(float64(b.N)*3*carers/b.Elapsed().Seconds(), "leaves/s")
}
