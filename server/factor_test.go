package server_test

import (
	"context"
	"encoding/base32"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/server"
)

func startWithFactorRoutes(t *testing.T) *service {
	t.Helper()
	return addFactorRoutes(t, start(t, nil, nil))
}

// signUpWithApp also marks the address as verified in the store, because a factor needs a verified address.
func (s *service) signUpWithApp(
	t *testing.T, b *browser,
) (accessHeader []string, secret []byte, recoveryCodes []string) {
	t.Helper()
	a := b.do("POST", "/api/auth/register",
		`{"email":"ada@example.com","password":"correct horse battery","name":"Ada"}`)
	wantStatus(t, a, 201, "")
	accessHeader = []string{"Authorization", "Bearer " + a.text("accessToken")}
	wantStatus(t, b.do("POST", "/api/auth/factors/totp", "", accessHeader...), 403, watchword.CodeEmailNotVerified)
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		u, err := tx.UserByEmail(t.Context(), "ada@example.com")
		must(t, err)
		_, err = tx.SetVerified(t.Context(), u.ID, u.Email, time.Now())
		return err
	}))
	begun := b.do("POST", "/api/auth/factors/totp", "", accessHeader...)
	wantStatus(t, begun, 201, "")
	secret = decodeSecret(t, begun.text("secret"))
	if svg := begun.text("qr"); !strings.HasPrefix(svg, "<svg ") || strings.Contains(svg, "style") {
		t.Errorf("the QR code is %s", svg)
	}
	done := b.do("POST", "/api/auth/factors/totp/"+begun.text("id")+"/confirm", `{"code":"`+codeAt(t, secret, 0)+`"}`,
		accessHeader...)
	wantStatus(t, done, 200, "")
	for _, code := range done.body["recoveryCodes"].([]any) {
		recoveryCodes = append(recoveryCodes, code.(string))
	}
	return accessHeader, secret, recoveryCodes
}

func codeAt(t *testing.T, secret []byte, offset int64) string {
	t.Helper()
	code, err := totp.Code(secret, totp.Step(time.Now())+offset)
	must(t, err)
	return code
}

const loginAda = `{"email":"ada@example.com","password":"correct horse battery"`

func TestSignInWithAFactorOverHTTP(t *testing.T) {
	t.Parallel()
	s := startWithFactorRoutes(t)
	access, secret, codes := s.signUpWithApp(t, s.newBrowser(t))

	b := s.newBrowser(t)
	a := b.do("POST", "/api/auth/login", loginAda+`}`)
	wantStatus(t, a, 403, watchword.CodeSecondFactorRequired)
	cookies := a.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "watchword-step" || !cookies[0].HttpOnly || cookies[0].MaxAge != 600 {
		t.Errorf("cookies %v", cookies)
	}
	if strings.Contains(string(a.raw), "wwc_") || a.body["accessToken"] != nil {
		t.Errorf("the body has a token or a handle: %s", a.raw)
	}
	wantStatus(t, b.do("GET", "/api/auth/me", ""), 401, watchword.CodeTokenMissing)
	wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 401, watchword.CodeRefreshMissing)
	wantStatus(t, b.do("POST", "/api/auth/login/factor", `{}`), 422, watchword.CodeValidationFailed)
	wantStatus(t, b.do("POST", "/api/auth/login/factor", `{"totp":"000000x"}`), 403, watchword.CodeFactorWrong)
	wantStatus(t, b.do("POST", "/api/auth/login/factor", `{"totp":"1","handle":"wwc_"}`), 400,
		apirequest.CodeAmbiguousCredentials)
	a = b.do("POST", "/api/auth/login/factor", `{"totp":"`+codeAt(t, secret, 1)+`"}`) // time step 0 has been used
	wantStatus(t, a, 200, "")
	wantStatus(t, b.do("GET", "/api/auth/me", "", "Authorization", "Bearer "+a.text("accessToken")), 200, "")
	wantStatus(t, b.do("POST", "/api/auth/login/factor", `{"totp":"123456"}`), 401, watchword.CodeChallengeInvalid)

	// A client without cookies must get the handle in the body.
	a = s.newBrowser(t).do("POST", "/api/auth/login", loginAda+`,"delivery":"body"}`)
	wantStatus(t, a, 403, watchword.CodeSecondFactorRequired)
	handle, _ := a.body["challenge"].(map[string]any)["handle"].(string)
	if len(a.Cookies()) != 0 || !strings.HasPrefix(handle, "wwc_") {
		t.Errorf("%v, %s", a.Cookies(), a.raw)
	}
	a = s.newBrowser(t).do("POST", "/api/auth/login/factor",
		`{"recoveryCode":"`+strings.ToLower(codes[0])+`","handle":"`+handle+`"}`)
	wantStatus(t, a, 200, "")
	if a.text("refreshToken") == "" || len(a.Cookies()) != 0 {
		t.Errorf("%v, %s", a.Cookies(), a.raw)
	}

	list := s.newBrowser(t).do("GET", "/api/auth/factors", "", access...)
	wantStatus(t, list, 200, "")
	all := list.body["factors"].([]any)
	if left := list.body["recoveryCodes"].(map[string]any)["left"]; len(all) != 1 || left != float64(9) ||
		list.body["required"] != false {
		t.Errorf("%s", list.raw)
	}
	id := all[0].(map[string]any)["id"].(string)
	wantStatus(t, b.do("PATCH", "/api/auth/factors/"+id, `{"name":"phone"}`, access...), 200, "")
	wantStatus(t, b.do("POST", "/api/auth/factors/recovery-codes", "", access...), 200, "")
	wantStatus(t, b.do("DELETE", "/api/auth/factors/"+id, "", access...), 200, "")
	wantStatus(t, b.do("GET", "/api/auth/me", "", access...), 401, watchword.CodeTokenExpired)
	wantStatus(t, s.newBrowser(t).do("POST", "/api/auth/login", loginAda+`}`), 200, "")
}

