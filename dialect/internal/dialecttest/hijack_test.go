package dialecttest_test

import (
	"net/url"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
)

// These tests try pre-hijacking through every entry point: the API, the pages and the dialects users and lesson. The
// attacker signs up with the owner's address. Later the owner opens the mailed link. After this, the attacker must have
// no access.

const ownersPassword = "nine amber lanterns"

// formRequest returns the request that a browser sends for the form of a hosted page.
func formRequest(path string, fields ...string) exchange {
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return exchange{Name: "the form of " + path, Request: "POST " + path, Body: values.Encode(), Headers: []string{
		"Content-Type", "application/x-www-form-urlencoded", "Origin", "{url}", "Sec-Fetch-Site", "same-origin"}}
}

// expectStatus expects the status want, and accepts any body.
func expectStatus(x exchange, want int) exchange {
	x.Status, x.Answer = want, "*"
	return x
}

// An entryPoint is an API or page on which users sign up.
type entryPoint struct {
	signUp         func(password string) exchange
	openStatus     int // of signUp, with signup=open
	verifiedStatus int // of signUp, with signup=verified

	sessionRequest           exchange
	aliveStatus, endedStatus int // of sessionRequest
}

func entryPoints() map[string]entryPoint {
	body := func(before, password, after string) string { return before + password + after }
	return map[string]entryPoint{
		"api": {func(p string) exchange {
			return exchange{Request: "POST /api/auth/register", Body: body(`{"email":"ada@example.com","name":"Mallory","password":"`, p, `"}`)}
		}, 201, 202, exchange{Request: "POST /api/auth/refresh"}, 200, 401},
		"pages": {func(p string) exchange {
			return formRequest("/signup", "email", "ada@example.com", "name", "Mallory", "password", p)
		}, 200, 200, exchange{Request: "POST /api/auth/refresh"}, 200, 401}, // 200: the client follows the redirect
		"users": {func(p string) exchange {
			return exchange{Request: "POST /api/users/signup", Body: body(`{"firstName":"M","lastName":"Allory","email":"ada@example.com","password":"`, p, `"}`)}
		}, 201, 403, exchange{Request: "POST /api/users/reauth"}, 201, 401},
		"lesson": {func(p string) exchange {
			return exchange{Request: "POST /register", Body: body(`{"username":"mallory","email":"ada@example.com","password":"`, p, `"}`)}
		}, 201, 202, exchange{Request: "GET /profile"}, 200, 401},
	}
}

// loginsByRefusal returns the sign-in requests of all entry points. The key is the status with which they respond to
// a wrong password.
func loginsByRefusal(password string) map[int][]exchange {
	body := `{"email":"ada@example.com","password":"` + password + `"}`
	return map[int][]exchange{
		400: {{Request: "POST /api/users/login", Body: body}},
		401: {{Request: "POST /api/auth/login", Body: body}, {Request: "POST /login", Body: body},
			formRequest("/login", "email", "ada@example.com", "password", password)},
	}
}

// mailLinkRequests returns the requests that use a mailed link. If keepsPassword is set, they send the password of
// the sign-up. Otherwise they choose a new password.
func mailLinkRequests(link string, keepsPassword bool) map[string]exchange {
	if keepsPassword {
		return map[string]exchange{
			"api":   {Request: "POST /api/auth/email/verify", Body: `{"token":"` + link + `","password":"` + ownersPassword + `"}`},
			"pages": formRequest("/verify", "token", link, "password", ownersPassword),
		}
	}
	return map[string]exchange{
		"api":   {Request: "POST /api/auth/password/reset", Body: `{"token":"` + link + `","password":"` + ownersPassword + `"}`},
		"pages": formRequest("/reset", "token", link, "password", ownersPassword, "chosen", "yes"),
		"users": {Request: "PATCH /api/users/resetpass/" + link, Body: `{"password":"` + ownersPassword + `","passwordConfirm":"` + ownersPassword + `"}`},
	}
}

// assertOnlyOwnerSignsIn signs in at every entry point. The attacker's password must fail, and the owner's password
// must succeed.
func assertOnlyOwnerSignsIn(t *testing.T, s *dialecttest.Service) {
	t.Helper()
	for wrong, all := range loginsByRefusal(password) {
		for _, x := range all {
			s.Client(t).Run(expectStatus(x, wrong))
		}
	}
	for _, all := range loginsByRefusal(ownersPassword) {
		for _, x := range all {
			s.Client(t).Run(expectStatus(x, 200))
		}
	}
}

// ID-8, ID-10, ID-11
func TestLinkGivesAnAttackersSignUpToTheOwner(t *testing.T) {
	t.Parallel()
	for from, entry := range entryPoints() {
		for by := range mailLinkRequests("", false) {
			t.Run(from+", opened by "+by, func(t *testing.T) {
				t.Parallel()
				s := dialecttest.Start(t, nil)
				attacker, owner := s.Client(t), s.Client(t)
				attacker.Run(expectStatus(entry.signUp(password), entry.openStatus))
				link := string(s.Mails.Wait(t, watchword.MailVerify, "ada@example.com", 1).Token)
				owner.Run(
					exchange{Request: "POST /api/auth/email/verify", Body: `{"token":"` + link + `"}`, Status: 403, Answer: `*"PASSWORD_REQUIRED"*`},
					expectStatus(formRequest("/verify", "token", link), 403),
					expectStatus(formRequest("/verify", "token", link, "password", ownersPassword), 403),
					expectStatus(mailLinkRequests(link, false)[by], 200),
				)
				attacker.Run(expectStatus(entry.sessionRequest, entry.endedStatus))
				assertOnlyOwnerSignsIn(t, s)
			})
		}
	}
}

