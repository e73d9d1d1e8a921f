package server

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
)

// Programs that embed the server protect their own routes with Require, which makes the
// same check as the API.

// identityKey is a type of its own, so no other package can set or replace the identity in a
// context.
type identityKey struct{}

// Require returns a middleware that passes requests on if the access token is valid, the
// session is live, and the user has all the roles. Handlers get the user from FromContext.
//
// It responds to other requests as the API does: 401 or 403 as problem+json with
// WWW-Authenticate (RFC 6750, section 3), and 503 if the store is unavailable.
//
// Only the Authorization header counts, never the refresh cookie. Pages of other sites
// therefore can't use these routes.
func (s *Server) Require(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, err := authenticate(s.engine, r, roles)
			if err != nil {
				// The request has not passed the server's own middlewares.
				w.Header().Set(requestIDHeader, uuid.NewString())
				setSecurityHeaders(w.Header(), s.origins.isHTTPS(), pathAPI)
				s.errors.fail(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, who)))
		})
	}
}

// FromContext returns the caller of a request that passed Require. It returns false for ok
// outside of Require.
func FromContext(ctx context.Context) (who watchword.Identity, ok bool) {
	who, ok = ctx.Value(identityKey{}).(watchword.Identity)
	return who, ok
}
