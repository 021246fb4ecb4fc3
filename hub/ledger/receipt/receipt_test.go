package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/receipt"
	"referralhub/hub/seal"
	"referralhub/hub/transfer"
)

const (
	dataset = `{"carer":{"name":{"family":"Quillfeather"}}}`
	release = 41 // the leaf of the release
)

var nonce = [32]byte{7}

// hub is a log with one release among decisions, and its keys.
type hub struct {
	log    *ledger.Memory
	signer *ledger.Signer
}

func newHub(t testing.TB, size int) hub {
	t.Helper()
	skey, _, err := ledger.GenerateKey("hub.example/log/1")
	if err != nil {
		t.Fatal(err)
	}
	h := hub{log: &ledger.Memory{}}
	if h.signer, err = ledger.NewSigner("hub.example/log/1", skey); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	var leaves [][]byte
	for i := range size {
		l := ledger.Leaf{Kind: ledger.KindDecision, At: at.Add(time.Duration(i) * time.Second), Outcome: transfer.Permit, Transfer: transfer.TransferID(fmt.Sprint("t-", i))}
		if i == release {
			l = ledger.Leaf{
				Kind: ledger.KindRelease, At: at, Transfer: "t-41", Sender: "carers-in-hertfordshire", Recipient: "age-uk-hertfordshire", Purpose: "referral.service",
				Outcome: transfer.PermitReduced, State: transfer.Released, Payload: seal.Digest(nonce, []byte(dataset)),
				Agreement: &ledger.Agreement{ID: "hertswise", Version: 1, Digest: "sha256:3f1c", Flow: "hertswise@1#refer"},
				Subjects:  []ledger.Subject{{Role: "carer", Commitment: "aa", Items: []string{"carer.name.family"}, Consents: []string{"c-1"}}},
			}
		}
		leaves = append(leaves, l.AppendTo(nil))
	}
	tree, err := ledger.OpenTree(h.log, h.signer)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := tree.Append(leaves)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.log.Write(batch); err != nil {
		t.Fatal(err)
	}
	return h
}

