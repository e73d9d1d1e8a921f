package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// A virtualAuthenticator accepts every finger and answers at once, until the test changes this.
type virtualAuthenticator struct {
	b  *tab
	id webauthn.AuthenticatorID
}

func (b *tab) withAuthenticator() *virtualAuthenticator {
	b.t.Helper()
	sendDevTools(b, webauthn.Enable, webauthn.EnableParams{})
	added := sendDevTools(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			DefaultBackupEligibility: true, DefaultBackupState: true,
		}})
	return &virtualAuthenticator{b, added.AuthenticatorID}
}

func (a *virtualAuthenticator) setUserTouches(yes bool) {
	a.b.t.Helper()
	sendDevTools(a.b, webauthn.SetAutomaticPresenceSimulation,
		webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: yes})
}

func (a *virtualAuthenticator) setFingerRecognized(yes bool) {
	a.b.t.Helper()
	sendDevTools(a.b, webauthn.SetUserVerified,
		webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: yes})
}

func (a *virtualAuthenticator) storedPasskeys() []*webauthn.Credential {
	a.b.t.Helper()
	return sendDevTools(a.b, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials
}

// awaitNoPasskeys waits, because the browser removes passkeys when a page signals that they are no longer valid.
func (a *virtualAuthenticator) awaitNoPasskeys() {
	a.b.t.Helper()
	for end := time.Now().Add(pageTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if len(a.storedPasskeys()) == 0 {
			return
		}
	}
	a.b.t.Fatalf("the browser still has %d passkeys", len(a.storedPasskeys()))
}

// disableAutofill makes the pages believe that the browser can't suggest passkeys. Otherwise the virtual
// authenticator would answer the suggestion before the test presses a button.
func (b *tab) disableAutofill() {
	b.t.Helper()
	sendDevTools(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `PublicKeyCredential.isConditionalMediationAvailable = async () => false`})
}

// startOnLocalhost starts a service with second factors. Passkeys need a host name, so the service uses localhost
// instead of the IP address.
func startOnLocalhost(t *testing.T) (*service, *phone) {
	t.Helper()
	return startWithPhone(t, func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
	}, nil)
}

func (s *service) signUpAndConfirm(b *tab) {
	b.t.Helper()
	b.signUp("ada@example.com")
	b.openMailLink("/verify", s.mailer.awaitMail(b.t, watchword.MailVerify, "ada@example.com"))
	b.pressAndLeave("Confirm address")
	b.visit("/account")
}

// After clearCookies, the browser looks like a new device.
func (b *tab) clearCookies() { b.t.Helper(); sendDevTools(b, network.ClearBrowserCookies, struct{}{}) }

// No text of the pages with passkeys may be cut off, and axe-core must report no fault.
func TestPagesWithPasskeysFitAndAreAccessible(t *testing.T) {
	t.Parallel()
	check := accessibilityCheck(t)
	s, _ := startOnLocalhost(t)
	b := s.openTab(t)
	device := b.withAuthenticator()
	b.disableAutofill()
	s.signUpAndConfirm(b)
	agent := evaluate[string](b, `() => navigator.userAgent`)
	look := func(name, path string) {
		t.Helper()
		for _, language := range []string{"de", "en"} {
			b.setLanguageAndAgent(language, agent)
			b.visit(path)
			check(b, name+"-"+language)
		}
	}
	look("account-no-passkey", "/account")
	look("passkey-new", "/account/passkeys/new")
	device.setFingerRecognized(false)
	b.pressAndStay("", "Create a passkey")
	b.waitUntil("a sentence", `() => document.querySelector(".passkey [role=alert]").textContent !== ""`)
	check(b, "passkey-refused")
	device.setFingerRecognized(true)
	b.pressAndLeave("Create a passkey")
	look("account-passkey", "/account")
	look("step-up-passkey", "/step-up")
	b.visit("/account")
	b.pressAndLeave("Remove Chrome on Linux")
	check(b, "passkey-remove")
	b.clearCookies()
	b.signIn("ada@example.com", goodPassword)
	look("factor-passkey", "/login/factor")
	look("login-passkey", "/login")
}

