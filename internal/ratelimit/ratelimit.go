// Package ratelimit implements the generic cell rate algorithm (GCRA, ITU-T I.371) as pure functions. A counter
// consists of a single point in time.
//
// Callers choose the limits and store the counters. Each store computes Decide in SQL, and tests compare the SQL with
// Decide.
package ratelimit

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// Decide counts one use against a limit. The limit allows span/cost uses per span and refills evenly. storedTAT is
// the counter's stored value, the theoretical arrival time (TAT): at this time, the limit is completely refilled. For
// a new counter, storedTAT is the zero time.
//
// If the use is allowed, wait is 0, and newTAT is the counter's new value. If the use is refused, newTAT equals
// storedTAT, and wait is the time until a use is allowed.
//
// If the clock was set back, a client is blocked for at most span. If storedTAT is further in the future than the clock
// skew between two processes can explain, Decide treats the limit as having one remaining use.
func Decide(storedTAT, now time.Time, cost, span time.Duration) (newTAT time.Time, wait time.Duration) {
	used := max(storedTAT.Sub(now), 0)
	if used > 2*span-cost {
		used = span - cost
	}
	if over := used + cost - span; over > 0 {
		return storedTAT, over
	}
	return now.Add(used + cost), 0
}

// Refund returns the counter's value after giving back one use. It never gives a counter more uses than a new counter
// has.
func Refund(tat, now time.Time, cost time.Duration) time.Time {
	back := tat.Add(-cost)
	if back.Before(now) && tat.After(now) {
		return now
	}
	if !tat.After(now) {
		return tat
	}
	return back
}

// Key returns the key of a counter: the purpose and a hash of the subject. The hash hides
// the subject and bounds the length of the key.
func Key(purpose, subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return purpose + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// InWords formats a wait, rounded up: in seconds below a minute, else in minutes.
func InWords(wait time.Duration) string {
	n, unit := int((wait+time.Second-1)/time.Second), "second"
	if n >= 60 {
		n, unit = (n+59)/60, "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}
