package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/storetest"
)

// The whole store suite must pass behind a proxy in transaction pooling mode. A shorter test of cmd/watchword starts
// servers behind the proxy.
func TestStoreSuiteBehindTransactionPooler(t *testing.T) {
	t.Parallel()
	if os.Getenv("SOAK_ROUNDS") == "" {
		t.Skip("it takes long: make soak runs it")
	}
	server := pgtest.New(t, "fsync = off", "max_connections = 500")
	bouncer := pgtest.NewBouncer(t, server, "default_pool_size = 6", "max_client_conn = 500")
	storetest.Run(t, func(t *testing.T) watchword.Store {
		return openStore(t, bouncer.URL(server.Migrated(t, postgres.Migrate))+"&pool_max_conns=8")
	})
}

func TestConcurrentOpensOfAnEmptyDatabaseSucceed(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	bouncer := pgtest.NewBouncer(t, server)
	for name, url := range map[string]string{
		"directly":         server.Database(t),
		"behind a bouncer": bouncer.URL(server.Database(t)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opening sync.WaitGroup
			for n := range 8 {
				opening.Go(func() {
					store, err := postgres.Open(t.Context(), url+"&pool_max_conns=2")
					if err != nil {
						t.Error(err)
						return
					}
					defer store.Close() //nolint:errcheck // it is a test
					if err := insertUser(t.Context(), store, n); err != nil {
						t.Error(err)
					}
				})
			}
			opening.Wait()
		})
	}
}

// Prepared statements become outdated when a newer release migrates the tables. An open store must prepare them again
// without returning an error.
func TestOpenStoreSurvivesSchemaChanges(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	direct := server.Database(t)
	bouncer := pgtest.NewBouncer(t, server, "default_pool_size = 3")
	for name, url := range map[string]string{"directly": direct, "behind a bouncer": bouncer.URL(direct)} {
		store := openStore(t, url+"&pool_max_conns=2")
		use := func(n int) {
			t.Helper()
			if err := useSession(t.Context(), store, n); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		n := 100 * len(name)
		use(n)
		execStatement(t, direct,
			fmt.Sprintf(`ALTER TABLE users ADD COLUMN IF NOT EXISTS later%d TEXT NOT NULL DEFAULT ''`, n))
		execStatement(t, direct, `ALTER TABLE sessions ALTER refresh_key TYPE BIGINT, ALTER persistent TYPE BIGINT`)
		for range 4 { // use each connection of the store and of the bouncer
			n++
			use(n)
		}
		execStatement(t, direct, `ALTER TABLE sessions ALTER refresh_key TYPE INTEGER, ALTER persistent TYPE INTEGER`)
		use(n + 1)
	}
}

func useSession(ctx context.Context, store watchword.Store, n int) error {
	one := storetest.Session(storetest.User(n).ID, n)
	insert := store.Update(ctx, func(tx watchword.Tx) error {
		_, err := tx.InsertUser(ctx, storetest.User(n), storetest.Start)
		return errors.Join(err, tx.InsertSession(ctx, one))
	})
	read := store.View(ctx, func(tx watchword.Tx) error {
		_, _, err := tx.Session(ctx, one.ID)
		return err
	})
	_, rotate := store.Rotate(ctx, storetest.Rotate(one, storetest.Start.Add(time.Hour)))
	return errors.Join(insert, read, rotate)
}

func TestTimeoutsOffReportsMissingTimeoutsBehindPooler(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	direct := server.Database(t)
	refusing := pgtest.NewBouncer(t, server)
	swallowing := pgtest.NewBouncer(t, server,
		"ignore_startup_parameters = statement_timeout,lock_timeout,idle_in_transaction_session_timeout")
	wantOff := func(what, url string, want int) (mend []string) {
		t.Helper()
		mend, err := openStore(t, url).TimeoutsOff(t.Context())
		if err != nil || len(mend) != want {
			t.Fatalf("%s: %v %q, want %d statements", what, err, mend, want)
		}
		return mend
	}
	wantOff("directly", direct, 0)
	wantOff("a bouncer that ignores them", swallowing.URL(direct), 3)
	for _, statement := range wantOff("a bouncer that refuses them", refusing.URL(direct), 3) {
		execStatement(t, direct, statement)
	}
	newBouncer := pgtest.NewBouncer(t, server) // new, because the role's timeouts apply to new connections only
	wantOff("after what it said to do", newBouncer.URL(direct), 0)
	execStatement(t, direct, "ALTER ROLE CURRENT_USER SET lock_timeout = 200")
	wantInsertTimesOut(t, direct, pgtest.NewBouncer(t, server).URL(direct))
}

func TestHangingStatementIsCanceled(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t).Database(t)
	wantInsertTimesOut(t, direct, direct+"&lock_timeout=200")
	wantInsertTimesOut(t, direct, direct+"&lock_timeout=0&statement_timeout=200")
}

// wantInsertTimesOut locks the table users on another connection, and never unlocks it. An insert must return
// ErrUnavailable.
func wantInsertTimesOut(t *testing.T, direct, url string) {
	t.Helper()
	store := openStore(t, url)
	conn, err := pgx.Connect(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // it is a test
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE users"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := insertUser(ctx, store, 1); !errors.Is(err, watchword.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func execStatement(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // it is a test
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func insertUser(ctx context.Context, store watchword.Store, n int) error {
	return store.Update(ctx, func(tx watchword.Tx) error {
		_, err := tx.InsertUser(ctx, storetest.User(n), storetest.Start)
		return err
	})
}
