package server_test

import (
	"bytes"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
)

// These tests send requests to the admin pages. The tests in browser_admin_test.go open the pages in a browser.

// startWithAdminPages returns a browser of an administrator at aal2.
func startWithAdminPages(t *testing.T, engine ...func(*watchword.Options)) (*service, *browser) {
	t.Helper()
	return start(t, append(engine, nil)[0], nil).addAdminPages(t)
}

// addAdminPages must be called before the first request, because it replaces the server of the service.
func (s *service) addAdminPages(t *testing.T) (*service, *browser) {
	t.Helper()
	var err error
	s.server, err = server.New(s.engine, server.Options{
		Factors:    factors.New(s.engine, s.store.Factors(), factors.Options{}),
		Admin:      admin.New(s.engine, s.store.Admin(), admin.Options{}),
		Metadata:   metadata.New(s.engine, s.store.Metadata()),
		AdminPages: true,
	})
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	return s, s.browserWithPageCookie(t, s.signInAdmin(t, "root@example.com"))
}

func (s *service) browserWithPageCookie(t *testing.T, header []string) *browser {
	t.Helper()
	b := s.newBrowser(t)
	b.Jar.SetCookies(mustURL(t, s.url), []*http.Cookie{
		{Name: "watchword-page", Value: strings.TrimPrefix(header[1], "Bearer "), Path: "/"}})
	return b
}

func (b *browser) call(method, path string, form map[string]string) fullResponse {
	b.t.Helper()
	if method == http.MethodGet {
		return b.visit(path)
	}
	return b.submitForm(path, form)
}

// Every page must check the access that its route requires, for each kind of user. The test gets the pages from the
// table of routes, so it also checks pages that are added later.
func TestAdminPagesCheckTheirReader(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t)
	users := s.addUsers(t, 2)
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	member := s.browserWithPageCookie(t, s.signInAs(t, users[1], "pwd", "otp"))
	low := s.browserWithPageCookie(t, s.signInAs(t, root, "pwd"))
	stale, aged := s.signInAs(t, root, "pwd", "otp"), s.signInAs(t, root, "pwd", "otp")
	must(t, s.setLastProof(t, stale, []string{"pwd", "otp", "mfa"}, 13*time.Hour))
	must(t, s.setLastProof(t, aged, []string{"pwd", "otp", "mfa"}, 11*time.Hour))
	old, half := s.browserWithPageCookie(t, stale), s.browserWithPageCookie(t, aged)
	insertFactor(t, s, root.ID)
	routes := s.server.AdminPageRoutes()
	if len(routes) < 20 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, r := range routes {
		path := strings.NewReplacer("{id}", string(users[0].ID), "{sid}", "00000000-0000-7000-8000-000000000000").
			Replace(r.Path)
		back := "return_to=" + strings.NewReplacer(":", "%3A", "/", "%2F").Replace(s.url+path)
		wantPage(t, s.newBrowser(t).call(r.Method, path, nil), 303, "/login?", back)
		wantPage(t, member.call(r.Method, path, nil), 404, "Page not found")
		wantPage(t, low.call(r.Method, path, nil), 303, "/step-up?", back)
		wantPage(t, old.call(r.Method, path, nil), 303, "/step-up?", back)
		// The pages must not accept a bearer token, which is for programs.
		wantPage(t, s.newBrowser(t).do(r.Method, path, "", append(stale, "Accept", "text/html")...), 303, "/login?")
		writes := slices.Contains(s.server.AdminChangePaths(), r.Path)
		if a := half.call(r.Method, path, nil); (a.StatusCode == 303) != writes {
			t.Errorf("%s %s with a proof of 11 hours: %d %s", r.Method, r.Path, a.StatusCode, a.Header)
		}
		if r.Method == http.MethodPost {
			for _, site := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
				{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
				wantPage(t, b.submitForm(path, nil, site...), 403, "This request came from another site.")
			}
			continue
		}
		a := b.visit(path)
		isPart := func(part string) bool { return strings.Contains(r.Path, part) }
		gone := []string{"{sid}", "mail/{id}", "service-keys/{id}"}
		if a.StatusCode != 200 && !slices.ContainsFunc(gone, isPart) {
			t.Errorf("%s %s as admin: %d", r.Method, r.Path, a.StatusCode)
		}
		h := a.Header
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Frame-Options") != "DENY" ||
			!strings.Contains(h.Get("Content-Security-Policy"), "script-src 'nonce-") ||
			!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", r.Path, h)
		}
	}
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		return tx.SetRoles(t.Context(), root.ID, nil, time.Now().Add(-time.Hour))
	}))
	wantPage(t, b.visit("/admin/users"), 404, "Page not found")
}

