package examples_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
)

// These tests run the client of a guide to JWT authentication in a real Chromium, over two
// origins, with the built server. A test changes the user's roles to expire a token: the API
// then responds TOKEN_EXPIRED.

// W-71
func TestFrontEndOfTheGuideStaysSignedIn(t *testing.T) {
	t.Parallel()
	a := startApplication(t, "guide")
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"has the right types":                    guideTypes,
			"keeps a life over two origins":          guideSession,
			"refreshes once for five requests":       guideSharesOneRefresh,
			"sends a request twice at most":          guideEndlessRefusal,
			"signs out only after a refused refresh": guideServerUnavailable,
			"needs no lock between tabs":             guideLoadsThreeTabs,
			"sends no stream twice":                  guideSendsStream,
			"stays signed out after a late refresh":  guideSignsOutDuringRefresh,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

func guideTypes(t *testing.T, _ *application) {
	check := exec.CommandContext(t.Context(), "npm", "run", "--silent", "check")
	check.Dir = "guide"
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func guideSession(t *testing.T, a *application) {
	const email = "life@example.com"
	b, wire := a.openBrowser(t)
	b.signUp(email)
	b.awaitText("Name\nAda", "Sessions\n1")
	b.assertNothingStored()
	b.reload()
	b.awaitText("Your account", email, "Sessions\n1")
	b.assertNothingCutOff("guide-account")
	if n := wire.countRefreshes(); n != 2 { // each page load refreshes once
		t.Errorf("%d refreshes for two visits", n)
	}
	b.press("Sign out")
	b.awaitText("You are signed out.", "New here?")
	b.reload()
	b.awaitText("New here?")
	b.assertNothingCutOff("guide-sign-in")
	if cookies := b.sessionCookies(); len(cookies) != 0 {
		t.Errorf("%d cookies remain", len(cookies))
	}
	b.signIn(email, "seven purple cats")
	b.awaitText("Wrong email or password.", "New here?")
	b.signIn(email, password)
	b.awaitText("Your account", email, "Sessions\n1")

	other, _ := a.openBrowser(t)
	other.visit(a.url)
	other.signIn(email, password)
	other.awaitText("Your account", "Sessions\n2")
	b.press("Sign out everywhere")
	b.awaitText("All your sessions have ended.", "New here?")
	other.press("Reload")
	other.awaitText("New here?")
	b.assertNothingStored()
	other.assertNothingStored()
}

// Chromium without its cache sends requests for the same URL in parallel. Four requests get a 401 at the same time.
// The fifth request gets a 401 when the client already has a new token. All five must share one refresh.
func guideSharesOneRefresh(t *testing.T, a *application) {
	const email = "five@example.com"
	b, wire := a.openBrowser(t)
	b.signUp(email)
	b.awaitText("Sessions\n1")
	a.runCommand(t, "users", "set-roles", email, "editor")

	var four sync.WaitGroup
	four.Add(4)
	var asked atomic.Int32
	renewed := make(chan struct{})
	wire.interceptRequests(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/auth/me" {
			return false
		}
		switch n := asked.Add(1); {
		case n <= 4:
			four.Done()
			four.Wait()
		case n == 5:
			<-renewed
		case n == 6: // the first retry
			close(renewed)
		}
		return false
	})
	before := wire.countRefreshes()
	answers := evaluate[[]int](b, `() => import("/src/main.ts").then(({ auth }) =>
	  Promise.all([1, 2, 3, 4, 5].map(() => auth.fetch("/api/auth/me", { cache: "no-store" }).then(({ status }) => status))))`)
	if fmt.Sprint(answers) != "[200 200 200 200 200]" || asked.Load() != 10 {
		t.Errorf("%v, %d requests", answers, asked.Load())
	}
	if n := wire.countRefreshes() - before; n != 1 {
		t.Errorf("%d refreshes for five requests", n)
	}
	b.press("Reload")
	b.awaitText("Roles\neditor")
	b.assertNothingStored()
}

func guideEndlessRefusal(t *testing.T, a *application) {
	b, wire := a.openBrowser(t)
	b.signUp("ever@example.com")
	b.awaitText("Sessions\n1")
	var asked atomic.Int32
	wire.interceptRequests(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/auth/me" {
			return false
		}
		asked.Add(1)
		a.writeAPIError(w, 401, "TOKEN_EXPIRED", "This access token has expired. Refresh it.")
		return true
	})
	before := wire.countRefreshes()
	b.press("Reload")
	b.awaitText("This access token has expired.", "Your account")
	if n, asked := wire.countRefreshes()-before, asked.Load(); n != 1 || asked != 2 {
		t.Errorf("asked %d times, with %d refreshes", asked, n)
	}
}

