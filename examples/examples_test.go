// Package examples_test runs the examples as users would, against a real server, with valid
// and invalid tokens.
package examples_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/npmtest"
	"github.com/watchword-auth/watchword/internal/porttest"
)

// JWT-18
func TestNodeVerifiesWithJose(t *testing.T) {
	t.Parallel()
	startVerifyingExample(t, "node-jose", nodeWithPackages)
}

// JWT-18
func TestExpressVerifiesWithExpressOAuth2JWTBearer(t *testing.T) {
	t.Parallel()
	startVerifyingExample(t, "express", nodeWithPackages)
}

// JWT-18
func TestPythonVerifiesWithPyJWT(t *testing.T) {
	t.Parallel()
	p, i := startVerifyingExample(t, "python", pythonWithLibraries)
	fresh := i.issueToken(t, func(*watchword.Options) {})
	if status, _, body := p.getWithToken(t, "/", fresh); status != 200 {
		t.Fatalf("before the session ends: %d %s", status, body)
	}
	process{i.url}.post(t, "/api/auth/logout", fresh, "{}", nil)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, challenge, body := p.getWithToken(t, "/", fresh)
		if status == 401 && strings.Contains(challenge, "invalid_token") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the session ended: %d %s", status, body)
		}
	}
	if !i.hasCutStream.Load() {
		t.Error("no stream of the feed was cut")
	}
	if status, _, body := p.getWithToken(t, "/", string(i.session.AccessToken)); status != 200 {
		t.Errorf("another session: %d %s", status, body)
	}
}

// startVerifyingExample checks that the example accepts only valid tokens. The example knows only the issuer's URL.
func startVerifyingExample(
	t *testing.T, example string, command func(t *testing.T, dir string) (program string, args []string),
) (process, *issuer) {
	t.Helper()
	dir := copyExample(t, example)
	program, args := command(t, dir)
	i := newIssuer(t)
	env := []string{"PORT=0", "ISSUER=" + i.url, "AUDIENCE=" + i.url}
	p := startExample(t, dir, env, program, args...)
	assertOnlyValidTokens(t, p, i)
	assertSlowClockAccepts(t, i, runWithSlowClock(t, dir, env, program, args...))
	return p, i
}

// runWithSlowClock starts an example with a clock that is 2 s behind. It sets the environment variables of faketime
// itself, because the program faketime would not forward signals to the example.
func runWithSlowClock(t *testing.T, dir string, env []string, program string, args ...string) process {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "faketime", "-f", "-2s", "env").Output()
	if err != nil {
		t.Fatalf("faketime does not run (%v): install faketime", err)
	}
	env = append(slices.Clone(env), "FAKETIME_DONT_FAKE_MONOTONIC=1")
	for line := range strings.Lines(string(out)) {
		if name, _, _ := strings.Cut(line, "="); name == "LD_PRELOAD" || name == "FAKETIME" {
			env = append(env, strings.TrimSpace(line))
		}
	}
	return startExample(t, dir, env, program, args...)
}

// assertSlowClockAccepts sends a service, whose clock is 2 s behind, a token that was just issued.
func assertSlowClockAccepts(t *testing.T, i *issuer, p process) {
	t.Helper()
	fresh := i.issueToken(t, func(*watchword.Options) {})
	if status, _, body := p.getWithToken(t, "/", fresh); status != 200 {
		t.Errorf("a fresh token 2 s behind: %d %s", status, body)
	}
	response, err := http.Get(p.url)
	must(t, err)
	must(t, response.Body.Close())
	date, err := http.ParseTime(response.Header.Get("Date"))
	must(t, err)
	if time.Since(date) < 1500*time.Millisecond { // a correct clock can seem 1 s late: Date has no fractions
		t.Errorf("the clock of the service says %s: it is not behind", date)
	}
}

func assertOnlyValidTokens(t *testing.T, p process, i *issuer) {
	t.Helper()
	status, _, body := p.getWithToken(t, "/", string(i.session.AccessToken))
	var who struct {
		Sub   string
		Roles []string
	}
	if err := json.Unmarshal([]byte(body), &who); err != nil || status != 200 || who.Sub != string(i.session.User.ID) ||
		who.Roles == nil {
		t.Errorf("a good token: %d %s", status, body)
	}
	status, challenge, body := p.getWithToken(t, "/", "")
	if status != 401 || !strings.HasPrefix(challenge, "Bearer") || strings.Contains(challenge, "invalid_token") {
		t.Errorf("no token: %d %q %s", status, challenge, body)
	}
	for name, token := range i.invalidTokens(t) {
		status, challenge, body := p.getWithToken(t, "/", token)
		if status != 401 || !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("a token %s: %d %q %s", name, status, challenge, body)
		}
	}
}

