package providers_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
	"github.com/watchword-auth/watchword/internal/browsertest"
)

// These tests sign in with a provider in a real Chromium. The provider must be a different site than the server. It
// is therefore at 127.0.0.1, and the server is at localhost or a name. `make browsers` runs these tests. The other
// files have shorter tests without a browser.

var theChromium browsertest.Chromium

// A tab is a browser tab that acts like a user.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// openChromium opens a tab with a new browser profile.
func openChromium(t *testing.T) *tab { t.Helper(); return trustTestCertificate(t, theChromium.Open(t)) }

// openSecondTab opens another tab with the browser profile of the first tab.
func (b *tab) openSecondTab() *tab {
	b.t.Helper()
	return trustTestCertificate(b.t, browsertest.Tab(b.t, b.ctx))
}

func trustTestCertificate(t *testing.T, ctx context.Context) *tab {
	t.Helper()
	browsertest.Command(t, ctx, security.SetIgnoreCertificateErrors,
		security.SetIgnoreCertificateErrorsParams{Ignore: true})
	return &tab{t, ctx}
}

func evaluate[T any](b *tab, expression string, args ...any) T {
	b.t.Helper()
	value, err := browsertest.Evaluate[T](b.ctx, expression, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// awaitText waits until the page has finished loading and contains the text.
func (b *tab) awaitText(text string) {
	b.t.Helper()
	var shown string
	for end := time.Now().Add(browsertest.Timeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		shown, _ = browsertest.Evaluate[string](b.ctx,
			`() => document.readyState === "complete" ? document.body.innerText : ""`)
		if strings.Contains(shown, text) {
			return
		}
	}
	b.t.Fatalf("%q is not on %s:\n%s", text, evaluate[string](b, `() => location.origin + location.pathname`), shown)
}

func (b *tab) visit(address string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browsertest.Timeout)
	defer cancel()
	must(b.t, chromedp.Do(ctx, chromedp.Navigate(address)))
}

// clickOn clicks with the mouse on a button or a link with these words.
func (b *tab) clickOn(words string) {
	b.t.Helper()
	point := evaluate[[]float64](b, `(words) => {
    const found = [...document.querySelectorAll("button, a")].find((e) =>
      e.innerText.trim() === words && e.checkVisibility());
    if (!found) return [];
    found.scrollIntoView({ block: "center", behavior: "instant" });
    const box = found.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  }`, words)
	if len(point) != 2 {
		b.t.Fatalf("there is no button %q:\n%s", words, evaluate[string](b, `() => document.body.innerText`))
	}
	ctx, cancel := context.WithTimeout(b.ctx, browsertest.Timeout)
	defer cancel()
	must(b.t, chromedp.Do(ctx, chromedp.MouseClickXY(point[0], point[1])))
}

func (b *tab) goBack() {
	b.t.Helper()
	history := browsertest.Command(b.t, b.ctx, cdppage.GetNavigationHistory, struct{}{})
	before := history.Entries[history.CurrentIndex-1].ID
	browsertest.Command(b.t, b.ctx, cdppage.NavigateToHistoryEntry,
		cdppage.NavigateToHistoryEntryParams{EntryID: before})
}

func (b *tab) historyURLs() (all []string) {
	b.t.Helper()
	for _, entry := range browsertest.Command(b.t, b.ctx, cdppage.GetNavigationHistory, struct{}{}).Entries {
		all = append(all, entry.URL)
	}
	return all
}

// cookiesByName returns the cookies that the browser would send to the address.
func (b *tab) cookiesByName(address string) map[string]*network.Cookie {
	b.t.Helper()
	all := map[string]*network.Cookie{}
	found := browsertest.Command(b.t, b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{address}})
	for _, cookie := range found.Cookies {
		all[cookie.Name] = cookie
	}
	return all
}

func (b *tab) attemptCookies(s *site) (all []*network.Cookie) {
	b.t.Helper()
	for name, cookie := range b.cookiesByName(s.url) {
		if strings.Contains(name, "watchword-with-") {
			all = append(all, cookie)
		}
	}
	return all
}

const signedInAs = "Signed in as ada@example.com"

// goToAcme opens the page of the provider in the tab. The page has the buttons Allow and Cancel.
func (b *tab) goToAcme(s *site) {
	b.t.Helper()
	b.visit(s.url + "/login")
	b.clickOn("Continue with Acme")
	b.awaitText("Allow")
}

