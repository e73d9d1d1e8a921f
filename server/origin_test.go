package server_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
)

// These tests check the Host and the origin of requests.

// CSRF-1, CSRF-2, CSRF-3, CSRF-6, CSRF-7, W-67
func TestCrossSiteRequestChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) { o.AllowedOrigins = []string{"https://app.example.com"} })
	s.newBrowser(t).register("ada@example.com")
	b := s.newBrowser(t)
	b.Jar = nil
	body := `{"email":"ada@example.com","password":"correct horse battery"}`
	for _, c := range []struct {
		name, site, origin, cookie string
		passes                     bool
	}{
		{"our own page", "same-origin", s.url, "", true},
		{"our own page, an old browser", "", s.url, "watchword=x", true},
		{"typed in", "none", "", "watchword=x", true},
		{"a front-end on the list", "cross-site", "https://app.example.com", "watchword=x", true},
		{"on the list, an old browser", "", "https://app.example.com", "watchword=x", true},
		{"curl", "", "", "", true},
		{"a cookie that does not say where from", "", "", "watchword=x", false},
		{"a remembered browser that does not say where from", "", "", "watchword-device=x", false},
		{"a waiting identity that does not say where from", "", "", "watchword-link=x", false},
		{"an attempt at a provider that does not say where from", "", "", "watchword-with-12345678=x", false},
		{"a known device that does not say where from", "", "", "watchword-known=x", true},
		{"another site", "cross-site", "https://evil.example", "", false},
		{"another site without its origin", "cross-site", "", "", false},
		{"a sibling", "same-site", "https://other.example.com", "", false},
		{"a sibling with our name in front", "cross-site", "https://app.example.com.evil.example", "", false},
		{"the front-end without TLS", "cross-site", "http://app.example.com", "", false},
		{"another port", "cross-site", "https://app.example.com:8443", "", false},
		{"a sandboxed frame", "cross-site", "null", "", false},
		{"null, an old browser", "", "null", "", false},
		{"a lie about the site", "same-origin", "https://evil.example", "", false},
	} {
		for _, path := range []string{"/login", "/register", "/refresh", "/logout", "/password/forgot"} {
			a := b.do("POST", "/api/auth"+path, body, "Sec-Fetch-Site", c.site, "Origin", c.origin, "Cookie", c.cookie)
			if rejected := a.text("code") == "CROSS_ORIGIN"; rejected == c.passes {
				t.Errorf("%s, %s: %d %s", c.name, path, a.StatusCode, a.raw)
			}
			if !c.passes && (a.StatusCode != 403 || len(a.Cookies()) != 0) {
				t.Errorf("%s, %s: %d %v", c.name, path, a.StatusCode, a.Cookies())
			}
		}
	}
	wantStatus(t, b.do("GET", "/api/auth/me", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"),
		401,
		watchword.CodeTokenMissing)
}

// CSRF-3
func TestRefusalSaysThatTheOriginIsMissing(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.Jar = nil
	missing := b.do("POST", "/api/auth/logout", "", "Cookie", "watchword=x", "Sec-Fetch-Site", "", "Origin", "")
	if !strings.Contains(missing.text("detail"), "needs the header Origin or Sec-Fetch-Site") {
		t.Errorf("without an origin: %s", missing.raw)
	}
	foreign := b.do("POST", "/api/auth/logout", "", "Sec-Fetch-Site", "", "Origin", "https://evil.example")
	if !strings.Contains(foreign.text("detail"), "a page of another site") {
		t.Errorf("from another site: %s", foreign.raw)
	}
}

