package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
)

// Each of these ID tokens must be refused, and must create no account.
//
// SW-10
func TestInvalidIDTokensAreRefused(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		encode := base64.RawURLEncoding.EncodeToString
		claim := func(name string, value any) func(*scriptedProvider) {
			return func(p *scriptedProvider) {
				p.editIDToken = func(claims map[string]any) {
					if claims[name] = value; value == nil {
						delete(claims, name)
					}
				}
			}
		}
		raw := func(from, to string) func(*scriptedProvider) {
			return func(p *scriptedProvider) {
				p.sign = func(payload []byte) string {
					text := strings.Replace(string(payload), from, to, 1)
					return signJWS(jose.ES256, jose.JSONWebKey{Key: p.key, KeyID: "1"}, []byte(text))
				}
			}
		}
		for name, script := range map[string]func(*scriptedProvider){
			"alg none": func(p *scriptedProvider) {
				p.sign = func(payload []byte) string { return encode([]byte(`{"alg":"none"}`)) + "." + encode(payload) + "." }
			},
			"HS256 with the client secret": func(p *scriptedProvider) {
				p.sign = func(payload []byte) string {
					return signJWS(jose.HS256, []byte(clientSecret+strings.Repeat("\x00", 8)), payload)
				}
			},
			"HS256 with a published key": func(p *scriptedProvider) {
				key := jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32)), KeyID: "shared", Algorithm: "HS256"}
				p.endpointOverrides["/jwks"] = func(w http.ResponseWriter, _ *http.Request) {
					reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
				}
				p.sign = func(payload []byte) string { return signJWS(jose.HS256, key, payload) }
			},
			"another key": func(p *scriptedProvider) {
				p.sign = func(payload []byte) string {
					return signJWS(jose.ES256, jose.JSONWebKey{Key: foreign, KeyID: "1"}, payload)
				}
			},
			"an unknown kid": func(p *scriptedProvider) {
				p.sign = func(payload []byte) string {
					return signJWS(jose.ES256, jose.JSONWebKey{Key: foreign, KeyID: "2"}, payload)
				}
			},
			"no token":               func(p *scriptedProvider) { p.sign = func([]byte) string { return "" } },
			"garbage":                func(p *scriptedProvider) { p.sign = func([]byte) string { return "a.b.c" } },
			"another issuer":         claim("iss", "https://issuer.example"),
			"issuer with a slash":    claim("iss", s.acme.URL+"/"),
			"another audience":       claim("aud", "somebody else"),
			"no audience":            claim("aud", nil),
			"audiences without azp":  claim("aud", []string{clientID, "other"}),
			"azp of another client":  claim("azp", "other"),
			"expired":                claim("exp", time.Now().Add(-time.Minute).Unix()),
			"no expiry":              claim("exp", nil),
			"issued in the future":   claim("iat", time.Now().Add(time.Hour).Unix()),
			"not yet valid":          claim("nbf", time.Now().Add(time.Hour).Unix()),
			"no nonce":               claim("nonce", nil),
			"another nonce":          claim("nonce", "another"),
			"no subject":             claim("sub", nil),
			"empty subject":          claim("sub", ""),
			"long subject":           claim("sub", strings.Repeat("x", 256)),
			"subject with a NUL":     claim("sub", "a\x00b"),
			"subject is a number":    claim("sub", 7),
			"duplicate subject":      raw(`"sub":`, `"sub":"victim","sub":`),
			"subject in two letters": raw(`"sub":`, `"Sub":"victim","sub":`),
			"duplicate issuer":       raw(`"iss":`, `"iss":"x","iss":`),
		} {
			s.acme.update(func(p *scriptedProvider) {
				p.editIDToken, p.sign = nil, nil
				delete(p.endpointOverrides, "/jwks")
			})
			s.acme.update(script)
			b := newBrowser(t)
			p := b.get(b.signInAtProvider(s, "acme", ""))
			if !strings.Contains(p.location(), "code=PROVIDER_UNAVAILABLE") {
				t.Errorf("%s: got %d to %s", name, p.StatusCode, p.location())
			}
			if u, _ := b.readAccount(s); u != nil || len(s.readIdentities(t, "ada@example.com")) != 0 {
				t.Fatalf("%s: it signed in", name)
			}
		}
		// An ID token with two audiences is valid if it has the claim azp.
		s.acme.update(func(p *scriptedProvider) {
			p.sign = nil
			p.editIDToken = func(claims map[string]any) {
				claims["aud"], claims["azp"] = []string{clientID, "other"}, clientID
			}
		})
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
	})
}

