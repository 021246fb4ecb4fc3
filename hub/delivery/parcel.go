package delivery

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/transfer"
)

// Parcel is a dataset on its way out. Only NewParcel makes one that is not empty, and NewParcel asks for a committed release
// leaf: that is how "no leaf, no exit" is kept by the compiler. However it is printed or logged, it shows ids alone.
type Parcel struct {
	recipient  transfer.PartnerID
	disclosure Disclosure
	dataset    []byte
}

// Disclosure tells a recipient under what it receives a dataset, and where the disclosure log says so.
type Disclosure struct {
	TransferID    transfer.TransferID  `json:"transfer_id"`
	MessageType   transfer.MessageType `json:"message_type"`
	Sender        transfer.PartnerID   `json:"sender"`
	Purpose       transfer.Purpose     `json:"purpose"`
	Service       transfer.Service     `json:"service,omitempty"`
	CorrelationID string               `json:"correlation_id,omitempty"`
	Agreement     AgreementRef         `json:"agreement,omitzero"`    // zero for what goes by exception
	LawfulBasis   LawfulBasis          `json:"lawful_basis,omitzero"` // likewise
	Outcome       transfer.Outcome     `json:"outcome"`
	Consents      []string             `json:"consents,omitempty"`       // ids of the consent events it rests on
	OnwardSharing string               `json:"onward_sharing,omitempty"` // whether the recipient may pass it on
	Retention     string               `json:"retention,omitempty"`      // how long the recipient may keep it
	Obligations   []Obligation         `json:"obligations,omitempty"`    // what the recipient has to heed besides, as the leaf has it
	ReleasedAt    time.Time            `json:"released_at"`
	PayloadDigest string               `json:"payload_digest"` // "hmac-sha256:<hex>" over the bytes of the dataset
	DigestKey     string               `json:"digest_key"`     // hex; with it the recipient checks the digest and proves what it was given
	Log           LogRef               `json:"log"`
}

// AgreementRef names the clause of the agreement version that permits the disclosure.
type AgreementRef struct {
	ID      transfer.AgreementID `json:"id"`
	Version int                  `json:"version"`
	Digest  string               `json:"digest"`
	Flow    string               `json:"flow"`
}

// LawfulBasis is the agreement's: the letters of UK GDPR Articles 6(1) and 9(2), and the paragraph of DPA 2018 Schedule 1.
type LawfulBasis struct {
	Article6  string `json:"article6"`
	Article9  string `json:"article9,omitempty"`
	Schedule1 string `json:"schedule1,omitempty"`
}

// Obligation is something that a recipient has to do or not to do, as policy.Obligation has it: "protect", "do-not-inform".
type Obligation struct {
	Code string    `json:"code"`
	By   time.Time `json:"by,omitzero"`
}

// LogRef points at the release leaf.
type LogRef struct {
	Origin string `json:"origin"`
	Index  int64  `json:"index"`
}

