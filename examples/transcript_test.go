package examples_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/transcript"
)

const transcriptFile = "../docs/server-rendering-transcript.md"

// packClients packs the npm packages as `npm publish` does. Their dist folders must exist.
func packClients(t *testing.T) (files []string) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"typescript", "verify"} {
		args := []string{"pack", "--silent", "--ignore-scripts", "--pack-destination", folder}
		pack := exec.CommandContext(t.Context(), "npm", args...)
		pack.Dir = filepath.Join("../clients", name)
		out, err := pack.Output()
		must(t, err)
		files = append(files, filepath.Join(folder, strings.TrimSpace(string(out))))
	}
	return files
}

// runTranscript follows docs/server-rendering-transcript.md in a new directory, with the versions that it names.
func runTranscript(t *testing.T, packages []string) {
	if os.Getenv("WATCHWORD_TEST_TRANSCRIPT") == "" {
		t.Skip("it builds a second application: run make transcript")
	}
	text, err := os.ReadFile(transcriptFile)
	must(t, err)
	folder := t.TempDir()
	npm := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "npm", args...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("npm %s: %v\n%s", args, err, out)
		}
	}
	install := regexp.MustCompile(`npm install ((?:[a-z-]+@[\d.]+ )+)`).FindStringSubmatch(string(text))
	if install == nil {
		t.Fatal("the transcript installs no packages")
	}
	npm("init", "-y")
	npm("pkg", "set", "type=module")
	options := []string{"install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"}
	npm(append(append(options, strings.Fields(install[1])...), packages...)...)
	files := regexp.MustCompile("(?ms)^```jsx? (\\S+)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	for _, file := range files {
		path := filepath.Join(folder, filepath.FromSlash(file[1]))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(file[2]), 0o600))
	}
	if len(files) != 7 {
		t.Fatalf("the transcript has %d files", len(files))
	}
	a := serveTranscript(t, folder, false)
	_, commands, _ := strings.Cut(string(text), "## Run it")
	consoles := regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(commands, -1)
	ran := 0
	for _, console := range consoles {
		for command, want := range consoleCommands(console[1]) {
			ran++
			if got := a.runShell(t, folder, command); got != want {
				t.Errorf("%s\nprinted %q, want %q", command, got, want)
			}
		}
	}
	if ran < 8 {
		t.Errorf("%d commands ran", ran)
	}
	nextSharesOneOrigin(t, folder)
}

// nextSharesOneOrigin puts the application and Watchword on one origin. For this, it changes the application of the
// transcript as docs/server-rendering.md describes. Pages and scripts must then share one session.
func nextSharesOneOrigin(t *testing.T, folder string) {
	t.Helper()
	text, err := os.ReadFile("../docs/server-rendering.md")
	must(t, err)
	route := regexp.MustCompile("(?ms)^```js (app/api/auth/\\S+)\n(.*?)^```$").FindStringSubmatch(string(text))
	if route == nil {
		t.Fatal("the page has no route handler for one origin")
	}
	must(t, os.MkdirAll(filepath.Join(folder, filepath.Dir(route[1])), 0o700))
	must(t, os.WriteFile(filepath.Join(folder, route[1]), []byte(route[2]), 0o600))
	replaceIn(t, filepath.Join(folder, "lib/auth.js"), "baseUrl: url, origin, verifier: new Verifier(url)",
		`baseUrl: origin, origin, refreshCookie: "watchword", verifier: new Verifier(origin, { fetchFrom: url })`)
	replaceIn(t, filepath.Join(folder, "proxy.js"), "((?!", "((?!api/auth|")
	a := serveTranscript(t, folder, true)
	sent := " -H 'Origin: http://localhost:3000' "
	status := "curl -s -o /dev/null -w '%{http_code}' -b one -c one "
	show := "curl -s -b one -c one http://localhost:3000/account | grep -o 'Signed in as [^<\"]*' | head -1"
	for _, step := range [][2]string{
		{status + "http://localhost:3000/session" + sent + "-d intent=up -d email=one@example.com -d 'password=" +
			password + "'", "303"},
		{show, "Signed in as one@example.com"},
		{status + "-X POST http://localhost:3000/api/auth/refresh" + sent, "200"},   // a script of the page refreshes
		{"sed -i /watchword-access/d one; " + show, "Signed in as one@example.com"}, // proxy.ts renews the token
		{status + "-X POST http://localhost:3000/api/auth/logout" + sent, "200"},
		{"sleep 1; " + status + "http://localhost:3000/account", "307"},
	} {
		if got := a.runShell(t, folder, step[0]); got != step[1] {
			t.Errorf("%s\nprinted %q, want %q", step[0], got, step[1])
		}
	}
}

func replaceIn(t *testing.T, file, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s does not contain %s", file, old)
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600))
}

// consoleCommands yields each command of a console block with its output.
func consoleCommands(console string) func(yield func(command, output string) bool) {
	return func(yield func(command, output string) bool) {
		for _, part := range strings.Split("\n"+console, "\n$ ")[1:] {
			command, output, _ := strings.Cut(part, "\n")
			if !yield(command, strings.TrimSpace(output)) {
				return
			}
		}
	}
}

// serveTranscript builds and starts the application of the transcript, and Watchword. If oneOrigin is set, the public
// URL of Watchword is the URL of the application.
func serveTranscript(t *testing.T, folder string, oneOrigin bool) *application {
	t.Helper()
	a := &application{dataFolder: t.TempDir()}
	port, server := freePort(t), freePort(t)
	a.url, a.server = "http://localhost:"+port, "http://localhost:"+server
	program := filepath.Join(a.dataFolder, "watchword")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/watchword").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	env := []string{"WATCHWORD_URL=" + a.server, "WATCHWORD_PORT=" + server, "ORIGIN=" + a.url,
		"NEXT_TELEMETRY_DISABLED=1"}
	publicURL := a.server
	if oneOrigin {
		publicURL = a.url
	}
	next := exec.CommandContext(t.Context(), "npx", "next", "build")
	next.Dir, next.Env = folder, append(serverEnvironment(), env...)
	if out, err = next.CombinedOutput(); err != nil {
		t.Fatalf("next build: %v\n%s", err, out)
	}
	startServer(t, a.dataFolder, a.server+"/readyz", nil, program, "serve", "--listen",
		"127.0.0.1:"+server, "--admin-listen", "", "--public-url", publicURL, "--data-dir", a.dataFolder,
		"--allowed-origins", a.url, "--trusted-proxies", "127.0.0.1/32,::1/128")
	startServer(t, folder, a.url, env, "node", "node_modules/next/dist/bin/next", "start", "--port", port,
		"--hostname", "localhost")
	return a
}

// startServer starts a program that prints no address. It waits until the program responds at the URL.
func startServer(t *testing.T, dir, url string, env []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = dir, append(serverEnvironment(), env...)
	var said transcript.Transcript
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get(url); err == nil { //nolint:noctx
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not respond:\n%s", program, said.String())
		}
	}
}

// runShell replaces the documented ports with those of the application.
func (a *application) runShell(t *testing.T, folder, command string) string {
	t.Helper()
	command = strings.ReplaceAll(command, "http://localhost:3000", a.url)
	program := filepath.Join(a.dataFolder, "watchword")
	if strings.HasPrefix(command, "go run ./cmd/watchword ") {
		command = strings.Replace(command, "go run ./cmd/watchword", program, 1) + " --data-dir " + a.dataFolder
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
	cmd.Dir, cmd.Env = folder, serverEnvironment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(out)), a.url, "http://localhost:3000")
}
