package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// These tests run real gateways in front of a real server, with the configurations of
// docs/gateways.md. They check which requests reach the service behind the gateway.

// Each gateway has an example configuration in examples/gateways.
type gateway struct {
	program, example string
	arguments        func(t *testing.T, dir, example string) []string
}

// AZ-6
func TestNginxPassesOnlyAuthenticatedRequests(t *testing.T) {
	t.Parallel()
	checkGatewayProtects(t, nginx())
}

func nginx() gateway {
	return gateway{"nginx", "nginx.conf", func(t *testing.T, dir, example string) []string {
		temporary := ""
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			temporary += fmt.Sprintf("%s_temp_path %s; ", kind, filepath.Join(dir, kind))
		}
		main := write(t, dir, "main.conf", "daemon off; master_process off; pid nginx.pid; events {} http { "+
			"access_log off; "+temporary+"include "+example+"; }")
		return []string{"-p", dir, "-c", main, "-e", "stderr"}
	}}
}

// AZ-6
func TestCaddyPassesOnlyAuthenticatedRequests(t *testing.T) {
	t.Parallel()
	checkGatewayProtects(t, caddy())
}

func caddy() gateway {
	return gateway{"caddy", "Caddyfile", func(t *testing.T, dir, example string) []string {
		main := write(t, dir, "main",
			"{\nadmin off\ndefault_bind 127.0.0.1\nstorage file_system "+dir+"\n}\nimport "+example+"\n")
		return []string{"run", "--adapter", "caddyfile", "--config", main}
	}}
}

// Readers copy the examples from docs/gateways.md, so the document must show the tested files.
func TestGatewaysDocumentShowsTheExamples(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range []string{"nginx.conf", "Caddyfile", "traefik.yaml", "envoy.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../examples/gateways", example))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(document), "\n"+string(text)+"```") {
			t.Errorf("docs/gateways.md does not show %s as it is", example)
		}
	}
}

func checkGatewayProtects(t *testing.T, g gateway) {
	t.Helper()
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s)
	ada := newDevice(t, s.address)
	in := ada.post(t, "/register",
		body{"email": "ada@example.com", "password": "seven purple otters"}, http.StatusCreated)
	session := ada.get(t, "/sessions", http.StatusOK).Sessions[0].ID
	service := newProtectedService(t)
	door := g.start(t, s.address, service.address())
	identity := map[string]string{
		"x-auth-subject": in.User.ID, "x-auth-session": session, "x-auth-roles": "", "x-auth-email": ""}

	service.wantReached(t, door.send(t, "GET", "/orders?role=x&login=y", ada.accessToken, ""), identity)
	service.wantReached(t, door.send(t, "HEAD", "/", ada.accessToken, ""), identity)
	service.wantReached(t, door.send(t, "DELETE", "/orders/7", ada.accessToken, ""), identity)
	large := strings.Repeat("x", 900<<10)
	got := service.wantReached(t, door.send(t, "POST", "/orders", ada.accessToken, large), identity)
	if got.Length != len(large) {
		t.Errorf("the service got %d bytes of %d", got.Length, len(large))
	}

	service.wantRefused(t, door.send(t, "GET", "/orders", "", ""), http.StatusUnauthorized, "Bearer realm=")
	service.wantRefused(t, door.send(t, "POST", "/orders", "", large[:4<<10]), http.StatusUnauthorized, "Bearer realm=")
	service.wantRefused(t, door.send(t, "GET", "/orders", "x", ""), http.StatusUnauthorized, `error="invalid_token"`)
	for _, path := range []string{
		"/admin/", "/admin/x?role=", "//admin/x", "/x/../admin/x", "/%61dmin/x", "/admin/./x"} {
		service.wantRefused(t, door.send(t, "GET", path, ada.accessToken, ""), http.StatusForbidden, "")
	}
	for _, path := range []string{
		"/payments/7", "/payments/7?acr=aal1&max_age=1000", "//payments/7", "/x/../payments/7"} {
		service.wantRefused(t, door.send(t, "POST", path, ada.accessToken, ""), http.StatusUnauthorized,
			`error="insufficient_user_authentication", acr_values="aal2", max_age="300"`)
	}
	service.wantRefused(t, door.send(t, "GET", "/watchword", "", ""), 0, "")

	r := run(t, call{dir: dir, args: []string{"users", "set-roles", "ada@example.com", "admin", "editor"}})
	if r.code != 0 {
		t.Fatal(r.errors)
	}
	service.wantRefused(t, door.send(t, "GET", "/orders", ada.accessToken, ""), http.StatusUnauthorized, `error="invalid_token"`)
	ada.post(t, "/refresh", nil, http.StatusOK)
	identity["x-auth-roles"] = "admin,editor"
	service.wantReached(t, door.send(t, "GET", "/admin/", ada.accessToken, ""), identity)

	ada.post(t, "/logout", nil, http.StatusOK)
	service.wantRefused(t, door.send(t, "GET", "/orders", ada.accessToken, ""), http.StatusUnauthorized, `error="invalid_token"`)
	s.kill()
	service.wantRefused(t, door.send(t, "GET", "/orders", ada.accessToken, ""), http.StatusInternalServerError, "")
}

