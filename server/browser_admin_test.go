package server_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
)

// These tests open the admin pages in a browser, with an account that has a history.

const laptopUserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
	"Chrome/142.0.0.0 Safari/537.36"

// startWithCopiedSession starts a service with admin pages. The copied session belongs to Ada.
func startWithCopiedSession(t *testing.T) (s *service, header []string, ada watchword.User) {
	t.Helper()
	var clockBehind atomic.Int64 // so that the history is some hours old
	clockBehind.Store(int64(3 * time.Hour))
	s = start(t, func(o *watchword.Options) {
		o.Now = func() time.Time { return time.Now().Add(-time.Duration(clockBehind.Load())) }
		o.Mailer = failingMailer{}
	}, nil)
	var err error
	s.server, err = server.New(s.engine, server.Options{ // replaces the server before its first request
		Factors:        factors.New(s.engine, s.store.Factors(), factors.Options{}),
		Admin:          admin.New(s.engine, s.store.Admin(), admin.Options{}),
		Metadata:       metadata.New(s.engine, s.store.Metadata()),
		AdminPages:     true,
		TrustedProxies: []string{"127.0.0.1"},
	})
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	s.addUsers(t, 60)
	s.storeRestoreEvent(t)

	phone, thief := s.newBrowser(t), s.newBrowser(t)
	at := func(agent, address string) []string {
		return []string{"User-Agent", agent, "X-Forwarded-For", address}
	}
	wantStatus(t, phone.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword,
		"name": "Ada Lovelace"}, at(phoneUserAgent, "198.51.100.7")...), 201, "")
	copied := phone.Jar.Cookies(mustURL(t, s.url))
	for range 3 {
		wantStatus(t, phone.do("POST", "/api/auth/refresh", "", at(phoneUserAgent, "198.51.100.7")...), 200, "")
	}
	clockBehind.Store(int64(time.Hour))
	thief.Jar.SetCookies(mustURL(t, s.url), copied)
	wantStatus(t, thief.do("POST", "/api/auth/refresh", "", at(laptopUserAgent, "203.0.113.9")...), 401,
		watchword.CodeRefreshReused)
	for _, password := range []string{otherPassword, goodPassword} {
		_ = phone.post("/login", map[string]any{"email": "ada@example.com", "password": password},
			at(phoneUserAgent, "198.51.100.7")...)
	}
	ada, err = s.engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	insertFactor(t, s, ada.ID)
	clockBehind.Store(0)
	_, err = metadata.New(s.engine, s.store.Metadata()).Patch(t.Context(), ada.ID, metadata.Patch{
		IfMatch: `"0"`, Operator: "root@example.com", Public: `{"plan":"pro","seats":12}`, Private: `{"crm":"C-1042"}`})
	must(t, err)
	return s, s.signInAdmin(t, "root@example.com"), ada
}

type failingMailer struct{}

func (failingMailer) Send(context.Context, watchword.Message) error {
	return errors.New("550 5.7.1 the sender is not allowed to send")
}

// setPageCookie signs the tab in with the access token of an Authorization header.
func (b *tab) setPageCookie(header []string) *tab {
	b.t.Helper()
	sendDevTools(b, network.SetCookie, network.SetCookieParams{Name: "watchword-page",
		Value: strings.TrimPrefix(header[1], "Bearer "), URL: b.url, Path: "/"})
	return b
}

func adminPageStates(ada watchword.User) []pageState {
	user := "/admin/users/" + string(ada.ID)
	return []pageState{
		{"overview", openPath("/admin")},
		{"events", openPath("/admin/events")},
		{"events-found", openPath("/admin/events?q=ada@example.com&kind=refresh_reused")},
		{"service-keys", openPath("/admin/service-keys")},
		{"service-key-form", openPath("/admin/service-keys/new")},
		{"service-key", func(b *tab) {
			b.visit("/admin/service-keys/new")
			evaluate[bool](b, `() => { document.getElementById("admin-keyName").value = "the shop";
        document.querySelector("[name='scope-users:read']").checked = true;
        document.querySelector(".change").submit(); return true }`)
			b.waitUntil("the question", `() => document.querySelector(".question")?.innerText.includes("the shop")`)
			evaluate[bool](b, `() => { document.querySelector(".change").submit(); return true }`)
			b.waitUntil("the key", `() => document.querySelector(".codes")?.innerText.includes("wwk_")`)
		}},
		{"service-keys-one", openPath("/admin/service-keys")},
		{"mail", openPath("/admin/mail")},
		{"keys", openPath("/admin/keys")},
		{"rotate", openPath("/admin/keys/sign/rotate")},
		{"users", openPath("/admin/users")},
		{"users-found", openPath("/admin/users?q=user0&state=disabled")},
		{"users-none", openPath("/admin/users?q=nobody")},
		{"users-gone", openPath("/admin/users?q=00000000-0000-7000-8000-0000000000ff")},
		{"users-refused", openPath("/admin/users?after=x")},
		{"user", openPath(user)},
		{"user-gone", openPath("/admin/users/00000000-0000-7000-8000-0000000000ff")},
		{"disable", openPath(user + "/disable")},
		{"roles", openPath(user + "/roles")},
		{"roles-confirm", func(b *tab) {
			b.visit(user + "/roles")
			evaluate[bool](b, `() => { document.getElementById("admin-roles").value = "editor admin"; return true }`)
			evaluate[bool](b, `() => { document.querySelector("section form").submit(); return true }`)
			b.waitUntil("the question", `() => document.querySelector(".question")?.innerText.includes("editor admin")`)
		}},
		{"missing", openPath(user + "/sessions/x/end")},
	}
}

