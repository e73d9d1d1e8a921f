package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/server"
)

func TestAdminRepeatedRequestGetsTheFirstResult(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b := s.newBrowser(t)
	with := func(key string) []string { return append([]string{"Idempotency-Key", key}, header...) }
	const invite = `{"email":"ada@example.com","invite":true}`
	one := with("0e8f3d0a-6a0b-4c6e-9d8e-3f5f3d3b7a01")
	first, second := b.do("POST", "/api/admin/users", invite, one...), b.do("POST", "/api/admin/users", invite, one...)
	wantStatus(t, first, 201, "")
	wantStatus(t, second, 201, "")
	if string(first.raw) != string(second.raw) {
		t.Errorf("%s\n%s", first.raw, second.raw)
	}
	path := "/api/admin/users/" + first.body["user"].(map[string]any)["id"].(string)
	wantStatus(t, b.do("POST", "/api/admin/users", strings.Replace(invite, "ada", "bob", 1), one...), 422,
		watchword.CodeValidationFailed)
	wantStatus(t, b.do("DELETE", path, "", one...), 422, watchword.CodeValidationFailed)
	wantStatus(t, b.do("POST", "/api/admin/users", invite, with("1")...), 400, watchword.CodeParameterInvalid)
	wantStatus(t, b.do("POST", "/api/admin/users", invite, header...), 409, watchword.CodeEmailTaken)

	// After a refused request, the same key must work for a corrected request.
	two := with("0e8f3d0a-6a0b-4c6e-9d8e-3f5f3d3b7a02")
	wantStatus(t, b.do("PATCH", path, `{"name":"Ada","disabled":false,"roles":["Not a role"]}`, two...), 422,
		watchword.CodeValidationFailed)
	wantStatus(t, b.do("PATCH", path, `{"name":"Ada"}`, two...), 200, "")
	wantStatus(t, b.do("PATCH", path, `{"name":"Eve"}`, header...), 200, "")
	again := b.do("PATCH", path, `{"name":"Ada"}`, two...)
	wantStatus(t, again, 200, "")
	if !strings.Contains(string(again.raw), `"name":"Eve"`) {
		t.Errorf("the repetition changed the name again: %s", again.raw)
	}

	// The repetition of a request that created a service key must not show the key again.
	three := with("0e8f3d0a-6a0b-4c6e-9d8e-3f5f3d3b7a03")
	const create = `{"name":"billing","scopes":["users:read"]}`
	first = b.do("POST", "/api/admin/service-keys", create, three...)
	second = b.do("POST", "/api/admin/service-keys", create, three...)
	wantStatus(t, second, 201, "")
	if first.text("key") == "" || second.text("id") != first.text("id") || strings.Contains(string(second.raw), "key") {
		t.Errorf("%s\n%s", first.raw, second.raw)
	}
	four := with("0e8f3d0a-6a0b-4c6e-9d8e-3f5f3d3b7a04")
	wantStatus(t, b.do("DELETE", path, "", four...), 200, "")
	wantStatus(t, b.do("DELETE", path, "", four...), 200, "")
	wantStatus(t, b.do("DELETE", path, "", header...), 404, watchword.CodeNotFound)
}

// A request with an invalid body makes no change. Its idempotency key must then work for the corrected request.
func TestAdminRequestWithAWrongFormGivesItsKeyBack(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b := s.newBrowser(t)
	const right = `{"email":"%d@example.com"}`
	for i, c := range []struct {
		body, kind string
		status     int
		code       watchword.Code
	}{
		{`{"email":`, "application/json", 400, apirequest.CodeBodyInvalid},
		{`{"mail":"x@example.com"}`, "application/json", 400, apirequest.CodeBodyInvalid},
		{`{"email":"` + strings.Repeat("x", 17<<10) + `"}`, "application/json", 413, apirequest.CodeBodyTooLarge},
		{fmt.Sprintf(right, 3), "text/plain", 415, apirequest.CodeContentType},
	} {
		with := append([]string{"Idempotency-Key", uuid.NewString()}, header...)
		for range 2 { // the same mistake again must get the same response at once
			wantStatus(t, b.do("POST", "/api/admin/users", c.body, append(with, "Content-Type", c.kind)...), c.status,
				c.code)
		}
		wantStatus(t, b.do("POST", "/api/admin/users", fmt.Sprintf(right, i), with...), 201, "")
	}
}