// RFC 9470
func TestStepUpOverHTTP(t *testing.T) {
	t.Parallel()
	s := startWithFactorRoutes(t)
	b := s.newBrowser(t)
	access, _, codes := s.signUpWithApp(t, b)
	wantStatus(t, b.do("POST", "/api/auth/step-up", `{"password":"correct horse battery"}`, access...), 401,
		watchword.CodeStepUpRequired)
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error { return backdateProofs(t.Context(), tx) }))
	a := b.do("POST", "/api/auth/factors/recovery-codes", "", access...)
	wantStatus(t, a, 401, watchword.CodeStepUpRequired)
	const challenge = `error="insufficient_user_authentication", acr_values="aal2", max_age="300"`
	if got := a.Header.Get("WWW-Authenticate"); !strings.HasSuffix(got, challenge) {
		t.Errorf("WWW-Authenticate: %s", got)
	}
	a = b.do("POST", "/api/auth/step-up", `{"recoveryCode":"`+codes[0]+`"}`, access...)
	wantStatus(t, a, 200, "")
	wantStatus(t, b.do("POST", "/api/auth/factors/recovery-codes", "", "Authorization",
		"Bearer "+a.text("accessToken")),
		200, "")
}

// backdateProofs moves the proofs of all Ada's sessions by one hour.
func backdateProofs(ctx context.Context, tx watchword.Tx) error {
	u, err := tx.UserByEmail(ctx, "ada@example.com")
	if err != nil {
		return err
	}
	cutoffs := watchword.SessionPolicy{Idle: time.Hour, ShortIdle: time.Hour, Max: time.Hour}.Cutoffs(time.Now())
	all, err := tx.Sessions(ctx, u.ID, cutoffs)
	if err != nil {
		return err
	}
	for _, one := range all {
		hourAgo := one.AuthenticatedAt.Add(-time.Hour)
		if _, err := tx.(factors.Tx).ProveSession(ctx, one.ID, one.Methods, hourAgo, cutoffs); err != nil {
			return err
		}
	}
	return nil
}

func decodeSecret(t *testing.T, text string) []byte {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	must(t, err)
	return secret
}

