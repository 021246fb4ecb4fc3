package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
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

// Rotate adds a new key-encryption key, which wraps from then on; the earlier ones stay and still unwrap. Running copies of
// the hub learn of it by Reload; until a copy has, it cannot open what another seals with the new key, so reload them together.
// The secret for identifiers does not rotate.
func Rotate(cfg Config) error {
	handle, err := readKeyset(cfg.KeyFile, cfg.KMS)
	if err != nil {
		return fmt.Errorf("rotate sealing keys: %w", err)
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return fmt.Errorf("rotate sealing keys: %w", err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return fmt.Errorf("rotate sealing keys: %w", err)
	}
	if handle, err = manager.Handle(); err != nil {
		return fmt.Errorf("rotate sealing keys: %w", err)
	}
	text, err := marshalKeyset(handle, cfg.KMS)
	if err != nil {
		return fmt.Errorf("rotate sealing keys: %w", err)
	}
	if err := renameio.WriteFile(cfg.KeyFile, text, 0o600); err != nil {
		return fmt.Errorf("rotate sealing keys: %w", err)
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
	if err := createKeyset(cfg.identifierFile(), hashing, cfg.KMS); err != nil {
		return err
	}
	return createKeyset(cfg.KeyFile, wrapping, cfg.KMS)
}

func exists(file string) (bool, error) {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// createKeyset writes a file that is not there yet. Linking fails where somebody else has made it meanwhile: two copies that
// start at once never go on with two different keys. The file is whole as soon as it has its name.
func createKeyset(file string, handle *keyset.Handle, kms tink.AEAD) error {
	text, err := marshalKeyset(handle, kms)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".new-key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // after the link it is a second name, before it nobody knows it
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), file); err != nil {
		return err
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
			return nil, fmt.Errorf("encrypt keyset with the key management service: %w", err)
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
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return nil, fmt.Errorf("%s: others than its owner can use it (mode %04o): run chmod 600 on it, and replace the keys if somebody may have read them", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	reader := keyset.NewJSONReader(bytes.NewReader(text))
	if kms != nil {
		handle, err := keyset.Read(reader, kms)
		if err != nil {
			return nil, fmt.Errorf("%s: not a keyset that this key management service encrypted: %w", file, err)
		}
		return handle, nil
	}
	handle, err := insecurecleartextkeyset.Read(reader)
	if err != nil {
		return nil, fmt.Errorf("%s: not a tink keyset in clear; if a key management service encrypted it, configure the service", file)
	}
	return handle, nil
}
