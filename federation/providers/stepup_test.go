package providers_test

import (
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
		other := func(o *providers.Options) {
			o.ID, o.Name, o.RedirectURI = "other", "Other", federation.RedirectURI(s.url, "other")
		}
		return []federation.Provider{client(t, s.url, s.acme.URL), client(t, s.url, s.evil.URL, other)}
	}}
}

// A user without a password and factors confirms a change by a provider. It must be one of the account: another
// identity would end the session and sign in to another account, or create one.
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
				b.get(b.toCallback(s, provider, query)).fails(t, watchword.CodeStepUpRequired)
			}
			if u, _ := b.me(s); u["id"] != before["id"] || s.living(t) != 2 {
				t.Errorf("the browser is signed in as %v, not %v; %d sessions", u, before, s.living(t))
			}
			if n := s.place.rows(t, "SELECT COUNT(*) FROM users")[0][0]; n != "2" {
				t.Errorf("%s accounts, want 2", n)
			}
			// Two tabs confirm. The first one replaces the session of the second.
			s.acme.as("ada", "changed@example.com", true)
			first, second := b.toCallback(s, "acme", query), b.toCallback(s, "acme", query)
			for _, tab := range []string{first, second} {
				b.get(tab).goes(t, remove)
				if p := b.get(remove); p.StatusCode != 200 || s.living(t) != 2 {
					t.Errorf("after the step-up: %d to %s, %d sessions", p.StatusCode, p.location(), s.living(t))
				}
			}
			// Without a session, it is a sign-in.
			s.acme.as("new", "new@example.com", true)
			other := newBrowser(t)
			other.get(other.toCallback(s, "acme", "?page=step-up")).goes(t, "/account")
		})
	}
}
