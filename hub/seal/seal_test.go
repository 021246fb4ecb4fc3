package seal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/testing/fakekms"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"

	"referralhub/hub/seal"
	"referralhub/hub/transfer"
)

const (
	first  = transfer.TransferID("01957000-0000-7000-8000-000000000001")
	second = transfer.TransferID("01957000-0000-7000-8000-000000000002")
)

// nonce is that of every payload here.
var nonce = [32]byte{9}

var referral = []byte(`{"carer":{"name":{"family":"Quillfeather"},"address":"The Refuge, 14 Nowhere Lane","nhs_number":"9990000018"}}`)

func keyFile(t testing.TB) string { return filepath.Join(t.TempDir(), "keys", "seal.json") }

func open(t testing.TB, cfg seal.Config) *seal.Sealer {
	t.Helper()
	s, err := seal.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t testing.TB, s *seal.Sealer, id transfer.TransferID) seal.Sealed {
	t.Helper()
	out, err := s.Seal(id, nonce, referral)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func opens(s *seal.Sealer, id transfer.TransferID, payload seal.Sealed) bool {
	plain, err := s.Open(id, nonce, payload)
	return err == nil && bytes.Equal(plain, referral)
}

func TestAPayloadOpensForItsTransferAlone(t *testing.T) {
	s := open(t, seal.Config{KeyFile: keyFile(t)})
	one, two := sealed(t, s, first), sealed(t, s, second)
	if !opens(s, first, one) || !opens(s, second, two) {
		t.Fatal("a payload does not open")
	}
	for name, wrong := range map[string]seal.Sealed{
		"another transfer's":             two,
		"another transfer's key":         {Ciphertext: one.Ciphertext, WrappedKey: two.WrappedKey},
		"another transfer's payload":     {Ciphertext: two.Ciphertext, WrappedKey: one.WrappedKey},
		"a payload cut short":            {Ciphertext: one.Ciphertext[:len(one.Ciphertext)-1], WrappedKey: one.WrappedKey},
		"no payload":                     {WrappedKey: one.WrappedKey},
		"a key cut short":                {Ciphertext: one.Ciphertext, WrappedKey: one.WrappedKey[:8]},
		"the payload in place of a key ": {Ciphertext: one.Ciphertext, WrappedKey: one.Ciphertext},
	} {
		if _, err := s.Open(first, nonce, wrong); !errors.Is(err, seal.ErrUnreadable) {
			t.Errorf("%s: expected ErrUnreadable, got %v", name, err)
		}
	}
	if _, err := s.Open(first, [32]byte{1}, one); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("with another nonce: expected ErrUnreadable, got %v", err)
	}
}

func TestDestroyingTheWrappedKeyErases(t *testing.T) {
	s := open(t, seal.Config{KeyFile: keyFile(t)})
	payload := sealed(t, s, first)
	payload.WrappedKey = nil
	if _, err := s.Open(first, nonce, payload); !errors.Is(err, seal.ErrErased) {
		t.Errorf("expected ErrErased, got %v", err)
	}
	// Whoever has the key file and the ciphertext, but not the wrapped key, has nothing: sealing again wraps another key.
	payload.WrappedKey = sealed(t, s, first).WrappedKey
	if _, err := s.Open(first, nonce, payload); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("expected ErrUnreadable, got %v", err)
	}
}

func TestNothingCanBeReadOfASealedPayload(t *testing.T) {
	s := open(t, seal.Config{KeyFile: keyFile(t)})
	one, again := sealed(t, s, first), sealed(t, s, first)
	if bytes.Equal(one.Ciphertext, again.Ciphertext) || bytes.Equal(one.WrappedKey, again.WrappedKey) {
		t.Error("the same payload seals to the same bytes")
	}
	at := append(bytes.Clone(one.Ciphertext), one.WrappedKey...)
	for i := range len(referral) - 4 {
		if bytes.Contains(at, referral[i:i+5]) {
			t.Errorf("%q can be read", referral[i:i+5])
		}
	}
	if got, want := len(one.Ciphertext), len(referral)+28; got != want {
		t.Errorf("ciphertext of %d bytes, documented %d", got, want)
	}
	if len(one.WrappedKey) != 65 {
		t.Errorf("wrapped key of %d bytes, documented 65", len(one.WrappedKey))
	}
}

