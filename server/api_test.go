package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/server"
)

// This test uses the API from sign-up to deletion, in the order in which a front-end calls it.
//
// W-23
func TestAccountFromSignUpToDeletion(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := b.register("ada@example.com")

	me := b.do("GET", "/api/auth/me", "", authorized(access)...)
	wantStatus(t, me, 200, "")
	user := me.body["user"].(map[string]any)
	if user["email"] != "ada@example.com" || user["emailVerified"] != false || user["name"] != "Ada" {
		t.Errorf("user: %v", user)
	}
	wantStatus(t, b.post("/email/verify",
		map[string]any{"token": string(s.mailer.awaitUnseenMail(t, watchword.MailVerify).Token)}), 200,
		"")

	refreshed := b.do("POST", "/api/auth/refresh", "")
	wantStatus(t, refreshed, 200, "")
	if refreshed.body["user"].(map[string]any)["emailVerified"] != true {
		t.Error("the address is not verified")
	}
	access = refreshed.text("accessToken")

	renamed := b.do("PATCH", "/api/auth/me", `{"name":"Ada L."}`, authorized(access)...)
	wantStatus(t, renamed, 200, "")
	moved := b.do("PATCH", "/api/auth/me", `{"locale":"pt-br"}`, authorized(access)...)
	wantStatus(t, moved, 200, "")
	if u := moved.body["user"].(map[string]any); u["locale"] != "pt-BR" || u["name"] != "Ada L." {
		t.Errorf("the locale was not changed, or the name was: %s", moved.raw)
	}
	wantStatus(t, b.do("GET", "/api/auth/users/"+user["id"].(string), "", authorized(access)...), 200, "")
	wantStatus(t, b.do("GET", "/api/auth/users/someone", "", authorized(access)...), 404, watchword.CodeNotFound)

	other := s.newBrowser(t)
	wantStatus(t, other.post("/login", map[string]any{"email": "ada@example.com", "password": goodPassword}), 200, "")
	list := b.do("GET", "/api/auth/sessions", "", authorized(access)...)
	wantStatus(t, list, 200, "")
	sessions := list.body["sessions"].([]any)
	if len(sessions) != 2 {
		t.Fatalf("%d sessions", len(sessions))
	}
	for _, one := range sessions {
		session := one.(map[string]any)
		if session["current"] == false {
			wantStatus(t, b.do("DELETE", "/api/auth/sessions/"+session["id"].(string), "", authorized(access)...),
				200, "")
		}
	}
	wantStatus(t, other.do("POST", "/api/auth/refresh", ""), 401, watchword.CodeSessionEnded)

	wantStatus(t, b.post("/password/change", map[string]any{"currentPassword": "wrong password",
		"newPassword": otherPassword}, authorized(access)...), 403, watchword.CodePasswordWrong)
	wantStatus(t, b.post("/password/change",
		map[string]any{"currentPassword": goodPassword, "newPassword": otherPassword},
		authorized(access)...), 200, "")
	wantStatus(t, b.post("/password/forgot", map[string]any{"email": "ada@example.com"}), 202, "")
	reset := string(s.mailer.awaitUnseenMail(t, watchword.MailReset).Token)
	wantStatus(t, b.post("/password/reset", map[string]any{"token": reset, "password": "short"}), 422,
		watchword.CodeValidationFailed)
	wantStatus(t, b.post("/password/reset", map[string]any{"token": reset, "password": goodPassword}), 200, "")
	wantStatus(t, b.post("/password/reset", map[string]any{"token": reset, "password": goodPassword}), 400,
		watchword.CodeMailTokenInvalid)
	wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 401, watchword.CodeSessionEnded)

	login := b.post("/login", map[string]any{"email": "ADA@example.com", "password": goodPassword})
	wantStatus(t, login, 200, "")
	access = login.text("accessToken")
	wantStatus(t, b.post("/email/change", map[string]any{"newEmail": "ada@example.org", "password": goodPassword},
		authorized(access)...), 202, "")
	wantStatus(t, b.post("/email/change/confirm",
		map[string]any{"token": string(s.mailer.awaitUnseenMail(t, watchword.MailConfirmAddress).Token)}), 200, "")
	wantStatus(t, b.post("/email/change/undo",
		map[string]any{"token": string(s.mailer.awaitUnseenMail(t, watchword.MailAddressChanged).Token)}), 200, "")
	wantStatus(t, b.do("GET", "/api/auth/me", "", authorized(access)...), 401, watchword.CodeSessionEnded)
}

