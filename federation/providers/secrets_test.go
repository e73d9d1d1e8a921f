package providers_test

import (
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

// Secrets of a sign-in with a provider must not stay in the store or in the log.

// The store must contain no code, token or verifier of a sign-in, not even in its events. The log must contain no
// query of a callback.
//
// SW-24
func TestSecretsOfAProviderAreNotStored(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		var all []string
		// The results are: a new account, a required link, a waiting sign-up, and a refused ID token.
		for _, c := range []struct {
			sub, email string
			verified   bool
			to         string
		}{{"bob", "bob@example.com", true, "/account"}, {"ada", "ada@example.com", true, "/login"},
			{"cyd", "cyd@example.com", false, "/login"}, {"", "", false, "/login"}} {
			s.acme.setUser(c.sub, c.email, c.verified)
			b := newBrowser(t)
			at := b.signInAtProvider(s, "acme", "?page=login")
			if to, _, _ := strings.Cut(b.get(at).location(), "?"); to != c.to {
				t.Errorf("%s: the callback goes to %q", c.sub, to)
			}
			all = append(all, at)
		}
		s.assertNoSecretLogged(t, all...)
		secrets := s.secretsOfSignIns(t, all...)
		if len(secrets) < 16 {
			t.Fatalf("the provider handed out %q", secrets)
		}
		content := s.dumpRows(t)
		if !strings.Contains(content, "bob@example.com") {
			t.Fatalf("the dump has no accounts: %s", content)
		}
		for _, secret := range secrets {
			for _, form := range []string{secret, hex.EncodeToString([]byte(secret))} {
				if strings.Contains(content, form) {
					t.Errorf("the store has the secret %q", secret)
				}
			}
		}
		text := s.log.String()
		if !strings.Contains(text, "/sign-in/{provider}/callback") || strings.Contains(text, "code=") ||
			strings.Contains(text, "state=") {
			t.Errorf("the log does not show the route alone: %s", text)
		}
	})
}

// The start of a sign-in must write no row. A flood of starts thus fills neither the store nor a limit.
//
// SW-25
func TestStartWritesNoRow(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		before := s.dumpRows(t)
		b := newBrowser(t)
		for range 20 {
			b.signInAtProvider(s, "acme", "")
		}
		if after := s.dumpRows(t); after != before {
			t.Errorf("the store had\n%s\nand has\n%s", before, after)
		}
	})
}

// secretsOfSignIns returns the texts that must not be stored: the secrets that the provider sent, the states of
// callbacks, and the client secret.
func (s *site) secretsOfSignIns(t *testing.T, callbacks ...string) []string {
	t.Helper()
	secrets := []string{clientSecret}
	s.acme.update(func(p *scriptedProvider) { secrets = append(secrets, p.issuedSecrets...) })
	for _, raw := range callbacks {
		u, err := url.Parse(raw)
		must(t, err)
		secrets = append(secrets, u.Query().Get("state"))
	}
	return secrets
}

func (s *site) assertNoSecretLogged(t *testing.T, callbacks ...string) {
	t.Helper()
	text := s.log.String()
	for _, secret := range s.secretsOfSignIns(t, callbacks...) {
		if strings.Contains(text, secret) {
			t.Errorf("the log has the secret %q", secret)
		}
	}
}
