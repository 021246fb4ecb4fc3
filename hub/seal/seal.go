// Package seal keeps payloads unreadable at rest and people unknown by name.
//
// A payload is sealed with an AES-256-GCM key of its own, made for one transfer and bound to its id; that key is wrapped by the
// hub's key-encryption key. Destroying the wrapped key therefore erases the payload, in every copy and backup of the database
// that does not also hold the wrapped key, without touching anything else. An identifier is kept as a keyed hash, and a
// recipient may be given a pseudonym in its place that no other recipient can compare with its own.
//
// What holds:
//
//   - A sealed payload opens under its own transfer id and nonce and no other.
//   - Nothing of a payload but its length can be read from a Sealed.
//   - Identifier hashes, pseudonyms and the marks on rows come from a secret of their own. It MUST NOT change: with another one the hub would
//     know nobody any more, so consent withdrawn would stand again. Keys for sealing rotate; this secret does not.
//   - Neither secret file is ever made beside the other: one of two missing is a loss to be mended, not a first start.
//
// # Where the keys live
//
// Two tink keysets in JSON: Config.KeyFile ("keys/seal.json") wraps payload keys, and "keys/seal-identifiers.json" beside it
// hashes identifiers. They are made on the first start, readable by their owner alone, and refused if anybody else can read them.
// Back them up apart from the database: whoever holds both can read everything, and without them nothing is left.
//
// With a key management service (Config.KMS) the same two files hold keysets that the service encrypted, and a copy of the disk is worth
// nothing. The service is asked when a Sealer opens, when keys rotate and when a Sealer takes the rotation over; never for a transfer.
// While it is away a Sealer goes on with the keys that it has in memory, none opens and nothing rotates: each says ErrKMS, and nothing
// changes. Taking a hub's right to the service away therefore counts from the hub's next start.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/samber/lo"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"referralhub/hub/transfer"
)

// What a caller may want to tell apart.
var (
	ErrErased     = errors.New("the payload's key has been destroyed")
	ErrKMS        = errors.New("key management service")
	ErrUnreadable = errors.New("the payload does not open: it was altered, belongs to another transfer, or its wrapping key is gone")
)

// Sealed is a payload at rest: useless without the key-encryption key, and gone for ever when WrappedKey is destroyed.
type Sealed struct {
	Ciphertext []byte // nonce, AES-256-GCM ciphertext and tag: 28 bytes longer than the payload
	WrappedKey []byte // the payload's key, encrypted by the key-encryption key: 65 bytes
}

// Config says where the keys are.
type Config struct {
	KeyFile string    // the key-encryption keyset; made together with its neighbour when neither is there
	KMS     tink.AEAD // a key of a key management service, which encrypts both keysets; when nil they are in clear and only the file's permissions protect them
}

// Sealer seals payloads with a key for each transfer and turns identifiers into keyed hashes. Safe for concurrent use.
type Sealer struct {
	cfg      Config
	wrapping atomic.Pointer[wrapping]
	hashes   sync.Pool // of hash.Hash: HMAC-SHA256 under the secret of identifiers, which takes half as long when it is used again
}

// wrapping is the key-encryption keyset in force, and the file that it was read from.
type wrapping struct {
	tink.AEAD
	ids     []uint32
	primary uint32
	file    fs.FileInfo
}

// Open reads the keys, and makes them on the first start.
func Open(cfg Config) (*Sealer, error) {
	if err := createKeys(cfg); err != nil {
		return nil, fmt.Errorf("create sealing keys: %w", err)
	}
	s := &Sealer{cfg: cfg}
	if _, err := s.Reload(); err != nil {
		return nil, err
	}
	handle, err := readKeyset(cfg.identifierFile(), cfg.KMS)
	if err != nil {
		return nil, fmt.Errorf("open identifier secret: %w", err)
	}
	if handle.Len() != 1 {
		return nil, fmt.Errorf("open identifier secret: %s: it holds %d keys; restore the file with the one it had, for it never rotates", cfg.identifierFile(), handle.Len())
	}
	entry, err := handle.Primary()
	if err != nil {
		return nil, fmt.Errorf("open identifier secret: %s: %w", cfg.identifierFile(), err)
	}
	key, ok := entry.Key().(*hmacprf.Key)
	if !ok {
		return nil, fmt.Errorf("open identifier secret: %s: it is not an HMAC secret; the two key files may have been swapped", cfg.identifierFile())
	}
	secret := key.KeyBytes().Data(insecuresecretdataaccess.Token{})
	s.hashes.New = func() any { return hmac.New(sha256.New, secret) }
	return s, nil
}

