package accounts_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/lab/accounts"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

type database interface {
	watchword.Store
	Admin() admin.Store
}

type noMails struct{}

func (noMails) Send(context.Context, watchword.Message) error { return nil }

// Each list must contain the same accounts on both stores. The variable WATCHWORD_TEST_ACCOUNTS sets the number of
// accounts (make accounts). If it is set, the median time of a page must not exceed 20 ms.
func TestListsOfManyAccountsAreFast(t *testing.T) {
	t.Parallel()
	n, bound := 2000, 5*time.Second
	if text := os.Getenv("WATCHWORD_TEST_ACCOUNTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		bound = 20 * time.Millisecond
	}
	var results [][]accounts.Row
	stores := []string{"SQLite", "PostgreSQL"}
	for i, open := range []func(*testing.T, int) database{openSQLite, openPostgres} {
		store := open(t, n)
		t.Logf("%s has %d accounts", stores[i], n)
		engine, err := watchword.New(t.Context(), store, watchword.Options{
			PublicURL: "http://localhost:8080", MasterKey: make([]byte, 32), Mailer: noMails{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(engine.Close)
		manager := admin.New(engine, store.Admin(), admin.Options{})
		rows, err := accounts.Measure(t.Context(), manager, admin.DefaultLimit)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, rows)
	}
	for i, rows := range results {
		for k, row := range rows {
			if row.Items != results[0][k].Items {
				t.Errorf("%s: %d accounts on %s, %d on SQLite", row.Name, row.Items, stores[i], results[0][k].Items)
			}
			if row.Median > bound || row.Last > bound {
				t.Errorf("%s on %s: the median of a page is %s, of the last pages %s; %s are allowed",
					row.Name, stores[i], row.Median, row.Last, bound)
			}
		}
	}
	if all := results[0][1]; all.Items < min(n, 250_000) {
		t.Errorf("all pages have %d of %d accounts", all.Items, n)
	}
	t.Logf("%d accounts, pages of %d, median / 99th percentile of a page:\n%s\n%smedians may be up to %s", n,
		admin.DefaultLimit, accounts.Markdown(stores, results), accounts.Worst(stores, results), bound)
}

func fill(t *testing.T, db *sql.DB, n int, after ...string) {
	t.Helper()
	db.SetMaxOpenConns(1)
	defer db.Close() //nolint:errcheck // an error is harmless: the database is temporary
	if err := accounts.Fill(t.Context(), db, n); err != nil {
		t.Fatal(err)
	}
	for _, statement := range after {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func openSQLite(t *testing.T, n int) database {
	path := filepath.Join(t.TempDir(), "accounts.db")
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) //nolint:errcheck // an error is harmless: the database is temporary
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-100000)")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, n, "PRAGMA wal_checkpoint(TRUNCATE)")
	return store
}

func openPostgres(t *testing.T, n int) database {
	server := pgtest.New(t, "fsync = off", "shared_buffers = 512MB", "max_wal_size = 4GB")
	url := server.Database(t)
	store, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) //nolint:errcheck // an error is harmless: the database is temporary
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, stdlib.OpenDB(*config), n, "VACUUM (ANALYZE)")
	return store
}
