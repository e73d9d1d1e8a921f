package providers_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

// Sign-in with a real provider: npm's oidc-provider.

func parse[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestFirstSignInWithAProviderCreatesAProvenAccount(t *testing.T) {
	onBothStores(t, withHonest(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		login := b.get(s.url + "/login")
		if !strings.Contains(login.text, `href="/sign-in/acme?page=login"`) {
			t.Errorf("the sign-in page has no button: %s", login.text)
		}
		callback := b.toCallback(s, "acme", "?page=login")
		done := b.get(callback)
		if done.StatusCode != http.StatusSeeOther || done.location() != "/account" {
			t.Fatalf("the callback responds with %d to %s\n%s", done.StatusCode, done.location(), s.log)
		}
		account := b.get(s.url + "/account")
		if account.StatusCode != 200 || !strings.Contains(account.text, "ada@example.com") {
			t.Errorf("the account page: %d\n%s", account.StatusCode, account.text)
		}
		user, _ := b.me(s)
		if user["email"] != "ada@example.com" || user["emailVerified"] != true || user["name"] != "Ada" {
			t.Errorf("the account is %v", user)
		}

		// The second sign-in, in another browser, is to the same account.
		other := newBrowser(t)
		other.get(other.toCallback(s, "acme", ""))
		again, _ := other.me(s)
		if again["id"] != user["id"] {
			t.Errorf("the second sign-in is to %v, not %v", again["id"], user["id"])
		}
		all, err := s.federation.List(t.Context(), watchword.UserID(user["id"].(string)))
		must(t, err)
		if len(all) != 1 || all[0].Subject == "" || all[0].Email != "ada@example.com" {
			t.Errorf("identities: %+v", all)
		}
	})
}
