package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

// An entranceTest tests one route that can open a session. First it sends everything that the route needs, except a
// valid factor. No session may open. Then it sends the factor as well, which shows that only the factor was missing.
type entranceTest func(w *attackSetup)

var entranceTests = map[string]entranceTest{
	"POST /api/auth/register":      func(w *attackSetup) { w.testSignUp("POST /api/auth/register", false) },
	"POST /signup":                 func(w *attackSetup) { w.testSignUp("POST /signup", true) },
	"POST /register (dialect)":     func(w *attackSetup) { w.testSignUp("POST /register", false) },
	"POST /api/auth/login":         func(w *attackSetup) { w.testPasswordLogin("/api/auth/login", false) },
	"POST /login":                  func(w *attackSetup) { w.testPasswordLogin("/login", true) },
	"POST /api/auth/login/factor":  func(w *attackSetup) { w.testFactorLogin(false) },
	"POST /login/factor":           func(w *attackSetup) { w.testFactorLogin(true) },
	"POST /api/auth/email/verify":  func(w *attackSetup) { w.testVerificationLink(false) },
	"POST /verify":                 func(w *attackSetup) { w.testVerificationLink(true) },
	"POST /api/auth/invite/accept": func(w *attackSetup) { w.testInvitation(false) },
	"POST /invite":                 func(w *attackSetup) { w.testInvitation(true) },
	"POST /api/auth/passkey/login": func(w *attackSetup) { w.testPasskeyLogin(false) },
	"POST /login/passkey":          func(w *attackSetup) { w.testPasskeyLogin(true) },
	"POST /api/auth/step-up":       func(w *attackSetup) { w.testStepUp(false) },
	"POST /step-up":                func(w *attackSetup) { w.testStepUp(true) },

	"POST /api/auth/factors/totp/{id}/confirm": (*attackSetup).testFirstAppByAPI,
	"POST /login/setup/{id}":                   (*attackSetup).testFirstAppByPage,
	"POST /login/setup/{id}/passkey":           (*attackSetup).testFirstPasskeyByPage,
	"POST /account/authenticator/{id}":         (*attackSetup).testAnotherAppByPage,
	"POST /api/auth/factors/passkeys":          (*attackSetup).testFirstPasskeyByAPI,
	"POST /account/passkeys":                   (*attackSetup).testAnotherPasskeyByPage,

	"GET /sign-in/{provider}/callback":  func(w *attackSetup) { w.testProviderCallback("GET") },
	"POST /sign-in/{provider}/callback": func(w *attackSetup) { w.testProviderCallback("POST") },
	"POST /api/auth/exchange":           (*attackSetup).testCodeExchange,

	"POST /api/auth/refresh":           func(w *attackSetup) { w.testRefresh("/api/auth/refresh", "watchword") },
	"POST /api/users/reauth (dialect)": func(w *attackSetup) { w.testRefresh("/api/users/reauth", "refreshTkn") },
	"POST /token (dialect)":            func(w *attackSetup) { w.testRefresh("/token", "jwt") },
	"POST /api/users/login (dialect)":  func(w *attackSetup) { w.testDialectLogin("/api/users/login") },
	"POST /login (dialect)":            func(w *attackSetup) { w.testDialectLogin("/login") },
	"POST /api/users/signup (dialect)": func(w *attackSetup) { w.testSignUp("POST /api/users/signup", false) },
}

// MFA-11
func TestEveryEntranceAsksForTheFactor(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store realStore) {
		w := newAttackSetup(t, store)
		for _, name := range slices.Sorted(maps.Keys(entranceTests)) {
			t.Run(strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
				outer := w.T
				defer func() { w.T = outer }()
				w.T, w.phone.t = t, t
				entranceTests[name](w)
			})
		}
	})
}

// wantAttackFails fails if the attack gets a credential or changes Ada's account.
func (w *attackSetup) wantAttackFails(attack string, run func() recordedResponse) recordedResponse {
	w.Helper()
	before := w.readAccountState(w.ada.id)
	got := run()
	w.wantAttackRefused(attack, got, w.ada.id, before)
	return got
}

// The sign-in must open exactly one session, which must have a second factor.
func (w *attackSetup) wantTwoFactorSession(id watchword.UserID, signIn func()) {
	w.Helper()
	before := w.readAccountState(id).Sessions
	signIn()
	after := w.readAccountState(id).Sessions
	if len(after) != len(before)+1 {
		w.Fatalf("%d sessions, before %d", len(after), len(before))
	}
	for _, s := range after {
		known := slices.ContainsFunc(before, func(b watchword.Session) bool { return b.ID == s.ID })
		if !known && !slices.Contains(s.Methods, "mfa") {
			w.Errorf("a session has only %q", s.Methods)
		}
	}
}

