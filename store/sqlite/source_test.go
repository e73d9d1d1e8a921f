package sqlite_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/store/sqlite"
)

// OpenSource must fail while a server has the file open, even if the server is idle. While the source is open, Open
// must fail.
func TestSourceHoldsExclusiveLock(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it takes many seconds")
	}
	path := newDatabasePath(t)
	store := openStore(t, path)
	if err := insertUser(t, store, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenSource(t.Context(), path); !errors.Is(err, sqlite.ErrInUse) {
		t.Fatalf("beside a store that is open: %v", err)
	}
	if err := insertUser(t, store, 2); err != nil {
		t.Fatalf("the store was disturbed: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	source := openSource(t, path)
	// 9 rows: two users, each with two roles and a callback, and the row of the feed.
	if rows, err := source.Count(t.Context()); rows != 9 || err != nil {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if _, err := sqlite.Open(t.Context(), path); err == nil {
		t.Fatal("a store was opened beside the source")
	}
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	wantUsers(t, openStore(t, path), 2)
}

func TestMovedFileIsRefused(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	store := openStore(t, path)
	if err := errors.Join(insertUser(t, store, 1), store.Close()); err != nil {
		t.Fatal(err)
	}
	source := openSource(t, path)
	if err := errors.Join(source.MarkMoved(t.Context()), source.Close()); err != nil {
		t.Fatal(err)
	}
	_, opened := sqlite.Open(t.Context(), path)
	_, migrated := sqlite.Migrate(t.Context(), path)
	_, asked := sqlite.Status(t.Context(), path)
	_, again := sqlite.OpenSource(t.Context(), path)
	for _, err := range []error{opened, migrated, asked, again} {
		if err == nil || !strings.Contains(err.Error(), "was moved to another database") {
			t.Errorf("got %v", err)
		}
	}
}

func openSource(t *testing.T, path string) *sqlite.Source {
	t.Helper()
	source, err := sqlite.OpenSource(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	})
	return source
}
