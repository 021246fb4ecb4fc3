package client

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"filippo.io/torchwood"
	"github.com/gofrs/flock"
	"github.com/google/renameio/v2/maybe"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// WitnessConfig says who cosigns which logs, and where the witness keeps what it has cosigned.
type WitnessConfig struct {
	Name string        // of the witness, a URL without its scheme: "pohwer.example/witness"
	Key  crypto.Signer // Ed25519, and used for nothing else
	Logs []string      // verifier keys of logs, had from their operators by another way than from the hub
	// Dir holds a file for each log: the newest checkpoint that was cosigned. Whoever loses it starts again with whatever a log shows then.
	Dir string
	Log *slog.Logger // what is cosigned, and a log that does not just grow; nothing when nil
}

// Witness cosigns a log's checkpoint only when it continues every checkpoint that the witness cosigned before (C2SP tlog-witness and
// tlog-cosignature). With witnesses in other hands than the log's key, its operator cannot show one history to a partner and another to a court:
// one of the two would lack their cosignatures. It shares no code with the hub.
//
// What it has cosigned is on disk before the cosignature leaves. As a handler it serves POST /add-checkpoint, and GET /<hash>/checkpoint for
// whoever watches logs, where the hash is SHA-256 of the log's origin in hexadecimal. It is safe for concurrent use, also by two programs on one Dir.
type Witness struct {
	cfg    WitnessConfig
	signer *torchwood.CosignatureSigner
	logs   map[string][]note.Verifier
	mu     sync.Mutex
	http   *http.ServeMux
}

