// Package tokencache caches verified access tokens, for package verify and the engine.
package tokencache

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"
)

// slotsPerToken is how many slots can hold a token. If all are taken, the entry that expires first is evicted.
const slotsPerToken = 8

// A Cache stores a value for each verified token, under the complete text of the token, because a token that differs
// in one byte is another token. An entry also contains the key set, of type K, whose keys verified the signature.
// Callers check expiry and revocation at every use.
//
// The cache has a fixed size and takes no lock, and a hit writes no memory. Only valid tokens are stored, so forged
// tokens can't evict entries.
type Cache[K comparable, V any] struct {
	seed  maphash.Seed // random per cache, so that collisions can't be prepared
	slots []atomic.Pointer[entry[K, V]]
}

type entry[K comparable, V any] struct {
	token   string
	keys    K
	value   V
	expires int64 // Unix seconds
}

// New returns a cache for at least size tokens. For a negative size, New returns nil, a
// cache that stores no tokens.
func New[K comparable, V any](size int) *Cache[K, V] {
	if size < 0 {
		return nil
	}
	slots := 1 << bits.Len(uint(max(size, slotsPerToken)-1))
	return &Cache[K, V]{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[entry[K, V]], slots)}
}

func (c *Cache[K, V]) slotsOf(token string) []atomic.Pointer[entry[K, V]] {
	i := int(maphash.String(c.seed, token)&uint64(len(c.slots)-1)) &^ (slotsPerToken - 1)
	return c.slots[i : i+slotsPerToken]
}

// Get returns the value of a token that was verified with these keys. It ignores
// entries of other key sets, so the tokens of a removed key are checked again.
func (c *Cache[K, V]) Get(token string, keys K) (value V, ok bool) {
	if c == nil {
		return value, false
	}
	bucket := c.slotsOf(token)
	for i := range bucket {
		if e := bucket[i].Load(); e != nil && e.token == token && e.keys == keys {
			return e.value, true
		}
	}
	return value, false
}

// Put stores a token and its value. The caller passes the key set that verified the token, or an older key set. If two
// concurrent calls choose the same slot, one of the tokens is not stored.
func (c *Cache[K, V]) Put(token string, keys K, value V, expires int64, now time.Time) {
	if c == nil {
		return
	}
	bucket := c.slotsOf(token)
	victim, soonest := 0, int64(0)
	for i := range bucket {
		e := bucket[i].Load()
		if e == nil || e.token == token || e.keys != keys || e.expires <= now.Unix() {
			victim = i
			break
		}
		if i == 0 || e.expires < soonest {
			victim, soonest = i, e.expires
		}
	}
	// Without Clone, the whole header of the request would stay in memory.
	bucket[victim].Store(&entry[K, V]{strings.Clone(token), keys, value, expires})
}
