package server

import (
	"cmp"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
)

// All routes stand on this screen. The mux and the OpenAPI document are both
// made from the table, so that neither can drift.

const (
	api         = "/api/auth"
	pathRefresh = api + "/refresh"
	pathForward = api + "/forward"
	pathPrefix  = api + "/forward-path/" // and the path of the client's request

	pathJWKS                = "/.well-known/jwks.json"
	pathOpenIDConfiguration = "/.well-known/openid-configuration"
	pathServerMetadata      = "/.well-known/oauth-authorization-server"
	pathRevocations         = "/revocations"
	pathStream              = "/revocations/stream"
	pathHealth              = "/healthz"
	pathReady               = "/readyz"
)

func isAPI(path string) bool { return strings.HasPrefix(path, "/api/") }

// isOpen reports whether a document is for everybody's scripts.
func isOpen(path string) bool {
	switch path {
	case pathJWKS, pathOpenIDConfiguration, pathServerMetadata, pathRevocations, pathStream:
		return true
	}
	return false
}

// A handler answers, or returns why not.
type handler func(http.ResponseWriter, *http.Request) error

// A guard is what a route asks for.
type guard string

const (
	public  guard = ""                  // nothing
	bearer  guard = "access token"      // Authorization: Bearer
	refresh guard = "refresh token"     // in the cookie or the body
	mailed  guard = "mailed token"      // in the body
	either  guard = "any of our tokens" // refresh or access token, or neither
)

// anyMethod is the method of a route that takes all of them.
const anyMethod = ""

// A route is one line of the table.
type route struct {
	method, path string
	handle       handler
	guard        guard
	summary      string
	body         any // what a request looks like; nil: it has no body
	status       int
	answer       any // what a good answer looks like
	refusals     []watchword.Code
}

