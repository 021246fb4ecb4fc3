// Package auth says who is asking. A partner's system proves itself with a client assertion that it signs with its own key
// (private_key_jwt, RFC 7523), is given a short-lived access token for it (RFC 9068), and shows that token with every request.
//
//	Clients   the registered systems and their public keys: verifies assertions
//	Tokens    the hub's own signing keys: issues and verifies access tokens
//	Key       a key pair, for the hub's tokens and for a partner's assertions
//
// What holds, whatever the bytes that arrive:
//
//   - The algorithm is one that the register allows that system AND one that fits the key which the token's kid selects. "none"
//     and HMAC are known to nothing here, so a public key can never be used as a secret.
//   - Nothing in a token chooses a key other than kid: jwk, jku, x5c and x5u in a header are ignored, crit is refused.
//   - Claims are judged after the signature, so only the holder of the key learns what is wrong with them.
//   - A token is bound to one audience, and an assertion cannot pass for an access token or the reverse: their types, keys and
//     audiences differ.
//   - No error holds a token, a part of one, or a value out of one.
//
// The package is pure: it takes the time as an argument and reads nothing. Spending an assertion's id once and only once, and
// limiting how often a caller may fail, belong to whoever calls it.
//
// Algorithms are a list for each system because the standards disagree: NHS application-restricted APIs want RS512 alone,
// SMART Backend Services RS384 and ES384, FAPI 2.0 forbids RSASSA-PKCS1-v1_5 and wants PS256, ES256 or EdDSA.
package auth

import (
	"errors"
	"slices"

	"referralhub/hub/transfer"
)

// What a refusal comes to; RefusedError unwraps to one of these.
var (
	ErrInvalidClient = errors.New("client refused")       // RFC 6749 section 5.2 "invalid_client"
	ErrInvalidScope  = errors.New("scope refused")        // RFC 6749 section 5.2 "invalid_scope"
	ErrInvalidToken  = errors.New("access token refused") // RFC 6750 section 3.1 "invalid_token"
	ErrSuspended     = errors.New("partner suspended")
)

// RefusedError says why an assertion, a scope or a token was refused. It is safe to show and to log.
type RefusedError struct {
	Err    error  // ErrInvalidClient, ErrInvalidScope, ErrInvalidToken or ErrSuspended
	Field  string // the claim or header parameter at fault: "aud", "exp", "kid", "signature", ...
	Detail string
	Remedy string
}

func (e *RefusedError) Error() string {
	return e.Err.Error() + ": " + e.Field + ": " + e.Detail + "; " + e.Remedy
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Principal is who is asking: one system of one partner, with what its token allows. Scopes is shared; do not change it.
type Principal struct {
	Partner transfer.PartnerID
	System  transfer.SystemID
	Scopes  []string
}

// May reports whether the principal holds scope.
func (p Principal) May(scope string) bool { return slices.Contains(p.Scopes, scope) }