// Between a request and its repetition, the account is verified, promoted, changed or deleted. The repetition must
// still get the result of the first request. The record does not contain the account. The repetition of a PATCH
// therefore returns the account as it is now, and a 404 after its deletion.
func TestAdminRepetitionGetsTheFirstResultAfterOtherChanges(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b, operator := s.newBrowser(t), s.engine.Operator()
	_, key := s.createServiceKey(t, header, admin.ScopeUsersWrite)
	with := func(headers []string) []string {
		return append([]string{"Idempotency-Key", uuid.NewString()}, headers...)
	}
	one, two, three, four := with(header), with(key), with(key), with(header)
	const create = `{"email":"ada@example.com","name":"Ada","invite":true}`
	created := b.do("POST", "/api/admin/users", create, one...)
	wantStatus(t, created, 201, "")
	id := watchword.UserID(created.body["user"].(map[string]any)["id"].(string))
	path := "/api/admin/users/" + string(id)
	wantStatus(t, b.do("POST", path+"/invite", "", two...), 202, "")
	wantStatus(t, b.do("POST", path+"/reset-factors", "", three...), 200, "")
	wantStatus(t, b.do("PATCH", path, `{"name":"Grace"}`, four...), 200, "")
	repeat := func() {
		t.Helper()
		wantStatus(t, b.do("POST", path+"/invite", "", two...), 202, "")
		wantStatus(t, b.do("POST", path+"/reset-factors", "", three...), 200, "")
	}
	must(t, operator.MarkVerified(t.Context(), id))
	_, err := operator.SetRoles(t.Context(), id, []string{"admin"})
	must(t, err)
	repeat()
	wantStatus(t, b.do("PATCH", path, `{"name":"Ada"}`, header...), 200, "")
	if a := b.do("PATCH", path, `{"name":"Grace"}`, four...); !strings.Contains(string(a.raw), `"name":"Ada"`) {
		t.Errorf("the repetition of a change: %s", a.raw)
	}
	wantStatus(t, b.do("DELETE", path, "", header...), 200, "")
	repeat()
	wantStatus(t, b.do("PATCH", path, `{"name":"Grace"}`, four...), 404, watchword.CodeNotFound)
	again := b.do("POST", "/api/admin/users", create, one...)
	wantStatus(t, again, 201, "")
	// The repetition computes createdAt from the account's id, so createdAt may differ by a millisecond. All other
	// members must be equal.
	before, after := created.body["user"].(map[string]any), again.body["user"].(map[string]any)
	var at [2]time.Time
	for i, body := range []map[string]any{before, after} {
		at[i], err = time.Parse(time.RFC3339, body["createdAt"].(string))
		must(t, err)
	}
	if at[1].Sub(at[0]).Abs() > time.Second {
		t.Errorf("created at %s, then %s", at[0], at[1])
	}
	delete(before, "createdAt")
	delete(after, "createdAt")
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%s\n%s", created.raw, again.raw)
	}
}

