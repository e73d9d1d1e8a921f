package accesstoken

import "time"

// RolesWait returns how long to wait before a user's roles may change again. changedAt is the time at which the
// last change takes effect.
//
// Each change takes effect at its own whole second, and this second is the `iat` of new tokens. Without the wait,
// several changes within one second would move the `iat` too far into the future, and verifiers would reject the
// tokens. A wait of more than 5 seconds means that a clock was wrong, so RolesWait then returns 0.
func RolesWait(changedAt, now time.Time) time.Duration {
	wait := changedAt.Add(-time.Second).Sub(now)
	if wait < 0 || wait > 5*time.Second {
		return 0
	}
	return wait
}

// NextSecond returns the next whole second after t, because `iat` has no fractions.
func NextSecond(t time.Time) time.Time { return t.Truncate(time.Second).Add(time.Second) }
