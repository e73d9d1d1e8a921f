package server_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
)

// startWithAdmin signs the administrator in at aal2.
func startWithAdmin(t *testing.T, engine ...func(*watchword.Options)) (s *service, adminHeader []string) {
	t.Helper()
	s = start(t, append(engine, nil)[0], nil)
	var err error
	s.server, err = server.New(s.engine, server.Options{ // replaces the server before its first request
		Factors:  factors.New(s.engine, s.store.Factors(), factors.Options{}),
		Admin:    admin.New(s.engine, s.store.Admin(), admin.Options{}),
		Metadata: metadata.New(s.engine, s.store.Metadata()),
	})
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	return s, s.signInAdmin(t, "root@example.com")
}

// signInAdmin creates the administrator, who signs in with two factors.
func (s *service) signInAdmin(t *testing.T, email string) (header []string) {
	t.Helper()
	operator := s.engine.Operator()
	user, err := operator.CreateUser(t.Context(), watchword.NewUser{
		Email: email, Password: goodPassword, Roles: []string{"admin"}})
	must(t, err)
	must(t, operator.MarkVerified(t.Context(), user.ID))
	return s.signInAs(t, user, "pwd", "otp")
}

func (s *service) signInAs(t *testing.T, user watchword.User, methods ...string) (header []string) {
	t.Helper()
	in, err := s.engine.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{User: user.ID, Methods: methods})
	must(t, err)
	return []string{"Authorization", "Bearer " + string(in.AccessToken)}
}

func (s *service) addUsers(t *testing.T, n int) (all []watchword.User) {
	t.Helper()
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		for i := range n {
			now := time.Now().UTC().Truncate(time.Millisecond)
			u := watchword.User{
				ID:    watchword.UserID(fmt.Sprintf("00000000-0000-7000-8000-%012d", i)),
				Email: watchword.Address(fmt.Sprintf("user%03d@example.com", i)),
				Roles: []string{"member"}, VerifiedAt: now, CreatedAt: now,
			}
			if i%10 == 0 {
				u.DisabledAt = now
			}
			if _, err := tx.InsertUser(t.Context(), u, now); err != nil {
				return err
			}
			all = append(all, u)
		}
		return nil
	}))
	return all
}

// listEmails reads all pages of a list, and returns the addresses and the number of pages.
func listEmails(t *testing.T, b *browser, path string, header []string) (emails []string, pages int) {
	t.Helper()
	for next := ""; ; {
		a := b.do("GET", path+next, "", header...)
		wantStatus(t, a, 200, "")
		for _, item := range a.body["items"].([]any) {
			emails = append(emails, item.(map[string]any)["email"].(string))
		}
		pages++
		if a.text("next") == "" {
			return emails, pages
		}
		next = "&after=" + url.QueryEscape(a.text("next"))
	}
}

func TestAdminFindsUsersInPages(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	s.addUsers(t, 120)
	b := s.newBrowser(t)
	for query, want := range map[string]struct{ users, pages int }{
		"?":                                  {121, 3},
		"?limit=200":                         {121, 1},
		"?email=USER01":                      {10, 1},
		"?email=user&limit=60":               {120, 3},
		"?email=user119@example.com":         {1, 1},
		"?email=%25":                         {0, 1},
		"?email=_":                           {0, 1},
		"?email=%00":                         {0, 1},
		"?email=\u0430":                      {0, 1},
		"?email=" + strings.Repeat("a", 300): {0, 1},
		"?role=admin":                        {1, 1},
		"?role=member&limit=100":             {120, 2},
		"?role=member&email=user00":          {10, 1},
		"?role=%00":                          {0, 1},
		"?state=disabled&limit=5":            {12, 3},
		"?state=active":                      {109, 3},
		"?factor=none&role=admin":            {1, 1},
		"?factor=any":                        {0, 1},
		"?id=00000000-0000-7000-8000-000000000007": {1, 1},
		"?id=7": {0, 1},
	} {
		emails, pages := listEmails(t, b, "/api/admin/users"+query, header)
		if len(emails) != want.users || pages > want.pages {
			t.Errorf("%s: %d users in %d pages, want %d in %d", query, len(emails), pages, want.users, want.pages)
		}
	}
}

