package accesstoken

import "time"

// RolesWait returns how long to wait before a user's roles may change again. changed is when the last change takes
// effect. Each change takes effect at a separate whole second, and new tokens have this second as their `iat`.
// Without the wait, three changes within a second would give an `iat` too far in the future for verifiers. If the
// wait would exceed 5 seconds, a clock was wrong, and RolesWait returns 0.
func RolesWait(changed, now time.Time) time.Duration {
	wait := changed.Add(-time.Second).Sub(now)
	if wait < 0 || wait > 5*time.Second {
		return 0
	}
	return wait
}

// NextSecond returns the next whole second after t, because `iat` has no fractions.
func NextSecond(t time.Time) time.Time { return t.Truncate(time.Second).Add(time.Second) }
