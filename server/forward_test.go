package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/server"
)

// These tests check the responses to gateways. Tests in cmd/watchword use real gateways.

var identityHeaders = []string{"X-Auth-Subject", "X-Auth-Session", "X-Auth-Roles", "X-Auth-Email"}

func wantIdentity(t *testing.T, a fullResponse, values ...string) {
	t.Helper()
	if a.StatusCode != 200 {
		t.Fatalf("%s %s: %d %s", a.Request.Method, a.Request.URL, a.StatusCode, a.raw)
	}
	for i, name := range identityHeaders {
		if got := a.Header.Values(name); len(got) != 1 || got[0] != values[i] {
			t.Errorf("%s %s: %s is %q, want [%q]", a.Request.Method, a.Request.URL, name, got, values[i])
		}
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %s", got)
	}
}

func wantNobody(t *testing.T, a fullResponse) {
	t.Helper()
	for _, name := range identityHeaders {
		if a.Header.Values(name) != nil {
			t.Errorf("%d with %s", a.StatusCode, name)
		}
	}
}

func TestForwardReturnsTheIdentity(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	in := b.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword, "name": "Ada"})
	id := watchword.UserID(in.body["user"].(map[string]any)["id"].(string))
	access := authorized(in.text("accessToken"))
	session := b.do("GET", "/api/auth/sessions", "",
		access...).body["sessions"].([]any)[0].(map[string]any)["id"].(string)

	wantIdentity(t, b.do("GET", "/api/auth/forward", "", access...), string(id), session, "", "")

	token := s.mailer.awaitUnseenMail(t, watchword.MailVerify).Token
	wantStatus(t, b.post("/email/verify", map[string]any{"token": string(token)}), 200, "")
	_, err := s.engine.Operator().SetRoles(t.Context(), id, []string{"editor", "admin"})
	must(t, err)
	wantStatus(t, b.do("GET", "/api/auth/forward", "", access...), 401, watchword.CodeTokenExpired)
	access = authorized(b.do("POST", "/api/auth/refresh", "").text("accessToken"))

	b.Jar = nil
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		for _, path := range []string{"", "?role=admin", "?role=admin&role=editor", "-path/",
			"-path/orders/7?role=nobody&x=1", "-path//orders/../..//login/", "-path/%2e%2e/login"} {
			a := b.do(method, "/api/auth/forward"+path, strings.Repeat("not JSON", 4<<10), access...)
			wantIdentity(t, a, string(id), session, "admin,editor", "ada@example.com")
		}
	}
	for _, query := range []string{"?role=owner", "?role=admin&role=owner", "?role=Admin", "?role=admin,editor"} {
		a := b.do("GET", "/api/auth/forward"+query, "", access...)
		wantStatus(t, a, 403, watchword.CodeInsufficientScope)
		wantNobody(t, a)
		if got := a.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) {
			t.Errorf("WWW-Authenticate: %s", got)
		}
	}
}

func TestForwardWithoutALiveAccessTokenReturns401(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) { o.AllowedOrigins = []string{"https://app.example.com"} })
	b := s.newBrowser(t)
	access := authorized(b.register("ada@example.com"))
	for _, path := range []string{"/api/auth/forward", "/api/auth/forward-path/orders"} {
		none := b.do("GET", path, "") // only the refresh cookie, no access token
		wantStatus(t, none, 401, watchword.CodeTokenMissing)
		if got := none.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer realm=") ||
			strings.Contains(got, "error") {
			t.Errorf("WWW-Authenticate: %s", got)
		}
		for _, header := range []string{"Basic YWRhOng=", "Bearer", "Bearer x", "Bearer " + access[1]} {
			a := b.do("GET", path, "", "Authorization", header)
			if a.StatusCode != 401 {
				t.Errorf("%s: %d %s", header, a.StatusCode, a.raw)
			}
			wantNobody(t, a)
		}
		preflight := b.do("OPTIONS", path, "", "Origin", "https://app.example.com", "Access-Control-Request-Method",
			"POST")
		wantStatus(t, preflight, 401, watchword.CodeTokenMissing)
		wantStatus(t, b.do("POST", path, "", "Origin", "https://evil.example", access[0], access[1]), 403,
			apirequest.CodeCrossOrigin)
	}
	wantStatus(t, b.do("POST", "/api/auth/logout", ""), 200, "")
	ended := b.do("GET", "/api/auth/forward", "", access...)
	wantStatus(t, ended, 401, watchword.CodeSessionEnded)
	if got := ended.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
		t.Errorf("WWW-Authenticate: %s", got)
	}
}

