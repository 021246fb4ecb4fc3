package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What is wrong with a checkpoint. ErrCheckpoint: its text is not one (C2SP tlog-checkpoint), or names another log. ErrSignature: the log's key did not sign it.
var (
	ErrCheckpoint = errors.New("not a checkpoint of this log")
	ErrSignature  = errors.New("checkpoint is not signed by this log")
)

// Checkpoint is what a log stood for when it signed: so many leaves, under this root.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// Signer signs checkpoints for one origin. It is safe for concurrent use.
type Signer struct {
	origin   string
	vkey     string
	key      note.Signer
	verifier note.Verifier
}

// GenerateKey makes an Ed25519 key pair for a log, as signed-note encodes them: skey is the log's secret, vkey is published. The
// origin is a name such as "hub.example/log/1"; it may hold neither spaces nor "+".
func GenerateKey(origin string) (skey, vkey string, err error) {
	skey, vkey, err = note.GenerateKey(rand.Reader, origin)
	if err == nil {
		_, err = note.NewVerifier(vkey) // which looks at the name, as GenerateKey does not
	}
	if err != nil {
		return "", "", fmt.Errorf("generate a key for log %s: %w", origin, err)
	}
	return skey, vkey, nil
}

// NewSigner reads a secret key made by GenerateKey. The key must be the origin's own: a log signs under its own name.
func NewSigner(origin, skey string) (*Signer, error) {
	key, err := note.NewSigner(skey)
	if err != nil {
		return nil, fmt.Errorf("read the signing key of log %s: %w", origin, err)
	}
	if key.Name() != origin {
		return nil, fmt.Errorf("the signing key is that of log %s, not of %s: configure the key made for this origin", key.Name(), origin)
	}
	// A secret key is PRIVATE+KEY+<name>+<id>+base64(0x01 || seed), which note.NewSigner has just checked. The verifier key is
	// derived from the seed, so that the two cannot disagree.
	seed, err := base64.StdEncoding.DecodeString(strings.SplitN(skey, "+", 5)[4])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, fmt.Errorf("read the signing key of log %s: not an Ed25519 key", origin)
	}
	public := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		return nil, fmt.Errorf("derive the verifier key of log %s: %w", origin, err)
	}
	verifier, err := NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return &Signer{origin: origin, vkey: vkey, key: key, verifier: verifier}, nil
}

// NewVerifier reads a log's verifier key, "<origin>+<key id>+<base64>". The verifier's name is the origin.
func NewVerifier(vkey string) (note.Verifier, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("read a verifier key: %w", err)
	}
	return v, nil
}

// Origin names the log that the signer signs for.
func (s *Signer) Origin() string { return s.origin }

// Verifier checks what the signer signs.
func (s *Signer) Verifier() note.Verifier { return s.verifier }

// VerifierKey is the public half, to be published: "<origin>+<key id>+<base64>".
func (s *Signer) VerifierKey() string { return s.vkey }

// Sign writes the checkpoint of a tree. A log must never sign two trees of which neither is the beginning of the other, so only a
// Tree should call this.
func (s *Signer) Sign(size int64, root tlog.Hash) ([]byte, error) {
	cp := Checkpoint{Origin: s.origin, Size: size, Root: root}
	signed, err := note.Sign(&note.Note{Text: cp.String()}, s.key)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint %d of log %s: %w", size, s.origin, err)
	}
	return signed, nil
}

// String is the text that is signed.
func (c Checkpoint) String() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + c.Root.String() + "\n"
}

// OpenCheckpoint reads a signed checkpoint of the log that v speaks for. Signatures by others, such as witnesses, are passed
// over. The error wraps ErrCheckpoint or ErrSignature.
func OpenCheckpoint(signed []byte, v note.Verifier) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.Name() {
		return Checkpoint{}, fmt.Errorf("%w: it names %q as its origin", ErrCheckpoint, c.Origin)
	}
	return c, nil
}

// ReadCheckpoint reads the text of a checkpoint without asking who signed it: for an auditor that goes on after a bad signature.
// Nothing it says may be relied on.
func ReadCheckpoint(signed []byte) (Checkpoint, error) {
	text, _, ok := strings.Cut(string(signed), "\n\n")
	if !ok {
		return Checkpoint{}, fmt.Errorf("%w: no signature", ErrCheckpoint)
	}
	return parseCheckpoint(text + "\n")
}

// parseCheckpoint reads exactly what String writes. Extension lines are allowed by the specification and never written here, so
// they are refused.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] == "" {
		return Checkpoint{}, fmt.Errorf("%w: a checkpoint has three lines", ErrCheckpoint)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, fmt.Errorf("%w: the second line is not a size", ErrCheckpoint)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: the third line is not a hash", ErrCheckpoint)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root}
	if c.String() != text {
		return Checkpoint{}, fmt.Errorf("%w: not in canonical form", ErrCheckpoint)
	}
	return c, nil
}
