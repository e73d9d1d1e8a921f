package server_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// invite creates an account without a password and returns the invitation mail.
func (s *service) invite(t *testing.T, email string) watchword.Message {
	t.Helper()
	_, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{Email: email})
	must(t, err)
	return s.post.take(t, watchword.MailInvite, email)
}

func TestAcceptInviteRespondsAsALogin(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	token := string(s.invite(t, "ada@example.com").Token)
	b := s.browser(t)
	accept := func(more map[string]any) answer {
		body := map[string]any{"token": token, "password": goodPassword}
		for key, value := range more {
			body[key] = value
		}
		return b.post("/invite/accept", body)
	}
	want(t, accept(map[string]any{"token": "wwm_x"}), 400, watchword.CodeMailTokenInvalid)
	want(t, accept(map[string]any{"password": "short"}), 422, watchword.CodeValidationFailed)
	want(t, accept(map[string]any{"delivery": "mail"}), 422, watchword.CodeValidationFailed)
	want(t, accept(map[string]any{"extra": true}), 400, apirequest.CodeBodyInvalid)
	accepted := accept(map[string]any{"name": "Ada", "delivery": "body"})
	want(t, accepted, 200, "")
	user, _ := accepted.body["user"].(map[string]any)
	if user["name"] != "Ada" || user["emailVerified"] != true || accepted.body["refreshToken"] == nil ||
		accepted.body["deviceToken"] == nil {
		t.Errorf("got %s", accepted.raw)
	}
	want(t, b.do("GET", "/api/auth/me", "", authorized(accepted.text("accessToken"))...), 200, "")
	want(t, accept(nil), 400, watchword.CodeMailTokenInvalid)
}

func TestInvitePageSignsInWithoutScript(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	link := "http://127.0.0.1/invite#token=" + string(s.invite(t, "ada@example.com").Token)
	b := s.tab(t).withoutScript()
	b.visit("/invite")
	b.reads("Accept your invitation")
	b.fill("Link or code from the email", link)
	b.fill("Password", "ada@example.com")
	b.press("Create password and sign in")
	b.reads("too similar to your address or name")
	b.fill("Name", "Ada")
	b.fill("Password", goodPassword)
	b.press("Create password and sign in")
	b.reads("Welcome.", "Signed in as ada@example.com")
}

// MFA-3
func TestInvitePageLeadsToTheRequiredFactor(t *testing.T) {
	t.Parallel()
	inBoth(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startFactors(t, requireFactors, nil)
		b := tabOf(s)
		b.follow("/invite", s.invite(t, "ada@example.com"))
		b.fill("Password", goodPassword)
		b.press("Create password and sign in")
		b.reads("Scan this picture")
		b.visit("/account")
		b.reads("Sign in") // there is no session before the first factor
		b.signIn("ada@example.com", goodPassword)
		b.reads("Scan this picture")
		phone.scan(b)
		b.fill("Code", phone.code())
		b.press("Add the app")
		b.reads("Save your recovery codes")
		b.press("I have saved the codes")
		b.reads("Signed in as ada@example.com", "This service requires two-step sign-in.")
		b.press("Remove")
		b.press("Remove")
		b.reads("You need this to sign in.", "Authenticator app")
	})
}

// The invitation page must ask only for a password. If the user has already set a password with another link, the
// page must say that there is already an account.
func TestInvitePageWithScriptNeedsOnlyAPassword(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.tab(t)
	b.follow("/invite", s.invite(t, "ada@example.com"))
	b.fill("Password", goodPassword)
	b.press("Create password and sign in")
	b.reads("Welcome.", "Signed in as ada@example.com")
	if address := b.address(); strings.Contains(address, "token") {
		t.Errorf("the address is %s", address)
	}

	late := s.invite(t, "bo@example.com")
	s.browser(t).post("/password/forgot", map[string]any{"email": "bo@example.com"})
	reset := s.post.take(t, watchword.MailReset, "bo@example.com")
	want(t, s.browser(t).post("/password/reset", map[string]any{
		"token": string(reset.Token), "password": otherPassword}), 200, "")
	b.follow("/invite", late)
	b.fill("Password", goodPassword)
	b.press("Create password and sign in")
	b.reads("An account with this address already exists.")
	b.readsNot("Check the marked fields")
}