// NewParcel makes the parcel that a committed release leaf is about; index is the leaf's place in the log. Only hub/exchange
// calls it, after the commit, and a test holds the tree to that. The dataset must be the one whose digest, under nonce, the leaf
// carries. What the leaf knows of the disclosure is taken from it; where d says something else, two transfers have been mixed
// up and there is no parcel. NewParcel keeps dataset: it must not be changed afterwards.
func NewParcel(leaf *ledger.Leaf, index int64, dataset []byte, nonce [32]byte, d Disclosure) (Parcel, error) {
	switch {
	case leaf == nil || leaf.Kind != ledger.KindRelease:
		return Parcel{}, errors.New("make a parcel: there is no release leaf")
	case index < 0:
		return Parcel{}, fmt.Errorf("make a parcel for %s: its release leaf has no place in the log", leaf.Transfer)
	case !leaf.Outcome.Permits():
		return Parcel{}, fmt.Errorf("make a parcel for %s: its release leaf says %q", leaf.Transfer, leaf.Outcome)
	case leaf.Transfer == "" || leaf.Recipient == "":
		return Parcel{}, errors.New("make a parcel: its release leaf names no transfer or no recipient")
	}
	if seal.Digest(nonce, dataset) != leaf.Payload {
		return Parcel{}, fmt.Errorf("make a parcel for %s: the dataset is not the one in its release leaf", leaf.Transfer)
	}
	if !bytes.HasPrefix(dataset, []byte("{")) || !bytes.HasSuffix(dataset, []byte("}")) {
		return Parcel{}, fmt.Errorf("make a parcel for %s: the dataset is not a JSON object", leaf.Transfer)
	}
	agreed := take(&d.TransferID, leaf.Transfer) && take(&d.MessageType, leaf.Type) && take(&d.Sender, leaf.Sender) &&
		take(&d.Purpose, leaf.Purpose) && take(&d.Service, leaf.Service) && take(&d.Outcome, leaf.Outcome) &&
		take(&d.PayloadDigest, leaf.Payload) && take(&d.DigestKey, hex.EncodeToString(nonce[:])) &&
		take(&d.Log.Index, index) && (d.ReleasedAt.IsZero() || d.ReleasedAt.Equal(leaf.At))
	if a := leaf.Agreement; a != nil {
		agreed = agreed && take(&d.Agreement, AgreementRef{ID: a.ID, Version: a.Version, Digest: a.Digest, Flow: a.Flow})
	}
	if !agreed {
		return Parcel{}, fmt.Errorf("make a parcel for %s: its disclosure differs from its release leaf", leaf.Transfer)
	}
	d.ReleasedAt, d.Obligations = leaf.At, nil
	for _, o := range leaf.Obligations {
		if o.Who == "recipient" {
			d.Obligations = append(d.Obligations, Obligation{Code: o.Code, By: o.By})
		}
	}
	return Parcel{recipient: leaf.Recipient, disclosure: d, dataset: dataset}, nil
}

// take fills an empty field from the leaf, and reports whether one that is not empty agrees with it.
func take[T comparable](field *T, leaf T) bool {
	var empty T
	if *field == empty {
		*field = leaf
	}
	return *field == leaf
}

// Transfer is the id of the transfer; empty for an empty parcel.
func (p Parcel) Transfer() transfer.TransferID { return p.disclosure.TransferID }

// Recipient is the partner that the release leaf names, and the only one that may be given the parcel.
func (p Parcel) Recipient() transfer.PartnerID { return p.recipient }

// Disclosure is what the recipient is told about the dataset.
func (p Parcel) Disclosure() Disclosure { return p.disclosure }

// Dataset is the permitted items as JSON: the bytes that were digested. They must not be changed.
func (p Parcel) Dataset() []byte { return p.dataset }

// CheckRecipient is the last look before a parcel goes out: an error when it is empty or another partner's.
func (p Parcel) CheckRecipient(to transfer.PartnerID) error {
	if p.recipient == "" {
		return errors.New("the parcel is empty: nothing was released")
	}
	if p.recipient != to {
		return fmt.Errorf("the parcel of transfer %s was released to %s and not to %s", p.Transfer(), p.recipient, to)
	}
	return nil
}

// WriteTo writes {"disclosure":…,"dataset":…} with the dataset byte for byte.
func (p Parcel) WriteTo(w io.Writer) (int64, error) {
	b, err := p.AppendJSON(nil)
	if err != nil {
		return 0, err
	}
	n, err := w.Write(b)
	return int64(n), err
}

// AppendJSON appends what WriteTo writes.
func (p Parcel) AppendJSON(b []byte) ([]byte, error) {
	if p.recipient == "" {
		return b, errors.New("write a parcel: it is empty")
	}
	disclosure, err := json.Marshal(p.disclosure)
	if err != nil {
		return b, fmt.Errorf("write the disclosure of transfer %s: %w", p.Transfer(), err)
	}
	b = append(b, `{"disclosure":`...)
	b = append(b, disclosure...)
	b = append(b, `,"dataset":`...)
	b = append(b, p.dataset...)
	return append(b, '}'), nil
}

// MarshalJSON gives what WriteTo writes. encoding/json then rewrites white space and "<", ">" and "&" in it, and the digest no
// longer fits: where the bytes go to a recipient, use WriteTo.
func (p Parcel) MarshalJSON() ([]byte, error) { return p.AppendJSON(nil) }

// Format prints ids, whatever the verb: a parcel in a log line must not be a disclosure.
func (p Parcel) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "parcel of transfer %s for %s", p.Transfer(), p.recipient)
}

// LogValue logs ids alone.
func (p Parcel) LogValue() slog.Value {
	return slog.GroupValue(slog.String("transfer_id", string(p.Transfer())), slog.String("recipient", string(p.recipient)))
}
