package providers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// These tests check the messages of the hosted pages after an attempt, and the cookies of attempts.

// A signed-in user begins a sign-in to a second account, and the attempt fails. The page must show the reason to this
// user, too.
func TestProblemOfAnAttemptIsShownToASignedInUser(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		s.acme.update(func(a *scriptedProvider) {
			a.editResponse = func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }
		})
		codes := s.url + "/account/recovery-codes"
		to := b.get(b.signInAtProvider(s, "acme", "?page=login&return_to="+url.QueryEscape(codes)))
		to.assertLoginError(t, federation.CodeProviderRefused)
		shown := b.get(s.url + to.location())
		for _, text := range []string{"Acme did not complete the sign-in.", "ada@example.com", `href="/account?return_to=`,
			`href="/sign-in/acme?page=login&amp;return_to=` + url.QueryEscape(codes)} {
			if !strings.Contains(shown.text, text) {
				t.Errorf("the page %d lacks %q: %s", shown.StatusCode, text, shown.text)
			}
		}
		// A second request for this URL must not show the message. Therefore another site can't show it with a copy
		// of the URL.
		b.get(s.url+to.location()).assertRedirect(t, codes)

		s.createProvenAccount(t, "bob@example.com")
		s.acme.update(func(a *scriptedProvider) { a.editResponse = nil })
		s.acme.setUser("bob", "bob@example.com", true)
		to = b.get(b.signInAtProvider(s, "acme", "?page=login"))
		to.assertLoginError(t, federation.CodeLinkRequired)
		shown = b.get(s.url + to.location())
		if !strings.Contains(shown.text, "You already have an account here.") ||
			!strings.Contains(shown.text, `value="bob@example.com"`) {
			t.Errorf("the page does not ask for the password: %d %s", shown.StatusCode, shown.text)
		}
		b.post(s.url+"/login", url.Values{"email": {"bob@example.com"}, "password": {password}}).
			assertRedirect(t, "/account")
		if len(s.readIdentities(t, "bob@example.com")) != 1 {
			t.Error("the sign-in has not connected the provider")
		}
	})
}

// A browser keeps five attempts, of any purpose. The newest attempt must work.
//
// SW-25
func TestBrowserKeepsFiveAttempts(t *testing.T) {
	t.Parallel()
	s := onSQLite(t, withScriptedProvider())
	b, _ := s.createProvenAccount(t, "ada@example.com")
	b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}}).
		assertRedirect(t, "/account")
	_, access := b.readAccount(s)
	home, err := url.Parse(s.url)
	must(t, err)
	for _, begin := range []func() string{
		func() string { return b.signInAtProvider(s, "acme", "") },
		func() string { return b.leaveForProvider(s, b.post(s.url+"/account/identities/acme", url.Values{})) },
		func() string {
			long := s.url + "/account?" + strings.Repeat("x", 900)
			p := b.callAPI(s, "POST", "/identities/acme", map[string]any{"returnTo": long}, access)
			atProvider := parse[struct{ URL string }](t, p.text).URL
			_, at := b.followRedirects(atProvider, federation.RedirectURI(s.url, "acme"))
			return at
		},
	} {
		var last string
		for range 7 {
			last = begin()
		}
		var attempts int
		for _, c := range b.Jar.Cookies(home) {
			if strings.HasPrefix(c.Name, "watchword-with-") {
				attempts++
			}
		}
		if attempts != 5 {
			t.Errorf("the browser has %d attempts, want 5", attempts)
		}
		if p := b.get(last); p.StatusCode != 303 || strings.Contains(p.location(), "CHALLENGE_INVALID") {
			t.Errorf("the newest attempt: %d to %s", p.StatusCode, p.location())
		}
	}
}

func (b *browser) signInUntilMail(s *site, query string) page {
	b.t.Helper()
	to := b.get(b.signInAtProvider(s, "acme", query))
	if to.StatusCode != http.StatusSeeOther || strings.Contains(to.location(), "/callback") {
		b.t.Fatalf("the response to the code is %d to %q, want a redirect to a page", to.StatusCode, to.location())
	}
	shown, _ := b.followRedirects(s.url+to.location(), "")
	return shown
}

// The history of the browser must not have the URL of the provider's response, and a reload must not send the code
// again.
func TestMessageAboutAMailHasAnAddressOfItsOwn(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		s.acme.setUser("bob", "bob@example.com", false)
		for name, b := range map[string]*browser{"a visitor": newBrowser(t), "a signed-in user": b} {
			shown := b.signInUntilMail(s, "?page=login")
			if !strings.Contains(shown.text, "We emailed you the next step.") {
				t.Errorf("%s sees %d %s", name, shown.StatusCode, shown.text)
			}
		}
		b.get(s.url+"/login?why=mailed").assertRedirect(t, "/account")
	})
}

// The owner of an account can restore the previous address for some time. In this time, a sign-in with a provider
// must create no account with that address.
//
// ID-12
func TestAddressThatItsOwnerCanTakeBackIsTaken(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		owner, access := s.createProvenAccount(t, "ada@example.com")
		change := map[string]any{"newEmail": "ada@example.net", "password": password}
		if p := owner.callAPI(s, "POST", "/email/change", change, access); p.StatusCode != http.StatusAccepted {
			t.Fatalf("%d %s", p.StatusCode, p.text)
		}
		proof := map[string]any{"token": string(s.awaitMail(t, watchword.MailConfirmAddress).Token)}
		if p := owner.callAPI(s, "POST", "/email/change/confirm", proof, access); p.StatusCode != 200 {
			t.Fatalf("%d %s", p.StatusCode, p.text)
		}
		b := newBrowser(t)
		to := b.get(b.signInAtProvider(s, "acme", "?page=login"))
		to.assertLoginError(t, watchword.CodeEmailTaken)
		shown := b.get(s.url + to.location())
		if !strings.Contains(shown.text, "An account with this address already exists.") {
			t.Errorf("the page shows no reason: %s", shown.text)
		}
	})
}
