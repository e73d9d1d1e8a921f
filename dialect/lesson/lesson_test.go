package lesson_test

import (
	"net/http"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
	"github.com/watchword-auth/watchword/dialect/lesson"
)

type (
	exchange = dialecttest.Exchange
	headers  = map[string]string
)

const (
	password = "seven purple otters"
	register = `{"username":"ada","email":"ada@example.com","password":"` + password + `"}`
	login    = `{"email":"ada@example.com","password":"` + password + `"}`

	signedIn   = `{"token":"{access}","accessToken":"{access}","refreshToken":"{refresh}"}`
	cookieSet  = `jwt={access}; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict`
	knownSet   = `watchword-known=wwd_*; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict`
	cookieGone = `jwt=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict`
	profile    = `{"user":{"id":"{id}","username":"ada","email":"ada@example.com"}}`
	jsonUTF8   = "application/json; charset=utf-8"
	textUTF8   = "text/plain; charset=utf-8"
	wrong      = "Wrong email or password."
)

// The test sends every request of the dialect's contract. It compares the status, body, cookies and challenge of each
// response.
//
// W-35
func TestResponsesMatchTheContract(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c, bearer := s.Client(t), []string{"Authorization", "Bearer {access}"}
	c.Run(
		exchange{Request: "POST /register", Body: register, Status: 201, Answer: signedIn, Want: headers{
			"Content-Type": jsonUTF8, "Set-Cookie": cookieSet + " | " + knownSet}},
		exchange{Request: "POST /register", Body: register, Status: 400, Answer: "User already exists", Want: headers{
			"Content-Type": textUTF8, "Set-Cookie": ""}},
		exchange{Name: "the cookie", Request: "GET /profile", Status: 200, Answer: profile, Want: headers{
			"Content-Type": jsonUTF8, "Set-Cookie": ""}},
		exchange{Name: "a bad bearer beside a good cookie", Request: "GET /profile",
			Headers: []string{"Authorization", "Bearer x.y.z"}, Status: 401, Answer: "*",
			Want: headers{"WWW-Authenticate": `Bearer realm="*", error="invalid_token"`}},
		exchange{Request: "POST /logout", Body: `{"token":"{refresh}"}`, Status: 204, Answer: "", Want: headers{"Set-Cookie": cookieGone, "Content-Type": ""}},
		exchange{Name: "an ended session", Request: "GET /profile", Headers: bearer, Status: 401, Answer: "*"},
		exchange{Name: "neither", Request: "GET /profile", Status: 401, Answer: "Sign in first: *", Want: headers{"WWW-Authenticate": `Bearer realm="*"`}},
	)
	delete(c.Vars, "access")
	delete(c.Vars, "refresh")
	c.Run(
		exchange{Request: "POST /login", Body: login, Status: 200, Answer: signedIn, Want: headers{
			"Content-Type": jsonUTF8, "Set-Cookie": cookieSet}},
		exchange{Request: "POST /login", Body: `{"email":"ada@example.com","password":"wrong"}`, Status: 401, Answer: wrong, Want: headers{"Set-Cookie": "", "Content-Type": textUTF8}},
		exchange{Request: "POST /login", Body: `{"email":"eve@example.com","password":"wrong"}`, Status: 401, Answer: wrong},
		exchange{Request: "GET /profile", Headers: bearer, Status: 200, Answer: profile},
	)
	c.Vars["first"] = c.Vars["refresh"]
	delete(c.Vars, "access")
	delete(c.Vars, "refresh")
	c.Run(
		exchange{Request: "POST /token", Body: `{"token":"{first}"}`, Status: 200, Answer: `{"accessToken":"{access}","refreshToken":"{refresh}"}`, Want: headers{"Set-Cookie": "", "Content-Type": jsonUTF8}},
		exchange{Name: "no token", Request: "POST /token", Status: 401, Answer: "Sign in first."},
		exchange{Name: "no token", Request: "POST /token", Body: `{}`, Status: 401, Answer: "Sign in first."},
		exchange{Name: "null", Request: "POST /token", Body: `{"token":null}`, Status: 401, Answer: "Sign in first."},
		exchange{Name: "a bad token", Request: "POST /token", Body: `{"token":"x"}`, Status: 403, Answer: "*", Want: headers{"WWW-Authenticate": ""}},
		exchange{Request: "POST /logout", Body: `{"token":"{refresh}"}`, Status: 204, Answer: "", Want: headers{"Set-Cookie": cookieGone}},
		exchange{Name: "twice", Request: "POST /logout", Body: `{"token":"{refresh}"}`, Status: 204, Answer: ""},
		exchange{Name: "garbage", Request: "POST /logout", Body: `{"token":"x"}`, Status: 204, Answer: ""},
		exchange{Name: "nothing", Request: "POST /logout", Status: 204, Answer: ""},
		exchange{Name: "an ended session", Request: "POST /token", Body: `{"token":"{refresh}"}`, Status: 403, Answer: "*", Want: headers{"WWW-Authenticate": ""}},
	)
	if c.Vars["first"] == c.Vars["refresh"] {
		t.Error("the refresh token did not rotate")
	}
}

