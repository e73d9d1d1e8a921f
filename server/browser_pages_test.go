package server_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

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

const phoneUserAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 " +
	"(KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1"

func wholeLife(t *testing.T, kind func(*tab) *tab) {
	t.Helper()
	s := start(t, nil, nil)
	b, phone := kind(s.openTab(t)), kind(s.openTab(t)).setLanguageAndAgent("en", phoneUserAgent)
	b.signUp("ada@example.com")
	b.wantText("Your address is not confirmed yet", "This device")
	b.openMailLink("/verify", s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com"))
	b.pressAndLeave("Confirm address")
	b.wantText("Your address is confirmed.")
	b.visit("/account")
	b.wantNoText("not confirmed yet")

	b.fillFieldIn("Profile", "Name", "Ada Lovelace")
	b.pressAndLeave("Save name")
	b.wantText("Name saved.")
	if got := evaluate[string](b, `() => document.querySelector("input[name=name]").value`); got != "Ada Lovelace" {
		t.Errorf("the name is %q", got)
	}
	sessionsOnDevices(t, b, phone)
	passwords(t, s, b, phone)
	addresses(t, s, b, phone)

	b.pressAndLeave("Sign out")
	b.wantText("You are signed out.", "Sign in")
	b.signIn("ada@example.com", goodPassword)
	b.openDelete()
	b.fillFieldIn("Delete account", "Current password", goodPassword)
	b.pressAndLeave("Delete permanently")
	b.wantText("Your account has been deleted.")
	b.signIn("ada@example.com", goodPassword)
	b.wantText("Wrong email or password.")
}

func (b *tab) openAddress() {
	b.t.Helper()
	b.pressAndStay("Email address", "Change address")
}

func (b *tab) openDelete() {
	b.t.Helper()
	b.pressAndStay("Delete account", "I want to delete my account")
}

func (b *tab) deviceRow(device string) string {
	b.t.Helper()
	return evaluate[string](b, `(device) => [...document.querySelectorAll(".rows li")].filter((li) => li.closest("section")
    .querySelector("h2").innerText === "Devices").map((li) => li.innerText).filter((text) => text.includes(device)).join("\n")`, device)
}

func sessionsOnDevices(t *testing.T, b, phone *tab) {
	t.Helper()
	phone.signIn("ada@example.com", goodPassword)
	phone.wantText("Your account")
	b.visit("/account")
	for _, c := range []struct {
		at            *tab
		this, another string
	}{{b, "Linux", "iPhone"}, {phone, "iPhone", "Linux"}} {
		if this, another := c.at.deviceRow(c.this), c.at.deviceRow(c.another); !strings.Contains(this, "This device") ||
			strings.Contains(another, "This device") ||
			strings.Contains(this, "Sign out") || !strings.Contains(another, "Sign out") {
			t.Errorf("at %s the list says %q and %q", c.this, this, another)
		}
	}
	b.pressAndLeaveIn("Devices", evaluate[string](b,
		`() => document.querySelector(".rows button").getAttribute("aria-label")`))
	b.wantText("Device signed out.")
	if left := b.deviceRow("iPhone"); left != "" {
		t.Errorf("still there: %q", left)
	}
	phone.visit("/account")
	phone.wantText("Sign in", "You are signed out. Sign in again to continue.")

	phone.signIn("ada@example.com", goodPassword)
	b.visit("/account")
	b.pressAndLeave("Sign out everywhere else")
	b.wantText("All other devices are signed out.")
	b.wantNoText("Sign out everywhere else")
	phone.visit("/account")
	phone.wantText("You are signed out. Sign in again to continue.")
}

func passwords(t *testing.T, s *service, b, phone *tab) {
	t.Helper()
	b.visit("/account")
	b.fillFieldIn("Password", "Current password", goodPassword)
	b.fillFieldIn("Password", "New password", otherPassword)
	b.pressAndLeave("Change password")
	b.wantText("Password changed. Your other devices are signed out.")
	phone.signIn("ada@example.com", goodPassword)
	phone.wantText("Wrong email or password.")
	phone.signIn("ada@example.com", otherPassword)
	phone.wantText("Your account")

	phone.pressAndLeave("Sign out")
	phone.pressAndLeave("Forgot your password?")
	phone.fillField("Email address", "ada@example.com")
	phone.pressAndLeave("Email me a link")
	phone.wantText("Check your inbox", "If an account has this address")
	phone.openMailLink("/reset", s.mailer.awaitMail(t, watchword.MailReset, "ada@example.com"))
	phone.fillField("New password", goodPassword)
	phone.pressAndLeave("Save password")
	phone.wantText("Your password has been changed")
	b.visit("/account")
	b.wantText("You are signed out. Sign in again to continue.")
	phone.pressAndLeave("Sign in")
	phone.signIn("ada@example.com", goodPassword)
	phone.wantText("Your account")
	b.signIn("ada@example.com", goodPassword)
}

func addresses(t *testing.T, s *service, b, phone *tab) {
	t.Helper()
	b.wantText("Signed in as ada@example.com")
	b.openAddress()
	b.fillFieldIn("Email address", "New email address", "lady@example.com")
	b.fillFieldIn("Email address", "Current password", goodPassword)
	b.pressAndLeave("Send confirmation link")
	b.wantText("We emailed a link to the new address. Nothing changes until you open it there.",
		"Signed in as ada@example.com")
	b.wantNoText("The previous address")
	b.openMailLink("/email/confirm", s.mailer.awaitMail(t, watchword.MailConfirmAddress, "lady@example.com"))
	b.pressAndLeave("Use this address")
	b.wantText("You now sign in with the new address.", "The previous address can take this account back until")
	b.visit("/account")
	b.wantText("The previous address can take this account back until")
	phone.visit("/account")
	phone.wantText("Signed in as lady@example.com")

	undo := s.mailer.awaitMail(t, watchword.MailAddressChanged, "ada@example.com")
	b.openMailLink("/email/undo", undo)
	b.pressAndLeave("Undo the change")
	b.wantText("Your account has its previous address back, and all devices are signed out.")
	phone.visit("/account")
	phone.wantText("You are signed out. Sign in again to continue.")
	b.pressAndLeave("Back to sign-in")
	b.openMailLink("/email/undo", undo)
	b.pressAndLeave("Undo the change")
	b.wantText("This link has expired", "contact the operators")

	reset := s.mailer.awaitMail(t, watchword.MailReset, "ada@example.com")
	b.openMailLink("/reset", reset)
	b.fillField("New password", goodPassword)
	b.pressAndLeave("Save password")
	b.pressAndLeave("Sign in")
	b.openMailLink("/reset", reset)
	b.fillField("New password", goodPassword)
	b.pressAndLeave("Save password")
	b.wantText("This link has expired", "We can email you a new one.")
	b.pressAndLeave("Email me a link")
	b.fillField("Email address", "nobody@example.com")
	b.pressAndLeave("Email me a link")
	b.wantText("Check your inbox", "Send another link")
	b.signIn("ada@example.com", goodPassword)
	b.wantText("Signed in as ada@example.com")
}

// If a tab already shows a link's page, opening another link there changes only the fragment, and the browser does
// not load the page again. The page must still use the new token.
func TestLinkOpenedInATabWithItsPageIsUsed(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.newBrowser(t).register("ada@example.com")
	mailed := s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com")
	b := s.openTab(t)
	b.visit("/verify")
	b.wantText("This link is incomplete. Open it again from the email")
	b.openMailLink("/verify", mailed)
	b.fillField("Password", goodPassword)
	b.pressAndLeave("Confirm and sign in")
	b.wantText("Your address is confirmed, and you are signed in.", "Signed in as ada@example.com")
	b.visit("/verify")
	b.openMailLink("/verify", mailed)
	b.wantText("Signed in as ada@example.com")
	b.pressAndLeave("Confirm address")
	b.wantText("This link has expired or was already used.", "Sign in. If your address is not confirmed yet")
	b.wantNoText("Link or code from the email", "Confirm address")
	b.pressAndStay("", "I have another link")
	b.wantText("Link or code from the email", "Confirm address")
	if got := b.fieldStateOf("link-token"); got.Value != "" {
		t.Errorf("the used token is still in the field: %q", got.Value)
	}
	b.pressAndLeave("Go to your account")
	b.wantText("Your account")
}