// Reload reads the key-encryption keys again if their file has changed, as Rotate changes it, and reports whether it has. What is under way
// goes on with those it has, and so does everything when Reload fails. It refuses a file from which a key is gone: what that key sealed would
// never open again.
func (s *Sealer) Reload() (changed bool, err error) {
	now := s.wrapping.Load()
	info, err := os.Stat(s.cfg.KeyFile)
	if err != nil {
		return false, fmt.Errorf("open sealing keys: %w", err)
	}
	if now != nil && info.ModTime().Equal(now.file.ModTime()) && info.Size() == now.file.Size() {
		return false, nil
	}
	handle, err := readKeyset(s.cfg.KeyFile, s.cfg.KMS)
	if err != nil {
		return false, fmt.Errorf("open sealing keys: %w", err)
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return false, fmt.Errorf("open sealing keys: %s: %w", s.cfg.KeyFile, err)
	}
	next := &wrapping{AEAD: primitive, primary: handle.KeysetInfo().GetPrimaryKeyId(), file: info}
	for _, k := range handle.KeysetInfo().GetKeyInfo() {
		next.ids = append(next.ids, k.GetKeyId())
	}
	if now != nil {
		if gone, _ := lo.Difference(now.ids, next.ids); len(gone) > 0 {
			return false, fmt.Errorf("open sealing keys: %s: keys %08x are gone from it, and payloads may be sealed with them: put the file back as it was; where that is meant, restart", s.cfg.KeyFile, gone)
		}
	}
	s.wrapping.Store(next)
	return true, nil
}

// KeyID is the id of the key-encryption key in use.
func (s *Sealer) KeyID() uint32 { return s.wrapping.Load().primary }

// Seal encrypts a payload under a key of its own that opens only for this transfer, and with this nonce of Digest: who changes the one at rest
// is found out.
func (s *Sealer) Seal(id transfer.TransferID, nonce [32]byte, plaintext []byte) (Sealed, error) {
	key := make([]byte, 32)
	rand.Read(key)
	defer clear(key)
	payload, err := payloadCipher(key)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal payload of %s: %w", id, err)
	}
	wrapped, err := s.wrapping.Load().Encrypt(key, wrapContext(id))
	if err != nil {
		return Sealed{}, fmt.Errorf("wrap payload key of %s: %w", id, err)
	}
	return Sealed{Ciphertext: payload.Seal(nil, nil, plaintext, payloadContext(id, nonce)), WrappedKey: wrapped}, nil
}

// Open gives the payload back. It is ErrErased when the wrapped key is gone and ErrUnreadable when the payload does not open.
func (s *Sealer) Open(id transfer.TransferID, nonce [32]byte, sealed Sealed) ([]byte, error) {
	if len(sealed.WrappedKey) == 0 {
		return nil, fmt.Errorf("open payload of %s: %w", id, ErrErased)
	}
	key, err := s.wrapping.Load().Decrypt(sealed.WrappedKey, wrapContext(id))
	if err != nil {
		return nil, fmt.Errorf("unwrap payload key of %s: %w", id, ErrUnreadable)
	}
	defer clear(key)
	payload, err := payloadCipher(key)
	if err != nil {
		return nil, fmt.Errorf("open payload of %s: %w", id, ErrUnreadable)
	}
	plaintext, err := payload.Open(nil, nil, sealed.Ciphertext, payloadContext(id, nonce))
	if err != nil {
		return nil, fmt.Errorf("open payload of %s: %w", id, ErrUnreadable)
	}
	return plaintext, nil
}

// Opens reports whether a payload opens, and gives nothing of it.
func (s *Sealer) Opens(id transfer.TransferID, nonce [32]byte, sealed Sealed) error {
	plain, err := s.Open(id, nonce, sealed)
	clear(plain)
	return err
}

// payloadCipher is the standard library's AES-GCM: tink's envelope gives one blob in which the wrapped key cannot be destroyed
// alone, does not bind it to the transfer, and costs more for building its primitive from a protocol buffer each time.
func payloadCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func payloadContext(id transfer.TransferID, nonce [32]byte) []byte {
	return append(nonce[:], id...)
}

func wrapContext(id transfer.TransferID) []byte {
	return append([]byte("referralhub payload key "), id...)
}

// Commitment is what a leaf says of a subject: SHA-256(salt || subject id), hex. Unlinkable once the salt is destroyed.
func Commitment(salt [32]byte, id transfer.SubjectID) string {
	sum := sha256.Sum256(append(salt[:], id...))
	return hex.EncodeToString(sum[:])
}

// NewSubject makes a pseudonym for a person not seen before, and the salt of its commitment. The pseudonym is a UUIDv7: 74 random bits
// behind the time at which the hub first heard of the person, so that a database keeps new people together. The salt alone, 256 random
// bits, keeps a commitment from being linked.
func NewSubject() (transfer.SubjectID, [32]byte) {
	var salt [32]byte
	rand.Read(salt[:])
	return transfer.SubjectID(uuid.Must(uuid.NewV7()).String()), salt
}

// Digest is what a release leaf says of a dataset: "hmac-sha256:" and hex. The nonce is random, made with the payload and destroyed with it, and
// goes to the recipient with the dataset, so that the two of them can prove what was sent, and nobody who guesses at a dataset
// can confirm the guess from the log; once it is destroyed nobody can.
func Digest(nonce [32]byte, payload []byte) string {
	mac := hmac.New(sha256.New, nonce[:])
	mac.Write(payload)
	return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil))
}
