package ledger_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"referralhub/hub/ledger"
)

const origin = "hub.example/log/1"

func newSigner(t testing.TB, origin string) *ledger.Signer {
	t.Helper()
	skey, vkey, err := ledger.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ledger.NewSigner(origin, skey)
	if err != nil {
		t.Fatal(err)
	}
	if s.VerifierKey() != vkey || s.Origin() != origin || s.Verifier().Name() != origin {
		t.Fatalf("signer of %s has verifier key %s, was generated with %s", s.Origin(), s.VerifierKey(), vkey)
	}
	return s
}

func open(t testing.TB, src ledger.Source, s *ledger.Signer) *ledger.Tree {
	t.Helper()
	tree, err := ledger.OpenTree(src, s)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// leavesFrom makes n different leaves.
func leavesFrom(first int64, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		l := ledger.Leaf{Kind: ledger.KindQuery, At: at.Add(time.Duration(first+int64(i)) * time.Second), Query: &ledger.Query{Kind: "transfer", Found: i}}
		out[i] = l.AppendTo(nil)
	}
	return out
}

func appendTo(t testing.TB, tree *ledger.Tree, m *ledger.Memory, leaves [][]byte) *ledger.Batch {
	t.Helper()
	b, err := tree.Append(leaves)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Write(b); err != nil {
		t.Fatal(err)
	}
	tree.Commit(b)
	return b
}

// logOf is a log at rest with n leaves, written in batches of 200.
func logOf(t testing.TB, s *ledger.Signer, n int) *ledger.Memory {
	t.Helper()
	m := &ledger.Memory{}
	tree := open(t, m, s)
	for tree.Size() < int64(n) {
		appendTo(t, tree, m, leavesFrom(tree.Size(), min(200, n-int(tree.Size()))))
	}
	return m
}

// otherRoot is the root by another implementation.
func otherRoot(t interface{ Fatal(...any) }, leaves [][]byte) tlog.Hash {
	r := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for _, l := range leaves {
		if err := r.Append(rfc6962.DefaultHasher.HashLeaf(l), nil); err != nil {
			t.Fatal(err)
		}
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(leaves) == 0 {
		root = rfc6962.DefaultHasher.EmptyRoot()
	}
	return tlog.Hash(root)
}

// A sequencer that appends, crashes at every moment and opens again always holds the log that was written, and can prove it.
func TestLogBehavesLikeAListOfLeaves(t *testing.T) {
	s := newSigner(t, origin)
	rapid.Check(t, func(t *rapid.T) {
		m := &ledger.Memory{}
		tree, err := ledger.OpenTree(m, s)
		if err != nil {
			t.Fatal(err)
		}
		var model [][]byte
		var prepared *ledger.Batch
		var prover ledger.Prover
		roots := map[int64]ledger.Checkpoint{0: {Origin: origin, Root: otherRoot(t, nil)}}
		signed := func(b *ledger.Batch) {
			cp, err := ledger.OpenCheckpoint(b.Checkpoint, s.Verifier())
			if err != nil || cp.Size != b.Size || cp.Root != b.Root || b.Root != otherRoot(t, model) {
				t.Fatalf("checkpoint %+v of batch %d to %d: %v", cp, b.First, b.Size, err)
			}
			roots[b.Size] = cp
		}
		t.Repeat(map[string]func(*rapid.T){
			"prepare": func(t *rapid.T) {
				prepared, err = tree.Append(leavesFrom(rapid.Int64Range(0, 1000).Draw(t, "first"), rapid.IntRange(0, 600).Draw(t, "n")))
				if err != nil {
					t.Fatal(err)
				}
			},
			"commit": func(t *rapid.T) {
				if prepared == nil {
					t.Skip()
				}
				if err := m.Write(prepared); err != nil {
					t.Fatal(err)
				}
				model = append(model, prepared.Leaves...)
				tree.Commit(prepared)
				signed(prepared)
				prepared = nil
			},
			"crash before the commit": func(t *rapid.T) {
				prepared = nil
				if tree, err = ledger.OpenTree(m, s); err != nil {
					t.Fatal(err)
				}
			},
			"crash after the commit": func(t *rapid.T) {
				if prepared == nil {
					t.Skip()
				}
				if err := m.Write(prepared); err != nil {
					t.Fatal(err)
				}
				model = append(model, prepared.Leaves...)
				signed(prepared)
				prepared = nil
				if tree, err = ledger.OpenTree(m, s); err != nil {
					t.Fatal(err)
				}
			},
			"prove a leaf": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "index")
				p, err := prover.Prove(m, int64(i))
				if err != nil {
					t.Fatal(err)
				}
				cp, err := p.Verify(model[i], s.Verifier())
				if err != nil {
					t.Fatal(err)
				}
				leaf := rfc6962.DefaultHasher.HashLeaf(model[i])
				if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(cp.Size), leaf, slicesOf(p.Hashes), cp.Root[:]); err != nil {
					t.Fatal(err)
				}
			},
			"prove a beginning": func(t *rapid.T) {
				now := roots[int64(len(model))]
				for size, old := range roots {
					p, err := ledger.ConsistencyProof(m, size, now.Size)
					if err != nil {
						t.Fatal(err)
					}
					if err := ledger.VerifyConsistency(old, now, p); err != nil {
						t.Fatal(err)
					}
					if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(size), uint64(now.Size), slicesOf(p), old.Root[:], now.Root[:]); err != nil {
						t.Fatal(err)
					}
				}
			},
			"": func(t *rapid.T) {
				if tree.Size() != int64(len(model)) {
					t.Fatalf("size %d, want %d", tree.Size(), len(model))
				}
			},
		})
	})
}

