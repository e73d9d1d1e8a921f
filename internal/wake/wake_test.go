package wake_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword/internal/wake"
)

func TestLoopWorksWhileThereIsMoreAndThenPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		begun := time.Now()
		var at []time.Duration
		wake.New().Loop(ctx, time.Second, func(context.Context) (bool, error) {
			at = append(at, time.Since(begun))
			if len(at) == 5 {
				stop()
			}
			return len(at) < 3, nil
		}, func(error) {})
		if want := []time.Duration{0, 0, 0, time.Second, 2 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("worked at %v, want %v", at, want)
		}
	})
}

func TestSetWakesTheLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		signal := wake.New()
		calls := 0
		count := func(context.Context) (bool, error) { calls++; return false, nil }
		go signal.Loop(ctx, time.Hour, count, func(error) {})
		synctest.Wait()
		signal.Set()
		synctest.Wait()
		if calls != 2 {
			t.Errorf("worked %d times after one signal, want 2", calls)
		}
		stop()
		wake.Signal(nil).Set() // does not block
	})
}

func TestLoopReportsTheFirstErrorOfEachOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		down, ended := errors.New("down"), errors.New("after the end")
		results := []error{down, down, nil, down, ended}
		var reported []error
		wake.New().Loop(ctx, time.Second, func(context.Context) (more bool, err error) {
			if err, results = results[0], results[1:]; err == ended {
				stop()
			}
			return false, err
		}, func(err error) { reported = append(reported, err) })
		if want := []error{down, down}; !slices.Equal(reported, want) {
			t.Errorf("reported %v, want %v", reported, want)
		}
	})
}