func (v *visitor) sendToAPIOrPage(onPage bool, apiPath, formPath string, fields members) recordedResponse {
	v.w.Helper()
	if onPage {
		return v.form(formPath, fields)
	}
	return v.json("POST", apiPath, fields)
}

// A sign-up with Ada's address and password must not open a session of Ada.
func (w *attackSetup) testSignUp(route string, onPage bool) {
	_, path, _ := strings.Cut(route, " ")
	account := members{"email": w.ada.email, "password": goodPassword}
	switch path {
	case "/api/users/signup":
		account["firstName"], account["lastName"] = "Ada", "L"
	case "/register":
		account["username"] = "ada"
	default:
		account["name"] = "Ada"
	}
	w.wantAttackFails("the address of an account",
		func() recordedResponse { return w.newVisitor().sendToAPIOrPage(onPage, path, path, account) })
	account["email"] = "new" + strings.ReplaceAll(path, "/", ".") + "@example.com"
	v := w.newVisitor()
	if got := v.sendToAPIOrPage(onPage, path, path, account); got.Code >= 400 || len(v.cookies) == 0 {
		w.Errorf("a new account: %d %s", got.Code, got.Body)
	}
}

// The cookies of a known device or of another user's remembered device must not replace the factor.
func (w *attackSetup) testPasswordLogin(path string, onPage bool) {
	for name, cookies := range map[string]map[string]string{
		"the password":           {},
		"another user's device":  {"watchword-device": string(w.bob.device)},
		"a known device":         {"watchword-known": string(w.ada.provenSession.DeviceToken)},
		"a device token too":     {"watchword-device": string(w.ada.provenSession.DeviceToken)},
		"an ended refresh token": {"watchword": string(w.ada.endedSession.RefreshToken)},
	} {
		v := w.newVisitor()
		maps.Copy(v.cookies, cookies)
		w.wantAttackFails(name, func() recordedResponse {
			return v.sendToAPIOrPage(onPage, path, path,
				credentials(w.ada))
		})
		if v.cookies["watchword-step"] == "" {
			w.Errorf("%s leads to no second step", name)
		}
	}
	w.wantTwoFactorSession(w.ada.id, func() {
		v := w.newVisitor()
		v.sendToAPIOrPage(onPage, path, path, credentials(w.ada))
		v.json("POST", "/api/auth/login/factor", members{"totp": w.nextAppCode(w.ada)}).wantStatus(200)
	})
}

func (w *attackSetup) signInUpToFactor(account *accountWithFactors) (*visitor, recordedResponse) {
	w.Helper()
	v := w.newVisitor()
	return v, v.json("POST", "/api/auth/login", credentials(account)).wantStatus(403)
}

