package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// Many returns the number of rows that tests of time limits insert: 300,000. With the race detector or -short it is
// 30,000, which is enough to test counts but not times.
func Many() int {
	if RaceDetector() || testing.Short() {
		return 30_000
	}
	return 300_000
}

// WantBoundedSweep sweeps a store whose rate-limit counters are all in use. It fails if the median time of a batch
// exceeds 20 ms. It uses the median, because other tests that run at the same time delay some batches.
func WantBoundedSweep(t *testing.T, store watchword.Store, counters int) {
	t.Helper()
	const look = 500
	now := time.Unix(0, 1).Add(time.Hour)
	var took []time.Duration
	for mark := (watchword.LimitMark{}); ; {
		var deleted int
		begun := time.Now()
		err := store.Update(t.Context(), func(tx watchword.Tx) (err error) {
			mark, deleted, err = tx.SweepLimits(t.Context(), mark, now, look)
			return err
		})
		took = append(took, time.Since(begun))
		if err != nil || deleted > 0 {
			t.Fatalf("%d counters in use were swept, %v", deleted, err)
		}
		if mark == (watchword.LimitMark{}) {
			break
		}
	}
	if batches := counters/look + 1; len(took) < batches-1 || len(took) > batches+1 {
		t.Errorf("%d batches for %d counters", len(took), counters)
	}
	wantMedian(t, "a batch of the sweep", took, 20*time.Millisecond)
}

// WantBoundedOutbox calls Outbox on a store with more than OutboxCounted mails. It fails if the median time of a call
// exceeds 60 ms.
func WantBoundedOutbox(t *testing.T, store watchword.Store) {
	t.Helper()
	var took []time.Duration
	for range 20 {
		var waiting, givenUp int
		begun := time.Now()
		err := store.View(t.Context(), func(tx watchword.Tx) (err error) {
			waiting, givenUp, _, err = tx.Outbox(t.Context())
			return err
		})
		took = append(took, time.Since(begun))
		if err != nil || waiting != watchword.OutboxCounted || givenUp != watchword.OutboxCounted {
			t.Fatalf("%d mails wait and %d were given up, %v", waiting, givenUp, err)
		}
	}
	wantMedian(t, "counting the outbox", took, 60*time.Millisecond)
}

func wantMedian(t *testing.T, what string, durations []time.Duration, limit time.Duration) {
	t.Helper()
	slices.Sort(durations)
	median := durations[len(durations)/2]
	t.Logf("%s takes %s in the median of %d, %s at most", what, median, len(durations), durations[len(durations)-1])
	if RaceDetector() {
		limit *= 20
	}
	if median > limit {
		t.Errorf("%s takes %s, want less than %s", what, median, limit)
	}
}
