package server

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"referralhub/hub/ledger"
	"referralhub/hub/ledger/audit"
	"referralhub/hub/store"
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
	return VerifyLog(ctx, st, v, seen...)
}

// VerifyLog audits the log that v verifies.
func VerifyLog(ctx context.Context, st store.Store, v note.Verifier, seen ...[]byte) (*audit.Report, error) {
	report, err := audit.Check(ctx, st.Log(ctx, v.Name()), v, tables{st, v.Name()}, seen...)
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %w", v.Name(), err)
	}
	return report, nil
}

// tables shows the auditor the state of the transfers of one log.
type tables struct {
	st     store.Store
	origin string
}

func (t tables) Transfers(ctx context.Context, visit func(audit.Row) error) error {
	return t.st.EachTransfer(ctx, t.origin, func(row store.Transfer, payload bool) error {
		return visit(audit.Row{ID: row.ID, State: row.State, DecisionLeaf: row.DecisionLeaf, ReleaseLeaf: row.ReleaseLeaf, Payload: payload})
	})
}
