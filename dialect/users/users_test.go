package users_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
	"github.com/watchword-auth/watchword/dialect/users"
)

type (
	exchange = dialecttest.Exchange
	headers  = map[string]string
)

const (
	password = "seven purple otters"
	other    = "eight yellow herons"

	adaAnswer  = `{"success":true,"user":{"id":"{id}","_id":"{id}","firstName":"Ada Maria","lastName":"de la Cruz","email":"ada@example.com"},"accessToken":"{access}"}`
	cookieSet  = `refreshTkn={refresh}; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict`
	knownSet   = `watchword-known=wwd_*; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict`
	cookieGone = `refreshTkn=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict`
	adaSignup  = `{"firstName":"Ada Maria","lastName":"de la Cruz","email":" Ada@Example.com ","password":"` + password + `","passwordConfirm":"` + password + `"}`
	adaLogin   = `{"email":"ada@example.com","password":"` + password + `"}`
	jsonUTF8   = "application/json; charset=utf-8"

	unauthenticated = `{"error":"Authentication Error","feedback":"You are unauthenticated!"}`
	wrong           = `{"error":"Wrong credentials!","feedback":"Email or password is wrong!"}`
	lost            = `{"error":"Resource not found"}`
)

// forgetVars lets the next response set the variables again.
func forgetVars(c *dialecttest.Client, names ...string) {
	for _, name := range names {
		delete(c.Vars, name)
	}
}

// The test sends every request of the dialect's contract. It compares the status, body, cookies and challenge of each
// response.
//
// W-36, W-37
func TestResponsesMatchTheContract(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := s.Client(t)
	c.Run(
		exchange{Request: "POST /api/users/signup", Body: adaSignup, Status: 201, Answer: adaAnswer, Want: headers{
			"Content-Type": jsonUTF8, "Set-Cookie": cookieSet + " | " + knownSet, "WWW-Authenticate": "",
			"Access-Control-Allow-Origin": dialecttest.FrontEnd, "Access-Control-Allow-Credentials": "true",
			"Access-Control-Expose-Headers": "Www-Authenticate, Retry-After, X-Request-Id, Etag",
		}},
		exchange{Request: "GET /api/users/me", Headers: []string{"Authorization", "Bearer {access}"}, Status: 200,
			Answer: `{"success":true,"user":{"id":"{id}","_id":"{id}","firstName":"Ada Maria","lastName":"de la Cruz","email":"ada@example.com"}}`},
		exchange{Request: "GET /api/users/{id}", Headers: []string{"Authorization", "Bearer {access}"}, Status: 200,
			Answer: `{"success":true,"user":{"id":"{id}","_id":"{id}","firstName":"Ada Maria","lastName":"de la Cruz","email":"ada@example.com"}}`},
	)
	c.Vars["first"] = c.Vars["refresh"]
	forgetVars(c, "access", "refresh")
	c.Run(
		exchange{Request: "POST /api/users/reauth", Headers: []string{"Authorization", "Bearer x.y.z"}, Status: 201,
			Answer: `{"success":true,"accessToken":"{access}"}`, Want: headers{"Set-Cookie": cookieSet, "WWW-Authenticate": ""}},
		exchange{Request: "POST /api/users/logout", Status: 205, Answer: "", Want: headers{ // without an access token
			"Set-Cookie": cookieGone, "Content-Type": "", "Content-Length": "0"}},
		exchange{Request: "POST /api/users/reauth", Status: 401, Answer: unauthenticated,
			Want: headers{"Set-Cookie": "",
				"WWW-Authenticate": `Bearer realm="reauth", error="no_rft", error_description="Refresh Token is missing!"`}},
		exchange{Request: "GET /api/users/me", Headers: []string{"Authorization", "Bearer {access}"}, Status: 401,
			Answer: unauthenticated,
			Want:   headers{"WWW-Authenticate": `Bearer realm="apps", error="invalid_access_token", error_description="the session has ended"`}},
	)
	if c.Vars["first"] == c.Vars["refresh"] {
		t.Error("the refresh token did not rotate")
	}
	forgetVars(c, "access", "refresh")
	c.Run(
		exchange{Request: "POST /api/users/login", Body: adaLogin, Status: 200, Answer: adaAnswer, Want: headers{
			"Set-Cookie": cookieSet, "Content-Type": jsonUTF8}},
		exchange{Request: "POST /api/users/login", Body: `{"email":"ada@example.com","password":"wrong"}`, Status: 400, Answer: wrong,
			Want: headers{"Set-Cookie": "", "WWW-Authenticate": ""}},
		exchange{Request: "POST /api/users/login", Body: `{"email":"eve@example.com","password":"wrong"}`, Status: 400, Answer: wrong},
		exchange{Request: "POST /api/users/master-logout", Headers: []string{"Authorization", "Bearer {access}"},
			Status: 205, Answer: "",
			Want: headers{"Set-Cookie": cookieGone, "Content-Length": "0"}},
		exchange{Request: "POST /api/users/master-logout", Status: 401, Answer: unauthenticated,
			Want: headers{"WWW-Authenticate": `Bearer realm="apps", error="invalid_access_token", error_description="unknown authentication scheme"`}},
	)
}