// With required factors, the link of a sign-up must verify the address but not open a session. The session must begin
// with the first factor.
//
// MFA-3
func TestRequiredFactorOverHTTP(t *testing.T) {
	t.Parallel()
	s := addFactorRoutes(t, start(t, requireFactors, nil))
	b := s.newBrowser(t)
	wantStatus(t, b.do("POST", "/api/auth/register", loginAda+`}`), 202, "")
	wantStatus(t, b.do("POST", "/api/auth/login", loginAda+`}`), 403, watchword.CodeEmailNotVerified)
	token := s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com").Token
	a := b.do("POST", "/api/auth/email/verify",
		`{"token":"`+string(token)+`","password":"correct horse battery"}`)
	wantStatus(t, a, 403, watchword.CodeEnrolmentRequired)
	if len(a.Cookies()) != 1 || a.Cookies()[0].Name != "watchword-step" || a.body["accessToken"] != nil {
		t.Fatalf("%v %s", a.Cookies(), a.raw)
	}
	wantStatus(t, b.do("GET", "/api/auth/factors", ""), 401, watchword.CodeTokenMissing)
	begun := b.do("POST", "/api/auth/factors/totp", "")
	wantStatus(t, begun, 201, "")
	path := "/api/auth/factors/totp/" + begun.text("id") + "/confirm"
	wantStatus(t, b.do("POST", path, `{"code":"000000"}`), 403, watchword.CodeFactorWrong)
	secret := decodeSecret(t, begun.text("secret"))
	wantStatus(t, s.newBrowser(t).do("POST", path, `{"code":"`+codeAt(t, secret, 0)+`"}`), 401,
		watchword.CodeTokenMissing)
	a = b.do("POST", path, `{"code":"`+codeAt(t, secret, 0)+`"}`)
	wantStatus(t, a, 200, "")
	if codes := a.body["recoveryCodes"].([]any); len(codes) != 10 || a.text("refreshToken") != "" {
		t.Errorf("%s", a.raw)
	}
	wantStatus(t, b.do("GET", "/api/auth/me", "", "Authorization", "Bearer "+a.text("accessToken")), 200, "")
	list := b.do("GET", "/api/auth/factors", "", authorized(a.text("accessToken"))...)
	if wantStatus(t, list, 200, ""); list.body["required"] != true {
		t.Errorf("%s", list.raw)
	}
	path = "/api/auth/factors/" + list.body["factors"].([]any)[0].(map[string]any)["id"].(string)
	wantStatus(t, b.do("DELETE", path, "", authorized(a.text("accessToken"))...), 409, watchword.CodeLastWayIn)
	wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 200, "")
	wantStatus(t, b.do("POST", "/api/auth/factors/totp", ""), 401,
		watchword.CodeTokenMissing) // the step cookie was deleted
}

// With required factors, an accepted invitation must be used up and its password must be set, although the response
// only asks for the first factor.
//
// MFA-3
func TestInvitationWaitsForItsFactorOverHTTP(t *testing.T) {
	t.Parallel()
	s := addFactorRoutes(t, start(t, requireFactors, nil))
	b, token := s.newBrowser(t), string(s.createInvitation(t, "ada@example.com").Token)
	accept := func() fullResponse {
		return b.post("/invite/accept", map[string]any{"token": token, "password": "correct horse battery"})
	}
	a := accept()
	wantStatus(t, a, 403, watchword.CodeEnrolmentRequired)
	if len(a.Cookies()) != 1 || a.Cookies()[0].Name != "watchword-step" || a.body["accessToken"] != nil {
		t.Fatalf("%v %s", a.Cookies(), a.raw)
	}
	wantStatus(t, accept(), 400, watchword.CodeMailTokenInvalid)
	begun := b.do("POST", "/api/auth/factors/totp", "")
	wantStatus(t, begun, 201, "")
	code := codeAt(t, decodeSecret(t, begun.text("secret")), 0)
	a = b.do("POST", "/api/auth/factors/totp/"+begun.text("id")+"/confirm", `{"code":"`+code+`"}`)
	wantStatus(t, a, 200, "")
	me := b.do("GET", "/api/auth/me", "", authorized(a.text("accessToken"))...)
	if user, _ := me.body["user"].(map[string]any); user["emailVerified"] != true {
		t.Errorf("%s", me.raw)
	}
	wantStatus(t, s.newBrowser(t).do("POST", "/api/auth/login", loginAda+`}`), 403, watchword.CodeSecondFactorRequired)
}