// receipt makes the receipt of the leaf at index under the newest checkpoint, which witnesses have cosigned.
func (h hub) receipt(t testing.TB, index int64, witnesses ...note.Signer) []byte {
	t.Helper()
	checkpoint := h.log.Checkpoint
	for _, w := range witnesses {
		n, err := note.Open(checkpoint, note.VerifierList(h.signer.Verifier()))
		if err != nil {
			t.Fatal(err)
		}
		if checkpoint, err = note.Sign(n, w); err != nil {
			t.Fatal(err)
		}
	}
	text, err := receipt.Make(h.log, new(ledger.Prover), index, checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// witness is somebody with a key who cosigns, and the key as the hub's reader and as another library read it.
func witness(t testing.TB, name string) (note.Signer, note.Verifier, note.Verifier) {
	t.Helper()
	s, err := torchwood.NewCosignatureSigner(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte(name[:1]), 32)))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := ledger.NewWitness(s.Verifier().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := fnote.NewVerifierForCosignatureV1(s.Verifier().String())
	if err != nil {
		t.Fatal(err)
	}
	return s, ours, theirs
}

// A recipient keeps a receipt, and years later shows to a court what it was given, from whom, and under what.
func TestAReceiptSaysWhatWasDisclosedWithoutTheHub(t *testing.T) {
	h := newHub(t, 300)
	pohwer, pohwerKey, _ := witness(t, "pohwer.example/witness")
	kent, kentKey, _ := witness(t, "kent.example/witness")
	_, strangerKey, _ := witness(t, "stranger.example/witness")
	_, another, err := ledger.GenerateKey("hub.example/log/2")
	if err != nil {
		t.Fatal(err)
	}
	copy2, err := ledger.NewVerifier(another)
	if err != nil {
		t.Fatal(err)
	}
	logs := []note.Verifier{copy2, h.signer.Verifier()} // the hub has two copies

	got, err := receipt.Verify(h.receipt(t, release, pohwer, kent), logs, receipt.Witnesses{Keys: []note.Verifier{strangerKey, pohwerKey, kentKey}, Quorum: 2})
	if err != nil {
		t.Fatal(err)
	}
	if l := got.Leaf; l.Recipient != "age-uk-hertfordshire" || l.Agreement.Digest != "sha256:3f1c" || l.Subjects[0].Items[0] != "carer.name.family" || l.Subjects[0].Consents[0] != "c-1" {
		t.Errorf("the receipt says %+v", l)
	}
	if got.Index != release || got.Checkpoint.Size != 300 || !bytes.Equal(got.Text, h.log.Entries[release]) {
		t.Errorf("leaf %d of %d: %s", got.Index, got.Checkpoint.Size, got.Text)
	}
	if len(got.Cosigned) != 2 || got.Cosigned[0].Witness != "pohwer.example/witness" || got.Cosigned[0].At.IsZero() {
		t.Errorf("cosigned by %+v", got.Cosigned)
	}
	if err := got.CheckDataset([]byte(dataset), hex.EncodeToString(nonce[:])); err != nil {
		t.Error(err)
	}
	for _, wrong := range []struct{ dataset, key string }{
		{strings.Replace(dataset, "Quill", "Quell", 1), hex.EncodeToString(nonce[:])}, {dataset, hex.EncodeToString(make([]byte, 32))}, {dataset, "ff"}, {dataset, "no key"},
	} {
		if err := got.CheckDataset([]byte(wrong.dataset), wrong.key); !errors.Is(err, receipt.ErrDataset) {
			t.Errorf("dataset %s under %s: %v", wrong.dataset, wrong.key, err)
		}
	}
}

// Another implementation reads the receipt as the proof that it is: torchwood for the proof, the log's and the witness's signatures;
// transparency-dev's merkle and formats libraries for the path and the cosignature.
func TestOtherToolsReadAReceipt(t *testing.T) {
	h := newHub(t, 300)
	signer, _, theirs := witness(t, "pohwer.example/witness")
	text := h.receipt(t, release, signer)
	policy := torchwood.ThresholdPolicy(3, torchwood.OriginPolicy("hub.example/log/1"), torchwood.SingleVerifierPolicy(h.signer.Verifier()), torchwood.SingleVerifierPolicy(theirs))

	leaf, err := torchwood.ProofExtraData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(leaf), text); err != nil {
		t.Error(err)
	}
	if err := torchwood.VerifyProof(policy, tlog.RecordHash([]byte("{}")), text); err == nil {
		t.Error("torchwood takes the receipt for another leaf")
	}

	head, signed, _ := strings.Cut(string(text), "\n\n")
	checkpoint, err := torchwood.ParseCheckpoint(strings.SplitAfter(signed, "\n\n")[0][:strings.Index(signed, "\n\n")+1])
	if err != nil {
		t.Fatal(err)
	}
	var path [][]byte
	for _, line := range strings.Split(head, "\n")[3:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		path = append(path, hash)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, release, uint64(checkpoint.N), rfc6962.DefaultHasher.HashLeaf(leaf), path, checkpoint.Hash[:]); err != nil {
		t.Error(err)
	}
	if _, err := note.Open([]byte(signed), note.VerifierList(theirs)); err != nil {
		t.Error(err)
	}
}

