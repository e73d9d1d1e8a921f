package tokencookie

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// partitionedSuffix is appended to the usual name for the partitioned cookie. The names must differ, because a
// browser may send both cookies, and a request does not contain their attributes.
const partitionedSuffix = "-partitioned"

// A Pair describes the two cookies that can contain a token: the usual cookie for front-ends on this site, and a
// partitioned cookie for front-ends on other sites. Browsers that block third-party cookies still accept a cookie
// with the attribute Partitioned. They keep such a cookie separately for each site that the user visits (CHIPS). The
// two cookies have different names.
//
// With a SameSite attribute other than None, other sites can't use the cookie anyway. The pair then has only the
// usual cookie.
type Pair struct {
	Usual Cookie
}

// IsEmbedded reports whether a page of another site made the request in the background, such as by fetch. A browser
// may treat the cookies of such a request as third-party cookies. A navigation opens a page of this site, so its
// cookies are first-party. Browsers that do not send the Sec-Fetch headers are older than partitioned cookies, so for
// them IsEmbedded returns false.
func IsEmbedded(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// usesPartitioned reports whether a request uses the partitioned cookie of a pair. An embedded request prefers the
// partitioned cookie, and any other request prefers the usual one. If the request has only one of the cookies, it
// uses that cookie. Users who signed in with an earlier release thus stay signed in.
func usesPartitioned(isEmbedded, hasUsual, hasPartitioned bool) bool {
	return hasPartitioned && (isEmbedded || !hasUsual)
}

// partitionedCookie returns the cookie for embedded requests. It returns false if the pair has no such cookie.
func (p Pair) partitionedCookie() (Cookie, bool) {
	c := p.Usual
	if c.SameSite != http.SameSiteNoneMode {
		return Cookie{}, false
	}
	c.Name, c.Partitioned = c.Name+partitionedSuffix, true
	return c, true
}

// Cookies returns the cookies of the pair, the usual one first.
func (p Pair) Cookies() []Cookie {
	if c, exists := p.partitionedCookie(); exists {
		return []Cookie{p.Usual, c}
	}
	return []Cookie{p.Usual}
}

// Names returns the names of the cookies.
func (p Pair) Names() (names []string) {
	for _, c := range p.Cookies() {
		names = append(names, c.Name)
	}
	return names
}

// Check returns an error if browsers would reject one of the cookies.
func (p Pair) Check() error {
	var all []error
	for _, c := range p.Cookies() {
		all = append(all, c.Check())
	}
	return errors.Join(all...)
}

// Presented returns the cookie of the pair whose token the server uses for this request. If the request has neither
// cookie, Presented still returns one of them.
func (p Pair) Presented(r *http.Request) Cookie {
	c, exists := p.partitionedCookie()
	if exists && usesPartitioned(IsEmbedded(r), p.Usual.isSentWith(r), c.isSentWith(r)) {
		return c
	}
	return p.Usual
}

// Unused returns the tokens in the cookie of the pair that Presented does not return.
func (p Pair) Unused(r *http.Request) (tokens []string) {
	used := p.Presented(r)
	for _, c := range p.Cookies() {
		if c.Name != used.Name {
			tokens = append(tokens, c.Values(r)...)
		}
	}
	return tokens
}

// ForSignIn returns the cookie that a sign-in by this request sets.
func (p Pair) ForSignIn(r *http.Request) Cookie {
	if c, exists := p.partitionedCookie(); exists && IsEmbedded(r) {
		return c
	}
	return p.Usual
}

// SignIn stores the token of a new session in the cookie that ForSignIn returns. If the request used the other cookie
// of the pair, SignIn deletes that cookie, because the sign-in has replaced its session. Otherwise the browser would
// present the replaced token again after the new cookie has expired.
func (p Pair) SignIn(w http.ResponseWriter, r *http.Request, token string, life time.Duration) {
	set, replaced := p.ForSignIn(r), p.Presented(r)
	if set.Name != replaced.Name && replaced.isSentWith(r) {
		replaced.Clear(w)
	}
	set.Set(w, token, life)
}

// Rotate stores the successor of the token that the request presented, in the same cookie.
func (p Pair) Rotate(w http.ResponseWriter, r *http.Request, token string, life time.Duration) {
	p.Presented(r).Set(w, token, life)
}

// Renew stores a token in the cookie that a sign-in sets. It has no effect if token is
// empty or the request already presents exactly this token.
func (p Pair) Renew(w http.ResponseWriter, r *http.Request, token string, life time.Duration) {
	if values := p.Presented(r).Values(r); token == "" || len(values) == 1 && values[0] == token {
		return
	}
	p.ForSignIn(r).Set(w, token, life)
}

// Clear deletes both cookies in the browser.
func (p Pair) Clear(w http.ResponseWriter) {
	for _, c := range p.Cookies() {
		c.Clear(w)
	}
}

// ClearRepeated deletes each cookie that the request has more than once.
func (p Pair) ClearRepeated(w http.ResponseWriter, r *http.Request) {
	for _, c := range p.Cookies() {
		if len(r.CookiesNamed(c.Name)) > 1 { // including cookies that a Box can't open
			c.Clear(w)
		}
	}
}

// IsIn reports whether the request has one of the cookies, even an empty one.
func (p Pair) IsIn(r *http.Request) bool {
	for _, c := range p.Cookies() {
		if c.isSentWith(r) {
			return true
		}
	}
	return false
}

// Values returns the tokens of both cookies.
func (p Pair) Values(r *http.Request) (tokens []string) {
	for _, c := range p.Cookies() {
		tokens = append(tokens, c.Values(r)...)
	}
	return tokens
}

// reservedSuffixes are in the names of the server's other cookies.
var reservedSuffixes = []string{partitionedSuffix, "-known", "-step", "-device", "-page", "-notice", "-link"}

// CheckName returns an error if name is not allowed for a refresh cookie, because another cookie of the server could
// have the same name.
func CheckName(name string) error {
	for _, ending := range reservedSuffixes {
		if strings.HasSuffix(name, ending) {
			return fmt.Errorf("%s ends in %s, which is kept for another cookie of this server", name, ending)
		}
	}
	if name == "jwt" || name == "refreshTkn" { // the refresh cookies of the dialects lesson and users
		return fmt.Errorf("%s is the refresh cookie of a dialect of this server", name)
	}
	if strings.Contains(name, "-with-") {
		return fmt.Errorf("%s contains -with-, which is kept for other cookies of this server", name)
	}
	return nil
}