// Proofs that are wrong, already used, or of another user must be refused. Each valid proof must open a session.
func (w *attackSetup) testFactorLogin(onPage bool) {
	send := func(v *visitor, fields members) recordedResponse {
		if raw, ok := fields["passkey"]; onPage && ok {
			text, err := json.Marshal(raw)
			must(w.T, err)
			fields = members{"credential": string(text)}
		}
		return v.sendToAPIOrPage(onPage, "/api/auth/login/factor", "/login/factor", fields)
	}
	for name, fields := range map[string]members{
		"no proof":                     {},
		"a wrong code":                 {"totp": "12345"},
		"a used code":                  {"totp": w.ada.usedCode},
		"another user's code":          {"totp": w.nextAppCode(w.bob)},
		"a used recovery code":         {"recoveryCode": w.ada.usedRecoveryCode},
		"another user's recovery code": {"recoveryCode": w.bob.recoveryCodes[0]},
	} {
		v, _ := w.signInUpToFactor(w.ada)
		w.wantAttackFails(name, func() recordedResponse { return send(v, fields) })
	}
	// The passkey must be Ada's, for this ceremony, and from the right origin.
	v, offer := w.signInUpToFactor(w.ada)
	w.wantAttackFails("another user's passkey", func() recordedResponse {
		return send(v, members{"passkey": w.signCeremony(w.bob, ceremonyInError(offer))})
	})
	_, foreign := w.signInUpToFactor(w.ada)
	v, offer = w.signInUpToFactor(w.ada)
	w.wantAttackFails("an answer to another ceremony", func() recordedResponse {
		return send(v, members{"passkey": w.signCeremony(w.ada, ceremonyInError(foreign))})
	})
	party := w.ada.passkey.site
	w.ada.passkey.site.Origin = "https://localhost.evil.example"
	w.wantAttackFails("an answer from another origin", func() recordedResponse {
		return send(v, members{"passkey": w.signCeremony(w.ada, ceremonyInError(offer))})
	})
	w.ada.passkey.site = party
	// The handle must be Ada's, for the second step, and not too old.
	carol := w.newVisitor()
	carol.json("POST", "/api/auth/login",
		members{"email": "carol@example.com", "password": goodPassword}).wantStatus(403)
	w.wantAttackFails("an enrolment handle",
		func() recordedResponse { return send(carol, members{"totp": w.nextAppCode(w.ada)}) })
	bob, _ := w.signInUpToFactor(w.bob)
	w.wantAttackFails("another user's handle",
		func() recordedResponse { return send(bob, members{"totp": w.nextAppCode(w.ada)}) })
	v, _ = w.signInUpToFactor(w.ada)
	w.phone.clockAhead.Add(int64(watchword.ChallengeLife))
	w.wantAttackFails("a handle that is too old",
		func() recordedResponse { return send(v, members{"totp": w.nextAppCode(w.ada)}) })

	code := w.nextAppCode(w.ada)
	v, _ = w.signInUpToFactor(w.ada)
	handle := v.cookies["watchword-step"]
	w.wantTwoFactorSession(w.ada.id, func() { send(v, members{"totp": code}) })
	v.cookies = map[string]string{"watchword-step": handle}
	w.wantAttackFails("a used handle",
		func() recordedResponse { return send(v, members{"recoveryCode": w.ada.recoveryCodes[0]}) })
	v, _ = w.signInUpToFactor(w.ada)
	w.wantAttackFails("the same code in another sign-in",
		func() recordedResponse { return send(v, members{"totp": code}) })
	v, offer = w.signInUpToFactor(w.ada)
	w.wantTwoFactorSession(w.ada.id,
		func() { send(v, members{"passkey": w.signCeremony(w.ada, ceremonyInError(offer))}) })
	v, _ = w.signInUpToFactor(w.ada)
	back := w.ada.recoveryCodes[0]
	w.ada.recoveryCodes = w.ada.recoveryCodes[1:]
	w.wantTwoFactorSession(w.ada.id, func() { send(v, members{"recoveryCode": back}) })
	v, _ = w.signInUpToFactor(w.ada)
	w.wantAttackFails("the same recovery code",
		func() recordedResponse { return send(v, members{"recoveryCode": back}) })
}

func ceremonyInError(r recordedResponse) members {
	offer, _ := r.body["challenge"].(members)
	ceremony, _ := offer["passkey"].(members)
	return ceremony
}

func (w *attackSetup) signCeremony(account *accountWithFactors, ceremony members) json.RawMessage {
	w.Helper()
	account.passkey.credential.Counter++
	return json.RawMessage(account.passkey.signChallenge(w.T, ceremony))
}

// The link must verify the address but not open a session, even with the password. Only the second factor may open a
// session.
func (w *attackSetup) testVerificationLink(onPage bool) {
	next := "ada.page@example.com"
	if !onPage {
		next = "ada.api@example.com"
	}
	must(w.T, w.engine.Operator().ChangeEmail(w.Context(), w.ada.id, next))
	w.ada.email = next
	link := members{"token": string(w.mailer.awaitMail(w.T, watchword.MailVerify, next).Token),
		"password": goodPassword}
	v, sessions := w.newVisitor(), w.readAccountState(w.ada.id).Sessions
	got := v.sendToAPIOrPage(onPage, "/api/auth/email/verify", "/verify", link)
	if after := w.readAccountState(w.ada.id); len(after.Sessions) != len(sessions) || !after.User.Verified() {
		w.Errorf("%d %s: %d sessions, before %d; verified: %v", got.Code, got.Body, len(after.Sessions), len(sessions),
			after.User.Verified())
	}
	for _, name := range credentialCookies {
		if v.cookies[name] != "" {
			w.Errorf("the link sets the cookie %s", name)
		}
	}
	w.wantTwoFactorSession(w.ada.id, func() {
		v.json("POST", "/api/auth/login/factor", members{"totp": w.nextAppCode(w.ada)}).wantStatus(200)
	})
}

// For an account that must have a factor, an accepted invitation must not open a session.
func (w *attackSetup) testInvitation(onPage bool) {
	email := "staff.page@example.com"
	if !onPage {
		email = "staff.api@example.com"
	}
	u, err := w.engine.Operator().CreateUser(w.Context(), watchword.NewUser{Email: email, Roles: []string{"staff"}})
	must(w.T, err)
	token := string(w.mailer.awaitMail(w.T, watchword.MailInvite, email).Token)
	v := w.newVisitor()
	v.sendToAPIOrPage(onPage, "/api/auth/invite/accept", "/invite",
		members{"token": token, "password": goodPassword, "name": "Staff"})
	w.testFirstAppOpensSession(v, u.ID)
}