// Whatever somebody changes, the receipt says what is wrong with it.
func TestAReceiptThatWasTamperedWithSaysWhatIsWrong(t *testing.T) {
	h, other := newHub(t, 300), newHub(t, 301)
	signer, key, _ := witness(t, "pohwer.example/witness")
	_, second, _ := witness(t, "kent.example/witness")
	good := string(h.receipt(t, release, signer))
	lines := strings.Split(good, "\n")
	leaf := string(h.log.Entries[release])
	swap := func(leaf string) string {
		return strings.Replace(good, lines[1], "extra "+base64.StdEncoding.EncodeToString([]byte(leaf)), 1)
	}
	quorum := func(n int, keys ...note.Verifier) receipt.Witnesses { return receipt.Witnesses{Keys: keys, Quorum: n} }
	for _, c := range []struct {
		name, text string
		logs       []note.Verifier
		by         receipt.Witnesses
		want       error
	}{
		{name: "another recipient", text: swap(strings.Replace(leaf, "age-uk-hertfordshire", "kent-county-council", 1)), want: ledger.ErrInclusion},
		{name: "another agreement", text: swap(strings.Replace(leaf, "sha256:3f1c", "sha256:3f1d", 1)), want: ledger.ErrInclusion},
		{name: "an item left out", text: swap(strings.Replace(leaf, `"items":["carer.name.family"],`, "", 1)), want: ledger.ErrInclusion},
		{name: "another place", text: strings.Replace(good, "index 41\n", "index 40\n", 1), want: ledger.ErrInclusion},
		{name: "a hash left out", text: strings.Replace(good, lines[3]+"\n", "", 1), want: ledger.ErrInclusion},
		{name: "another size", text: strings.Replace(good, "\n300\n", "\n301\n", 1), want: ledger.ErrSignature},
		{name: "another hub's log", text: good, logs: []note.Verifier{other.signer.Verifier()}, want: ledger.ErrSignature},
		{name: "no key of this log", text: good, logs: []note.Verifier{}, want: ledger.ErrSignature},
		{name: "no leaf", text: strings.Replace(good, lines[1]+"\n", "", 1), want: receipt.ErrReceipt},
		{name: "a leaf that is no base64", text: strings.Replace(good, lines[1], lines[1]+"!", 1), want: receipt.ErrReceipt},
		{name: "a leaf with a character that decoders skip", text: strings.Replace(good, lines[1], lines[1]+"\r", 1), want: receipt.ErrReceipt},
		{name: "no index", text: strings.Replace(good, "index 41\n", "", 1), want: receipt.ErrReceipt},
		{name: "no checkpoint", text: strings.SplitAfter(good, "\n\n")[0], want: receipt.ErrReceipt},
		{name: "nothing", want: receipt.ErrReceipt},
		{name: "one witness of two", text: good, by: quorum(2, key, second), want: receipt.ErrWitnesses},
		{name: "the wrong witness", text: good, by: quorum(1, second), want: receipt.ErrWitnesses},
		{name: "a witness's word about another checkpoint", text: strings.Replace(good, lines[len(lines)-2], other.cosignature(t, signer), 1), by: quorum(1, key), want: receipt.ErrWitnesses},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.text == good && c.logs == nil && c.by.Quorum == 0 {
				t.Fatal("nothing was changed")
			}
			if c.logs == nil {
				c.logs = []note.Verifier{h.signer.Verifier()}
			}
			if _, err := receipt.Verify([]byte(c.text), c.logs, c.by); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// cosignature is a witness's line under the hub's newest checkpoint.
func (h hub) cosignature(t testing.TB, w note.Signer) string {
	t.Helper()
	lines := strings.Split(string(h.receipt(t, release, w)), "\n")
	return lines[len(lines)-2]
}

// Only a release has a receipt, and only a log that is what was signed gives one.
func TestWhatHasNoReceipt(t *testing.T) {
	h := newHub(t, 300)
	if _, err := receipt.Make(h.log, new(ledger.Prover), release+1, h.log.Checkpoint); !errors.Is(err, receipt.ErrNotRelease) {
		t.Errorf("of a decision: %v", err)
	}
	if _, err := receipt.Make(h.log, new(ledger.Prover), 300, h.log.Checkpoint); !errors.Is(err, ledger.ErrAbsent) {
		t.Errorf("of a leaf that the checkpoint does not cover: %v", err)
	}
	h.log.Entries[release] = bytes.Replace(h.log.Entries[release], []byte("age-uk-hertfordshire"), []byte("kent-county-council"), 1)
	if _, err := receipt.Make(h.log, new(ledger.Prover), release, h.log.Checkpoint); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("of a leaf that was changed at rest: %v", err)
	}
	// Whoever holds the log's key can sign anything, and a decision does not become a release by that.
	g := newHub(t, 300)
	root, err := ledger.TreeHash(g.log, 300)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := ledger.InclusionProof(g.log, 0, 300)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := g.signer.Sign(300, root)
	if err != nil {
		t.Fatal(err)
	}
	text := torchwood.FormatProofWithExtraData(0, g.log.Entries[0], hashes, signed)
	if _, err := receipt.Verify(text, []note.Verifier{g.signer.Verifier()}, receipt.Witnesses{}); !errors.Is(err, receipt.ErrNotRelease) {
		t.Errorf("a decision dressed up as a receipt: %v", err)
	}
}
