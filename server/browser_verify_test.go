package server_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/watchword-auth/watchword"
)

// These tests open the page of a verification link in a browser, with and without scripts.

func TestVerificationPage(t *testing.T) {
	t.Parallel()
	verificationPage(t, (*tab).same)
}

func TestVerificationPageWithoutAScript(t *testing.T) {
	t.Parallel()
	verificationPage(t, (*tab).withoutScript)
}

func verificationPage(t *testing.T, kind func(*tab) *tab) {
	t.Helper()
	s := start(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified }, nil)
	attacker, owner := s.newBrowser(t), kind(s.openTab(t))
	attacker.post("/register", map[string]any{"email": "ada@example.com", "password": otherPassword})
	theirs := s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com")
	owner.visit("/signup")
	owner.fillField("Email address", "ada@example.com")
	owner.fillField("Password", goodPassword)
	owner.pressAndLeave("Create account")
	own := s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com")

	// Another user has signed up with the owner's address. The owner rejects the link of that sign-up. The owner's
	// own link must then ask for the password one time.
	owner.openMailLink("/verify", theirs)
	owner.wantText("Confirm your address and sign in", "I don't know the password", "This wasn't me")
	owner.pressAndLeave("This wasn't me")
	owner.wantText("The link no longer works.")
	owner.pressAndLeave("Back to sign-in")
	owner.openMailLink("/verify", own)
	owner.fillField("Password", otherPassword) // the password of the rejected sign-up
	owner.pressAndLeave("Confirm and sign in")
	owner.wantText("Wrong password. Try again.")
	owner.fillField("Password", goodPassword)
	owner.pressAndLeave("Confirm and sign in")
	owner.wantText("Your address is confirmed, and you are signed in.", "Signed in as ada@example.com")

	// Only the attacker has signed up with the address. The owner must be able to replace the attacker's password.
	attacker.post("/register", map[string]any{"email": "eve@example.com", "password": otherPassword})
	owner.pressAndLeave("Sign out")
	link := s.mailer.awaitMail(t, watchword.MailVerify, "eve@example.com")
	owner.openMailLink("/verify", link)
	owner.pressAndLeave("I don't know the password")
	owner.wantText("Choose a new password", "This also confirms your address.")
	owner.disableValidation()
	owner.fillField("New password", "short")
	owner.pressAndLeave("Save password")
	owner.wantText("The password is too short.", "This also confirms your address.")
	owner.fillField("New password", goodPassword)
	owner.pressAndLeave("Save password")
	owner.wantText("Your address is confirmed. Sign in with the new password.")
	owner.signIn("eve@example.com", otherPassword)
	owner.wantText("Wrong email or password.")
	owner.signIn("eve@example.com", goodPassword)
	owner.wantText("Signed in as eve@example.com")
}

// A link in webmail is a cross-site link, for which browsers omit the cookies. The script must load the page again,
// so that a signed-in user needs no password.
func TestALinkInWebmailFindsTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.openTab(t)
	b.signUp("ada@example.com")
	link := s.url + "/verify#token=" + string(s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com").Token)
	b.visit(serveOnOtherSite(t, `<a href="`+link+`">Confirm address</a>`))
	b.leavePage(func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector("a").click()`))
	})
	b.waitUntil("the session is found", `() => document.body.innerText.includes("Signed in as ada@example.com") && document.querySelector("form .token").hidden`)
	b.pressAndLeave("Confirm address")
	b.wantText("Your address is confirmed.")
}
