package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/transcript"
	"github.com/watchword-auth/watchword/server"
)

// These tests check over HTTP the rules that hold for all endpoints.

// IN-1, IN-2, IN-3, IN-8, HTTP-4
func TestMalformedBodyIsRejected(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	good := `{"email":"ada@example.com","password":"correct horse battery"}`
	for name, body := range map[string]string{
		"no JSON": "email=ada", "an array": "[" + good + "]",
		"trailing data": good + good, "a member twice": `{"email":"a@b.example","email":"c@d.example","password":"x"}`,
		"another case": `{"Email":"ada@example.com","password":"x"}`, "unknown": `{"email":"ada@example.com","password":"x","isAdmin":true}`,
		"NUL": `{"email":"ada@example.com","password":"a\u0000b"}`, "lone surrogate": `{"email":"ada@example.com","password":"\ud800"}`,
		"invalid UTF-8": "{\"email\":\"ada@example.com\",\"password\":\"\xff\"}", "null": `{"email":null,"password":"x"}`, "a number": `{"email":1,"password":"x"}`,
		"an array for text": `{"email":["ada@example.com"],"password":"x"}`, "an operator": `{"email":{"$ne":""},"password":{"$ne":""}}`, "a truth": `{"email":true,"password":"x"}`,
		"deep": `{"email":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `,"password":"x"}`,
	} {
		for _, path := range []string{"/api/auth/login", "/api/auth/register"} {
			a := b.do("POST", path, body)
			if a.StatusCode != 400 || a.text("code") != "BODY_INVALID" {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
			}
		}
	}
	wantStatus(t, b.do("POST", "/api/auth/login", "", "Content-Type", "application/json"), 400,
		apirequest.CodeBodyInvalid)
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded",
		"application/json; charset=utf-16", "application/json, text/plain"} {
		wantStatus(t, b.do("POST", "/api/auth/login", good, "Content-Type", kind), 415, apirequest.CodeContentType)
	}
	wantStatus(t, b.do("POST", "/api/auth/login", good, "Content-Type", "application/JSON; charset=UTF-8"), 401,
		watchword.CodeInvalidCredentials)
	wantStatus(t, b.do("POST", "/api/auth/login", good, "Content-Encoding", "gzip"), 415, apirequest.CodeContentType)
}

// IN-4, HTTP-7
func TestLargeBodyReturns413(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	body := func(size int) string {
		frame := `{"email":"ada@example.com","password":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	wantStatus(t, b.do("POST", "/api/auth/login", body(16<<10)), 401, watchword.CodeInvalidCredentials)
	wantStatus(t, b.do("POST", "/api/auth/login", body(16<<10+1)), 413, apirequest.CodeBodyTooLarge)
}

func TestValidationErrorNamesTheMissingFields(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	for _, c := range []struct{ method, path, body, field, code string }{
		{"POST", "/register", `{}`, "email", "REQUIRED"},
		{"POST", "/register", `{}`, "password", "REQUIRED"},
		{"POST", "/register", `{"email":"ada@localhost","password":"x"}`, "email", "INVALID"},
		{"POST", "/register", `{"email":"ada%example.org@example.com","password":"x"}`, "email", "INVALID"},
		{"POST", "/register", `{"email":"bob@example.com","password":"x"}`, "password", "PASSWORD_TOO_SHORT"},
		{"POST", "/login", `{}`, "email", "REQUIRED"},
		{"POST", "/password/forgot", `{}`, "email", "REQUIRED"},
		{"POST", "/password/change", `{"newPassword":"a rainbow over the bay"}`, "currentPassword", "REQUIRED"},
		{"POST", "/email/change", `{"newEmail":"c@d.example"}`, "password", "REQUIRED"},
		{"DELETE", "/me", `{}`, "password", "REQUIRED"},
		{"PATCH", "/me", `{}`, "name", "REQUIRED"},
		{"PATCH", "/me", `{"name":"` + strings.Repeat("x", 201) + `"}`, "name", "TOO_LONG"},
		{"PATCH", "/me", `{"name":"a\u202eb"}`, "name", "INVALID"},
		{"PATCH", "/me", `{"locale":"english"}`, "locale", "INVALID"},
	} {
		a := b.do(c.method, "/api/auth"+c.path, c.body, authorized(access)...)
		wantStatus(t, a, 422, watchword.CodeValidationFailed)
		found := false
		for _, one := range a.body["errors"].([]any) {
			e := one.(map[string]any)
			found = found || e["field"] == c.field && e["code"] == c.code && e["message"] != ""
		}
		if !found {
			t.Errorf("%s %s: %s", c.path, c.body, a.raw)
		}
	}
}

// RST-8, EV-1
func TestPasswordResetNeedsAValidToken(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	for _, body := range []string{`{"password":"a rainbow over the bay"}`,
		`{"token":"","password":"a rainbow over the bay"}`, `{"token":"wwm_x","password":"a rainbow over the bay"}`} {
		wantStatus(t, b.do("POST", "/api/auth/password/reset", body), 400, watchword.CodeMailTokenInvalid)
	}
	for _, body := range []string{`{"token":null,"password":"x"}`, `{"token":[],"password":"x"}`,
		`{"token":{},"password":"x"}`} {
		wantStatus(t, b.do("POST", "/api/auth/password/reset", body), 400, apirequest.CodeBodyInvalid)
	}
	for _, body := range []string{`{"name":"x","emailVerified":true}`, `{"name":"x","email_verified":true}`,
		`{"name":"x","roles":["admin"]}`} {
		wantStatus(t, b.do("PATCH", "/api/auth/me", body, authorized(access)...), 400, apirequest.CodeBodyInvalid)
	}
}

// HTTP-5, HTTP-6, RL-6, IN-9
func TestUnknownPathsReturn404AndOtherMethods405(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/api/auth/login", "POST"},
		{"PUT", "/api/auth/me", "DELETE, GET, HEAD, PATCH"}, {"POST", "/api/auth/sessions", "GET, HEAD"},
		{"DELETE", "/.well-known/jwks.json", "GET, HEAD"},
		{"OPTIONS", "/api/auth/login", "POST"}, {"TRACE", "/api/auth/login", "POST"},
	} {
		a := b.do(c.method, c.path, "")
		wantStatus(t, a, 405, apirequest.CodeMethodNotAllowed)
		if a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow: %s", c.method, c.path, a.Header.Get("Allow"))
		}
	}
	wantStatus(t, b.do("POST", "/api/auth/me", `{}`, "X-HTTP-Method-Override", "DELETE"), 405,
		apirequest.CodeMethodNotAllowed)
	for _, path := range []string{"//api/auth/login", "/api//auth/login", "/api/auth/login/", "/api/auth/./login",
		"/api/auth/x/../login", "/API/auth/login", "/api/auth", "/api/auth/users/", "/nothing"} {
		a := b.do("POST", path, `{}`)
		if a.StatusCode != 404 || a.text("code") != "NOT_FOUND" || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.raw)
		}
	}
	for _, id := range []string{"..%2f..%2fadmin", "%00", "x%0d%0ay", strings.Repeat("9", 300)} {
		wantStatus(t, b.do("GET", "/api/auth/users/"+id, "", authorized(access)...), 404, watchword.CodeNotFound)
		wantStatus(t, b.do("DELETE", "/api/auth/sessions/"+id, "", authorized(access)...), 404, watchword.CodeNotFound)
	}
	head := b.do("HEAD", "/.well-known/jwks.json", "")
	if head.StatusCode != 200 || len(head.raw) != 0 {
		t.Errorf("HEAD: %d, %d bytes", head.StatusCode, len(head.raw))
	}
}

