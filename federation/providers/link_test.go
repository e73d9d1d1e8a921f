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
	with := withServerApp()
	with.linkProven = true
	onBothStores(t, with, func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		for n := range 20 {
			s.acme.setUser(fmt.Sprint("ada", n), "ada@example.com", true)
			b := newBrowser(t)
			b.get(b.signInAtProvider(s, "acme", "?page=login")).assertRedirect(t, "/account")
			if m := s.awaitMail(t, watchword.MailIdentityLinked); m.Factor != "Acme" || m.To != "ada@example.com" {
				t.Errorf("the mail is %+v", m)
			}
		}
		for _, query := range []string{"?page=login", startQuery(codeChallenge(verifier))} {
			s.acme.setUser("one more", "ada@example.com", true)
			b := newBrowser(t)
			if to := b.get(b.signInAtProvider(s, "acme", query)).location(); !strings.Contains(to, "FACTOR_LIMIT") {
				t.Errorf("%s: got to %s", query, to)
			}
			if u, _ := b.readAccount(s); u != nil || len(s.readIdentities(t, "ada@example.com")) != 20 {
				t.Errorf("%s: the account has %d identities, and the browser %v", query,
					len(s.readIdentities(t, "ada@example.com")), u)
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
		with := withServerApp()
		with.linkProven = auto
		t.Run(name, func(t *testing.T) {
			onBothStores(t, with, func(t *testing.T, s *site) {
				s.createProvenAccount(t, "proven@example.com")
				newBrowser(t).register(s, "new@example.com")
				for _, email := range []string{"new@example.com", "proven@example.com"} {
					u, err := s.engine.Operator().FindUser(t.Context(), email)
					must(t, err)
					must(t, s.engine.Operator().DisableUser(t.Context(), u.ID))
					s.acme.setUser(email, email, true)
					b := newBrowser(t)
					b.get(b.signInAtProvider(s, "acme", "?page=login")).
						assertLoginError(t, watchword.CodeAccountDisabled)
					to := b.get(b.signInAtProvider(s, "acme", startQuery(codeChallenge(verifier)))).location()
					if !strings.HasPrefix(to, app+"&error=ACCOUNT_DISABLED") {
						t.Errorf("%s: the application gets %s", email, to)
					}
					if got, _ := b.readAccount(s); got != nil || len(s.readIdentities(t, email)) != 0 {
						t.Errorf("%s: signed in as %v, with the identities %+v", email, got, s.readIdentities(t, email))
					}
					failed := "SELECT id FROM events WHERE kind = 'login_failed' AND user_id = '" + string(u.ID) + "'"
					if len(s.queryRows(t, failed)) == 0 { // equal events share one row
						t.Errorf("%s: no failed sign-in is recorded", email)
					}
				}
			})
		})
	}
}
