package webhook

import "net/netip"

// Allows lets tests ask about addresses without dialling them.
func Allows(ip netip.Addr) bool { return newGuard().allows(ip) }

// Sign is the signature header of a webhook.
var Sign = sign