// SW-4
func TestOnlyTheJSONValueTrueVerifiesAnAddress(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		for _, value := range []any{"true", "false", 1, false, nil, []bool{true}} {
			s.acme.setUser("ada", "ada@example.com", value)
			b := newBrowser(t)
			if p := b.get(b.signInAtProvider(s, "acme", "?page=login")); p.location() != "/login?why=mailed" {
				t.Errorf("%v (%T): got %d to %s", value, value, p.StatusCode, p.location())
			}
		}
		s.acme.setUser("ada", "ada@example.com", true)
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "?page=login")).assertLoginError(t, federation.CodeLinkRequired)
	})
}

// SW-7
func TestStateBelongsToOneBrowserAndOneAttempt(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		at, err := url.Parse(b.signInAtProvider(s, "acme", ""))
		must(t, err)
		with := func(change func(url.Values)) string {
			q := at.Query()
			change(q)
			other := *at
			other.RawQuery = q.Encode()
			return other.String()
		}
		for name, address := range map[string]string{
			"no state":       with(func(q url.Values) { q.Del("state") }),
			"two states":     with(func(q url.Values) { q.Add("state", q.Get("state")) }),
			"another rest":   with(func(q url.Values) { q.Set("state", q.Get("state")[:8]+"x") }),
			"another state":  with(func(q url.Values) { q.Set("state", "x") }),
			"two codes":      with(func(q url.Values) { q.Add("code", "x") }),
			"no code":        with(func(q url.Values) { q.Del("code") }),
			"code and error": with(func(q url.Values) { q.Set("error", "access_denied") }),
		} {
			// Every response deletes the cookie of the attempt, so each case gets a browser with a copy of the
			// cookie.
			copied := newBrowser(t)
			copied.Jar.SetCookies(at, b.Jar.Cookies(at))
			if p := copied.get(address); !strings.Contains(p.location(), "code=CHALLENGE_INVALID") {
				t.Errorf("%s: got %d to %s", name, p.StatusCode, p.location())
			}
		}
		newBrowser(t).get(at.String()).assertLoginError(t, watchword.CodeChallengeInvalid)
		stolen := newBrowser(t)
		stolen.Jar.SetCookies(at, b.Jar.Cookies(at))
		b.get(at.String()).assertRedirect(t, "/account")
		b.get(at.String()).assertLoginError(t, watchword.CodeChallengeInvalid)
		// The provider accepts a code once.
		stolen.get(at.String()).assertLoginError(t, federation.CodeProviderUnavailable)
	})
}

// A user opens the sign-in in three tabs and finishes them in reverse order. Each must work.
//
// SW-8, SW-25
func TestTabsFinishInAnyOrder(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		tabs := []string{
			b.signInAtProvider(s, "acme", ""), b.signInAtProvider(s, "acme", ""), b.signInAtProvider(s, "acme", ""),
		}
		for i := len(tabs) - 1; i >= 0; i-- {
			b.get(tabs[i]).assertRedirect(t, "/account")
		}
		// A browser keeps five attempts: new ones replace the oldest.
		other := newBrowser(t)
		for range 8 {
			tabs = append(tabs, other.signInAtProvider(s, "acme", ""))
		}
		site, err := url.Parse(s.url)
		must(t, err)
		if n := len(other.Jar.Cookies(site)); n != 5 {
			t.Errorf("the browser has %d cookies", n)
		}
		other.get(tabs[3]).assertLoginError(t, watchword.CodeChallengeInvalid)
		other.get(tabs[10]).assertRedirect(t, "/account")
	})
}

