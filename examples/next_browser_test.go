package examples_test

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"github.com/watchword-auth/watchword/internal/browsertest"
	"github.com/watchword-auth/watchword/internal/totp"
)

// These tests run the Next.js application in a real Chromium, built and started as in
// production, with the built server. Access tokens live for 10 s.

func TestNextApplicationKeepsUsersSignedIn(t *testing.T) {
	provider, settings := startProvider(t)
	a := startApplication(t, "next", append(settings,
		"WATCHWORD_ACCESS_TTL=10s", "WATCHWORD_REMEMBER_DEVICE=720h", "NEXT_TELEMETRY_DISABLED=1")...)
	provider.put(t, "/test/redirect", a.server+"/sign-in/acme/callback")
	packages := packClients(t)
	t.Parallel() // after packClients, which changes files that other tests read
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"signs in and out without JavaScript": nextWithoutScript,
			"asks for a second factor":            nextSecondStep,
			"signs in with a provider": func(t *testing.T, a *application) {
				nextProvider(t, a, provider)
			},
			"shows a page to one role":        nextRole,
			"signs out everywhere":            nextEverywhere,
			"signs out with an expired token": nextExpiredSignOut,
			"stays signed in while responses are lost": func(t *testing.T, a *application) {
				assertStaysSignedIn(t, a, nextPages)
			},
			"agrees with the transcript": func(t *testing.T, _ *application) {
				runTranscript(t, packages)
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
	b, _ := a.openBrowser(t)
	noScript := emulation.SetScriptExecutionDisabledParams{Value: true}
	browsertest.Command(t, b.ctx, emulation.SetScriptExecutionDisabled, noScript)
	b.visit(a.url + "/account")
	b.awaitText("Stay signed in") // this is the sign-in page, to which visitors are redirected
	b.assertNothingCutOff(a.exampleName + "-sign-in")
	b.fill("Email", email)
	b.fill("Password", "short")
	b.press("Create an account")
	b.awaitText("Use at least 8 characters.")
	b.fill("Password", password)
	b.press("Create an account")
	b.awaitText("Your account", email, "this device")
	b.assertNothingCutOff(a.exampleName + "-account")
	want := []string{"watchword-access", "watchword-device", "watchword-session"}
	if got := b.appCookies(); !slices.Equal(got, want) {
		t.Errorf("cookies after a sign-up: %q", got)
	}
	b.deleteAccessToken()
	b.visit(a.url + "/account")
	b.awaitText("Your account", email)
	b.press("Sign out")
	b.awaitText("You are a visitor.")
	if got := b.appCookies(); !slices.Equal(got, []string{"watchword-device"}) {
		t.Errorf("cookies after a sign-out: %q", got)
	}
	b.visit(a.url + "/sign-in?to=//evil.example/")
	b.signInNext(email, "eight yellow herons")
	b.awaitText("Wrong email or password.")
	b.signInNext(email, password)
	b.awaitText("Your account", email)
}

// The second step of a sign-in must work without JavaScript, too.
func nextSecondStep(t *testing.T, a *application) {
	const email, label = "second@example.com", "Code of your authenticator app, or a recovery code"
	codes := a.createAccountWithTOTP(t, email)
	b, _ := a.openBrowser(t)
	noScript := emulation.SetScriptExecutionDisabledParams{Value: true}
	browsertest.Command(t, b.ctx, emulation.SetScriptExecutionDisabled, noScript)
	b.visit(a.url + "/sign-in?to=/admin")
	b.signInNext(email, password)
	b.awaitText("Enter a code", "Don’t ask again in this browser for 30 days")
	b.assertNothingCutOff(a.exampleName + "-second-step")
	if got := b.appCookies(); !slices.Equal(got, []string{"watchword-challenge"}) {
		t.Errorf("cookies between the two steps: %q", got)
	}
	b.reload() // after a reload, a cookie still has the challenge
	b.fill(label, "000000x")
	b.press("Continue")
	b.awaitText("This code is wrong or was used already. Enter the current code.")
	b.fill(label, codes[1])
	evaluate[bool](b, `() => { document.querySelector("input[name=remember]").click(); return true }`)
	b.press("Continue")
	b.awaitText("Your account does not have the role admin.")
	want := []string{"watchword-access", "watchword-device", "watchword-remembered", "watchword-session"}
	if got := b.appCookies(); !slices.Equal(got, want) {
		t.Errorf("cookies after the second step: %q", got)
	}
	b.visit(a.url + "/account")
	b.press("Sign out")
	b.awaitText("You are a visitor.")
	b.visit(a.url + "/sign-in/second-step") // the challenge was used: the sign-in page appears
	b.awaitText("Stay signed in")
	b.signInNext(email, password) // no second step: the browser is remembered
	b.awaitText("Your account", email)
}

// The buttons of providers must work without JavaScript, too.
func nextProvider(t *testing.T, a *application, provider process) {
	const email, button = "provider@example.com", "Continue with Acme"
	visitor := func() *tab {
		b := &tab{t: t, app: a, ctx: a.chromium.Open(t)} // without the proxy, which would block the provider
		noScript := emulation.SetScriptExecutionDisabledParams{Value: true}
		browsertest.Command(t, b.ctx, emulation.SetScriptExecutionDisabled, noScript)
		b.visit(a.url + "/sign-in?to=/admin")
		return b
	}
	b := visitor()
	b.assertNothingCutOff(a.exampleName + "-sign-in-providers")
	provider.put(t, "/test/user", `{"deny": true}`)
	b.press(button)
	b.awaitText("The sign-in with the provider was not completed.", button)
	provider.put(t, "/test/user",
		`{"sub": "new", "email": "new.user@example.com", "email_verified": true, "name": "Ada"}`)
	b.press(button)
	b.awaitText("Your account does not have the role admin.")
	if at := evaluate[string](b, `() => location.href`); at != a.url+"/admin" {
		t.Errorf("after the sign-in, the page is %s", at)
	}
	got := b.appCookies()
	if !slices.Contains(got, "watchword-session") || slices.Contains(got, "watchword-verifier-0") {
		t.Errorf("cookies after the sign-in: %q", got)
	}
	b.deleteAccessToken()
	b.visit(a.url + "/account")
	b.awaitText("Your account", "new.user@example.com")

	// The account has a proven address and a second factor. The user must sign in with both factors. This sign-in
	// then connects the provider.
	codes := a.createAccountWithTOTP(t, email)
	provider.put(t, "/test/user", `{"sub": "own", "email": "`+email+`", "email_verified": true, "name": "Ada"}`)
	b = visitor()
	b.press(button)
	b.awaitText("Sign in to it once to connect this provider.")
	b.signInNext(email, password)
	b.awaitText("Enter a code")
	b.fill("Code of your authenticator app, or a recovery code", codes[1])
	b.press("Continue")
	b.awaitText("Your account does not have the role admin.")
	// A script on the provider's page opens the callback, in the same way as a click on a link. The browser therefore
	// treats the callback as a cross-site request.
	provider.put(t, "/test/user",
		`{"sub": "own", "email": "`+email+`", "email_verified": true, "name": "Ada", "wait": 1}`)
	b = visitor()
	b.press(button)
	b.awaitText("Enter a code") // the sign-in at the provider is only the first factor
	b.fill("Code of your authenticator app, or a recovery code", codes[2])
	evaluate[bool](b, `() => { document.querySelector("input[name=remember]").click(); return true }`)
	b.press("Continue")
	b.awaitText("Your account does not have the role admin.")
	b.visit(a.url + "/account")
	b.press("Sign out")
	b.awaitText("You are a visitor.")
	b.visit(a.url + "/sign-in?to=/admin")
	b.press(button)
	b.awaitText("Your account does not have the role admin.") // no second step: the browser is remembered
}

// createAccountWithTOTP returns the recovery codes.
func (a *application) createAccountWithTOTP(t *testing.T, email string) []string {
	t.Helper()
	var in struct{ AccessToken string }
	a.postJSON(t, "register", "", map[string]string{"email": email, "password": password, "delivery": "body"}, &in)
	a.runCommand(t, "users", "verify", email)
	var begun struct{ ID, Secret string }
	a.postJSON(t, "factors/totp", in.AccessToken, map[string]string{}, &begun)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(begun.Secret)
	must(t, err)
	code, err := totp.Code(secret, totp.Step(time.Now()))
	must(t, err)
	var confirmed struct{ RecoveryCodes []string }
	a.postJSON(t, "factors/totp/"+begun.ID+"/confirm", in.AccessToken, map[string]string{"code": code}, &confirmed)
	if len(confirmed.RecoveryCodes) == 0 {
		t.Fatal("the account has no recovery codes")
	}
	return confirmed.RecoveryCodes
}

// postJSON decodes the response into result.
func (a *application) postJSON(t *testing.T, path, token string, body, result any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	must(t, err)
	url := a.server + "/api/auth/" + path
	request, err := http.NewRequestWithContext(t.Context(), "POST", url, bytes.NewReader(encoded))
	must(t, err)
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer func() { must(t, response.Body.Close()) }()
	if response.StatusCode > 299 {
		t.Fatalf("%s: status %d", path, response.StatusCode)
	}
	must(t, json.NewDecoder(response.Body).Decode(result))
}

func nextRole(t *testing.T, a *application) {
	const email = "role@example.com"
	b, _ := a.openBrowser(t)
	b.signUpNext(email)
	b.visit(a.url + "/admin")
	b.awaitText("Your account does not have the role admin.")
	a.runCommand(t, "users", "set-roles", email, "admin")
	b.awaitTrue("the new role", `() => document.body.innerText.includes("You have the role admin.")`, b.reload)
	b.awaitText("Administration")
	status := evaluate[string](b, `async () => JSON.stringify((await (await fetch("/api/me")).json()).roles)`)
	if status != `["admin"]` {
		t.Errorf("the route handler sees the roles %s", status)
	}
}

func nextEverywhere(t *testing.T, a *application) {
	const email = "everywhere@example.com"
	one, _ := a.openBrowser(t)
	other, _ := a.openBrowser(t)
	one.signUpNext(email)
	other.visit(a.url + "/sign-in")
	other.signInNext(email, password)
	other.awaitText("Your account", email)
	one.fill("Change your name", "Ada") // runs a server action that calls Watchword
	one.press("Save name")
	one.awaitText("Name\nAda")
	stale := []*tab{other.openTab(), other.openTab()} // tabs that still show the account after the sign-out
	for _, page := range stale {
		page.visit(a.url + "/account")
		page.fill("Change your name", "Ada")
	}
	one.press("Sign out everywhere")
	one.awaitText("You are a visitor.")
	start := time.Now()
	other.awaitTrue("the other browser is signed out",
		`() => document.body.innerText.includes("Stay signed in")`, other.reload)
	t.Logf("the other browser was signed out after %s", time.Since(start).Round(time.Millisecond))
	if got := other.appCookies(); slices.Contains(got, "watchword-session") {
		t.Errorf("cookies of the other browser: %q", got)
	}
	for i, button := range []string{"Save name", "Sign out everywhere"} {
		stale[i].press(button)
		stale[i].awaitText("Stay signed in")
	}
	a.assertEventCount(t, email, "refresh_reused", 0)
}

// The user signs out when the access token has expired. proxy.ts then sets fresh cookies, and the action deletes
// them. The browser must get the deletion, not the fresh cookies.
func nextExpiredSignOut(t *testing.T, a *application) {
	for i, button := range []string{"Sign out", "Sign out everywhere"} {
		email := fmt.Sprintf("expired%d@example.com", i)
		b, _ := a.openBrowser(t)
		b.signUpNext(email)
		b.deleteAccessToken()
		b.press(button)
		b.awaitText("You are a visitor.")
		if got := b.appCookies(); !slices.Equal(got, []string{"watchword-device"}) {
			t.Errorf("cookies after %q: %q", button, got)
		}
	}
}

func nextForwards(t *testing.T, a *application) {
	const email = "forwards@example.com"
	b, _ := a.openBrowser(t)
	b.signUpNext(email)
	b.awaitText("Chrome") // the device's name is from the browser's user agent, not from Node.js
	var account struct {
		Sessions []struct{ Device, Address string }
	}
	must(t, json.Unmarshal(a.runCommand(t, "users", "show", email, "--json"), &account))
	if len(account.Sessions) != 1 || !strings.Contains(account.Sessions[0].Device, "Chrome") {
		t.Errorf("sessions: %+v", account.Sessions)
	}
}

// nextPages are the pages that scripts request at the same time. The values are texts that a signed-in user sees.
var nextPages = map[string]string{
	"/account": "this device", "/": "Go to your account", "/admin": "does not have the role", "/api/me": `"subject"`,
}

func (b *tab) signUpNext(email string) {
	b.t.Helper()
	b.visit(b.app.url + "/sign-in")
	b.fill("Email", email)
	b.fill("Password", password)
	b.press("Create an account")
	b.awaitText("Your account", email)
}

func (b *tab) signInNext(email, password string) {
	b.t.Helper()
	b.fill("Email", email)
	b.fill("Password", password)
	evaluate[bool](b, `() => { document.querySelector("main form button").click(); return true }`) // not the link
}
