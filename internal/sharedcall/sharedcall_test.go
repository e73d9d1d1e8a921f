package sharedcall_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword/internal/sharedcall"
)

func TestConcurrentCallersShareOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var call sharedcall.Call
		calls := 0
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				err := call.Do(context.Background(), time.Minute, func(context.Context) error {
					calls++
					time.Sleep(time.Millisecond)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

func TestAResultCountsForASecond(t *testing.T) {
	t.Parallel()
	failure := errors.New("down")
	for name, want := range map[string]error{"success": nil, "failure": failure} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var call sharedcall.Call
				calls := 0
				for _, wait := range []time.Duration{0, 999 * time.Millisecond, time.Millisecond} {
					time.Sleep(wait)
					count := func(context.Context) error { calls++; return want }
					err := call.Do(context.Background(), time.Minute, count)
					if err != want {
						t.Errorf("got %v, want %v", err, want)
					}
				}
				if calls != 2 {
					t.Errorf("%d calls, want 2", calls)
				}
			})
		})
	}
}

func TestSucceededReplacesACall(t *testing.T) {
	t.Parallel()
	var call sharedcall.Call
	call.Succeeded()
	err := call.Do(context.Background(), time.Minute, func(context.Context) error { return errors.New("called") })
	if err != nil {
		t.Error(err)
	}
}

func TestDoReturnsWhenItsContextEndsAndTheWorkGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var call sharedcall.Call
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		worked := make(chan error, 1)
		err := call.Do(ctx, time.Minute, func(ctx context.Context) error {
			<-ctx.Done()
			worked <- ctx.Err()
			return ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || len(worked) != 0 {
			t.Errorf("got %v, and the work ended: %t", err, len(worked) != 0)
		}
		start := time.Now()
		if err := <-worked; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute-time.Second {
			t.Errorf("the work ended with %v after %v more, want its own deadline", err, time.Since(start))
		}
	})
}