// No text may be cut off, and axe-core must report no fault.
func TestAdminPagesFitAndAreAccessible(t *testing.T) {
	t.Parallel()
	check := accessibilityCheck(t)
	s, header, ada := startWithCopiedSession(t)
	for _, language := range []string{"en", "de"} {
		b := s.openTab(t).setPageCookie(header)
		b.setLanguageAndAgent(language, evaluate[string](b, `() => navigator.userAgent`))
		for _, one := range adminPageStates(ada) {
			one.open(b)
			check(b, "admin-"+one.name+"-"+language)
		}
	}
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	b := s.openTab(t).setPageCookie(s.signInAs(t, root, "pwd"))
	b.visit("/admin/users")
	check(b, "admin-factor")
}

// startWithAdministrator makes ada@example.com the administrator. The phone computes the codes of Ada's app.
func startWithAdministrator(t *testing.T) (*service, *phone) {
	t.Helper()
	s, phone := startWithPhone(t, nil, nil)
	_, phone.secret, _ = s.signUpWithApp(t, s.newBrowser(t))
	ada, err := s.engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	_, err = s.engine.Operator().SetRoles(t.Context(), ada.ID, []string{watchword.RoleAdmin})
	must(t, err)
	return s, phone
}

// An administrator signs in with two factors, finds a user, and ends the user's sessions. The server first asks for a
// step-up. After the step-up, the browser must return to the page that asks whether to end the sessions. The test
// runs with and without the script.
func TestChromiumAdminSignsAUserOutAfterAStepUp(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startWithAdministrator(t)
		var err error
		s.server, err = server.New(s.engine, server.Options{PublicURL: s.url, AdminPages: true,
			Factors: factors.New(s.engine, s.store.Factors(), factors.Options{}),
			Admin:   admin.New(s.engine, s.store.Admin(), admin.Options{})})
		must(t, err)
		s.newBrowser(t).register("bob@example.com")

		b := tabOf(s)
		b.visit("/admin/users?q=bob")
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Sign in")
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Sign in")
		b.wantText("Accounts found", "bob@example.com")
		b.pressAndLeave("bob@example.com")
		b.wantText("Why was this user signed out?", "Not signed out")
		phone.clockAhead.Add(int64(6 * time.Minute))
		b.pressAndLeave("Sign out everywhere")
		b.wantText("Confirm that it is you")
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Continue")
		b.wantText("Sign bob@example.com out on all devices?")
		b.pressAndLeave("Sign out everywhere")
		b.wantText("All sessions have ended.", "ended all sessions of this account", "No live session.")
	})
}

// An administrator ends a user's sessions at the admin listener, opened under another loopback name. The browser is
// also signed in as Bob at the public listener, and sends the cookies of both listeners to both ports. The listeners
// must not confuse the two users.
func TestChromiumAdminWorksAtTheAdminListener(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startWithAdministrator(t)
		second := httptest.NewUnstartedServer(nil)
		t.Cleanup(second.Close)
		at := "http://" + second.Listener.Addr().String()
		var err error
		s.server, err = server.New(s.engine, server.Options{PublicURL: s.url, AdminPages: true, AdminURL: at,
			Factors: factors.New(s.engine, s.store.Factors(), factors.Options{}),
			Admin:   admin.New(s.engine, s.store.Admin(), admin.Options{})})
		must(t, err)
		second.Config.Handler = s.server.Admin(server.AdminOptions{})
		second.Start()

		b := tabOf(s)
		b.signUp("bob@example.com")
		b.visit(strings.Replace(at, "127.0.0.1", "localhost", 1) + "/admin/users?q=bob")
		b.fillField("Email address", "ada@example.com")
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Sign in")
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Sign in")
		b.wantText("Accounts found", "bob@example.com")
		if origin := evaluate[string](b, `() => location.origin`); origin != at {
			t.Errorf("the page is of %s, want %s", origin, at)
		}
		b.pressAndLeave("bob@example.com")
		phone.clockAhead.Add(int64(6 * time.Minute))
		b.pressAndLeave("Sign out everywhere")
		b.wantText("Confirm that it is you")
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Continue")
		b.pressAndLeave("Sign out everywhere")
		b.wantText("All sessions have ended.")
		b.visit(s.url + "/account")
		b.wantText("You are signed out. Sign in again to continue.") // Bob's session in this browser has ended, too
		b.visit(at + "/admin")
		b.wantText("ada@example.com", "Overview")
		b.pressAndLeave("Sign out")
		b.wantText("You are signed out.")
	})
}
