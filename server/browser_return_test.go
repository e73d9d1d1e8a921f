package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
)

// These tests check in a browser that every page and mail leads back to the front-end (return_to), with and without
// the script.

// serveFrontEnd starts a front-end whose pages show their own path.
func serveFrontEnd(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<p>The application at " + r.URL.Path + "</p>"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func startWithFrontEnd(t *testing.T, appURL string, changeEngine func(*watchword.Options)) *service {
	t.Helper()
	return start(t, changeEngine, func(o *server.Options) { o.AppURL = appURL + "/home" })
}

func withReturnTo(path, target string) string {
	return path + "?return_to=" + url.QueryEscape(target)
}

func mailLink(s *service, path string, m watchword.Message) string {
	if m.ReturnTo != "" {
		path = withReturnTo(path, m.ReturnTo)
	}
	return s.url + path + "#token=" + string(m.Token)
}

// openOrPasteLink pastes the link into the field if the tab has no scripts.
func (b *tab) openOrPasteLink(link string) {
	b.t.Helper()
	b.visit(link)
	if evaluate[bool](b, `() => !document.querySelector("form .token").hidden`) {
		b.fillField("Link or code from the email", link)
	}
}

func withAndWithoutScript(t *testing.T, test func(*testing.T, func(*service) *tab)) {
	t.Helper()
	t.Run("with script", func(t *testing.T) {
		t.Parallel()
		test(t, func(s *service) *tab { return s.openTab(t) })
	})
	t.Run("without script", func(t *testing.T) {
		t.Parallel()
		test(t, func(s *service) *tab { return s.openTab(t).withoutScript() })
	})
}

func TestReturnToSurvivesForgotAndResetInAnotherBrowser(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := serveFrontEnd(t)
		s := startWithFrontEnd(t, app, nil)
		s.newBrowser(t).register("ada@example.com")
		b := tabOf(s)
		b.visit(withReturnTo("/login", app+"/inbox?a=1"))
		b.pressAndLeave("Forgot your password?")
		b.fillField("Email address", "ada@example.com")
		b.pressAndLeave("Email me a link")
		b.wantText("Check your inbox", "← Back to "+strings.TrimPrefix(app, "http://"))
		link := mailLink(s, "/reset", s.mailer.awaitMail(t, watchword.MailReset, "ada@example.com"))

		other := tabOf(s)
		other.openOrPasteLink(link)
		other.fillField("New password", "short")
		other.disableValidation()
		other.pressAndLeave("Save password")
		other.wantText("The password is too short.")
		other.fillField("New password", otherPassword)
		other.pressAndLeave("Save password")
		other.wantText("Your password has been changed")
		other.pressAndLeave("Sign in")
		other.fillField("Email address", "ada@example.com")
		other.fillField("Password", otherPassword)
		other.pressAndLeave("Sign in")
		other.wantText("The application at /inbox")
	})
}

func TestReturnToSurvivesSignUpAndVerificationInAnotherBrowser(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := serveFrontEnd(t)
		s := startWithFrontEnd(t, app, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
		b := tabOf(s)
		b.visit(withReturnTo("/login", app+"/inbox"))
		b.pressAndLeave("No account yet? Create one")
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Create account")
		b.wantText("Check your inbox")

		other := tabOf(s)
		other.openOrPasteLink(mailLink(s, "/verify", s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com")))
		other.fillField("Password", goodPassword)
		other.pressAndLeave("Confirm and sign in")
		other.wantText("The application at /inbox")
	})
}

func TestSignInWithoutReturnToLeadsToTheFrontEnd(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := serveFrontEnd(t)
		s := startWithFrontEnd(t, app, nil)
		b := tabOf(s)
		b.visit("/signup")
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Create account")
		b.wantText("The application at /home")
		b.visit("/account")
		b.pressAndLeave("← Back to " + strings.TrimPrefix(app, "http://"))
		b.wantText("The application at /home")

		other := tabOf(s)
		other.visit("/account")
		other.fillField("Email address", "ada@example.com")
		other.fillField("Password", goodPassword)
		other.pressAndLeave("Sign in")
		other.wantText("Your account") // the sign-in returns to the page that required it
	})
}

func TestInvitationLeadsToTheFrontEnd(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		s := startWithFrontEnd(t, serveFrontEnd(t), nil)
		b := tabOf(s)
		b.openOrPasteLink(mailLink(s, "/invite", s.createInvitation(t, "ada@example.com")))
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Create password and sign in")
		b.wantText("The application at /home")
	})
}

