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

// An application is the page of an example and its server.
type application struct {
	exampleName string
	url, server string
	dataFolder  string // has the server's data and its program
	chromium    browsertest.Chromium
}

func startApplication(t *testing.T, example string, settings ...string) *application {
	t.Helper()
	program, _ := nodeWithPackages(t, example)
	port, server := freePort(t), freePort(t)
	a := &application{exampleName: example, server: "http://localhost:" + server, dataFolder: t.TempDir()}
	env := append(settings, "SERVER_PORT="+server, "APP_PORT="+port, "DATA_DIR="+a.dataFolder)
	a.url = startExample(t, example, env, program, "start.js").url
	t.Cleanup(a.chromium.Stop)
	return a
}

// runCommand runs the watchword program.
func (a *application) runCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	program := filepath.Join(a.dataFolder, "watchword")
	cmd := exec.CommandContext(t.Context(), program, append(args, "--data-dir", a.dataFolder)...)
	cmd.Env = serverEnvironment()
	out, err := cmd.Output()
	must(t, err)
	return out
}

// A lossyProxy is between all tabs of a browser and the server. It can drop responses.
type lossyProxy struct {
	url string

	mu           sync.Mutex
	refreshCount int
	toDrop       int // number of refresh responses that are still to drop
	dropped      int // number of refresh responses that were dropped
	onRequest    func(http.ResponseWriter, *http.Request) bool
	onResponse   func(*http.Request) // called before each response is forwarded
}

