package main_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHealthAsksTheListenerOfTheSettings(t *testing.T) {
	t.Parallel()
	certificate, key := createLocalhostCertificate(t)
	files := t.TempDir()
	certFile, keyFile := filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
	must(t, os.WriteFile(certFile, []byte(certificate), 0o600))
	must(t, os.WriteFile(keyFile, []byte(key), 0o600))
	for name, args := range map[string][]string{
		"http":         nil,
		"https":        {"--tls-cert=" + certFile, "--tls-key=" + keyFile},
		"beside admin": {"--admin-listen=" + freeAddress(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, freeAddress(t))
			s.https = name == "https"
			dir := startServer(t, s, append(args, "--drain-delay=30s")...)
			env := []string{"WATCHWORD_LISTEN=" + s.address, "WATCHWORD_PUBLIC_URL=" + s.url(),
				"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1"}
			health := call{dir: dir, env: env, args: append([]string{"health"}, args...)}
			if got := run(t, health); got != (result{0, "ready\n", ""}) {
				t.Errorf("ready: %+v", got)
			}
			must(t, s.cmd.Process.Signal(syscall.SIGTERM))
			waitForStatus(t, s, http.StatusServiceUnavailable)
			want := result{1, "", "watchword: not ready: 503 The server is stopping.\n"}
			if got := run(t, health); got != want {
				t.Errorf("draining: %+v", got)
			}
			s.kill()
			got := run(t, health)
			if got.code != 1 || !strings.Contains(got.errors, "connection refused") ||
				strings.Count(got.errors, "\n") != 1 {
				t.Errorf("stopped: %+v", got)
			}
		})
	}
}

func waitForStatus(t *testing.T, s *server, status int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		response, err := s.client().Get(s.url() + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == status {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no status %d: %v", status, err)
		}
	}
}

// The image listens on all addresses of its container. The health check must find such a listener.
func TestHealthFindsAListenerOnAllAddresses(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	_, port, err := net.SplitHostPort(s.address)
	must(t, err)
	all := []string{"--listen=:" + port, "--dev-mail=any"}
	dir := startServer(t, s, all...)
	for _, listen := range []string{":", "0.0.0.0:"} {
		health := call{dir: dir, args: []string{"health", "--listen=" + listen + port, "--dev-mail=any"}}
		if got := run(t, health); got != (result{0, "ready\n", ""}) {
			t.Errorf("%s: %+v", listen, got)
		}
	}
}

func TestHealthRefusesOtherProgramsAndFaults(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("welcome"))
	}))
	defer other.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--listen=" + other.Listener.Addr().String()}, "responds with 200, but not as Watchword does"},
		{[]string{"--listen=" + silent.Addr().String()}, "does not respond within 4s"},
		{[]string{"--signup=maybe", "--access-ttl=1ms"}, "(faults: 2; `watchword config` shows all)"},
	} {
		got := run(t, call{args: append([]string{"health"}, c.args...)})
		if got.code != 1 || got.out != "" || !strings.Contains(got.errors, c.want) ||
			strings.Count(got.errors, "\n") != 1 {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
}
