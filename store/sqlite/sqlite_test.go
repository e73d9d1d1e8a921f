package sqlite_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

// Each goroutine that a store starts must end when the store is closed.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStoreSuite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) watchword.Store { return openStore(t, newDatabasePath(t)) })
}

func newDatabasePath(t testing.TB) string { return sqlitetest.Path(t, sqlite.Migrate) }

func missingPath(t testing.TB) string { return filepath.Join(t.TempDir(), "watchword.db") }

func openStore(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
