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

// The function application serves a page that shows its own URL.
func application(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<p>The application at " + r.URL.Path + "</p>"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// startFor starts a server with the front-end at the URL app.
func startFor(t *testing.T, app string, engine func(*watchword.Options)) *service {
	t.Helper()
	return start(t, engine, func(o *server.Options) { o.AppURL = app + "/home" })
}

func returning(path, target string) string {
	return path + "?return_to=" + url.QueryEscape(target)
}

// linkOf returns the link of a mail as package mail writes it.
func linkOf(s *service, path string, m watchword.Message) string {
	if m.ReturnTo != "" {
		path = returning(path, m.ReturnTo)
	}
	return s.url + path + "#token=" + string(m.Token)
}

// openLink opens the link of a mail. Without scripts it pastes the link into the field.
func (b *tab) openLink(link string) {
	b.t.Helper()
	b.visit(link)
	if see[bool](b, `() => !document.querySelector("form .token").hidden`) {
		b.fill("Link or code from the email", link)
	}
}

// inBoth runs a test in a tab with the pages' script, and in a tab without it.
func inBoth(t *testing.T, test func(*testing.T, func(*service) *tab)) {
	t.Helper()
	t.Run("with script", func(t *testing.T) {
		t.Parallel()
		test(t, func(s *service) *tab { return s.tab(t) })
	})
	t.Run("without script", func(t *testing.T) {
		t.Parallel()
		test(t, func(s *service) *tab { return s.tab(t).withoutScript() })
	})
}

func TestReturnToSurvivesForgotAndResetInAnotherBrowser(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := application(t)
		s := startFor(t, app, nil)
		s.browser(t).register("ada@example.com")
		b := tabOf(s)
		b.visit(returning("/login", app+"/inbox?a=1"))
		b.press("Forgot your password?")
		b.fill("Email address", "ada@example.com")
		b.press("Email me a link")
		b.reads("Check your inbox", "← Back to "+strings.TrimPrefix(app, "http://"))
		link := linkOf(s, "/reset", s.post.take(t, watchword.MailReset, "ada@example.com"))

		other := tabOf(s)
		other.openLink(link)
		other.fill("New password", "short")
		other.unchecked()
		other.press("Save password")
		other.reads("The password is too short.")
		other.fill("New password", otherPassword)
		other.press("Save password")
		other.reads("Your password has been changed")
		other.press("Sign in")
		other.fill("Email address", "ada@example.com")
		other.fill("Password", otherPassword)
		other.press("Sign in")
		other.reads("The application at /inbox")
	})
}

func TestReturnToSurvivesSignUpAndVerificationInAnotherBrowser(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := application(t)
		s := startFor(t, app, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
		b := tabOf(s)
		b.visit(returning("/login", app+"/inbox"))
		b.press("No account yet? Create one")
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Create account")
		b.reads("Check your inbox")

		other := tabOf(s)
		other.openLink(linkOf(s, "/verify", s.post.take(t, watchword.MailVerify, "ada@example.com")))
		other.fill("Password", goodPassword)
		other.press("Confirm and sign in")
		other.reads("The application at /inbox")
	})
}

func TestSignInWithoutReturnToLeadsToTheFrontEnd(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := application(t)
		s := startFor(t, app, nil)
		b := tabOf(s)
		b.visit("/signup")
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Create account")
		b.reads("The application at /home")
		b.visit("/account")
		b.press("← Back to " + strings.TrimPrefix(app, "http://"))
		b.reads("The application at /home")

		other := tabOf(s)
		other.visit("/account")
		other.fill("Email address", "ada@example.com")
		other.fill("Password", goodPassword)
		other.press("Sign in")
		other.reads("Your account") // the sign-in returns to the page that required it
	})
}

func TestInvitationLeadsToTheFrontEnd(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		s := startFor(t, application(t), nil)
		b := tabOf(s)
		b.openLink(linkOf(s, "/invite", s.invite(t, "ada@example.com")))
		b.fill("Password", goodPassword)
		b.press("Create password and sign in")
		b.reads("The application at /home")
	})
}

