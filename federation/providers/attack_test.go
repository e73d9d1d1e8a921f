package providers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/server"
)

// call sends a request to the API as a front-end does.
func (b *browser) call(s *site, method, path string, body any, access string) page {
	b.t.Helper()
	text, err := json.Marshal(body)
	must(b.t, err)
	if body == nil {
		text = nil
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, s.url+"/api/auth"+path, bytes.NewReader(text))
	must(b.t, err)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	return b.send(r)
}

func (b *browser) register(s *site, email string) (access string) {
	b.t.Helper()
	p := b.call(s, "POST", "/register", map[string]any{"email": email, "password": password}, "")
	if p.StatusCode != http.StatusCreated {
		b.t.Fatalf("register: %d %s", p.StatusCode, p.text)
	}
	return parse[struct{ AccessToken string }](b.t, p.text).AccessToken
}

// The method proven creates an account with a proven address, and returns its browser.
func (s *site) proven(t *testing.T, email string) (*browser, string) {
	t.Helper()
	b := newBrowser(t)
	access := b.register(s, email)
	token := string(s.mail(t, watchword.MailVerify).Token)
	if p := b.call(s, "POST", "/email/verify", map[string]any{"token": token}, access); p.StatusCode != http.StatusOK {
		t.Fatalf("verify: %d %s", p.StatusCode, p.text)
	}
	return b, access
}

// identities returns the identities that are connected to the account with an address.
func (s *site) identities(t *testing.T, email string) (all []federation.Identity) {
	t.Helper()
	must(t, s.store.Federation().View(t.Context(), func(tx federation.Tx) error {
		u, err := tx.UserByEmail(t.Context(), watchword.Address(email))
		if errors.Is(err, watchword.ErrNotFound) {
			return nil
		}
		if err == nil {
			all, err = tx.Identities(t.Context(), u.ID)
		}
		return err
	}))
	return all
}

// The method goes checks that a response redirects to a URL.
func (p page) goes(t *testing.T, to string) {
	t.Helper()
	if p.StatusCode != http.StatusSeeOther || p.location() != to {
		t.Fatalf("got %d to %q, want 303 to %q", p.StatusCode, p.location(), to)
	}
}

// The method fails checks that a response redirects to the sign-in page with an error code.
func (p page) fails(t *testing.T, code watchword.Code) { t.Helper(); p.failsOn(t, "/login", code) }

func (p page) failsOn(t *testing.T, path string, code watchword.Code) {
	t.Helper()
	to, err := url.Parse(p.location())
	must(t, err)
	if p.StatusCode != http.StatusSeeOther || to.Path != path || to.Query().Get("code") != string(code) {
		t.Fatalf("got %d to %q, want 303 to %s with %s", p.StatusCode, p.location(), path, code)
	}
}

// A squatter signs up with the address of the victim and waits. When the victim later signs in with a provider, the
// squatter must lose all access to the account.
//
// SW-1, SW-2
func TestSquatterLosesEverythingAtTheFirstProof(t *testing.T) {
	onBothStores(t, withScripted(), func(t *testing.T, s *site) {
		squatter := newBrowser(t)
		access := squatter.register(s, "ada@example.com")
		link := string(s.mail(t, watchword.MailVerify).Token)
		// A user can't connect an identity to an account with an unproven address. If the store has such an identity
		// anyway, the first proof of the address must delete it.
		if p := squatter.call(s, "POST", "/identities/acme", nil, access); p.StatusCode != 403 {
			t.Errorf("link to an unproven account: %d %s", p.StatusCode, p.text)
		}
		user, _ := squatter.me(s)
		id := watchword.UserID(user["id"].(string))
		must(t, s.store.Federation().Update(t.Context(), func(tx federation.Tx) error {
			_, err := tx.InsertIdentity(t.Context(), federation.Identity{ID: "x", UserID: id, Provider: "acme",
				Issuer: s.acme.URL, Subject: "mallory", LinkedAt: time.Now()})
			return err
		}))

		victim := newBrowser(t)
		victim.get(victim.toCallback(s, "acme", "")).goes(t, "/account")
		got, _ := victim.me(s)
		if got["id"] != user["id"] || got["emailVerified"] != true {
			t.Errorf("the victim has %v", got)
		}
		if all := s.identities(t, "ada@example.com"); len(all) != 1 || all[0].Subject != "ada" {
			t.Errorf("identities: %+v", all)
		}
		if again, _ := squatter.me(s); again != nil {
			t.Error("the refresh token of the squatter still works")
		}
		for path, body := range map[string]map[string]any{
			"/login":          {"email": "ada@example.com", "password": password},
			"/email/verify":   {"token": link, "password": password},
			"/password/reset": {"token": link, "password": "another long password"},
		} {
			if p := newBrowser(t).call(s, "POST", path, body, ""); p.StatusCode == 200 {
				t.Errorf("%s works: %s", path, p.text)
			}
		}
		if p := squatter.call(s, "GET", "/me", nil, access); p.StatusCode != 401 {
			t.Errorf("the access token of the squatter works: %d", p.StatusCode)
		}
	})
}

