package dialecttest_test

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
)

// W-25, W-66
func TestW66CrossSiteRequestIsRejected(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := signUpAda(t, s)
	c.Run(exchange{Request: "POST /login", Body: login, Status: 200, Answer: "*", Want: headers{"Set-Cookie": "jwt=*"}})
	for _, foreign := range [][]string{
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "https://evil.example", "Sec-Fetch-Site", ""},
		{"Origin", "null", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "http://localhost:3001", "Sec-Fetch-Site", "same-site"},
		{"Origin", "", "Sec-Fetch-Site", ""},
	} {
		for _, path := range []string{"/api/users/reauth", "/api/users/logout", "/api/users/master-logout", "/logout",
			"/token"} {
			c.Run(exchange{
				Request: "POST " + path, Headers: foreign, Status: 403, Answer: "*", Want: headers{"Set-Cookie": ""}})
		}
		if foreign[1] == "" {
			continue // a request without an Origin may sign in
		}
		for _, path := range []string{"/api/users/login", "/api/users/signup", "/login", "/register"} {
			s.Client(t).Run(exchange{Request: "POST " + path, Body: login, Headers: foreign, Status: 403, Answer: "*",
				Want: headers{"Set-Cookie": ""}})
		}
	}
	lesson := s.Client(t)
	lesson.Run(
		exchange{Request: "POST /login", Body: login, Status: 200, Answer: `*"refreshToken":"{refresh}"}`},
		exchange{Name: "the cookie jwt without an origin", Request: "POST /logout",
			Headers: []string{"Origin", "", "Sec-Fetch-Site", ""}, Status: 403, Answer: "*"},
		exchange{Name: "the session is unchanged", Request: "POST /token", Body: `{"token":"{refresh}"}`, Status: 200, Answer: "*"},
	)
	c.Run(
		exchange{Name: "two cookies", Request: "POST /api/users/reauth", Headers: []string{"Cookie",
			"refreshTkn=other"}, Status: 400, Answer: "*", Want: headers{"Set-Cookie": "refreshTkn=; *Max-Age=0*"}},
		exchange{Name: "two cookies", Request: "GET /profile", Headers: []string{"Cookie", "jwt=other"}, Status: 400,
			Answer: "*", Want: headers{"Set-Cookie": "jwt=; *Max-Age=0*"}},
	)
	s.Client(t).Run(exchange{Name: "the session is unchanged", Request: "POST /api/users/reauth",
		Headers: withCookie(c.Vars["refresh"]), Status: 201, Answer: "*"})
}