// A sign-in overwrites the refresh cookie of an earlier sign-in in another tab. The session of that cookie must end,
// although the browser does not send the cookie with the response of the provider.
func TestSessionOfAnotherTabIsReplaced(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		sessions := func(b *browser) (n int) {
			_, access := b.readAccount(s)
			return len(parse[struct{ Sessions []any }](t, b.callAPI(s, "GET", "/sessions", nil, access).text).Sessions)
		}
		b := newBrowser(t)
		tabs := []string{
			b.signInAtProvider(s, "acme", ""), b.signInAtProvider(s, "acme", ""), b.signInAtProvider(s, "acme", ""),
		}
		for _, callback := range tabs {
			b.get(callback).assertRedirect(t, "/account")
			if n := sessions(b); n != 1 {
				t.Errorf("%d sessions", n)
			}
		}
		// A completed attempt can't be used again.
		b.get(tabs[0]).assertLoginError(t, watchword.CodeChallengeInvalid)
		site, err := url.Parse(s.url)
		must(t, err)
		for _, cookie := range b.Jar.Cookies(site) {
			if strings.Contains(cookie.Name, "watchword-with-") {
				t.Errorf("the browser has the cookie %s", cookie.Name)
			}
		}
		// The user signs in with a password in one tab, and then completes a sign-in with the provider in another.
		// This must end the session of the first sign-in.
		bob, _ := s.createProvenAccount(t, "bob@example.com")
		callback := b.signInAtProvider(s, "acme", "")
		b.post(s.url+"/login", url.Values{"email": {"bob@example.com"}, "password": {password}})
		before := sessions(bob)
		b.get(callback).assertRedirect(t, "/account")
		if after := sessions(bob); before != 2 || after != 1 {
			t.Errorf("sessions of bob: %d, then %d", before, after)
		}
	})
}

// The provider replaces its key while the user signs in. The new key has the id of the old key. The sign-in must
// work.
//
// SW-17
func TestKeysReplacedDuringASignInAreRead(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		for range 3 {
			b := newBrowser(t)
			at := b.signInAtProvider(s, "acme", "")
			s.acme.rotate(t)
			b.get(at).assertRedirect(t, "/account")
		}
	})
}

// An attacker puts the code of another attempt into the response of the victim. PKCE must prevent its use.
//
// SW-9
func TestCodeOfAnotherAttemptIsRefused(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		attacker, victim := newBrowser(t), newBrowser(t)
		stolen, err := url.Parse(attacker.signInAtProvider(s, "acme", ""))
		must(t, err)
		at, err := url.Parse(victim.signInAtProvider(s, "acme", ""))
		must(t, err)
		q := at.Query()
		q.Set("code", stolen.Query().Get("code"))
		at.RawQuery = q.Encode()
		victim.get(at.String()).assertLoginError(t, federation.CodeProviderUnavailable)
	})
}

// A response of one provider is sent to the callback of another (mix-up, RFC 9207). It must be refused.
//
// SW-11
func TestResponseOfAnotherProviderIsRefused(t *testing.T) {
	two := setup{newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.acme, s.evil = newScriptedProvider(t), newScriptedProvider(t)
		renamed := func(o *providers.Options) { o.ID, o.RedirectURI = "evil", federation.RedirectURI(s.url, "evil") }
		return []federation.Provider{newClient(t, s.url, s.acme.URL), newClient(t, s.url, s.evil.URL, renamed)}
	}}
	onBothStores(t, two, func(t *testing.T, s *site) {
		b := newBrowser(t)
		at := b.signInAtProvider(s, "acme", "")
		b.get(strings.Replace(at, "/acme/", "/evil/", 1)).assertLoginError(t, watchword.CodeChallengeInvalid)
		// The metadata of the provider "evil" does not announce the parameter iss. If this provider sends iss anyway,
		// the value must be its own issuer.
		for iss, works := range map[string]bool{"": true, s.evil.URL: true, s.acme.URL: false} {
			s.evil.sendIssuer(iss)
			b := newBrowser(t)
			if p := b.get(b.signInAtProvider(s, "evil", "")); (p.location() == "/account") != works {
				t.Errorf("evil, iss %q: got %d to %s", iss, p.StatusCode, p.location())
			}
		}
	})
	sends := withScriptedProvider()
	offers := sends.newProviders
	sends.newProviders = func(t *testing.T, s *site) []federation.Provider {
		all := offers(t, s)
		s.acme.update(func(p *scriptedProvider) {
			p.metadataOverrides = map[string]any{"authorization_response_iss_parameter_supported": true}
		})
		return all
	}
	for _, store := range storeKinds {
		t.Run("iss "+store, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, store, sends)
			for iss, works := range map[string]bool{
				s.acme.URL: true, "https://evil.example": false, "": false, s.acme.URL + "/": false,
			} {
				s.acme.sendIssuer(iss)
				b := newBrowser(t)
				if p := b.get(b.signInAtProvider(s, "acme", "")); (p.location() == "/account") != works {
					t.Errorf("iss %q: got %d to %s", iss, p.StatusCode, p.location())
				}
			}
		})
	}
}