// If the provider does not guarantee the address, the response must be the same with and without an account.
//
// SW-3
func TestUnvouchedAddressRevealsNoAccount(t *testing.T) {
	onBothStores(t, withScripted(), func(t *testing.T, s *site) {
		s.proven(t, "ada@example.com")
		s.acme.as("mallory", "ada@example.com", false)
		taken := newBrowser(t)
		first := taken.mailed(s, "?page=login")
		s.acme.as("bob", "bob@example.com", false)
		free := newBrowser(t)
		second := free.mailed(s, "?page=login")
		strip := func(p page) string { // each page has another nonce
			_, nonce, _ := strings.Cut(p.Header.Get("Content-Security-Policy"), "nonce-")
			nonce, _, _ = strings.Cut(nonce, "'")
			return strings.ReplaceAll(p.text, nonce, "")
		}
		if first.StatusCode != 200 || second.StatusCode != 200 || strip(first) != strip(second) {
			t.Errorf("the pages differ: %d, %d\n%s\n%s", first.StatusCode, second.StatusCode, first.text, second.text)
		}
		if u, _ := taken.me(s); u != nil || len(s.identities(t, "ada@example.com")) != 0 {
			t.Error("the identity was linked")
		}
		s.mail(t, watchword.MailSignupExisting)

		// One of the two addresses has no account. Its owner completes the sign-up with the mailed link and the same
		// identity.
		token := string(s.mail(t, watchword.MailVerify).Token)
		s.acme.as("mallory", "bob@example.com", false)
		other := newBrowser(t)
		other.get(other.through(s, token)).fails(t, watchword.CodeInvalidCredentials)
		s.acme.as("bob", "somebody@example.com", false)
		owner := newBrowser(t)
		owner.get(owner.through(s, token)).goes(t, "/account")
		u, _ := owner.me(s)
		if u["email"] != "bob@example.com" || u["emailVerified"] != true {
			t.Errorf("the account is %v", u)
		}
		again := newBrowser(t)
		p := again.post(s.url+"/verify", url.Values{"token": {token}, "action": {"provider:acme"}})
		if p.StatusCode != 400 {
			t.Errorf("the link works twice: %d", p.StatusCode)
		}
	})
}

// The method through opens a mailed link, continues with the provider, and returns the URL of the provider's
// response.
func (b *browser) through(s *site, token string) string {
	b.t.Helper()
	return b.leave(s, b.post(s.url+"/verify", url.Values{"token": {token}, "action": {"provider:acme"}}))
}

// The method leave follows the button to the provider on the page p, and returns the URL of the provider's response.
func (b *browser) leave(s *site, p page) string {
	b.t.Helper()
	_, after, found := strings.Cut(p.text, `class="button" href="`)
	if !found {
		b.t.Fatalf("the page leads to no provider: %d %s", p.StatusCode, p.text)
	}
	address, _, _ := strings.Cut(after, `"`)
	_, at := b.follow(html.UnescapeString(address), federation.RedirectURI(s.url, "acme"))
	return at
}

