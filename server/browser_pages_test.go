package server_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

// These tests use the pages in a browser as a user does, across several pages.

func TestAWholeLifeOnThePages(t *testing.T) {
	t.Parallel()
	wholeLife(t, (*tab).same)
}

// Every form must work without a script (docs/pages.md).
func TestAWholeLifeOnThePagesWithoutAScript(t *testing.T) {
	t.Parallel()
	wholeLife(t, (*tab).withoutScript)
}

func (b *tab) same() *tab { return b }

// aPhone is the user agent of a second device.
const aPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
	"Version/26.1 Mobile/15E148 Safari/604.1"

func wholeLife(t *testing.T, kind func(*tab) *tab) {
	t.Helper()
	s := start(t, nil, nil)
	b, phone := kind(s.tab(t)), kind(s.tab(t)).speaking("en", aPhone)
	b.signUp("ada@example.com")
	b.reads("Your address is not confirmed yet", "This device")
	b.follow("/verify", s.post.take(t, watchword.MailVerify, "ada@example.com"))
	b.press("Confirm address")
	b.reads("Your address is confirmed.")
	b.visit("/account")
	b.readsNot("not confirmed yet")

	b.fillIn("Profile", "Name", "Ada Lovelace")
	b.press("Save name")
	b.reads("Name saved.")
	if got := see[string](b, `() => document.querySelector("input[name=name]").value`); got != "Ada Lovelace" {
		t.Errorf("the name is %q", got)
	}
	sessionsOnDevices(t, b, phone)
	passwords(t, s, b, phone)
	addresses(t, s, b, phone)

	b.press("Sign out")
	b.reads("You are signed out.", "Sign in")
	b.signIn("ada@example.com", goodPassword)
	b.openDelete()
	b.fillIn("Delete account", "Current password", goodPassword)
	b.press("Delete permanently")
	b.reads("Your account has been deleted.")
	b.signIn("ada@example.com", goodPassword)
	b.reads("Wrong email or password.")
}

func (b *tab) openAddress() {
	b.t.Helper()
	b.push("Email address", "Change address")
}

func (b *tab) openDelete() {
	b.t.Helper()
	b.push("Delete account", "I want to delete my account")
}

// The method row returns the text of a device's entry in the list of sessions.
func (b *tab) row(device string) string {
	b.t.Helper()
	return see[string](b, `(device) => [...document.querySelectorAll(".rows li")].filter((li) => li.closest("section")
    .querySelector("h2").innerText === "Devices").map((li) => li.innerText).filter((text) => text.includes(device)).join("\n")`, device)
}

func sessionsOnDevices(t *testing.T, b, phone *tab) {
	t.Helper()
	phone.signIn("ada@example.com", goodPassword)
	phone.reads("Your account")
	b.visit("/account")
	for _, c := range []struct {
		at            *tab
		this, another string
	}{{b, "Linux", "iPhone"}, {phone, "iPhone", "Linux"}} {
		if this, another := c.at.row(c.this), c.at.row(c.another); !strings.Contains(this, "This device") ||
			strings.Contains(another, "This device") ||
			strings.Contains(this, "Sign out") || !strings.Contains(another, "Sign out") {
			t.Errorf("at %s the list says %q and %q", c.this, this, another)
		}
	}
	b.pressIn("Devices", see[string](b, `() => document.querySelector(".rows button").getAttribute("aria-label")`))
	b.reads("Device signed out.")
	if left := b.row("iPhone"); left != "" {
		t.Errorf("still there: %q", left)
	}
	phone.visit("/account")
	phone.reads("Sign in", "You are signed out. Sign in again to continue.")

	phone.signIn("ada@example.com", goodPassword)
	b.visit("/account")
	b.press("Sign out everywhere else")
	b.reads("All other devices are signed out.")
	b.readsNot("Sign out everywhere else")
	phone.visit("/account")
	phone.reads("You are signed out. Sign in again to continue.")
}