// A user opens the sign-in in three tabs and finishes them in reverse order. Each must work.
//
// SW-8
func TestChromiumTabsFinishInReverseOrder(t *testing.T) {
	t.Parallel()
	s := onSQLite(t, withBehaviour(`{"page":true}`))
	first := openChromium(t)
	tabs := []*tab{first, first.openSecondTab(), first.openSecondTab()}
	for _, b := range tabs {
		b.goToAcme(s)
	}
	if n := len(first.attemptCookies(s)); n != len(tabs) {
		t.Errorf("%d tabs have %d cookies", len(tabs), n)
	}
	for _, b := range slices.Backward(tabs) {
		b.clickOn("Allow")
		b.awaitText(signedInAs)
	}
	if left := first.attemptCookies(s); len(left) != 0 {
		t.Errorf("%d cookies of attempts are left", len(left))
	}
	if all := s.readIdentities(t, "ada@example.com"); len(all) != 1 {
		t.Errorf("identities: %+v", all)
	}
	// Only the session of the last tab must remain.
	sessions := evaluate[int](first, `async () => {
    const { accessToken } = await (await fetch("/api/auth/refresh", { method: "POST" })).json();
    const headers = { Authorization: "Bearer " + accessToken };
    return (await (await fetch("/api/auth/sessions", { headers })).json()).sessions.length;
  }`)
	if sessions != 1 {
		t.Errorf("%d sessions", sessions)
	}
}

func TestChromiumCancelAndBackLeadToAnotherTry(t *testing.T) {
	t.Parallel()
	s := onSQLite(t, withBehaviour(`{"page":true}`))
	b := openChromium(t)
	b.goToAcme(s)
	b.clickOn("Cancel")
	b.awaitText("Acme did not complete the sign-in.")
	b.clickOn("Continue with Acme")
	b.awaitText("Allow")
	// The back button returns to the sign-in page, which still works.
	b.goBack()
	b.awaitText("Continue with Acme")
	b.clickOn("Continue with Acme")
	b.awaitText("Allow")
	b.clickOn("Allow")
	b.awaitText(signedInAs)
	for _, address := range b.historyURLs() {
		if strings.Contains(address, "/callback") { // this URL has the code in its query
			t.Errorf("the history has %s", address)
		}
	}
	// After the sign-in, the back button returns to the page of the provider, whose form was
	// already used.
	b.goBack()
	b.awaitText("Allow")
	b.clickOn("Allow")
	b.awaitText("invalid_request")
	b.visit(s.url + "/account")
	b.awaitText(signedInAs)
}

// The cookie of an attempt and the attempt in it expire after 10 minutes.
//
// SW-7
func TestChromiumAttemptExpiresAfterTenMinutes(t *testing.T) {
	t.Parallel()
	var forward atomic.Int64
	with := withBehaviour(`{"page":true}`)
	with.changeEngine = func(o *watchword.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(forward.Load())) }
	}
	s := onSQLite(t, with)
	b := openChromium(t)
	b.goToAcme(s)
	all := b.attemptCookies(s)
	if len(all) != 1 {
		t.Fatalf("there are %d cookies of attempts", len(all))
	}
	life := time.Until(time.UnixMilli(int64(all[0].Expires * 1000)))
	if life > federation.AttemptLife || life < federation.AttemptLife-time.Minute || !all[0].HTTPOnly ||
		all[0].SameSite != network.CookieSameSiteLax {
		t.Errorf("the cookie lives %s: %+v", life, all[0])
	}
	// The clock of the server is set forward. The browser's clock stays, so the browser still sends the cookie, which
	// contains an expired attempt.
	forward.Store(int64(11 * time.Minute))
	const expired = "The sign-in with Acme took too long, or began in another browser. Start again."
	b.clickOn("Allow")
	b.awaitText(expired)
	// Now the cookie is missing, as after its expiry in the browser. The clock of the server is right again.
	forward.Store(0)
	browsertest.Command(t, b.ctx, network.ClearBrowserCookies, struct{}{}) // also deletes the cookies of the provider
	b.goToAcme(s)
	browsertest.Command(t, b.ctx, network.DeleteCookies, network.DeleteCookiesParams{
		Name: b.attemptCookies(s)[0].Name, URL: s.url})
	b.clickOn("Allow")
	b.awaitText(expired)
	b.clickOn("Continue with Acme")
	b.awaitText(signedInAs)
}

// A callbackLog has the method and the cookie names of each request to the callback.
type callbackLog struct {
	mu  sync.Mutex
	all []string
}

func (a *callbackLog) record(r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/callback") {
		return
	}
	var names []string
	for _, cookie := range r.Cookies() {
		name, _, _ := strings.Cut(cookie.Name, "with-")
		names = append(names, name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, r.Method+" "+strings.Join(names, " "))
}

func (a *callbackLog) takeAll() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, a.all = a.all, nil
	return all
}

// signedAppleSecret has the form of a client secret for Apple. It expires in the year 2100.
const signedAppleSecret = "e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl"

// withAppleLikeProvider lets npm's oidc-provider respond like Apple: with a form from its page, and with all claims
// in the ID token. The client secret is already signed.
func withAppleLikeProvider() setup {
	return setup{httpsHost: "auth.one.test", newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.realProvider = startRealProvider(t, signedAppleSecret, federation.RedirectURI(s.url, "acme"),
			`{"page":true,"post":true,"direct":true}`)
		return []federation.Provider{newClient(t, s.url, "", func(o *providers.Options) {
			o.Kind, o.Host, o.Issuer, o.TrustEmail = federation.KindApple, s.realProvider.issuer, "", false
			o.ClientSecret = signedAppleSecret
		})}
	}}
}

