package auth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"referralhub/hub/transfer"
)

// MaxAssertionLife is how far ahead an assertion may expire: the 5 minutes of the NHS signed-JWT pattern and of SMART Backend
// Services. It bounds how long a spent id must be remembered.
const MaxAssertionLife = 5 * time.Minute

// AssertionType is the client_assertion_type of a token request (RFC 7523 section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxIDBytes bounds jti, which the caller stores.
const maxIDBytes = 128

// Assertion is a verified client assertion (RFC 7523). The caller must spend its ID once and only once before it issues
// a token for it.
type Assertion struct {
	System  transfer.SystemID
	Partner transfer.PartnerID
	ID      string    // jti
	Until   time.Time // exp and the leeway: keep the spent id until then
}

// ClientsConfig configures Clients.
type ClientsConfig struct {
	Audiences []string      // what aud may name: the token endpoint's URL, the issuer
	Leeway    time.Duration // how far a partner's clock may be out; 30 seconds when zero
}

// ClientKeys is what the register knows of one system.
type ClientKeys struct {
	System  transfer.System
	Partner transfer.PartnerID
	JWKS    []byte // the system's public keys, RFC 7517; several while it rotates
}

// Clients verifies client assertions against the systems' registered keys. It is safe for concurrent use.
type Clients struct {
	audiences []string
	leeway    time.Duration
	known     atomic.Pointer[map[transfer.SystemID]client]
}

type client struct {
	system  transfer.System
	partner transfer.PartnerID
	keys    []verifyKey
}

// NewClients makes a Clients that knows no system yet: see Replace.
func NewClients(cfg ClientsConfig) (*Clients, error) {
	if len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, "") {
		return nil, errors.New("new clients: no audience: give the URL of the token endpoint")
	}
	if cfg.Leeway < 0 || cfg.Leeway > MaxAssertionLife {
		return nil, fmt.Errorf("new clients: leeway %s is not between 0 and %s", cfg.Leeway, MaxAssertionLife)
	}
	c := &Clients{audiences: slices.Clone(cfg.Audiences), leeway: cmp.Or(cfg.Leeway, 30*time.Second)}
	c.known.Store(&map[transfer.SystemID]client{})
	return c, nil
}

// Replace takes over a register of systems as a whole. When any of it is wrong nothing changes, and the error names every fault.
func (c *Clients) Replace(systems map[transfer.SystemID]ClientKeys) error {
	known := make(map[transfer.SystemID]client, len(systems))
	var faults []error
	for _, id := range slices.Sorted(maps.Keys(systems)) {
		s := systems[id]
		keys, err := parseKeySet(s.JWKS, s.System.Algorithms)
		if s.System.ID != id || s.Partner == "" {
			err = errors.New("its id or its partner is missing or another")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("system %s: %w", id, err))
			continue
		}
		known[id] = client{system: s.System, partner: s.Partner, keys: keys}
	}
	if len(faults) > 0 {
		return fmt.Errorf("replace systems: %w", errors.Join(faults...))
	}
	c.known.Store(&known)
	return nil
}

// System gives a registered system and whose it is.
func (c *Clients) System(id transfer.SystemID) (transfer.System, transfer.PartnerID, bool) {
	s, ok := (*c.known.Load())[id]
	return s.system, s.partner, ok
}

// Verify checks a client assertion. The error is a *RefusedError that unwraps to ErrInvalidClient.
func (c *Clients) Verify(assertion string, at time.Time) (Assertion, error) {
	t, wrong := parseJWS(assertion)
	if wrong != nil {
		return Assertion{}, wrong.refuse(ErrInvalidClient)
	}
	var claims jwt.RegisteredClaims
	if json.Unmarshal(t.payload, &claims) != nil {
		return Assertion{}, (&fault{"payload", "it is not a JSON object of claims", "send iss, sub, aud, exp, iat and jti as RFC 7519 writes them"}).refuse(ErrInvalidClient)
	}
	// The issuer is only claimed so far: it chooses whose keys the signature is checked with, and nothing else.
	who, known := (*c.known.Load())[transfer.SystemID(claims.Issuer)]
	if !known {
		wrong = &fault{"iss", "no system is registered under it", "put the system's id, as registered with the hub, in iss and sub"}
	}
	if wrong == nil {
		wrong = verify(t, who.keys)
	}
	if wrong == nil {
		wrong = c.judge(t.header, &claims, at)
	}
	if wrong != nil {
		return Assertion{}, wrong.refuse(ErrInvalidClient)
	}
	return Assertion{System: who.system.ID, Partner: who.partner, ID: claims.ID, Until: claims.ExpiresAt.Add(c.leeway)}, nil
}

// judge checks what a verified assertion claims (RFC 7523 section 3).
func (c *Clients) judge(h header, claims *jwt.RegisteredClaims, at time.Time) *fault {
	const fresh = "make a new assertion for each token request, and check the clock"
	switch {
	case !h.typed("", "jwt", "client-authentication+jwt"):
		return &fault{"typ", "it is not that of a client assertion", `leave it out or put "JWT"`}
	case claims.Subject != claims.Issuer:
		return &fault{"sub", "it is not the same as iss", "put the system's id in both"}
	case !slices.ContainsFunc(claims.Audience, func(aud string) bool { return slices.Contains(c.audiences, aud) }):
		return &fault{"aud", "it does not name this hub", "put the exact URL of this environment's token endpoint in aud"}
	case claims.ExpiresAt == nil:
		return &fault{"exp", "it is missing", "let the assertion expire within 5 minutes"}
	case !at.Before(claims.ExpiresAt.Add(c.leeway)):
		return &fault{"exp", "the assertion has expired", fresh}
	case claims.ExpiresAt.After(at.Add(MaxAssertionLife + c.leeway)):
		return &fault{"exp", "it is more than 5 minutes ahead", "let the assertion expire within 5 minutes, and check the clock"}
	case claims.NotBefore != nil && claims.NotBefore.After(at.Add(c.leeway)):
		return &fault{"nbf", "it lies in the future", fresh}
	case claims.IssuedAt != nil && claims.IssuedAt.After(at.Add(c.leeway)):
		return &fault{"iat", "it lies in the future", fresh}
	case claims.IssuedAt != nil && claims.IssuedAt.Before(at.Add(-MaxAssertionLife-c.leeway)):
		return &fault{"iat", "the assertion was made more than 5 minutes ago", fresh}
	case claims.ID == "":
		return &fault{"jti", "it is missing", "put a new UUID in jti for each assertion"}
	case len(claims.ID) > maxIDBytes:
		return &fault{"jti", "it is longer than 128 bytes", "put a new UUID in jti for each assertion"}
	}
	return nil
}
