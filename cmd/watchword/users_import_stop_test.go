package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

type runningProgram struct {
	*exec.Cmd
	dir       string
	input     io.WriteCloser
	out, errs bytes.Buffer
	ended     chan error
}

func startProgram(t *testing.T, dir string, args ...string) *runningProgram {
	t.Helper()
	w := &runningProgram{Cmd: exec.Command(os.Getenv(binaryVariable), args...), dir: dir, ended: make(chan error, 1)}
	w.Dir, w.Env, w.Stdout, w.Stderr = dir, []string{"HOME=" + dir}, &w.out, &w.errs
	var err error
	if w.input, err = w.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Process.Kill() }) //nolint:errcheck // the program has usually ended
	go func() { w.ended <- w.Wait() }()
	return w
}

// awaitCondition waits until isTrue returns true. It fails the test if the program ends earlier.
func (w *runningProgram) awaitCondition(t *testing.T, what string, isTrue func() bool) {
	t.Helper()
	for begun := time.Now(); !isTrue(); time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-w.ended:
			t.Fatalf("it ended before %s: %v\n%s%s", what, err, w.out.String(), w.errs.String())
		default:
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// The program creates the temporary file after it has installed its signal handlers.
func (w *runningProgram) awaitTemporaryFile(t *testing.T, name string) {
	t.Helper()
	w.awaitCondition(t, "it began to write "+name, func() bool { return len(w.hiddenFiles(t)) > 0 })
}

func (w *runningProgram) hiddenFiles(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, ".*-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (w *runningProgram) signalAndWait(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := w.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.ended:
	case <-time.After(time.Minute):
		t.Fatalf("one %s does not end it", signal)
	}
	if code := w.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d\n%s", code, w.errs.String())
	}
	if left := w.hiddenFiles(t); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func (w *runningProgram) wantOutput(t *testing.T, want string) {
	t.Helper()
	if got := w.errs.String(); got != "watchword: "+want+"\n" {
		t.Errorf("it says %q, not %q", got, want)
	}
}

func TestSignalStopsAnImportThatWaitsForInput(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		w := startProgram(t, t.TempDir(), "users", "import", "-", "--id-map=ids.csv")
		w.awaitTemporaryFile(t, "ids.csv")
		w.signalAndWait(t, signal)
		w.wantOutput(t, "stopped. Nothing was imported")
	}
}

// A signal stops an import from a pipe. All complete accounts that were read must be imported, and the incomplete
// account at the end must not.
func TestStoppedImportKeepsCompleteAccounts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: thousands of accounts are not imported")
	}
	onEachStore(t, func(t *testing.T, arguments []string) {
		dir := t.TempDir()
		if got := run(t, call{dir: dir, args: append([]string{"migrate"}, arguments...)}); got.code != 0 {
			t.Fatal(got.errors)
		}
		const users = 9_600 // more than 1 MiB, because the format is detected from the first MiB
		count := func() int { return queryNumber(t, dir, arguments, "SELECT count(*) FROM users") }
		for patience := 500 * time.Millisecond; count() < users; patience *= 2 { // waits longer in each round
			if patience > 20*time.Second {
				t.Fatalf("%d accounts, and not those of the last batch", count())
			}
			w := startProgram(t, dir, append([]string{"users", "import", "-", "--id-map=ids.csv"}, arguments...)...)
			w.awaitTemporaryFile(t, "ids.csv")
			if _, err := io.WriteString(w.input, csvOfUsers(users)+"9601,half@example.com,\"Half\n"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(patience)
			w.signalAndWait(t, syscall.SIGTERM)
			if n := count(); n == users {
				w.wantOutput(t,
					fmt.Sprintf("stopped. Imported so far: %d accounts. Run the same command again to continue", n))
			}
		}
		if n := count(); n != users {
			t.Errorf("%d accounts", n)
		}
	})
}

func TestStoppedCheckPrintsCompleteJSON(t *testing.T) {
	t.Parallel()
	w := startProgram(t, t.TempDir(), "users", "import", "-", "--dry-run", "--json")
	rows := csvOfUsers(9_000)
	if _, err := io.WriteString(w.input, strings.Replace(rows, "ada0@example.com", "ada0@", 1)); err != nil {
		t.Fatal(err)
	}
	w.signalAndWait(t, syscall.SIGTERM)
	var got struct {
		Problems []any
		Error    string
	}
	if err := json.Unmarshal(w.out.Bytes(),
		&got); err != nil || got.Error != "stopped before the end of the file. Nothing was changed" {
		t.Errorf("%v: %s", err, w.out.String())
	}
}

