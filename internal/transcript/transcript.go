// Package transcript collects the output of a program or a logger, so that a test can
// read it while the program still runs.
package transcript

import (
	"strings"
	"sync"
)

// A Transcript collects output. It is safe for concurrent use.
type Transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends p. It never returns an error.
func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

// String returns the output so far.
func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
