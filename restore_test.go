package watchword_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
)

// onRestored runs a test on both stores. The function backup copies the database, and restored starts an engine on
// the copy. The test must close the other engines before it calls backup.
func onRestored(t *testing.T, test func(t *testing.T, open func() *rig, backup func() (restored func() *rig))) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path, copied := newDatabasePath(t), newDatabasePath(t)
		test(t, func() *rig { return startOn(t, path, nil) }, func() func() *rig {
			file, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(copied, file, 0o600))
			return func() *rig { return startOn(t, copied, nil) }
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Migrated(t, postgres.Migrate)
		test(t, func() *rig { return startOnURL(t, url, hideClock) }, func() func() *rig {
			copied := pgtest.Copy(t, url)
			return func() *rig { return startOnURL(t, copied, hideClock) }
		})
	})
}

// loseLastRefresh refreshes a session after a backup, and returns n engines on the backup. newerToken is the
// result of the refresh. oldToken is the newest token that the backup knows.
func loseLastRefresh(
	t *testing.T, open func() *rig, backup func() func() *rig, n int,
) (engines []*rig, newerToken, oldToken watchword.Secret) {
	t.Helper()
	r := open()
	oldToken = r.signUp(t, "ada@example.com").RefreshToken
	r.Close()
	must(t, r.store.Close())
	restored := backup()

	r = open()
	next, err := r.Refresh(t.Context(), oldToken, laptop)
	must(t, err)
	r.Close()
	must(t, r.store.Close())
	for range n {
		engines = append(engines, restored())
	}
	return engines, next.RefreshToken, oldToken
}

func (r *rig) restoreEvents(t *testing.T) (found []watchword.Event) {
	t.Helper()
	events, err := r.Operator().UserEvents(t.Context(), "", 100)
	must(t, err)
	for _, e := range events {
		if e.Kind == watchword.EventRestoreDetected {
			found = append(found, e)
		}
	}
	return found
}

// presentEverywhere presents a token five times to each engine, all at once. Every request must be refused.
func presentEverywhere(t *testing.T, engines []*rig, token watchword.Secret) {
	t.Helper()
	var wg sync.WaitGroup
	for _, r := range engines {
		for range 5 {
			wg.Go(func() {
				_, err := r.Refresh(t.Context(), token, laptop)
				if watchword.CodeOf(err) != watchword.CodeSessionEnded {
					t.Errorf("a token that is newer than its session: %v", err)
				}
			})
		}
	}
	wg.Wait()
}

// OPS-4
func TestRestoredBackupIsRecordedOnceAnHour(t *testing.T) {
	t.Parallel()
	onRestored(t, func(t *testing.T, open func() *rig, backup func() func() *rig) {
		all, newer, old := loseLastRefresh(t, open, backup, 2)
		one := all[0]
		if found := one.restoreEvents(t); len(found) != 0 {
			t.Fatalf("before the token: %+v", found)
		}
		began := one.clock.Now()
		presentEverywhere(t, all, newer)
		found := one.restoreEvents(t)
		if len(found) != 1 {
			t.Fatalf("%d events, want 1", len(found))
		}
		if e := found[0]; e.At != began || e.RequestID != laptop.RequestID || e.Address+e.Device != "" ||
			e.UserID != "" || e.SessionID != "" || e.Detail != "refresh token 1 of a session at 0" {
			t.Errorf("the event is %+v", e)
		}
		noticed, settled, err := one.Operator().LastRestore(t.Context())
		if err != nil || !noticed.Equal(began) || !settled.IsZero() {
			t.Errorf("noticed at %s, settled at %s, %v", noticed, settled, err)
		}
		advance := func(d time.Duration) {
			for _, r := range all {
				r.clock.advance(d)
			}
		}
		advance(59 * time.Minute)
		presentEverywhere(t, all, newer)
		if found := one.restoreEvents(t); len(found) != 1 {
			t.Errorf("%d events in an hour", len(found))
		}
		advance(2 * time.Minute)
		presentEverywhere(t, all, newer)
		if found := one.restoreEvents(t); len(found) != 2 {
			t.Errorf("%d events after an hour, want 2", len(found))
		}
		// The newest token in the backup must still work.
		_, err = one.Refresh(t.Context(), old, laptop)
		must(t, err)
	})
}

// All sessions of an old backup are idle. A token that is newer than such a session must still reveal the restore,
// until EndEverySession has ended the session.
func TestRestoreIsDetectedByAnIdleSessionUntilAllEnded(t *testing.T) {
	t.Parallel()
	onRestored(t, func(t *testing.T, open func() *rig, backup func() func() *rig) {
		all, newer, old := loseLastRefresh(t, open, backup, 1)
		r := all[0]
		r.clock.advance(60 * 24 * time.Hour)
		presentEverywhere(t, all, old)
		if found := r.restoreEvents(t); len(found) != 0 {
			t.Errorf("a token that is as old as its idle session: %+v", found)
		}
		if noticed, _, err := r.Operator().LastRestore(t.Context()); err != nil || !noticed.IsZero() {
			t.Errorf("noticed at %s, %v", noticed, err)
		}
		presentEverywhere(t, all, newer)
		if found := r.restoreEvents(t); len(found) != 1 {
			t.Errorf("%d events of an idle session, want 1", len(found))
		}
		r.clock.advance(2 * time.Hour)
		n, err := r.Operator().EndEverySession(t.Context())
		if n != 1 || err != nil {
			t.Errorf("ended %d, %v", n, err)
		}
		presentEverywhere(t, all, newer)
		if found := r.restoreEvents(t); len(found) != 1 {
			t.Errorf("%d events after the end of every session", len(found)-1)
		}
		noticed, settled, err := r.Operator().LastRestore(t.Context())
		if err != nil || !settled.Equal(r.clock.Now()) || !noticed.Equal(settled.Add(-2*time.Hour)) {
			t.Errorf("noticed at %s, settled at %s, %v", noticed, settled, err)
		}
	})
}

type refusingStore struct {
	watchword.Store
	refuses atomic.Bool
}

func (s *refusingStore) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error {
		if err := fn(tx); err != nil || !s.refuses.Load() {
			return err
		}
		return watchword.ErrUnavailable
	})
}

// A client deletes a refused token, which is the only sign of the restore. The server must therefore store the event
// before it refuses the token. If it can't store the event, it must respond that it is unavailable.
//
// OPS-4
func TestRestoreIsRecordedBeforeTheRefusal(t *testing.T) {
	t.Parallel()
	onRestored(t, func(t *testing.T, open func() *rig, backup func() func() *rig) {
		all, newer, _ := loseLastRefresh(t, open, backup, 1)
		store := &refusingStore{Store: all[0].store}
		r := startWith(t, store, nil)
		store.refuses.Store(true)
		for range 2 {
			_, err := r.Refresh(t.Context(), newer, laptop)
			if !errors.Is(err, watchword.ErrUnavailable) || strings.Contains(err.Error(), "ended") {
				t.Errorf("the event was not stored, and the response is %v", err)
			}
		}
		store.refuses.Store(false)
		presentEverywhere(t, []*rig{r}, newer)
		if found := r.restoreEvents(t); len(found) != 1 {
			t.Errorf("%d events, want 1", len(found))
		}
	})
}
