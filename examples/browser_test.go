package examples_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/watchword-auth/watchword/internal/browsertest"
)

// Helpers for the tests that run the example applications in a real Chromium.

// An application is a page and its server, as `npm start` starts them.
type application struct {
	name        string // of the example
	url, server string
	data        string // folder with the server's data and its program
	chromium    browsertest.Chromium
}

func startApplication(t *testing.T, example string, settings ...string) *application {
	t.Helper()
	program, _ := node(t, example)
	port, server := freePort(t), freePort(t)
	a := &application{name: example, server: "http://localhost:" + server, data: t.TempDir()}
	env := append(settings, "SERVER_PORT="+server, "APP_PORT="+port, "DATA_DIR="+a.data)
	a.url = run(t, example, env, program, "start.js").url
	t.Cleanup(a.chromium.Stop)
	return a
}

// command runs the watchword program on the server's data.
func (a *application) command(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(a.data, "watchword"), append(args, "--data-dir", a.data)...)
	cmd.Env = environment()
	out, err := cmd.Output()
	must(t, err)
	return out
}

// A wire is a proxy between a browser and the server. All tabs of the browser use it, and it can drop responses.
type wire struct {
	url string

	mu      sync.Mutex
	refresh int // number of refresh requests
	losing  int // number of refresh responses to drop
	gone    int // number of refresh responses dropped
	meet    func(http.ResponseWriter, *http.Request) bool
	hold    func(*http.Request) // called before a response is forwarded
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	w := &wire{}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {}, // the request already has the complete URL
		Transport: &http.Transport{},
		ErrorLog:  log.New(io.Discard, "", 0), // pages abort requests when the user leaves the page
		ModifyResponse: func(r *http.Response) error {
			if hold := w.held(); hold != nil {
				hold(r.Request)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if isRefresh(r.Request) && w.losing > 0 {
				w.losing--
				w.gone++
				panic(http.ErrAbortHandler)
			}
			return nil
		},
	}
	listener := httptest.NewUnstartedServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		if "http://"+r.URL.Host != server {
			answer.WriteHeader(http.StatusForbidden) // Chromium itself sends requests to other hosts, the page does not
			return
		}
		if isRefresh(r) {
			w.mu.Lock()
			w.refresh++
			w.mu.Unlock()
		}
		if meet := w.interceptor(); meet == nil || r.Method == "OPTIONS" || !meet(answer, r) {
			proxy.ServeHTTP(answer, r)
		}
	}))
	// Keep-alive is off, because browsers retry requests on reused connections.
	listener.Config.SetKeepAlivesEnabled(false)
	listener.Start()
	t.Cleanup(listener.Close)
	w.url = listener.URL
	return w
}

// isRefresh reports whether a request is a refresh of the API or of a dialect.
func isRefresh(r *http.Request) bool {
	return r.Method == "POST" &&
		slices.Contains([]string{"/api/auth/refresh", "/api/users/reauth", "/token"}, r.URL.Path)
}

func (w *wire) refreshed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refresh
}

func (w *wire) lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}

func (w *wire) lose(answers int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losing = answers
}

// intercept sets the function meet, which is called for each request except preflights. meet can block the request.
// If it returns true, it has sent the response itself, and the server does not get the request.
func (w *wire) intercept(meet func(http.ResponseWriter, *http.Request) (isAnswered bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.meet = meet
}

func (w *wire) interceptor() func(http.ResponseWriter, *http.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.meet
}

// beforeResponses calls the function hold before each response is forwarded.
func (w *wire) beforeResponses(hold func(*http.Request)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = hold
}

func (w *wire) held() func(*http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hold
}

// A tab is one page of a browser.
type tab struct {
	t   *testing.T
	ctx context.Context
	app *application
}

// open opens a new browser without cookies.
func (a *application) open(t *testing.T) (*tab, *wire) {
	t.Helper()
	w := newWire(t, a.server)
	at, err := url.Parse(a.url)
	must(t, err)
	return &tab{t: t, app: a, ctx: a.chromium.Open(t, func(p *target.CreateBrowserContextParams) {
		p.ProxyServer, p.ProxyBypassList = w.url, "<-loopback>;"+at.Host // proxy requests to the server only
	})}, w
}

// another opens one more tab of the same browser.
func (b *tab) another() *tab {
	b.t.Helper()
	return &tab{t: b.t, app: b.app, ctx: browsertest.Tab(b.t, b.ctx)}
}

// hide moves the tab to the background.
func (b *tab) hide() {
	b.t.Helper()
	browsertest.Command(b.t, b.ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{})
	for _, state := range []page.SetWebLifecycleStateState{page.SetWebLifecycleStateStateFrozen,
		page.SetWebLifecycleStateStateActive} {
		browsertest.Command(b.t, b.ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state})
	}
	if state := see[string](b, `() => document.visibilityState`); state != "hidden" {
		b.t.Fatalf("the tab is %s", state)
	}
}

func (b *tab) visit(where string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browsertest.Timeout)
	defer cancel()
	must(b.t, chromedp.Do(ctx, chromedp.Navigate(where)))
}

