package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
)

// All routes stand on this screen. The mux and the OpenAPI document are both
// made from the table, so that neither can drift.

const (
	pathAPI     = "/api/auth"
	pathRefresh = pathAPI + "/refresh"
	pathForward = pathAPI + "/forward"
	pathPrefix  = pathAPI + "/forward-path/" // and the path of the client's request

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

// api has the handlers of the API and of the public documents, in the files api_*.go.
type api struct {
	edge
	streams  *streams
	draining func() bool
}

// routes returns the table of the API. Its rows are in the order of the documentation.
func (a *api) routes() []route {
	var (
		again   = []watchword.Code{watchword.CodeRateLimited, watchword.CodeTryLater}
		invalid = []watchword.Code{watchword.CodeValidationFailed}
		spent   = []watchword.Code{watchword.CodeMailTokenInvalid}
		wrong   = []watchword.Code{watchword.CodePasswordWrong, watchword.CodeRateLimited, watchword.CodeTryLater}
		proof   = append(wrong, watchword.CodePasswordRequired, watchword.CodeMailTokenInvalid)
	)
	return []route{
		{"POST", pathAPI + "/register", a.register, public, "Make an account and sign in", registerBody{}, 201, signedInBody{},
			join(invalid, again, watchword.CodeEmailTaken, watchword.CodeSignupClosed)},
		{"POST", pathAPI + "/login", a.login, public, "Sign in", loginBody{}, 200, signedInBody{},
			join(invalid, again, watchword.CodeInvalidCredentials, watchword.CodeEmailNotVerified, watchword.CodeAccountDisabled)},
		{"POST", pathRefresh, a.refresh, refresh, "Exchange the refresh token for a new one and an access token", refreshBody{}, 200, signedInBody{},
			join(again, nil, watchword.CodeRefreshMissing, watchword.CodeRefreshInvalid, watchword.CodeSessionEnded, watchword.CodeRefreshReused, watchword.CodeAmbiguousCredentials)},
		{"POST", pathAPI + "/logout", a.logout, either, "End this session", refreshBody{}, 200, messageBody{},
			join(nil, nil, watchword.CodeAmbiguousCredentials, watchword.CodeTryLater)},
		{"POST", pathAPI + "/logout-all", a.signedIn(a.logoutAll), bearer, "End all sessions", logoutAllBody{}, 200, logoutAllAnswer{}, nil},

		{"GET", pathAPI + "/me", a.signedIn(a.me), bearer, "Read one's own account", nil, 200, userAnswer{}, nil},
		{"PATCH", pathAPI + "/me", a.signedIn(a.rename), bearer, "Change one's name", renameBody{}, 200, userAnswer{}, invalid},
		{"DELETE", pathAPI + "/me", a.signedIn(a.deleteMe), bearer, "Delete one's account", passwordBody{}, 200, messageBody{}, join(invalid, wrong)},
		{"GET", pathAPI + "/users/{id}", a.signedIn(a.user), bearer, "Read an account: one's own, or with the role admin any", nil, 200, userAnswer{},
			join(nil, nil, watchword.CodeNotFound)},

		{"POST", pathAPI + "/password/forgot", a.forgotPassword, public, "Have a mail sent to choose a new password", emailBody{}, 202, messageBody{}, join(invalid, again)},
		{"POST", pathAPI + "/password/reset", a.resetPassword, mailed, "Choose a new password", resetBody{}, 200, resetAnswer{}, join(invalid, spent, watchword.CodeTryLater, watchword.CodeSignupClosed, watchword.CodeEmailTaken)},
		{"POST", pathAPI + "/password/change", a.signedIn(a.changePassword), bearer, "Change the password; other sessions end", changePasswordBody{}, 200, messageBody{}, join(invalid, wrong)},

		{"POST", pathAPI + "/email/verify", a.verifyEmail, mailed, "Prove one's address: with a live session, or with a password, which signs in", verifyBody{}, 200, verifiedAnswer{},
			join(invalid, proof, watchword.CodeAccountDisabled, watchword.CodeSignupClosed, watchword.CodeEmailTaken)},
		{"POST", pathAPI + "/email/verify/resend", a.resendVerification, public, "Have the mail sent again", emailBody{}, 202, messageBody{}, join(invalid, again)},
		{"POST", pathAPI + "/email/change", a.signedIn(a.changeEmail), bearer, "Ask for another address", changeEmailBody{}, 202, messageBody{}, join(invalid, wrong)},
		{"POST", pathAPI + "/email/change/confirm", a.confirmEmail, mailed, "Confirm the new address: with a live session, or with the password", confirmBody{}, 200, messageBody{},
			join(proof, nil, watchword.CodeAccountDisabled, watchword.CodeEmailTaken)},
		{"POST", pathAPI + "/email/change/undo", a.undoEmail, mailed, "Take the old address back", tokenBody{}, 200, messageBody{}, join(spent, nil, watchword.CodeEmailTaken)},

		{"GET", pathAPI + "/sessions", a.signedIn(a.sessions), bearer, "List one's sessions", nil, 200, sessionsAnswer{}, nil},
		{"DELETE", pathAPI + "/sessions/{id}", a.signedIn(a.endSession), bearer, "End one of one's sessions", nil, 200, messageBody{}, join(nil, nil, watchword.CodeNotFound)},

		{anyMethod, pathForward, a.forward, bearer, "Ask, as a gateway, whether a request may pass, and as whom", nil, 200, messageBody{},
			join(nil, nil, watchword.CodeParameterInvalid, watchword.CodeInsufficientScope)},

		{"GET", pathJWKS, a.jwks, public, "Public keys for verifying access tokens (RFC 7517)", nil, 200, jwksAnswer{}, nil},
		{"GET", pathOpenIDConfiguration, a.metadata, public, "Issuer metadata", nil, 200, metadataAnswer{}, nil},
		{"GET", pathServerMetadata, a.metadata, public, "Issuer metadata (RFC 8414)", nil, 200, metadataAnswer{}, nil},
		{"GET", pathRevocations, a.revocations, public, "Which sessions ended lately (RFC 8417, CAEP)", nil, 200, feedAnswer{},
			join(invalid, nil, watchword.CodeTryLater)},
		{"GET", pathStream, a.revocationStream, public, "The same, as server-sent events", nil, 200, "",
			join(invalid, nil, watchword.CodeTryLater)},
		{"GET", pathHealth, a.health, public, "Is the process up", nil, 200, healthAnswer{}, nil},
		{"GET", pathReady, a.ready, public, "Does the store accept writes", nil, 200, healthAnswer{}, join(nil, nil, watchword.CodeTryLater)},
	}
}

// pages are for people, and are not part of the API.
func (p *pages) routes() []route {
	all := []route{
		{method: "GET", path: "/{$}", handle: p.homePage},
		{method: "GET", path: pathLogin, handle: p.loginPage},
		{method: "POST", path: pathLogin, handle: p.loginForm},
		{method: "GET", path: "/signup", handle: p.signupPage},
		{method: "POST", path: "/signup", handle: p.signupForm},
		{method: "GET", path: "/forgot", handle: p.forgotPage},
		{method: "POST", path: "/forgot", handle: p.forgotForm},
		{method: "POST", path: "/logout", handle: p.logoutForm},
		{method: "GET", path: pathAccount, handle: p.requireSignIn(p.accountPage)},
		{method: "GET", path: "/openapi.json", handle: p.openAPI},
		{method: "GET", path: "/docs", handle: p.docsPage},
		{method: "GET", path: "/assets/{name}", handle: p.asset},
	}
	for _, page := range linkPages {
		all = append(all, route{method: "GET", path: page.path, handle: p.linkPage(page)},
			route{method: "POST", path: page.path, handle: p.linkForm(page)})
	}
	all = append(all, p.accountForms()...)
	if p.devMail != nil {
		all = append(all,
			route{method: "GET", path: "/dev/mail", handle: p.mailboxPage},
			route{method: "GET", path: "/dev/mail/{id}", handle: p.mailPage},
			route{method: "GET", path: "/dev/mail/{id}/html", handle: p.mailHTML})
	}
	return all
}

func join(a, b []watchword.Code, more ...watchword.Code) []watchword.Code {
	return slices.Concat(a, b, more)
}