// AZ-1
func TestRoutesWithoutAnAccessTokenReturn401(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	for _, c := range []struct{ method, path string }{
		{"POST", "/logout-all"},
		{"GET", "/me"}, {"PATCH", "/me"}, {"DELETE", "/me"}, {"GET", "/users/x"}, {"POST", "/password/change"},
		{"POST", "/email/change"}, {"GET", "/sessions"}, {"DELETE", "/sessions/x"},
	} {
		wantStatus(t, b.do(c.method, "/api/auth"+c.path, ""), 401, watchword.CodeTokenMissing)
	}
}

func sendRaw(t *testing.T, s *service, text string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	must(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// HTTP-8
func TestIncompleteBodyIsRejected(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	host := strings.TrimPrefix(s.url, "http://")
	head := "POST /api/auth/login HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n"
	for name, text := range map[string]string{
		"a broken chunk":     "Transfer-Encoding: chunked\r\n\r\n5\n{}\r\n0\r\n\r\n",
		"no chunk":           "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"two lengths":        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"a length that lies": "Content-Length: -1\r\n\r\n{}",
	} {
		if got := sendRaw(t, s, head+text); got.StatusCode != 400 {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
	for name, both := range map[string]string{
		"both lengths":                  "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
		"the other way round":           "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
		"in another case":               "transfer-encoding: chunked\r\nCONTENT-LENGTH: 2\r\n",
		"a length of the whole message": "Content-Length: 12\r\nTransfer-Encoding: chunked\r\n",
	} {
		got := sendRaw(t, s, head+both+"\r\n2\r\n{}\r\n0\r\n\r\n")
		if got.StatusCode != 400 || !got.Close {
			t.Errorf("%s: %d, closes: %v", name, got.StatusCode, got.Close)
		}
	}
	chunked := sendRaw(t, s, head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	if chunked.StatusCode != 422 {
		t.Errorf("an honest chunk: %d", chunked.StatusCode)
	}
}

func TestMalformedEscapeIsRejectedInTheFormatOfTheRoute(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	host := strings.TrimPrefix(s.url, "http://")
	const document, page = "application/problem+json; charset=utf-8", "text/html; charset=utf-8"
	for _, c := range []struct {
		line, accept string
		status       int
		kind         string
	}{
		{"GET /api/auth/users/%ZZ", "*/*", 400, document},
		{"GET /api/auth/users/%", "text/html", 400, document},
		{"GET /api/auth/sessions/%4", "*/*", 400, document},
		{"GET /api/auth/%u0041", "*/*", 400, document},
		{"GET /api/auth/forward/%ZZ", "*/*", 400, document},
		{"GET /.well-known/%ZZ", "*/*", 400, document},
		{"GET /revocations?after=%ZZ", "*/*", 422, document},
		{"GET /revocations/stream?after=1&x=%", "*/*", 422, document},
		{"GET /%ZZ", "*/*", 400, document},
		{"GET /%ZZ", "text/html", 400, page},
		{"GET /assets/%e", "text/html,*/*", 400, page},
		{"GET /reset?token=%ZZ", "text/html", 200, page},
		{"GET /login?return_to=%ZZ&why=%", "text/html", 200, page},
		{"GET /api/auth/forward?role=%ZZ", "*/*", 400, document},
	} {
		got := sendRaw(t, s, c.line+" HTTP/1.1\r\nHost: "+host+"\r\nAccept: "+c.accept+"\r\n\r\n")
		if got.StatusCode != c.status || got.Header.Get("Content-Type") != c.kind ||
			got.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s for %s: %d %s, want %d %s", c.line, c.accept, got.StatusCode, got.Header.Get("Content-Type"),
				c.status, c.kind)
		}
	}
	form := "email=%ZZ&password=%"
	got := sendRaw(t, s, fmt.Sprintf("POST /login HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", host, len(form), form))
	if got.StatusCode != 400 || got.Header.Get("Content-Type") != page {
		t.Errorf("a form: %d %s", got.StatusCode, got.Header.Get("Content-Type"))
	}
}

// CK-7, HTTP-7
func TestTooManyHeadersAreRejected(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	host := strings.TrimPrefix(s.url, "http://")
	flood := strings.Repeat("Cookie: "+strings.Repeat("watchword=x; ", 100)+"\r\n", 1000)
	got := sendRaw(t, s, "GET /api/auth/me HTTP/1.1\r\nHost: "+host+"\r\n"+flood+"\r\n")
	if got.StatusCode != 431 && got.StatusCode != 400 {
		t.Errorf("got %d", got.StatusCode)
	}
}

// CK-7
func TestManyCookiesAreRejected(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.Jar = nil
	for count, code := range map[int]watchword.Code{64: watchword.CodeTokenMissing, 65: watchword.CodeParameterInvalid,
		500: watchword.CodeParameterInvalid} {
		cookies := strings.TrimSuffix(strings.Repeat("a=b; ", count), "; ")
		if a := b.do("GET", "/api/auth/me", "", "Cookie", cookies); a.text("code") != string(code) {
			t.Errorf("%d cookies: %d %s", count, a.StatusCode, a.raw)
		}
	}
	// The limit of 64 cookies must also hold if each cookie has its own header, as HTTP/2 allows.
	host := strings.TrimPrefix(s.url, "http://")
	got := sendRaw(t, s, "GET /api/auth/me HTTP/1.1\r\nHost: "+host+"\r\n"+strings.Repeat("Cookie: a=b\r\n", 65)+"\r\n")
	if got.StatusCode != 400 {
		t.Errorf("65 headers: got %d", got.StatusCode)
	}
}

// HTTP-1, HTTP-3, HTTP-10
func TestEveryResponseHasSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	ids := map[string]bool{}
	for _, path := range []string{"/", "/docs", "/openapi.json", "/verify", "/assets/style.css", "/api/auth/me",
		"/api/auth/nothing", "/nothing", "/healthz", "/.well-known/jwks.json"} {
		a := b.do("GET", path, "", "X-Request-Id", "chosen-by-the-client")
		for header, value := range map[string]string{"X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin",
			"Permissions-Policy":         "camera=(), geolocation=(), microphone=()"} {
			if a.Header.Get(header) != value {
				t.Errorf("%s: %s: %s", path, header, a.Header.Get(header))
			}
		}
		embeddable := a.Header.Get("Cross-Origin-Resource-Policy") == "cross-origin"
		if embeddable != strings.HasPrefix(path, "/.well-known/") {
			t.Errorf("%s: Cross-Origin-Resource-Policy: %s", path, a.Header.Get("Cross-Origin-Resource-Policy"))
		}
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") ||
			!strings.Contains(policy, "object-src 'none'") || !strings.Contains(policy, "base-uri 'none'") ||
			strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", path, policy)
		}
		if strings.HasPrefix(path, "/api/") && a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s", path, a.Header.Get("Cache-Control"))
		}
		if a.Header.Get("Strict-Transport-Security") != "" || a.Header.Get("Server") != "" {
			t.Errorf("%s: %v", path, a.Header)
		}
		if strings.Contains(string(a.raw), "<script>") || strings.Contains(string(a.raw), "style=") {
			t.Errorf("%s has inline script or style", path)
		}
		id := a.Header.Get("X-Request-Id")
		if id == "" || id == "chosen-by-the-client" || ids[id] {
			t.Errorf("%s: request id %q", path, id)
		}
		ids[id] = true
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/boom"} {
		wantStatus(t, b.do("GET", path, ""), 404, watchword.CodeNotFound)
	}
}

