// Package tokencookie keeps a token in a browser: in a cookie that no script reads
// and that is removed as it was set, or browsers would keep it (RFC 6265bis).
//
// It does not know what a token is for, except that of a known device.
package tokencookie

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Cookie is where a token is kept: everything of a cookie but its value.
type Cookie struct {
	Name     string
	Domain   string // "": the host that sets it, alone
	Secure   bool   // the host is reached by https
	SameSite http.SameSite
}

// KnownDeviceLife is as long as browsers keep a cookie at most.
const KnownDeviceLife = 400 * 24 * time.Hour

// KnownDevice is the cookie by which a browser that has signed in before is
// recognised. It is for one host, whatever the domain of the refresh cookie is.
func KnownDevice(secure bool, sameSite http.SameSite) Cookie {
	name := "watchword-known"
	if secure {
		name = "__Host-" + name
	}
	return Cookie{Name: name, Secure: secure, SameSite: sameSite}
}

// Check refuses what browsers would not keep, or net/http not send.
func (c Cookie) Check() error {
	bound := strings.HasPrefix(c.Name, "__Host-")
	switch {
	case (bound || strings.HasPrefix(c.Name, "__Secure-")) && !c.Secure:
		return fmt.Errorf("browsers refuse %q over http", c.Name)
	case bound && c.Domain != "":
		return fmt.Errorf("browsers refuse %q with a domain", c.Name)
	case c.SameSite == http.SameSiteNoneMode && !c.Secure:
		return fmt.Errorf("browsers refuse %q with SameSite=None over http", c.Name)
	}
	return c.with("").Valid()
}

// Set hands out a token for a time, and with none until the browser is closed.
func (c Cookie) Set(w http.ResponseWriter, token string, life time.Duration) {
	cookie := c.with(token)
	if life > 0 {
		cookie.MaxAge = max(int(life/time.Second), 1)
	}
	http.SetCookie(w, cookie)
}

// Renew sets a token for a time, unless the request has just that one. An empty
// token sets nothing.
func (c Cookie) Renew(w http.ResponseWriter, r *http.Request, token string, life time.Duration) {
	if values := c.Values(r); token == "" || len(values) == 1 && values[0] == token {
		return
	}
	c.Set(w, token, life)
}

// Clear takes it back.
func (c Cookie) Clear(w http.ResponseWriter) {
	cookie := c.with("")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// Values are the tokens of a request: more than one if another host of the domain
// has set one of the same name.
func (c Cookie) Values(r *http.Request) (tokens []string) {
	for _, cookie := range r.CookiesNamed(c.Name) {
		tokens = append(tokens, cookie.Value)
	}
	return tokens
}

// Value is the token of a request, and "" if there is none or more than one.
func (c Cookie) Value(r *http.Request) string {
	if values := c.Values(r); len(values) == 1 {
		return values[0]
	}
	return ""
}

func (c Cookie) with(value string) *http.Cookie {
	return &http.Cookie{Name: c.Name, Value: value, Path: "/", Domain: c.Domain,
		Secure: c.Secure, HttpOnly: true, SameSite: c.SameSite}
}