// sendIssuer sets the parameter iss of the provider's responses.
func (s *scriptedProvider) sendIssuer(iss string) {
	s.update(func(p *scriptedProvider) {
		p.editResponse = func(q url.Values) {
			if iss != "" {
				q.Set("iss", iss)
			}
		}
	})
}

// If a provider does not work, the page shows an error, and the sign-in form still works.
//
// SW-16
func TestBrokenProviderIsNamed(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		for name, broken := range map[string]http.HandlerFunc{
			"500":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
			"HTML": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") },
			"redirect": func(w http.ResponseWriter, r *http.Request) {
				// The HTTP client does not follow this redirect, and quotes its URL in the error. The log must not
				// have the code and the verifier that are in this URL.
				query := url.Values{"code": {r.FormValue("code")}, "v": {r.FormValue("code_verifier")}}
				http.Redirect(w, r, r.URL.Path+"?"+query.Encode(), http.StatusTemporaryRedirect)
			},
			"10 MiB": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"access_token":"%s"}`, strings.Repeat("x", 10<<20))
			},
			"an error with a secret": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(400)
				_, _ = fmt.Fprintf(w, `{"error":%q,"error_description":"private text %s"}`, r.FormValue("code"),
					r.FormValue("code_verifier"))
			},
		} {
			s.acme.update(func(p *scriptedProvider) { p.endpointOverrides["/token"] = broken })
			b := newBrowser(t)
			at := b.signInAtProvider(s, "acme", "?page=login")
			to := b.get(at)
			to.assertLoginError(t, federation.CodeProviderUnavailable)
			shown := b.get(s.url + to.location())
			if !strings.Contains(shown.text, "Acme is not available right now.") || !strings.Contains(shown.text, `name="password"`) {
				t.Errorf("%s: %s", name, shown.text)
			}
			b.post(s.url+"/login", url.Values{"email": {"ada@example.com"}, "password": {password}}).
				assertRedirect(t, "/account")
			s.assertNoSecretLogged(t, at)
		}
		if strings.Contains(s.log.String(), "private text") {
			t.Error("the log has the body of a response")
		}
		// The page shows the error of a provider only after a redirect of this server. A URL in a page of another
		// site must not show it.
		const forged = "/login?why=provider&code=PROVIDER_UNAVAILABLE&with=acme"
		if p := newBrowser(t).get(s.url + forged); strings.Contains(p.text, "not available") {
			t.Error("a link can show an error of a provider")
		}
		down := onSQLite(t, setup{newProviders: func(t *testing.T, x *site) []federation.Provider {
			return []federation.Provider{newClient(t, x.url, "http://127.0.0.1:1")}
		}})
		newBrowser(t).get(down.url+"/sign-in/acme").assertLoginError(t, federation.CodeProviderUnavailable)
		if p := newBrowser(t).get(down.url + "/sign-in/other"); p.StatusCode != 404 {
			t.Errorf("an unknown provider: %d", p.StatusCode)
		}
	})
}

func TestUserWhoCancelsCanTryAgain(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		s.acme.update(func(p *scriptedProvider) {
			p.editResponse = func(q url.Values) {
				q.Del("code")
				q.Set("error", "access_denied")
				q.Set("error_description", "<b>")
			}
		})
		b := newBrowser(t)
		to := b.get(b.signInAtProvider(s, "acme", "?page=login"))
		to.assertLoginError(t, federation.CodeProviderRefused)
		if shown := b.get(s.url + to.location()); !strings.Contains(shown.text, "Acme did not complete the sign-in.") {
			t.Errorf("%s", shown.text)
		}
		s.acme.update(func(p *scriptedProvider) { p.editResponse = nil })
		b.get(b.signInAtProvider(s, "acme", "?page=login")).assertRedirect(t, "/account")
	})
}

// The subject is compared exactly. If the provider reports a new address, the address of the account must not change.
//
// SW-23, SW-27
func TestSubjectIsExactAndTheAddressStays(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		for _, subject := range []string{"ADA", "ada ", " ada"} {
			s.acme.setUser(subject, "ada@example.com", true)
			other := newBrowser(t)
			other.get(other.signInAtProvider(s, "acme", "")).assertLoginError(t, federation.CodeLinkRequired)
		}
		s.acme.setUser("ada", "new@example.org", true)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		u, _ := b.readAccount(s)
		all := s.readIdentities(t, "ada@example.com")
		if u["email"] != "ada@example.com" || all[0].Email != "new@example.org" {
			t.Errorf("the account is %v, the identities %+v", u, all)
		}
	})
}

// SW-15
func TestSignUpClosedAndDisabledAccountsStayClosed(t *testing.T) {
	with := withScriptedProvider()
	with.changeEngine = func(o *watchword.Options) { o.Signup = watchword.SignupClosed }
	onBothStores(t, with, func(t *testing.T, s *site) {
		for _, verified := range []bool{true, false} {
			s.acme.setUser("ada", "ada@example.com", verified)
			b := newBrowser(t)
			b.get(b.signInAtProvider(s, "acme", "")).assertLoginError(t, watchword.CodeSignupClosed)
		}
		// An operator has created an account without a password. The first user who proves the address of the account
		// must get the account.
		user, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "ada@example.com"})
		must(t, err)
		s.acme.setUser("ada", "ada@example.com", true)
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		must(t, s.engine.Operator().DisableUser(t.Context(), user.ID))
		b.get(b.signInAtProvider(s, "acme", "")).assertLoginError(t, watchword.CodeAccountDisabled)
	})
}

// SW-7
func TestAttemptOfElevenMinutesIsRefused(t *testing.T) {
	var forward [2]atomic.Int64
	for i, store := range storeKinds {
		with := withScriptedProvider()
		with.changeEngine = func(o *watchword.Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(forward[i].Load())) }
		}
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, store, with)
			old, young := newBrowser(t), newBrowser(t)
			tooOld, inTime := old.signInAtProvider(s, "acme", "?page=login"), young.signInAtProvider(s, "acme", "")
			forward[i].Store(int64(9 * time.Minute))
			young.get(inTime).assertRedirect(t, "/account")
			forward[i].Store(int64(11 * time.Minute))
			to := old.get(tooOld)
			to.assertLoginError(t, watchword.CodeChallengeInvalid)
			shown := old.get(s.url + to.location())
			if !strings.Contains(shown.text, "The sign-in with Acme took too long") {
				t.Errorf("the page does not name the provider: %s", shown.text)
			}
			// The clock of the server is set back, so the time of the attempt is in the future.
			early := newBrowser(t)
			future := early.signInAtProvider(s, "acme", "")
			forward[i].Store(0)
			early.get(future).assertLoginError(t, watchword.CodeChallengeInvalid)
		})
	}
}

// A sign-in in a browser that is signed in to another account does not change that account.
//
// SW-12, SW-13
func TestSignInLinksNothingToTheSessionOfTheBrowser(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		b, _ := s.createProvenAccount(t, "bob@example.com")
		b.post(s.url+"/login", url.Values{"email": {"bob@example.com"}, "password": {password}}).
			assertRedirect(t, "/account")
		// The attempt has a sealed return_to, so the callback must ignore this parameter.
		b.get(b.signInAtProvider(s, "acme", "")+"&return_to=https%3A%2F%2Fevil.example%2F").
			assertRedirect(t, "/account")
		u, _ := b.readAccount(s)
		if u["email"] != "ada@example.com" || len(s.readIdentities(t, "bob@example.com")) != 0 {
			t.Errorf("the account is %v, and bob has %+v", u, s.readIdentities(t, "bob@example.com"))
		}
	})
}