// W-26, W-27, W-28, W-33
func TestW26ResponsesDoNotRevealAccounts(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	signUpAda(t, s)
	verified := dialecttest.Start(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
	verified.Client(t).Run(exchange{Request: "POST /api/users/signup", Body: signup, Status: 403, Answer: "*"})
	for _, x := range []struct {
		service *dialecttest.Service
		request string
		body    string
		status  int
	}{
		{s, "POST /api/users/login", `{"email":"%s","password":"a wrong password"}`, 400},
		{s, "POST /login", `{"email":"%s","password":"a wrong password"}`, 401},
		{s, "POST /api/auth/login", `{"email":"%s","password":"a wrong password"}`, 401},
		{s, "POST /api/users/forgotpass", `{"email":"%s"}`, 200},
		{verified, "POST /api/users/signup", `{"firstName":"A","lastName":"B","email":"%s","password":"` + password + `"}`, 403},
		{verified, "POST /register", `{"username":"A","email":"%s","password":"` + password + `"}`, 202},
	} {
		var answers [2]dialecttest.Answer
		for i, email := range []string{"ada@example.com", "eve@example.com"} {
			answers[i] = x.service.Client(t).Do(exchange{Request: x.request, Body: fmt.Sprintf(x.body, email)})
			for _, name := range []string{"X-Request-Id", "Date"} {
				answers[i].Body = strings.ReplaceAll(answers[i].Body, answers[i].Header.Get(name), "-")
				answers[i].Header.Del(name)
			}
			if answers[i].StatusCode != x.status || strings.Contains(answers[i].Body, email) {
				t.Errorf("%s: %s %s", x.request, answers[i].Status, answers[i].Body)
			}
		}
		if answers[0].Body != answers[1].Body || !maps.EqualFunc(answers[0].Header, answers[1].Header, slices.Equal) {
			t.Errorf("%s reveals an account: %s, %s", x.request, answers[0].Body, answers[1].Body)
		}
	}
}

// W-29, W-32
func TestW29GuessesShareOneLimitAcrossSpellingsAndAPIs(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t,
		func(o *watchword.Options) { o.Limits.FailedPasswords = watchword.Limit{Count: 3, Per: time.Hour} })
	signUpAda(t, s)
	c := s.Client(t)
	c.Run(
		exchange{Request: "POST /api/users/login", Body: `{"email":"ada@example.com","password":"a"}`, Status: 400, Answer: "*"},
		exchange{Request: "POST /login", Body: `{"email":"ADA@EXAMPLE.COM","password":"a"}`, Status: 401, Answer: "*"},
		exchange{Request: "POST /api/auth/login", Body: `{"email":" Ada@Example.com","password":"a"}`, Status: 401, Answer: "*"},
		exchange{Request: "POST /api/users/login", Body: login, Status: 429, Answer: `{"error":"*","feedback":"*"}`, Want: headers{"Retry-After": "*"}},
		exchange{Request: "POST /login", Body: login, Status: 429, Answer: "*", Want: headers{"Retry-After": "*"}},
		exchange{Name: "one account, one spelling", Request: "POST /register",
			Body: strings.Replace(register, "ada@", "ADA@", 1), Status: 400, Answer: "User already exists"},
	)
}

// W-30, W-31, W-40
func TestW30PasswordRulesApplyAndPasswordsAreNotEchoed(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := s.Client(t)
	for _, short := range []string{"1234", "zorbleq"} {
		for _, x := range []exchange{
			{Request: "POST /api/users/signup", Body: strings.Replace(signup, password, short, 1)},
			{Request: "POST /register", Body: strings.Replace(register, password, short, 1)},
		} {
			if got := c.Do(x); got.StatusCode != 422 || strings.Contains(got.Body, short) ||
				!strings.Contains(got.Body, "8") {
				t.Errorf("%s: %s %s", x.Request, got.Status, got.Body)
			}
		}
	}
	long := strings.Repeat("seven otters ", 6) // 78 bytes; bcrypt would ignore all but the first 72
	c.Run(
		exchange{
			Request: "POST /register", Body: strings.Replace(register, password, long, 1), Status: 201, Answer: "*"},
		exchange{
			Request: "POST /login", Body: strings.Replace(login, password, long[:73], 1), Status: 401, Answer: "*"},
		exchange{Request: "POST /login", Body: strings.Replace(login, password, long, 1), Status: 200, Answer: "*"},
	)
}

var challenge = regexp.MustCompile(`^Bearer realm="[^"\\]+"(, [a-z_]+="[^"\\]+")*$`)

// W-38, W-39, W-46
func TestW39ChallengesAndBearerTokensFollowTheRFCs(t *testing.T) {
	t.Parallel()
	c := signUpAda(t, dialecttest.Start(t, nil))
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "bearer", "Bearer a b",
		"Bearer undefined", "Bearer null", "Token x"} {
		for _, path := range []string{"/api/users/me", "/profile"} {
			got := c.Do(exchange{Request: "GET " + path, Headers: []string{"Authorization", authorization}})
			if header := got.Header.Get("WWW-Authenticate"); got.StatusCode != 401 || !challenge.MatchString(header) ||
				got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q at %s: %s, %s", authorization, path, got.Status, header)
			}
		}
	}
	for _, authorization := range []string{"Bearer {access}", "bearer {access}", "BEARER  {access} "} {
		c.Run(exchange{Name: authorization[:7], Request: "GET /api/users/me",
			Headers: []string{"Authorization", authorization}, Status: 200, Answer: "*"})
	}
}

