package server_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

func (s *service) createInvitation(t *testing.T, email string) watchword.Message {
	t.Helper()
	_, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{Email: email})
	must(t, err)
	return s.mailer.awaitMail(t, watchword.MailInvite, email)
}

func TestAcceptInviteRespondsAsALogin(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	token := string(s.createInvitation(t, "ada@example.com").Token)
	b := s.newBrowser(t)
	accept := func(more map[string]any) fullResponse {
		body := map[string]any{"token": token, "password": goodPassword}
		for key, value := range more {
			body[key] = value
		}
		return b.post("/invite/accept", body)
	}
	wantStatus(t, accept(map[string]any{"token": "wwm_x"}), 400, watchword.CodeMailTokenInvalid)
	wantStatus(t, accept(map[string]any{"password": "short"}), 422, watchword.CodeValidationFailed)
	wantStatus(t, accept(map[string]any{"delivery": "mail"}), 422, watchword.CodeValidationFailed)
	wantStatus(t, accept(map[string]any{"extra": true}), 400, apirequest.CodeBodyInvalid)
	accepted := accept(map[string]any{"name": "Ada", "delivery": "body"})
	wantStatus(t, accepted, 200, "")
	user, _ := accepted.body["user"].(map[string]any)
	if user["name"] != "Ada" || user["emailVerified"] != true || accepted.body["refreshToken"] == nil ||
		accepted.body["deviceToken"] == nil {
		t.Errorf("got %s", accepted.raw)
	}
	wantStatus(t, b.do("GET", "/api/auth/me", "", authorized(accepted.text("accessToken"))...), 200, "")
	wantStatus(t, accept(nil), 400, watchword.CodeMailTokenInvalid)
}

func TestInvitePageSignsInWithoutScript(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	link := "http://127.0.0.1/invite#token=" + string(s.createInvitation(t, "ada@example.com").Token)
	b := s.openTab(t).withoutScript()
	b.visit("/invite")
	b.wantText("Accept your invitation")
	b.fillField("Link or code from the email", link)
	b.fillField("Password", "ada@example.com")
	b.pressAndLeave("Create password and sign in")
	b.wantText("too similar to your address or name")
	b.fillField("Name", "Ada")
	b.fillField("Password", goodPassword)
	b.pressAndLeave("Create password and sign in")
	b.wantText("Welcome.", "Signed in as ada@example.com")
}

// MFA-3
func TestInvitePageLeadsToTheRequiredFactor(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		s, phone := startWithPhone(t, requireFactors, nil)
		b := tabOf(s)
		b.openMailLink("/invite", s.createInvitation(t, "ada@example.com"))
		b.fillField("Password", goodPassword)
		b.pressAndLeave("Create password and sign in")
		b.wantText("Scan this picture")
		b.visit("/account")
		b.wantText("Sign in") // there is no session before the first factor
		b.signIn("ada@example.com", goodPassword)
		b.wantText("Scan this picture")
		phone.scanQRCode(b)
		b.fillField("Code", phone.nextCode())
		b.pressAndLeave("Add the app")
		b.wantText("Save your recovery codes")
		b.pressAndLeave("I have saved the codes")
		b.wantText("Signed in as ada@example.com", "This service requires two-step sign-in.")
		b.pressAndLeave("Remove")
		b.pressAndLeave("Remove")
		b.wantText("You need this to sign in.", "Authenticator app")
	})
}

// The invitation page must ask only for a password. If the user has already set a password with another link, the
// page must say that there is already an account.
func TestInvitePageWithScriptNeedsOnlyAPassword(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.openTab(t)
	b.openMailLink("/invite", s.createInvitation(t, "ada@example.com"))
	b.fillField("Password", goodPassword)
	b.pressAndLeave("Create password and sign in")
	b.wantText("Welcome.", "Signed in as ada@example.com")
	if address := b.currentAddress(); strings.Contains(address, "token") {
		t.Errorf("the address is %s", address)
	}

	late := s.createInvitation(t, "bo@example.com")
	s.newBrowser(t).post("/password/forgot", map[string]any{"email": "bo@example.com"})
	reset := s.mailer.awaitMail(t, watchword.MailReset, "bo@example.com")
	wantStatus(t, s.newBrowser(t).post("/password/reset", map[string]any{
		"token": string(reset.Token), "password": otherPassword}), 200, "")
	b.openMailLink("/invite", late)
	b.fillField("Password", goodPassword)
	b.pressAndLeave("Create password and sign in")
	b.wantText("An account with this address already exists.")
	b.wantNoText("Check the marked fields")
}
