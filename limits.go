package watchword

import (
	"cmp"
	"context"
	"time"

	"github.com/watchword-auth/watchword/internal/ratelimit"
)

// A Limit allows Count uses in Per, refilled evenly (GCRA). A negative Count is
// no limit.
type Limit struct {
	Count int
	Per   time.Duration
}

// Limits on use. They are counted in the store, so that they survive a restart
// and hold over all processes. A zero Limit stands for its default.
type Limits struct {
	FailedPasswords   Limit // per account, wherever a password is asked for. Default: 10 in 15 minutes
	LoginPerClient    Limit // Default: 100 in 15 minutes
	SignupPerClient   Limit // Default: 20 in 15 minutes
	MailPerClient     Limit // Default: 30 in 15 minutes
	MailPerAddress    Limit // exceeded silently. Default: 3 in an hour
	RefreshPerSession Limit // Default: 60 in a minute
	RefreshPerClient  Limit // Default: 1,200 in a minute
}

// Unlimited is for load tests.
func Unlimited() Limits {
	none := Limit{Count: -1}
	return Limits{none, none, none, none, none, none, none}
}

func (l Limits) withDefaults() Limits {
	quarter := 15 * time.Minute
	return Limits{
		FailedPasswords:   cmp.Or(l.FailedPasswords, Limit{10, quarter}),
		LoginPerClient:    cmp.Or(l.LoginPerClient, Limit{100, quarter}),
		SignupPerClient:   cmp.Or(l.SignupPerClient, Limit{20, quarter}),
		MailPerClient:     cmp.Or(l.MailPerClient, Limit{30, quarter}),
		MailPerAddress:    cmp.Or(l.MailPerAddress, Limit{3, time.Hour}),
		RefreshPerSession: cmp.Or(l.RefreshPerSession, Limit{60, time.Minute}),
		RefreshPerClient:  cmp.Or(l.RefreshPerClient, Limit{1200, time.Minute}),
	}
}

// charge is one use of the limit by a subject; the zero Charge if there is none.
func (l Limit) charge(purpose, subject string, at time.Time) Charge {
	if l.Count < 0 {
		return Charge{}
	}
	return Charge{
		Key:  ratelimit.Key(purpose, subject),
		Cost: l.Per / time.Duration(l.Count),
		Span: l.Per,
		At:   at,
	}
}

// charges drops those that are no limit.
func charges(all ...Charge) []Charge {
	var some []Charge
	for _, c := range all {
		if c != (Charge{}) {
			some = append(some, c)
		}
	}
	return some
}

// take charges all of them and returns the longest wait: above 0, the request
// is refused, but what was charged stays charged.
func take(ctx context.Context, tx Tx, charges []Charge) (wait time.Duration, err error) {
	for _, c := range charges {
		w, err := tx.Charge(ctx, c)
		if err != nil {
			return 0, err
		}
		wait = max(wait, w)
	}
	return wait, nil
}

// refund gives back what a failed password would have cost.
func refund(ctx context.Context, tx Tx, c Charge) error {
	if c == (Charge{}) {
		return nil
	}
	return tx.Refund(ctx, c)
}

func limited(wait time.Duration) *Error {
	return &Error{
		Code:       CodeRateLimited,
		Detail:     "Too many attempts. Wait a while, then try again.",
		RetryAfter: wait,
	}
}
