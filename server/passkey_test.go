package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/server"
)

// startWithPasskeys uses the host name localhost, because passkeys need a domain.
func startWithPasskeys(t *testing.T, changes ...func(*watchword.Options)) *service {
	t.Helper()
	named := func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
		for _, change := range changes {
			change(o)
		}
	}
	s := start(t, named, nil)
	s.url = s.engine.PublicURL()
	manager := factors.New(s.engine, s.store.Factors(), factors.Options{
		Origins: []string{"http://app.localhost:3000", "https://elsewhere.example"}})
	var err error
	s.server, err = server.New(s.engine, server.Options{PublicURL: s.url, Factors: manager}) // replaces the server
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	return s
}

// A passkeyDevice is a virtual authenticator with one passkey.
type passkeyDevice struct {
	site          virtualwebauthn.RelyingParty
	authenticator virtualwebauthn.Authenticator
	credential    virtualwebauthn.Credential
}

// The coordinates of newFullLengthPasskey have no leading zeros. The virtual authenticator drops leading zeros, which
// makes the encoding of about one key in a hundred invalid.
func newFullLengthPasskey() virtualwebauthn.Credential {
	for {
		key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		if len(key.Key.AttestationData()) == 77 {
			return key
		}
	}
}

// newPasskeyDevice needs a service with the host name localhost.
func newPasskeyDevice(s *service) *passkeyDevice {
	return &passkeyDevice{
		site:          virtualwebauthn.RelyingParty{ID: "localhost", Name: "localhost", Origin: s.url},
		authenticator: virtualwebauthn.NewAuthenticator(), credential: newFullLengthPasskey(),
	}
}

// registrationBody creates a passkey for the options in a response. It returns the request body that adds the passkey
// to the account.
func (k *passkeyDevice) registrationBody(t *testing.T, options map[string]any, name string) string {
	t.Helper()
	raw, err := json.Marshal(options["publicKey"])
	must(t, err)
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(raw))
	must(t, err)
	k.authenticator.Options.UserHandle = []byte(parsed.UserID)
	credential := virtualwebauthn.CreateAttestationResponse(k.site, k.authenticator, k.credential, *parsed)
	return `{"ceremony":"` + options["ceremony"].(string) + `","name":"` + name + `","credential":` + credential + `}`
}

// signChallenge returns the credential for the options in a response.
func (k *passkeyDevice) signChallenge(t *testing.T, options map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(options["publicKey"])
	must(t, err)
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(raw))
	must(t, err)
	return virtualwebauthn.CreateAssertionResponse(k.site, k.authenticator, k.credential, *parsed)
}

func (s *service) signUpWithVerifiedAddress(t *testing.T, b *browser) (accessHeader []string) {
	t.Helper()
	a := b.do("POST", "/api/auth/register",
		`{"email":"ada@example.com","password":"correct horse battery","name":"Ada"}`)
	wantStatus(t, a, 201, "")
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		u, err := tx.UserByEmail(t.Context(), "ada@example.com")
		must(t, err)
		_, err = tx.SetVerified(t.Context(), u.ID, u.Email, time.Now())
		return err
	}))
	return []string{"Authorization", "Bearer " + a.text("accessToken")}
}

