package providers_test

import (
	"testing"

	"github.com/watchword-auth/watchword"
)

// The mailed link of a sign-up that waits for the proof of its address.

// waiting starts a sign-up with an address that acme does not vouch for, and returns the token of the mailed link.
func (s *site) waiting(t *testing.T, sub, email string) (token string) {
	t.Helper()
	s.acme.as(sub, email, false)
	b := newBrowser(t)
	if p := b.get(b.toCallback(s, "acme", "?page=login")); p.StatusCode != 200 {
		t.Fatalf("the sign-up of %s: %d to %s", sub, p.StatusCode, p.location())
	}
	return string(s.mail(t, watchword.MailVerify).Token)
}

// The provider reports no address, or an invalid one, when the link is used. The account gets the address of the link.
func TestMailedLinkCreatesACompleteAccountWithoutAnAddressOfTheProvider(t *testing.T) {
	onBothStores(t, withScripted(), func(t *testing.T, s *site) {
		ids := map[any]bool{}
		for name, email := range map[string]any{"bob": nil, "cyd": "not an address"} {
			token := s.waiting(t, name, name+"@example.com")
			claims := map[string]any{"sub": name, "name": "Name " + name, "email": email}
			s.acme.set(func(s *scripted) { s.user = claims })
			b := newBrowser(t)
			b.get(b.through(s, token)).goes(t, "/account")
			u, _ := b.me(s)
			if u["email"] != name+"@example.com" || u["name"] != "Name "+name || u["emailVerified"] != true {
				t.Errorf("the account of %s is %v", name, u)
			}
			ids[u["id"]] = true
			again := newBrowser(t)
			again.get(again.toCallback(s, "acme", "")).goes(t, "/account")
			if n := s.place.rows(t, "SELECT COUNT(*) FROM users WHERE id = '' OR created_at <= 0")[0][0]; n != "0" {
				t.Errorf("%s accounts have no id or no time", n)
			}
		}
		if len(ids) != 2 || ids[""] || ids[nil] {
			t.Errorf("ids: %v", ids)
		}
	})
}
