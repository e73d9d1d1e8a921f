package providers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// These tests use the mailed link of a sign-up. The sign-up waits until the link proves the address.

// startWaitingSignUp begins a sign-up with an address that acme does not guarantee. It returns the token of the
// mailed link.
func (s *site) startWaitingSignUp(t *testing.T, sub, email string) (token string) {
	t.Helper()
	s.acme.setUser(sub, email, false)
	b := newBrowser(t)
	b.get(b.signInAtProvider(s, "acme", "?page=login"))
	return string(s.awaitMail(t, watchword.MailVerify).Token)
}

// When the link is used, the provider reports no address or an invalid address. The account must get the address of
// the link.
func TestMailedLinkCreatesACompleteAccountWithoutAnAddressOfTheProvider(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		ids := map[any]bool{}
		for name, email := range map[string]any{"bob": nil, "cyd": "not an address"} {
			token := s.startWaitingSignUp(t, name, name+"@example.com")
			claims := map[string]any{"sub": name, "name": "Name " + name, "email": email}
			s.acme.update(func(s *scriptedProvider) { s.userClaims = claims })
			b := newBrowser(t)
			b.get(b.continueMailedLink(s, token)).assertRedirect(t, "/account")
			u, _ := b.readAccount(s)
			if u["email"] != name+"@example.com" || u["name"] != "Name "+name || u["emailVerified"] != true {
				t.Errorf("the account of %s is %v", name, u)
			}
			ids[u["id"]] = true
			again := newBrowser(t)
			again.get(again.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
			n := s.queryRows(t, "SELECT COUNT(*) FROM users WHERE id = '' OR created_at <= 0")[0][0]
			if n != "0" {
				t.Errorf("%s accounts have no id or no time", n)
			}
		}
		if len(ids) != 2 || ids[""] || ids[nil] {
			t.Errorf("ids: %v", ids)
		}
	})
}

// A mailed link is used with a provider that guarantees its address. The account is created as in a sign-in, and the
// stranger's waiting sign-up is deleted.
func TestMailedLinkAcceptsAProviderThatVouchesForItsAddress(t *testing.T) {
	for _, mode := range []watchword.SignupMode{watchword.SignupOpen, watchword.SignupVerified} {
		with := withScriptedProvider()
		with.changeEngine = func(o *watchword.Options) { o.Signup = mode }
		t.Run(string(mode), func(t *testing.T) {
			onBothStores(t, with, func(t *testing.T, s *site) {
				stranger := newBrowser(t)
				form := map[string]any{"email": "ada@example.com", "password": password}
				stranger.callAPI(s, "POST", "/register", form, "")
				token := string(s.awaitMail(t, watchword.MailVerify).Token)
				b := newBrowser(t)
				b.get(b.continueMailedLink(s, token)).assertRedirect(t, "/account")
				u, _ := b.readAccount(s)
				if all := s.readIdentities(t, "ada@example.com"); len(all) != 1 || u["emailVerified"] != true {
					t.Errorf("the account %v has the identities %+v", u, all)
				}
				if stays, _ := stranger.readAccount(s); stays != nil {
					t.Error("the session of the stranger continues")
				}
				for path, body := range map[string]map[string]any{
					"/login": form, "/email/verify": {"token": token, "password": password},
				} {
					if p := newBrowser(t).callAPI(s, "POST", path, body, ""); p.StatusCode == 200 {
						t.Errorf("%s works: %s", path, p.text)
					}
				}
			})
		})
	}
}

