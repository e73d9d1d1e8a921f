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

// The browser client in a real Chromium: its locks, channels and cookies, over two
// origins, against the built server. Access tokens live for 10 s, and there is no grace:
// where the client would need the server's patience, somebody is signed out.

// An application is the single-page application and its server, as `npm start` has them.
type application struct {
	url, server string
	data        string // folder of the server, and of its program
	chromium    browsertest.Chromium
}

// It runs before the parallel tests and alone: who builds the client again has open pages
// loaded again.
func TestTheSinglePageApplication(t *testing.T) {
	program, _ := node(t, "spa")
	port, server := freePort(t), freePort(t)
	a := &application{server: "http://localhost:" + server, data: t.TempDir()}
	a.url = run(t, "spa", []string{
		"SERVER_PORT=" + server, "APP_PORT=" + port, "DATA_DIR=" + a.data,
		"WATCHWORD_ACCESS_TTL=10s", "WATCHWORD_REFRESH_GRACE=0s",
	}, program, "start.js").url
	t.Cleanup(a.chromium.Stop)

	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"starts":                        starts,
			"keeps a life over two origins": life,
			"rotates once when five tabs have expired":  fiveTabs,
			"goes on after a lost answer":               lostAnswer,
			"signs all tabs out and in":                 allTabs,
			"says that a stolen cookie ended a session": stolenCookie,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

// The server is told of the page's origin.
func starts(t *testing.T, a *application) {
	for path, want := range map[string]string{
		"/":             `<div id="root">`,
		"/src/main.tsx": "createRoot",
		"/src/App.tsx":  "/clients/typescript/dist/react.js",
	} {
		if status, _, body := (process{a.url}).ask(t, path, ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, without %s", path, status, want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", a.server+"/api/auth/refresh", nil)
	must(t, err)
	r.Header.Set("Origin", a.url)
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close() //nolint:errcheck // it is not read
	if response.StatusCode != 401 || response.Header.Get("Access-Control-Allow-Origin") != a.url {
		t.Errorf("the page may not ask the server: %s %v", response.Status, response.Header)
	}
}

func life(t *testing.T, a *application) {
	const email, other = "life@example.com", "eight yellow herons"
	b, _ := a.open(t)
	b.signUp(email)
	b.until("E-mail", email)
	b.press("Sessions")
	b.until("Your sessions", "this device")
	if n := see[int](b, `() => document.querySelectorAll(".sessions li").length`); n != 1 {
		t.Errorf("%d sessions", n)
	}
	b.reload()
	b.until("Your sessions", "this device")
	b.press("Sign out")
	b.until("New here?")
	b.reload()
	b.until("New here?")
	b.signIn(email, password)
	b.until("Your sessions", "this device")
	b.press("Sign out")
	b.until("New here?")

	b.press("Forgot your password?")
	b.until("Send the link")
	b.fill("E-mail", email)
	b.press("Send the link")
	b.until("a mail is on its way")
	mailbox := b.another()
	mailbox.await("the mail", `(to) => {
	  const rows = [...document.querySelectorAll("tbody tr")];
	  const row = rows.find((row) => row.innerText.includes(to) && row.innerText.includes("Choose a new password"));
	  row?.querySelector("a").click();
	  return !!row;
	}`, func() { mailbox.visit(a.server + "/dev/mail") }, email)
	mailbox.until("Open the link")
	mailbox.press("Open the link")
	mailbox.until("Save password")
	mailbox.fill("New password", other)
	mailbox.press("Save password")
	mailbox.until("The password is changed.")

	b.press("Back to sign in")
	b.until("New here?")
	b.signIn(email, password)
	b.until("The e-mail address or the password is wrong.")
	b.signIn(email, other)
	b.until("Your account", email)
	b.keepsNothing()
}

func fiveTabs(t *testing.T, a *application) {
	const email = "tabs@example.com"
	first, wire := a.open(t)
	first.hide() // a page that nobody sees renews nothing ahead of expiry
	first.signUp(email)
	tabs := []*spaTab{first}
	for range 4 {
		next := first.another()
		next.hide()
		next.visit(a.url)
		next.until("Your account")
		tabs = append(tabs, next)
	}
	expiry := see[int64](tabs[4], `() => import("/src/client.ts").then(({ client }) => client.getAccessToken())
	  .then((token) => JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).exp)`)
	before := wire.refreshed()
	time.Sleep(time.Until(time.Unix(expiry, 0)))
	if n := wire.refreshed() - before; n != 0 {
		t.Fatalf("%d refreshes while nobody looked", n)
	}

	var all sync.WaitGroup
	for _, b := range tabs {
		all.Go(func() { b.press("Ask the API") })
	}
	all.Wait()
	for _, b := range tabs {
		b.until("Your account", email, "Token is good until")
		if status := see[string](b, `() => document.querySelector("[role=status] dd").innerText`); status != "200" {
			t.Errorf("a tab was answered %s", status)
		}
	}
	if n := wire.refreshed() - before; n != 1 {
		t.Errorf("%d refreshes for five tabs", n)
	}
	a.happened(t, email, "refresh_reused", 0)
	a.happened(t, email, "late_forgiven", 0)
	for _, b := range tabs {
		b.keepsNothing()
	}
}

func lostAnswer(t *testing.T, a *application) {
	const email = "lost@example.com"
	b, wire := a.open(t)
	b.hide()
	b.signUp(email)
	before := wire.refreshed()
	wire.lose(1)
	b.refresh()
	if n := wire.refreshed() - before; n != 2 {
		t.Errorf("%d refreshes, want one that was lost and one more", n)
	}
	a.happened(t, email, "late_forgiven", 1) // the server had rotated
	for range 3 {
		b.refresh()
	}
	b.until("Your account", email)
	b.reload()
	b.until("Your account", email)

	gone := wire.lost()
	wire.lose(2) // the second question has no answer either: the page tries again by itself
	next := b.another()
	next.visit(a.url)
	next.until("Your account", email)
	if n := wire.lost() - gone; n != 2 {
		t.Errorf("%d answers were lost, want 2", n)
	}
	a.happened(t, email, "refresh_reused", 0)
	b.keepsNothing()
}

func allTabs(t *testing.T, a *application) {
	const email = "leave@example.com"
	b, _ := a.open(t)
	b.signUp(email)
	other := b.another()
	other.hide() // so that it asks nobody by itself: it is told
	other.visit(a.url)
	other.until("Your account")
	b.press("Sign out")
	for _, tab := range []*spaTab{b, other} {
		tab.until("New here?")
		if notice := see[bool](tab, `() => !!document.querySelector(".notice")`); notice {
			t.Error("who signed out is told that the session has ended")
		}
	}
	other.signIn(email, password)
	b.until("Your account", email)
	b.keepsNothing()
	other.keepsNothing()
}

// The first repeat of an old token may be a lost answer, and is forgiven; the next is not.
func stolenCookie(t *testing.T, a *application) {
	const email = "stolen@example.com"
	victim, _ := a.open(t)
	victim.hide()
	victim.signUp(email)
	thief, _ := a.open(t)
	thief.hide()
	thief.steal(victim)
	thief.visit(a.url)
	thief.until("Your account", email)

	victim.refresh()
	victim.until("Your account")
	thief.refresh()
	victim.refresh()
	victim.until("You were signed out because an old copy of your session was used.", "New here?")
	thief.refresh()
	thief.until("Your session has ended. Sign in again.", "New here?")
	a.happened(t, email, "refresh_reused", 1)
	victim.keepsNothing()
	thief.keepsNothing()
}

// A wire lies between one person's browser and the server, for as many tabs as there are.
type wire struct {
	url string

	mu      sync.Mutex
	refresh int // how many were sent
	losing  int // of so many answers to come nothing arrives
	gone    int // of so many nothing did
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	w := &wire{}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {}, // a proxy is told the whole URL
		Transport: &http.Transport{},
		ErrorLog:  log.New(io.Discard, "", 0), // a page that is left breaks off what it asked
		ModifyResponse: func(r *http.Response) error {
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
			answer.WriteHeader(http.StatusForbidden) // the browser has errands of its own
			return
		}
		if isRefresh(r) {
			w.mu.Lock()
			w.refresh++
			w.mu.Unlock()
		}
		proxy.ServeHTTP(answer, r)
	}))
	// On a connection that was used before, the browser itself would ask again.
	listener.Config.SetKeepAlivesEnabled(false)
	listener.Start()
	t.Cleanup(listener.Close)
	w.url = listener.URL
	return w
}