// protectedService is a service that records the requests that it receives.
type protectedService struct {
	*httptest.Server
	reached atomic.Int64
}

// receivedRequest is a request as it reached the service.
type receivedRequest struct {
	Identity map[string]string // names in lower case with dashes, as in CGI
	Length   int
}

func newProtectedService(t *testing.T) *protectedService {
	b := &protectedService{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.reached.Add(1)
		got := receivedRequest{Identity: map[string]string{}}
		for name, values := range r.Header {
			if name = strings.ToLower(strings.ReplaceAll(name, "_", "-")); strings.HasPrefix(name, "x-auth-") {
				got.Identity[name] += strings.Join(values, "|")
			}
		}
		sent, _ := io.ReadAll(r.Body)
		got.Length = len(sent)
		text, _ := json.Marshal(got)
		w.Header().Set("X-Seen", string(text))
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *protectedService) address() string { return b.Listener.Addr().String() }

// wantReached checks that the request reached the service with exactly this identity. Empty
// headers may be absent.
func (b *protectedService) wantReached(
	t *testing.T, answer *http.Response, identity map[string]string,
) (got receivedRequest) {
	t.Helper()
	request := answer.Request.Method + " " + answer.Request.URL.Path
	if answer.StatusCode != http.StatusOK || b.reached.Swap(0) != 1 {
		t.Fatalf("%s: %s", request, answer.Status)
	}
	if err := json.Unmarshal([]byte(answer.Header.Get("X-Seen")), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(identity)) {
		if got.Identity[name] != identity[name] {
			t.Errorf("%s reached the service with %s %q, want %q", request, name, got.Identity[name], identity[name])
		}
	}
	if len(got.Identity) > len(identity) {
		t.Errorf("%s reached the service with %v", request, got.Identity)
	}
	return got
}

// wantRefused checks that the request did not reach the service. Status 0 stands for any
// rejection, 500 for any failure.
func (b *protectedService) wantRefused(t *testing.T, answer *http.Response, status int, challenge string) {
	t.Helper()
	request := answer.Request.Method + " " + answer.Request.URL.Path
	if b.reached.Swap(0) != 0 {
		t.Fatalf("%s reached the service", request)
	}
	failed := status == http.StatusInternalServerError && answer.StatusCode >= status
	if answer.StatusCode != status && !failed && (status != 0 || answer.StatusCode < 400) {
		t.Errorf("%s: %s, want %d", request, answer.Status, status)
	}
	got := answer.Header.Values("WWW-Authenticate")
	if challenge != "" && (len(got) != 1 || !strings.Contains(got[0], challenge)) {
		t.Errorf("%s: WWW-Authenticate %q, want %s", request, got, challenge)
	}
}

// findProgram returns the path of the program.
func (g gateway) findProgram(t *testing.T) string {
	t.Helper()
	if os.Getenv("WATCHWORD_TEST_GATEWAYS") == "skip" {
		t.Skip("WATCHWORD_TEST_GATEWAYS=skip: nothing is known about the gateways")
	}
	program, err := exec.LookPath(g.program)
	if err != nil {
		program = "/usr/sbin/" + g.program // may be missing in PATH
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%s is missing: install the package %s, or set WATCHWORD_TEST_GATEWAYS=skip", g.program, g.program)
	}
	return program
}

// start runs the example on separate ports.
func (g gateway) start(t *testing.T, watchword, service string) runningGateway {
	t.Helper()
	program := g.findProgram(t)
	text, err := os.ReadFile(filepath.Join("../../examples/gateways", g.example))
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	example := strings.NewReplacer("127.0.0.1:8000", address, "127.0.0.1:8080", watchword,
		"127.0.0.1:3000", service).Replace(string(text))
	g.run(t, program, example, address)
	return runningGateway{address}
}

// run runs the program with the text of an example until the test ends.
func (g gateway) run(t *testing.T, program, example, address string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(program, g.arguments(t, dir, write(t, dir, "example", example))...)
	var said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for range 1200 {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", g.program, said.String())
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen", g.program)
}

type runningGateway struct{ address string }

// send adds forged identity headers in every spelling of their names.
func (d runningGateway) send(t *testing.T, method, path, token, content string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.address+path, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, noun := range []string{"Subject", "Session", "Roles", "Email"} {
		for _, spelling := range []string{"X-Auth-", "x-auth-", "X_Auth_", "X-Auth_", "X_Auth-", "x_auth_", "x_AUTH-"} {
			r.Header[spelling+noun] = []string{"spoofed", "twice"}
		}
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer
}

func write(t *testing.T, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