// A form from another site is sent without cookies. The server therefore redirects. The next request has the Lax
// cookie of the attempt, but not the refresh cookie, which is Strict.
func TestChromiumFormOfAnotherSiteSignsIn(t *testing.T) {
	t.Parallel()
	var seen callbackLog
	with := withAppleLikeProvider()
	with.onRequest = seen.record
	s := onSQLite(t, with)
	b := openChromium(t)
	b.goToAcme(s)
	all := b.attemptCookies(s)
	if len(all) != 1 || !strings.HasPrefix(all[0].Name, "__Host-watchword-with-") || !all[0].Secure {
		t.Fatalf("the cookies are %+v", all)
	}
	b.clickOn("Allow")
	b.awaitText(signedInAs)
	want := []string{"POST ", "GET __Host-watchword-"}
	if got := seen.takeAll(); !slices.Equal(got, want) {
		t.Errorf("the requests have the cookies %q, want %q", got, want)
	}
	// At a second sign-in, the browser also has a refresh cookie, but must not send it.
	b.visit(s.url + "/sign-in/acme")
	b.awaitText(signedInAs)
	if got := seen.takeAll(); !slices.Equal(got, want) {
		t.Errorf("the requests of the second sign-in have the cookies %q, want %q", got, want)
	}
}

// The attacker's site sends the form of the attacker's own attempt. The browser of the victim has not begun an
// attempt, so the form must not sign it in (login CSRF).
//
// SW-21
func TestChromiumForgedFormSignsNobodyIn(t *testing.T) {
	t.Parallel()
	s := onSQLite(t, withApple(t))
	attacker := newBrowser(t)
	at, err := url.Parse(attacker.signInAtProvider(s, "acme", ""))
	must(t, err)
	s.acme.update(func(p *scriptedProvider) {
		p.endpointOverrides["/evil"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, `<!doctype html><form method="post" action="%s/sign-in/acme/callback">
				<input type="hidden" name="state" value="%s"><input type="hidden" name="code" value="%s">
				<button>Win a prize</button></form>`, s.url, at.Query().Get("state"), at.Query().Get("code"))
		}
	})
	b := openChromium(t)
	b.visit(s.acme.URL + "/evil")
	b.clickOn("Win a prize")
	b.awaitText("took too long, or began in another browser")
	if names := slices.Sorted(maps.Keys(b.cookiesByName(s.url))); slices.ContainsFunc(names, isSession) {
		t.Errorf("the browser has the cookies %q", names)
	}
	if all := s.readIdentities(t, "ada@example.com"); len(all) != 0 {
		t.Errorf("identities: %+v", all)
	}
}

func isSession(name string) bool { return strings.Contains(name, "refresh") }

// The buttons of all kinds must fit on the pages, with the logos of the providers. The test also saves screenshots.
func TestChromiumButtonsOfAllKindsFit(t *testing.T) {
	t.Parallel()
	kinds := []federation.Kind{federation.KindGoogle, federation.KindMicrosoft, federation.KindApple,
		federation.KindGitHub}
	s := onSQLite(t, setup{newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.acme = newScriptedProvider(t)
		all := []federation.Provider{newClient(t, s.url, s.acme.URL, func(o *providers.Options) {
			o.Name = "Acme Engineering and Sons"
		})}
		for _, kind := range kinds {
			all = append(all, newClient(t, s.url, "", func(o *providers.Options) {
				o.ID, o.Kind, o.Host, o.Issuer, o.Name, o.TrustEmail = string(kind), kind, s.acme.URL, "", "", false
				o.RedirectURI = federation.RedirectURI(s.url, o.ID)
				switch kind {
				case federation.KindMicrosoft:
					o.Tenants = []string{"common"}
				case federation.KindApple:
					o.ClientSecret = signedAppleSecret
				}
			}))
		}
		return all
	}})
	b := openChromium(t)
	for language, words := range map[string]string{"en": "Continue with Apple", "de": "Weiter mit Apple"} {
		browsertest.Command(t, b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
			UserAgent: "Chromium", AcceptLanguage: language})
		for _, page := range []string{"/login", "/signup"} {
			b.visit(s.url + page)
			b.awaitText(words)
			name := "providers-" + language + strings.ReplaceAll(page, "/", "-")
			browsertest.InEachView(t, b.ctx, name, func(view string) {
				marks := evaluate[int](b, `() => [...document.querySelectorAll(".provider svg")].filter((e) =>
          e.getBoundingClientRect().width === 20).length`)
				if marks != len(kinds) {
					t.Errorf("%s, %s: %d of %d marks are shown", page, view, marks, len(kinds))
				}
			})
		}
	}
	browsertest.Command(t, b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: "Chromium", AcceptLanguage: "en"})
	s.acme.setUser("ada", "ada@gmail.com", true)
	b.visit(s.url + "/sign-in/google")
	b.awaitText("Signed in as ada@gmail.com")
	browsertest.InEachView(t, b.ctx, "providers-account", func(string) {})
}