func TestJWKSIsCacheableAndRevalidates(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	first := b.do("GET", "/.well-known/jwks.json", "")
	tag := first.Header.Get("ETag")
	if first.Header.Get("Cache-Control") != "public, max-age=300" || tag == "" || len(first.body["keys"].([]any)) != 2 {
		t.Errorf("%v %s", first.Header, first.raw)
	}
	if again := b.do("GET", "/.well-known/jwks.json", "", "If-None-Match", `"x", W/`+tag); again.StatusCode != 304 ||
		len(again.raw) != 0 {
		t.Errorf("got %d %s", again.StatusCode, again.raw)
	}
	metadata := b.do("GET", "/.well-known/oauth-authorization-server", "")
	if metadata.text("issuer") != s.url || metadata.text("jwks_uri") != s.url+"/.well-known/jwks.json" {
		t.Errorf("metadata: %s", metadata.raw)
	}
}

// RL-5
func TestForwardedAddressCountsOnlyFromTrustedProxies(t *testing.T) {
	t.Parallel()
	address := func(edge func(*server.Options), header string) string {
		s := start(t, nil, edge)
		b := s.newBrowser(t)
		in := b.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword},
			"X-Forwarded-For", header)
		list := b.do("GET", "/api/auth/sessions", "", authorized(in.text("accessToken"))...)
		return list.body["sessions"].([]any)[0].(map[string]any)["address"].(string)
	}
	behind := func(o *server.Options) { o.TrustedProxies = []string{"127.0.0.0/8"} }
	for _, c := range []struct {
		edge         func(*server.Options)
		header, want string
	}{
		{nil, "198.51.100.1", "127.0.0.1"}, {behind, "198.51.100.1", "198.51.100.1"}, {behind, "garbage", "127.0.0.1"},
	} {
		if got := address(c.edge, c.header); got != c.want {
			t.Errorf("%q: %s, want %s", c.header, got, c.want)
		}
	}
}

