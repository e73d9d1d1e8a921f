package providers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

// link-proven=auto: a provider that vouches for the address of a proven account is connected without a sign-in to it.

// The owner learns of each connection, and there are at most 20.
func TestConnectionWithoutASignInIsMailedAndLimited(t *testing.T) {
	with := withApp()
	with.link = true
	onBothStores(t, with, func(t *testing.T, s *site) {
		s.proven(t, "ada@example.com")
		for n := range 20 {
			s.acme.as(fmt.Sprint("ada", n), "ada@example.com", true)
			b := newBrowser(t)
			b.get(b.toCallback(s, "acme", "?page=login")).goes(t, "/account")
			if m := s.mail(t, watchword.MailIdentityLinked); m.Factor != "Acme" || m.To != "ada@example.com" {
				t.Errorf("the mail is %+v", m)
			}
		}
		for _, query := range []string{"?page=login", startOf(challengeOf(verifier))} {
			s.acme.as("one more", "ada@example.com", true)
			b := newBrowser(t)
			if to := b.get(b.toCallback(s, "acme", query)).location(); !strings.Contains(to, "FACTOR_LIMIT") {
				t.Errorf("%s: got to %s", query, to)
			}
			if u, _ := b.me(s); u != nil || len(s.identities(t, "ada@example.com")) != 20 {
				t.Errorf("%s: the account has %d identities, and the browser %v", query,
					len(s.identities(t, "ada@example.com")), u)
			}
		}
	})
}
