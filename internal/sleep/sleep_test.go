package sleep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword/internal/sleep"
)

func TestForWaitsUntilTheTimeOrTheContextEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cancelAfter, d time.Duration // a negative cancelAfter cancels before the call
		want           error
		took           time.Duration
	}{
		"the time ends first":               {2 * time.Second, time.Second, nil, time.Second},
		"the context ends first":            {time.Second, time.Hour, context.Canceled, time.Second},
		"the context has ended":             {-1, time.Second, context.Canceled, 0},
		"nothing to wait for":               {time.Second, 0, nil, 0},
		"a negative time, an ended context": {-1, -time.Second, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if test.cancelAfter < 0 {
					cancel()
				} else {
					defer time.AfterFunc(test.cancelAfter, cancel).Stop()
				}
				begun := time.Now()
				err := sleep.For(ctx, test.d)
				if took := time.Since(begun); !errors.Is(err, test.want) || took != test.took {
					t.Errorf("got %v after %s, want %v after %s", err, took, test.want, test.took)
				}
			})
		})
	}
}

func TestDoubledGrowsToTheLongestWait(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 12: 2048 * time.Second,
		13: time.Hour, 1000: time.Hour,
	} {
		if got := sleep.Doubled(time.Second, attempts, time.Hour); got != want {
			t.Errorf("after %d attempts: %s, want %s", attempts, got, want)
		}
	}
}
