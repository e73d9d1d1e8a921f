package dialecttest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
)

// These tests request mails as strangers do, through every entry point: the API, the pages and the dialects.

func resetMailRequests() map[string]exchange {
	const body = `{"email":"ada@example.com"}`
	return map[string]exchange{
		"api":   expectStatus(exchange{Request: "POST /api/auth/password/forgot", Body: body}, 202),
		"pages": expectStatus(formRequest("/forgot", "email", "ada@example.com"), 200),
		"users": expectStatus(exchange{Request: "POST /api/users/forgotpass", Body: body}, 200),
	}
}

// awaitNewestToken waits until the outbox is empty, and returns the token of ada's newest mail.
func awaitNewestToken(t *testing.T, s *dialecttest.Service, kind watchword.MailKind) string {
	t.Helper()
	for range 2000 {
		mails, err := s.Engine.Operator().Mails(t.Context(), 1)
		must(t, err)
		if len(mails) == 0 {
			return string(s.Mails.Wait(t, kind, "ada@example.com", 1).Token)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the outbox is not empty")
	return ""
}

// RL-14
func TestStrangersCannotSuppressAResetMail(t *testing.T) {
	t.Parallel()
	for entry, forgot := range resetMailRequests() {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			now := startClock()
			s := dialecttest.Start(t, func(o *watchword.Options) {
				now.options(o)
				none := watchword.Limit{Count: -1}
				o.Limits = watchword.Limits{MailPerClient: none, SignupPerClient: none} // one IP for all clients
			})
			s.Client(t).Run(expectStatus(entryPoints()["api"].signUp(password), 201))
			s.Prove(t, "ada@example.com")
			for round := range 4 {
				for range 4 {
					for _, x := range resetMailRequests() {
						s.Client(t).Run(x)
					}
					s.Client(t).Run(exchange{Request: "POST /api/auth/email/verify/resend", Body: `{"email":"ada@example.com"}`, Status: 202, Answer: "*"})
				}
				awaitNewestToken(t, s, watchword.MailReset)
				now.advance(6 * time.Minute)
				s.Client(t).Run(forgot) // the owner requests a mail
				link := awaitNewestToken(t, s, watchword.MailReset)
				s.Client(t).Run(exchange{Request: "POST /api/auth/password/reset", Body: `{"token":"` + link + `","password":"short"}`, Status: 422, Answer: "*"})
				if t.Failed() {
					t.Fatalf("round %d: the owner has no working link", round)
				}
				now.advance(5 * time.Minute)
			}
			if kinds := s.Mails.Kinds("ada@example.com"); len(kinds) > 12 ||
				slices.Contains(kinds, watchword.MailSignupExisting) {
				t.Errorf("48 requests in 44 minutes sent %d mails, want at most 12 and no notice: %v", len(kinds),
					kinds)
			}
		})
	}
}

// The attacker signed up with the victim's address and changes the password repeatedly. The victim must get no mail
// about these changes.
//
// RL-15
func TestPasswordChangeSendsNoMailToAnUnprovenAddress(t *testing.T) {
	t.Parallel()
	for entry, c := range map[string]struct {
		change func(from, to string) exchange
		done   int
	}{
		"api": {func(from, to string) exchange {
			return exchange{Request: "POST /api/auth/password/change", Headers: bearer, Body: `{"currentPassword":"` + from + `","newPassword":"` + to + `"}`}
		}, 200},
		"pages": {func(from, to string) exchange {
			return formRequest("/account/password", "currentPassword", from, "newPassword", to)
		}, 200}, // the client follows the redirect
	} {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			s := dialecttest.Start(t, func(o *watchword.Options) {
				o.Limits = watchword.Limits{LoginPerClient: watchword.Limit{Count: 6, Per: time.Hour}}
			})
			attacker := s.Client(t)
			attacker.Run(exchange{Request: "POST /api/auth/register", Body: `{"email":"ada@example.com","password":"` + password + `"}`,
				Status: 201, Answer: `*"accessToken":"{access}"*`})
			for range 3 {
				attacker.Run(expectStatus(c.change(password, other), c.done),
					expectStatus(c.change(other, password), c.done))
			}
			attacker.Run(expectStatus(c.change(password, other), 429)) // the limit also counts correct passwords
			awaitNewestToken(t, s, watchword.MailVerify)
			if kinds := s.Mails.Kinds("ada@example.com"); len(kinds) != 1 {
				t.Errorf("the victim got %v", kinds)
			}
		})
	}
}
