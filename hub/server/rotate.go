package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2/maybe"

	"referralhub/hub/auth"
	"referralhub/hub/seal"
)

// Key describes one of the hub's own keys, and holds none of it.
type Key struct {
	For   string    // what it is for: payloads, identifiers, tokens, log
	ID    string    // as it stands in what it made: a wrapped key, a token's kid, a checkpoint's signature
	Made  time.Time // zero where it is not known any more
	InUse bool      // it seals or signs; the others only open or verify what they made before
	Until time.Time // tokens: until when one that was rotated out verifies
}

// Keys lists the hub's own keys. Where a key management service guards them, it is asked.
func (c Config) Keys() ([]Key, error) {
	sealing, err := c.sealKeys()
	if err != nil {
		return nil, err
	}
	tokens, err := c.signKeys()
	if err != nil {
		return nil, err
	}
	v, err := c.Verifier()
	if err != nil {
		return nil, err
	}
	log := []Key{{For: "log", ID: fmt.Sprintf("%08x", v.KeyHash()), InUse: true}}
	if err := c.date(log, c.path("keys", "log.key")); err != nil {
		return nil, err
	}
	return slices.Concat(sealing, tokens, log), nil
}

// sealKeys lists what payloads are sealed with and identifiers hashed with.
func (c Config) sealKeys() ([]Key, error) {
	cfg, err := c.sealing()
	if err != nil {
		return nil, err
	}
	found, err := seal.Keys(cfg)
	if err != nil {
		return nil, c.explained(err)
	}
	keys := make([]Key, len(found))
	for i, k := range found {
		keys[i] = Key{For: "payloads", ID: fmt.Sprintf("%08x", k.ID), InUse: k.Primary}
		if k.File != cfg.KeyFile {
			keys[i].For = "identifiers"
		}
		if err := c.date(keys[i:i+1], k.File); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// signKeys lists what access tokens are signed with.
func (c Config) signKeys() ([]Key, error) {
	found, until, err := c.readTokenKeys()
	if err != nil {
		return nil, err
	}
	keys := make([]Key, len(found))
	for i, k := range found {
		keys[i] = Key{For: "tokens", ID: k.ID, InUse: i == 0}
		if i > 0 {
			keys[i].Until = until.UTC().Truncate(time.Second)
		}
	}
	return keys, c.date(keys, c.tokenFile())
}

// date says when keys were made: the one in use when its file was last written, unless that is known better.
func (c Config) date(keys []Key, file string) error {
	made, err := c.made()
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	for i := range keys {
		keys[i].Made = made[keys[i].ID]
		if keys[i].Made.IsZero() && keys[i].InUse {
			keys[i].Made = info.ModTime().UTC().Truncate(time.Second)
		}
	}
	return nil
}

// RotateSeal makes a new key that seals payloads from now on, and gives its id; the earlier ones go on opening what they sealed. A running
// hub takes it over within seconds. The secret of identifiers and pseudonyms stays: it never rotates.
func (c Config) RotateSeal() (id string, err error) {
	err = c.rotating(c.sealKeys, func() error {
		cfg, err := c.sealing()
		if err != nil {
			return err
		}
		made, err := seal.Rotate(cfg)
		id = fmt.Sprintf("%08x", made)
		return c.explained(err)
	})
	return id, err
}

// RotateTokens makes a new key that signs access tokens from now on, and gives its id. The one before verifies until the last token that it
// signed has expired, or with atOnce no more, so that every system has to log in again. A running hub takes it over within seconds.
func (c Config) RotateTokens(now time.Time, atOnce bool) (id string, err error) {
	err = c.rotating(c.signKeys, func() error {
		key, err := auth.GenerateKey("EdDSA")
		if err != nil {
			return err
		}
		keys := []auth.Key{key}
		if !atOnce {
			before, err := c.tokenKeysInForce(now)
			if err != nil {
				return err
			}
			keys = append(keys, before...)
		}
		var text []byte
		for _, k := range keys {
			block, err := k.MarshalPEM()
			if err != nil {
				return err
			}
			text = append(text, block...)
		}
		if err := maybe.WriteFile(c.tokenFile(), text, 0o600); err != nil {
			return fmt.Errorf("rotate the token key: %w", err)
		}
		id = key.ID
		return nil
	})
	return id, err
}

// WrapSeal encrypts the sealing keys and the secret of identifiers with the key that the configuration names, or leaves them in clear when it
// names none. was is the URI of the key that they are encrypted with now, empty when they are in clear. The hub must be stopped: until its
// next start it would look at them as they were.
func (c Config) WrapSeal(was string) error {
	lock, err := c.own()
	if err != nil {
		return err
	}
	defer lock.Unlock() //nolint:errcheck // it ends with the process
	before := c
	before.Seal.KMS = was
	dated := func() ([]Key, error) {
		keys, err := before.sealKeys()
		if err != nil {
			return nil, nil // it is being repeated, and they were noted the first time; what else is wrong Rewrap will say
		}
		return keys, nil
	}
	return c.rotating(dated, func() error {
		from, err := before.sealing()
		if err != nil {
			return fmt.Errorf("what they are encrypted with now: %w", err)
		}
		to, err := c.sealing()
		if err != nil {
			return err
		}
		return c.explained(seal.Rewrap(to, from.KMS))
	})
}

// rotating lets one change of keys in at a time: of two at once, the second would write without the key that the first had made. Of the keys
// that are there it notes when they were made, because the file whose age tells it is about to be written.
func (c Config) rotating(there func() ([]Key, error), change func() error) error {
	lock := flock.New(c.path("keys", "lock"), flock.SetPermissions(0o600))
	free, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the keys: %w", err)
	}
	if !free {
		return errors.New("somebody else is changing the hub's keys at this moment: look at hub keys list, and try again")
	}
	defer lock.Unlock() //nolint:errcheck // it ends with the process
	keys, err := there()
	if err != nil {
		return err
	}
	if err := c.note(keys); err != nil {
		return err
	}
	return change()
}

func (c Config) madeFile() string { return c.path("keys", "made.json") }

// made reads when keys were made, by id, of those that are no longer the newest of their file.
func (c Config) made() (map[string]time.Time, error) {
	made := map[string]time.Time{}
	text, err := os.ReadFile(c.madeFile())
	if errors.Is(err, fs.ErrNotExist) {
		return made, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read when keys were made: %w", err)
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return nil, fmt.Errorf("%s: %w: remove the file; only the dates of older keys are lost", c.madeFile(), err)
	}
	return made, nil
}

// note writes down when keys were made, before the file whose age tells it is written.
func (c Config) note(keys []Key) error {
	made, err := c.made()
	if err != nil {
		return err
	}
	for _, k := range keys {
		if !k.Made.IsZero() {
			made[k.ID] = k.Made
		}
	}
	text, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return fmt.Errorf("note when keys were made: %w", err)
	}
	if err := maybe.WriteFile(c.madeFile(), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("note when keys were made: %w", err)
	}
	return nil
}
