package sqlite_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/storetest"
)

// During a long sweep, a refresh must wait for at most one batch of the sweep.
//
// RT-15
func TestRotationsProceedDuringLongSweep(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it takes many seconds")
	}
	const batch = 200
	dead := int64(100_000)
	if storetest.RaceDetector() {
		dead /= 10
	}
	store := openWithSessions(t, 1)
	one := storetest.Session(storetest.User(1).ID, 0)
	err := store.Exec(t.Context(), `INSERT INTO sessions
		SELECT printf('%08x', n), user_id, generation, superseded, forgiven, rotated_at, rotated_by, refresh_key, persistent,
			device, address, authenticated_at, methods, created_at, expires_at, $1, 'logout', 0
		FROM sessions, (WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < $2) SELECT n FROM count)`,
		storetest.Start.UnixMilli(), dead)
	if err != nil {
		t.Fatal(err)
	}
	var batches, rotations atomic.Int64
	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		for swept := batch; swept == batch; batches.Add(1) {
			err := store.Update(t.Context(), func(tx watchword.Tx) (err error) {
				swept, err = tx.Sweep(t.Context(), watchword.SweepSessions, storetest.Start.Add(time.Hour), batch)
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for batches.Load() < dead/batch && !t.Failed() {
		got, err := store.Rotate(t.Context(), storetest.Rotate(one, storetest.Start))
		if err != nil || !got.Rotated {
			t.Errorf("rotate: %+v, %v", got, err)
		}
		rotations.Add(1)
		one = got.Session
	}
	sweeping.Wait()
	if rotations.Load() < dead/batch/10 { // one rotation per batch would be the maximum
		t.Errorf("%d rotations came through between %d batches", rotations.Load(), batches.Load())
	}
}