// CSRF-2
func TestOnTheLoopbackOriginIsComparedExactly(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.Jar = nil
	port := s.url[strings.LastIndex(s.url, ":"):]
	for origin, passes := range map[string]bool{
		s.url: true, "http://localhost" + port: true, "http://127.0.0.1" + port: true, "http://[::1]" + port: true,
		"http://app.localhost" + port:         true,
		"http://user@localhost" + port + "/x": false, "http://user@localhost" + port: false,
		"http://localhost" + port + "/":  false,
		"http://localhost" + port + "/x": false, "http://localhost" + port + "?x": false,
		"http://localhost" + port + "#x": false,
		"HTTP://localhost" + port:        false, "http://LOCALHOST" + port: false, "https://localhost" + port: false,
		"//localhost" + port: false,
		"localhost" + port:   false, "http:localhost" + port: false, "http://localhost": false,
		"http://localhost:1": false, "http://localhost" + port + port: false,
		"http://user@app.localhost" + port: false, "http://a/.localhost" + port: false,
		`http://a\.localhost` + port: false, "http://evil.example,app.localhost" + port: false,
		"http://localhost.evil.example" + port: false, "http://localhost" + port + " http://evil.example": false,
		"http://localhost%2eevil" + port: false,
	} {
		for _, path := range []string{"/api/auth/logout", "/logout"} {
			r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+path, nil)
			must(t, err)
			r.Header.Set("Origin", origin)
			if r.Host = "localhost" + port; passes {
				r.Host = strings.TrimPrefix(origin, "http://")
			}
			if a := b.send(r); (a.StatusCode != 403) != passes {
				t.Errorf("%s from %s: %d", path, origin, a.StatusCode)
			}
		}
	}
}

// CORS-1, CORS-2, CORS-4, CSRF-8
func TestOnlyAllowedOriginsMayReadResponses(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) { o.AllowedOrigins = []string{"https://app.example.com"} })
	b := s.newBrowser(t)
	const listed = "https://app.example.com"
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/api/auth/me", "", 401}, {"GET", "/api/auth/nothing", "", 404}, {"GET", "/api/auth/login", "", 405},
		{"POST", "/api/auth/login", "x", 400},
		{"POST", "/api/auth/login", strings.Repeat("x", 17<<10), 413}, {"POST", "/api/auth/refresh", "", 401},
	} {
		a := b.do(c.method, c.path, c.body, "Sec-Fetch-Site", "cross-site", "Origin", listed)
		if a.StatusCode != c.status || a.Header.Get("Access-Control-Allow-Origin") != listed ||
			a.Header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s %s: %d %v", c.method, c.path, a.StatusCode, a.Header)
		}
		vary := strings.Join(a.Header.Values("Vary"), ", ")
		if !strings.Contains(vary, "Origin") || !strings.Contains(vary, "Sec-Fetch-Site") {
			t.Errorf("Vary: %s", vary)
		}
		exposed := strings.ToLower(a.Header.Get("Access-Control-Expose-Headers"))
		for _, header := range []string{"www-authenticate", "retry-after", "x-request-id", "etag"} {
			if !strings.Contains(exposed, header) {
				t.Errorf("not exposed: %s", header)
			}
		}
		for _, foreign := range []string{"https://evil.example", "null", "http://app.example.com",
			"https://app.example.com.evil.example", "https://xapp.example.com"} {
			f := b.do(c.method, c.path, c.body, "Sec-Fetch-Site", "cross-site", "Origin", foreign)
			if f.Header.Get("Access-Control-Allow-Origin") != "" || f.StatusCode >= 500 {
				t.Errorf("%s reads %s: %d %v", foreign, c.path, f.StatusCode, f.Header)
			}
		}
	}
	// CORS-5
	for _, path := range []string{"/", "/reset", "/docs", "/assets/style.css", "/login", "/account"} {
		page := b.do("GET", path, "", "Sec-Fetch-Site", "cross-site", "Origin", listed)
		if page.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is shared: %v", path, page.Header)
		}
	}
	open := b.do("GET", "/.well-known/jwks.json", "", "Origin", "https://anybody.example", "Sec-Fetch-Site",
		"cross-site")
	if open.Header.Get("Access-Control-Allow-Origin") != "*" ||
		open.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("JWKS: %v", open.Header)
	}
}

