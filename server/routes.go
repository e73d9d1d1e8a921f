package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/metadata"
)

// This file has all routes. The router and the OpenAPI document use the same table, so that the
// document can't differ from the routes.

// These paths occur more than once. Clients know them, so they don't change within a major version.
const (
	pathAPI     = "/api/auth"
	pathRefresh = pathAPI + "/refresh"

	// shouldLog compares the route with these paths. Refused requests for the accounts and sessions of other users are
	// logged.
	pathUsers    = pathAPI + "/users/"    // followed by an id
	pathSessions = pathAPI + "/sessions/" // followed by an id

	// pathAdmin is not below pathAPI, so that a proxy can publish only one of them.
	pathAdmin = "/api/admin"

	pathForward       = pathAPI + "/forward"
	pathForwardPrefix = pathAPI + "/forward-path/" // followed by the path of the client's request

	pathJWKS                = "/.well-known/jwks.json"
	pathOpenIDConfiguration = "/.well-known/openid-configuration"
	pathRelatedOrigins      = "/.well-known/webauthn"
	pathServerMetadata      = "/.well-known/oauth-authorization-server"
	pathRevocations         = "/revocations"
	pathStream              = "/revocations/stream"
	pathHealth              = "/healthz"
	pathReady               = "/readyz"
)

// isAPI reports whether a path belongs to an API for programs. Other paths are pages or public documents.
func isAPI(path string) bool { return strings.HasPrefix(path, "/api/") }

// isPublicDocument is true for documents that scripts of every origin may read. The list is short on purpose: the
// server does not check the host and the origin of these requests.
func isPublicDocument(path string) bool {
	switch path {
	case pathJWKS, pathOpenIDConfiguration, pathServerMetadata, pathRevocations, pathStream, pathRelatedOrigins:
		return true
	}
	return false
}

// A handler writes a response, or returns an error without writing, so that errorResponder.respondError can write
// every error. A handler that has begun a response, such as a stream, returns nil even if the client is gone.
type handler func(http.ResponseWriter, *http.Request) error

// A guard is the credential that a route requires. The guards of the API are only documentation: the handlers check
// the credential.
type guard string

const (
	// The guards of the API, which the OpenAPI document lists as security requirements.
	public      guard = ""              // nothing
	bearer      guard = "access token"  // Authorization: Bearer
	refresh     guard = "refresh token" // in a cookie or in the body
	mailedToken guard = "mailed token"  // in the body
	anyToken    guard = "any token"     // refresh token, access token, or no token
	firstFactor guard = "access token, or a sign-in that waits for its first factor"
)

// The guards of the admin API name the scope of a service key. The page /docs and the table of access in docs/data.md
// show them.
//
// The server enforces these guards (requireGuard), unlike the guards of the API. An administrator has the role admin
// and a session of the level admin-acr. The session's last proof is at most 12 hours old for reading, and at most as
// old as step-up-age for writing.
const (
	readUsers   guard = "admin, or a service key with users:read"
	writeUsers  guard = "admin with a fresh proof, or a service key with users:write"
	endSessions guard = "admin with a fresh proof, or a service key with sessions:end"
	readEvents  guard = "admin, or a service key with events:read"
	readMails   guard = "admin, or a service key with mail"
	writeMails  guard = "admin with a fresh proof, or a service key with mail"
	readKeys    guard = "admin, or a service key with keys"
	writeKeys   guard = "admin with a fresh proof, or a service key with keys"
	readNoKey   guard = "admin, and no service key"
	writeNoKey  guard = "admin with a fresh proof, and no service key"
)

// anyMethod is empty, because http.ServeMux takes a pattern without a method for every method.
const anyMethod = ""

// A route is one row of the table. Routes of HTML pages and dialects have only a method, a path and a handler. The
// OpenAPI document gets its schemas from the types of the fields body and answer.
type route struct {
	method, path string
	handle       handler
	guard        guard
	summary      string
	body         any // zero value of the request body; nil: no body
	status       int // status of a successful response
	answer       any // zero value of the response body
	refusals     []watchword.Code
}

// api has the handlers of the API and of the public documents, in the files api_*.go.
type api struct {
	edge
	streams  *streamRegistry
	draining func() bool
}