// ID-8, ID-10, ID-11
func TestLinkProvesTheOwnersSignUpDespiteAnAttackersSignUp(t *testing.T) {
	t.Parallel()
	for from, entry := range entryPoints() {
		for by := range mailLinkRequests("", true) {
			for _, attackerFirst := range []bool{true, false} {
				name := from + " last, opened by " + by
				if attackerFirst {
					name = from + " first, opened by " + by
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					s := dialecttest.Start(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
					signUps := []string{ownersPassword, password}
					if attackerFirst {
						signUps = []string{password, ownersPassword}
					}
					for i, chosen := range signUps {
						s.Client(t).Run(expectStatus(entry.signUp(chosen), entry.verifiedStatus))
						s.Mails.Wait(t, watchword.MailVerify, "ada@example.com", i+1)
					}
					// The address is not proven yet, so the password must not sign in.
					for _, x := range append(loginsByRefusal(password)[401], loginsByRefusal(password)[400]...) {
						if got := s.Client(t).Do(x).StatusCode; got < 400 {
							t.Errorf("%s: %d before the address is proven", x.Request, got)
						}
					}
					link := string(s.Mails.Wait(t, watchword.MailVerify, "ada@example.com", 1).Token)
					owner := s.Client(t)
					owner.Run(
						exchange{Request: "POST /api/auth/email/verify", Body: `{"token":"` + link + `"}`, Status: 403, Answer: `*"PASSWORD_REQUIRED"*`},
						expectStatus(mailLinkRequests(link, true)[by], 200),
						exchange{
							Name: "the link signed in", Request: "POST /api/auth/refresh", Status: 200, Answer: "*"},
					)
					assertOnlyOwnerSignsIn(t, s)
				})
			}
		}
	}
}

// ID-10: a browser with a live session verifies the address without a password. The request reads the refresh cookie,
// but does not rotate it.
func TestLiveSessionVerifiesTheAddressWithoutAPassword(t *testing.T) {
	t.Parallel()
	for from, entry := range entryPoints() {
		for by, x := range map[string]func(link string) exchange{
			"api": func(link string) exchange {
				return exchange{Request: "POST /api/auth/email/verify", Body: `{"token":"` + link + `"}`, Status: 200,
					Answer: `{"message":"Your address is confirmed."}`, Want: headers{"Set-Cookie": ""}}
			},
			"pages": func(link string) exchange {
				x := expectStatus(formRequest("/verify", "token", link), 200)
				x.Answer, x.Want = "*Your address is confirmed.*", headers{"Set-Cookie": ""}
				return x
			},
		} {
			t.Run(from+", opened by "+by, func(t *testing.T) {
				t.Parallel()
				s := dialecttest.Start(t, nil)
				c := s.Client(t)
				c.Run(expectStatus(entry.signUp(password), entry.openStatus))
				link := string(s.Mails.Wait(t, watchword.MailVerify, "ada@example.com", 1).Token)
				c.Run(x(link))
				user, err := s.Engine.Operator().FindUser(t.Context(), "ada@example.com")
				if err != nil || !user.Verified() {
					t.Errorf("the address is not verified: %v", err)
				}
			})
		}
	}
}

// ID-13
func TestLinkOpenedByAStrangerConfirmsNoAddress(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	attacker, stranger := signUpAda(t, s), s.Client(t)
	delete(attacker.Vars, "access")
	attacker.Run(exchange{Request: "POST /api/users/login", Body: login, Status: 200, Answer: `*"accessToken":"{access}"}`})
	attacker.Run(expectStatus(exchange{Request: "POST /api/auth/email/change", Headers: bearer,
		Body: `{"newEmail":"victim@example.com","password":"` + password + `"}`}, 202))
	link := string(s.Mails.Wait(t, watchword.MailConfirmAddress, "victim@example.com", 1).Token)
	stranger.Run(
		exchange{Request: "POST /api/auth/email/change/confirm", Body: `{"token":"` + link + `"}`, Status: 403, Answer: `*"PASSWORD_REQUIRED"*`},
		exchange{Request: "POST /api/auth/email/change/confirm", Body: `{"token":"` + link + `","password":"` + other + `"}`, Status: 403, Answer: `*"PASSWORD_WRONG"*`},
		expectStatus(formRequest("/email/confirm", "token", link), 403),
		expectStatus(formRequest("/email/confirm", "token", link, "password", other), 403),
		expectStatus(formRequest("/email/confirm", "token", link, "action", "disown"), 200),
		exchange{Name: "after the stranger's report", Request: "POST /api/auth/email/change/confirm", Body: `{"token":"` + link + `","password":"` + password + `"}`, Status: 400, Answer: `*"MAIL_TOKEN_INVALID"*`},
	)
}

// ID-11
func TestDisownedLinkDeletesItsSignUp(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
	s.Client(t).Run(expectStatus(entryPoints()["api"].signUp(password), 202))
	link := string(s.Mails.Wait(t, watchword.MailVerify, "ada@example.com", 1).Token)
	s.Client(t).Run(
		expectStatus(formRequest("/verify", "token", link, "action", "disown"), 200),
		exchange{Request: "POST /api/auth/email/verify", Body: `{"token":"` + link + `","password":"` + password + `"}`, Status: 400, Answer: `*"MAIL_TOKEN_INVALID"*`},
		exchange{
			Name: "the sign-up is deleted", Request: "POST /api/auth/login", Body: login, Status: 401, Answer: "*"},
	)
}