func TestReturnToSurvivesTheFormsOfTheAccount(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := application(t)
		s := startFor(t, app, nil)
		s.browser(t).register("ada@example.com")
		b := tabOf(s)
		b.visit(returning("/account", app+"/settings"))
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Sign in")
		b.reads("Your account")
		b.fillIn("Password", "Current password", "not the password")
		b.fillIn("Password", "New password", otherPassword)
		b.pressIn("Password", "Change password")
		b.reads("Wrong password.")
		b.fillIn("Profile", "Name", "Countess")
		b.pressIn("Profile", "Save name")
		b.reads("Name saved.")
		b.press("← Back to " + strings.TrimPrefix(app, "http://"))
		b.reads("The application at /settings")
	})
}

func TestReturnToSurvivesANewAddressAndItsUndo(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := application(t)
		s := startFor(t, app, nil)
		api := s.browser(t)
		api.register("ada@example.com")
		want(t, api.post("/email/verify", map[string]any{ // an undo needs a verified old address
			"token": string(s.post.take(t, watchword.MailVerify, "ada@example.com").Token), "password": goodPassword}),
			200, "")
		back := "← Back to " + strings.TrimPrefix(app, "http://")
		b := tabOf(s)
		b.visit(returning("/account", app+"/settings"))
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Sign in")
		b.openAddress()
		b.fillIn("Email address", "New email address", "lady@example.com")
		b.fillIn("Email address", "Current password", goodPassword)
		b.press("Send confirmation link")
		b.reads("We emailed a link to the new address.", back)

		// The links of the mails are opened in another browser, which is not signed in.
		other := tabOf(s)
		other.openLink(linkOf(s, "/email/confirm", s.post.take(t, watchword.MailConfirmAddress, "lady@example.com")))
		other.fill("Password", otherPassword)
		other.press("Use this address")
		other.reads("Wrong password. Try again.")
		other.fill("Password", goodPassword)
		other.press("Use this address")
		other.reads("You now sign in with the new address.", back)
		other.press(back)
		other.reads("The application at /settings")

		other.openLink(linkOf(s, "/email/undo", s.post.take(t, watchword.MailAddressChanged, "ada@example.com")))
		other.press("Undo the change")
		other.reads("Your account has its previous address back", back)
		other.openLink(linkOf(s, "/reset", s.post.take(t, watchword.MailReset, "ada@example.com")))
		other.fill("New password", otherPassword)
		other.press("Save password")
		other.press("Sign in")
		other.fill("Email address", "ada@example.com")
		other.fill("Password", otherPassword)
		other.press("Sign in")
		other.reads("The application at /settings")
	})
}

func TestChangePasswordAddressLeadsToTheFormAfterSignIn(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		for _, s := range []*service{start(t, nil, nil), startFor(t, application(t), nil)} {
			s.browser(t).register("ada@example.com")
			b := tabOf(s)
			b.visit("/.well-known/change-password")
			b.fill("Email address", "ada@example.com")
			b.fill("Password", "not the password")
			b.press("Sign in")
			b.reads("Wrong email or password.")
			b.fill("Password", goodPassword)
			b.press("Sign in")
			b.showsPasswordForm()
			b.visit("/login?x=1") // redirects, because the user is signed in
			b.visit("/.well-known/change-password")
			b.showsPasswordForm()
		}
	})
}

// showsPasswordForm fails unless the tab shows the password form of the account page.
func (b *tab) showsPasswordForm() {
	b.t.Helper()
	if at := b.address(); at != "/account#password-title" {
		b.t.Errorf("it leads to %s", at)
	}
	b.until("the form is on the screen", `() => {
    const box = document.getElementById("password-newPassword").getBoundingClientRect();
    return scrollY > 0 && box.top >= 0 && box.bottom <= innerHeight;
  }`)
}