func TestPagesHaveThePathsOfTheContract(t *testing.T) {
	t.Parallel()
	c := dialecttest.Start(t, nil).Client(t)
	for _, x := range []exchange{
		{Request: "GET /login", Status: 200},
		{Request: "HEAD /login", Status: 200},
		{Request: "POST /login", Body: "email=a",
			Headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, Status: 422},
		{Request: "POST /login", Body: "--x--", Headers: []string{"Content-Type", "multipart/form-data; boundary=x"},
			Status: 415},
		{Request: "POST /logout", Body: "a=b", Headers: []string{"Content-Type", "application/x-www-form-urlencoded"},
			Status: 200},
		{Request: "DELETE /login", Status: 405},
	} {
		x.Headers = append(x.Headers, "Origin", "", "Sec-Fetch-Site", "same-origin", "Accept", "text/html")
		if got := c.Do(x); got.StatusCode != x.Status || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s did not return the page: %s %s", x.Request, got.Status, got.Header.Get("Content-Type"))
		}
	}
	c.Run(
		exchange{Name: "preflight", Request: "OPTIONS /login", Headers: []string{"Access-Control-Request-Method",
			"POST", "Access-Control-Request-Headers", "content-type"}, Status: 204,
			Want: headers{"Access-Control-Allow-Origin": dialecttest.FrontEnd}},
		exchange{Name: "another method", Request: "GET /token", Status: 405, Answer: "This path answers POST.",
			Want: headers{"Content-Type": textUTF8, "Allow": "POST"}},
		exchange{Name: "another method", Request: "POST /profile", Status: 405, Answer: "This path answers GET, HEAD.",
			Want: headers{"Allow": "GET, HEAD"}},
		exchange{Name: "a form outside the pages", Request: "POST /token", Body: "token=a",
			Headers: []string{"Content-Type", "application/x-www-form-urlencoded"},
			Status:  415, Answer: "*", Want: headers{"Content-Type": textUTF8}},
	)
}

func TestSignUpByMail(t *testing.T) {
	t.Parallel()
	c := dialecttest.Start(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified }).Client(t)
	c.Run(exchange{Request: "POST /register", Body: register, Status: 202, Answer: "Look into your mailbox: *",
		Want: headers{"Set-Cookie": "", "Content-Type": textUTF8}})
}

func TestSameSiteNoneOverHTTPIsRejected(t *testing.T) {
	t.Parallel()
	engine := dialecttest.Start(t, nil).Engine
	if _, err := lesson.New(engine, lesson.Options{CookieSameSite: http.SameSiteNoneMode}); err == nil {
		t.Error("SameSite=None over http was accepted")
	}
}