// routes returns the table of the API. Its rows are in the order of the documentation. Its local variables are lists
// of error codes that occur in many rows. The function is long because it is one table.
func (a *api) routes() []route {
	var (
		limited = []watchword.Code{watchword.CodeRateLimited, watchword.CodeTryLater}
		invalid = []watchword.Code{watchword.CodeValidationFailed} // a wrong member of the body
		badLink = []watchword.Code{watchword.CodeMailTokenInvalid}
		wrong   = []watchword.Code{watchword.CodePasswordWrong, watchword.CodeRateLimited, watchword.CodeTryLater}
		owner   = append(wrong, watchword.CodeStepUpRequired) // a wrong password, or a proof that is too old
		proof   = append(wrong, watchword.CodePasswordRequired, watchword.CodeMailTokenInvalid)
	)
	all := []route{
		{"POST", pathAPI + "/register", a.register, public, "Create an account and sign in",
			registerBody{}, 201, signedInBody{}, join(invalid, limited, watchword.CodeEmailTaken, watchword.CodeSignupClosed)},
		{"POST", pathAPI + "/login", a.login, public, "Sign in", loginBody{}, 200, signedInBody{},
			join(invalid, limited, watchword.CodeInvalidCredentials, watchword.CodeEmailNotVerified,
				watchword.CodeAccountDisabled, watchword.CodeSecondFactorRequired, watchword.CodeEnrolmentRequired)},
		{"POST", pathRefresh, a.refresh, refresh, "Exchange the refresh token for a new one and an access token",
			refreshBody{}, 200, signedInBody{},
			join(limited, nil, watchword.CodeRefreshMissing, watchword.CodeRefreshInvalid, watchword.CodeSessionEnded,
				watchword.CodeRefreshReused, apirequest.CodeAmbiguousCredentials)},
		{"POST", pathAPI + "/logout", a.logout, anyToken, "End this session", refreshBody{}, 200, messageBody{},
			join(nil, nil, apirequest.CodeAmbiguousCredentials, watchword.CodeTryLater)},
		{"POST", pathAPI + "/logout-all", a.requireToken(a.logoutAll), bearer, "End all sessions",
			logoutAllBody{}, 200, logoutAllAnswer{}, nil},

		{"GET", pathAPI + "/me", a.requireToken(a.readMe), bearer, "Read your account", nil, 200, meAnswer{}, nil},
		{"PATCH", pathAPI + "/me", a.requireToken(a.updateMe), bearer, "Change your name or language",
			updateMeBody{}, 200, meAnswer{}, invalid},
		{"DELETE", pathAPI + "/me", a.requireToken(a.deleteMe), bearer, "Delete your account",
			passwordBody{}, 200, messageBody{}, join(invalid, owner, watchword.CodeLastAdmin)},
		{"GET", pathUsers + "{id}", a.requireToken(a.readUser), bearer,
			"Read your account, or with the role admin any account", nil, 200, userAnswer{},
			join(nil, nil, watchword.CodeNotFound)},

		{"POST", pathAPI + "/password/forgot", a.forgotPassword, public, "Request a mail to choose a new password",
			emailBody{}, 202, messageBody{}, join(invalid, limited)},
		{"POST", pathAPI + "/password/reset", a.resetPassword, mailedToken, "Choose a new password",
			resetBody{}, 200, resetAnswer{},
			join(invalid, badLink, watchword.CodeTryLater, watchword.CodeSignupClosed, watchword.CodeEmailTaken)},
		{"POST", pathAPI + "/password/change", a.requireToken(a.changePassword), bearer,
			"Change the password and end all other sessions", changePasswordBody{}, 200, messageBody{}, join(invalid, owner)},

		{"POST", pathAPI + "/invite/accept", a.acceptInvite, mailedToken, "Accept an invitation, which signs in",
			inviteBody{}, 200, signedInBody{},
			join(invalid, badLink, watchword.CodeTryLater, watchword.CodeEmailTaken, watchword.CodeAccountDisabled,
				watchword.CodeEnrolmentRequired)},
		{"POST", pathAPI + "/email/verify", a.verifyEmail, mailedToken,
			"Verify the address: with a live session, or with a password, which signs in", verifyBody{}, 200, verifiedAnswer{},
			join(invalid, proof, watchword.CodeAccountDisabled, watchword.CodeSignupClosed, watchword.CodeEmailTaken,
				watchword.CodeSecondFactorRequired, watchword.CodeEnrolmentRequired)},
		{"POST", pathAPI + "/email/verify/resend", a.resendVerification, public, "Request another verification mail",
			emailBody{}, 202, messageBody{}, join(invalid, limited)},
		{"POST", pathAPI + "/email/change", a.requireToken(a.changeEmail), bearer, "Request a change of the address",
			changeEmailBody{}, 202, messageBody{}, join(invalid, owner)},
		{"POST", pathAPI + "/email/change/confirm", a.confirmEmail, mailedToken,
			"Confirm the new address: with a live session, or with the password", confirmBody{}, 200, messageBody{},
			join(proof, nil, watchword.CodeAccountDisabled, watchword.CodeEmailTaken)},
		{"POST", pathAPI + "/email/change/undo", a.undoEmail, mailedToken, "Restore the previous address",
			tokenBody{}, 200, messageBody{}, join(badLink, nil, watchword.CodeEmailTaken)},

		{"GET", pathAPI + "/sessions", a.requireToken(a.listSessions), bearer, "List your sessions",
			nil, 200, sessionsAnswer{}, nil},
		{"DELETE", pathSessions + "{id}", a.requireToken(a.endSession), bearer, "End one of your sessions",
			nil, 200, messageBody{}, join(nil, nil, watchword.CodeNotFound)},
		{anyMethod, pathForward, a.authorizeForward, bearer,
			"Check, for a gateway, whether a request may pass, and for which user", nil, 200, messageBody{}, gatewayCodes()},
		{"GET", pathJWKS, a.serveJWKS, public, "Public keys for verifying access tokens (RFC 7517)",
			nil, 200, jwksAnswer{}, nil},
		{"GET", pathOpenIDConfiguration, a.serveMetadata, public, "Issuer metadata", nil, 200, metadataAnswer{}, nil},
		{"GET", pathServerMetadata, a.serveMetadata, public, "Issuer metadata (RFC 8414)", nil, 200, metadataAnswer{}, nil},
		{"GET", pathRevocations, a.pollRevocations, public, "Recently ended sessions (RFC 8417, CAEP)",
			nil, 200, feedAnswer{}, join(invalid, nil, watchword.CodeTryLater)},
		{"GET", pathStream, a.streamRevocations, public, "Recently ended sessions, as server-sent events", nil, 200, "",
			join(invalid, nil, watchword.CodeTryLater)},
		{"GET", pathHealth, a.serveHealth, public, "Whether the process is up", nil, 200, healthAnswer{}, nil},
		{"GET", pathReady, a.serveReadiness, public, "Whether the store accepts writes", nil, 200, healthAnswer{},
			join(nil, nil, watchword.CodeTryLater)},
	}
	return a.role.filterRoutes(slices.Concat(all, a.factorRoutes(), a.passkeyRoutes(), a.deviceRoutes(),
		a.identityRoutes(), (&adminAPI{a.edge}).routes()))
}

