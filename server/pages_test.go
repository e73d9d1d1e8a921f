package server_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/web"
)

// submitForm sends the headers that a browser sends with Referrer-Policy: no-referrer.
func (b *browser) submitForm(path string, form map[string]string, headers ...string) fullResponse {
	b.t.Helper()
	values := url.Values{}
	for name, value := range form {
		values.Set(name, value)
	}
	return b.do("POST", path, values.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded",
		"Accept", "text/html", "Origin", "null", "Sec-Fetch-Site", "same-origin"}, headers...)...)
}

func (b *browser) visit(path string, headers ...string) fullResponse {
	b.t.Helper()
	return b.do("GET", path, "", append([]string{"Accept", "text/html", "Sec-Fetch-Site", "none"}, headers...)...)
}

// wantPage searches the page and the Location header for the words.
func wantPage(t *testing.T, a fullResponse, status int, words ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: %d\n%s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.raw)
	}
	for _, word := range words {
		if !strings.Contains(string(a.raw)+"\n"+a.Header.Get("Location"), word) {
			t.Errorf("%s %s: no %q in\n%s%s", a.Request.Method, a.Request.URL.Path, word, a.Header.Get("Location"),
				a.raw)
		}
	}
}

// If the previous address was never verified, the change can't be undone, and no page may promise that. Before the
// token is sent, the page of the mailed link does not know the account. It may therefore only say what happens if the
// previous address is verified.
func TestPageOfANewAddressPromisesAnUndoOnlyIfThereIsOne(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	const until = "can take this account back until"
	wantPage(t, b.submitForm("/signup", map[string]string{"email": "ada@example.com", "password": goodPassword}), 303,
		"/account")
	wantPage(t, b.submitForm("/account/email",
		map[string]string{"newEmail": "ada@example.org", "currentPassword": goodPassword}), 303, "done=address")
	form := b.visit("/email/confirm")
	wantPage(t, form, 200, "If the previous address is confirmed, we will notify it")
	done := b.submitForm("/email/confirm",
		map[string]string{"token": string(s.mailer.awaitUnseenMail(t, watchword.MailConfirmAddress).Token)})
	wantPage(t, done, 200, "new address")
	for _, page := range []fullResponse{form, done} {
		if strings.Contains(string(page.raw), until) {
			t.Errorf("%s promises an undo", page.Request.URL.Path)
		}
	}
}

// PW-12
func TestPasswordManagersKnowTheFields(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	wantPage(t, b.visit("/login"), 200, `type="email" autocomplete="username"`,
		`type="password" autocomplete="current-password"`, `data-show="Show"`)
	wantPage(t, b.visit("/signup"), 200, `type="email" autocomplete="username"`,
		`type="password" autocomplete="new-password" minlength="8"`)
	wantPage(t, b.visit("/reset"), 200, `type="password" autocomplete="new-password" minlength="8"`)
	b.register("ada@example.com")
	account := b.visit("/account")
	wantPage(t, account, 200, `value="ada@example.com" autocomplete="username" hidden`,
		`autocomplete="current-password"`, `autocomplete="new-password"`)
	if strings.Contains(string(account.raw), "onpaste") || strings.Contains(string(account.raw), "maxlength") {
		t.Error("a password can't be pasted, or is cut off")
	}
}

func TestFormsStateTheMinimumLengthOfTheEngine(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.PasswordMin = 15 }, nil)
	wantPage(t, s.newBrowser(t).visit("/signup"), 200, `minlength="15"`, "At least 15 characters")
}

