package server_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/browsertest"
	"github.com/watchword-auth/watchword/internal/npmtest"
	"github.com/watchword-auth/watchword/server"
)

// These tests check every page with axe-core (WCAG 2.2). They take screenshots if the environment variable
// browsertest.Pictures names a folder.

type pageState struct {
	name string
	open func(b *tab)
}

func openPath(path string) func(*tab) { return func(b *tab) { b.visit(path) } }

// openWithNotice opens a path as if the server had redirected there with a notice. For this, it sets the cookie of
// the notice.
func openWithNotice(path, name, value string) func(*tab) {
	return func(b *tab) {
		sendDevTools(b, network.SetCookie, network.SetCookieParams{
			Name: "watchword-notice", Value: name + "." + value, URL: b.url, Path: "/"})
		b.visit(path + "?" + name + "=" + value)
	}
}

// pageStates returns all states in an order in which a browser can visit them.
func pageStates(s *service) []pageState {
	var link watchword.Message
	return []pageState{
		{"home", openPath("/")},
		{"error", openPath("/nothing-here")},
		{"docs", openPath("/docs")},
		{"login", openPath("/login")},
		{"login-reused", openWithNotice("/login", "why", "reused")},
		{"login-refused", func(b *tab) { b.signIn("ada@example.com", otherPassword) }},
		{"signup", openPath("/signup")},
		{"signup-refused", func(b *tab) {
			b.visit("/signup")
			b.disableValidation()
			b.fillField("Email address", "ada@")
			b.fillField("Password", "password123")
			b.pressAndLeave("Create account")
		}},
		{"signup-typing", func(b *tab) {
			b.visit("/signup")
			b.fillField("Password", goodPassword)
			evaluate[bool](b, `() => {
        document.getElementById("signup-password").dispatchEvent(new KeyboardEvent("keydown", { modifierCapsLock: true }));
        document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
        document.querySelector("form").noValidate = true;
        document.querySelector("button[type=submit]").click();
        return true;
      }`)
			b.wantText("Caps Lock is on.")
		}},
		{"forgot", openPath("/forgot")},
		{"told", func(b *tab) {
			b.visit("/forgot")
			b.fillField("Email address", "ada@example.com")
			b.pressAndLeave("Email me a link")
		}},
		{"verify-incomplete", openPath("/verify")},
		{"verify", func(b *tab) { b.openMailLink("/verify", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"verify-refused", func(b *tab) {
			b.openMailLink("/verify", watchword.Message{Token: "wwm_of-the-mail"})
			b.fillField("Password", goodPassword)
			b.pressAndLeave("Confirm and sign in")
		}},
		{"verify-required", func(b *tab) {
			link = s.mailer.awaitMail(b.t, watchword.MailVerify, "ada@example.com")
			b.openMailLink("/verify", link)
			b.disableValidation()
			b.pressAndLeave("Confirm and sign in")
		}},
		{"verify-wrong", func(b *tab) {
			b.fillField("Password", otherPassword)
			b.pressAndLeave("Confirm and sign in")
			b.wantText("Wrong password. Try again.")
		}},
		{"verify-choose", func(b *tab) { b.pressAndLeave("I don't know the password") }},
		{"verify-disowned", func(b *tab) {
			b.openMailLink("/verify", watchword.Message{Token: "wwm_of-the-mail"})
			b.pressAndLeave("This wasn't me")
		}},
		{"reset", func(b *tab) { b.openMailLink("/reset", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"invite", func(b *tab) { b.openMailLink("/invite", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"email-confirm-incomplete", openPath("/email/confirm")},
		{"email-confirm", func(b *tab) {
			b.openMailLink("/email/confirm",
				watchword.Message{Token: "wwm_of-the-mail"})
		}},
		{"email-undo", func(b *tab) { b.openMailLink("/email/undo", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"mailbox", openPath("/dev/mail")},
		{"mail", openPath("/dev/mail/1")},
		{"account", func(b *tab) {
			b.signIn("ada@example.com", otherPassword)
			b.signIn("ada@example.com", goodPassword)
			b.wantText("Signed in as ada@example.com", "Sign out everywhere else", "Wrong password entered")
		}},
		{"account-confirmed", func(b *tab) {
			b.openMailLink("/verify", link)
			b.pressAndLeave("Confirm address")
			b.visit("/account")
		}},
		{"account-done", openWithNotice("/account", "done", "others")},
		{"account-refused", func(b *tab) {
			b.visit("/account")
			b.fillFieldIn("Password", "Current password", otherPassword)
			b.fillFieldIn("Password", "New password", otherPassword)
			b.pressAndLeaveIn("Password", "Change password")
		}},
		{"address-refused", func(b *tab) {
			b.visit("/account")
			b.disableValidation()
			b.openAddress()
			b.fillFieldIn("Email address", "New email address", "lady")
			b.pressAndLeaveIn("Email address", "Send confirmation link")
		}},
		{"account-crowded", func(b *tab) {
			s.signInOnSevenDevices(b.t)
			b.visit("/account")
			evaluate[bool](b,
				`() => { for (const d of document.querySelectorAll("details")) d.open = true; return true }`)
		}},
		{"delete-refused", func(b *tab) {
			b.visit("/account")
			b.openDelete()
			b.fillFieldIn("Delete account", "Current password", otherPassword)
			b.pressAndLeave("Delete permanently")
		}},
	}
}

func mailboxWithOneMailTwice() ([]watchword.StoredMail, error) {
	const link = "http://127.0.0.1/verify#token=wwm_q7XUGv1yZk9m0b3aYw5n2c8r4t6e1s0dLfPjHhKkQxA"
	m := watchword.StoredMail{ID: "1", To: "ada@example.com", Kind: "verify", Subject: "Confirm your address",
		Text: "Hello Ada,\n\nconfirm that this address is yours:\n\n" + link + "\n", HTML: "<p>Hello</p>", Link: link,
		At: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	return []watchword.StoredMail{m, m}, nil
}

// visitEveryPage visits all states of all pages, with an account that has two devices.
func visitEveryPage(t *testing.T, check func(b *tab, name string)) {
	t.Helper()
	s, phone := startWithPhone(t, nil, func(o *server.Options) { o.DevMail = mailboxWithOneMailTwice })
	b := s.openTab(t)
	s.newBrowser(t).do("POST", "/api/auth/register",
		`{"email":"ada@example.com","password":"`+goodPassword+`","name":"Ada"}`, "User-Agent", phoneUserAgent)
	for _, one := range append(pageStates(s), factorPageStates(phone)...) {
		one.open(b)
		check(b, one.name)
	}
	b.setLanguageAndAgent("de", evaluate[string](b, `() => navigator.userAgent`))
	for _, name := range []string{"login", "verify"} {
		b.visit("/" + name)
		check(b, name+"-de")
	}
	for _, one := range germanFactorPageStates(phone) {
		one.open(b)
		check(b, one.name+"-de")
	}
}

// No text may be cut off, and axe-core must report no fault.
func TestEveryPageFitsAndIsAccessible(t *testing.T) {
	t.Parallel()
	visitEveryPage(t, accessibilityCheck(t))
}

// accessibilityCheck returns a function that reports each fault that axe-core finds on the page of a tab.
func accessibilityCheck(t *testing.T) func(b *tab, name string) {
	axe := installAxeScript(t)
	return func(b *tab, name string) {
		_, err := browsertest.Evaluate[bool](b.ctx, "() => {"+axe+"; return true }")
		must(t, err)
		browsertest.InEachView(t, b.ctx, name, func(view string) {
			if view == "phone-dark" {
				return // phone-light has the same layout, and desktop-dark the same colours
			}
			for _, fault := range evaluate[[]string](b, `async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
          .map((v) => v.id + ": " + v.help + "\n" + v.nodes.map((n) => n.html + "\n" + n.failureSummary).join("\n"))`) {
				t.Errorf("%s, %s: %s", name, view, fault)
			}
		})
	}
}

// installAxeScript returns the script of axe-core, in the version that package-lock.json requires.
func installAxeScript(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("testdata/axe")))
	installPackages(t, dir)
	script, err := os.ReadFile(filepath.Join(dir, "node_modules/axe-core/axe.min.js"))
	must(t, err)
	return string(script)
}

// installPackages skips the test if there is no browser or no Node.js.
func installPackages(t *testing.T, dir string) {
	t.Helper()
	browsertest.Require(t)
	npmtest.Require(t)
	must(t, npmtest.Install(dir))
}
