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
			"keeps tokens in memory":                  lessonLife,
			"refreshes and retries once":              lessonRefresh,
			"stays logged in when a response is lost": lessonLost,
			"ends the session at the server":          lessonLogout,
			"says that a session has ended":           lessonEnded,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
}

func lessonLife(t *testing.T, a *application) {
	const email = "life@example.com"
	b, _ := a.open(t)
	b.visit(a.url)
	b.until("New here?", "a reload logs you out")
	b.press("Register")
	b.lessonRegister("no address")
	b.until("Enter a valid email address")
	b.lessonRegister(email)
	b.until("Your profile", "Username\nada", "E-mail\n"+email)
	b.fits("lesson-profile")
	b.lessonKeepsNothing()
	b.press("Log out")
	b.until("You are logged out.", "New here?")
	b.lessonLogIn(email, "seven purple cats")
	b.until("Wrong email or password.", "New here?")
	b.fits("lesson-login")
	b.press("Register")
	b.lessonRegister(email)
	b.until("User already exists")
	b.fits("lesson-register")
	b.press("Log in")
	b.lessonLogIn(email, password)
	b.until("Your profile", "Username\nada", email)
	b.lessonKeepsNothing()
	b.reload()
	b.until("New here?")
	b.lessonKeepsNothing()
}

func lessonRefresh(t *testing.T, a *application) {
	const email = "refresh@example.com"
	b, wire := a.open(t)
	b.visit(a.url)
	b.press("Register")
	b.lessonRegister(email)
	b.until("Your profile", email)
	a.command(t, "users", "set-roles", email, "editor")
	var asked atomic.Int32
	wire.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/profile" {
			asked.Add(1)
		}
		return false
	})
	b.lessonLoadsAgain()
	if n, asked := wire.refreshed(), asked.Load(); n != 1 || asked != 2 {
		t.Errorf("asked %d times, with %d refreshes", asked, n)
	}
	b.lessonLoadsAgain() // the page of the lesson now uses the new token
	if n, asked := wire.refreshed(), asked.Load(); n != 1 || asked != 3 {
		t.Errorf("asked %d times, with %d refreshes", asked, n)
	}
	b.lessonKeepsNothing()

	asked.Store(0)
	wire.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/profile" {
			return false
		}
		asked.Add(1)
		a.lessonRefuse(w, 401, "Not this one.")
		return true
	})
	b.press("Reload")
	b.until("Not this one.", "Your profile")
	if n, asked := wire.refreshed(), asked.Load(); n != 2 || asked != 2 {
		t.Errorf("asked %d times, with %d refreshes", asked, n-1)
	}
}

func lessonLost(t *testing.T, a *application) {
	const email = "lost@example.com"
	b, wire := a.open(t)
	b.visit(a.url)
	b.press("Register")
	b.lessonRegister(email)
	b.until("Your profile", email)
	a.command(t, "users", "set-roles", email, "editor")
	wire.lose(1)
	b.press("Reload")
	b.until("The server can't be reached.", "Your profile", email)
	wire.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if isRefresh(r) {
			a.lessonRefuse(w, 503, "Come back later.")
		}
		return isRefresh(r)
	})
	b.press("Reload")
	b.until("Come back later.", "Your profile", email)
	wire.intercept(nil)
	b.lessonLoadsAgain()
	if n := wire.lost(); n != 1 {
		t.Errorf("%d responses were lost", n)
	}
	a.happened(t, email, "refresh_reused", 0)
}

func lessonLogout(t *testing.T, a *application) {
	const email = "logout@example.com"
	b, wire := a.open(t)
	b.visit(a.url)
	b.press("Register")
	b.lessonRegister(email)
	b.until("Your profile", email)
	var access, sent atomic.Value
	wire.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/profile":
			access.Store(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		case "/logout":
			sent.Store(bodyOf(t, r))
		}
		return false
	})
	b.lessonLoadsAgain()
	token, _ := access.Load().(string)
	server := process{a.server}
	if status, _, _ := server.ask(t, "/profile", token); status != 200 {
		t.Fatalf("before the logout: %d", status)
	}
	b.press("Log out")
	b.until("You are logged out.", "New here?")
	body, _ := sent.Load().(string)
	if !strings.HasPrefix(body, `{"token":"wwr_`) {
		t.Fatal("the refresh token was not sent")
	}
	if status, _, _ := server.ask(t, "/profile", token); status != 401 {
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
	b, wire := a.open(t)
	b.visit(a.url)
	b.press("Register")
	b.lessonRegister(email)
	b.until("Your profile", email)
	a.command(t, "sessions", "end", email, "--yes")
	b.press("Reload")
	b.until("Your session has ended.", "New here?")
	if n := wire.refreshed(); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	if see[bool](b, `(email) => document.body.textContent.includes(email)`, email) {
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
	b.await("the profile", `() => !document.body.ariaBusy && !document.getElementById("error").innerText && document.getElementById("profile").checkVisibility()`, func() {})
}

// lessonKeepsNothing fails if the page stored data that survives a reload, including cookies.
func (b *tab) lessonKeepsNothing() {
	b.t.Helper()
	b.keepsNothing()
	if cookies := b.cookies(); len(cookies) != 0 {
		b.t.Errorf("%d cookies are kept", len(cookies))
	}
}

// lessonRefuse sends an error response in the server's format.
func (a *application) lessonRefuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Access-Control-Allow-Origin", a.url)
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