func TestForwardAcceptsAnyHost(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	for path, status := range map[string]int{"/api/auth/forward": 401, "/api/auth/forward-path/x": 401,
		"/api/auth/forward/x": 404, "/api/auth/forward-path": 421, "/api/auth/forwards": 421, "/api/auth/me": 421} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
		must(t, err)
		r.Host = "shop.example.com"
		if a := b.send(r); a.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, a.StatusCode, status)
		}
	}
}

// An unknown parameter must be rejected, because a misspelt requirement would otherwise let everyone in.
func TestForwardRejectsUnknownParameters(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := authorized(b.register("ada@example.com"))
	for _, query := range []string{"roles=admin", "Role=admin", "role=", "role", "role=admin&role=", "redirect=/", "x",
		"role=%zz", "role=a;b", "login=", "login=" + s.url + "&login=" + s.url,
		"acr", "acr=", "acr=AAL1", "acr=aal3", "acr=aal1+aal2", "acr=aal1&acr=aal1", "acr=aal1,", "ACR=aal1",
		"acr_values=aal1",
		"max_age", "max_age=", "max_age=0", "max_age=-1", "max_age=5m", "max_age=300.0", "max_age=%2B300",
		"max_age=0300",
		"max_age=3e2", "max_age=+300", "max_age=300&max_age=300", "max_age=31622401", "max_age=99999999999999999999",
		"maxage=300", "max-age=300", "acr=aal1&max_age=never", "role=&acr=aal1"} {
		a := b.do("GET", "/api/auth/forward?"+query, "", access...)
		wantStatus(t, a, 400, watchword.CodeParameterInvalid)
		wantNobody(t, a)
	}
}

// RFC 9470
func TestForwardAsksForAStepUp(t *testing.T) {
	t.Parallel()
	s := startWithFactorRoutes(t)
	b := s.newBrowser(t)
	plain := authorized(b.post("/register", map[string]any{
		"email": "bob@example.com", "password": goodPassword, "name": "Bob"}).text("accessToken"))
	access, _, codes := s.signUpWithApp(t, s.newBrowser(t))
	ask := func(query, challenge string, access []string) {
		t.Helper()
		a := s.newBrowser(t).do("GET", "/api/auth/forward"+query, "", append(access, "Accept", "text/html")...)
		if challenge == "" {
			wantStatus(t, a, 200, "")
			return
		}
		wantStatus(t, a, 401, watchword.CodeStepUpRequired)
		wantNobody(t, a)
		suffix := `", error="insufficient_user_authentication"` + challenge
		if got := a.Header.Get("WWW-Authenticate"); !strings.HasSuffix(got, suffix) {
			t.Errorf("%s: WWW-Authenticate: %s", query, got)
		}
	}
	ask("?acr=aal1&max_age=300", "", plain)
	ask("?acr=aal2&max_age=300", `, acr_values="aal2", max_age="300"`, plain)
	ask("?acr=aal2&login="+s.url, `, acr_values="aal2"`, plain) // signed in, so no redirect to the login URL
	// The token is older than the enrolment, but its session has had the level aal2 since the enrolment. The server
	// must use the level of the session.
	ask("?acr=aal1", "", access)
	ask("?acr=aal2&max_age=300", "", access)
	ask("?acr=phr", `, acr_values="phr"`, access)
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error { return backdateProofs(t.Context(), tx) }))
	ask("?acr=aal2", "", access)
	ask("?max_age=3600", `, max_age="3600"`, access)
	ask("?max_age=7200", "", access)
	ask("?acr=aal2&max_age=300", `, acr_values="aal2", max_age="300"`, access)
	wantStatus(t, s.newBrowser(t).do("POST", "/api/auth/step-up", `{"recoveryCode":"`+codes[0]+`"}`, access...), 200,
		"")
	ask("?acr=aal2&max_age=300", "", access)
	// A missing role must get 403, even if the session has a proof of the required level.
	wantStatus(t, b.do("GET", "/api/auth/forward?acr=aal2&role=admin", "", plain...), 403,
		watchword.CodeInsufficientScope)
	below := s.newBrowser(t).do("GET", "/api/auth/forward-path/?acr=phr", "", access...)
	wantStatus(t, below, 200, "") // the server ignores the query of such a path, because the client controls it
}

