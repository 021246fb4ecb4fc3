package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/golang-jwt/jwt/v5"

	"referralhub/hub/seal"
	"referralhub/hub/seal/vaulttest"
	"referralhub/hub/server"
	"referralhub/hub/transfer"
)

// vaultFor starts a stand-in for Vault and gives the hub's environment what a client of it reads there.
func vaultFor(t *testing.T, keys ...string) *vaulttest.Vault {
	t.Helper()
	v, err := vaulttest.New(keys...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	authority := filepath.Join(t.TempDir(), "vault.pem")
	if err := os.WriteFile(authority, v.Authority(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VAULT_CACERT", authority)
	t.Setenv("VAULT_TOKEN", v.Token)
	t.Setenv("VAULT_MAX_RETRIES", "0")
	return v
}

func (c *county) keyFile(name string) string { return filepath.Join(c.cfg.Data, "keys", name) }

// takenOver waits until the hub has logged n times that it took keys over.
func (c *county) takenOver(what string, n int) {
	c.Helper()
	c.until("the hub takes "+what+" over", func() bool { return strings.Count(c.log.String(), what+" taken over") >= n })
}

// carried collects a transfer and acknowledges it.
func (c *county) carried(id transfer.TransferID) {
	c.Helper()
	recipient := c.as(ageUKHerts)
	_, err := recipient.Collect(c.Context(), id)
	c.must(err)
	_, err = recipient.Receipt(c.Context(), id, "accepted", "")
	c.must(err)
}

// Vault keeps the key that the hub's keys are encrypted with. Once the hub runs it can do without Vault; it cannot start without.
func TestAHubWhoseKeysAreGuardedByVault(t *testing.T) {
	v := vaultFor(t, "hub")
	c := newCounty(t, "", func(cfg *server.Config) { cfg.Seal.KMS = v.URI("hub") })
	asked := v.Asked.Load()
	waits := c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.1", whose(joan)), transfer.PermitReduced)
	c.carried(c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.2", whose(joan)), transfer.PermitReduced).ID)
	if n := v.Asked.Load() - asked; n > 0 {
		t.Errorf("Vault was asked %d times to carry two referrals", n)
	}
	for _, name := range []string{"payload.json", "payload-identifiers.json"} {
		text, err := os.ReadFile(c.keyFile(name))
		c.must(err)
		if !bytes.Contains(text, []byte(`"encryptedKeyset"`)) || bytes.Contains(text, []byte(`"keyData"`)) {
			t.Errorf("%s holds keys in clear", name)
		}
	}

	// Vault is sealed. What runs goes on; a rotation fails and changes nothing.
	v.Away.Store(true)
	before, err := os.ReadFile(c.keyFile("payload.json"))
	c.must(err)
	c.carried(c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.3", whose(joan)), transfer.PermitReduced).ID)
	if _, err := c.cfg.RotateSeal(); !errors.Is(err, seal.ErrKMS) {
		t.Errorf("rotated without Vault: %v", err)
	}
	if after, err := os.ReadFile(c.keyFile("payload.json")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a rotation that failed changed the keys: %v", err)
	}
	if _, err := c.cfg.RotateTokens(time.Now(), false); err != nil {
		t.Errorf("the token key does not need Vault: %v", err)
	}

	// It does not start without Vault, without its token or with another key, and says what to look at.
	c.stop()
	refused := func(says string, change func(*server.Config)) {
		t.Helper()
		cfg := c.cfg
		change(&cfg)
		h, err := server.Open(t.Context(), cfg, quiet)
		if err == nil {
			t.Fatalf("it starts: %v", h.Addr())
		}
		for _, want := range []string{says, "VAULT_TOKEN", cfg.Seal.KMS} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not say %q: %v", want, err)
			}
		}
		if strings.Contains(err.Error(), v.Token) {
			t.Errorf("the error holds the token: %v", err)
		}
	}
	refused("Vault is sealed", func(*server.Config) {})
	v.Away.Store(false)
	refused("encryption key not found", func(cfg *server.Config) { cfg.Seal.KMS = v.URI("other") })
	refused("connection refused", func(cfg *server.Config) { cfg.Seal.KMS = "hcvault://" + freeAddress(t) + "/transit/keys/hub" })
	t.Setenv("VAULT_TOKEN", "hvs.wrong")
	refused("permission denied", func(*server.Config) {})
	t.Setenv("VAULT_TOKEN", v.Token)

	// Nothing was lost meanwhile.
	c.start()
	c.carried(waits.ID)
	c.audited()
}

var quiet = slog.New(slog.DiscardHandler)

func TestThePayloadKeyIsRotatedWhileTheHubRuns(t *testing.T) {
	engines(t, func(t *testing.T, c *county) {
		old := c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.1", whose(joan)), transfer.PermitReduced)
		stopped := c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.2", whose(gwen)), transfer.PermitReduced)
		id, err := c.cfg.RotateSeal()
		c.must(err)
		c.takenOver("sealing keys", 1)
		if !strings.Contains(c.log.String(), "seals="+id) {
			t.Errorf("the log does not say that %s seals", id)
		}
		fresh := c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.3", whose(joan)), transfer.PermitReduced)

		// Who was known is known: the same message is a repeat, and a withdrawal finds what waits.
		if again := c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.1", whose(joan)), transfer.PermitReduced); again.ID != old.ID {
			t.Error("a message is taken for another one")
		}
		_, err = c.as(carersInHerts).Consent(t.Context(), consent("c.1", gwen, "withdrawn"))
		c.must(err)
		_, err = c.as(ageUKHerts).Collect(t.Context(), stopped.ID)
		c.problem(err, http.StatusConflict)

		c.stop()
		c.start()
		c.carried(old.ID)
		c.carried(fresh.ID)
		c.audited()
	})
}

// A hub that lacks the key of a payload says 503, keeps the payload, and goes on where it was when it has the key.
func TestAPayloadWhoseKeyIsMissingWaitsForIt(t *testing.T) {
	c := newCounty(t, "")
	sent := c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.1", whose(joan)), transfer.PermitReduced)
	c.stop()
	whole, err := os.ReadFile(c.keyFile("payload.json"))
	c.must(err)
	other := seal.Config{KeyFile: filepath.Join(t.TempDir(), "payload.json")}
	_, err = seal.Open(other)
	c.must(err)
	stranger, err := os.ReadFile(other.KeyFile)
	c.must(err)
	c.must(os.WriteFile(c.keyFile("payload.json"), stranger, 0o600))
	c.start()
	_, err = c.as(ageUKHerts).Collect(t.Context(), sent.ID)
	if p := c.problem(err, http.StatusServiceUnavailable); p.RetryAfter <= 0 {
		t.Error("nobody is told to come again")
	}
	c.stop()
	c.must(os.WriteFile(c.keyFile("payload.json"), whole, 0o600))
	c.start()
	c.carried(sent.ID)
	c.audited()
}

func TestTheTokenKeyIsRotatedWithoutAGap(t *testing.T) {
	c := newCounty(t, "")
	const casework = "age-uk-hertfordshire/casework"
	before := c.token(casework)
	_, err := c.cfg.RotateTokens(time.Now(), false)
	c.must(err)
	c.takenOver("token keys", 1)
	after := c.token(casework)
	if kid(t, before) == kid(t, after) {
		t.Fatal("the old key still signs")
	}
	if !c.lets(before) || !c.lets(after) {
		t.Error("a rotation logged somebody out")
	}
	if got := c.published(); !slices.Equal(got, []string{kid(t, after), kid(t, before)}) {
		t.Errorf("published: %q", got)
	}

	// It lasts over a restart, and ends when the last token of the old key has expired.
	c.stop()
	c.start()
	if !c.lets(before) {
		t.Error("a restart logged somebody out")
	}
	long := time.Now().Add(-15*time.Minute - time.Second)
	c.must(os.Chtimes(c.keyFile("token.pem"), long, long))
	c.takenOver("token keys", 2)
	if c.lets(before) || !c.lets(after) {
		t.Error("the old key verifies for ever, or the new one does not")
	}
	if got := c.published(); !slices.Equal(got, []string{kid(t, after)}) {
		t.Errorf("published: %q", got)
	}

	// A key that is known to others goes at once.
	_, err = c.cfg.RotateTokens(time.Now(), true)
	c.must(err)
	c.takenOver("token keys", 3)
	if c.lets(after) || !c.lets(c.token(casework)) {
		t.Error("a key that is known to others verifies, or the new one does not")
	}
}

// lets reports whether a token opens the door.
func (c *county) lets(token string) bool {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), http.MethodGet, c.cfg.URL+"/v1/inbox", nil)
	c.must(err)
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	c.must(err)
	c.must(response.Body.Close())
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnauthorized {
		c.Errorf("status %d", response.StatusCode)
	}
	return response.StatusCode == http.StatusOK
}

