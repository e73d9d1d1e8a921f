// Package ratelimit is the generic cell rate algorithm (GCRA, ITU-T I.371) as a
// pure function: one moment in time is all that a counter remembers.
//
// It knows arithmetic. What is limited, by how much, and where counters lie is
// others' business; the statement of each store is held against Decide.
package ratelimit

import (
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Decide takes one use of a limit that allows span/cost uses in a span, refilled
// evenly. tat is the theoretical arrival time that the counter remembers: how
// far into the future what was used reaches; the zero time for a new one. If the
// use is refused, wait is how long until it would be allowed, and tat stays.
//
// A clock that was set back locks nobody out for longer than span: a tat that
// lies further ahead than the clocks of two processes can account for is no use
// of today, and has room for one use more.
func Decide(tat, now time.Time, cost, span time.Duration) (after time.Time, wait time.Duration) {
	used := max(tat.Sub(now), 0)
	if used > 2*span-cost {
		used = span - cost
	}
	if over := used + cost - span; over > 0 {
		return tat, over
	}
	return now.Add(used + cost), 0
}

// Refund gives one use back. It never makes a counter better than new.
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

// Key names a counter. The subject is hashed: a counter should not tell whose it
// is, nor grow with what strangers send.
func Key(purpose, subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return purpose + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}
