package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/admin/client"
	"github.com/watchword-auth/watchword/internal/totp"
)

var pathID = regexp.MustCompile(`\{\w+\}`)

type operationRecorder struct {
	mu  sync.Mutex
	all []string
}

func (c *operationRecorder) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.all = append(c.all, r.Method+" "+r.URL.Path)
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// The calls must cover every operation of the OpenAPI document. The test therefore fails if a new route has no method
// in the Go client.
func TestAdminClientCallsEveryOperation(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, arguments []string) {
		s := newServer(t, freeAddress(t))
		dir := t.TempDir()
		if err := s.start(dir, []string{"HOME=" + dir}, append(arguments, "--limits=off")); err != nil {
			t.Fatal(err)
		}
		called := &operationRecorder{}
		admin, err := client.New(client.Options{URL: s.url(), Key: signInAdmin(t, s, dir, arguments),
			HTTP: &http.Client{Transport: called}})
		if err != nil {
			t.Fatal(err)
		}
		callUsers(t, admin)
		callSessions(t, admin, s)
		callServiceKeys(t, admin, s)
		callOperations(t, admin)
		for _, o := range readAPIDocument(t, s).adminOperations() {
			shape := regexp.MustCompile("^" + o.method + " " + pathID.ReplaceAllString(o.path, "[^/]+") + "$")
			if !slices.ContainsFunc(called.all, shape.MatchString) {
				t.Errorf("no method of the client calls %s %s", o.method, o.path)
			}
		}
	})
}

func signInAdmin(t *testing.T, s *server, dir string, arguments []string) string {
	t.Helper()
	return createAdminAndSignIn(t, s, "root@example.com", dir, arguments)
}

