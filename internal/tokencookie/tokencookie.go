// Package tokencookie stores tokens in HttpOnly cookies. To delete a cookie, it repeats the attributes with which the
// cookie was set, because browsers would otherwise keep the cookie (RFC 6265bis).
//
// It does not know the purpose of a token, except for known devices.
package tokencookie

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Cookie describes a cookie without its value.
type Cookie struct {
	Name     string
	Domain   string // "" means only the host that sets it
	Secure   bool   // set if browsers reach the host by https
	SameSite http.SameSite

	Partitioned bool // browsers keep it separately for each site that the user visits

	Box Box // nil: the cookie contains the token unencrypted
}

// A Box encrypts tokens. An encrypted token works only in the cookie for which it was encrypted.
type Box interface {
	Seal(context string, plain []byte) []byte
	Open(context string, sealed []byte) ([]byte, error)
}

// KnownDeviceLife is the lifetime of the known-device cookie, the maximum in browsers.
const KnownDeviceLife = 400 * 24 * time.Hour

// KnownDevice returns the cookies that identify a browser that has signed in before. They
// are valid for one host only, even if the refresh cookie has a domain.
func KnownDevice(secure bool, sameSite http.SameSite) Pair {
	name := "watchword-known"
	if secure {
		name = "__Host-" + name
	}
	return Pair{Cookie{Name: name, Secure: secure, SameSite: sameSite}}
}

// Check returns an error if browsers would reject the cookie, or net/http would not send
// it.
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
	return c.withValue("").Valid()
}

// maxCookieBytes is the limit of browsers for the name and the value of a cookie together (RFC 6265bis, section 5.6).
const maxCookieBytes = 4096

// Set stores a token for the time life, or until the browser closes if life is 0. A sealed token is a third longer.
// If a sealed token does not fit into a cookie, Set deletes the cookie, because browsers would otherwise keep the old
// token.
func (c Cookie) Set(w http.ResponseWriter, token string, life time.Duration) {
	if c.Box != nil {
		token = base64.RawURLEncoding.EncodeToString(c.Box.Seal(c.sealingContext(), []byte(token)))
		if len(c.Name)+len(token) > maxCookieBytes {
			c.Clear(w)
			return
		}
	}
	cookie := c.withValue(token)
	if life > 0 {
		cookie.MaxAge = max(int(life/time.Second), 1)
	}
	http.SetCookie(w, cookie)
}

// Clear deletes the cookie in the browser.
func (c Cookie) Clear(w http.ResponseWriter) {
	cookie := c.withValue("")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// Values returns the tokens in a request. There can be more than one if another host of the domain
// has set a cookie of the same name. With a Box, Values omits values that the Box can't open.
func (c Cookie) Values(r *http.Request) (tokens []string) {
	for _, cookie := range r.CookiesNamed(c.Name) {
		token := cookie.Value
		if c.Box != nil {
			sealed, err := base64.RawURLEncoding.DecodeString(token)
			if err != nil {
				continue
			}
			plain, err := c.Box.Open(c.sealingContext(), sealed)
			if err != nil {
				continue
			}
			token = string(plain)
		}
		tokens = append(tokens, token)
	}
	return tokens
}

// sealingContext binds a sealed token to the name of its cookie.
func (c Cookie) sealingContext() string { return "cookie " + c.Name }

// Value returns the token in a request, or "" if the request has no token or more than one.
func (c Cookie) Value(r *http.Request) string {
	if values := c.Values(r); len(values) == 1 {
		return values[0]
	}
	return ""
}

// isSentWith reports whether the request has the cookie, even an empty one.
func (c Cookie) isSentWith(r *http.Request) bool { return len(r.CookiesNamed(c.Name)) > 0 }

func (c Cookie) withValue(value string) *http.Cookie {
	return &http.Cookie{Name: c.Name, Value: value, Path: "/", Domain: c.Domain,
		Secure: c.Secure, HttpOnly: true, SameSite: c.SameSite, Partitioned: c.Partitioned}
}
