package verify

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// Require calls the handler next only for requests with a valid access token. In this handler, FromContext returns the
// identity. Require rejects every other request as RFC 6750 specifies.
//
// Its signature is func(http.Handler) http.Handler, the middleware type of net/http, chi and most routers. Put a CORS
// middleware in front of it, because CORS preflights have no token.
func (v *Verifier) Require(next http.Handler) http.Handler { return v.protect(allowAll, next) }

// RequireRole is like Require, and also requires at least one of the roles. Other users get 403.
func (v *Verifier) RequireRole(roles ...string) func(http.Handler) http.Handler {
	return v.middleware(func(identity *Identity, _ time.Time) *refusal {
		if slices.ContainsFunc(roles, identity.HasRole) {
			return nil
		}
		return insufficientRole()
	})
}

// RequireACR is like Require, and also requires that the token's `acr` is one of values, or a higher level than one
// of them. The levels are, in ascending order: "aal1", "aal2" (two factors) and "phr" (a passkey that verified the
// user). It rejects other tokens with 401 and a challenge that lists the values (RFC 9470).
func (v *Verifier) RequireACR(values ...string) func(http.Handler) http.Handler {
	return v.middleware(func(identity *Identity, _ time.Time) *refusal {
		if amr.Reaches(identity.ACR(), values...) {
			return nil
		}
		return stepUpRefusal(`acr_values="` + dropUnquotable(strings.Join(values, " ")) + `"`)
	})
}

// RequireRecent is like Require, and also requires that the user authenticated at most maxAge ago (`auth_time`). It
// rejects other tokens with 401 and a challenge that contains max_age (RFC 9470).
func (v *Verifier) RequireRecent(maxAge time.Duration) func(http.Handler) http.Handler {
	return v.middleware(func(identity *Identity, now time.Time) *refusal {
		if now.Sub(identity.AuthTime()) <= maxAge {
			return nil
		}
		return stepUpRefusal(`max_age="` + seconds(maxAge) + `"`)
	})
}

// Optional is like Require, but also calls the handler for requests without a token. Such requests have no identity. It
// rejects an invalid token, because the client assumes that the user is signed in.
func (v *Verifier) Optional(next http.Handler) http.Handler {
	required := v.Require(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, err := apirequest.BearerToken(r); err == nil && token == "" {
			next.ServeHTTP(w, v.withoutIdentityHeaders(r))
			return
		}
		required.ServeHTTP(w, r)
	})
}

// A rule checks an identity at the given time. It returns nil if the request is allowed, and otherwise the response
// to send.
type rule func(identity *Identity, now time.Time) *refusal

func allowAll(*Identity, time.Time) *refusal { return nil }

func (v *Verifier) middleware(r rule) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return v.protect(r, next) }
}

// protect first verifies the token and then applies the rule. If both succeed, it calls the handler. The handler's
// request has the identity in its context, and no headers of StripHeaders.
func (v *Verifier) protect(check rule, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := apirequest.BearerToken(r)
		if err != nil {
			v.sendRefusal(w, ambiguousCredentials())
			return
		}
		if token == "" {
			v.sendRefusal(w, tokenMissing())
			return
		}
		identity, err := v.Verify(r.Context(), token)
		if err != nil {
			v.sendRefusal(w, refusalForError(err))
			return
		}
		if refused := check(identity, v.opts.Now()); refused != nil {
			v.sendRefusal(w, refused)
			return
		}
		r = v.withoutIdentityHeaders(r)
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), identity)))
	})
}

// DefaultStripHeaders returns the headers in which gateways and frameworks send the user's identity. The middleware
// removes them, because clients can forge them and only the token proves the identity.
func DefaultStripHeaders() []string {
	return []string{
		"X-User", "X-User-*", "X-Username", "X-Userid", "X-Roles", "X-Role", "X-Groups", "X-Email",
		"X-Subject", "X-Session-Id",
		"X-Auth-User*", "X-Auth-Request-*", "X-Auth-Subject", "X-Auth-Roles", "X-Auth-Session", "X-Auth-Email",
		"X-Authenticated-*",
		"X-Forwarded-User*", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Groups", "X-Forwarded-Roles",
		"Remote-*", "X-Remote-*", "X-Webauth-*", "X-Watchword-*",
	}
}

// A headerSet contains header names, and prefixes of names, in lower case and with - instead of _. CGI, WSGI and some
// proxies treat - and _ alike, so a handler could read X_User as X-User.
type headerSet struct {
	names    map[string]bool
	prefixes []string
}

func newHeaderSet(names []string) headerSet {
	set := headerSet{names: map[string]bool{}}
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(normalized(name), "*"); ok {
			set.prefixes = append(set.prefixes, prefix)
		} else {
			set.names[normalized(name)] = true
		}
	}
	return set
}

func normalized(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

func (s headerSet) has(name string) bool {
	name = normalized(name)
	hasPrefix := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return s.names[name] || slices.ContainsFunc(s.prefixes, hasPrefix)
}

// withoutIdentityHeaders returns a copy of the request without the headers of StripHeaders. It does not change the
// original request, because outer middleware may log it.
func (v *Verifier) withoutIdentityHeaders(r *http.Request) *http.Request {
	var header http.Header
	for name := range r.Header {
		if !v.strip.has(name) {
			continue
		}
		if header == nil {
			header = r.Header.Clone()
		}
		delete(header, name)
	}
	if header == nil {
		return r
	}
	copied := *r
	copied.Header = header
	return &copied
}
