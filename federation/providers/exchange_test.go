package providers_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
	"github.com/watchword-auth/watchword/server"
)

const (
	app      = "http://localhost:5173/return?attempt=1"
	verifier = "the-verifier-of-this-browser-has-43-letters_"
)

// codeChallenge returns the code_challenge of a verifier, by the method S256 (RFC 7636).
func codeChallenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// withServerApp is withScriptedProvider with an application on another origin.
func withServerApp(change ...func(*providers.Options)) setup {
	with := withScriptedProvider(change...)
	with.changeServer = func(o *server.Options) { o.AllowedOrigins = []string{"http://localhost:5173"} }
	return with
}

// startQuery returns the query with which the application begins an attempt.
func startQuery(challenge string) string {
	return "?" + url.Values{
		"return_to": {app}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}.Encode()
}

// redirectParameter signs in at the provider. It returns the value of a parameter in the redirect to the application.
func (b *browser) redirectParameter(s *site, parameter string) string {
	b.t.Helper()
	p := b.get(b.signInAtProvider(s, "acme", startQuery(codeChallenge(verifier))))
	to, err := url.Parse(p.location())
	must(b.t, err)
	if p.StatusCode != http.StatusSeeOther || !strings.HasPrefix(p.location(), app+"&"+parameter+"=") {
		b.t.Fatalf("got %d to %s, want %s at the application", p.StatusCode, p.location(), parameter)
	}
	home, err := url.Parse(s.url)
	must(b.t, err)
	if cookies := b.Jar.Cookies(home); len(cookies) > 0 {
		b.t.Errorf("the callback leaves the cookies %v", cookies)
	}
	return to.Query().Get(parameter)
}

// exchangeCode redeems a code as the application's server does.
func (b *browser) exchangeCode(s *site, code, verifier string) page {
	b.t.Helper()
	return b.callAPI(s, "POST", "/exchange", map[string]any{"code": code, "verifier": verifier, "delivery": "body"}, "")
}

func (p page) assertError(t *testing.T, status int, code watchword.Code) {
	t.Helper()
	if p.StatusCode != status || !strings.Contains(p.text, string(code)) {
		t.Errorf("got %d %s, want %d %s", p.StatusCode, p.text, status, code)
	}
}

// SW-28
func TestApplicationExchangesACodeOnce(t *testing.T) {
	onBothStores(t, withServerApp(), func(t *testing.T, s *site) {
		b, backend := newBrowser(t), newBrowser(t)
		code := b.redirectParameter(s, "code")
		if len(s.readIdentities(t, "ada@example.com")) != 1 {
			t.Error("the callback did not create the account")
		}
		content := s.dumpRows(t)
		for _, secret := range []string{code, verifier, codeChallenge(verifier)} {
			if strings.Contains(content, secret) || strings.Contains(content, hex.EncodeToString([]byte(secret))) {
				t.Errorf("the store has %q", secret)
			}
		}
		p := backend.exchangeCode(s, code, verifier)
		in := parse[struct{ AccessToken, RefreshToken string }](t, p.text)
		if p.StatusCode != 200 || in.RefreshToken == "" || len(p.Cookies()) > 0 {
			t.Fatalf("%d %s %v", p.StatusCode, p.text, p.Cookies())
		}
		who, err := s.engine.Authenticate(t.Context(), watchword.Secret(in.AccessToken))
		must(t, err)
		if who.User.Email != "ada@example.com" || strings.Join(who.Session.Methods, " ") != "ext" {
			t.Errorf("the session is of %s by %q", who.User.Email, who.Session.Methods)
		}
		// A reload sends the code again. The second use must be refused, and the session must stay active.
		backend.exchangeCode(s, code, verifier).assertError(t, 401, watchword.CodeChallengeInvalid)
		if _, err := s.engine.Authenticate(t.Context(), watchword.Secret(in.AccessToken)); err != nil {
			t.Error(err)
		}
		if text := s.dumpRows(t); !strings.Contains(text, "code used again") {
			t.Error("the second use is not among the events")
		}
		if strings.Contains(s.log.String(), code) || strings.Contains(s.log.String(), verifier) {
			t.Error("the log has the code or its verifier")
		}
	})
}

