package dialecttest_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
	"github.com/watchword-auth/watchword/internal/transcript"
	"github.com/watchword-auth/watchword/mail"
)

// The file testdata/tutorials.txt numbers the faults of the tutorials. Each test here has the number of one fault. It
// sends the tutorial's requests to a dialect, which must not have that fault.

type (
	exchange = dialecttest.Exchange
	headers  = map[string]string
)

const (
	password = "seven purple otters"
	other    = "eight yellow herons"
	login    = `{"email":"ada@example.com","password":"` + password + `"}`
	signup   = `{"firstName":"Ada","lastName":"Lovelace","email":"ada@example.com","password":"` + password + `"}`
	register = `{"username":"ada","email":"ada@example.com","password":"` + password + `"}`

	renewed  = `{"success":true,"accessToken":"{access}"}`
	signedUp = `{"success":true,"user":{"id":"{id}","_id":"{id}","firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"},"accessToken":"{access}"}`
)

var bearer = []string{"Authorization", "Bearer {access}"}

// A clock stands still until a test advances it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func startClock() *clock { return &clock{at: time.Now().Truncate(time.Second)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) options(o *watchword.Options) { o.Now = c.now }

// signUpAda signs up ada@example.com, and stores the tokens in {access} and {refresh}.
func signUpAda(t *testing.T, s *dialecttest.Service) *dialecttest.Client {
	t.Helper()
	c := s.Client(t)
	c.Run(exchange{Request: "POST /api/users/signup", Body: signup, Status: 201, Answer: signedUp, Want: headers{
		"Set-Cookie": "refreshTkn={refresh}; *"}})
	return c
}

// refreshByCookie refreshes the session, and stores the new tokens in {access} and {refresh}.
func refreshByCookie(c *dialecttest.Client) {
	delete(c.Vars, "access")
	delete(c.Vars, "refresh")
	c.Run(exchange{Request: "POST /api/users/reauth", Status: 201, Answer: renewed, Want: headers{
		"Set-Cookie": "refreshTkn={refresh}; *"}})
}

func withCookie(token string) []string { return []string{"Cookie", "refreshTkn=" + token} }

// W-1, W-8
func TestW1ReusedRefreshTokenEndsItsSession(t *testing.T) {
	t.Parallel()
	now := startClock()
	s := dialecttest.Start(t, now.options)
	c := signUpAda(t, s)
	s.Prove(t, "ada@example.com")
	stolen := c.Vars["refresh"]
	refreshByCookie(c)
	refreshByCookie(c)
	now.advance(time.Minute)
	s.Client(t).Run(exchange{Request: "POST /api/users/reauth", Headers: withCookie(stolen), Status: 401, Answer: "*",
		Want: headers{
			"WWW-Authenticate": `Bearer realm="reauth", error="invalid_rft", *`, "Set-Cookie": "refreshTkn=; Path=/; Max-Age=0; *"}})
	c.Run(
		exchange{Name: "the newest", Request: "POST /api/users/reauth", Status: 401, Answer: "*"},
		exchange{Name: "the access token", Request: "GET /api/users/me", Headers: bearer, Status: 401, Answer: "*"},
	)
	s.Mails.Wait(t, watchword.MailReuseDetected, "ada@example.com", 1)
}

// W-2
func TestW2ParallelRefreshesDoNotForkTheSession(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := signUpAda(t, s)
	answers := make([]dialecttest.Answer, 20)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = s.Client(t).Do(exchange{
				Request: "POST /api/users/reauth", Headers: withCookie(c.Vars["refresh"])})
		})
	}
	all.Wait()
	successors := map[string]bool{}
	for _, a := range answers {
		if a.StatusCode != 201 {
			t.Fatalf("%s", a.Status)
		}
		successors[a.Cookies()[0].Value] = true
	}
	if len(successors) != 1 {
		t.Errorf("one token has %d successors, want 1", len(successors))
	}
	if sessions, err := s.Engine.Operator().UserSessions(t.Context(), watchword.UserID(c.Vars["id"])); err != nil ||
		len(sessions) != 1 {
		t.Errorf("%d sessions, %v", len(sessions), err)
	}
}

