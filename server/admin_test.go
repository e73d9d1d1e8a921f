package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/server"
)

// CFG-4
func TestAdminListenerServesMetricsAndReadiness(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.register("ada@example.com")
	wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 200, "")
	wantStatus(t, b.do("GET", "/api/auth/users/no-such-user", ""), 401, "TOKEN_MISSING")
	wantStatus(t, b.do("GET", "/nothing/of/this/name", ""), 404, "NOT_FOUND")
	admin := httptest.NewServer(s.server.Admin(server.AdminOptions{}))
	t.Cleanup(admin.Close)

	status, metrics := get(t, admin.URL+"/metrics")
	for _, line := range []string{
		`watchword_http_requests_total{route="POST /api/auth/register",status="201"} 1`,
		`watchword_http_requests_total{route="GET /api/auth/users/{id}",status="401"} 1`,
		`watchword_http_request_seconds_count{route="POST /api/auth/refresh"} 1`,
		`watchword_refresh_verdicts_total{verdict="rotate"} 1`,
		`watchword_hash_queued 0`, `watchword_hash_shed_total 0`, `watchword_store_up 1`, `watchword_outbox_mails{state="given_up"} 0`,
		`watchword_key_age_seconds{use="sign"}`, `watchword_outbox_oldest_seconds`, `watchword_events_total{event=`,
		`go_goroutines `, `go_memstats_heap_alloc_bytes `, `process_resident_memory_bytes `, `process_open_fds `, `process_max_fds `,
	} {
		if status != http.StatusOK || !strings.Contains(metrics, line) {
			t.Errorf("%d without %s", status, line)
		}
	}
	for _, name := range []string{"ada@example.com", "no-such-user", "/nothing/of"} {
		if strings.Contains(metrics, name) {
			t.Errorf("the metrics name %s", name)
		}
	}
	if status, _ := get(t, admin.URL+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("profiling is on: %d", status)
	}

	status, text := get(t, admin.URL+"/readyz")
	var ready struct {
		Status, Store string
		Keys          []struct{ ID, Use, State string }
	}
	must(t, json.Unmarshal([]byte(text), &ready))
	if status != http.StatusOK || ready.Status != "ready" || ready.Store != "up" || len(ready.Keys) == 0 {
		t.Errorf("%d %s", status, text)
	}
	must(t, s.store.Close())
	if status, text = get(t, admin.URL+"/readyz"); status != http.StatusServiceUnavailable ||
		!strings.Contains(text, `"not ready"`) {
		t.Errorf("without a store: %d %s", status, text)
	}
	if _, metrics = get(t, admin.URL+"/metrics"); !strings.Contains(metrics, "watchword_store_up 0") {
		t.Error("the metrics say that the store is up")
	}
}

// ADM-1
func TestAdminListenerRejectsOtherHostsAndSites(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	for _, c := range []struct {
		options            server.AdminOptions
		host, site, origin string
		status             int
	}{
		{host: "localhost:9090", status: 200},
		{host: "127.0.0.1:9090", status: 200},
		{host: "[::1]:9090", status: 200},
		{host: "localhost:9090", site: "none", status: 200},
		{host: "localhost:9090", site: "same-origin", origin: "http://localhost:9090", status: 200},
		{host: "rebound.evil.example:9090", status: 421},
		{host: "rebound.evil.example:9090", site: "same-origin", origin: "http://rebound.evil.example:9090",
			status: 421},
		{host: "localhost.evil.example", status: 421},
		{host: "user@evil.example/.localhost", status: 421},
		{host: "10.0.0.1:9090", status: 421},
		{host: "localhost:9090", site: "cross-site", status: 403},
		{host: "localhost:9090", site: "same-site", status: 403},
		{host: "localhost:9090", origin: "https://evil.example", status: 403},
		{host: "localhost:9090", origin: "http://localhost:3000", status: 403},
		{host: "localhost:9090", origin: "null", status: 403},
		{host: "localhost:9090", site: "same-origin", origin: "https://evil.example", status: 403},
		{options: server.AdminOptions{AnyHost: true}, host: "watchword-1.internal:9090", status: 200},
		{options: server.AdminOptions{AnyHost: true}, host: "watchword-1.internal:9090", site: "cross-site",
			status: 403},
		{options: server.AdminOptions{AnyHost: true}, host: "watchword-1.internal:9090", origin: "http://evil.example",
			status: 403},
	} {
		c.options.Profiling = true
		admin := s.server.Admin(c.options)
		for _, path := range []string{"/metrics", "/readyz", "/debug/pprof/", "/debug/pprof/goroutine?debug=1",
			"/nothing"} {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost"+path, nil)
			r.Host = c.host
			for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Origin": c.origin} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			w := httptest.NewRecorder()
			admin.ServeHTTP(w, r)
			if w.Code != c.status && (path != "/nothing" || w.Code != 404) {
				t.Errorf("%+v %s: %d", c, path, w.Code)
			}
			if c.status != 200 && strings.Contains(w.Body.String(), "goroutine") {
				t.Errorf("%+v %s: %s", c, path, w.Body)
			}
			if h := w.Header(); h.Get("X-Content-Type-Options") != "nosniff" ||
				h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", path, h)
			}
		}
	}
}

func get(t *testing.T, url string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	must(t, err)
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close() //nolint:errcheck // an error no longer matters after the read
	raw, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(raw)
}

// OPS-3
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.newBrowser(t).register("ada@example.com")
	admin := httptest.NewServer(s.server.Admin(server.AdminOptions{}))
	t.Cleanup(admin.Close)
	_, metrics := get(t, admin.URL+"/metrics")
	docs, err := os.ReadFile("../docs/operations.md")
	must(t, err)
	names := regexp.MustCompile(`(?m)^# TYPE (watchword_\w+)`).FindAllStringSubmatch(metrics, -1)
	if len(names) < 15 {
		t.Fatalf("only %d metrics are found", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(docs), "`"+name[1]) {
			t.Errorf("docs/operations.md does not name %s", name[1])
		}
	}
}