func TestDeleteAccountAndLogoutAllEndSessions(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	all := b.do("POST", "/api/auth/logout-all", `{"keepCurrent":true}`, authorized(access)...)
	wantStatus(t, all, 200, "")
	if all.body["ended"] != 0.0 {
		t.Errorf("ended: %v", all.body["ended"])
	}
	all = b.do("POST", "/api/auth/logout-all", "", authorized(access)...)
	wantStatus(t, all, 200, "")
	if all.body["ended"] != 1.0 || !cleared(all, "watchword") {
		t.Errorf("got %s %v", all.raw, all.Cookies())
	}
	login := b.post("/login", map[string]any{"email": "ada@example.com", "password": goodPassword})
	access = login.text("accessToken")
	wantStatus(t, b.do("DELETE", "/api/auth/me", `{"password":"`+goodPassword+`"}`, authorized(access)...), 200, "")
	wantStatus(t, b.post("/login", map[string]any{"email": "ada@example.com", "password": goodPassword}), 401,
		watchword.CodeInvalidCredentials)
}

func cleared(a fullResponse, name string) bool {
	for _, c := range a.Cookies() {
		if c.Name == name && c.MaxAge < 0 {
			return true
		}
	}
	return false
}

// A page asks on each load whether a visitor is signed in. The response must not be a 401, which browsers show as an
// error in the console.
func TestOptionalRefreshWithoutATokenReturns204(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	answer := b.do("POST", "/api/auth/refresh?optional=true", "")
	wantStatus(t, answer, 204, "")
	if len(answer.Cookies()) != 0 {
		t.Errorf("it set a cookie: %v", answer.Cookies())
	}
	wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 401, watchword.CodeRefreshMissing)
	wantStatus(t, b.do("POST", "/api/auth/refresh?optional=yes", ""), 401, watchword.CodeRefreshMissing)
	empty := b.do("POST", "/api/auth/refresh?optional=true", "", "Cookie", "watchword=")
	wantStatus(t, empty, 204, "")
	if !cleared(empty, "watchword") {
		t.Errorf("the empty cookie was kept: %v", empty.Cookies())
	}
	wantStatus(t, b.do("POST", "/api/auth/refresh?optional=true", "", "Cookie", "watchword=x"), 401,
		watchword.CodeRefreshInvalid)
	wantStatus(t, b.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword}), 201, "")
	wantStatus(t, b.do("POST", "/api/auth/refresh?optional=true", ""), 200, "")
}

// The API must accept the forms of common tutorials, which repeat the password and use the name rememberMe instead of
// remember.
func TestRegisterAndLoginAcceptTheMembersOfTheTutorials(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	ada := func(more ...any) map[string]any {
		body := map[string]any{"email": "ada@example.com", "password": goodPassword}
		for i := 0; i < len(more); i += 2 {
			body[more[i].(string)] = more[i+1]
		}
		return body
	}
	for _, path := range []string{"/register", "/login"} {
		wantStatus(t, b.post(path, ada("confirmPassword", "another one")), 422, watchword.CodeValidationFailed)
		wantStatus(t, b.post(path, ada("confirmPassword", "")), 422, watchword.CodeValidationFailed)
		wantStatus(t, b.post(path, ada("remember", true, "rememberMe", true)), 400, apirequest.CodeBodyInvalid)
	}
	wantStatus(t, b.post("/register", ada("confirmPassword", goodPassword)), 201, "")
	wantStatus(t, b.post("/login", ada("confirmPassword", goodPassword)), 200, "")
	for _, member := range []string{"remember", "rememberMe"} {
		for choice, maxAge := range map[bool]int{true: 7 * 24 * 3600, false: 0} {
			body := ada("email", fmt.Sprintf("%s-%t@example.com", member, choice), member, choice)
			signUp, login := b.post("/register", body), b.post("/login", body)
			wantStatus(t, signUp, 201, "")
			wantStatus(t, login, 200, "")
			if got := [2]int{signUp.Cookies()[0].MaxAge, login.Cookies()[0].MaxAge}; got != [2]int{maxAge, maxAge} {
				t.Errorf("%s %t: Max-Age %d, want %d", member, choice, got, maxAge)
			}
		}
	}
	unknown := b.post("/login", ada("username", "ada"))
	wantStatus(t, unknown, 400, apirequest.CodeBodyInvalid)
	if !strings.Contains(unknown.text("detail"), "username") {
		t.Errorf("the detail does not name the member: %s", unknown.raw)
	}
}

