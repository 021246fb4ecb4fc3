package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// errAddress is the refusal to dial an address that no partner's endpoint can have.
var errAddress = errors.New("the address is not one that partners may be reached at")

// refused returns the networks that are not the public internet: IANA's special-purpose registries (RFC 6890, RFC 8190), the
// tunnels that carry an IPv4 address inside an IPv6 one, and the address at which one cloud answers for its own machines.
func refused() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"), // carriers' NAT, and a cloud's metadata
		netip.MustParsePrefix("168.63.129.16/32"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("2001::/23"), // Teredo and other assignments of the IETF
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("2002::/16"), // 6to4
	}
}

// globalIPv6 is all that IANA has given out for the internet; NAT64, site-local and discard-only addresses are outside it.
func globalIPv6() netip.Prefix { return netip.MustParsePrefix("2000::/3") }

// guard refuses to dial anything but the public internet. It sees the address that is about to be dialled, after every
// resolution, so a name that changes its mind is caught.
type guard struct {
	refused []netip.Prefix
	global6 netip.Prefix
}

func newGuard() *guard { return &guard{refused: refused(), global6: globalIPv6()} }

// control is a net.Dialer's Control.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(ap.Addr()) {
		return fmt.Errorf("dial: %w", errAddress)
	}
	return nil
}

func (g *guard) allows(ip netip.Addr) bool {
	if ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !g.global6.Contains(ip) {
		return false
	}
	for _, p := range g.refused {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
