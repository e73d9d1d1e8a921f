package server

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// This file has the common parts of the administration API. Its routes are in routes.go, and its rules are in package
// admin.
//
// For each request, the server reads the token, identifies the caller in the store and checks the guard of the route.
// Only then does it read the query or the body. A caller without access learns nothing about the format of a request,
// and costs at most one statement.
//
// A bearer token is the only credential: an access token of an administrator or a service key. Cookies don't count,
// so pages of other sites can't use these routes. The pages of administrators have separate handlers.

// adminAPI has the handlers of the admin API. The files api_admin*.go contain them.
type adminAPI struct{ edge }

// An adminHandler handles a request whose caller has passed the guard of the route.
type adminHandler func(http.ResponseWriter, *http.Request, admin.Caller) error

// requireGuard checks the guard before it calls the handler, so a handler can't forget the check. It panics at the
// start of the server if g is not a guard of the admin API.
func (a *adminAPI) requireGuard(g guard, next adminHandler) handler {
	need, known := g.requiredAccess()
	if !known {
		panic("server: a route of the admin API has the guard " + string(g))
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		token, err := apirequest.BearerToken(r)
		if err != nil {
			return err
		}
		by, err := a.admin.Authorize(r.Context(), watchword.Secret(token), need)
		if err != nil {
			return err
		}
		return a.runOnce(w, r, by, next)
	}
}

// requiredAccess returns false if g is not a guard of the admin API.
func (g guard) requiredAccess() (admin.Need, bool) {
	switch g {
	case readUsers:
		return admin.Need{Scope: admin.ScopeUsersRead}, true
	case writeUsers:
		return admin.Need{Scope: admin.ScopeUsersWrite, Write: true}, true
	case endSessions:
		return admin.Need{Scope: admin.ScopeSessionsEnd, Write: true}, true
	case readEvents:
		return admin.Need{Scope: admin.ScopeEventsRead}, true
	case readMails:
		return admin.Need{Scope: admin.ScopeMail}, true
	case writeMails:
		return admin.Need{Scope: admin.ScopeMail, Write: true}, true
	case readKeys:
		return admin.Need{Scope: admin.ScopeKeys}, true
	case writeKeys:
		return admin.Need{Scope: admin.ScopeKeys, Write: true}, true
	case readNoKey:
		return admin.Need{}, true
	case writeNoKey:
		return admin.Need{Write: true}, true
	}
	return admin.Need{}, false
}

// guardsAdministration is for the OpenAPI document and the page /docs, which describe the routes of the admin API
// differently.
func (g guard) guardsAdministration() bool {
	_, known := g.requiredAccess()
	return known
}

// An adminUserBody is an account as administrators see it: the members of a watchword.Profile, the state of the
// account and its factors. It never contains the password hash. It contains the address, which is personal data. A
// search by address does not write the address to the log, because the log has the route without the query.
type adminUserBody struct {
	watchword.Profile
	State       string     `json:"state" enum:"active,unverified,disabled"`
	DisabledAt  *time.Time `json:"disabledAt,omitempty"`
	HasPassword bool       `json:"hasPassword"`
	Factors     []string   `json:"factors" nullable:"false" doc:"The kinds of second factors: totp, passkey"`
}

// newAdminUserBody never leaves a list nil, so that clients can iterate over it. It omits disabledAt for a zero time,
// which would appear as a date in the year 1.
func newAdminUserBody(account admin.Account) adminUserBody {
	body := adminUserBody{
		Profile: account.Profile(), State: account.State(), HasPassword: account.PasswordHash != "",
		Factors: account.Kinds(),
	}
	if account.Disabled() {
		body.DisabledAt = &account.DisabledAt
	}
	return body
}

// An adminUsersAnswer can have fewer items than the limit, even none, although there is a next page. A client must
// continue until next is missing.
type adminUsersAnswer struct {
	Items []adminUserBody `json:"items" nullable:"false"`
	Next  string          `json:"next,omitempty" doc:"Cursor of the next page, for ?after=; missing: this is the last page"`
}