// A thief of the code has no verifier. The thief's first request must use up the code.
//
// SW-28
func TestCodeWithoutItsVerifierIsUsedUp(t *testing.T) {
	onBothStores(t, withServerApp(), func(t *testing.T, s *site) {
		for _, wrong := range []string{"", "short", strings.Repeat("x", 43), codeChallenge(verifier), verifier + "x"} {
			b := newBrowser(t)
			code := b.redirectParameter(s, "code")
			b.exchangeCode(s, code, wrong).assertError(t, 401, watchword.CodeChallengeInvalid)
			b.exchangeCode(s, code, verifier).assertError(t, 401, watchword.CodeChallengeInvalid)
		}
		// The start can't refuse a short verifier, because its hash does not show the length. The exchange must.
		b := newBrowser(t)
		to, err := url.Parse(b.get(b.signInAtProvider(s, "acme", startQuery(codeChallenge("short")))).location())
		must(t, err)
		b.exchangeCode(s, to.Query().Get("code"), "short").assertError(t, 401, watchword.CodeChallengeInvalid)
		code := b.redirectParameter(s, "code")
		for _, invented := range []string{"", "x", code + "x", code[:len(code)-1], "wwc_" + strings.Repeat("A", 60)} {
			b.exchangeCode(s, invented, verifier).assertError(t, 401, watchword.CodeChallengeInvalid)
		}
		// The endpoint for second factors must refuse a code.
		b.callAPI(s, "POST", "/login/factor", map[string]any{"handle": code, "totp": "123456"}, "").
			assertError(t, 401, watchword.CodeChallengeInvalid)
		if p := b.exchangeCode(s, code, verifier); p.StatusCode != 200 {
			t.Errorf("the code of the browser: %d %s", p.StatusCode, p.text)
		}
		if text := s.dumpRows(t); !strings.Contains(text, "code without its verifier") {
			t.Error("the wrong verifiers are not among the events")
		}
	})
}

func (b *browser) resetPassword(s *site, u watchword.User, password string) {
	b.t.Helper()
	b = newBrowser(b.t) // a separate browser, because the response sets a cookie
	must(b.t, s.engine.Operator().SendReset(b.t.Context(), u.ID))
	token := string(s.awaitMail(b.t, watchword.MailReset).Token)
	body := map[string]any{"token": token, "password": password}
	if p := b.callAPI(s, "POST", "/password/reset", body, ""); p.StatusCode != 200 {
		b.t.Fatalf("reset: %d %s", p.StatusCode, p.text)
	}
}

// If the account changes between the callback and the exchange, the exchange must open no session.
//
// SW-28
func TestCodeOfAChangedAccountOpensNothing(t *testing.T) {
	onBothStores(t, withServerApp(), func(t *testing.T, s *site) {
		b, operator := newBrowser(t), s.engine.Operator()
		for name, change := range map[string]func(watchword.User){
			"password": func(u watchword.User) { b.resetPassword(s, u, "another horse battery") },
			"address":  func(u watchword.User) { must(t, operator.ChangeEmail(t.Context(), u.ID, "new@example.com")) },
			"factors": func(u watchword.User) {
				must(t, s.store.Factors().Update(t.Context(), func(tx factors.Tx) error {
					return tx.CountFactors(t.Context(), u.ID, time.Now())
				}))
			},
			"disabled": func(u watchword.User) { must(t, operator.DisableUser(t.Context(), u.ID)) },
			"deleted":  func(u watchword.User) { must(t, operator.DeleteUser(t.Context(), u.ID)) },
			"disconnected": func(u watchword.User) {
				id := s.readIdentities(t, string(u.Email))[0].ID
				must(t, s.store.Federation().Update(t.Context(), func(tx federation.Tx) error {
					done, err := tx.DeleteIdentity(t.Context(), u.ID, id, "", []string{"acme"})
					if err == nil && !done {
						t.Error("the identity was not disconnected")
					}
					return err
				}))
			},
		} {
			s.acme.setUser(name, name+"@example.com", true)
			b.redirectParameter(s, "code")
			u, err := operator.FindUser(t.Context(), name+"@example.com")
			must(t, err)
			b.resetPassword(s, u, password)
			code := b.redirectParameter(s, "code")
			change(u)
			want, status := watchword.CodeChallengeInvalid, 401
			if name == "disabled" {
				want, status = watchword.CodeAccountDisabled, 403
			}
			b.exchangeCode(s, code, verifier).assertError(t, status, want)
			b.exchangeCode(s, code, verifier).assertError(t, 401, watchword.CodeChallengeInvalid)
		}
	})
}