func TestForeignLinkShowsNoNotice(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	const changed, copied, ended, out = "Password changed.", "an old copy of your session was used",
		"Sign in again to continue.", "You are signed out"
	wantSilence := func(b *browser, path string, headers ...string) {
		t.Helper()
		page := string(b.visit(path, headers...).raw)
		for _, notice := range []string{changed, copied, ended, out} {
			if strings.Contains(page, notice) {
				t.Errorf("%s %v says %q", path, headers, notice)
			}
		}
	}
	b := s.newBrowser(t)
	for _, site := range []string{"", "none", "same-origin", "same-site", "cross-site"} {
		for _, why := range []string{"reused", "ended", "out", "deleted"} {
			wantSilence(b, "/login?why="+why, "Sec-Fetch-Site", site)
			wantSilence(b, "/signup?why="+why, "Sec-Fetch-Site", site)
		}
	}
	b.register("ada@example.com")
	for _, site := range []string{"", "none", "same-origin", "same-site", "cross-site"} {
		wantSilence(b, "/account?done=password", "Sec-Fetch-Site", site)
	}

	form := map[string]string{"currentPassword": goodPassword, "newPassword": otherPassword}
	wantPage(t, b.submitForm("/account/password", form), 303, "/account?done=password")
	wantSilence(b, "/account?done=password", "Cookie", "watchword-notice=done.session") // two notices
	wantPage(t, b.visit("/account?done=password"), 200, changed)
	wantSilence(b, "/account?done=password") // the notice is shown only once
	leaves := b.submitForm("/logout", nil)
	wantPage(t, leaves, 303, "/login?why=out")
	wantSilence(b, "/login?why=reused") // the notice cookie has "out", not "reused"
	wantSilence(b, "/login?why=out")    // the notice has been used up
}

func TestAccountOnPagesFromSignUpToDeletion(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b, phone := s.newBrowser(t), s.newBrowser(t)
	wantPage(t, b.visit("/account"), 303, "/login")
	wantPage(t, b.submitForm("/signup",
		map[string]string{"email": "ada@example.com", "password": goodPassword, "name": "Ada"}), 303, "/account")
	wantPage(t, b.visit("/account"), 200, "ada@example.com", "not confirmed yet", "This device", "Account created",
		`value="Ada"`)
	wantPage(t, b.submitForm("/verify", map[string]string{"token": s.url + "/verify#token=" +
		string(s.mailer.awaitUnseenMail(t, watchword.MailVerify).Token)}), 200, "Your address is confirmed.")
	wantPage(t, b.submitForm("/account/name", map[string]string{"name": "Ada L."}), 303, "/account?done=name")
	wantPage(t, b.visit("/account?done=name"), 200, "Name saved.", `value="Ada L."`)

	wantPage(t, phone.submitForm("/login",
		map[string]string{"email": "ada@example.com", "password": goodPassword, "remember": "yes"}), 303, "/account")
	page := b.visit("/account")
	end := regexp.MustCompile(`/account/sessions/[0-9a-f-]+`).FindAllString(string(page.raw), -1)
	if len(end) != 1 {
		t.Fatalf("sessions that can be ended: %q", end)
	}
	wantPage(t, b.submitForm(end[0], nil), 303, "done=session")
	wantPage(t, phone.visit("/account"), 303, "/login?why=ended")
	wantPage(t, phone.visit("/login?why=ended"), 200, "Sign in again to continue.")

	wantPage(t,
		b.submitForm("/account/password",
			map[string]string{"currentPassword": "wrong", "newPassword": otherPassword}), 403,
		`id="password-currentPassword-note"`, "Wrong password.")
	wantPage(t, b.submitForm("/account/password",
		map[string]string{"currentPassword": goodPassword, "newPassword": otherPassword}), 303, "done=password")
	wantPage(t, b.submitForm("/forgot", map[string]string{"email": "ada@example.com"}), 200, "we emailed a link")
	reset := string(s.mailer.awaitUnseenMail(t, watchword.MailReset).Token)
	wantPage(t, b.submitForm("/reset", map[string]string{"token": reset, "password": "short"}), 422,
		"The password is too short.", `value="`+reset+`"`)
	wantPage(t, b.submitForm("/reset", map[string]string{"token": reset, "password": goodPassword}), 200,
		"Your password has been changed")
	wantPage(t, b.visit("/account"), 303, "/login?why=ended")

	wantPage(t, b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": goodPassword}), 303,
		"/account")
	wantPage(t, b.submitForm("/account/email",
		map[string]string{"newEmail": "ada@example.org", "currentPassword": goodPassword}), 303, "done=address")
	wantPage(t, b.submitForm("/email/confirm",
		map[string]string{"token": string(s.mailer.awaitUnseenMail(t,
			watchword.MailConfirmAddress).Token)}), 200, "new address")
	wantPage(t, b.submitForm("/email/undo", map[string]string{
		"token": string(s.mailer.awaitUnseenMail(t,
			watchword.MailAddressChanged).Token)}), 200, "previous address back")

	wantPage(t, b.submitForm("/reset", map[string]string{"token": string(
		s.mailer.awaitUnseenMail(t, watchword.MailReset,
			watchword.Secret(reset)).Token), "password": otherPassword}), 200)
	wantPage(t, b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": otherPassword}), 303,
		"/account")
	out := b.submitForm("/logout", nil)
	wantPage(t, out, 303, "/login?why=out")
	if !cleared(out, "watchword") || !cleared(out, "watchword-page") || out.Header.Get("Clear-Site-Data") != `"cache"` {
		t.Errorf("sign-out: %v", out.Header)
	}
	wantPage(t, b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": otherPassword}), 303,
		"/account")
	wantPage(t, b.submitForm("/account/delete", map[string]string{"currentPassword": goodPassword}), 403,
		"Wrong password.",
		"<details open>")
	wantPage(t, b.submitForm("/account/delete", map[string]string{"currentPassword": otherPassword}), 303,
		"why=deleted")
	wantPage(t, b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": otherPassword}), 401,
		"Wrong email or password.")
}

