package providers_test

import (
	"html/template"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
)

// withTwoProviders is withScriptedProvider with a second provider, "other".
func withTwoProviders() setup {
	return setup{newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.acme, s.evil = newScriptedProvider(t), newScriptedProvider(t)
		return []federation.Provider{newClient(t, s.url, s.acme.URL), newClient(t, s.url, s.evil.URL, isOther(s))}
	}}
}

func isOther(s *site) func(*providers.Options) {
	return func(o *providers.Options) {
		o.ID, o.Name, o.RedirectURI = "other", "Other", federation.RedirectURI(s.url, "other")
	}
}

// A user without a password and without factors confirms a change by a sign-in with a provider. The server must
// refuse an identity that is not connected to the account. Otherwise the sign-in would end the session and open a
// different account.
func TestStepUpByAProviderStaysInTheAccount(t *testing.T) {
	for _, store := range storeKinds {
		var forward atomic.Int64
		with := withTwoProviders()
		with.changeEngine = func(o *watchword.Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(forward.Load())) }
		}
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, store, with)
			s.evil.setUser("bob", "bob@example.com", true)
			bob := newBrowser(t)
			bob.get(bob.signInAtProvider(s, "other", "")).assertRedirect(t, "/account")
			b := newBrowser(t)
			b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
			before, _ := b.readAccount(s)
			forward.Store(int64(10 * time.Minute))
			remove := s.url + "/account/identities/" + s.readIdentities(t, "ada@example.com")[0].ID + "/remove"
			page, at := b.followRedirects(remove, "")
			if !strings.Contains(at, "/step-up") || !strings.Contains(page.text, "Continue with Acme") ||
				strings.Contains(page.text, "Continue with Other") {
				t.Errorf("%s does not offer the connected provider alone: %s", at, page.text)
			}
			query := "?" + url.Values{"page": {"step-up"}, "return_to": {remove}}.Encode()
			for sub, provider := range map[string]string{"bob": "other", "zed": "other", "zoe": "acme"} {
				s.acme.setUser(sub, sub+"@example.com", true)
				s.evil.setUser(sub, sub+"@example.com", true)
				failed := b.get(b.signInAtProvider(s, provider, query))
				failed.assertErrorOn(t, "/step-up", watchword.CodeStepUpRequired)
				b.assertStepUpPage(t, s, failed, remove, " is not connected to the account that you are signed in to.")
			}
			if u, _ := b.readAccount(s); u["id"] != before["id"] || s.countLiveSessions(t) != 2 {
				t.Errorf("the browser is signed in as %v, not %v; %d sessions", u, before, s.countLiveSessions(t))
			}
			if n := s.queryRows(t, "SELECT COUNT(*) FROM users")[0][0]; n != "2" {
				t.Errorf("%s accounts, want 2", n)
			}
			// Two tabs begin a step-up in the same session. Both must succeed, although the first step-up ends this
			// session.
			s.acme.setUser("ada", "changed@example.com", true)
			first, second := b.signInAtProvider(s, "acme", query), b.signInAtProvider(s, "acme", query)
			for _, tab := range []string{first, second} {
				b.get(tab).assertRedirect(t, remove)
				if p := b.get(remove); p.StatusCode != 200 || s.countLiveSessions(t) != 2 {
					t.Errorf("after the step-up: %d to %s, %d sessions",
						p.StatusCode, p.location(), s.countLiveSessions(t))
				}
			}
			// In a browser without a session, the start of a step-up begins a normal sign-in.
			s.acme.setUser("new", "new@example.com", true)
			other := newBrowser(t)
			other.get(other.signInAtProvider(s, "acme", "?page=step-up")).assertRedirect(t, "/account")
		})
	}
}

// assertStepUpPage opens the page of a step-up after a failed attempt. The page must show the reason once, and its
// buttons must start a new attempt.
func (b *browser) assertStepUpPage(t *testing.T, s *site, failed page, returnTo, why string) {
	t.Helper()
	at := s.url + failed.location()
	p, again := b.get(at), b.get(at)
	query := url.Values{"page": {"step-up"}, "return_to": {returnTo}}.Encode()
	button := template.HTMLEscapeString("/sign-in/acme?" + query)
	if !strings.Contains(p.text, why) || !strings.Contains(p.text, button) || strings.Contains(again.text, why) {
		t.Errorf("%s does not show %q once and %s: %s", at, why, button, p.text)
	}
}

// After a failed step-up, the user must return to the step-up page. On the sign-in page, an unconnected identity
// would open a different account.
func TestStepUpThatFailsAtTheProviderCanBeRepeated(t *testing.T) {
	with := setup{newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.acme = newScriptedProvider(t)
		return []federation.Provider{newClient(t, s.url, s.acme.URL),
			newClient(t, s.url, "http://127.0.0.1:1", isOther(s))}
	}}
	onBothStores(t, with, func(t *testing.T, s *site) {
		b, account := newBrowser(t), s.url+"/account"
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		query := "?" + url.Values{"page": {"step-up"}, "return_to": {account}}.Encode()
		cancelled, err := url.Parse(b.signInAtProvider(s, "acme", query))
		must(t, err)
		cancelled.RawQuery = url.Values{"state": {cancelled.Query().Get("state")}, "error": {"access_denied"}}.Encode()
		failed := b.get(cancelled.String())
		failed.assertErrorOn(t, "/step-up", federation.CodeProviderRefused)
		b.assertStepUpPage(t, s, failed, account, "Acme did not complete the sign-in.")
		failed = b.get(s.url + "/sign-in/other" + query)
		failed.assertErrorOn(t, "/step-up", federation.CodeProviderUnavailable)
		b.assertStepUpPage(t, s, failed, account, "Other is not available right now.")
	})
}
