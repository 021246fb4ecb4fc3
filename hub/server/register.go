package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2/maybe"

	sharingagreements "referralhub/sharing-agreements"

	"referralhub/hub/agreement"
	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

// The declared register says who the partners are. What changes while the hub runs stands in Data, one file for each fact, so that a
// person can see and undo it: partners/<partner>/<system>.jwks.json holds a system's public keys, partners/<partner>/suspended the reason
// why a partner is stopped, partners/<partner>/webhook.secret the secret its notices are signed with.

// files is where agreements and partners are declared.
func (c Config) files() fs.FS {
	if c.Agreements == "" {
		return sharingagreements.Files
	}
	return os.DirFS(c.Agreements)
}

// Register reads the agreements and lays the suspensions over the partners. The index is nil when there are faults that are worse than
// warnings.
func (c Config) Register(at time.Time) (*agreement.Index, []agreement.Fault, error) {
	declared, faults, err := agreement.Load(c.files(), at)
	if err != nil || declared == nil {
		return nil, faults, err
	}
	partners := make([]transfer.Partner, 0, len(declared.Partners()))
	for _, p := range declared.Partners() {
		q := *p
		switch reason, err := os.ReadFile(c.path("partners", string(p.ID), "suspended")); {
		case err == nil:
			q.Suspended, q.SuspendedReason = true, strings.TrimSpace(string(reason))
		case !errors.Is(err, fs.ErrNotExist):
			return nil, faults, fmt.Errorf("read whether %s is suspended: %w", p.ID, err)
		}
		partners = append(partners, q)
	}
	x, err := agreement.NewIndex(partners, declared.Agreements())
	return x, faults, err
}

// clientKeys reads the public keys of every system that has enrolled some.
func (c Config) clientKeys(x *agreement.Index) (map[transfer.SystemID]auth.ClientKeys, error) {
	out := map[transfer.SystemID]auth.ClientKeys{}
	for _, p := range x.Partners() {
		for _, s := range p.Systems {
			jwks, err := os.ReadFile(c.keySetFile(s.ID))
			if errors.Is(err, fs.ErrNotExist) {
				continue // not enrolled yet: it cannot log in
			}
			if err != nil {
				return nil, fmt.Errorf("read the keys of %s: %w", s.ID, err)
			}
			out[s.ID] = auth.ClientKeys{System: s, Partner: p.ID, JWKS: jwks}
		}
	}
	return out, nil
}

func (c Config) keySetFile(id transfer.SystemID) string {
	return c.path("partners", filepath.FromSlash(string(id))+".jwks.json")
}

// ErrUnknown is a partner or system that the register does not have.
var ErrUnknown = errors.New("not in the register")

// Enrolled reports whether a system has keys.
func (c Config) Enrolled(id transfer.SystemID) bool {
	_, err := os.Stat(c.keySetFile(id))
	return err == nil
}

// Enrol gives a system its public keys. It replaces those it had: a set with the old and the new key makes a rotation without a gap.
func (c Config) Enrol(id transfer.SystemID, jwks []byte) error {
	x, _, err := c.Register(time.Now())
	if err != nil {
		return err
	}
	if x == nil {
		return errors.New("the agreements do not load: run hub agreement check")
	}
	for _, p := range x.Partners() {
		for _, s := range p.Systems {
			if s.ID != id {
				continue
			}
			clients, err := auth.NewClients(auth.ClientsConfig{Audiences: []string{c.URL}})
			if err != nil {
				return err
			}
			if err := clients.Replace(map[transfer.SystemID]auth.ClientKeys{id: {System: s, Partner: p.ID, JWKS: jwks}}); err != nil {
				return fmt.Errorf("enrol %s: %w", id, err)
			}
			if err := os.MkdirAll(filepath.Dir(c.keySetFile(id)), 0o700); err != nil {
				return fmt.Errorf("enrol %s: %w", id, err)
			}
			return maybe.WriteFile(c.keySetFile(id), jwks, 0o600)
		}
	}
	return fmt.Errorf("system %s: %w", id, ErrUnknown)
}

