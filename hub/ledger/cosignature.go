package ledger

import (
	"bytes"
	"fmt"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// Cosignature is a witness's word (C2SP tlog-cosignature, cosignature/v1) that at a time a checkpoint was the largest that it had seen of
// its log, and that it continued every one seen before. Whoever holds the log's key cannot write it.
type Cosignature struct {
	Witness string    // the name in its key
	At      time.Time // whole seconds, UTC
	Line    []byte    // the signature line, with its newline: it stands behind the log's own
}

// NewWitness reads a witness's verifier key, "<name>+<key id>+<base64>" of type 0x04. A log's own key is of another type and is refused.
func NewWitness(vkey string) (note.Verifier, error) {
	v, err := torchwood.NewCosignatureVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("read a witness's key: %w (it is printed by partner witness key)", err)
	}
	return v, nil
}

// Cosignatures gives those on a checkpoint that are by witnesses, in their order and each once. What others have signed, and what does not
// verify, is passed over; whether the log has signed is for OpenCheckpoint.
func Cosignatures(signed []byte, witnesses ...note.Verifier) []Cosignature {
	var out []Cosignature
	for _, w := range witnesses {
		n, err := note.Open(signed, note.VerifierList(w))
		if err != nil {
			continue
		}
		if at, err := torchwood.CosignatureTimestamp(n.Sigs[0]); err == nil && at > 0 {
			out = append(out, Cosignature{
				Witness: w.Name(), At: time.Unix(at, 0).UTC(), Line: fmt.Appendf(nil, "— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64),
			})
		}
	}
	return out
}

// Cosigned is a signed checkpoint with cosignatures behind the log's own signature.
func Cosigned(signed []byte, by []Cosignature) []byte {
	lines := [][]byte{signed}
	for _, c := range by {
		lines = append(lines, c.Line)
	}
	return bytes.Join(lines, nil)
}
