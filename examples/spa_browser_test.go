package examples_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// These tests run the browser client in a real Chromium, on a different origin from
// the built server's. Access tokens live for 10 s. There is no grace period, so a
// mistake of the client signs the user out.

// The test is not parallel, because building the client reloads the open pages of other tests.
func TestFrontEndOfTheSinglePageApplicationStaysSignedIn(t *testing.T) {
	a := startApplication(t, "spa", "WATCHWORD_ACCESS_TTL=10s", "WATCHWORD_REFRESH_GRACE=0s")
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"starts":                                    spaMayCallServer,
			"signs up, out and in over two origins":     spaSession,
			"rotates once when five tabs have expired":  spaFiveTabs,
			"stays signed in after a lost response":     spaLostResponse,
			"signs all tabs out and in":                 spaSignOutEverywhere,
			"says that a stolen cookie ended a session": spaStolenCookie,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

// The server must allow requests from the origin of the page.
func spaMayCallServer(t *testing.T, a *application) {
	for path, want := range map[string]string{
		"/":             `<div id="root">`,
		"/src/main.tsx": "createRoot",
		"/src/App.tsx":  "/clients/typescript/dist/react.js",
	} {
		status, _, body := process{a.url}.getWithToken(t, path, "")
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, without %s", path, status, want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", a.server+"/api/auth/refresh", nil)
	must(t, err)
	r.Header.Set("Origin", a.url)
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close() //nolint:errcheck // the body is not read
	if response.StatusCode != 401 || response.Header.Get("Access-Control-Allow-Origin") != a.url {
		t.Errorf("the server does not allow the page's origin: %s %v", response.Status, response.Header)
	}
}

func spaSession(t *testing.T, a *application) {
	const email, other = "life@example.com", "eight yellow herons"
	b, _ := a.openBrowser(t)
	b.signUp(email)
	b.awaitText("E-mail", email)
	b.press("Sessions")
	b.awaitText("Your sessions", "this device")
	if n := evaluate[int](b, `() => document.querySelectorAll(".sessions li").length`); n != 1 {
		t.Errorf("%d sessions", n)
	}
	b.reload()
	b.awaitText("Your sessions", "this device")
	b.press("Sign out")
	b.awaitText("New here?")
	b.reload()
	b.awaitText("New here?")
	b.signIn(email, password)
	b.awaitText("Your sessions", "this device")
	b.press("Sign out")
	b.awaitText("New here?")

	b.press("Forgot your password?")
	b.awaitText("Send the link")
	b.fill("E-mail", email)
	b.press("Send the link")
	b.awaitText("a mail is on its way")
	mailbox := b.openTab()
	mailbox.awaitTrue("the mail", `(to) => {
	  const rows = [...document.querySelectorAll("tbody tr")];
	  const row = rows.find((row) => row.innerText.includes(to) && row.innerText.includes("Choose a new password"));
	  row?.querySelector("a").click();
	  return !!row;
	}`, func() { mailbox.visit(a.server + "/dev/mail") }, email)
	mailbox.awaitText("Open the link")
	mailbox.press("Open the link")
	mailbox.awaitText("Save password")
	mailbox.fill("New password", other)
	mailbox.press("Save password")
	mailbox.awaitText("Your password has been changed")

	b.press("Back to sign in")
	b.awaitText("New here?")
	b.signIn(email, password)
	b.awaitText("Wrong email or password.")
	b.signIn(email, other)
	b.awaitText("Your account", email)
	b.assertNothingStored()
}

func spaFiveTabs(t *testing.T, a *application) {
	const email = "tabs@example.com"
	first, wire := a.openBrowser(t)
	first.moveToBackground() // a hidden page does not renew its token early
	first.signUp(email)
	tabs := []*tab{first}
	for range 4 {
		next := first.openTab()
		next.moveToBackground()
		next.visit(a.url)
		next.awaitText("Your account")
		tabs = append(tabs, next)
	}
	expiry := evaluate[int64](tabs[4], `() => import("/src/client.ts").then(({ client }) => client.getAccessToken())
	  .then((token) => JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).exp)`)
	before := wire.countRefreshes()
	time.Sleep(time.Until(time.Unix(expiry, 0)))
	if n := wire.countRefreshes() - before; n != 0 {
		t.Fatalf("%d refreshes of hidden pages", n)
	}

	var all sync.WaitGroup
	for _, b := range tabs {
		all.Go(func() { b.press("Ask the API") })
	}
	all.Wait()
	for _, b := range tabs {
		b.awaitText("Your account", email, "Token is good until")
		if status := evaluate[string](b, `() => document.querySelector("[role=status] dd").innerText`); status != "200" {
			t.Errorf("a tab got status %s", status)
		}
	}
	if n := wire.countRefreshes() - before; n != 1 {
		t.Errorf("%d refreshes for five tabs", n)
	}
	a.assertEventCount(t, email, "refresh_reused", 0)
	a.assertEventCount(t, email, "late_forgiven", 0)
	for _, b := range tabs {
		b.assertNothingStored()
	}
}

func spaLostResponse(t *testing.T, a *application) {
	const email = "lost@example.com"
	b, wire := a.openBrowser(t)
	b.moveToBackground()
	b.signUp(email)
	before := wire.countRefreshes()
	wire.dropRefreshResponses(1)
	b.refreshToken()
	if n := wire.countRefreshes() - before; n != 2 {
		t.Errorf("%d refreshes, want a lost one and a retry", n)
	}
	a.assertEventCount(t, email, "late_forgiven", 1) // the retry sent a token that the server had rotated
	for range 3 {
		b.refreshToken()
	}
	b.awaitText("Your account", email)
	b.reload()
	b.awaitText("Your account", email)

	gone := wire.countDropped()
	wire.dropRefreshResponses(2) // the first retry fails too, and the page retries again by itself
	next := b.openTab()
	next.visit(a.url)
	next.awaitText("Your account", email)
	if n := wire.countDropped() - gone; n != 2 {
		t.Errorf("%d responses were lost, want 2", n)
	}
	a.assertEventCount(t, email, "refresh_reused", 0)
	b.assertNothingStored()
}

func spaSignOutEverywhere(t *testing.T, a *application) {
	const email = "leave@example.com"
	b, _ := a.openBrowser(t)
	b.signUp(email)
	other := b.openTab()
	other.moveToBackground() // a hidden page sends no request itself
	other.visit(a.url)
	other.awaitText("Your account")
	b.press("Sign out")
	for _, tab := range []*tab{b, other} {
		tab.awaitText("New here?")
		if notice := evaluate[bool](tab, `() => !!document.querySelector(".notice")`); notice {
			t.Error("a notice about an ended session is shown after a sign-out")
		}
	}
	other.signIn(email, password)
	b.awaitText("Your account", email)
	b.assertNothingStored()
	other.assertNothingStored()
}

// A thief and the victim use the same cookie. The server forgives the first repeat of an old token, because the
// response may have been lost. The next repeat must end the session.
func spaStolenCookie(t *testing.T, a *application) {
	const email = "stolen@example.com"
	victim, _ := a.openBrowser(t)
	victim.moveToBackground()
	victim.signUp(email)
	thief, _ := a.openBrowser(t)
	thief.moveToBackground()
	thief.copyRefreshCookie(victim)
	thief.visit(a.url)
	thief.awaitText("Your account", email)

	victim.refreshToken()
	victim.awaitText("Your account")
	thief.refreshToken()
	victim.refreshToken()
	victim.awaitText("You were signed out because an old copy of your session was used.", "New here?")
	thief.refreshToken()
	thief.awaitText("Your session has ended. Sign in again.", "New here?")
	a.assertEventCount(t, email, "refresh_reused", 1)
	victim.assertNothingStored()
	thief.assertNothingStored()
}

func (b *tab) refreshToken() {
	b.t.Helper()
	evaluate[bool](b, `() => import("/src/client.ts").then(({ client }) => client.refresh()).then(() => true)`)
}
