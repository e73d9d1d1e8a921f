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

// Not parallel, because building the client reloads the open pages of other tests.
func TestFrontEndOfTheSinglePageApplicationStaysSignedIn(t *testing.T) {
	a := startApplication(t, "spa", "WATCHWORD_ACCESS_TTL=10s", "WATCHWORD_REFRESH_GRACE=0s")
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"starts":                                    starts,
			"signs up, out and in over two origins":     life,
			"rotates once when five tabs have expired":  fiveTabs,
			"stays signed in after a lost response":     lostAnswer,
			"signs all tabs out and in":                 allTabs,
			"says that a stolen cookie ended a session": stolenCookie,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

// The server must allow requests from the origin of the page.
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
	defer response.Body.Close() //nolint:errcheck // the body is not read
	if response.StatusCode != 401 || response.Header.Get("Access-Control-Allow-Origin") != a.url {
		t.Errorf("the server does not allow the page's origin: %s %v", response.Status, response.Header)
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
	mailbox.until("Your password has been changed")

	b.press("Back to sign in")
	b.until("New here?")
	b.signIn(email, password)
	b.until("Wrong email or password.")
	b.signIn(email, other)
	b.until("Your account", email)
	b.keepsNothing()
}

func fiveTabs(t *testing.T, a *application) {
	const email = "tabs@example.com"
	first, wire := a.open(t)
	first.hide() // a hidden page does not renew its token early
	first.signUp(email)
	tabs := []*tab{first}
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
		t.Fatalf("%d refreshes of hidden pages", n)
	}

	var all sync.WaitGroup
	for _, b := range tabs {
		all.Go(func() { b.press("Ask the API") })
	}
	all.Wait()
	for _, b := range tabs {
		b.until("Your account", email, "Token is good until")
		if status := see[string](b, `() => document.querySelector("[role=status] dd").innerText`); status != "200" {
			t.Errorf("a tab got status %s", status)
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
		t.Errorf("%d refreshes, want a lost one and a retry", n)
	}
	a.happened(t, email, "late_forgiven", 1) // the retry sent a token that the server had rotated
	for range 3 {
		b.refresh()
	}
	b.until("Your account", email)
	b.reload()
	b.until("Your account", email)

	gone := wire.lost()
	wire.lose(2) // the first retry fails too, and the page retries again by itself
	next := b.another()
	next.visit(a.url)
	next.until("Your account", email)
	if n := wire.lost() - gone; n != 2 {
		t.Errorf("%d responses were lost, want 2", n)
	}
	a.happened(t, email, "refresh_reused", 0)
	b.keepsNothing()
}

func allTabs(t *testing.T, a *application) {
	const email = "leave@example.com"
	b, _ := a.open(t)
	b.signUp(email)
	other := b.another()
	other.hide() // a hidden page sends no request itself
	other.visit(a.url)
	other.until("Your account")
	b.press("Sign out")
	for _, tab := range []*tab{b, other} {
		tab.until("New here?")
		if notice := see[bool](tab, `() => !!document.querySelector(".notice")`); notice {
			t.Error("a notice about an ended session is shown after a sign-out")
		}
	}
	other.signIn(email, password)
	b.until("Your account", email)
	b.keepsNothing()
	other.keepsNothing()
}

// A thief and the victim use the same cookie. The server forgives the first repeat of an old token, because the
// response may have been lost. The next repeat must end the session.
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

// refresh makes the page's client renew its token.
func (b *tab) refresh() {
	b.t.Helper()
	see[bool](b, `() => import("/src/client.ts").then(({ client }) => client.refresh()).then(() => true)`)
}