// The second signal must end the program even if it waits for the database.
func TestSecondSignalEndsAnImportAtOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	arguments, dir := postgresArguments(database), t.TempDir()
	if got := run(t, call{dir: dir, args: append([]string{"migrate"}, arguments...)}); got.code != 0 {
		t.Fatal(got.errors)
	}
	lockUsers(t, database, "SHARE")
	w := startProgram(t, dir, append([]string{"users", "import", "-"}, arguments...)...)
	if _, err := io.WriteString(w.input, csvOfUsers(3)); err != nil {
		t.Fatal(err)
	}
	w.input.Close()
	w.awaitCondition(t, "it waited for the lock", func() bool {
		return queryNumber(t, dir, arguments, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0
	})
	signals := 0
	for done := false; !done; {
		w.Process.Signal(syscall.SIGINT) //nolint:errcheck // the program may have ended
		signals++
		select {
		case <-w.ended:
			done = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	if status := w.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT ||
		signals < 2 {
		t.Errorf("it ended by itself after %d signals: %s\n%s", signals, w.ProcessState, w.errs.String())
	}
}

func lockUsers(t *testing.T, database, mode string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) }) //nolint:errcheck // no changes
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE users IN "+mode+" MODE"); err != nil {
		t.Fatal(err)
	}
}

func openFile(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "watchword-data",
		"watchword.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// While a batch is being written, another program registers one of its addresses. The batch is committed without this
// account. The summary must count all accounts that the batch imported.
func TestCommittedBatchIsCountedCompletely(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := run(t, call{dir: dir, args: []string{"migrate"}}); got.code != 0 {
		t.Fatal(got.errors)
	}
	if _, err := openFile(t, dir).ExecContext(t.Context(), `CREATE TRIGGER stranger AFTER INSERT ON users WHEN NEW.email = 'a@example.com'
		BEGIN INSERT INTO users (id, email, verified_at, name, roles, password_hash, created_at, disabled_at, roles_changed_at)
			VALUES ('3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69', 'b@example.com', 0, '', '[]', '', 1, 0, 0); END`); err != nil {
		t.Fatal(err)
	}
	got := run(t, call{
		dir: dir, files: map[string]string{"users.csv": "email\na@example.com\nb@example.com\nc@example.com\n"},
		args: []string{"users", "import", "users.csv", "--id-map=ids.csv"},
	})
	const want = "watchword: line 3 has a problem that appeared after the check. Fix it, or skip such accounts with " +
		"--skip-bad. Imported so far: 2 accounts. Run the same command again to continue\n"
	if got.code != 1 || got.errors != want || !strings.Contains(got.out, "3 accounts read") ||
		!strings.Contains(got.out,
			"  2  imported\n") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.errors)
	}
}

// A stopped export must leave no file with hashes.
func TestStoppedExportRemovesItsFile(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	arguments, dir := postgresArguments(database), t.TempDir()
	if got := run(t, call{dir: dir, input: csvOfUsers(3),
		args: append([]string{"users", "import", "-"}, arguments...)}); got.code != 0 {
		t.Fatal(got.errors)
	}
	lockUsers(t, database, "ACCESS EXCLUSIVE")
	w := startProgram(t, dir, append([]string{"users", "export", "all.json"}, arguments...)...)
	w.awaitTemporaryFile(t, "all.json")
	w.signalAndWait(t, syscall.SIGINT)
	w.wantOutput(t, "stopped. all.json was not written")
	if _, err := os.Stat(filepath.Join(dir, "all.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("all.json: %v", err)
	}
}

func TestDryRunDoesNotMigrate(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, arguments []string) {
		dir := t.TempDir()
		files := map[string]string{"users.csv": csvOfUsers(3)}
		check := append([]string{"users", "import", "users.csv", "--dry-run"}, arguments...)
		if got := run(t, call{dir: dir, files: files, args: check}); got.code != 0 || !strings.Contains(got.out,
			"  3  ready\n") {
			t.Errorf("before there is a database: exit code %d\n%s%s", got.code, got.out, got.errors)
		}
		if _, err := os.Stat(filepath.Join(dir, "watchword-data")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("there are data: %v", err)
		}
		if arguments != nil &&
			queryNumber(t, dir, arguments, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") != 0 {
			t.Error("there are tables")
		}
		if got := run(t, call{dir: dir, args: append([]string{"migrate"}, arguments...)}); got.code != 0 {
			t.Fatal(got.errors)
		}
		const newest = "(SELECT max(version_id) FROM goose_db_version)"
		queryNumber(t, dir, arguments,
			"DELETE FROM goose_db_version WHERE version_id = "+newest+" RETURNING version_id")
		older := queryNumber(t, dir, arguments, "SELECT max(version_id) FROM goose_db_version")
		got := run(t, call{dir: dir, args: check})
		if got.code != 1 || !strings.Contains(got.errors,
			" is of an older release, and this command does not change it. Run `watchword migrate` first") {
			t.Errorf("of an older release: exit code %d\n%s%s", got.code, got.out, got.errors)
		}
		if now := queryNumber(t, dir, arguments, "SELECT max(version_id) FROM goose_db_version"); now != older {
			t.Errorf("the tables are of version %d, and were of %d", now, older)
		}
	})
}
