package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
)

// startWithAdminListener serves administration on a second port. The browser uses that port.
func startWithAdminListener(t *testing.T, changeEngine func(*watchword.Options), changeServer func(*server.Options)) (
	s *service, o server.Options, b *browser,
) {
	t.Helper()
	s = start(t, changeEngine, nil)
	second := httptest.NewUnstartedServer(nil)
	t.Cleanup(second.Close)
	o = server.Options{
		PublicURL: s.engine.PublicURL(), Product: "Test", Draining: func() bool { return false },
		Factors:    factors.New(s.engine, s.store.Factors(), factors.Options{}),
		Admin:      admin.New(s.engine, s.store.Admin(), admin.Options{}),
		Metadata:   metadata.New(s.engine, s.store.Metadata()),
		AdminPages: true, AdminURL: "http://" + second.Listener.Addr().String(), DevMail: emptyMailbox,
	}
	if changeServer != nil {
		changeServer(&o)
	}
	var err error
	s.server, err = server.New(s.engine, o) // replaces the server before its first request
	must(t, err)
	second.Config.Handler = s.server.Admin(server.AdminOptions{})
	second.Start()
	s.document = readDocument(t, s.server, s.url)
	b = s.newBrowser(t)
	b.url, b.document = o.AdminURL, readDocument(t, second.Config.Handler, o.AdminURL)
	return s, o, b
}

// useHostName replaces the IP address in the public URL with a host name, because passkeys need one.
func useHostName(o *watchword.Options) {
	o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
}

// emptyMailbox is a development mailbox. It adds the routes of the mailbox to the table.
func emptyMailbox() ([]watchword.StoredMail, error) { return nil, nil }

// Every route that is not in routesOnBothListeners exists on only one listener.
var routesOnBothListeners = []string{"GET /{$}", "GET /login", "POST /login", "GET /login/factor", "POST /login/factor",
	"GET /step-up", "POST /step-up",
	"GET /logout", "POST /logout", "GET /assets/{name}", "GET /favicon.ico", "GET /robots.txt",
	"GET /openapi.json"}

// The test requests every route at both listeners. A route must exist on the public listener only, unless it belongs
// to administration or routesOnBothListeners lists it.
//
// CFG-4
func TestEachRouteIsOnItsListener(t *testing.T) {
	t.Parallel()
	s, o, b := startWithAdminListener(t, nil, nil)
	whole, err := server.New(s.engine, withoutAdminURL(o))
	must(t, err)
	all, err := whole.AllRoutes(withoutAdminURL(o))
	must(t, err)
	public, administration, err := s.server.Sides(o)
	must(t, err)
	listens := s.server.Admin(server.AdminOptions{})
	for _, r := range all {
		name := strings.TrimSpace(r.Method + " " + r.Path)
		isAdmin := r.Path == "/admin" ||
			strings.HasPrefix(r.Path, "/admin/") || strings.HasPrefix(r.Path, "/api/admin/")
		for _, l := range []struct {
			name, url string
			handler   http.Handler
			table     []server.Route
			want      bool
		}{
			{"public", s.url, s.server, public, !isAdmin},
			{"admin", o.AdminURL, listens, administration, isAdmin || slices.Contains(routesOnBothListeners, name)},
		} {
			listed := slices.ContainsFunc(l.table, func(row server.Route) bool {
				return row.Method == r.Method && row.Path == r.Path
			})
			// The canceled context ends the streams of the feed at once. Routing is not affected.
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			path := l.url + fillPathParameters(r.Path)
			request := httptest.NewRequestWithContext(ctx, r.Method, path, nil)
			w := httptest.NewRecorder()
			l.handler.ServeHTTP(w, request)
			// The admin listener serves its own /readyz, with more detail than the public one.
			if name == "GET /readyz" && l.name == "admin" {
				continue
			}
			// If this route handled the request, the request has the pattern of the route. Otherwise it has the
			// pattern "/".
			if routed := request.Pattern == name; listed != l.want || routed != l.want {
				t.Errorf("%s is on the %s listener: %t, routed by %q, %d; want %t",
					name, l.name, listed, request.Pattern, w.Code, l.want)
			}
		}
	}
	if len(all) < 100 || len(public)+len(administration) != len(all)+len(routesOnBothListeners) {
		t.Errorf("%d and %d routes of %d", len(public), len(administration), len(all))
	}
	// These paths must be unknown at the admin listener, although the router handles some of them without a row in
	// the table.
	for _, path := range []string{"/api/auth/forward-path/x", "/api/auth/forward/x", "/healthz", "/docs"} {
		wantPage(t, b.visit(path), 404)
	}
	wantPage(t, b.visit("/readyz"), 200, `"mails"`)
}

