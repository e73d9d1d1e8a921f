package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/storetest"
)

func openFilledStore(t *testing.T, text string, args ...any) *postgres.Store {
	t.Helper()
	database := pgtest.Database(t)
	store := openStore(t, database)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // it is a test
	if _, err := conn.Exec(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	return store
}

// MEM-1
func TestSweepOfManyUsedCountersTakesShortBatches(t *testing.T) {
	t.Parallel()
	many := storetest.Many()
	store := openFilledStore(t, `INSERT INTO limits (key, tat, sweep_from)
		SELECT lpad(to_hex(n * 7919 % 1000003), 64, '0'), $2, n FROM generate_series(1, $1::bigint) AS n`,
		many, time.Unix(0, 0).Add(2*time.Hour).UnixNano())
	storetest.WantBoundedSweep(t, store, many)
}

// MEM-1
func TestCountOfLongOutboxIsBounded(t *testing.T) {
	t.Parallel()
	store := openFilledStore(t, `INSERT INTO mails (id, kind, recipient, user_id, facts, created_at, next_at, attempts, last_error, given_up_at)
		SELECT n::text, 'reset', 'ada@example.com', '', '{}', n, n, 1, 'no route to host', (n % 2) * n FROM generate_series(1, $1::bigint) AS n`,
		storetest.Many())
	storetest.WantBoundedOutbox(t, store)
}
