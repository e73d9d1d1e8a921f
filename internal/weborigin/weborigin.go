// Package weborigin checks origins (RFC 6454, section 6.2) and recognizes loopback hosts,
// for which plain http is safe.
//
// Callers decide which origins they trust.
package weborigin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// Check rejects text that no browser sends as an Origin header, and patterns, which
// would match more than one origin.
func Check(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case strings.Contains(origin, "*"):
		return fmt.Errorf("%q is a pattern: write each origin in full, such as https://app.example.com", origin)
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%q is not an origin: write scheme and host, such as https://app.example.com", origin)
	case u.Scheme+"://"+u.Host != origin || u.User != nil:
		return fmt.Errorf("%q is more than an origin: write only %s://%s", origin, u.Scheme, u.Hostname())
	case strings.ToLower(origin) != origin:
		return fmt.Errorf("browsers never send %q: write it in lower case", origin)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return fmt.Errorf("browsers never send %q: omit the default port", origin)
	}
	return nil
}

// afterOrigin matches the part of a URL after its origin: a path and a query in the characters of RFC 3986. Other
// characters, such as a backslash, are not allowed. URL parsers disagree about them and could find another host.
var afterOrigin = regexp.MustCompile(`^([/?][A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?$`)

// IsPath reports whether a text can follow an origin in a URL, so that every URL parser finds this origin.
func IsPath(text string) bool { return afterOrigin.MatchString(text) }

// OfPage returns the origin of the page of a front-end. It rejects a URL with a user, a fragment
// or an unusual character, and plain http except on the loopback. The error does not quote the URL,
// which may contain a password.
func OfPage(page string) (string, error) {
	u, err := url.Parse(page)
	if err != nil || u.Host == "" {
		return "", errors.New("is not the address of a page: write it in full, such as https://app.example.com/")
	}
	origin := u.Scheme + "://" + u.Host
	if err := Check(origin); err != nil {
		return "", err
	}
	if rest, found := strings.CutPrefix(page, origin); !found || !IsPath(rest) {
		return "", fmt.Errorf("has more than a path and a query: write it in the form %s/", origin)
	}
	if u.Scheme == "http" && !IsLoopback(u.Hostname()) {
		return "", fmt.Errorf("is plain http, which others on the network can read: write https://%s", u.Host)
	}
	return origin, nil
}

var appOrigin = regexp.MustCompile(`^((capacitor|tauri)://[a-z0-9.-]+|chrome-extension://[a-p]{32})$`)

// IsApp reports whether origin belongs to an app or extension that contains its front-end: Capacitor and Tauri apps,
// and extensions of Chromium. Such pages have no site to which a cookie could belong, so they receive the refresh
// token in the body. A link in a mail can't open them.
func IsApp(origin string) bool { return appOrigin.MatchString(origin) }

// IsLoopback reports whether traffic to host stays on this machine: an address of 127.0.0.0/8, ::1, localhost, or a
// subdomain of localhost (RFC 6761, section 6.3). The host may have a port, IPv6 brackets and, after a name, one
// trailing dot. Letter case does not matter.
//
// Every check of plain http uses this function, so package verify accepts each issuer that the server accepts. The
// npm packages pass the same table of cases (testdata/loopback.json).
func IsLoopback(host string) bool {
	name, bracketed := stripPort(host)
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Unmap().IsLoopback() && (addr.Is6() || !bracketed)
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return !bracketed && isHostName(name) && (name == "localhost" || strings.HasSuffix(name, ".localhost"))
}

// isHostName reports whether name consists of labels of letters, digits and hyphens, so
// that text such as user@evil.example/.localhost is not a host name.
func isHostName(name string) bool {
	isPlain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
	return isPlain && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".") && !strings.Contains(name, "..")
}

// stripPort removes the port, and the brackets of an IPv6 address.
func stripPort(host string) (name string, bracketed bool) {
	name = host
	if before, _, err := net.SplitHostPort(host); err == nil {
		name = before
	} else if inner, found := strings.CutPrefix(host, "["); found {
		name = strings.TrimSuffix(inner, "]")
	}
	return name, strings.HasPrefix(host, "[")
}

// pagePath matches the path of a page. It allows only plain segments, so that the URL can't leave its origin.
var pagePath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}){0,8}$`)

// Page returns the page if a mail may link to it, or else "". The page must belong to one of origins, because a
// stranger can request a mail to any user, and the user trusts links in it.
func Page(page string, origins []string) string {
	page = strings.TrimSuffix(page, "/")
	for _, origin := range origins {
		if path, found := strings.CutPrefix(page, origin); found && pagePath.MatchString(path) {
			return page
		}
	}
	return ""
}