// The account has no session yet. Only a valid code may open one.
func (w *attackSetup) testFirstAppOpensSession(v *visitor, id watchword.UserID) {
	w.Helper()
	if n := len(w.readAccountState(id).Sessions); n != 0 || v.cookies["watchword"] != "" {
		w.Errorf("%d sessions before the first factor", n)
	}
	begun := v.json("POST", "/api/auth/factors/totp", members{}).wantStatus(201)
	w.phone.secret = decodeSecret(w.T, begun.text("secret"))
	path := "/api/auth/factors/totp/" + begun.text("id") + "/confirm"
	if got := v.json("POST", path, members{"code": "000000"}); got.Code != 403 ||
		len(w.readAccountState(id).Sessions) != 0 {
		w.Errorf("a wrong code: %d", got.Code)
	}
	w.wantTwoFactorSession(id, func() { v.json("POST", path, members{"code": w.phone.nextCode()}).wantStatus(200) })
}

// A passkey alone must open a session, but only with user verification, from the right site, and by the right user.
func (w *attackSetup) testPasskeyLogin(onPage bool) {
	send := func(change func(*passkeyDevice)) recordedResponse {
		options := w.newVisitor().json("POST", "/api/auth/passkey/options", members{}).wantStatus(200)
		before := *w.ada.passkey
		w.ada.passkey.credential.Counter++
		change(w.ada.passkey)
		response := w.ada.passkey.signChallenge(w.T, options.body)
		count := w.ada.passkey.credential.Counter
		*w.ada.passkey = before
		w.ada.passkey.credential.Counter = max(count, before.credential.Counter)
		if onPage {
			return w.newVisitor().form("/login/passkey",
				members{"ceremony": options.text("ceremony"), "credential": response})
		}
		return w.newVisitor().json("POST", "/api/auth/passkey/login",
			members{"ceremony": options.text("ceremony"), "credential": json.RawMessage(response)})
	}
	w.wantTwoFactorSession(w.ada.id, func() { send(func(*passkeyDevice) {}) })
	for name, change := range map[string]func(*passkeyDevice){
		"a passkey without verification": func(k *passkeyDevice) { k.authenticator.Options.UserNotVerified = true },
		"a passkey without presence":     func(k *passkeyDevice) { k.authenticator.Options.UserNotPresent = true },
		"an old counter":                 func(k *passkeyDevice) { k.credential.Counter = 1 },
		"another user's handle":          func(k *passkeyDevice) { k.authenticator.Options.UserHandle = []byte("bob") },
		"another origin":                 func(k *passkeyDevice) { k.site.Origin = "https://localhost.evil.example" },
		"another rp id":                  func(k *passkeyDevice) { k.site.ID = "sibling.example" },
		"another key": func(k *passkeyDevice) {
			id := k.credential.ID
			k.credential = newFullLengthPasskey()
			k.credential.ID = id
		},
	} {
		w.wantAttackFails(name, func() recordedResponse { return send(change) })
	}
}

// The code that a sign-in at the provider returns to a front-end must not open a session alone.
func (w *attackSetup) testCodeExchange() {
	v, verifier := w.newVisitor(), strings.Repeat("verifier", 6)
	sum := sha256.Sum256([]byte(verifier))
	code := func() string {
		start := url.Values{"return_to": {w.url + "/back"}, "code_challenge_method": {"S256"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}}
		begun := v.sendSameOrigin("GET", "/sign-in/campus?"+start.Encode(), "", "").wantStatus(303)
		target, err := url.Parse(begun.Header().Get("Location"))
		must(w.T, err)
		query := "state=" + url.QueryEscape(target.Query().Get("state")) + "&code=ada@example.com"
		back, err := url.Parse(w.wantAttackFails("a callback that gets a code", func() recordedResponse {
			return v.sendSameOrigin("GET", "/sign-in/campus/callback?"+query, "", "")
		}).wantStatus(303).Header().Get("Location"))
		must(w.T, err)
		return back.Query().Get("code")
	}
	for _, wrong := range []string{"", strings.Repeat("another", 7)} {
		w.wantAttackFails("a code without its verifier", func() recordedResponse {
			return v.json("POST", "/api/auth/exchange", members{"code": code(), "verifier": wrong})
		})
	}
	redeemed := members{"code": code(), "verifier": verifier}
	w.wantAttackFails("a code", func() recordedResponse {
		return v.json("POST", "/api/auth/exchange",
			redeemed).wantStatus(403)
	})
	w.wantAttackFails("a used code", func() recordedResponse {
		return w.newVisitor().json("POST", "/api/auth/exchange", redeemed).wantStatus(401)
	})
	w.wantTwoFactorSession(w.ada.id, func() {
		v.json("POST", "/api/auth/login/factor", members{"totp": w.nextAppCode(w.ada)}).wantStatus(200)
	})
}

