// Package clientip finds the client IP of a request. It follows X-Forwarded-For through
// trusted proxies only, because any client can send the header (RFC 7239, section 8.1).
//
// It works on addresses and header lines and does not depend on net/http.
package clientip

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxHops is the maximum number of X-Forwarded-For entries to read, from the right.
const maxHops = 32

// Trusted is a set of proxies whose X-Forwarded-For header is used. The zero value
// trusts no proxy.
type Trusted struct{ prefixes []netip.Prefix }

// ParseTrusted parses prefixes ("10.0.0.0/8") and single addresses. It rejects prefixes
// of length 0 and prefixes with bits beyond their length.
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
			return Trusted{}, fmt.Errorf(
				"%q trusts every address, so any client could forge its own: write the networks of your proxies", entry)
		}
		if prefix.Masked() != prefix {
			return Trusted{}, fmt.Errorf("%q has bits beyond its length: write %s", entry, prefix.Masked())
		}
		t.prefixes = append(t.prefixes, prefix)
	}
	return t, nil
}

// Contains reports whether remoteAddr ("address:port") belongs to a trusted proxy.
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

// Client returns the client IP: the rightmost hop that is not a trusted proxy.
// remoteAddr is the peer, "address:port". forwarded contains the X-Forwarded-For lines
// in order. If an entry is malformed, Client returns the peer's address. The result is
// invalid only if remoteAddr is malformed.
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

// Key returns the key of a client for rate limits: the IPv4 address, or the /64 prefix of an IPv6 address. Providers
// assign at least a /64 to each customer, so a longer prefix would not identify a customer. All invalid addresses
// share one key.
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

// Text returns an address as text, or "" for the zero Addr. An IPv4-mapped address is written as IPv4, so each
// address has one form. Text omits the zone of an IPv6 address, because clients can put any text into it.
func Text(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.Unmap().WithZone("").String()
}
