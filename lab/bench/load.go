package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A load repeats an operation on several connections for some time.
type load struct {
	connections   int
	duration      time.Duration
	perSecond     float64 // rate of all connections together; 0 means a closed loop
	maxOperations int     // 0 means no limit

	// operation runs one operation on a connection. n is the number of the operation, in the order in which
	// operations start.
	operation func(ctx context.Context, connection, n int) error
}

type loadResult struct {
	Histogram
	refused int           // with 429 or 503
	elapsed time.Duration // from the start to the last success
}

// errRefused means that the server refused an operation because of too much load.
var errRefused = errors.New("refused")

// run runs the load and returns the first error other than errRefused.
//
// In a closed loop, each connection starts an operation as soon as its previous one has ended. At a fixed rate,
// operation n is due at n/rate. Its latency counts from this due time, even if all connections are busy. If the
// server stalls, all operations that the stall delays therefore have a long latency. A latency that counts from the
// actual start would hide the stall (coordinated omission).
func (l load) run(ctx context.Context) (sum loadResult, err error) {
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
			one, err := l.runConnection(ctx, connection, start, &next)
			mu.Lock()
			defer mu.Unlock()
			sum.Add(&one.Histogram)
			sum.refused += one.refused
			sum.elapsed = max(sum.elapsed, one.elapsed)
			if err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	// The cause is the first error, because all later errors are results of the cancellation.
	return sum, context.Cause(ctx)
}

// runConnection runs operations on one connection until the load ends.
func (l load) runConnection(
	ctx context.Context, connection int, start time.Time, next *atomic.Int64,
) (one loadResult, err error) {
	for ctx.Err() == nil {
		// All connections take their operations from one sequence, so a slow operation occupies only its own
		// connection.
		n := int(next.Add(1) - 1)
		begin := time.Now()
		if l.perSecond > 0 {
			begin = start.Add(time.Duration(float64(n) / l.perSecond * float64(time.Second)))
			if !sleepUntil(ctx, begin) {
				break
			}
		}
		if begin.Sub(start) >= l.duration || l.maxOperations > 0 && n >= l.maxOperations {
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
		one.elapsed = end.Sub(start)
	}
	return one, nil
}

// sleepUntil waits until dueTime. It returns false if ctx ends earlier.
func sleepUntil(ctx context.Context, dueTime time.Time) bool {
	wait := time.Until(dueTime)
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

// perSecond counts only successful operations. It divides by elapsed, which also includes the operations that were
// still running at the end of the load's duration.
func (o loadResult) perSecond() float64 {
	if o.elapsed <= 0 {
		return 0
	}
	return float64(o.Count()) / o.elapsed.Seconds()
}
