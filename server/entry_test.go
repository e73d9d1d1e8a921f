package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/dialect/lesson"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
)

// These tests try every attack on second factors through every route. For each route, testdata/entrances.txt says
// what a caller without a session can do with it:
//
// 	opens   It can open a session, or raise the level of a session. An entranceTest tests the route.
// 	other   It can do neither.
//
// A route that is not in the file fails the test. Each route gets each secret that an attacker may have, in each
// place of a request that can hold a secret.

// An attackSetup is a service with every way to sign in. Ada and Bob each have an app, a passkey, recovery codes and
// a linked identity. Carol is a member of staff who must have a factor but has not added one yet.
type attackSetup struct {
	*testing.T
	*service
	factors  *factors.Manager
	external *federation.Manager
	routes   []server.Entrance
	phone    *phone
	ada, bob *accountWithFactors
	carol    watchword.UserID
}

type accountWithFactors struct {
	email            string
	id               watchword.UserID
	secret           []byte
	recoveryCodes    []string
	passkey          *passkeyDevice
	provenSession    *watchword.SignIn
	endedSession     *watchword.SignIn // ended when the first factor was added
	usedCode         string
	usedRecoveryCode string
	device           watchword.Secret
}

// fakeProvider is an external provider. Its authorization codes are the addresses of its users.
type fakeProvider struct{}

func (fakeProvider) Info() federation.Info {
	return federation.Info{ID: "campus", Kind: federation.KindOIDC, Name: "Campus", Issuer: "https://campus.example",
		TrustEmail: true}
}

func (fakeProvider) AuthURL(_ context.Context, a federation.Attempt) (string, error) {
	return "https://campus.example/authorize?state=" + url.QueryEscape(a.State), nil
}

func (fakeProvider) Exchange(
	_ context.Context, _ federation.Attempt, r federation.Response,
) (federation.Claims, error) {
	return federation.Claims{Issuer: "https://campus.example", Subject: string(r.Code), Email: string(r.Code),
		EmailVerified: true}, nil
}

func newAttackSetup(t *testing.T, store realStore) *attackSetup {
	t.Helper()
	w := &attackSetup{T: t, phone: &phone{t: t, clockAhead: &atomic.Int64{}}}
	// The struct hides the clock of the PostgreSQL store (Clocked), so that the engine uses the clock of the test.
	w.service = startOnStore(t, struct{ realStore }{store}, func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1) // passkeys need a host name
		o.Now, o.RememberDevice = w.phone.now, 24*time.Hour
		o.SecondFactor = watchword.FactorPolicy{Required: true, Roles: []string{"staff"}}
	}, nil)
	w.url = w.engine.PublicURL()
	w.factors = factors.New(w.engine, w.store.Factors(), factors.Options{})
	var err error
	w.external, err = federation.New(w.engine, w.store.Federation(),
		federation.Options{Providers: []federation.Provider{fakeProvider{}}})
	must(t, err)
	one, err := users.New(w.engine, users.Options{})
	must(t, err)
	other, err := lesson.New(w.engine, lesson.Options{})
	must(t, err)
	opts := server.Options{AdminPages: true, Factors: w.factors, Federation: w.external,
		Dialects: []dialect.Dialect{one, other},
		Admin:    admin.New(w.engine, w.store.Admin(), admin.Options{}),
		Metadata: metadata.New(w.engine, w.store.Metadata())}
	w.server, err = server.New(w.engine, opts)
	must(t, err)
	w.routes, err = server.Entrances(w.engine, opts)
	must(t, err)
	w.ada, w.bob = w.createAccountWithFactors("ada@example.com"), w.createAccountWithFactors("bob@example.com")
	staff, err := w.engine.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "carol@example.com",
		Password: goodPassword, Roles: []string{"staff"}})
	must(t, err)
	must(t, w.engine.Operator().MarkVerified(t.Context(), staff.ID))
	w.carol = staff.ID
	return w
}

func (w *attackSetup) createAccountWithFactors(email string) *accountWithFactors {
	w.Helper()
	v := &accountWithFactors{email: email, passkey: newPasskeyDevice(w.service)}
	u, err := w.engine.Operator().CreateUser(w.Context(), watchword.NewUser{Email: email, Name: "Ada",
		Password: goodPassword})
	must(w.T, err)
	v.id = u.ID
	must(w.T, w.engine.Operator().MarkVerified(w.Context(), u.ID))
	login := watchword.LoginRequest{Email: email, Password: goodPassword}
	v.endedSession, err = w.engine.Login(w.Context(), login)
	must(w.T, err)
	v.provenSession, err = w.engine.Login(w.Context(), login)
	must(w.T, err)
	b := w.newVisitor()
	b.bearer = string(v.provenSession.AccessToken)
	begun := b.json("POST", "/api/auth/factors/totp", nil)
	v.secret = decodeSecret(w.T, begun.text("secret"))
	w.phone.secret = v.secret
	done := b.json("POST", "/api/auth/factors/totp/"+begun.text("id")+"/confirm", members{"code": w.phone.nextCode()})
	for _, code := range done.body["recoveryCodes"].([]any) {
		v.recoveryCodes = append(v.recoveryCodes, code.(string))
	}
	options := b.json("POST", "/api/auth/factors/passkeys/options", members{})
	var created members
	must(w.T, json.Unmarshal([]byte(v.passkey.registrationBody(w.T, options.body, "key")), &created))
	b.json("POST", "/api/auth/factors/passkeys", created).wantStatus(201)
	w.linkIdentity(v)
	// The first sign-in uses a code and remembers the browser. The second one uses a recovery code.
	v.usedCode = w.nextAppCode(v)
	step := w.newVisitor()
	step.json("POST", "/api/auth/login", credentials(v))
	step.json("POST", "/api/auth/login/factor", members{"totp": v.usedCode, "rememberDevice": true}).wantStatus(200)
	v.device = watchword.Secret(step.cookies["watchword-device"])
	v.usedRecoveryCode, v.recoveryCodes = v.recoveryCodes[0], v.recoveryCodes[1:]
	step = w.newVisitor()
	step.json("POST", "/api/auth/login", credentials(v))
	step.json("POST", "/api/auth/login/factor", members{"recoveryCode": v.usedRecoveryCode}).wantStatus(200)
	return v
}