// W-3, W-5, W-11, W-34
func TestW3ExpiredAccessTokenHasItsOwnCodeAndCanBeRenewed(t *testing.T) {
	t.Parallel()
	now := startClock()
	s := dialecttest.Start(t, now.options)
	c := signUpAda(t, s)
	now.advance(16 * time.Minute)
	c.Run(
		exchange{Request: "GET /api/users/me", Headers: bearer, Status: 401, Answer: `{"error":"Authentication Error","feedback":"Token lifetime exceeded!"}`,
			Want: headers{"WWW-Authenticate": `Bearer realm="apps", error="expired_access_token", error_description="access token is expired"`}},
		exchange{Name: "canonical", Request: "GET /api/auth/me", Headers: bearer, Status: 401, Answer: `*"code":"TOKEN_EXPIRED"*`},
		exchange{Name: "lesson", Request: "GET /profile", Headers: bearer, Status: 401, Answer: "*"},
	)
	for name, token := range map[string]string{
		"garbage": "x", "three parts": "a.b.c", "unsigned": "eyJhbGciOiJub25lIn0.e30.",
		"another signature": c.Vars["access"][:len(c.Vars["access"])-8] + "AAAAAAAA",
	} {
		for _, path := range []string{"/api/users/me", "/api/auth/me", "/profile"} {
			got := c.Do(exchange{Request: "GET " + path, Headers: []string{"Authorization", "Bearer " + token}})
			if got.StatusCode != 401 || strings.Contains(got.Header.Get("WWW-Authenticate"), "expired") {
				t.Errorf("%s at %s: %s %s", name, path, got.Status, got.Header.Get("WWW-Authenticate"))
			}
		}
	}
	refreshByCookie(c)
	c.Run(exchange{Request: "GET /api/users/me", Headers: bearer, Status: 200, Answer: "*"})
}

// W-4
func TestW4AccessTokenIsRejectedAfterItsSessionEnded(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := signUpAda(t, s)
	c.Run(
		exchange{Request: "POST /api/users/logout", Status: 205},
		exchange{Request: "GET /api/users/me", Headers: bearer, Status: 401, Answer: "*"},
		exchange{Request: "GET /api/auth/me", Headers: bearer, Status: 401, Answer: `*"code":"SESSION_ENDED"*`},
		exchange{Request: "GET /profile", Headers: bearer, Status: 401, Answer: "*"},
	)
}

// W-6, W-7, W-69
func TestW6CookieHasMaxAgeAndIsHttpOnly(t *testing.T) {
	t.Parallel()
	now := startClock()
	c := dialecttest.Start(t, now.options).Client(t)
	c.Run(exchange{Request: "POST /api/users/signup", Body: signup, Status: 201, Answer: "*",
		Want: headers{"Set-Cookie": "refreshTkn=*; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict | " +
			"watchword-known=*; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict"}})
	now.advance(48 * time.Hour)
	c.Run(
		exchange{Request: "POST /api/users/login", Body: login, Status: 200, Answer: "*", Want: headers{
			"Set-Cookie": "refreshTkn=*; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"}},
		exchange{Request: "POST /login", Body: login, Status: 200, Answer: "*", Want: headers{
			"Set-Cookie": "jwt=*; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"}},
	)
}

// W-9
func TestW9LogoutWithoutARefreshTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	now := startClock()
	s := dialecttest.Start(t, now.options)
	s.Client(t).Run(exchange{Request: "POST /register", Body: register, Status: 201, Answer: "*"})
	for _, x := range []exchange{
		{Name: "null", Body: `{"token":null}`},
		{Name: "beside an invalid bearer token", Body: `{"token":null}`, Headers: []string{"Authorization", "Bearer null"}},
		{Name: "a number", Body: `{"token":123}`},
		{Name: "invalid JSON", Body: `{`, Headers: []string{"Content-Type", "text/plain"}},
		{Name: "beside another cookie", Headers: []string{"Cookie", "jwt=planted"}},
		{Name: "an hour later", Body: `{}`},
	} {
		c := s.Client(t)
		c.Run(exchange{Request: "POST /login", Body: login, Status: 200, Answer: `*"refreshToken":"{refresh}"}`})
		now.advance(time.Hour)
		x.Request, x.Status = "POST /logout", 204
		c.Run(x, exchange{Name: x.Name, Request: "POST /token", Body: `{"token":"{refresh}"}`, Status: 403, Answer: "*"})
	}
}

// W-10, W-53
func TestW10RenewedAccessTokenHasOnlyTheStandardClaims(t *testing.T) {
	t.Parallel()
	c := dialecttest.Start(t, nil).Client(t)
	c.Run(
		exchange{Request: "POST /register", Body: register, Status: 201, Answer: `*"refreshToken":"{first}"}`},
		exchange{Request: "POST /token", Body: `{"token":"{first}"}`, Status: 200, Answer: `{"accessToken":"{access}","refreshToken":"{second}"}`},
		exchange{Request: "GET /profile", Headers: bearer, Status: 200, Answer: `{"user":{"id":"{id}",*`},
	)
	if c.Vars["first"] == c.Vars["second"] {
		t.Error("the refresh token did not rotate")
	}
	claims := claimsOf(t, c.Vars["access"])
	if claims["sub"] != c.Vars["id"] {
		t.Errorf("sub is %v", claims["sub"])
	}
	known := []string{"acr", "amr", "aud", "auth_time", "exp", "iat", "iss", "jti", "nbf", "roles", "sid", "sub"}
	if names := slices.Sorted(maps.Keys(claims)); !slices.Equal(names, known) {
		t.Errorf("claims are %v", names)
	}
}