// W-41
func TestW41ForeignOrMissingOriginIsNotAServerError(t *testing.T) {
	t.Parallel()
	c := signUpAda(t, dialecttest.Start(t, nil))
	for _, origin := range []string{"", "null", "https://evil.example", "http://localhost:3000.evil.example"} {
		c.Run(
			exchange{Request: "GET /api/users/me", Headers: append([]string{"Origin", origin}, bearer...), Status: 200,
				Answer: "*", Want: headers{"Access-Control-Allow-Origin": ""}},
			exchange{Request: "GET /healthz", Headers: []string{"Origin", origin}, Status: 200, Answer: "*"},
		)
	}
	c.Run(exchange{Name: "broken JSON", Request: "POST /api/users/login", Body: "{", Status: 400, Answer: "*",
		Want: headers{"Access-Control-Allow-Origin": dialecttest.FrontEnd}})
}

// W-42
func TestW42DebugRoutesOfTheTutorialsReturn404(t *testing.T) {
	t.Parallel()
	c := dialecttest.Start(t, nil).Client(t)
	for _, path := range []string{"/boom", "/test", "/api/users/test", "/api/users/boom", "/api/test", "/api/login"} {
		if got := c.Do(exchange{Request: "GET " + path}); got.StatusCode != 404 && got.StatusCode != 401 {
			t.Errorf("%s: %s", path, got.Status)
		}
	}
}

// W-44, W-48
func TestW44LogoutAcceptsAnExpiredAccessTokenOrACookie(t *testing.T) {
	t.Parallel()
	now := startClock()
	s := dialecttest.Start(t, now.options)
	s.Client(t).Run(
		exchange{Name: "an invalid cookie", Request: "POST /api/users/logout",
			Headers: []string{"Cookie", "refreshTkn=x", "Authorization", "Bearer x"}, Status: 205},
		exchange{Name: "no credential, and options in the body", Request: "POST /api/users/logout", Body: `{"requireAuthHeader":true,"withCredentials":true}`, Status: 401, Answer: "*",
			Want: headers{"WWW-Authenticate": `Bearer realm="apps", error="invalid_access_token", *`}},
		exchange{Name: "an empty cookie", Request: "POST /api/users/logout", Headers: []string{"Cookie", "refreshTkn="},
			Status: 401, Answer: "*"},
		exchange{Name: "a malformed token", Request: "POST /api/users/logout",
			Headers: []string{"Authorization", "Bearer undefined"}, Status: 401, Answer: "*"},
	)
	c := signUpAda(t, s)
	now.advance(time.Hour)
	c.Run(
		exchange{Name: "two cookies", Request: "POST /api/users/logout",
			Headers: []string{"Cookie", "refreshTkn=planted"}, Status: 205},
		exchange{Request: "POST /api/users/reauth", Headers: withCookie(c.Vars["refresh"]), Status: 401, Answer: "*"},
		exchange{Request: "POST /api/users/login", Body: login, Status: 200, Answer: `*"accessToken":"{fresh}"}`, Want: headers{"Set-Cookie": "refreshTkn={other}; *"}},
	)
	c.Vars["access"], c.Vars["refresh"] = c.Vars["fresh"], c.Vars["other"]
	now.advance(time.Hour)
	s.Client(t).Run(exchange{Name: "an expired access token alone", Request: "POST /api/users/logout",
		Headers: []string{"Authorization", "Bearer " + c.Vars["access"]}, Status: 205})
	c.Run(
		exchange{
			Request: "POST /api/users/reauth", Status: 401, Answer: "*", Want: headers{"Set-Cookie": "refreshTkn=; *"}},
		exchange{Request: "POST /api/users/login", Body: login, Status: 200, Answer: `*"accessToken":"{third}"}`, Want: headers{"Set-Cookie": "refreshTkn={last}; *"}},
	)
	c.Vars["access"], c.Vars["refresh"] = c.Vars["third"], c.Vars["last"]
	now.advance(time.Hour)
	c.Run(
		exchange{Name: "an expired access token", Request: "POST /api/users/logout", Headers: bearer, Status: 205},
		exchange{Request: "POST /api/users/reauth", Headers: withCookie(c.Vars["refresh"]), Status: 401, Answer: "*"},
	)
	second, third := s.Client(t), s.Client(t)
	for _, client := range []*dialecttest.Client{second, third} {
		client.Run(exchange{Request: "POST /api/users/login", Body: login, Status: 200, Answer: `*"accessToken":"{access}"}`})
	}
	now.advance(time.Hour)
	second.Run(exchange{Name: "everywhere, with an expired access token and the cookie",
		Request: "POST /api/users/master-logout", Headers: bearer, Status: 205,
		Want: headers{"Set-Cookie": "refreshTkn=; *"}})
	third.Run(exchange{Name: "everywhere, with the cookie of an ended session",
		Request: "POST /api/users/master-logout", Status: 401, Answer: "*",
		Want: headers{"WWW-Authenticate": `Bearer realm="reauth", error="invalid_rft", *`, "Set-Cookie": "refreshTkn=; *"}})
}

