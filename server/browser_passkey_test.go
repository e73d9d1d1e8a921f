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

// These tests use passkeys on the pages, with a virtual authenticator of Chromium.

// An authenticator is a virtual device in the browser of a tab. Its fingerprint sensor accepts each finger, and it
// answers at once.
type authenticator struct {
	b  *tab
	id webauthn.AuthenticatorID
}

// withAuthenticator adds an authenticator to the browser of a tab.
func (b *tab) withAuthenticator() *authenticator {
	b.t.Helper()
	command(b, webauthn.Enable, webauthn.EnableParams{})
	added := command(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			DefaultBackupEligibility: true, DefaultBackupState: true,
		}})
	return &authenticator{b, added.AuthenticatorID}
}

// The method answers sets whether the user of the virtual device touches its sensor.
func (a *authenticator) answers(yes bool) {
	a.b.t.Helper()
	command(a.b, webauthn.SetAutomaticPresenceSimulation,
		webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: yes})
}

// The method accepts sets whether the sensor of the virtual device recognizes the finger.
func (a *authenticator) accepts(yes bool) {
	a.b.t.Helper()
	command(a.b, webauthn.SetUserVerified,
		webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: yes})
}

// passkeys returns the passkeys that the authenticator has.
func (a *authenticator) passkeys() []*webauthn.Credential {
	a.b.t.Helper()
	return command(a.b, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials
}

// The method forgets waits until the authenticator has no passkeys. The browser removes passkeys when a page signals
// that they are no longer valid.
func (a *authenticator) forgets() {
	a.b.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if len(a.passkeys()) == 0 {
			return
		}
	}
	a.b.t.Fatalf("the browser still has %d passkeys", len(a.passkeys()))
}

// withoutAutofill makes the pages believe that the browser can't suggest passkeys. Otherwise the virtual
// authenticator would answer the suggestion before the test presses a button.
func (b *tab) withoutAutofill() {
	b.t.Helper()
	command(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `PublicKeyCredential.isConditionalMediationAvailable = async () => false`})
}

// startNamed starts a service with second factors and passkeys, which need a host name.
func startNamed(t *testing.T) (*service, *phone) {
	t.Helper()
	return startFactors(t, func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
	}, nil)
}

// The method confirmed uses the pages to create an account with a verified address.
func (s *service) confirmed(b *tab) {
	b.t.Helper()
	b.signUp("ada@example.com")
	b.follow("/verify", s.post.take(b.t, watchword.MailVerify, "ada@example.com"))
	b.press("Confirm address")
	b.visit("/account")
}

// The method signedOut deletes all cookies, so that the browser looks like a new device.
func (b *tab) signedOut() { b.t.Helper(); command(b, network.ClearBrowserCookies, struct{}{}) }

// No text of the pages with passkeys may be cut off, and axe-core must report no fault.
func TestPagesWithPasskeysFitAndAreAccessible(t *testing.T) {
	t.Parallel()
	check := accessible(t)
	s, _ := startNamed(t)
	b := s.tab(t)
	device := b.withAuthenticator()
	b.withoutAutofill()
	s.confirmed(b)
	agent := see[string](b, `() => navigator.userAgent`)
	look := func(name, path string) {
		t.Helper()
		for _, language := range []string{"de", "en"} {
			b.speaking(language, agent)
			b.visit(path)
			check(b, name+"-"+language)
		}
	}
	look("account-no-passkey", "/account")
	look("passkey-new", "/account/passkeys/new")
	device.accepts(false)
	b.push("", "Create a passkey")
	b.until("a sentence", `() => document.querySelector(".passkey [role=alert]").textContent !== ""`)
	check(b, "passkey-refused")
	device.accepts(true)
	b.press("Create a passkey")
	look("account-passkey", "/account")
	look("step-up-passkey", "/step-up")
	b.visit("/account")
	b.press("Remove Chrome on Linux")
	check(b, "passkey-remove")
	b.signedOut()
	b.signIn("ada@example.com", goodPassword)
	look("factor-passkey", "/login/factor")
	look("login-passkey", "/login")
}

