package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

// Who looks at a page. Pages know the session by the refresh cookie, as the API
// does, and by a second cookie with the access token of that session: it saves a
// rotation at every click, and dies within access-ttl. Both are HttpOnly; the second
// one is always SameSite=Strict and bound to this host, and the API never reads it
// (docs/pages.md).

const (
	pathAccount = "/account"
	pathLogin   = "/login"
)

// redirectSignedOut leaves nothing of somebody in the browser, and says why.
func (p *pages) redirectSignedOut(w http.ResponseWriter, why string) {
	p.cookies.clearSession(w)
	w.Header().Set("Clear-Site-Data", `"cache"`)
	p.redirect(w, pathLogin, url.Values{"why": {why}})
}

// A visitor is who looks at a page. One who is not signed in may have a reason.
type visitor struct {
	watchword.Identity
	signedIn bool
	why      string // "", "ended" or "reused"
}

// visitor finds out who asks: by the page's cookie, else by the refresh cookie,
// which rotates. Two tabs that do so at once get the same successor.
func (p *pages) visitor(w http.ResponseWriter, r *http.Request) (visitor, error) {
	if cookies := p.cookies.page.Values(r); len(cookies) == 1 {
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
	token, byCookie, err := p.cookies.refreshToken(r, "")
	if err != nil || !byCookie {
		return visitor{}, err
	}
	in, err := p.engine.Refresh(r.Context(), token, p.clients.of(w, r))
	if isReplaced(err) {
		return visitor{}, nil // the browser may hold the cookies of the later sign-in already
	}
	if why := signOutReason(err); why != "" {
		p.errors.logRefused(w, r, err)
		p.cookies.clearSession(w)
		return visitor{why: why}, nil
	}
	if err != nil {
		return visitor{}, err
	}
	who, err := p.engine.Authenticate(r.Context(), in.AccessToken)
	if isReplaced(err) {
		return visitor{}, nil
	}
	if why := signOutReason(err); why != "" { // this very moment
		p.cookies.clearSession(w)
		return visitor{why: why}, nil
	}
	if err != nil {
		return visitor{}, err
	}
	p.cookies.setSession(w, r, in)
	return visitor{Identity: who, signedIn: true}, nil
}

// signOutReason is why somebody is signed out; empty: that is not what err says. Of two who
// held one session, one makes the reuse known; the other is told as well, for either
// may be the owner.
func signOutReason(err error) string {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return ""
	}
	switch refusal.Code {
	case watchword.CodeRefreshReused:
		return "reused"
	case watchword.CodeSessionEnded, watchword.CodeRefreshInvalid, watchword.CodeRefreshMissing: // an empty cookie
		if refusal.Ended == watchword.EndedReuse {
			return "reused"
		}
		return "ended"
	}
	return ""
}

// isReplaced reports whether a sign-in over its cookie ended the session.
func isReplaced(err error) bool {
	var refusal *watchword.Error
	return errors.As(err, &refusal) && refusal.Ended == watchword.EndedReplaced
}

// known lets a request pass that is signed in, and sends others to sign in.
func (p *pages) requireSignIn(next identityHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if p.isCrossSiteVisit(r) {
			return p.reload(w, r)
		}
		who, err := p.visitor(w, r)
		if err != nil {
			return err
		}
		if !who.signedIn {
			p.redirect(w, pathLogin, url.Values{"why": {who.why}})
			return nil
		}
		return next(w, r, who.Identity)
	}
}

// isCrossSiteVisit reports whether a link of another site led here: then the
// browser has kept our cookies to itself (SameSite=Strict), signed in or not. It may
// have sent others, of the domain above.
func (p *pages) isCrossSiteVisit(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site" && !p.cookies.hasSession(r)
}

// reload lets the browser ask again by itself: from a page of ours.
func (p *pages) reload(w http.ResponseWriter, r *http.Request) error {
	v := p.newView(r, "again")
	again, query := *r.URL, r.URL.Query()
	query.Del("done")
	query.Del("why")
	again.RawQuery = query.Encode()
	v.Title, v.Data = v.T("error.moment"), again.RequestURI()
	return p.show(w, http.StatusOK, v)
}

// noticeLife is how long a browser may take to follow a redirect.
const noticeLife = time.Minute

// flash returns what the query says, once, if a redirect of this server said so too.
func (p *pages) flash(w http.ResponseWriter, r *http.Request, name string) string {
	cookie := p.cookies.notice
	said, isSaid := strings.CutPrefix(cookie.Value(r), name+".")
	if !isSaid {
		return ""
	}
	cookie.Clear(w)
	if said != r.URL.Query().Get(name) {
		return ""
	}
	return said
}

// redirect leads on after a form (RFC 9110, section 15.4.4).
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

// returnTo is where a sign-in leads: to a front-end of the list, or to the account.
func (p *pages) returnTo(target string) string {
	if target != "" && p.origins.mayRedirectTo(target) {
		return target
	}
	return pathAccount
}