func insertFactor(t *testing.T, s *service, id watchword.UserID) {
	t.Helper()
	must(t, s.store.Factors().Update(t.Context(), func(tx factors.Tx) error {
		if _, err := tx.InsertFactor(t.Context(), factors.Factor{ID: "01890000-0000-7000-8000-000000000001", UserID: id,
			Kind: factors.KindTOTP, Name: "App", Sealed: []byte("sealed"), CreatedAt: time.Now()}); err != nil {
			return err
		}
		return tx.CountFactors(t.Context(), id, time.Now().Add(-time.Hour)) // newer tokens stay valid
	}))
}

// An administrator without a factor can't reach aal2 by a step-up, so the page must say what to do.
func TestAdminPagesLeadToAFirstFactor(t *testing.T) {
	t.Parallel()
	s, _ := startWithAdminPages(t)
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	b := s.browserWithPageCookie(t, s.signInAs(t, root, "pwd"))
	wantPage(t, b.visit("/admin/users"), 403, "Administration needs a sign-in in two steps.",
		`href="/account#security-title"`)
}

func TestAdminPagesAreOffWithoutTheOption(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b := s.browserWithPageCookie(t, header)
	wantPage(t, b.visit("/account"), 200)
	for _, r := range s.server.AdminPageRoutes() {
		path := strings.NewReplacer("{id}", "1", "{sid}", "1").Replace(r.Path)
		wantPage(t, b.call(r.Method, path, nil), 404, "Page not found")
		wantPage(t, s.newBrowser(t).call(r.Method, path, nil), 404, "Page not found")
	}
}

