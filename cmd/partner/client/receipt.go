package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"referralhub/hub/transfer"
)

// Release is what a release leaf of the hub's log says: what left the hub, to whom, and under what. hub/ledger/FORMAT.md describes all of it.
type Release struct {
	Kind      string              `json:"kind"`
	At        time.Time           `json:"at"`
	Transfer  transfer.TransferID `json:"transfer"`
	Sender    transfer.PartnerID  `json:"sender"`
	Recipient transfer.PartnerID  `json:"recipient"`
	Purpose   transfer.Purpose    `json:"purpose"`
	Service   transfer.Service    `json:"service"`
	Outcome   transfer.Outcome    `json:"outcome"`
	Agreement Agreement           `json:"agreement"`
	Payload   string              `json:"payload"`
	Subjects  []struct {
		Role     transfer.Role `json:"role"`
		Position int           `json:"position"`
		Items    []string      `json:"items"`
		Consents []string      `json:"consents"`
		Consent  string        `json:"consent"` // how it stood
	} `json:"subjects"`
}

// VerifiedReceipt is a disclosure receipt that was checked: everything in it is what the log signed.
type VerifiedReceipt struct {
	Release  Release
	Leaf     []byte // the bytes of the release leaf
	Log      LogRef
	Size     int64    // of the log, when it signed
	Cosigned []string // the witnesses that have cosigned, of those asked for
}

// VerifyReceipt checks a disclosure receipt (a C2SP tlog-proof whose extra line is the release leaf) by the log's verifier key, without the hub, and
// counts which of some witnesses, given by their verifier keys, have cosigned.
func VerifyReceipt(text []byte, logKey string, witnesses []string) (*VerifiedReceipt, error) {
	log, err := note.NewVerifier(strings.TrimSpace(logKey))
	if err != nil {
		return nil, fmt.Errorf("read the log's verifier key: %w", err)
	}
	leaf, err := torchwood.ProofExtraData(text)
	if err != nil {
		return nil, errors.New("this is not a disclosure receipt: it has no leaf in a line extra")
	}
	signed := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(log.Name()), torchwood.SingleVerifierPolicy(log))
	err = torchwood.VerifyProof(signed, tlog.RecordHash(leaf), text)
	var elsewhere *torchwood.VerifyRecordError
	var unsigned *note.UnverifiedNoteError
	var forged *note.InvalidSignatureError
	switch {
	case errors.As(err, &elsewhere):
		return nil, errors.New("the receipt does not lead to this leaf: one of the two was changed")
	case errors.As(err, &unsigned), errors.As(err, &forged):
		return nil, fmt.Errorf("the receipt's checkpoint is not signed by %s", log.Name())
	case err != nil:
		return nil, fmt.Errorf("this is not a disclosure receipt: %w", err)
	}
	out := &VerifiedReceipt{Leaf: leaf, Log: LogRef{Origin: log.Name()}}
	if err := json.Unmarshal(leaf, &out.Release); err != nil || out.Release.Kind != "release" {
		return nil, errors.New("the leaf that was proved is not a release")
	}
	// Past this point the text is known to be well formed: its third line is the index, and the checkpoint stands behind the first empty line.
	lines := strings.SplitN(string(text), "\n", 4)
	if out.Log.Index, err = strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64); err != nil {
		return nil, errors.New("this is not a disclosure receipt: it has no index")
	}
	_, checkpoint, _ := strings.Cut(string(text), "\n\n")
	cp, err := VerifyCheckpoint([]byte(checkpoint), logKey)
	if err != nil {
		return nil, err
	}
	out.Size = cp.Size
	for _, key := range witnesses {
		w, err := torchwood.NewCosignatureVerifier(strings.TrimSpace(key))
		if err != nil {
			return nil, fmt.Errorf("read a witness's verifier key: %w", err)
		}
		if _, err := note.Open([]byte(checkpoint), note.VerifierList(w)); err == nil {
			out.Cosigned = append(out.Cosigned, w.Name())
		}
	}
	return out, nil
}
