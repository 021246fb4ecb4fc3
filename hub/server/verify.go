package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/seal"
	"referralhub/hub/store"
	"referralhub/hub/tables"
)

// Verifier is the public key of the hub's own log.
func (c Config) Verifier() (note.Verifier, error) { return ReadVerifier(c.VerifierFile()) }

// ReadVerifier reads a log's public key from a file.
func ReadVerifier(name string) (note.Verifier, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the log's verifier key: %w", err)
	}
	v, err := ledger.NewVerifier(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("verifier key %s: %w", name, err)
	}
	return v, nil
}

// Verify audits the hub's own log and the state tables beside it. It may run beside the hub.
func Verify(ctx context.Context, cfg Config, st store.Store, seen ...[]byte) (*audit.Report, error) {
	v, err := cfg.Verifier()
	if err != nil {
		return nil, err
	}
	return VerifyLog(ctx, cfg, st, v, seen...)
}

// VerifyLog audits the log that v verifies, and the tables beside it, as they are at one moment.
func VerifyLog(ctx context.Context, cfg Config, st store.Store, v note.Verifier, seen ...[]byte) (*audit.Report, error) {
	keys, err := cfg.verifyingKeys()
	if err != nil {
		return nil, err
	}
	var report *audit.Report
	err = st.Snapshot(ctx, func(snap store.Snapshot) error {
		book := tables.New(snap, v.Name(), keys)
		witnesses, err := cfg.witnesses()
		if err != nil {
			return err
		}
		var names []note.Verifier
		for _, w := range witnesses {
			names = append(names, w.Key)
		}
		published, err := book.Published(ctx, v, names)
		if err != nil {
			return err
		}
		report, err = audit.Check(ctx, snap.Log(ctx, v.Name()), v, book, slices.Concat(seen, published)...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %w", v.Name(), err)
	}
	return report, nil
}

// verifyingKeys opens the keys that rows and payloads are checked with; nil when they are not here, or the service that has them is away. None
// are made.
func (c Config) verifyingKeys() (tables.Keys, error) {
	cfg, err := c.sealing()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.KeyFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s, err := c.sealer()
	if errors.Is(err, seal.ErrKMS) {
		return nil, nil
	}
	return s, err
}