func newLossyProxy(t *testing.T, server string) *lossyProxy {
	t.Helper()
	w := &lossyProxy{}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {}, // the request already has the complete URL
		Transport: &http.Transport{},
		ErrorLog:  log.New(io.Discard, "", 0), // pages abort requests when the user leaves the page
		ModifyResponse: func(r *http.Response) error {
			if hold := w.responseHook(); hold != nil {
				hold(r.Request)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if isRefresh(r.Request) && w.toDrop > 0 {
				w.toDrop--
				w.dropped++
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
			w.refreshCount++
			w.mu.Unlock()
		}
		if meet := w.requestHook(); meet == nil || r.Method == "OPTIONS" || !meet(answer, r) {
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

// isRefresh also recognizes the refresh requests of the dialects.
func isRefresh(r *http.Request) bool {
	return r.Method == "POST" &&
		slices.Contains([]string{"/api/auth/refresh", "/api/users/reauth", "/token"}, r.URL.Path)
}

func (w *lossyProxy) countRefreshes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refreshCount
}

func (w *lossyProxy) countDropped() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

func (w *lossyProxy) dropRefreshResponses(answers int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.toDrop = answers
}

// interceptRequests calls onRequest for each request except preflights. onRequest can block the request. If it
// returns true, it has sent the response itself, and the server does not get the request.
func (w *lossyProxy) interceptRequests(onRequest func(http.ResponseWriter, *http.Request) (isAnswered bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onRequest = onRequest
}

func (w *lossyProxy) requestHook() func(http.ResponseWriter, *http.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.onRequest
}

func (w *lossyProxy) interceptResponses(onResponse func(*http.Request)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onResponse = onResponse
}

func (w *lossyProxy) responseHook() func(*http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.onResponse
}

type tab struct {
	t   *testing.T
	ctx context.Context
	app *application
}

func (a *application) openBrowser(t *testing.T) (*tab, *lossyProxy) {
	t.Helper()
	w := newLossyProxy(t, a.server)
	at, err := url.Parse(a.url)
	must(t, err)
	return &tab{t: t, app: a, ctx: a.chromium.Open(t, func(p *target.CreateBrowserContextParams) {
		p.ProxyServer, p.ProxyBypassList = w.url, "<-loopback>;"+at.Host // use the proxy only for the server
	})}, w
}

func (b *tab) openTab() *tab {
	b.t.Helper()
	return &tab{t: b.t, app: b.app, ctx: browsertest.Tab(b.t, b.ctx)}
}

func (b *tab) moveToBackground() {
	b.t.Helper()
	browsertest.Command(b.t, b.ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{})
	for _, state := range []page.SetWebLifecycleStateState{page.SetWebLifecycleStateStateFrozen,
		page.SetWebLifecycleStateStateActive} {
		browsertest.Command(b.t, b.ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state})
	}
	if state := evaluate[string](b, `() => document.visibilityState`); state != "hidden" {
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

func evaluate[T any](b *tab, function string, args ...any) T {
	b.t.Helper()
	value, err := browsertest.Evaluate[T](b.ctx, function, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", function, err)
	}
	return value
}

// awaitTrue evaluates a JavaScript function in the page until it returns true.
func (b *tab) awaitTrue(what, function string, beforeTry func(), args ...any) {
	b.t.Helper()
	var err error
	for end := time.Now().Add(browsertest.Timeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		beforeTry()
		var met bool
		if met, err = browsertest.Evaluate[bool](b.ctx, function, args...); met {
			return
		}
	}
	text, _ := browsertest.Evaluate[string](b.ctx, `() => document.body.innerText.replace(/token=\S*/g, "token")`)
	b.t.Fatalf("timeout: %s (%v). The page shows:\n%s", what, err, text)
}

func (b *tab) awaitText(texts ...string) {
	b.t.Helper()
	b.awaitTrue(strings.Join(texts, ", "), `(texts) => texts.every((text) => document.body.innerText.includes(text))`, func() {}, texts)
}

// press clicks the button or link with the text, when the page shows it.
func (b *tab) press(words string) {
	b.t.Helper()
	b.awaitTrue("press "+words, `(words) => {
	  const found = [...document.querySelectorAll("button:enabled, a")].find((e) => e.innerText.trim() === words && e.checkVisibility());
	  found?.click();
	  return !!found;
	}`, func() {}, words)
}

func (b *tab) fill(label, text string) {
	b.t.Helper()
	b.awaitTrue("fill in "+label, `(words) => {
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
	b.awaitText("At least 8 characters.")
	b.fill("Name", "Ada")
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Create an account")
	b.awaitText("Your account", email)
}

func (b *tab) signIn(email, password string) {
	b.t.Helper()
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Sign in")
}

// copyRefreshCookie copies the refresh cookies of another tab into this browser, as a thief would.
func (b *tab) copyRefreshCookie(victim *tab) {
	b.t.Helper()
	for _, cookie := range victim.refreshCookies() {
		httpOnly := true
		browsertest.Command(b.t, b.ctx, network.SetCookie,
			network.SetCookieParams{Name: cookie.Name, Value: cookie.Value,
				URL: b.app.server, Path: cookie.Path, HTTPOnly: &httpOnly, SameSite: cookie.SameSite})
	}
}

// refreshCookies returns the cookies that a refresh sends, including the cookie of a known device.
func (b *tab) refreshCookies() []*network.Cookie {
	b.t.Helper()
	urls := []string{b.app.server + "/api/auth/refresh"}
	return browsertest.Command(b.t, b.ctx, network.GetCookies, network.GetCookiesParams{URLs: urls}).Cookies
}

// sessionCookies are those that a sign-out deletes. The cookie of a known device stays, and grants no access.
func (b *tab) sessionCookies() []*network.Cookie {
	b.t.Helper()
	return slices.DeleteFunc(b.refreshCookies(), func(c *network.Cookie) bool { return c.Name == "watchword-known" })
}

// assertNothingStored checks every storage that a script on the page's origin can read.
func (b *tab) assertNothingStored() {
	b.t.Helper()
	kept := evaluate[[]string](b, `async () => [
	  ...Object.keys(localStorage), ...Object.keys(sessionStorage), ...document.cookie.split("=", 1).filter((name) => name),
	  ...(await indexedDB.databases()).map((database) => database.name), ...await caches.keys(),
	]`)
	if len(kept) != 0 {
		b.t.Errorf("the page stored %q", kept)
	}
	for _, cookie := range b.refreshCookies() {
		if !cookie.HTTPOnly || cookie.SameSite != network.CookieSameSiteStrict {
			b.t.Errorf("cookie %s: HttpOnly %t, SameSite %s", cookie.Name, cookie.HTTPOnly, cookie.SameSite)
		}
	}
}

func (a *application) assertEventCount(t *testing.T, email, kind string, want int) {
	t.Helper()
	var account struct {
		Events []struct{ Event string }
	}
	must(t, json.Unmarshal(a.runCommand(t, "users", "show", email, "--json"), &account))
	if len(account.Events) == 0 {
		t.Fatal("the account has no events")
	}
	all := account.Events
	if n := len(slices.DeleteFunc(all, func(e struct{ Event string }) bool { return e.Event != kind })); n != want {
		t.Errorf("%s happened %d times, want %d", kind, n, want)
	}
}

// assertNothingCutOff checks the page on a phone and a desktop screen, in dark and light mode.
func (b *tab) assertNothingCutOff(name string) {
	b.t.Helper()
	browsertest.InEachView(b.t, b.ctx, name, func(string) {})
}