// A client without cookies must get the handle and the tokens in bodies.
func TestRequiredFactorWithoutCookies(t *testing.T) {
	t.Parallel()
	s := addFactorRoutes(t, start(t, requireFactors, nil))
	u, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{
		Email: "ada@example.com", Password: "correct horse battery"})
	must(t, err)
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.SetVerified(t.Context(), u.ID, u.Email, time.Now())
		return err
	}))
	b := s.newBrowser(t)
	a := b.do("POST", "/api/auth/login", loginAda+`,"delivery":"body"}`)
	wantStatus(t, a, 403, watchword.CodeEnrolmentRequired)
	handle := `"handle":"` + a.body["challenge"].(map[string]any)["handle"].(string) + `"`
	begun := b.do("POST", "/api/auth/factors/totp", `{`+handle+`}`)
	wantStatus(t, begun, 201, "")
	code := codeAt(t, decodeSecret(t, begun.text("secret")), 0)
	a = b.do("POST", "/api/auth/factors/totp/"+begun.text("id")+"/confirm", `{"code":"`+code+`",`+handle+`}`)
	wantStatus(t, a, 200, "")
	if a.text("refreshToken") == "" || a.text("accessToken") == "" || len(a.Cookies()) != 0 {
		t.Errorf("%s", a.raw)
	}
}

func requireFactors(o *watchword.Options) { o.SecondFactor.Required = true }

func addFactorRoutes(t *testing.T, s *service) *service {
	t.Helper()
	var err error
	s.server, err = server.New(s.engine, server.Options{
		PublicURL: s.url, Factors: factors.New(s.engine, s.store.Factors(), factors.Options{})})
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	return s
}

// Between the two steps of a sign-in, another tab signs in. The second step replaces that tab's cookie, so it must
// also end that tab's session.
//
// RT-16
func TestSecondStepEndsTheSessionOfItsCookie(t *testing.T) {
	t.Parallel()
	s := addFactorRoutes(t, start(t, func(o *watchword.Options) {
		o.SecondFactor = watchword.FactorPolicy{Required: true, Roles: []string{"staff"}}
	}, nil))
	for name, send := range map[string]func(b *browser, api, page string, form map[string]string) fullResponse{
		"api": func(b *browser, api, _ string, form map[string]string) fullResponse {
			if code, ok := form["totp"]; ok {
				return b.post(api, map[string]any{"code": code})
			}
			return b.post(api, map[string]any{"recoveryCode": form["recoveryCode"]})
		},
		"page": func(b *browser, _, page string,
			form map[string]string) fullResponse {
			return b.submitForm(page, form)
		},
	} {
		b, email := s.newBrowser(t), watchword.Address(name+"@example.com")
		_, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{
			Email: string(email), Password: goodPassword, Roles: []string{"staff"}})
		must(t, err)
		s.markVerified(t, email)
		between := func(other string, code watchword.Code, finish func()) {
			t.Helper()
			wantStatus(t, b.post("/login", map[string]any{"email": email, "password": goodPassword}), 403, code)
			token := b.register(other + "-" + string(email))
			finish()
			wantStatus(t, b.do("GET", "/api/auth/me", "", authorized(token)...), 401, watchword.CodeSessionEnded)
			wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 200, "")
		}
		var recovery string
		between("first", watchword.CodeEnrolmentRequired, func() {
			begun := b.do("POST", "/api/auth/factors/totp", "")
			wantStatus(t, begun, 201, "")
			id, code := begun.text("id"), codeAt(t, decodeSecret(t, begun.text("secret")), 0)
			a := send(b, "/factors/totp/"+id+"/confirm", "/login/setup/"+id, map[string]string{"totp": code})
			recovery = regexp.MustCompile(`[0-9A-Z]{5}-[0-9A-Z]{5}`).FindString(string(a.raw))
		})
		between("second", watchword.CodeSecondFactorRequired, func() {
			send(b, "/login/factor", "/login/factor", map[string]string{"recoveryCode": recovery})
		})
	}
}
