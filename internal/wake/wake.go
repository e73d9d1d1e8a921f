// Package wake runs background workers that process a queue. A worker runs while it finds work. It then waits for a
// signal from its own process. It also polls, because other processes can add work.
package wake

import (
	"context"
	"time"
)

// A Signal wakes one worker. Signals that arrive while the worker works count as one, so
// Set never blocks. Set has no effect on the nil Signal, which belongs to a worker that
// does not run.
type Signal chan struct{}

// New returns a Signal that is not set.
func New() Signal { return make(Signal, 1) }

// Set tells the worker that there may be work.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default: // it is already set
	}
}

// Loop calls doWork until ctx ends. If hasMore is true, Loop calls doWork again at once. Otherwise Loop waits for Set
// or for the next poll. Of several consecutive errors, only the first is passed to reportError, so an outage
// writes one line to the log. Errors after the end of ctx are dropped.
func (s Signal) Loop(
	ctx context.Context, poll time.Duration,
	doWork func(context.Context) (hasMore bool, err error), reportError func(error),
) {
	ticks := time.NewTicker(poll)
	defer ticks.Stop()
	failing := false
	for ctx.Err() == nil {
		hasMore, err := doWork(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			reportError(err)
		}
		if failing = err != nil; hasMore {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s:
		case <-ticks.C:
		}
	}
}
