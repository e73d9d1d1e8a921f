package server_test

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/internal/browsertest"
	"github.com/watchword-auth/watchword/server"
)

// In these tests, a front-end and a server are on two sites, over https, in a real Chromium. The tests show which
// cookies a browser stores and sends. sites_test.go tests how the server handles all combinations of these cookies.

// newTLSSite reserves a port for a site with a host name of its own. The site does not respond
// until startServing is called.
func newTLSSite(t *testing.T, host string) (address string, startServing func(http.Handler)) {
	t.Helper()
	site := httptest.NewUnstartedServer(nil)
	site.Config.ErrorLog = log.New(io.Discard, "", 0) // hides errors of aborted requests
	return "https://" + strings.Replace(site.Listener.Addr().String(), "127.0.0.1", host, 1), func(h http.Handler) {
		site.Config.Handler = h
		site.StartTLS()
		t.Cleanup(site.Close)
	}
}

// A frontEnd is a tab with an application on a different site than the server.
type frontEnd struct {
	*tab
	app string
}

// openFrontEnd starts a server at apiHost and opens a front-end at app.one.test. The browser has the given
// preferences.
func openFrontEnd(t *testing.T, preferences, apiHost string, sameSite http.SameSite) frontEnd {
	t.Helper()
	app, serveApp := newTLSSite(t, "app.one.test")
	api, serveAPI := newTLSSite(t, apiHost)
	s := start(t, func(o *watchword.Options) { o.PublicURL = api }, nil)
	tutorial, err := users.New(s.engine, users.Options{CookieSameSite: sameSite})
	must(t, err)
	edge, err := server.New(s.engine, server.Options{PublicURL: api, AllowedOrigins: []string{app},
		CookieSameSite: sameSite, Dialects: []dialect.Dialect{tutorial}})
	must(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", edge)
	// The probe shows whether the browser stores a third-party cookie. It sets a cookie without Partitioned, and
	// responds with the cookies of the request.
	mux.HandleFunc("/probe", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{
			Name: "probe", Value: "1", Path: "/", Secure: true, SameSite: http.SameSiteNoneMode})
		w.Header().Set("Access-Control-Allow-Origin", app)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		_, _ = w.Write([]byte(r.Header.Get("Cookie")))
	})
	serveAPI(mux)
	serveApp(http.HandlerFunc(showApplication))
	return openInNewBrowser(t, preferences, app, api)
}

func showApplication(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte("<!doctype html><title>app</title>The application"))
}

func openInNewBrowser(t *testing.T, preferences, app, api string) frontEnd {
	t.Helper()
	chromium := &browsertest.Chromium{Preferences: preferences}
	t.Cleanup(chromium.Stop)
	front := frontEnd{&tab{t: t, ctx: chromium.Open(t), url: api}, app}
	sendDevTools(front.tab, security.SetIgnoreCertificateErrors,
		security.SetIgnoreCertificateErrorsParams{Ignore: true})
	front.openOrReload()
	return front
}

func (f frontEnd) openOrReload() {
	f.t.Helper()
	f.visit(f.app)
	f.wantText("The application")
}

// wantResponse sends a request as the front-end's script does. The text want is the status, followed by the user's
// address or an error code.
func (f frontEnd) wantResponse(want, path string, body map[string]string) {
	f.t.Helper()
	got := evaluate[string](f.tab, `async (url, body) => {
	  const response = await fetch(url, { method: "POST", credentials: "include",
	    ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
	  const text = await response.text();
	  const { user, code } = text ? JSON.parse(text) : {};
	  return [response.status, user?.email ?? code].filter(Boolean).join(" ");
	}`, f.url+path, body)
	if got != want {
		f.t.Fatalf("%s: got %s, want %s", path, got, want)
	}
}

