package delivery_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"referralhub/hub/delivery"
	"referralhub/hub/ledger"
	"referralhub/hub/seal"
	"referralhub/hub/transfer"
)

// address is what must never be seen where it does not belong.
const address = "The Old Forge, Nowhere Lane"

var (
	nonce   = [32]byte{1, 2, 3}
	dataset = []byte(`{"carer": {"address": "` + address + `", "note": "tea & <biscuits>"}}`)
)

// releaseLeaf is a release as the exchange commits one.
func releaseLeaf(id transfer.TransferID, to transfer.PartnerID) *ledger.Leaf {
	return &ledger.Leaf{
		Kind: ledger.KindRelease, At: time.Date(2026, 3, 2, 9, 31, 0, 123000, time.UTC), Transfer: id,
		Sender: "carers-in-hertfordshire", Recipient: to, Type: "referral/1", Purpose: "referral.service", Service: "hertswise",
		Outcome: transfer.PermitReduced, State: transfer.Released,
		Agreement: &ledger.Agreement{ID: "hertswise", Version: 1, Digest: "sha256:ab", Flow: "refer"},
		Payload:   seal.Digest(nonce, dataset),
		Obligations: []ledger.Obligation{
			{Code: "do-not-inform", Who: "recipient"}, {Code: "review-exception", Who: "sender", By: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)},
		},
	}
}