func (s *Server) routes() []route {
	var (
		again   = []watchword.Code{watchword.CodeRateLimited, watchword.CodeTryLater}
		invalid = []watchword.Code{watchword.CodeValidationFailed}
		spent   = []watchword.Code{watchword.CodeMailTokenInvalid}
		wrong   = []watchword.Code{watchword.CodePasswordWrong, watchword.CodeRateLimited, watchword.CodeTryLater}
		proof   = append(wrong, watchword.CodePasswordRequired, watchword.CodeMailTokenInvalid)
	)
	return []route{
		{"POST", api + "/register", s.register, public, "Make an account and sign in", registerBody{}, 201, signedInBody{},
			join(invalid, again, watchword.CodeEmailTaken, watchword.CodeSignupClosed)},
		{"POST", api + "/login", s.login, public, "Sign in", loginBody{}, 200, signedInBody{},
			join(invalid, again, watchword.CodeInvalidCredentials, watchword.CodeEmailNotVerified, watchword.CodeAccountDisabled)},
		{"POST", pathRefresh, s.refresh, refresh, "Exchange the refresh token for a new one and an access token", refreshBody{}, 200, signedInBody{},
			join(again, nil, watchword.CodeRefreshMissing, watchword.CodeRefreshInvalid, watchword.CodeSessionEnded, watchword.CodeRefreshReused, watchword.CodeAmbiguousCredentials)},
		{"POST", api + "/logout", s.logout, either, "End this session", refreshBody{}, 200, messageBody{},
			join(nil, nil, watchword.CodeAmbiguousCredentials, watchword.CodeTryLater)},
		{"POST", api + "/logout-all", s.signedIn(s.logoutAll), bearer, "End all sessions", logoutAllBody{}, 200, logoutAllAnswer{}, nil},

		{"GET", api + "/me", s.signedIn(s.me), bearer, "Read one's own account", nil, 200, userAnswer{}, nil},
		{"PATCH", api + "/me", s.signedIn(s.rename), bearer, "Change one's name", renameBody{}, 200, userAnswer{}, invalid},
		{"DELETE", api + "/me", s.signedIn(s.deleteMe), bearer, "Delete one's account", passwordBody{}, 200, messageBody{}, join(invalid, wrong)},
		{"GET", api + "/users/{id}", s.signedIn(s.user), bearer, "Read an account: one's own, or with the role admin any", nil, 200, userAnswer{},
			join(nil, nil, watchword.CodeNotFound)},

		{"POST", api + "/password/forgot", s.forgotPassword, public, "Have a mail sent to choose a new password", emailBody{}, 202, messageBody{}, join(invalid, again)},
		{"POST", api + "/password/reset", s.resetPassword, mailed, "Choose a new password", resetBody{}, 200, resetAnswer{}, join(invalid, spent, watchword.CodeTryLater, watchword.CodeSignupClosed, watchword.CodeEmailTaken)},
		{"POST", api + "/password/change", s.signedIn(s.changePassword), bearer, "Change the password; other sessions end", changePasswordBody{}, 200, messageBody{}, join(invalid, wrong)},

		{"POST", api + "/email/verify", s.verifyEmail, mailed, "Prove one's address: with a live session, or with a password, which signs in", verifyBody{}, 200, verifiedAnswer{},
			join(invalid, proof, watchword.CodeAccountDisabled, watchword.CodeSignupClosed, watchword.CodeEmailTaken)},
		{"POST", api + "/email/verify/resend", s.resendVerification, public, "Have the mail sent again", emailBody{}, 202, messageBody{}, join(invalid, again)},
		{"POST", api + "/email/change", s.signedIn(s.changeEmail), bearer, "Ask for another address", changeEmailBody{}, 202, messageBody{}, join(invalid, wrong)},
		{"POST", api + "/email/change/confirm", s.confirmEmail, mailed, "Confirm the new address: with a live session, or with the password", confirmBody{}, 200, messageBody{},
			join(proof, nil, watchword.CodeAccountDisabled, watchword.CodeEmailTaken)},
		{"POST", api + "/email/change/undo", s.undoEmail, mailed, "Take the old address back", tokenBody{}, 200, messageBody{}, join(spent, nil, watchword.CodeEmailTaken)},

		{"GET", api + "/sessions", s.signedIn(s.sessions), bearer, "List one's sessions", nil, 200, sessionsAnswer{}, nil},
		{"DELETE", api + "/sessions/{id}", s.signedIn(s.endSession), bearer, "End one of one's sessions", nil, 200, messageBody{}, join(nil, nil, watchword.CodeNotFound)},

		{anyMethod, pathForward, s.forward, bearer, "Ask, as a gateway, whether a request may pass, and as whom", nil, 200, messageBody{},
			join(nil, nil, watchword.CodeParameterInvalid, watchword.CodeInsufficientScope)},

		{"GET", pathJWKS, s.jwks, public, "Public keys for verifying access tokens (RFC 7517)", nil, 200, jwksAnswer{}, nil},
		{"GET", pathOpenIDConfiguration, s.metadata, public, "Issuer metadata", nil, 200, metadataAnswer{}, nil},
		{"GET", pathServerMetadata, s.metadata, public, "Issuer metadata (RFC 8414)", nil, 200, metadataAnswer{}, nil},
		{"GET", pathRevocations, s.revocations, public, "Which sessions ended lately (RFC 8417, CAEP)", nil, 200, feedAnswer{},
			join(invalid, nil, watchword.CodeTryLater)},
		{"GET", pathStream, s.revocationStream, public, "The same, as server-sent events", nil, 200, "",
			join(invalid, nil, watchword.CodeTryLater)},
		{"GET", pathHealth, s.health, public, "Is the process up", nil, 200, healthAnswer{}, nil},
		{"GET", pathReady, s.ready, public, "Does the store accept writes", nil, 200, healthAnswer{}, join(nil, nil, watchword.CodeTryLater)},
	}
}

