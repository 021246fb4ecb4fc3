package ledger_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/ledger"
)

// The vectors are frozen: they were written once, and a change to one is a change of format. FORMAT.md describes them.

func readVectors[V any](t testing.TB, name string) []V {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var vs []V
	if err := json.Unmarshal(b, &vs); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(vs) == 0 {
		t.Fatalf("%s holds no vectors", name)
	}
	return vs
}

// class names the failure that a vector expects.
func class(err error) string {
	for _, c := range []struct {
		name string
		err  error
	}{
		{"encoding", ledger.ErrEncoding}, {"signature", ledger.ErrSignature}, {"checkpoint", ledger.ErrCheckpoint},
		{"inclusion", ledger.ErrInclusion}, {"consistency", ledger.ErrConsistency}, {"proof", ledger.ErrProof},
	} {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	if err != nil {
		return "another error: " + err.Error()
	}
	return "none"
}

type leafVector struct {
	Name, Expect string
	Text         string // the bytes, when they are UTF-8
	Hex          string // otherwise
	Hash         string // hex, of a leaf that is accepted
}

func (v leafVector) bytes(t testing.TB) []byte {
	if v.Hex == "" {
		return []byte(v.Text)
	}
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func leafVectors(t testing.TB) []leafVector { return readVectors[leafVector](t, "leaf.json") }

func TestLeafVectors(t *testing.T) {
	for _, v := range leafVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			b := v.bytes(t)
			_, err := ledger.Parse(b)
			if diff := cmp.Diff(v.Expect, class(err)); diff != "" {
				t.Fatal(diff, err)
			}
			if h := tlog.RecordHash(b); err == nil && v.Hash != hex.EncodeToString(h[:]) {
				t.Errorf("leaf hash %x, want %s", h, v.Hash)
			}
			if other := rfc6962.DefaultHasher.HashLeaf(b); err == nil && v.Hash != hex.EncodeToString(other) {
				t.Errorf("the other implementation's leaf hash is %x, want %s", other, v.Hash)
			}
		})
	}
}

func TestCheckpointVectors(t *testing.T) {
	type vector struct {
		Name, Expect, VKey, Text string
		Size                     int64
		Root                     string
	}
	for _, v := range readVectors[vector](t, "checkpoint.json") {
		t.Run(v.Name, func(t *testing.T) {
			verifier, err := ledger.NewVerifier(v.VKey)
			if err != nil {
				t.Fatal(err)
			}
			cp, err := ledger.OpenCheckpoint([]byte(v.Text), verifier)
			if diff := cmp.Diff(v.Expect, class(err)); diff != "" {
				t.Fatal(diff, err)
			}
			if err == nil && (cp.Size != v.Size || cp.Root.String() != v.Root || cp.Origin != verifier.Name()) {
				t.Errorf("got %+v", cp)
			}
		})
	}
}

func TestInclusionVectors(t *testing.T) {
	type vector struct {
		Name, Expect string
		Index, Size  int64
		Leaf         string // text
		Root         tlog.Hash
		Proof        []tlog.Hash
	}
	for _, v := range readVectors[vector](t, "inclusion.json") {
		t.Run(v.Name, func(t *testing.T) {
			err := ledger.VerifyInclusion(ledger.Checkpoint{Size: v.Size, Root: v.Root}, v.Index, []byte(v.Leaf), v.Proof)
			if diff := cmp.Diff(v.Expect, class(err)); diff != "" {
				t.Fatal(diff, err)
			}
			leaf := rfc6962.DefaultHasher.HashLeaf([]byte(v.Leaf))
			other := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(v.Index), uint64(v.Size), leaf, slicesOf(v.Proof), v.Root[:])
			if (other == nil) != (err == nil) {
				t.Errorf("the other implementation says %v", other)
			}
		})
	}
}

func TestConsistencyVectors(t *testing.T) {
	type vector struct {
		Name, Expect     string
		From, To         int64
		FromRoot, ToRoot tlog.Hash
		Proof            []tlog.Hash
	}
	for _, v := range readVectors[vector](t, "consistency.json") {
		t.Run(v.Name, func(t *testing.T) {
			from, to := ledger.Checkpoint{Size: v.From, Root: v.FromRoot}, ledger.Checkpoint{Size: v.To, Root: v.ToRoot}
			err := ledger.VerifyConsistency(from, to, v.Proof)
			if diff := cmp.Diff(v.Expect, class(err)); diff != "" {
				t.Fatal(diff, err)
			}
			other := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(v.From), uint64(v.To), slicesOf(v.Proof), v.FromRoot[:], v.ToRoot[:])
			if v.From > 0 && (other == nil) != (err == nil) {
				t.Errorf("the other implementation says %v", other)
			}
		})
	}
}

func TestProofVectors(t *testing.T) {
	type vector struct{ Name, Expect, VKey, Leaf, Text string }
	for _, v := range readVectors[vector](t, "proof.json") {
		t.Run(v.Name, func(t *testing.T) {
			verifier, err := ledger.NewVerifier(v.VKey)
			if err != nil {
				t.Fatal(err)
			}
			p, err := ledger.ParseProof([]byte(v.Text))
			if err == nil {
				_, err = p.Verify([]byte(v.Leaf), verifier)
			}
			if diff := cmp.Diff(v.Expect, class(err)); diff != "" {
				t.Fatal(diff, err)
			}
			if err == nil {
				if text, _ := p.MarshalText(); string(text) != v.Text {
					t.Errorf("writes %s", text)
				}
			}
		})
	}
}

func slicesOf(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i, h := range hashes {
		out[i] = h[:]
	}
	return out
}