// A GET must ask a question that names the account, and make no change. A POST to the same path must make the change.
func TestAdminPagesAskBeforeEachChange(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t)
	operator := s.engine.Operator()
	ada, err := operator.CreateUser(t.Context(), watchword.NewUser{Email: "ada@example.com", Password: goodPassword,
		Name: "Ada"})
	must(t, err)
	first := s.signInAs(t, ada, "pwd")
	s.signInAs(t, ada, "pwd")
	who, err := s.engine.Authenticate(t.Context(), watchword.Secret(strings.TrimPrefix(first[1], "Bearer ")))
	must(t, err)
	account := "/admin/users/" + string(ada.ID)
	read := func() watchword.User {
		t.Helper()
		user, err := operator.FindUserByID(t.Context(), ada.ID)
		if watchword.CodeOf(err) == watchword.CodeNotFound {
			return watchword.User{}
		}
		must(t, err)
		return user
	}
	live := func() int {
		all, err := operator.UserSessions(t.Context(), ada.ID)
		must(t, err)
		return len(all)
	}
	for _, c := range []struct {
		path     string
		form     map[string]string
		question []string
		notice   string
		done     func() bool
	}{
		{"/name", map[string]string{"name": " <i>Countess</i> "},
			[]string{"Change the name of ada@example.com to “&lt;i&gt;Countess&lt;/i&gt;”?"}, "Name changed.",
			func() bool { return read().Name == "<i>Countess</i>" }},
		{"/roles", map[string]string{"roles": "editor, admin"},
			[]string{"Set the roles of ada@example.com to: editor, admin?", "The role admin can read and change every"},
			"Roles changed.", func() bool { return slices.Equal(read().Roles, []string{"admin", "editor"}) }},
		{"/roles", map[string]string{"roles": ""},
			[]string{"Set the roles of ada@example.com to: (nothing)?", "Without the role admin"},
			"Roles changed.", func() bool { return len(read().Roles) == 0 }},
		{"/verify-mail", nil, []string{"Email ada@example.com a link to confirm the address?"},
			"The link will be sent.",
			func() bool { return hasAdminEvents(t, s, ada.ID, "link_requested", 1) }},
		{"/reset-mail", nil, []string{"Email ada@example.com a link to choose a new password?"},
			"The link will be sent.",
			func() bool { return hasAdminEvents(t, s, ada.ID, "link_requested", 2) }},
		{"/sessions/" + string(who.Session.ID) + "/end", nil, []string{"Sign ada@example.com out on this device: "},
			"The session has ended.", func() bool { return live() == 1 }},
		{"/sign-out", nil, []string{"Sign ada@example.com out on all devices?"}, "All sessions have ended.",
			func() bool { return live() == 0 }},
		{"/reset-factors", nil, []string{"Remove all second factors and recovery codes of ada@example.com?"},
			"The second factors are removed.", func() bool { return hasAdminEvents(t, s, ada.ID, "factors_reset", 1) }},
		{"/disable", nil, []string{"Disable ada@example.com?", `class="danger"`}, "The account is disabled.",
			func() bool { return read().Disabled() }},
		{"/enable", nil, []string{"Enable ada@example.com?"}, "The account is enabled.",
			func() bool { return !read().Disabled() }},
		{"/delete", nil, []string{"Delete ada@example.com permanently?"}, "The account is deleted.",
			func() bool { return read().ID == "" }},
	} {
		shown := b.visit(account + c.path)
		if c.form != nil {
			wantPage(t, shown, 200, "ada@example.com", `action="`+account+c.path+`"`)
			shown = b.submitForm(account+c.path, c.form)
		}
		wantPage(t, shown, 200, append(c.question, `href="`+account+`"`)...)
		if c.done() {
			t.Fatalf("%s: the question made the change", c.path)
		}
		form := map[string]string{"confirmed": "yes"}
		maps.Copy(form, c.form)
		done := b.submitForm(account+c.path, form)
		wantPage(t, done, 303, "/admin/users")
		if !c.done() {
			t.Errorf("%s: the change was not made", c.path)
		}
		wantPage(t, b.visit(done.Header.Get("Location")), 200, c.notice)
	}
	wantPage(t, b.submitForm(account+"/disable", nil), 404, "does not exist any more", `href="/admin/users"`)
	// After the deletion, the old path of the account must still show why its sessions ended.
	wantPage(t, b.visit(account), 404, "This account does not exist",
		"an operator ended the session", "The account has been deleted since.")
}

// hasAdminEvents reports whether an administrator caused exactly n events of the kind.
func hasAdminEvents(t *testing.T, s *service, id watchword.UserID, kind watchword.EventKind, n int) bool {
	t.Helper()
	events, err := s.engine.Operator().UserEvents(t.Context(), id, 100)
	must(t, err)
	for _, e := range events {
		if e.Kind == kind && e.Operator == "root@example.com" {
			n--
		}
	}
	return n == 0
}

// After a refused change, the page must say what to do, and the form must have the entered values.
func TestAdminPagesShowRefusals(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t)
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	own := "/admin/users/" + string(root.ID)
	confirmed := func(path string, form map[string]string) fullResponse {
		form["confirmed"] = "yes"
		return b.submitForm(path, form)
	}
	wantPage(t, confirmed(own+"/roles", map[string]string{"roles": "editor"}), 403,
		"You can&#39;t change your own roles. Ask another administrator.", `value="editor"`)
	wantPage(t, confirmed(own+"/disable", map[string]string{}), 409,
		"This is the last administrator. Make another account an administrator first.", "Disable root@example.com?")
	wantPage(t, confirmed(own+"/delete", map[string]string{}), 409, "This is the last administrator.")
	wantPage(t, b.visit("/admin/users/new"), 200, `name="email"`, `name="roles"`)
	wantPage(t, b.submitForm("/admin/users/new", map[string]string{"email": "bob@example.com", "roles": "admin"}), 200,
		"Create an account for bob@example.com and email an invitation?", "The role admin can")
	wantPage(t, confirmed("/admin/users/new", map[string]string{"email": "bob@"}), 422, "This is not an email address.",
		`value="bob@"`)
	wantPage(t, confirmed("/admin/users/new", map[string]string{"email": "bob@example.com", "roles": "Not/A/Role"}),
		422, "A role is not valid.", `value="bob@example.com"`)
	wantPage(t, confirmed("/admin/users/new", map[string]string{"email": "root@example.com"}), 409,
		"An account with this address already exists.")
	created := confirmed("/admin/users/new", map[string]string{"email": "bob@example.com", "roles": "editor"})
	wantPage(t, created, 303, "/admin/users/")
	wantPage(t, b.visit(created.Header.Get("Location")), 200, "The invitation will be sent.",
		"bob@example.com", "editor")
	wantPage(t, b.visit("/admin/users?after=x"), 400, "not valid any more", `href="/admin/users"`)
	wantPage(t, b.visit("/admin/users?state=asleep"), 400, "not valid any more")
	for _, q := range []string{"%25", "_", "%00", strings.Repeat("a", 300), "%D0%B0da", "%ff"} {
		wantPage(t, b.visit("/admin/users?q="+q), 200, "No account matches this search.")
	}
	wantPage(t, b.visit("/admin/users?q=ROOT"), 200, own)
	wantPage(t, b.visit("/admin/users?q="+string(root.ID)), 200, own)
}

