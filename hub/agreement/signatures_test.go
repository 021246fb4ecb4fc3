package agreement_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"referralhub/hub/agreement"
	"referralhub/hub/transfer"
)

// A party signs the digest of a version with its own key; nothing else counts as its signature.
func TestSignatures(t *testing.T) {
	x := loaded(t, files(t))
	a, _ := x.Agreement("care", 1)
	key := newSigner(t)
	keys := map[string]agreement.SigningKey{
		"red-1":   {Partner: "red-house", Algorithms: []string{"ES256"}, Public: key.Public()},
		"blue-1":  {Partner: "blue-house", Algorithms: []string{"ES256"}, Public: key.Public()},
		"loose-1": {Partner: "red-house", Algorithms: []string{"HS256", "none", "ES384"}, Public: key.Public()},
	}
	lookup := func(kid string) (agreement.SigningKey, bool) { k, ok := keys[kid]; return k, ok }
	terms := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"agreement": "care", "version": 1, "digest": a.Digest}
		change(c)
		return c
	}
	sign := func(method jwt.SigningMethod, with any, kid string, claims jwt.Claims, header ...string) string {
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		for i := 0; i < len(header); i += 2 {
			token.Header[header[i]] = []string{header[i+1]}
		}
		text, err := token.SignedString(with)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	as := func(kid string, claims jwt.Claims, header ...string) string {
		return sign(jwt.SigningMethodES256, key, kid, claims, header...)
	}
	nothing := func(jwt.MapClaims) {}
	good := as("red-1", a.Terms().Claims())
	if by, err := a.VerifySignature(good, lookup); err != nil || by != transfer.PartnerID("red-house") {
		t.Fatalf("signed by %q: %v", by, err)
	}
	head, rest, _ := strings.Cut(good, ".")
	_, signature, _ := strings.Cut(rest, ".")
	_, other, _ := strings.Cut(as("red-1", terms(func(c jwt.MapClaims) { c["version"] = 2 })), ".")
	payload, _, _ := strings.Cut(other, ".")
	for _, test := range []struct{ story, token, want string }{
		{"another version", as("red-1", terms(func(c jwt.MapClaims) { c["version"] = 2 })), "has signed version 2 of care"},
		{"another agreement", as("red-1", terms(func(c jwt.MapClaims) { c["agreement"] = "hertswise" })), "has signed version 1 of hertswise"},
		{"a file that was edited since", as("red-1", terms(func(c jwt.MapClaims) { c["digest"] = "sha256:0" })), "with the digest sha256:0"},
		{"nothing of the digest", as("red-1", terms(func(c jwt.MapClaims) { delete(c, "digest") })), "with the digest "},
		{"more than the terms", as("red-1", terms(func(c jwt.MapClaims) { c["except"] = "clause 3" })), "unknown object member"},
		{"a stranger's key", as("green-1", terms(nothing)), "names no registered key"},
		{"no key in particular", as("", terms(nothing)), "names no registered key"},
		{"somebody who is no party", as("blue-1", terms(nothing)), "blue-house is not a party to it"},
		{"another's key under this name", sign(jwt.SigningMethodES256, newSigner(t), "red-1", terms(nothing)), "signature is invalid"},
		{"an algorithm that the key is not for", as("loose-1", terms(nothing)), "may not be used with ES256"},
		{"no signature at all", sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "loose-1", terms(nothing)), "signing method none is invalid"},
		{"a password", sign(jwt.SigningMethodHS256, []byte("password"), "loose-1", terms(nothing)), "signing method HS256 is invalid"},
		{"what the header says must be understood", as("red-1", terms(nothing), "crit", "exp"), "no critical header parameter"},
		{"a payload put in afterwards", head + "." + payload + "." + signature, "signature is invalid"},
		{"half of it", head + "." + payload, "malformed"},
		{"far too much", good + strings.Repeat("A", 8<<10), "longer than"},
		{"not a word of it", "", "malformed"},
	} {
		by, err := a.VerifySignature(test.token, lookup)
		if err == nil || by != "" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: signed by %q, error %v; want %s", test.story, by, err, test.want)
		}
	}
}

func newSigner(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
