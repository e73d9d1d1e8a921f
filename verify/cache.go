package verify

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"
)

// ways is how many places a token may lie at. A token for which all are taken
// drives out the one that dies soonest.
const ways = 8

// A cache remembers tokens that were verified: their whole text, for a token with
// one other byte is another token. It says that a signature was good under the
// keys of then, and nothing about time or revocation, which are asked each time.
//
// It never grows, takes no lock, and a hit writes nothing. Only tokens that
// verify get in, so strangers can't drive anybody out.
type cache struct {
	seed  maphash.Seed // of this process: nobody can prepare collisions
	slots []atomic.Pointer[entry]
}

type entry struct {
	token string
	set   *keySet // it was verified with
	who   *Identity
}

// newCache makes a cache for at least size tokens, or nil, which remembers none.
func newCache(size int) *cache {
	if size < 0 {
		return nil
	}
	places := 1 << bits.Len(uint(max(size, ways)-1))
	return &cache{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[entry], places)}
}

// places are where a token may lie.
func (c *cache) places(token string) []atomic.Pointer[entry] {
	i := int(maphash.String(c.seed, token)&uint64(len(c.slots)-1)) &^ (ways - 1)
	return c.slots[i : i+ways]
}

// get returns who a token stands for if it was verified with these very keys: with
// the first JWKS that lacks a key, all of its tokens are forgotten.
func (c *cache) get(token string, set *keySet) *Identity {
	if c == nil {
		return nil
	}
	places := c.places(token)
	for i := range places {
		if e := places[i].Load(); e != nil && e.token == token && e.set == set {
			return e.who
		}
	}
	return nil
}

// put remembers a token. Two at once may take the same place: one is forgotten.
func (c *cache) put(token string, set *keySet, who *Identity, now time.Time) {
	if c == nil {
		return
	}
	places := c.places(token)
	victim, soonest := 0, int64(0)
	for i := range places {
		e := places[i].Load()
		if e == nil || e.token == token || e.set != set || e.who.claims.Expires <= now.Unix() {
			victim = i
			break
		}
		if i == 0 || e.who.claims.Expires < soonest {
			victim, soonest = i, e.who.claims.Expires
		}
	}
	// A copy, for the token is a part of a longer text, which would be kept whole.
	places[victim].Store(&entry{token: strings.Clone(token), set: set, who: who})
}