func isRefresh(r *http.Request) bool {
	return r.Method == "POST" && r.URL.Path == "/api/auth/refresh"
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

// A spaTab is one page of a person's browser.
type spaTab struct {
	t   *testing.T
	ctx context.Context
	app *application
}

// open opens a browser that has not been here before.
func (a *application) open(t *testing.T) (*spaTab, *wire) {
	t.Helper()
	w := newWire(t, a.server)
	at, err := url.Parse(a.url)
	must(t, err)
	return &spaTab{t: t, app: a, ctx: a.chromium.Open(t, func(p *target.CreateBrowserContextParams) {
		p.ProxyServer, p.ProxyBypassList = w.url, "<-loopback>;"+at.Host // the server only
	})}, w
}

// another opens one more tab of the same person.
func (b *spaTab) another() *spaTab {
	b.t.Helper()
	return &spaTab{t: b.t, app: b.app, ctx: browsertest.Tab(b.t, b.ctx)}
}

// hide puts the tab behind others.
func (b *spaTab) hide() {
	b.t.Helper()
	browsertest.Command(b.t, b.ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{})
	for _, state := range []page.SetWebLifecycleStateState{page.SetWebLifecycleStateStateFrozen, page.SetWebLifecycleStateStateActive} {
		browsertest.Command(b.t, b.ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state})
	}
	if state := see[string](b, `() => document.visibilityState`); state != "hidden" {
		b.t.Fatalf("the tab is %s", state)
	}
}