// CORS-3
func TestPreflightFromAnotherOriginAllowsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) { o.AllowedOrigins = []string{"https://app.example.com"} })
	b := s.newBrowser(t)
	ask := func(origin, headers string) fullResponse {
		return b.do("OPTIONS", "/api/auth/login", "", "Origin", origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", headers)
	}
	for _, headers := range []string{"authorization,content-type", "content-type,idempotency-key,if-match"} {
		good := ask("https://app.example.com", headers)
		if good.StatusCode != 204 || good.Header.Get("Access-Control-Allow-Origin") == "" ||
			good.Header.Get("Access-Control-Allow-Headers") != headers {
			t.Errorf("%d %v", good.StatusCode, good.Header)
		}
	}
	for _, bad := range []fullResponse{ask("https://evil.example", "content-type"),
		ask("https://app.example.com", strings.Repeat(",", 12<<10))} {
		if bad.Header.Get("Access-Control-Allow-Headers") != "" || bad.StatusCode >= 500 {
			t.Errorf("%d %v", bad.StatusCode, bad.Header)
		}
	}
}

// HTTP-9
func TestRequestForAnotherHostReturns421(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	port := s.url[strings.LastIndex(s.url, ":"):]
	for host, ours := range map[string]bool{
		"127.0.0.1" + port: true, "localhost" + port: true, "[::1]" + port: true, "LOCALHOST" + port: true,
		"evil.example": false, "evil.example" + port: false, "127.0.0.1": false, "localhost:1": false,
		"user@localhost" + port: false, "user@a.localhost" + port: false, "a.localhost" + port: true,
		"localhost.evil.example" + port: false,
	} {
		for _, path := range []string{"/api/auth/me", "/docs", "/.well-known/acme-challenge"} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
			must(t, err)
			r.Host = host
			if a := b.send(r); (a.StatusCode != 421) != ours {
				t.Errorf("%s%s: %d", host, path, a.StatusCode)
			}
			r.URL.Path = "/healthz"
			if a := b.send(r); a.StatusCode != 200 {
				t.Errorf("a probe as %s: %d", host, a.StatusCode)
			}
		}
	}
	if got := sendRaw(t, s, "GET /api/auth/me HTTP/1.0\r\n\r\n"); got.StatusCode != 421 {
		t.Errorf("without a Host: %d", got.StatusCode)
	}
}

// HTTP-9, HTTP-14
func TestOnlyPublicDocumentsProbesAndForwardAcceptAnyHost(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) { o.DevMail = mailboxWithOneMailTwice })
	b := s.newBrowser(t)
	access := authorized(b.register("ada@example.com"))
	ask := func(method, path string, headers ...string) fullResponse {
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
		must(t, err)
		r.Host = "watchword:8080"
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return b.send(r)
	}
	anyHost := map[string]bool{}
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server",
		"/revocations", "/revocations/stream", "/healthz", "/readyz"} {
		anyHost[path] = true
		here, there := b.do("GET", path, ""), ask("GET", path)
		if there.StatusCode != 200 || string(there.raw) != string(here.raw) &&
			!strings.HasPrefix(path, "/revocations") {
			t.Errorf("%s: %d %s, and under the public host %s", path, there.StatusCode, there.raw, here.raw)
		}
	}
	for _, path := range []string{"/api/auth/forward", "/api/auth/forward-path/orders"} {
		anyHost[path] = true
		if a := ask("GET", path, access...); a.StatusCode != 200 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	paths := []string{"/", "/login", "/signup", "/forgot", "/reset", "/verify", "/account", "/logout", "/openapi.json",
		"/docs",
		"/assets/style.css", "/dev/mail", "/nothing", "/.well-known/nothing", "/revocations/", "/healthz/", "//healthz",
		"/api/auth/forward-path"}
	described := slices.Sorted(maps.Keys(s.document.Paths))
	if len(described) < 20 {
		t.Fatalf("the document describes %d paths", len(described))
	}
	for _, path := range append(paths, described...) {
		if path = strings.ReplaceAll(path, "{id}", "x"); anyHost[path] {
			continue
		}
		for _, method := range []string{"GET", "POST"} {
			if a := ask(method, path, access...); a.StatusCode != 421 {
				t.Errorf("%s %s: %d", method, path, a.StatusCode)
			}
		}
	}
}
