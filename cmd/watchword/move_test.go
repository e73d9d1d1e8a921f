package main_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
)

const masterKeyFile = "WATCHWORD_MASTER_KEY_FILE=watchword-data/master.key"

// RT-5
func TestSessionsContinueAfterAMoveToPostgres(t *testing.T) {
	t.Parallel()
	target := pgtest.Database(t)
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s, "--refresh-grace=0s")
	laptop, phone := newDevice(t, s.address), newDevice(t, s.address)
	laptop.post(t, "/register", body{"email": ada, "password": firstSecret}, 201)
	first := phone.post(t, "/login", body{"email": ada, "password": firstSecret, "delivery": "body"}, 200).RefreshToken
	second := phone.post(t, "/refresh", body{"refreshToken": first}, 200).RefreshToken
	third := phone.post(t, "/refresh", body{"refreshToken": second}, 200).RefreshToken

	runMove(t, dir, 1, "watchword-data/watchword.db is in use: stop its server", "--to="+target)
	laptop.post(t, "/refresh", nil, 200)
	if err := s.terminate(); err != nil {
		t.Fatal(err)
	}
	if got := run(t, call{dir: dir, args: []string{"users", "create", "grace@example.com"}}); got.code != 0 {
		t.Fatal(got.errors) // the command queues a mail, which the move must copy
	}
	for _, args := range [][]string{{`plan="pro"`, "id=9007199254740993"}, {"--private", `note="é"`}} {
		if got := run(t, call{dir: dir, args: append([]string{"users", "set", ada}, args...)}); got.code != 0 {
			t.Fatal(got.errors)
		}
	}

	before := operatorOutput(t, dir)
	if !strings.Contains(before, `"id": 9007199254740993`) || !strings.Contains(before, `"note": "é"`) {
		t.Errorf("without metadata:\n%s", before)
	}
	output := runMove(t, dir, 0, "", "--to="+target).out
	for _, want := range []string{"PostgreSQL at ", masterKeyFile,
		"Servers refuse to start on watchword-data/watchword.db"} {
		if !strings.Contains(output, want) {
			t.Errorf("%q is not in\n%s", want, output)
		}
	}
	if after := operatorOutput(t, dir, "--store="+target); after != before {
		t.Errorf("before the move:\n%s\nafter it:\n%s", before, after)
	}

	// The old database can't be used again by mistake, and the new database can't be the target of another move.
	for _, args := range [][]string{{"serve", "--listen=127.0.0.1:0"}, {"users", "list"}, {"move", "--to=" + target}} {
		if got := run(t, call{dir: dir, args: args}); got.code != 1 ||
			!strings.Contains(got.errors, "was moved to another database") {
			t.Errorf("%v on the old database: exit code %d\n%s", args, got.code, got.errors)
		}
	}
	runMove(t, createDataDir(t), 1,
		"the database is not empty: it has rows in keys, users, sessions, mail_tokens, mails, "+
			"events, limits", "--to="+target)

	if err := s.start(dir, []string{"HOME=" + dir, masterKeyFile},
		[]string{"--refresh-grace=0s", "--store=" + target}); err != nil {
		t.Fatal(err)
	}
	openMailbox(t, filepath.Join(dir, "watchword-data", "mail")).awaitLink(t, watchword.MailInvite)
	laptop.get(t, "/me", 200)
	laptop.post(t, "/refresh", nil, 200)
	fourth := phone.post(t, "/refresh", body{"refreshToken": third}, 200).RefreshToken
	newDevice(t, s.address).post(t, "/refresh", body{"refreshToken": second}, 401).wantCode(t, "REFRESH_REUSED")
	phone.post(t, "/refresh", body{"refreshToken": fourth}, 401).wantCode(t, "SESSION_ENDED")
	laptop.post(t, "/login", body{"email": ada, "password": firstSecret}, 200)
}

// The first move is killed, and the second move loses its connection. Each must leave the target empty and the source
// unchanged, so that the third move succeeds.
func TestInterruptedMoveCanBeRepeated(t *testing.T) {
	t.Parallel()
	target := pgtest.Database(t)
	dir := createDataDir(t)
	if got := run(t, call{
		dir: dir, env: []string{masterKeyFile}, args: []string{"migrate", "--store=" + target}}); got.code != 0 {
		t.Fatal(got.errors)
	}
	cuttable, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	wire := newDatabaseProxy(t, cuttable.Host)
	cuttable.Host = wire.Addr().String()

	cmd := exec.Command(os.Getenv(binaryVariable), "move", "--to="+target)
	interruptMove(t, target, cmd, dir, func() { _ = cmd.Process.Kill() })
	cmd = exec.Command(os.Getenv(binaryVariable), "move", "--to="+cuttable.String())
	if output := interruptMove(t, target, cmd, dir, wire.cutConnections); !strings.Contains(output,
		"nothing was moved") {
		t.Errorf("a move that was cut said\n%s", output)
	}

	var moved struct {
		From, To string
		Rows     int
		Tables   []struct {
			Table, Checksum string
			Rows            int
		}
	}
	if err := json.Unmarshal([]byte(runMove(t, dir, 0, "", "--json", "--to="+target).out), &moved); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, each := range moved.Tables {
		rows += each.Rows
	}
	if rows != moved.Rows || rows < 4 || len(moved.Tables) < 7 || len(moved.Tables[0].Checksum) != 64 ||
		moved.From != "watchword-data/watchword.db" {
		t.Errorf("it tells of %+v", moved)
	}
}

