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
	attacker, owner := s.browser(t), kind(s.tab(t))
	attacker.post("/register", map[string]any{"email": "ada@example.com", "password": otherPassword})
	theirs := s.post.take(t, watchword.MailVerify, "ada@example.com")
	owner.visit("/signup")
	owner.fill("Email address", "ada@example.com")
	owner.fill("Password", goodPassword)
	owner.press("Create account")
	own := s.post.take(t, watchword.MailVerify, "ada@example.com")

	// Another user has signed up with the owner's address. The owner rejects the link of that sign-up. The owner's
	// own link must then ask for the password one time.
	owner.follow("/verify", theirs)
	owner.reads("Confirm your address and sign in", "I don't know the password", "This wasn't me")
	owner.press("This wasn't me")
	owner.reads("The link no longer works.")
	owner.press("Back to sign-in")
	owner.follow("/verify", own)
	owner.fill("Password", otherPassword) // the password of the rejected sign-up
	owner.press("Confirm and sign in")
	owner.reads("Wrong password. Try again.")
	owner.fill("Password", goodPassword)
	owner.press("Confirm and sign in")
	owner.reads("Your address is confirmed, and you are signed in.", "Signed in as ada@example.com")

	// Only the attacker has signed up with the address. The owner must be able to replace the attacker's password.
	attacker.post("/register", map[string]any{"email": "eve@example.com", "password": otherPassword})
	owner.press("Sign out")
	link := s.post.take(t, watchword.MailVerify, "eve@example.com")
	owner.follow("/verify", link)
	owner.press("I don't know the password")
	owner.reads("Choose a new password", "This also confirms your address.")
	owner.unchecked()
	owner.fill("New password", "short")
	owner.press("Save password")
	owner.reads("The password is too short.", "This also confirms your address.")
	owner.fill("New password", goodPassword)
	owner.press("Save password")
	owner.reads("Your address is confirmed. Sign in with the new password.")
	owner.signIn("eve@example.com", otherPassword)
	owner.reads("Wrong email or password.")
	owner.signIn("eve@example.com", goodPassword)
	owner.reads("Signed in as eve@example.com")
}

// A link in webmail is a cross-site link, for which browsers omit the cookies. The script must load the page again,
// so that a signed-in user needs no password.
func TestALinkInWebmailFindsTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.tab(t)
	b.signUp("ada@example.com")
	link := s.url + "/verify#token=" + string(s.post.take(t, watchword.MailVerify, "ada@example.com").Token)
	b.visit(elsewhere(t, `<a href="`+link+`">Confirm address</a>`))
	b.leave(func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector("a").click()`))
	})
	b.until("the session is found", `() => document.body.innerText.includes("Signed in as ada@example.com") && document.querySelector("form .token").hidden`)
	b.press("Confirm address")
	b.reads("Your address is confirmed.")
}
