package providers_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/browsertest"
	"github.com/watchword-auth/watchword/server"
)

// In these tests, the front-end and the server are on different sites, with cookie-same-site=none, in a real
// Chromium.

// startTwoSites starts a server at id.two.test with a front-end at app.one.test.
func startTwoSites(t *testing.T) (s *site, app string) {
	t.Helper()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>app</title>The application")
	}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // a browser aborts requests when the user leaves a page
	web.StartTLS()
	t.Cleanup(web.Close)
	app = strings.Replace(web.URL, "127.0.0.1", "app.one.test", 1)
	with := withScriptedProvider()
	with.httpsHost = "id.two.test"
	with.changeServer = func(o *server.Options) {
		o.AllowedOrigins, o.CookieSameSite = []string{app}, http.SameSiteNoneMode
	}
	return onSQLite(t, with), app
}

// fetchFromPage sends a request from the page of the front-end, and returns a member of the response.
func (b *tab) fetchFromPage(s *site, method, path, access, member string, body map[string]string) string {
	b.t.Helper()
	return evaluate[string](b, `async (method, url, access, member, body) => {
    const response = await fetch(url, { method, credentials: "include", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", ...(access && { Authorization: "Bearer " + access }) } });
    const answer = await response.json();
    return answer[member] ?? response.status + " " + answer.code;
  }`, method, s.url+"/api/auth"+path, access, member, body)
}

// connectAndSignIn signs up in the front-end, connects an account of the provider, and expects a page with the text.
// A sign-in with a second account of the provider fails with LINK_REQUIRED. A sign-in with the password then connects
// the second account of the provider, too.
func (b *tab) connectAndSignIn(s *site, app, text string) {
	b.t.Helper()
	ada := map[string]string{"email": "ada@example.com", "password": password}
	b.visit(app)
	b.awaitText("The application")
	access := b.fetchFromPage(s, "POST", "/register", "", "accessToken", ada)
	token := string(s.awaitMail(b.t, watchword.MailVerify).Token)
	b.fetchFromPage(s, "POST", "/email/verify", access, "user", map[string]string{"token": token})
	s.acme.setUser("elsewhere", "elsewhere@example.com", true)
	b.visit(b.fetchFromPage(s, "POST", "/identities/acme", access, "url",
		map[string]string{"returnTo": app + "/settings"}))
	b.awaitText(text)

	s.acme.setUser("ada", "ada@example.com", true)
	b.visit(s.url + "/sign-in/acme?return_to=" + app + "/start")
	b.awaitText("The application")
	if got := evaluate[string](b, `() => location.hash`); got != "#error=LINK_REQUIRED" {
		b.t.Fatalf("the front-end gets %q", got)
	}
	if got := b.fetchFromPage(s, "POST", "/login", "", "accessToken", ada); strings.Contains(got, " ") {
		b.t.Fatalf("the sign-in after LINK_REQUIRED: %s", got)
	}
}

// CK-8
func TestChromiumFrontEndOnAnotherSiteConnectsAProvider(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, preferences, ends string
		connected               int
	}{
		{"third-party cookies allowed", browsertest.ThirdPartyCookiesAllowed, "The application", 2},
		// A browser that blocks third-party cookies keeps separate cookies for the requests of the front-end and for
		// the callback. Therefore the callback does not get the cookie of the attempt (docs/operations.md).
		{"third-party cookies blocked", browsertest.ThirdPartyCookiesBlocked, "took too long, or began in another", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, app := startTwoSites(t)
			browser := &browsertest.Chromium{Preferences: c.preferences}
			t.Cleanup(browser.Stop)
			trustTestCertificate(t, browser.Open(t)).connectAndSignIn(s, app, c.ends)
			if all := s.readIdentities(t, "ada@example.com"); len(all) != c.connected {
				t.Errorf("%d accounts are connected, want %d", len(all), c.connected)
			}
		})
	}
}
