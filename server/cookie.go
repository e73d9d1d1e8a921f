package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

// Browsers keep the refresh token in a cookie that scripts can't read. If a request sends the token in this cookie,
// the response sends the new token in the cookie. If a request sends the token in the body, the response sends the
// new token in the body. Therefore a script can't use a refresh to read the token of the cookie.

// deliveryBody is the value of the member `delivery` with which a client asks for the refresh token in the response
// body.
const deliveryBody = "body"

// A cookieSet has the cookies that the server reads and writes. All of them are HttpOnly.
type cookieSet struct {
	refresh tokencookie.Pair
	// pageToken holds an access token that identifies the user on the HTML pages. Without this cookie, each
	// page view would have to rotate the refresh token. The cookie is always SameSite=Strict and valid for one host.
	// The API never reads it.
	pageToken tokencookie.Cookie
	// notice holds the name of the message that a redirect shows on the next page, such as "why.reused". Only this
	// server can set it, so a link on another site can't cause a false alarm.
	notice tokencookie.Cookie
	// knownDevice identifies a browser that has signed in before. It is not a credential, so a request with
	// only this cookie needs no Origin.
	knownDevice tokencookie.Pair
	// secondStep holds the handle of a sign-in that still needs a second factor. The handle alone does not open
	// a session. The CSRF check treats this cookie as a credential, because another site could otherwise add its own
	// factor to the waiting sign-in.
	secondStep tokencookie.Cookie
	// providerAttempt holds a sealed sign-in attempt at a provider. attemptCookie appends a part of the state to its
	// name. The cookie is SameSite=Lax, because the browser returns from the provider, which is another site.
	providerAttempt tokencookie.Cookie
	// identityLink holds the handle of a provider's identity that is not yet connected to an account. The next
	// sign-in, on a page or in a front-end, connects the identity to the account that signs in. The cookie has the
	// attributes of the refresh cookie, so that every request that can sign in sends it.
	identityLink tokencookie.Pair
	// onSignIn runs after each sign-in that sets cookies. With providers, it connects a waiting identity and updates
	// the attempts at providers in this browser.
	onSignIn func(http.ResponseWriter, *http.Request, *watchword.SignIn)
	// rememberedDevice marks a browser that may skip the second factor. It is always SameSite=Strict. The APIs of
	// dialects can't read it, so they never sign in to an account that has a factor.
	rememberedDevice tokencookie.Cookie

	dialectCookies []string
}

// newCookies returns the cookies of a listener. The prefix __Host- makes the browser check Secure, Path and Domain
// (RFC 6265bis), so a subdomain can't set a cookie with such a name. Browsers accept the prefix only from https, so a
// development server on http omits it.
//
// The cookies of the admin listener have different names, and the parameter box seals their values. Browsers send
// cookies to every port of a host, so two listeners on one host receive each other's cookies. Because the values are
// sealed, a token of one listener can't be used at the other.
func newCookies(o Options, https bool, d dialectList, box tokencookie.Box) *cookieSet {
	prefix := "watchword-"
	if box != nil {
		prefix = adminCookie + "-"
	}
	if https {
		prefix = "__Host-" + prefix
	}
	cookie := func(name string, site http.SameSite) tokencookie.Cookie {
		return tokencookie.Cookie{Name: prefix + name, Secure: https, SameSite: site, Box: box}
	}
	c := &cookieSet{
		refresh: tokencookie.Pair{Usual: tokencookie.Cookie{
			Name: o.CookieName, Domain: o.CookieDomain, Secure: https, SameSite: o.CookieSameSite, Box: box}},
		pageToken:       cookie("page", http.SameSiteStrictMode),
		notice:          cookie("notice", http.SameSiteLaxMode),
		knownDevice:     tokencookie.KnownDevice(https, o.CookieSameSite),
		secondStep:      cookie("step", o.CookieSameSite),
		providerAttempt: cookie("with-", http.SameSiteLaxMode),
		identityLink:    tokencookie.Pair{Usual: cookie("link", o.CookieSameSite)},
		onSignIn:        func(http.ResponseWriter, *http.Request, *watchword.SignIn) {},
		dialectCookies:  d.credentialCookies(),

		rememberedDevice: cookie("device", http.SameSiteStrictMode),
	}
	if box != nil {
		c.knownDevice.Usual = cookie("known", o.CookieSameSite)
	}
	return c
}

// readRefreshToken returns the refresh token of the cookie or of the body. byCookie is true if the request has the
// cookie, even with an empty value. A request with two tokens is an error. A normal and a partitioned cookie do not
// count as two tokens, because the request uses only one of them (tokencookie.Pair).
func (c *cookieSet) readRefreshToken(r *http.Request, body string) (token watchword.Secret, byCookie bool, err error) {
	used := c.refresh.Presented(r)
	_, err = apirequest.CookieToken(r, used.Name)
	cookie := used.Value(r)
	byCookie = len(used.Values(r)) > 0
	switch {
	case err != nil:
		return "", false, err
	case byCookie && body != "":
		return "", false, &watchword.Error{Code: apirequest.CodeAmbiguousCredentials,
			Detail: "There is a refresh token in the cookie and one in the body. Send one of them."}
	case byCookie:
		return watchword.Secret(cookie), true, nil
	}
	return watchword.Secret(body), false, nil
}