func TestChromiumAddsUsesAndRemovesAPasskey(t *testing.T) {
	t.Parallel()
	s, phone := startOnLocalhost(t)
	b := s.openTab(t)
	device := b.withAuthenticator()
	s.signUpAndConfirm(b)
	b.pressAndLeave("Add a passkey")
	b.pressAndLeave("Create a passkey")
	b.wantText("Two-step sign-in is on.", "Save your recovery codes")
	if codes := b.shownRecoveryCodes(); len(codes) != 10 {
		t.Errorf("the codes are %q", codes)
	}
	b.pressAndLeave("I have saved the codes")
	b.wantText("Chrome on Linux", "Backed up", "Codes left: 10", "After your password, you confirm with a passkey.")
	if got := device.storedPasskeys(); len(got) != 1 || got[0].UserName != "ada@example.com" {
		t.Fatalf("the device has %+v", got)
	}

	// The browser must suggest the passkey in the field for the address.
	device.setUserTouches(false)
	b.pressAndLeave("Sign out")
	b.wantText("You are signed out.", "Sign in with a passkey")
	if got := evaluate[string](b,
		`() => document.getElementById("login-email").autocomplete`); got != "username webauthn" {
		t.Errorf("the field has autocomplete %q", got)
	}
	b.visit("/login?return_to=" + s.url + "/docs")
	device.setUserTouches(true) // not before, because the previous page suggests passkeys, too
	b.waitUntil("the API page", `() => location.pathname === "/docs"`)

	// The button must show an error for a finger that the sensor does not know, and sign in with the right finger.
	b.disableAutofill()
	b.clearCookies()
	b.visit("/login")
	device.setFingerRecognized(false)
	b.pressAndStay("", "Sign in with a passkey")
	b.waitUntil("the sentence",
		`() => document.body.innerText.includes("The passkey was not used, or it took too long.")`)
	device.setFingerRecognized(true)
	must(t, b.clickAction("", "field", "Keep me signed in")(b.ctx))
	b.pressAndLeave("Sign in with a passkey")
	b.wantText("Signed in as ada@example.com")
	if c := b.cookiesByName()["watchword"]; !c.Session {
		t.Errorf("the cookie without the check mark is %+v", c)
	}

	// As a second factor, the passkey must work, and the page must offer a recovery code as the alternative.
	b.clearCookies()
	b.signIn("ada@example.com", goodPassword)
	b.wantText("Confirm with your passkey that it is you.")
	b.wantNoText("Code")
	b.pressAndLeave("Use a recovery code")
	b.fillField("Recovery code", "wrong")
	b.pressAndLeave("Sign in")
	b.wantText("This code is wrong or was already used.")
	b.pressAndLeave("Use a passkey instead")
	b.pressAndLeave("Use your passkey")
	b.wantText("Signed in as ada@example.com")

	// Ten minutes after the sign-in, the user must confirm with the passkey before the passkey can be removed. The
	// browser must then forget the removed passkey.
	phone.clockAhead.Add(int64(10 * time.Minute))
	b.visit("/account")
	b.pressAndLeave("Remove Chrome on Linux")
	b.wantText("Confirm that it is you", "Confirm with your passkey that it is you.")
	b.pressAndLeave("Use your passkey")
	b.wantText("Remove this passkey?", "This is your only second step.")
	b.pressAndLeave("Remove")
	b.wantText("Passkey removed. Your other devices are signed out.")
	b.wantNoText("Codes left")
	device.awaitNoPasskeys()

	// A passkey that an operator has removed must not work, and the browser must forget it.
	b.pressAndLeave("Add a passkey")
	b.pressAndLeave("Create a passkey")
	ada, err := s.engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	must(t, factors.New(s.engine, s.store.Factors(), factors.Options{}).Reset(t.Context(), "", ada.ID))
	b.clearCookies()
	b.visit("/login")
	b.pressAndLeave("Sign in with a passkey")
	b.wantText("This passkey is not valid here. Sign in with your password.")
	device.awaitNoPasskeys()
}