func TestAdminCursorBelongsToItsFilter(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	s.addUsers(t, 3)
	b := s.newBrowser(t)
	first := b.do("GET", "/api/admin/users?email=user&limit=2", "", header...)
	wantStatus(t, first, 200, "")
	after := "&after=" + first.text("next")
	wantStatus(t, b.do("GET", "/api/admin/users?email=user&limit=1"+after, "", header...), 200, "")
	other, elsewhere := startWithAdmin(t, func(o *watchword.Options) {
		o.MasterKey = []byte("another master key for tests, 32")
	})
	for name, a := range map[string]fullResponse{
		"another prefix":  b.do("GET", "/api/admin/users?email=use"+after, "", header...),
		"another filter":  b.do("GET", "/api/admin/users?email=user&state=active"+after, "", header...),
		"a changed byte":  b.do("GET", "/api/admin/users?email=user"+after[:len(after)-1]+"!", "", header...),
		"a short cursor":  b.do("GET", "/api/admin/users?email=user&after=QQ", "", header...),
		"no limit":        b.do("GET", "/api/admin/users?limit=0", "", header...),
		"a large limit":   b.do("GET", "/api/admin/users?limit=201", "", header...),
		"unknown state":   b.do("GET", "/api/admin/users?state=locked", "", header...),
		"unknown factor":  b.do("GET", "/api/admin/users?factor=sms", "", header...),
		"unknown name":    b.do("GET", "/api/admin/users?mail=ada", "", header...),
		"a repeated name": b.do("GET", "/api/admin/users?email=a&email=b", "", header...),
		"another store":   other.newBrowser(t).do("GET", "/api/admin/users?email=user"+after, "", elsewhere...),
	} {
		if a.StatusCode != 400 || a.text("code") != string(watchword.CodeParameterInvalid) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
		}
	}
}

// Every route must accept and refuse each kind of caller as its guard says. The routes come from the table, so the
// test also calls a new route.
//
// AZ-4
func TestAdminRoutesCheckTheirGuard(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	member := s.signInAs(t, s.addUsers(t, 2)[1], "pwd", "otp")
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	stale := s.signInAs(t, root, "pwd", "otp")
	must(t, s.setLastProof(t, stale, []string{"pwd", "otp", "mfa"}, 13*time.Hour))
	aged := s.signInAs(t, root, "pwd", "otp")
	must(t, s.setLastProof(t, aged, []string{"pwd", "otp", "mfa"}, 11*time.Hour))
	b := s.newBrowser(t)
	routes := s.server.AdminRoutes()
	if len(routes) == 0 {
		t.Fatal("no routes")
	}
	for _, r := range routes {
		path := strings.NewReplacer("{id}", "00000000-0000-7000-8000-000000000000",
			"{sid}", "00000000-0000-7000-8000-000000000000").Replace(r.Path)
		for caller, c := range map[string]struct {
			header []string
			status int
			code   watchword.Code
		}{
			"no token":         {nil, 401, watchword.CodeTokenMissing},
			"an invalid token": {[]string{"Authorization", "Bearer x"}, 401, watchword.CodeTokenInvalid},
			"a user":           {member, 403, watchword.CodeInsufficientScope},
			"admin at aal1":    {s.signInAs(t, root, "pwd"), 401, watchword.CodeStepUpRequired},
			"a stale admin":    {stale, 401, watchword.CodeStepUpRequired},
		} {
			a := b.do(r.Method, path, "", c.header...)
			if a.StatusCode != c.status || a.text("code") != string(c.code) {
				t.Errorf("%s %s as %s: %d %s", r.Method, r.Path, caller, a.StatusCode, a.raw)
			}
			challenge := a.Header.Get("WWW-Authenticate")
			if c.code == watchword.CodeStepUpRequired && !strings.Contains(challenge, `acr_values="aal2", max_age="`) {
				t.Errorf("%s %s as %s: WWW-Authenticate %s", r.Method, r.Path, caller, challenge)
			}
		}
		// A read accepts a proof up to 12 hours old. A write needs a more recent proof.
		a := b.do(r.Method, path, "", aged...)
		if needs := a.text("code") == string(watchword.CodeStepUpRequired); needs != (r.Method != "GET") {
			t.Errorf("%s %s with a proof of 11 hours: %d %s", r.Method, r.Path, a.StatusCode, a.raw)
		}
		if r.Method == "GET" {
			a := b.do(r.Method, path, "", header...)
			if a.StatusCode != 200 && a.StatusCode != 404 {
				t.Errorf("%s %s as admin: %d %s", r.Method, r.Path, a.StatusCode, a.raw)
			}
		}
	}
}

