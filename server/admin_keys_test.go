package server_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

func (s *service) createServiceKey(
	t *testing.T, header []string, scopes ...admin.Scope,
) (id string, keyHeader []string) {
	t.Helper()
	var list []string
	for _, scope := range scopes {
		list = append(list, `"`+string(scope)+`"`)
	}
	a := s.newBrowser(t).do("POST", "/api/admin/service-keys",
		`{"name":"billing","scopes":[`+strings.Join(list, ",")+`],"expiresIn":3600}`, header...)
	wantStatus(t, a, 201, "")
	return a.text("id"), []string{"Authorization", "Bearer " + a.text("key")}
}

func TestAdminServiceKeysOverHTTP(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	ada := s.addUsers(t, 2)[1]
	b := s.newBrowser(t)
	id, key := s.createServiceKey(t, header, admin.ScopeUsersRead, admin.ScopeSessionsEnd)
	path := "/api/admin/users/" + string(ada.ID)
	wantStatus(t, b.do("GET", path, "", key...), 200, "")
	wantStatus(t, b.do("GET", path+"/explain", "", key...), 200, "")
	wantStatus(t, b.do("DELETE", path+"/sessions", "", key...), 200, "")
	wantStatus(t, b.do("DELETE", path, "", key...), 403, watchword.CodeInsufficientScope)
	wantStatus(t, b.do("GET", "/api/admin/service-keys", "", key...), 403, watchword.CodeInsufficientScope)
	wantStatus(t, b.do("POST", "/api/admin/service-keys", `{"name":"x","scopes":["mail"]}`, key...), 403,
		watchword.CodeInsufficientScope)
	a := b.do("GET", path, "", header...)
	if !strings.Contains(string(a.raw), `"operator":"service key billing (`+id+`)"`) {
		t.Errorf("no event names the key: %s", a.raw)
	}

	a = b.do("GET", "/api/admin/service-keys", "", header...)
	wantStatus(t, a, 200, "")
	secret := strings.TrimPrefix(key[1], "Bearer ")
	if strings.Contains(string(a.raw), secret[5:]) || !strings.Contains(string(a.raw), `"state":"active"`) ||
		!strings.Contains(string(a.raw), `"lastUsedAt"`) {
		t.Errorf("%s", a.raw)
	}
	for _, body := range []string{`{"name":"x","scopes":["root"]}`, `{"name":"","scopes":["mail"]}`,
		`{"name":"x","scopes":[]}`,
		`{"name":"x","scopes":["mail"],"expiresIn":-5}`, `{"name":"x","scopes":["mail"],"expiresIn":9223372036854775807}`} {
		wantStatus(t, b.do("POST", "/api/admin/service-keys", body, header...), 422, watchword.CodeValidationFailed)
	}
	wantStatus(t, b.do("DELETE", "/api/admin/service-keys/"+id, "", header...), 200, "")
	wantStatus(t, b.do("GET", path, "", key...), 401, watchword.CodeTokenInvalid)
	wantStatus(t, b.do("DELETE", "/api/admin/service-keys/"+id, "", header...), 404, watchword.CodeNotFound)
}

// A service key must work only as a bearer token, and only at /api/admin (tests 5 and 6 of the specification).
func TestAdminServiceKeyCountsOnlyAsBearerToken(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	_, key := s.createServiceKey(t, header, admin.Scopes()...)
	secret := strings.TrimPrefix(key[1], "Bearer ")
	b := s.newBrowser(t)
	for name, headers := range map[string][]string{
		"query":  nil,
		"cookie": {"Cookie", "watchword=" + secret},
		"Basic":  {"Authorization", "Basic " + secret},
		"header": {"X-Api-Key", secret},
	} {
		query := ""
		if name == "query" {
			query = "?access_token=" + secret
		}
		if a := b.do("GET", "/api/admin/users"+query, "", headers...); a.StatusCode != 401 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
		}
	}
	for _, route := range []string{"GET /me", "PATCH /me", "DELETE /me", "GET /sessions", "POST /logout-all",
		"POST /step-up", "GET /forward", "GET /users/1"} {
		method, path, _ := strings.Cut(route, " ")
		body := ""
		if method != "GET" {
			body = "{}"
		}
		if a := b.do(method, "/api/auth"+path, body, key...); a.StatusCode != 401 {
			t.Errorf("%s: %d %s", route, a.StatusCode, a.raw)
		}
	}
}

func TestAdminServiceKeyNeverMakesAnAdministrator(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	ada := s.addUsers(t, 2)[1]
	b := s.newBrowser(t)
	_, writer := s.createServiceKey(t, header, admin.ScopeUsersWrite)
	_, roles := s.createServiceKey(t, header, admin.ScopeUsersWrite, admin.ScopeRolesWrite)
	path, rootPath := "/api/admin/users/"+string(ada.ID), "/api/admin/users/"+string(root.ID)
	wantStatus(t, b.do("PATCH", path, `{"name":"Ada"}`, writer...), 200, "")
	for name, c := range map[string]struct {
		method, path, body string
		key                []string
	}{
		"roles without the scope": {"PATCH", path, `{"roles":["staff"]}`, writer},
		"the role admin":          {"PATCH", path, `{"roles":["admin"]}`, roles},
		"take the role admin":     {"PATCH", rootPath, `{"roles":[]}`, roles},
		"keep the role admin":     {"PATCH", rootPath, `{"roles":["admin","staff"]}`, roles},
		"invite with roles": {"POST", "/api/admin/users",
			`{"email":"a@example.com","roles":["staff"],"invite":true}`, writer},
		"invite an administrator": {"POST", "/api/admin/users",
			`{"email":"a@example.com","roles":["admin"],"invite":true}`, roles},
		"factors of an administrator": {"POST", rootPath + "/reset-factors", "", roles},
	} {
		a := b.do(c.method, c.path, c.body, c.key...)
		if a.StatusCode != 403 || a.text("code") != string(watchword.CodeInsufficientScope) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
		}
	}
	wantStatus(t, b.do("PATCH", path, `{"roles":["staff"]}`, roles...), 200, "")
	wantStatus(t, b.do("POST", "/api/admin/users", `{"email":"a@example.com","roles":["staff"],"invite":true}`,
		roles...), 201, "")
	wantStatus(t, b.do("POST", path+"/reset-factors", "", writer...), 200, "")
	wantStatus(t, b.do("PATCH", rootPath, `{"disabled":true}`, writer...), 409, watchword.CodeLastAdmin)
}
