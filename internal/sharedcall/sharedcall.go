// Package sharedcall bounds how often requests repeat an expensive call, such as reading the keys again. Concurrent
// requests share one call. For a second after the call, requests get its result without another call.
package sharedcall

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const resultValidity = time.Second

// A Call keeps its last result. The zero Call is ready to use. It is safe for concurrent use.
type Call struct {
	flights     singleflight.Group
	lastSuccess atomic.Int64 // when the work last succeeded, in nanoseconds since 1970

	// These fields need no lock, because Do accesses them only in functions that flights runs.
	failedAt time.Time
	failure  error
}

// Succeeded records that the caller has just done the work itself, without Do.
func (c *Call) Succeeded() { c.lastSuccess.Store(time.Now().UnixNano()) }

// Do returns the result of doWork. If doWork has ended within the last second, Do returns that result again.
// Otherwise Do calls doWork, whose context ends after the timeout. If ctx ends first, Do returns the error of ctx, and
// doWork continues for the other callers.
func (c *Call) Do(ctx context.Context, timeout time.Duration, doWork func(context.Context) error) error {
	if c.isFresh() {
		return nil
	}
	running := c.flights.DoChan("", func() (any, error) {
		if time.Since(c.failedAt) < resultValidity {
			return nil, c.failure
		}
		if c.isFresh() { // another call has just succeeded
			return nil, nil
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		err := doWork(limited)
		if err != nil {
			c.failedAt, c.failure = time.Now(), err
		} else {
			c.Succeeded()
		}
		return nil, err
	})
	select {
	case result := <-running:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Call) isFresh() bool { return time.Since(time.Unix(0, c.lastSuccess.Load())) < resultValidity }