func (s *service) setLastProof(t *testing.T, header, methods []string, age time.Duration) error {
	t.Helper()
	who, err := s.engine.Authenticate(t.Context(), watchword.Secret(strings.TrimPrefix(header[1], "Bearer ")))
	must(t, err)
	return s.store.Factors().Update(t.Context(), func(tx factors.Tx) error {
		alive := s.engine.Inside().Cutoffs(time.Now())
		_, err := tx.ProveSession(t.Context(), who.Session.ID, methods, time.Now().Add(-age), alive)
		return err
	})
}

// AZ-4
func TestAdminDemotionCountsAtTheNextRequest(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	b := s.newBrowser(t)
	wantStatus(t, b.do("GET", "/api/admin/users", "", header...), 200, "")
	// The role is removed in the store directly, so the access token stays valid and still names the role.
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		return tx.SetRoles(t.Context(), root.ID, nil, time.Now().Add(-time.Hour))
	}))
	wantStatus(t, b.do("GET", "/api/admin/users", "", header...), 403, watchword.CodeInsufficientScope)
}

func TestAdminReadsTheIdentitiesOfAnAccount(t *testing.T) {
	t.Parallel()
	w := newAttackSetup(t, openSQLite(t))
	header := w.signInAdmin(t, "root@example.com")
	a := w.newBrowser(t).do("GET", "/api/admin/users/"+string(w.ada.id), "", header...)
	wantStatus(t, a, 200, "")
	all, _ := a.body["identities"].([]any)
	if len(all) != 1 {
		t.Fatalf("%s", a.raw)
	}
	one := all[0].(map[string]any)
	if one["provider"] != "campus" || one["email"] != w.ada.email || one["linkedAt"] == nil || one["subject"] != nil {
		t.Errorf("%v", one)
	}
}

