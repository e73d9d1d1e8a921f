package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"rsc.io/script"
	"rsc.io/script/scripttest"
)

// Each script of testdata/script is a session at the command line with the built program as `watchword`, in a
// new folder. $LISTEN is a free address and $URL the public URL of a server there. $ADMIN is another free
// address. Commands in addition to those of rsc.io/script:
//
//	exits N ARGS…   runs watchword and wants exit code N
//	get N URL       sends a GET and wants status N; stdout is the head and the body
//	serve ARGS…     starts `watchword serve` and waits until it is ready
//	screen ARGS…    is serve with a terminal as standard output
//	terminate       sends it SIGTERM, waits, and wants exit code 0
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runScript(t, file)
		})
	}
}

func runScript(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, address, binary := t.TempDir(), freeAddress(t), os.Getenv(binaryVariable)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	state, err := script.NewState(ctx, dir, []string{
		"HOME=" + dir, "PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "LISTEN=" + address,
		"URL=http://" + address, "ADMIN=" + freeAddress(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := state.ExtractFiles(archive); err != nil {
		t.Fatal(err)
	}
	engine := &script.Engine{Cmds: scripttest.DefaultCmds(), Conds: scripttest.DefaultConds(), Quiet: true}
	engine.Cmds["watchword"] = script.Program(binary, nil, 0)
	engine.Cmds["exits"], engine.Cmds["get"] = exits(binary), getCommand(newServer(t, address))
	served := newServer(t, address)
	engine.Cmds["serve"], engine.Cmds["screen"], engine.Cmds["terminate"] = startCommand(served, false),
		startCommand(served, true), stopCommand(served)
	scripttest.Run(t, engine, state, file, bytes.NewReader(archive.Comment))
}

func exits(binary string) script.Cmd {
	usage := script.CmdUsage{Summary: "run watchword and want an exit code", Args: "code [args...]"}
	return script.Command(usage, func(s *script.State, args ...string) (script.WaitFunc, error) {
		if len(args) == 0 {
			return nil, script.ErrUsage
		}
		want, err := strconv.Atoi(args[0])
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(s.Context(), binary, args[1:]...)
		cmd.Dir, cmd.Env = s.Getwd(), s.Environ()
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		return func(*script.State) (string, string, error) {
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				return "", "", err
			}
			if got := cmd.ProcessState.ExitCode(); got != want {
				return out.String(), errs.String(), fmt.Errorf("exit code %d, want %d", got, want)
			}
			return out.String(), errs.String(), nil
		}, nil
	})
}

func getCommand(s *server) script.Cmd {
	return script.Command(script.CmdUsage{Summary: "send a GET and want a status", Args: "status url"},
		func(state *script.State, args ...string) (script.WaitFunc, error) {
			if len(args) != 2 {
				return nil, script.ErrUsage
			}
			r, err := http.NewRequestWithContext(state.Context(), http.MethodGet, args[1], nil)
			if err != nil {
				return nil, err
			}
			r.Header.Set("Accept", "text/html")
			client := s.client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			response, err := client.Do(r)
			if err != nil {
				return nil, err
			}
			defer response.Body.Close()
			raw, err := httputil.DumpResponse(response, true)
			if err == nil && strconv.Itoa(response.StatusCode) != args[0] {
				err = fmt.Errorf("status %d, want %s", response.StatusCode, args[0])
			}
			return func(*script.State) (string, string, error) { return string(raw), "", err }, nil
		})
}

// A script has only one server.
func startCommand(s *server, onTerminal bool) script.Cmd {
	return script.Command(script.CmdUsage{Summary: "start the server", Args: "[args...]"},
		func(state *script.State, args ...string) (script.WaitFunc, error) {
			s.onTerminal = onTerminal
			return nil, s.start(state.Getwd(), state.Environ(), args)
		})
}

func stopCommand(s *server) script.Cmd {
	return script.Command(script.CmdUsage{Summary: "stop the server"},
		func(*script.State, ...string) (script.WaitFunc, error) {
			return func(*script.State) (string, string, error) {
				err := s.terminate()
				return s.out.String(), s.errs.String(), err
			}, nil
		})
}