// interruptMove calls interrupt while the move copies sessions.
func interruptMove(t *testing.T, target string, cmd *exec.Cmd, dir string, interrupt func()) (errorOutput string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // an error of Close does not matter in a test
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE sessions IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, []string{"HOME=" + dir}, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for waiting := 0; waiting == 0; time.Sleep(10 * time.Millisecond) {
		if err := tx.QueryRow(t.Context(),
			"SELECT COUNT(*) FROM pg_locks WHERE NOT granted").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	if err := cmd.Wait(); err == nil {
		t.Error("the interrupted move succeeded")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	var users int
	if err := conn.QueryRow(t.Context(), "SELECT COUNT(*) FROM users").Scan(&users); err != nil || users > 0 {
		t.Errorf("%d users remain in the target, %v", users, err)
	}
	return errs.String()
}

func TestImpossibleMoveIsRefusedBeforeItBegins(t *testing.T) {
	t.Parallel()
	const nowhere = "--to=postgres://me:" + weak + "@127.0.0.1:1/auth?sslmode=disable"
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		code  int
		want  string
		args  []string
	}{
		{"no target", nil, 2, "--to: is not a PostgreSQL URL", nil},
		{"to SQLite", nil, 2, "--to: is not a PostgreSQL URL", []string{"--to=sqlite:other.db"}},
		{"to an invalid URL", nil, 2, "--to: is not a PostgreSQL URL", []string{"--to=postgres://:port/"}},
		{"from PostgreSQL", nil,
			2, "--from: is not an SQLite database", []string{"--from=postgres://me:" + weak + "@db/auth", nowhere}},
		{"from nothing", nil, 1, "there is no database at other.db", []string{"--from=sqlite:other.db", nowhere}},
		{"a target that is away",
			nil, 1, "PostgreSQL at 127.0.0.1:1/auth: nothing was moved: store unavailable", []string{nowhere}},
		{"another master key", nil,
			1, "this is not the master key that the keys were sealed with", []string{"--master-key=" + key32, nowhere}},
		{"no master key", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "watchword-data", "master.key")); err != nil {
				t.Fatal(err)
			}
		}, 1, "the master key watchword-data/master.key is missing", []string{nowhere}},
		{"an older release's database", func(t *testing.T, dir string) {
			executeSQL(t, dir,
				"DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)")
		}, 1, "is of an older release. Migrate it first: watchword migrate --store " +
			"'sqlite:watchword-data/watchword.db'", []string{nowhere}},
		{"a newer release's database", func(t *testing.T, dir string) {
			executeSQL(t, dir, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, TRUE)")
		}, 1, "a newer watchword has migrated", []string{nowhere}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := createDataDir(t)
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			got := runMove(t, dir, c.code, c.want, c.args...)
			if strings.Contains(got.errors, weak) || got.out != "" {
				t.Errorf("the output contains a secret:\n%s%s", got.out, got.errors)
			}
		})
	}
}

// The data directory has a database with one account, and its master key.
func createDataDir(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if got := run(t, call{dir: dir, args: []string{"users", "create", ada}}); got.code != 0 {
		t.Fatal(got.errors)
	}
	return dir
}

func executeSQL(t *testing.T, dir, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "watchword-data", "watchword.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// With code 0, runMove wants no error output.
func runMove(t *testing.T, dir string, code int, wantError string, args ...string) result {
	t.Helper()
	got := run(t, call{dir: dir, args: append([]string{"move"}, args...)})
	if got.code != code || !strings.Contains(got.errors, wantError) || code == 0 && got.errors != "" {
		t.Fatalf("exit code %d, want %d and %q:\n%s%s", got.code, code, wantError, got.out, got.errors)
	}
	return got
}

// operatorOutput returns the output of commands that together read every part of the database.
func operatorOutput(t *testing.T, dir string, args ...string) (shown string) {
	t.Helper()
	for _, command := range []string{"users list", "users show " + ada, "users set " + ada, "mail list", "keys list"} {
		got := run(t, call{
			dir: dir, env: []string{masterKeyFile}, args: append(strings.Fields(command+" --json"), args...)})
		if got.code != 0 {
			t.Fatalf("%s: %s", command, got.errors)
		}
		shown += got.out
	}
	return shown
}