func TestAnyPayloadComesBackAndNoAlteredOne(t *testing.T) {
	s := open(t, seal.Config{KeyFile: keyFile(t)})
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		payload, err := s.Seal(first, nonce, plain)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := s.Open(first, nonce, payload); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("came back as %x, %v", back, err)
		}
		part := rapid.SampledFrom([][]byte{payload.Ciphertext, payload.WrappedKey}).Draw(t, "part")
		part[rapid.IntRange(0, len(part)-1).Draw(t, "at")] ^= rapid.Byte().Filter(func(b byte) bool { return b != 0 }).Draw(t, "flip")
		if _, err := s.Open(first, nonce, payload); !errors.Is(err, seal.ErrUnreadable) {
			t.Fatalf("an altered payload: %v", err)
		}
	})
}

func TestKeysLastAndRotate(t *testing.T) {
	cfg := seal.Config{KeyFile: keyFile(t)}
	before := open(t, cfg)
	old := sealed(t, before, first)
	hash := before.IdentifierHash("nhs-number", "", "9990000018")

	after := open(t, cfg)
	if !opens(after, first, old) || after.IdentifierHash("nhs-number", "", "9990000018") != hash {
		t.Fatal("a restart lost the keys")
	}
	if _, err := seal.Rotate(cfg); err != nil {
		t.Fatal(err)
	}
	rotated := open(t, cfg)
	fresh := sealed(t, rotated, second)
	if !opens(rotated, first, old) || !opens(rotated, second, fresh) {
		t.Error("after rotation both old and new payloads open")
	}
	if rotated.IdentifierHash("nhs-number", "", "9990000018") != hash {
		t.Error("rotation changed the identifier hashes: everybody would be a stranger")
	}
	if opens(before, second, fresh) {
		t.Error("the new key is not in use")
	}
	if changed, err := before.Reload(); err != nil || !changed || !opens(before, second, fresh) {
		t.Errorf("a running copy did not learn of the new key: %v", err)
	}
}

