// Package pgtest runs throw-away PostgreSQL servers for tests, from the binaries
// of the machine: in a temporary folder, on a free port of the loopback, under an
// unprivileged user.
//
// It knows PostgreSQL and nothing of what is kept in it.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Skip is the environment variable that lets tests run without PostgreSQL when it
// is "skip". CI never sets it. Any other value is the folder of the programs to
// use.
const Skip = "WATCHWORD_TEST_POSTGRES"

const superuser = "watchword"

// A Server is a running cluster.
type Server struct {
	Dir  string // data directory
	Port int

	bin   string
	owner *syscall.Credential // nil: the user of the test
	cmd   *exec.Cmd
	ended chan struct{}

	frozen []int // its processes, after Freeze

	next int
	mu   sync.Mutex
}

// New makes a cluster and starts it; it is gone when the test ends. Further
// settings are lines of postgresql.conf.
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	skip(t)
	s, err := prepare(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.create(settings); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func skip(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: PostgreSQL is not started")
	}
	if os.Getenv(Skip) == "skip" {
		t.Skipf("PostgreSQL is left out, because %s=skip", Skip)
	}
}

// prepare finds a folder, an owner and a port.
func prepare(t testing.TB) (*Server, error) {
	initdb, err := find("initdb")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: filepath.Dir(initdb)}
	root, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { s.Kill(); _ = os.RemoveAll(root) })
	if os.Geteuid() == 0 {
		if s.owner, err = unprivileged(root); err != nil {
			return nil, err
		}
	}
	s.Dir = filepath.Join(root, "data")
	s.Port, err = freePort()
	return s, err
}

func (s *Server) create(settings []string) error {
	out, err := s.command("initdb", "-D", s.Dir, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s.Configure(append([]string{
		"listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", fmt.Sprintf("port = %d", s.Port),
		"max_connections = 200", "shared_buffers = 64MB",
	}, settings...)...)
}

// Configure adds lines to postgresql.conf; they hold from the next start on.
func (s *Server) Configure(lines ...string) error {
	file, err := os.OpenFile(filepath.Join(s.Dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, line := range lines {
		_, err = fmt.Fprintln(file, line)
	}
	return errors.Join(err, file.Close())
}

// Write puts a file into the data directory that only the cluster reads.
func (s *Server) Write(name, text string) error {
	path := filepath.Join(s.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil || s.owner == nil {
		return err
	}
	return os.Chown(path, int(s.owner.Uid), int(s.owner.Gid))
}

// Start starts the cluster, and returns when it answers. After a Kill that takes
// until the processes that were left have noticed.
func (s *Server) Start(ctx context.Context) error {
	err := errors.New("PostgreSQL was not started")
	for range 50 {
		if err = s.start(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return err
}

func (s *Server) start(ctx context.Context) error {
	cmd := s.command("postgres", "-D", s.Dir)
	ended, err := launch(cmd)
	if err != nil {
		return err
	}
	for range 600 {
		if conn, err := pgx.Connect(ctx, s.URL("postgres")); err == nil {
			s.cmd, s.ended = cmd, ended
			return conn.Close(ctx)
		}
		select {
		case <-ended:
			return fmt.Errorf("PostgreSQL ended at once: see what `%s -D DIR` says", filepath.Join(s.bin, "postgres"))
		case <-time.After(50 * time.Millisecond):
		}
	}
	_ = cmd.Process.Kill()
	<-ended
	return errors.New("PostgreSQL did not answer within 30 seconds")
}

// launch starts a program that ends with the test, whatever ends that.
func launch(cmd *exec.Cmd) (ended chan struct{}, err error) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	ended = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal comes when this thread ends
		started <- cmd.Start()
		_ = cmd.Wait()
		close(ended)
	}()
	return ended, <-started
}

// Kill ends the cluster with SIGKILL, as a crash would, and waits. The processes
// of its connections end by themselves when they notice; those that are frozen
// can't, and are killed with it: that is how a machine dies.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	for _, pid := range append(s.frozen, s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.ended
	s.cmd, s.frozen = nil, nil
}

// URL is where a database of the cluster is.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", superuser, s.Port, database)
}

// Database makes an empty database.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	s.next++
	name := "test" + strconv.Itoa(s.next)
	s.mu.Unlock()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // it is a test
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	return cmd
}

// packages name what to install for a program.
var packages = map[string]string{"initdb": "postgresql", "pgbouncer": "pgbouncer"}

// Missing names the packages that the tests need and the machine does not have.
func Missing() (names []string) {
	for _, program := range slices.Sorted(maps.Keys(packages)) {
		if _, err := find(program); err != nil {
			names = append(names, packages[program])
		}
	}
	return names
}

// find looks where Debian puts the newest PostgreSQL, and then where everybody
// does; or only where it is told to.
func find(program string) (string, error) {
	places := []string{"/usr/lib/postgresql/*/bin", "/usr/sbin"}
	if only := os.Getenv(Skip); only != "" {
		places = []string{only}
	} else if path, err := exec.LookPath(program); err == nil {
		places = append(places, filepath.Dir(path))
	}
	for _, place := range places {
		if found, _ := filepath.Glob(filepath.Join(place, program)); len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", fmt.Errorf("%s is missing: install the package %s, or set %s=skip", program, packages[program], Skip)
}

// unprivileged gives the folder to a user who is not root: PostgreSQL runs under
// no other.
func unprivileged(root string) (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		if err := os.Chown(root, int(uid), int(gid)); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("there is no unprivileged user to run PostgreSQL under")
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close() //nolint:errcheck // only its number is wanted
	return listener.Addr().(*net.TCPAddr).Port, nil
}
