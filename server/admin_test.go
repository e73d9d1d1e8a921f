package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// CFG-4
func TestTheAdminListenerTellsHowItGoes(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.browser(t)
	b.register("ada@example.com")
	want(t, b.do("POST", "/api/auth/refresh", ""), 200, "")
	want(t, b.do("GET", "/api/auth/users/no-such-user", ""), 401, "TOKEN_MISSING")
	want(t, b.do("GET", "/nothing/of/this/name", ""), 404, "NOT_FOUND")
	admin := httptest.NewServer(s.server.Admin())
	t.Cleanup(admin.Close)

	status, metrics := get(t, admin.URL+"/metrics")
	for _, line := range []string{
		`watchword_http_requests_total{route="POST /api/auth/register",status="201"} 1`,
		`watchword_http_requests_total{route="GET /api/auth/users/{id}",status="401"} 1`,
		`watchword_http_request_seconds_count{route="POST /api/auth/refresh"} 1`,
		`watchword_refresh_verdicts_total{verdict="rotate"} 1`,
		`watchword_hash_queued 0`, `watchword_hash_shed_total 0`, `watchword_store_up 1`, `watchword_outbox_mails{state="given_up"} 0`,
		`watchword_key_age_seconds{use="sign"}`, `watchword_outbox_oldest_seconds`, `watchword_events_total{event=`,
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
	if status, _ := get(t, admin.URL+"/debug/pprof/cmdline"); status != http.StatusOK {
		t.Errorf("pprof: %d", status)
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
	if status, text = get(t, admin.URL+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, `"not ready"`) {
		t.Errorf("without a store: %d %s", status, text)
	}
	if _, metrics = get(t, admin.URL+"/metrics"); !strings.Contains(metrics, "watchword_store_up 0") {
		t.Error("the metrics say that the store is up")
	}
}

func get(t *testing.T, url string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	must(t, err)
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close() //nolint:errcheck // it was read
	raw, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(raw)
}
