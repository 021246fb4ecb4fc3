package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// identifierFile is "keys/seal-identifiers.json" for "keys/seal.json".
func (c Config) identifierFile() string {
	ext := filepath.Ext(c.KeyFile)
	return strings.TrimSuffix(c.KeyFile, ext) + "-identifiers" + ext
}

// Key describes a key of one of the two files, and holds none of it.
type Key struct {
	File    string
	ID      uint32 // what it wraps begins with the byte 1 and this, big-endian
	Primary bool   // it is the one in use; the others only unwrap
}

// Keys lists the keys of both files, of each the primary one first. The key management service is asked, so that what is listed is what opens.
func Keys(cfg Config) ([]Key, error) {
	var keys []Key
	for _, file := range []string{cfg.KeyFile, cfg.identifierFile()} {
		handle, err := readKeyset(file, cfg.KMS)
		if err != nil {
			return nil, fmt.Errorf("list sealing keys: %w", err)
		}
		primary := handle.KeysetInfo().GetPrimaryKeyId()
		var older []Key
		for _, k := range handle.KeysetInfo().GetKeyInfo() {
			if k.GetKeyId() != primary {
				older = append(older, Key{File: file, ID: k.GetKeyId()})
			}
		}
		slices.Reverse(older) // the newest first
		keys = append(append(keys, Key{File: file, ID: primary, Primary: true}), older...)
	}
	return keys, nil
}

// Rotate adds a new key-encryption key, which wraps from then on; the earlier ones stay and still unwrap. Running copies of
// the hub learn of it by Reload; until a copy has, it cannot open what another seals with the new key. Of two rotations at the
// same moment one would be lost, with all that was sealed in between: the caller lets in one at a time.
//
// The secret for identifiers does not rotate: with another one every identifier hash and every pseudonym would change.
func Rotate(cfg Config) (id uint32, err error) {
	if id, err = rotate(cfg); err != nil {
		return 0, fmt.Errorf("rotate sealing keys: %w", err)
	}
	return id, nil
}

func rotate(cfg Config) (uint32, error) {
	handle, err := readKeyset(cfg.KeyFile, cfg.KMS)
	if err != nil {
		return 0, err
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return 0, err
	}
	if err := manager.SetPrimary(id); err != nil {
		return 0, err
	}
	if handle, err = manager.Handle(); err != nil {
		return 0, err
	}
	text, err := marshalKeyset(handle, cfg.KMS)
	if err != nil {
		return 0, err
	}
	return id, put(cfg.KeyFile, text, os.Rename)
}

// Rewrap encrypts both files with cfg.KMS, or leaves them in clear when that is nil; was is what they are encrypted with now, nil when they
// are in clear. The keys in them stay what they are. A file that is already as it should be is written again, so an act that was cut short
// can be repeated, and a service that has rotated its own key brings the new version into use. Nothing is written unless both files open.
func Rewrap(cfg Config, was tink.AEAD) error {
	texts := map[string][]byte{}
	for _, file := range []string{cfg.KeyFile, cfg.identifierFile()} {
		handle, err := readKeyset(file, was)
		if err != nil {
			var again error
			if handle, again = readKeyset(file, cfg.KMS); again != nil {
				return fmt.Errorf("rewrap sealing keys: %w", errors.Join(err, again))
			}
		}
		if texts[file], err = marshalKeyset(handle, cfg.KMS); err != nil {
			return fmt.Errorf("rewrap sealing keys: %w", err)
		}
	}
	for file, text := range texts {
		if err := put(file, text, os.Rename); err != nil {
			return fmt.Errorf("rewrap sealing keys: %w", err)
		}
	}
	return nil
}

// createKeys makes both files when neither is there. One without the other means that a secret was lost.
func createKeys(cfg Config) error {
	if cfg.KeyFile == "" {
		return errors.New("no key file is configured")
	}
	sealing, err := exists(cfg.KeyFile)
	if err != nil {
		return err
	}
	identifiers, err := exists(cfg.identifierFile())
	if err != nil {
		return err
	}
	if sealing != identifiers {
		there, lost := cfg.KeyFile, cfg.identifierFile()
		if identifiers {
			there, lost = lost, there
		}
		return fmt.Errorf("%s is there and %s is not: restore it from the backup; only if this hub never held a transfer, remove the first and start again", there, lost)
	}
	if sealing {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(cfg.KeyFile), 0o700); err != nil {
		return err
	}
	wrapping, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return err
	}
	hashing, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return err
	}
	hashText, err := marshalKeyset(hashing, cfg.KMS) // both before either is written: a service may answer once and not again
	if err != nil {
		return err
	}
	wrapText, err := marshalKeyset(wrapping, cfg.KMS)
	if err != nil {
		return err
	}
	// Linking fails where somebody else has made the file meanwhile: two copies that start at once never go on with two different keys.
	if err := put(cfg.identifierFile(), hashText, os.Link); err != nil {
		return err
	}
	return put(cfg.KeyFile, wrapText, os.Link)
}

func exists(file string) (bool, error) {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// put writes a file under a name that nobody knows and then gives it its own, so that it is whole as soon as it is there. It is on disk
// when put returns.
func put(file string, text []byte, place func(temp, file string) error) error {
	temp, err := os.CreateTemp(filepath.Dir(file), ".new-key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // once placed it is a second name, or gone
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := place(temp.Name(), file); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func marshalKeyset(handle *keyset.Handle, kms tink.AEAD) ([]byte, error) {
	var text bytes.Buffer
	writer := keyset.NewJSONWriter(&text)
	if kms != nil {
		if err := handle.Write(writer, kms); err != nil {
			return nil, fmt.Errorf("%w: it did not encrypt the keys: %w", ErrKMS, err)
		}
		return text.Bytes(), nil
	}
	err := insecurecleartextkeyset.Write(handle, writer)
	return text.Bytes(), err
}

func readKeyset(file string, kms tink.AEAD) (*keyset.Handle, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	// On Windows the access list of the folder protects them, and mode bits say nothing.
	if open := info.Mode().Perm() & 0o077; open != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s: others than its owner can use it (mode %04o): run chmod 600 on it, and replace the keys if somebody may have read them", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	encrypted, err := keyset.NewJSONReader(bytes.NewReader(text)).ReadEncrypted()
	wrapped := err == nil && len(encrypted.GetEncryptedKeyset()) > 0
	switch {
	case kms == nil && wrapped:
		return nil, fmt.Errorf("%s: a key management service encrypted it, and none is configured", file)
	case kms == nil:
		handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
		if err != nil {
			return nil, fmt.Errorf("%s: not a tink keyset", file)
		}
		return handle, nil
	case !wrapped:
		return nil, fmt.Errorf("%s: not a keyset that a key management service encrypted; if it is in clear, wrap it first (hub keys wrap)", file)
	}
	handle, err := keyset.Read(keyset.NewJSONReader(bytes.NewReader(text)), kms)
	if err != nil {
		return nil, fmt.Errorf("%w: it did not decrypt %s: %w", ErrKMS, file, err)
	}
	return handle, nil
}