// The second exchange overwrites the refresh cookie of the first session, and must end that session.
func TestExchangeReplacesTheSessionOfTheCookie(t *testing.T) {
	onBothStores(t, withServerApp(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		for range 2 {
			code := newBrowser(t).redirectParameter(s, "code")
			p := b.callAPI(s, "POST", "/exchange", map[string]any{"code": code, "verifier": verifier}, "")
			if n := s.countLiveSessions(t); p.StatusCode != http.StatusOK || n != 1 {
				t.Errorf("%d %s; %d sessions", p.StatusCode, p.text, n)
			}
		}
	})
}

// Callbacks and exchanges have a rate limit per client, because a callback sends requests to the provider and an
// exchange writes to the store.
func TestCallbacksAndExchangesOfAClientAreLimited(t *testing.T) {
	t.Parallel()
	with := withServerApp()
	with.changeEngine = func(o *watchword.Options) {
		o.Limits.PasskeyPerClient = watchword.Limit{Count: 2, Per: time.Hour}
	}
	s := onSQLite(t, with)
	b := newBrowser(t)
	code := b.redirectParameter(s, "code")
	b.exchangeCode(s, code, "short").assertError(t, 401, watchword.CodeChallengeInvalid)
	b.exchangeCode(s, code, verifier).assertError(t, 401, watchword.CodeChallengeInvalid)
	b.exchangeCode(s, code, verifier).assertError(t, 429, watchword.CodeRateLimited)
	b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
	b.get(b.signInAtProvider(s, "acme", "")).assertLoginError(t, watchword.CodeRateLimited)
}

// SW-28
func TestCodeExpiresAfterAMinute(t *testing.T) {
	for _, store := range storeKinds {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			var ahead atomic.Int64
			with := withServerApp()
			with.changeEngine = func(o *watchword.Options) {
				o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			}
			s := startSite(t, store, with)
			b := newBrowser(t)
			code := b.redirectParameter(s, "code")
			ahead.Store(int64(time.Minute))
			b.exchangeCode(s, code, verifier).assertError(t, 401, watchword.CodeChallengeInvalid)
		})
	}
}

// Of many concurrent exchanges, only one must open a session.
//
// SW-28
func TestTwentyExchangesAtOnceOpenOneSession(t *testing.T) {
	onBothStores(t, withServerApp(), func(t *testing.T, s *site) {
		b := newBrowser(t)
		code := b.redirectParameter(s, "code")
		var opened atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if p := b.exchangeCode(s, code, verifier); p.StatusCode == 200 {
					opened.Add(1)
				}
			})
		}
		all.Wait()
		if opened.Load() != 1 {
			t.Errorf("%d exchanges succeeded", opened.Load())
		}
	})
}

