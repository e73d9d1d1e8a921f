package examples_test

import (
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"github.com/watchword-auth/watchword/internal/browsertest"
)

// The SvelteKit application in a real Chromium, built and started as in production, with the
// built server. Its pages have the texts of the Next.js application, so tests of both share
// helpers. Access tokens live for 10 s.

func TestSvelteKitApplicationKeepsUsersSignedIn(t *testing.T) {
	a := startApplication(t, "sveltekit", "WATCHWORD_ACCESS_TTL=10s")
	t.Parallel() // only here, because building the packages changes files that other tests read
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"signs in and out without JavaScript":    svelteWithoutScript,
			"shows a page to one role":               nextRole,
			"signs out everywhere":                   nextEverywhere,
			"signs out with an expired token":        nextExpiredSignOut,
			"forwards the browser's user agent":      nextForwards,
			"refreshes for data of a client's route": svelteClientRoute,
			"stays signed in while responses are lost": func(t *testing.T, a *application) {
				staysSignedIn(t, a, sveltePages)
			},
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

func svelteWithoutScript(t *testing.T, a *application) {
	const email = "plain@example.com"
	b, _ := a.open(t)
	noScript := emulation.SetScriptExecutionDisabledParams{Value: true}
	browsertest.Command(t, b.ctx, emulation.SetScriptExecutionDisabled, noScript)
	b.visit(a.url + "/account")
	b.until("Stay signed in") // a visitor is sent to the sign-in page
	b.fits("sveltekit-sign-in")
	b.fill("Email", email)
	b.fill("Password", "short")
	b.press("Create an account")
	b.until("Use at least 8 characters.")
	b.fill("Password", password)
	b.press("Create an account")
	b.until("Your account", email, "this device")
	b.fits("sveltekit-account")
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

// With JavaScript, a link loads only the data of the next page. The hook refreshes for it, too.
func svelteClientRoute(t *testing.T, a *application) {
	const email = "route@example.com"
	b, _ := a.open(t)
	b.signUpNext(email)
	b.await("the script runs", `() => !!document.querySelector("#svelte-announcer")`, func() {})
	b.press("Watchword and SvelteKit")
	b.until("You are signed in.")
	see[bool](b, `() => { window.sameDocument = true; return true }`)
	before := b.sessionToken()
	b.expire()
	b.press("Go to your account")
	b.until("Your account", email, "this device")
	if !see[bool](b, `() => window.sameDocument === true`) {
		t.Error("the link loaded a whole page")
	}
	if b.sessionToken() == before {
		t.Error("the expired token was not refreshed")
	}
}

// sveltePages are requested at the same time by scripts of the page: pages, and the data that
// a link loads. The values are what a signed-in user sees.
var sveltePages = map[string]string{
	"/account": "this device", "/account/__data.json": "lossy@example.com", "/": "Go to your account",
	"/admin": "does not have the role", "/api/me": `"subject"`,
}