func (w *attackSetup) linkIdentity(v *accountWithFactors) {
	w.Helper()
	who, err := w.engine.Authenticate(w.Context(), v.provenSession.AccessToken)
	must(w.T, err)
	started, err := w.external.StartLink(w.Context(), federation.LinkRequest{Provider: "campus", Who: who})
	must(w.T, err)
	_, err = w.external.Callback(w.Context(), federation.CallbackRequest{Provider: "campus", Sealed: started.Sealed,
		State: started.State, Response: federation.Response{Code: watchword.Secret(v.email)}})
	must(w.T, err)
}

func (w *attackSetup) nextAppCode(v *accountWithFactors) string {
	w.phone.secret = v.secret
	return w.phone.nextCode()
}

type members = map[string]any

func credentials(v *accountWithFactors) members {
	return members{"email": v.email, "password": goodPassword}
}

// A visitor is a browser that keeps its cookies, or a program with an access token.
type visitor struct {
	w       *attackSetup
	cookies map[string]string
	bearer  string
}

func (w *attackSetup) newVisitor() *visitor { return &visitor{w: w, cookies: map[string]string{}} }

type recordedResponse struct {
	*httptest.ResponseRecorder
	w       *attackSetup
	request string
	body    members
}

func (r recordedResponse) text(name string) string {
	text, _ := r.body[name].(string)
	return text
}

func (r recordedResponse) wantStatus(status int) recordedResponse {
	r.w.Helper()
	if r.Code != status {
		r.w.Fatalf("%s: %d %s %s, want %d", r.request, r.Code, r.Header().Get("Location"), r.Body, status)
	}
	return r
}

func (v *visitor) sendSameOrigin(method, path, kind, body string) recordedResponse {
	v.w.Helper()
	r := httptest.NewRequestWithContext(v.w.Context(), method, v.w.url+path, strings.NewReader(body))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != "" {
		r.Header.Set("Content-Type", kind)
	}
	if kind != "application/json" {
		r.Header.Set("Accept", "text/html")
	}
	if v.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+v.bearer)
	}
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	got := recordedResponse{ResponseRecorder: httptest.NewRecorder(), w: v.w, request: method + " " + path}
	v.w.server.ServeHTTP(got.ResponseRecorder, r)
	for _, c := range got.Result().Cookies() {
		if v.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	if strings.Contains(got.Header().Get("Content-Type"), "json") && got.Body.Len() > 0 {
		must(v.w.T, json.Unmarshal(got.Body.Bytes(), &got.body))
	}
	return got
}

func (v *visitor) json(method, path string, body members) recordedResponse {
	v.w.Helper()
	if body == nil {
		return v.sendSameOrigin(method, path, "application/json", "")
	}
	raw, err := json.Marshal(body)
	must(v.w.T, err)
	return v.sendSameOrigin(method, path, "application/json", string(raw))
}

func (v *visitor) form(path string, fields members) recordedResponse {
	v.w.Helper()
	values := url.Values{}
	for name, value := range fields {
		values.Set(name, fmt.Sprint(value))
	}
	return v.sendSameOrigin("POST", path, "application/x-www-form-urlencoded", values.Encode())
}

type accountState struct {
	Sessions []watchword.Session
	User     watchword.User
	Factors  factors.Overview
}

func (w *attackSetup) readAccountState(id watchword.UserID) (s accountState) {
	w.Helper()
	var err error
	s.Sessions, err = w.engine.Operator().UserSessions(w.Context(), id)
	must(w.T, err)
	s.User, err = w.engine.Operator().FindUserByID(w.Context(), id)
	must(w.T, err)
	s.Factors, err = w.factors.List(w.Context(), id)
	must(w.T, err)
	return s
}

var credentialCookies = []string{"watchword", "watchword-page", "refreshTkn", "jwt", "watchword-device"}

// wantAttackRefused also fails if the attack has changed the account.
func (w *attackSetup) wantAttackRefused(attack string, got recordedResponse, id watchword.UserID, before accountState) {
	w.Helper()
	w.wantNoCredential(attack, got)
	if after := w.readAccountState(id); !reflect.DeepEqual(after, before) {
		w.Errorf("%s with %s has changed the account:\n%+v\n%+v", got.request, attack, before, after)
	}
}

func (w *attackSetup) wantNoCredential(attack string, got recordedResponse) {
	w.Helper()
	for _, c := range got.Result().Cookies() {
		if slices.Contains(credentialCookies, c.Name) && c.Value != "" && c.MaxAge >= 0 {
			w.Errorf("%s with %s: %d sets the cookie %s", got.request, attack, got.Code, c.Name)
		}
	}
	for _, name := range []string{"accessToken", "refreshToken", "token"} {
		if got.text(name) != "" {
			w.Errorf("%s with %s: %d returns %s", got.request, attack, got.Code, name)
		}
	}
}
