package auth

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"referralhub/hub/transfer"
)

// The bounds of an access token's life: shorter wastes signatures, longer keeps a stolen one useful.
const (
	MinTokenLife = 5 * time.Minute
	MaxTokenLife = 10 * time.Minute
)

// TokensConfig configures Tokens.
type TokensConfig struct {
	Issuer   string // iss: the hub's own URL
	Audience string // aud: what the tokens are good for; the issuer when empty
	// Keys sign and verify, ES256 or EdDSA. The first signs; those after it are previous ones, kept for as long as tokens live.
	Keys     []Key
	Lifetime time.Duration // MinTokenLife to MaxTokenLife; MaxTokenLife when zero
	// CacheSize bounds how many verified tokens are remembered, at about 600 bytes each; 4,096 when zero. One for each live
	// token is enough: a system needs one at a time.
	CacheSize int
	// Suspended is asked on every Issue and Verify, also for a token that is remembered, so that a suspension counts at once.
	// It must be quick and safe for concurrent use. Nobody is suspended when it is nil.
	Suspended func(transfer.PartnerID, transfer.SystemID) bool
}

// Tokens issues and verifies the hub's own access tokens, with a bounded cache of those verified: a signature costs about
// 100 times a look-up. It is safe for concurrent use.
type Tokens struct {
	cfg TokensConfig

	mu    sync.Mutex // serialises Rotate, Revoke and Flush, which replace state
	state atomic.Pointer[tokenState]
}

// tokenState is replaced whole, cache and all: a verification under way while keys or revocations change can only add to the
// cache that nobody asks any more.
type tokenState struct {
	keys    []Key
	verify  []verifyKey
	jwks    []byte
	revoked map[transfer.SystemID]time.Time // tokens issued up to then are refused
	cache   *lru.Cache[[sha256.Size]byte, remembered]
}

type remembered struct {
	principal Principal
	expires   time.Time
}

// accessClaims are those of RFC 9068, and whose system it is.
type accessClaims struct {
	jwt.RegisteredClaims
	Client  string `json:"client_id"`
	Partner string `json:"partner"`
	Scope   string `json:"scope"`
}

// NewTokens makes a Tokens.
func NewTokens(cfg TokensConfig) (*Tokens, error) {
	cfg.Audience = cmp.Or(cfg.Audience, cfg.Issuer)
	cfg.Lifetime = cmp.Or(cfg.Lifetime, MaxTokenLife)
	cfg.CacheSize = cmp.Or(cfg.CacheSize, 4096)
	if cfg.Issuer == "" {
		return nil, errors.New("new tokens: no issuer: give the hub's own URL")
	}
	if cfg.Lifetime < MinTokenLife || cfg.Lifetime > MaxTokenLife {
		return nil, fmt.Errorf("new tokens: lifetime %s is not between %s and %s", cfg.Lifetime, MinTokenLife, MaxTokenLife)
	}
	if cfg.Suspended == nil {
		cfg.Suspended = func(transfer.PartnerID, transfer.SystemID) bool { return false }
	}
	t := &Tokens{cfg: cfg}
	t.state.Store(&tokenState{})
	if err := t.Rotate(cfg.Keys); err != nil {
		return nil, fmt.Errorf("new tokens: %w", err)
	}
	return t, nil
}

// Rotate takes over signing keys: the first signs from now on, and all verify. It forgets every verified token, so that those
// of a key no longer among them are refused at once.
func (t *Tokens) Rotate(keys []Key) error {
	if len(keys) == 0 {
		return errors.New("rotate signing keys: there is none; give the current one and then the previous ones")
	}
	verify := make([]verifyKey, len(keys))
	for i, k := range keys {
		if k.Algorithm != "ES256" && k.Algorithm != "EdDSA" {
			return fmt.Errorf("rotate signing keys: key %s: algorithm %q is neither ES256 nor EdDSA", k.ID, k.Algorithm)
		}
		if slices.ContainsFunc(verify[:i], func(v verifyKey) bool { return v.id == k.ID }) {
			return fmt.Errorf("rotate signing keys: key %s is there twice", k.ID)
		}
		verify[i] = verifyKey{id: k.ID, algorithms: []string{k.Algorithm}, public: k.Private.Public()}
	}
	jwks, err := JWKS(keys...)
	if err != nil {
		return fmt.Errorf("rotate signing keys: %w", err)
	}
	return t.replace(func(next *tokenState) {
		next.keys, next.verify, next.jwks = slices.Clone(keys), verify, jwks
	})
}

// Revoke refuses every token that the system was issued up to at, remembered or not. It lasts as long as such a token could
// live and is known to this Tokens alone: what must outlast a restart or reach another copy of the hub is a suspension.
func (t *Tokens) Revoke(system transfer.SystemID, at time.Time) {
	_ = t.replace(func(next *tokenState) {
		next.revoked = maps.Clone(next.revoked)
		if next.revoked == nil {
			next.revoked = make(map[transfer.SystemID]time.Time)
		}
		maps.DeleteFunc(next.revoked, func(_ transfer.SystemID, then time.Time) bool { return at.Sub(then) > MaxTokenLife })
		next.revoked[system] = at
	})
}

// Flush forgets every verified token: each is verified anew when it is next shown.
func (t *Tokens) Flush() { _ = t.replace(func(*tokenState) {}) }

func (t *Tokens) replace(change func(*tokenState)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := *t.state.Load()
	cache, err := lru.New[[sha256.Size]byte, remembered](t.cfg.CacheSize)
	if err != nil {
		return fmt.Errorf("make cache for %d tokens: %w", t.cfg.CacheSize, err)
	}
	next.cache = cache
	change(&next)
	t.state.Store(&next)
	return nil
}

