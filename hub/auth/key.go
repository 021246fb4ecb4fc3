package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

// Key is a key pair that signs tokens. Its ID is the kid under which the public half is published.
type Key struct {
	ID        string
	Algorithm string        // "ES256", "ES384", "ES512", "EdDSA", "RS512", ...
	Private   crypto.Signer // *ecdsa.PrivateKey, ed25519.PrivateKey or *rsa.PrivateKey
}

// GenerateKey makes a key for ES256, ES384, EdDSA or RS512 (RSA of 4,096 bits, as NHS application-restricted APIs ask).
func GenerateKey(algorithm string) (Key, error) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "RS512":
		private, err = rsa.GenerateKey(rand.Reader, 4096)
	default:
		return Key{}, fmt.Errorf("generate key: %q is none of ES256, ES384, EdDSA, RS512", algorithm)
	}
	if err != nil {
		return Key{}, fmt.Errorf("generate %s key: %w", algorithm, err)
	}
	return NewKey(private)
}

// NewKey describes a private key: its ID is the public key's thumbprint (RFC 7638, SHA-256, base64url), its algorithm the
// usual one for its kind (ES256, ES384, ES512, EdDSA; RS512 for RSA). It refuses a kind or size that the hub would refuse.
func NewKey(private crypto.Signer) (Key, error) {
	algorithms := fitting(private.Public())
	if len(algorithms) == 0 {
		return Key{}, fmt.Errorf("key of type %T: the hub takes P-256, P-384, P-521, Ed25519, and RSA of 2048 to 8192 bits", private)
	}
	algorithm := algorithms[0]
	if slices.Contains(algorithms, "RS512") {
		algorithm = "RS512"
	}
	thumbprint, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, fmt.Errorf("thumbprint of key: %w", err)
	}
	return Key{ID: base64.RawURLEncoding.EncodeToString(thumbprint), Algorithm: algorithm, Private: private}, nil
}

// MarshalPEM gives the private key as a PKCS #8 PEM block. It is a secret: keep it in a file that only its owner can read.
func (k Key) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("marshal key %s: %w", k.ID, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKeys reads PKCS #8 PEM blocks, one after the other. In a file of the hub's signing keys the first is the current one
// and those after it are the previous ones, whose tokens are still good.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse key %d: not a PKCS #8 private key", len(keys)+1)
		}
		private, ok := parsed.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("parse key %d: it cannot sign", len(keys)+1)
		}
		key, err := NewKey(private)
		if err != nil {
			return nil, fmt.Errorf("parse key %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(bytes.TrimSpace(text)) > 0 {
		return nil, errors.New("parse keys: expected PEM blocks of type PRIVATE KEY and nothing else")
	}
	return keys, nil
}

// JWKS gives the public halves as a JSON Web Key Set (RFC 7517): what a partner registers, and what the hub publishes.
func JWKS(keys ...Key) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(keys))}
	for i, k := range keys {
		set.Keys[i] = jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}
	}
	text, err := json.Marshal(set, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("marshal key set: %w", err)
	}
	return text, nil
}

// Sign makes a compact JWS of type typ over claims.
func (k Key) Sign(typ string, claims jwt.Claims) (string, error) {
	method := jwt.GetSigningMethod(k.Algorithm)
	if method == nil || !slices.Contains(fitting(k.Private.Public()), k.Algorithm) {
		return "", fmt.Errorf("sign with key %s: algorithm %q does not fit it", k.ID, k.Algorithm)
	}
	token := &jwt.Token{Header: map[string]any{"typ": typ, "alg": k.Algorithm, "kid": k.ID}, Claims: claims, Method: method}
	signed, err := token.SignedString(k.Private)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", k.ID, err)
	}
	return signed, nil
}

// maxKeys bounds a registered key set: a current key, the next one, and a few that are not for signing.
const maxKeys = 16

// parseKeySet reads a registered key set. Keys that are for something else (use "enc", key_ops without "verify", an algorithm
// that is not allowed) are passed over, as RFC 7517 section 5 asks; at least one must be left. A private or symmetric key, a
// weak one and a kid that names two keys are errors: somebody made a mistake that they would want to hear of.
func parseKeySet(text []byte, allowed []string) ([]verifyKey, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New(`key set: not a JSON object with a list "keys" of JSON Web Keys`)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("key set: %d keys are more than %d; remove those no longer used", len(set.Keys), maxKeys)
	}
	var keys []verifyKey
	seen := make(map[string]bool)
	for i, k := range set.Keys {
		if seen[k.KeyID] || k.KeyID == "" && len(set.Keys) > 1 {
			return nil, fmt.Errorf("key set: key %d: give every key of a set a kid of its own", i+1)
		}
		seen[k.KeyID] = true
		if k.Use != "" && k.Use != "sig" || k.Operations != nil && !slices.Contains(k.Operations, "verify") {
			continue
		}
		if k.Err != nil {
			return nil, fmt.Errorf("key set: key %d: %w", i+1, k.Err)
		}
		algorithms := fitting(k.Public)
		if k.Algorithm != "" {
			algorithms = slices.DeleteFunc(algorithms, func(a string) bool { return a != k.Algorithm })
		}
		algorithms = slices.DeleteFunc(algorithms, func(a string) bool { return !slices.Contains(allowed, a) })
		if len(algorithms) > 0 {
			keys = append(keys, verifyKey{id: k.KeyID, algorithms: algorithms, public: k.Public})
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key set: no key for signing that fits an allowed algorithm (%v)", allowed)
	}
	return keys, nil
}

// jwk is one registered public key. Err says why it is not one; it waits there because a key that is not for signing may be
// of any kind.
type jwk struct {
	KeyID      string
	Use        string
	Operations []string
	Algorithm  string
	Public     crypto.PublicKey
	Err        error
}

func (k *jwk) UnmarshalJSON(text []byte) error {
	var outline struct {
		Type       string   `json:"kty"`
		KeyID      string   `json:"kid"`
		Use        string   `json:"use"`
		Operations []string `json:"key_ops"`
		Algorithm  string   `json:"alg"`
	}
	if err := json.Unmarshal(text, &outline); err != nil {
		return err
	}
	*k = jwk{KeyID: outline.KeyID, Use: outline.Use, Operations: outline.Operations, Algorithm: outline.Algorithm}
	if outline.Type == "oct" {
		k.Err = errors.New("it is a shared secret; register a public key")
		return nil
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(text); err != nil {
		k.Err = errors.New("it is not a well-formed P-256, P-384, P-521, Ed25519 or RSA key")
		return nil
	}
	switch {
	case !key.IsPublic():
		k.Err = errors.New("it holds the private half, which is now known to others; make a new key and register its public half alone")
	case len(fitting(key.Key)) == 0:
		k.Err = errors.New("its kind or size is refused; use P-256, P-384, P-521, Ed25519, or RSA of 2048 to 8192 bits with exponent 65537")
	}
	k.Public = key.Key
	return nil
}
