package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

// The refresh token in a browser: a cookie that no script reads. What came by
// cookie is answered by cookie, and what came in a body in a body, so that a
// script can never turn the one into the other.

// deliveryBody is the value of `delivery` that asks for the token in the body.
const deliveryBody = "body"

func (s *Server) refreshCookie() tokencookie.Cookie {
	return tokencookie.Cookie{Name: s.opts.CookieName, Domain: s.opts.CookieDomain, Secure: s.https, SameSite: s.opts.CookieSameSite}
}

// refreshToken returns the token of a request, and whether it came by cookie.
func (s *Server) refreshToken(r *http.Request, body string) (token watchword.Secret, byCookie bool, err error) {
	cookie, err := apirequest.CookieToken(r, s.opts.CookieName)
	byCookie = len(s.refreshCookie().Values(r)) > 0 // an empty one is one
	switch {
	case err != nil:
		return "", false, err
	case byCookie && body != "":
		return "", false, &watchword.Error{Code: watchword.CodeAmbiguousCredentials,
			Detail: "There is a refresh token in the cookie and one in the body. Send one of them."}
	case byCookie:
		return watchword.Secret(cookie), true, nil
	}
	return watchword.Secret(body), false, nil
}

// setCookie hands out the refresh token.
func (s *Server) setCookie(w http.ResponseWriter, in *watchword.SignIn) {
	s.refreshCookie().Set(w, string(in.RefreshToken), in.RefreshLife())
}

// knownCookie makes the browser a known device of the account that last signed in
// there. It is no credential: a request may carry it and not tell where it is from.
func (s *Server) knownCookie() tokencookie.Cookie {
	return tokencookie.KnownDevice(s.https, s.opts.CookieSameSite)
}

// rememberDevice hands out the token of a known device, unless the browser has it.
func (s *Server) rememberDevice(w http.ResponseWriter, r *http.Request, token watchword.Secret) {
	s.knownCookie().Renew(w, r, string(token), tokencookie.KnownDeviceLife)
}

// replacedToken is the refresh token in the cookie that a sign-in overwrites, if it
// overwrites one.
func (s *Server) replacedToken(r *http.Request, delivery string) watchword.Secret {
	if delivery == deliveryBody {
		return ""
	}
	return watchword.Secret(s.refreshCookie().Value(r))
}

func (s *Server) clearCookie(w http.ResponseWriter) { s.refreshCookie().Clear(w) }
