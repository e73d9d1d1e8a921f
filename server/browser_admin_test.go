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

// These tests open the pages of administration in a browser, with an account that has a history.

const aLaptop = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"

// adminScene starts a service with an administrator and an account whose session was copied.
func adminScene(t *testing.T) (s *service, header []string, ada watchword.User) {
	t.Helper()
	var behind atomic.Int64 // how far the clock is behind, so that the history is some hours old
	behind.Store(int64(3 * time.Hour))
	s = start(t, func(o *watchword.Options) {
		o.Now = func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }
		o.Mailer = brokenMailer{}
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
	s.noticeRestore(t)

	phone, thief := s.browser(t), s.browser(t)
	at := func(agent, address string) []string {
		return []string{"User-Agent", agent, "X-Forwarded-For", address}
	}
	want(t, phone.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword,
		"name": "Ada Lovelace"}, at(aPhone, "198.51.100.7")...), 201, "")
	copied := phone.Jar.Cookies(mustURL(t, s.url))
	for range 3 {
		want(t, phone.do("POST", "/api/auth/refresh", "", at(aPhone, "198.51.100.7")...), 200, "")
	}
	behind.Store(int64(time.Hour))
	thief.Jar.SetCookies(mustURL(t, s.url), copied)
	want(t, thief.do("POST", "/api/auth/refresh", "", at(aLaptop, "203.0.113.9")...), 401, watchword.CodeRefreshReused)
	for _, password := range []string{otherPassword, goodPassword} {
		_ = phone.post("/login", map[string]any{"email": "ada@example.com", "password": password},
			at(aPhone, "198.51.100.7")...)
	}
	ada, err = s.engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	setFactors(t, s, ada.ID)
	behind.Store(0)
	_, err = metadata.New(s.engine, s.store.Metadata()).Patch(t.Context(), ada.ID, metadata.Patch{
		IfMatch: `"0"`, Operator: "root@example.com", Public: `{"plan":"pro","seats":12}`, Private: `{"crm":"C-1042"}`})
	must(t, err)
	return s, s.signInAdmin(t, "root@example.com"), ada
}

// A brokenMailer is a mailer that fails to send each mail.
type brokenMailer struct{}

func (brokenMailer) Send(context.Context, watchword.Message) error {
	return errors.New("550 5.7.1 the sender is not allowed to send")
}

// asPageOf gives a tab the page cookie with the access token of an Authorization header. The tab is then signed in.
func (b *tab) asPageOf(header []string) *tab {
	b.t.Helper()
	command(b, network.SetCookie, network.SetCookieParams{Name: "watchword-page",
		Value: strings.TrimPrefix(header[1], "Bearer "), URL: b.url, Path: "/"})
	return b
}

// adminSights returns all pages of administration, in each of their states.
func adminSights(ada watchword.User) []sight {
	user := "/admin/users/" + string(ada.ID)
	return []sight{
		{"overview", at("/admin")},
		{"events", at("/admin/events")},
		{"events-found", at("/admin/events?q=ada@example.com&kind=refresh_reused")},
		{"service-keys", at("/admin/service-keys")},
		{"service-key-form", at("/admin/service-keys/new")},
		{"service-key", func(b *tab) {
			b.visit("/admin/service-keys/new")
			see[bool](b, `() => { document.getElementById("admin-keyName").value = "the shop";
        document.querySelector("[name='scope-users:read']").checked = true;
        document.querySelector(".change").submit(); return true }`)
			b.until("the question", `() => document.querySelector(".question")?.innerText.includes("the shop")`)
			see[bool](b, `() => { document.querySelector(".change").submit(); return true }`)
			b.until("the key", `() => document.querySelector(".codes")?.innerText.includes("wwk_")`)
		}},
		{"service-keys-one", at("/admin/service-keys")},
		{"mail", at("/admin/mail")},
		{"keys", at("/admin/keys")},
		{"rotate", at("/admin/keys/sign/rotate")},
		{"users", at("/admin/users")},
		{"users-found", at("/admin/users?q=user0&state=disabled")},
		{"users-none", at("/admin/users?q=nobody")},
		{"users-gone", at("/admin/users?q=00000000-0000-7000-8000-0000000000ff")},
		{"users-refused", at("/admin/users?after=x")},
		{"user", at(user)},
		{"user-gone", at("/admin/users/00000000-0000-7000-8000-0000000000ff")},
		{"disable", at(user + "/disable")},
		{"roles", at(user + "/roles")},
		{"roles-confirm", func(b *tab) {
			b.visit(user + "/roles")
			see[bool](b, `() => { document.getElementById("admin-roles").value = "editor admin"; return true }`)
			see[bool](b, `() => { document.querySelector("section form").submit(); return true }`)
			b.until("the question", `() => document.querySelector(".question")?.innerText.includes("editor admin")`)
		}},
		{"missing", at(user + "/sessions/x/end")},
	}
}

