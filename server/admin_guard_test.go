package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// scopeByRoute has the scope that a service key needs for each route, or onlyAdmins.
var scopeByRoute = map[string]admin.Scope{
	"GET /api/admin/users":                        admin.ScopeUsersRead,
	"POST /api/admin/users":                       admin.ScopeUsersWrite,
	"GET /api/admin/users/{id}":                   admin.ScopeUsersRead,
	"PATCH /api/admin/users/{id}":                 admin.ScopeUsersWrite,
	"DELETE /api/admin/users/{id}":                admin.ScopeUsersWrite,
	"GET /api/admin/users/{id}/explain":           admin.ScopeUsersRead,
	"POST /api/admin/users/{id}/reset-mail":       admin.ScopeUsersWrite,
	"POST /api/admin/users/{id}/verify-mail":      admin.ScopeUsersWrite,
	"POST /api/admin/users/{id}/invite":           admin.ScopeUsersWrite,
	"POST /api/admin/users/{id}/reset-factors":    admin.ScopeUsersWrite,
	"DELETE /api/admin/users/{id}/sessions":       admin.ScopeSessionsEnd,
	"DELETE /api/admin/users/{id}/sessions/{sid}": admin.ScopeSessionsEnd,
	"GET /api/admin/events":                       admin.ScopeEventsRead,
	"GET /api/admin/mails":                        admin.ScopeMail,
	"POST /api/admin/mails/{id}/retry":            admin.ScopeMail,
	"GET /api/admin/keys":                         admin.ScopeKeys,
	"POST /api/admin/keys/rotate":                 admin.ScopeKeys,
	"GET /api/admin/stats":                        admin.ScopeUsersRead,
	"GET /api/admin/service-keys":                 onlyAdmins,
	"POST /api/admin/service-keys":                onlyAdmins,
	"DELETE /api/admin/service-keys/{id}":         onlyAdmins,
}

const onlyAdmins admin.Scope = "only administrators"

// Each route must accept a service key with the route's scope, and refuse keys with all other scopes. The expected
// scopes are listed here and not read from the guards, so a wrong guard fails the test. A route that is not listed
// also fails it.
//
// AZ-4
func TestAdminRoutesCheckTheScopeOfServiceKeys(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	headersByScope := map[admin.Scope][]string{} // for each scope, a key with only that scope
	others := map[admin.Scope][]string{}
	for _, scope := range admin.Scopes() {
		_, headersByScope[scope] = s.createServiceKey(t, header, scope)
		_, others[scope] = s.createServiceKey(t, header,
			slices.DeleteFunc(admin.Scopes(), func(other admin.Scope) bool {
				return other == scope
			})...)
	}
	_, everything := s.createServiceKey(t, header, admin.Scopes()...)
	id, revoked := s.createServiceKey(t, header, admin.Scopes()...)
	b := s.newBrowser(t)
	wantStatus(t, b.do("DELETE", "/api/admin/service-keys/"+id, "", header...), 200, "")
	routes := s.server.AdminRoutes()
	if len(routes) != len(scopeByRoute) {
		t.Errorf("%d routes, scopeByRoute has %d rows", len(routes), len(scopeByRoute))
	}
	for _, r := range routes {
		scope, listed := scopeByRoute[r.Method+" "+r.Path]
		if !listed {
			t.Errorf("%s %s has no row in scopeByRoute", r.Method, r.Path)
			continue
		}
		path := strings.NewReplacer("{id}", "00000000-0000-7000-8000-000000000000",
			"{sid}", "00000000-0000-7000-8000-000000000000").Replace(r.Path)
		refused := map[string][]string{"a key with all other scopes": others[scope]}
		if scope == onlyAdmins {
			refused = map[string][]string{"a key with all scopes": everything}
		} else if a := b.do(r.Method, path, "", headersByScope[scope]...); a.StatusCode == 401 || a.StatusCode == 403 {
			t.Errorf("%s %s as a key with %s: %d %s", r.Method, r.Path, scope, a.StatusCode, a.raw)
		}
		for caller, key := range refused {
			a := b.do(r.Method, path, "", key...)
			if a.StatusCode != 403 || a.text("code") != string(watchword.CodeInsufficientScope) {
				t.Errorf("%s %s as %s: %d %s", r.Method, r.Path, caller, a.StatusCode, a.raw)
			}
		}
		a := b.do(r.Method, path, "", revoked...)
		if a.StatusCode != 401 || a.text("code") != string(watchword.CodeTokenInvalid) {
			t.Errorf("%s %s as a revoked key: %d %s", r.Method, r.Path, a.StatusCode, a.raw)
		}
	}
}
