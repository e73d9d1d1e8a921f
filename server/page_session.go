package server

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

// Pages identify the session by the refresh cookie, as the API does, and by the page cookie (cookieSet.pageToken).
// The page cookie holds an access token and expires with it. Because of the page cookie, a click does not rotate the
// refresh token (docs/pages.md).

const (
	pathAccount = "/account"
	pathLogin   = "/login"
	pathForgot  = "/forgot"
)

// redirectSignedOut clears the cookies and the browser's cache, so that the back button does not show the account.
// The login page shows the reason. Clear-Site-Data clears only the cache, because clearing all cookies would sign the
// user out of front-ends on the domain.
func (p *pages) redirectSignedOut(w http.ResponseWriter, r *http.Request, why string) {
	p.cookies.clearSessionCookies(w)
	w.Header().Set("Clear-Site-Data", `"cache"`)
	p.redirect(w, pathLogin, p.withReturnTo(r, url.Values{"why": {why}}))
}

// A visitor is the reader of a page, who may be signed out. The login page is for visitors without a session, so a
// missing session is not an error.
type visitor struct {
	watchword.Identity
	signedIn bool
	// reason tells why the user is signed out: "", "ended" or "reused".
	reason string
}

// identifyVisitor reads the page cookie, falling back to the refresh cookie, which it rotates. Two tabs that rotate
// the cookie at the same time get the same successor.
func (p *pages) identifyVisitor(w http.ResponseWriter, r *http.Request) (visitor, error) {
	// If there are two page cookies, another host of the domain may have set one of them, so the server ignores both.
	if cookies := p.cookies.pageToken.Values(r); len(cookies) == 1 {
		who, err := p.engine.Authenticate(r.Context(), watchword.Secret(cookies[0]))
		var refusal *watchword.Error
		if err == nil {
			return visitor{Identity: who, signedIn: true}, nil
		}
		if !errors.As(err, &refusal) {
			return visitor{}, err
		}
		p.errors.logRefusal(w, r, refusal)
	}
	token, byCookie, err := p.cookies.readRefreshToken(r, "")
	if err != nil || !byCookie {
		return visitor{}, err
	}
	in, err := p.engine.Refresh(r.Context(), token, p.clients.readClient(w, r))
	if isReplacedSession(err) {
		return visitor{}, nil // the cookies stay, because they may be those of the later sign-in
	}
	if why := signOutReason(err); why != "" {
		p.errors.logIfRefusal(w, r, err)
		p.cookies.clearSessionCookies(w)
		return visitor{reason: why}, nil
	}
	if err != nil {
		return visitor{}, err
	}
	// Refresh does not return an Identity. Authenticate also checks that the account was not disabled after the
	// refresh.
	who, err := p.engine.Authenticate(r.Context(), in.AccessToken)
	if isReplacedSession(err) {
		return visitor{}, nil
	}
	if why := signOutReason(err); why != "" { // the session ended after the refresh
		p.cookies.clearSessionCookies(w)
		return visitor{reason: why}, nil
	}
	if err != nil {
		return visitor{}, err
	}
	p.cookies.setRotatedToken(w, r, in)
	p.cookies.setPageToken(w, in)
	return visitor{Identity: who, signedIn: true}, nil
}

// signOutReason returns "" if err does not sign the user out. After a reuse, both clients that hold the session's
// tokens see "reused", because the server can't know which of them is the owner.
func signOutReason(err error) string {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return ""
	}
	switch refusal.Code {
	case watchword.CodeRefreshReused:
		return "reused"
	case watchword.CodeSessionEnded, watchword.CodeRefreshInvalid,
		watchword.CodeRefreshMissing: // the cookie is empty
		if refusal.Ended == watchword.EndedReuse {
			return "reused"
		}
		return "ended"
	}
	return ""
}

// isReplacedSession reports whether a later sign-in in the same browser ended the session. If so, callers show no
// warning and keep the cookies, which belong to the later sign-in.
func isReplacedSession(err error) bool {
	var refusal *watchword.Error
	return errors.As(err, &refusal) && refusal.Ended == watchword.EndedReplaced
}

// requireSignIn redirects a signed-out user to the login page. If the user followed a link on another site, the browser
// omits the cookies even of a signed-in user. The page of showReload then makes the browser send them.
func (p *pages) requireSignIn(next identityHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if p.isCrossSiteVisit(r) {
			return p.showReload(w, r)
		}
		who, err := p.identifyVisitor(w, r)
		if err != nil {
			return err
		}
		if !who.signedIn {
			p.redirect(w, pathLogin, p.signInQuery(r, who.reason))
			return nil
		}
		return next(w, r, who.Identity)
	}
}

