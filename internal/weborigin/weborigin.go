// Package weborigin knows what browsers send as an origin (RFC 6454, section 6.2).
//
// It does not know which of them are trusted.
package weborigin

import (
	"fmt"
	"net/url"
	"strings"
)

// Check refuses what no browser sends as an Origin header, and what would stand for
// more than one origin.
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
		return fmt.Errorf("%q is never sent by a browser: write it in lower case", origin)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return fmt.Errorf("%q is never sent by a browser: leave out the port, which is the usual one", origin)
	}
	return nil
}