func TestHostedSignOutAsksAndReturnsToTheFrontEnd(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		app := application(t)
		s := startFor(t, app, nil)
		s.browser(t).register("ada@example.com")
		b := tabOf(s)
		b.signIn("ada@example.com", goodPassword)
		b.visit(returning("/logout", app+"/bye"))
		b.reads("Signed in as ada@example.com", "Sign out")
		if len(b.cookies()) < 2 {
			t.Errorf("opening the page signed out: %v", b.cookies())
		}
		b.press("Sign out")
		b.reads("The application at /bye")
		for _, name := range []string{"watchword", "watchword-page"} {
			if _, left := b.cookies()[name]; left {
				t.Errorf("the cookie %s is left", name)
			}
		}
		b.visit(returning("/logout", app+"/bye"))
		b.reads("You are signed out.", "← Back to "+strings.TrimPrefix(app, "http://"))
	})
}

// HTTP-12
func TestForeignReturnToIsIgnoredEverywhere(t *testing.T) {
	t.Parallel()
	app := application(t)
	s := startFor(t, app, nil)
	s.browser(t).register("ada@example.com")
	b := s.browser(t)
	for _, foreign := range []string{"https://evil.example/", app + ".evil.example/", app + "@evil.example",
		"//evil.example", app + `/\evil.example`, "javascript:alert(1)", app + "/" + strings.Repeat("a", 1000)} {
		for _, path := range []string{
			"/login", "/signup", "/forgot", "/reset", "/verify", "/logout", "/email/confirm",
		} {
			page := b.visit(returning(path, foreign))
			if page.StatusCode != 200 || strings.Contains(string(page.raw), "evil.example") ||
				strings.Contains(string(page.raw), "alert(1)") || strings.Contains(string(page.raw), "aaaaaaaa") {
				t.Errorf("%s with %s: %d\n%s", path, foreign, page.StatusCode, page.raw)
			}
		}
		wantPage(t, b.submit("/forgot", map[string]string{"email": "ada@example.com", "return_to": foreign}), 200)
		if m := s.post.take(t, watchword.MailReset, "ada@example.com"); m.ReturnTo != "" {
			t.Errorf("%s is in a mail", m.ReturnTo)
		}
		out := s.browser(t).submit("/logout", map[string]string{"return_to": foreign})
		wantPage(t, out, 303, "/login?why=out")
		in := s.browser(t).submit("/login",
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
	check, app := accessible(t), application(t)
	s := startFor(t, app, nil)
	s.browser(t).register("ada@example.com")
	b := s.tab(t)
	b.visit("/logout")
	check(b, "return-out")
	b.visit("/forgot")
	b.fill("Email address", "ada@example.com")
	b.press("Email me a link")
	check(b, "return-forgot-sent")
	b.openLink(linkOf(s, "/reset", s.post.take(t, watchword.MailReset, "ada@example.com")))
	b.fill("New password", otherPassword)
	b.press("Save password")
	check(b, "return-reset-done")
	b.visit(returning("/login", app+"/inbox"))
	check(b, "return-login")
	b.visit("/account")
	b.fill("Email address", "ada@example.com")
	b.fill("Password", otherPassword)
	b.press("Sign in")
	b.visit("/account")
	check(b, "return-account")
	b.visit("/logout")
	check(b, "return-logout")

	closed := start(t, func(o *watchword.Options) { o.Signup = watchword.SignupClosed }, nil).tab(t)
	for _, path := range []string{"", "login", "signup"} {
		closed.visit("/" + path)
		check(closed, "closed-"+path)
	}
	limited := start(t, func(o *watchword.Options) {
		o.Limits = watchword.Limits{LoginPerClient: watchword.Limit{Count: 1, Per: 4 * time.Minute}}
	}, nil).tab(t)
	limited.signIn("ada@example.com", goodPassword)
	limited.signIn("ada@example.com", goodPassword)
	limited.reads("Too many attempts. Try again in 4 minutes.")
	check(limited, "limited")
	quiet := start(t, func(o *watchword.Options) { o.NoVerifyMail = true }, nil).tab(t)
	quiet.signUp("ada@example.com")
	check(quiet, "quiet-account")
}
