package tokencache_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/tokencache"
)

var now = time.Unix(1_000_000, 0)

type keys struct{ name string }

// JWT-11
func TestTokenIsFoundOnlyUnderItsWholeTextAndItsKeys(t *testing.T) {
	t.Parallel()
	c := tokencache.New[*keys, int](100)
	old, current := &keys{"same"}, &keys{"same"}
	c.Put("a.b.c", old, 1, now.Unix()+60, now)
	for _, miss := range []struct {
		token string
		keys  *keys
	}{{"a.b.d", old}, {"a.b.c ", old}, {"", old}, {"a.b.c", current}, {"a.b.c", nil}} {
		if value, ok := c.Get(miss.token, miss.keys); ok {
			t.Errorf("%q under keys %p: got %d", miss.token, miss.keys, value)
		}
	}
	if value, ok := c.Get("a.b.c", old); !ok || value != 1 {
		t.Errorf("got %d, %t", value, ok)
	}
	c.Put("a.b.c", current, 2, now.Unix()+60, now)
	if value, ok := c.Get("a.b.c", current); !ok || value != 2 {
		t.Errorf("after new keys: got %d, %t", value, ok)
	}
}

// MEM-1
func TestFullCacheEvictsTheTokenThatExpiresFirst(t *testing.T) {
	t.Parallel()
	const size = 8 // one bucket
	c, k := tokencache.New[*keys, int](size), &keys{}
	for n := range size {
		c.Put(fmt.Sprint(n), k, n, now.Unix()+100+int64(n), now)
	}
	c.Put("another", k, 99, now.Unix()+900, now)
	for n := range size {
		if _, ok := c.Get(fmt.Sprint(n), k); ok != (n > 0) {
			t.Errorf("token %d: found %t", n, ok)
		}
	}
	later := now.Add(103 * time.Second) // tokens 1 to 3 have expired
	c.Put("later", k, 100, later.Unix()+900, later)
	for _, token := range []string{"another", "later", "4", "7"} {
		if _, ok := c.Get(token, k); !ok {
			t.Errorf("token %s was evicted although others have expired", token)
		}
	}
}

func TestNegativeSizeCachesNothing(t *testing.T) {
	t.Parallel()
	c, k := tokencache.New[*keys, int](-1), &keys{}
	c.Put("a", k, 1, now.Unix()+60, now)
	if _, ok := c.Get("a", k); ok {
		t.Error("the token was cached")
	}
}
