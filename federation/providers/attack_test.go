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

func (b *browser) callAPI(s *site, method, path string, body any, access string) page {
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
	p := b.callAPI(s, "POST", "/register", map[string]any{"email": email, "password": password}, "")
	if p.StatusCode != http.StatusCreated {
		b.t.Fatalf("register: %d %s", p.StatusCode, p.text)
	}
	return parse[struct{ AccessToken string }](b.t, p.text).AccessToken
}

func (s *site) createProvenAccount(t *testing.T, email string) (*browser, string) {
	t.Helper()
	b := newBrowser(t)
	access := b.register(s, email)
	token := string(s.awaitMail(t, watchword.MailVerify).Token)
	p := b.callAPI(s, "POST", "/email/verify", map[string]any{"token": token}, access)
	if p.StatusCode != http.StatusOK {
		t.Fatalf("verify: %d %s", p.StatusCode, p.text)
	}
	return b, access
}

func (s *site) readIdentities(t *testing.T, email string) (all []federation.Identity) {
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

func (p page) assertRedirect(t *testing.T, to string) {
	t.Helper()
	if p.StatusCode != http.StatusSeeOther || p.location() != to {
		t.Fatalf("got %d to %q, want 303 to %q", p.StatusCode, p.location(), to)
	}
}

func (p page) assertLoginError(t *testing.T, code watchword.Code) {
	t.Helper()
	p.assertErrorOn(t, "/login", code)
}

func (p page) assertErrorOn(t *testing.T, path string, code watchword.Code) {
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
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		squatter := newBrowser(t)
		access := squatter.register(s, "ada@example.com")
		link := string(s.awaitMail(t, watchword.MailVerify).Token)
		// A user can't connect an identity to an account with an unproven address. If the store has such an identity
		// anyway, the first proof of the address must delete it.
		if p := squatter.callAPI(s, "POST", "/identities/acme", nil, access); p.StatusCode != 403 {
			t.Errorf("link to an unproven account: %d %s", p.StatusCode, p.text)
		}
		user, _ := squatter.readAccount(s)
		id := watchword.UserID(user["id"].(string))
		must(t, s.store.Federation().Update(t.Context(), func(tx federation.Tx) error {
			_, err := tx.InsertIdentity(t.Context(), federation.Identity{ID: "x", UserID: id, Provider: "acme",
				Issuer: s.acme.URL, Subject: "mallory", LinkedAt: time.Now()})
			return err
		}))

		victim := newBrowser(t)
		victim.get(victim.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		got, _ := victim.readAccount(s)
		if got["id"] != user["id"] || got["emailVerified"] != true {
			t.Errorf("the victim has %v", got)
		}
		if all := s.readIdentities(t, "ada@example.com"); len(all) != 1 || all[0].Subject != "ada" {
			t.Errorf("identities: %+v", all)
		}
		if again, _ := squatter.readAccount(s); again != nil {
			t.Error("the refresh token of the squatter still works")
		}
		for path, body := range map[string]map[string]any{
			"/login":          {"email": "ada@example.com", "password": password},
			"/email/verify":   {"token": link, "password": password},
			"/password/reset": {"token": link, "password": "another long password"},
		} {
			if p := newBrowser(t).callAPI(s, "POST", path, body, ""); p.StatusCode == 200 {
				t.Errorf("%s works: %s", path, p.text)
			}
		}
		if p := squatter.callAPI(s, "GET", "/me", nil, access); p.StatusCode != 401 {
			t.Errorf("the access token of the squatter works: %d", p.StatusCode)
		}
	})
}

