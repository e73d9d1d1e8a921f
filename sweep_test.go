package watchword_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/storetest"
)

func TestSweepDeletesExpiredRowsOnly(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	gone := r.signUp(t, "ada@example.com")
	must(t, r.Logout(t.Context(), gone.RefreshToken, "", laptop))
	r.clock.advance(8 * 24 * time.Hour)
	live := r.login(t, "ada@example.com", laptop)
	rows, err := r.Sweep(t.Context())
	must(t, err)
	if rows == 0 {
		t.Error("the sweep deleted no row")
	}
	r.authenticate(t, live)
	again, err := r.Sweep(t.Context())
	must(t, err)
	if again != 0 {
		t.Errorf("the second sweep found %d rows more", again)
	}
	r.clock.advance(91 * 24 * time.Hour)
	_, err = r.Sweep(t.Context())
	must(t, err)
	if events := r.eventKinds(t, live.User.ID); len(events) != 0 {
		t.Errorf("events were kept: %v", events)
	}
	if _, err := r.Operator().FindUser(t.Context(), "ada@example.com"); err != nil {
		t.Error("a user was swept")
	}
}

// RL-8
func TestExpiredLimitCountersAreSwept(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	for i := range 30 {
		_, err := r.Login(t.Context(), watchword.LoginRequest{
			Email: fmt.Sprintf("user%d@example.com", i), Password: "a wrong guess", Client: laptop})
		wantCode(t, err, watchword.CodeInvalidCredentials)
	}
	r.clock.advance(2 * time.Hour)
	rows, err := r.Sweep(t.Context())
	must(t, err)
	if rows < 30 {
		t.Errorf("%d counters were swept", rows)
	}
	rows, err = r.Sweep(t.Context())
	if err != nil || rows != 0 {
		t.Errorf("%d rows were left, %v", rows, err)
	}
}

// A sweptStore records how many rows each transaction of a sweep deleted.
type sweptStore struct {
	watchword.Store
	batches []int
}

func (s *sweptStore) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(sweptTx{tx, s}) })
}

type sweptTx struct {
	watchword.Tx
	store *sweptStore
}

func (t sweptTx) Sweep(ctx context.Context, what watchword.Sweep, before time.Time, limit int) (int, error) {
	n, err := t.Tx.Sweep(ctx, what, before, limit)
	t.store.batches = append(t.store.batches, n)
	return n, err
}

// insertEndedSessions inserts n copies of the only session in the database. It uses one statement, because 100,000
// statements take minutes under the race detector.
func insertEndedSessions(t *testing.T, path string, n int, at time.Time) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close() //nolint:errcheck // the statement was committed
	_, err = db.ExecContext(t.Context(), `
		WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
		INSERT INTO sessions (id, user_id, generation, superseded, forgiven, rotated_at, rotated_by, refresh_key, persistent,
			device, address, authenticated_at, methods, created_at, expires_at, ended_at, ended_why)
		SELECT printf('00000000-0000-7000-8000-%012d', numbers.n), user_id, generation, superseded,
			forgiven, $2, rotated_by, refresh_key, persistent, device, address, authenticated_at, methods, $2, $2, $2, 'logout'
		FROM sessions, numbers`, n, at.UnixMilli())
	must(t, err)
}

// RT-15
func TestHundredThousandEndedSessionsAreSweptInSmallBatches(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the test takes many seconds")
	}
	dead := 100_000
	if storetest.RaceDetector() {
		dead /= 10
	}
	path := newDatabasePath(t)
	r := startOn(t, path, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
	in := r.signUp(t, "ada@example.com")
	insertEndedSessions(t, path, dead, r.clock.Now().Add(-40*24*time.Hour))

	store := &sweptStore{Store: r.store}
	sweeper, err := watchword.NewForTest(t.Context(), store, r.opts)
	must(t, err)
	t.Cleanup(sweeper.Close)
	swept := make(chan int)
	go func() {
		rows, err := sweeper.Sweep(t.Context())
		if err != nil {
			t.Errorf("sweep: %v", err)
		}
		swept <- rows
	}()

	token, refreshes, longest := in.RefreshToken, 0, time.Duration(0)
	for {
		select {
		case rows := <-swept:
			if rows < dead {
				t.Errorf("%d rows were swept", rows)
			}
			if largest := slices.Max(store.batches); largest > 200 {
				t.Errorf("a transaction deleted %d rows", largest)
			}
			if refreshes < len(store.batches) {
				t.Errorf("%d refreshes during %d transactions of the sweep", refreshes, len(store.batches))
			}
			t.Logf("%d refreshes during %d transactions, the longest took %s", refreshes, len(store.batches), longest)
			return
		default:
		}
		begun := time.Now()
		next, err := r.Refresh(t.Context(), token, laptop)
		must(t, err)
		longest = max(longest, time.Since(begun))
		token = next.RefreshToken
		refreshes++
	}
}
