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

// Loop calls the function work until ctx ends. If the result more is true, Loop calls work again at once. Otherwise
// Loop waits for Set or for the next poll. Of several consecutive errors, only the first is passed to the function
// failed, so an outage writes one line to the log. Errors after the end of ctx are dropped.
func (s Signal) Loop(
	ctx context.Context, poll time.Duration, work func(context.Context) (more bool, err error), failed func(error),
) {
	ticks := time.NewTicker(poll)
	defer ticks.Stop()
	failing := false
	for ctx.Err() == nil {
		more, err := work(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			failed(err)
		}
		if failing = err != nil; more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s:
		case <-ticks.C:
		}
	}
}