// A sign-up waits with a password or with another identity. The provider does not guarantee the address of the link.
// The page must say that the sign-up began in another way, and the link must stay valid.
func TestMailedLinkSaysThatTheSignUpBeganInAnotherWay(t *testing.T) {
	with := withScriptedProvider()
	with.changeEngine = func(o *watchword.Options) { o.Signup = watchword.SignupVerified }
	onBothStores(t, with, func(t *testing.T, s *site) {
		newBrowser(t).callAPI(s, "POST", "/register",
			map[string]any{"email": "ada@example.com", "password": password}, "")
		byPassword := string(s.awaitMail(t, watchword.MailVerify).Token)
		for _, token := range []string{byPassword, s.startWaitingSignUp(t, "bob", "bob@example.com")} {
			for _, claims := range []map[string]any{
				{"sub": "mallory"}, {"sub": "mallory", "email": "bob@example.com", "email_verified": false},
				{"sub": "mallory", "email": "mallory@example.com", "email_verified": true},
			} {
				s.acme.update(func(s *scriptedProvider) { s.userClaims = claims })
				b := newBrowser(t)
				p := b.get(b.continueMailedLink(s, token))
				p.assertLoginError(t, watchword.CodeInvalidCredentials)
				shown := b.get(s.url + p.location())
				if !strings.Contains(shown.text, "This sign-up did not begin with this account at Acme.") {
					t.Errorf("%v: the page shows no reason: %s", claims, shown.text)
				}
			}
		}
		b := newBrowser(t)
		body := map[string]any{"token": byPassword, "password": password}
		if p := b.callAPI(s, "POST", "/email/verify", body, ""); p.StatusCode != 200 {
			t.Errorf("the right password: %d %s", p.StatusCode, p.text)
		}
	})
}

// A sign-up needs an address. If the provider reports none, every further attempt would fail, so the page must say
// that the address is missing. The log must tell the operator that a scope may be missing.
func TestSignUpWithoutAnAddressSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := onSQLite(t, withServerApp())
	s.acme.update(func(s *scriptedProvider) { s.userClaims = map[string]any{"sub": "bob"} })
	for language, want := range map[string]string{
		"en": "Acme reported no email address that can be used here.",
		"de": "Von Acme kam keine E-Mail-Adresse, die hier verwendet werden kann.",
	} {
		b := newBrowser(t)
		to := b.get(b.signInAtProvider(s, "acme", "?page=login"))
		to.assertLoginError(t, federation.ReasonNoAddress)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+to.location(), nil)
		must(t, err)
		r.Header.Set("Accept-Language", language)
		if shown := b.send(r); !strings.Contains(shown.text, want) {
			t.Errorf("%s: the page does not say %q: %s", language, want, shown.text)
		}
	}
	if !strings.Contains(s.log.String(), `provider=acme error="it reports no address`) {
		t.Errorf("the log has no reason: %s", s.log)
	}
	// The front-end must get the error code in the URL of the redirect.
	b := newBrowser(t)
	b.get(b.signInAtProvider(s, "acme", "?"+url.Values{"return_to": {app}}.Encode())).
		assertRedirect(t, app+"#error=PROVIDER_REFUSED")
}

// A provider can disappear from the settings before the browser follows the redirect. The message then names no
// provider, in correct sentences.
func TestMessageOfARemovedProviderHasNoName(t *testing.T) {
	t.Parallel()
	s := onSQLite(t, withServerApp())
	s.acme.update(func(s *scriptedProvider) { s.userClaims = map[string]any{"sub": "bob"} })
	for language, want := range map[string]string{
		"en": "The provider reported no email address that can be used here.",
		"de": "Von dem Anbieter kam keine E-Mail-Adresse, die hier verwendet werden kann.",
	} {
		b := newBrowser(t)
		location := b.get(b.signInAtProvider(s, "acme", "?page=login")).location()
		removed := strings.Replace(location, "with=acme", "with=removed", 1)
		if removed == location {
			t.Fatalf("%s does not name the provider", location)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+removed, nil)
		must(t, err)
		r.Header.Set("Accept-Language", language)
		if shown := b.send(r); !strings.Contains(shown.text, want) {
			t.Errorf("%s: the page does not say %q: %s", language, want, shown.text)
		}
	}
}