// If the provider does not guarantee the address, the response must be the same with and without an account.
//
// SW-3
func TestUnvouchedAddressRevealsNoAccount(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		s.acme.setUser("mallory", "ada@example.com", false)
		taken := newBrowser(t)
		first := taken.signInUntilMail(s, "?page=login")
		s.acme.setUser("bob", "bob@example.com", false)
		free := newBrowser(t)
		second := free.signInUntilMail(s, "?page=login")
		removeNonce := func(p page) string { // each page has a different nonce
			_, nonce, _ := strings.Cut(p.Header.Get("Content-Security-Policy"), "nonce-")
			nonce, _, _ = strings.Cut(nonce, "'")
			return strings.ReplaceAll(p.text, nonce, "")
		}
		if first.StatusCode != 200 || second.StatusCode != 200 || removeNonce(first) != removeNonce(second) {
			t.Errorf("the pages differ: %d, %d\n%s\n%s", first.StatusCode, second.StatusCode, first.text, second.text)
		}
		if u, _ := taken.readAccount(s); u != nil || len(s.readIdentities(t, "ada@example.com")) != 0 {
			t.Error("the identity was linked")
		}
		s.awaitMail(t, watchword.MailSignupExisting)

		// No account has the second address. The owner of this address completes the sign-up with the mailed link and
		// the same identity.
		token := string(s.awaitMail(t, watchword.MailVerify).Token)
		s.acme.setUser("mallory", "bob@example.com", false)
		other := newBrowser(t)
		other.get(other.continueMailedLink(s, token)).assertLoginError(t, watchword.CodeInvalidCredentials)
		s.acme.setUser("bob", "somebody@example.com", false)
		owner := newBrowser(t)
		owner.get(owner.continueMailedLink(s, token)).assertRedirect(t, "/account")
		u, _ := owner.readAccount(s)
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

// continueMailedLink opens a mailed link, continues with the provider, and returns the URL of the provider's
// response.
func (b *browser) continueMailedLink(s *site, token string) string {
	b.t.Helper()
	return b.leaveForProvider(s, b.post(s.url+"/verify", url.Values{"token": {token}, "action": {"provider:acme"}}))
}

// leaveForProvider presses the button of the provider on the page p, and returns the URL of the provider's response.
func (b *browser) leaveForProvider(s *site, p page) string {
	b.t.Helper()
	_, after, found := strings.Cut(p.text, `class="button" href="`)
	if !found {
		b.t.Fatalf("the page leads to no provider: %d %s", p.StatusCode, p.text)
	}
	address, _, _ := strings.Cut(after, `"`)
	_, at := b.followRedirects(html.UnescapeString(address), federation.RedirectURI(s.url, "acme"))
	return at
}

// SW-14
func TestProvenAccountIsLinkedAfterASignInToIt(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		s.createProvenAccount(t, "bob@example.com")
		begin := func() *browser {
			b := newBrowser(t)
			to := b.get(b.signInAtProvider(s, "acme", "?page=login"))
			to.assertLoginError(t, federation.CodeLinkRequired)
			shown := b.get(s.url + to.location())
			if !strings.Contains(shown.text, "You already have an account here.") ||
				!strings.Contains(shown.text, `value="ada@example.com"`) || !strings.Contains(shown.text, "Acme is connected") {
				t.Errorf("the page does not ask for the password: %s", shown.text)
			}
			return b
		}
		// If a different user signs in in this browser, the server must not connect the identity.
		b := begin()
		b.post(s.url+"/login", url.Values{"email": {"bob@example.com"}, "password": {password}}).
			assertRedirect(t, "/account")
		if len(s.readIdentities(t, "ada@example.com"))+len(s.readIdentities(t, "bob@example.com")) != 0 {
			t.Fatal("the identity was linked to an account of another user")
		}
		// A wrong password must not connect the identity. The right password must.
		b = begin()
		wrong := url.Values{"email": {"ada@example.com"}, "password": {"wrong"}}
		if p := b.post(s.url+"/login", wrong); p.StatusCode != 401 {
			t.Fatalf("wrong password: %d", p.StatusCode)
		}
		if len(s.readIdentities(t, "ada@example.com")) != 0 {
			t.Fatal("a wrong password linked the identity")
		}
		b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}}).
			assertRedirect(t, "/account")
		if all := s.readIdentities(t, "ada@example.com"); len(all) != 1 || all[0].Subject != "ada" {
			t.Fatalf("identities: %+v", all)
		}
		if m := s.awaitMail(t, watchword.MailIdentityLinked); m.Factor != "Acme" || m.To != "ada@example.com" {
			t.Errorf("the mail is %+v", m)
		}
		if account := b.get(s.url + "/account"); !strings.Contains(account.text, "Disconnect Acme") {
			t.Errorf("the account page does not show the connection: %s", account.text)
		}
		next := newBrowser(t)
		next.get(next.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
	})
}

