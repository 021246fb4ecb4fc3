package seal_test

import (
	"bytes"
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
	out, err := s.Seal(id, referral)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func opens(s *seal.Sealer, id transfer.TransferID, payload seal.Sealed) bool {
	plain, err := s.Open(id, payload)
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
		if _, err := s.Open(first, wrong); !errors.Is(err, seal.ErrUnreadable) {
			t.Errorf("%s: expected ErrUnreadable, got %v", name, err)
		}
	}
}

func TestDestroyingTheWrappedKeyErases(t *testing.T) {
	s := open(t, seal.Config{KeyFile: keyFile(t)})
	payload := sealed(t, s, first)
	payload.WrappedKey = nil
	if _, err := s.Open(first, payload); !errors.Is(err, seal.ErrErased) {
		t.Errorf("expected ErrErased, got %v", err)
	}
	// Whoever has the key file and the ciphertext, but not the wrapped key, has nothing: sealing again wraps another key.
	payload.WrappedKey = sealed(t, s, first).WrappedKey
	if _, err := s.Open(first, payload); !errors.Is(err, seal.ErrUnreadable) {
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
		payload, err := s.Seal(first, plain)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := s.Open(first, payload); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("came back as %x, %v", back, err)
		}
		part := rapid.SampledFrom([][]byte{payload.Ciphertext, payload.WrappedKey}).Draw(t, "part")
		part[rapid.IntRange(0, len(part)-1).Draw(t, "at")] ^= rapid.Byte().Filter(func(b byte) bool { return b != 0 }).Draw(t, "flip")
		if _, err := s.Open(first, payload); !errors.Is(err, seal.ErrUnreadable) {
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
	if err := seal.Rotate(cfg); err != nil {
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
	if err := before.Reload(); err != nil || !opens(before, second, fresh) {
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
	if err := seal.Rotate(cfg); err != nil {
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
	if err := seal.Rotate(seal.Config{KeyFile: file}); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyManagementServiceGuardsTheFiles(t *testing.T) {
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
	cfg := seal.Config{KeyFile: keyFile(t), KMS: kms}
	s := open(t, cfg)
	payload := sealed(t, s, first)
	if err := seal.Rotate(cfg); err != nil {
		t.Fatal(err)
	}
	if !opens(open(t, cfg), first, payload) {
		t.Error("a payload sealed before does not open")
	}
	if _, err := seal.Open(seal.Config{KeyFile: cfg.KeyFile}); err == nil || !strings.Contains(err.Error(), "key management service") {
		t.Errorf("opened without the service: %v", err)
	}
	if _, err := seal.Open(seal.Config{KeyFile: cfg.KeyFile, KMS: otherKMS(t)}); err == nil {
		t.Error("opened with another key of the service")
	}
}

func otherKMS(t *testing.T) tink.AEAD {
	t.Helper()
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	kms, err := aead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	return kms
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
	at, err := s.Seal(first, payload)
	if err != nil {
		b.Fatal(err)
	}
	for name, op := range map[string]func() error{
		"Seal":           func() error { _, err := s.Seal(first, payload); return err },
		"Open":           func() error { _, err := s.Open(first, at); return err },
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
