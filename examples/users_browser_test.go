package examples_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// These tests run the front-end for the dialect users, with React and axios, in a real
// Chromium, over two origins, with the built server. A test changes the user's roles to
// expire a token: the server then responds expired_access_token.

// W-70, W-72
func TestFrontEndOfUsersStaysSignedIn(t *testing.T) {
	t.Parallel()
	a := startApplication(t, "users")
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *application){
			"has the right types":                     usersTypes,
			"shows the server's messages in forms":    usersForms,
			"keeps a life over two origins":           usersSession,
			"resets a password by its own page":       usersReset,
			"reauthenticates once for five requests":  usersShareOneRefresh,
			"sends a request twice at most":           usersEndlessRefusal,
			"stays logged in when a response is lost": usersLostResponse,
			"logs out everywhere":                     usersEverywhere,
			"stays logged out after a late response":  usersLogOutDuringRenewal,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, a) })
		}
	})
	// This test is not parallel, because two Vite servers would prepare the packages of one folder at the same time.
	t.Run("tells to confirm the address", usersConfirmTheAddressFirst)
}

// The front-end shows a text only for errors. If the address must be confirmed first, the server therefore responds
// to the sign-up with an error.
func usersConfirmTheAddressFirst(t *testing.T) {
	a := startApplication(t, "users", "WATCHWORD_SIGNUP=verified")
	b, _ := a.openBrowser(t)
	b.visit(a.url + "/signup")
	b.awaitText("Password again")
	b.usersSignUp("waiting@example.com", "Check your inbox and open the link, then log in.")
}

func usersTypes(t *testing.T, _ *application) {
	check := exec.CommandContext(t.Context(), "npm", "run", "--silent", "check")
	check.Dir = "users"
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func usersForms(t *testing.T, a *application) {
	const email = "forms@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url + "/signup")
	b.awaitText("Password again")
	var sent atomic.Value
	wire.interceptRequests(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/users/signup" {
			sent.Store(readBody(t, r))
		}
		return false
	})
	wrong := func(want ...string) {
		t.Helper()
		fields := evaluate[[]string](b, `() => [...document.querySelectorAll("[aria-invalid]")].map((field) => field.name)`)
		if fmt.Sprint(fields) != fmt.Sprint(want) {
			t.Errorf("%q are marked, want %q", fields, want)
		}
	}
	b.press("Sign up")
	b.awaitText("Firstname CANNOT be empty")
	wrong("firstName", "lastName", "email", "password")
	b.fill("First name", "Ada")
	b.press("Sign up")
	b.awaitText("Lastname CANNOT be empty")
	b.fill("Last name", "de la Cruz")
	b.fill("E-mail", "no address")
	b.fill("Password", "short")
	b.press("Sign up")
	b.awaitText("Passwords DO NOT match")
	b.fill("Password again", "short")
	b.press("Sign up")
	b.awaitText("Email is invalid")
	wrong("email", "password")
	b.assertNothingCutOff("users-signup")
	b.fill("E-mail", email)
	b.press("Sign up")
	b.awaitText("Use at least 8 characters.")
	wrong("password")
	b.fill("Password", password)
	b.fill("Password again", password)
	b.press("Sign up")
	b.awaitText("Your profile", "First name\nAda", "Last name\nde la Cruz", email)
	if body, _ := sent.Load().(string); !strings.Contains(body, `"passwordConfirm":"`+password+`"`) {
		t.Error("the form was not sent as a whole")
	}
	b.press("Log out")
	b.awaitText("New here?")
	b.usersSignUp(email, "E-mail already in use")
	b.press("Log in")
	b.awaitText("New here?")
	b.press("Log in")
	b.awaitText("Email CANNOT be empty")
	b.usersLogIn(email, "seven purple cats")
	b.awaitText("Email or password is wrong!", "New here?")
	b.assertNothingCutOff("users-login")
	b.press("Forgot your password?")
	b.awaitText("Send the link")
	b.press("Send the link")
	b.awaitText("Email CANNOT be empty")
}

