package auth

import (
	"crypto"
	"slices"

	"referralhub/hub/transfer"
)

// PublicKey finds a key that a partner's systems have registered, by its id, and the algorithms that it may be used with. Of two systems that
// gave their keys one id it finds neither: nobody could say whose signature it verifies.
func (c *Clients) PublicKey(of transfer.PartnerID, kid string) (public crypto.PublicKey, algorithms []string, ok bool) {
	for _, s := range *c.known.Load() {
		if s.partner != of {
			continue
		}
		i := slices.IndexFunc(s.keys, func(k verifyKey) bool { return k.id == kid })
		switch {
		case i < 0:
		case ok:
			return nil, nil, false
		default:
			public, algorithms, ok = s.keys[i].public, s.keys[i].algorithms, true
		}
	}
	return public, algorithms, ok
}
