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

// Standby makes another cluster that follows s, and waits until no commit of s is
// answered before it has it, too (synchronous replication).
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby, err := prepare(t)
	if err != nil {
		t.Fatal(err)
	}
	standby.Follow(t, s)
	return standby
}

// Follow makes s, which must not run, the synchronous standby of a primary. What
// it had is lost.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	if err := os.RemoveAll(s.Dir); err != nil {
		t.Fatal(err)
	}
	out, err := s.command("pg_basebackup", "-D", s.Dir, "--checkpoint=fast", "--no-sync", "--write-recovery-conf",
		"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=%s application_name=standby", primary.Port, superuser)).CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	// The setting that makes the primary wait came with its files: on a standby
	// that is promoted it would make every commit wait for nobody.
	if err := s.Configure(fmt.Sprintf("port = %d", s.Port), "synchronous_standby_names = ''"); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	primary.Reload(t, "synchronous_standby_names = 'standby'")
	for primary.ask(t, "SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync')") != true {
		time.Sleep(20 * time.Millisecond)
	}
}

// Reload adds lines to postgresql.conf that hold at once.
func (s *Server) Reload(t testing.TB, lines ...string) {
	t.Helper()
	if err := s.Configure(lines...); err != nil {
		t.Fatal(err)
	}
	s.ask(t, "SELECT pg_reload_conf()")
}

// Promote makes a standby a primary, and returns when it takes writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	if out, err := s.command("pg_ctl", "promote", "-D", s.Dir, "-t", "60").CombinedOutput(); err != nil {
		t.Fatalf("pg_ctl promote: %v\n%s", err, out)
	}
}

// ask returns the one value of an answer.
func (s *Server) ask(t testing.TB, question string) (value any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // it is a test
	if err := conn.QueryRow(t.Context(), question).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// Freeze stops every process of the cluster where it stands: it accepts
// connections, as the kernel does that for it, and never answers. Thaw lets it go
// on, Kill ends it.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	parent := s.cmd.Process.Pid
	err := syscall.Kill(parent, syscall.SIGSTOP) // first: it makes no more of them
	children, globErr := childrenOf(parent)
	for _, pid := range children {
		err = errors.Join(err, ignoreGone(syscall.Kill(pid, syscall.SIGSTOP)))
	}
	if err := errors.Join(err, globErr); err != nil {
		t.Fatal(err)
	}
	s.frozen = children
}

// Thaw lets a frozen cluster go on.
func (s *Server) Thaw() {
	for _, pid := range append(s.frozen, s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	s.frozen = nil
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// childrenOf lists processes by their parent (proc(5), stat).
func childrenOf(parent int) (children []int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(text), ") ") // the name may hold anything
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