// ID-3
func TestSignUpPageShowsTheSignUpMode(t *testing.T) {
	t.Parallel()
	form := map[string]string{"email": "ada@example.com", "password": goodPassword}
	for mode, want := range map[watchword.SignupMode][]struct {
		status int
		words  string
	}{
		watchword.SignupOpen:     {{303, "/account"}, {409, `An account with this address already exists.`}},
		watchword.SignupVerified: {{200, "We emailed you the next step."}, {200, "We emailed you the next step."}},
		watchword.SignupClosed: {{403, "Sign-up is closed. Ask the people who run this service for an account."},
			{403, "Sign-up is closed."}},
	} {
		s := start(t, func(o *watchword.Options) { o.Signup = mode }, nil)
		for _, w := range want {
			wantPage(t, s.newBrowser(t).submitForm("/signup", form), w.status, w.words)
		}
	}
}

// After a sign-in over the API, the pages must use the same session.
func TestPagesAndTheAPIShareASession(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.register("ada@example.com")
	first := b.visit("/account")
	wantPage(t, first, 200, "ada@example.com")
	for _, c := range first.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" ||
			c.Name == "watchword-page" && (c.MaxAge < 1 || c.MaxAge > 900) {
			t.Errorf("cookie: %s", c)
		}
	}
	if second := b.visit("/account"); len(second.Cookies()) != 0 {
		t.Errorf("it rotates at every click: %v", second.Cookies())
	}
	wantStatus(t, b.do("GET", "/api/auth/me", ""), 401, watchword.CodeTokenMissing) // the API accepts no cookies
	wantPage(t, b.submitForm("/logout", nil), 303)
	wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 401, watchword.CodeRefreshMissing)

	// The pages must show the user of the latest sign-in.
	wantPage(t, b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": goodPassword}), 303)
	wantPage(t, b.visit("/account"), 200, "ada@example.com")
	b.register("bob@example.com")
	wantPage(t, b.visit("/account"), 200, "bob@example.com")
}

// A form of another site must be rejected. An Origin of null must be accepted only with Sec-Fetch-Site: same-origin,
// which pages can't set.
//
// CSRF-1
func TestCrossSiteFormIsRejected(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.register("ada@example.com")
	wantPage(t, b.visit("/account"), 200)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", ""},
		{"Sec-Fetch-Site", "", "Origin", ""},
		{"Origin", "https://evil.example"},
		{"Sec-Fetch-Site", "none", "Origin", "https://evil.example"},
	} {
		for path, form := range map[string]map[string]string{
			"/logout": nil, "/account/sessions": nil, "/account/name": {"name": "Eve"},
			"/account/delete": {"currentPassword": goodPassword},
			"/account/email":  {"newEmail": "eve@example.org", "currentPassword": goodPassword},
		} {
			if a := b.submitForm(path, form, headers...); a.StatusCode != 403 ||
				!strings.Contains(string(a.raw), "another site") {
				t.Errorf("%s with %q: %d", path, headers, a.StatusCode)
			}
		}
	}
	wantPage(t, b.visit("/account"), 200, `value="Ada"`)
	front := start(t, nil,
		func(o *server.Options) { o.AllowedOrigins = []string{"https://app.example.com"} }).newBrowser(t)
	wantStatus(t, front.post("/logout", map[string]any{}, "Sec-Fetch-Site", "cross-site", "Origin",
		"https://app.example.com"), 200, "")
	a := front.submitForm("/logout", nil, "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com")
	if a.StatusCode != 403 {
		t.Errorf("a form of a front-end: %d", a.StatusCode)
	}
}