func TestChromiumAddsUsesAndRemovesAPasskey(t *testing.T) {
	t.Parallel()
	s, phone := startNamed(t)
	b := s.tab(t)
	device := b.withAuthenticator()
	s.confirmed(b)
	b.press("Add a passkey")
	b.press("Create a passkey")
	b.reads("Two-step sign-in is on.", "Save your recovery codes")
	if codes := b.codes(); len(codes) != 10 {
		t.Errorf("the codes are %q", codes)
	}
	b.press("I have saved the codes")
	b.reads("Chrome on Linux", "Backed up", "Codes left: 10", "After your password, you confirm with a passkey.")
	if got := device.passkeys(); len(got) != 1 || got[0].UserName != "ada@example.com" {
		t.Fatalf("the device has %+v", got)
	}

	// The browser must suggest the passkey in the field for the address.
	device.answers(false)
	b.press("Sign out")
	b.reads("You are signed out.", "Sign in with a passkey")
	if got := see[string](b, `() => document.getElementById("login-email").autocomplete`); got != "username webauthn" {
		t.Errorf("the field has autocomplete %q", got)
	}
	b.visit("/login?return_to=" + s.url + "/docs")
	device.answers(true) // earlier, this would have signed in on the previous page
	b.until("the API page", `() => location.pathname === "/docs"`)

	// The button must show an error for a finger that the sensor does not know, and sign in with the right finger.
	b.withoutAutofill()
	b.signedOut()
	b.visit("/login")
	device.accepts(false)
	b.push("", "Sign in with a passkey")
	b.until("the sentence", `() => document.body.innerText.includes("The passkey was not used, or it took too long.")`)
	device.accepts(true)
	must(t, b.click("", "field", "Keep me signed in")(b.ctx))
	b.press("Sign in with a passkey")
	b.reads("Signed in as ada@example.com")
	if c := b.cookies()["watchword"]; !c.Session {
		t.Errorf("the cookie without the check mark is %+v", c)
	}

	// As a second factor, the passkey must work, and the page must offer a recovery code as the alternative.
	b.signedOut()
	b.signIn("ada@example.com", goodPassword)
	b.reads("Confirm with your passkey that it is you.")
	b.readsNot("Code")
	b.press("Use a recovery code")
	b.fill("Recovery code", "wrong")
	b.press("Sign in")
	b.reads("This code is wrong or was already used.")
	b.press("Use a passkey instead")
	b.press("Use your passkey")
	b.reads("Signed in as ada@example.com")

	// After some minutes, the removal of a passkey must require the passkey again. The browser must then forget the
	// removed passkey.
	phone.forward.Add(int64(10 * time.Minute))
	b.visit("/account")
	b.press("Remove Chrome on Linux")
	b.reads("Confirm that it is you", "Confirm with your passkey that it is you.")
	b.press("Use your passkey")
	b.reads("Remove this passkey?", "This is your only second step.")
	b.press("Remove")
	b.reads("Passkey removed. Your other devices are signed out.")
	b.readsNot("Codes left")
	device.forgets()

	// A passkey that an operator has removed must not work, and the browser must forget it.
	b.press("Add a passkey")
	b.press("Create a passkey")
	ada, err := s.engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	must(t, factors.New(s.engine, s.store.Factors(), factors.Options{}).Reset(t.Context(), "", ada.ID))
	b.signedOut()
	b.visit("/login")
	b.press("Sign in with a passkey")
	b.reads("This passkey is not valid here. Sign in with your password.")
	device.forgets()
}

// The checkbox to remember the browser must also work with a passkey, on pages with and without a field for a code.
func TestChromiumIsRememberedAfterAPasskey(t *testing.T) {
	t.Parallel()
	s, phone := startFactors(t, func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
		remembering(o)
	}, nil)
	b := s.tab(t)
	b.withAuthenticator()
	b.withoutAutofill()
	s.confirmed(b)
	b.press("Add a passkey")
	b.press("Create a passkey")
	b.press("I have saved the codes")
	signIn := func() {
		t.Helper()
		b.press("Sign out")
		b.visit("/login")
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Sign in")
	}
	signIn()
	b.press("Use your passkey")
	b.reads("Signed in as ada@example.com") // the browser is not remembered, because the box was not checked
	signIn()
	must(t, b.click("", "field", "Skip this step in this browser from now on")(b.ctx))
	b.press("Use your passkey")
	signIn()
	b.reads("Signed in as ada@example.com")

	// After a new factor is added, no browser may be remembered any more.
	b.press("Add an authenticator app")
	b.press("Use your passkey") // required, because remembering the browser is no proof for a step-up
	phone.learn(b)
	b.fill("Code", phone.code())
	b.press("Add the app")
	signIn()
	must(t, b.click("", "field", "Skip this step in this browser from now on")(b.ctx))
	b.press("Use your passkey")
	signIn()
	b.reads("Signed in as ada@example.com")
}

// With second-factor=required, a user must be able to add a passkey as the first factor, without an app.
func TestChromiumSetsUpARequiredPasskeyBeforeTheFirstSession(t *testing.T) {
	t.Parallel()
	check := accessible(t)
	s, _ := startFactors(t, func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
		o.SecondFactor.Required = true
	}, nil)
	b := s.tab(t)
	device := b.withAuthenticator()
	b.withoutAutofill()
	b.visit(returning("/signup", s.url+"/docs"))
	b.fill("Email address", "ada@example.com")
	b.fill("Password", goodPassword)
	b.press("Create account")
	b.openLink(linkOf(s, "/verify", s.post.take(t, watchword.MailVerify, "ada@example.com")))
	b.fill("Password", goodPassword)
	b.press("Confirm and sign in")
	b.reads("Set up two-step sign-in", "Scan this picture", "Create a passkey instead")
	at := see[string](b, `() => location.href`)
	agent := see[string](b, `() => navigator.userAgent`)
	for _, language := range []string{"de", "en"} {
		b.speaking(language, agent)
		b.visit(at)
		check(b, "setup-passkey-"+language)
	}
	// Several tries with a wrong finger must count as one attempt of the waiting sign-in, because the script reuses
	// the options of a cancelled dialog.
	device.accepts(false)
	for range watchword.ChallengeAttempts {
		b.push("", "Create a passkey instead")
		b.until("the sentence", `() => document.body.innerText.includes("The passkey was not used, or it took too long.")`)
	}
	if b.cookies()["watchword"] != nil {
		t.Error("there is a session before the passkey")
	}
	device.accepts(true)
	b.press("Create a passkey instead")
	b.reads("Two-step sign-in is on.", "Save your recovery codes")
	if n := len(b.codes()); n != 10 || b.cookies()["watchword-step"] != nil || len(device.passkeys()) != 1 {
		t.Errorf("%d codes, cookies %v, passkeys %v", n, b.cookies(), device.passkeys())
	}
	b.press("I have saved the codes")
	b.until("the API page", `() => location.pathname === "/docs"`)
	b.signedOut()
	b.signIn("ada@example.com", goodPassword)
	b.press("Use your passkey")
	b.reads("Signed in as ada@example.com", "Codes left: 10")
}