func TestEmbeddingProgramProtectsItsRoutes(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	binary := filepath.Join(t.TempDir(), "embed")
	if out, err := exec.Command("go", "build", "-o", binary, "./embed").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p := startExample(t, t.TempDir(), []string{"ADDRESS=127.0.0.1:" + freePort(t)}, binary)

	var in struct{ AccessToken string }
	p.post(t, "/api/auth/register", "", `{"email":"ada@example.com","password":"seven purple otters"}`, &in)
	if status, _, body := p.getWithToken(t, "/hello", in.AccessToken); status != 200 ||
		!strings.HasPrefix(body, "Hello ada@example.com") {
		t.Errorf("%d %s", status, body)
	}
	if status, challenge, body := p.getWithToken(t, "/reports", in.AccessToken); status != 403 ||
		!strings.Contains(challenge, "insufficient_scope") {
		t.Errorf("%d %q %s", status, challenge, body)
	}
	status, challenge, body := p.getWithToken(t, "/hello", "")
	if status != 401 || !strings.HasPrefix(challenge, "Bearer") ||
		!strings.Contains(body, "TOKEN_MISSING") {
		t.Errorf("%d %q %s", status, challenge, body)
	}
	p.post(t, "/api/auth/logout-all", in.AccessToken, "{}", nil)
	if status, _, body := p.getWithToken(t, "/hello", in.AccessToken); status != 401 ||
		!strings.Contains(body, "SESSION_ENDED") {
		t.Errorf("%d %s", status, body)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := porttest.Free()
	must(t, err)
	return strconv.Itoa(port)
}

func (p process) post(t *testing.T, path, token, body string, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.url+path, strings.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close() //nolint:errcheck // the body was read
	if response.StatusCode >= 300 {
		t.Fatalf("%s: %s", path, response.Status)
	}
	if answer != nil {
		must(t, json.NewDecoder(response.Body).Decode(answer))
	}
}

// copyExample copies an example to a temporary directory. There, npm can install packages without changing the
// repository.
func copyExample(t *testing.T, example string) string {
	t.Helper()
	skipIfShort(t)
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(example)))
	must(t, os.RemoveAll(filepath.Join(dir, "node_modules")))
	return dir
}

// npmInstalls has one function for each folder, which runs npm ci only once. A second npm ci would remove the
// packages while another test uses them.
var npmInstalls sync.Map

// nodeWithPackages installs the packages of package-lock.json, once for each folder.
func nodeWithPackages(t *testing.T, dir string) (program string, args []string) {
	t.Helper()
	skipIfShort(t)
	npmtest.Require(t)
	install, _ := npmInstalls.LoadOrStore(dir, sync.OnceValue(func() error { return npmtest.Install(dir) }))
	must(t, install.(func() error)())
	return "node", []string{"server.js"}
}

// pythonWithLibraries returns a Python interpreter that has the libraries of the example. The first python3 in PATH
// can lack these libraries, so the function also tries the system's interpreter.
func pythonWithLibraries(t *testing.T, _ string) (program string, args []string) {
	t.Helper()
	if os.Getenv("WATCHWORD_TEST_PYTHON") == "skip" {
		t.Skip("WATCHWORD_TEST_PYTHON=skip: nothing is known about the example for Python")
	}
	for _, program := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), program, "-c", "import jwt, cryptography").Run() == nil {
			return program, []string{"server.py"}
		}
	}
	t.Fatal("Python with PyJWT and cryptography is missing: install python3-jwt, or set WATCHWORD_TEST_PYTHON=skip")
	return "", nil
}

// A lock file must not contain the URL of a registry, because the file would not work with another registry.
func TestLocksNameNoRegistry(t *testing.T) {
	t.Parallel()
	var locks []string
	for _, pattern := range []string{"*/package-lock.json", "../clients/*/package-lock.json",
		"../lab/*/*/package-lock.json"} {
		found, err := filepath.Glob(pattern)
		must(t, err)
		if len(found) == 0 {
			t.Fatalf("no lock file matches %s", pattern)
		}
		locks = append(locks, found...)
	}
	for _, name := range locks {
		text, err := os.ReadFile(name)
		must(t, err)
		if regexp.MustCompile(`"resolved": "[a-z+]+:`).Match(text) {
			t.Errorf("%s names a registry: keep omit-lockfile-registry-resolved in .npmrc", name)
		}
	}
}
