package sqlite_test

import (
	"testing"
	"time"

	"github.com/watchword-auth/watchword/store/storetest"
)

const countRows = `WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < $1) `

// MEM-1
func TestSweepOfManyUsedCountersTakesShortBatches(t *testing.T) {
	t.Parallel()
	store, many := openStore(t, newDatabasePath(t)), storetest.Many()
	err := store.Exec(t.Context(), countRows+`INSERT INTO limits (key, tat, sweep_from) SELECT printf('%064x', n * 7919 % 1000003), $2, n FROM count`,
		many, time.Unix(0, 0).Add(2*time.Hour).UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantBoundedSweep(t, store, many)
}

// MEM-1
func TestCountOfLongOutboxIsBounded(t *testing.T) {
	t.Parallel()
	store := openStore(t, newDatabasePath(t))
	err := store.Exec(t.Context(), countRows+`INSERT INTO mails (id, kind, recipient, user_id, facts, created_at, next_at, attempts, last_error, given_up_at)
		SELECT printf('%032x', n), 'reset', 'ada@example.com', '', '{}', n, n, 1, 'no route to host', (n % 2) * n FROM count`, storetest.Many())
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantBoundedOutbox(t, store)
}
