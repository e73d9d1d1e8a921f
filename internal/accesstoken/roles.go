package accesstoken

import "time"

// RolesWait returns how long to wait before a change of roles. Each change takes effect
// at its own whole second, which becomes the `iat` of new tokens. Three changes within a
// second would date tokens further into the future than verifiers tolerate. If the last
// change is more than 5 s ahead, a clock was wrong, and RolesWait returns 0.
func RolesWait(changed, now time.Time) time.Duration {
	wait := changed.Add(-time.Second).Sub(now)
	if wait < 0 || wait > 5*time.Second {
		return 0
	}
	return wait
}

// NextSecond returns the next whole second after t, because `iat` has no fractions.
func NextSecond(t time.Time) time.Time { return t.Truncate(time.Second).Add(time.Second) }