// An adminRoute is a route whose guard is checked before its handler runs. Its handler has a different type, so that
// a row can't be put into the wrong table.
type adminRoute struct {
	method, path string
	handle       adminHandler
	guard        guard
	summary      string
	body         any
	status       int
	answer       any
	refusals     []watchword.Code
}

// routes returns the routes of the admin API, or nil without Options.Admin. The test TestAdminRoutesCheckTheirGuard
// calls every row as every kind of caller.
func (a *adminAPI) routes() (all []route) {
	if a.admin == nil {
		return nil
	}
	parameter := []watchword.Code{watchword.CodeParameterInvalid}
	gone := []watchword.Code{watchword.CodeNotFound}
	invalid := []watchword.Code{watchword.CodeValidationFailed, watchword.CodeNotFound}
	for _, r := range []adminRoute{
		{"GET", pathAdmin + "/users", a.listUsers, readUsers, "Find accounts", nil, 200, adminUsersAnswer{}, parameter},
		{"GET", pathAdmin + "/users/{id}/explain", a.explainSignOut, readUsers, "Say why an account was signed out", nil, 200,
			adminExplainAnswer{}, parameter},
		{"POST", pathAdmin + "/users", a.createUser, writeUsers, "Create an account, with or without an invitation",
			adminInviteBody{}, 201, adminUserAnswer{},
			[]watchword.Code{watchword.CodeValidationFailed, watchword.CodeEmailTaken}},
		{"GET", pathAdmin + "/users/{id}", a.readUserDetail, readUsers, "Read an account with its sessions and events",
			nil, 200, adminUserDetailAnswer{}, gone},
		{"PATCH", pathAdmin + "/users/{id}", a.changeUser, writeUsers,
			"Change name, roles, state and metadata of an account", adminChangeBody{}, 200, adminUserAnswer{},
			join(invalid, nil, watchword.CodeLastAdmin, admin.CodeOwnRoles, metadata.CodeVersionChanged)},
		{"DELETE", pathAdmin + "/users/{id}", a.deleteUser, writeUsers, "Delete an account", nil, 200, messageBody{},
			join(gone, nil, watchword.CodeLastAdmin)},
		{"POST", pathAdmin + "/users/{id}/reset-mail", a.sendResetMail, writeUsers, "Mail a link to choose a password",
			nil, 202, messageBody{}, gone},
		{"POST", pathAdmin + "/users/{id}/verify-mail", a.sendVerificationMail, writeUsers,
			"Mail a link to verify the address", nil, 202, messageBody{}, invalid},
		{"POST", pathAdmin + "/users/{id}/invite", a.sendInvitation, writeUsers, "Mail another invitation",
			nil, 202, messageBody{}, invalid},
		{"POST", pathAdmin + "/users/{id}/reset-factors", a.resetUserFactors, writeUsers,
			"Remove all second factors of an account", nil, 200, messageBody{}, gone},
		{"DELETE", pathAdmin + "/users/{id}/sessions", a.endUserSessions, endSessions, "End all sessions of an account",
			nil, 200, adminEndedAnswer{}, gone},
		{"DELETE", pathAdmin + "/users/{id}/sessions/{sid}", a.endUserSessions, endSessions,
			"End one session of an account", nil, 200, adminEndedAnswer{}, gone},
		{"GET", pathAdmin + "/events", a.listEvents, readEvents, "Find security events", nil, 200,
			eventsAnswer{}, parameter},
		{"GET", pathAdmin + "/mails", a.listMails, readMails, "List waiting and abandoned mails", nil, 200, mailsAnswer{},
			parameter},
		{"POST", pathAdmin + "/mails/{id}/retry", a.retryMail, writeMails, "Retry a mail now", nil, 202, messageBody{},
			gone},
		{"GET", pathAdmin + "/keys", a.listKeys, readKeys, "List signing and refresh keys", nil, 200,
			keyStatesAnswer{}, nil},
		{"POST", pathAdmin + "/keys/rotate", a.rotateKeys, writeKeys, "Let the next key take over",
			rotateKeysBody{}, 200, keyStatesAnswer{}, invalid},
		{"GET", pathAdmin + "/stats", a.readStats, readUsers, "Read figures for an overview", nil, 200, statsAnswer{}, nil},
		{"GET", pathAdmin + "/service-keys", a.listServiceKeys, readNoKey, "List service keys", nil, 200,
			serviceKeysAnswer{}, parameter},
		{"POST", pathAdmin + "/service-keys", a.createServiceKey, writeNoKey, "Create a service key",
			createServiceKeyBody{}, 201, createdServiceKeyAnswer{}, []watchword.Code{watchword.CodeValidationFailed}},
		{"DELETE", pathAdmin + "/service-keys/{id}", a.revokeServiceKey, writeNoKey, "Revoke a service key",
			nil, 200, messageBody{}, gone},
	} {
		all = append(all, route{r.method, r.path, a.requireGuard(r.guard, r.handle), r.guard, r.summary, r.body, r.status,
			r.answer, r.refusals})
	}
	return all
}