// Two levels of tiles above the leaves, written at once and one batch after the other, are the same log.
func TestBatchesDoNotShowInTheTree(t *testing.T) {
	const n = 256*256 + 256 + 3
	s := newSigner(t, origin)
	leaves := leavesFrom(0, n)
	whole, parts := &ledger.Memory{}, &ledger.Memory{}
	appendTo(t, open(t, whole, s), whole, leaves)
	for first := 0; first < n; first += 5000 {
		appendTo(t, open(t, parts, s), parts, leaves[first:min(first+5000, n)])
	}
	if !reflect.DeepEqual(whole.Tiles, parts.Tiles) {
		t.Fatal("tiles differ")
	}
	if len(whole.Tiles[0]) != 257 || len(whole.Tiles[1]) != 1 || len(whole.Tiles[2]) != 0 {
		t.Fatalf("%d, %d and %d full tiles", len(whole.Tiles[0]), len(whole.Tiles[1]), len(whole.Tiles[2]))
	}
	cp, err := ledger.OpenCheckpoint(whole.Checkpoint, s.Verifier())
	if err != nil || cp.Root != otherRoot(t, leaves) {
		t.Fatalf("root %s, want %s (%v)", cp.Root, otherRoot(t, leaves), err)
	}
	if string(whole.Checkpoint) != string(parts.Checkpoint) {
		t.Fatal("checkpoints differ")
	}
	for _, i := range []int64{0, 255, 256, 65535, 65536, 65791, 65792, n - 1} {
		p, err := new(ledger.Prover).Prove(whole, i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(leaves[i], s.Verifier()); err != nil {
			t.Fatalf("leaf %d: %v", i, err)
		}
	}
}

func TestPreparedBatchCanBeDropped(t *testing.T) {
	s := newSigner(t, origin)
	m := logOf(t, s, 250)
	tree := open(t, m, s)
	dropped, err := tree.Append(leavesFrom(7000, 300))
	if err != nil {
		t.Fatal(err)
	}
	tile := string(dropped.Tiles[0].Hash)
	appendTo(t, tree, m, leavesFrom(250, 300))
	if string(dropped.Tiles[0].Hash) != tile {
		t.Error("the dropped batch was written over")
	}
	if cp, _ := ledger.ReadCheckpoint(m.Checkpoint); cp.Root != otherRoot(t, m.Entries) {
		t.Error("the dropped batch shows in the root")
	}
	defer func() {
		if recover() == nil {
			t.Error("a dropped batch can be committed: the tree would no longer be the log at rest")
		}
	}()
	tree.Commit(dropped)
}

func TestAppendRefusesLeavesThatNoExportCanHold(t *testing.T) {
	tree := open(t, &ledger.Memory{}, newSigner(t, origin))
	for _, leaf := range [][]byte{nil, make([]byte, ledger.MaxLeafBytes+1)} {
		if _, err := tree.Append([][]byte{leaf}); err == nil {
			t.Errorf("a leaf of %d bytes was taken", len(leaf))
		}
	}
	if _, err := tree.Append([][]byte{make([]byte, ledger.MaxLeafBytes)}); err != nil {
		t.Error(err)
	}
}

// A hub that opens a log which is not what it signed must not go on.
func TestOpenTreeRefusesALogItDidNotSign(t *testing.T) {
	s := newSigner(t, origin)
	for _, c := range []struct {
		name   string
		damage func(m *ledger.Memory)
		want   error
	}{
		{"leaf at the edge", func(m *ledger.Memory) { m.Entries[599] = []byte("x") }, ledger.ErrCorrupt},
		{"leaf missing at the edge", func(m *ledger.Memory) { m.Entries = m.Entries[:599] }, ledger.ErrAbsent},
		{"tile", func(m *ledger.Memory) { m.Tiles[0][1][77] ^= 1 }, ledger.ErrCorrupt},
		{"tile cut short", func(m *ledger.Memory) { m.Tiles[0][1] = m.Tiles[0][1][:100] }, ledger.ErrCorrupt},
		{"tile missing", func(m *ledger.Memory) { delete(m.Tiles[0], 1) }, ledger.ErrAbsent},
		{"head put back", func(m *ledger.Memory) { m.Size = 500 }, ledger.ErrCorrupt},
		{"checkpoint gone", func(m *ledger.Memory) { m.Checkpoint = nil }, ledger.ErrSignature},
		{"checkpoint changed", func(m *ledger.Memory) { m.Checkpoint[len(m.Checkpoint)-10] ^= 1 }, ledger.ErrSignature},
		{"checkpoint of another log", func(m *ledger.Memory) { m.Checkpoint = logOf(t, newSigner(t, origin), 600).Checkpoint }, ledger.ErrSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := logOf(t, s, 600)
			c.damage(m)
			if _, err := ledger.OpenTree(m, s); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestProveDoesNotHandOutAProofThatDoesNotHold(t *testing.T) {
	s := newSigner(t, origin)
	m := logOf(t, s, 600)
	if _, err := new(ledger.Prover).Prove(m, 600); !errors.Is(err, ledger.ErrAbsent) {
		t.Errorf("leaf 600 of 600: %v", err)
	}
	m.Tiles[0][0][40*32] ^= 1
	if _, err := new(ledger.Prover).Prove(m, 41); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("beside a changed hash: %v", err)
	}
}

// counting counts what is read from a log.
type counting struct {
	*ledger.Memory
	tiles, leaves int64
}

func (c *counting) Tile(level int, index int64) ([]byte, error) {
	c.tiles++
	return c.Memory.Tile(level, index)
}

func (c *counting) Leaves(from, to int64) ([][]byte, error) {
	c.leaves += to - from
	return c.Memory.Leaves(from, to)
}

func TestReadsAreBounded(t *testing.T) {
	const n = 256*255 + 255
	s := newSigner(t, origin)
	m := &ledger.Memory{}
	appendTo(t, open(t, m, s), m, leavesFrom(0, n))
	c := &counting{Memory: m}
	open(t, c, s)
	if c.tiles > 255 || c.leaves > 255 {
		t.Errorf("opening reads %d tiles and %d leaves", c.tiles, c.leaves)
	}
	*c = counting{Memory: m}
	var prover ledger.Prover
	if _, err := prover.Prove(c, 70); err != nil {
		t.Fatal(err)
	}
	if c.tiles > 256 || c.leaves > 256 {
		t.Errorf("a proof reads %d tiles and %d leaves", c.tiles, c.leaves)
	}
	*c = counting{Memory: m}
	if _, err := prover.Prove(c, 40_000); err != nil {
		t.Fatal(err)
	}
	if c.tiles > 2 || c.leaves > 256 {
		t.Errorf("a second proof reads %d tiles and %d leaves", c.tiles, c.leaves)
	}
}

func TestSignerBelongsToItsLog(t *testing.T) {
	skey, _, err := ledger.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ledger.NewSigner("hub.example/log/2", skey)
	if err == nil || !strings.Contains(err.Error(), "not of hub.example/log/2") {
		t.Errorf("got %v", err)
	}
	if err != nil && strings.Contains(err.Error(), skey[len(skey)-20:]) {
		t.Error("the error quotes the key")
	}
	for _, bad := range []string{"", "x", skey[:len(skey)-8], strings.Replace(skey, "PRIVATE", "PUBLIC", 1)} {
		if _, err := ledger.NewSigner(origin, bad); err == nil {
			t.Errorf("%d bytes of a key were taken", len(bad))
		}
	}
	if _, _, err := ledger.GenerateKey("hub example+1"); err == nil {
		t.Error("an origin with a space was taken")
	}
}

func ExampleProver() {
	skey, vkey, _ := ledger.GenerateKey("hub.example/log/1")
	signer, _ := ledger.NewSigner("hub.example/log/1", skey)
	log := &ledger.Memory{}
	tree, _ := ledger.OpenTree(log, signer)

	leaf := (&ledger.Leaf{Kind: ledger.KindAgreement, At: at, Note: "activated"}).AppendTo(nil)
	batch, _ := tree.Append([][]byte{leaf})
	_ = log.Write(batch) // one commit
	tree.Commit(batch)

	receipt, _ := new(ledger.Prover).Prove(log, batch.First)
	text, _ := receipt.MarshalText()

	// Somebody else, off-line, with the leaf, the receipt and the log's verifier key:
	verifier, _ := ledger.NewVerifier(vkey)
	read, _ := ledger.ParseProof(text)
	checkpoint, err := read.Verify(leaf, verifier)
	fmt.Println(checkpoint.Origin, checkpoint.Size, err)
	// Output: hub.example/log/1 1 <nil>
}

func BenchmarkTreeAppend(b *testing.B) {
	s := newSigner(b, origin)
	leaves := make([][]byte, 200)
	for i := range leaves {
		leaves[i] = released().AppendTo(nil)
	}
	tree := open(b, &ledger.Memory{}, s)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		batch, err := tree.Append(leaves)
		if err != nil {
			b.Fatal(err)
		}
		tree.Commit(batch)
		n += len(leaves)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/leaf")
}

func BenchmarkProve(b *testing.B) {
	s := newSigner(b, origin)
	m := &ledger.Memory{}
	appendTo(b, open(b, m, s), m, leavesFrom(0, 40_000))
	var prover ledger.Prover
	for b.Loop() {
		if _, err := prover.Prove(m, 12_345); err != nil {
			b.Fatal(err)
		}
	}
}
