package main_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/porttest"
)

// A server can be started several times in succession, always on the same address.
type server struct {
	binary, address string
	https           bool
	onTerminal      bool // standard output is a terminal
	cmd             *exec.Cmd
	exitCh          chan error
	out, errs       bytes.Buffer // of the last run; complete when the run has ended
}

func newServer(t *testing.T, address string) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the built server is not run")
	}
	s := &server{binary: os.Getenv(binaryVariable), address: address}
	t.TempDir() // registers its cleanup first, so the folders are removed after s.kill
	t.Cleanup(s.kill)
	return s
}

func (s *server) url() string {
	if s.https {
		return "https://" + s.address
	}
	return "http://" + s.address
}

// client accepts any certificate, because the tests create their own certificates.
func (s *server) client() *http.Client {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// start returns when the server is ready.
func (s *server) start(dir string, env, args []string) error {
	if s.cmd != nil {
		return errors.New("a server is running")
	}
	s.out.Reset()
	s.errs.Reset()
	args = append([]string{"serve", "--listen=" + s.address, "--public-url=" + s.url(), "--admin-listen="}, args...)
	cmd := exec.Command(s.binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &s.out, &s.errs
	ended := make(chan error, 1)
	wait := func() { ended <- cmd.Wait() }
	if s.onTerminal {
		screen, err := newTerminal()
		if err != nil {
			return err
		}
		defer screen.program.Close()
		cmd.Stdout = screen.program
		wait = func() {
			err := cmd.Wait()
			s.out.Write(<-screen.output)
			ended <- err
		}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.exitCh = cmd, ended
	go wait()
	for range 2400 { // waits at least a minute
		if answer, err := s.client().Get(s.url() + "/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-s.exitCh:
			s.cmd = nil
			return fmt.Errorf("the server ended: %w\n%s%s", err, s.out.String(), s.errs.String())
		case <-time.After(25 * time.Millisecond):
		}
	}
	s.kill()
	return fmt.Errorf("the server did not get ready:\n%s%s", s.out.String(), s.errs.String())
}

// terminate waits until the server has ended, and returns the error of its end.
func (s *server) terminate() error {
	if s.cmd == nil {
		return errors.New("no server is running")
	}
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd = nil
	return errors.Join(err, <-s.exitCh)
}

func (s *server) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill() //nolint:errcheck // the process may have ended already
		<-s.exitCh
		s.cmd = nil
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := porttest.Free()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}
