package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/transfer"
)

// Everything in this file works on what is already here, with the log's verifier key and without the hub: that is the point of
// it. The key is "<origin>+<id>+<base64>" (signed-note); get it from the hub's operator by another way than from the hub.

// Checkpoint is what a log stood for when it signed: so many leaves, under this root.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// InclusionProof says that a leaf is in a tree. The hub adds the leaf itself for a party to its transfer.
type InclusionProof struct {
	Index    int64       `json:"index"`
	Size     int64       `json:"size"`
	LeafHash tlog.Hash   `json:"leaf_hash"`
	Proof    []tlog.Hash `json:"proof"`
	Leaf     []byte      `json:"leaf,omitempty"`
}

// ConsistencyProof says that a tree continues an older one: nothing in it was changed or taken out.
type ConsistencyProof struct {
	From  int64       `json:"from"`
	To    int64       `json:"to"`
	Proof []tlog.Hash `json:"proof"`
}

// VerifyCheckpoint checks a checkpoint's signature and reads it.
func VerifyCheckpoint(signed []byte, verifierKey string) (Checkpoint, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(verifierKey))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read the log's verifier key: %w", err)
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the checkpoint is not signed by %s: %w", verifier.Name(), err)
	}
	// Three lines, and perhaps more that extend it: origin, size, root (C2SP tlog-checkpoint).
	lines := strings.SplitN(opened.Text, "\n", 4)
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return Checkpoint{}, errors.New("the signed text is not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, errors.New("the checkpoint's size is not a number")
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, errors.New("the checkpoint's root is not a hash")
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// VerifyInclusion checks that a leaf is in the tree of a checkpoint. When the proof brings the leaf, that is the leaf.
func VerifyInclusion(cp Checkpoint, p *InclusionProof) error {
	if p.Size != cp.Size {
		return fmt.Errorf("the proof is for a tree of %d leaves and the checkpoint has %d", p.Size, cp.Size)
	}
	if p.Leaf != nil && tlog.RecordHash(p.Leaf) != p.LeafHash {
		return errors.New("the leaf shown is not the one that was proved")
	}
	if err := tlog.CheckRecord(p.Proof, cp.Size, cp.Root, p.Index, p.LeafHash); err != nil {
		return fmt.Errorf("leaf %d is not in the log as the checkpoint has it: %w", p.Index, err)
	}
	return nil
}

// VerifyConsistency checks that the log only grew between two checkpoints. With the older one kept from before, the hub cannot
// have shown one log then and another now; a leaf proved against either is the same leaf in both.
func VerifyConsistency(older, newer Checkpoint, p *ConsistencyProof) error {
	if older.Origin != newer.Origin {
		return fmt.Errorf("%s and %s are two logs", older.Origin, newer.Origin)
	}
	if p.From != older.Size || p.To != newer.Size {
		return fmt.Errorf("the proof is from %d to %d leaves, the checkpoints from %d to %d", p.From, p.To, older.Size, newer.Size)
	}
	if err := tlog.CheckTree(p.Proof, newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("the log was changed between %d and %d leaves: %w", older.Size, newer.Size, err)
	}
	return nil
}

// CheckDigest checks that the dataset is, byte for byte, the one that the disclosure and the release leaf speak of.
func (d *Disclosure) CheckDigest() error {
	key, err := hex.DecodeString(d.DigestKey)
	if err != nil || len(key) != 32 {
		return errors.New("the disclosure's digest key is not 32 bytes in hex")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(d.Dataset)
	if "hmac-sha256:"+hex.EncodeToString(mac.Sum(nil)) != d.PayloadDigest {
		return errors.New("the dataset is not the one that was released: its digest differs")
	}
	return nil
}

// CheckLeaf checks that a leaf of the log is this disclosure's release: this transfer, this dataset, under this agreement. The
// leaf is JSON; what else it holds is described in the hub's hub/ledger/FORMAT.md.
func (d *Disclosure) CheckLeaf(leaf []byte) error {
	var l struct {
		Kind      string              `json:"kind"`
		Transfer  transfer.TransferID `json:"transfer"`
		Sender    transfer.PartnerID  `json:"sender"`
		Purpose   transfer.Purpose    `json:"purpose"`
		Payload   string              `json:"payload"`
		Agreement Agreement           `json:"agreement"`
	}
	if err := json.Unmarshal(leaf, &l); err != nil {
		return errors.New("the leaf cannot be read")
	}
	if l.Kind != "release" || l.Transfer != d.TransferID || l.Sender != d.Sender || l.Purpose != d.Purpose || l.Payload != d.PayloadDigest || l.Agreement != d.Agreement {
		return errors.New("the log has another release at this place: the disclosure's transfer, sender, purpose, agreement and digest are not all the leaf's")
	}
	return nil
}