func TestReturnToSurvivesTheFormsOfTheAccount(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := serveFrontEnd(t)
		s := startWithFrontEnd(t, app, nil)
		s.newBrowser(t).register("ada@example.com")
		b := tabOf(s)
		b.visit(withReturnTo("/account", app+"/settings"))
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Sign in")
		b.wantText("Your account")
		b.fillFieldIn("Password", "Current password", "not the password")
		b.fillFieldIn("Password", "New password", otherPassword)
		b.pressAndLeaveIn("Password", "Change password")
		b.wantText("Wrong password.")
		b.fillFieldIn("Profile", "Name", "Countess")
		b.pressAndLeaveIn("Profile", "Save name")
		b.wantText("Name saved.")
		b.pressAndLeave("← Back to " + strings.TrimPrefix(app, "http://"))
		b.wantText("The application at /settings")
	})
}

func TestReturnToSurvivesANewAddressAndItsUndo(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := serveFrontEnd(t)
		s := startWithFrontEnd(t, app, nil)
		api := s.newBrowser(t)
		api.register("ada@example.com")
		wantStatus(t, api.post("/email/verify", map[string]any{ // an undo needs a verified old address
			"token": string(s.mailer.awaitMail(t, watchword.MailVerify,
				"ada@example.com").Token), "password": goodPassword}),
			200, "")
		back := "← Back to " + strings.TrimPrefix(app, "http://")
		b := tabOf(s)
		b.visit(withReturnTo("/account", app+"/settings"))
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Sign in")
		b.openAddress()
		b.fillFieldIn("Email address", "New email address", "lady@example.com")
		b.fillFieldIn("Email address", "Current password", goodPassword)
		b.pressAndLeave("Send confirmation link")
		b.wantText("We emailed a link to the new address.", back)

		// The links of the mails are opened in another browser, which is not signed in.
		other := tabOf(s)
		other.openOrPasteLink(mailLink(s, "/email/confirm",
			s.mailer.awaitMail(t, watchword.MailConfirmAddress, "lady@example.com")))
		other.fillField("Password", otherPassword)
		other.pressAndLeave("Use this address")
		other.wantText("Wrong password. Try again.")
		other.fillField("Password", goodPassword)
		other.pressAndLeave("Use this address")
		other.wantText("You now sign in with the new address.", back)
		other.pressAndLeave(back)
		other.wantText("The application at /settings")

		other.openOrPasteLink(mailLink(s, "/email/undo",
			s.mailer.awaitMail(t, watchword.MailAddressChanged, "ada@example.com")))
		other.pressAndLeave("Undo the change")
		other.wantText("Your account has its previous address back", back)
		other.openOrPasteLink(mailLink(s, "/reset", s.mailer.awaitMail(t, watchword.MailReset, "ada@example.com")))
		other.fillField("New password", otherPassword)
		other.pressAndLeave("Save password")
		other.pressAndLeave("Sign in")
		other.fillField("Email address", "ada@example.com")
		other.fillField("Password", otherPassword)
		other.pressAndLeave("Sign in")
		other.wantText("The application at /settings")
	})
}

func TestChangePasswordAddressLeadsToTheFormAfterSignIn(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		for _, s := range []*service{start(t, nil, nil), startWithFrontEnd(t, serveFrontEnd(t), nil)} {
			s.newBrowser(t).register("ada@example.com")
			b := tabOf(s)
			b.visit("/.well-known/change-password")
			b.fillField("Email address", "ada@example.com")
			b.fillField("Password", "not the password")
			b.pressAndLeave("Sign in")
			b.wantText("Wrong email or password.")
			b.fillField("Password", goodPassword)
			b.pressAndLeave("Sign in")
			b.wantPasswordForm()
			b.visit("/login?x=1") // redirects, because the user is signed in
			b.visit("/.well-known/change-password")
			b.wantPasswordForm()
		}
	})
}

func (b *tab) wantPasswordForm() {
	b.t.Helper()
	if at := b.currentAddress(); at != "/account#password-title" {
		b.t.Errorf("it leads to %s", at)
	}
	b.waitUntil("the form is on the screen", `() => {
    const box = document.getElementById("password-newPassword").getBoundingClientRect();
    return scrollY > 0 && box.top >= 0 && box.bottom <= innerHeight;
  }`)
}