// SW-14
func TestProvenAccountIsLinkedAfterASignInToIt(t *testing.T) {
	onBothStores(t, withScripted(), func(t *testing.T, s *site) {
		s.proven(t, "ada@example.com")
		s.proven(t, "bob@example.com")
		begin := func() *browser {
			b := newBrowser(t)
			to := b.get(b.toCallback(s, "acme", "?page=login"))
			to.fails(t, federation.CodeLinkRequired)
			shown := b.get(s.url + to.location())
			if !strings.Contains(shown.text, "You already have an account here.") ||
				!strings.Contains(shown.text, `value="ada@example.com"`) || !strings.Contains(shown.text, "Acme is connected") {
				t.Errorf("the page does not ask for the password: %s", shown.text)
			}
			return b
		}
		// If a different user signs in in this browser, the server must not connect the identity.
		b := begin()
		b.post(s.url+"/login", url.Values{"email": {"bob@example.com"}, "password": {password}}).goes(t, "/account")
		if len(s.identities(t, "ada@example.com"))+len(s.identities(t, "bob@example.com")) != 0 {
			t.Fatal("the identity was linked to an account of another user")
		}
		// A wrong password must not connect the identity. The right password must.
		b = begin()
		wrong := url.Values{"email": {"ada@example.com"}, "password": {"wrong"}}
		if p := b.post(s.url+"/login", wrong); p.StatusCode != 401 {
			t.Fatalf("wrong password: %d", p.StatusCode)
		}
		if len(s.identities(t, "ada@example.com")) != 0 {
			t.Fatal("a wrong password linked the identity")
		}
		b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}}).goes(t, "/account")
		if all := s.identities(t, "ada@example.com"); len(all) != 1 || all[0].Subject != "ada" {
			t.Fatalf("identities: %+v", all)
		}
		if m := s.mail(t, watchword.MailIdentityLinked); m.Factor != "Acme" || m.To != "ada@example.com" {
			t.Errorf("the mail is %+v", m)
		}
		if account := b.get(s.url + "/account"); !strings.Contains(account.text, "Disconnect Acme") {
			t.Errorf("the account page does not show the connection: %s", account.text)
		}
		next := newBrowser(t)
		next.get(next.toCallback(s, "acme", "")).goes(t, "/account")
	})
}

// A front-end reads the error code LINK_REQUIRED from the fragment of the URL. Its own API call for a sign-in must
// connect the identity.
//
// SW-12
func TestFrontEndCompletesALinkByItsOwnSignIn(t *testing.T) {
	const app = "http://localhost:5173/inbox?x=1"
	with := withScripted()
	with.edge = func(o *server.Options) { o.AllowedOrigins = []string{"http://localhost:5173"} }
	onBothStores(t, with, func(t *testing.T, s *site) {
		s.proven(t, "ada@example.com")
		b := newBrowser(t)
		query := "?" + url.Values{"return_to": {app}}.Encode()
		b.get(b.toCallback(s, "acme", query)).goes(t, app+"#error=LINK_REQUIRED")
		login := map[string]any{"email": "ada@example.com", "password": password}
		if p := b.call(s, "POST", "/login", login, ""); p.StatusCode != 200 {
			t.Fatalf("%d %s", p.StatusCode, p.text)
		}
		if len(s.identities(t, "ada@example.com")) != 1 {
			t.Fatal("the identity was not linked")
		}
		b = newBrowser(t)
		b.get(b.toCallback(s, "acme", query)).goes(t, app)
		// An attempt whose return_to is at another site must return to this site.
		b = newBrowser(t)
		b.get(b.toCallback(s, "acme", "?return_to=https%3A%2F%2Fevil.example%2F")).goes(t, "/account")
	})
}

// SW-13
func TestLinkFromTheAccountPage(t *testing.T) {
	onBothStores(t, withScripted(), func(t *testing.T, s *site) {
		s.acme.as("ada at acme", "else@example.net", false)
		b, _ := s.proven(t, "ada@example.com")
		b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}})
		connect := func(b *browser) string { return b.leave(s, b.post(s.url+"/account/identities/acme", url.Values{})) }
		callback := connect(b)
		// A callback in another browser is refused.
		newBrowser(t).get(callback).fails(t, watchword.CodeChallengeInvalid)
		if p := b.get(callback); p.location() != "/account?done=linked" {
			t.Fatalf("got %d to %s", p.StatusCode, p.location())
		}
		if all := s.identities(t, "ada@example.com"); len(all) != 1 || all[0].Email != "else@example.net" {
			t.Fatalf("identities: %+v", all)
		}
		// An identity that is connected to bob must stay connected to bob, even if another user tries to connect it.
		other, _ := s.proven(t, "bob@example.com")
		other.post(s.url+"/login", url.Values{"email": {"bob@example.com"}, "password": {password}})
		if p := other.get(connect(other)); !strings.Contains(p.location(), "code=IDENTITY_TAKEN") {
			t.Errorf("taken: %d to %s", p.StatusCode, p.location())
		}
		// If the session ends while the user is at the provider, the server must not connect the identity.
		third, _ := s.proven(t, "cyd@example.com")
		third.post(s.url+"/login", url.Values{"email": {"cyd@example.com"}, "password": {password}})
		s.acme.as("cyd", "cyd@example.com", true)
		callback = connect(third)
		_, access := third.me(s)
		third.call(s, "POST", "/logout-all", nil, access)
		if p := third.get(callback); !strings.Contains(p.location(), "code=CHALLENGE_INVALID") {
			t.Errorf("ended session: %d to %s", p.StatusCode, p.location())
		}
		if len(s.identities(t, "cyd@example.com")) != 0 {
			t.Error("a link was made for a session that has ended")
		}
	})
}