func TestAdminListsEventsMailsAndKeys(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b := s.newBrowser(t)
	a := b.do("POST", "/api/admin/users", `{"email":"ada@example.com","invite":true}`, header...)
	wantStatus(t, a, 201, "")
	id := a.body["user"].(map[string]any)["id"].(string)
	path := "/api/admin/users/" + id
	wantStatus(t, b.do("POST", path+"/invite", "", header...), 202, "")
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	wantStatus(t, b.do("POST", "/api/admin/users/"+string(root.ID)+"/invite", "", header...), 422,
		watchword.CodeValidationFailed)

	a = b.do("GET", "/api/admin/events?limit=1&user="+id, "", header...)
	wantStatus(t, a, 200, "")
	if !strings.Contains(string(a.raw), `"link_requested"`) || a.text("next") == "" {
		t.Errorf("%s", a.raw)
	}
	for _, query := range []string{"?from=yesterday", "?to=1", "?sort=at", "?limit=201", "?after=x"} {
		wantStatus(t, b.do("GET", "/api/admin/events"+query, "", header...), 400, watchword.CodeParameterInvalid)
	}
	// The test inserts a mail that was given up, because such a mail stays in the outbox. The engine may send the
	// earlier mails at any time.
	mail := watchword.Mail{ID: "01a226f9-eb43-7a37-acd8-7e63b22b4185", Kind: watchword.MailReset,
		To: "late@example.com", CreatedAt: root.CreatedAt, GivenUpAt: root.CreatedAt, LastError: "550 no such user"}
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error { return tx.InsertMail(t.Context(), mail) }))
	a = b.do("GET", "/api/admin/mails?limit=200", "", header...)
	wantStatus(t, a, 200, "")
	if !strings.Contains(string(a.raw), `"state":"given-up","attempts":0,"lastError":"550 no such user"`) {
		t.Fatalf("%s", a.raw)
	}
	wantStatus(t, b.do("POST", "/api/admin/mails/"+mail.ID+"/retry", "", header...), 202, "")
	wantStatus(t, b.do("POST", "/api/admin/mails/x/retry", "", header...), 404, watchword.CodeNotFound)

	_, reader := s.createServiceKey(t, header, admin.ScopeKeys)
	a = b.do("GET", "/api/admin/keys", "", reader...)
	wantStatus(t, a, 200, "")
	before := string(a.raw)
	a = b.do("POST", "/api/admin/keys/rotate", `{"use":"refresh"}`, reader...)
	wantStatus(t, a, 200, "")
	if string(a.raw) == before || !strings.Contains(string(a.raw), `"use":"refresh"`) {
		t.Errorf("before the rotation %s, after it %s", before, a.raw)
	}
	wantStatus(t, b.do("POST", "/api/admin/keys/rotate", `{"use":"mail"}`, reader...), 422,
		watchword.CodeValidationFailed)
	a = b.do("GET", "/api/admin/stats", "", header...)
	wantStatus(t, a, 200, "")
	hours := a.body["hours"].([]any)
	if a.body["accounts"] != float64(2) || a.body["sessions"] != float64(1) ||
		hours[len(hours)-1].(map[string]any)["signIns"] != float64(1) {
		t.Errorf("%s", a.raw)
	}
}

// An operator can hand over the link of an invitation without a mail. If the server also sends a mail, both links
// must have the same token, so that the mail does not invalidate the link.
func TestAdminInviteLinkIsThatOfTheMail(t *testing.T) {
	t.Parallel()
	s, _ := startWithAdmin(t)
	m := admin.New(s.engine, s.store.Admin(), admin.Options{})
	shell := admin.Caller{Shell: "grace"}
	ada, err := m.Create(t.Context(), shell, admin.NewAccount{Email: "ada@example.com", Roles: []string{"admin"}})
	must(t, err)
	token, err := m.InviteToken(t.Context(), ada.ID)
	must(t, err)
	accept := func(token watchword.Secret) fullResponse {
		return s.newBrowser(t).post("/invite/accept", map[string]any{"token": string(token), "password": goodPassword})
	}
	wantStatus(t, accept(token), 200, "")
	wantStatus(t, accept(token), 400, watchword.CodeMailTokenInvalid)
	if _, err := m.InviteToken(t.Context(), ada.ID); watchword.CodeOf(err) != watchword.CodeValidationFailed {
		t.Errorf("a link for an account with a password: %v", err)
	}

	bob, err := m.Create(t.Context(), shell, admin.NewAccount{Email: "bob@example.com"})
	must(t, err)
	mail := watchword.Mail{ID: "01a226f9-eb43-7a37-acd8-7e63b22b4186", Kind: watchword.MailInvite, To: bob.Email,
		UserID: bob.ID, CreatedAt: bob.CreatedAt, NextAt: bob.CreatedAt.Add(time.Hour)}
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error { return tx.InsertMail(t.Context(), mail) }))
	token, err = m.InviteToken(t.Context(), bob.ID)
	must(t, err)
	must(t, m.RetryMail(t.Context(), shell, mail.ID))
	if sent := s.mailer.awaitMail(t, watchword.MailInvite, "bob@example.com"); sent.Token != token {
		t.Error("the mail has another token than the link")
	}
	wantStatus(t, accept(token), 200, "")
}

