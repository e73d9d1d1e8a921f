// Package clientip finds the network address that a request comes from, through
// the proxies that are trusted and no others (RFC 7239 section 8.1 says why).
//
// It knows addresses and header lines, not requests.
package clientip

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxHops is how many entries of X-Forwarded-For are looked at, from the right.
const maxHops = 32

// Trusted are the proxies whose X-Forwarded-For counts. The zero value trusts
// none.
type Trusted struct{ prefixes []netip.Prefix }

// ParseTrusted reads prefixes ("10.0.0.0/8") and plain addresses.
func ParseTrusted(entries []string) (Trusted, error) {
	var t Trusted
	for _, entry := range entries {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			addr, addrErr := netip.ParseAddr(entry)
			if addrErr != nil || addr.Zone() != "" {
				return Trusted{}, fmt.Errorf("%q is not a network: write an address or a prefix, such as 10.0.0.0/8", entry)
			}
			addr = addr.Unmap()
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Bits() == 0 {
			return Trusted{}, fmt.Errorf("%q trusts everybody, so that anybody could choose their own address: write the networks of your proxies", entry)
		}
		if prefix.Masked() != prefix {
			return Trusted{}, fmt.Errorf("%q has bits beyond its length: write %s", entry, prefix.Masked())
		}
		t.prefixes = append(t.prefixes, prefix)
	}
	return t, nil
}

// Contains reports whether remoteAddr ("address:port") is a trusted proxy.
func (t Trusted) Contains(remoteAddr string) bool {
	return t.has(parsePeer(remoteAddr))
}

func (t Trusted) has(addr netip.Addr) bool {
	for _, prefix := range t.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Client is the address of the client: the last hop that is not a trusted proxy.
// remoteAddr is the peer, "address:port"; forwarded are the lines of
// X-Forwarded-For in their order. Whatever can't be parsed ends the walk at the
// hop that vouched for it: never at "no address" because of a header.
func (t Trusted) Client(remoteAddr string, forwarded []string) netip.Addr {
	client := parsePeer(remoteAddr)
	hops := strings.Join(forwarded, ",")
	for range maxHops {
		if !t.has(client) || hops == "" {
			return client
		}
		hop := hops
		if i := strings.LastIndexByte(hops, ','); i >= 0 {
			hop, hops = hops[i+1:], hops[:i]
		} else {
			hops = ""
		}
		addr, err := netip.ParseAddr(strings.Trim(hop, " \t"))
		if err != nil {
			return parsePeer(remoteAddr)
		}
		client = addr.Unmap().WithZone("")
	}
	return client
}

func parsePeer(remoteAddr string) netip.Addr {
	peer, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// Key names a client for a limit: an IPv4 address, or the /64 of an IPv6 one,
// which is what one customer gets. All unknown addresses share one name.
func Key(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return "unknown"
	case addr.Is4() || addr.Is4In6():
		return addr.Unmap().String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return "unknown"
	}
	return prefix.String()
}