// CK-4, CK-5
func TestCookieExpiresWithTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.Sessions = watchword.SessionPolicy{Idle: 1e12, Max: 15e11} }, nil)
	b := s.newBrowser(t)
	a := b.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword})
	if c := a.Cookies()[0]; c.MaxAge != 1000 || len(c.Name)+len(c.Value) > 4096 {
		t.Errorf("%s", c)
	}
}

// RST-6
func TestOpeningALinkDoesNotConsumeItsToken(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.register("ada@example.com")
	token := string(s.mailer.awaitUnseenMail(t, watchword.MailVerify).Token)
	for _, path := range []string{"/verify", "/reset", "/email/confirm", "/email/undo"} {
		page := b.do("GET", path+"?token="+token, "")
		if page.StatusCode != 200 || !strings.Contains(string(page.raw), " data-link ") {
			t.Errorf("%s: %d", path, page.StatusCode)
		}
	}
	wantStatus(t, b.post("/email/verify", map[string]any{"token": token}), 200, "")
}

// LOG-3, LOG-4, PW-11
func TestLogLinesOfTheServerHaveNoSecrets(t *testing.T) {
	t.Parallel()
	log := &transcript.Transcript{}
	s := start(t, nil, func(o *server.Options) {
		o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	cookie := b.do("POST", "/api/auth/refresh?secret=in-the-query", "").Cookies()[0].Value
	b.do("GET", "/api/auth/me?access_token="+access, "", authorized(access)...)
	must(t, s.store.Close())
	b.do("POST", "/api/auth/refresh", "")
	text := log.String()
	for _, secret := range []string{goodPassword, access, cookie, "in-the-query"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(text, "the store is unavailable") || !strings.Contains(text, "request_id=") ||
		!strings.Contains(text, `route="POST /api/auth/refresh"`) {
		t.Errorf("the log does not tell what happened: %s", text)
	}
}

// HTTP-11, LOG-4
func TestPanicReturns500AndTheServerContinues(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	s := start(t, nil, func(o *server.Options) {
		o.DevMail = func() ([]watchword.StoredMail, error) {
			if !asked.Swap(true) {
				panic("a bug")
			}
			return nil, errors.New("secret detail")
		}
	})
	b := s.newBrowser(t)
	for _, path := range []string{"/dev/mail", "/dev/mail/x"} {
		a := b.do("GET", path, "")
		wantStatus(t, a, 500, watchword.CodeInternal)
		if strings.Contains(string(a.raw), "secret detail") || strings.Contains(string(a.raw), "a bug") {
			t.Errorf("shown: %s", a.raw)
		}
	}
	wantStatus(t, b.do("GET", "/healthz", ""), 200, "")
}

func TestOpenAPIDocumentDescribesEveryRoute(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ Responses map[string]any }
	}
	must(t, json.Unmarshal(b.do("GET", "/openapi.json", "").raw, &document))
	if !strings.HasPrefix(document.OpenAPI, "3.1") || len(document.Paths) < 20 {
		t.Errorf("%s, %d paths", document.OpenAPI, len(document.Paths))
	}
	docs := string(b.do("GET", "/docs", "").raw)
	for path, methods := range document.Paths {
		for method, operation := range methods {
			if !strings.Contains(docs, path) {
				t.Errorf("/docs does not show %s", path)
			}
			a := b.do(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "x"), "")
			if a.StatusCode == 404 || a.StatusCode == 405 {
				t.Errorf("%s %s is described and not there: %d", method, path, a.StatusCode)
			}
			if operation.Responses[fmt.Sprint(a.StatusCode)] == nil {
				t.Errorf("%s %s answers %d, which is not described", method, path, a.StatusCode)
			}
		}
	}
}
