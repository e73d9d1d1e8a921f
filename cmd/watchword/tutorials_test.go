package main_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tutorials in docs/migrate.md must work as written. The test writes the files and runs the commands of each
// section in a separate folder. Only the port differs. The middlewares in the document are tested in package
// examples.
func TestMigrationTutorialsWorkAsWritten(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(text), "\n## ")[1:]
	if len(sections) != 4 {
		t.Fatalf("docs/migrate.md has %d sections", len(sections))
	}
	for _, section := range sections {
		title, _, _ := strings.Cut(section, "\n")
		t.Run(title, func(t *testing.T) { t.Parallel(); followTutorial(t, section) })
	}
}

var codeBlock = regexp.MustCompile("(?s)```(json|csv|sh)\n(.*?)```")

// A command that serves runs until another command replaces it, or until the section ends.
func followTutorial(t *testing.T, section string) {
	dir, port := t.TempDir(), unusedPort(t)
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.Getenv(binaryVariable), filepath.Join(bin, "watchword")); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "WATCHWORD_ADMIN_LISTEN=",
		"WATCHWORD_HASH_QUEUE=30s"} // hashing may wait for cores, which other tests use
	var running *exec.Cmd
	for _, found := range codeBlock.FindAllStringSubmatch(section, -1) {
		kind, content := found[1], strings.ReplaceAll(found[2], ":8000", ":"+port)
		if kind != "sh" {
			if err := os.WriteFile(filepath.Join(dir, "users."+kind), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		script := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", content)
		script.Dir, script.Env = dir, env
		if strings.Contains(content, "watchword serve") {
			stopTutorialServer(running) // the document says to stop Watchword and start it with this command
			startTutorialServer(t, script, port)
			running = script
			continue
		}
		out, err := script.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", content, err, out)
		}
	}
}

func startTutorialServer(t *testing.T, script *exec.Cmd, port string) {
	t.Helper()
	text := &script.Args[len(script.Args)-1]
	*text = strings.Replace(*text, "watchword serve", "exec watchword serve", 1) // with exec, signals reach the server
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) }
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopTutorialServer(script) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:"+port+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("the server does not get ready")
}

func stopTutorialServer(server *exec.Cmd) {
	if server != nil {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}
}

func unusedPort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
