package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/ratelimit"
)

// A counter is the theoretical arrival time of internal/ratelimit, in
// nanoseconds: one use of a limit of thousands would not fit milliseconds.
const (
	// charge is ratelimit.Decide. $2 is now and one use, $3 now and the span, $4
	// now, $5 too far ahead, $6 one use, $7 the latest that has room for another.
	//
	// Too far ahead is what would lock somebody out for longer than the span. Only
	// a clock that was set back leaves such a counter, and it counts as having
	// room for one use more. The clocks of two processes may well differ by less.
	//
	// sweep_from never changes: a use should not cost an index anything.
	charge = `INSERT INTO limits (key, tat, sweep_from) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET tat = CASE
			WHEN limits.tat < $4 THEN $2 WHEN limits.tat > $5 THEN $3 ELSE limits.tat + $6 END
		WHERE limits.tat <= $7 OR limits.tat > $5`
	selectLimit = `SELECT tat FROM limits WHERE key = $1`
	refund      = `UPDATE limits SET tat = CASE WHEN tat - $1 < $2 THEN $2 ELSE tat - $1 END WHERE tat > $2 AND key = $3`
)

func (t Tx) Charge(ctx context.Context, c watchword.Charge) (time.Duration, error) {
	allowed, err := t.change(ctx, charge, argsOfCharge(c)...)
	if err != nil || allowed {
		return 0, err
	}
	return t.Wait(ctx, c)
}

const chargeArgs = 7

func argsOfCharge(c watchword.Charge) []any {
	now, cost, span := c.At.UnixNano(), int64(c.Cost), int64(c.Span)
	return []any{c.Key, now + cost, now + span, now, now + 2*span - cost, cost, now + span - cost}
}

// Wait is how long a charge that was refused has to wait: above 0, though by now
// it might be taken.
func (t Tx) Wait(ctx context.Context, c watchword.Charge) (time.Duration, error) {
	tat, err := row(ctx, t, func(s scanner) (n int64, err error) { return n, s.Scan(&n) }, selectLimit, c.Key)
	if err != nil {
		return 0, err
	}
	_, wait := ratelimit.Decide(time.Unix(0, tat), c.At, c.Cost, c.Span)
	return max(wait, time.Millisecond), nil
}

func (t Tx) Refund(ctx context.Context, c watchword.Charge) error {
	_, err := t.exec(ctx, refund, int64(c.Cost), c.At.UnixNano(), c.Key)
	return err
}