func TestAdminChangesAccounts(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b := s.newBrowser(t)
	a := b.do("POST", "/api/admin/users",
		`{"email":"ada@example.com","name":"Ada","roles":["staff"],"invite":true}`, header...)
	wantStatus(t, a, 201, "")
	created, _ := a.body["user"].(map[string]any)
	path := "/api/admin/users/" + created["id"].(string)
	if created["state"] != "unverified" || created["hasPassword"] != false {
		t.Errorf("%s", a.raw)
	}
	invite := `{"email":"ada@example.com","invite":true}`
	wantStatus(t, b.do("POST", "/api/admin/users", invite, header...), 409, watchword.CodeEmailTaken)
	wantStatus(t, b.do("POST", "/api/admin/users", `{"email":"b@example.com","invite":true,"verified":true}`,
		header...), 422,
		watchword.CodeValidationFailed)
	unmailed := b.do("POST", "/api/admin/users", `{"email":"c@example.com","verified":true}`, header...)
	wantStatus(t, unmailed, 201, "")
	if user := unmailed.body["user"].(map[string]any); user["state"] != "active" || user["hasPassword"] != false {
		t.Errorf("%s", unmailed.raw)
	}
	wantStatus(t, b.do("POST", "/api/admin/users", `{"email":"c@example.com"}`, header...), 409,
		watchword.CodeEmailTaken)
	wantStatus(t, b.do("POST", "/api/admin/users", `{"email":"b@example.com","invite":true,"password":"x"}`,
		header...), 400,
		apirequest.CodeBodyInvalid)

	a = b.do("PATCH", path, `{"name":"Ada L.","disabled":true}`, header...)
	wantStatus(t, a, 200, "")
	changed := a.body["user"].(map[string]any)
	if changed["name"] != "Ada L." || changed["state"] != "disabled" || changed["disabledAt"] == nil {
		t.Errorf("%s", a.raw)
	}
	wantStatus(t, b.do("POST", path+"/reset-mail", "", header...), 422, watchword.CodeValidationFailed)
	wantStatus(t, b.do("PATCH", path, `{"disabled":false}`, header...), 200, "")
	wantStatus(t, b.do("PATCH", path, `{"roles":["Not a role"]}`, header...), 422, watchword.CodeValidationFailed)
	wantStatus(t, b.do("PATCH", path, `{"verified":true}`, header...), 400, apirequest.CodeBodyInvalid)
	wantStatus(t, b.do("POST", path+"/reset-mail", "", header...), 202, "")
	wantStatus(t, b.do("POST", path+"/verify-mail", "", header...), 202, "")
	wantStatus(t, b.do("POST", path+"/reset-factors", "", header...), 200, "")
	ada, err := s.engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	must(t, s.engine.Operator().MarkVerified(t.Context(), ada.ID))
	session := s.signInAs(t, ada, "pwd")
	s.signInAs(t, ada, "pwd")
	a = b.do("GET", path, "", header...)
	wantStatus(t, a, 200, "")
	sessions := a.body["sessions"].([]any)
	if len(sessions) != 2 || !strings.Contains(string(a.raw), `"operator":"root@example.com"`) ||
		!strings.Contains(string(a.raw), `"identities":[]`) { // this server has no providers
		t.Errorf("%s", a.raw)
	}
	one := sessions[0].(map[string]any)["id"].(string)
	wantStatus(t, b.do("DELETE", path+"/sessions/"+one, "", header...), 200, "")
	wantStatus(t, b.do("DELETE", path+"/sessions/"+one, "", header...), 404, watchword.CodeNotFound)
	a = b.do("GET", path, "", header...)
	if ended, _ := a.body["endedSessions"].([]any); len(ended) != 1 ||
		ended[0].(map[string]any)["reason"] != "ended_by_operator" || ended[0].(map[string]any)["id"] != one {
		t.Errorf("%s", a.raw)
	}
	if a = b.do("DELETE", path+"/sessions", "", header...); a.body["ended"] != float64(1) {
		t.Errorf("%d %s", a.StatusCode, a.raw)
	}
	wantStatus(t, b.do("GET", "/api/auth/me", "", session...), 401, watchword.CodeSessionEnded)
	wantStatus(t, b.do("DELETE", path, "", header...), 200, "")
	wantStatus(t, b.do("GET", path, "", header...), 404, watchword.CodeNotFound)
	wantStatus(t, b.do("DELETE", path, "", header...), 404, watchword.CodeNotFound)

	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	own := "/api/admin/users/" + string(root.ID)
	wantStatus(t, b.do("PATCH", own, `{"roles":["admin","staff"]}`, header...), 403, admin.CodeOwnRoles)
	wantStatus(t, b.do("PATCH", own, `{"disabled":true}`, header...), 409, watchword.CodeLastAdmin)
	wantStatus(t, b.do("DELETE", own, "", header...), 409, watchword.CodeLastAdmin)
	wantStatus(t, b.do("DELETE", "/api/auth/me", `{"password":"`+goodPassword+`"}`, header...), 409,
		watchword.CodeLastAdmin)
	s.signInAdmin(t, "second@example.com")
	wantStatus(t, b.do("DELETE", own, "", header...), 200, "")
}