// The connection ends after the server has made a change and before the client has the response. A request with the
// same key must then get the response, and the server must make the change only once.
func TestAdminRequestWithALostResponseIsRepeated(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b := s.newBrowser(t)
	lossy := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.server.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	lossy.Config.ConnContext = server.WithLengths
	lossy.Listener = server.WatchLengths(lossy.Listener)
	lossy.Start()
	t.Cleanup(lossy.Close)
	lost := func(method, path, body string, headers ...string) fullResponse {
		t.Helper()
		headers = append(headers, "Idempotency-Key", uuid.NewString())
		r, err := http.NewRequestWithContext(t.Context(), method, lossy.URL+path, strings.NewReader(body))
		must(t, err)
		r.Host = strings.TrimPrefix(s.url, "http://")
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		if response, err := lossy.Client().Do(r); err == nil {
			t.Errorf("the response arrived: %s", response.Status)
			_ = response.Body.Close()
		}
		return b.do(method, path, body, headers...)
	}

	created := lost("POST", "/api/admin/users", `{"email":"ada@example.com","invite":true}`, header...)
	wantStatus(t, created, 201, "")
	path := "/api/admin/users/" + created.body["user"].(map[string]any)["id"].(string)
	wantStatus(t, lost("POST", path+"/invite", "", header...), 202, "")
	changed := lost("PATCH", path, `{"name":"Ada","disabled":true,"metadata":{"public":{"plan":"pro"}}}`,
		append([]string{"If-Match", `"0"`}, header...)...)
	wantStatus(t, changed, 200, "")
	if !strings.Contains(string(changed.raw), `"name":"Ada"`) || changed.Header.Get("ETag") != `"1"` ||
		!strings.Contains(string(changed.raw), `"metadata":{"version":1,"public":{"plan":"pro"},"private":{}}`) {
		t.Errorf("ETag %s, %s", changed.Header.Get("ETag"), changed.raw)
	}
	key := lost("POST", "/api/admin/service-keys", `{"name":"billing","scopes":["users:read"]}`, header...)
	wantStatus(t, key, 201, "")
	if keys := b.do("GET", "/api/admin/service-keys", "", header...); strings.Count(
		string(keys.raw), `"billing"`) != 1 ||
		key.text("key") != "" {
		t.Errorf("%s, then %s", key.raw, keys.raw)
	}
	read := b.do("GET", path, "", header...)
	for _, kind := range []string{"signup", "link_requested", "renamed", "account_disabled", "metadata_changed"} {
		if n := strings.Count(string(read.raw), `"kind":"`+kind+`"`); n != 1 {
			t.Errorf("%d events of the kind %s: %s", n, kind, read.raw)
		}
	}
	if etag := read.Header.Get("ETag"); etag != `"1"` {
		t.Errorf("version %s", etag)
	}
	wantStatus(t, lost("DELETE", path, "", header...), 200, "")
}
