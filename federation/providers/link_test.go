package providers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

// These tests use link-proven=auto. If a provider guarantees the address of a proven account, the server connects the
// identity without a sign-in to that account.

// The owner must get a mail about each connected identity, and an account must have at most 20 of them.
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

// The operator has disabled the account with the address. The sign-in must fail with the error for a disabled
// account, whether or not the address was proven.
//
// SW-15
func TestProviderOpensNoDisabledAccount(t *testing.T) {
	for name, auto := range map[string]bool{"link-proven=ask": false, "link-proven=auto": true} {
		with := withApp()
		with.link = auto
		t.Run(name, func(t *testing.T) {
			onBothStores(t, with, func(t *testing.T, s *site) {
				s.proven(t, "proven@example.com")
				newBrowser(t).register(s, "new@example.com")
				for _, email := range []string{"new@example.com", "proven@example.com"} {
					u, err := s.engine.Operator().FindUser(t.Context(), email)
					must(t, err)
					must(t, s.engine.Operator().DisableUser(t.Context(), u.ID))
					s.acme.as(email, email, true)
					b := newBrowser(t)
					b.get(b.toCallback(s, "acme", "?page=login")).fails(t, watchword.CodeAccountDisabled)
					to := b.get(b.toCallback(s, "acme", startOf(challengeOf(verifier)))).location()
					if !strings.HasPrefix(to, app+"&error=ACCOUNT_DISABLED") {
						t.Errorf("%s: the application gets %s", email, to)
					}
					if got, _ := b.me(s); got != nil || len(s.identities(t, email)) != 0 {
						t.Errorf("%s: signed in as %v, with the identities %+v", email, got, s.identities(t, email))
					}
					failed := "SELECT id FROM events WHERE kind = 'login_failed' AND user_id = '" + string(u.ID) + "'"
					if len(s.place.rows(t, failed)) == 0 { // equal events share one row
						t.Errorf("%s: no failed sign-in is recorded", email)
					}
				}
			})
		})
	}
}
