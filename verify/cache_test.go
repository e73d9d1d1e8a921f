package verify_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/verify"
)

// JWT-11
func TestACachedTokenIsRejectedAfterItsExpiry(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := i.verifier(t)
	token := i.sign(t, k, nil)
	wantError(t, v, token, nil)
	i.clock.advance(899 * time.Second)
	wantError(t, v, token, nil)
	i.clock.advance(time.Second)
	wantError(t, v, token, verify.ErrExpired)
}

// JWT-11
func TestACachedTokenIsRejectedAfterItsSessionEnded(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := i.verifier(t)
	token, other := i.sign(t, k, nil),
		i.sign(t, k, func(c *accesstoken.Claims) { c.SessionID, c.Subject = "s2", "eve" })
	wantError(t, v, token, nil)
	wantError(t, v, other, nil)
	v.Revocations().EndSession("s1")
	wantError(t, v, token, verify.ErrRevoked)
	wantError(t, v, other, nil)
	v.Revocations().ChangeClaims("eve", i.clock.Now().Unix()+1)
	wantError(t, v, other, verify.ErrExpired)
	i.clock.advance(time.Second)
	wantError(t, v, i.sign(t, k, func(c *accesstoken.Claims) { c.SessionID, c.Subject = "s2", "eve" }), nil)
}

// JWT-11
func TestACachedTokenIsRejectedAfterItsKeyWasRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old, k := newKey(t, accesstoken.ES256), newKey(t, accesstoken.ES256)
		i := newFakeIssuer(old, k)
		v := i.verifierWithoutNetwork(t, verify.Options{})
		defer v.Close()
		token, kept := i.sign(t, old, nil), i.sign(t, k, nil)
		wantError(t, v, token, nil)
		wantError(t, v, kept, nil)
		i.publish(k)
		time.Sleep(5 * time.Minute)
		wantError(t, v, token, verify.ErrInvalid)
		wantError(t, v, kept, nil)
	})
}

func TestSettingTheClockChangesTokenExpiryOnly(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := i.verifier(t)
	token := i.sign(t, k, nil)
	wantError(t, v, token, nil)
	v.Revocations().EndSession("s2")
	ended := i.sign(t, k, func(c *accesstoken.Claims) { c.SessionID = "s2" })
	for _, step := range []struct {
		by   time.Duration
		want error
	}{
		{-5 * time.Second, nil}, // within the leeway
		{-time.Second, verify.ErrInvalid},
		{6 * time.Second, nil},
		{100 * 24 * time.Hour, verify.ErrExpired},
		{-100 * 24 * time.Hour, nil},
		{-100 * 24 * time.Hour, verify.ErrInvalid},
		{100 * 24 * time.Hour, nil},
	} {
		i.clock.advance(step.by)
		wantError(t, v, token, step.want)
	}
	wantError(t, v, ended, verify.ErrRevoked)
	if n := i.count("/jwks"); n != 1 {
		t.Errorf("the JWKS was read %d times", n)
	}
}

// The cache must evict tokens when it is full, and evicted tokens must still be accepted.
func TestTheCacheNeverExceedsItsSize(t *testing.T) {
	t.Parallel()
	shared, err := accesstoken.NewHS256([]byte("a secret that resource servers share"))
	must(t, err)
	i := newFakeIssuer()
	v := newVerifier(t, i.url, verify.Options{
		SigningSecret: []byte("a secret that resource servers share"), Now: i.clock.Now, CacheSize: 256})
	var tokens []string
	for n := range 5000 {
		tokens = append(tokens, i.sign(t, shared, func(c *accesstoken.Claims) { c.ID = fmt.Sprint(n) }))
	}
	for _, token := range tokens {
		wantError(t, v, token, nil)
	}
	cached := 0
	for _, token := range tokens {
		if v.Caches(token) {
			cached++
		}
	}
	if cached < 200 || cached > 256 {
		t.Errorf("%d tokens are cached", cached)
	}
	for _, token := range tokens[:100] {
		wantError(t, v, token, nil)
	}
	uncached := newVerifier(t, i.url, verify.Options{
		SigningSecret: []byte("a secret that resource servers share"), Now: i.clock.Now, CacheSize: -1})
	wantError(t, uncached, tokens[0], nil)
	wantError(t, uncached, tokens[0], nil)
	if uncached.Caches(tokens[0]) {
		t.Error("a token was cached although the cache is off")
	}
}

func TestACacheHitDoesNotAllocate(t *testing.T) { // not parallel, because it counts allocations
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := i.verifier(t)
	token := i.sign(t, k, nil)
	wantError(t, v, token, nil)
	v.Revocations().EndSession("another")
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(ctx, token) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConcurrentUseIsSafe(t *testing.T) {
	t.Parallel()
	k, other := newKey(t, accesstoken.ES256), newKey(t, accesstoken.Ed25519)
	i := newIssuer(t, k, other)
	v := newVerifier(t, i.url, verify.Options{Now: i.clock.Now, CacheSize: 8})
	var good []string
	for n := range 20 {
		good = append(good,
			i.sign(t, []accesstoken.Key{k, other}[n%2], func(c *accesstoken.Claims) { c.SessionID = fmt.Sprint(n) }))
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 300 {
				session := (n + worker) % len(good)
				identity, err := v.Verify(t.Context(), good[session])
				switch {
				case err != nil && !(session < 3 && errors.Is(err, verify.ErrRevoked)):
					t.Errorf("session %d: %v", session, err)
				case err == nil && identity.SessionID() != fmt.Sprint(session):
					t.Errorf("session %d was taken for %s", session, identity.SessionID())
				}
				if n == 100 && worker < 3 {
					v.Revocations().EndSession(fmt.Sprint(worker))
				}
				if n%50 == 0 {
					must(t, v.ReadKeys(t.Context()))
					runtime.Gosched()
				}
			}
		})
	}
	all.Wait()
	for session := range 3 {
		wantError(t, v, good[session], verify.ErrRevoked)
	}
}
