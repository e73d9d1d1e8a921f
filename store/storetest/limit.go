package storetest

import (
	"context"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/ratelimit"
)

var limitTests = map[string]func(suite){
	"ChargeMatchesRatelimitDecide": func(s suite) {
		n := 0
		checkManyInputs(s, 5, func(t *rapid.T) {
			n++
			compareChargesWithDecide(s, t, fmt.Sprintf("counter %d", n))
		})
	},

	"LimitAllowsItsNumberOfUses": func(s suite) {
		for _, c := range []struct {
			count int
			per   time.Duration
		}{
			{1, time.Second}, {3, time.Hour}, {7, time.Minute}, {10, 15 * time.Minute},
			{60, time.Minute}, {1200, time.Minute}, {1500, time.Second},
		} {
			one := newCharge(fmt.Sprint(c), c.count, c.per)
			allowed := 0
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				for range c.count + 2 {
					wait, err := tx.Charge(ctx, one)
					if err != nil {
						return err
					}
					if wait == 0 {
						allowed++
					}
					if wait > one.Cost+time.Millisecond {
						s.Errorf("%d in %v: wait %v for a use of %v", c.count, c.per, wait, one.Cost)
					}
				}
				return nil
			})
			if allowed != c.count {
				s.Errorf("%d in %v allows %d at once", c.count, c.per, allowed)
			}
		}
	},

	"ChargeSucceedsAfterTheReturnedWait": func(s suite) {
		one := newCharge("key", 7, time.Minute)
		for s.chargeLimit(one) == 0 {
		}
		one.At = one.At.Add(s.chargeLimit(one))
		wantEqual(s, "wait after the wait", s.chargeLimit(one), 0)
	},

	"RefundRestoresOneUse": func(s suite) {
		one := newCharge("key", 3, time.Hour)
		refund := func() {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return tx.Refund(ctx, one)
			})
		}
		refund() // a refund without a charge before it
		for range 3 {
			wantEqual(s, "wait", s.chargeLimit(one), 0)
		}
		wantEqual(s, "wait when used up", s.chargeLimit(one) > 0, true)
		refund()
		wantEqual(s, "wait after a refund", s.chargeLimit(one), 0)
		for range 5 {
			refund()
		}
		for range 3 {
			wantEqual(s, "wait after all refunds", s.chargeLimit(one), 0)
		}
		wantEqual(s, "a limit that was refunded more than it was used is used up", s.chargeLimit(one) > 0, true)
	},

	// After a clock was set back, a limit must block its users for at most one span.
	//
	// RT-5
	"ClockSetBackBlocksAtMostOneSpan": func(s suite) {
		const day = 24 * time.Hour
		for i, back := range []time.Duration{time.Millisecond, time.Minute, time.Hour, day, 10 * 365 * day} {
			one := newCharge(fmt.Sprint(i), 3, time.Hour)
			for s.chargeLimit(one) == 0 {
			}
			one.At = Start.Add(-back)
			waited := time.Duration(0)
			for wait := s.chargeLimit(one); wait > 0; wait = s.chargeLimit(one) {
				waited += wait
				one.At = one.At.Add(wait)
				if waited > one.Span {
					s.Errorf("set back by %v: locked out for more than %v", back, waited)
					break
				}
			}
			used := 1
			for s.chargeLimit(one) == 0 {
				used++
			}
			if used > 3 {
				s.Errorf("set back by %v: allows %d uses of 3", back, used)
			}
		}
	},
}

// newCharge returns a charge for one use at the time Start. The limit allows count uses per span.
func newCharge(key string, count int, span time.Duration) watchword.Charge {
	return watchword.Charge{Key: key, Cost: span / time.Duration(count), Span: span, At: Start}
}

func (s suite) chargeLimit(c watchword.Charge) (wait time.Duration) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
		wait, err = tx.Charge(ctx, c)
		return err
	})
	return wait
}

// compareChargesWithDecide makes random charges and refunds, and compares the results with ratelimit.Decide. The
// clock usually goes forward, and sometimes back.
func compareChargesWithDecide(s suite, t *rapid.T, key string) {
	count := rapid.IntRange(1, 8).Draw(t, "count")
	cost := time.Duration(rapid.Int64Range(1, int64(5*time.Second)).Draw(t, "cost"))
	one := watchword.Charge{Key: key, Cost: cost, Span: cost * time.Duration(count), At: Start}
	var tat time.Time
	t.Repeat(map[string]func(*rapid.T){
		"charge": func(t *rapid.T) {
			var want time.Duration
			tat, want = ratelimit.Decide(tat, one.At, one.Cost, one.Span)
			if want > 0 {
				want = max(want, time.Millisecond)
			}
			if got := s.chargeLimit(one); got != want {
				t.Fatalf("wait %v, want %v", got, want)
			}
		},
		"refund": func(t *rapid.T) {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.Refund(ctx, one) })
			tat = ratelimit.Refund(tat, one.At, one.Cost)
		},
		"time passes": func(t *rapid.T) {
			one.At = one.At.Add(cost * time.Duration(rapid.IntRange(0, 30).Draw(t, "tenths of a cost")) / 10)
		},
		"the clock is set back": func(t *rapid.T) {
			one.At = one.At.Add(-cost * time.Duration(rapid.IntRange(0, 30).Draw(t, "costs")))
		},
	})
}
