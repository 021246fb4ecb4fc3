// Package receipt makes and checks disclosure receipts. A receipt is one small text that shows, without the hub and with nothing but the log's
// verifier key, that a disclosure is in the log and what the log says about it: to whom, for what purpose, under the clause of which version of
// which agreement (with the digest of its text), on which consents, which items by name, and the keyed digest of the dataset. One signature, the
// checkpoint's, binds all of it; witnesses' cosignatures below it show that the operator did not sign another history for somebody else.
//
// The text is a C2SP tlog-proof whose "extra" line holds the release leaf, byte for byte:
//
//	c2sp.org/tlog-proof@v1
//	extra <base64 of the leaf>
//	index 4711
//	<audit path, a hash a line>
//
//	<checkpoint with its signatures>
//
// so that any tool for such proofs reads it. Nothing authenticates an extra line by itself: a receipt is believed only because the hash of this leaf is
// what the proof leads to. ledger.ParseProof, for proofs of a leaf that the reader has, goes on refusing the line.
package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"referralhub/hub/ledger"
	"referralhub/hub/seal"
)

// What is wrong with a receipt. Beside these, errors wrap ledger.ErrSignature and ledger.ErrCheckpoint (the log did not sign this checkpoint),
// ledger.ErrInclusion (it does not lead to this leaf) and ledger.ErrEncoding (the leaf is not canonical).
var (
	ErrReceipt    = errors.New("not a disclosure receipt (c2sp.org/tlog-proof@v1 with a leaf)")
	ErrNotRelease = errors.New("the leaf is not a release")
	ErrWitnesses  = errors.New("too few witnesses have cosigned")
	ErrDataset    = errors.New("the dataset is not the one that was released")
)

const header = "c2sp.org/tlog-proof@v1\n"

// Receipt is a receipt that was checked: everything in it is what the log's key signed.
type Receipt struct {
	Leaf       *ledger.Leaf // of kind release
	Text       []byte       // its bytes
	Index      int64
	Checkpoint ledger.Checkpoint
	Cosigned   []ledger.Cosignature // by the witnesses that were asked for
}

// Witnesses says whose cosignatures count, and how many there must be. The zero value asks for none.
type Witnesses struct {
	Keys   []note.Verifier // made by ledger.NewWitness
	Quorum int
}

// Make writes the receipt of the release at index, under a signed checkpoint of the log, with whatever cosignatures it carries. It checks
// its own work: the error wraps ErrNotRelease for another kind of leaf, ledger.ErrAbsent when the checkpoint does not cover the leaf, and
// ledger.ErrCorrupt when the log at rest is not what was signed.
func Make(src ledger.Source, p *ledger.Prover, index int64, checkpoint []byte) ([]byte, error) {
	cp, err := ledger.ReadCheckpoint(checkpoint)
	if err != nil {
		return nil, fmt.Errorf("make the receipt of leaf %d: %w", index, err)
	}
	hashes, err := p.InclusionProof(src, index, cp.Size)
	if err != nil {
		return nil, fmt.Errorf("make a receipt: %w", err)
	}
	leaves, err := src.Leaves(index, index+1)
	if err != nil || len(leaves) != 1 {
		return nil, fmt.Errorf("make the receipt of leaf %d: %w", index, errors.Join(err, ledger.ErrAbsent))
	}
	leaf, err := ledger.Parse(leaves[0])
	if err != nil {
		return nil, fmt.Errorf("make the receipt of leaf %d: %w", index, err)
	}
	if leaf.Kind != ledger.KindRelease {
		return nil, fmt.Errorf("make the receipt of leaf %d: %w but a %s", index, ErrNotRelease, leaf.Kind)
	}
	if err := ledger.VerifyInclusion(cp, index, leaves[0], hashes); err != nil {
		return nil, fmt.Errorf("make the receipt of leaf %d: %w; run the audit", index, ledger.ErrCorrupt)
	}
	proof, err := (&ledger.Proof{Index: index, Hashes: hashes, Checkpoint: checkpoint}).MarshalText()
	if err != nil {
		return nil, fmt.Errorf("make the receipt of leaf %d: %w", index, err)
	}
	extra := base64.StdEncoding.AppendEncode([]byte("extra "), leaves[0])
	return bytes.Replace(proof, []byte(header), append(append([]byte(header), extra...), '\n'), 1), nil
}

// Verify checks a receipt with the verifier key of its log, one of logs, and counts the witnesses that have cosigned.
func Verify(text []byte, logs []note.Verifier, by Witnesses) (*Receipt, error) {
	rest, ok := strings.CutPrefix(string(text), header+"extra ")
	line, rest, cut := strings.Cut(rest, "\n")
	if !ok || !cut {
		return nil, fmt.Errorf("%w: it does not begin with %q and an extra line", ErrReceipt, strings.TrimSpace(header))
	}
	leaf, err := base64.StdEncoding.Strict().DecodeString(line)
	if err != nil || base64.StdEncoding.EncodeToString(leaf) != line {
		return nil, fmt.Errorf("%w: its second line is not base64", ErrReceipt)
	}
	proof, err := ledger.ParseProof([]byte(header + rest))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	log, err := whose(proof.Checkpoint, logs)
	if err != nil {
		return nil, err
	}
	out := &Receipt{Text: leaf, Index: proof.Index}
	if out.Checkpoint, err = proof.Verify(leaf, log); err != nil {
		return nil, err
	}
	if out.Leaf, err = ledger.Parse(leaf); err != nil {
		return nil, err
	}
	if out.Leaf.Kind != ledger.KindRelease {
		return nil, fmt.Errorf("%w but a %s", ErrNotRelease, out.Leaf.Kind)
	}
	out.Cosigned = ledger.Cosignatures(proof.Checkpoint, by.Keys...)
	if len(out.Cosigned) < by.Quorum {
		return nil, fmt.Errorf("%w: %d of %d are needed, and there are %d; ask the hub for the receipt again once its witnesses have seen the checkpoint",
			ErrWitnesses, by.Quorum, len(by.Keys), len(out.Cosigned))
	}
	return out, nil
}

// whose finds the key of the log that a checkpoint names.
func whose(signed []byte, logs []note.Verifier) (note.Verifier, error) {
	cp, err := ledger.ReadCheckpoint(signed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	for _, v := range logs {
		if v.Name() == cp.Origin {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w: it names the log %s, whose verifier key was not given", ledger.ErrSignature, cp.Origin)
}

// CheckDataset checks that a dataset is, byte for byte, the one that was released. key is the digest key in hexadecimal, which came to the
// recipient with the dataset; without it nobody can try what a dataset might have been.
func (r *Receipt) CheckDataset(dataset []byte, key string) error {
	k, err := hex.DecodeString(key)
	if err != nil || len(k) != 32 {
		return fmt.Errorf("%w: the digest key is not 32 bytes in hexadecimal", ErrDataset)
	}
	if seal.Digest([32]byte(k), dataset) != r.Leaf.Payload {
		return fmt.Errorf("%w: its digest under this key is not the one in the log", ErrDataset)
	}
	return nil
}