// If a proxy publishes the admin URL, requests to this URL must not reach monitoring, even if the listener accepts
// every host.
//
// CFG-4
func TestMonitoringIsNotServedUnderThePublishedAdminURL(t *testing.T) {
	t.Parallel()
	s, _, _ := startWithAdminListener(t, nil, func(o *server.Options) { o.AdminURL = "https://admin.example.com" })
	listens := s.server.Admin(server.AdminOptions{AnyHost: true, Profiling: true})
	for host, want := range map[string]int{"admin.example.com": 421, "ADMIN.example.com:443": 421,
		"admin.example.com:9090": 200, "10.0.0.7:9090": 200, "localhost:9090": 200} {
		for _, path := range []string{"/metrics", "/readyz", "/debug/pprof/"} {
			r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			listens.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s%s: %d, want %d", host, path, w.Code, want)
			}
		}
	}
}

func withoutAdminURL(o server.Options) server.Options {
	o.AdminURL = ""
	return o
}

func fillPathParameters(pattern string) string {
	return strings.NewReplacer("{$}", "", "{id}", "00000000-0000-7000-8000-000000000000",
		"{sid}", "00000000-0000-7000-8000-000000000000", "{name}", "style.css").Replace(pattern)
}

// The public listener must respond to the paths of the admin API and the admin pages exactly as to an unknown path.
func TestPublicListenerDoesNotShowAdministration(t *testing.T) {
	t.Parallel()
	s, o, b := startWithAdminListener(t, nil, nil)
	header := s.signInAdmin(t, "root@example.com")
	member, program := s.browserWithPageCookie(t, header), s.newBrowser(t)
	for _, path := range []string{"/admin", "/admin/users", "/admin/nothing"} {
		for _, method := range []string{"GET", "POST"} {
			a, other := member.call(method, path, nil), member.call(method, "/nothing", nil)
			if a.StatusCode != 404 || a.StatusCode != other.StatusCode ||
				pageWithoutNonces(a) != pageWithoutNonces(other) {
				t.Errorf("%s %s: %d\n%s", method, path, a.StatusCode, a.raw)
			}
		}
	}
	for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
		a := program.do(method, "/api/admin/users", "", header...)
		wantStatus(t, a, 404, watchword.CodeNotFound)
		if a.Header.Get("Allow") != "" {
			t.Errorf("Allow: %s", a.Header.Get("Allow"))
		}
	}
	for _, path := range []string{"/openapi.json", "/docs", "/account", "/"} {
		a := member.visit(path)
		for _, word := range []string{"/api/admin", "administration", "wwk_", `"/admin`} {
			if a.StatusCode != 200 || strings.Contains(string(a.raw), word) {
				t.Errorf("%s: %d with %q", path, a.StatusCode, word)
			}
		}
	}
	// The API on the admin listener must accept the same bearer tokens as the public listener, but no cookies.
	wantStatus(t, b.do("GET", "/api/admin/users", "", header...), 200, "")
	wantStatus(t, b.do("GET", "/api/admin/users", ""), 401, watchword.CodeTokenMissing)
	if len(b.document.Paths) < 10 || b.document.Paths["/api/auth/login"] != nil {
		t.Errorf("%d paths in the document of %s", len(b.document.Paths), o.AdminURL)
	}
}

func pageWithoutNonces(a fullResponse) string {
	_, text, _ := strings.Cut(a.Header.Get("Content-Security-Policy"), "'nonce-")
	nonce, _, _ := strings.Cut(text, "'")
	return strings.ReplaceAll(string(a.raw), nonce, "")
}

