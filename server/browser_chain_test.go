package server_test

import (
	"testing"

	"github.com/chromedp/cdproto/webauthn"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

func (a *virtualAuthenticator) removeFromBrowser() {
	a.b.t.Helper()
	sendDevTools(a.b, webauthn.RemoveVirtualAuthenticator,
		webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id})
}

// enrolFirstPasskey adds a passkey on the account page, and returns the recovery codes.
func (b *tab) enrolFirstPasskey() []string {
	b.t.Helper()
	b.pressAndLeave("Add a passkey")
	b.pressAndLeave("Create a passkey")
	b.wantText("Two-step sign-in is on.", "Save your recovery codes")
	codes := b.shownRecoveryCodes()
	if len(codes) != 10 {
		b.t.Fatalf("the codes are %q", codes)
	}
	b.pressAndLeave("I have saved the codes")
	b.wantText("Chrome on Linux", "Codes left: 10")
	return codes
}

func (b *tab) signInWithPasswordAndPasskey() {
	b.t.Helper()
	b.clearCookies()
	b.signIn("ada@example.com", goodPassword)
	b.wantText("Confirm with your passkey that it is you.")
	b.pressAndLeave("Use your passkey")
	b.wantText("Signed in as ada@example.com")
}

// A user adds a passkey, loses the phone, signs in with a recovery code, and adds another passkey. Then the user
// loses the phone and the codes. After an operator has reset the factors, the user must be able to add a passkey
// again.
func TestChromiumLosesThePhoneAndTheCodes(t *testing.T) {
	t.Parallel()
	s, _ := startOnLocalhost(t)
	b := s.openTab(t)
	first := b.withAuthenticator()
	b.disableAutofill()
	s.signUpAndConfirm(b)
	codes := b.enrolFirstPasskey()
	s.mailer.awaitMail(t, watchword.MailPasskeyAdded, "ada@example.com")
	b.signInWithPasswordAndPasskey()

	// After the loss of the phone, a recovery code signs in. The sign-in is a fresh proof, so the user can remove the
	// passkey.
	first.removeFromBrowser()
	b.clearCookies()
	b.signIn("ada@example.com", goodPassword)
	b.pressAndLeave("Use a recovery code")
	b.fillField("Recovery code", codes[0])
	b.pressAndLeave("Sign in")
	b.wantText("Signed in as ada@example.com", "Codes left: 9", "Recovery code used")
	s.mailer.awaitMail(t, watchword.MailRecoveryUsed, "ada@example.com")
	b.pressAndLeave("Remove Chrome on Linux")
	b.wantText("Remove this passkey?", "This is your only second step.")
	b.pressAndLeave("Remove")
	b.wantText("Passkey removed.")
	b.wantNoText("Codes left")
	s.mailer.awaitMail(t, watchword.MailPasskeyRemoved, "ada@example.com")
	second := b.withAuthenticator()
	b.enrolFirstPasskey()
	s.mailer.awaitMail(t, watchword.MailPasskeyAdded, "ada@example.com")
	b.signInWithPasswordAndPasskey()

	// The second phone and the new codes are lost. The old codes must not work.
	second.removeFromBrowser()
	b.clearCookies()
	b.signIn("ada@example.com", goodPassword)
	b.pressAndLeave("Use a recovery code")
	b.fillField("Recovery code", codes[1])
	b.pressAndLeave("Sign in")
	b.wantText("This code is wrong or was already used.", "Contact the people who run this service")
	if b.cookiesByName()["watchword"] != nil {
		t.Error("a wrong recovery code opened a session")
	}
	operator := s.engine.Operator()
	ada, err := operator.FindUser(t.Context(), "ada@example.com")
	must(t, err)
	must(t, factors.New(s.engine, s.store.Factors(), factors.Options{}).Reset(t.Context(), "ops", ada.ID))
	s.mailer.awaitMail(t, watchword.MailFactorsReset, "ada@example.com")
	b.clearCookies()
	b.signIn("ada@example.com", goodPassword)
	b.wantText("Signed in as ada@example.com")
	b.wantNoText("Backed up", "Codes left")
	third := b.withAuthenticator()
	b.enrolFirstPasskey()
	b.signInWithPasswordAndPasskey()
	if n := len(third.storedPasskeys()); n != 1 {
		t.Errorf("the third phone has %d passkeys", n)
	}
}
