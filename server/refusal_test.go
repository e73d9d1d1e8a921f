package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/transcript"
	"github.com/watchword-auth/watchword/server"
)

func startWithLog(t *testing.T, changeEngine func(*watchword.Options)) (*service, *transcript.Transcript) {
	t.Helper()
	log := &transcript.Transcript{}
	s := start(t, changeEngine, func(o *server.Options) {
		o.AllowedOrigins = []string{"https://app.example.com"}
		o.Log = slog.New(slog.NewJSONHandler(log, nil))
	})
	return s, log
}

func findLogLines(t *testing.T, log *transcript.Transcript, message string) (lines []map[string]any) {
	t.Helper()
	for text := range strings.Lines(log.String()) {
		var line map[string]any
		must(t, json.Unmarshal([]byte(text), &line))
		if line["msg"] == message {
			lines = append(lines, line)
		}
	}
	return lines
}

// OPS-3
func TestEachKindOfRejectionIsLogged(t *testing.T) {
	t.Parallel()
	s, log := startWithLog(t, func(o *watchword.Options) {
		o.Limits.SignupPerClient = watchword.Limit{Count: 2, Per: time.Hour}
	})
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	bob := s.newBrowser(t)
	ended := bob.register("bob@example.com")
	wantStatus(t, bob.post("/logout", map[string]any{}), 200, "")
	stranger := s.newBrowser(t)
	signup := map[string]any{"email": "eve@example.com", "password": goodPassword}
	form := "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, code, route string
		status            int
		ask               func() fullResponse
	}{
		{"too many requests", "RATE_LIMITED", "POST /api/auth/register", 429, func() fullResponse {
			return stranger.post("/register", signup)
		}},
		{"too many requests by a page", "RATE_LIMITED", "POST /signup", 429, func() fullResponse {
			return stranger.do("POST", "/signup", "email=eve@example.com&password=seven+purple+otters", "Content-Type",
				form)
		}},
		{"another site", "CROSS_ORIGIN", "POST /api/auth/login", 403, func() fullResponse {
			return stranger.post("/login", signup, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		}},
		{"a role that is missing", "INSUFFICIENT_SCOPE", "/api/auth/forward", 403, func() fullResponse {
			return stranger.do("GET", "/api/auth/forward?role=admin", "", authorized(access)...)
		}},
		{"the account of another user", "NOT_FOUND", "GET /api/auth/users/{id}", 404, func() fullResponse {
			return stranger.do("GET", "/api/auth/users/01900000-0000-7000-8000-000000000000", "", authorized(access)...)
		}},
		{"the session of another user", "NOT_FOUND", "DELETE /api/auth/sessions/{id}", 404, func() fullResponse {
			const other = "01900000-0000-7000-8000-000000000000"
			return stranger.do("DELETE", "/api/auth/sessions/"+other, "", authorized(access)...)
		}},
		{"a member that occurs twice", "BODY_INVALID", "POST /api/auth/login", 400, func() fullResponse {
			return stranger.do("POST", "/api/auth/login", `{"email":"a@example.com","email":"b@example.com"}`,
				"Content-Type", "application/json")
		}},
		{"a field that occurs twice", "BODY_INVALID", "POST /login", 400, func() fullResponse {
			return stranger.do("POST", "/login", "email=ada@example.com&email=bob@example.com&password=x",
				"Content-Type", form)
		}},
		{"a large body", "BODY_TOO_LARGE", "POST /api/auth/login", 413, func() fullResponse {
			return stranger.do("POST", "/api/auth/login", `{"email":"`+strings.Repeat("a", 17<<10)+`"}`,
				"Content-Type", "application/json")
		}},
		{"a bad access token", "TOKEN_INVALID", "GET /api/auth/me", 401, func() fullResponse {
			return stranger.do("GET", "/api/auth/me", "", authorized("not a token")...)
		}},
		{"a bad access token at a gateway that redirects", "TOKEN_INVALID", "/api/auth/forward", 302,
			func() fullResponse {
				return stranger.do("GET", "/api/auth/forward?login="+url.QueryEscape(s.url+"/login"), "",
					append(authorized("not a token"), "Accept", "text/html")...)
			}},
		{"a bad refresh token of a page", "REFRESH_INVALID", "GET /account", 303, func() fullResponse {
			return stranger.do("GET", "/account", "", "Cookie", "watchword=none")
		}},
		{"a session that ended", "SESSION_ENDED", "GET /api/auth/me", 401, func() fullResponse {
			return stranger.do("GET", "/api/auth/me", "", authorized(ended)...)
		}},
		{"a bad refresh token", "REFRESH_INVALID", "POST /api/auth/refresh", 401, func() fullResponse {
			return stranger.post("/refresh", map[string]any{"refreshToken": "wwr_none"})
		}},
		{"a bad mailed token", "MAIL_TOKEN_INVALID", "POST /api/auth/password/reset", 400, func() fullResponse {
			return stranger.post("/password/reset", map[string]any{"token": "none", "password": otherPassword})
		}},
		{"another host", "MISDIRECTED_REQUEST", "GET /api/auth/me", 421, func() fullResponse {
			r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/auth/me", nil)
			must(t, err)
			r.Host = "auth.internal"
			return stranger.send(r)
		}},
	} {
		before := len(findLogLines(t, log, "request refused"))
		a := c.ask()
		lines := findLogLines(t, log, "request refused")[before:]
		if a.StatusCode != c.status || len(lines) != 1 {
			t.Errorf("%s: %d %s, and %d lines", c.name, a.StatusCode, a.raw, len(lines))
			continue
		}
		line := lines[0]
		for name, want := range map[string]any{
			"level": "INFO", "code": c.code, "route": c.route,
			"client": "127.0.0.1", "request_id": a.Header.Get("X-Request-Id"),
		} {
			if line[name] != want {
				t.Errorf("%s: %s is %v, want %v", c.name, name, line[name], want)
			}
		}
		if c.code == "SESSION_ENDED" && (line["ended"] != "logout" || len(line["session"].(string)) != 36) {
			t.Errorf("%s: the line does not name the session and the reason: %v", c.name, line)
		}
		if c.code == "MISDIRECTED_REQUEST" && (line["host"] != "auth.internal" || line["public_url"] != s.url ||
			line["hint"] == nil) || c.code == "CROSS_ORIGIN" && line["origin"] != "https://evil.example" {
			t.Errorf("%s: the line does not name the cause: %v", c.name, line)
		}
	}
	if text := log.String(); strings.Contains(text, access) || strings.Contains(text, "wwr_none") {
		t.Error("the log holds a token")
	}
}

