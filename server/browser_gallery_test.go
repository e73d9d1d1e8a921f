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

// These tests take screenshots of every page, and check each page with axe-core (WCAG 2.2).

// A sight is a page in one of its states.
type sight struct {
	name string
	open func(b *tab)
}

func at(path string) func(*tab) { return func(b *tab) { b.visit(path) } }

// afterRedirect opens a page with its notice, as if the server had redirected to it.
func afterRedirect(path, name, said string) func(*tab) {
	return func(b *tab) {
		command(b, network.SetCookie, network.SetCookieParams{
			Name: "watchword-notice", Value: name + "." + said, URL: b.url, Path: "/"})
		b.visit(path + "?" + name + "=" + said)
	}
}

// sights returns all states, in an order in which a browser can visit them.
func sights(s *service) []sight {
	var link watchword.Message
	return []sight{
		{"home", at("/")},
		{"error", at("/nothing-here")},
		{"docs", at("/docs")},
		{"login", at("/login")},
		{"login-reused", afterRedirect("/login", "why", "reused")},
		{"login-refused", func(b *tab) { b.signIn("ada@example.com", otherPassword) }},
		{"signup", at("/signup")},
		{"signup-refused", func(b *tab) {
			b.visit("/signup")
			b.unchecked()
			b.fill("Email address", "ada@")
			b.fill("Password", "password123")
			b.press("Create account")
		}},
		{"signup-typing", func(b *tab) {
			b.visit("/signup")
			b.fill("Password", goodPassword)
			see[bool](b, `() => {
        document.getElementById("signup-password").dispatchEvent(new KeyboardEvent("keydown", { modifierCapsLock: true }));
        document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
        document.querySelector("form").noValidate = true;
        document.querySelector("button[type=submit]").click();
        return true;
      }`)
			b.reads("Caps Lock is on.")
		}},
		{"forgot", at("/forgot")},
		{"told", func(b *tab) {
			b.visit("/forgot")
			b.fill("Email address", "ada@example.com")
			b.press("Email me a link")
		}},
		{"verify-incomplete", at("/verify")},
		{"verify", func(b *tab) { b.follow("/verify", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"verify-refused", func(b *tab) {
			b.follow("/verify", watchword.Message{Token: "wwm_of-the-mail"})
			b.fill("Password", goodPassword)
			b.press("Confirm and sign in")
		}},
		{"verify-required", func(b *tab) {
			link = s.post.take(b.t, watchword.MailVerify, "ada@example.com")
			b.follow("/verify", link)
			b.unchecked()
			b.press("Confirm and sign in")
		}},
		{"verify-wrong", func(b *tab) {
			b.fill("Password", otherPassword)
			b.press("Confirm and sign in")
			b.reads("Wrong password. Try again.")
		}},
		{"verify-choose", func(b *tab) { b.press("I don't know the password") }},
		{"verify-disowned", func(b *tab) {
			b.follow("/verify", watchword.Message{Token: "wwm_of-the-mail"})
			b.press("This wasn't me")
		}},
		{"reset", func(b *tab) { b.follow("/reset", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"invite", func(b *tab) { b.follow("/invite", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"email-confirm-incomplete", at("/email/confirm")},
		{"email-confirm", func(b *tab) { b.follow("/email/confirm", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"email-undo", func(b *tab) { b.follow("/email/undo", watchword.Message{Token: "wwm_of-the-mail"}) }},
		{"mailbox", at("/dev/mail")},
		{"mail", at("/dev/mail/1")},
		{"account", func(b *tab) {
			b.signIn("ada@example.com", otherPassword)
			b.signIn("ada@example.com", goodPassword)
			b.reads("Signed in as ada@example.com", "Sign out everywhere else", "Wrong password entered")
		}},
		{"account-confirmed", func(b *tab) {
			b.follow("/verify", link)
			b.press("Confirm address")
			b.visit("/account")
		}},
		{"account-done", afterRedirect("/account", "done", "others")},
		{"account-refused", func(b *tab) {
			b.visit("/account")
			b.fillIn("Password", "Current password", otherPassword)
			b.fillIn("Password", "New password", otherPassword)
			b.pressIn("Password", "Change password")
		}},
		{"address-refused", func(b *tab) {
			b.visit("/account")
			b.unchecked()
			b.openAddress()
			b.fillIn("Email address", "New email address", "lady")
			b.pressIn("Email address", "Send confirmation link")
		}},
		{"account-crowded", func(b *tab) {
			s.crowd(b.t)
			b.visit("/account")
			see[bool](b, `() => { for (const d of document.querySelectorAll("details")) d.open = true; return true }`)
		}},
		{"delete-refused", func(b *tab) {
			b.visit("/account")
			b.openDelete()
			b.fillIn("Delete account", "Current password", otherPassword)
			b.press("Delete permanently")
		}},
	}
}

// letterbox returns the mails of a development mailbox: one mail, listed twice.
func letterbox() ([]watchword.StoredMail, error) {
	const link = "http://127.0.0.1/verify#token=wwm_q7XUGv1yZk9m0b3aYw5n2c8r4t6e1s0dLfPjHhKkQxA"
	m := watchword.StoredMail{ID: "1", To: "ada@example.com", Kind: "verify", Subject: "Confirm your address",
		Text: "Hello Ada,\n\nconfirm that this address is yours:\n\n" + link + "\n", HTML: "<p>Hello</p>", Link: link,
		At: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	return []watchword.StoredMail{m, m}, nil
}

// everyPage visits all states of all pages, with an account that has two devices.
func everyPage(t *testing.T, look func(b *tab, name string)) {
	t.Helper()
	s, phone := startFactors(t, nil, func(o *server.Options) { o.DevMail = letterbox })
	b := s.tab(t)
	s.browser(t).do("POST", "/api/auth/register",
		`{"email":"ada@example.com","password":"`+goodPassword+`","name":"Ada"}`, "User-Agent", aPhone)
	for _, one := range append(sights(s), factorSights(phone)...) {
		one.open(b)
		look(b, one.name)
	}
	b.speaking("de", see[string](b, `() => navigator.userAgent`))
	for _, name := range []string{"login", "verify"} {
		b.visit("/" + name)
		look(b, name+"-de")
	}
	for _, one := range germanFactorSights(phone) {
		one.open(b)
		look(b, one.name+"-de")
	}
}

// No text may be cut off, and axe-core must report no fault.
func TestEveryPageFitsAndIsAccessible(t *testing.T) {
	t.Parallel()
	everyPage(t, accessible(t))
}

// The function accessible returns a function that checks the page of a tab with axe-core.
func accessible(t *testing.T) func(b *tab, name string) {
	axe := installAxe(t)
	return func(b *tab, name string) {
		_, err := browsertest.Evaluate[bool](b.ctx, "() => {"+axe+"; return true }")
		must(t, err)
		browsertest.InEachView(t, b.ctx, name, func(view string) {
			if view == "phone-dark" {
				return // one other view has the same layout, and another one the same colours
			}
			for _, fault := range see[[]string](b, `async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
          .map((v) => v.id + ": " + v.help + "\n" + v.nodes.map((n) => n.html + "\n" + n.failureSummary).join("\n"))`) {
				t.Errorf("%s, %s: %s", name, view, fault)
			}
		})
	}
}

// installAxe installs axe-core in the version of package-lock.json, and returns the script.
func installAxe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("testdata/axe")))
	installPackages(t, dir)
	script, err := os.ReadFile(filepath.Join(dir, "node_modules/axe-core/axe.min.js"))
	must(t, err)
	return string(script)
}

// installPackages installs the npm packages of a folder. It skips the test if there is no browser or no Node.js.
func installPackages(t *testing.T, dir string) {
	t.Helper()
	browsertest.Require(t)
	npmtest.Require(t)
	must(t, npmtest.Install(dir))
}
