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

// A front-end and a server on two sites, over https, in a real Chromium. sites_test.go has the rule
// for all combinations of cookies; these tests show which of them a browser stores and sends.

// secureSite serves a handler over https under a name of its own.
func secureSite(t *testing.T, host string) (address string, serve func(http.Handler)) {
	t.Helper()
	site := httptest.NewUnstartedServer(nil)
	site.Config.ErrorLog = log.New(io.Discard, "", 0) // browsers abort requests when the user leaves a page
	return "https://" + strings.Replace(site.Listener.Addr().String(), "127.0.0.1", host, 1), func(h http.Handler) {
		site.Config.Handler = h
		site.StartTLS()
		t.Cleanup(site.Close)
	}
}

// frontEnd is an application on another site than the server.
type frontEnd struct {
	*tab
	app string
}

// openFrontEnd starts a server and its front-end on two hosts, and opens the front-end in a browser
// with the user's preferences.
func openFrontEnd(t *testing.T, preferences, apiHost string, sameSite http.SameSite) frontEnd {
	t.Helper()
	app, serveApp := secureSite(t, "app.one.test")
	api, serveAPI := secureSite(t, apiHost)
	s := start(t, func(o *watchword.Options) { o.PublicURL = api }, nil)
	tutorial, err := users.New(s.engine, users.Options{CookieSameSite: sameSite})
	must(t, err)
	edge, err := server.New(s.engine, server.Options{PublicURL: api, AllowedOrigins: []string{app},
		CookieSameSite: sameSite, Dialects: []dialect.Dialect{tutorial}})
	must(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", edge)
	// The probe sets a cookie without Partitioned, and responds with the cookies of the request.
	mux.HandleFunc("/probe", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{
			Name: "probe", Value: "1", Path: "/", Secure: true, SameSite: http.SameSiteNoneMode})
		w.Header().Set("Access-Control-Allow-Origin", app)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		_, _ = w.Write([]byte(r.Header.Get("Cookie")))
	})
	serveAPI(mux)
	serveApp(http.HandlerFunc(showApplication))
	return openIn(t, preferences, app, api)
}

func showApplication(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte("<!doctype html><title>app</title>The application"))
}