// After a sign-in with the linked identity, the server must still ask for the second factor.
func (w *attackSetup) testProviderCallback(method string) {
	v := w.newVisitor()
	callback := func(v *visitor) recordedResponse {
		target, err := url.Parse(v.sendSameOrigin("GET", "/sign-in/campus", "",
			"").wantStatus(303).Header().Get("Location"))
		must(w.T, err)
		query := "state=" + url.QueryEscape(target.Query().Get("state")) + "&code=ada@example.com"
		if method == "POST" {
			return v.sendSameOrigin("POST", "/sign-in/campus/callback", "application/x-www-form-urlencoded", query)
		}
		return v.sendSameOrigin("GET", "/sign-in/campus/callback?"+query, "", "")
	}
	w.wantAttackFails("the provider", func() recordedResponse { return callback(v) })
	v = w.newVisitor()
	v.cookies["watchword-device"] = string(w.bob.device)
	w.wantAttackFails("the provider and another user's device", func() recordedResponse { return callback(v) })
	if method == "POST" { // only the GET signs in, because the POST redirects to it
		return
	}
	w.wantTwoFactorSession(w.ada.id, func() {
		v.json("POST", "/api/auth/login/factor", members{"totp": w.nextAppCode(w.ada)}).wantStatus(200)
	})
}

// Tokens that are not a live refresh token must not open a session.
func (w *attackSetup) testRefresh(path, cookie string) {
	waiting, _ := w.signInUpToFactor(w.ada)
	for name, token := range map[string]string{
		"an ended refresh token": string(w.ada.endedSession.RefreshToken),
		"an access token":        string(w.ada.provenSession.AccessToken),
		"a handle":               waiting.cookies["watchword-step"], "a remembered device": string(w.ada.device),
		"a known device": string(w.ada.provenSession.DeviceToken),
	} {
		v := w.newVisitor()
		v.cookies[cookie] = token
		w.wantAttackFails(name, func() recordedResponse { return v.json("POST", path, nil) })
		w.wantAttackFails(name, func() recordedResponse {
			return w.newVisitor().json("POST", path,
				members{"refreshToken": token})
		})
		w.wantAttackFails(name, func() recordedResponse {
			return w.newVisitor().json("POST", path,
				members{"token": token})
		})
	}
	// A refresh must not raise the level of a session that has proven only the password.
	v := w.newVisitor()
	v.json("POST", "/api/auth/register", members{"email": "one" + cookie + "@example.com", "password": goodPassword,
		"name": "One"}).wantStatus(201)
	v.cookies[cookie] = v.cookies["watchword"]
	if cookie != "watchword" {
		delete(v.cookies, "watchword")
	}
	body := members{"token": v.cookies[cookie]}
	if path != "/token" {
		body = nil
	}
	got := v.json("POST", path, body)
	if acr := readClaim(w.T, got.text("accessToken"), "acr"); acr != "aal1" {
		w.Errorf("%d %s: level %q after a refresh", got.Code, got.Body, acr)
	}
}

func readClaim(t *testing.T, token, name string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var claims members
	must(t, json.Unmarshal(raw, &claims))
	text, _ := claims[name].(string)
	return text
}

// Dialects have no second step, so they must refuse an account with a factor.
func (w *attackSetup) testDialectLogin(path string) {
	v := w.newVisitor()
	v.cookies["watchword-device"] = string(w.ada.device)
	got := w.wantAttackFails("the password and Ada's own device", func() recordedResponse {
		return v.json("POST", path, credentials(w.ada))
	})
	if got.Code != 400 || !strings.Contains(got.Body.String(), w.url+"/login") {
		w.Errorf("%d %s", got.Code, got.Body)
	}
	v.json("POST", "/api/auth/register", members{"email": "d" + strings.ReplaceAll(path, "/", ".") + "@example.com",
		"password": goodPassword, "name": "D"}).wantStatus(201)
	w.newVisitor().json("POST", path, members{"email": "d" + strings.ReplaceAll(path, "/", ".") + "@example.com",
		"password": goodPassword}).wantStatus(200)
}
