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

// Rules for URLs and host names in settings. Browsers compare origins byte by byte, so an
// origin in another spelling would never match. The rules therefore accept only the spelling
// that browsers use. The message of a rule shows this spelling.

// originProblem returns why text is not an exact origin, or "" for an exact origin. An exact
// origin is scheme://host[:port] in the spelling of the header Origin, because the server
// compares both as text. It therefore refuses even https://app.example.com/ with its final
// slash.
func originProblem(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Sprintf("%q is not an origin. Write scheme and host, such as https://app.example.com.",
			withoutPassword(text))
	}
	if u.User != nil {
		return fmt.Sprintf("an origin has no credentials. Write %s://%s.", u.Scheme, u.Host)
	}
	plain := u.Scheme + "://" + originHost(u)
	if strings.Contains(u.Host, "*") {
		return fmt.Sprintf("%q has a wildcard, which no browser matches. Write each host, such as https://app.example.com.",
			text)
	}
	if !isHostName(u.Hostname()) {
		return fmt.Sprintf("%q has no valid host name. Write letters, digits, dots and hyphens; an international name in "+
			"its xn-- form.", text)
	}
	if port := u.Port(); strings.HasSuffix(u.Host, ":") || (port != "" && !isPort(port)) {
		return fmt.Sprintf("%q has no valid port. Write a number from 1 to 65535 after the colon.", text)
	}
	if text != plain {
		return fmt.Sprintf("%q is more than scheme, host and port in lower case. Write %s.", text, plain)
	}
	return ""
}

// withoutPassword prepares a text that is not a URL for a message. It replaces everything
// before the last @ with "…", because that part may contain a password. More people can read
// the log than the settings.
func withoutPassword(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

// originHost returns the host as in the header Origin: in lower case, and without the default
// port of the scheme.
func originHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch {
	case u.Scheme == "https":
		host = strings.TrimSuffix(host, ":443")
	case u.Scheme == "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return host
}

// isPort accepts 1 to 65535 in decimal, without a sign or leading zeros. It refuses port 0,
// which means any port and can't be in a URL.
func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == text
}

// isHostName accepts IP addresses and ASCII names without a final dot. The bounds of 253 and 63
// bytes are those of DNS (RFC 1035, section 2.3.4). An underscore is refused, because browsers
// and certificates disagree about it.
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

// listensBeyondLoopback is true for an empty host, because it means all addresses of the
// machine. It is false for an address that can't be parsed, because listenProblem reports that.
func listensBeyondLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && !weborigin.IsLoopback(host)
}

// publicHost returns the host name of the public URL, or "" if the URL is invalid. It omits the
// port, because callers compare it with cookie-domain.
func (s *Settings) publicHost() string {
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// usesHTTPS reports whether browsers reach the server by https, so that cookies can be Secure.
// The public URL decides, because TLS often ends at a proxy.
func (s *Settings) usesHTTPS() bool { return strings.HasPrefix(s.PublicURL, "https://") }

// isLocal reports whether the public URL has a loopback name, as in development. An invalid URL
// counts as local, so that the operator gets a fault for the URL but no second fault about
// https.
func (s *Settings) isLocal() bool {
	return originProblem(s.PublicURL) != "" || weborigin.IsLoopback(s.publicHost())
}

// adminURL returns the URL of the admin API on the admin listener, or "" if the public listener
// has the admin API. The sign-in on the admin listener needs the host of this URL for its
// cookies and redirects. Without admin-url, the URL has the host of admin-listen, or localhost
// if that host is not a loopback name. Such a host is usually an address of a container, whose
// port is published on the machine's loopback.
func (s *Settings) adminURL() string {
	if s.AdminOn != "admin" || s.AdminURL != "" {
		return s.AdminURL
	}
	host, port, err := net.SplitHostPort(s.AdminListen)
	if err != nil { // adminListenProblem reports this error
		return ""
	}
	if !weborigin.IsLoopback(host) {
		host = "localhost"
	}
	return "http://" + originHost(&url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)})
}

// siteOf returns the site of a URL as browsers define it: scheme and registrable domain. With
// SameSite, browsers send cookies between the hosts of a site. An IP address or a name such as
// localhost has no registrable domain, and is its own site. The list of public suffixes is part
// of the build, and browsers may have a newer list.
func siteOf(u *url.URL) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil {
		domain = u.Hostname()
	}
	return u.Scheme + "://" + domain
}

// isPublicSuffix reports whether anyone can register a name below domain, as below com or
// github.io. A single label, such as internal, counts as a public suffix, even if it is not in
// the list. Browsers do the same.
func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}
