package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/watchword-auth/watchword/internal/tokencookie"
)

// Rules about the refresh cookie (RFC 6265bis). If a cookie breaks a rule, browsers drop it
// without a message, and no user can stay signed in. The program therefore refuses to start.

// cookieNameProblem checks the name against the prefix rules: __Secure- needs https, and
// __Host- also forbids a domain. A name without a prefix is allowed on http, for development. A
// name has at most 64 characters, which leaves room for the token: browsers limit name and
// value together to 4096 bytes.
func cookieNameProblem(s *Settings) string {
	name := s.CookieName
	bound := strings.HasPrefix(name, "__Host-")
	switch {
	case name == "":
		return ""
	case !isPortableCookieName(name) || len(name) > 64:
		return fmt.Sprintf("%q is not a cookie name. Write letters, digits, - and _, at most 64.", name)
	case (bound || strings.HasPrefix(name, "__Secure-")) && !s.usesHTTPS():
		return fmt.Sprintf("browsers refuse %s over http. Write a name without prefix, or public-url with https://.", name)
	case bound && s.CookieDomain != "":
		return "browsers refuse a __Host- cookie that has a domain. Write a name with __Secure-, or remove cookie-domain."
	}
	if err := tokencookie.CheckName(name); err != nil {
		return err.Error() + ". Write another name."
	}
	return ""
}

// isPortableCookieName accepts the characters that every browser and proxy keeps unchanged. RFC
// 6265 allows more characters, but proxies and frameworks treat these in different ways.
func isPortableCookieName(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// sameSiteProblem refuses SameSite=None with an http public URL, even on loopback. Browsers
// drop such a cookie without Secure, and the server sets Secure only if the public URL is
// https.
func sameSiteProblem(s *Settings) string {
	if s.CookieSameSite == "none" && !s.usesHTTPS() {
		return "browsers refuse SameSite=None without Secure. Write strict or lax, or public-url with https://."
	}
	return ""
}

// cookieDomainProblem checks that the domain covers only hosts of the operator. A cookie for a
// public suffix, such as co.uk, would be sent to every site below it, and browsers refuse it.
// The list of public suffixes is compiled into the program, so the check works offline. An IP
// address is refused, because browsers accept a Domain attribute only for names.
func cookieDomainProblem(s *Settings) string {
	domain, host := s.CookieDomain, s.publicHost()
	_, notIP := netip.ParseAddr(domain)
	switch {
	// An empty domain is the safest choice: the browser sends the cookie only to this host.
	case domain == "":
		return ""
	case notIP == nil || strings.HasPrefix(domain, ".") || !isHostName(domain) || domain != strings.ToLower(domain):
		return fmt.Sprintf("%q is not a domain. Write it in lower case without a leading dot, such as example.com.", domain)
	case isPublicSuffix(domain):
		return fmt.Sprintf("%s is a public suffix: every site below it would share the cookie. Write your own domain, such "+
			"as your-name.%s.", domain, domain)
	case host != domain && !strings.HasSuffix(host, "."+domain):
		return fmt.Sprintf("%s is not the public host, %s, nor a parent of it. Write one of these, or remove it.", domain,
			host)
	}
	return ""
}
