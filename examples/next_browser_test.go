package examples_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"github.com/watchword-auth/watchword/internal/browsertest"
)

// The Next.js application in a real Chromium, built and started as in production, with the
// built server. Access tokens live for 10 s.

func TestNextApplicationKeepsUsersSignedIn(t *testing.T) {
	a := startApplication(t, "next", "WATCHWORD_ACCESS_TTL=10s", "NEXT_TELEMETRY_DISABLED=1")
	packages := packClients(t)
	t.Parallel() // only here, because building the packages changes files that other tests read
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"signs in and out without JavaScript": nextWithoutScript,
			"shows a page to one role":            nextRole,
			"signs out everywhere":                nextEverywhere,
			"signs out with an expired token":     nextExpiredSignOut,
			"stays signed in while responses are lost": func(t *testing.T, a *application) {
				staysSignedIn(t, a, nextPages)
			},
			"agrees with the transcript": func(t *testing.T, _ *application) {
				nextTranscript(t, packages)
			},
			"forwards the browser's user agent":  nextForwards,
			"shares a sign-in with hosted pages": nextOnSubdomain,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

func nextWithoutScript(t *testing.T, a *application) {
	const email = "plain@example.com"
	b, _ := a.open(t)
	noScript := emulation.SetScriptExecutionDisabledParams{Value: true}
	browsertest.Command(t, b.ctx, emulation.SetScriptExecutionDisabled, noScript)
	b.visit(a.url + "/account")
	b.until("Stay signed in") // a visitor is sent to the sign-in page
	b.fits("next-sign-in")
	b.fill("Email", email)
	b.fill("Password", "short")
	b.press("Create an account")
	b.until("Use at least 8 characters.")
	b.fill("Password", password)
	b.press("Create an account")
	b.until("Your account", email, "this device")
	b.fits("next-account")
	want := []string{"watchword-access", "watchword-device", "watchword-session"}
	if got := b.appCookies(); !slices.Equal(got, want) {
		t.Errorf("cookies after a sign-up: %q", got)
	}
	b.expire()
	b.visit(a.url + "/account")
	b.until("Your account", email)
	b.press("Sign out")
	b.until("You are a visitor.")
	if got := b.appCookies(); !slices.Equal(got, []string{"watchword-device"}) {
		t.Errorf("cookies after a sign-out: %q", got)
	}
	b.visit(a.url + "/sign-in?to=//evil.example/")
	b.signInNext(email, "eight yellow herons")
	b.until("Wrong email or password.")
	b.signInNext(email, password)
	b.until("Your account", email)
}

func nextRole(t *testing.T, a *application) {
	const email = "role@example.com"
	b, _ := a.open(t)
	b.signUpNext(email)
	b.visit(a.url + "/admin")
	b.until("Your account does not have the role admin.")
	a.command(t, "users", "set-roles", email, "admin")
	b.await("the new role", `() => document.body.innerText.includes("You have the role admin.")`, b.reload)
	b.until("Administration")
	status := see[string](b, `async () => JSON.stringify((await (await fetch("/api/me")).json()).roles)`)
	if status != `["admin"]` {
		t.Errorf("the route handler sees the roles %s", status)
	}
}

func nextEverywhere(t *testing.T, a *application) {
	const email = "everywhere@example.com"
	one, _ := a.open(t)
	other, _ := a.open(t)
	one.signUpNext(email)
	other.visit(a.url + "/sign-in")
	other.signInNext(email, password)
	other.until("Your account", email)
	one.fill("Change your name", "Ada") // a server action that calls Watchword
	one.press("Save name")
	one.until("Name\nAda")
	one.press("Sign out everywhere")
	one.until("You are a visitor.")
	start := time.Now()
	other.await("the other browser is signed out",
		`() => document.body.innerText.includes("Stay signed in")`, other.reload)
	t.Logf("the other browser was signed out after %s", time.Since(start).Round(time.Millisecond))
	if got := other.appCookies(); slices.Contains(got, "watchword-session") {
		t.Errorf("cookies of the other browser: %q", got)
	}
	a.happened(t, email, "refresh_reused", 0)
}

// The proxy sets fresh cookies and the action deletes them: the deletion must win.
func nextExpiredSignOut(t *testing.T, a *application) {
	for i, button := range []string{"Sign out", "Sign out everywhere"} {
		email := fmt.Sprintf("expired%d@example.com", i)
		b, _ := a.open(t)
		b.signUpNext(email)
		b.expire()
		b.press(button)
		b.until("You are a visitor.")
		if got := b.appCookies(); !slices.Equal(got, []string{"watchword-device"}) {
			t.Errorf("cookies after %q: %q", button, got)
		}
	}
}

func nextForwards(t *testing.T, a *application) {
	const email = "forwards@example.com"
	b, _ := a.open(t)
	b.signUpNext(email)
	b.until("Chrome") // the device's name is from the browser's user agent, not from Node.js
	var account struct {
		Sessions []struct{ Device, Address string }
	}
	must(t, json.Unmarshal(a.command(t, "users", "show", email, "--json"), &account))
	if len(account.Sessions) != 1 || !strings.Contains(account.Sessions[0].Device, "Chrome") {
		t.Errorf("sessions: %+v", account.Sessions)
	}
}

// nextPages are requested at the same time by scripts of the page. The values are what a
// signed-in user sees.
var nextPages = map[string]string{
	"/account": "this device", "/": "Go to your account", "/admin": "does not have the role", "/api/me": `"subject"`,
}

func (b *tab) signUpNext(email string) {
	b.t.Helper()
	b.visit(b.app.url + "/sign-in")
	b.fill("Email", email)
	b.fill("Password", password)
	b.press("Create an account")
	b.until("Your account", email)
}

func (b *tab) signInNext(email, password string) {
	b.t.Helper()
	b.fill("Email", email)
	b.fill("Password", password)
	see[bool](b, `() => { document.querySelector("main form button").click(); return true }`) // not the link
}
