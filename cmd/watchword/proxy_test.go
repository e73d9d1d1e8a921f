package main_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These tests run real proxies in front of a real server, with the configurations that docs/operations.md shows.
// Requests of browsers come from 127.0.0.1. Requests of an application server that renders pages come from 127.0.0.2.

// HTTP-14
func TestBehindNginxThePublicURLResponds(t *testing.T) {
	t.Parallel()
	checkBehindProxy(t, nginx(), func(text, certificate, key string) string {
		return strings.NewReplacer("/etc/ssl/id.example.com.pem", certificate, "/etc/ssl/private/id.example.com.key",
			key).Replace(text)
	})
}

// HTTP-14
func TestBehindCaddyThePublicURLResponds(t *testing.T) {
	t.Parallel()
	checkBehindProxy(t, caddy(),
		func(text, certificate, key string) string { // Caddy can't request a certificate in a test
			return strings.Replace(text, "{\n", fmt.Sprintf("{\n\ttls %s %s\n", certificate, key), 1)
		})
}

func checkBehindProxy(t *testing.T, g gateway, withCertificate func(text, certificate, key string) string) {
	t.Helper()
	program := g.findProgram(t)
	text, err := os.ReadFile(filepath.Join("../../examples/proxy", g.example))
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../docs/operations.md")
	if err != nil || !strings.Contains(string(document), "\n"+string(text)+"```") {
		t.Errorf("docs/operations.md does not show %s as it is: %v", g.example, err)
	}
	files := t.TempDir()
	pem, private := createLocalhostCertificate(t)
	certificate, key := write(t, files, "cert.pem", pem), write(t, files, "key.pem", private)
	front, s := freeAddress(t), newServer(t, freeAddress(t))
	_, port, _ := strings.Cut(front, ":")
	public := "https://localhost:" + port
	settings := []string{"--public-url=" + public, "--trusted-proxies=127.0.0.1/32,127.0.0.2/32"}
	dir := startServer(t, s, settings...)

	config := withCertificate(string(text), certificate, key)
	config = strings.NewReplacer("listen 443", "listen "+front,
		"id.example.com {", "localhost:"+port+" {", "server_name id.example.com", "server_name localhost",
		"127.0.0.1:8080", s.address, "10.0.3.0/24", "127.0.0.2/32").Replace(config)
	g.run(t, program, config, front)

	doctor := run(t, call{dir: dir, env: []string{"SSL_CERT_FILE=" + certificate},
		args: append([]string{"doctor"}, settings...)})
	if !strings.Contains(doctor.out, public+" responds") {
		t.Errorf("doctor:\n%s", doctor.out)
	}
	for _, c := range []struct{ email, from, forwarded, want string }{
		{"ada@example.com", "127.0.0.1", "203.0.113.9", "127.0.0.1"}, // forged
		{"bob@example.com", "127.0.0.1", "203.0.113.9, 127.0.0.2", "127.0.0.1"},
		{"cleo@example.com", "127.0.0.2", "203.0.113.9", "203.0.113.9"}, // an application, for its user
		{"dan@example.com", "127.0.0.2", "198.51.100.7, 203.0.113.9", "203.0.113.9"},
	} {
		signUpFrom(t, c.from, public, c.email, c.forwarded)
		sessions := run(t, call{dir: dir, args: []string{"sessions", "list", c.email, "--json"}})
		if !strings.Contains(sessions.out, `"`+c.want+`"`) {
			t.Errorf("%s with X-Forwarded-For %q is not %s: %s %s",
				c.from, c.forwarded, c.want, sessions.out, sessions.errors)
		}
	}
}

// signUpFrom sends a request from clientIP, an address of this machine.
func signUpFrom(t *testing.T, clientIP, public, email, forwarded string) {
	t.Helper()
	body := strings.NewReader(`{"email":"` + email + `","password":"seven purple otters","delivery":"body"}`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, public+"/api/auth/register", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", forwarded)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientIP)}}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("sign-up: %s", response.Status)
	}
}
