package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/torchwood"
	flog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/ledger"
)

// Three implementations that share no code with this one read what it writes: tessera's fsck the exported tiles (directory_test.go), torchwood the
// tiles and the checkpoint, transparency-dev's formats and merkle the checkpoint and the proofs.

// Somebody else's client of tiled logs reads every entry of an export and proves each against the checkpoint; and it finds a leaf that was changed.
func TestTorchwoodReadsAnExport(t *testing.T) {
	s := newSigner(t, origin)
	for _, n := range []int{1, 256, 700} {
		m := logOf(t, s, n)
		dir := filepath.Join(t.TempDir(), "log")
		if err := ledger.Export(m, dir); err != nil {
			t.Fatal(err)
		}
		if read := torchwoodReads(t, dir, s); len(read) != n || !bytes.Equal(read[n-1], m.Entries[n-1]) {
			t.Errorf("of %d leaves it reads %d", n, len(read))
		}
	}

	m := logOf(t, s, 700)
	dir := filepath.Join(t.TempDir(), "log")
	if err := ledger.Export(m, dir); err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(dir, "tile", "entries", "001")
	text, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bundle, bytes.Replace(text, []byte("transfer"), []byte("transfur"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if read := torchwoodReads(t, dir, s); len(read) == 700 {
		t.Error("it reads a leaf that was changed")
	}
}

// torchwoodReads gives the entries that torchwood reads and finds to be in the signed tree.
func torchwoodReads(t *testing.T, dir string, s *ledger.Signer) [][]byte {
	t.Helper()
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	cp, _, err := torchwood.VerifyCheckpoint(signed, torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(origin), torchwood.SingleVerifierPolicy(s.Verifier())))
	if err != nil {
		t.Fatal(err)
	}
	files, err := torchwood.NewTileFS(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	c, err := torchwood.NewClient(files)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, entry := range c.AllEntries(t.Context(), cp.Tree, 0) {
		out = append(out, entry)
	}
	return out
}

// The checkpoint and both kinds of proof, as transparency-dev's libraries read them, over sizes with every kind of right edge.
func TestTransparencyDevAgreesWithCheckpointsAndProofs(t *testing.T) {
	s := newSigner(t, origin)
	m := &ledger.Memory{}
	tree := open(t, m, s)
	var p ledger.Prover
	hash := rfc6962.DefaultHasher
	older := map[int64][]byte{}
	for _, n := range []int{1, 1, 5, 249, 1, 300, 513} {
		b := appendTo(t, tree, m, leavesFrom(tree.Size(), n))
		cp, _, _, err := flog.ParseCheckpoint(b.Checkpoint, origin, s.Verifier())
		if err != nil || cp.Size != uint64(b.Size) {
			t.Fatalf("at %d leaves: %+v %v", b.Size, cp, err)
		}
		for index := int64(0); index < b.Size; index += max(1, b.Size/7) {
			path, err := p.InclusionProof(m, index, b.Size)
			if err != nil {
				t.Fatal(err)
			}
			leaf := hash.HashLeaf(m.Entries[index])
			if err := proof.VerifyInclusion(hash, uint64(index), cp.Size, leaf, raw(path), cp.Hash); err != nil {
				t.Errorf("leaf %d of %d: %v", index, b.Size, err)
			}
			leaf[0] ^= 1
			if proof.VerifyInclusion(hash, uint64(index), cp.Size, leaf, raw(path), cp.Hash) == nil {
				t.Errorf("leaf %d of %d: another leaf is proved too", index, b.Size)
			}
		}
		for size, root := range older {
			path, err := p.ConsistencyProof(m, size, b.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.VerifyConsistency(hash, uint64(size), cp.Size, raw(path), root, cp.Hash); err != nil {
				t.Errorf("from %d to %d: %v", size, b.Size, err)
			}
		}
		older[b.Size] = cp.Hash
	}
}

func raw[P ~[]tlog.Hash](p P) [][]byte {
	out := make([][]byte, len(p))
	for i := range p {
		out[i] = p[i][:]
	}
	return out
}

// A cosignature made by hand, from the text of C2SP tlog-cosignature, is taken; one that says no time is not.
func TestACosignatureByTheBook(t *testing.T) {
	s := newSigner(t, origin)
	signed := logOf(t, s, 3).Checkpoint
	text := signed[:bytes.Index(signed, []byte("\n\n"))+1]
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, 32))
	public := append([]byte{4}, private.Public().(ed25519.PublicKey)...)
	sum := sha256.Sum256(append([]byte("pohwer.example/witness\n"), public...))
	w, err := ledger.NewWitness(fmt.Sprintf("pohwer.example/witness+%x+%s", sum[:4], base64.StdEncoding.EncodeToString(public)))
	if err != nil {
		t.Fatal(err)
	}
	at := func(seconds uint64) []ledger.Cosignature {
		blob := binary.BigEndian.AppendUint64(bytes.Clone(sum[:4]), seconds)
		blob = append(blob, ed25519.Sign(private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text))...)
		return ledger.Cosignatures(fmt.Appendf(bytes.Clone(signed), "— pohwer.example/witness %s\n", base64.StdEncoding.EncodeToString(blob)), w)
	}
	if got := at(1679315147); len(got) != 1 || !got[0].At.Equal(time.Unix(1679315147, 0)) || got[0].Witness != "pohwer.example/witness" {
		t.Errorf("got %+v", got)
	}
	for _, seconds := range []uint64{0, 1 << 63} {
		if got := at(seconds); len(got) > 0 {
			t.Errorf("of the time %d: %+v", seconds, got)
		}
	}
	if _, err := ledger.NewWitness(s.VerifierKey()); err == nil {
		t.Error("a log's key was taken for a witness's")
	}
}
