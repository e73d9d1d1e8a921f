package server

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
)

// For programs that embed the server: the same check that stands before
// /api/auth/*, before routes of their own.

type identityKey struct{}

// Require returns a middleware that lets requests pass whose access token is
// valid, on a live session, and whose user has all the roles. It answers others
// as the API does: 401 or 403 problem+json with WWW-Authenticate (RFC 6750,
// section 3), 503 if the store is away. Handlers find who asks by FromContext.
//
// Only the Authorization header counts, never the refresh cookie, so that
// another site's page can't use these routes.
func (s *Server) Require(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, err := s.authenticate(r, roles)
			if err != nil {
				w.Header().Set(requestIDHeader, uuid.NewString())
				s.secure(w.Header(), api)
				s.fail(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, who)))
		})
	}
}

// FromContext returns who asks, behind Require.
func FromContext(ctx context.Context) (who watchword.Identity, ok bool) {
	who, ok = ctx.Value(identityKey{}).(watchword.Identity)
	return who, ok
}