// JWT-21
func TestAdminWritesMetadataByVersions(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b := s.newBrowser(t)
	ada, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{
		Email: "ada@example.com", Password: goodPassword})
	must(t, err)
	path := "/api/admin/users/" + string(ada.ID)
	a := b.do("GET", path, "", header...)
	wantStatus(t, a, 200, "")
	if got := a.Header.Get("ETag"); got != `"0"` ||
		!strings.Contains(string(a.raw), `"metadata":{"version":0,"public":{},"private":{}}`) {
		t.Errorf("before: ETag %s, %s", got, a.raw)
	}
	match := func(tag string) []string { return append([]string{"If-Match", tag}, header...) }
	first := `{"metadata":{"public":{"plan":"pro","org":{"id":9007199254740993}},"private":{"note":"x"}},"name":"Ada"}`
	a = b.do("PATCH", path, first, match(`"0"`)...)
	wantStatus(t, a, 200, "")
	const stored = `"metadata":{"version":1,"public":{"org":{"id":9007199254740993},"plan":"pro"},"private":{"note":"x"}}`
	if a.Header.Get("ETag") != `"1"` || !strings.Contains(string(a.raw), stored) ||
		!strings.Contains(string(a.raw), `"name":"Ada"`) {
		t.Errorf("after: ETag %s, %s", a.Header.Get("ETag"), a.raw)
	}
	// A request with an outdated version must change neither metadata nor name.
	wantStatus(t, b.do("PATCH", path, `{"name":"Eve","metadata":{"public":{"plan":null}}}`, match(`"0"`)...), 412,
		metadata.CodeVersionChanged)
	a = b.do("GET", path, "", header...)
	if !strings.Contains(string(a.raw), stored) || !strings.Contains(string(a.raw), `"name":"Ada"`) {
		t.Errorf("after a refused version: %s", a.raw)
	}
	for body, code := range map[string]watchword.Code{
		`{"metadata":{"publik":{}}}`:            apirequest.CodeBodyInvalid,
		`{"metadata":{"PUBLIC":{}}}`:            apirequest.CodeBodyInvalid,
		`{"metadata":{"public":{},"Public":1}}`: apirequest.CodeBodyInvalid,
		`{"metadata":[]}`:                       apirequest.CodeBodyInvalid,
		`{"metadata":null}`:                     apirequest.CodeBodyInvalid,
		`{"name":null}`:                         apirequest.CodeBodyInvalid,
		`{"metadata":{"public":{"a":1,"a":2}}}`: apirequest.CodeBodyInvalid,
		`{"metadata":{"public":[1]}}`:           watchword.CodeValidationFailed,
		`{"metadata":{"public":` + strings.Repeat(`{"a":`, 9) + `1` +
			strings.Repeat("}", 10) + `}`: watchword.CodeValidationFailed,
		`{"metadata":{"private":{"a":"` +
			strings.Repeat("x", 9000) + `"}}}`: watchword.CodeValidationFailed,
	} {
		status := 400
		if code == watchword.CodeValidationFailed {
			status = 422
		}
		wantStatus(t, b.do("PATCH", path, body, header...), status, code)
	}
	a = b.do("PATCH", path, `{"metadata":{"publik":{}}}`, header...)
	if !strings.Contains(a.text("detail"), "publik") {
		t.Errorf("an unknown member: %s", a.raw)
	}
	a = b.do("PATCH", path, `{"metadata":{"public":{"plan":null,"org":null},"private":null}}`,
		append([]string{"Content-Type", "application/merge-patch+json"}, header...)...)
	wantStatus(t, a, 200, "")
	if !strings.Contains(string(a.raw), `"metadata":{"version":2,"public":{},"private":{}}`) {
		t.Errorf("emptied: %s", a.raw)
	}
}
