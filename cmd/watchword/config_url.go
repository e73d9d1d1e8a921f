package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

// What may stand as an address. All of it is exact: a browser compares origins
// byte by byte, so that an address in another spelling would never match.

// originProblem says what keeps text from being an exact origin,
// scheme://host[:port], as a browser sends it.
func originProblem(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Sprintf("%q is not an address. Write scheme and host, such as https://app.example.com.", withoutPassword(text))
	}
	if u.User != nil {
		return fmt.Sprintf("credentials don't belong into an address. Write %s://%s.", u.Scheme, u.Host)
	}
	plain := u.Scheme + "://" + plainHost(u)
	if strings.Contains(u.Host, "*") {
		return fmt.Sprintf("%q has a wildcard, which no browser matches. Write each host, such as https://app.example.com.", text)
	}
	if !isHostName(u.Hostname()) {
		return fmt.Sprintf("%q has no host name that a browser sends. Write letters, digits, dots and hyphens; an international name in its xn-- form.", text)
	}
	if port := u.Port(); strings.HasSuffix(u.Host, ":") || (port != "" && !isPort(port)) {
		return fmt.Sprintf("%q has a port that is none. Write a number from 1 to 65535 behind the colon.", text)
	}
	if text != plain {
		return fmt.Sprintf("%q is more than scheme, host and port in lower case. Write %s.", text, plain)
	}
	return ""
}

// withoutPassword hides what may be a password in text that is no address.
func withoutPassword(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

// plainHost is the host in lower case, with the port where it is not the
// scheme's own.
func plainHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch {
	case u.Scheme == "https":
		host = strings.TrimSuffix(host, ":443")
	case u.Scheme == "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return host
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == text
}

// isHostName accepts IP addresses and ASCII names without a final dot.
func isHostName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.ToLower(host), ".") {
		bad := strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != ""
		if label == "" || len(label) > 63 || bad || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// listensBeyond reports whether a listener's address can be reached from other
// machines.
func listensBeyond(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && !weborigin.IsLoopback(host)
}

// publicHost is the host name of the public URL, without its port.
func (s *Settings) publicHost() string {
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (s *Settings) https() bool { return strings.HasPrefix(s.PublicURL, "https://") }

// local reports whether the public URL is for this machine alone: development.
// One that is no address counts as local, for it is a fault of its own.
func (s *Settings) local() bool {
	return originProblem(s.PublicURL) != "" || weborigin.IsLoopback(s.publicHost())
}

// site is what browsers count as one site: scheme and registrable domain.
func site(u *url.URL) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil {
		domain = u.Hostname()
	}
	return u.Scheme + "://" + domain
}

// isPublicSuffix reports whether strangers can register names below domain.
func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}
