// Package lograte limits how many log lines requests can cause.
//
// It receives only keys and times, not the lines.
package lograte

import (
	"sync"
	"time"
)

// A Limit bounds the lines in one window of time.
type Limit struct {
	Window time.Duration
	Total  int // maximum number of lines per window, and of keys in memory
	PerKey int // maximum number of lines with the same key per window
}

// A Gate decides which lines may be logged. It is safe for concurrent use.
type Gate struct {
	limit Limit

	mu            sync.Mutex
	windowStart   time.Time
	linesInWindow int
	linesByKey    map[string]int
	refusedLines  int // since the last allowed line
}

// New returns a Gate with the given limit.
func New(limit Limit) *Gate { return &Gate{limit: limit, linesByKey: map[string]int{}} }

// Allow reports whether a line with that key may be logged at now. If so, it also
// returns how many lines, of any key, were refused since the last allowed one.
func (g *Gate) Allow(key string, now time.Time) (skipped int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if age := now.Sub(g.windowStart); age >= g.limit.Window || age < 0 {
		g.windowStart, g.linesInWindow = now, 0
		clear(g.linesByKey)
	}
	if g.linesInWindow >= g.limit.Total || g.linesByKey[key] >= g.limit.PerKey {
		g.refusedLines++
		return 0, false
	}
	g.linesInWindow++
	g.linesByKey[key]++
	skipped, g.refusedLines = g.refusedLines, 0
	return skipped, true
}

// Keys returns how many keys are in memory: at most Limit.Total.
func (g *Gate) Keys() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.linesByKey)
}