// A front-end reads the error code LINK_REQUIRED from the fragment of the URL. When the front-end then calls the API
// to sign the user in, the server must connect the identity.
//
// SW-12
func TestFrontEndCompletesALinkByItsOwnSignIn(t *testing.T) {
	const app = "http://localhost:5173/inbox?x=1"
	with := withScriptedProvider()
	with.changeServer = func(o *server.Options) { o.AllowedOrigins = []string{"http://localhost:5173"} }
	onBothStores(t, with, func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		b := newBrowser(t)
		query := "?" + url.Values{"return_to": {app}}.Encode()
		b.get(b.signInAtProvider(s, "acme", query)).assertRedirect(t, app+"#error=LINK_REQUIRED")
		login := map[string]any{"email": "ada@example.com", "password": password}
		if p := b.callAPI(s, "POST", "/login", login, ""); p.StatusCode != 200 {
			t.Fatalf("%d %s", p.StatusCode, p.text)
		}
		if len(s.readIdentities(t, "ada@example.com")) != 1 {
			t.Fatal("the identity was not linked")
		}
		b = newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", query)).assertRedirect(t, app)
		// If return_to is a URL of an unknown site, the attempt must return to a page of this server.
		b = newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "?return_to=https%3A%2F%2Fevil.example%2F")).assertRedirect(t, "/account")
	})
}

// SW-13
func TestLinkFromTheAccountPage(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		s.acme.setUser("ada at acme", "else@example.net", false)
		b, _ := s.createProvenAccount(t, "ada@example.com")
		b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}})
		connect := func(b *browser) string {
			return b.leaveForProvider(s, b.post(s.url+"/account/identities/acme", url.Values{}))
		}
		callback := connect(b)
		// A callback in another browser is refused.
		newBrowser(t).get(callback).assertLoginError(t, watchword.CodeChallengeInvalid)
		if p := b.get(callback); p.location() != "/account?done=linked" {
			t.Fatalf("got %d to %s", p.StatusCode, p.location())
		}
		if all := s.readIdentities(t, "ada@example.com"); len(all) != 1 || all[0].Email != "else@example.net" {
			t.Fatalf("identities: %+v", all)
		}
		// An identity that is connected to bob must stay connected to bob, even if another user tries to connect it.
		other, _ := s.createProvenAccount(t, "bob@example.com")
		other.post(s.url+"/login", url.Values{"email": {"bob@example.com"}, "password": {password}})
		if p := other.get(connect(other)); !strings.Contains(p.location(), "code=IDENTITY_TAKEN") {
			t.Errorf("taken: %d to %s", p.StatusCode, p.location())
		}
		// If the session ends while the user is at the provider, the server must not connect the identity.
		third, _ := s.createProvenAccount(t, "cyd@example.com")
		third.post(s.url+"/login", url.Values{"email": {"cyd@example.com"}, "password": {password}})
		s.acme.setUser("cyd", "cyd@example.com", true)
		callback = connect(third)
		_, access := third.readAccount(s)
		third.callAPI(s, "POST", "/logout-all", nil, access)
		if p := third.get(callback); !strings.Contains(p.location(), "code=CHALLENGE_INVALID") {
			t.Errorf("ended session: %d to %s", p.StatusCode, p.location())
		}
		if len(s.readIdentities(t, "cyd@example.com")) != 0 {
			t.Error("a link was made for a session that has ended")
		}
	})
}

