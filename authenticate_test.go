package watchword_test

import (
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// The engine verifies the signature of an access token once, and caches the result. It caches no other fact about the
// token or its session.

// JWT-11
func TestACachedAccessTokenIsRejectedAtItsExpiry(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	r.authenticate(t, in)
	r.clock.advance(in.ExpiresIn - time.Second)
	r.authenticate(t, in)
	r.clock.advance(time.Second)
	_, err := r.Authenticate(t.Context(), in.AccessToken)
	wantCode(t, err, watchword.CodeTokenExpired)
	r.clock.advance(-time.Second)
	r.authenticate(t, in)
	r.clock.advance(-in.ExpiresIn - time.Hour) // a clock that was set back: the token is not valid yet
	_, err = r.Authenticate(t.Context(), in.AccessToken)
	wantCode(t, err, watchword.CodeTokenInvalid)
}

// JWT-11
func TestACachedAccessTokenIsRejectedAfterItsKeyWasRemoved(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	r.authenticate(t, in)
	keys, err := r.Operator().Keys(t.Context()) // Keys makes the engine read its keys again
	must(t, err)
	r.authenticate(t, in)
	must(t,
		r.store.Update(t.Context(), func(tx watchword.Tx) error { return tx.DeleteKey(t.Context(), activeID(keys)) }))
	_, err = r.Operator().Keys(t.Context())
	must(t, err)
	_, err = r.Authenticate(t.Context(), in.AccessToken)
	wantCode(t, err, watchword.CodeTokenInvalid)
	r.authenticate(t, r.login(t, "ada@example.com", laptop))
}

// JWT-10, JWT-11
func TestAnAlteredCopyOfACachedAccessTokenIsRejected(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	r.authenticate(t, in)
	token := []byte(in.AccessToken)
	for i := range token {
		altered := append([]byte(nil), token...)
		altered[i] ^= 1
		_, err := r.Authenticate(t.Context(), watchword.Secret(altered))
		wantCode(t, err, watchword.CodeTokenInvalid)
	}
	r.authenticate(t, in)
}

// The number of allocations is stable, unlike times. The bound is slightly above the measured number. Authenticate
// needs 120 more allocations if the row of the session is not cached.
func TestAuthenticateAllocatesLittle(t *testing.T) { // not parallel, because it counts allocations
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	r.authenticate(t, in)
	ctx := t.Context()
	n := testing.AllocsPerRun(200, func() {
		if _, err := r.Authenticate(ctx, in.AccessToken); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations", n)
	if n > 5 {
		t.Errorf("%v allocations, want at most 5", n)
	}
}
