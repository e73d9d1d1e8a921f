package server

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/respond"
)

// A gateway asks here, about each request that it was sent, whether to let it
// through and as whom (docs/gateways.md: nginx, Caddy, Traefik, Envoy).
//
//  1. The parameters are checked. They come from the configuration of a gateway,
//     where a misspelt one must not open a door: unknown ones are refused.
//  2. The access token is verified, and its session has to live, as for all of
//     /api/auth. The refresh cookie does not count: it would let another site's
//     page act through the gateway, and spend a token that works once.
//  3. The roles that are asked for are looked for in the account as it is now.
//  4. The answer names who asks in headers, all of them, always: a gateway copies
//     them over what the client sent, and an empty one erases.
//
// Nothing of the request is trusted but its access token: anybody may ask, and
// learns about themselves only. So its Host may be that of the service behind the
// gateway, and its body is not read.

// Who asks. The values are printable ASCII.
const (
	headerSubject = "X-Auth-Subject" // `sub`
	headerSession = "X-Auth-Session" // `sid`
	headerRoles   = "X-Auth-Roles"   // comma separated, sorted; no role has a comma
	headerEmail   = "X-Auth-Email"   // only a proven address: another says who one would like to be
)

// isForward reports whether a gateway asks, at the path or below a prefix.
func isForward(path string) bool {
	return path == pathForward || strings.HasPrefix(path, pathForward+"/") || strings.HasPrefix(path, pathPrefix)
}

// forward answers gateways that ask at a path of their own choice, with what
// they require as parameters.
func (a *api) forward(w http.ResponseWriter, r *http.Request) error {
	required, err := a.parseForward(r.URL.RawQuery)
	if err != nil {
		return err
	}
	who, err := authenticate(a.engine, r, required.roles)
	if required.login != "" && statusOf(watchword.CodeOf(err)) == http.StatusUnauthorized && isNavigation(r) {
		a.errors.logRefused(w, r, err)
		w.Header().Set("Location", required.login)
		w.WriteHeader(http.StatusFound)
		return nil
	}
	if err != nil {
		return err
	}
	return identify(w, who)
}

// forwardBelow answers gateways that put our path before that of the request, as
// Envoy does. Path and query are the client's, and require nothing.
func (a *api) forwardBelow(w http.ResponseWriter, r *http.Request) error {
	r.Pattern = pathPrefix // for metrics: the mux, which would redirect, is passed by
	who, err := authenticate(a.engine, r, nil)
	if err != nil {
		return err
	}
	return identify(w, who)
}

// forwardMoved refuses every path below /api/auth/forward/. A query there looks like a
// requirement, and prefix mode would ignore it and let everybody in.
func forwardMoved(_ http.ResponseWriter, r *http.Request) error {
	r.Pattern = pathForward + "/"
	return &watchword.Error{Code: watchword.CodeNotFound, Detail: "Set the requirements in the query of " + pathForward +
		", without a slash at the end. A gateway that appends the client's path uses the prefix " + pathPrefix + "."}
}

func identify(w http.ResponseWriter, who watchword.Identity) error {
	email := ""
	if who.User.Verified() {
		email = string(who.User.Email)
	}
	h := w.Header()
	h.Set(headerSubject, string(who.User.ID))
	h.Set(headerSession, string(who.Session.ID))
	h.Set(headerRoles, strings.Join(who.User.Roles, ","))
	h.Set(headerEmail, email)
	return respond.JSON(w, http.StatusOK, messageBody{"This request may pass."})
}

// A forwardRule is what a gateway requires.
type forwardRule struct {
	roles []string // all of them
	login string   // where browsers go instead of 401; empty: nowhere
}

func (a *api) parseForward(query string) (rule forwardRule, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return rule, parameterInvalid("The query can't be read.")
	}
	for name, given := range values {
		switch name {
		case "role":
			for _, role := range given {
				if role == "" {
					return rule, parameterInvalid("The parameter role is empty: name a role, or leave it out.")
				}
			}
			rule.roles = given
		case "login":
			if len(given) != 1 || !a.origins.mayRedirectTo(given[0]) {
				return rule, parameterInvalid("The parameter login is not a URL on the public URL or on one of allowed-origins.")
			}
			rule.login = given[0]
		default:
			return rule, parameterInvalid("There are two parameters: role, as often as needed, and login.")
		}
	}
	return rule, nil
}

func parameterInvalid(detail string) *watchword.Error {
	return &watchword.Error{Code: watchword.CodeParameterInvalid, Detail: detail}
}

// isNavigation reports whether a person opened the page that the gateway asks
// about: a script would take a login page for its answer.
func isNavigation(r *http.Request) bool {
	return r.Method == http.MethodGet &&
		cmp.Or(r.Header.Get("X-Forwarded-Method"), http.MethodGet) == http.MethodGet &&
		cmp.Or(r.Header.Get("Sec-Fetch-Mode"), "navigate") == "navigate" &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// describeForward adds to the document what only this route has.
func describeForward(operation *huma.Operation) {
	text := &huma.Schema{Type: "string"}
	operation.Description = "Any method will do, and a body is not read. For gateways that append the client's path there is " + pathPrefix + ": it requires no role, and ignores query and rest of the path."
	operation.Parameters = []*huma.Param{
		{Name: "role", In: "query", Description: "A role that is required; of several, all are", Schema: &huma.Schema{Type: "array", Items: text}},
		{Name: "login", In: "query", Description: "Where a browser that opens a page is sent instead of 401: on the public URL or an allowed origin", Schema: text},
	}
	operation.Responses["200"].Headers = map[string]*huma.Param{
		headerSubject: {Description: "Id of the user", Schema: text},
		headerSession: {Description: "Id of the session", Schema: text},
		headerRoles:   {Description: "Roles, separated by commas; may be empty", Schema: text},
		headerEmail:   {Description: "The address, if it is proven; or empty", Schema: text},
	}
	operation.Responses["302"] = &huma.Response{Description: "To login"}
}
