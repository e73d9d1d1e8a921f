package dialecttest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
)

// These tests use every entry point (the API, the pages, and the dialects users and lesson). Strangers must not lock
// users out, and a sign-in must end the session that it replaces.

func loginsByEntry(password string) map[string]exchange {
	body := `{"email":"ada@example.com","password":"` + password + `"}`
	return map[string]exchange{
		"api":    {Request: "POST /api/auth/login", Body: body},
		"pages":  formRequest("/login", "email", "ada@example.com", "password", password),
		"users":  {Request: "POST /api/users/login", Body: body},
		"lesson": {Request: "POST /login", Body: body},
	}
}

// limitUnknownDevices allows four failures in total for all unknown devices. It disables the limits per IP address,
// because all clients of a test share one address.
func limitUnknownDevices(o *watchword.Options) {
	hour, none := watchword.Limit{Count: 4, Per: time.Hour}, watchword.Limit{Count: -1}
	o.Limits = watchword.Limits{
		UnknownDevices: hour, KnownDevice: hour, KnownDevices: hour,
		FailedPasswords: none, LoginPerClient: none, SignupPerClient: none, MailPerClient: none, MailPerAddress: none,
	}
}

// RL-2, RL-3, RL-13
func TestStrangersCannotLockTheOwnerOut(t *testing.T) {
	t.Parallel()
	for entry, login := range loginsByEntry(password) {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			s := dialecttest.Start(t, limitUnknownDevices)
			owner, newDevice := s.Client(t), s.Client(t)
			owner.Run(expectStatus(entryPoints()[entry].signUp(password), entryPoints()[entry].openStatus))
			for wrong, all := range loginsByRefusal("a wrong guess") { // all entry points share one counter
				for _, x := range all {
					s.Client(t).Run(expectStatus(x, wrong))
				}
			}
			for _, x := range loginsByEntry(password) {
				s.Client(t).Run(exchange{Name: x.Name, Request: x.Request, Body: x.Body, Headers: x.Headers,
					Status: 429, Answer: "*", Want: headers{"Retry-After": "*", "Set-Cookie": ""}})
			}
			for range 5 { // more sign-ins than the limit: right passwords do not count
				owner.Run(expectStatus(login, 200))
			}
			for _, x := range loginsByEntry(password) { // every entry point accepts the cookie of the known device
				owner.Run(expectStatus(x, 200))
			}
			newDevice.Run(expectStatus(login, 429))
			link := requestResetToken(t, s)
			reset, found := mailLinkRequests(link, false)[entry]
			if !found {
				reset = mailLinkRequests(link, false)["api"]
			}
			newDevice.Run(expectStatus(reset, 200), expectStatus(loginsByEntry(ownersPassword)[entry], 200))
			owner.Run(expectStatus(loginsByEntry(ownersPassword)[entry], 429)) // after a reset, the device is unknown
		})
	}
}

// RT-16
func TestSignInOverASessionEndsItInEveryAPI(t *testing.T) {
	t.Parallel()
	for entry, cookie := range map[string]string{"api": "watchword", "pages": "watchword", "users": "refreshTkn"} {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			s := dialecttest.Start(t, nil)
			browser, late := s.Client(t), s.Client(t)
			stay := entryPoints()[entry].sessionRequest
			browser.Run(expectStatus(entryPoints()[entry].signUp(password), entryPoints()[entry].openStatus))
			old := browser.Cookie(cookie)
			browser.Run(expectStatus(loginsByEntry(password)[entry], 200))
			// A concurrent request still has the old cookie. The response to it must not delete the new cookie.
			late.Run(exchange{Request: stay.Request, Headers: []string{"Cookie", cookie + "=" + old}, Status: 401,
				Answer: "*", Want: headers{"Set-Cookie": ""}})
			if entry != "users" {
				late.Run(exchange{Request: "GET /login",
					Headers: []string{"Cookie", cookie + "=" + old, "Origin", "", "Sec-Fetch-Site", "same-origin"},
					Status:  200, Answer: "*", Want: headers{"Set-Cookie": ""}})
			}
			browser.Run(expectStatus(stay, entryPoints()[entry].aliveStatus))
			if kinds := readEndReasons(t, s); kinds != "replaced" {
				t.Errorf("the sessions ended as %q", kinds)
			}
		})
	}
}

// A sign-in ends the session whose refresh cookie it overwrites. These sign-ins overwrite no cookie, so they must end
// no session. With delivery "body" and in the dialect lesson, the response sets no refresh cookie. In the dialect
// users, the browser has no earlier cookie.
//
// RT-16
func TestSignInWithoutACookieEndsNoSession(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := s.Client(t)
	c.Run(
		expectStatus(entryPoints()["api"].signUp(password), 201),
		exchange{Request: "POST /api/auth/login",
			Body:   `{"email":"ada@example.com","password":"` + password + `","delivery":"body"}`,
			Status: 200, Answer: `*"refreshToken":"wwr_*"*"deviceToken":"wwd_*"*`, Want: headers{"Set-Cookie": ""}},
		expectStatus(loginsByEntry(password)["lesson"], 200),
		expectStatus(loginsByEntry(password)["users"], 200),
		exchange{Request: "POST /api/auth/refresh", Status: 200, Answer: "*"},
	)
	if kinds := readEndReasons(t, s); kinds != "" {
		t.Errorf("the sessions ended as %q", kinds)
	}
}

func readEndReasons(t *testing.T, s *dialecttest.Service) string {
	t.Helper()
	user, err := s.Engine.Operator().FindUser(t.Context(), "ada@example.com")
	must(t, err)
	events, err := s.Engine.Operator().UserEvents(t.Context(), user.ID, 100)
	must(t, err)
	var all []string
	for _, one := range events {
		if one.Kind == watchword.EventSessionEnded || one.Kind == watchword.EventRefreshReused {
			all = append(all, one.Detail)
		}
	}
	return strings.Join(all, ",")
}

// The known-device cookie grants no access. A request with only this cookie must therefore be accepted without
// Origin.
//
// CSRF-3, RL-13
func TestKnownDeviceCookieNeedsNoOrigin(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := s.Client(t)
	c.Run(expectStatus(entryPoints()["api"].signUp(password), 201))
	bare := []string{"Origin", "", "Sec-Fetch-Site", "", "Cookie", "watchword-known=" + c.Cookie("watchword-known")}
	for entry, x := range loginsByEntry(password) {
		if entry == "pages" {
			continue
		}
		s.Client(t).Run(exchange{
			Name: entry, Request: x.Request, Body: x.Body, Headers: bare, Status: 200, Answer: "*"})
	}
	bare[5] = "watchword=" + c.Cookie("watchword")
	s.Client(t).Run(exchange{
		Request: "POST /api/auth/login", Body: loginsByEntry(password)["api"].Body, Headers: bare,
		Status: 403, Answer: "*"})
}
