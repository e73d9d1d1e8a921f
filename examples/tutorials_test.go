package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// These tests run the unchanged back-ends of the three tutorials behind Watchword, with
// the settings of docs/migrate.md, "Your own routes".

// A tutorial is one section of docs/migrate.md.
type tutorial struct {
	title, dialect             string
	signUpRequest, tokenMember string // path and body; member of the response with the access token
	login                      string
	notesPath, adminPath       string // of the back-end; adminPath needs the role admin
}

const (
	body       = `{"email":"ada@example.com","password":"` + password + `"`
	documented = "the secret of your services, 32 bytes or more"
)

var tutorials = []tutorial{
	{"From the article with Express, MongoDB and React", "users",
		"/api/users/signup " + body + `,"firstName":"Ada","lastName":"L"}`, "accessToken",
		"/api/users/login", "/api/notes", ""},
	{"From the introductory lesson", "lesson",
		"/register " + body + `,"username":"ada"}`, "accessToken", "/login", "/lesson/notes", ""},
	{`From the "complete security guide"`, "",
		"/api/auth/register " + body + "}", "accessToken", "/api/auth/login", "/guide/notes", "/guide/admin"},
}

// JWT-19, JWT-20
func TestTutorialBackEndsGoOnAsTheyAre(t *testing.T) {
	t.Parallel()
	dir := copyExample(t, "express-jsonwebtoken")
	program, _ := nodeWithPackages(t, dir)
	binary := filepath.Join(t.TempDir(), "watchword")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/watchword")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	backEnd := startExample(t, dir, []string{"PORT=0", "ACCESS_TOKEN_SECRET=" + documented}, program, "tutorials.js")
	for _, tutorial := range tutorials {
		t.Run(tutorial.title, func(t *testing.T) { t.Parallel(); tutorial.goesOn(t, backEnd, binary) })
	}
}

func (x tutorial) goesOn(t *testing.T, backEnd process, binary string) {
	w := x.startDocumentedServer(t, binary)
	path, form, _ := strings.Cut(x.signUpRequest, " ")
	in := w.signInWithForm(t, path, form)
	token := in[x.tokenMember].(string)
	_, claims := splitToken(t, watchword.Secret(token))
	var standard struct{ Sub string }
	must(t, json.Unmarshal([]byte(claims), &standard))
	status, _, answer := backEnd.getWithToken(t, x.notesPath, token)
	if status != 200 || !strings.Contains(answer, `"id":"`+standard.Sub+`"`) {
		t.Errorf("%s: %d %s, want the id %s", x.notesPath, status, answer, standard.Sub)
	}
	for name, bad := range map[string]string{"none": "", "forged": token[:len(token)-8] + "AAAAAAAA"} {
		if status, _, answer := backEnd.getWithToken(t, x.notesPath, bad); status != 401 && status != 403 {
			t.Errorf("token %s: %d %s", name, status, answer)
		}
	}
	if x.dialect == "lesson" {
		r, err := http.NewRequestWithContext(t.Context(), "GET", backEnd.url+x.notesPath, nil)
		must(t, err)
		r.AddCookie(&http.Cookie{Name: "jwt", Value: token})
		response, err := http.DefaultClient.Do(r)
		must(t, err)
		defer response.Body.Close() //nolint:errcheck // only the status counts
		if response.StatusCode != 200 {
			t.Errorf("the cookie: %s", response.Status)
		}
	}
	if x.adminPath == "" {
		return
	}
	if status, _, answer := backEnd.getWithToken(t, x.adminPath, token); status != 403 {
		t.Errorf("a user at %s: %d %s", x.adminPath, status, answer)
	}
	roles := exec.CommandContext(t.Context(), binary, "users", "set-roles", "ada@example.com", "accountant", "admin")
	roles.Dir, roles.Env = w.dir, serverEnvironment()
	if out, err := roles.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	admin := w.signInWithForm(t, x.login, body+"}")[x.tokenMember].(string)
	status, _, answer = backEnd.getWithToken(t, x.adminPath, admin)
	if status != 200 || !strings.Contains(answer, `"role":"admin"`) {
		t.Errorf("an admin at %s: %d %s", x.adminPath, status, answer)
	}
}

type documentedServer struct{ url, dir string }

var ownRoutes = regexp.MustCompile("(?s)\\*\\*6\\. Your own routes\\.\\*\\*.*?```js\n(.*?)\n```.*?```sh\n(.*?)```")

