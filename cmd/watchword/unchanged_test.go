package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// revertStatements revert the migrations from 00007 on. Afterwards, the database is like that of an older release.
var revertStatements = []string{
	"DROP TABLE callbacks",
	"DROP TABLE factors",
	"DROP TABLE recovery_codes",
	"DROP TABLE challenges",
	"DROP TABLE devices",
	"ALTER TABLE users DROP COLUMN factors",
	"ALTER TABLE users DROP COLUMN factors_changed_at",
	"ALTER TABLE feed DROP COLUMN queued_ended",
	"ALTER TABLE feed DROP COLUMN queued_expired",
	"DELETE FROM goose_db_version WHERE version_id >= 7",
}

// Commands that only read must not migrate, because servers of the older release may be running.
func TestReadingCommandsDoNotMigrate(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, dir string, arguments []string, execute func(string)) {
		watchword := func(args ...string) result {
			return run(t, call{dir: dir, args: append(args, arguments...),
				files: map[string]string{"users.csv": "email\nbob@example.com\n"}})
		}
		if got := watchword("users", "create", ada); got.code != 0 {
			t.Fatal(got.errors)
		}
		for _, statement := range revertStatements {
			execute(statement)
		}
		for _, args := range [][]string{{"doctor"}, {"users", "list"}, {"users", "show", ada}, {"users", "export"},
			{"users", "import", "users.csv", "--dry-run"},
			{"sessions", "list", ada}, {"keys", "list"}, {"mail", "list"}} {
			got, code := watchword(args...), 1
			if args[0] == "doctor" {
				code = 0 // `watchword doctor` only warns: the next start migrates
			}
			if got.code != code || !strings.Contains(got.out+got.errors, "un `watchword migrate`") {
				t.Errorf("%v: exit code %d\n%s%s", args, got.code, got.out, got.errors)
			}
		}
		// None of the commands may have migrated. If one of them has created this table, this statement fails.
		execute("CREATE TABLE callbacks (kind TEXT)")
	})
}

func TestDoctorCreatesNoKeysAndNoFiles(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, dir string, arguments []string, execute func(string)) {
		if got := run(t, call{dir: dir, args: append([]string{"migrate"}, arguments...)}); got.code != 0 {
			t.Fatal(got.errors)
		}
		before := fileNamesBelow(t, dir)
		got := run(t, call{dir: dir, args: append([]string{"doctor"}, arguments...)})
		if got.code != 1 || !strings.Contains(got.out, "fail  keys") || !strings.Contains(got.out, "Start the server") {
			t.Errorf("exit code %d\n%s%s", got.code, got.out, got.errors)
		}
		if after := fileNamesBelow(t, dir); !slices.Equal(before, after) {
			t.Errorf("files before %q, after %q", before, after)
		}
		// The table of keys must still be empty. If `watchword doctor` has created a key, this statement fails, because
		// it inserts a duplicate.
		execute("INSERT INTO keys SELECT * FROM keys")
	})
}

// arguments select the store; execute runs a statement on it.
func onEachDatabase(t *testing.T, test func(t *testing.T, dir string, arguments []string, execute func(string))) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		test(t, dir, nil, func(text string) { executeSQL(t, dir, text) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Database(t)
		test(t, t.TempDir(), postgresArguments(url), func(text string) { execute(t, url, text) })
	})
}

// fileNamesBelow skips SQLite's files -wal and -shm, which exist only while a connection is open.
func fileNamesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); ext != ".db-wal" && ext != ".db-shm" {
			names = append(names, path)
		}
		return err
	}))
	return names
}
