package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

func TestKilledServerRestartsWithItsCommits(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t)
	url := s.Database(t)
	do := func(statement string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context()) //nolint:errcheck // a test may ignore this error
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TABLE kept (n INT)")
	s.Kill()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	do("INSERT INTO kept VALUES (1)")
}

func TestRemovedServerLeavesNoSharedMemory(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t)
	pid, err := os.ReadFile(filepath.Join(s.Dir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Fields(strings.Split(string(pid), "\n")[6])[1] // the line has the key and the id of the segment
	segment := regexp.MustCompile(`(?m)^ *-?\d+ +` + id + ` `)
	segments := func() []byte {
		list, err := os.ReadFile("/proc/sysvipc/shm")
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if !segment.Match(segments()) {
		t.Fatalf("the running server has no segment %s", id)
	}
	s.Remove()
	if segment.Match(segments()) {
		t.Errorf("the segment %s is still there", id)
	}
}

// All databases of a process are in one folder. This folder must be removed even if the process is killed.
func TestSharedClusterIsRemovedAfterItsProcess(t *testing.T) {
	t.Parallel()
	const helper = "PGTEST_HELPER"
	if os.Getenv(helper) != "" { // this is the process that will be killed
		fmt.Println(pgtest.Database(t))
		select {}
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // PostgreSQL runs as a different user
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), helper+"=1", "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(url, "postgres:") {
		t.Fatalf("the process prints %q, %v", url, err)
	}
	left := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "pgtest-*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if len(left()) != 1 {
		t.Fatalf("the cluster is not in %s", dir)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for begun := time.Now(); len(left()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("still there: %q", left())
		}
	}
	conn, err := pgx.Connect(t.Context(), strings.TrimSpace(url))
	if err == nil {
		conn.Close(t.Context())
		t.Error("PostgreSQL still runs")
	}
}

func TestMigratedDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	migrations := 0
	migrate := func(ctx context.Context, url string) ([]string, error) {
		migrations++
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return nil, err
		}
		_, err = conn.Exec(ctx, "CREATE TABLE migrated (n INT)")
		return nil, errors.Join(err, conn.Close(ctx))
	}
	s := pgtest.New(t)
	for range 2 {
		conn, err := pgx.Connect(t.Context(), s.Migrated(t, migrate))
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		const insertAndCount = "WITH w AS (INSERT INTO migrated VALUES (1)) SELECT COUNT(*) FROM migrated"
		err = conn.QueryRow(t.Context(), insertAndCount).Scan(&rows) // rows before the insert
		if err = errors.Join(err, conn.Close(t.Context())); err != nil || rows > 0 {
			t.Errorf("a new database has %d rows, %v", rows, err)
		}
	}
	if migrations != 1 {
		t.Errorf("migrated %d times", migrations)
	}
}

// .ci/check runs this test separately to report missing packages once.
func TestRequiredPackagesAreInstalled(t *testing.T) {
	t.Parallel()
	if missing := pgtest.Missing(); len(missing) > 0 && os.Getenv(pgtest.Skip) != "skip" {
		t.Fatalf("PostgreSQL is missing: install the packages %s, or set %s=skip", strings.Join(missing, " "),
			pgtest.Skip)
	}
}

func TestBouncerPoolsConnectionsByTransaction(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t)
	bouncer := pgtest.NewBouncer(t, s, "default_pool_size = 1")
	url := bouncer.URL(s.Database(t))
	var processes [2]int
	for i := range processes { // both connections stay open
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context()) //nolint:errcheck // a test may ignore this error
		if err := conn.QueryRow(t.Context(), "SELECT pg_backend_pid()",
			pgx.QueryExecModeExec).Scan(&processes[i]); err != nil {
			t.Fatal(err)
		}
	}
	if processes[0] != processes[1] {
		t.Errorf("two idle clients used the server processes %v, want one process", processes)
	}
}

func TestPromotedStandbyHasAcknowledgedCommits(t *testing.T) {
	t.Parallel()
	primary := pgtest.New(t)
	url := primary.Database(t)
	standby := primary.Standby(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n"); err != nil {
		t.Fatal(err)
	}
	primary.Freeze(t)
	primary.Kill()
	standby.Promote(t)
	conn, err = pgx.Connect(t.Context(), standby.URL(conn.Config().Database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // a test may ignore this error
	if _, err := conn.Exec(t.Context(), "UPDATE kept SET n = n + 1"); err != nil {
		t.Fatal(err)
	}
}