// Both listeners are on one host in this test, so the browser sends all cookies to both. Neither listener may accept
// the cookies of the other.
func TestCookiesOfOneListenerAreOfNoUseAtTheOther(t *testing.T) {
	t.Parallel()
	s, o, b := startWithAdminListener(t, nil, nil)
	public := s.newBrowser(t)
	public.Jar = b.Jar
	secret := s.createAdminWithApp(t)
	s.signInOnListener(t, b, secret, 0)
	wantPage(t, b.visit("/admin/users"), 200, "root@example.com")
	// The browser is signed in at the admin listener but not at the public one.
	wantPage(t, public.visit("/account"), 303, "/login")
	cookies := map[string]string{}
	for _, c := range b.Jar.Cookies(mustURL(t, o.AdminURL)) {
		cookies[c.Name] = c.Value
	}
	for name := range cookies {
		if !strings.HasPrefix(name, "watchword-admin") {
			t.Errorf("the admin listener set %s", name)
		}
	}
	wantCookieUseless(t, s, "/account", "watchword", cookies["watchword-admin"])
	wantCookieUseless(t, s, "/account", "watchword-page", cookies["watchword-admin-page"])
	// The value of the refresh cookie must not work as page cookie, because each value is sealed for the name of its
	// cookie.
	at := *s
	at.url = o.AdminURL
	wantCookieUseless(t, &at, "/admin", "watchword-admin-page", cookies["watchword-admin"])
	wantPage(t, at.browserWithCookie(t, "watchword-admin", cookies["watchword-admin"]).visit("/admin"), 200)

	s.signInOnListener(t, public, secret, 1)
	wantPage(t, public.visit("/account"), 200)
	wantPage(t, b.visit("/admin/users"), 200)
	for _, c := range b.Jar.Cookies(mustURL(t, s.url)) {
		if !strings.HasPrefix(c.Name, "watchword-admin") {
			for _, name := range []string{"watchword-admin", "watchword-admin-page"} {
				wantCookieUseless(t, &at, "/admin", name, c.Value)
			}
		}
	}
	// A sign-out at one listener must not sign out at the other.
	wantPage(t, b.submitForm("/logout", nil), 303, "/login?why=out")
	wantPage(t, b.visit("/admin"), 303, "/login?")
	wantPage(t, public.visit("/account"), 200)
}

func (s *service) browserWithCookie(t *testing.T, name, value string) *browser {
	t.Helper()
	b := s.newBrowser(t)
	b.Jar.SetCookies(mustURL(t, s.url), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
	return b
}

func wantCookieUseless(t *testing.T, s *service, path, name, value string) {
	t.Helper()
	if value == "" {
		t.Fatalf("no value for %s", name)
	}
	wantPage(t, s.browserWithCookie(t, name, value).visit(path), 303, "/login")
}

func (s *service) createAdminWithApp(t *testing.T) (secret []byte) {
	t.Helper()
	s.signInAdmin(t, "root@example.com")
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	const id = "01890000-0000-7000-8000-000000000001"
	secret = []byte("a secret of 20 bytes")
	must(t, s.store.Factors().Update(t.Context(), func(tx factors.Tx) error {
		if _, err := tx.InsertFactor(t.Context(), factors.Factor{ID: id, UserID: root.ID, Name: "App",
			Kind: factors.KindTOTP, Sealed: s.engine.Inside().Seal(watchword.FactorContext(id), secret),
			CreatedAt: time.Now()}); err != nil {
			return err
		}
		return tx.CountFactors(t.Context(), root.ID, time.Now())
	}))
	return secret
}

// Each code works only one time, so each call of signInOnListener needs a different stepOffset.
func (s *service) signInOnListener(t *testing.T, b *browser, secret []byte, stepOffset int64) {
	t.Helper()
	back := "?" + url.Values{"return_to": {b.url + "/admin/users"}}.Encode()
	wantPage(t, b.visit("/login"+back), 200, `autocomplete="current-password"`)
	a := b.submitForm("/login"+back, map[string]string{"email": "root@example.com", "password": goodPassword})
	wantPage(t, a, 303, "/login/factor")
	a = b.submitForm("/login/factor"+back, map[string]string{"totp": codeAt(t, secret, stepOffset)})
	wantPage(t, a, 303, b.url+"/admin/users")
	for _, c := range a.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode && c.Name == "watchword-admin" || c.Domain != "" {
			t.Errorf("a cookie is %s", c)
		}
	}
}