// openIn opens a front-end in a new browser.
func openIn(t *testing.T, preferences, app, api string) frontEnd {
	t.Helper()
	chromium := &browsertest.Chromium{Preferences: preferences}
	t.Cleanup(chromium.Stop)
	front := frontEnd{&tab{t: t, ctx: chromium.Open(t), url: api}, app}
	command(front.tab, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	front.open()
	return front
}

// open opens the front-end, or reloads it.
func (f frontEnd) open() {
	f.t.Helper()
	f.visit(f.app)
	f.reads("The application")
}

// want sends a request as the front-end's script does. It fails unless the response has the
// status, and the address of the user or the code of the error.
func (f frontEnd) want(want, path string, body map[string]string) {
	f.t.Helper()
	got := see[string](f.tab, `async (url, body) => {
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

// wantCookies fails unless the page's requests to the server can have exactly these cookies.
func (f frontEnd) wantCookies(want ...string) {
	f.t.Helper()
	all := f.cookies()
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

// probe returns the cookies of the second request to /probe, after the first has set one.
func (f frontEnd) probe() string {
	f.t.Helper()
	return see[string](f.tab, `async (url) => {
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

// lives signs up, reloads, refreshes and signs out in the front-end, by the API and by a dialect.
// The names of all cookies have the suffix.
func (f frontEnd) lives(suffix string) {
	f.t.Helper()
	known, signedIn := usualName+"-known"+suffix, usualName+suffix
	f.want("401 REFRESH_MISSING", refreshPath, nil)
	f.want("201 ada@example.com", "/api/auth/register", adaSignsUp)
	f.wantCookies(sorted(known, signedIn)...)
	for range 2 {
		f.open()
		f.want("200 ada@example.com", refreshPath, nil)
		f.want("200 ada@example.com", refreshPath, nil)
	}
	f.wantCookies(sorted(known, signedIn)...)
	f.want("200", logoutPath, nil)
	f.wantCookies(known)
	f.open()
	f.want("401 REFRESH_MISSING", refreshPath, nil)
	f.want("200 ada@example.com", "/api/auth/login", adaSignsUp)
	f.want("200 ada@example.com", "/api/auth/login", adaSignsUp) // replaces the session
	f.open()
	f.want("200 ada@example.com", refreshPath, nil)
	f.want("200", logoutPath, nil)

	f.want("201 bob@example.com", "/api/users/signup", bobSignsUp)
	f.wantCookies(known, "refreshTkn"+suffix)
	f.open()
	f.want("201", "/api/users/reauth", nil)
	f.want("201", "/api/users/reauth", nil)
	f.want("205", "/api/users/logout", nil)
	f.wantCookies(known)
	f.want("401", "/api/users/reauth", nil)
}

// CK-8
func TestFrontEndOnAnotherSiteWhereThirdPartyCookiesAreBlocked(t *testing.T) {
	t.Parallel()
	f := openFrontEnd(t, browsertest.ThirdPartyCookiesBlocked, "id.two.test", http.SameSiteNoneMode)
	if sent := f.probe(); sent != "" {
		t.Fatalf("the browser does not block third-party cookies: it sent %q", sent)
	}
	f.lives("-partitioned")

	// The pages of the server keep working. Their cookie does not reach the front-end.
	f.signUp("cleo@example.com")
	f.open()
	f.want("401 REFRESH_MISSING", refreshPath, nil)
	f.want("200 ada@example.com", "/api/auth/login", adaSignsUp)
	f.want("200", logoutPath, nil)
	f.want("200 ada@example.com", "/api/auth/login", adaSignsUp)
	f.visit("/account")
	f.reads("Signed in as cleo@example.com")
	// The browser sends each cookie to its own kind of page, so a sign-out ends one session.
	f.press("Sign out")
	f.wantCookies(usualName + "-known")
	f.open()
	f.want("200 ada@example.com", refreshPath, nil)
}

// CK-8
func TestFrontEndOnAnotherSiteWhereThirdPartyCookiesAreAllowed(t *testing.T) {
	t.Parallel()
	f := openFrontEnd(t, browsertest.ThirdPartyCookiesAllowed, "id.two.test", http.SameSiteNoneMode)
	if sent := f.probe(); sent != "probe=1" {
		t.Fatalf("the browser does not send a third-party cookie, but %q", sent)
	}
	command(f.tab, network.DeleteCookies, network.DeleteCookiesParams{Name: "probe", URL: f.url})
	f.lives("-partitioned")

	// A sign-in on a page of the server reaches the front-end, as before there were partitioned
	// cookies. The front-end's requests rotate that cookie and set no other.
	f.signUp("cleo@example.com")
	f.wantCookies(usualName, usualName+"-known")
	f.open()
	f.want("200 cleo@example.com", refreshPath, nil)
	f.want("200 cleo@example.com", refreshPath, nil)
	f.wantCookies(usualName, usualName+"-known", usualName+"-known-partitioned")
	f.visit("/account")
	f.reads("Signed in as cleo@example.com")

	// A sign-in in the front-end replaces it.
	f.open()
	f.want("200 ada@example.com", "/api/auth/login", adaSignsUp)
	f.visit("/account")
	f.readsNot("Signed in as")
	f.signIn("cleo@example.com", goodPassword)
	f.reads("Signed in as cleo@example.com")

	// Now the pages and the front-end have a cookie each. A sign-out in the front-end ends both
	// sessions.
	f.open()
	f.want("200 ada@example.com", refreshPath, nil)
	f.wantCookies(usualName, usualName+"-known", usualName+"-known-partitioned", partitionedName)
	f.visit("/account")
	f.reads("Signed in as cleo@example.com")
	f.open()
	f.want("200", logoutPath, nil)
	f.wantCookies(usualName+"-known", usualName+"-known-partitioned")
	f.want("401 REFRESH_MISSING", refreshPath, nil)
	f.visit("/account")
	f.readsNot("Signed in as")
}

// The two layouts that need no partitioned cookie work with the default settings in the same
// browser: subdomains of one domain, and a front-end that forwards requests to the server.
//
// CK-1
func TestFrontEndOnTheSameSiteNeedsNoThirdPartyCookies(t *testing.T) {
	t.Parallel()
	strict := http.SameSiteStrictMode
	openFrontEnd(t, browsertest.ThirdPartyCookiesBlocked, "id.one.test", strict).lives("")

	app, serveApp := secureSite(t, "app.one.test")
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
		r.Out.Host = r.In.Host // the server responds only under the host of its public URL
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", showApplication)
	mux.Handle("/api/", forward)
	serveApp(mux)
	openIn(t, browsertest.ThirdPartyCookiesBlocked, app, app).lives("")
}
