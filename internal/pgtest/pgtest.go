// Package pgtest runs temporary PostgreSQL servers for tests from the installed
// binaries: in a temporary folder, on a free loopback port, as an unprivileged user.
//
// It does not know the contents of the databases.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/porttest"
)

// Skip names the environment variable that skips PostgreSQL tests when its value is
// "skip". CI never sets it. Any other value is the folder of the programs to use.
const Skip = "WATCHWORD_TEST_POSTGRES"

const superuser = "watchword"

// A Server is a PostgreSQL cluster (one data directory and its server process).
type Server struct {
	Dir  string // data directory
	Port int

	bin        string
	serverUser *syscall.Credential // nil: the user that runs the test
	cmd        *exec.Cmd
	exited     chan struct{}

	frozenPIDs []int // child processes that Freeze has stopped

	next           atomic.Int64
	mu             sync.Mutex // held while a migrated database is created or copied
	templateExists bool       // whether the database that Migrated copies exists
}

// New creates and starts a cluster and removes it when the test ends. settings are
// additional lines of postgresql.conf. New skips the test in short mode.
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	skip(t)
	s, err := prepareServer("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	if err := s.create(settings); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// sharedCluster is the cluster in which the function Database creates databases.
var sharedCluster struct {
	sync.Mutex
	*Server
	lifetimePipe *os.File // closes when this process ends, and the shell then removes the folder
}

// Database creates an empty database and returns its URL. All tests of a process share one cluster, which has fsync
// off and is removed when the process ends.
func Database(t testing.TB) string {
	t.Helper()
	return sharedServer(t).Database(t)
}

// Migrated is like Database, but the database is migrated (see Server.Migrated).
func Migrated(t testing.TB, migrate func(ctx context.Context, url string) ([]string, error)) string {
	t.Helper()
	return sharedServer(t).Migrated(t, migrate)
}

func sharedServer(t testing.TB) *Server {
	t.Helper()
	skip(t)
	sharedCluster.Lock()
	defer sharedCluster.Unlock()
	if sharedCluster.Server == nil {
		s, err := Launch(t.Context(), "", "fsync = off", "max_connections = 500", "max_wal_size = 128MB")
		if err == nil {
			sharedCluster.lifetimePipe, err = removeAfterExit(filepath.Dir(s.Dir))
		}
		if err != nil {
			t.Fatal(err)
		}
		sharedCluster.Server = s
	}
	return sharedCluster.Server
}

// removeAfterExit starts a shell that removes a folder after this process has ended, even if it was killed.
// PostgreSQL ends at the same time (see launchWithTestProcess), but may still write for a moment. Therefore the shell
// retries.
func removeAfterExit(folder string) (alive *os.File, err error) {
	read, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	shell := exec.Command("sh", "-c", `read _; for i in 1 2 3 4 5 6 7 8 9; do rm -rf "$0" && exit; sleep 0.2; done`,
		folder)
	shell.Stdin = read
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C ends the tests, not the shell
	return alive, shell.Start()
}

// Launch creates and starts a cluster in a new folder of dir, for programs that are not
// tests. The caller must call Remove.
func Launch(ctx context.Context, dir string, settings ...string) (*Server, error) {
	s, err := prepareServer(dir)
	if err != nil {
		return nil, err
	}
	if err = s.create(settings); err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// Remove ends the cluster, without a checkpoint, and deletes its files. It does not kill the cluster, because a
// killed cluster leaves a shared-memory segment behind, and a system allows only few segments.
func (s *Server) Remove() {
	if s.cmd != nil && len(s.frozenPIDs) == 0 {
		_ = syscall.Kill(s.cmd.Process.Pid, syscall.SIGQUIT)
		<-s.exited
		s.cmd = nil
	}
	s.Kill()
	_ = os.RemoveAll(filepath.Dir(s.Dir))
}

func skip(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: PostgreSQL tests are skipped")
	}
	if os.Getenv(Skip) == "skip" {
		t.Skipf("%s=skip: PostgreSQL tests are skipped", Skip)
	}
}

// prepareServer creates a folder in dir ("": the default one for temporary files) and selects an unprivileged user
// and a port.
func prepareServer(dir string) (*Server, error) {
	initdb, err := findProgram("initdb")
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp(dir, "pgtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: filepath.Dir(initdb), Dir: filepath.Join(root, "data")}
	if os.Geteuid() == 0 {
		s.serverUser, err = chownToUnprivilegedUser(root)
	}
	if err == nil {
		s.Port, err = porttest.Free()
	}
	if err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

func (s *Server) create(settings []string) error {
	out, err := s.command("initdb", "-D", s.Dir, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").
		CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s.Configure(append([]string{
		"listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", fmt.Sprintf("port = %d", s.Port),
		"max_connections = 200", "shared_buffers = 64MB",
		"dynamic_shared_memory_type = mmap", // uses the data directory; Kill would leave shared-memory segments behind
	}, settings...)...)
}

// Configure appends lines to postgresql.conf. They take effect at the next start.
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

// Write writes a file to the data directory, readable by the cluster's user only.
func (s *Server) Write(name, text string) error {
	path := filepath.Join(s.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil || s.serverUser == nil {
		return err
	}
	return os.Chown(path, int(s.serverUser.Uid), int(s.serverUser.Gid))
}

// Start starts the cluster and returns when it accepts connections. After Kill it
// retries until the old child processes have exited, up to 50 times.
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
	exited, err := launchWithTestProcess(cmd)
	if err != nil {
		return err
	}
	for range 600 {
		if conn, err := pgx.Connect(ctx, s.URL("postgres")); err == nil {
			s.cmd, s.exited = cmd, exited
			return conn.Close(ctx)
		}
		select {
		case <-exited:
			return fmt.Errorf(
				"PostgreSQL exited at startup: run `%s -D DIR` to see the reason",
				filepath.Join(s.bin, "postgres"),
			)
		case <-time.After(50 * time.Millisecond):
		}
	}
	_ = cmd.Process.Kill()
	<-exited
	return errors.New("PostgreSQL did not accept connections within 30 seconds")
}

// launchWithTestProcess starts a program that the kernel terminates when the test process exits for any reason. The
// channel exited is closed when the program exits.
func launchWithTestProcess(cmd *exec.Cmd) (exited chan struct{}, err error) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	exited = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel sends the signal when this thread exits
		started <- cmd.Start()
		_ = cmd.Wait()
		close(exited)
	}()
	return exited, <-started
}

// Kill kills the cluster with SIGKILL, as in a crash, and waits until it has exited. Its child processes exit by
// themselves a moment later. But child processes that Freeze has stopped can't exit by themselves. Kill therefore
// kills them too, as in a power failure.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	for _, pid := range append(s.frozenPIDs, s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.exited
	s.cmd, s.frozenPIDs = nil, nil
}

// URL returns the URL of a database of the cluster.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", superuser, s.Port, database)
}