// RT-14, CK-1
func TestRefreshTokenIsReturnedInTheWayItCame(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	byCookie := b.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword})
	wantStatus(t, byCookie, 201, "")
	cookie := byCookie.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" ||
		cookie.MaxAge != 7*24*3600 {
		t.Errorf("cookie: %s", cookie)
	}
	if byCookie.text("refreshToken") != "" {
		t.Error("the refresh token is in the body, too")
	}
	if again := b.do("POST", "/api/auth/refresh", `{}`); again.text("refreshToken") != "" || len(again.Cookies()) != 1 {
		t.Errorf("refresh by cookie: %s", again.raw)
	}

	native := s.newBrowser(t)
	inBody := native.post("/login", map[string]any{
		"email": "ada@example.com", "password": goodPassword, "delivery": "body"})
	wantStatus(t, inBody, 200, "")
	if len(inBody.Cookies()) != 0 || inBody.text("refreshToken") == "" {
		t.Errorf("login with delivery body: %s", inBody.raw)
	}
	next := native.post("/refresh", map[string]any{"refreshToken": inBody.text("refreshToken")})
	wantStatus(t, next, 200, "")
	if len(next.Cookies()) != 0 || next.text("refreshToken") == inBody.text("refreshToken") {
		t.Errorf("refresh in the body: %s", next.raw)
	}
	both := b.post("/refresh", map[string]any{"refreshToken": next.text("refreshToken")})
	wantStatus(t, both, 400, apirequest.CodeAmbiguousCredentials)
	wantStatus(t, native.post("/refresh", map[string]any{"refreshToken": next.text("refreshToken")}), 200, "")

	session := native.post("/login", map[string]any{
		"email": "ada@example.com", "password": goodPassword, "remember": false})
	if c := session.Cookies()[0]; c.MaxAge != 0 || !c.Expires.IsZero() {
		t.Errorf("a session cookie outlives the browser: %s", c)
	}
	wantStatus(t, native.post("/login", map[string]any{"email": "ada@example.com", "password": goodPassword,
		"delivery": "pigeon"}), 422, watchword.CodeValidationFailed)
}

// CK-1, CK-2, CK-6, HTTP-2
func TestOnHTTPSTheCookieHasTheHostPrefix(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.PublicURL = "https://id.example.com" }, nil)
	b := s.newBrowser(t)
	request := func(path, body string, cookie string) fullResponse {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/api/auth"+path, strings.NewReader(body))
		must(t, err)
		r.Host = "id.example.com"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "https://id.example.com")
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		return b.send(r)
	}
	in := request("/register", `{"email":"ada@example.com","password":"`+goodPassword+`"}`, "")
	wantStatus(t, in, 201, "")
	cookie := in.Cookies()[0]
	if cookie.Name != "__Host-watchword" || !cookie.Secure || cookie.Domain != "" {
		t.Errorf("cookie: %s", cookie)
	}
	if in.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS")
	}
	out := request("/logout", "", cookie.Name+"="+cookie.Value)
	wantStatus(t, out, 200, "")
	if gone := out.Cookies()[0]; gone.Name != cookie.Name || !gone.Secure || gone.Path != "/" || gone.MaxAge >= 0 {
		t.Errorf("cleared by %s", gone)
	}
}

// CK-3
func TestTwoRefreshCookiesAreRejectedAndCleared(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	a := b.do("POST", "/api/auth/refresh", "", "Cookie", "watchword=a; watchword=b")
	wantStatus(t, a, 400, apirequest.CodeAmbiguousCredentials)
	if !cleared(a, "watchword") {
		t.Error("not cleared")
	}
}