func (b *tab) reload() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browsertest.Timeout)
	defer cancel()
	must(b.t, chromedp.Do(ctx, chromedp.Reload()))
}

func see[T any](b *tab, function string, args ...any) T {
	b.t.Helper()
	value, err := browsertest.Evaluate[T](b.ctx, function, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", function, err)
	}
	return value
}

// await evaluates a JavaScript function in the page repeatedly until it returns true. The parameter before is a Go
// function that await calls before each try.
func (b *tab) await(what, function string, before func(), args ...any) {
	b.t.Helper()
	var err error
	for end := time.Now().Add(browsertest.Timeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		before()
		var met bool
		if met, err = browsertest.Evaluate[bool](b.ctx, function, args...); met {
			return
		}
	}
	text, _ := browsertest.Evaluate[string](b.ctx, `() => document.body.innerText.replace(/token=\S*/g, "token")`)
	b.t.Fatalf("timeout: %s (%v). The page shows:\n%s", what, err, text)
}

// until waits until the page shows all the texts.
func (b *tab) until(texts ...string) {
	b.t.Helper()
	b.await(strings.Join(texts, ", "), `(texts) => texts.every((text) => document.body.innerText.includes(text))`, func() {}, texts)
}

// press presses the button or link with the text.
func (b *tab) press(words string) {
	b.t.Helper()
	b.await("press "+words, `(words) => {
	  const found = [...document.querySelectorAll("button:enabled, a")].find((e) => e.innerText.trim() === words && e.checkVisibility());
	  found?.click();
	  return !!found;
	}`, func() {}, words)
}

// fill replaces the text of the field with the label.
func (b *tab) fill(label, text string) {
	b.t.Helper()
	b.await("fill in "+label, `(words) => {
	  const field = [...document.querySelectorAll("label")].find((e) => e.innerText.trim() === words && e.checkVisibility())?.control;
	  field?.focus();
	  field?.select();
	  return !!field && document.activeElement === field;
	}`, func() {}, label)
	browsertest.Command(b.t, b.ctx, input.InsertText, input.InsertTextParams{Text: text})
}

func (b *tab) signUp(email string) {
	b.t.Helper()
	b.visit(b.app.url)
	b.press("Create an account")
	b.until("At least 8 characters.")
	b.fill("Name", "Ada")
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Create an account")
	b.until("Your account", email)
}

func (b *tab) signIn(email, password string) {
	b.t.Helper()
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Sign in")
}

// steal copies the refresh cookie of another browser into this one.
func (b *tab) steal(from *tab) {
	b.t.Helper()
	for _, cookie := range from.cookies() {
		httpOnly := true
		browsertest.Command(b.t, b.ctx, network.SetCookie,
			network.SetCookieParams{Name: cookie.Name, Value: cookie.Value,
				URL: b.app.server, Path: cookie.Path, HTTPOnly: &httpOnly, SameSite: cookie.SameSite})
	}
}

// cookies returns the cookies that a refresh sends, including the cookie of a known device.
func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	urls := []string{b.app.server + "/api/auth/refresh"}
	return browsertest.Command(b.t, b.ctx, network.GetCookies, network.GetCookiesParams{URLs: urls}).Cookies
}

// sessionCookies returns the cookies that a sign-out deletes. The cookie of a known device
// stays, and grants no access.
func (b *tab) sessionCookies() []*network.Cookie {
	b.t.Helper()
	return slices.DeleteFunc(b.cookies(), func(c *network.Cookie) bool { return c.Name == "watchword-known" })
}

// keepsNothing fails if the page stored anything that a script on its origin can read.
func (b *tab) keepsNothing() {
	b.t.Helper()
	kept := see[[]string](b, `async () => [
	  ...Object.keys(localStorage), ...Object.keys(sessionStorage), ...document.cookie.split("=", 1).filter((name) => name),
	  ...(await indexedDB.databases()).map((database) => database.name), ...await caches.keys(),
	]`)
	if len(kept) != 0 {
		b.t.Errorf("the page stored %q", kept)
	}
	for _, cookie := range b.cookies() {
		if !cookie.HTTPOnly || cookie.SameSite != network.CookieSameSiteStrict {
			b.t.Errorf("cookie %s: HttpOnly %t, SameSite %s", cookie.Name, cookie.HTTPOnly, cookie.SameSite)
		}
	}
}

// happened checks that an account has the wanted number of events of a kind.
func (a *application) happened(t *testing.T, email, kind string, want int) {
	t.Helper()
	var account struct {
		Events []struct{ Event string }
	}
	must(t, json.Unmarshal(a.command(t, "users", "show", email, "--json"), &account))
	if len(account.Events) == 0 {
		t.Fatal("the account has no events")
	}
	all := account.Events
	if n := len(slices.DeleteFunc(all, func(e struct{ Event string }) bool { return e.Event != kind })); n != want {
		t.Errorf("%s happened %d times, want %d", kind, n, want)
	}
}

// fits checks, on a phone and a desktop screen, in dark and light mode, that no part of the page is cut off.
func (b *tab) fits(name string) {
	b.t.Helper()
	browsertest.InEachView(b.t, b.ctx, name, func(string) {})
}