// The link to the next page of the list must contain the search.
func TestAdminUsersPageListsAllAccounts(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t)
	s.addUsers(t, 120)
	seen, pages := map[string]bool{}, 0
	next := regexp.MustCompile(`href="(/admin/users\?[^"]*after=[^"]*)"`)
	for path := "/admin/users?q=user&role=member"; path != ""; pages++ {
		page := string(b.visit(path).raw)
		for _, found := range regexp.MustCompile(`user\d{3}@example.com`).FindAllString(page, -1) {
			seen[found] = true
		}
		path = ""
		if link := next.FindStringSubmatch(page); link != nil {
			path = html.UnescapeString(link[1])
		}
	}
	if len(seen) != 120 || pages < 3 {
		t.Errorf("%d accounts on %d pages", len(seen), pages)
	}
}

// The server must read the time in the query in the time zone of the administrator's browser.
func TestAdminPageExplainsAnotherTimeAndSession(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t)
	ada, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "ada@example.com",
		Password: goodPassword})
	must(t, err)
	var ids []watchword.SessionID
	for range 2 {
		in, err := s.engine.Operator().AdmitUser(t.Context(),
			watchword.AdmitRequest{User: ada.ID, Methods: []string{"pwd"}})
		must(t, err)
		ids = append(ids, in.Session.ID)
	}
	must(t, s.engine.Operator().EndUserSession(t.Context(), ada.ID, ids[0]))
	_, err = s.engine.Operator().EndUserSessions(t.Context(), ada.ID)
	must(t, err)
	path := "/admin/users/" + string(ada.ID)
	wantPage(t, b.visit(path), 200, `<p class="answer">Signed out on `, "ended all sessions of this account",
		`href="?session=`+string(ids[0])+`"`, "ended_by_operator", "Certain: the row of the session and an event",
		"Session ended")
	wantPage(t, b.visit(path+"?session="+string(ids[0])), 200,
		"an operator ended the session of", `href="?session=`+string(ids[1])+`"`, "Show the last sign-out")
	const before = "No session that is kept had begun on 2 January 2020, "
	wantPage(t, b.visit(path+"?at=2020-01-02T10:00"), 200, before+"10:00 UTC", `value="2020-01-02T10:00"`)
	wantPage(t, b.visit(path+"?at=2020-01-02T10:00&zone=-120"), 200, before+"08:00 UTC", `value="2020-01-02T10:00"`)
	wantPage(t, b.visit(path+"?at=2020-01-02T10:00&zone=99999"), 200, before+"10:00 UTC")
	wantPage(t, b.visit(path+"?at=yesterday"), 200, "ended all sessions of this account")
	wantPage(t, b.visit(path, "Accept-Language", "de"), 200, "Warum wurde dieses Konto abgemeldet?", "Abgemeldet am ")
}

// storeRestoreEvent stores the event that the server stores after it detects a restored backup.
func (s *service) storeRestoreEvent(t *testing.T) {
	t.Helper()
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		return tx.InsertEvent(t.Context(),
			watchword.Event{ID: "restore", Kind: watchword.EventRestoreDetected, At: s.engine.Inside().Now()})
	}))
}