func usersSession(t *testing.T, a *application) {
	const email = "life@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.usersSignUp(email, "Your profile", email)
	b.assertNothingStored()
	b.assertTokenOnlyInCookie()
	b.reload()
	b.awaitText("Your profile", "First name\nAda", "Last name\nLovelace", email)
	b.assertNothingCutOff("users-profile")
	if n := wire.countRefreshes(); n != 2 { // each page load refreshes once
		t.Errorf("%d re-authentications for two visits", n)
	}
	b.assertNothingStored()
	b.press("Log out")
	b.awaitText("New here?")
	b.reload()
	b.awaitText("New here?")
	if shown := evaluate[bool](b, `() => !!document.querySelector(".notice")`); shown {
		t.Error("a notice about an ended session is shown after a logout")
	}
	if cookies := b.sessionCookies(); len(cookies) != 0 {
		t.Errorf("%d cookies remain", len(cookies))
	}
	b.usersLogIn(email, password)
	b.awaitText("Your profile", email)
	if path := evaluate[string](b, `() => location.pathname`); path != "/" {
		t.Errorf("the profile is at %s", path)
	}
	b.assertTokenOnlyInCookie()
}

func usersReset(t *testing.T, a *application) {
	const email, newPassword = "reset@example.com", "eight yellow herons"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.usersSignUp(email, "Your profile", email)
	other, _ := a.openBrowser(t)
	other.visit(a.url)
	other.usersLogIn(email, password)
	other.awaitText("Your profile", email)

	b.press("Log out")
	b.press("Forgot your password?")
	var base atomic.Value
	wire.interceptRequests(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/users/forgotpass" {
			base.Store(r.Header.Get("X-Reset-Base"))
		}
		return false
	})
	b.fill("E-mail", email)
	b.press("Send the link")
	b.awaitText("a mail with instructions is on its way")
	b.assertNothingCutOff("users-forgot")
	if base.Load() != a.url+"/resetpass" {
		t.Errorf("X-reset-base: %v", base.Load())
	}

	mailbox := b.openTab()
	mailbox.awaitTrue("the mail", `(to) => {
	  const rows = [...document.querySelectorAll("tbody tr")];
	  const row = rows.find((row) => row.innerText.includes(to) && row.innerText.includes("Choose a new password"));
	  row?.querySelector("a").click();
	  return !!row;
	}`, func() { mailbox.visit(a.server + "/dev/mail") }, email)
	mailbox.awaitText("Open the link")
	link := evaluate[string](mailbox, `() => [...document.querySelectorAll("a")].find((a) => a.innerText.trim() === "Open the link").href`)
	if token, found := strings.CutPrefix(link, a.url+"/resetpass/"); !found || len(token) < 20 ||
		strings.ContainsAny(token, "/?#") {
		t.Fatalf("the link is of %d letters and not of the front-end", len(link))
	}
	mailbox.press("Open the link")
	mailbox.awaitText("New password again")
	if at := evaluate[string](mailbox, `() => location.href`); at != a.url+"/resetpass" {
		t.Errorf("the URL bar shows a URL of %d letters", len(at))
	}
	reset := func(confirmation string) {
		t.Helper()
		mailbox.fill("New password", newPassword)
		mailbox.fill("New password again", confirmation)
		mailbox.press("Save")
	}
	reset("eight yellow")
	mailbox.awaitText("Passwords DO NOT match")
	mailbox.assertNothingCutOff("users-reset")
	reset(newPassword)
	mailbox.awaitText("Password reset successful", "New here?")

	other.press("Reload")
	other.awaitText("Your session has ended.", "New here?")
	if cookies := other.sessionCookies(); len(cookies) != 0 {
		t.Errorf("%d cookies remain", len(cookies))
	}
	other.usersLogIn(email, password)
	other.awaitText("Email or password is wrong!")
	other.usersLogIn(email, newPassword)
	other.awaitText("Your profile", email)

	mailbox.visit(link)
	reset(newPassword)
	mailbox.awaitText("The reset link is invalid")
	mailbox.reload()
	mailbox.awaitText("Open the link in the mail once more")
	mailbox.press("Ask for another link")
	mailbox.awaitText("Send the link")
	mailbox.assertNothingStored()
}

