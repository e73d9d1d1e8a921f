package main_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// ADM-1
func TestAdminListenerHidesSecretsOfTheCommandLine(t *testing.T) {
	t.Parallel()
	const signing = "a-signing-secret-of-the-command-line-0123456789"
	s, admin := newServer(t, freeAddress(t)), freeAddress(t)
	startServer(t, s, "--admin-listen="+admin, "--pprof=on", "--signing-alg=HS256", "--signing-secret="+signing,
		"--master-key="+key32,
		"--mail-url=smtp://me:weak-mail-password@127.0.0.1:2525", "--mail-from=no-reply@example.com")
	for path, status := range map[string]int{
		"/metrics": 200, "/readyz": 200, "/debug/pprof/": 200, "/debug/pprof/cmdline": 404,
		"/debug/pprof/cmdline?debug=1":   404,
		"/debug/pprof/goroutine?debug=2": 200, "/debug/pprof/heap?debug=1": 200, "/debug/pprof/allocs?debug=1": 200,
		"/debug/pprof/threadcreate?debug=1": 200, "/debug/pprof/profile?seconds=1": 200,
		"/debug/pprof/trace?seconds=1": 200,
		"/debug/pprof/symbol":          200, "/debug/vars": 404,
	} {
		response, err := s.client().Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != status {
			t.Errorf("%s: %d, %v", path, response.StatusCode, err)
		}
		if unpacked, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
			if text, err = io.ReadAll(unpacked); err != nil {
				t.Fatal(err)
			}
		}
		for _, secret := range []string{signing, key32, "weak-mail-password", "--signing-secret"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds a secret of the command line", path)
			}
		}
	}
}

// ADM-1
func TestProfilingIsOffByDefault(t *testing.T) {
	t.Parallel()
	s, admin := newServer(t, freeAddress(t)), freeAddress(t)
	startServer(t, s, "--admin-listen="+admin)
	for path, status := range map[string]int{"/metrics": 200, "/debug/pprof/": 404, "/debug/pprof/heap": 404,
		"/debug/pprof/cmdline": 404} {
		response, err := s.client().Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, status)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "rebound.example.com"
	response, err := s.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", response.StatusCode)
	}
}
