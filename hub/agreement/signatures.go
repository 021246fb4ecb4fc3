package agreement

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"referralhub/hub/transfer"
)

// Terms is what a party signs: a compact JWS (RFC 7515) over exactly these three members says that the party agrees to these bytes.
//
//	{"agreement":"hertswise","version":1,"digest":"sha256:..."}
//
// The digest is of the file as it stands, its status line among it: a version is signed with the status in which it is to run.
type Terms struct {
	Agreement transfer.AgreementID `json:"agreement"`
	Version   int                  `json:"version"`
	Digest    string               `json:"digest"`
}

// Terms gives what a party of this version signs.
func (a *Agreement) Terms() Terms { return Terms{a.ID, a.Version, a.Digest} }

// Claims gives the terms as what a JWT library signs.
func (t Terms) Claims() jwt.Claims {
	return jwt.MapClaims{"agreement": t.Agreement, "version": t.Version, "digest": t.Digest}
}

// SigningKey is a public key that a partner has registered, and the algorithms that it may be used with.
type SigningKey struct {
	Partner    transfer.PartnerID
	Algorithms []string // as the register has them; an HMAC or "none" among them is not heeded
	Public     crypto.PublicKey
}

// maxSignatureBytes bounds what is read before anything has been verified.
const maxSignatureBytes = 8 << 10

// VerifySignature checks that a token is this version's terms signed with a key of one of its parties, and says whose. The lookup finds a registered
// key by the kid of the token's header. The error says in words what is wrong; none of it is secret.
func (a *Agreement) VerifySignature(token string, lookup func(kid string) (SigningKey, bool)) (transfer.PartnerID, error) {
	if len(token) > maxSignatureBytes {
		return "", fmt.Errorf("signature of %s: longer than %d bytes", a.Ref(), maxSignatureBytes)
	}
	var by transfer.PartnerID
	parser := jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err := parser.Parse(token, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical {
			return nil, errors.New("no critical header parameter is understood here")
		}
		kid, _ := t.Header["kid"].(string)
		key, known := lookup(kid)
		switch {
		case kid == "" || !known:
			return nil, errors.New("the kid of its header names no registered key")
		case !slices.Contains(key.Algorithms, t.Method.Alg()):
			return nil, fmt.Errorf("the key of %s may not be used with %s", key.Partner, t.Method.Alg())
		}
		by = key.Partner
		return key.Public, nil
	})
	if err != nil {
		return "", fmt.Errorf("signature of %s: %w", a.Ref(), err)
	}
	if !slices.ContainsFunc(a.Parties, func(p Party) bool { return p.Partner == by }) {
		return "", fmt.Errorf("signature of %s: %s is not a party to it", a.Ref(), by)
	}
	signed, err := termsOf(token)
	if err != nil {
		return "", fmt.Errorf("signature of %s: %w", a.Ref(), err)
	}
	if signed != a.Terms() {
		return "", fmt.Errorf("signature of %s: %s has signed version %d of %s with the digest %s, and here is version %d of %s with the digest %s",
			a.Ref(), by, signed.Version, signed.Agreement, signed.Digest, a.Version, a.ID, a.Digest)
	}
	return by, nil
}

// termsOf reads the payload of a token that was verified. Anything that is not of the terms is refused: nobody signs what is not read.
func termsOf(token string) (Terms, error) {
	payload, err := jwt.NewParser().DecodeSegment(strings.Split(token, ".")[1])
	if err != nil {
		return Terms{}, err
	}
	var t Terms
	if err := json.Unmarshal(payload, &t, json.RejectUnknownMembers(true)); err != nil {
		return Terms{}, fmt.Errorf("it is not over the agreement, its version and its digest alone: %w", err)
	}
	return t, nil
}
