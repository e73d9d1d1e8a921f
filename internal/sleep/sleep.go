// Package sleep waits for a duration, or until a context ends.
package sleep

import (
	"context"
	"time"
)

// For waits for d. It returns the error of ctx if ctx ends during the wait, or had
// already ended. If d is not positive, For returns nil at once.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Doubled returns how long to wait after a number of failed attempts. After one attempt, the wait is firstWait. It
// doubles with each further attempt, up to maxWait.
func Doubled(firstWait time.Duration, attempts int, maxWait time.Duration) time.Duration {
	wait := firstWait
	for ; attempts > 1 && wait < maxWait; attempts-- {
		wait *= 2
	}
	return min(wait, maxWait)
}