func passwords(t *testing.T, s *service, b, phone *tab) {
	t.Helper()
	b.visit("/account")
	b.fillIn("Password", "Current password", goodPassword)
	b.fillIn("Password", "New password", otherPassword)
	b.press("Change password")
	b.reads("Password changed. Your other devices are signed out.")
	phone.signIn("ada@example.com", goodPassword)
	phone.reads("Wrong email or password.")
	phone.signIn("ada@example.com", otherPassword)
	phone.reads("Your account")

	phone.press("Sign out")
	phone.press("Forgot your password?")
	phone.fill("Email address", "ada@example.com")
	phone.press("Email me a link")
	phone.reads("Check your inbox", "If an account has this address")
	phone.follow("/reset", s.post.take(t, watchword.MailReset, "ada@example.com"))
	phone.fill("New password", goodPassword)
	phone.press("Save password")
	phone.reads("Your password has been changed")
	b.visit("/account")
	b.reads("You are signed out. Sign in again to continue.")
	phone.press("Sign in")
	phone.signIn("ada@example.com", goodPassword)
	phone.reads("Your account")
	b.signIn("ada@example.com", goodPassword)
}

func addresses(t *testing.T, s *service, b, phone *tab) {
	t.Helper()
	b.reads("Signed in as ada@example.com")
	b.openAddress()
	b.fillIn("Email address", "New email address", "lady@example.com")
	b.fillIn("Email address", "Current password", goodPassword)
	b.press("Send confirmation link")
	b.reads("We emailed a link to the new address. Nothing changes until you open it there.",
		"Signed in as ada@example.com")
	b.readsNot("The previous address")
	b.follow("/email/confirm", s.post.take(t, watchword.MailConfirmAddress, "lady@example.com"))
	b.press("Use this address")
	b.reads("You now sign in with the new address.", "The previous address can take this account back until")
	b.visit("/account")
	b.reads("The previous address can take this account back until")
	phone.visit("/account")
	phone.reads("Signed in as lady@example.com")

	undo := s.post.take(t, watchword.MailAddressChanged, "ada@example.com")
	b.follow("/email/undo", undo)
	b.press("Undo the change")
	b.reads("Your account has its previous address back, and all devices are signed out.")
	phone.visit("/account")
	phone.reads("You are signed out. Sign in again to continue.")
	b.press("Back to sign-in")
	b.follow("/email/undo", undo)
	b.press("Undo the change")
	b.reads("This link has expired", "contact the operators")

	reset := s.post.take(t, watchword.MailReset, "ada@example.com")
	b.follow("/reset", reset)
	b.fill("New password", goodPassword)
	b.press("Save password")
	b.press("Sign in")
	b.follow("/reset", reset)
	b.fill("New password", goodPassword)
	b.press("Save password")
	b.reads("This link has expired", "We can email you a new one.")
	b.press("Email me a link") // opens the form that requests a mail
	b.fill("Email address", "nobody@example.com")
	b.press("Email me a link")
	b.reads("Check your inbox", "Send another link")
	b.signIn("ada@example.com", goodPassword)
	b.reads("Signed in as ada@example.com")
}

// If a tab already shows a link's page, opening another link there changes only the fragment, and the browser does
// not load the page again. The page must still use the new token.
func TestLinkOpenedInATabWithItsPageIsUsed(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.browser(t).register("ada@example.com")
	mailed := s.post.take(t, watchword.MailVerify, "ada@example.com")
	b := s.tab(t)
	b.visit("/verify")
	b.reads("This link is incomplete. Open it again from the email")
	b.follow("/verify", mailed)
	b.fill("Password", goodPassword)
	b.press("Confirm and sign in")
	b.reads("Your address is confirmed, and you are signed in.", "Signed in as ada@example.com")
	b.visit("/verify")
	b.follow("/verify", mailed)
	b.reads("Signed in as ada@example.com")
	b.press("Confirm address")
	b.reads("This link has expired or was already used.", "Sign in. If your address is not confirmed yet")
	b.readsNot("Link or code from the email", "Confirm address")
	b.push("", "I have another link")
	b.reads("Link or code from the email", "Confirm address")
	if got := b.field("link-token"); got.Value != "" {
		t.Errorf("the used token is still in the field: %q", got.Value)
	}
	b.press("Go to your account")
	b.reads("Your account")
}