// listUsers sorts by address, or by id if the parameter role is set. The store reads only a range of an index, so a
// late page costs as little as the first.
func (a *adminAPI) listUsers(w http.ResponseWriter, r *http.Request, _ admin.Caller) error {
	given, err := parseQuery(r, "email", "id", "role", "state", "factor", "after", "limit")
	if err != nil {
		return err
	}
	limit, err := given.pageLimit()
	if err != nil {
		return err
	}
	page, err := a.admin.FindUsers(r.Context(), admin.Filter{
		Email: given["email"], ID: given["id"], Role: given["role"], State: given["state"], Factor: given["factor"],
	}, given["after"], limit)
	if err != nil {
		return err
	}
	// The cursor contains its filter and is rejected with a different filter. A client that
	// changes the filter therefore restarts at the first page.
	answer := adminUsersAnswer{Items: []adminUserBody{}, Next: page.Next}
	for _, account := range page.Items {
		answer.Items = append(answer.Items, newAdminUserBody(account))
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// queryParameters maps the names of parameters to their values. A missing parameter and an empty parameter are
// treated alike, because a form also sends the fields that its user did not fill in.
type queryParameters map[string]string

// parseQuery rejects a parameter that is not in allowedNames or that occurs twice. Otherwise a misspelt filter would
// select every account.
func parseQuery(r *http.Request, allowedNames ...string) (queryParameters, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalidParameter("The query is malformed.")
	}
	given := queryParameters{}
	for name, all := range values {
		if !slices.Contains(allowedNames, name) {
			return nil, invalidParameter("The query has a parameter that this path does not have.")
		}
		if len(all) != 1 {
			return nil, invalidParameter("The parameter " + name + " occurs twice.")
		}
		given[name] = all[0]
	}
	return given, nil
}

// pageLimit returns 0 if the parameter limit is missing. It rejects a number that is too large. If the server reduced
// the number silently, a client could take a short page for the last page.
func (q queryParameters) pageLimit() (int, error) {
	text, found := q["limit"]
	if !found {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > admin.MaxLimit {
		return 0, invalidParameter("The parameter limit is not a number from 1 to 200.")
	}
	return n, nil
}

// pagedAdminPaths have the parameters after and limit.
var pagedAdminPaths = []string{pathAdmin + "/users", pathAdmin + "/events", pathAdmin + "/mails",
	pathAdmin + "/service-keys"}

// describeAdminParameters describes the query of a route for the OpenAPI document, so that a generated client offers
// every filter. The names must be those that the handler of the route accepts.
func describeAdminParameters(r route) (all []*huma.Param) {
	addText := func(name, doc string, values ...any) {
		all = append(all, &huma.Param{Name: name, In: "query", Description: doc,
			Schema: &huma.Schema{Type: "string", Enum: values}})
	}
	if r.method != http.MethodGet {
		all = append(all, describeRequestHeader(idempotencyHeader,
			"A repeated request with the same key is not run again and gets the first status and id, for 24 hours", "uuid"))
	}
	if r.method == http.MethodPatch {
		all = append(all, describeRequestHeader("If-Match",
			"The ETag that the metadata must have. Otherwise the patch is refused (VERSION_CHANGED)", ""))
	}
	if r.path == pathAdmin+"/events" {
		addText("user", "The id of an account, also of a deleted one")
		addText("kind", "A kind, such as login_failed")
		addText("address", "The network address of the client")
		addText("from", "Inclusive, in RFC 3339")
		addText("to", "Exclusive, in RFC 3339")
	}
	if r.path == pathAdmin+"/mails" {
		addText("user", "The id of an account")
	}
	if r.path == pathAdmin+"/users/{id}/explain" {
		addText("at", "When the user noticed, in RFC 3339. Default: now")
		addText("language", "", "en", "de")
	}
	if strings.Contains(r.path, "{sid}") {
		all = append(all, &huma.Param{Name: "sid", In: "path", Required: true, Schema: &huma.Schema{Type: "string"},
			Description: "Id of the session"})
	}
	if r.method == http.MethodGet && r.path == pathAdmin+"/users" {
		addText("email", "A prefix of the address, in any case")
		addText("id", "The id of the account")
		addText("role", "A role that the account holds")
		addText("state", "", admin.StateActive, admin.StateUnverified, admin.StateDisabled)
		addText("factor", "The kind of a second factor",
			admin.FactorNone, admin.FactorAny, admin.FactorTOTP, admin.FactorPasskey)
	}
	if r.method == http.MethodGet && slices.Contains(pagedAdminPaths, r.path) {
		addText("after", "next of the page before")
		all = append(all, &huma.Param{Name: "limit", In: "query", Description: "1 to 200. Default: 50",
			Schema: &huma.Schema{Type: "integer"}})
	}
	return all
}