// NewWitness makes a witness and its folder.
func NewWitness(cfg WitnessConfig) (*Witness, error) {
	signer, err := witnessSigner(cfg.Name, cfg.Key)
	if err != nil {
		return nil, err
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	w := &Witness{cfg: cfg, signer: signer, logs: map[string][]note.Verifier{}, http: http.NewServeMux()}
	for _, key := range cfg.Logs {
		v, err := note.NewVerifier(strings.TrimSpace(key))
		if err != nil {
			return nil, fmt.Errorf("read a log's verifier key: %w", err)
		}
		w.logs[v.Name()] = append(w.logs[v.Name()], v)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the witness's folder: %w", err)
	}
	w.http.HandleFunc("POST /add-checkpoint", w.add)
	w.http.HandleFunc("GET /{origin}/checkpoint", w.show)
	return w, nil
}

// WitnessKey is the public half of a witness's key under its name, for the hub's configuration and for whoever checks receipts.
func WitnessKey(name string, key crypto.Signer) (string, error) {
	signer, err := witnessSigner(name, key)
	if err != nil {
		return "", err
	}
	return signer.Verifier().String(), nil
}

func witnessSigner(name string, key crypto.Signer) (*torchwood.CosignatureSigner, error) {
	signer, err := torchwood.NewCosignatureSigner(name, key)
	if err != nil {
		return nil, fmt.Errorf("a witness %q with this key: %w; it takes a name without spaces and plus signs, and an Ed25519 key (partner key --type EdDSA)", name, err)
	}
	return signer, nil
}

// RefusedError says why a witness does not cosign: with the status that C2SP tlog-witness gives it, and for 409 the size that it has.
type RefusedError struct {
	Status int
	Detail string
	Size   int64
}

func (e *RefusedError) Error() string { return "the witness does not cosign: " + e.Detail }

func refuse(status int, format string, args ...any) error {
	return &RefusedError{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Size is how large a log was when it was last cosigned; 0 when it never was.
func (w *Witness) Size(origin string) (int64, error) {
	cp, _, err := w.state(origin)
	return cp.N, err
}

// Cosign checks that a signed checkpoint continues the one of size old, by the consistency proof between the two (RFC 6962 section 2.1.2, empty when
// old is zero or the checkpoint's own size), remembers it and gives its cosignature: a signature line. The error is a *RefusedError unless the
// witness's own folder is the trouble.
func (w *Witness) Cosign(old int64, proof tlog.TreeProof, signed []byte) (line []byte, err error) {
	cp, opened, err := w.open(signed)
	if err != nil {
		return nil, err
	}
	if old < 0 || old > cp.N {
		return nil, refuse(http.StatusBadRequest, "the old size, %d, is not one from 0 to the checkpoint's %d", old, cp.N)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	lock := flock.New(filepath.Join(w.cfg.Dir, "lock"), flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return nil, fmt.Errorf("lock the witness's folder: %w", err)
	}
	defer lock.Unlock() //nolint:errcheck // the file is closed with it, which releases it in any case
	last, _, err := w.state(cp.Origin)
	if err != nil {
		return nil, err
	}
	if err := w.continues(last, old, proof, cp, signed); err != nil {
		// Worth somebody's attention: the log has signed what does not fit. Whoever asks can bring about nothing else that is logged.
		if r := (*RefusedError)(nil); errors.As(err, &r) && r.Status == http.StatusUnprocessableEntity {
			w.cfg.Log.Error("not cosigned", "origin", cp.Origin, "tree_size", cp.N, "detail", r.Detail)
		}
		return nil, err
	}
	cosigned, err := note.Sign(opened, w.signer)
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	if err := maybe.WriteFile(w.file(cp.Origin), cosigned, 0o600); err != nil {
		return nil, fmt.Errorf("remember what is cosigned: %w", err)
	}
	w.cfg.Log.Info("cosigned", "origin", cp.Origin, "tree_size", cp.N)
	return lineOf(cosigned, w.signer.Verifier())
}

// open reads a checkpoint of a log that the witness knows, with the log's signature alone.
func (w *Witness) open(signed []byte) (torchwood.Checkpoint, *note.Note, error) {
	origin, _, _ := strings.Cut(string(signed), "\n")
	keys := w.logs[origin]
	if len(keys) == 0 {
		return torchwood.Checkpoint{}, nil, refuse(http.StatusNotFound, "it watches no log of this name; its operator adds one by the log's verifier key")
	}
	opened, err := note.Open(signed, note.VerifierList(keys...))
	var unsigned *note.UnverifiedNoteError
	var forged *note.InvalidSignatureError
	if errors.As(err, &unsigned) || errors.As(err, &forged) {
		return torchwood.Checkpoint{}, nil, refuse(http.StatusForbidden, "the log %s has not signed this checkpoint", origin)
	}
	if err != nil {
		return torchwood.Checkpoint{}, nil, refuse(http.StatusBadRequest, "what was sent is not a signed checkpoint")
	}
	cp, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return torchwood.Checkpoint{}, nil, refuse(http.StatusBadRequest, "the text that the log signed is not a checkpoint")
	}
	opened.UnverifiedSigs = nil // others' signatures are not this witness's to keep
	return cp, opened, nil
}

// continues checks a checkpoint against the last one that was cosigned.
func (w *Witness) continues(last torchwood.Checkpoint, old int64, proof tlog.TreeProof, cp torchwood.Checkpoint, signed []byte) error {
	if old != last.N {
		e := &RefusedError{Status: http.StatusConflict, Size: last.N}
		e.Detail = fmt.Sprintf("it was asked to go on from %d leaves, and has cosigned %d", old, last.N)
		return e
	}
	empty, err := tlog.TreeHash(0, nil)
	if err != nil {
		return err
	}
	switch {
	case cp.N == 0 && cp.Hash != empty:
		return refuse(http.StatusUnprocessableEntity, "a log without leaves has another root")
	case old == 0 && len(proof) != 0:
		return refuse(http.StatusUnprocessableEntity, "from nothing to anything needs no proof, and one was sent")
	case old > 0 && old == cp.N && cp.Hash != last.Hash:
		// Two roots under one size and one signature: the log was forked, and this is the evidence.
		kept := w.file(cp.Origin) + ".forked"
		if err := maybe.WriteFile(kept, signed, 0o600); err != nil {
			return fmt.Errorf("keep the checkpoint that shows a fork: %w", err)
		}
		return refuse(http.StatusUnprocessableEntity, "it has cosigned another root for %d leaves: the log was forked", cp.N)
	case old > 0 && tlog.CheckTree(proof, cp.N, cp.Hash, old, last.Hash) != nil:
		return refuse(http.StatusUnprocessableEntity, "the proof does not show that the log only grew from %d leaves to %d", old, cp.N)
	}
	return nil
}

// state reads the checkpoint that was last cosigned, and believes it only with the witness's own signature.
func (w *Witness) state(origin string) (cp torchwood.Checkpoint, signed []byte, err error) {
	signed, err = os.ReadFile(w.file(origin))
	if errors.Is(err, os.ErrNotExist) {
		return cp, nil, nil
	}
	if err != nil {
		return cp, nil, fmt.Errorf("read what was cosigned: %w", err)
	}
	opened, err := note.Open(signed, note.VerifierList(w.signer.Verifier()))
	if err != nil {
		return cp, nil, fmt.Errorf("%s is not what this witness has written: %w; find out who changed it, and whether the key is still the same", w.file(origin), err)
	}
	cp, err = torchwood.ParseCheckpoint(opened.Text)
	if err == nil && cp.Origin != origin {
		err = fmt.Errorf("%s is of the log %s", w.file(origin), cp.Origin)
	}
	return cp, signed, err
}

func (w *Witness) file(origin string) string {
	hash := sha256.Sum256([]byte(origin))
	return filepath.Join(w.cfg.Dir, hex.EncodeToString(hash[:])+".checkpoint")
}

// lineOf cuts a signature out of a note.
func lineOf(signed []byte, by note.Verifier) ([]byte, error) {
	opened, err := note.Open(signed, note.VerifierList(by))
	if err != nil {
		return nil, fmt.Errorf("read a signature that was just made: %w", err)
	}
	return fmt.Appendf(nil, "— %s %s\n", opened.Sigs[0].Name, opened.Sigs[0].Base64), nil
}

// ServeHTTP implements http.Handler.
func (w *Witness) ServeHTTP(out http.ResponseWriter, r *http.Request) { w.http.ServeHTTP(out, r) }

// maxWitnessRequest is more than 63 hashes and a checkpoint with a hundred signatures need.
const maxWitnessRequest = 64 << 10

func (w *Witness) add(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, maxWitnessRequest))
	if err != nil {
		http.Error(out, "The request could not be read, or is too large.", http.StatusBadRequest)
		return
	}
	old, proof, signed, err := parseAddCheckpoint(body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	line, err := w.Cosign(old, proof, signed)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusConflict:
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(refused.Status)
		fmt.Fprintf(out, "%d\n", refused.Size)
	case errors.As(err, &refused):
		http.Error(out, refused.Error(), refused.Status)
	case err != nil: // its text may name files
		http.Error(out, "The witness cannot work now; its operator can say why.", http.StatusInternalServerError)
	default:
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		out.Write(line) //nolint:errcheck // whoever is gone can ask again
	}
}

// parseAddCheckpoint reads the body of add-checkpoint: an old size, hashes of a proof, an empty line, a signed checkpoint.
func parseAddCheckpoint(body []byte) (old int64, proof tlog.TreeProof, signed []byte, err error) {
	head, signed, found := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	digits, named := strings.CutPrefix(lines[0], "old ")
	old, err = strconv.ParseInt(digits, 10, 64)
	if !found || !named || err != nil || old < 0 || strconv.FormatInt(old, 10) != digits {
		return 0, nil, nil, errors.New("the body begins with a line old and a size, hashes, and an empty line before the checkpoint")
	}
	if len(lines) > 64 {
		return 0, nil, nil, errors.New("a proof has at most 63 hashes")
	}
	proof = tlog.TreeProof{}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil || h.String() != line {
			return 0, nil, nil, errors.New("a line of the proof is not a hash in base64")
		}
		proof = append(proof, h)
	}
	return old, proof, signed, nil
}

func (w *Witness) show(out http.ResponseWriter, r *http.Request) {
	for origin := range w.logs {
		hash := sha256.Sum256([]byte(origin))
		if hex.EncodeToString(hash[:]) != r.PathValue("origin") {
			continue
		}
		if _, signed, err := w.state(origin); err == nil && signed != nil {
			out.Header().Set("Content-Type", "text/plain; charset=utf-8")
			out.Write(signed) //nolint:errcheck // whoever is gone can ask again
			return
		}
	}
	http.NotFound(out, r)
}