// SW-18, SW-19
func TestOnlyWayToSignInIsNotDisconnected(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		_, access := b.readAccount(s)
		list := parse[struct {
			Identities []struct{ ID, Provider, Email string }
		}](t, b.callAPI(s, "GET", "/identities", nil, access).text)
		if len(list.Identities) != 1 || list.Identities[0].Provider != "acme" {
			t.Fatalf("identities: %+v", list)
		}
		first := list.Identities[0].ID
		refused := b.callAPI(s, "DELETE", "/identities/"+first, nil, access)
		if refused.StatusCode != 409 || !strings.Contains(refused.text, "LAST_WAY_IN") {
			t.Fatalf("%d %s", refused.StatusCode, refused.text)
		}
		// The account gets a second identity. Two concurrent requests each remove one identity: one of them must be
		// refused.
		s.acme.setUser("second", "ada@example.com", true)
		started := b.callAPI(s, "POST", "/identities/acme", map[string]any{}, access)
		atProvider := parse[struct{ URL string }](t, started.text).URL
		_, callback := b.followRedirects(atProvider, federation.RedirectURI(s.url, "acme"))
		b.get(callback)
		all := s.readIdentities(t, "ada@example.com")
		if len(all) != 2 {
			t.Fatalf("identities: %+v", all)
		}
		var sum atomic.Int64
		var both sync.WaitGroup
		for _, one := range all {
			both.Go(func() { sum.Add(int64(b.callAPI(s, "DELETE", "/identities/"+one.ID, nil, access).StatusCode)) })
		}
		both.Wait()
		if sum.Load() != 200+409 {
			t.Errorf("the sum of the statuses is %d", sum.Load())
		}
		// After a recent sign-in, the user can delete the account, which has no password. The identity can then sign
		// in to a new account.
		old, _ := b.readAccount(s)
		if p := b.callAPI(s, "DELETE", "/me", map[string]any{"password": ""}, access); p.StatusCode != 200 {
			t.Fatalf("delete: %d %s", p.StatusCode, p.text)
		}
		s.acme.setUser(s.firstSubject(all, t), "ada@example.com", true)
		next := newBrowser(t)
		next.get(next.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		if u, _ := next.readAccount(s); u["id"] == old["id"] {
			t.Error("a deleted account has come back")
		}
	})
}

// A session whose last proof is old, such as a forgotten session on a borrowed computer, can't
// change the ways to sign in.
func TestConnectingAndDisconnectingNeedAFreshSession(t *testing.T) {
	var forward [2]atomic.Int64
	for i, store := range storeKinds {
		with := withScriptedProvider()
		with.changeEngine = func(o *watchword.Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(forward[i].Load())) }
		}
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, store, with)
			b := newBrowser(t)
			b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
			one := s.readIdentities(t, "ada@example.com")[0].ID
			forward[i].Store(int64(10 * time.Minute))
			_, access := b.readAccount(s)
			for method, path := range map[string]string{"POST": "/identities/acme", "DELETE": "/identities/" + one} {
				p := b.callAPI(s, method, path, nil, access)
				if p.StatusCode != 401 || !strings.Contains(p.text, "STEP_UP_REQUIRED") {
					t.Errorf("%s %s: %d %s", method, path, p.StatusCode, p.text)
				}
			}
			if all := s.readIdentities(t, "ada@example.com"); len(all) != 1 {
				t.Errorf("identities: %+v", all)
			}
		})
	}
}

func (s *site) firstSubject(all []federation.Identity, _ *testing.T) string { return all[0].Subject }

// SW-20
func TestFiftyFirstSignInsAtOnceCreateOneAccount(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		type arrival struct {
			b  *browser
			at string
		}
		var all []arrival
		for range 50 {
			b := newBrowser(t)
			all = append(all, arrival{b, b.signInAtProvider(s, "acme", "")})
		}
		var running sync.WaitGroup
		for _, one := range all {
			running.Go(func() { one.b.get(one.at).assertRedirect(t, "/account") })
		}
		running.Wait()
		ids := map[any]bool{}
		for _, one := range all[:5] {
			u, _ := one.b.readAccount(s)
			ids[u["id"]] = true
		}
		if len(ids) != 1 || len(s.readIdentities(t, "ada@example.com")) != 1 {
			t.Errorf("%d accounts, identities %+v", len(ids), s.readIdentities(t, "ada@example.com"))
		}
	})
}