// wantCookies fails unless exactly these cookies are available for the page's requests to the server.
func (f frontEnd) wantCookies(want ...string) {
	f.t.Helper()
	all := f.cookiesByName()
	for name, cookie := range all {
		if (cookie.PartitionKey != nil) != strings.HasSuffix(name, "-partitioned") || !cookie.Secure ||
			!cookie.HTTPOnly {
			f.t.Errorf("%s: partition %v, Secure %t, HttpOnly %t", name, cookie.PartitionKey, cookie.Secure,
				cookie.HTTPOnly)
		}
	}
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
		f.t.Errorf("there are the cookies %q, want %q", got, want)
	}
}

// probeCookies sends two requests to /probe. It returns the cookies of the second request, which include the cookie
// of the first response if the browser stored it.
func (f frontEnd) probeCookies() string {
	f.t.Helper()
	return evaluate[string](f.tab, `async (url) => {
	  await fetch(url, { credentials: "include" });
	  return (await fetch(url, { credentials: "include" })).text();
	}`, f.url+"/probe")
}

func sorted(names ...string) []string { slices.Sort(names); return names }

var (
	adaSignsUp = map[string]string{"email": "ada@example.com", "password": goodPassword}
	bobSignsUp = map[string]string{"email": "bob@example.com", "password": goodPassword,
		"firstName": "Bob", "lastName": "Stone"}
)

const (
	refreshPath = "/api/auth/refresh"
	logoutPath  = "/api/auth/logout"
)

// signUpRefreshAndSignOut uses an account through the API, and then through a dialect. The names of all cookies must
// end with the suffix.
func (f frontEnd) signUpRefreshAndSignOut(suffix string) {
	f.t.Helper()
	known, signedIn := usualName+"-known"+suffix, usualName+suffix
	f.wantResponse("401 REFRESH_MISSING", refreshPath, nil)
	f.wantResponse("201 ada@example.com", "/api/auth/register", adaSignsUp)
	f.wantCookies(sorted(known, signedIn)...)
	for range 2 {
		f.openOrReload()
		f.wantResponse("200 ada@example.com", refreshPath, nil)
		f.wantResponse("200 ada@example.com", refreshPath, nil)
	}
	f.wantCookies(sorted(known, signedIn)...)
	f.wantResponse("200", logoutPath, nil)
	f.wantCookies(known)
	f.openOrReload()
	f.wantResponse("401 REFRESH_MISSING", refreshPath, nil)
	f.wantResponse("200 ada@example.com", "/api/auth/login", adaSignsUp)
	f.wantResponse("200 ada@example.com", "/api/auth/login", adaSignsUp) // the second sign-in replaces the session
	f.openOrReload()
	f.wantResponse("200 ada@example.com", refreshPath, nil)
	f.wantResponse("200", logoutPath, nil)

	f.wantResponse("201 bob@example.com", "/api/users/signup", bobSignsUp)
	f.wantCookies(known, "refreshTkn"+suffix)
	f.openOrReload()
	f.wantResponse("201", "/api/users/reauth", nil)
	f.wantResponse("201", "/api/users/reauth", nil)
	f.wantResponse("205", "/api/users/logout", nil)
	f.wantCookies(known)
	f.wantResponse("401", "/api/users/reauth", nil)
}

// CK-8
func TestFrontEndOnAnotherSiteWhereThirdPartyCookiesAreBlocked(t *testing.T) {
	t.Parallel()
	f := openFrontEnd(t, browsertest.ThirdPartyCookiesBlocked, "id.two.test", http.SameSiteNoneMode)
	if sent := f.probeCookies(); sent != "" {
		t.Fatalf("the browser does not block third-party cookies: it sent %q", sent)
	}
	f.signUpRefreshAndSignOut("-partitioned")

	// The pages of the server must work, too. Their cookie must not reach the front-end.
	f.signUp("cleo@example.com")
	f.openOrReload()
	f.wantResponse("401 REFRESH_MISSING", refreshPath, nil)
	f.wantResponse("200 ada@example.com", "/api/auth/login", adaSignsUp)
	f.wantResponse("200", logoutPath, nil)
	f.wantResponse("200 ada@example.com", "/api/auth/login", adaSignsUp)
	f.visit("/account")
	f.wantText("Signed in as cleo@example.com")
	// The browser sends the cookie of the pages only to the pages, and the cookie of the front-end only with requests
	// from the front-end. A sign-out must therefore end only one session.
	f.pressAndLeave("Sign out")
	f.wantCookies(usualName + "-known")
	f.openOrReload()
	f.wantResponse("200 ada@example.com", refreshPath, nil)
}

