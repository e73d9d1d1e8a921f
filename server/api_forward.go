package server

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/respond"
)

// In forward authentication, a gateway sends a subrequest for each request of a client. The response tells the
// gateway whether to pass the client's request on, and who the user is (docs/gateways.md: nginx, Caddy, Traefik,
// Envoy).
//
//  1. The server checks the parameters, which come from the gateway's configuration. It rejects
//     unknown parameters, because a misspelt requirement would otherwise let everyone in.
//  2. It verifies the access token and requires a live session, as for all of /api/auth. The
//     refresh cookie does not count: otherwise a page of another site could act through the
//     gateway, and each request would rotate the token.
//  3. It compares the required roles with the current roles of the account. It compares the
//     required level and age with the last proof of the session, not with the claims of the token.
//     A token that was issued before a step-up is therefore accepted after the step-up.
//  4. It always sets all identity headers. The gateway copies them over headers that the client
//     sent, and an empty header removes the client's value.
//
// Only the access token is trusted. Callers learn only about their own account, so everyone may call this route. The
// Host header may name the service behind the gateway. The body is not read.

// These headers identify the user. Their values are printable ASCII.
const (
	headerSubject = "X-Auth-Subject" // `sub`
	headerSession = "X-Auth-Session" // `sid`
	headerRoles   = "X-Auth-Roles"   // comma separated, sorted; no role has a comma
	headerEmail   = "X-Auth-Email"   // empty unless verified, because users can enter any address
)

// isForGateways is true for pathForward, each path below it, and each path below pathForwardPrefix.
func isForGateways(path string) bool {
	return path == pathForward || strings.HasPrefix(path, pathForward+"/") || strings.HasPrefix(path, pathForwardPrefix)
}

// authorizeForward handles subrequests whose path and query come from the gateway's configuration. The query has the
// requirements. If the query has a login URL, a browser that opens a page is redirected to it and does not get a 401.
func (a *api) authorizeForward(w http.ResponseWriter, r *http.Request) error {
	required, err := a.parseRequirements(r.URL.RawQuery)
	if err != nil {
		return err
	}
	who, err := authenticate(a.engine, r, required.roles)
	if err == nil {
		err = factors.RequireProof(who.Session, required.minACR, required.maxAge, a.engine.Inside().Now())
	}
	// Only a signed-out user is redirected to the login page. A user who has to step up is signed in already, so the
	// login page would redirect back at once.
	isSignedOut := statusOf(watchword.CodeOf(err)) == http.StatusUnauthorized &&
		watchword.CodeOf(err) != watchword.CodeStepUpRequired
	if required.loginURL != "" && isSignedOut && isNavigation(r) {
		// The refusal is logged here, because a redirect does not call respondError, which logs other refusals.
		a.errors.logIfRefusal(w, r, err)
		w.Header().Set("Location", required.loginURL)
		w.WriteHeader(http.StatusFound)
		return nil
	}
	if err != nil {
		return err
	}
	return writeIdentityHeaders(w, who)
}

// authorizeAppendedPath handles subrequests of gateways that append the client's path, as Envoy does.
// The client controls path and query, so both are ignored and no role can be required.
func (a *api) authorizeAppendedPath(w http.ResponseWriter, r *http.Request) error {
	r.Pattern = pathForwardPrefix // for the metrics; the mux, which sets it, is bypassed here
	who, err := authenticate(a.engine, r, nil)
	if err != nil {
		return err
	}
	return writeIdentityHeaders(w, who)
}

// rejectForwardSubpath rejects all paths below /api/auth/forward/. An operator may expect that a query there is a
// requirement. A handler that ignored the query would let everyone in.
func rejectForwardSubpath(_ http.ResponseWriter, r *http.Request) error {
	r.Pattern = pathForward + "/"
	return &watchword.Error{Code: watchword.CodeNotFound, Detail: "Set the requirements in the query of " + pathForward +
		", without a slash at the end. A gateway that appends the client's path uses the prefix " + pathForwardPrefix + "."}
}

// writeIdentityHeaders responds with 200. Gateways ignore the body, which is for manual tests of the route.
func writeIdentityHeaders(w http.ResponseWriter, who watchword.Identity) error {
	// The header is empty for an unverified address, because a service may grant rights by
	// address.
	email := ""
	if who.User.Verified() {
		email = string(who.User.Email)
	}
	h := w.Header()
	h.Set(headerSubject, string(who.User.ID))
	h.Set(headerSession, string(who.Session.ID))
	h.Set(headerRoles, strings.Join(who.User.Roles, ","))
	h.Set(headerEmail, email)
	return respond.JSON(w, http.StatusOK, messageBody{"The request is authenticated."})
}

// gatewayRequirements are parsed for each request, so a change of the gateway's configuration takes effect at once.
type gatewayRequirements struct {
	roles []string // the user must have all of them
	// loginURL is the redirect target for browsers, instead of a 401. If it is empty, there is no redirect.
	loginURL string

	minACR string        // the session must have this level or a higher one; empty: any
	maxAge time.Duration // maximum time since the last proof of the session; 0: any
}