// published gives the ids of the hub's public key set.
func (c *county) published() []string {
	c.Helper()
	response, err := http.Get(c.cfg.URL + "/.well-known/jwks.json")
	c.must(err)
	defer response.Body.Close()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	c.must(json.NewDecoder(response.Body).Decode(&set))
	var ids []string
	for _, k := range set.Keys {
		if k["d"] != "" {
			c.Error("a private key is published")
		}
		ids = append(ids, k["kid"])
	}
	return ids
}

func kid(t *testing.T, token string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header["kid"].(string)
}

func TestKeysAreListedWithTheirAge(t *testing.T) {
	c := newCounty(t, "")
	c.stop()
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"payload.json", "payload-identifiers.json", "token.pem", "log.key"} {
		c.must(os.Chtimes(c.keyFile(name), made, made))
	}
	was, err := c.cfg.Keys()
	c.must(err)
	for i, purpose := range []string{"payloads", "identifiers", "tokens", "log"} {
		if k := was[i]; len(was) != 4 || k.For != purpose || !k.InUse || !k.Made.Equal(made) || k.ID == "" {
			t.Errorf("%+v", k)
		}
	}
	sealing, err := c.cfg.RotateSeal()
	c.must(err)
	signing, err := c.cfg.RotateTokens(time.Now(), false)
	c.must(err)
	now, err := c.cfg.Keys()
	c.must(err)
	if len(now) != 6 || now[0].ID != sealing || now[3].ID != signing || now[0].Made.Equal(made) || now[3].Made.Equal(made) {
		t.Fatalf("%+v", now)
	}
	for i, before := range map[int]server.Key{1: was[0], 2: was[1], 4: was[2], 5: was[3]} {
		k := now[i]
		if k.ID != before.ID || !k.Made.Equal(made) || k.InUse != (i == 2 || i == 5) {
			t.Errorf("%+v was %+v", k, before)
		}
	}
	if end := now[4].Until; end.Before(time.Now().Add(14*time.Minute)) || end.After(time.Now().Add(16*time.Minute)) {
		t.Errorf("the old token key verifies until %s", end)
	}

	// Two rotations at once would lose one of two keys.
	busy := flock.New(c.keyFile("lock"))
	c.must(busy.Lock())
	if _, err := c.cfg.RotateSeal(); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("rotated beside somebody else: %v", err)
	}
	c.must(busy.Unlock())
}