// The URLs differ, because Chromium sends requests for the same URL one after the other. Four requests get a 401 at
// the same time. The fifth request gets a 401 when the client already has a new token.
func usersShareOneRefresh(t *testing.T, a *application) {
	const email = "five@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.usersSignUp(email, "Your profile", email)
	b.awaitSecondLoad()
	a.runCommand(t, "users", "set-roles", email, "editor")

	var four sync.WaitGroup
	four.Add(4)
	var asked atomic.Int32
	var tokens sync.Map // number of requests to /me by token, as *atomic.Int32
	var old atomic.Value
	renewed := make(chan struct{})
	wire.interceptRequests(func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case isRefresh(r):
			old.Store(r.Header.Get("Authorization"))
		case r.URL.Path == "/api/users/me":
			count, _ := tokens.LoadOrStore(r.Header.Get("Authorization"), new(atomic.Int32))
			count.(*atomic.Int32).Add(1)
			switch n := asked.Add(1); {
			case n <= 4:
				four.Done()
				four.Wait()
			case n == 5:
				<-renewed
			case n == 6: // the first retry
				close(renewed)
			}
		}
		return false
	})
	before := wire.countRefreshes()
	answers := evaluate[[]string](b, `() => import("/src/api.ts").then(({ api }) =>
	  Promise.all([1, 2, 3, 4, 5].map((n) => api.get("/me", { params: { n } }).then(({ data }) => data.user.email))))`)
	if want := strings.TrimSpace(strings.Repeat(email+" ", 5)); strings.Join(answers, " ") != want ||
		asked.Load() != 10 {
		t.Errorf("%v, %d requests", answers, asked.Load())
	}
	if n := wire.countRefreshes() - before; n != 1 {
		t.Errorf("%d re-authentications for five requests", n)
	}
	sent, kinds := old.Load().(string), 0
	tokens.Range(func(token, count any) bool {
		kinds++
		if n := count.(*atomic.Int32).Load(); n != 5 {
			t.Errorf("one token was sent %d times", n)
		}
		return true
	})
	if _, found := tokens.Load(sent); !found || !strings.HasPrefix(sent, "Bearer ey") || kinds != 2 {
		t.Errorf("the old token came along: %t; %d tokens", found, kinds)
	}
	b.reloadProfile()
	b.assertNothingStored()
}

func usersEndlessRefusal(t *testing.T, a *application) {
	const email = "ever@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.usersSignUp(email, "Your profile", email)
	b.awaitSecondLoad()
	for i, one := range []struct {
		challenge      string
		asked, renewed int
	}{
		{`Bearer realm="apps", error="expired_access_token"`, 2, 1},
		{``, 1, 0}, // no challenge, as in a 401 of a proxy
		{`DPoP realm="proxy"`, 1, 0},
	} {
		var asked atomic.Int32
		wire.interceptRequests(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/api/users/me" {
				return false
			}
			asked.Add(1)
			a.writeUsersError(w, 401, one.challenge, fmt.Sprint("Come back later: ", i))
			return true
		})
		before := wire.countRefreshes()
		b.press("Reload")
		b.awaitText(fmt.Sprint("Come back later: ", i), "Your profile")
		if n := wire.countRefreshes() - before; int(asked.Load()) != one.asked || n != one.renewed {
			t.Errorf("%q: asked %d times, with %d re-authentications", one.challenge, asked.Load(), n)
		}
	}
}

func usersLostResponse(t *testing.T, a *application) {
	const email = "lost@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.usersSignUp(email, "Your profile", email)

	// The response to a refresh is lost. The next request repeats the refresh, and the server repeats its response.
	a.runCommand(t, "users", "set-roles", email, "editor")
	wire.dropRefreshResponses(1)
	b.press("Reload")
	b.awaitText("The server can't be reached.", "Your profile", email)
	b.reloadProfile()
	wire.dropRefreshResponses(1)
	b.reload()
	b.awaitText("The server can't be reached.", "Loading…")
	b.press("Try again")
	b.awaitText("Your profile", email)
	if n := wire.countDropped(); n != 2 {
		t.Errorf("%d responses were lost", n)
	}
	a.assertEventCount(t, email, "refresh_reused", 0)

	a.runCommand(t, "users", "set-roles", email)
	for _, status := range []int{429, 500, 503} {
		wire.interceptRequests(func(w http.ResponseWriter, r *http.Request) bool {
			if isRefresh(r) {
				a.writeUsersError(w, status, "", fmt.Sprint("Come back later: ", status))
			}
			return isRefresh(r)
		})
		b.press("Reload")
		b.awaitText(fmt.Sprint("Come back later: ", status), "Your profile")
	}
	wire.interceptRequests(nil)
	b.reloadProfile()
}

