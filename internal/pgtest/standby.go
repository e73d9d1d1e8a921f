package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby creates a synchronous standby of s. It returns when s acknowledges commits
// only after the standby has received them.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby, err := prepareServer("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Remove)
	standby.Follow(t, s)
	return standby
}

// Follow turns s, which must not be running, into the synchronous standby of a primary.
// It deletes the previous data of s.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	if err := os.RemoveAll(s.Dir); err != nil {
		t.Fatal(err)
	}
	out, err := s.command(
		"pg_basebackup",
		"-D",
		s.Dir,
		"--checkpoint=fast",
		"--no-sync",
		"--write-recovery-conf",
		"-d",
		fmt.Sprintf("host=127.0.0.1 port=%d user=%s application_name=standby", primary.Port, superuser),
	).CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	// Reset synchronous_standby_names, which was copied from the primary. Otherwise, after a promotion, every commit
	// would wait forever for a standby that does not exist.
	if err := s.Configure(fmt.Sprintf("port = %d", s.Port), "synchronous_standby_names = ''"); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	primary.Reload(t, "synchronous_standby_names = 'standby'")
	for primary.queryValue(t, "SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync')") != true {
		time.Sleep(20 * time.Millisecond)
	}
}

// Reload appends lines to postgresql.conf and applies them to the running cluster.
func (s *Server) Reload(t testing.TB, lines ...string) {
	t.Helper()
	if err := s.Configure(lines...); err != nil {
		t.Fatal(err)
	}
	s.queryValue(t, "SELECT pg_reload_conf()")
}

// Promote promotes a standby to primary and returns when it accepts writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	if out, err := s.command("pg_ctl", "promote", "-D", s.Dir, "-t", "60").CombinedOutput(); err != nil {
		t.Fatalf("pg_ctl promote: %v\n%s", err, out)
	}
}

func (s *Server) queryValue(t testing.TB, query string) (value any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // a test may ignore this error
	if err := conn.QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// Freeze stops every process of the cluster with SIGSTOP. The kernel still accepts connections to the cluster's port,
// but the cluster never responds. Thaw resumes the cluster, and Kill kills it.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	parent := s.cmd.Process.Pid
	err := syscall.Kill(parent, syscall.SIGSTOP) // stop the parent first, because it starts the others
	children, globErr := childProcesses(parent)
	for _, pid := range children {
		err = errors.Join(err, ignoreGone(syscall.Kill(pid, syscall.SIGSTOP)))
	}
	if err := errors.Join(err, globErr); err != nil {
		t.Fatal(err)
	}
	s.frozenPIDs = children
}

// Thaw resumes a frozen cluster.
func (s *Server) Thaw() {
	for _, pid := range append(s.frozenPIDs, s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	s.frozenPIDs = nil
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// childProcesses reads /proc/PID/stat (proc(5)).
func childProcesses(parent int) (children []int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the process has exited
		}
		_, after, _ := strings.Cut(string(text), ") ") // the process name can contain spaces
		fields := strings.Fields(after)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		children = append(children, pid)
	}
	return children, err
}