func TestForgottenPasswordIsReset(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := s.Client(t)
	const sent = `{"message":"Reset link sent","feedback":"If there is an account with this address, a mail with instructions is on its way.","success":true}`
	c.Run(
		exchange{Request: "POST /api/users/signup", Body: adaSignup, Status: 201, Answer: adaAnswer},
		exchange{Request: "POST /api/users/forgotpass", Body: `{"email":"eve@example.com"}`, Status: 200, Answer: sent},
		exchange{Request: "POST /api/users/forgotpass", Body: `{"email":"ada@example.com"}`, Headers: []string{"X-reset-base", dialecttest.FrontEnd + "/account/reset/"}, Status: 200, Answer: sent},
	)
	mail := s.Mails.Wait(t, watchword.MailReset, "ada@example.com", 1)
	if mail.Page != dialecttest.FrontEnd+"/account/reset" {
		t.Errorf("the link leads to %q", mail.Page)
	}
	c.Vars["token"] = string(mail.Token)
	c.Run(
		exchange{Name: "an unknown token", Request: "PATCH /api/users/resetpass/{id}", Body: `{"password":"` + other + `","passwordConfirm":"` + other + `"}`, Status: 400, Answer: `{"error":"The reset link is invalid"}`},
		exchange{Name: "a rejected password does not consume the token", Request: "PATCH /api/users/resetpass/{token}", Body: `{"password":"short","passwordConfirm":"short"}`, Status: 422,
			Answer: `{"error":[{"msg":"Use at least 8 characters.*","path":"password","location":"body"}],"feedback":"Use at least 8 characters.*"}`},
		exchange{Request: "PATCH /api/users/resetpass/{token}", Body: `{"password":"` + other + `","passwordConfirm":"` + password + `"}`, Status: 422,
			Answer: `{"error":[{"msg":"Passwords DO NOT match","path":"passwordConfirm","location":"body"}],"feedback":"Passwords DO NOT match"}`},
		exchange{Request: "PATCH /api/users/resetpass/{token}", Body: `{}`, Status: 422,
			Answer: `{"error":[{"msg":"Password CANNOT be empty","path":"password","location":"body"}],"feedback":"Password CANNOT be empty"}`},
		exchange{Request: "PATCH /api/users/resetpass/{token}", Body: `{"password":"` + other + `","passwordConfirm":"` + other + `"}`, Status: 200,
			Answer: `{"message":"Password reset successful","success":true}`, Want: headers{"Set-Cookie": knownSet}},
		exchange{Name: "the token again", Request: "PATCH /api/users/resetpass/{token}", Body: `{"password":"` + other + `","passwordConfirm":"` + other + `"}`, Status: 400, Answer: `{"error":"The reset link is invalid"}`},
		exchange{Name: "its session has ended", Request: "POST /api/users/reauth", Status: 401, Answer: unauthenticated,
			Want: headers{"Set-Cookie": cookieGone,
				"WWW-Authenticate": `Bearer realm="reauth", error="invalid_rft", error_description="the refresh token is not valid"`}},
		exchange{Request: "POST /api/users/login", Body: adaLogin, Status: 400, Answer: wrong},
		exchange{Request: "POST /api/users/login", Body: `{"email":"ada@example.com","password":"` + other + `"}`, Status: 200, Answer: `{"success":true,*`},
	)
	s.Mails.Wait(t, watchword.MailPasswordChanged, "ada@example.com", 1)
}

