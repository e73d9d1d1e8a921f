package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const checkout = "../.."

// readmeCommands says how the test runs each kind of command in README.md. A command of an
// unknown kind fails the test.
var readmeCommands = []struct {
	form *regexp.Regexp
	run  func(*readmeRun, string)
}{
	{regexp.MustCompile(`^(go run ./cmd/watchword|bin/watchword) serve$`), (*readmeRun).startBuiltServer},
	{regexp.MustCompile(`^go run ./lab/rotation/cmd$`), (*readmeRun).runShortSimulation},
	{regexp.MustCompile(`^curl `), (*readmeRun).curl},
	{regexp.MustCompile(`^make [a-z-]+$`), (*readmeRun).checkMakeTarget},
	{regexp.MustCompile(`^docker compose up$`), (*readmeRun).checkComposeFiles},
}

// A readmeRun runs the commands of README.md in their order, in one folder.
type readmeRun struct {
	*testing.T
	dir    string
	server *server
	token  string // of the last response that contained a token
	ran    map[string]bool
}

// Every command of README.md must run as written, with three exceptions. The server listens on a free port. make only
// prints its plan (make -n), because some targets take minutes. Docker isn't run.
func TestEveryCommandOfTheReadmeRuns(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(checkout, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := &readmeRun{T: t, dir: t.TempDir(), server: newServer(t, freeAddress(t)), ran: map[string]bool{}}
	for _, command := range shellCommands(string(text)) {
		r.runCommand(command)
	}
	for _, must := range []string{"serve", "curl", "make"} {
		if !r.ran[must] {
			t.Errorf("README.md has no %s command that the test finds", must)
		}
	}
}

func (r *readmeRun) runCommand(command string) {
	r.Helper()
	for _, kind := range readmeCommands {
		if kind.form.MatchString(command) {
			kind.run(r, command)
			return
		}
	}
	r.Errorf("README.md: the test doesn't know how to run %q", command)
}

var (
	fence   = regexp.MustCompile("(?ms)^```(sh|console)\n(.*?)^```$")
	remark  = regexp.MustCompile(`(?m)\s+#.*$`)
	prompts = regexp.MustCompile(`(?m)^\$ ((?:.*\\\n)*.*)$`)
)

// shellCommands returns the lines of each sh block, and the text after each prompt of a console block.
func shellCommands(text string) []string {
	var all []string
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		if block[1] == "console" {
			for _, found := range prompts.FindAllStringSubmatch(block[2], -1) {
				all = append(all, found[1])
			}
			continue
		}
		for line := range strings.Lines(block[2]) {
			if line = strings.TrimSpace(remark.ReplaceAllString(line, "")); line != "" {
				all = append(all, line)
			}
		}
	}
	return all
}

// startBuiltServer runs the built program, although the command in README.md may be `go run`.
func (r *readmeRun) startBuiltServer(string) {
	r.Helper()
	r.ran["serve"] = true
	if r.server.cmd != nil {
		return // the server of an earlier command still runs
	}
	if err := r.server.start(r.dir, []string{"HOME=" + r.dir}, nil); err != nil {
		r.Fatal(err)
	}
	response, err := r.server.client().Get(r.server.url() + "/dev/mail")
	if err != nil {
		r.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		r.Errorf("/dev/mail: status %d", response.StatusCode)
	}
}

func (r *readmeRun) curl(command string) {
	r.Helper()
	r.ran["curl"] = true
	command = strings.ReplaceAll(command, "http://localhost:8080", r.server.url())
	out := r.runInShell(r.dir, strings.Replace(command, "curl ", "curl -sS --fail-with-body ", 1))
	var response struct{ AccessToken string }
	if err := json.Unmarshal(out, &response); err != nil {
		r.Errorf("%s: the response isn't JSON: %v", command, err)
	}
	if response.AccessToken != "" {
		r.token = response.AccessToken
	}
}

// runShortSimulation lowers the counts of the simulation, because the full tables take too long for a test.
func (r *readmeRun) runShortSimulation(command string) {
	r.Helper()
	if !bytes.Contains(r.runInShell(checkout, command+" -refreshes 20000 -thieves 100"),
		[]byte("bounded forgiveness")) {
		r.Errorf("%s: the output doesn't name our rule", command)
	}
}

// checkMakeTarget runs make -n, which checks that the target and its prerequisites exist.
func (r *readmeRun) checkMakeTarget(command string) {
	r.Helper()
	r.ran["make"] = true
	r.runInShell(checkout, strings.Replace(command, "make ", "make -n ", 1))
}

// checkComposeFiles checks only that the files of the command exist. The tests of deploy/check read compose.yaml.
func (r *readmeRun) checkComposeFiles(string) {
	r.Helper()
	for _, name := range []string{"compose.yaml", "Dockerfile"} {
		if _, err := os.Stat(filepath.Join(checkout, name)); err != nil {
			r.Error(err)
		}
	}
}

func (r *readmeRun) runInShell(dir, command string) []byte {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "ACCESS_TOKEN="+r.token)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		r.Errorf("%s: %v\n%s%s", command, err, out, errs.String())
	}
	return out
}