// signInQuery returns the query of the redirect to the login page. After the sign-in, return_to leads to the page
// that the visitor opened, or to the account page if the request was a form. return_to is omitted if a sign-in leads
// to the account page anyway.
func (p *pages) signInQuery(r *http.Request, why string) url.Values {
	query, path := url.Values{"why": {why}}, p.role.homePath()
	if r.Method == http.MethodGet {
		path = r.URL.Path
	}
	account := p.withReturnTo(r, url.Values{}).Encode()
	if path == pathAccount && account == "" && p.origins.appURL == "" {
		return query
	}
	target := p.origins.publicURL + path
	if account != "" {
		target += "?" + account
	}
	query.Set("return_to", target)
	return query
}

// isCrossSiteVisit reports whether the user followed a link from another site. The browser then omits this server's
// SameSite=Strict cookies, so the user may be signed in although the cookies are missing. Other cookies of the domain
// are ignored.
func (p *pages) isCrossSiteVisit(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site" && !p.cookies.hasSessionCookie(r)
}

// showReload shows a page that loads the same URL again. The second request comes from this server's page, so the
// browser sends the cookies. The new URL omits the query parameters done and why, because the other site may have set
// them. The page also has a link, for browsers that don't follow the refresh.
func (p *pages) showReload(w http.ResponseWriter, r *http.Request) error {
	v := p.newView(r, "again")
	again, query := *r.URL, r.URL.Query()
	// A value that is also in the notice cookie is kept, because this server has set it. This happens after a failed
	// sign-in at a provider, because the browser then returns from another site.
	for _, name := range []string{"done", "why"} {
		if said := query.Get(name); said == "" || p.cookies.notice.Value(r) != name+"."+said {
			query.Del(name)
		}
	}
	again.RawQuery = query.Encode()
	v.Title, v.Data = v.T("error.moment"), again.RequestURI()
	return p.show(w, http.StatusOK, v)
}

// noticeLife is enough for a browser to follow a redirect. An older notice would appear on an unrelated page.
const noticeLife = time.Minute

// takeNotice returns the query parameter only if the notice cookie has the same value, else "". It clears the cookie,
// so that a message is shown once.
func (p *pages) takeNotice(w http.ResponseWriter, r *http.Request, name string) string {
	cookie := p.cookies.notice
	said, isSaid := strings.CutPrefix(cookie.Value(r), name+".")
	if !isSaid {
		return ""
	}
	cookie.Clear(w)
	// The notice belongs to a redirect in another tab.
	if said != r.URL.Query().Get(name) {
		return ""
	}
	return said
}

// redirect makes the browser open target with GET (303, RFC 9110, section 15.4.4). It copies the query parameters why
// and done into the notice cookie, which takeNotice reads. The cookie proves that the notice comes from this server
// and not from the author of a link.
func (p *pages) redirect(w http.ResponseWriter, target string, query url.Values) {
	if query.Get("why") == "" {
		query.Del("why")
	}
	for _, name := range []string{"why", "done"} {
		if said := query.Get(name); said != "" {
			p.cookies.notice.Set(w, name+"."+said, noticeLife)
		}
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

// maxReturnTo bounds return_to in bytes, because it becomes part of links in mails.
const maxReturnTo = 1000

// returnTo is "" if the form or the URL has no allowed return_to. It ignores a forbidden target, because the sign-in
// itself is valid. Each page checks the target again, because users can edit a link in a mail, and allowed-origins
// may have changed.
func (p *pages) returnTo(r *http.Request) string {
	target := cmp.Or(r.PostForm.Get("return_to"), r.URL.Query().Get("return_to"))
	if len(target) > maxReturnTo || !p.origins.mayRedirectTo(target) {
		return ""
	}
	return target
}

// signInTarget returns the URL to open after a sign-in: return_to, else the front-end, else the account page. On the
// admin listener, the overview of the admin pages replaces the account page.
func (p *pages) signInTarget(r *http.Request) string {
	return cmp.Or(p.returnTo(r), p.origins.appURL, p.role.homePath())
}

// clientWithReturn returns the client of the request with its return_to. If the engine sends a mail, the link in the
// mail keeps return_to.
func (p *pages) clientWithReturn(w http.ResponseWriter, r *http.Request) watchword.Client {
	c := p.clients.readClient(w, r)
	c.ReturnTo = p.returnTo(r)
	return c
}

// withReturnTo changes the query that it gets, and returns it for use in an expression.
func (p *pages) withReturnTo(r *http.Request, query url.Values) url.Values {
	if target := p.returnTo(r); target != "" {
		query.Set("return_to", target)
	}
	return query
}