// SW-18, SW-19
func TestOnlyWayToSignInIsNotDisconnected(t *testing.T) {
	onBothStores(t, withScripted(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		b.get(b.toCallback(s, "acme", "")).goes(t, "/account")
		_, access := b.me(s)
		list := parse[struct {
			Identities []struct{ ID, Provider, Email string }
		}](t, b.call(s, "GET", "/identities", nil, access).text)
		if len(list.Identities) != 1 || list.Identities[0].Provider != "acme" {
			t.Fatalf("identities: %+v", list)
		}
		first := list.Identities[0].ID
		refused := b.call(s, "DELETE", "/identities/"+first, nil, access)
		if refused.StatusCode != 409 || !strings.Contains(refused.text, "LAST_WAY_IN") {
			t.Fatalf("%d %s", refused.StatusCode, refused.text)
		}
		// The account gets a second identity. Two concurrent requests each remove one identity: one of them must be
		// refused.
		s.acme.as("second", "ada@example.com", true)
		started := b.call(s, "POST", "/identities/acme", map[string]any{}, access)
		_, callback := b.follow(parse[struct{ URL string }](t, started.text).URL, federation.RedirectURI(s.url, "acme"))
		b.get(callback)
		all := s.identities(t, "ada@example.com")
		if len(all) != 2 {
			t.Fatalf("identities: %+v", all)
		}
		var sum atomic.Int64
		var both sync.WaitGroup
		for _, one := range all {
			both.Go(func() { sum.Add(int64(b.call(s, "DELETE", "/identities/"+one.ID, nil, access).StatusCode)) })
		}
		both.Wait()
		if sum.Load() != 200+409 {
			t.Errorf("the sum of the statuses is %d", sum.Load())
		}
		// After a recent sign-in, the user can delete the account, which has no password. The identity can then sign
		// in to a new account.
		old, _ := b.me(s)
		if p := b.call(s, "DELETE", "/me", map[string]any{"password": ""}, access); p.StatusCode != 200 {
			t.Fatalf("delete: %d %s", p.StatusCode, p.text)
		}
		s.acme.as(s.left(all, t), "ada@example.com", true)
		next := newBrowser(t)
		next.get(next.toCallback(s, "acme", "")).goes(t, "/account")
		if u, _ := next.me(s); u["id"] == old["id"] {
			t.Error("a deleted account has come back")
		}
	})
}

// A session whose last proof is old, such as a forgotten session on a borrowed computer, can't
// change the ways to sign in.
func TestConnectingAndDisconnectingNeedAFreshSession(t *testing.T) {
	var forward [2]atomic.Int64
	for i, store := range stores {
		with := withScripted()
		with.engine = func(o *watchword.Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(forward[i].Load())) }
		}
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := on(t, store, with)
			b := newBrowser(t)
			b.get(b.toCallback(s, "acme", "")).goes(t, "/account")
			one := s.identities(t, "ada@example.com")[0].ID
			forward[i].Store(int64(10 * time.Minute))
			_, access := b.me(s)
			for method, path := range map[string]string{"POST": "/identities/acme", "DELETE": "/identities/" + one} {
				p := b.call(s, method, path, nil, access)
				if p.StatusCode != 401 || !strings.Contains(p.text, "STEP_UP_REQUIRED") {
					t.Errorf("%s %s: %d %s", method, path, p.StatusCode, p.text)
				}
			}
			if all := s.identities(t, "ada@example.com"); len(all) != 1 {
				t.Errorf("identities: %+v", all)
			}
		})
	}
}

// The method left returns the subject of the first identity.
func (s *site) left(all []federation.Identity, _ *testing.T) string { return all[0].Subject }

// SW-20
func TestFiftyFirstSignInsAtOnceCreateOneAccount(t *testing.T) {
	onBothStores(t, withScripted(), func(t *testing.T, s *site) {
		type arrival struct {
			b  *browser
			at string
		}
		var all []arrival
		for range 50 {
			b := newBrowser(t)
			all = append(all, arrival{b, b.toCallback(s, "acme", "")})
		}
		var running sync.WaitGroup
		for _, one := range all {
			running.Go(func() { one.b.get(one.at).goes(t, "/account") })
		}
		running.Wait()
		ids := map[any]bool{}
		for _, one := range all[:5] {
			u, _ := one.b.me(s)
			ids[u["id"]] = true
		}
		if len(ids) != 1 || len(s.identities(t, "ada@example.com")) != 1 {
			t.Errorf("%d accounts, identities %+v", len(ids), s.identities(t, "ada@example.com"))
		}
	})
}
