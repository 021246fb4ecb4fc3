package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

const hubURL = "https://hub.example"

var system = transfer.System{ID: casework, Scopes: []string{"referral.send", "inbox.read"}}

func newTokens(t testing.TB, cfg auth.TokensConfig) *auth.Tokens {
	t.Helper()
	cfg.Issuer = hubURL
	if cfg.Keys == nil {
		cfg.Keys = []auth.Key{newKey(t, "EdDSA")}
	}
	tokens, err := auth.NewTokens(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func issue(t testing.TB, tokens *auth.Tokens, scopes ...string) string {
	t.Helper()
	token, _, err := tokens.Issue(system, carers, scopes, noon)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestATokenSaysWhoAndWhat(t *testing.T) {
	for _, algorithm := range []string{"EdDSA", "ES256"} {
		t.Run(algorithm, func(t *testing.T) {
			tokens := newTokens(t, auth.TokensConfig{Keys: []auth.Key{newKey(t, algorithm)}})
			token, expires, err := tokens.Issue(system, carers, []string{"referral.send"}, noon)
			if err != nil || expires != 10*time.Minute {
				t.Fatalf("expires %v, error %v", expires, err)
			}
			for range 2 { // verified, then remembered
				who, err := tokens.Verify(token, noon.Add(expires-time.Second))
				if err != nil {
					t.Fatal(err)
				}
				want := auth.Principal{Partner: carers, System: casework, Scopes: []string{"referral.send"}}
				if diff := cmp.Diff(want, who); diff != "" {
					t.Error(diff)
				}
				if !who.May("referral.send") || who.May("inbox.read") || who.May("") {
					t.Error("May disagrees with the scopes")
				}
			}
			_, err = tokens.Verify(token, noon.Add(expires))
			refusedFor(t, err, auth.ErrInvalidToken, "exp", token)
			_, err = tokens.Verify(token, noon.Add(expires+time.Hour))
			refusedFor(t, err, auth.ErrInvalidToken, "exp", token)
		})
	}
}

func TestScopesAreNeverMoreThanAllowed(t *testing.T) {
	tokens := newTokens(t, auth.TokensConfig{})
	who, err := tokens.Verify(issue(t, tokens), noon)
	if err != nil || !cmp.Equal(who.Scopes, []string{"inbox.read", "referral.send"}) {
		t.Errorf("asking for none gives all: %v, %v", who.Scopes, err)
	}
	_, _, err = tokens.Issue(system, carers, []string{"referral.send", "log.search"}, noon)
	refusedFor(t, err, auth.ErrInvalidScope, "scope", "")
	if !strings.Contains(err.Error(), "log.search") {
		t.Errorf("it should name the scope: %v", err)
	}
	_, _, err = tokens.Issue(system, carers, []string{"log\nlevel=info msg=forged"}, noon)
	refusedFor(t, err, auth.ErrInvalidScope, "scope", "")
	if strings.Contains(err.Error(), "forged") {
		t.Errorf("it repeats what nobody should print: %v", err)
	}
}

func TestSuspensionCountsAtOnce(t *testing.T) {
	var suspended atomic.Bool
	tokens := newTokens(t, auth.TokensConfig{Suspended: func(p transfer.PartnerID, s transfer.SystemID) bool {
		return suspended.Load() && p == carers && s == casework
	}})
	token := issue(t, tokens)
	if _, err := tokens.Verify(token, noon); err != nil {
		t.Fatal(err)
	}
	suspended.Store(true)
	_, err := tokens.Verify(token, noon)
	refusedFor(t, err, auth.ErrSuspended, "sub", token)
	_, _, err = tokens.Issue(system, carers, nil, noon)
	refusedFor(t, err, auth.ErrSuspended, "sub", "")
	suspended.Store(false)
	if _, err := tokens.Verify(token, noon); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func TestRevocationEndsLiveTokensOfOneSystem(t *testing.T) {
	tokens := newTokens(t, auth.TokensConfig{})
	token := issue(t, tokens)
	other, _, err := tokens.Issue(transfer.System{ID: "age-uk-hertfordshire/crm"}, "age-uk-hertfordshire", nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(token, noon); err != nil {
		t.Fatal(err)
	}
	tokens.Revoke(casework, noon.Add(time.Minute))
	_, err = tokens.Verify(token, noon.Add(time.Minute))
	refusedFor(t, err, auth.ErrInvalidToken, "iat", token)
	if _, err := tokens.Verify(other, noon.Add(time.Minute)); err != nil {
		t.Errorf("somebody else's: %v", err)
	}
	fresh, _, err := tokens.Issue(system, carers, nil, noon.Add(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(fresh, noon.Add(2*time.Minute)); err != nil {
		t.Errorf("one issued afterwards: %v", err)
	}
}

func TestTheHubsOwnKeysRotate(t *testing.T) {
	last, next := newKey(t, "ES256"), newKey(t, "EdDSA")
	tokens := newTokens(t, auth.TokensConfig{Keys: []auth.Key{last}})
	old := issue(t, tokens)
	if err := tokens.Rotate([]auth.Key{next, last}); err != nil {
		t.Fatal(err)
	}
	fresh := issue(t, tokens)
	for _, token := range []string{old, fresh} {
		if _, err := tokens.Verify(token, noon); err != nil {
			t.Errorf("during the overlap: %v", err)
		}
	}
	var set struct {
		Keys []struct{ Kid, Use, Alg, D string } `json:"keys"`
	}
	if err := json.Unmarshal(tokens.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 || set.Keys[0].Kid != next.ID || set.Keys[0].Use != "sig" || set.Keys[0].Alg != "EdDSA" || set.Keys[0].D != "" {
		t.Errorf("the published keys are %+v", set.Keys)
	}
	if err := tokens.Rotate([]auth.Key{next}); err != nil {
		t.Fatal(err)
	}
	_, err := tokens.Verify(old, noon)
	refusedFor(t, err, auth.ErrInvalidToken, "kid", old)
	if _, err := tokens.Verify(fresh, noon); err != nil {
		t.Error(err)
	}
	if err := tokens.Rotate(nil); err == nil {
		t.Error("no key at all was taken over")
	}
	if err := tokens.Rotate([]auth.Key{rsaKey()}); err == nil {
		t.Error("an RSA key was taken over")
	}
}

func TestWhatIsNotAnAccessTokenIsRefused(t *testing.T) {
	key := newKey(t, "ES256")
	tokens := newTokens(t, auth.TokensConfig{Keys: []auth.Key{key}})
	good := func() jwt.MapClaims {
		return jwt.MapClaims{
			"iss": hubURL, "aud": hubURL, "sub": string(casework), "client_id": string(casework), "partner": string(carers),
			"iat": noon.Unix(), "exp": noon.Add(5 * time.Minute).Unix(), "scope": "inbox.read", "jti": "1",
		}
	}
	tests := []struct {
		name, field, typ string
		spoil            func(c jwt.MapClaims)
	}{
		{"an assertion", "typ", "JWT", func(jwt.MapClaims) {}},
		{"another hub's", "iss", "at+jwt", func(c jwt.MapClaims) { c["iss"] = "https://other.example" }},
		{"for another resource", "aud", "at+jwt", func(c jwt.MapClaims) { c["aud"] = []string{"https://other.example"} }},
		{"two systems", "sub", "at+jwt", func(c jwt.MapClaims) { c["client_id"] = "age-uk-hertfordshire/crm" }},
		{"nobody's system", "sub", "at+jwt", func(c jwt.MapClaims) { delete(c, "partner") }},
		{"never expires", "exp", "at+jwt", func(c jwt.MapClaims) { delete(c, "exp") }},
		{"lives too long", "exp", "at+jwt", func(c jwt.MapClaims) { c["exp"] = noon.Add(time.Hour).Unix() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			claims := good()
			test.spoil(claims)
			token, err := key.Sign(test.typ, claims)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tokens.Verify(token, noon)
			refusedFor(t, err, auth.ErrInvalidToken, test.field, token)
		})
	}
	t.Run("good", func(t *testing.T) {
		token, err := key.Sign("application/AT+JWT", good())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.Verify(token, noon); err != nil {
			t.Error(err)
		}
	})
	t.Run("forged while another is remembered", func(t *testing.T) {
		token := issue(t, tokens)
		if _, err := tokens.Verify(token, noon); err != nil {
			t.Fatal(err)
		}
		forged := token[:len(token)-8] + "AAAAAAAA"
		_, err := tokens.Verify(forged, noon)
		refusedFor(t, err, auth.ErrInvalidToken, "signature", forged)
	})
	t.Run("the public key as a secret", func(t *testing.T) {
		forged := signRaw(t, map[string]any{"typ": "at+jwt", "alg": "HS256", "kid": key.ID}, good(), tokens.JWKS())
		_, err := tokens.Verify(forged, noon)
		refusedFor(t, err, auth.ErrInvalidToken, "alg", forged)
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	tokens := newTokens(t, auth.TokensConfig{CacheSize: 2})
	var live []string
	for range 5 {
		live = append(live, issue(t, tokens))
	}
	for range 2 {
		for i, token := range live {
			if _, err := tokens.Verify(token, noon); err != nil {
				t.Errorf("token %d: %v", i, err)
			}
		}
		tokens.Flush()
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	keys := []auth.Key{newKey(t, "EdDSA")}
	for i, cfg := range []auth.TokensConfig{
		{Keys: keys}, {Issuer: hubURL}, {Issuer: hubURL, Keys: keys, Lifetime: time.Hour}, {Issuer: hubURL, Keys: keys, Lifetime: time.Minute},
		{Issuer: hubURL, Keys: append(keys, keys...)}, {Issuer: hubURL, Keys: keys, CacheSize: -1},
	} {
		if tokens, err := auth.NewTokens(cfg); err == nil || tokens != nil {
			t.Errorf("configuration %d was accepted", i)
		}
	}
	for i, cfg := range []auth.ClientsConfig{{}, {Audiences: []string{""}}, {Audiences: []string{tokenURL}, Leeway: time.Hour}} {
		if _, err := auth.NewClients(cfg); err == nil {
			t.Errorf("configuration %d was accepted", i)
		}
	}
}

// FuzzVerify: no bytes make either verifier panic or accept what nobody signed.
func FuzzVerify(f *testing.F) {
	key := newKey(f, "ES256")
	clients, tokens := newClients(f, keySet(f, key), "ES256"), newTokens(f, auth.TokensConfig{Keys: []auth.Key{key}})
	assertion, token := sign(f, key, proper()), issue(f, tokens)
	for _, seed := range []string{
		assertion, token, "", ".", "..", "e30.e30.", "bnVsbA.bnVsbA.AA", assertion[:len(assertion)-1] + "!", token + ".", strings.ToUpper(token),
		signRaw(f, map[string]any{"alg": "none"}, proper(), jwt.UnsafeAllowNoneSignatureType),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := clients.Verify(s, noon); (err == nil) != (s == assertion) {
			t.Errorf("assertion %q: %v", s, err)
		}
		if _, err := tokens.Verify(s, noon); (err == nil) != (s == token) {
			t.Errorf("token %q: %v", s, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		tokens := newTokens(b, auth.TokensConfig{Keys: []auth.Key{newKey(b, algorithm)}, CacheSize: 1})
		token, other := issue(b, tokens), issue(b, tokens)
		b.Run(algorithm+"/verified", func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, err := tokens.Verify([]string{token, other}[i%2], noon); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(algorithm+"/remembered", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := tokens.Verify(token, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleTokens() {
	key, err := auth.GenerateKey("EdDSA")
	if err != nil {
		panic(err)
	}
	tokens, err := auth.NewTokens(auth.TokensConfig{Issuer: "https://hub.example", Keys: []auth.Key{key}})
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	crm := transfer.System{ID: "age-uk-hertfordshire/crm", Scopes: []string{"inbox.read"}}
	token, expires, _ := tokens.Issue(crm, "age-uk-hertfordshire", nil, at)
	who, _ := tokens.Verify(token, at)
	fmt.Println(who.Partner, who.Scopes, expires)
	_, err = tokens.Verify(token, at.Add(time.Hour))
	fmt.Println(errors.Is(err, auth.ErrInvalidToken))
	// Output:
	// age-uk-hertfordshire [inbox.read] 10m0s
	// true
}