func TestPasskeysOverHTTP(t *testing.T) {
	t.Parallel()
	s := startWithPasskeys(t)
	b := s.newBrowser(t)
	access, k := s.signUpWithVerifiedAddress(t, b), newPasskeyDevice(s)
	begun := b.do("POST", "/api/auth/factors/passkeys/options", "", access...)
	wantStatus(t, begun, 200, "")
	upgrade := b.do("POST", "/api/auth/factors/passkeys/options", `{"upgrade":true}`, access...)
	if upgrade.text("mediation") != "conditional" {
		t.Errorf("%s", upgrade.raw)
	}
	done := b.do("POST", "/api/auth/factors/passkeys", k.registrationBody(t, begun.body, "blue key"), access...)
	wantStatus(t, done, 201, "")
	factor := done.body["factor"].(map[string]any)
	if factor["name"] != "blue key" || factor["kind"] != "passkey" || factor["backedUp"] != false ||
		len(done.body["recoveryCodes"].([]any)) != 10 {
		t.Errorf("%s", done.raw)
	}

	// The passkey must work as a second factor, with the options in the error response.
	other := s.newBrowser(t)
	a := other.do("POST", "/api/auth/login", loginAda+`}`)
	wantStatus(t, a, 403, watchword.CodeSecondFactorRequired)
	challenge := a.body["challenge"].(map[string]any)
	if got := challenge["methods"].([]any); !slices.Equal(got, []any{"passkey", "recovery"}) {
		t.Errorf("methods %v", got)
	}
	proof := k.signChallenge(t, challenge["passkey"].(map[string]any))
	a = other.do("POST", "/api/auth/login/factor", `{"passkey":`+proof+`}`)
	wantStatus(t, a, 200, "")
	wantStatus(t, other.do("POST", "/api/auth/login/factor", `{"passkey":`+proof+`}`), 401,
		watchword.CodeChallengeInvalid)

	// The passkey must sign in without a password. Its options must be the same for all visitors, except the challenge.
	visitor := s.newBrowser(t)
	options := visitor.do("POST", "/api/auth/passkey/options", "")
	wantStatus(t, options, 200, "")
	if public := options.body["publicKey"].(map[string]any); public["allowCredentials"] != nil ||
		public["userVerification"] != "required" || public["rpId"] != "localhost" {
		t.Errorf("%s", options.raw)
	}
	login := `{"ceremony":"` + options.text("ceremony") + `","credential":` + k.signChallenge(t, options.body) + `}`
	a = visitor.do("POST", "/api/auth/passkey/login", login)
	wantStatus(t, a, 200, "")
	if len(a.Cookies()) == 0 || a.body["refreshToken"] != nil {
		t.Errorf("%v, %s", a.Cookies(), a.raw)
	}
	wantStatus(t, visitor.do("POST", "/api/auth/passkey/login", login), 401, watchword.CodeChallengeInvalid)

	// The list of factors must contain the passkey and the signal for the browser. The passkey must also work for a
	// step-up.
	list := b.do("GET", "/api/auth/factors", "", access...)
	signal := list.body["signal"].(map[string]any)
	if ids := signal["allAcceptedCredentialIds"].([]any); len(ids) != 1 || signal["rpId"] != "localhost" {
		t.Errorf("%s", list.raw)
	}
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error { return backdateProofs(t.Context(), tx) }))
	id := factor["id"].(string)
	wantStatus(t, b.do("DELETE", "/api/auth/factors/"+id, "", access...), 401, watchword.CodeStepUpRequired)
	options = b.do("POST", "/api/auth/step-up/options", "", access...)
	wantStatus(t, options, 200, "")
	proof = k.signChallenge(t, options.body)
	wantStatus(t, b.do("POST", "/api/auth/step-up", `{"passkey":`+proof+`}`, access...), 200, "")
	wantStatus(t, b.do("POST", "/api/auth/step-up", `{"passkey":`+proof+`}`, access...), 401,
		watchword.CodeChallengeInvalid)
	wantStatus(t, b.do("DELETE", "/api/auth/factors/"+id, "", access...), 200, "")
	options = visitor.do("POST", "/api/auth/passkey/options", "")
	login = `{"ceremony":"` + options.text("ceremony") + `","credential":` + k.signChallenge(t, options.body) + `}`
	a = visitor.do("POST", "/api/auth/passkey/login", login)
	wantStatus(t, a, 401, watchword.CodeInvalidCredentials)
	if !strings.Contains(string(a.raw), `"errors":[{"field":"credential","code":"UNKNOWN"`) {
		t.Errorf("the browser is not told to forget the passkey: %s", a.raw)
	}
}

// A refused passkey still belongs to its account. The response must not make the browser forget it.
func TestRefusedPasskeyIsNotUnknown(t *testing.T) {
	t.Parallel()
	s := startWithPasskeys(t)
	b := s.newBrowser(t)
	access, k := s.signUpWithVerifiedAddress(t, b), newPasskeyDevice(s)
	begun := b.do("POST", "/api/auth/factors/passkeys/options", "", access...)
	wantStatus(t, b.do("POST", "/api/auth/factors/passkeys", k.registrationBody(t, begun.body, "blue key"),
		access...), 201, "")
	k.authenticator.Options.UserNotVerified = true
	options := b.do("POST", "/api/auth/passkey/options", "")
	login := `{"ceremony":"` + options.text("ceremony") + `","credential":` + k.signChallenge(t, options.body) + `}`
	a := b.do("POST", "/api/auth/passkey/login", login)
	wantStatus(t, a, 401, watchword.CodeInvalidCredentials)
	if a.body["errors"] != nil {
		t.Errorf("%s", a.raw)
	}
}

