package server

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

// The refresh token in a browser: a cookie that no script reads. What came by
// cookie is answered by cookie, and what came in a body in a body, so that a
// script can never turn the one into the other.

// deliveryBody is the value of `delivery` that asks for the token in the body.
const deliveryBody = "body"

// checkCookie refuses a cookie that browsers would not keep (RFC 6265bis, section
// 5.7), or that net/http would not send.
func (s *Server) checkCookie() error {
	name, bound := s.opts.CookieName, strings.HasPrefix(s.opts.CookieName, "__Host-")
	switch {
	case (bound || strings.HasPrefix(name, "__Secure-")) && !s.https:
		return fmt.Errorf("browsers refuse %q over http", name)
	case bound && s.opts.CookieDomain != "":
		return fmt.Errorf("browsers refuse %q with a domain", name)
	case s.opts.CookieSameSite == http.SameSiteNoneMode && !s.https:
		return fmt.Errorf("browsers refuse %q with SameSite=None over http", name)
	}
	return s.cookie("").Valid()
}

// refreshToken returns the token of a request, and whether it came by cookie.
func (s *Server) refreshToken(r *http.Request, body string) (token watchword.Secret, byCookie bool, err error) {
	cookies := r.CookiesNamed(s.opts.CookieName)
	switch {
	case len(cookies) > 1:
		return "", false, &watchword.Error{Code: watchword.CodeAmbiguousCredentials,
			Detail: "There are two session cookies. They were cleared: sign in again."}
	case len(cookies) == 1 && body != "":
		return "", false, &watchword.Error{Code: watchword.CodeAmbiguousCredentials,
			Detail: "There is a refresh token in the cookie and one in the body. Send one of them."}
	case len(cookies) == 1:
		return watchword.Secret(cookies[0].Value), true, nil
	}
	return watchword.Secret(body), false, nil
}

// setCookie hands out the refresh token. It lives as long as the session would
// without another refresh, or, if that is not persistent, as long as the browser.
func (s *Server) setCookie(w http.ResponseWriter, in *watchword.SignIn) {
	cookie := s.cookie(string(in.RefreshToken))
	if in.Session.Persistent {
		life := in.RefreshExpires.Sub(in.Session.RotatedAt)
		cookie.MaxAge = max(int(life/time.Second), 1)
	}
	http.SetCookie(w, cookie)
}

// clearCookie removes it: with the same attributes, or browsers would not.
func (s *Server) clearCookie(w http.ResponseWriter) {
	cookie := s.cookie("")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

func (s *Server) cookie(value string) *http.Cookie {
	return &http.Cookie{
		Name:     s.opts.CookieName,
		Value:    value,
		Path:     "/",
		Domain:   s.opts.CookieDomain,
		Secure:   s.https,
		HttpOnly: true,
		SameSite: s.opts.CookieSameSite,
	}
}
