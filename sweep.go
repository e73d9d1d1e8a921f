package watchword

import (
	"context"
	"log/slog"
	"time"
)

// Nothing grows for ever: what died of age is deleted in small batches, with a
// pause after each, so that nobody waits long behind one.

const (
	sweepEvery = time.Minute
	sweepBatch = 200
	sweepLook  = 500 // counters that a batch looks at
	sweepPause = 20 * time.Millisecond

	keepEnded   = 7 * 24 * time.Hour // a token of an ended session is answered with the reason meanwhile
	keepEvents  = 90 * 24 * time.Hour
	keepGivenUp = 30 * 24 * time.Hour
)

// sweepBefore says, for each kind of row, from when on back it is not needed. A
// session that is merely idle goes when its absolute life has ended, too.
func sweepBefore(now time.Time, verifyTTL time.Duration) map[Sweep]time.Time {
	return map[Sweep]time.Time{
		SweepSessions:   now.Add(-keepEnded),
		SweepMailTokens: now,
		SweepEvents:     now.Add(-keepEvents),
		SweepMails:      now.Add(-keepGivenUp),
		SweepSignups:    now.Add(-verifyTTL),
	}
}

func (e *Engine) runSweep(ctx context.Context) {
	for {
		swept, err := e.Sweep(ctx)
		if err != nil && ctx.Err() == nil {
			e.log.Error("sweeping failed, and is tried again in a minute", slog.Any("error", err))
		}
		if swept > 0 {
			e.log.Debug("swept", slog.Int("rows", swept))
		}
		if !sleep(ctx, sweepEvery) {
			return
		}
	}
}

// Sweep deletes everything that died of age, and says how many rows. Run calls
// it every minute.
func (e *Engine) Sweep(ctx context.Context) (rows int, err error) {
	for what, before := range sweepBefore(e.now(), e.opts.VerifyTTL) {
		for {
			var n int
			err := e.store.Update(ctx, func(tx Tx) (err error) {
				n, err = tx.Sweep(ctx, what, before, sweepBatch)
				return err
			})
			rows += n
			if err != nil {
				return rows, err
			}
			if n < sweepBatch {
				break
			}
			if !sleep(ctx, sweepPause) {
				return rows, ctx.Err()
			}
		}
	}
	n, err := e.sweepLimits(ctx)
	return rows + n, err
}

// sweepLimits goes once through all counters that may have run out. A batch is bounded
// by the counters that it looks at, since most of them may be in use.
func (e *Engine) sweepLimits(ctx context.Context) (rows int, err error) {
	before := e.now()
	for mark := (LimitMark{}); ; {
		var next LimitMark
		var n int
		err := e.store.Update(ctx, func(tx Tx) (err error) {
			next, n, err = tx.SweepLimits(ctx, mark, before, sweepLook)
			return err
		})
		rows += n
		if mark = next; err != nil || mark == (LimitMark{}) {
			return rows, err
		}
		if !sleep(ctx, sweepPause) {
			return rows, ctx.Err()
		}
	}
}

// sleep waits, and reports whether it did to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
