package bench_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword/lab/bench"
)

// At a fixed rate, latency must count from the time when an operation is due. In this test, one of 100 operations
// stalls for half a second. It delays the 49 operations that become due in this time, so their latency must be high
// too.
func TestFixedRateCountsLatencyFromTheIntendedStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, err := bench.RunLoad(t.Context(), 1, 100, time.Second, func(_ context.Context, _, n int) error {
			if n == 50 {
				time.Sleep(500 * time.Millisecond)
			}
			return nil
		})
		if err != nil || got.Count() != 100 || got.Max() != 500*time.Millisecond {
			t.Fatalf("%d operations, the slowest %v, %v", got.Count(), got.Max(), err)
		}
		if p := got.Percentile(75); p < 240*time.Millisecond || p > 252*time.Millisecond {
			t.Errorf("percentile 75 is %v, want 250 ms: half of the operations wait up to 500 ms", p)
		}
		if p := got.Percentile(50); p > time.Millisecond {
			t.Errorf("percentile 50 is %v, want 0", p)
		}
	})
}

func TestClosedLoopStartsTheNextOperationAfterTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, err := bench.RunLoad(t.Context(), 2, 0, time.Second, func(_ context.Context, connection, _ int) error {
			time.Sleep(time.Duration(1+connection) * 10 * time.Millisecond)
			return nil
		})
		if err != nil || got.Count() != 150 || got.PerSecond != 150 {
			t.Errorf("%d operations, %v per second, %v; want 150", got.Count(), got.PerSecond, err)
		}
	})
}

func TestLoadCountsRefusalsAndStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, err := bench.RunLoad(t.Context(), 1, 10, time.Second, func(_ context.Context, _, n int) error {
			if n%2 == 0 {
				return bench.ErrRefused
			}
			return nil
		})
		if err != nil || got.Count() != 5 || got.Refused != 5 {
			t.Errorf("%d operations, %d refused, %v; want 5 of each", got.Count(), got.Refused, err)
		}
		broken := errors.New("broken")
		_, err = bench.RunLoad(t.Context(), 3, 0, time.Hour, func(ctx context.Context, connection, _ int) error {
			if connection == 1 {
				return broken
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want the error of connection 1", err)
		}
	})
}