// CK-8
func TestFrontEndOnAnotherSiteWhereThirdPartyCookiesAreAllowed(t *testing.T) {
	t.Parallel()
	f := openFrontEnd(t, browsertest.ThirdPartyCookiesAllowed, "id.two.test", http.SameSiteNoneMode)
	if sent := f.probeCookies(); sent != "probe=1" {
		t.Fatalf("the browser does not send a third-party cookie, but %q", sent)
	}
	sendDevTools(f.tab, network.DeleteCookies, network.DeleteCookiesParams{Name: "probe", URL: f.url})
	f.signUpRefreshAndSignOut("-partitioned")

	// After a sign-in on a page of the server, the user must also be signed in to the front-end. The front-end's
	// requests must rotate the usual cookie, which is not partitioned, and set no other cookie.
	f.signUp("cleo@example.com")
	f.wantCookies(usualName, usualName+"-known")
	f.openOrReload()
	f.wantResponse("200 cleo@example.com", refreshPath, nil)
	f.wantResponse("200 cleo@example.com", refreshPath, nil)
	f.wantCookies(usualName, usualName+"-known", usualName+"-known-partitioned")
	f.visit("/account")
	f.wantText("Signed in as cleo@example.com")

	// A sign-in in the front-end must replace the session of the page.
	f.openOrReload()
	f.wantResponse("200 ada@example.com", "/api/auth/login", adaSignsUp)
	f.visit("/account")
	f.wantNoText("Signed in as")
	f.signIn("cleo@example.com", goodPassword)
	f.wantText("Signed in as cleo@example.com")

	// Now the pages and the front-end have different cookies. A sign-out in the front-end must end both sessions.
	f.openOrReload()
	f.wantResponse("200 ada@example.com", refreshPath, nil)
	f.wantCookies(usualName, usualName+"-known", usualName+"-known-partitioned", partitionedName)
	f.visit("/account")
	f.wantText("Signed in as cleo@example.com")
	f.openOrReload()
	f.wantResponse("200", logoutPath, nil)
	f.wantCookies(usualName+"-known", usualName+"-known-partitioned")
	f.wantResponse("401 REFRESH_MISSING", refreshPath, nil)
	f.visit("/account")
	f.wantNoText("Signed in as")
}

// Two layouts need no partitioned cookie: subdomains of one domain, and a front-end that forwards requests to the
// server. Both must work with the default settings in a browser that blocks third-party cookies.
//
// CK-1
func TestFrontEndOnTheSameSiteNeedsNoThirdPartyCookies(t *testing.T) {
	t.Parallel()
	strict := http.SameSiteStrictMode
	openFrontEnd(t, browsertest.ThirdPartyCookiesBlocked, "id.one.test", strict).signUpRefreshAndSignOut("")

	app, serveApp := newTLSSite(t, "app.one.test")
	s := start(t, func(o *watchword.Options) { o.PublicURL = app }, nil)
	tutorial, err := users.New(s.engine, users.Options{})
	must(t, err)
	edge, err := server.New(s.engine, server.Options{PublicURL: app, Dialects: []dialect.Dialect{tutorial}})
	must(t, err)
	behind := httptest.NewServer(edge)
	t.Cleanup(behind.Close)
	target, err := url.Parse(behind.URL)
	must(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // the server checks the Host of a request
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", showApplication)
	mux.Handle("/api/", forward)
	serveApp(mux)
	openInNewBrowser(t, browsertest.ThirdPartyCookiesBlocked, app, app).signUpRefreshAndSignOut("")
}