// A path below /forward/ must get 404. The server must not handle it like a path below /forward-path/, where it
// ignores the query and requires no role.
func TestPathsBelowForwardReturn404(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := authorized(b.register("ada@example.com"))
	for _, method := range []string{"GET", "POST", "OPTIONS"} {
		for _, path := range []string{
			"/?role=admin", "/", "/orders", "//?role=admin", "/../forward-path/x", "/%2e%2e/x"} {
			a := b.do(method, "/api/auth/forward"+path, "", access...)
			wantStatus(t, a, 404, watchword.CodeNotFound)
			wantNobody(t, a)
			if !strings.Contains(a.text("detail"), "/api/auth/forward-path/") {
				t.Errorf("%s %s: %s", method, path, a.raw)
			}
		}
	}
	wantStatus(t, b.do("GET", "/api/auth/forward?role=admin", "", access...), 403, watchword.CodeInsufficientScope)
}

// HTTP-12
func TestForwardRedirectsOnlyToAllowedOrigins(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) {
		o.PublicURL = "https://id.example.com"
		o.AllowedOrigins = []string{"https://app.example.com", "http://localhost:5173"}
	})
	ask := func(target string, headers map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://id.example.com/api/auth/forward", nil)
		r.URL.RawQuery = "login=" + strings.NewReplacer("%", "%25", "+", "%2B", "&", "%26", ";", "%3B", "\\", "%5C",
			" ", "%20", "\t", "%09", "\r", "%0D", "\n", "%0A", "\x00", "%00", "#", "%23").Replace(target)
		r.Header.Set("Accept", "text/html,*/*;q=0.8")
		for name, value := range headers {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		s.server.ServeHTTP(w, r)
		return w
	}
	for _, target := range []string{
		"https://id.example.com", "https://app.example.com/", "https://app.example.com/sign-in?next=/orders%2F7&x=a+b",
		"http://localhost:5173/login",
	} {
		if w := ask(target, nil); w.Code != 302 || w.Header().Get("Location") != target || w.Body.Len() != 0 ||
			w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", target, w.Code, w.Header())
		}
		for header, value := range map[string]string{"Accept": "application/json", "X-Forwarded-Method": "POST",
			"Sec-Fetch-Mode": "cors"} {
			if w := ask(target, map[string]string{header: value}); w.Code != 401 || w.Header().Get("Location") != "" {
				t.Errorf("%s: %s: %d", header, value, w.Code)
			}
		}
	}
	for _, target := range []string{
		"", "/", "/login", "//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`,
		"https:evil.example", "https:/evil.example",
		"https://evil.example", "https://evil.example/https://app.example.com", "http://app.example.com",
		"https://app.example.com.evil.example",
		"https://app.example.comevil.example", "https://app.example.com@evil.example",
		"https://app.example.com:443@evil.example", "https://user@app.example.com/",
		"https://app.example.com:443/", "https://app.example.com:8443/", "https://app.example.com.",
		"https://APP.example.com/", "HTTPS://app.example.com/",
		`https://app.example.com\@evil.example`, `https://app.example.com\.evil.example`,
		`https://app.example.com/\evil.example`, "https://app.example.com%40evil.example",
		"https://app.example.com#@evil.example", "https://app.example.com/#access_token=x",
		"https://app.example.com?x#y", "https://xapp.example.com", "https://example.com",
		"https://127.0.0.1/", "https://[::1]/", "http://2130706433/", "http://localhost:51730/", "http://localhost/",
		"http://localhost:5173.evil.example",
		"javascript:alert(1)", "JavaScript://app.example.com/%0aalert(1)", "data:text/html,x", "vbscript:x",
		"blob:https://app.example.com/x", "file:///etc/passwd",
		" https://app.example.com/", "https://app.example.com/ ", "\thttps://app.example.com/",
		"https://app.exa\tmple.com/", "https://app.example.com/\r\nSet-Cookie: x=y",
		"https://app.example.com/\n", "https://app.example.com/\x00", "https://app.example.com/\u00e9",
		"https://app.example.com/\u2028", "https://\u0430pp.example.com/", `https://app.example.com/"><script>`,
	} {
		w := ask(target, nil)
		if w.Code != 400 || w.Header().Get("Location") != "" ||
			!strings.Contains(w.Body.String(), `"code":"PARAMETER_INVALID"`) {
			t.Errorf("%q: %d %s %s", target, w.Code, w.Header().Get("Location"), w.Body)
		}
	}
}