// createAdminAndSignIn returns an access token of a session with two factors.
func createAdminAndSignIn(t *testing.T, s *server, root, dir string, arguments []string) string {
	t.Helper()
	for _, args := range [][]string{
		{"users", "create", root, "--role", "admin", "--password-stdin"}, {"users", "verify", root},
	} {
		if got := run(t, call{dir: dir, input: firstSecret, args: append(args, arguments...)}); got.code != 0 {
			t.Fatalf("%v: %s", args, got.errors)
		}
	}
	token := newDevice(t, s.address).post(t, "/login", body{"email": root, "password": firstSecret}, 200).AccessToken
	begun := postWithToken(t, s, token, "/factors/totp", body{})
	secret, _, err := totp.Parse(begun.Secret)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.Code(secret, totp.Step(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	postWithToken(t, s, token, "/factors/totp/"+begun.ID+"/confirm", body{"code": code})
	return token // the server reads the factors from the session, so the old token has two factors too
}

// The path is below /api/auth, the API for signed-in users.
func postWithToken(t *testing.T, s *server, token, path string, b body) (begun struct{ ID, Secret string }) {
	t.Helper()
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.url()+"/api/auth"+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := s.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode > 299 {
		t.Fatalf("%s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&begun); err != nil {
		t.Fatal(err)
	}
	return begun
}

// want is "" if err must be nil.
func wantCode(t *testing.T, err error, want client.Code) {
	t.Helper()
	if client.CodeOf(err) != want || (err == nil) != (want == "") {
		t.Fatalf("got %v, want %q", err, want)
	}
}

func callUsers(t *testing.T, admin *client.Client) {
	t.Helper()
	ctx := t.Context()
	made, err := admin.Users.Invite(ctx, "ada@example.com", "member")
	wantCode(t, err, "")
	id := made.User.ID
	_, err = admin.Users.Create(ctx, client.AdminInvite{Email: "ADA@example.com", Invite: true})
	wantCode(t, err, client.CodeEmailTaken)
	change := client.AdminChange{Name: new("Ada"), Roles: []string{}, Disabled: new(true)}
	changed, err := admin.Users.Update(ctx, id, change)
	wantCode(t, err, "")
	if u := changed.User; u.Name != "Ada" || len(u.Roles) != 0 || u.State != "disabled" || u.DisabledAt.IsZero() {
		t.Errorf("%+v", u)
	}
	_, err = admin.Users.Update(ctx, id, client.AdminChange{Disabled: new(false)})
	wantCode(t, err, "")
	for _, mail := range []func(context.Context, string) error{
		admin.Users.ResetMail, admin.Users.VerifyMail, admin.Users.ResetFactors,
	} {
		wantCode(t, mail(ctx, id), "")
	}

	zero := int64(0)
	patch := client.MetadataPatch{
		Public: map[string]any{"plan": "pro"}, Private: map[string]int{"crm": 7}, Version: &zero}
	stored, err := admin.Metadata.Patch(ctx, id, patch)
	wantCode(t, err, "")
	if stored.Version != 1 || string(stored.Public) != `{"plan":"pro"}` || string(stored.Private) != `{"crm":7}` {
		t.Errorf("%+v", stored)
	}
	_, err = admin.Metadata.Patch(ctx, id, patch)
	wantCode(t, err, client.CodeVersionChanged)
	again, err := admin.Metadata.Get(ctx, id)
	if wantCode(t, err, ""); again.Version != 1 {
		t.Errorf("%+v", again)
	}

	_, err = admin.Users.Invite(ctx, "bo@example.com")
	wantCode(t, err, "")
	var emails []string
	for user, err := range admin.Users.List(ctx, client.AdminUsersQuery{State: "unverified", Limit: 1}) {
		wantCode(t, err, "")
		emails = append(emails, user.Email)
	}
	if !slices.Equal(emails, []string{"ada@example.com", "bo@example.com"}) {
		t.Errorf("%q", emails)
	}
	wantCode(t, admin.Users.Delete(ctx, id), "")
	_, err = admin.Users.Get(ctx, id)
	wantCode(t, err, client.CodeNotFound)
}

func callSessions(t *testing.T, admin *client.Client, s *server) {
	t.Helper()
	ctx := t.Context()
	account := body{"email": "grace@example.com", "password": firstSecret}
	newDevice(t, s.address).post(t, "/register", account, 201)
	id := newDevice(t, s.address).post(t, "/login", account, 200).User.ID
	sessions, err := admin.Sessions.List(ctx, id)
	if wantCode(t, err, ""); len(sessions) != 2 {
		t.Fatalf("%+v", sessions)
	}
	wantCode(t, admin.Sessions.End(ctx, id, sessions[0].ID), "")
	wantCode(t, admin.Sessions.End(ctx, id, sessions[0].ID), client.CodeNotFound)
	n, err := admin.Sessions.EndAll(ctx, id)
	if wantCode(t, err, ""); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	why, err := admin.Users.Explain(ctx, id, client.AdminUsersExplainQuery{Language: "en"})
	if wantCode(t, err, ""); why.Reason != "ended_by_operator" || len(why.Others) != 1 || why.When.IsZero() {
		t.Errorf("%+v", why)
	}
}

func callServiceKeys(t *testing.T, admin *client.Client, s *server) {
	t.Helper()
	ctx := t.Context()
	made, err := admin.ServiceKeys.Create(ctx, client.CreateServiceKey{Name: "billing", Scopes: []string{"users:read"}})
	wantCode(t, err, "")
	program, err := client.New(client.Options{URL: s.url(), Key: made.Key})
	wantCode(t, err, "")
	_, err = program.Users.Page(ctx, client.AdminUsersQuery{})
	wantCode(t, err, "")
	_, err = program.Users.Invite(ctx, "no@example.com")
	wantCode(t, err, client.CodeInsufficientScope)
	for key, err := range admin.ServiceKeys.List(ctx, client.AdminServiceKeysQuery{}) {
		if wantCode(t, err, ""); key.ID != made.ID || key.State != "active" {
			t.Errorf("%+v", key)
		}
	}
	wantCode(t, admin.ServiceKeys.Revoke(ctx, made.ID), "")
	_, err = program.Users.Page(ctx, client.AdminUsersQuery{})
	wantCode(t, err, client.CodeTokenInvalid)
}

func callOperations(t *testing.T, admin *client.Client) {
	t.Helper()
	ctx := t.Context()
	made, err := admin.Users.Invite(ctx, "event@example.com")
	wantCode(t, err, "")
	wantCode(t, admin.Users.InviteMail(ctx, made.User.ID), "")
	signups := 0
	for event, err := range admin.Events.List(ctx, client.AdminEventsQuery{User: made.User.ID, Limit: 1}) {
		if wantCode(t, err, ""); event.Kind == "signup" {
			signups++
		}
	}
	if signups != 1 {
		t.Errorf("%d events of the sign-up", signups)
	}
	for mail, err := range admin.Mails.List(ctx, client.AdminMailsQuery{}) {
		if wantCode(t, err, ""); mail.To == "" {
			t.Errorf("%+v", mail)
		}
	}
	wantCode(t, admin.Mails.Retry(ctx, made.User.ID), client.CodeNotFound)
	keys, err := admin.Keys.List(ctx)
	wantCode(t, err, "")
	rotated, err := admin.Keys.Rotate(ctx, "refresh")
	if wantCode(t, err, ""); len(keys) == 0 || len(rotated) == 0 {
		t.Errorf("%+v, then %+v", keys, rotated)
	}
	stats, err := admin.Stats(ctx)
	if wantCode(t, err, ""); stats.Accounts == 0 || len(stats.Hours) == 0 {
		t.Errorf("%+v", stats)
	}
}

// If dropNext is true, responseDropper forwards the next request and drops its response.
type responseDropper struct{ dropNext bool }

func (l *responseDropper) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && l.dropNext {
		l.dropNext = false
		return nil, errors.Join(io.ErrUnexpectedEOF, response.Body.Close())
	}
	return response, err
}

func TestAdminClientMakesAChangeOnceIfTheResponseIsLost(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s, "--limits=off")
	network := &responseDropper{}
	admin, err := client.New(client.Options{URL: s.url(), Key: signInAdmin(t, s, dir, nil),
		HTTP: &http.Client{Transport: network}})
	wantCode(t, err, "")
	network.dropNext = true
	made, err := admin.Users.Invite(t.Context(), "once@example.com")
	wantCode(t, err, "")
	found, err := admin.Users.Page(t.Context(), client.AdminUsersQuery{Email: "once@"})
	wantCode(t, err, "")
	if network.dropNext || len(found.Items) != 1 || found.Items[0].ID != made.User.ID {
		t.Errorf("made %+v, found %+v", made, found)
	}
	network.dropNext = true
	lost, err := admin.ServiceKeys.Create(t.Context(), client.CreateServiceKey{Name: "lost", Scopes: []string{"mail"}})
	if wantCode(t, err, ""); lost.ID == "" || lost.Key != "" {
		t.Error("the key is shown twice")
	}
}
