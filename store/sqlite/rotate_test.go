package sqlite_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

func openWithSessions(t *testing.T, n int) *sqlite.Store {
	t.Helper()
	store := openStore(t, newDatabasePath(t))
	err := store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.InsertUser(t.Context(), storetest.User(1), storetest.Start)
		for i := range n {
			err = errors.Join(err, tx.InsertSession(t.Context(), storetest.Session(storetest.User(1).ID, i)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func whileUpdateHoldsLock(t *testing.T, store *sqlite.Store, fn func()) {
	t.Helper()
	if err := store.Update(t.Context(), func(watchword.Tx) error { fn(); return nil }); err != nil {
		t.Error(err)
	}
}

func waitUntil(happened func() bool) {
	for !happened() {
		time.Sleep(time.Millisecond)
	}
}

func rotateNth(ctx context.Context, store *sqlite.Store, n int) (watchword.RotateResult, error) {
	return store.Rotate(ctx, storetest.Rotate(storetest.Session("", n), storetest.Start))
}

func TestFailedRotationDoesNotFailItsBatch(t *testing.T) {
	t.Parallel()
	const many = 32
	store := openWithSessions(t, many)
	broken := storetest.Session("", 7).ID
	if err := store.Exec(t.Context(), "UPDATE sessions SET methods = 'no JSON' WHERE id = $1", broken); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	whileUpdateHoldsLock(t, store, func() {
		for n := range many {
			all.Go(func() {
				got, err := rotateNth(t.Context(), store, n)
				if bad := storetest.Session("", n).ID == broken; bad != (err != nil) || bad == got.Rotated {
					t.Errorf("session %d: rotated %t, error %v", n, got.Rotated, err)
				}
			})
		}
		waitUntil(func() bool { return store.Queued() == many-1 }) // one is in a batch that waits for the lock
	})
	all.Wait()
	if err := store.Exec(t.Context(), "UPDATE sessions SET methods = '[]' WHERE id = $1", broken); err != nil {
		t.Fatal(err)
	}
	if got, err := rotateNth(t.Context(), store, 7); err != nil || !got.Rotated {
		t.Errorf("what failed was not undone: %+v, %v", got, err)
	}
}

func TestQueuedRotationOfCanceledCallerIsSkipped(t *testing.T) {
	t.Parallel()
	store := openWithSessions(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	whileUpdateHoldsLock(t, store, func() {
		for n := range 2 {
			all.Go(func() {
				if _, err := rotateNth(ctx, store, n); !errors.Is(err, context.Canceled) {
					t.Errorf("got error %v, want context.Canceled", err)
				}
			})
		}
		waitUntil(func() bool { return store.Queued() == 1 })
		cancel()
		all.Wait()
	})
	for n := range 2 {
		if got, err := rotateNth(t.Context(), store, n); err != nil || !got.Rotated {
			t.Errorf("session %d: it is no longer at its first generation: %+v, %v", n, got, err)
		}
	}
}

// Queued rotations must wait for at most one Update, even if many Updates are queued, and must share a commit.
func TestRotationsWaitForAtMostOneUpdate(t *testing.T) {
	t.Parallel()
	const updates, rotations = 50, 100
	store := openWithSessions(t, rotations)
	var all sync.WaitGroup
	var started, overtook atomic.Int32
	whileUpdateHoldsLock(t, store, func() {
		for range updates {
			all.Go(func() {
				started.Add(1)
				err := store.Update(t.Context(), func(tx watchword.Tx) error {
					last, err := distinctGenerations(t.Context(), tx)
					if last[0] == 0 {
						overtook.Add(1)
					} else if len(last) > 1 {
						t.Errorf("an update sees generations %v: the rotations share no commit", last)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		waitUntil(func() bool { return started.Load() == updates })
		for n := range rotations {
			all.Go(func() {
				if _, err := rotateNth(t.Context(), store, n); err != nil {
					t.Error(err)
				}
			})
		}
		waitUntil(func() bool { return store.Queued() == rotations-1 })
	})
	all.Wait()
	if overtook.Load() > 1 {
		t.Errorf("%d updates came before the rotations", overtook.Load())
	}
}

func distinctGenerations(ctx context.Context, tx watchword.Tx) (all []int64, err error) {
	sessions, err := tx.Sessions(ctx, storetest.User(1).ID, storetest.Policy().Cutoffs(storetest.Start))
	for _, one := range sessions {
		all = append(all, one.Generation)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

// Statements must read tables through an index if these tables grow with use.
func TestNoStatementScansAWholeTable(t *testing.T) {
	t.Parallel()
	store := openStore(t, newDatabasePath(t))
	// Scans of these names are allowed. keys and service_keys have few rows, and only operators list the outbox
	// (mails). The other names are subqueries, which return constants or a limited number of rows.
	allowedScans := regexp.MustCompile(`^SCAN (keys|service_keys|mails|waiting|given_up|due|slots|found|counted|newest|CONSTANT ROW|\(subquery)\b`)
	for _, text := range sqlstore.All() {
		steps, err := store.Plan(t.Context(), text)
		if err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
		for _, step := range steps {
			if strings.HasPrefix(step, "SCAN") && !allowedScans.MatchString(step) {
				t.Errorf("%s:\n%s", step, text)
			}
		}
	}
}
