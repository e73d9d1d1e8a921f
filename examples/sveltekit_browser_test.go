package examples_test

import "testing"

// These tests run the SvelteKit application in a real Chromium, built and started as in production, with the built
// server. Its pages have the same texts as the Next.js application, so the tests of both share helpers. Access tokens
// live for 10 s.

func TestSvelteKitApplicationKeepsUsersSignedIn(t *testing.T) {
	provider, settings := startProvider(t)
	a := startApplication(t, "sveltekit", append(settings,
		"WATCHWORD_ACCESS_TTL=10s", "WATCHWORD_REMEMBER_DEVICE=720h")...)
	provider.put(t, "/test/redirect", a.server+"/sign-in/acme/callback")
	t.Parallel() // not earlier: building the packages changes files that other tests read
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"signs in and out without JavaScript": nextWithoutScript,
			"asks for a second factor":            nextSecondStep,
			"asks for a second factor by script":  svelteSecondStep,
			"signs in with a provider": func(t *testing.T, a *application) {
				nextProvider(t, a, provider)
			},
			"shows a page to one role":               nextRole,
			"signs out everywhere":                   nextEverywhere,
			"signs out with an expired token":        nextExpiredSignOut,
			"forwards the browser's user agent":      nextForwards,
			"refreshes for data of a client's route": svelteClientRoute,
			"stays signed in while responses are lost": func(t *testing.T, a *application) {
				assertStaysSignedIn(t, a, sveltePages)
			},
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

// With JavaScript, a link loads only the data of the next page. The hook must refresh the token for such a request,
// too.
func svelteClientRoute(t *testing.T, a *application) {
	const email = "route@example.com"
	b, _ := a.openBrowser(t)
	b.signUpNext(email)
	b.awaitTrue("the script runs", `() => !!document.querySelector("#svelte-announcer")`, func() {})
	b.press("Watchword and SvelteKit")
	b.awaitText("You are signed in.")
	evaluate[bool](b, `() => { window.sameDocument = true; return true }`)
	before := b.sessionToken()
	b.deleteAccessToken()
	b.press("Go to your account")
	b.awaitText("Your account", email, "this device")
	if !evaluate[bool](b, `() => window.sameDocument === true`) {
		t.Error("the link loaded a whole page")
	}
	if b.sessionToken() == before {
		t.Error("the expired token was not refreshed")
	}
}

// With JavaScript, scripts must send the forms of both steps without a page load.
func svelteSecondStep(t *testing.T, a *application) {
	const email, label = "script@example.com", "Code of your authenticator app, or a recovery code"
	codes := a.createAccountWithTOTP(t, email)
	b, _ := a.openBrowser(t)
	b.visit(a.url + "/sign-in")
	b.awaitTrue("the script runs", `() => !!document.querySelector("#svelte-announcer")`, func() {})
	evaluate[bool](b, `() => { window.sameDocument = true; return true }`)
	b.signInNext(email, password)
	b.awaitText("Enter a code")
	b.fill(label, "000000x")
	b.press("Continue")
	b.awaitText("This code is wrong or was used already. Enter the current code.")
	b.fill(label, codes[1])
	b.press("Continue")
	b.awaitText("Your account", email)
	if !evaluate[bool](b, `() => window.sameDocument === true`) {
		t.Error("a step loaded a whole page")
	}
}

// sveltePages are the URLs that scripts request at the same time: pages, an endpoint, and the data that a link loads.
// Each value is a text that only a signed-in user sees.
var sveltePages = map[string]string{
	"/account": "this device", "/account/__data.json": "lossy@example.com", "/": "Go to your account",
	"/admin": "does not have the role", "/api/me": `"subject"`,
}