// Error pages have one text for each code. If this text does not fit the reason of a refusal, the page must show a
// more specific text.
func TestErrorPageFitsTheReasonOfTheRefusal(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.Jar = nil
	cookies := strings.TrimSuffix(strings.Repeat("a=b; ", 65), "; ")
	for language, text := range map[string]string{
		"en": "This browser sends too many cookies. Delete the cookies of this site, then open the page again.",
		"de": "Dieser Browser sendet zu viele Cookies. Löschen Sie die Cookies dieser Website",
	} {
		wantPage(t, b.visit("/login", "Cookie", cookies, "Accept-Language", language), 400, text)
	}
	for language, text := range map[string]string{
		"en": "Your browser did not say whether another site sent this request.",
		"de": "Ihr Browser hat nicht angegeben, ob eine andere Website diese Anfrage gesendet hat.",
	} {
		for _, origin := range []string{"", "null"} {
			wantPage(t, b.submitForm("/logout", nil, "Cookie", "watchword=x", "Sec-Fetch-Site", "", "Origin", origin,
				"Accept-Language", language), 403, text)
		}
	}
	wantPage(t, b.submitForm("/logout", nil, "Sec-Fetch-Site", "cross-site"), 403,
		"This request came from another site.")
}

// A racingStore runs a concurrent change before the next transaction of a request. Before a transaction of a
// background worker, the change would come too early: the request would read the account afterwards.
type racingStore struct {
	realStore
	change chan func()
}

func (s racingStore) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	if ctx.Value(http.ServerContextKey) != nil {
		select {
		case change := <-s.change:
			change()
		default:
		}
	}
	return s.realStore.Update(ctx, fn)
}

// If a request loses a race, its error page must not report an outage, because the service is available.
func TestPageOfALostRaceReportsNoOutage(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, real realStore) {
		store := racingStore{real, make(chan func(), 1)}
		s := startOnStore(t, store, nil, nil)
		b := s.newBrowser(t)
		b.register("ada@example.com")
		user, err := s.engine.Operator().FindUser(t.Context(), "ada@example.com")
		must(t, err)
		wantPage(t, b.visit("/account"), 200)
		store.change <- func() {
			must(t, real.Update(t.Context(), func(tx watchword.Tx) error {
				return tx.SetPassword(t.Context(), user.ID, "another hash")
			}))
		}
		a := b.submitForm("/account/password", map[string]string{
			"currentPassword": goodPassword, "newPassword": "another good one"})
		wantPage(t, a, 503, "This is not possible right now. Try again in a moment.")
	})
}

// On a shared machine, users must not stay signed in. Without "remember", the cookies must end with the browser.
func TestCookiesWithoutRememberEndWithTheBrowser(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.newBrowser(t).register("ada@example.com")
	form := map[string]string{"email": "ada@example.com", "password": goodPassword}
	for _, c := range s.newBrowser(t).submitForm("/login", form).Cookies() {
		if c.Name != "watchword-known" && (c.MaxAge != 0 || !c.Expires.IsZero()) {
			t.Errorf("it outlives the browser: %s", c.Name)
		}
	}
	form["remember"] = "yes"
	if cookies := s.newBrowser(t).submitForm("/login", form).Cookies(); len(cookies) != 3 || cookies[0].MaxAge < 1 ||
		cookies[2].MaxAge < 1 {
		t.Errorf("it does not: %v", len(cookies))
	}
	signUp := map[string]string{"email": "grace@example.com", "password": goodPassword} // the form has no "remember"
	if cookies := s.newBrowser(t).submitForm("/signup", signUp).Cookies(); len(cookies) != 3 || cookies[0].MaxAge < 1 {
		t.Errorf("after a sign-up: %v", cookies)
	}
}

func TestEmptyCookieIsClearedOnPages(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	for _, path := range []string{"/login", "/signup"} {
		a := s.newBrowser(t).visit(path, "Cookie", "watchword=")
		wantPage(t, a, 200)
		if !cleared(a, "watchword") {
			t.Errorf("%s: it stays", path)
		}
	}
	wantPage(t, s.newBrowser(t).visit("/account", "Cookie", "watchword="), 303, "/login")
}

