// Package tally counts things by a key, from several goroutines.
//
// Callers know what the keys mean. Counts are not stored: they begin at 0 in each process.
package tally

import (
	"maps"
	"sync"
)

// Counts holds a number for each key. The zero value is ready to use.
type Counts[K comparable] struct {
	mu      sync.Mutex
	numbers map[K]uint64
}

// Add adds 1 to the count of key.
func (c *Counts[K]) Add(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.numbers == nil {
		c.numbers = map[K]uint64{}
	}
	c.numbers[key]++
}

// All returns a copy of all numbers above 0. It is never nil.
func (c *Counts[K]) All() map[K]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[K]uint64, len(c.numbers))
	maps.Copy(all, c.numbers)
	return all
}