// MFA-3
func TestRequiredFactorOverHTTPCanBeAPasskey(t *testing.T) {
	t.Parallel()
	s := startWithPasskeys(t, requireFactors)
	b, k := s.newBrowser(t), newPasskeyDevice(s)
	const path = "/api/auth/factors/passkeys"
	wantStatus(t, b.do("POST", path+"/options", ""), 401, watchword.CodeTokenMissing)
	wantStatus(t, b.do("POST", "/api/auth/register", loginAda+`}`), 202, "")
	token := s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com").Token
	proof := `{"token":"` + string(token) + `","password":"correct horse battery"}`
	a := b.do("POST", "/api/auth/email/verify", proof)
	wantStatus(t, a, 403, watchword.CodeEnrolmentRequired)
	if got := a.body["challenge"].(map[string]any)["methods"].([]any); !slices.Equal(got, []any{"totp", "passkey"}) {
		t.Errorf("methods %v", got)
	}
	begun := b.do("POST", path+"/options", `{"upgrade":true}`)
	wantStatus(t, begun, 200, "")
	if begun.body["mediation"] != nil {
		t.Errorf("the first factor would be an upgrade: %s", begun.raw)
	}
	made := k.registrationBody(t, begun.body, "blue key")
	wantStatus(t, s.newBrowser(t).do("POST", path, made), 401,
		watchword.CodeTokenMissing) // a browser without the step cookie
	a = b.do("POST", path, made)
	wantStatus(t, a, 201, "")
	if codes := a.body["recoveryCodes"].([]any); len(codes) != 10 || a.text("refreshToken") != "" {
		t.Errorf("%s", a.raw)
	}
	wantStatus(t, b.do("GET", "/api/auth/me", "", "Authorization", "Bearer "+a.text("accessToken")), 200, "")
	wantStatus(t, b.do("POST", "/api/auth/refresh", ""), 200, "")
	wantStatus(t, b.do("POST", path, made), 401, watchword.CodeTokenMissing) // the step cookie was deleted

	// A client without cookies must be able to send the handle in bodies and get the tokens in bodies.
	id := watchword.UserID(a.body["user"].(map[string]any)["id"].(string))
	must(t, s.engine.Operator().DeleteUser(t.Context(), id))
	app, k := s.newBrowser(t), newPasskeyDevice(s)
	wantStatus(t, app.do("POST", "/api/auth/register", loginAda+`}`), 202, "")
	token = s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com").Token
	a = app.do("POST", "/api/auth/email/verify",
		`{"token":"`+string(token)+`","password":"correct horse battery","delivery":"body"}`)
	wantStatus(t, a, 403, watchword.CodeEnrolmentRequired)
	handle := `{"handle":"` + a.body["challenge"].(map[string]any)["handle"].(string) + `"`
	begun = app.do("POST", path+"/options", handle+`}`)
	wantStatus(t, begun, 200, "")
	a = app.do("POST", path, handle+","+k.registrationBody(t, begun.body, "red key")[1:])
	wantStatus(t, a, 201, "")
	if a.text("refreshToken") == "" || len(a.Cookies()) != 0 {
		t.Errorf("%v %s", a.Cookies(), a.raw)
	}
}

func TestRelatedOriginsAreThoseUnderTheRPID(t *testing.T) {
	t.Parallel()
	s := startWithPasskeys(t)
	a := s.newBrowser(t).do("GET", "/.well-known/webauthn", "", "Origin", "https://anybody.example")
	wantStatus(t, a, 200, "")
	if got := a.body["origins"].([]any); !slices.Equal(got, []any{s.url, "http://app.localhost:3000"}) ||
		!strings.Contains(a.Header.Get("Cache-Control"), "public") {
		t.Errorf("%s, %v", a.raw, a.Header)
	}
}