func (b *spaTab) visit(where string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browsertest.Patience)
	defer cancel()
	must(b.t, chromedp.Do(ctx, chromedp.Navigate(where)))
}

func (b *spaTab) reload() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browsertest.Patience)
	defer cancel()
	must(b.t, chromedp.Do(ctx, chromedp.Reload()))
}

func see[T any](b *spaTab, function string, args ...any) T {
	b.t.Helper()
	value, err := browsertest.Look[T](b.ctx, function, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", function, err)
	}
	return value
}

// await asks the page until it says yes, and before each time does something.
func (b *spaTab) await(what, function string, before func(), args ...any) {
	b.t.Helper()
	var err error
	for end := time.Now().Add(browsertest.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		before()
		var met bool
		if met, err = browsertest.Look[bool](b.ctx, function, args...); met {
			return
		}
	}
	text, _ := browsertest.Look[string](b.ctx, `() => document.body.innerText.replace(/token=\S*/g, "token")`)
	b.t.Fatalf("it did not come to pass: %s (%v). The page shows:\n%s", what, err, text)
}

// until waits until all of the texts can be read.
func (b *spaTab) until(texts ...string) {
	b.t.Helper()
	b.await(strings.Join(texts, ", "), `(texts) => texts.every((text) => document.body.innerText.includes(text))`, func() {}, texts)
}

// press presses a button or follows a link, by its words.
func (b *spaTab) press(words string) {
	b.t.Helper()
	b.await("press "+words, `(words) => {
	  const found = [...document.querySelectorAll("button:enabled, a")].find((e) => e.innerText.trim() === words && e.checkVisibility());
	  found?.click();
	  return !!found;
	}`, func() {}, words)
}

// fill types into a field, in place of what is there.
func (b *spaTab) fill(label, text string) {
	b.t.Helper()
	b.await("fill in "+label, `(words) => {
	  const field = [...document.querySelectorAll("label")].find((e) => e.innerText.trim() === words)?.control;
	  field?.focus();
	  field?.select();
	  return !!field && document.activeElement === field;
	}`, func() {}, label)
	browsertest.Command(b.t, b.ctx, input.InsertText, input.InsertTextParams{Text: text})
}

func (b *spaTab) signUp(email string) {
	b.t.Helper()
	b.visit(b.app.url)
	b.press("Make an account")
	b.until("At least 8 characters.")
	b.fill("Name", "Ada")
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Make an account")
	b.until("Your account", email)
}

func (b *spaTab) signIn(email, password string) {
	b.t.Helper()
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Sign in")
}

// refresh has the client of the page renew its token now.
func (b *spaTab) refresh() {
	b.t.Helper()
	see[bool](b, `() => import("/src/client.ts").then(({ client }) => client.refresh()).then(() => true)`)
}

// steal copies the cookie that keeps the session alive.
func (b *spaTab) steal(from *spaTab) {
	b.t.Helper()
	for _, cookie := range from.cookies() {
		httpOnly := true
		browsertest.Command(b.t, b.ctx, network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value,
			URL: b.app.server, Path: cookie.Path, HTTPOnly: &httpOnly, SameSite: cookie.SameSite})
	}
}

func (b *spaTab) cookies() []*network.Cookie {
	b.t.Helper()
	return browsertest.Command(b.t, b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{b.app.server + "/api/auth/refresh"}}).Cookies
}

// keepsNothing fails if script of the page's origin could read anything that was kept.
func (b *spaTab) keepsNothing() {
	b.t.Helper()
	kept := see[[]string](b, `async () => [
	  ...Object.keys(localStorage), ...Object.keys(sessionStorage), ...document.cookie.split("=", 1).filter((name) => name),
	  ...(await indexedDB.databases()).map((database) => database.name), ...await caches.keys(),
	]`)
	if len(kept) != 0 {
		b.t.Errorf("the page keeps %q", kept)
	}
	for _, cookie := range b.cookies() {
		if !cookie.HTTPOnly || cookie.SameSite != network.CookieSameSiteStrict {
			b.t.Errorf("cookie %s: HttpOnly %t, SameSite %s", cookie.Name, cookie.HTTPOnly, cookie.SameSite)
		}
	}
}

// happened counts the events of that kind in the server's history of an account.
func (a *application) happened(t *testing.T, email, kind string, want int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(a.data, "watchword"), "users", "show", email, "--json", "--data-dir", a.data)
	cmd.Env = environment()
	out, err := cmd.Output()
	must(t, err)
	var account struct {
		Events []struct{ Event string }
	}
	must(t, json.Unmarshal(out, &account))
	if len(account.Events) == 0 {
		t.Fatal("there are no events at all")
	}
	all := account.Events
	if n := len(slices.DeleteFunc(all, func(e struct{ Event string }) bool { return e.Event != kind })); n != want {
		t.Errorf("%s happened %d times, want %d", kind, n, want)
	}
}
