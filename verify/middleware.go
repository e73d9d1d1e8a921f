package verify

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/apirequest"
)

// Require lets a request pass whose access token is valid; FromContext has its
// identity then. Every other request is answered here, as RFC 6750 says.
//
// It fits func(http.Handler) http.Handler, the middleware of net/http, chi and
// most others. A preflight of CORS has no token, so CORS belongs before it.
func (v *Verifier) Require(next http.Handler) http.Handler { return v.requiring(anybody, next) }

// RequireRole is Require for users who have one of the roles; others get 403. It
// need not stand behind Require.
func (v *Verifier) RequireRole(roles ...string) func(http.Handler) http.Handler {
	return v.middleware(func(who *Identity, _ time.Time) *refusal {
		if slices.ContainsFunc(roles, who.HasRole) {
			return nil
		}
		return insufficientRole()
	})
}

// RequireACR is Require for users who have proved themselves in one of the ways
// named (`acr`). Others get 401 and are told which (RFC 9470).
func (v *Verifier) RequireACR(values ...string) func(http.Handler) http.Handler {
	return v.middleware(func(who *Identity, _ time.Time) *refusal {
		if slices.Contains(values, who.ACR()) {
			return nil
		}
		return stepUp(`acr_values="` + plain(strings.Join(values, " ")) + `"`)
	})
}

// RequireRecent is Require for users who have proved themselves not longer ago
// than maxAge (`auth_time`). Others get 401 and are told so (RFC 9470).
func (v *Verifier) RequireRecent(maxAge time.Duration) func(http.Handler) http.Handler {
	return v.middleware(func(who *Identity, now time.Time) *refusal {
		if now.Sub(who.AuthTime()) <= maxAge {
			return nil
		}
		return stepUp(`max_age="` + seconds(maxAge) + `"`)
	})
}

// Optional lets requests without a token pass too, without an identity. A token
// that is there and not valid is refused all the same: its sender believes to be
// signed in.
func (v *Verifier) Optional(next http.Handler) http.Handler {
	required := v.Require(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, err := apirequest.BearerToken(r); err == nil && token == "" {
			next.ServeHTTP(w, v.stripped(r))
			return
		}
		required.ServeHTTP(w, r)
	})
}

// A rule refuses an identity, or returns nil.
type rule func(who *Identity, now time.Time) *refusal

func anybody(*Identity, time.Time) *refusal { return nil }

func (v *Verifier) middleware(r rule) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return v.requiring(r, next) }
}

// requiring is what every guard is made of: token, identity, rule; and only then
// the handler, on a request that says nothing else about who sends it.
func (v *Verifier) requiring(allows rule, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := apirequest.BearerToken(r)
		if err != nil {
			v.refuse(w, ambiguous())
			return
		}
		if token == "" {
			v.refuse(w, tokenMissing())
			return
		}
		who, err := v.Verify(r.Context(), token)
		if err != nil {
			v.refuse(w, refusalOf(err))
			return
		}
		if refused := allows(who, v.opts.Now()); refused != nil {
			v.refuse(w, refused)
			return
		}
		r = v.stripped(r)
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), who)))
	})
}

// DefaultStripHeaders are the headers in which gateways and frameworks hand on who
// the user is. Behind this package the token alone says so.
func DefaultStripHeaders() []string {
	return []string{
		"X-User", "X-User-*", "X-Username", "X-Userid", "X-Roles", "X-Role", "X-Groups", "X-Email", "X-Subject", "X-Session-Id",
		"X-Auth-User*", "X-Auth-Request-*", "X-Auth-Subject", "X-Auth-Roles", "X-Auth-Session", "X-Auth-Email", "X-Authenticated-*",
		"X-Forwarded-User*", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Groups", "X-Forwarded-Roles",
		"Remote-*", "X-Remote-*", "X-Webauth-*", "X-Watchword-*",
	}
}

// A headerSet is names of headers, and beginnings of names. Both are lower case
// with - for _, because CGI, WSGI and some proxies make no difference (and so let
// X_User pass for X-User).
type headerSet struct {
	names  map[string]bool
	begins []string
}

func newHeaderSet(names []string) headerSet {
	set := headerSet{names: map[string]bool{}}
	for _, name := range names {
		if begin, ok := strings.CutSuffix(folded(name), "*"); ok {
			set.begins = append(set.begins, begin)
		} else {
			set.names[folded(name)] = true
		}
	}
	return set
}

func folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

func (s headerSet) has(name string) bool {
	name = folded(name)
	return s.names[name] || slices.ContainsFunc(s.begins, func(begin string) bool { return strings.HasPrefix(name, begin) })
}

// stripped returns the request without headers that could pass for an identity.
// The one that came in stays as it is, for whoever logs it.
func (v *Verifier) stripped(r *http.Request) *http.Request {
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
