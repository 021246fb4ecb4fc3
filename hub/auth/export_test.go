package auth

// VerifySignature checks a JWS over any payload with a registered key set, as Clients and Tokens do before they read a claim.
func VerifySignature(jwks []byte, allowed []string, token string) error {
	keys, err := parseKeySet(jwks, allowed)
	if err != nil {
		return err
	}
	t, wrong := parseJWS(token)
	if wrong == nil {
		wrong = verify(t, keys)
	}
	if wrong != nil {
		return wrong.refuse(ErrInvalidClient)
	}
	return nil
}