// The overview must say what to do about each problem. The pages of the outbox and of the keys must show the same
// data and make the same changes as the commands mail and keys.
func TestAdminPagesShowTheServer(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t)
	wantPage(t, b.visit("/admin"), 200, "Administrators without a second factor (1)",
		"Only one account can administrate",
		`href="/admin/users?factor=none&amp;role=admin"`)
	operator := s.engine.Operator()
	s.storeRestoreEvent(t)
	wantPage(t, b.visit("/admin"), 200, "The database lost changes", `href="/admin/events?kind=restore_detected"`)
	wantPage(t, b.visit("/admin/events?kind=restore_detected"), 200, "a backup was restored")
	mails := b.visit("/admin/mail")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) &&
		!bytes.Contains(mails.raw, []byte("The outbox is empty.")); { // waits until the mails of the sign-up are sent
		time.Sleep(10 * time.Millisecond)
		mails = b.visit("/admin/mail")
	}
	wantPage(t, mails, 200, "The outbox is empty.")
	wantPage(t, b.visit("/admin/mail/no-such-mail/retry"), 404, "does not exist any more")
	wantPage(t, b.submitForm("/admin/mail/retry", nil), 303, "/admin/mail?done=admin-retry-all")

	keys, err := operator.Keys(t.Context())
	must(t, err)
	wantPage(t, b.visit("/admin/keys"), 200, keys[0].ID, "Access tokens", "Refresh tokens", "Active",
		`href="/admin/keys/sign/rotate"`)
	wantPage(t, b.visit("/admin/keys/sign/rotate"), 200, "Rotate the key of access tokens?")
	wantPage(t, b.submitForm("/admin/keys/sign/rotate", nil), 303, "/admin/keys?done=admin-rotate-sign")
	after, err := operator.Keys(t.Context())
	must(t, err)
	if slices.Equal(keys, after) {
		t.Errorf("the keys are still %v", keys)
	}
	wantPage(t, b.visit("/admin/keys?done=admin-rotate-sign"), 200, "The key was rotated.")

	_, err = operator.EndEverySession(t.Context()) // solves the problem that the restore caused
	must(t, err)
	overview := s.browserWithPageCookie(t, s.signInAdmin(t, "other@example.com")).visit("/admin")
	wantPage(t, overview, 200, "Administrators without a second factor (2)")
	if bytes.Contains(overview.raw, []byte("lost changes")) {
		t.Error("a settled restore is shown")
	}
}

// The page must show a mail that can't be sent, with the error of the mail server and without the mail's link.
func TestAdminMailPageShowsTheLastError(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t, func(o *watchword.Options) { o.Mailer = failingMailer{} })
	ada, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "ada@example.com"})
	must(t, err)
	var waiting []watchword.Mail
	for len(waiting) == 0 || waiting[0].LastError == "" {
		waiting, err = s.engine.Operator().Mails(t.Context(), 10)
		must(t, err)
	}
	page := b.visit("/admin/mail")
	wantPage(t, page, 200, "You are invited to ", "ada@example.com", `href="/admin/users/`+string(ada.ID)+`"`,
		"Waiting",
		"550 5.7.1 the sender is not allowed to send", `href="/admin/mail/`+waiting[0].ID+`/retry"`)
	if strings.Contains(string(page.raw), "wwm_") {
		t.Error("the page has a token")
	}
	wantPage(t, b.visit("/admin/mail/"+waiting[0].ID+"/retry"), 200,
		"Try to send the email to ada@example.com again now?")
	wantPage(t, b.submitForm("/admin/mail/"+waiting[0].ID+"/retry", nil), 303, "/admin/mail?done=admin-retry")
}