func TestValidationMessagesMatchTheContract(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := s.Client(t)
	c.Run(exchange{Request: "POST /api/users/signup", Body: adaSignup, Status: 201, Answer: `{"success":true,*`})
	one := func(msg, path string) string {
		return `{"error":[{"msg":"` + msg + `","path":"` + path + `","location":"body"}],"feedback":"` + msg + `"}`
	}
	signup := func(first, last, email, password string) string {
		return `{"firstName":"` + first + `","lastName":"` + last + `","email":"` + email + `","password":"` + password + `"}`
	}
	for _, x := range []exchange{
		{Body: signup(" ", "L", "a@example.com", password), Answer: one("Firstname CANNOT be empty", "firstName")},
		{Body: signup("F", "", "a@example.com", password), Answer: one("Lastname CANNOT be empty", "lastName")},
		{Body: signup("F", "L", " ", password), Answer: one("Email CANNOT be empty", "email")},
		{Body: signup("F", "L", "no-address", password), Answer: one("Email is invalid", "email")},
		{Body: signup("F", "L", "ada%example.org@example.com", password), Answer: one("Email is invalid", "email")},
		{Body: signup("F", "L", "ADA@example.com", password), Answer: one("E-mail already in use", "email")},
		{Body: signup("F", "L", "a@example.com", ""), Answer: one("Password CANNOT be empty", "password")},
		{Body: signup("F", "L", "a@example.com", "short"),
			Answer: one("Use at least 8 characters. Several words in a row make a good password.", "password")},
		{Body: signup("F", "L", "a@example.com", "password1"),
			Answer: one("This password is too common. Choose another.", "password")},
		{Name: "two faults of different kinds", Body: signup("", "L", "no-address", password),
			Answer: `{"error":[{"msg":"Firstname CANNOT be empty",*},{"msg":"Email is invalid",*}],"feedback":"Firstname CANNOT be empty"}`},
		{Name: "an empty and a short member", Body: signup("F", "", "a@example.com", "short"),
			Answer: `{"error":[{"msg":"Lastname CANNOT be empty",*},{"msg":"Use at least 8 characters.*],"feedback":"Lastname CANNOT be empty"}`},
		{Name: "address and password", Body: signup("F", "L", " ", "short"),
			Answer: `{"error":[{"msg":"Email CANNOT be empty",*},{"msg":"Use at least 8 characters.*],"feedback":"Email CANNOT be empty"}`},
		{Request: "POST /api/users/login", Body: `{"email":"no-address","password":""}`,
			Answer: `{"error":[{"msg":"Email is invalid",*},{"msg":"Password CANNOT be empty",*}],"feedback":"Email is invalid"}`},
		{Name: "a reset with a short and a different password", Request: "PATCH /api/users/resetpass/x",
			Body:   `{"password":"short","passwordConfirm":"other"}`,
			Answer: `{"error":[{"msg":"Use at least 8 characters.*},{"msg":"Passwords DO NOT match",*}],"feedback":"Use at least 8 characters.*"}`},
		{Name: "a reset without a password", Request: "PATCH /api/users/resetpass/x", Body: `{"passwordConfirm":"other"}`,
			Answer: `{"error":[{"msg":"Password CANNOT be empty",*},{"msg":"Passwords DO NOT match",*}],"feedback":"Password CANNOT be empty"}`},
		{Body: `{}`, Answer: `{"error":[{"msg":"Firstname CANNOT be empty",*},{"msg":"Lastname CANNOT be empty",*},{"msg":"Email CANNOT be empty",*},{"msg":"Password CANNOT be empty",*}],"feedback":"Firstname CANNOT be empty"}`},
		{Request: "POST /api/users/login", Body: `{"email":"","password":""}`,
			Answer: `{"error":[{"msg":"Email CANNOT be empty",*},{"msg":"Password CANNOT be empty",*}],"feedback":"Email CANNOT be empty"}`},
		{Request: "POST /api/users/login", Body: `{"email":"no-address","password":"x"}`, Answer: one("Email is invalid", "email")},
		{Request: "POST /api/users/forgotpass", Body: `{"email":"no-address"}`, Answer: one("Email is invalid", "email")},
		{Request: "POST /api/users/forgotpass", Answer: one("Email CANNOT be empty", "email")},
	} {
		if x.Request == "" {
			x.Request = "POST /api/users/signup"
		}
		x.Status, x.Want = 422, headers{"Content-Type": jsonUTF8, "Set-Cookie": ""}
		c.Run(x)
	}
}