func TestHostedSignOutAsksAndReturnsToTheFrontEnd(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := serveFrontEnd(t)
		s := startWithFrontEnd(t, app, nil)
		s.newBrowser(t).register("ada@example.com")
		b := tabOf(s)
		b.signIn("ada@example.com", goodPassword)
		b.visit(withReturnTo("/logout", app+"/bye"))
		b.wantText("Signed in as ada@example.com", "Sign out")
		if len(b.cookiesByName()) < 2 {
			t.Errorf("opening the page signed out: %v", b.cookiesByName())
		}
		b.pressAndLeave("Sign out")
		b.wantText("The application at /bye")
		for _, name := range []string{"watchword", "watchword-page"} {
			if _, left := b.cookiesByName()[name]; left {
				t.Errorf("the cookie %s is left", name)
			}
		}
		b.visit(withReturnTo("/logout", app+"/bye"))
		b.wantText("You are signed out.", "← Back to "+strings.TrimPrefix(app, "http://"))
	})
}

// HTTP-12
func TestForeignReturnToIsIgnoredEverywhere(t *testing.T) {
	t.Parallel()
	app := serveFrontEnd(t)
	s := startWithFrontEnd(t, app, nil)
	s.newBrowser(t).register("ada@example.com")
	b := s.newBrowser(t)
	for _, foreign := range []string{"https://evil.example/", app + ".evil.example/", app + "@evil.example",
		"//evil.example", app + `/\evil.example`, "javascript:alert(1)", app + "/" + strings.Repeat("a", 1000)} {
		for _, path := range []string{
			"/login", "/signup", "/forgot", "/reset", "/verify", "/logout", "/email/confirm",
		} {
			page := b.visit(withReturnTo(path, foreign))
			if page.StatusCode != 200 || strings.Contains(string(page.raw), "evil.example") ||
				strings.Contains(string(page.raw), "alert(1)") || strings.Contains(string(page.raw), "aaaaaaaa") {
				t.Errorf("%s with %s: %d\n%s", path, foreign, page.StatusCode, page.raw)
			}
		}
		wantPage(t, b.submitForm("/forgot", map[string]string{"email": "ada@example.com", "return_to": foreign}), 200)
		if m := s.mailer.awaitMail(t, watchword.MailReset, "ada@example.com"); m.ReturnTo != "" {
			t.Errorf("%s is in a mail", m.ReturnTo)
		}
		out := s.newBrowser(t).submitForm("/logout", map[string]string{"return_to": foreign})
		wantPage(t, out, 303, "/login?why=out")
		in := s.newBrowser(t).submitForm("/login",
			map[string]string{"email": "ada@example.com", "password": goodPassword, "return_to": foreign})
		if to := in.Header.Get("Location"); to != app+"/home" {
			t.Errorf("sign-in with %s leads to %s", foreign, to)
		}
	}
}

// With a front-end and with closed sign-up, the pages have other buttons. No text may be cut off, and axe-core must
// report no fault.
func TestEveryPageThatLeadsBackFitsAndIsAccessible(t *testing.T) {
	t.Parallel()
	check, app := accessibilityCheck(t), serveFrontEnd(t)
	s := startWithFrontEnd(t, app, nil)
	s.newBrowser(t).register("ada@example.com")
	b := s.openTab(t)
	b.visit("/logout")
	check(b, "return-out")
	b.visit("/forgot")
	b.fillField("Email address", "ada@example.com")
	b.pressAndLeave("Email me a link")
	check(b, "return-forgot-sent")
	b.openOrPasteLink(mailLink(s, "/reset", s.mailer.awaitMail(t, watchword.MailReset, "ada@example.com")))
	b.fillField("New password", otherPassword)
	b.pressAndLeave("Save password")
	check(b, "return-reset-done")
	b.visit(withReturnTo("/login", app+"/inbox"))
	check(b, "return-login")
	b.visit("/account")
	b.fillField("Email address", "ada@example.com")
	b.fillField("Password", otherPassword)
	b.pressAndLeave("Sign in")
	b.visit("/account")
	check(b, "return-account")
	b.visit("/logout")
	check(b, "return-logout")

	closed := start(t, func(o *watchword.Options) { o.Signup = watchword.SignupClosed }, nil).openTab(t)
	for _, path := range []string{"", "login", "signup"} {
		closed.visit("/" + path)
		check(closed, "closed-"+path)
	}
	limited := start(t, func(o *watchword.Options) {
		o.Limits = watchword.Limits{LoginPerClient: watchword.Limit{Count: 1, Per: 4 * time.Minute}}
	}, nil).openTab(t)
	limited.signIn("ada@example.com", goodPassword)
	limited.signIn("ada@example.com", goodPassword)
	limited.wantText("Too many attempts. Try again in 4 minutes.")
	check(limited, "limited")
	quiet := start(t, func(o *watchword.Options) { o.NoVerifyMail = true }, nil).openTab(t)
	quiet.signUp("ada@example.com")
	check(quiet, "quiet-account")
}