// On the admin listener, users sign in with a password and a code. Its page must not offer ways that work only at the
// public URL.
func TestSignInOfTheAdminListener(t *testing.T) {
	t.Parallel()
	s, o, b := startWithAdminListener(t, useHostName, nil)
	// The page of the public listener has these words. The page of the admin listener must not have them.
	wantPage(t, s.newBrowser(t).visit("/login"), 200, "passkey", "/signup")
	a := b.visit("/login")
	wantPage(t, a, 200, `href="`+o.PublicURL+`/forgot"`)
	for _, word := range []string{"passkey", "/signup", "/with/"} {
		if strings.Contains(string(a.raw), word) {
			t.Errorf("the page has %q:\n%s", word, a.raw)
		}
	}
	secret := s.createAdminWithApp(t)
	s.signInOnListener(t, b, secret, 0)
	wantPage(t, b.visit("/"), 303, "/admin")
	wantPage(t, b.visit("/login"), 303, "/admin")
	wantPage(t, b.visit("/admin"), 200, `href="`+o.PublicURL+`/account"`)
	wantPage(t, b.visit("/step-up"), 200, `href="/admin"`, `name="totp"`)
	wantPage(t, b.submitForm("/step-up", map[string]string{"totp": codeAt(t, secret, 1)}), 303, "/admin")
	user := s.addUsers(t, 1)[0]
	path := "/admin/users/" + string(user.ID) + "/disable"
	wantPage(t, b.visit(path), 200, string(user.Email))
	wantPage(t, b.submitForm(path, nil), 303, "/admin/users/"+string(user.ID))
	changed, err := s.engine.Operator().FindUser(t.Context(), string(user.Email))
	must(t, err)
	if changed.DisabledAt.IsZero() {
		t.Error("the account is not disabled")
	}
	// The checks of host and origin must be those of the public listener.
	for _, c := range []struct {
		host, origin, site string
		status             int
	}{
		{"", "null", "same-origin", 303}, {"", b.url, "same-origin", 303}, {"", "", "same-origin", 303},
		{"", s.url, "same-site", 403}, {"", "https://evil.example", "cross-site", 403}, {"", "null", "cross-site", 403},
		{"", "", "", 403}, // a request with a cookie must say where it comes from
		{"rebound.example", "", "same-origin", 421}, {"127.0.0.1:1", "", "same-origin", 421},
		{mustURL(t, s.url).Host, "", "same-origin", 421},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.url+path, http.NoBody)
		must(t, err)
		r.Host = c.host
		for name, value := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site,
			"Content-Type": "application/x-www-form-urlencoded"} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		response, err := b.Do(r)
		must(t, err)
		text, _ := io.ReadAll(response.Body)
		must(t, response.Body.Close())
		if response.StatusCode != c.status {
			t.Errorf("%+v: %d %s", c, response.StatusCode, text)
		}
	}
}

// An administrator without an app must learn which sign-in works instead, and at which address.
func TestAdminListenerSaysWhatWorksWithoutAnApp(t *testing.T) {
	t.Parallel()
	s, o, b := startWithAdminListener(t, useHostName, nil)
	s.signInAdmin(t, "root@example.com")
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	login := map[string]string{"email": "root@example.com", "password": goodPassword}
	wantPage(t, b.submitForm("/login", login), 303, "/admin")
	wantPage(t, b.visit("/admin"), 403, "passkeys don&#39;t work at this address",
		`href="`+o.PublicURL+`/account#security-title"`)
	wantPage(t, b.submitForm("/logout", nil), 303, "/login")

	must(t, s.store.Factors().Update(t.Context(), func(tx factors.Tx) error {
		if _, err := tx.InsertFactor(t.Context(), factors.Factor{UserID: root.ID,
			ID: "01890000-0000-7000-8000-000000000001", Kind: factors.KindPasskey, Name: "Key",
			Sealed: []byte{}, CredentialID: "id", Record: `{"rpId":"localhost"}`,
			CreatedAt: time.Now()}); err != nil {
			return err
		}
		return tx.CountFactors(t.Context(), root.ID, time.Now())
	}))
	public := s.newBrowser(t)
	wantPage(t, public.submitForm("/login", login), 303, "/login/factor")
	wantPage(t, public.visit("/login/factor"), 200, "data-passkey")
	wantPage(t, b.submitForm("/login", login), 303, "/login/factor")
	a := b.visit("/login/factor")
	wantPage(t, a, 200, "Passkeys don&#39;t work at this address.", `name="recoveryCode"`)
	if strings.Contains(string(a.raw), "data-passkey") || strings.Contains(string(a.raw), "rememberDevice") {
		t.Errorf("%s", a.raw)
	}
}

