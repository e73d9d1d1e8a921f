package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/storetest"
)

// A rotation or a charge must change no index. PostgreSQL then makes a HOT update, which writes the new row version
// to the same storage page. If a changed column had an index, each update would write to all indexes of the table and
// cause more work for vacuum.
func TestRotationsChangeNoIndex(t *testing.T) {
	t.Parallel()
	const sessions, rounds = 50, 10
	// The test uses its own cluster, because other tests have long transactions. PostgreSQL frees old row versions in
	// a page only if no transaction of the cluster can still see them.
	url := pgtest.New(t, "fsync = off").Database(t)
	store, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	err = store.Update(t.Context(), func(tx watchword.Tx) error {
		if _, err := tx.InsertUser(t.Context(), storetest.User(1), storetest.Start); err != nil {
			return err
		}
		for n := range sessions {
			if err := tx.InsertSession(t.Context(), storetest.Session(storetest.User(1).ID, n)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		at := storetest.Start.Add(time.Duration(round) * time.Minute)
		for n := range sessions {
			one := storetest.Session("", n)
			one.Generation = int64(round)
			r := storetest.Rotate(one, at)
			r.Charges = []watchword.Charge{{Key: fmt.Sprint("client", n), Cost: time.Second, Span: time.Minute, At: at}}
			if got, err := store.Rotate(t.Context(), r); err != nil || !got.Rotated {
				t.Fatalf("session %d, generation %d: %+v, %v", n, round, got, err)
			}
		}
	}
	if err := store.Close(); err != nil { // connections report their statistics when they are closed
		t.Fatal(err)
	}
	for table, updates := range map[string]int{"sessions": rounds * sessions, "limits": (rounds - 1) * sessions} {
		if share := hotUpdateShare(t, url, table, updates); share < 0.9 {
			t.Errorf("%s: %.0f %% of the updates are HOT, want 90: is there an index on a column that they change, "+
				"or a fill factor of 100?", table, 100*share)
		}
	}
}

// hotUpdateShare waits until the table's statistics contain at least minUpdates updates.
func hotUpdateShare(t *testing.T, url, table string, minUpdates int) float64 {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is a test
	for {
		var all, hot int
		err := conn.QueryRow(ctx, "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1",
			table).Scan(&all, &hot)
		if err != nil {
			t.Fatalf("%s: %d of %d updates are counted: %v", table, all, minUpdates, err)
		}
		if all >= minUpdates {
			return float64(hot) / float64(all)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