func parcel(t *testing.T, id transfer.TransferID, to transfer.PartnerID) delivery.Parcel {
	t.Helper()
	p, err := delivery.NewParcel(releaseLeaf(id, to), 41, dataset, nonce, delivery.Disclosure{
		CorrelationID: "c-1", LawfulBasis: delivery.LawfulBasis{Article6: "a", Article9: "a"}, Consents: []string{"consent-1"},
		OnwardSharing: "no", Log: delivery.LogRef{Origin: "hub.example/herts/1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParcelIsWhatWasReleased(t *testing.T) {
	p := parcel(t, "0199-a", "age-uk-hertfordshire")
	leaf := releaseLeaf("0199-a", "age-uk-hertfordshire")
	want := delivery.Disclosure{
		TransferID: "0199-a", MessageType: "referral/1", Sender: "carers-in-hertfordshire", Purpose: "referral.service",
		Service: "hertswise", CorrelationID: "c-1", Agreement: delivery.AgreementRef{ID: "hertswise", Version: 1, Digest: "sha256:ab", Flow: "refer"},
		LawfulBasis: delivery.LawfulBasis{Article6: "a", Article9: "a"}, Outcome: transfer.PermitReduced, Consents: []string{"consent-1"},
		OnwardSharing: "no", Obligations: []delivery.Obligation{{Code: "do-not-inform"}}, ReleasedAt: leaf.At, PayloadDigest: leaf.Payload,
		DigestKey: hex.EncodeToString(nonce[:]), Log: delivery.LogRef{Origin: "hub.example/herts/1", Index: 41},
	}
	if diff := cmp.Diff(want, p.Disclosure()); diff != "" {
		t.Errorf("disclosure (-want +got):\n%s", diff)
	}
	if p.Transfer() != "0199-a" || p.Recipient() != "age-uk-hertfordshire" || !bytes.Equal(p.Dataset(), dataset) {
		t.Errorf("parcel of %s for %s", p.Transfer(), p.Recipient())
	}

	// The recipient takes the dataset out of what was written and checks it against the digest with the key it was given.
	var written bytes.Buffer
	if n, err := p.WriteTo(&written); err != nil || n != int64(written.Len()) {
		t.Fatalf("write: %d, %v", n, err)
	}
	var got struct {
		Disclosure delivery.Disclosure
		Dataset    json.RawMessage
	}
	if err := json.Unmarshal(written.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(got.Disclosure.DigestKey)
	if err != nil {
		t.Fatal(err)
	}
	if seal.Digest([32]byte(key), got.Dataset) != got.Disclosure.PayloadDigest {
		t.Errorf("the dataset was re-encoded on its way: %s", got.Dataset)
	}
}

// No leaf, no exit: everything that is not the dataset of a committed, permitting release is refused.
func TestNoParcelWithoutItsLeaf(t *testing.T) {
	for name, c := range map[string]struct {
		leaf    func(*ledger.Leaf)
		index   int64
		dataset []byte
		nonce   [32]byte
		d       delivery.Disclosure
	}{
		"a decision is not a release":         {leaf: func(l *ledger.Leaf) { l.Kind = ledger.KindDecision }},
		"not in the log":                      {index: -1},
		"a hold":                              {leaf: func(l *ledger.Leaf) { l.Outcome = transfer.Hold }},
		"a refusal":                           {leaf: func(l *ledger.Leaf) { l.Outcome = transfer.Refuse }},
		"no outcome":                          {leaf: func(l *ledger.Leaf) { l.Outcome = "" }},
		"for nobody":                          {leaf: func(l *ledger.Leaf) { l.Recipient = "" }},
		"about nothing":                       {leaf: func(l *ledger.Leaf) { l.Transfer = "" }},
		"no digest":                           {leaf: func(l *ledger.Leaf) { l.Payload = "" }},
		"more than was logged":                {dataset: bytes.Replace(dataset, []byte("{"), []byte(`{"phone":"1",`), 1)},
		"another nonce":                       {nonce: [32]byte{9}},
		"another transfer's disclosure":       {d: delivery.Disclosure{TransferID: "0199-b"}},
		"another sender's disclosure":         {d: delivery.Disclosure{Sender: "pohwer"}},
		"another purpose's disclosure":        {d: delivery.Disclosure{Purpose: "advocacy"}},
		"another agreement's disclosure":      {d: delivery.Disclosure{Agreement: delivery.AgreementRef{ID: "csek"}}},
		"another digest's disclosure":         {d: delivery.Disclosure{PayloadDigest: "hmac-sha256:00"}},
		"another place's disclosure":          {d: delivery.Disclosure{Log: delivery.LogRef{Index: 40}}},
		"a disclosure that permits otherwise": {d: delivery.Disclosure{Outcome: transfer.Permit}},
		"another moment's disclosure":         {d: delivery.Disclosure{ReleasedAt: time.Unix(1, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			leaf := releaseLeaf("0199-a", "age-uk-hertfordshire")
			if c.leaf != nil {
				c.leaf(leaf)
			}
			if c.index == 0 {
				c.index = 41
			}
			if c.dataset == nil {
				c.dataset = dataset
			}
			if c.nonce == ([32]byte{}) {
				c.nonce = nonce
			}
			p, err := delivery.NewParcel(leaf, c.index, c.dataset, c.nonce, c.d)
			if err == nil {
				t.Fatal("a parcel was made")
			}
			if p.Dataset() != nil || p.CheckRecipient("age-uk-hertfordshire") == nil {
				t.Error("the parcel that was refused holds something")
			}
			if strings.Contains(err.Error(), address) {
				t.Errorf("the error says where somebody lives: %v", err)
			}
		})
	}
	if _, err := delivery.NewParcel(nil, 1, dataset, nonce, delivery.Disclosure{}); err == nil {
		t.Error("a parcel was made without a leaf")
	}
}

func TestParcelIsForItsRecipientAlone(t *testing.T) {
	p := parcel(t, "0199-a", "age-uk-hertfordshire")
	if err := p.CheckRecipient("age-uk-hertfordshire"); err != nil {
		t.Error(err)
	}
	if p.CheckRecipient("pohwer") == nil || p.CheckRecipient("") == nil {
		t.Error("somebody else may have it")
	}
	var empty delivery.Parcel
	if empty.CheckRecipient("") == nil || empty.CheckRecipient("pohwer") == nil {
		t.Error("an empty parcel may go")
	}
	if _, err := empty.WriteTo(new(bytes.Buffer)); err == nil {
		t.Error("an empty parcel was written")
	}
}

// A parcel in a log line or an error must not be a disclosure.
func TestParcelDoesNotPrint(t *testing.T) {
	p := parcel(t, "0199-a", "age-uk-hertfordshire")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("parcel", "parcel", p, "job", delivery.Job{Parcel: &p})
	said := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		said += fmt.Sprintf(verb, p) + fmt.Sprintf(verb, &p) + fmt.Sprintf(verb, delivery.Job{Parcel: &p})
	}
	for _, secret := range []string{address, hex.EncodeToString([]byte(address)), "84 104 101", hex.EncodeToString(nonce[:])} {
		if strings.Contains(said, secret) {
			t.Errorf("%q was said in: %s", secret, said)
		}
	}
	if !strings.Contains(said, "0199-a") {
		t.Error("not even the transfer is said")
	}
}

// Law 1 is kept by the compiler as far as a Parcel goes; this keeps the one door to it. Only the exchange makes parcels, and the
// suite that tests adapters, which nothing but tests may import.
func TestOnlyTheExchangeMakesParcels(t *testing.T) {
	makers := map[string]bool{"hub/exchange": true, "adapters/adaptertest": true}
	root := moduleRoot(t)
	seen := make(map[string]bool)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, use := range parcelMakers(f) {
			seen[dir] = true
			if !makers[dir] {
				t.Errorf("%s/%s %s", dir, name, use)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !seen["adapters/adaptertest"] {
		t.Error("the search finds nothing: it would not find a door either")
	}
}

// parcelMakers lists what a file does that could make a parcel.
func parcelMakers(f *ast.File) (uses []string) {
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if imported == "referralhub/adapters/adaptertest" {
			uses = append(uses, "imports the suite for tests")
		}
		if imported != "referralhub/hub/delivery" {
			continue
		}
		as := path.Base(imported)
		if spec.Name != nil {
			as = spec.Name.Name
		}
		if as == "." {
			uses = append(uses, "imports hub/delivery without a name")
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "NewParcel" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == as {
					uses = append(uses, "uses delivery.NewParcel")
				}
			}
			return true
		})
	}
	return uses
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}