// routes returns the table of the pages. They are not in the OpenAPI document, because their
// forms are for browsers and not a contract for programs.
func (p *pages) routes() []route {
	all := []route{
		{method: "GET", path: "/{$}", handle: p.homePage},
		{method: "GET", path: pathLogin, handle: p.loginPage},
		{method: "POST", path: pathLogin, handle: p.loginForm},
		{method: "GET", path: "/signup", handle: p.signupPage},
		{method: "POST", path: "/signup", handle: p.signupForm},
		{method: "GET", path: "/forgot", handle: p.forgotPage},
		{method: "POST", path: "/forgot", handle: p.forgotForm},
		{method: "GET", path: "/logout", handle: p.logoutPage},
		{method: "POST", path: "/logout", handle: p.logoutForm},
		{method: "GET", path: "/openapi.json", handle: p.serveOpenAPI},
		{method: "GET", path: "/docs", handle: p.docsPage},
		{method: "GET", path: "/assets/{name}", handle: p.serveAsset},
		{method: "GET", path: "/favicon.ico", handle: p.serveFavicon},
		{method: "GET", path: "/robots.txt", handle: p.serveRobots},
		{method: "GET", path: "/.well-known/change-password", handle: p.redirectToChangePassword},
		{method: "GET", path: "/.well-known/security.txt", handle: p.serveSecurityContact},
	}
	for _, page := range linkPages {
		all = append(all, route{method: "GET", path: page.path, handle: p.linkPageHandler(page)},
			route{method: "POST", path: page.path, handle: p.linkFormHandler(page)})
	}
	all = slices.Concat(all, (&accountPages{p}).routes(), p.providerRoutes(), (&adminPages{p}).routes())
	if p.devMail != nil {
		all = append(all,
			route{method: "GET", path: "/dev/mail", handle: p.mailboxPage},
			route{method: "GET", path: "/dev/mail/{id}", handle: p.mailPage},
			route{method: "GET", path: "/dev/mail/{id}/html", handle: p.mailHTML})
	}
	return p.role.filterRoutes(all)
}

// join always copies, because append could write into a list that other rows share.
func join(a, b []watchword.Code, more ...watchword.Code) []watchword.Code {
	return slices.Concat(a, b, more)
}
