package passhash

import (
	"sync"
	"time"
)

// A Level makes failed sign-ins take alike where hashes do not: one that another
// system made takes more time to check than ours, or less, and would tell that
// there is an account. Failures take as long as the dearest of those, and as the
// longest of late. Without any of them nothing waits.
type Level struct {
	mu      sync.Mutex
	foreign [2]time.Duration // the longest check of one, in this period and the last; 0: there was none
	longest time.Duration    // of late, of any
}

const maxLevel = time.Second

// Wait is how much longer a failure has to take than it took; foreign says that it
// was with a hash that another system made.
func (l *Level) Wait(took time.Duration, foreign bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	bounded := min(took, maxLevel)
	if foreign {
		l.foreign[0] = max(l.foreign[0], bounded)
	}
	dearest := max(l.foreign[0], l.foreign[1])
	l.longest = max(l.longest-l.longest/64, dearest, bounded)
	if dearest == 0 {
		return 0
	}
	return max(l.longest-took, 0)
}

// Renew begins a period. So a check in a bad moment of the machine does not make
// failures slow for ever.
func (l *Level) Renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.foreign = [2]time.Duration{0, l.foreign[0]}
}