func TestSignInRedirectsOnlyToAllowedOrigins(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) { o.AllowedOrigins = []string{"https://app.example.com"} })
	s.newBrowser(t).register("ada@example.com")
	for target, leads := range map[string]string{
		"https://app.example.com/inbox?x=1":  "https://app.example.com/inbox?x=1",
		s.url + "/account":                   s.url + "/account",
		"":                                   "/account",
		"https://evil.example/":              "/account",
		"//evil.example/":                    "/account",
		"/\\evil.example":                    "/account",
		"https://app.example.com.evil.test/": "/account",
		"https://app.example.com@evil.test/": "/account",
		"javascript:alert(1)":                "/account",
		"https://app.example.com/\r\nX: y":   "/account",
	} {
		b := s.newBrowser(t)
		page := b.visit("/login?return_to=" + url.QueryEscape(target))
		wantPage(t, page, 200)
		if shown := strings.Contains(string(page.raw), `name="return_to"`); shown != (leads == target) {
			t.Errorf("%q is carried on: %t", target, shown)
		}
		wantPage(t, b.submitForm("/login",
			map[string]string{"email": "ada@example.com", "password": "wrong", "return_to": target}), 401)
		if a := b.submitForm("/login", map[string]string{"email": "ada@example.com", "password": goodPassword,
			"return_to": target}); a.StatusCode != 303 || a.Header.Get("Location") != leads {
			t.Errorf("%q leads to %d %q", target, a.StatusCode, a.Header.Get("Location"))
		}
		if a := b.visit("/login?return_to=" + url.QueryEscape(target)); a.StatusCode != 303 ||
			a.Header.Get("Location") != leads {
			t.Errorf("signed in already, %q leads to %d %q", target, a.StatusCode, a.Header.Get("Location"))
		}
	}
	if csp := s.newBrowser(t).visit("/login").Header.Get("Content-Security-Policy"); !strings.Contains(csp,
		"form-action 'self' https://app.example.com;") {
		t.Errorf("browsers would stop the way back: %s", csp)
	}
}

// When the user follows a link from another site, the browser omits the cookies. The page must load again, and then
// show the session.
func TestCrossSiteLinkReloadsWithTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.register("ada@example.com")
	withheld := s.newBrowser(t).visit("/account", "Sec-Fetch-Site", "cross-site")
	wantPage(t, withheld, 200, `http-equiv="refresh" content="0; url=/account"`)
	wantPage(t, b.visit("/account", "Sec-Fetch-Site", "same-origin"), 200, "ada@example.com")
	wantPage(t, s.newBrowser(t).visit("/account", "Sec-Fetch-Site", "same-origin"), 303, "/login")
}

func TestCopiedCookieIsDetectedOnPages(t *testing.T) {
	t.Parallel()
	var clockAhead atomic.Int64
	s := start(t, func(o *watchword.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(clockAhead.Load())) }
	}, nil)
	victim, thief := s.newBrowser(t), s.newBrowser(t)
	a := victim.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword})
	u, _ := url.Parse(s.url)
	thief.Jar.SetCookies(u, a.Cookies())
	rotate := func(b *browser) fullResponse {
		clockAhead.Add(int64(20 * time.Minute)) // longer than the life of the page cookie
		return b.visit("/account")
	}
	for range 6 {
		for _, b := range []*browser{victim, thief} {
			if a := rotate(b); a.StatusCode == 303 {
				if a.Header.Get("Location") != "/login?why=reused" || !cleared(a, "watchword") {
					t.Fatalf("it leads to %s, %v", a.Header.Get("Location"), a.Cookies())
				}
				wantPage(t, b.visit("/login?why=reused"), 200, "an old copy of your session was used")
				return
			}
		}
	}
	t.Error("both go on")
}