func TestKeyFilesAreForTheirOwnerAlone(t *testing.T) {
	cfg := seal.Config{KeyFile: keyFile(t)}
	open(t, cfg)
	identifiers := strings.Replace(cfg.KeyFile, ".json", "-identifiers.json", 1)
	for _, file := range []string{cfg.KeyFile, identifiers} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", filepath.Base(file), info.Mode(), err)
		}
		for _, mode := range []os.FileMode{0o640, 0o604, 0o622} {
			chmod(t, file, mode)
			if _, err := seal.Open(cfg); err == nil || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("%s with mode %o: %v", filepath.Base(file), mode, err)
			}
		}
		chmod(t, file, 0o600)
	}
	if _, err := seal.Rotate(cfg); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(cfg.KeyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("after rotation: %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(cfg.KeyFile), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

func chmod(t *testing.T, file string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func TestALostSecretIsNeverReplacedInSilence(t *testing.T) {
	swap := func(t *testing.T, a, b string) {
		text, err := os.ReadFile(a)
		if err == nil {
			err = os.WriteFile(b, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		says  string
		spoil func(t *testing.T, sealing, identifiers string)
	}{
		"identifiers lost":      {"restore", func(t *testing.T, _, identifiers string) { os.Remove(identifiers) }},
		"sealing key lost":      {"restore", func(t *testing.T, sealing, _ string) { os.Remove(sealing) }},
		"cut short":             {"not a tink keyset", func(t *testing.T, sealing, _ string) { os.Truncate(sealing, 20) }},
		"empty":                 {"not a tink keyset", func(t *testing.T, _, identifiers string) { os.Truncate(identifiers, 0) }},
		"sealing key in both":   {"swapped", func(t *testing.T, sealing, identifiers string) { swap(t, sealing, identifiers) }},
		"identifiers in both":   {"sealing keys", func(t *testing.T, sealing, identifiers string) { swap(t, identifiers, sealing) }},
		"identifiers rotated":   {"never rotates", func(t *testing.T, _, identifiers string) { rotate(t, identifiers) }},
		"a directory, not file": {"open sealing keys", func(t *testing.T, sealing, _ string) { os.Remove(sealing); os.Mkdir(sealing, 0o700) }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := seal.Config{KeyFile: keyFile(t)}
			open(t, cfg)
			test.spoil(t, cfg.KeyFile, strings.Replace(cfg.KeyFile, ".json", "-identifiers.json", 1))
			if _, err := seal.Open(cfg); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("expected an error with %q, got %v", test.says, err)
			}
		})
	}
	if _, err := seal.Open(seal.Config{}); err == nil {
		t.Error("opened without a key file")
	}
}

// rotate does to a keyset what somebody might do by hand.
func rotate(t *testing.T, file string) {
	t.Helper()
	if _, err := seal.Rotate(seal.Config{KeyFile: file}); err != nil {
		t.Fatal(err)
	}
}

func TestARunningSealerKeepsTheKeysThatItNeeds(t *testing.T) {
	cfg := seal.Config{KeyFile: keyFile(t)}
	s := open(t, cfg)
	before, err := os.ReadFile(cfg.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	rotate(t, cfg.KeyFile)
	if changed, err := s.Reload(); err != nil || !changed {
		t.Fatalf("the rotation was not taken over: %t, %v", changed, err)
	}
	payload := sealed(t, s, first)
	for name, spoil := range map[string]func() error{
		"another file":             func() error { return os.WriteFile(cfg.KeyFile, before, 0o600) },
		"a file that is cut short": func() error { return os.Truncate(cfg.KeyFile, 20) },
		"no file":                  func() error { return os.Remove(cfg.KeyFile) },
	} {
		text, err := os.ReadFile(cfg.KeyFile)
		if err := errors.Join(err, spoil()); err != nil {
			t.Fatal(err)
		}
		if changed, err := s.Reload(); err == nil || changed {
			t.Errorf("%s: %t, %v", name, changed, err)
		}
		if !opens(s, first, payload) || !opens(s, second, sealed(t, s, second)) {
			t.Errorf("%s: what was sealed does not open any more", name)
		}
		if err := errors.Join(os.RemoveAll(cfg.KeyFile), os.WriteFile(cfg.KeyFile, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if changed, err := s.Reload(); err != nil || !opens(s, first, payload) {
		t.Errorf("the file as it was: %t, %v", changed, err)
	}
	if changed, err := s.Reload(); err != nil || changed {
		t.Errorf("a file that has not changed: %t, %v", changed, err)
	}
}

func TestKeysAreListedAndNotShown(t *testing.T) {
	cfg := seal.Config{KeyFile: keyFile(t)}
	s := open(t, cfg)
	made := []uint32{s.KeyID()}
	for range 2 {
		id, err := seal.Rotate(cfg)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, id)
	}
	keys, err := seal.Keys(cfg)
	if err != nil || len(keys) != 4 {
		t.Fatalf("%+v, %v", keys, err)
	}
	fresh, identifiers := keys[0], keys[3]
	for i, k := range keys[:3] { // the newest first
		if k.ID != made[2-i] || k.Primary != (i == 0) || k.File != cfg.KeyFile {
			t.Errorf("sealing key %d: %+v", i, k)
		}
	}
	if !identifiers.Primary || identifiers.File == cfg.KeyFile {
		t.Errorf("identifiers %+v", identifiers)
	}
	if _, err := s.Reload(); err != nil || s.KeyID() != fresh.ID {
		t.Errorf("key %08x is in use, %v", s.KeyID(), err)
	}
	// A wrapped key says which key wrapped it, so that somebody can find out whether an old one is still needed.
	if got := sealed(t, s, first).WrappedKey[:5]; got[0] != 1 || binary.BigEndian.Uint32(got[1:]) != fresh.ID {
		t.Errorf("a wrapped key begins with %x", got)
	}
}

// service is a key of a key management service that may be away.
type service struct {
	tink.AEAD
	answers int // how many more times it does
}

func newService(t *testing.T) *service {
	t.Helper()
	uri, err := fakekms.NewKeyURI()
	if err != nil {
		t.Fatal(err)
	}
	client, err := fakekms.NewClient(uri)
	if err != nil {
		t.Fatal(err)
	}
	kms, err := client.GetAEAD(uri)
	if err != nil {
		t.Fatal(err)
	}
	return &service{kms, 1000}
}

var errAway = errors.New("connection refused")

func (s *service) Encrypt(plain, context []byte) ([]byte, error) {
	if s.answers--; s.answers < 0 {
		return nil, errAway
	}
	return s.AEAD.Encrypt(plain, context)
}

func (s *service) Decrypt(text, context []byte) ([]byte, error) {
	if s.answers--; s.answers < 0 {
		return nil, errAway
	}
	return s.AEAD.Decrypt(text, context)
}

func TestAKeyManagementServiceGuardsTheFiles(t *testing.T) {
	cfg := seal.Config{KeyFile: keyFile(t), KMS: newService(t)}
	s := open(t, cfg)
	payload := sealed(t, s, first)
	if _, err := seal.Rotate(cfg); err != nil {
		t.Fatal(err)
	}
	if !opens(open(t, cfg), first, payload) {
		t.Error("a payload sealed before does not open")
	}
	if _, err := seal.Open(seal.Config{KeyFile: cfg.KeyFile}); err == nil || !strings.Contains(err.Error(), "key management service") {
		t.Errorf("opened without the service: %v", err)
	}
	if _, err := seal.Open(seal.Config{KeyFile: cfg.KeyFile, KMS: newService(t)}); !errors.Is(err, seal.ErrKMS) {
		t.Errorf("opened with another key of the service: %v", err)
	}
}

func TestAServiceThatIsAwayStopsNothingThatRuns(t *testing.T) {
	kms := newService(t)
	cfg := seal.Config{KeyFile: keyFile(t), KMS: kms}
	s := open(t, cfg)
	payload := sealed(t, s, first)
	before, err := os.ReadFile(cfg.KeyFile)
	if err != nil {
		t.Fatal(err)
	}

	kms.answers = 0
	if !opens(s, first, payload) || !opens(s, second, sealed(t, s, second)) {
		t.Error("what runs needs the service")
	}
	if _, err := seal.Open(cfg); !errors.Is(err, seal.ErrKMS) || !strings.Contains(err.Error(), errAway.Error()) {
		t.Errorf("opened all the same: %v", err)
	}
	for answers := range 2 { // it goes away before the key is made, or before it is kept
		kms.answers = answers
		if _, err := seal.Rotate(cfg); !errors.Is(err, seal.ErrKMS) {
			t.Errorf("rotated all the same: %v", err)
		}
		if after, err := os.ReadFile(cfg.KeyFile); err != nil || !bytes.Equal(before, after) {
			t.Errorf("a rotation that failed changed the keys: %v", err)
		}
	}

	kms.answers = 2
	if _, err := seal.Rotate(cfg); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Reload(); changed || !errors.Is(err, seal.ErrKMS) || !opens(s, first, payload) {
		t.Errorf("the service went away before the rotation was taken over: %t, %v", changed, err)
	}
	kms.answers = 1
	if changed, err := s.Reload(); !changed || err != nil || !opens(s, first, payload) {
		t.Errorf("the service is back: %t, %v", changed, err)
	}
}

func TestAFirstStartWithoutTheServiceLeavesNothingHalfDone(t *testing.T) {
	for answers := range 2 {
		kms := newService(t)
		cfg := seal.Config{KeyFile: keyFile(t), KMS: kms}
		kms.answers = answers
		if _, err := seal.Open(cfg); !errors.Is(err, seal.ErrKMS) {
			t.Fatalf("%d answers: %v", answers, err)
		}
		kms.answers = 1000
		open(t, cfg)
	}
}

func TestAHubGetsAServiceChangesItAndGivesItUp(t *testing.T) {
	clear := seal.Config{KeyFile: keyFile(t)}
	s := open(t, clear)
	payload, hash := sealed(t, s, first), s.IdentifierHash("nhs-number", "", "9990000018")
	one, other := newService(t), newService(t)
	under := func(kms tink.AEAD) seal.Config { return seal.Config{KeyFile: clear.KeyFile, KMS: kms} }
	same := func(cfg seal.Config) {
		t.Helper()
		s := open(t, cfg)
		if !opens(s, first, payload) || s.IdentifierHash("nhs-number", "", "9990000018") != hash {
			t.Error("the keys are others")
		}
	}
	if _, err := seal.Open(under(one)); err == nil || !strings.Contains(err.Error(), "hub keys wrap") {
		t.Errorf("keys in clear pass for encrypted ones: %v", err)
	}
	for _, step := range []struct{ from, to tink.AEAD }{{nil, one}, {one, other}, {nil, other}, {other, nil}} {
		if err := seal.Rewrap(under(step.to), step.from); err != nil {
			t.Fatal(err)
		}
		same(under(step.to))
	}

	// It goes away half-way: nothing is written, and what one file has had can be done again.
	for answers := range 2 {
		one.answers = answers
		if err := seal.Rewrap(under(one), nil); !errors.Is(err, seal.ErrKMS) {
			t.Errorf("%d answers: %v", answers, err)
		}
		same(clear)
	}
	one.answers = 1000
	text, err := os.ReadFile(clear.KeyFile)
	if err == nil {
		err = seal.Rewrap(under(one), nil)
	}
	if err := errors.Join(err, os.WriteFile(clear.KeyFile, text, 0o600)); err != nil { // as if it had ended between the two files
		t.Fatal(err)
	}
	if err := seal.Rewrap(under(one), nil); err != nil {
		t.Errorf("repeated: %v", err)
	}
	same(under(one))
	if err := seal.Rewrap(under(other), nil); err == nil {
		t.Error("wrapped again without the key that it was wrapped with")
	}
	same(under(one))
}

func TestIdentifiersAreKnownHoweverTheyAreWritten(t *testing.T) {
	s := open(t, seal.Config{KeyFile: keyFile(t)})
	hash := s.IdentifierHash
	same := [][2][32]byte{
		{hash("nhs-number", "", "9990000018"), hash("nhs-number", "", "999 000 0018")},
		{hash("nhs-number", "", "9990000018"), hash("nhs-number", "", " 999-000-0018\n")},
		{hash("case-number", "age-uk", "C-1001"), hash("case-number", "age-uk", "  C-1001 ")},
	}
	for i, pair := range same {
		if pair[0] != pair[1] {
			t.Errorf("pair %d is one person", i)
		}
	}
	differ := [][32]byte{
		hash("nhs-number", "", "9990000018"),
		hash("nhs-number", "", "9990000026"),
		hash("nhs-number", "age-uk", "9990000018"),
		hash("case-number", "", "9990000018"),
		hash("case-number", "age-uk", "C-1001"),
		hash("case-number", "age-uk", "c-1001"),
		hash("case-number", "age-u", "kC-1001"),
		hash("case-number", "pohwer", "C-1001"),
		open(t, seal.Config{KeyFile: keyFile(t)}).IdentifierHash("nhs-number", "", "9990000018"),
	}
	seen := make(map[[32]byte]int)
	for i, h := range differ {
		if j, ok := seen[h]; ok {
			t.Errorf("%d and %d are two people, or one person to two hubs", j, i)
		}
		seen[h] = i
	}
}

func TestAPseudonymIsForOneRecipient(t *testing.T) {
	s := open(t, seal.Config{KeyFile: keyFile(t)})
	one := s.Pseudonym("age-uk", "nhs-number", "9990000018")
	if one != s.Pseudonym("age-uk", "nhs-number", "999 000 0018") || len(one) != 32 {
		t.Errorf("one recipient sees one pseudonym: %s", one)
	}
	if one == s.Pseudonym("pohwer", "nhs-number", "9990000018") {
		t.Error("two recipients could compare what they know")
	}
	if s.Pseudonym("age-uk", "case-number:pohwer", "1001") == s.Pseudonym("age-uk", "case-number:herts-fire", "1001") {
		t.Error("two senders' cases of one number look like one person")
	}
	if strings.Contains(one, "9990000018") {
		t.Error("the identifier can be read")
	}
}

func TestACommitmentNeedsItsSalt(t *testing.T) {
	id, salt := seal.NewSubject()
	other, otherSalt := seal.NewSubject()
	if id == other || salt == otherSalt {
		t.Fatalf("subjects %s and %s", id, other)
	}
	c := seal.Commitment(salt, id)
	if len(c) != 64 || c != seal.Commitment(salt, id) {
		t.Errorf("commitment %s", c)
	}
	if c == seal.Commitment(otherSalt, id) || c == seal.Commitment(salt, other) {
		t.Error("a commitment is to one salt and one subject")
	}
	// SHA-256 of 32 zero bytes and "abc".
	if got := seal.Commitment([32]byte{}, "abc"); got != "365aa7d8f7f9402c4b9434502b4cc89ddb09fe50d7cd95b493b834c62d5a5370" {
		t.Errorf("commitment %s", got)
	}
}

func BenchmarkSealer(b *testing.B) {
	s := open(b, seal.Config{KeyFile: keyFile(b)})
	payload := bytes.Repeat([]byte("x"), 3<<10)
	at, err := s.Seal(first, nonce, payload)
	if err != nil {
		b.Fatal(err)
	}
	for name, op := range map[string]func() error{
		"Seal":           func() error { _, err := s.Seal(first, nonce, payload); return err },
		"Open":           func() error { _, err := s.Open(first, nonce, at); return err },
		"IdentifierHash": func() error { s.IdentifierHash("nhs-number", "", "999 000 0018"); return nil },
		"Digest":         func() error { seal.Digest([32]byte{}, payload); return nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := op(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// What tink's own envelope would cost, for comparison.
	b.Run("KMSEnvelopeAEAD", func(b *testing.B) {
		handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
		if err != nil {
			b.Fatal(err)
		}
		kek, err := aead.New(handle)
		if err != nil {
			b.Fatal(err)
		}
		envelope := aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), kek)
		b.ReportAllocs()
		for range b.N {
			if _, err := envelope.Encrypt(payload, []byte(first)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func ExampleDigest() {
	var nonce [32]byte // random in earnest
	fmt.Println(seal.Digest(nonce, []byte(`{"carer":{}}`)) == seal.Digest(nonce, []byte(`{"carer":{"age":41}}`)))
	// Output: false
}