func TestFailedRefreshReturnsTheCodeAndClearsTheCookie(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	none := b.do("POST", "/api/auth/refresh", "")
	wantStatus(t, none, 401, watchword.CodeRefreshMissing)
	if len(none.Cookies()) != 0 {
		t.Error("a cookie was set")
	}
	garbage := b.do("POST", "/api/auth/refresh", "", "Cookie", "watchword=garbage")
	wantStatus(t, garbage, 401, watchword.CodeRefreshInvalid)
	if !cleared(garbage, "watchword") {
		t.Error("not cleared")
	}
	if got := garbage.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="`) {
		t.Errorf("WWW-Authenticate: %s", got)
	}
}

// RT-8
func TestLogoutSucceedsWithInvalidTokens(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	for _, headers := range [][]string{
		{"Cookie", ""},
		{"Cookie", "watchword=garbage"}, {"Authorization", "Bearer garbage"}, {"Authorization", "Bearer " + access},
	} {
		wantStatus(t, b.do("POST", "/api/auth/logout", "", headers...), 200, "")
		wantStatus(t, b.do("POST", "/api/auth/logout", "", headers...), 200, "")
	}
	wantStatus(t, b.do("GET", "/api/auth/me", "", authorized(access)...), 401, watchword.CodeSessionEnded)
}

// JWT-16
func TestAccessTokenIsAcceptedOnlyAsBearer(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	missing := b.do("GET", "/api/auth/me", "")
	wantStatus(t, missing, 401, watchword.CodeTokenMissing)
	if got := missing.Header.Get("WWW-Authenticate"); strings.Contains(got, "error=") {
		t.Errorf("no token, yet %s", got)
	}
	wantStatus(t, b.do("GET", "/api/auth/me?access_token="+access, ""), 401, watchword.CodeTokenMissing)
	wantStatus(t, b.do("GET", "/api/auth/me", "", "Authorization", "Basic "+access), 401, watchword.CodeTokenMissing)
	wantStatus(t, b.do("GET", "/api/auth/me", "", "Authorization", "bearer "+access), 200, "")
	invalid := b.do("GET", "/api/auth/me", "", authorized(access+"x")...)
	wantStatus(t, invalid, 401, watchword.CodeTokenInvalid)
	if got := invalid.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
		t.Errorf("WWW-Authenticate: %s", got)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/auth/me", nil)
	must(t, err)
	r.Header["Authorization"] = []string{"Bearer " + access, "Bearer " + access}
	wantStatus(t, b.send(r), 400, apirequest.CodeAmbiguousCredentials)
}

// JWT-9
func TestAccessTokenHasTheClaimsOfRFC9068(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	access := s.newBrowser(t).register("ada@example.com")
	parts := strings.Split(access, ".")
	read := func(part string) (m map[string]any) {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		must(t, err)
		must(t, json.Unmarshal(raw, &m))
		return m
	}
	header, claims := read(parts[0]), read(parts[1])
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == "" {
		t.Errorf("header: %v", header)
	}
	for _, name := range []string{"iss", "aud", "sub", "exp", "iat", "nbf", "jti", "sid", "roles", "auth_time", "amr",
		"acr"} {
		if claims[name] == nil {
			t.Errorf("no %s in %v", name, claims)
		}
	}
	if claims["exp"].(float64)-claims["iat"].(float64) != 900 || claims["email"] != nil || claims["iss"] != s.url {
		t.Errorf("claims: %v", claims)
	}
}

// ID-1
func TestFailedLoginResponseDoesNotRevealTheCause(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.register("ada@example.com")
	b.register("bob@example.com")
	bob, err := s.engine.Operator().FindUser(t.Context(), "bob@example.com")
	must(t, err)
	must(t, s.engine.Operator().DisableUser(t.Context(), bob.ID))
	login := func(email, password string) fullResponse {
		return s.newBrowser(t).post("/login", map[string]any{"email": email, "password": password})
	}
	first := login("ada@example.com", "wrong password")
	wantStatus(t, first, 401, watchword.CodeInvalidCredentials)
	for _, email := range []string{"bob@example.com", "nobody@example.com"} {
		if other := login(email, "wrong password"); !equalAnswers(first, other) {
			t.Errorf("%s: %s, not %s", email, other.raw, first.raw)
		}
	}
	wantStatus(t, login("bob@example.com", goodPassword), 403, watchword.CodeAccountDisabled)
}

