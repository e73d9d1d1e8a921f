package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// OPS-2
func TestSIGTERMLosesNoRequest(t *testing.T) {
	t.Parallel()
	const servers, stops = 4, 3
	for i := range servers {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, freeAddress(t))
			dir := t.TempDir()
			for range stops {
				if err := s.start(dir, []string{"HOME=" + dir},
					[]string{"--drain-delay=3s", "--limits=off"}); err != nil {
					t.Fatal(err)
				}
				lost := stopUnderLoad(t, s)
				if len(lost) > 0 {
					t.Fatalf("%d of 64 requests were lost: %v", len(lost), lost[0])
				}
			}
		})
	}
}

// stopUnderLoad requests /readyz until the server is not ready, as a load balancer does. Then it sends one request on
// each of 64 connections. It opens half of the connections before the stop.
func stopUnderLoad(t *testing.T, s *server) (failures []error) {
	t.Helper()
	const connections = 64
	open := make([]net.Conn, connections/2)
	for i := range open {
		open[i] = dial(t, s.address)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.terminate() }()
	for {
		status, err := requestOnConnection(dial(t, s.address), s, "/readyz")
		if err != nil {
			return []error{err}
		}
		if status == http.StatusServiceUnavailable {
			break
		}
	}
	results := make(chan error, connections)
	var sent sync.WaitGroup
	for i := range connections {
		conn := dial(t, s.address)
		if i < len(open) {
			conn.Close()
			conn = open[i]
		}
		sent.Go(func() {
			status, err := requestOnConnection(conn, s, "/api/auth/me")
			if err == nil && status != http.StatusUnauthorized {
				err = fmt.Errorf("status %d", status)
			}
			results <- err
		})
	}
	sent.Wait()
	close(results)
	for err := range results {
		if err != nil {
			failures = append(failures, err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("exit: %v", err)
	}
	return failures
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("a connection was refused: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// While the server drains, it must close each connection after the response, except after a response to /readyz.
func requestOnConnection(conn net.Conn, s *server, path string) (status int, err error) {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, s.address); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	response.Body.Close()
	if !response.Close && path != "/readyz" {
		return 0, errors.New("the connection stays open")
	}
	return response.StatusCode, nil
}

func TestSecondSIGTERMEndsTheDrainDelay(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	startServer(t, s, "--drain-delay=5m")
	process := s.cmd.Process
	ended := make(chan error, 1)
	go func() { ended <- s.terminate() }()
	for {
		status, err := requestOnConnection(dial(t, s.address), s, "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusServiceUnavailable {
			break
		}
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("exit code 0: the delay did not end early")
		}
	case <-time.After(time.Minute):
		t.Error("the server still waits")
	}
}

func TestDrainDelayIsZeroOnLoopback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"config"}, "drain-delay *0s *loopback public-url"},
		{[]string{"config", "--drain-delay=2s"}, "drain-delay *2s *flag --drain-delay"},
		{[]string{"config", public, smtp, from}, "drain-delay *5s *default"},
	} {
		if got := run(t, call{args: c.args}); !regexp.MustCompile(c.want).MatchString(got.out) {
			t.Errorf("%v: no %q in\n%s", c.args, c.want, got.out)
		}
	}
}
