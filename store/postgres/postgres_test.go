package postgres_test

import (
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/storetest"
)

func TestStoreSuite(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, "fsync = off", "max_connections = 500")
	storetest.Run(t, func(t *testing.T) watchword.Store {
		store, err := postgres.Open(t.Context(), server.Migrated(t, postgres.Migrate)+"&pool_max_conns=8")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	})
}
