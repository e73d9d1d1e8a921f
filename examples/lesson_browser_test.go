package examples_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// These tests run the page for the dialect lesson in a real Chromium, over two origins, with
// the built server. A test changes the user's roles to expire a token.

// W-73
func TestFrontEndOfLessonStaysSignedIn(t *testing.T) {
	t.Parallel()
	a := startApplication(t, "lesson")
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"keeps tokens in memory":                  lessonSession,
			"refreshes and retries once":              lessonRefresh,
			"stays logged in when a response is lost": lessonLostResponse,
			"ends the session at the server":          lessonLogout,
			"says that a session has ended":           lessonEnded,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

func lessonSession(t *testing.T, a *application) {
	const email = "life@example.com"
	b, _ := a.openBrowser(t)
	b.visit(a.url)
	b.awaitText("New here?", "a reload logs you out")
	b.press("Register")
	b.lessonRegister("no address")
	b.awaitText("Enter a valid email address")
	b.lessonRegister(email)
	b.awaitText("Your profile", "Username\nada", "E-mail\n"+email)
	b.assertNothingCutOff("lesson-profile")
	b.assertLessonStoredNothing()
	b.press("Log out")
	b.awaitText("You are logged out.", "New here?")
	b.lessonLogIn(email, "seven purple cats")
	b.awaitText("Wrong email or password.", "New here?")
	b.assertNothingCutOff("lesson-login")
	b.press("Register")
	b.lessonRegister(email)
	b.awaitText("User already exists")
	b.assertNothingCutOff("lesson-register")
	b.press("Log in")
	b.lessonLogIn(email, password)
	b.awaitText("Your profile", "Username\nada", email)
	b.assertLessonStoredNothing()
	b.reload()
	b.awaitText("New here?")
	b.assertLessonStoredNothing()
}

func lessonRefresh(t *testing.T, a *application) {
	const email = "refresh@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.press("Register")
	b.lessonRegister(email)
	b.awaitText("Your profile", email)
	a.runCommand(t, "users", "set-roles", email, "editor")
	var asked atomic.Int32
	wire.interceptRequests(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/profile" {
			asked.Add(1)
		}
		return false
	})
	b.lessonLoadsAgain()
	if n, asked := wire.countRefreshes(), asked.Load(); n != 1 || asked != 2 {
		t.Errorf("asked %d times, with %d refreshes", asked, n)
	}
	b.lessonLoadsAgain() // the page of the lesson now uses the new token
	if n, asked := wire.countRefreshes(), asked.Load(); n != 1 || asked != 3 {
		t.Errorf("asked %d times, with %d refreshes", asked, n)
	}
	b.assertLessonStoredNothing()

	asked.Store(0)
	wire.interceptRequests(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/profile" {
			return false
		}
		asked.Add(1)
		a.writeLessonError(w, 401, "Not this one.")
		return true
	})
	b.press("Reload")
	b.awaitText("Not this one.", "Your profile")
	if n, asked := wire.countRefreshes(), asked.Load(); n != 2 || asked != 2 {
		t.Errorf("asked %d times, with %d refreshes", asked, n-1)
	}
}

func lessonLostResponse(t *testing.T, a *application) {
	const email = "lost@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.press("Register")
	b.lessonRegister(email)
	b.awaitText("Your profile", email)
	a.runCommand(t, "users", "set-roles", email, "editor")
	wire.dropRefreshResponses(1)
	b.press("Reload")
	b.awaitText("The server can't be reached.", "Your profile", email)
	wire.interceptRequests(func(w http.ResponseWriter, r *http.Request) bool {
		if isRefresh(r) {
			a.writeLessonError(w, 503, "Come back later.")
		}
		return isRefresh(r)
	})
	b.press("Reload")
	b.awaitText("Come back later.", "Your profile", email)
	wire.interceptRequests(nil)
	b.lessonLoadsAgain()
	if n := wire.countDropped(); n != 1 {
		t.Errorf("%d responses were lost", n)
	}
	a.assertEventCount(t, email, "refresh_reused", 0)
}

func lessonLogout(t *testing.T, a *application) {
	const email = "logout@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.press("Register")
	b.lessonRegister(email)
	b.awaitText("Your profile", email)
	var access, sent atomic.Value
	wire.interceptRequests(func(_ http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/profile":
			access.Store(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		case "/logout":
			sent.Store(readBody(t, r))
		}
		return false
	})
	b.lessonLoadsAgain()
	token, _ := access.Load().(string)
	server := process{a.server}
	if status, _, _ := server.getWithToken(t, "/profile", token); status != 200 {
		t.Fatalf("before the logout: %d", status)
	}
	b.press("Log out")
	b.awaitText("You are logged out.", "New here?")
	body, _ := sent.Load().(string)
	if !strings.HasPrefix(body, `{"token":"wwr_`) {
		t.Fatal("the refresh token was not sent")
	}
	if status, _, _ := server.getWithToken(t, "/profile", token); status != 401 {
		t.Errorf("the access token afterwards: %d", status)
	}
	response, err := http.Post(a.server+"/token", "application/json", strings.NewReader(body))
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != 403 {
		t.Errorf("the refresh token afterwards: %s", response.Status)
	}
}

func lessonEnded(t *testing.T, a *application) {
	const email = "ended@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.press("Register")
	b.lessonRegister(email)
	b.awaitText("Your profile", email)
	a.runCommand(t, "sessions", "end", email, "--yes")
	b.press("Reload")
	b.awaitText("Your session has ended.", "New here?")
	if n := wire.countRefreshes(); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	if evaluate[bool](b, `(email) => document.body.textContent.includes(email)`, email) {
		t.Error("the page still shows the email")
	}
}

func (b *tab) lessonRegister(email string) {
	b.t.Helper()
	b.fill("Username", "ada")
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Register")
}

func (b *tab) lessonLogIn(email, password string) {
	b.t.Helper()
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Log in")
}

func (b *tab) lessonLoadsAgain() {
	b.t.Helper()
	b.press("Reload")
	b.awaitTrue("the profile", `() => !document.body.ariaBusy && !document.getElementById("error").innerText && document.getElementById("profile").checkVisibility()`, func() {})
}

// assertLessonStoredNothing checks all storage that survives a reload, including cookies.
func (b *tab) assertLessonStoredNothing() {
	b.t.Helper()
	b.assertNothingStored()
	if cookies := b.refreshCookies(); len(cookies) != 0 {
		b.t.Errorf("%d cookies are kept", len(cookies))
	}
}

func (a *application) writeLessonError(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Access-Control-Allow-Origin", a.url)
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