// The checkbox to remember the browser must also work with a passkey, on pages with and without a field for a code.
func TestChromiumIsRememberedAfterAPasskey(t *testing.T) {
	t.Parallel()
	s, phone := startWithPhone(t, func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
		remembering(o)
	}, nil)
	b := s.openTab(t)
	b.withAuthenticator()
	b.disableAutofill()
	s.signUpAndConfirm(b)
	b.pressAndLeave("Add a passkey")
	b.pressAndLeave("Create a passkey")
	b.pressAndLeave("I have saved the codes")
	signIn := func() {
		t.Helper()
		b.pressAndLeave("Sign out")
		b.visit("/login")
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Sign in")
	}
	signIn()
	b.pressAndLeave("Use your passkey")
	b.wantText("Signed in as ada@example.com") // the browser is not remembered, because the box was not checked
	signIn()
	must(t, b.clickAction("", "field", "Skip this step in this browser from now on")(b.ctx))
	b.pressAndLeave("Use your passkey")
	signIn()
	b.wantText("Signed in as ada@example.com")

	// When a factor is added, the server must forget all remembered browsers.
	b.pressAndLeave("Add an authenticator app")
	b.pressAndLeave("Use your passkey") // a sign-in in a remembered browser is no proof for a step-up
	phone.readSecretFrom(b)
	b.fillField("Code", phone.nextCode())
	b.pressAndLeave("Add the app")
	signIn()
	must(t, b.clickAction("", "field", "Skip this step in this browser from now on")(b.ctx))
	b.pressAndLeave("Use your passkey")
	signIn()
	b.wantText("Signed in as ada@example.com")
}

// With second-factor=required, a user must be able to add a passkey as the first factor. An authenticator app must not
// be needed.
func TestChromiumSetsUpARequiredPasskeyBeforeTheFirstSession(t *testing.T) {
	t.Parallel()
	check := accessibilityCheck(t)
	s, _ := startWithPhone(t, func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
		o.SecondFactor.Required = true
	}, nil)
	b := s.openTab(t)
	device := b.withAuthenticator()
	b.disableAutofill()
	b.visit(withReturnTo("/signup", s.url+"/docs"))
	b.fillField("Email address", "ada@example.com")
	b.fillField("Password", goodPassword)
	b.pressAndLeave("Create account")
	b.openOrPasteLink(mailLink(s, "/verify", s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com")))
	b.fillField("Password", goodPassword)
	b.pressAndLeave("Confirm and sign in")
	b.wantText("Set up two-step sign-in", "Scan this picture", "Create a passkey instead")
	at := evaluate[string](b, `() => location.href`)
	agent := evaluate[string](b, `() => navigator.userAgent`)
	for _, language := range []string{"de", "en"} {
		b.setLanguageAndAgent(language, agent)
		b.visit(at)
		check(b, "setup-passkey-"+language)
	}
	// Several tries with a wrong finger must count as one attempt of the waiting sign-in, because the script reuses
	// the options of a cancelled dialog.
	device.setFingerRecognized(false)
	for range watchword.ChallengeAttempts {
		b.pressAndStay("", "Create a passkey instead")
		b.waitUntil("the sentence",
			`() => document.body.innerText.includes("The passkey was not used, or it took too long.")`)
	}
	if b.cookiesByName()["watchword"] != nil {
		t.Error("there is a session before the passkey")
	}
	device.setFingerRecognized(true)
	b.pressAndLeave("Create a passkey instead")
	b.wantText("Two-step sign-in is on.", "Save your recovery codes")
	if n := len(b.shownRecoveryCodes()); n != 10 || b.cookiesByName()["watchword-step"] != nil ||
		len(device.storedPasskeys()) != 1 {
		t.Errorf("%d codes, cookies %v, passkeys %v", n, b.cookiesByName(), device.storedPasskeys())
	}
	b.pressAndLeave("I have saved the codes")
	b.waitUntil("the API page", `() => location.pathname === "/docs"`)
	b.clearCookies()
	b.signIn("ada@example.com", goodPassword)
	b.pressAndLeave("Use your passkey")
	b.wantText("Signed in as ada@example.com", "Codes left: 10")
}
