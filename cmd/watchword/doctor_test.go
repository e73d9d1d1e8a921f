package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// HTTP-14
func TestDoctorNamesFaultsOfThePublicURL(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	var behind atomic.Value // an http.HandlerFunc
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		behind.Load().(http.HandlerFunc)(w, r)
	}))
	behind.Store(http.HandlerFunc(http.NotFound))
	t.Cleanup(front.Close)
	startServer(t, s, "--public-url="+front.URL)
	proxy := func(address string, host func(*httputil.ProxyRequest)) http.Handler {
		target := &url.URL{Scheme: "http", Host: address}
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); host(r) }}
	}
	keepHost := func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host }
	changeHost := func(*httputil.ProxyRequest) {}
	good := proxy(s.address, keepHost)
	for _, c := range []struct {
		name, public, found string
		behind              http.Handler
	}{
		{"a proxy that keeps Host", front.URL, "ok    public url  " + front.URL + " responds", good},
		{"a proxy that changes Host", front.URL, "a proxy changes the Host header", proxy(s.address, changeHost)},
		{"a proxy without a server",
			front.URL, "the proxy at " + front.URL + " responds with 502", proxy(freeAddress(t), keepHost)},
		{"a redirect", front.URL, front.URL + " redirects to https://id.example.com/",
			http.RedirectHandler("https://id.example.com/", http.StatusMovedPermanently)},
		{"another public URL",
			strings.Replace(front.URL, "127.0.0.1", "localhost", 1), " is the server of " + front.URL, good},
		{"another program", front.URL, " responds with 200, and is not this server",
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) })},
		{"a proxy for some paths", front.URL,
			" but not /api/auth/ (status 404)", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/.well-known/") {
					good.ServeHTTP(w, r)
					return
				}
				http.NotFound(w, r)
			})},
	} {
		behind.Store(http.HandlerFunc(c.behind.ServeHTTP))
		got := run(t, call{args: []string{"doctor", "--public-url=" + c.public}})
		if !strings.Contains(got.out, c.found) || (got.code == 0) != strings.HasPrefix(c.found, "ok") {
			t.Errorf("%s: exit %d, no %q in\n%s", c.name, got.code, c.found, got.out)
		}
	}
}

func TestDoctorSaysHowBrowsersTreatAFrontEnd(t *testing.T) {
	t.Parallel()
	const id, app = "--public-url=https://id.one.test", "https://app.two.test"
	for _, c := range []struct {
		name, origin string
		args         []string
		found        []string
	}{
		{"one site", "https://app.one.test", []string{id}, []string{"ok    origin", "is same-site"}},
		{"two sites", app, []string{id},
			[]string{"fail  origin", "with SameSite=strict browsers do not send the cookie",
				"Serve both on one site", "forward /api/auth/", "Or write cookie-same-site=none."}},
		{"two sites with the setting", app, []string{id, "--cookie-same-site=none"}, []string{"warn  origin",
			"gets a partitioned cookie. Chrome and Edge (since 114), Firefox (since 141) and Safari (since 26.2)",
			"Safari 18.5 to 26.1 blocks it", "Serve both on one site, such as app.example.com and auth.example.com",
			"A sign-in on the server's own pages reaches " + app + " only in browsers that allow third-party cookies"}},
	} {
		args := append([]string{"doctor", "--origin=" + c.origin, "--allowed-origins=" + c.origin,
			"--mail-url=smtp://127.0.0.1:1", "--mail-from=a@example.com"}, c.args...)
		got := run(t, call{args: args})
		for _, found := range c.found {
			if !strings.Contains(got.out, found) {
				t.Errorf("%s: no %q in\n%s", c.name, found, got.out)
			}
		}
	}
}
