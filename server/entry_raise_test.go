package server_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
)

// These functions test the routes that raise the level of a session, or add the first factor.

// browserWithoutFactor returns a browser that is signed in to Ada's account with only the password. The browser is
// remembered, so the sign-in skipped the factor.
func (w *attackSetup) browserWithoutFactor(onPage bool) *visitor {
	w.Helper()
	v, _ := w.signInUpToFactor(w.ada)
	v.json("POST", "/api/auth/login/factor",
		members{"totp": w.nextAppCode(w.ada), "rememberDevice": true}).wantStatus(200)
	v.cookies = map[string]string{"watchword-device": v.cookies["watchword-device"]}
	if onPage {
		v.form("/login", credentials(w.ada)).wantStatus(303)
		return v
	}
	v.bearer = v.json("POST", "/api/auth/login", credentials(w.ada)).wantStatus(200).text("accessToken")
	if acr := readClaim(w.T, v.bearer, "acr"); acr != "aal1" {
		w.Fatalf("level %q", acr)
	}
	return v
}

// In a session without a proven factor, only a valid code may raise the level.
func (w *attackSetup) testStepUp(onPage bool) {
	v := w.browserWithoutFactor(onPage)
	send := func(fields members) recordedResponse {
		if raw, ok := fields["passkey"].(json.RawMessage); onPage && ok {
			fields = members{"credential": string(raw)}
		}
		if password, ok := fields["password"]; onPage && ok {
			fields = members{"currentPassword": password}
		}
		return v.sendToAPIOrPage(onPage, "/api/auth/step-up", "/step-up", fields)
	}
	waiting, offer := w.signInUpToFactor(w.ada)
	for name, fields := range map[string]members{
		"the password":                 {"password": goodPassword},
		"a wrong code":                 {"totp": "12345"},
		"a used code":                  {"totp": w.ada.usedCode},
		"another user's code":          {"totp": w.nextAppCode(w.bob)},
		"a used recovery code":         {"recoveryCode": w.ada.usedRecoveryCode},
		"another user's recovery code": {"recoveryCode": w.bob.recoveryCodes[0]},
		"a handle":                     {"recoveryCode": waiting.cookies["watchword-step"]},
		"the ceremony of a sign-in":    {"passkey": w.signCeremony(w.ada, ceremonyInError(offer))},
	} {
		w.wantAttackFails(name, func() recordedResponse { return send(fields) })
	}
	if bob := w.newVisitor(); !onPage { // a ceremony that belongs to another session
		bob.bearer = string(w.signInWithFactor(w.bob).AccessToken)
		options := bob.json("POST", "/api/auth/step-up/options", members{}).wantStatus(200)
		w.wantAttackFails("another user's ceremony", func() recordedResponse {
			return send(members{"passkey": w.signCeremony(w.ada, options.body)})
		})
	}
	count := func() (n int) {
		for _, s := range w.readAccountState(w.ada.id).Sessions {
			if slices.Contains(s.Methods, "mfa") {
				n++
			}
		}
		return n
	}
	code, before := w.nextAppCode(w.ada), count()
	send(members{"totp": code})
	if got := count(); got != before+1 {
		w.Errorf("%d sessions have a factor, before %d", got, before)
	}
	w.wantAttackFails("the same code", func() recordedResponse { return send(members{"totp": code}) })
}

func (w *attackSetup) signInWithFactor(v *accountWithFactors) *watchword.SignIn {
	w.Helper()
	in, err := w.engine.Operator().AdmitUser(w.Context(),
		watchword.AdmitRequest{User: v.id, Methods: []string{"pwd", "mfa"}})
	must(w.T, err)
	return in
}

// signInNewStaff creates an account that must have a factor. Its sign-in waits for the first factor.
func (w *attackSetup) signInNewStaff(email string) (*visitor, watchword.UserID) {
	w.Helper()
	u, err := w.engine.Operator().CreateUser(w.Context(), watchword.NewUser{Email: email, Password: goodPassword,
		Roles: []string{"staff"}})
	must(w.T, err)
	must(w.T, w.engine.Operator().MarkVerified(w.Context(), u.ID))
	v := w.newVisitor()
	v.json("POST", "/api/auth/login", members{"email": email, "password": goodPassword}).wantStatus(403)
	return v, u.ID
}