// No text may be cut off, and axe-core must report no fault.
func TestAdminPagesFitAndAreAccessible(t *testing.T) {
	t.Parallel()
	check := accessible(t)
	s, header, ada := adminScene(t)
	for _, language := range []string{"en", "de"} {
		b := s.tab(t).asPageOf(header)
		b.speaking(language, see[string](b, `() => navigator.userAgent`))
		for _, one := range adminSights(ada) {
			one.open(b)
			check(b, "admin-"+one.name+"-"+language)
		}
	}
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	b := s.tab(t).asPageOf(s.signInAs(t, root, "pwd"))
	b.visit("/admin/users")
	check(b, "admin-factor")
}

// startAdministrator starts a service with the administrator ada@example.com, who has an app.
func startAdministrator(t *testing.T) (*service, *phone) {
	t.Helper()
	s, phone := startFactors(t, nil, nil)
	_, phone.secret, _ = s.enrolTOTP(t, s.browser(t))
	ada, err := s.engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	_, err = s.engine.Operator().SetRoles(t.Context(), ada.ID, []string{watchword.RoleAdmin})
	must(t, err)
	return s, phone
}

// An administrator signs in with the second step, finds a user, and ends the user's sessions after a step-up. When
// the step-up is done, the browser must return to the question whether to end the sessions. The test runs with and
// without the script.
func TestChromiumAdminSignsAUserOutAfterAStepUp(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startAdministrator(t)
		var err error
		s.server, err = server.New(s.engine, server.Options{PublicURL: s.url, AdminPages: true,
			Factors: factors.New(s.engine, s.store.Factors(), factors.Options{}),
			Admin:   admin.New(s.engine, s.store.Admin(), admin.Options{})})
		must(t, err)
		s.browser(t).register("bob@example.com")

		b := tabOf(s)
		b.visit("/admin/users?q=bob")
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Sign in")
		b.fill("Code", phone.code())
		b.press("Sign in")
		b.reads("Accounts found", "bob@example.com")
		b.press("bob@example.com")
		b.reads("Why was this user signed out?", "Not signed out")
		phone.forward.Add(int64(6 * time.Minute))
		b.press("Sign out everywhere")
		b.reads("Confirm that it is you")
		b.fill("Code", phone.code())
		b.press("Continue")
		b.reads("Sign bob@example.com out on all devices?")
		b.press("Sign out everywhere")
		b.reads("All sessions have ended.", "ended all sessions of this account", "No live session.")
	})
}

// An administrator ends a user's sessions at the admin listener, opened under another loopback name. The browser is
// also signed in as Bob at the public listener, and sends the cookies of both listeners to both ports. The listeners
// must not confuse the two users.
func TestChromiumAdminWorksAtTheAdminListener(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startAdministrator(t)
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
		b.fill("Email address", "ada@example.com")
		b.fill("Password", goodPassword)
		b.press("Sign in")
		b.fill("Code", phone.code())
		b.press("Sign in")
		b.reads("Accounts found", "bob@example.com")
		if origin := see[string](b, `() => location.origin`); origin != at {
			t.Errorf("the page is of %s, want %s", origin, at)
		}
		b.press("bob@example.com")
		phone.forward.Add(int64(6 * time.Minute))
		b.press("Sign out everywhere")
		b.reads("Confirm that it is you")
		b.fill("Code", phone.code())
		b.press("Continue")
		b.press("Sign out everywhere")
		b.reads("All sessions have ended.")
		b.visit(s.url + "/account")
		b.reads("You are signed out. Sign in again to continue.") // Bob's session in this browser has ended, too
		b.visit(at + "/admin")
		b.reads("ada@example.com", "Overview")
		b.press("Sign out")
		b.reads("You are signed out.")
	})
}
