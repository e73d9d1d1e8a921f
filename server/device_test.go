package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
)

func cookieOf(a fullResponse, name string) *http.Cookie {
	for _, c := range a.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// CK-1, CK-6, RL-13
func TestSignInSetsTheCookieOfAKnownDeviceOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	ada := map[string]any{"email": "ada@example.com", "password": goodPassword}
	first := b.post("/register", ada)
	wantStatus(t, first, 201, "")
	known := cookieOf(first, "watchword-known")
	if known == nil || !known.HttpOnly || known.SameSite != http.SameSiteStrictMode || known.Path != "/" ||
		known.Domain != "" ||
		known.MaxAge != 400*24*3600 || !strings.HasPrefix(known.Value, "wwd_") {
		t.Fatalf("got %v", known)
	}
	if strings.Contains(string(first.raw), "wwd_") {
		t.Error("a script can read the token")
	}
	wantStatus(t, b.do("POST", "/api/auth/logout", ""), 200, "")
	for _, a := range []fullResponse{b.post("/login", ada), b.do("POST", "/api/auth/refresh", "")} {
		wantStatus(t, a, 200, "")
		if c := cookieOf(a, "watchword-known"); c != nil {
			t.Errorf("the cookie was set again: %v", c)
		}
	}
	other := b.post("/register", map[string]any{"email": "bob@example.com", "password": goodPassword})
	if c := cookieOf(other, "watchword-known"); c == nil || c.Value == known.Value {
		t.Errorf("the last sign-in did not win: %v", c)
	}
	if c := cookieOf(b.post("/login", map[string]any{"email": "bob@example.com", "password": "a wrong guess"}),
		"watchword-known"); c != nil {
		t.Errorf("a wrong password changed the cookie: %v", c)
	}
	wide := start(t, nil, func(o *server.Options) { o.CookieSameSite = http.SameSiteLaxMode }).newBrowser(t)
	if c := cookieOf(wide.post("/register", ada), "watchword-known"); c == nil || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("SameSite is not that of the refresh cookie: %v", c)
	}
}

// RL-13
func TestDeviceTokenInABodyIdentifiesAKnownDevice(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) {
		few := watchword.Limit{Count: 2, Per: time.Hour}
		o.Limits.UnknownDevices, o.Limits.KnownDevice, o.Limits.KnownDevices = few, few, few
	}, nil)
	program := func(path string, members ...string) fullResponse {
		body := map[string]any{"email": "ada@example.com", "password": goodPassword, "delivery": "body"}
		for i := 0; i < len(members); i += 2 {
			body[members[i]] = members[i+1]
		}
		if _, mailed := body["token"]; mailed {
			delete(body, "email")
		}
		return s.newBrowser(t).post(path, body)
	}
	first := program("/register")
	wantStatus(t, first, 201, "")
	token := first.text("deviceToken")
	if !strings.HasPrefix(token, "wwd_") || len(first.Cookies()) != 0 {
		t.Fatalf("got %s and %v", first.raw, first.Cookies())
	}
	for range 2 {
		wantStatus(t, program("/login", "password", "a wrong guess"), 401, watchword.CodeInvalidCredentials)
	}
	wantStatus(t, program("/login"), 429, watchword.CodeRateLimited)
	again := program("/login", "deviceToken", token)
	wantStatus(t, again, 200, "")
	if again.text("deviceToken") != token {
		t.Error("a valid token was replaced")
	}
	wantStatus(t, program("/login", "deviceToken", "wwd_garbage"), 429, watchword.CodeRateLimited)
	wantStatus(t, program("/password/reset", "token", s.requestPasswordReset(t, "ada@example.com"), "password",
		otherPassword, "delivery",
		"post"), 422, watchword.CodeValidationFailed)
	reset := program("/password/reset", "token", s.requestPasswordReset(t, "ada@example.com"), "password",
		otherPassword)
	wantStatus(t, reset, 200, "")
	if len(reset.Cookies()) != 0 {
		t.Errorf("got %v", reset.Cookies())
	}
	wantStatus(t, program("/login", "password", otherPassword, "deviceToken", token), 429, watchword.CodeRateLimited)
	wantStatus(t, program("/login", "password", otherPassword, "deviceToken", reset.text("deviceToken")), 200, "")

	b := s.newBrowser(t)
	wantStatus(t, b.post("/password/reset",
		map[string]any{"token": s.requestPasswordReset(t, "ada@example.com"), "password": goodPassword}), 200, "")
	wantStatus(t, b.post("/login", map[string]any{"email": "ada@example.com", "password": goodPassword}), 200, "")
}

func (s *service) requestPasswordReset(t *testing.T, email string) string {
	t.Helper()
	wantStatus(t, s.newBrowser(t).post("/password/forgot", map[string]any{"email": email}), 202, "")
	return string(s.mailer.awaitMail(t, watchword.MailReset, email).Token)
}

// RL-9
func TestLimitSaysInWordsWhenToTryAgain(t *testing.T) {
	t.Parallel()
	for per, words := range map[time.Duration][2]string{
		4 * time.Minute:  {"Too many attempts. Try again in 4 minutes.", "Versuchen Sie es in 4 Minuten noch einmal."},
		time.Minute:      {"Too many attempts. Try again in 1 minute.", "Versuchen Sie es in 1 Minute noch einmal."},
		30 * time.Second: {"Too many attempts. Try again in ", "Versuchen Sie es in "},
	} {
		now := time.Now().UTC()
		s := start(t, func(o *watchword.Options) {
			o.Limits.LoginPerClient = watchword.Limit{Count: 1, Per: per}
			o.Now = func() time.Time { return now }
		}, nil)
		b := s.newBrowser(t)
		form := map[string]string{"email": "ada@example.com", "password": "a wrong guess"}
		wantPage(t, b.submitForm("/login", form), 401)
		wantPage(t, b.submitForm("/login", form), 429, words[0])
		wantPage(t, b.submitForm("/login", form, "Accept-Language", "de"), 429, words[1])
		a := b.post("/login", map[string]any{"email": "ada@example.com", "password": "a wrong guess"})
		wantStatus(t, a, 429, watchword.CodeRateLimited)
		if !strings.HasPrefix(a.text("detail"), words[0]) || a.Header.Get("Retry-After") == "" {
			t.Errorf("got %s", a.raw)
		}
	}
}