// W-45
func TestW45MalformedPathReturns400(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	for _, path := range []string{"/api/users/resetpass/%", "/api/users/resetpass/%zz", "/api/users/%E0%A4%A"} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		must(t, err)
		_, err = fmt.Fprintf(connection, "PATCH %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path,
			strings.TrimPrefix(s.URL, "http://"))
		must(t, err)
		answer := make([]byte, 12)
		_, err = connection.Read(answer)
		must(t, err)
		if string(answer) != "HTTP/1.1 400" {
			t.Errorf("%s: %s", path, answer)
		}
		must(t, connection.Close())
	}
	s.Client(t).Run(exchange{Name: "an escaped percent and plus sign", Request: "PATCH /api/users/resetpass/%25%2B", Body: newPassword, Status: 400, Answer: `{"error":"The reset link is invalid"}`})
}

// W-49, W-51, W-54
func TestW49AccessAndRefreshTokensAreNotInterchangeable(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := signUpAda(t, s)
	c.Run(
		exchange{Request: "GET /api/users/me", Headers: []string{"Authorization", "Bearer {refresh}"}, Status: 401,
			Answer: "*"},
		exchange{Request: "GET /profile", Headers: []string{"Cookie", "jwt={refresh}"}, Status: 401, Answer: "*"},
		exchange{Request: "POST /token", Body: `{"token":"{access}"}`, Status: 403, Answer: "*"},
	)
	s.Client(t).Run(exchange{
		Request: "POST /api/users/reauth", Headers: withCookie(c.Vars["access"]), Status: 401, Answer: "*"})
	if claims := claimsOf(t, c.Vars["access"]); claims["iss"] != s.URL || claims["jti"] == nil || claims["aud"] == nil {
		t.Errorf("claims: %v", claims)
	}
	if strings.Count(c.Vars["refresh"], ".") != 0 {
		t.Error("the refresh token has readable parts")
	}
}

// W-55
func TestW55NoTokenIsStored(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := signUpAda(t, s)
	refreshByCookie(c)
	files, err := filepath.Glob(filepath.Join(s.Folder, "*"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("the folder has no database file")
	}
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		found = found || bytes.Contains(content, []byte("ada@example.com"))
		for _, token := range []string{c.Vars["refresh"], c.Vars["access"], password} {
			if bytes.Contains(content, []byte(token)) {
				t.Errorf("a token of %d bytes is in the database", len(token))
			}
		}
	}
	if !found {
		t.Error("the account is not in the database files")
	}
}

