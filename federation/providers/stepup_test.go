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

// withTwo is withScripted with a second provider, "other".
func withTwo() setup {
	return setup{offers: func(t *testing.T, s *site) []federation.Provider {
		s.acme, s.evil = newScripted(t), newScripted(t)
		return []federation.Provider{client(t, s.url, s.acme.URL), client(t, s.url, s.evil.URL, isOther(s))}
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
	for _, store := range stores {
		var forward atomic.Int64
		with := withTwo()
		with.engine = func(o *watchword.Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(forward.Load())) }
		}
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := on(t, store, with)
			s.evil.as("bob", "bob@example.com", true)
			bob := newBrowser(t)
			bob.get(bob.toCallback(s, "other", "")).goes(t, "/account")
			b := newBrowser(t)
			b.get(b.toCallback(s, "acme", "")).goes(t, "/account")
			before, _ := b.me(s)
			forward.Store(int64(10 * time.Minute))
			remove := s.url + "/account/identities/" + s.identities(t, "ada@example.com")[0].ID + "/remove"
			page, at := b.follow(remove, "")
			if !strings.Contains(at, "/step-up") || !strings.Contains(page.text, "Continue with Acme") ||
				strings.Contains(page.text, "Continue with Other") {
				t.Errorf("%s does not offer the connected provider alone: %s", at, page.text)
			}
			query := "?" + url.Values{"page": {"step-up"}, "return_to": {remove}}.Encode()
			for sub, provider := range map[string]string{"bob": "other", "zed": "other", "zoe": "acme"} {
				s.acme.as(sub, sub+"@example.com", true)
				s.evil.as(sub, sub+"@example.com", true)
				failed := b.get(b.toCallback(s, provider, query))
				failed.failsOn(t, "/step-up", watchword.CodeStepUpRequired)
				b.confirms(t, s, failed, remove, " is not connected to the account that you are signed in to.")
			}
			if u, _ := b.me(s); u["id"] != before["id"] || s.living(t) != 2 {
				t.Errorf("the browser is signed in as %v, not %v; %d sessions", u, before, s.living(t))
			}
			if n := s.place.rows(t, "SELECT COUNT(*) FROM users")[0][0]; n != "2" {
				t.Errorf("%s accounts, want 2", n)
			}
			// Two tabs begin a step-up in the same session. Both must succeed, although the first step-up ends this
			// session.
			s.acme.as("ada", "changed@example.com", true)
			first, second := b.toCallback(s, "acme", query), b.toCallback(s, "acme", query)
			for _, tab := range []string{first, second} {
				b.get(tab).goes(t, remove)
				if p := b.get(remove); p.StatusCode != 200 || s.living(t) != 2 {
					t.Errorf("after the step-up: %d to %s, %d sessions", p.StatusCode, p.location(), s.living(t))
				}
			}
			// In a browser without a session, the start of a step-up begins a normal sign-in.
			s.acme.as("new", "new@example.com", true)
			other := newBrowser(t)
			other.get(other.toCallback(s, "acme", "?page=step-up")).goes(t, "/account")
		})
	}
}

// The method confirms opens the page of a step-up after a failed attempt. The page must show the reason once, and its
// buttons must start a new attempt.
func (b *browser) confirms(t *testing.T, s *site, failed page, returnTo, why string) {
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
	with := setup{offers: func(t *testing.T, s *site) []federation.Provider {
		s.acme = newScripted(t)
		return []federation.Provider{client(t, s.url, s.acme.URL), client(t, s.url, "http://127.0.0.1:1", isOther(s))}
	}}
	onBothStores(t, with, func(t *testing.T, s *site) {
		b, account := newBrowser(t), s.url+"/account"
		b.get(b.toCallback(s, "acme", "")).goes(t, "/account")
		query := "?" + url.Values{"page": {"step-up"}, "return_to": {account}}.Encode()
		cancelled, err := url.Parse(b.toCallback(s, "acme", query))
		must(t, err)
		cancelled.RawQuery = url.Values{"state": {cancelled.Query().Get("state")}, "error": {"access_denied"}}.Encode()
		failed := b.get(cancelled.String())
		failed.failsOn(t, "/step-up", federation.CodeProviderRefused)
		b.confirms(t, s, failed, account, "Acme did not complete the sign-in.")
		failed = b.get(s.url + "/sign-in/other" + query)
		failed.failsOn(t, "/step-up", federation.CodeProviderUnavailable)
		b.confirms(t, s, failed, account, "Other is not available right now.")
	})
}