func usersEverywhere(t *testing.T, a *application) {
	const email = "everywhere@example.com"
	b, _ := a.openBrowser(t)
	b.visit(a.url)
	b.usersSignUp(email, "Your profile", email)
	other, _ := a.openBrowser(t)
	other.visit(a.url)
	other.usersLogIn(email, password)
	other.awaitText("Your profile", email)
	// The change of roles makes the access token invalid. The user must be able to sign out, because this needs only
	// the cookie.
	a.runCommand(t, "users", "set-roles", email, "editor")
	b.press("Log out everywhere")
	b.awaitText("New here?")
	other.press("Reload")
	other.awaitText("Your session has ended.", "New here?")
	for _, one := range []*tab{b, other} {
		if cookies := one.sessionCookies(); len(cookies) != 0 {
			t.Errorf("%d cookies remain", len(cookies))
		}
		one.reload()
		one.awaitText("New here?")
	}
}

// The user logs out during a re-authentication. The response to the re-authentication must not log the user in again.
func usersLogOutDuringRenewal(t *testing.T, a *application) {
	const email = "late@example.com"
	b, wire := a.openBrowser(t)
	b.visit(a.url)
	b.usersSignUp(email, "Your profile", email)
	arrived, release := make(chan struct{}, 8), make(chan struct{})
	wire.interceptRequests(func(w http.ResponseWriter, r *http.Request) bool {
		if !isRefresh(r) {
			return false
		}
		arrived <- struct{}{}
		<-release
		w.Header().Set("Access-Control-Allow-Origin", a.url)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"success": true, "accessToken": "late"}`)
		return true
	})
	evaluate[bool](b, `() => import("/src/api.ts").then(({ reauthenticate }) => { window.late = reauthenticate(); return true })`)
	<-arrived
	b.press("Log out")
	b.awaitText("New here?")
	close(release)
	evaluate[bool](b, `() => window.late.then(() => true)`)
	b.awaitText("New here?")
	wire.interceptRequests(nil)
	b.reload()
	b.awaitText("New here?")
}

func (b *tab) usersSignUp(email string, until ...string) {
	b.t.Helper()
	b.press("Sign up")
	b.fill("First name", "Ada")
	b.fill("Last name", "Lovelace")
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.fill("Password again", password)
	b.press("Sign up")
	b.awaitText(until...)
}

// awaitSecondLoad waits for both requests of a new profile page, because React's strict mode sends two.
func (b *tab) awaitSecondLoad() {
	b.t.Helper()
	b.awaitTrue("both answers", `() => performance.getEntriesByType("resource").filter((e) => e.name.endsWith("/api/users/me")).length === 2`, func() {})
}

func (b *tab) usersLogIn(email, password string) {
	b.t.Helper()
	b.fill("E-mail", email)
	b.fill("Password", password)
	b.press("Log in")
}

func (b *tab) reloadProfile() {
	b.t.Helper()
	b.press("Reload")
	b.awaitTrue("the profile", `() => document.querySelector("dl").ariaBusy === "false" && !document.querySelector("[role=alert]").innerText`, func() {})
}

// assertTokenOnlyInCookie checks that the refresh token is in an HttpOnly cookie that scripts can't read.
func (b *tab) assertTokenOnlyInCookie() {
	b.t.Helper()
	cookies := b.sessionCookies()
	if len(cookies) != 1 || cookies[0].Name != "refreshTkn" || !cookies[0].HTTPOnly {
		b.t.Errorf("%d cookies, or not refreshTkn", len(cookies))
	}
	if evaluate[bool](b, `() => document.cookie.includes("refreshTkn")`) {
		b.t.Error("script reads the refresh token")
	}
}

func (a *application) writeUsersError(w http.ResponseWriter, status int, challenge, text string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", a.url)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
	h.Set("Content-Type", "application/json")
	if challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error": "Authentication Error", "feedback": %q}`, text)
}

// readBody returns the body of the request. The body can be read again, so that the proxy can still forward it.
func readBody(t *testing.T, r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return string(body)
}
