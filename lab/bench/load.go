package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A load lets several connections repeat an operation for some time.
type load struct {
	connections int
	duration    time.Duration
	rate        float64 // operations per second of all connections together; 0 means a closed loop
	limit       int     // most operations; 0 means no limit

	// operation runs on one connection. Operations are numbered (n) in the order in which they
	// start.
	operation func(ctx context.Context, connection, n int) error
}

// An outcome is the result of a load.
type outcome struct {
	Histogram
	refused int           // operations that the server refused because of load: 429 or 503
	took    time.Duration // from the start to the last success
}

// errRefused means that the server refused an operation because of load.
var errRefused = errors.New("refused")

// run runs the load and returns the first error other than errRefused.
//
// In a closed loop each connection starts its next operation when the last one has ended.
// At a fixed rate, operation n is due at n/rate, and its latency counts from that time,
// even if no connection was free. A server that stalls is therefore charged for all
// operations that the stall delays (coordinated omission).
func (l load) run(ctx context.Context) (sum outcome, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		next  atomic.Int64
		mu    sync.Mutex
		group sync.WaitGroup
		start = time.Now()
	)
	for connection := range l.connections {
		group.Go(func() {
			one, err := l.loop(ctx, connection, start, &next)
			mu.Lock()
			defer mu.Unlock()
			sum.Add(&one.Histogram)
			sum.refused += one.refused
			sum.took = max(sum.took, one.took)
			if err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	// The cause is the first error. The cancellation caused the other errors.
	return sum, context.Cause(ctx)
}

// loop runs the operations of one connection.
func (l load) loop(ctx context.Context, connection int, start time.Time, next *atomic.Int64) (one outcome, err error) {
	for ctx.Err() == nil {
		// The connections share one sequence, so that a free one takes the next operation and a
		// busy one delays only its own.
		n := int(next.Add(1) - 1)
		begin := time.Now()
		if l.rate > 0 {
			begin = start.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
			if !sleepUntil(ctx, begin) {
				break
			}
		}
		if begin.Sub(start) >= l.duration || l.limit > 0 && n >= l.limit {
			break
		}
		err := l.operation(ctx, connection, n)
		end := time.Now()
		switch {
		case errors.Is(err, errRefused):
			one.refused++
			continue
		case err != nil:
			return one, fmt.Errorf("connection %d, operation %d: %w", connection, n, err)
		}
		one.Record(end.Sub(begin))
		one.took = end.Sub(start)
	}
	return one, nil
}

// sleepUntil returns false if ctx ends before due.
func sleepUntil(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// perSecond returns the successful operations per second. The time includes the operations
// that were running at the end of the duration, because they count too.
func (o outcome) perSecond() float64 {
	if o.took <= 0 {
		return 0
	}
	return float64(o.Count()) / o.took.Seconds()
}