// ID-3, EV-5
func TestVerifiedSignUpDoesNotRevealAccounts(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified }, nil)
	b := s.newBrowser(t)
	body := map[string]any{"email": "ada@example.com", "password": goodPassword}
	first := b.post("/register", body)
	wantStatus(t, first, 202, "")
	wantStatus(t, b.post("/login", body), 403, watchword.CodeEmailNotVerified)
	token := string(s.mailer.awaitUnseenMail(t, watchword.MailVerify).Token)
	waiting := b.post("/register", body)
	wantStatus(t, b.post("/email/verify", map[string]any{"token": token}), 403, watchword.CodePasswordRequired)
	wantStatus(t, b.post("/email/verify", map[string]any{"token": token, "password": otherPassword}), 403,
		watchword.CodePasswordWrong)
	verified := b.post("/email/verify", map[string]any{"token": token, "password": goodPassword, "remember": false})
	wantStatus(t, verified, 200, "")
	if c := verified.Cookies(); len(c) != 2 || c[0].Name != "watchword" || c[1].Name != "watchword-known" ||
		c[0].MaxAge != 0 || verified.text("accessToken") == "" {
		t.Errorf("it did not sign in as a login does: %v", c)
	}
	taken := b.post("/register", body)
	s.mailer.awaitUnseenMail(t, watchword.MailSignupExisting)
	for _, other := range []fullResponse{waiting, taken} {
		if !equalAnswers(first, other) {
			t.Errorf("%s, not %s", other.raw, first.raw)
		}
	}
	wantStatus(t, b.post("/login", body), 200, "")
}

func TestClosedSignUpReturns403(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.Signup = watchword.SignupClosed }, nil)
	wantStatus(t, s.newBrowser(t).post("/register",
		map[string]any{"email": "ada@example.com", "password": goodPassword}), 403,
		watchword.CodeSignupClosed)
}

func TestSignUpWithATakenAddressReturns409(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	b.register("ada@example.com")
	wantStatus(t, b.post("/register", map[string]any{"email": "Ada@Example.com", "password": goodPassword}), 409,
		watchword.CodeEmailTaken)
}

// RL-9
func TestRateLimitSetsRetryAfter(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) { o.Limits = watchword.Limits{} }, nil)
	b := s.newBrowser(t)
	for range 10 {
		wantStatus(t, b.post("/login", map[string]any{"email": "ada@example.com", "password": "wrong password"}), 401,
			watchword.CodeInvalidCredentials)
	}
	limited := b.post("/login", map[string]any{"email": "ada@example.com", "password": "wrong password"})
	wantStatus(t, limited, 429, watchword.CodeRateLimited)
	if limited.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// RT-9, CFG-8
func TestUnavailableStoreReturns503AndKeepsTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	access := b.register("ada@example.com")
	must(t, s.store.Close())
	for _, a := range []fullResponse{
		b.do("POST", "/api/auth/refresh", ""),
		b.do("GET", "/api/auth/me", "", authorized(access)...),
		b.do("POST", "/api/auth/logout", ""),
		b.post("/login", map[string]any{"email": "ada@example.com", "password": goodPassword}),
		b.do("GET", "/readyz", ""),
	} {
		wantStatus(t, a, 503, watchword.CodeTryLater)
		if a.Header.Get("Retry-After") == "" || len(a.Cookies()) != 0 {
			t.Errorf("%s: %v", a.Request.URL.Path, a.Header)
		}
	}
	wantStatus(t, b.do("GET", "/healthz", ""), 200, "")
}

func TestReadyzReturns503WhileDraining(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) { o.Draining = func() bool { return true } })
	b := s.newBrowser(t)
	wantStatus(t, b.do("GET", "/readyz", ""), 503, watchword.CodeTryLater)
	for _, path := range []string{"/healthz", "/api/auth/me", "/login", "/none"} {
		if a := b.do("GET", path, ""); a.StatusCode == 503 || !a.Close {
			t.Errorf("%s: %d, closes: %v", path, a.StatusCode, a.Close)
		}
	}
}

// OPS-2
func TestDrainingServerCompletesHTTP2RequestsBeforeClosing(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(o *server.Options) { o.Draining = func() bool { return true } })
	c := s.dialHTTP2(t, s.startTLSListener(t))
	c.send("GET", "/healthz", nil)
	outcomes, closed := c.readOutcomes(1)
	if !closed || !slices.Contains(outcomes, "200") || !slices.Contains(outcomes, "GOAWAY") {
		t.Errorf("%v, closed: %v", outcomes, closed)
	}
}
