package server

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
)

// Programs that embed the server protect their own routes with Require, which makes the
// same check as the API. After the program's own check of a user, AdmitUser signs the
// browser in.

// identityKey is a private type, so that no other package can set or replace the identity in
// a context.
type identityKey struct{}

// Require returns a middleware that passes requests on if the access token is valid, the
// session is live, and the user has all the roles. Handlers get the user from FromContext.
//
// It responds to other requests as the API does: 401 or 403 as problem+json with
// WWW-Authenticate (RFC 6750, section 3), and 503 if the store is unavailable.
//
// Only the Authorization header counts, never the refresh cookie, so pages of other
// sites can't use these routes.
func (s *Server) Require(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, err := authenticate(s.engine, r, roles)
			if err != nil {
				// The error response needs a request id and the security headers. The server's own middlewares set
				// them, but do not run here.
				w.Header().Set(requestIDHeader, uuid.NewString())
				setSecurityHeaders(w.Header(), s.origins.isHTTPS(), pathAPI)
				s.errors.respondError(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, who)))
		})
	}
}

// AdmitUser signs the browser of a request in, after the application's own check of the user
// (watchword.Operator.AdmitUser). It fills in Client and Replaces and sets the same cookies as
// the sign-in page. Before the call, check that the request doesn't come from another site,
// for example with http.CrossOriginProtection. Otherwise a stranger's page can sign a visitor
// in.
//
// On an error it writes nothing. The codes are those of Operator.AdmitUser.
func (s *Server) AdmitUser(w http.ResponseWriter, r *http.Request, admit watchword.AdmitRequest) (
	*watchword.SignIn, error,
) {
	admit.Client, admit.Replaces = s.clients.readClient(w, r), s.cookies.tokenToReplace(r, "")
	in, err := s.engine.Operator().AdmitUser(r.Context(), admit)
	if err == nil {
		s.cookies.setPageSessionCookies(w, r, in)
	}
	return in, err
}

// FromContext returns the caller of a request that passed Require. Without Require, ok is
// false.
func FromContext(ctx context.Context) (who watchword.Identity, ok bool) {
	who, ok = ctx.Value(identityKey{}).(watchword.Identity)
	return who, ok
}
