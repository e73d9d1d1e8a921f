package server_test

import (
	"testing"

	"github.com/chromedp/cdproto/webauthn"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// The method lost removes the authenticator, with all its passkeys, from the browser.
func (a *authenticator) lost() {
	a.b.t.Helper()
	command(a.b, webauthn.RemoveVirtualAuthenticator,
		webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id})
}

// enrolPasskey adds a passkey as the first factor on the account page and returns the recovery codes.
func (b *tab) enrolPasskey() []string {
	b.t.Helper()
	b.press("Add a passkey")
	b.press("Create a passkey")
	b.reads("Two-step sign-in is on.", "Save your recovery codes")
	codes := b.codes()
	if len(codes) != 10 {
		b.t.Fatalf("the codes are %q", codes)
	}
	b.press("I have saved the codes")
	b.reads("Chrome on Linux", "Codes left: 10")
	return codes
}

// signInTwice signs in with two factors: the password and then the passkey.
func (b *tab) signInTwice() {
	b.t.Helper()
	b.signedOut()
	b.signIn("ada@example.com", goodPassword)
	b.reads("Confirm with your passkey that it is you.")
	b.press("Use your passkey")
	b.reads("Signed in as ada@example.com")
}

// A user adds a passkey, loses the phone, signs in with a recovery code, and adds another passkey. Then the user
// loses the phone and the codes. After an operator has reset the factors, the user must be able to add a passkey
// again.
func TestChromiumLosesThePhoneAndTheCodes(t *testing.T) {
	t.Parallel()
	s, _ := startNamed(t)
	b := s.tab(t)
	first := b.withAuthenticator()
	b.withoutAutofill()
	s.confirmed(b)
	codes := b.enrolPasskey()
	s.post.take(t, watchword.MailPasskeyAdded, "ada@example.com")
	b.signInTwice()

	// After the loss of the phone, a recovery code signs in. The sign-in is a fresh proof, so the user can remove the
	// passkey.
	first.lost()
	b.signedOut()
	b.signIn("ada@example.com", goodPassword)
	b.press("Use a recovery code")
	b.fill("Recovery code", codes[0])
	b.press("Sign in")
	b.reads("Signed in as ada@example.com", "Codes left: 9", "Recovery code used")
	s.post.take(t, watchword.MailRecoveryUsed, "ada@example.com")
	b.press("Remove Chrome on Linux")
	b.reads("Remove this passkey?", "This is your only second step.")
	b.press("Remove")
	b.reads("Passkey removed.")
	b.readsNot("Codes left")
	s.post.take(t, watchword.MailPasskeyRemoved, "ada@example.com")
	second := b.withAuthenticator()
	b.enrolPasskey()
	s.post.take(t, watchword.MailPasskeyAdded, "ada@example.com")
	b.signInTwice()

	// The second phone and the new codes are lost. The old codes must not work.
	second.lost()
	b.signedOut()
	b.signIn("ada@example.com", goodPassword)
	b.press("Use a recovery code")
	b.fill("Recovery code", codes[1])
	b.press("Sign in")
	b.reads("This code is wrong or was already used.", "Contact the people who run this service")
	if b.cookies()["watchword"] != nil {
		t.Error("a wrong recovery code opened a session")
	}
	operator := s.engine.Operator()
	ada, err := operator.FindUser(t.Context(), "ada@example.com")
	must(t, err)
	must(t, factors.New(s.engine, s.store.Factors(), factors.Options{}).Reset(t.Context(), "ops", ada.ID))
	s.post.take(t, watchword.MailFactorsReset, "ada@example.com")
	b.signedOut()
	b.signIn("ada@example.com", goodPassword)
	b.reads("Signed in as ada@example.com")
	b.readsNot("Backed up", "Codes left")
	third := b.withAuthenticator()
	b.enrolPasskey()
	b.signInTwice()
	if n := len(third.passkeys()); n != 1 {
		t.Errorf("the third phone has %d passkeys", n)
	}
}