// Database creates an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.database(t, "template1")
}

// Migrated creates a migrated database and returns its URL. Only the first call of a cluster runs
// migrateDatabase. Later calls copy the first database, which takes a third of the time.
func (s *Server) Migrated(
	t testing.TB, migrateDatabase func(ctx context.Context, url string) ([]string, error),
) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	const name = "migrated"
	if !s.templateExists {
		if err := s.executeOnCluster(t.Context(), "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
		if _, err := migrateDatabase(t.Context(), s.URL(name)); err != nil {
			t.Fatal(err)
		}
		s.templateExists = true
	}
	return s.database(t, name)
}

func (s *Server) database(t testing.TB, template string) string {
	t.Helper()
	name := "test" + strconv.FormatInt(s.next.Add(1), 10)
	// Copies of files need less processor time than copies through the write-ahead log.
	statement := "CREATE DATABASE " + name + " STRATEGY FILE_COPY TEMPLATE " + template
	if err := s.executeOnCluster(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

func (s *Server) executeOnCluster(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// Copy copies a database that Database or Migrated created, and returns the URL of the copy. No connection to the
// original may be open.
func Copy(t testing.TB, url string) string {
	t.Helper()
	original, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return sharedServer(t).database(t, original.Database)
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.serverUser}
	return cmd
}

var debianPackages = map[string]string{"initdb": "postgresql", "pgbouncer": "pgbouncer"}

// Missing returns the packages that the tests need and that are not installed.
func Missing() (names []string) {
	for _, program := range slices.Sorted(maps.Keys(debianPackages)) {
		if _, err := findProgram(program); err != nil {
			names = append(names, debianPackages[program])
		}
	}
	return names
}

// findProgram prefers the newest version in Debian's folders to the first on the PATH. If the variable Skip names a
// folder, findProgram searches only that folder.
func findProgram(program string) (string, error) {
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
	return "", fmt.Errorf("%s is missing: install the package %s, or set %s=skip", program, debianPackages[program], Skip)
}

// chownToUnprivilegedUser returns the credential of the new owner. PostgreSQL refuses to run as root.
func chownToUnprivilegedUser(root string) (*syscall.Credential, error) {
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
	return nil, errors.New("no unprivileged user to run PostgreSQL: tried postgres and nobody")
}
