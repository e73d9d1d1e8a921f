// Package transcript keeps what a program or a logger writes, for a test to read
// while it still does.
package transcript

import (
	"strings"
	"sync"
)

// A Transcript may be written and read at once.
type Transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write never fails.
func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

// String is what was written until now.
func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