// OPS-3, MEM-1
func TestRejectionsAreLoggedAtABoundedRate(t *testing.T) {
	t.Parallel()
	s, log := startWithLog(t, nil)
	b := s.newBrowser(t)
	for range 50 {
		b.do("GET", "/api/auth/me", "", authorized("not a token")...)
	}
	for range 50 {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/login", nil)
		must(t, err)
		r.Host = "auth.internal"
		b.send(r)
	}
	wantStatus(t, b.do("POST", "/api/auth/refresh", `{"refreshToken":"none"}`), 401, watchword.CodeRefreshInvalid)
	count := map[any]int{}
	lines := findLogLines(t, log, "request refused")
	for _, line := range lines {
		count[line["code"]]++
	}
	// The limits are per minute, and a new minute may begin during the test.
	if n := count["TOKEN_INVALID"]; n < 5 || n > 10 {
		t.Errorf("50 bad tokens left %d lines, want 5", n)
	}
	if n := count["MISDIRECTED_REQUEST"]; n < 1 || n > 2 {
		t.Errorf("50 requests to another host left %d lines, want 1", n)
	}
	if !slices.ContainsFunc(lines, func(line map[string]any) bool { return line["skipped"] != nil }) {
		t.Error("no line says how many were skipped")
	}
}

func TestExpectedErrorsAreNotLogged(t *testing.T) {
	t.Parallel()
	s, log := startWithLog(t, nil)
	b := s.newBrowser(t)
	wantStatus(t, b.do("GET", "/api/auth/me", ""), 401, watchword.CodeTokenMissing)
	wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 401, watchword.CodeRefreshMissing)
	wantStatus(t, b.do("GET", "/nowhere", ""), 404, watchword.CodeNotFound)
	if lines := findLogLines(t, log, "request refused"); len(lines) > 0 {
		t.Errorf("logged: %v", lines)
	}
}