// parseRequirements rejects unknown and empty parameters, and a login URL that would make the server
// an open redirector.
func (a *api) parseRequirements(query string) (rule gatewayRequirements, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return rule, invalidParameter("The query is malformed.")
	}
	for name, given := range values {
		switch name {
		case "role":
			rule.roles, err = given, rejectEmptyRole(given)
		// Two login URLs are rejected, because parsers differ in which of them they use.
		case "login":
			if len(given) != 1 || !a.origins.mayRedirectTo(given[0]) {
				return rule, invalidParameter(
					"The parameter login is not a URL on the public URL or on one of allowed-origins.")
			}
			rule.loginURL = given[0]
		case "acr":
			rule.minACR, err = parseACR(given)
		case "max_age":
			rule.maxAge, err = parseMaxAge(given)
		default:
			err = invalidParameter(
				"The only parameters are role, which may occur several times, login, acr and max_age.")
		}
		if err != nil {
			return rule, err
		}
	}
	return rule, nil
}

// rejectEmptyRole rejects an empty role, which no account has. It probably comes from an unset variable in the
// gateway's configuration.
func rejectEmptyRole(given []string) error {
	if slices.Contains(given, "") {
		return invalidParameter("The parameter role is empty. Name a role, or omit it.")
	}
	return nil
}

// parseACR rejects a level that no session can have, because a misspelt level would lock everyone out. It also
// rejects two levels, because acr_values of OpenID Connect would mean "one of these".
func parseACR(given []string) (string, error) {
	if len(given) != 1 || !amr.IsLevel(given[0]) {
		return "", invalidParameter("The parameter acr is not one of aal1, aal2 and phr.")
	}
	return given[0], nil
}

// parseMaxAge rejects 0, which no request could meet: the proof is always older than the request
// that follows it.
func parseMaxAge(given []string) (time.Duration, error) {
	seconds := int64(0)
	if len(given) == 1 {
		seconds, _ = strconv.ParseInt(given[0], 10, 64)
	}
	// The comparison with given[0] rejects other spellings of a number, such as +300 and 0300.
	const year = 366 * 24 * 60 * 60
	if seconds < 1 || seconds > year || strconv.FormatInt(seconds, 10) != given[0] {
		return 0, invalidParameter("The parameter max_age is not a whole number of seconds from 1 to 31622400.")
	}
	return time.Duration(seconds) * time.Second, nil
}

// invalidParameter returns an error whose detail is for developers and operators. Users never see it.
func invalidParameter(detail string) *watchword.Error {
	return &watchword.Error{Code: watchword.CodeParameterInvalid, Detail: detail}
}

// isNavigation reports whether the request opens a page in a browser. A script must get the
// 401, because it would mistake the login page for its response.
func isNavigation(r *http.Request) bool {
	// X-Forwarded-Method is the client's method, from gateways that always send GET. Older
	// browsers send no Sec-Fetch-Mode; the Accept header decides for them.
	return r.Method == http.MethodGet &&
		cmp.Or(r.Header.Get("X-Forwarded-Method"), http.MethodGet) == http.MethodGet &&
		cmp.Or(r.Header.Get("Sec-Fetch-Mode"), "navigate") == "navigate" &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// gatewayCodes are the errors of a wrong configuration of the gateway and of unmet requirements.
func gatewayCodes() []watchword.Code {
	return join(nil, nil,
		watchword.CodeParameterInvalid, watchword.CodeInsufficientScope, watchword.CodeStepUpRequired)
}

// describeForward adds details that the table of routes can't express: parameters, headers and the redirect.
func describeForward(operation *huma.Operation) {
	text := &huma.Schema{Type: "string"}
	operation.Description = "Accepts every method and does not read the body. " +
		"Gateways that append the client's path use " + pathForwardPrefix +
		", which ignores the query and the rest of the path, and requires no role."
	operation.Parameters = []*huma.Param{
		{Name: "role", In: "query", Description: "A required role. With several, the user needs all of them",
			Schema: &huma.Schema{Type: "array", Items: text}},
		{Name: "login", In: "query", Schema: text, Description: "Where to redirect a browser that opens a page, " +
			"instead of 401. A URL on the public URL or an allowed origin"},
		{Name: "acr", In: "query", Schema: &huma.Schema{Type: "string", Enum: []any{"aal1", "aal2", "phr"}},
			Description: "The lowest level of the session. A lower one gets 401 (RFC 9470)"},
		{Name: "max_age", In: "query", Schema: &huma.Schema{Type: "integer"},
			Description: "Seconds since the last proof of the user. An older one gets 401 (RFC 9470)"},
	}
	operation.Responses["200"].Headers = map[string]*huma.Param{
		headerSubject: {Description: "Id of the user", Schema: text},
		headerSession: {Description: "Id of the session", Schema: text},
		headerRoles:   {Description: "Roles, separated by commas; may be empty", Schema: text},
		headerEmail:   {Description: "The verified email address, or empty", Schema: text},
	}
	operation.Responses["302"] = &huma.Response{Description: "Redirect to login"}
}