func guideServerUnavailable(t *testing.T, a *application) {
	const email = "away@example.com"
	b, wire := a.openBrowser(t)
	b.signUp(email)
	b.awaitText("Sessions\n1")
	for _, refusal := range []struct {
		status int
		code   string
	}{{503, "TRY_LATER"}, {429, "RATE_LIMITED"}, {500, "INTERNAL"}} {
		wire.interceptRequests(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case isRefresh(r):
				a.writeAPIError(w, refusal.status, refusal.code, "Come back later.")
			case r.URL.Path == "/api/auth/me":
				a.writeAPIError(w, 401, "TOKEN_EXPIRED", "This access token has expired. Refresh it.")
			default:
				return false
			}
			return true
		})
		b.press("Reload")
		b.awaitText("Come back later.", "Your account", email)
		b.reload()
		b.awaitText("Come back later.", "Loading…")
		wire.interceptRequests(nil)
		b.press("Try again")
		b.awaitText("Your account", email, "Sessions\n1")
	}

	// The response to a refresh is lost. The next request repeats the refresh, and the server repeats its response.
	wire.dropRefreshResponses(1)
	b.reload()
	b.awaitText("The server can't be reached.", "Loading…")
	b.press("Try again")
	b.awaitText("Your account", email, "Sessions\n1")
	a.assertEventCount(t, email, "refresh_reused", 0)

	// Only a 401 response to the refresh signs the user out.
	wire.interceptRequests(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/auth/me" {
			a.writeAPIError(w, 401, "TOKEN_INVALID", "Not this one.")
		}
		return r.URL.Path == "/api/auth/me"
	})
	b.press("Reload")
	b.awaitText("Not this one.", "Your account", email)
	wire.interceptRequests(nil)
	a.runCommand(t, "sessions", "end", email, "--yes")
	b.press("Reload")
	b.awaitText("Your session has ended.", "New here?")
}

// Three tabs load at the same moment with the same cookie. All must stay signed in.
func guideLoadsThreeTabs(t *testing.T, a *application) {
	const email = "tabs@example.com"
	b, wire := a.openBrowser(t)
	b.signUp(email)
	b.awaitText("Sessions\n1")
	tabs := []*tab{b, b.openTab(), b.openTab()}
	var three sync.WaitGroup
	three.Add(3)
	var asked atomic.Int32
	wire.interceptRequests(func(_ http.ResponseWriter, r *http.Request) bool {
		if isRefresh(r) && asked.Add(1) <= 3 {
			three.Done()
			three.Wait()
		}
		return false
	})
	var visits sync.WaitGroup
	for _, one := range tabs {
		visits.Go(func() { one.visit(a.url) })
	}
	visits.Wait()
	for _, one := range tabs {
		one.awaitText("Your account", email)
	}
	for _, one := range tabs {
		one.reload()
		one.awaitText("Your account", email, "Sessions\n1")
	}
	a.assertEventCount(t, email, "refresh_reused", 0)
}

// A stream can be sent only once, so the client renews the token but returns the 401. Chromium sends no streams over
// HTTP/1.1, so the test replaces the page's fetch.
func guideSendsStream(t *testing.T, a *application) {
	b, wire := a.openBrowser(t)
	b.signUp("stream@example.com")
	b.awaitText("Sessions\n1")
	before := wire.countRefreshes()
	sent := evaluate[int](b, `() => import("/src/main.ts").then(async ({ auth }) => {
	  const real = window.fetch
	  let sent = 0
	  window.fetch = (url, init) => {
	    if (!url.endsWith("/upload")) return real(url, init)
	    sent++
	    return Promise.resolve(Response.json({ code: "TOKEN_EXPIRED" }, { status: 401 }))
	  }
	  const { status } = await auth.fetch("/upload", { method: "POST", body: new Blob(["text"]).stream(), duplex: "half" })
	  window.fetch = real
	  return status === 401 ? sent : -1
	})`)
	if n := wire.countRefreshes() - before; sent != 1 || n != 1 {
		t.Errorf("sent %d times, with %d refreshes", sent, n)
	}
}

// The user signs out during a refresh. The response to the refresh must not sign the user in again.
func guideSignsOutDuringRefresh(t *testing.T, a *application) {
	b, wire := a.openBrowser(t)
	b.signUp("late@example.com")
	b.awaitText("Sessions\n1")
	arrived, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	wire.interceptResponses(func(r *http.Request) {
		if isRefresh(r) {
			once.Do(func() { close(arrived) })
			<-release
		}
	})
	evaluate[bool](b, `() => import("/src/main.ts").then(({ auth }) => { window.late = auth.refresh(); return true })`)
	<-arrived
	b.press("Sign out")
	// The refresh is still waiting for its response. A client would be wrong if its sign-out did not wait for the
	// refresh. While these requests run, the sign-out of such a client would finish, and the late response would then
	// sign the user in again.
	evaluate[bool](b, `() => import("/src/main.ts").then(async ({ auth }) => {
	  for (let left = 10; left > 0 && (await auth.fetch("/api/auth/me")).ok; left--);
	  return true
	})`)
	close(release)
	evaluate[bool](b, `() => window.late.then(() => true)`)
	b.awaitText("You are signed out.", "New here?")
	wire.interceptResponses(nil)
	b.reload()
	b.awaitText("New here?")
}

func (a *application) writeAPIError(w http.ResponseWriter, status int, code, text string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", a.url)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code": %q, "error": %q}`, code, text)
}