// W-47
func TestErrorsHaveTheFormatOfTheDialect(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, func(o *watchword.Options) {
		o.Limits.MailPerClient = watchword.Limit{Count: 1, Per: time.Minute}
	})
	c := s.Client(t)
	c.Run(
		exchange{Name: "no route", Request: "GET /api/users", Status: 404, Answer: lost},
		exchange{Name: "no such method", Request: "DELETE /api/users/login", Status: 404, Answer: lost,
			Want: headers{"Allow": ""}},
		exchange{Name: "no such path", Request: "GET /api/users/login/", Status: 404, Answer: lost},
		exchange{Name: "a path that is not clean", Request: "POST /api/users//login", Status: 404, Answer: lost},
		exchange{Name: "invalid JSON", Request: "POST /api/users/login", Body: `x`, Status: 400, Answer: `{"error":"*","feedback":"*"}`},
		exchange{Name: "a form", Request: "POST /api/users/login", Body: `email=a`, Headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, Status: 415, Answer: `{"error":"*","feedback":"*"}`},
		exchange{Name: "another site", Request: "POST /api/users/login", Body: adaLogin,
			Headers: []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, Status: 403,
			Answer: `{"error":"*","feedback":"*"}`, Want: headers{"Access-Control-Allow-Origin": ""}},
		exchange{Name: "the limit", Request: "POST /api/users/forgotpass", Body: `{"email":"a@example.com"}`, Status: 200, Answer: `*`},
		exchange{Name: "over the limit", Request: "POST /api/users/forgotpass", Body: `{"email":"a@example.com"}`, Status: 429, Answer: `{"error":"*","feedback":"*"}`, Want: headers{"Retry-After": "*"}},
		exchange{Name: "preflight", Request: "OPTIONS /api/users/forgotpass", Status: 204,
			Headers: []string{"Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "content-type,x-reset-base"},
			Want: headers{"Access-Control-Allow-Origin": dialecttest.FrontEnd,
				"Access-Control-Allow-Headers": "content-type,x-reset-base"}},
	)
	c.Run(exchange{Request: "POST /api/users/signup", Body: adaSignup, Status: 201, Answer: adaAnswer})
	must(t, s.Store.Close())
	for _, x := range []exchange{
		{Request: "POST /api/users/login", Body: adaLogin}, {Request: "POST /api/users/reauth"},
		{Request: "POST /api/users/logout"},
		{Request: "POST /api/users/master-logout"},
		{Request: "GET /api/users/me", Headers: []string{"Authorization", "Bearer {access}"}},
	} { // a request that fails with 503 must end no session
		x.Status, x.Answer, x.Want = 503, `{"error":"*","feedback":"*"}`, headers{"Retry-After": "2", "Set-Cookie": "", "WWW-Authenticate": ""}
		c.Run(x)
	}
}