// An attacker must not add an app to Ada's account in three ways: in a session without a proven factor, with an
// enrolment of another user, or with the handle of a second step. A member of staff must get a session by adding the
// first app.
func (w *attackSetup) testFirstAppByAPI() {
	weak, bob := w.browserWithoutFactor(false), w.newVisitor()
	w.wantAttackFails("a session of one proof", func() recordedResponse {
		return weak.json("POST", "/api/auth/factors/totp", members{}).wantStatus(401)
	})
	bob.bearer = string(w.signInWithFactor(w.bob).AccessToken)
	begun := bob.json("POST", "/api/auth/factors/totp", members{}).wantStatus(201)
	w.phone.secret = decodeSecret(w.T, begun.text("secret"))
	code := w.phone.nextCode()
	ada := w.newVisitor()
	ada.bearer = string(w.signInWithFactor(w.ada).AccessToken)
	for name, v := range map[string]*visitor{"a session of one proof": weak, "another user's enrolment": ada} {
		w.wantAttackFails(name, func() recordedResponse {
			return v.json("POST", "/api/auth/factors/totp/"+begun.text("id")+"/confirm", members{"code": code})
		})
	}
	waiting, _ := w.signInUpToFactor(w.ada) // a sign-in that waits for a factor must not add another one
	w.wantAttackFails("a handle", func() recordedResponse {
		return waiting.json("POST", "/api/auth/factors/totp",
			members{})
	})
	v, id := w.signInNewStaff("staff.app@example.com")
	w.testFirstAppOpensSession(v, id)
}

// testFirstAppByPage tries the attacks of testFirstAppByAPI on the page that adds the first app.
func (w *attackSetup) testFirstAppByPage() {
	v, id := w.signInNewStaff("staff.page.app@example.com")
	other, otherID := w.signInNewStaff("staff.other@example.com")
	path := v.sendSameOrigin("GET", "/login/setup", "", "").wantStatus(303).Header().Get("Location")
	path, _, _ = strings.Cut(path, "?")
	shown := aSecret.FindStringSubmatch(v.sendSameOrigin("GET", path, "", "").wantStatus(200).Body.String())
	w.phone.secret = decodeSecret(w.T, strings.ReplaceAll(shown[1], " ", ""))
	waiting, _ := w.signInUpToFactor(w.ada)
	for name, browser := range map[string]*visitor{
		"a handle": waiting, "another user's handle": other, "no cookie": w.newVisitor(),
	} {
		w.wantAttackFails(name, func() recordedResponse {
			return browser.form(path,
				members{"totp": w.phone.nextCode()})
		})
	}
	v.form(path, members{"totp": "000000"})
	if n := len(w.readAccountState(id).Sessions) + len(w.readAccountState(otherID).Sessions); n != 0 {
		w.Fatalf("%d sessions without a factor", n)
	}
	w.wantTwoFactorSession(id, func() { v.form(path, members{"totp": w.phone.nextCode()}).wantStatus(200) })
}

var aSecret = regexp.MustCompile(`<code>([A-Z2-7 ]{32,})</code>`)

// A session without a proven factor must not add an app on the account page.
func (w *attackSetup) testAnotherAppByPage() {
	weak := w.browserWithoutFactor(true)
	got := w.wantAttackFails("a session of one proof", func() recordedResponse {
		return weak.sendSameOrigin("GET", "/account/authenticator", "", "")
	})
	if !strings.Contains(got.Header().Get("Location"), "/step-up") {
		w.Errorf("%d %s", got.Code, got.Header().Get("Location"))
	}
	bob := w.newVisitor()
	bob.bearer = string(w.signInWithFactor(w.bob).AccessToken)
	begun := bob.json("POST", "/api/auth/factors/totp", members{}).wantStatus(201)
	w.phone.secret = decodeSecret(w.T, begun.text("secret"))
	w.wantAttackFails("another user's enrolment", func() recordedResponse {
		return weak.form("/account/authenticator/"+begun.text("id"), members{"totp": w.phone.nextCode()})
	})
}