// A hub that has run without Vault gets one.
func TestAHubMovesItsKeysUnderVault(t *testing.T) {
	v := vaultFor(t, "hub")
	c := newCounty(t, "")
	waits := c.send(carersInHerts, c.example("adult-carer-hertswise").with("m.1", whose(joan)), transfer.PermitReduced)
	inClear := c.cfg
	c.cfg.Seal.KMS = v.URI("hub")
	if err := c.cfg.WrapSeal(""); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("the keys of a running hub were wrapped: %v", err)
	}
	c.stop()
	if _, err := server.Open(t.Context(), c.cfg, quiet); err == nil || !strings.Contains(err.Error(), "hub keys wrap") {
		t.Errorf("it starts on keys in clear: %v", err)
	}
	was, err := inClear.Keys()
	c.must(err)
	c.must(c.cfg.WrapSeal(""))
	now, err := c.cfg.Keys()
	c.must(err)
	if !slices.Equal(was, now) {
		t.Errorf("the keys were %+v and are %+v", was, now)
	}
	c.start()
	c.carried(waits.ID)
	c.audited()
}

func TestKeysGoToNobodyButTheServiceThatIsMeant(t *testing.T) {
	data := t.TempDir()
	for says, env := range map[string]map[string]string{
		"neither https:// nor on this machine": {"VAULT_ADDR": "http://vault.example:8200"},
		"VAULT_SKIP_VERIFY is set":             {"VAULT_ADDR": "https://vault.example:8200", "VAULT_SKIP_VERIFY": "true"},
	} {
		t.Run(says, func(t *testing.T) {
			for name, value := range env {
				t.Setenv(name, value)
			}
			cfg, err := server.ReadConfig("", func(cfg *server.Config) {
				cfg.Data, cfg.Listen, cfg.TLS.Off, cfg.Seal.KMS = data, freeAddress(t), true, "hcvault:///transit/keys/hub"
			})
			if err == nil {
				_, err = server.Open(t.Context(), cfg, quiet)
			}
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v", err)
			}
		})
	}
}