func TestMalformedEscapeIsRejectedInTheFormatOfTheDialect(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	host := strings.TrimPrefix(s.URL, "http://")
	for line, answer := range map[string]string{
		"PATCH /api/users/resetpass/%ZZ": `{"error":"The reset link is invalid"}`,
		"PATCH /api/users/resetpass/a%":  `{"error":"The reset link is invalid"}`,
		"GET /api/users/%4":              `{"error":"The path has`,
		"GET /api/users/me/%u0041":       `{"error":"The path has`,
	} {
		conn, err := net.Dial("tcp", host)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = io.WriteString(conn,
			line+" HTTP/1.1\r\nHost: "+host+"\r\nOrigin: "+dialecttest.FrontEnd+"\r\nContent-Length: 0\r\n\r\n")
		must(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		if response.StatusCode != 400 || !strings.HasPrefix(string(body), answer) ||
			response.Header.Get("Access-Control-Allow-Origin") != dialecttest.FrontEnd {
			t.Errorf("%s: %d %s %v", line, response.StatusCode, body, response.Header)
		}
	}
}

func TestCookieIsSecureOverHTTPS(t *testing.T) {
	t.Parallel()
	tutorial, err := users.New(newHTTPSEngine(t), users.Options{
		CookieSameSite: http.SameSiteNoneMode, CookieDomain: "example.com"})
	must(t, err)
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "POST", "/api/users/reauth", nil)
	r.AddCookie(&http.Cookie{Name: "refreshTkn", Value: "x"})
	tutorial.Refuse(w, r, 401, &watchword.Error{Code: watchword.CodeRefreshInvalid})
	const want = "refreshTkn=; Path=/; Domain=example.com; Max-Age=0; HttpOnly; Secure; SameSite=None"
	if got := w.Header().Get("Set-Cookie"); got != want {
		t.Error(got)
	}
}

func TestSignUpByMailAndClosed(t *testing.T) {
	t.Parallel()
	verified := dialecttest.Start(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified }).Client(t)
	verified.Run(
		exchange{Request: "POST /api/users/signup", Body: adaSignup, Status: 403, Want: headers{"Set-Cookie": ""},
			Answer: `{"success":false,"error":"Confirm your e-mail address","feedback":"Check your inbox and open the link, then log in."}`},
		exchange{Request: "POST /api/users/login", Body: adaLogin, Status: 403, Answer: `{"error":"Confirm your email address first*","feedback":"*"}`},
	)
	closed := dialecttest.Start(t, func(o *watchword.Options) { o.Signup = watchword.SignupClosed }).Client(t)
	closed.Run(exchange{Request: "POST /api/users/signup", Body: adaSignup, Status: 403, Answer: `{"error":"*","feedback":"*"}`})
}

func TestSameSiteNoneOverHTTPIsRejected(t *testing.T) {
	t.Parallel()
	none := users.Options{CookieSameSite: http.SameSiteNoneMode}
	if _, err := users.New(dialecttest.Start(t, nil).Engine, none); err == nil {
		t.Error("SameSite=None over http was accepted")
	}
	if _, err := users.New(newHTTPSEngine(t), none); err != nil {
		t.Error(err)
	}
}

func newHTTPSEngine(t *testing.T) *watchword.Engine {
	t.Helper()
	return dialecttest.Start(t, func(o *watchword.Options) { o.PublicURL = "https://id.example.com" }).Engine
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
