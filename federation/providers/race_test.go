package providers_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// In these tests, a second request changes the store during a callback. The store runs this request at a fixed point,
// so the race takes place in every run.

// A race is a store that runs a function one time, between two statements of a flow.
type race struct {
	federation.Store
	decided atomic.Pointer[func()] // after the decision, before the transaction that carries it out
	read    atomic.Pointer[func()] // in the transaction, before TakeChallenge
}

func (r *race) Update(ctx context.Context, fn func(federation.Tx) error) error {
	if other := r.decided.Swap(nil); other != nil {
		(*other)()
	}
	return r.Store.Update(ctx, func(tx federation.Tx) error { return fn(racingTx{tx, r}) })
}

type racingTx struct {
	federation.Tx
	race *race
}

func (t racingTx) TakeChallenge(
	ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time,
) (bool, error) {
	if other := t.race.read.Swap(nil); other != nil {
		(*other)()
	}
	return t.Tx.TakeChallenge(ctx, id, p, now)
}

// withRaces is withScripted with a store that runs races (site.race).
func withRaces() setup {
	with := withScripted()
	with.races = true
	return with
}

// The method connected returns a browser that is signed in to a proven account with the identity "ada".
func (s *site) connected(t *testing.T) (b *browser, access string) {
	t.Helper()
	b, _ = s.proven(t, "ada@example.com")
	b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}})
	b.get(b.leave(s, b.post(s.url+"/account/identities/acme", url.Values{})))
	_, access = b.me(s)
	return b, access
}

// disconnect removes the only identity of the signed-in user.
func (b *browser) disconnect(s *site, access string) {
	b.t.Helper()
	id := s.identities(b.t, "ada@example.com")[0].ID
	if p := b.call(s, "DELETE", "/identities/"+id, nil, access); p.StatusCode != http.StatusOK {
		b.t.Errorf("disconnect: %d %s", p.StatusCode, p.text)
	}
}

// The owner disconnects the provider while a sign-in with the identity runs. The sign-in must open no session.
//
// SW-18
func TestIdentityDisconnectedDuringASignInOpensNothing(t *testing.T) {
	onBothStores(t, withRaces(), func(t *testing.T, s *site) {
		owner, access := s.connected(t)
		b := newBrowser(t)
		at := b.toCallback(s, "acme", "")
		disconnect := func() { owner.disconnect(s, access) }
		s.race.decided.Store(&disconnect)
		b.get(at).fails(t, federation.CodeLinkRequired)
		if u, _ := b.me(s); u != nil {
			t.Errorf("the browser is signed in as %v", u)
		}
	})
}

// Two first sign-ins of one identity run concurrently. Between them, the address at the provider changes. Only one
// account must be created.
//
// SW-20
func TestFirstSignInsWithTwoAddressesCreateOneAccount(t *testing.T) {
	onBothStores(t, withRaces(), func(t *testing.T, s *site) {
		b, faster := newBrowser(t), newBrowser(t)
		at, other := b.toCallback(s, "acme", ""), faster.toCallback(s, "acme", "")
		overtake := func() {
			s.acme.as("ada", "other@example.com", true)
			faster.get(other).goes(t, "/account")
		}
		s.race.decided.Store(&overtake)
		b.get(at).goes(t, "/account")
		if u, _ := b.me(s); u["email"] != "other@example.com" {
			t.Errorf("the slower browser is signed in as %v", u)
		}
		if n := s.place.rows(t, "SELECT COUNT(*) FROM users")[0][0]; n != "1" {
			t.Errorf("%s accounts", n)
		}
	})
}

// The session that began a connection ends between the decision and the transaction. The server must not connect the
// identity.
//
// SW-13
func TestSessionThatEndsDuringALinkLinksNothing(t *testing.T) {
	onBothStores(t, withRaces(), func(t *testing.T, s *site) {
		b, _ := s.proven(t, "ada@example.com")
		b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}})
		at := b.leave(s, b.post(s.url+"/account/identities/acme", url.Values{}))
		_, access := b.me(s)
		end := func() { b.call(s, "POST", "/logout-all", nil, access) }
		s.race.decided.Store(&end)
		if p := b.get(at); !strings.Contains(p.location(), "code=CHALLENGE_INVALID") {
			t.Errorf("got %d to %s", p.StatusCode, p.location())
		}
		if all := s.identities(t, "ada@example.com"); len(all) != 0 {
			t.Errorf("identities: %+v", all)
		}
	})
}

// Two sign-ins each complete the same pending connection. Between them, the user disconnects the provider. The second
// sign-in must not connect it again. The test omits SQLite, which runs such transactions one after the other.
//
// SW-14
func TestLinkIsCompletedOnce(t *testing.T) {
	t.Parallel()
	s := on(t, "postgres", withRaces())
	s.proven(t, "ada@example.com")
	b := newBrowser(t)
	b.get(b.toCallback(s, "acme", "?page=login")).fails(t, federation.CodeLinkRequired)
	site, err := url.Parse(s.url)
	must(t, err)
	faster := newBrowser(t)
	faster.Jar.SetCookies(site, b.Jar.Cookies(site))
	login := map[string]any{"email": "ada@example.com", "password": password}
	overtake := func() {
		p := faster.call(s, "POST", "/login", login, "")
		faster.disconnect(s, parse[struct{ AccessToken string }](t, p.text).AccessToken)
	}
	s.race.read.Store(&overtake)
	if p := b.call(s, "POST", "/login", login, ""); p.StatusCode != http.StatusOK {
		t.Errorf("%d %s", p.StatusCode, p.text)
	}
	if all := s.identities(t, "ada@example.com"); len(all) != 0 {
		t.Errorf("identities: %+v", all)
	}
	if s.race.read.Load() != nil {
		t.Error("the race did not take place")
	}
}