// testFirstPasskeyByAPI tries the attacks of testFirstAppByAPI with a passkey instead of an app.
func (w *attackSetup) testFirstPasskeyByAPI() {
	weak, bob, ada := w.browserWithoutFactor(false), w.newVisitor(), w.newVisitor()
	bob.bearer = string(w.signInWithFactor(w.bob).AccessToken)
	ada.bearer = string(w.signInWithFactor(w.ada).AccessToken)
	options := func(v *visitor) recordedResponse {
		return v.json("POST", "/api/auth/factors/passkeys/options", members{})
	}
	w.wantAttackFails("a session of one proof", func() recordedResponse { return options(weak).wantStatus(401) })
	waiting, _ := w.signInUpToFactor(w.ada)
	w.wantAttackFails("a handle", func() recordedResponse { return options(waiting) })
	begun := options(bob).wantStatus(200)
	for name, v := range map[string]*visitor{
		"a session of one proof": weak, "another user's ceremony": ada, "a handle": waiting,
	} {
		w.wantAttackFails(name, func() recordedResponse {
			return v.addPasskey(begun, newPasskeyDevice(w.service))
		})
	}
	v, id := w.signInNewStaff("staff.passkey@example.com")
	begun = options(v).wantStatus(200)
	k := newPasskeyDevice(w.service)
	k.site.Origin = "https://localhost.evil.example"
	v.addPasskey(begun, k)
	if n := len(w.readAccountState(id).Sessions); n != 0 {
		w.Fatalf("%d sessions without a factor", n)
	}
	begun = options(v).wantStatus(200)
	w.wantTwoFactorSession(id, func() {
		v.addPasskey(begun, newPasskeyDevice(w.service)).wantStatus(201)
	})
}

func (v *visitor) addPasskey(options recordedResponse, k *passkeyDevice) recordedResponse {
	v.w.Helper()
	return v.sendSameOrigin("POST", "/api/auth/factors/passkeys", "application/json",
		k.registrationBody(v.w.T, options.body, "x"))
}

// A session without a proven factor must not add a passkey on the account page.
func (w *attackSetup) testAnotherPasskeyByPage() {
	weak := w.browserWithoutFactor(true)
	bob := w.newVisitor()
	bob.bearer = string(w.signInWithFactor(w.bob).AccessToken)
	begun := bob.json("POST", "/api/auth/factors/passkeys/options", members{}).wantStatus(200)
	w.wantAttackFails("a session of one proof",
		func() recordedResponse { return weak.sendSameOrigin("GET", "/account/passkeys/new", "", "") })
	w.wantAttackFails("another user's ceremony", func() recordedResponse {
		return weak.form("/account/passkeys", w.passkeyFormFields(begun, newPasskeyDevice(w.service)))
	})
}

// testFirstPasskeyByPage tries the attacks of testFirstAppByPage with a passkey instead of an app.
func (w *attackSetup) testFirstPasskeyByPage() {
	v, id := w.signInNewStaff("staff.page.passkey@example.com")
	other, otherID := w.signInNewStaff("staff.page.other@example.com")
	path := v.sendSameOrigin("GET", "/login/setup", "", "").wantStatus(303).Header().Get("Location")
	path, _, _ = strings.Cut(path, "?")
	path += "/passkey"
	waiting, _ := w.signInUpToFactor(w.ada)
	strangers := map[string]*visitor{"a handle": waiting, "another user's handle": other, "no cookie": w.newVisitor()}
	begun := v.sendSameOrigin("POST", path+"/options", "", "").wantStatus(200)
	for name, browser := range strangers {
		w.wantAttackFails(name, func() recordedResponse {
			return browser.form(path, w.passkeyFormFields(begun, newPasskeyDevice(w.service)))
		})
	}
	for _, name := range []string{"a handle", "no cookie"} {
		w.wantAttackFails(name, func() recordedResponse {
			return strangers[name].sendSameOrigin("POST", path+"/options", "", "").wantStatus(401)
		})
	}
	k := newPasskeyDevice(w.service)
	k.site.Origin = "https://localhost.evil.example"
	page := v.form(path, w.passkeyFormFields(begun, k))
	if !strings.Contains(page.Body.String(), "This passkey was not accepted.") {
		w.Errorf("another site: %d %s", page.Code, page.Body)
	}
	if n := len(w.readAccountState(id).Sessions) + len(w.readAccountState(otherID).Sessions); n != 0 {
		w.Fatalf("%d sessions without a factor", n)
	}
	w.wantTwoFactorSession(id, func() {
		v.form(path,
			w.passkeyFormFields(begun, newPasskeyDevice(w.service))).wantStatus(200)
	})
}

func (w *attackSetup) passkeyFormFields(options recordedResponse, k *passkeyDevice) members {
	w.Helper()
	var created members
	must(w.T, json.Unmarshal([]byte(k.registrationBody(w.T, options.body, "x")), &created))
	credential, err := json.Marshal(created["credential"])
	must(w.T, err)
	return members{"ceremony": options.text("ceremony"), "credential": string(credential)}
}