func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	must(t, err)
	must(t, json.Unmarshal(text, &claims))
	return claims
}

// W-12
func TestW12TwoLoginsInOneSecondAreTwoSessions(t *testing.T) {
	t.Parallel()
	now := startClock() // the clock stands still: both sign-ins have the same time
	s := dialecttest.Start(t, now.options)
	c := signUpAda(t, s)
	second := s.Client(t)
	second.Run(exchange{Request: "POST /api/users/login", Body: login, Status: 200, Answer: "*", Want: headers{
		"Set-Cookie": "refreshTkn={refresh}; *"}})
	if c.Vars["refresh"] == second.Vars["refresh"] {
		t.Fatal("two sessions have one token")
	}
	second.Run(exchange{Request: "POST /api/users/logout", Status: 205})
	c.Run(exchange{Request: "POST /api/users/reauth", Status: 201, Answer: "*"})
}

// W-14, W-15
func TestW14MailedLinkLeadsOnlyToAllowedOrigins(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	signUpAda(t, s)
	renderer, err := mail.NewRenderer(mail.Options{PublicURL: s.URL})
	must(t, err)
	hosted, frontEnd := s.URL+"/reset#token=", dialecttest.FrontEnd
	sent := 0
	for _, attempt := range []struct {
		headers []string
		link    string
	}{
		{nil, frontEnd + "/resetpass/"},
		{[]string{"X-reset-base", frontEnd + "/restee"}, frontEnd + "/restee/"},
		{[]string{"X-reset-base", "https://evil.example/reset"}, hosted},
		{[]string{"X-reset-base", frontEnd + ".evil.example/reset"}, hosted},
		{[]string{"X-reset-base", frontEnd + "@evil.example/reset"}, hosted},
		{[]string{"X-reset-base", frontEnd + "/go?to=https://evil.example"}, hosted},
		{[]string{"X-reset-base", frontEnd + "/../" + "x"}, hosted},
		{[]string{"X-reset-base", frontEnd + `/"><img src=https://evil.example/x>`}, hosted},
		{[]string{"X-reset-base", "javascript:alert(1)"}, hosted},
		{[]string{"X-reset-base", "undefined"}, hosted},
		{[]string{"X-reset-base", s.URL + "/dev/mail"}, hosted},
		{[]string{"Origin", "", "Sec-Fetch-Site", ""}, hosted},
		{[]string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "Forwarded", "host=evil.example",
			"Referer", "https://evil.example/", "Origin", "", "Sec-Fetch-Site", ""}, hosted},
	} {
		s.Client(t).Run(exchange{Request: "POST /api/users/forgotpass", Body: `{"email":"ada@example.com"}`, Headers: attempt.headers, Status: 200, Answer: "*"})
		sent++
		message := s.Mails.Wait(t, watchword.MailReset, "ada@example.com", sent)
		words, err := renderer.Render(message)
		must(t, err)
		if token, leads := strings.CutPrefix(words.Link, attempt.link); !leads || token != string(message.Token) {
			t.Errorf("%q: the link does not begin with %s", attempt.headers, attempt.link)
		}
		if strings.Contains(words.HTML+words.Text, "evil") {
			t.Errorf("%q is in the mail", attempt.headers)
		}
	}
	s.Client(t).Run(exchange{Request: "POST /api/users/forgotpass", Body: `{"email":"ada@example.com"}`, Headers: []string{"Origin", "https://evil.example", "Sec-Fetch-Site", ""}, Status: 403, Answer: "*"})
	if got := len(s.Mails.Kinds("ada@example.com")); got != sent+1 { // +1: the mail that verifies the address
		t.Errorf("%d mails, want %d", got, sent+1)
	}
}

