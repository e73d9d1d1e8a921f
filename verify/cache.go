package verify

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"
)

// ways is how many slots a token can be stored in. If all are taken, the entry that
// expires first is evicted.
const ways = 8

// A cache stores verified tokens under their complete text, because a token that
// differs in one byte is another token. An entry proves that the signature was valid
// under the keys of that time. Expiry and revocation are checked at every Verify.
//
// The cache has a fixed size and takes no lock, and a hit writes no memory. Only valid
// tokens are stored, so forged tokens can't evict entries.
type cache struct {
	seed  maphash.Seed // random per cache, so that collisions can't be prepared
	slots []atomic.Pointer[entry]
}

type entry struct {
	token    string
	set      *keySet // the keys that verified the token
	identity *Identity
}

// newCache returns a cache for at least size tokens. A negative size gives nil, which
// stores no tokens.
func newCache(size int) *cache {
	if size < 0 {
		return nil
	}
	slots := 1 << bits.Len(uint(max(size, ways)-1))
	return &cache{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[entry], slots)}
}

// bucket returns the slots that can hold a token.
func (c *cache) bucket(token string) []atomic.Pointer[entry] {
	i := int(maphash.String(c.seed, token)&uint64(len(c.slots)-1)) &^ (ways - 1)
	return c.slots[i : i+ways]
}

// get returns the identity of a token that was verified with this key set. A new key
// set invalidates all entries, so that the tokens of a removed key are checked again.
func (c *cache) get(token string, set *keySet) *Identity {
	if c == nil {
		return nil
	}
	bucket := c.bucket(token)
	for i := range bucket {
		if e := bucket[i].Load(); e != nil && e.token == token && e.set == set {
			return e.identity
		}
	}
	return nil
}

// put stores a token. If two calls choose the same slot, one token is not stored.
func (c *cache) put(token string, set *keySet, identity *Identity, now time.Time) {
	if c == nil {
		return
	}
	bucket := c.bucket(token)
	victim, soonest := 0, int64(0)
	for i := range bucket {
		e := bucket[i].Load()
		if e == nil || e.token == token || e.set != set || e.identity.claims.Expires <= now.Unix() {
			victim = i
			break
		}
		if i == 0 || e.identity.claims.Expires < soonest {
			victim, soonest = i, e.identity.claims.Expires
		}
	}
	// Clone: the token is part of the request's header, which would stay in memory.
	bucket[victim].Store(&entry{token: strings.Clone(token), set: set, identity: identity})
}
