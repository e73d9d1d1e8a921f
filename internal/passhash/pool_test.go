package passhash_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/watchword-auth/watchword/internal/passhash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testWithFakeClock closes the pool at the end.
func testWithFakeClock(t *testing.T, workers int, longest time.Duration, test func(*testing.T, *passhash.Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pool := passhash.NewPool(workers, longest)
		defer pool.Close()
		test(t, pool)
	})
}

func takes(d time.Duration) func() { return func() { time.Sleep(d) } }

// startDo returns when the work is queued or runs. The channel returns the error of Do.
func startDo(ctx context.Context, pool *passhash.Pool, client string, work func()) <-chan error {
	result := make(chan error, 1)
	go func() { result <- pool.Do(ctx, client, work) }()
	synctest.Wait()
	return result
}

func shed(err error) bool {
	var busy *passhash.BusyError
	return errors.As(err, &busy)
}

// PW-8
func TestPoolRunsAtMostOneJobPerWorker(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 3, time.Hour, func(t *testing.T, pool *passhash.Pool) {
		var running, most atomic.Int64
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				err := pool.Do(t.Context(), fmt.Sprint("client ", i%7), func() {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(time.Second)
					running.Add(-1)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most.Load() != 3 {
			t.Errorf("%d ran at once, want 3", most.Load())
		}
		want := passhash.Stats{Workers: 3, Done: 200, Waited: 6567 * time.Second}
		if got := pool.Stats(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestPoolServesClientsInTurn(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, time.Hour, func(t *testing.T, pool *passhash.Pool) {
		var order []string
		ask := func(client string) <-chan error {
			return startDo(t.Context(), pool, client, func() {
				time.Sleep(time.Second)
				order = append(order, client)
			})
		}
		var results []<-chan error
		for range 60 {
			results = append(results, ask("many"))
		}
		for _, client := range []string{"one", "two", "two", "three"} {
			results = append(results, ask(client))
		}
		for _, r := range results {
			if err := <-r; err != nil {
				t.Error(err)
			}
		}
		want := []string{"many", "one", "two", "three", "many", "two", "many", "many", "many"}
		if got := order[:len(want)]; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestPoolServesAClientInOrder(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, time.Hour, func(t *testing.T, pool *passhash.Pool) {
		var order []int
		var last <-chan error
		for i := range 20 {
			last = startDo(t.Context(), pool, "client", func() {
				time.Sleep(time.Second)
				order = append(order, i)
			})
		}
		if err := <-last; err != nil || len(order) != 20 || !slices.IsSorted(order) {
			t.Errorf("got %v, %v", order, err)
		}
	})
}

// PW-8
func TestPoolRefusesAtOnceIfTheWaitWouldBeTooLong(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 2, 2200*time.Millisecond, func(t *testing.T, pool *passhash.Pool) {
		if err := pool.Do(t.Context(), "first", takes(time.Second)); err != nil {
			t.Fatal(err) // the first job shows the pool how long a job takes
		}
		var accepted []<-chan error
		for range 6 { // two run, the others wait for 1, 1, 2 and 2 seconds
			accepted = append(accepted, startDo(t.Context(), pool, "many", takes(time.Second)))
		}
		begun := time.Now()
		err := pool.Do(t.Context(), "many", takes(time.Second))
		var busy *passhash.BusyError
		if !errors.As(err, &busy) || time.Since(begun) > 0 {
			t.Fatalf("got %v after %v, want a refusal at once", err, time.Since(begun))
		}
		if busy.RetryAfter < time.Second || busy.RetryAfter%time.Second != 0 {
			t.Errorf("retry after %v, want whole seconds", busy.RetryAfter)
		}
		for _, r := range accepted {
			if err := <-r; err != nil {
				t.Errorf("was accepted, and then: %v", err)
			}
		}
		if s := pool.Stats(); s.Shed != 1 || s.Done != 7 || s.Queued != 0 || s.Running != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// The pool must refuse most of the 60 jobs of one client, and must not delay another client.
func TestFloodOfOneClientIsShedAlone(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, 5*time.Second, func(t *testing.T, pool *passhash.Pool) {
		if err := pool.Do(t.Context(), "first", takes(time.Second)); err != nil {
			t.Fatal(err)
		}
		var refused atomic.Uint64
		var crowd sync.WaitGroup
		for range 60 {
			crowd.Go(func() {
				if shed(pool.Do(t.Context(), "many", takes(time.Second))) {
					refused.Add(1)
				}
			})
			synctest.Wait()
		}
		for range 3 {
			begun := time.Now()
			if err := pool.Do(t.Context(), "one", takes(time.Second)); err != nil || time.Since(begun) > 3*time.Second {
				t.Errorf("got %v after %v, want to be served within 3s", err, time.Since(begun))
			}
		}
		crowd.Wait()
		if s := pool.Stats(); refused.Load() != s.Shed || s.Shed < 54 {
			t.Errorf("%d of the crowd were refused, %+v", refused.Load(), s)
		}
	})
}

// PW-8
func TestPoolRefusesWorkThatWaitedTooLong(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, 2*time.Second, func(t *testing.T, pool *passhash.Pool) {
		slow := startDo(t.Context(), pool, "slow", takes(time.Minute)) // the pool can't know how long this job takes
		begun := time.Now()
		err := pool.Do(t.Context(), "client", func() { t.Error("refused work was done") })
		if !shed(err) || time.Since(begun) != 2*time.Second {
			t.Errorf("got %v after %v, want a refusal after 2s", err, time.Since(begun))
		}
		if s := pool.Stats(); s.Shed != 1 || s.Queued != 0 || s.Running != 1 {
			t.Errorf("got %+v", s)
		}
		if err := <-slow; err != nil {
			t.Error(err)
		}
	})
}

// An idle pool accepts any work, even after a slow hash.
func TestIdlePoolAcceptsWork(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, time.Second, func(t *testing.T, pool *passhash.Pool) {
		for range 3 {
			if err := pool.Do(t.Context(), "client", takes(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// PW-8
func TestPoolQueueIsBounded(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, time.Hour, func(t *testing.T, pool *passhash.Pool) {
		gate := make(chan struct{})
		startDo(t.Context(), pool, "gate", func() { <-gate })
		ctx, cancel := context.WithCancel(t.Context())
		fill := func(client string, asked int) (refused int) {
			results := make(chan error, asked)
			for range asked {
				go func() { results <- pool.Do(ctx, client, func() {}) }()
			}
			synctest.Wait()
			for len(results) > 0 {
				if err := <-results; shed(err) {
					refused++
				}
			}
			return refused
		}
		if got := fill("many", 300); got != 300-256 {
			t.Errorf("%d of 300 of one client were refused, want 44", got)
		}
		if got := fill("another", 1); got != 0 {
			t.Error("another client found the queue full")
		}
		refused := 0
		for i := range 1000 {
			refused += fill(fmt.Sprint("client ", i), 1)
		}
		if want := 1000 - (1024 - 257); refused != want {
			t.Errorf("%d of 1000 clients were refused, want %d", refused, want)
		}
		cancel()
		synctest.Wait()
		if s := pool.Stats(); s.Queued != 0 {
			t.Errorf("%d are still queued", s.Queued)
		}
		close(gate)
	})
}

func TestCancelledWorkIsNotRun(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, time.Hour, func(t *testing.T, pool *passhash.Pool) {
		ended, end := context.WithCancel(t.Context())
		end()
		for range 100 {
			err := pool.Do(ended, "client", func() { t.Error("was done after the end") })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want canceled", err)
			}
		}

		running := startDo(t.Context(), pool, "client", takes(time.Minute))
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		leaving := startDo(ctx, pool, "client", func() { t.Error("canceled work was done") })
		staying := startDo(t.Context(), pool, "client", takes(0))
		if err := <-leaving; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		for _, r := range []<-chan error{running, staying} {
			if err := <-r; err != nil {
				t.Error(err)
			}
		}
		if s := pool.Stats(); s.Done != 2 || s.Shed != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestDoWaitsForStartedWork(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, time.Second, func(t *testing.T, pool *passhash.Pool) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := false
		err := pool.Do(ctx, "client", func() {
			time.Sleep(time.Minute)
			done = true
		})
		if err != nil || !done {
			t.Errorf("got %v with done=%v", err, done)
		}
	})
}

func TestPanicReachesTheCallerAndTheWorkerContinues(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 1, time.Hour, func(t *testing.T, pool *passhash.Pool) {
		for range 3 {
			func() {
				defer func() {
					p, ok := recover().(*passhash.Panicked)
					if !ok || p.Value != io.ErrUnexpectedEOF || !errors.Is(p, io.ErrUnexpectedEOF) {
						t.Errorf("got %v, want the value of the panic", p)
					}
					if ok && !strings.Contains(p.Error(), "pool_test.go") {
						t.Errorf("the stack does not show the work: %v", p)
					}
				}()
				pool.Do(t.Context(), "client", func() { panic(io.ErrUnexpectedEOF) })
				t.Error("there was no panic")
			}()
		}
		if err := pool.Do(t.Context(), "client", takes(0)); err != nil {
			t.Error(err)
		}
		if s := pool.Stats(); s.Done != 4 || s.Running != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestCloseWaitsForRunningAndRefusesQueuedWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := passhash.NewPool(1, time.Hour)
		running := startDo(t.Context(), pool, "client", takes(time.Minute))
		waiting := startDo(t.Context(), pool, "client", func() { t.Error("was done after Close") })
		begun := time.Now()
		pool.Close()
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("Close returned after %v, want 1m", took)
		}
		if err := <-running; err != nil {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, passhash.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if err := pool.Do(t.Context(), "client", func() {}); !errors.Is(err, passhash.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		pool.Close()
	})
}

func TestPoolHasAtLeastOneWorker(t *testing.T) {
	t.Parallel()
	testWithFakeClock(t, 0, time.Second, func(t *testing.T, pool *passhash.Pool) {
		if err := pool.Do(t.Context(), "client", func() {}); err != nil || pool.Stats().Workers != 1 {
			t.Errorf("got %v with %+v", err, pool.Stats())
		}
	})
}

// BenchmarkPoolUnderContention measures the overhead of the pool for empty work, with more
// clients than workers.
func BenchmarkPoolUnderContention(b *testing.B) {
	pool := passhash.NewPool(1, time.Hour)
	defer pool.Close()
	var clients atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		client := fmt.Sprint("client ", clients.Add(1)%8)
		for pb.Next() {
			if err := pool.Do(b.Context(), client, func() {}); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkPoolAlone measures the switch to another thread, for a single login.
func BenchmarkPoolAlone(b *testing.B) {
	pool := passhash.NewPool(1, time.Hour)
	defer pool.Close()
	for b.Loop() {
		if err := pool.Do(b.Context(), "client", func() {}); err != nil {
			b.Fatal(err)
		}
	}
}
