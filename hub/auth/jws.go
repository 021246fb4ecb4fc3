package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// MaxTokenBytes bounds what is read before anything has been verified. RS512 with a 4,096-bit key and full claims is about 1,200.
const MaxTokenBytes = 8 << 10

var encoding = base64.RawURLEncoding.Strict()

// header is what is read of a JOSE header. Whatever else one may hold (jwk, jku, x5c, x5u) has no say.
type header struct {
	Algorithm string         `json:"alg"`
	KeyID     string         `json:"kid"`
	Type      string         `json:"typ"`
	Critical  jsontext.Value `json:"crit"`
}

// jws is a compact JWS (RFC 7515) taken apart and not yet verified.
type jws struct {
	header    header
	payload   []byte
	signed    string // header "." payload, as they came
	signature []byte
}

// parseJWS takes a token apart. The error is nil or a fault that is not yet a refusal: the caller knows of what.
func parseJWS(token string) (*jws, *fault) {
	malformed := &fault{"token", "it is not a signed JWT in compact form", "send header.payload.signature, each part base64url without padding"}
	if len(token) > MaxTokenBytes {
		return nil, &fault{"token", "it is longer than 8 KiB", "leave out claims and header parameters that the hub does not ask for"}
	}
	last := strings.LastIndexByte(token, '.')
	if last < 0 || strings.Count(token, ".") != 2 {
		return nil, malformed
	}
	t := &jws{signed: token[:last]}
	head, payload, _ := strings.Cut(t.signed, ".")
	rawHead, err := encoding.DecodeString(head)
	if err != nil || json.Unmarshal(rawHead, &t.header) != nil {
		return nil, malformed
	}
	if t.payload, err = encoding.DecodeString(payload); err != nil {
		return nil, malformed
	}
	if t.signature, err = encoding.DecodeString(token[last+1:]); err != nil {
		return nil, malformed
	}
	return t, nil
}

// typed reports whether the header's typ is one of want, which are lower-case; "" stands for an absent one. RFC 7515 section
// 4.1.9 lets "application/" be left out and RFC 2045 compares without case.
func (h header) typed(want ...string) bool {
	return slices.Contains(want, strings.TrimPrefix(strings.ToLower(h.Type), "application/"))
}

// verifyKey is a public key with the algorithms it may be used with: those that fit it and that its owner is allowed.
type verifyKey struct {
	id         string
	algorithms []string
	public     crypto.PublicKey
}

// verify checks a token's signature with the key that its kid selects.
func verify(t *jws, keys []verifyKey) *fault {
	if t.header.Critical != nil {
		return &fault{"crit", "the hub understands no critical header parameter", "sign without crit"}
	}
	i := 0
	switch {
	case t.header.KeyID != "":
		i = slices.IndexFunc(keys, func(k verifyKey) bool { return k.id == t.header.KeyID })
	case len(keys) > 1:
		return &fault{"kid", "it is missing and there are several keys to choose from", "put the id of the signing key in the header's kid"}
	}
	if i < 0 || len(keys) == 0 {
		return &fault{"kid", "it selects none of the registered keys", "sign with a registered key, or register this one and wait until the hub has it"}
	}
	if !slices.Contains(keys[i].algorithms, t.header.Algorithm) {
		return &fault{"alg", "it is not allowed for this key", "sign with " + strings.Join(keys[i].algorithms, " or ")}
	}
	if signingMethod(t.header.Algorithm).Verify(t.signed, t.signature, keys[i].public) != nil {
		return &fault{"signature", "it does not verify", "sign with the private half of the key that kid names, and send the token unchanged"}
	}
	return nil
}

// fitting lists the algorithms that a public key can be used with; none for a kind or size of key that the hub refuses.
func fitting(public crypto.PublicKey) []string {
	switch k := public.(type) {
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	case *rsa.PublicKey:
		// SP 800-131A asks for 2,048 bits; past 8,192 a verification costs a stranger nothing and the hub milliseconds.
		if bits := k.N.BitLen(); bits >= 2048 && bits <= 8192 && k.E >= 65537 {
			return []string{"PS256", "PS384", "PS512", "RS512", "RS384", "RS256"}
		}
	}
	return nil
}

// signingMethod gives the library's method, with one difference: a PSS salt is as long as the hash (RFC 7518 section 3.5),
// where the library takes any length.
func signingMethod(algorithm string) jwt.SigningMethod {
	method := jwt.GetSigningMethod(algorithm)
	if pss, ok := method.(*jwt.SigningMethodRSAPSS); ok {
		strict := *pss
		strict.VerifyOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return &strict
	}
	return method
}

// fault is what is wrong with a token, before the caller says what the token was for.
type fault struct{ field, detail, remedy string }

func (f *fault) refuse(as error) error {
	return &RefusedError{Err: as, Field: f.field, Detail: f.detail, Remedy: f.remedy}
}
