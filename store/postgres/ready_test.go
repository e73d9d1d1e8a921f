package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/storetest"
)

// The server must report that it is not ready if the primary became read-only and the URL names no other host.
//
// OPS-1
func TestReadinessFollowsAPrimaryThatBecameReadOnly(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, "fsync = off")
	engine := storetest.ReadyEngine(t, openStore(t, server.Database(t)))
	server.Reload(t, "default_transaction_read_only = on")
	storetest.WantReady(t, engine, false)
	server.Reload(t, "default_transaction_read_only = off")
	storetest.WantReady(t, engine, true)
}

// OPS-1
func TestReadinessFollowsADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, "fsync = off")
	engine := storetest.ReadyEngine(t, openStore(t, server.Database(t)+"&statement_timeout=2000"))
	server.Freeze(t)
	storetest.WantReady(t, engine, false)
	server.Thaw()
	storetest.WantReady(t, engine, true)
}

// After the database has refused a write, the server must report that it is not ready. It must do so even if the
// health probe can still write to another table.
//
// OPS-1
func TestReadinessFollowsTheLastRefusedWrite(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	store := openStore(t, database)
	engine := storetest.ReadyEngine(t, store)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // it is a test
	_, err = conn.Exec(t.Context(), `CREATE FUNCTION full_disk() RETURNS trigger AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql;
		CREATE TRIGGER full_disk BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION full_disk()`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = engine.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "ada@example.com"})
	if !errors.Is(err, watchword.ErrNotWritable) {
		t.Fatalf("a sign-up on a full disk: %v", err)
	}
	if err := engine.Ready(t.Context()); !errors.Is(err, watchword.ErrNotWritable) { // at once
		t.Errorf("readiness after the refused write: %v", err)
	}
	if stats, err := engine.Stats(t.Context()); err != nil || !errors.Is(stats.Store, watchword.ErrNotWritable) {
		t.Errorf("statistics after the refused write: %v, %v", stats.Store, err)
	}
	if _, err = conn.Exec(t.Context(), "DROP TRIGGER full_disk ON users"); err != nil {
		t.Fatal(err)
	}
	storetest.WantReady(t, engine, true)
}