// A service key must be shown only once, must have only its scopes, and must stop working as soon as it is revoked.
func TestAdminPagesManageServiceKeys(t *testing.T) {
	t.Parallel()
	_, b := startWithAdminPages(t)
	const path = "/admin/service-keys"
	wantPage(t, b.visit(path), 200, "There is no service key.", `href="`+path+`/new"`)
	wantPage(t, b.visit(path+"/new"), 200, `name="keyName"`, `name="scope-users:read" value="yes">`, `value="90"`)
	form := map[string]string{"keyName": "the shop", "life": "90", "scope-users:read": "yes", "scope-mail": "yes"}
	wantPage(t, b.submitForm(path+"/new", form), 200,
		"Create a service key for the shop that works for 90 days? It may do this: users:read, mail.",
		`name="scope-users:read" value="yes"`, `name="scope-keys" value=""`)
	wantPage(t, b.submitForm(path+"/new", map[string]string{"confirmed": "yes", "life": "90"}), 422,
		"Enter a name of 1 to 64 characters.", "Choose at least one.")
	wantPage(t, b.visit(path), 200, "There is no service key.")
	form["confirmed"] = "yes"
	created := b.submitForm(path+"/new", form)
	wantPage(t, created, 200, "This is the key for the shop. Copy it now: it is shown only once.")
	key := regexp.MustCompile(`wwk_[\w-]+`).FindString(string(created.raw))
	wantStatus(t, b.do("GET", "/api/admin/users", "", "Authorization", "Bearer "+key), 200, "")
	wantStatus(t, b.do("GET", "/api/admin/service-keys", "", "Authorization", "Bearer "+key), 403,
		watchword.CodeInsufficientScope)
	list := b.visit(path)
	wantPage(t, list, 200, "the shop", "Active", "<code>users:read</code>", "last used")
	if strings.Contains(string(list.raw), "wwk_") {
		t.Error("the list has a key")
	}
	revoke := regexp.MustCompile(path + `/[0-9a-f-]{36}/revoke`).FindString(string(list.raw))
	wantPage(t, b.visit(revoke), 200, "Revoke the service key of the shop?", `class="danger"`)
	wantPage(t, b.submitForm(revoke, nil), 303, path+"?done=admin-revoke")
	wantPage(t, b.visit(path+"?done=admin-revoke"), 200, "The service key is revoked.", "Revoked")
	wantStatus(t, b.do("GET", "/api/admin/users", "", "Authorization", "Bearer "+key), 401, watchword.CodeTokenInvalid)
	wantPage(t, b.submitForm(revoke, nil), 404, "does not exist any more")
}

// The list must find events by account, request, kind, address and day, including events of deleted accounts.
func TestAdminEventsPageFindsEvents(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t)
	phone := s.newBrowser(t)
	phone.register("ada@example.com")
	wrong := phone.post("/login", map[string]any{"email": "ada@example.com", "password": otherPassword})
	ada, err := s.engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	const failed, signup = "<strong>Wrong password entered</strong>", "<strong>Account created</strong>"
	today := time.Now().UTC().Format(time.DateOnly)
	for query, c := range map[string]struct{ has, hasNot string }{
		"":                                       {failed, "No event matches"},
		"?q=ADA@example.com":                     {signup, "No event matches"},
		"?q=" + string(ada.ID):                   {failed, "No event matches"},
		"?q=" + wrong.Header.Get("X-Request-Id"): {failed, signup},
		"?kind=signup":                           {signup, failed},
		"?address=127.0.0.1&kind=signup":         {signup, failed},
		"?address=203.0.113.9":                   {"No event matches", failed},
		"?q=nobody@example.com":                  {"No event matches", failed},
		"?q=nonsense":                            {"No event matches", failed},
		"?to=2020-01-01":                         {"No event matches", failed},
		"?from=" + today + "&to=" + today:        {failed, "No event matches"},
		"?from=2999-01-01":                       {"No event matches", failed},
		"?from=yesterday":                        {failed, "No event matches"},
	} {
		page := b.visit("/admin/events" + query)
		wantPage(t, page, 200, c.has)
		if strings.Contains(string(page.raw), c.hasNot) {
			t.Errorf("%q has %s", query, c.hasNot)
		}
	}
	wantPage(t, b.visit("/admin/events"), 200, `href="/admin/users/`+string(ada.ID)+`"`)
	wantPage(t, b.visit("/admin/events?after=x"), 400, "not valid any more", `href="/admin/events"`)
	wantPage(t, b.visit("/admin"), 200, "Wrong passwords in 24 hours", "Live sessions")
}

func TestAccountPageKeepsTheLastAdministrator(t *testing.T) {
	t.Parallel()
	s, b := startWithAdminPages(t)
	remove := map[string]string{"currentPassword": goodPassword}
	wantPage(t, b.submitForm("/account/delete", remove), 409, "This is the last administrator.", "Delete account")
	s.signInAdmin(t, "second@example.com")
	wantPage(t, b.submitForm("/account/delete", remove), 303, "why=deleted")
}
