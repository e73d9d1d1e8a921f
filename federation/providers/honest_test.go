package providers_test

import (
	"encoding/base32"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
	"github.com/watchword-auth/watchword/internal/totp"
)

// These tests sign in with a real provider: npm's oidc-provider.

func parse[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestFirstSignInWithAProviderCreatesAProvenAccount(t *testing.T) {
	onBothStores(t, withRealProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		login := b.get(s.url + "/login")
		if !strings.Contains(login.text, `href="/sign-in/acme?page=login"`) {
			t.Errorf("the sign-in page has no button: %s", login.text)
		}
		callback := b.signInAtProvider(s, "acme", "?page=login")
		done := b.get(callback)
		if done.StatusCode != http.StatusSeeOther || done.location() != "/account" {
			t.Fatalf("the callback responds with %d to %s\n%s", done.StatusCode, done.location(), s.log)
		}
		account := b.get(s.url + "/account")
		if account.StatusCode != 200 || !strings.Contains(account.text, "ada@example.com") {
			t.Errorf("the account page: %d\n%s", account.StatusCode, account.text)
		}
		user, _ := b.readAccount(s)
		if user["email"] != "ada@example.com" || user["emailVerified"] != true || user["name"] != "Ada" {
			t.Errorf("the account is %v", user)
		}

		// A second sign-in, in another browser, must open the same account.
		other := newBrowser(t)
		other.get(other.signInAtProvider(s, "acme", ""))
		again, _ := other.readAccount(s)
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

// The provider replaces its keys, and later signs with another algorithm. Sign-ins must work after each change.
//
// SW-17
func TestRotatedKeysOfAProviderAreRead(t *testing.T) {
	onBothStores(t, withRealProvider(), func(t *testing.T, s *site) {
		for _, alg := range []string{"", "RS256", "ES256"} {
			if alg != "" {
				s.realProvider.configure(t, "/test/keys", alg)
			}
			b := newBrowser(t)
			b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		}
		// If the user denies access at the provider, the attempt must fail with CodeProviderRefused.
		s.realProvider.configure(t, "/test/user", `{"sub":"ada","deny":true}`)
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "?page=login")).assertLoginError(t, federation.CodeProviderRefused)
	})
}

// If a provider requires pushed requests, the server sends the parameters to it, and the browser gets a reference. If
// the provider only offers them, a start must send no request.
func TestPushedRequestsAreSentWhereTheyAreRequired(t *testing.T) {
	t.Parallel()
	for _, pushed := range []string{"offered", "required"} {
		t.Run(pushed, func(t *testing.T) {
			t.Parallel()
			s := onSQLite(t, withBehaviour(`{"pushed":"`+pushed+`"}`))
			b := newBrowser(t)
			to, err := b.get(s.url + "/sign-in/acme").Location()
			must(t, err)
			reference := to.Query().Has("request_uri") && !to.Query().Has("state") && !to.Query().Has("code_challenge")
			if reference != (pushed == "required") {
				t.Errorf("the browser is sent to %s", to)
			}
			b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		})
	}
	s := onSQLite(t, withBehaviour(`{"pushed":"required","post":true}`, func(o *providers.Options) {
		o.ClientSecret = "another secret"
	}))
	newBrowser(t).get(s.url+"/sign-in/acme?page=login").assertLoginError(t, federation.CodeProviderUnavailable)
	if !strings.Contains(s.log.String(), "status 401") || strings.Contains(s.log.String(), "another secret") {
		t.Errorf("the log does not have the reason: %s", s.log)
	}
}

// A sign-in with a provider proves a first factor. If the account has a second factor, the sign-in must require it.
//
// SW-15
func TestSecondFactorIsAskedForAfterTheProvider(t *testing.T) {
	with := withScriptedProvider()
	with.changeEngine = func(o *watchword.Options) { o.RememberDevice = time.Hour }
	onBothStores(t, with, func(t *testing.T, s *site) {
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		_, access := b.readAccount(s)
		begun := parse[struct{ ID, Secret string }](t, b.callAPI(s, "POST", "/factors/totp", nil, access).text)
		secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(begun.Secret)
		must(t, err)
		code, err := totp.Code(secret, totp.Step(time.Now()))
		must(t, err)
		done := b.callAPI(s, "POST", "/factors/totp/"+begun.ID+"/confirm", map[string]any{"code": code}, access)
		if done.StatusCode != 200 {
			t.Fatalf("confirm: %d %s", done.StatusCode, done.text)
		}
		other := newBrowser(t)
		other.get(other.signInAtProvider(s, "acme", "?page=login")).assertRedirect(t, "/login/factor")
		if u, _ := other.readAccount(s); u != nil {
			t.Fatal("the provider alone opened a session")
		}
		if code, err = totp.Code(secret, totp.Step(time.Now())+1); err != nil {
			t.Fatal(err)
		}
		form := url.Values{"totp": {code}, "rememberDevice": {"yes"}}
		other.post(s.url+"/login/factor", form).assertRedirect(t, "/account")
		if u, _ := other.readAccount(s); u["email"] != "ada@example.com" {
			t.Errorf("the account is %v", u)
		}
		// This browser is remembered, so it skips the second factor. The cookie of the remembered device is Strict,
		// so the browser does not send it with the provider's response. The attempt therefore contains the token of
		// the device.
		at := other.signInAtProvider(s, "acme", "?page=login")
		home, err := url.Parse(s.url)
		must(t, err)
		for _, cookie := range other.Jar.Cookies(home) {
			if !strings.HasPrefix(cookie.Name, "watchword-with-") {
				other.Jar.SetCookies(home, []*http.Cookie{{Name: cookie.Name, Path: "/", MaxAge: -1}})
			}
		}
		other.get(at).assertRedirect(t, "/account")
		third := newBrowser(t)
		third.get(third.signInAtProvider(s, "acme", "?page=login")).assertRedirect(t, "/login/factor")
	})
}