// pages are for people, and are not part of the API.
func (s *Server) pages() []route {
	pages := []route{
		{method: "GET", path: "/{$}", handle: s.homePage},
		{method: "GET", path: pathLogin, handle: s.loginPage},
		{method: "POST", path: pathLogin, handle: s.loginForm},
		{method: "GET", path: "/signup", handle: s.signupPage},
		{method: "POST", path: "/signup", handle: s.signupForm},
		{method: "GET", path: "/forgot", handle: s.forgotPage},
		{method: "POST", path: "/forgot", handle: s.forgotForm},
		{method: "POST", path: "/logout", handle: s.logoutForm},
		{method: "GET", path: pathAccount, handle: s.known(s.accountPage)},
		{method: "GET", path: "/openapi.json", handle: s.openAPI},
		{method: "GET", path: "/docs", handle: s.docsPage},
		{method: "GET", path: "/assets/{name}", handle: s.asset},
	}
	for _, page := range linkPages {
		pages = append(pages, route{method: "GET", path: page.path, handle: s.linkPage(page)},
			route{method: "POST", path: page.path, handle: s.linkForm(page)})
	}
	pages = append(pages, s.accountForms()...)
	if s.opts.DevMail != nil {
		pages = append(pages,
			route{method: "GET", path: "/dev/mail", handle: s.mailboxPage},
			route{method: "GET", path: "/dev/mail/{id}", handle: s.mailPage},
			route{method: "GET", path: "/dev/mail/{id}/html", handle: s.mailHTML})
	}
	return pages
}

func join(a, b []watchword.Code, more ...watchword.Code) []watchword.Code {
	return slices.Concat(a, b, more)
}

// router routes by the tables: ours, and that of each dialect. A path that is not
// clean is not found. It also returns a function that names the route of a request
// without serving it.
func (s *Server) router() (http.Handler, func(*http.Request) string) {
	ours := s.mux(append(s.routes(), s.pages()...))
	dialects := make([]*http.ServeMux, len(s.opts.Dialects))
	for i, d := range s.opts.Dialects {
		dialects[i] = s.mux(s.routesOf(d))
	}
	find := func(r *http.Request) *http.ServeMux {
		if i := slices.IndexFunc(s.opts.Dialects, func(d Dialect) bool { return d.Takes(r) }); i >= 0 {
			return dialects[i]
		}
		return ours
	}
	below, moved, unclean := s.answer(s.forwardBelow), s.answer(forwardMoved), s.answer(notFound)
	serve := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, pathPrefix):
			below.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, pathForward+"/"):
			moved.ServeHTTP(w, r)
		case path.Clean(r.URL.Path) != r.URL.Path:
			unclean.ServeHTTP(w, r)
		default:
			find(r).ServeHTTP(w, r)
		}
	}
	patternOf := func(r *http.Request) string {
		for _, prefix := range []string{pathPrefix, pathForward + "/"} {
			if strings.HasPrefix(r.URL.Path, prefix) {
				return prefix
			}
		}
		if path.Clean(r.URL.Path) != r.URL.Path {
			return routeOf(r)
		}
		_, pattern := find(r).Handler(r)
		return pattern
	}
	return http.HandlerFunc(serve), patternOf
}

// mux routes by one table. Nothing of it redirects, and every path answers 405 to
// the methods it does not have.
func (s *Server) mux(routes []route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(strings.TrimSpace(r.method+" "+r.path), s.answer(r.handle))
	}
	mux.Handle("/", s.answer(func(w http.ResponseWriter, r *http.Request) error { return unrouted(mux, w, r) }))
	return mux
}

// unrouted says what a path has other than the method of the request.
func unrouted(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost} {
		other := r.WithContext(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		return notFound(w, r)
	}
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	return &watchword.Error{Code: watchword.CodeMethodNotAllowed, Detail: "This path answers " + allow + "."}
}

func (s *Server) answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

func notFound(http.ResponseWriter, *http.Request) error {
	return &watchword.Error{Code: watchword.CodeNotFound, Detail: "There is nothing here. The API is described at /docs."}
}

// routeOf names the route that answered, for logs and metrics.
func routeOf(r *http.Request) string { return cmp.Or(r.Pattern, "none") }