// W-16, W-17
func TestW16NoSecretIsLogged(t *testing.T) {
	t.Parallel()
	var log transcript.Transcript
	s := dialecttest.Start(t, func(o *watchword.Options) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c := signUpAda(t, s)
	secrets := []string{password, other, c.Vars["access"], c.Vars["refresh"]}
	refreshByCookie(c)
	c.Run(exchange{Request: "POST /api/users/forgotpass", Body: `{"email":"ada@example.com"}`, Status: 200, Answer: "*"})
	token := string(s.Mails.Wait(t, watchword.MailReset, "ada@example.com", 1).Token)
	c.Vars["token"] = token
	c.Run(
		exchange{Request: "POST /api/users/login", Body: `{"email":"ada@example.com","password":"` + other + `"}`, Status: 400, Answer: "*"},
		exchange{Request: "PATCH /api/users/resetpass/{token}", Body: `{"password":"` + other + `","passwordConfirm":"` + other + `"}`, Status: 200, Answer: "*"},
		exchange{Request: "POST /token", Body: `{"token":"{refresh}"}`, Status: 403, Answer: "*"},
	)
	text := log.String()
	if !strings.Contains(text, "resetpass/{token}") {
		t.Error("no request is in the log")
	}
	for _, secret := range append(secrets, token, c.Vars["access"], c.Vars["refresh"]) {
		if strings.Contains(text, secret) {
			t.Errorf("a secret of %d bytes is in the log", len(secret))
		}
	}
}

func requestResetToken(t *testing.T, s *dialecttest.Service) string {
	t.Helper()
	s.Client(t).Run(exchange{Request: "POST /api/users/forgotpass", Body: `{"email":"ada@example.com"}`, Status: 200, Answer: "*"})
	return string(s.Mails.Wait(t, watchword.MailReset, "ada@example.com", 1).Token)
}

const newPassword = `{"password":"` + other + `","passwordConfirm":"` + other + `"}`

// W-18, W-22
func TestW18ResetEndsEverySessionAndRemovesAnUnprovenPassword(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	thief := signUpAda(t, s) // the thief signed up with the owner's address
	s.Client(t).Run(exchange{
		Request: "PATCH /api/users/resetpass/" + requestResetToken(t, s), Body: newPassword, Status: 200, Answer: "*"})
	thief.Run(
		exchange{Request: "GET /api/users/me", Headers: bearer, Status: 401, Answer: "*"},
		exchange{Request: "POST /api/users/reauth", Status: 401, Answer: "*"},
		exchange{Request: "POST /api/users/login", Body: login, Status: 400, Answer: "*"},
		exchange{Request: "POST /token", Body: `{"token":"{refresh}"}`, Status: 403, Answer: "*"},
	)
}

// W-19
func TestW19ResetLinkWorksOnce(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	signUpAda(t, s)
	request := "PATCH /api/users/resetpass/" + requestResetToken(t, s)
	statuses := make([]int, 8)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() { statuses[i] = s.Client(t).Do(exchange{Request: request, Body: newPassword}).StatusCode })
	}
	all.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{200, 400, 400, 400, 400, 400, 400, 400}) {
		t.Errorf("%v", statuses)
	}
}

// W-20
func TestW20MailedTokenWorksForOnePurpose(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	signUpAda(t, s)
	verify := string(s.Mails.Wait(t, watchword.MailVerify, "ada@example.com", 1).Token)
	reset := requestResetToken(t, s)
	s.Client(t).Run(
		exchange{Request: "POST /api/auth/email/verify", Body: `{"token":"` + reset + `"}`, Status: 400, Answer: `*"MAIL_TOKEN_INVALID"*`},
		exchange{Name: "a verification link chooses the first password, once",
			Request: "PATCH /api/users/resetpass/" + verify, Body: newPassword, Status: 200, Answer: "*"},
		exchange{Request: "PATCH /api/users/resetpass/" + verify, Body: newPassword, Status: 400, Answer: "*"},
		exchange{Request: "PATCH /api/users/resetpass/" + reset, Body: newPassword, Status: 400, Answer: "*"},
	)
}

// W-21, W-43
func TestW43OtherProfilesAndInvalidIDsReturn404(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := signUpAda(t, s)
	eve := s.Client(t)
	eve.Run(exchange{Request: "POST /api/users/signup", Body: strings.ReplaceAll(signup, "ada@", "eve@"), Status: 201, Answer: `*"id":"{eve}","_id":"*"accessToken":"{access}"}`})
	for _, id := range []string{c.Vars["id"], "1", "507f1f77bcf86cd799439011", "00000000-0000-0000-0000-000000000000",
		"anything", "%00", "..%2f..%2fadmin", "%7B%7D"} {
		eve.Run(exchange{Request: "GET /api/users/" + id, Headers: bearer, Status: 404, Answer: `{"error":"Resource not found"}`})
	}
	eve.Run(exchange{Request: "GET /api/users/{eve}", Headers: bearer, Status: 200, Answer: `{"success":true,"user":{"id":"{eve}","_id":"{eve}","firstName":"Ada","lastName":"Lovelace","email":"eve@example.com"}}`})
	must(t, s.Engine.Operator().DeleteUser(t.Context(), watchword.UserID(eve.Vars["eve"])))
	eve.Run(exchange{
		Name: "of a deleted user", Request: "GET /api/users/me", Headers: bearer, Status: 401, Answer: "*"})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
