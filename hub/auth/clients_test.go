package auth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

const (
	tokenURL = "https://hub.example/oauth/token"
	casework = transfer.SystemID("carers-in-hertfordshire/casework")
	carers   = transfer.PartnerID("carers-in-hertfordshire")
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB, algorithm string) auth.Key {
	t.Helper()
	key, err := auth.GenerateKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rsaKey is shared: making one takes a while.
var rsaKey = sync.OnceValue(func() auth.Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	key, err := auth.NewKey(private)
	if err != nil {
		panic(err)
	}
	return key
})

func keySet(t testing.TB, keys ...auth.Key) []byte {
	t.Helper()
	set, err := auth.JWKS(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func register(jwks []byte, algorithms ...string) map[transfer.SystemID]auth.ClientKeys {
	return map[transfer.SystemID]auth.ClientKeys{casework: {
		System:  transfer.System{ID: casework, Algorithms: algorithms, Scopes: []string{"referral.send", "inbox.read"}},
		Partner: carers,
		JWKS:    jwks,
	}}
}

func newClients(t testing.TB, jwks []byte, algorithms ...string) *auth.Clients {
	t.Helper()
	clients, err := auth.NewClients(auth.ClientsConfig{Audiences: []string{tokenURL, "https://hub.example"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := clients.Replace(register(jwks, algorithms...)); err != nil {
		t.Fatal(err)
	}
	return clients
}

// proper is an assertion as it should be; tests spoil one thing of it.
func proper() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": string(casework), "sub": string(casework), "aud": tokenURL, "jti": "0b9f6c1e-7a55-4c50-9d0e-6a6c8f4f0b11",
		"iat": noon.Unix(), "exp": noon.Add(5 * time.Minute).Unix(),
	}
}

func sign(t testing.TB, key auth.Key, claims jwt.Claims) string {
	t.Helper()
	token, err := key.Sign("JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// signRaw signs whatever header a stranger might send.
func signRaw(t testing.TB, header map[string]any, claims jwt.MapClaims, key any) string {
	t.Helper()
	token := &jwt.Token{Header: header, Claims: claims, Method: jwt.GetSigningMethod(header["alg"].(string))}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// refusedFor checks that an error is a refusal which names the field, tells what to do, and holds nothing of the token.
func refusedFor(t *testing.T, err, as error, field, token string) {
	t.Helper()
	var refused *auth.RefusedError
	if !errors.As(err, &refused) || !errors.Is(err, as) || refused.Field != field {
		t.Fatalf("expected %v for %s, got %v", as, field, err)
	}
	if refused.Detail == "" || refused.Remedy == "" {
		t.Errorf("the refusal says too little: %v", err)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the refusal quotes the token: %v", err)
		}
	}
}

func TestASystemProvesItself(t *testing.T) {
	for _, key := range []auth.Key{newKey(t, "ES256"), newKey(t, "ES384"), newKey(t, "EdDSA"), rsaKey()} {
		t.Run(key.Algorithm, func(t *testing.T) {
			clients := newClients(t, keySet(t, key), key.Algorithm)
			got, err := clients.Verify(sign(t, key, proper()), noon)
			if err != nil {
				t.Fatal(err)
			}
			want := auth.Assertion{System: casework, Partner: carers, ID: "0b9f6c1e-7a55-4c50-9d0e-6a6c8f4f0b11", Until: noon.Add(5*time.Minute + 30*time.Second)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnAssertionIsRefusedForWhatIsWrongWithIt(t *testing.T) {
	key := newKey(t, "ES256")
	clients := newClients(t, keySet(t, key), "ES256")
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	tests := []struct {
		name, field string
		spoil       func(c jwt.MapClaims)
	}{
		{"a stranger's name", "iss", func(c jwt.MapClaims) { c["iss"], c["sub"] = "nobody/app", "nobody/app" }},
		{"no issuer", "iss", func(c jwt.MapClaims) { delete(c, "iss") }},
		{"on behalf of somebody", "sub", func(c jwt.MapClaims) { c["sub"] = "age-uk-hertfordshire/crm" }},
		{"no subject", "sub", func(c jwt.MapClaims) { delete(c, "sub") }},
		{"for another environment", "aud", func(c jwt.MapClaims) { c["aud"] = "https://test.hub.example/oauth/token" }},
		{"for nobody", "aud", func(c jwt.MapClaims) { delete(c, "aud") }},
		{"never expires", "exp", func(c jwt.MapClaims) { delete(c, "exp") }},
		{"expired", "exp", func(c jwt.MapClaims) { c["exp"] = at(-30 * time.Second) }},
		{"lives too long", "exp", func(c jwt.MapClaims) { c["exp"] = at(5*time.Minute + 31*time.Second) }},
		{"lives for ever", "exp", func(c jwt.MapClaims) { c["exp"] = 1e300 }},
		{"not yet", "nbf", func(c jwt.MapClaims) { c["nbf"] = at(31 * time.Second) }},
		{"made in the future", "iat", func(c jwt.MapClaims) { c["iat"] = at(31 * time.Second) }},
		{"made yesterday", "iat", func(c jwt.MapClaims) { c["iat"] = at(-24 * time.Hour) }},
		{"no id", "jti", func(c jwt.MapClaims) { delete(c, "jti") }},
		{"a very long id", "jti", func(c jwt.MapClaims) { c["jti"] = strings.Repeat("x", 129) }},
		{"an id that is a number", "payload", func(c jwt.MapClaims) { c["jti"] = 7 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			claims := proper()
			test.spoil(claims)
			token := sign(t, key, claims)
			_, err := clients.Verify(token, noon)
			refusedFor(t, err, auth.ErrInvalidClient, test.field, token)
		})
	}
	t.Run("a clock half a minute out is forgiven", func(t *testing.T) {
		claims := proper()
		claims["aud"] = []string{"https://elsewhere.example", "https://hub.example"}
		claims["nbf"], claims["iat"], claims["exp"] = at(29*time.Second), at(29*time.Second), at(5*time.Minute+29*time.Second)
		if _, err := clients.Verify(sign(t, key, claims), noon); err != nil {
			t.Error(err)
		}
	})
}

func TestForgeriesAreRefused(t *testing.T) {
	key, other := newKey(t, "ES256"), newKey(t, "ES256")
	clients := newClients(t, keySet(t, key), "ES256", "RS512")
	head := func(extra ...any) map[string]any {
		h := map[string]any{"typ": "JWT", "alg": "ES256", "kid": key.ID}
		for i := 0; i < len(extra); i += 2 {
			h[extra[i].(string)] = extra[i+1]
		}
		return h
	}
	genuine := sign(t, key, proper())
	signed, _, _ := strings.Cut(genuine, ".")
	last := strings.LastIndexByte(genuine, '.')
	claims := proper()
	claims["jti"] = "another"
	swapped, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Private.Public().(interface{ Bytes() ([]byte, error) }).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(keySet(t, other), &set); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, field, token string }{
		{"empty", "token", ""},
		{"not a token", "token", "Bearer of good news"},
		{"too long", "token", genuine + strings.Repeat("A", auth.MaxTokenBytes)},
		{"four parts", "token", genuine + ".AAAA"},
		{"padded", "token", genuine + "=="},
		{"no algorithm", "alg", signRaw(t, head("alg", "none"), proper(), jwt.UnsafeAllowNoneSignatureType)},
		{"the public key as a secret", "alg", signRaw(t, head("alg", "HS256"), proper(), public)},
		{"the key set as a secret", "alg", signRaw(t, head("alg", "HS512"), proper(), keySet(t, key))},
		{"allowed, but not for this key", "alg", signRaw(t, head("alg", "RS512"), proper(), rsaKey().Private)},
		{"another's key under our kid", "signature", signRaw(t, head(), proper(), other.Private)},
		{"another's key under its own kid", "kid", signRaw(t, head("kid", other.ID), proper(), other.Private)},
		{"brings its own key", "signature", signRaw(t, head("jwk", set.Keys[0], "jku", "https://evil.example/jwks"), proper(), other.Private)},
		{"critical header", "crit", signRaw(t, head("crit", []string{"exp"}), proper(), key.Private)},
		{"empty critical header", "crit", signRaw(t, head("crit", []string{}), proper(), key.Private)},
		{"an access token's type", "typ", signRaw(t, head("typ", "at+jwt"), proper(), key.Private)},
		{"no signature", "signature", genuine[:last+1]},
		{"spelt another way", "token", respell(genuine)},
		{"signature cut short", "signature", genuine[:len(genuine)-2]},
		{"payload swapped", "signature", signed + "." + base64.RawURLEncoding.EncodeToString(swapped) + genuine[last:]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := clients.Verify(test.token, noon)
			refusedFor(t, err, auth.ErrInvalidClient, test.field, test.token)
		})
	}
	if _, err := clients.Verify(genuine, noon); err != nil {
		t.Errorf("the genuine one: %v", err)
	}
}

// respell sets bits after the end of the signature: lenient decoders read the same bytes.
func respell(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	end := len(token) - 1
	return token[:end] + string(alphabet[strings.IndexByte(alphabet, token[end])|1])
}

func TestKeysRotateWithOverlap(t *testing.T) {
	last, next := newKey(t, "ES256"), rsaKey()
	clients := newClients(t, keySet(t, last), "ES256", "RS512")
	verifies := func(key auth.Key) bool {
		_, err := clients.Verify(sign(t, key, proper()), noon)
		return err == nil
	}
	replace := func(keys ...auth.Key) {
		if err := clients.Replace(register(keySet(t, keys...), "ES256", "RS512")); err != nil {
			t.Fatal(err)
		}
	}
	if !verifies(last) || verifies(next) {
		t.Error("before: only the last key counts")
	}
	replace(last, next)
	if !verifies(last) || !verifies(next) {
		t.Error("during: both keys count")
	}
	anonymous := signRaw(t, map[string]any{"alg": "ES256"}, proper(), last.Private)
	_, err := clients.Verify(anonymous, noon)
	refusedFor(t, err, auth.ErrInvalidClient, "kid", anonymous)
	replace(next)
	if verifies(last) || !verifies(next) {
		t.Error("after: only the next key counts")
	}
	if _, err := clients.Verify(signRaw(t, map[string]any{"alg": "RS512"}, proper(), next.Private), noon); err != nil {
		t.Errorf("the only key needs no kid: %v", err)
	}
}

func TestARegisterWithAFaultChangesNothing(t *testing.T) {
	key := newKey(t, "ES256")
	clients := newClients(t, keySet(t, key), "ES256")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weakSet := `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(weak.N.Bytes()) + `"}]}`
	private, err := key.Private.(interface{ Bytes() ([]byte, error) }).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	leaked := strings.Replace(string(keySet(t, key)), `"kty"`, `"d":"`+base64.RawURLEncoding.EncodeToString(private)+`","kty"`, 1)
	tests := []struct{ name, jwks, says string }{
		{"not JSON", "-----BEGIN PUBLIC KEY-----", "JSON Web Keys"},
		{"empty", `{"keys":[]}`, "no key for signing"},
		{"private half", leaked, "private half"},
		{"shared secret", `{"keys":[{"kty":"oct","k":"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"}]}`, "shared secret"},
		{"weak", weakSet, "2048"},
		{"not on its curve", `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}`, "well-formed"},
		{"two of one name", strings.Replace(string(keySet(t, key, key)), `"alg":"ES256",`, "", 1), "kid of its own"},
		{"one of two without a name", strings.Replace(string(keySet(t, key, newKey(t, "ES256"))), `"kid":"`+key.ID+`",`, "", 1), "kid of its own"},
		{"only for encryption", strings.Replace(string(keySet(t, key)), `"use":"sig"`, `"use":"enc"`, 1), "no key for signing"},
		{"only signs", strings.Replace(string(keySet(t, key)), `"use":"sig"`, `"key_ops":["sign"]`, 1), "no key for signing"},
		{"algorithm not allowed", string(keySet(t, rsaKey())), "no key for signing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := clients.Replace(register([]byte(test.jwks), "ES256", "PS256"))
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), string(casework)) {
				t.Errorf("expected an error about %q of %s, got %v", test.says, casework, err)
			}
			if _, err := clients.Verify(sign(t, key, proper()), noon); err != nil {
				t.Errorf("the register in force was lost: %v", err)
			}
		})
	}
}

func TestKeysForOtherThingsArePassedOver(t *testing.T) {
	key := newKey(t, "ES256")
	set := strings.TrimSuffix(string(keySet(t, key)), "]}") +
		`,{"kty":"RSA","use":"enc","kid":"enc-1","n":"AQAB","e":"AQAB"},{"kty":"LMS","kid":"odd","use":"wrap"}]}`
	clients := newClients(t, []byte(set), "ES256")
	if _, err := clients.Verify(sign(t, key, proper()), noon); err != nil {
		t.Error(err)
	}
}

func TestAKeySurvivesItsFile(t *testing.T) {
	current, previous := newKey(t, "EdDSA"), newKey(t, "ES256")
	var file []byte
	for _, key := range []auth.Key{current, previous} {
		text, err := key.MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, text...)
	}
	keys, err := auth.ParseKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b crypto.Signer) bool {
		return a.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(b.Public())
	})
	if diff := cmp.Diff([]auth.Key{current, previous}, keys, same); diff != "" {
		t.Error(diff)
	}
	for _, broken := range []string{"", "hello", string(file) + "and more", strings.Replace(string(file), "PRIVATE KEY-----\nM", "PRIVATE KEY-----\nA", 1)} {
		if _, err := auth.ParseKeys([]byte(broken)); err == nil {
			t.Errorf("parsed %q", broken)
		}
	}
}
