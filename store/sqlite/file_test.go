package sqlite_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

func insertUser(t *testing.T, store *sqlite.Store, n int) error {
	return store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.InsertUser(t.Context(), storetest.User(n), storetest.Start)
		return err
	})
}

func wantUsers(t *testing.T, store *sqlite.Store, want int) {
	t.Helper()
	err := store.View(t.Context(), func(tx watchword.Tx) error {
		all, err := tx.Users(t.Context(), "", "\x7f", 1000)
		if len(all) != want {
			t.Errorf("%d users are there, want %d", len(all), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := store.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, watchword.ErrUnavailable) {
		t.Errorf("%s: got error %v, want ErrUnavailable", what, err)
	}
}

func TestFilesAreReadableByOwnerOnly(t *testing.T) {
	t.Parallel()
	path := missingPath(t)
	if err := os.WriteFile(path, nil, 0o644); err != nil { // a file as created by touch
		t.Fatal(err)
	}
	store := openStore(t, path)
	if err := insertUser(t, store, 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(name), info.Mode())
		}
	}
}

func TestReopenedStoreHasAllData(t *testing.T) {
	t.Parallel()
	path := missingPath(t)
	for n := range 3 {
		store, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := insertUser(t, store, n); err != nil {
			t.Fatal(err)
		}
		wantUsers(t, store, n+1)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the log is not folded into the file: %v", err)
		}
	}
}

func TestFileNamesWithSpecialCharactersOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := []string{"with space.db", "100%.db", "a?b=c&d.db", "a#b.db", "ünï.db", "%41.db", "a:b.db", "a;b.db"}
	for _, name := range names {
		if err := insertUser(t, openStore(t, filepath.Join(dir, name)), 1); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		base := strings.TrimSuffix(strings.TrimSuffix(entry.Name(), "-wal"), "-shm")
		if !slices.Contains(names, base) {
			t.Errorf("there is a file %q", entry.Name())
		}
	}
}

func TestOpenErrorNamesMissingDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nowhere", "watchword.db")
	_, err := sqlite.Open(t.Context(), path)
	wantUnavailable(t, "open", err)
	if !strings.Contains(err.Error(), filepath.Dir(path)) {
		t.Errorf("the error does not name the directory: %v", err)
	}
	_, err = sqlite.Migrate(t.Context(), path)
	wantUnavailable(t, "migrate", err)
	_, err = sqlite.Status(t.Context(), path)
	wantUnavailable(t, "status", err)
}

func TestOpenLeavesForeignFileUnchanged(t *testing.T) {
	t.Parallel()
	path, text := missingPath(t), strings.Repeat("Not a database. ", 1000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), path)
	wantUnavailable(t, "open", err)
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("the file was changed (error %v)", err)
	}
}

func TestConcurrentOpensOfANewFileSucceed(t *testing.T) {
	t.Parallel()
	path := missingPath(t)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			store, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(insertUser(t, store, n), store.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantUsers(t, openStore(t, path), 4)
}

func TestMigrateReturnsAppliedFileNames(t *testing.T) {
	t.Parallel()
	path := missingPath(t)
	if _, err := sqlite.Status(t.Context(), path); err == nil {
		t.Error("there is a status without a file")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pending, err := sqlite.Status(t.Context(), path)
	if err != nil || len(pending) == 0 {
		t.Fatalf("pending: %v, %v", pending, err)
	}
	applied, err := sqlite.Migrate(t.Context(), path)
	if err != nil || !slices.Equal(applied, pending) {
		t.Errorf("applied %v, want %v (error %v)", applied, pending, err)
	}
	for _, again := range []func() ([]string, error){
		func() ([]string, error) { return sqlite.Migrate(t.Context(), path) },
		func() ([]string, error) { return sqlite.Status(t.Context(), path) },
	} {
		if names, err := again(); err != nil || len(names) > 0 {
			t.Errorf("again: %v, %v", names, err)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := missingPath(t)
	if _, err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	_, openErr := sqlite.Open(t.Context(), path)
	_, migrateErr := sqlite.Migrate(t.Context(), path)
	_, statusErr := sqlite.Status(t.Context(), path)
	for _, err := range []error{openErr, migrateErr, statusErr} {
		if err == nil || !strings.Contains(err.Error(), "newer watchword") || errors.Is(err, watchword.ErrUnavailable) {
			t.Errorf("got error %v, want one that says what to do and does not suggest a retry", err)
		}
	}
}
