package providers_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// Users can't sign in with a provider that the operator has removed from the configuration. If a user has an identity
// of such a provider and one of an offered provider, the identity of the offered provider can't be removed.
//
// SW-18, SW-26
func TestIdentityOfARemovedProviderIsNoWayIn(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		offered := s.readIdentities(t, "ada@example.com")[0]
		removed := federation.Identity{ID: "00000000-0000-7000-8000-000000000001", UserID: offered.UserID,
			Provider: "acm", Issuer: "https://removed.example", Subject: "ada", LinkedAt: offered.LinkedAt}
		must(t, s.store.Federation().Update(t.Context(), func(tx federation.Tx) error {
			_, err := tx.InsertIdentity(t.Context(), removed)
			return err
		}))
		_, access := b.readAccount(s)
		refused := b.callAPI(s, "DELETE", "/identities/"+offered.ID, nil, access)
		if refused.StatusCode != 409 || !strings.Contains(refused.text, string(watchword.CodeLastWayIn)) {
			t.Errorf("the offered identity: %d %s", refused.StatusCode, refused.text)
		}
		if p := b.callAPI(s, "DELETE", "/identities/"+removed.ID, nil, access); p.StatusCode != 200 {
			t.Errorf("the identity of the removed provider: %d %s", p.StatusCode, p.text)
		}
	})
}

// SW-26
func TestStepUpOfAUserWithoutAWayLeadsToAPassword(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		query := "?" + url.Values{"return_to": {s.url + "/account"}}.Encode()
		const none, ask = "Your account has no password.", "Sign in once more"
		if p := b.get(s.url + "/step-up" + query); !strings.Contains(p.text, ask) || strings.Contains(p.text, none) {
			t.Errorf("with the provider: %s", p.text)
		}
		removed := s.readIdentities(t, "ada@example.com")[0]
		removed.Provider = "acm"
		must(t, s.store.Federation().Update(t.Context(), func(tx federation.Tx) error {
			_, err := tx.UseIdentity(t.Context(), removed)
			return err
		}))
		p := b.get(s.url + "/step-up" + query)
		if !strings.Contains(p.text, none) || strings.Contains(p.text, ask) ||
			!strings.Contains(p.text, `href="/forgot`+query+`"`) {
			t.Errorf("without a provider: %s", p.text)
		}
	})
}