// An account that must add its first factor can do so only on the public listener. The admin listener must say so.
func TestAdminListenerLeadsToTheFirstFactor(t *testing.T) {
	t.Parallel()
	s, _, b := startWithAdminListener(t, func(o *watchword.Options) { o.SecondFactor.Required = true }, nil)
	s.signInAdmin(t, "root@example.com")
	a := b.submitForm("/login", map[string]string{"email": "root@example.com", "password": goodPassword})
	wantPage(t, a, 403, "needs a sign-in in two steps", `href="`+s.url+`/account#security-title"`)
	wantPage(t, b.visit("/login/setup"), 404)
}

// A user may open the admin listener under another loopback name. Its pages must redirect to the configured name,
// because the cookies are valid only there.
func TestAdminListenerHasOneHost(t *testing.T) {
	t.Parallel()
	s, o, b := startWithAdminListener(t, nil, nil)
	b.url = strings.Replace(o.AdminURL, "127.0.0.1", "localhost", 1)
	wantPage(t, b.visit("/admin/users?email=ada"), 307, o.AdminURL+"/admin/users?email=ada")
	wantPage(t, b.visit("/metrics"), 200)
	wantStatus(t, b.do("GET", "/api/admin/users", "", s.signInAdmin(t, "root@example.com")...), 200, "")
}

// Behind a proxy, the admin URL has https. Monitoring must stay reachable on the loopback.
func TestAdminListenerBehindAProxy(t *testing.T) {
	t.Parallel()
	const host = "admin.example.com"
	s, o, _ := startWithAdminListener(t, nil, func(o *server.Options) { o.AdminURL = "https://" + host })
	listens := s.server.Admin(server.AdminOptions{})
	for _, c := range []struct {
		path, host string
		status     int
		location   string
	}{
		{"/admin", host, 303, "/login?return_to=https%3A%2F%2Fadmin.example.com%2Fadmin"},
		{"/admin", host + ":443", 303, "/login?return_to=https%3A%2F%2Fadmin.example.com%2Fadmin"},
		{"/login", host, 200, ""},
		{"/admin", "localhost:9090", 421, ""},
		{"/metrics", host, 421, ""},
		{"/metrics", "localhost:9090", 200, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", o.AdminURL+c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		listens.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Location") != c.location {
			t.Errorf("%+v: %d %v", c, w.Code, w.Header())
		}
		if secured := w.Header().Get("Strict-Transport-Security") != ""; secured != (c.path != "/metrics") {
			t.Errorf("%+v: Strict-Transport-Security: %t", c, secured)
		}
	}
	for _, c := range signInForCookies(t, s, listens, o.AdminURL) {
		if !strings.HasPrefix(c.Name, "__Host-watchword-admin") || !c.Secure {
			t.Errorf("a cookie is %s", c)
		}
	}
}

func signInForCookies(t *testing.T, s *service, h http.Handler, origin string) []*http.Cookie {
	t.Helper()
	s.signInAdmin(t, "root@example.com")
	form := url.Values{"email": {"root@example.com"}, "password": {goodPassword}}
	r := httptest.NewRequestWithContext(t.Context(), "POST", origin+"/login", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 303 || len(w.Result().Cookies()) < 3 {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	return w.Result().Cookies()
}

func TestFaultyAdminURLIsRefused(t *testing.T) {
	t.Parallel()
	s, o, _ := startWithAdminListener(t, nil, nil)
	for name, change := range map[string]func(*server.Options){
		"Options.AdminURL":   func(o *server.Options) { o.AdminURL = "http://admin.example.com" },
		"Options.Admin":      func(o *server.Options) { o.Admin = nil },
		"more than":          func(o *server.Options) { o.AdminURL = "https://admin.example.com/admin" },
		"public URL":         func(o *server.Options) { o.AdminURL = o.PublicURL },
		"Options.CookieName": func(o *server.Options) { o.CookieName = "watchword-admin" },
	} {
		faulty := o
		change(&faulty)
		if _, err := server.New(s.engine, faulty); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
