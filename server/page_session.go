package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/tokencookie"
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

func (s *Server) pageCookie() tokencookie.Cookie {
	name := "watchword-page"
	if s.https {
		name = "__Host-watchword-page"
	}
	return tokencookie.Cookie{Name: name, Secure: s.https, SameSite: http.SameSiteStrictMode}
}

// enter hands out both cookies. Neither outlives the browser if the session is not
// to. Where the refresh cookie goes along from other sites (SameSite=None), somebody
// may sign in there while the browser keeps this one back: then there is only one.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, in *watchword.SignIn) {
	s.setCookie(w, in)
	s.rememberDevice(w, r, in.DeviceToken)
	if s.opts.CookieSameSite == http.SameSiteNoneMode {
		return
	}
	life := in.ExpiresIn
	if !in.Session.Persistent {
		life = 0
	}
	s.pageCookie().Set(w, string(in.AccessToken), life)
}

// leave takes both back.
func (s *Server) leave(w http.ResponseWriter) {
	s.clearCookie(w)
	s.pageCookie().Clear(w)
}

// goodbye leaves nothing of somebody in the browser, and says why.
func (s *Server) goodbye(w http.ResponseWriter, why string) {
	s.leave(w)
	w.Header().Set("Clear-Site-Data", `"cache"`)
	s.redirect(w, pathLogin, url.Values{"why": {why}})
}

// A visitor is who looks at a page. One who is not signed in may have a reason.
type visitor struct {
	watchword.Identity
	signedIn bool
	why      string // "", "ended" or "reused"
}

// visitor finds out who asks: by the page's cookie, else by the refresh cookie,
// which rotates. Two tabs that do so at once get the same successor.
func (s *Server) visitor(w http.ResponseWriter, r *http.Request) (visitor, error) {
	if cookies := s.pageCookie().Values(r); len(cookies) == 1 {
		who, err := s.engine.Authenticate(r.Context(), watchword.Secret(cookies[0]))
		var refusal *watchword.Error
		if err == nil {
			return visitor{Identity: who, signedIn: true}, nil
		}
		if !errors.As(err, &refusal) {
			return visitor{}, err
		}
		s.logRefusal(w, r, refusal)
	}
	token, byCookie, err := s.refreshToken(r, "")
	if err != nil || !byCookie {
		return visitor{}, err
	}
	in, err := s.engine.Refresh(r.Context(), token, s.clientOf(w, r))
	if isReplaced(err) {
		return visitor{}, nil // the browser may hold the cookies of the later sign-in already
	}
	if why := whyOut(err); why != "" {
		s.logRefused(w, r, err)
		s.leave(w)
		return visitor{why: why}, nil
	}
	if err != nil {
		return visitor{}, err
	}
	who, err := s.engine.Authenticate(r.Context(), in.AccessToken)
	if isReplaced(err) {
		return visitor{}, nil
	}
	if why := whyOut(err); why != "" { // this very moment
		s.leave(w)
		return visitor{why: why}, nil
	}
	if err != nil {
		return visitor{}, err
	}
	s.enter(w, r, in)
	return visitor{Identity: who, signedIn: true}, nil
}

// whyOut is why somebody is signed out; empty: that is not what err says. Of two who
// held one session, one makes the reuse known; the other is told as well, for either
// may be the owner.
func whyOut(err error) string {
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
func (s *Server) known(next func(http.ResponseWriter, *http.Request, watchword.Identity) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.comesFromElsewhere(r) {
			return s.comeAgain(w, r)
		}
		who, err := s.visitor(w, r)
		if err != nil {
			return err
		}
		if !who.signedIn {
			s.redirect(w, pathLogin, url.Values{"why": {who.why}})
			return nil
		}
		return next(w, r, who.Identity)
	}
}

// comesFromElsewhere reports whether a link of another site led here: then the
// browser has kept our cookies to itself (SameSite=Strict), signed in or not. It may
// have sent others, of the domain above.
func (s *Server) comesFromElsewhere(r *http.Request) bool {
	ours := len(s.refreshCookie().Values(r)) + len(s.pageCookie().Values(r))
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site" && ours == 0
}

// comeAgain lets the browser ask again by itself: from a page of ours.
func (s *Server) comeAgain(w http.ResponseWriter, r *http.Request) error {
	v := s.newView(r, "again")
	again, query := *r.URL, r.URL.Query()
	query.Del("done")
	query.Del("why")
	again.RawQuery = query.Encode()
	v.Title, v.Data = v.T("error.moment"), again.RequestURI()
	return s.show(w, http.StatusOK, v)
}

// noticeLife is how long a browser may take to follow a redirect.
const noticeLife = time.Minute

// noticeCookie holds what a redirect tells the next page, such as "why.reused". Only
// this server can set it, so a link of a stranger can't raise an alarm or claim that a
// password was changed.
func (s *Server) noticeCookie() tokencookie.Cookie {
	name := "watchword-notice"
	if s.https {
		name = "__Host-" + name
	}
	return tokencookie.Cookie{Name: name, Secure: s.https, SameSite: http.SameSiteLaxMode}
}

// flash returns what the query says, once, if a redirect of this server said so too.
func (s *Server) flash(w http.ResponseWriter, r *http.Request, name string) string {
	cookie := s.noticeCookie()
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
func (s *Server) redirect(w http.ResponseWriter, target string, query url.Values) {
	if query.Get("why") == "" {
		query.Del("why")
	}
	for _, name := range []string{"why", "done"} {
		if said := query.Get(name); said != "" {
			s.noticeCookie().Set(w, name+"."+said, noticeLife)
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
func (s *Server) returnTo(target string) string {
	if target != "" && s.mayRedirectTo(target) {
		return target
	}
	return pathAccount
}
