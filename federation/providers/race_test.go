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

// A racingStore runs a function once, between two statements of a flow.
type racingStore struct {
	federation.Store
	beforeTransaction   atomic.Pointer[func()] // after the decision
	beforeTakeChallenge atomic.Pointer[func()]
}

func (r *racingStore) Update(ctx context.Context, fn func(federation.Tx) error) error {
	if other := r.beforeTransaction.Swap(nil); other != nil {
		(*other)()
	}
	return r.Store.Update(ctx, func(tx federation.Tx) error { return fn(racingTx{tx, r}) })
}

type racingTx struct {
	federation.Tx
	store *racingStore
}

func (t racingTx) TakeChallenge(
	ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time,
) (bool, error) {
	if other := t.store.beforeTakeChallenge.Swap(nil); other != nil {
		(*other)()
	}
	return t.Tx.TakeChallenge(ctx, id, p, now)
}

// withRaces gives the site a racingStore.
func withRaces() setup {
	with := withScriptedProvider()
	with.hasRaces = true
	return with
}

// signedInWithIdentity connects the identity "ada" to a new account with a proven address.
func (s *site) signedInWithIdentity(t *testing.T) (b *browser, access string) {
	t.Helper()
	b, _ = s.createProvenAccount(t, "ada@example.com")
	b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}})
	b.get(b.leaveForProvider(s, b.post(s.url+"/account/identities/acme", url.Values{})))
	_, access = b.readAccount(s)
	return b, access
}

func (b *browser) removeOnlyIdentity(s *site, access string) {
	b.t.Helper()
	id := s.readIdentities(b.t, "ada@example.com")[0].ID
	if p := b.callAPI(s, "DELETE", "/identities/"+id, nil, access); p.StatusCode != http.StatusOK {
		b.t.Errorf("disconnect: %d %s", p.StatusCode, p.text)
	}
}

// The owner disconnects the provider while a sign-in with the identity runs. The sign-in must open no session.
//
// SW-18
func TestIdentityDisconnectedDuringASignInOpensNothing(t *testing.T) {
	onBothStores(t, withRaces(), func(t *testing.T, s *site) {
		owner, access := s.signedInWithIdentity(t)
		b := newBrowser(t)
		at := b.signInAtProvider(s, "acme", "")
		disconnect := func() { owner.removeOnlyIdentity(s, access) }
		s.racingStore.beforeTransaction.Store(&disconnect)
		b.get(at).assertLoginError(t, federation.CodeLinkRequired)
		if u, _ := b.readAccount(s); u != nil {
			t.Errorf("the browser is signed in as %v", u)
		}
	})
}

// Two browsers sign in concurrently with one identity that has no account yet. The provider reports a different
// address to each sign-in. Only one account must be created.
//
// SW-20
func TestFirstSignInsWithTwoAddressesCreateOneAccount(t *testing.T) {
	onBothStores(t, withRaces(), func(t *testing.T, s *site) {
		b, faster := newBrowser(t), newBrowser(t)
		at, other := b.signInAtProvider(s, "acme", ""), faster.signInAtProvider(s, "acme", "")
		overtake := func() {
			s.acme.setUser("ada", "other@example.com", true)
			faster.get(other).assertRedirect(t, "/account")
		}
		s.racingStore.beforeTransaction.Store(&overtake)
		b.get(at).assertRedirect(t, "/account")
		if u, _ := b.readAccount(s); u["email"] != "other@example.com" {
			t.Errorf("the slower browser is signed in as %v", u)
		}
		if n := s.queryRows(t, "SELECT COUNT(*) FROM users")[0][0]; n != "1" {
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
		b, _ := s.createProvenAccount(t, "ada@example.com")
		b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}})
		at := b.leaveForProvider(s, b.post(s.url+"/account/identities/acme", url.Values{}))
		_, access := b.readAccount(s)
		end := func() { b.callAPI(s, "POST", "/logout-all", nil, access) }
		s.racingStore.beforeTransaction.Store(&end)
		if p := b.get(at); !strings.Contains(p.location(), "code=CHALLENGE_INVALID") {
			t.Errorf("got %d to %s", p.StatusCode, p.location())
		}
		if all := s.readIdentities(t, "ada@example.com"); len(all) != 0 {
			t.Errorf("identities: %+v", all)
		}
	})
}

// Two sign-ins concurrently complete the same pending connection. After the faster sign-in has connected the
// provider, the user disconnects the provider. The slower sign-in must not connect the provider again. The test omits
// SQLite, which runs such transactions one after the other.
//
// SW-14
func TestLinkIsCompletedOnce(t *testing.T) {
	t.Parallel()
	s := startSite(t, "postgres", withRaces())
	s.createProvenAccount(t, "ada@example.com")
	b := newBrowser(t)
	b.get(b.signInAtProvider(s, "acme", "?page=login")).assertLoginError(t, federation.CodeLinkRequired)
	site, err := url.Parse(s.url)
	must(t, err)
	faster := newBrowser(t)
	faster.Jar.SetCookies(site, b.Jar.Cookies(site))
	login := map[string]any{"email": "ada@example.com", "password": password}
	overtake := func() {
		p := faster.callAPI(s, "POST", "/login", login, "")
		faster.removeOnlyIdentity(s, parse[struct{ AccessToken string }](t, p.text).AccessToken)
	}
	s.racingStore.beforeTakeChallenge.Store(&overtake)
	if p := b.callAPI(s, "POST", "/login", login, ""); p.StatusCode != http.StatusOK {
		t.Errorf("%d %s", p.StatusCode, p.text)
	}
	if all := s.readIdentities(t, "ada@example.com"); len(all) != 0 {
		t.Errorf("identities: %+v", all)
	}
	if s.racingStore.beforeTakeChallenge.Load() != nil {
		t.Error("the race did not take place")
	}
}