func TestPagesUseTheLanguageOfTheReader(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	for accepts, title := range map[string]string{
		"": "Sign in", "de": "Anmelden", "de-AT,en;q=0.5": "Anmelden", "fr, en;q=0.4": "Sign in", "fr": "Sign in",
		"*": "Sign in", strings.Repeat("x,", 5000): "Sign in",
	} {
		a := b.visit("/login", "Accept-Language", accepts)
		wantPage(t, a, 200, "<h1>"+title+"</h1>")
		if !slices.Contains(a.Header.Values("Vary"), "Accept-Language") {
			t.Errorf("Vary: %v", a.Header.Values("Vary"))
		}
	}
	wantPage(t, b.submitForm("/login", map[string]string{"email": "x", "password": "y"}, "Accept-Language", "de"), 422,
		"Das ist keine E-Mail-Adresse.")
	wantPage(t, b.visit("/nothing", "Accept-Language", "de"), 404, "Unter dieser Adresse gibt es keine Seite.")
}

func loadCatalog(t *testing.T, name string) (all map[string]string) {
	t.Helper()
	content, err := fs.ReadFile(web.Files, "texts/"+name)
	must(t, err)
	must(t, json.Unmarshal(content, &all))
	return all
}

// Both catalogs must have the same texts, because a page shows the key of a missing text.
func TestEveryTextIsInEachCatalog(t *testing.T) {
	t.Parallel()
	english, german := loadCatalog(t, "en.json"), loadCatalog(t, "de.json")
	german["brand"] = english["brand"]
	if a, b := slices.Sorted(maps.Keys(english)), slices.Sorted(maps.Keys(german)); !slices.Equal(a, b) {
		t.Errorf("the languages differ:\n%q\n%q", a, b)
	}
	for key, text := range english {
		if strings.Count(text, "%") != strings.Count(german[key], "%") {
			t.Errorf("%s takes other values in German", key)
		}
	}
	used := map[string]bool{}
	templates, err := fs.Glob(web.Files, "templates/*.html")
	must(t, err)
	for _, name := range templates {
		content, err := fs.ReadFile(web.Files, name)
		must(t, err)
		for _, found := range regexp.MustCompile(`\.T "([^"]+)"`).FindAllStringSubmatch(string(content), -1) {
			used[found[1]] = true
		}
	}
	sources := []string{"event.go", "factors/factors.go", "federation/federation.go", "metadata/metadata.go"}
	for _, name := range sources {
		source, err := os.ReadFile("../" + name)
		must(t, err)
		kinds := regexp.MustCompile(`EventKind = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
		if len(kinds) == 0 {
			t.Errorf("%s has no kind of an event", name)
		}
		for _, found := range kinds {
			used["event."+found[1]] = found[1] != "account_deleted" // no account page has it
		}
	}
	for key, shown := range used {
		if _, known := english[key]; shown && !known {
			t.Errorf("there is no text %q", key)
		}
	}
}

func TestOperatorsFilesReplacePages(t *testing.T) {
	t.Parallel()
	own := fstest.MapFS{
		"texts/en.json":          {Data: []byte(`{"brand": "Acme", "login.title": "Welcome back"}`)},
		"texts/fr.json":          {Data: []byte(`{"login.title": "Connexion"}`)},
		"assets/theme.css":       {Data: []byte(`:root { --accent: #00f; }`)},
		"assets/mark.svg":        {Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)},
		"assets/photo.png":       {Data: []byte("png")},
		"templates/message.html": {Data: []byte(`{{define "main"}}<p>Acme says: {{.Data}}</p>{{end}}`)},
	}
	s := start(t, nil, func(o *server.Options) { o.Pages = own })
	b := s.newBrowser(t)
	wantPage(t, b.visit("/login"), 200, "Welcome back", "Acme",
		"PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=")
	wantPage(t, b.visit("/login", "Accept-Language", "fr"), 200, "<h1>Connexion</h1>", "Forgot your password?",
		`lang="fr"`)
	wantPage(t, b.visit("/assets/style.css"), 200, "--accent: #7a2e22", "--accent: #00f")
	wantPage(t, b.visit("/assets/photo.png"), 200, "png")
	wantPage(t, b.submitForm("/forgot", map[string]string{"email": "ada@example.com"}), 200, "Acme says: If an account")

	for name, content := range map[string]string{
		"templates/signin.html": "", "templates/login.html": "{{define", "texts/en.json": `{"login.titel": "x"}`,
		"texts/words.json": "{}", "texts/de.json": "[]",
	} {
		_, err := server.New(s.engine, server.Options{Pages: fstest.MapFS{name: {Data: []byte(content)}}})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
