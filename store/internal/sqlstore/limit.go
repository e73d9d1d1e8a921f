package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/ratelimit"
)

// The column tat is the theoretical arrival time of internal/ratelimit (GCRA), in nanoseconds since 1970.
// Milliseconds would be too coarse, because one use of a large limit can advance tat by less than a millisecond.
const (
	// charge checks a limit and counts one use, in one statement, so concurrent requests can't exceed the limit. It
	// is the SQL form of ratelimit.Decide. Parameters:
	//
	//	$2  now + one use     the new tat of an unused counter
	//	$3  now + span        also the initial sweep_from
	//	$4  now               a lower tat: all uses have expired, so the counter starts again
	//	$5  now + 2 spans - one use
	//	                      a higher tat: too far in the future, see the next paragraph
	//	$6  one use
	//	$7  now + span - one use
	//	                      a lower or equal tat: the limit allows one more use
	//
	// If the clock was set back, a tat can be too far in the future, and would block a user for longer than the span.
	// The statement then allows one more use and sets tat to $3. The bound $5 tolerates clocks that differ by up to a
	// span minus one use.
	//
	// sweep_from never changes, so that counting a use updates no index.
	charge = `INSERT INTO limits (key, tat, sweep_from) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET tat = CASE
			WHEN limits.tat < $4 THEN $2 WHEN limits.tat > $5 THEN $3 ELSE limits.tat + $6 END
		WHERE ` + hasRoom
	hasRoom     = `(limits.tat <= $7 OR limits.tat > $5)`
	selectLimit = `SELECT tat FROM limits WHERE key = $1`

	// refund reverses one use. It never sets tat below now, because a counter in the past would allow more uses than
	// the limit.
	refund = `UPDATE limits SET tat = CASE WHEN tat - $1 < $2 THEN $2 ELSE tat - $1 END
		WHERE tat > $2 AND key = $3`
)

// Charge counts one use and returns 0. If the limit is reached, it counts nothing and returns how long to wait.
func (t Tx) Charge(ctx context.Context, c watchword.Charge) (time.Duration, error) {
	allowed, err := t.tryChange(ctx, charge, chargeArgs(c)...)
	if err != nil || allowed {
		return 0, err
	}
	return t.Wait(ctx, c)
}

// chargeArgCount is the number of parameters of charge. In RotateStatement, the parameters of each charge follow
// those of the previous charge.
const chargeArgCount = 7

func chargeArgs(c watchword.Charge) []any {
	now, cost, span := c.At.UnixNano(), int64(c.Cost), int64(c.Span)
	return []any{c.Key, now + cost, now + span, now, now + 2*span - cost, cost, now + span - cost}
}

// Wait returns how long the caller of a refused charge must still wait. Between the charge and this read, a refund
// may lower the counter, or the sweep may delete it. If the limit then allows a use, Wait returns a millisecond. It
// never returns 0, because a 0 from Charge means that the use was counted.
func (t Tx) Wait(ctx context.Context, c watchword.Charge) (time.Duration, error) {
	tat, err := queryRow(ctx, t, func(s rowScanner) (n int64, err error) { return n, s.Scan(&n) }, selectLimit, c.Key)
	if err != nil && !errors.Is(err, watchword.ErrNotFound) {
		return 0, err
	}
	_, wait := ratelimit.Decide(time.Unix(0, tat), c.At, c.Cost, c.Span)
	return max(wait, time.Millisecond), nil
}

// Refund returns no error for an unknown key, because Sweep may have deleted the counter.
func (t Tx) Refund(ctx context.Context, c watchword.Charge) error {
	_, err := t.exec(ctx, refund, int64(c.Cost), c.At.UnixNano(), c.Key)
	return err
}