// Suspend stops a partner for a reason, or with an empty reason restores it. A running hub follows within seconds, also for what is queued.
func (c Config) Suspend(id transfer.PartnerID, reason string) error {
	x, _, err := c.Register(time.Now())
	if err != nil {
		return err
	}
	if x == nil {
		return errors.New("the agreements do not load: run hub agreement check")
	}
	if _, known := x.Partner(id); !known {
		return fmt.Errorf("partner %s: %w", id, ErrUnknown)
	}
	name := c.path("partners", string(id), "suspended")
	if reason == "" {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("restore %s: %w", id, err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("suspend %s: %w", id, err)
	}
	return maybe.WriteFile(name, []byte(reason+"\n"), 0o600)
}

// webhookSecrets gives the secrets that a partner's notices are signed with, the newest first: one a line.
func (c Config) webhookSecrets(id transfer.PartnerID) []string {
	text, err := os.ReadFile(c.path("partners", string(id), "webhook.secret"))
	if err != nil {
		return nil // nothing is sent unsigned: the adapter says that there is none
	}
	return strings.Fields(string(text))
}

// fingerprint changes when any file that the register is made of does.
func (c Config) fingerprint() (string, error) {
	var b strings.Builder
	note := func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, name, info.Size(), info.ModTime().UnixNano())
		return nil
	}
	if err := filepath.WalkDir(c.path("partners"), note); err != nil {
		return "", err
	}
	if c.Agreements != "" {
		if err := filepath.WalkDir(c.Agreements, note); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// reload puts a changed register in force, all of it or nothing. One with faults changes nothing: the hub goes on by the one it has, and says
// so in its log, once, and in the metric hub_register_behind.
func (h *Hub) reload(ctx context.Context) error {
	if err := h.exchange.Refresh(ctx); err != nil {
		return err
	}
	now, err := h.cfg.fingerprint()
	if err != nil {
		return err
	}
	if now == h.seen {
		h.behind.caughtUp()
		return nil
	}
	if err := h.takeRegister(ctx, now); err != nil {
		if h.behind.by(err) {
			return fmt.Errorf("the register changed and is not taken over; the one before it stays in force: %w", err)
		}
		return nil
	}
	h.behind.caughtUp()
	return nil
}

func (h *Hub) takeRegister(ctx context.Context, fingerprint string) error {
	index, err := h.cfg.index(h.log)
	if err != nil {
		return err
	}
	keys, err := h.cfg.clientKeys(index)
	if err != nil {
		return err
	}
	// Keys that cannot be used are found before anything is put in force.
	trial, err := auth.NewClients(auth.ClientsConfig{Audiences: []string{h.cfg.URL}})
	if err == nil {
		err = trial.Replace(keys)
	}
	if err != nil {
		return err
	}
	if after, err := h.cfg.fingerprint(); err != nil || after != fingerprint {
		return err // somebody is still writing: the next look takes all of it
	}
	if err := h.exchange.Adopt(ctx, index); err != nil {
		return err
	}
	if err := h.clients.Replace(keys); err != nil {
		return err
	}
	h.tokens.Flush()
	h.seen = fingerprint
	h.log.InfoContext(ctx, "register reloaded", "agreements", len(index.Agreements()), "partners", len(index.Partners()))
	return nil
}

// behind says why the register on disk is not the one in force.
type behind struct{ why atomic.Pointer[string] }

// by takes a reason, and reports whether it is another than before.
func (b *behind) by(err error) bool {
	now := err.Error()
	was := b.why.Swap(&now)
	return was == nil || *was != now
}

func (b *behind) caughtUp() { b.why.Store(nil) }

func (b *behind) value() float64 {
	if b.why.Load() == nil {
		return 0
	}
	return 1
}