// startDocumentedServer starts Watchword with the commands that the section documents in the step "Your own routes".
// It fails the test if the documented middleware differs from the middleware that the test runs.
func (x tutorial) startDocumentedServer(t *testing.T, binary string) documentedServer {
	t.Helper()
	text, err := os.ReadFile("../docs/migrate.md")
	must(t, err)
	_, section, _ := strings.Cut(string(text), "\n## "+x.title+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	step := ownRoutes.FindStringSubmatch(section)
	if step == nil {
		t.Fatalf("the section %s has no own routes", x.title)
	}
	source, err := os.ReadFile("express-jsonwebtoken/tutorials.js")
	must(t, err)
	if !strings.Contains(string(source), step[1]) {
		t.Errorf("the middleware is not in tutorials.js:\n%s", step[1])
	}
	port := freePort(t)
	w := documentedServer{"http://localhost:" + port, t.TempDir()}
	command := strings.NewReplacer("watchword serve", "exec "+binary+" serve", ":8000", ":"+port).Replace(step[2])
	script := exec.CommandContext(context.Background(), "bash", "-euc", command)
	script.Dir, script.Env = w.dir, append(serverEnvironment(), "WATCHWORD_ADMIN_LISTEN=", "WATCHWORD_LIMITS=off")
	must(t, script.Start())
	t.Cleanup(func() { _ = script.Process.Signal(syscall.SIGTERM); _ = script.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(25 * time.Millisecond) {
		response, err := http.Get(w.url + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == 200 {
				return w
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready:\n%s", command)
		}
	}
}

func (w documentedServer) signInWithForm(t *testing.T, path, form string) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.url+path, strings.NewReader(form))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "http://localhost:3000")
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close() //nolint:errcheck // the body was read
	var answer map[string]any
	must(t, json.NewDecoder(response.Body).Decode(&answer))
	if response.StatusCode/100 != 2 {
		t.Fatalf("%s: %s %s", path, response.Status, fmt.Sprint(answer))
	}
	return answer
}

var viteProxy = regexp.MustCompile("(?s)```js\n(  server: \\{ proxy: \\{\n.*?)\n```")

// The test adds the four documented lines to the configuration of Vite. The front-end's address must then serve both
// the sign-in and the tutorial's own routes.
func TestViteProxyOfTheDocumentServesBoth(t *testing.T) {
	t.Parallel()
	dir := copyExample(t, "guide")
	program, _ := nodeWithPackages(t, dir)
	back := copyExample(t, "express-jsonwebtoken")
	nodeWithPackages(t, back)
	binary := filepath.Join(t.TempDir(), "watchword")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/watchword")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	backEnd := startExample(t, back, []string{"PORT=0", "ACCESS_TOKEN_SECRET=" + documented}, program, "tutorials.js")
	w := tutorials[0].startDocumentedServer(t, binary)

	docs, err := os.ReadFile("../docs/migrate.md")
	must(t, err)
	shown := viteProxy.FindSubmatch(docs)
	if shown == nil || strings.Count(string(shown[1]), "\n") != 3 {
		t.Fatalf("docs/migrate.md has no four lines for Vite: %s", shown)
	}
	ports := strings.NewReplacer("http://localhost:8000", w.url, "http://localhost:5001", backEnd.url)
	lines := ports.Replace(string(shown[1]))
	must(t, os.WriteFile(filepath.Join(dir, "vite.config.js"), []byte("export default {\n"+lines+"\n}\n"), 0o600))
	port := freePort(t)
	must(t, os.WriteFile(filepath.Join(dir, "vite.js"), []byte(`import { createServer } from 'vite'
const server = { port: `+port+`, strictPort: true, host: 'localhost' }
const vite = await createServer({ root: import.meta.dirname, server })
await vite.listen()
console.log('listening on http://localhost:`+port+`')
process.on('SIGINT', () => vite.close().then(() => process.exit()))
`), 0o600))
	front := documentedServer{url: startExample(t, dir, nil, program, "vite.js").url}

	path, form, _ := strings.Cut(tutorials[0].signUpRequest, " ")
	in := front.signInWithForm(t, path, form)
	status, _, answer := process{front.url}.getWithToken(t, tutorials[0].notesPath, in["accessToken"].(string))
	id := in["user"].(map[string]any)["_id"].(string)
	if status != 200 || !strings.Contains(answer, `"id":"`+id+`"`) {
		t.Errorf("%d %s, want the id %s", status, answer, id)
	}
}