// W-56, W-57
func TestW56RefreshingDoesNotExtendTheMaximumAgeOfASession(t *testing.T) {
	t.Parallel()
	now := startClock()
	c := signUpAda(t, dialecttest.Start(t, now.options))
	for range 5 {
		refreshByCookie(c)
		now.advance(144 * time.Hour) // six days
	}
	c.Run(exchange{Name: "after thirty days", Request: "POST /api/users/reauth", Status: 401, Answer: "*"})
}

// W-60, W-61, W-64
func TestW60ValuesThatAreNotTextAreRejected(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	signUpAda(t, s)
	c := s.Client(t)
	for _, body := range []string{
		`{"email":{"$gt":""},"password":"x"}`, `{"email":["ada@example.com"],"password":"x"}`, `{"email":1,"password":"x"}`,
		`{"email":"ada@example.com","password":{"$ne":null}}`, `{"email":"ada@example.com","password":12345678}`, `{"email":true,"password":"x"}`,
		`[]`, `null`, `"x"`, `{`, `{"email":"ada@example.com","password":"\ud800"}`, `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
	} {
		for _, path := range []string{"/api/users/login", "/api/users/signup", "/login", "/register"} {
			c.Run(exchange{Name: path + " " + body, Request: "POST " + path, Body: body, Status: 400, Answer: "*"})
		}
	}
	c.Run(exchange{Name: "huge", Request: "POST /api/users/login", Body: `{"email":"` + strings.Repeat("a", 17<<10) + `"}`, Status: 413, Answer: "*"})
}

// W-62
func TestW62SessionsPerUserAreLimited(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, func(o *watchword.Options) { o.MaxSessions = 3 })
	c := signUpAda(t, s)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() { s.Client(t).Do(exchange{Request: "POST /api/users/login", Body: login}) })
	}
	all.Wait()
	sessions, err := s.Engine.Operator().UserSessions(t.Context(), watchword.UserID(c.Vars["id"]))
	must(t, err)
	if len(sessions) != 3 {
		t.Errorf("%d sessions", len(sessions))
	}
}

// W-63
func TestW63OneOfManyConcurrentSignUpsSucceeds(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	statuses := make([]int, 6)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			statuses[i] = s.Client(t).Do(exchange{Request: "POST /api/users/signup", Body: signup}).StatusCode
		})
	}
	all.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{201, 422, 422, 422, 422, 422}) {
		t.Errorf("%v", statuses)
	}
}

func TestSessionOfOneAPIWorksInEveryAPI(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := signUpAda(t, s)
	c.Run(
		exchange{Name: "listed", Request: "GET /api/auth/sessions", Headers: bearer, Status: 200, Answer: `{"sessions":[{"id":"{session}",*"current":true}]}`},
		exchange{Name: "the bearer token of another API", Request: "GET /profile", Headers: bearer, Status: 200, Answer: `*"username":"Ada Lovelace"*`},
		exchange{Name: "refreshed by lesson", Request: "POST /token", Body: `{"token":"{refresh}"}`, Status: 200, Answer: `{"accessToken":"{second}","refreshToken":"{next}"}`},
		exchange{Name: "refreshed by the API", Request: "POST /api/auth/refresh", Body: `{"refreshToken":"{next}"}`, Status: 200, Answer: `*"refreshToken":"{third}"*`},
	)
	by := s.Client(t)
	by.Run(exchange{Name: "refreshed by users", Request: "POST /api/users/reauth", Headers: withCookie(c.Vars["third"]),
		Status: 201, Answer: renewed})
	if claimsOf(t, by.Vars["access"])["sid"] != c.Vars["session"] {
		t.Error("the session id changed")
	}
	by.Run(
		exchange{Name: "ended by the API", Request: "DELETE /api/auth/sessions/" + c.Vars["session"], Headers: bearer,
			Status: 200, Answer: "*"},
		exchange{Name: "rejected by users", Request: "GET /api/users/me", Headers: bearer, Status: 401, Answer: "*"},
		exchange{Name: "rejected by lesson", Request: "GET /profile", Headers: bearer, Status: 401, Answer: "*"},
	)
}
