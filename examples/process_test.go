package examples_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/transcript"
)

type process struct{ url string }

func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: examples are not run")
	}
}

// startExample starts an example, and waits until the example has printed its address.
func startExample(t *testing.T, dir string, env []string, program string, args ...string) process {
	t.Helper()
	skipIfShort(t)
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, append(serverEnvironment(), env...)
	out, in := io.Pipe()
	var said transcript.Transcript
	cmd.Stdout, cmd.Stderr = io.MultiWriter(in, &said), io.MultiWriter(in, &said)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); _ = in.Close(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // lets the example stop its own processes
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	address := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, url, found := strings.Cut(lines.Text(), "listening on "); found {
				address <- url
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case url := <-address:
		return process{url}
	case <-ended:
		t.Fatalf("%s %s ended:\n%s", program, strings.Join(args, " "), said.String())
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s %s does not listen:\n%s", program, strings.Join(args, " "), said.String())
	}
	return process{}
}

// serverEnvironment omits the test's WATCHWORD_ variables. The server would reject WATCHWORD_TEST_… as unknown
// settings, and other WATCHWORD_ variables would change its settings. A long hash queue avoids failures on a busy
// machine.
func serverEnvironment() []string {
	others := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WATCHWORD_") })
	return append(others, "WATCHWORD_HASH_QUEUE=30s")
}
