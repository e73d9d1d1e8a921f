package server_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
)

func TestClosedSignUpIsHiddenOnEveryPage(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.Signup = watchword.SignupClosed }, nil)
	b := s.newBrowser(t)
	for _, path := range []string{"/", "/login", "/forgot", "/reset", "/verify"} {
		page := b.visit(path)
		if strings.Contains(string(page.raw), "/signup") || page.StatusCode != 200 {
			t.Errorf("%s (%d) offers to sign up", path, page.StatusCode)
		}
	}
	page := b.visit("/signup")
	wantPage(t, page, 403, "Sign-up is closed.", `href="/login"`)
	if strings.Contains(string(page.raw), "<form") {
		t.Error("a form that can't work is shown")
	}
}

func TestHomePageInProductionLeadsToTheFrontEndOrTheSignIn(t *testing.T) {
	t.Parallel()
	const public, app = "https://id.example.com", "https://app.example.com/start"
	for _, c := range []struct{ app, want string }{{"", "/login"}, {app, app}, {public, "/login"},
		{public + "/", "/login"},
		{public + "/app", public + "/app"}} {
		s := start(t, func(o *watchword.Options) { o.PublicURL = public }, func(o *server.Options) { o.AppURL = c.app })
		home := httptest.NewRecorder()
		s.server.ServeHTTP(home, httptest.NewRequest("GET", public+"/", nil))
		if home.Code != 303 || home.Header().Get("Location") != c.want {
			t.Errorf("with app-url=%s: %d %s", c.app, home.Code, home.Header().Get("Location"))
		}
	}
	wantPage(t, start(t, nil, nil).newBrowser(t).visit("/"), 200, "For developers")
}

func TestFilesAtFixedPathsAreServed(t *testing.T) {
	t.Parallel()
	contact := "Contact: mailto:security@example.com\nExpires: 2030-01-01T00:00:00Z\n"
	s := start(t, nil, func(o *server.Options) {
		o.Pages = fstest.MapFS{"security.txt": {Data: []byte(contact)}}
	})
	b := s.newBrowser(t)
	icon := b.do("GET", "/favicon.ico", "")
	if icon.StatusCode != 200 || icon.Header.Get("Content-Type") != "image/svg+xml; charset=utf-8" {
		t.Errorf("favicon: %d %v", icon.StatusCode, icon.Header)
	}
	for path, want := range map[string]string{"/robots.txt": "User-agent: *\nDisallow: /\n",
		"/.well-known/security.txt": contact} {
		if got := b.do("GET", path, ""); got.StatusCode != 200 || string(got.raw) != want ||
			got.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %q", path, got.StatusCode, got.raw)
		}
	}
	change := b.do("GET", "/.well-known/change-password", "")
	if change.StatusCode != 303 || change.Header.Get("Location") != "/account/password" {
		t.Errorf("change-password: %d %v", change.StatusCode, change.Header)
	}
	// Without a file of the operator, the path must get 404, like any unknown path.
	if got := start(t, nil, nil).newBrowser(t).do("GET", "/.well-known/security.txt", ""); got.StatusCode != 404 {
		t.Errorf("security.txt without a file: %d", got.StatusCode)
	}
	const path = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200"
	if got := b.do("GET", path, ""); got.StatusCode != 404 {
		t.Errorf("unknown path: %d", got.StatusCode)
	}
}

// RL-9
func TestPagesSayInWordsWhenToTryAgain(t *testing.T) {
	t.Parallel()
	one := watchword.Limit{Count: 1, Per: 4 * time.Minute}
	s := start(t, func(o *watchword.Options) {
		o.Limits = watchword.Limits{LoginPerClient: one, MailPerClient: one, SignupPerClient: one, FailedPasswords: one}
	}, nil)
	b := s.newBrowser(t)
	for _, path := range []string{"/login", "/forgot", "/signup"} {
		form := map[string]string{"email": "ada@example.com", "password": goodPassword}
		b.submitForm(path, form)
		form["email"] = "bob@example.com"
		wantPage(t, b.submitForm(path, form), 429, "Too many attempts. Try again in 4 minutes.")
	}
}

func TestSignUpWithoutVerificationMailSendsNoMail(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.NoVerifyMail = true }, nil)
	b := s.newBrowser(t)
	b.register("ada@example.com")
	page := b.visit("/account")
	wantPage(t, page, 200, "Your address is not confirmed yet.", "Email me a link")
	if strings.Contains(string(page.raw), "that we emailed you") {
		t.Error("the page speaks of a mail that was not sent")
	}
	wantPage(t, b.submitForm("/account/email/resend", nil), 303, "done=resend")
	first := s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com")
	s.mailer.mu.Lock()
	defer s.mailer.mu.Unlock()
	if len(s.mailer.mails) != 0 || first.Token == "" { // the sign-up must not have sent a mail
		t.Errorf("the sign-up sent a mail: %v", s.mailer.mails)
	}
}

func TestOriginOfTheFrontEndIsAllowed(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	s := start(t, nil, func(o *server.Options) { o.AppURL = app + "/home" })
	b := s.newBrowser(t)
	b.register("ada@example.com")
	for origin, status := range map[string]int{app: 200, "https://app.example.org": 403} {
		got := b.do("POST", "/api/auth/refresh", "", "Origin", origin, "Sec-Fetch-Site", "same-site")
		cors := got.Header.Get("Access-Control-Allow-Origin")
		if got.StatusCode != status || (cors == origin) != (status == 200) {
			t.Errorf("%s: %d %q %s", origin, got.StatusCode, cors, got.raw)
		}
	}
}

// With SignupVerified, the user needs the mail to get the account. NoVerifyMail must therefore have no effect.
func TestSignUpThatWaitsIsMailedInAnyCase(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.Signup, o.NoVerifyMail = watchword.SignupVerified, true }, nil)
	form := map[string]string{"email": "ada@example.com", "password": goodPassword}
	wantPage(t, s.newBrowser(t).submitForm("/signup", form), 200)
	if s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com").Token == "" {
		t.Error("the mail has no link")
	}
}