// JWKS is the hub's public key set as JSON, for whoever wants to verify its tokens.
func (t *Tokens) JWKS() []byte { return t.state.Load().jwks }

// Issue makes an access token for a system that has proved itself and spent its assertion. It grants the scopes asked for, or
// all that the system may have when none is asked; asking for one that it may not have is an error (ErrInvalidScope).
// A suspended partner is ErrSuspended.
func (t *Tokens) Issue(sys transfer.System, partner transfer.PartnerID, scopes []string, at time.Time) (token string, expires time.Duration, err error) {
	if t.cfg.Suspended(partner, sys.ID) {
		return "", 0, suspended()
	}
	for _, scope := range scopes {
		if !slices.Contains(sys.Scopes, scope) {
			return "", 0, (&fault{"scope", printable(scope) + " is not among what the system may do", "ask for " + strings.Join(sys.Scopes, ", ") + ", or leave scope out"}).refuse(ErrInvalidScope)
		}
	}
	if len(scopes) == 0 {
		scopes = sys.Scopes
	}
	scopes = slices.Compact(slices.Sorted(slices.Values(scopes)))
	at = at.Truncate(time.Second)
	token, err = t.state.Load().keys[0].Sign("at+jwt", &accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    t.cfg.Issuer,
			Subject:   string(sys.ID),
			Audience:  jwt.ClaimStrings{t.cfg.Audience},
			IssuedAt:  jwt.NewNumericDate(at),
			ExpiresAt: jwt.NewNumericDate(at.Add(t.cfg.Lifetime)),
			ID:        rand.Text(),
		},
		Client:  string(sys.ID),
		Partner: string(partner),
		Scope:   strings.Join(scopes, " "),
	})
	if err != nil {
		return "", 0, fmt.Errorf("issue token to %s: %w", sys.ID, err)
	}
	return token, t.cfg.Lifetime, nil
}

// Verify checks an access token. The error is a *RefusedError that unwraps to ErrInvalidToken or ErrSuspended.
func (t *Tokens) Verify(token string, at time.Time) (Principal, error) {
	if len(token) > MaxTokenBytes {
		return Principal{}, (&fault{"token", "it is longer than 8 KiB", "send the access token as the hub issued it"}).refuse(ErrInvalidToken)
	}
	state := t.state.Load()
	key := sha256.Sum256([]byte(token))
	known, ok := state.cache.Get(key)
	if !ok {
		var wrong *fault
		if known, wrong = t.check(state, token); wrong != nil {
			return Principal{}, wrong.refuse(ErrInvalidToken)
		}
	}
	if !at.Before(known.expires) {
		state.cache.Remove(key)
		return Principal{}, (&fault{"exp", "the token has expired", "get a new one from the token endpoint"}).refuse(ErrInvalidToken)
	}
	if t.cfg.Suspended(known.principal.Partner, known.principal.System) {
		return Principal{}, suspended()
	}
	if !ok {
		state.cache.Add(key, known)
	}
	return known.principal, nil
}

// check verifies a token that is not remembered. Whether it has expired, and whether its owner is suspended, change and are
// asked each time.
func (t *Tokens) check(state *tokenState, token string) (remembered, *fault) {
	parsed, wrong := parseJWS(token)
	if wrong == nil {
		wrong = verify(parsed, state.verify)
	}
	if wrong != nil {
		return remembered{}, &fault{wrong.field, wrong.detail, "send the access token as the hub issued it"}
	}
	var claims accessClaims
	err := json.Unmarshal(parsed.payload, &claims)
	const again = "get a token from this hub's token endpoint"
	switch {
	case err != nil || !parsed.header.typed("at+jwt"):
		return remembered{}, &fault{"typ", "it is not an access token", again}
	case claims.Issuer != t.cfg.Issuer:
		return remembered{}, &fault{"iss", "another hub issued it", again}
	case !slices.Contains(claims.Audience, t.cfg.Audience):
		return remembered{}, &fault{"aud", "it is for something else", again}
	case claims.Subject == "" || claims.Subject != claims.Client || claims.Partner == "":
		return remembered{}, &fault{"sub", "it does not name one system of one partner", again}
	case claims.ExpiresAt == nil || claims.IssuedAt == nil || claims.ExpiresAt.Sub(claims.IssuedAt.Time) > MaxTokenLife:
		return remembered{}, &fault{"exp", "it is missing or too far ahead", again}
	}
	system := transfer.SystemID(claims.Subject)
	if revoked, ok := state.revoked[system]; ok && !claims.IssuedAt.After(revoked) {
		return remembered{}, &fault{"iat", "what the system was issued up to then has been revoked", again}
	}
	who := Principal{Partner: transfer.PartnerID(claims.Partner), System: system, Scopes: strings.Fields(claims.Scope)}
	return remembered{principal: who, expires: claims.ExpiresAt.Time}, nil
}

func suspended() error {
	return (&fault{"sub", "the partner or this system may not use the hub at present", "ask the hub's operator"}).refuse(ErrSuspended)
}

// printable shows what a caller asked for when it looks like a scope of the hub, and nothing else: it must not forge lines of a log,
// and a number that strayed into it may be somebody's.
func printable(scope string) string {
	if len(scope) > 64 || scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r != ':' && r != '.' && r != '-' && (r < 'a' || r > 'z') }) {
		return "one of the scopes asked for"
	}
	return scope
}
