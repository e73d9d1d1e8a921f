package passhash

import (
	"sync"
	"time"
)

// A Level makes all failed sign-ins take the same time. A hash of another system (a foreign hash) takes more or less
// time to check than a hash of this server. The difference would reveal that an account exists. Therefore a failure
// takes as long as the longest recent check of any hash. This time decreases slowly, but stays at least as long as
// the longest recent check of a foreign hash. If no foreign hash was checked recently, a failure does not wait.
type Level struct {
	mu             sync.Mutex
	longestForeign [2]time.Duration // in this and in the previous period, or 0
	longestRecent  time.Duration    // any hash
}

// maxLevel bounds the wait, so that one slow check does not delay every failure.
const maxLevel = time.Second

// Wait returns how much longer a failure must take, after the check has taken checkDuration. isForeignHash means that
// the hash came from another system.
func (l *Level) Wait(checkDuration time.Duration, isForeignHash bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	bounded := min(checkDuration, maxLevel)
	if isForeignHash {
		l.longestForeign[0] = max(l.longestForeign[0], bounded)
	}
	slowest := max(l.longestForeign[0], l.longestForeign[1])
	l.longestRecent = max(l.longestRecent-l.longestRecent/64, slowest, bounded)
	if slowest == 0 {
		return 0
	}
	return max(l.longestRecent-checkDuration, 0)
}

// Renew begins a new period. Level forgets the checks of foreign hashes after two periods, so a check that was slow
// because the machine was busy does not delay failures forever.
func (l *Level) Renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longestForeign = [2]time.Duration{0, l.longestForeign[0]}
}