// endUnusedSession ends the session of the refresh cookie that the request does not use. A browser can have a normal
// and a partitioned refresh cookie, but a request uses only one of them. Every sign-out calls endUnusedSession,
// because the unused cookie could otherwise sign the user in again.
func (c *cookieSet) endUnusedSession(e *watchword.Engine, r *http.Request, by watchword.Client) error {
	for _, token := range c.refresh.Unused(r) {
		if err := e.Logout(r.Context(), watchword.Secret(token), "", by); err != nil {
			return err
		}
	}
	return nil
}

// setSessionCookies lets the refresh cookie expire with the session, so that browsers do not send tokens of an
// expired session.
func (c *cookieSet) setSessionCookies(w http.ResponseWriter, r *http.Request, in *watchword.SignIn) {
	c.refresh.SignIn(w, r, string(in.RefreshToken), in.RefreshLife)
	c.setKnownDevice(w, r, in.DeviceToken)
	c.onSignIn(w, r, in)
	if in.Remembered != "" {
		c.rememberedDevice.Set(w, string(in.Remembered), in.RememberedFor)
	}
}

// setRotatedToken puts the new refresh token into the cookie whose token was rotated. If the browser has a normal and
// a partitioned cookie, the other one is not changed, because it may belong to another session.
func (c *cookieSet) setRotatedToken(w http.ResponseWriter, r *http.Request, in *watchword.SignIn) {
	c.refresh.Rotate(w, r, string(in.RefreshToken), in.RefreshLife)
}

// setPageToken makes the browser delete the cookie on exit, unless the session is persistent. If the refresh cookie
// is SameSite=None, the server uses no page cookie. A sign-in from another site could then change the refresh cookie,
// but not the page cookie, which is SameSite=Strict. The two cookies would belong to different users.
func (c *cookieSet) setPageToken(w http.ResponseWriter, in *watchword.SignIn) {
	if c.refresh.Usual.SameSite == http.SameSiteNoneMode {
		return
	}
	life := in.ExpiresIn
	if !in.Session.Persistent {
		life = 0
	}
	c.pageToken.Set(w, string(in.AccessToken), life)
}

// setPageSessionCookies is for a sign-in on a page: it also sets the page cookie.
func (c *cookieSet) setPageSessionCookies(w http.ResponseWriter, r *http.Request, in *watchword.SignIn) {
	c.setSessionCookies(w, r, in)
	c.setPageToken(w, in)
}

// clearSessionCookies keeps the known-device cookie. The device remains known after a sign-out, because its token
// grants no access.
func (c *cookieSet) clearSessionCookies(w http.ResponseWriter) {
	c.refresh.Clear(w)
	c.pageToken.Clear(w)
}

// setKnownDevice sets no cookie if the browser already has this token.
func (c *cookieSet) setKnownDevice(w http.ResponseWriter, r *http.Request, token watchword.Secret) {
	c.knownDevice.Renew(w, r, string(token), tokencookie.KnownDeviceLife)
}

// tokenToReplace returns the refresh token of the cookie that a sign-in will overwrite, or "". The engine ends the
// session of this token, because the browser will not have the token any more.
func (c *cookieSet) tokenToReplace(r *http.Request, delivery string) watchword.Secret {
	if delivery == deliveryBody {
		return ""
	}
	return watchword.Secret(c.refresh.Presented(r).Value(r))
}

// presentedTokens returns all tokens of a request that can identify a session: the bearer token, the refresh cookies
// and the dialects' cookies. It omits a cookie that the request contains twice. It does not verify the tokens. If one
// of the tokens belongs to a live session of the account, a verification link needs no password.
func (c *cookieSet) presentedTokens(r *http.Request) (tokens []watchword.Secret) {
	if bearer, err := apirequest.BearerToken(r); err == nil && bearer != "" {
		tokens = append(tokens, watchword.Secret(bearer))
	}
	for _, name := range append(c.refresh.Names(), c.dialectCookies...) {
		if token, err := apirequest.CookieToken(r, name); err == nil && token != "" {
			tokens = append(tokens, watchword.Secret(token))
		}
	}
	return tokens
}

// presentedPageTokens adds the page cookie as the last token, where stepUpUser expects it.
func (c *cookieSet) presentedPageTokens(r *http.Request) []watchword.Secret {
	tokens := c.presentedTokens(r)
	if values := c.pageToken.Values(r); len(values) == 1 {
		tokens = append(tokens, watchword.Secret(values[0]))
	}
	return tokens
}

// hasCredentialCookie reports whether a request has a cookie that identifies a user or continues a sign-in. Browsers
// attach cookies automatically, so another site may have forged such a request. hasCredentialCookie does not check
// the values, because a valid cookie can be temporarily unverifiable, such as during an outage of the store.
func (c *cookieSet) hasCredentialCookie(r *http.Request) bool {
	names := slices.Concat(c.refresh.Names(), c.identityLink.Names(),
		[]string{c.pageToken.Name, c.secondStep.Name, c.rememberedDevice.Name})
	return slices.ContainsFunc(r.Cookies(), func(cookie *http.Cookie) bool {
		return slices.Contains(names, cookie.Name) || slices.Contains(c.dialectCookies, cookie.Name) ||
			strings.HasPrefix(cookie.Name, c.providerAttempt.Name)
	})
}

// hasSessionCookie reports whether a request has the refresh cookie or the page cookie. It does not check the tokens,
// because callers only need to know whether the browser has sent these cookies.
func (c *cookieSet) hasSessionCookie(r *http.Request) bool {
	return c.refresh.IsIn(r) || len(c.pageToken.Values(r)) > 0
}