// The errors of an attempt are sent in the query, because the application's server does not
// receive a fragment.
func TestErrorsOfAnAttemptLeadToTheApplication(t *testing.T) {
	onBothStores(t, withServerApp(), func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		b := newBrowser(t)
		s.acme.setUser("bob", "bob@example.com", false)
		if got := b.redirectParameter(s, "error"); got != "EMAIL_NOT_VERIFIED" {
			t.Errorf("an unproven address: %s", got)
		}
		s.acme.update(func(a *scriptedProvider) {
			a.editResponse = func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }
		})
		if got := b.redirectParameter(s, "error"); got != "PROVIDER_REFUSED" {
			t.Errorf("a user who cancels: %s", got)
		}
		s.acme.update(func(a *scriptedProvider) { a.editResponse = nil })
		// If the address has a proven account, the exchange must return CodeLinkRequired and set a cookie with the
		// handle of the connection. The next sign-in with this cookie must connect the identity, as with other
		// front-ends.
		s.acme.setUser("ada", "ada@example.com", true)
		code := b.redirectParameter(s, "code")
		b.callAPI(s, "POST", "/exchange", map[string]any{"code": code, "verifier": verifier}, "").
			assertError(t, 403, federation.CodeLinkRequired)
		if len(s.readIdentities(t, "ada@example.com")) != 0 {
			t.Fatal("the exchange has linked the identity")
		}
		login := map[string]any{"email": "ada@example.com", "password": password}
		if p := b.callAPI(s, "POST", "/login", login, ""); p.StatusCode != 200 {
			t.Fatalf("%d %s", p.StatusCode, p.text)
		}
		if len(s.readIdentities(t, "ada@example.com")) != 1 {
			t.Error("the sign-in has not linked the identity")
		}
	})
}

// The application's URL may be one that browsers accept but Go does not parse. The redirect to this URL must still
// contain the code, because the server has already created the account.
func TestCodeLeadsToAPageThatGoDoesNotParse(t *testing.T) {
	onBothStores(t, withServerApp(), func(t *testing.T, s *site) {
		page := "http://localhost:5173/100%25/%zz?of=100%&code=old&x=1"
		b := newBrowser(t)
		callback := b.signInAtProvider(s, "acme", "?"+url.Values{"return_to": {page},
			"code_challenge": {codeChallenge(verifier)}, "code_challenge_method": {"S256"}}.Encode())
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, callback, nil)
		must(t, err)
		for _, cookie := range b.Jar.Cookies(r.URL) {
			r.AddCookie(cookie)
		}
		response, err := b.Transport.RoundTrip(r) // http.Client would parse the URL of the redirect
		must(t, err)
		defer response.Body.Close()
		to := response.Header.Get("Location")
		code, isPage := strings.CutPrefix(to, "http://localhost:5173/100%25/%zz?code=")
		code, hasOthers := strings.CutSuffix(code, "&x=1")
		if response.StatusCode != http.StatusSeeOther || !isPage || !hasOthers {
			t.Fatalf("got %d to %s", response.StatusCode, to)
		}
		if p := newBrowser(t).exchangeCode(s, code, verifier); p.StatusCode != 200 {
			t.Errorf("the exchange: %d %s", p.StatusCode, p.text)
		}
		login := b.get(s.url + "/login?" + url.Values{"return_to": {page}}.Encode())
		if !strings.Contains(login.text, "Back to localhost:5173<") {
			t.Errorf("the page does not name the application: %s", login.text)
		}
	})
}

// A start with an invalid challenge must be rejected. If the challenge were ignored, the callback would open a
// session in this browser instead of a code for the application.
func TestStartWithAWrongChallengeIsRejected(t *testing.T) {
	t.Parallel()
	s := onSQLite(t, withServerApp())
	right := codeChallenge(verifier)
	for _, query := range []url.Values{
		{"return_to": {app}, "code_challenge": {right}},
		{"return_to": {app}, "code_challenge": {right}, "code_challenge_method": {"plain"}},
		{"return_to": {app}, "code_challenge": {"short"}, "code_challenge_method": {"S256"}},
		{"return_to": {app}, "code_challenge": {right, right}, "code_challenge_method": {"S256"}},
		{"return_to": {app}, "code_challenge_method": {"S256"}},
		{"code_challenge": {right}, "code_challenge_method": {"S256"}},
		{"return_to": {"https://evil.example/"}, "code_challenge": {right}, "code_challenge_method": {"S256"}},
	} {
		p := newBrowser(t).get(s.url + "/sign-in/acme?" + query.Encode())
		if p.StatusCode != http.StatusUnprocessableEntity || len(p.Cookies()) > 0 {
			t.Errorf("%s: %d to %q", query.Encode(), p.StatusCode, p.location())
		}
	}
}
