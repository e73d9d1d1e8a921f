package watchword

import (
	"context"
	"log/slog"
	"time"

	"github.com/watchword-auth/watchword/internal/sleep"
)

// Sweeping deletes expired rows in small batches, with a pause after each, so that other writers wait only briefly.

const (
	sweepEvery  = time.Minute
	sweepBatch  = 200
	sweptLimits = 500 // counters that a batch reads
	sweepPause  = 20 * time.Millisecond

	keepEnded   = 7 * 24 * time.Hour // ended sessions are kept, so that their tokens are refused with the reason
	keepCalls   = keepEnded          // how long a callback is kept without delivery
	keepEvents  = 90 * 24 * time.Hour
	keepGivenUp = 30 * 24 * time.Hour
)

// sweepBefore returns a time for each kind of row. The sweep deletes the rows that ended, expired or were created
// before this time. The age of an idle session counts from its absolute limit.
func sweepBefore(now time.Time, verifyTTL time.Duration) map[Sweep]time.Time {
	return map[Sweep]time.Time{
		SweepSessions:    now.Add(-keepEnded),
		SweepMailTokens:  now,
		SweepEvents:      now.Add(-keepEvents),
		SweepMails:       now.Add(-keepGivenUp),
		SweepSignups:     now.Add(-verifyTTL),
		SweepCallbacks:   now.Add(-keepCalls),
		SweepChallenges:  now,
		SweepDevices:     now,
		SweepServiceKeys: now.Add(-keepEvents),
		SweepIdempotency: now,
	}
}

func (e *Engine) runSweep(ctx context.Context) {
	for {
		swept, err := e.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			e.log.Error("deleting expired rows failed; next try in a minute", slog.Any("error", err))
		}
		if swept > 0 {
			e.log.Debug("swept", slog.Int("rows", swept))
		}
		if sleep.For(ctx, sweepEvery) != nil {
			return
		}
	}
}

func (e *Engine) sweep(ctx context.Context) (rows int, err error) {
	for what, before := range sweepBefore(e.now(), e.opts.VerifyTTL) {
		for {
			n, err := updateStore(ctx, e.store, func(tx Tx) (int, error) {
				return tx.Sweep(ctx, what, before, sweepBatch)
			})
			rows += n
			if err != nil {
				return rows, err
			}
			if n < sweepBatch {
				break
			}
			if sleep.For(ctx, sweepPause) != nil {
				return rows, ctx.Err()
			}
		}
	}
	n, err := e.sweepLimits(ctx)
	return rows + n, err
}

// sweepLimits deletes expired counters in batches. A batch is limited by the counters that it reads, because most of
// them may still be in use.
func (e *Engine) sweepLimits(ctx context.Context) (rows int, err error) {
	before := e.now()
	for mark := (LimitMark{}); ; {
		var next LimitMark
		var n int
		err := e.store.Update(ctx, func(tx Tx) (err error) {
			next, n, err = tx.SweepLimits(ctx, mark, before, sweptLimits)
			return err
		})
		rows += n
		if mark = next; err != nil || mark == (LimitMark{}) {
			return rows, err
		}
		if sleep.For(ctx, sweepPause) != nil {
			return rows, ctx.Err()
		}
	}
}
