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

// Each way tests one route that can open a session. First it sends everything that the route needs, except a valid
// factor. No session may open. Then it sends the factor as well, which shows that only the factor was missing.

// A way tests one route.
type way func(w *world)

var ways = map[string]way{
	"POST /api/auth/register":      func(w *world) { w.signUp("POST /api/auth/register", false) },
	"POST /signup":                 func(w *world) { w.signUp("POST /signup", true) },
	"POST /register (dialect)":     func(w *world) { w.signUp("POST /register", false) },
	"POST /api/auth/login":         func(w *world) { w.password("/api/auth/login", false) },
	"POST /login":                  func(w *world) { w.password("/login", true) },
	"POST /api/auth/login/factor":  func(w *world) { w.factor(false) },
	"POST /login/factor":           func(w *world) { w.factor(true) },
	"POST /api/auth/email/verify":  func(w *world) { w.verify(false) },
	"POST /verify":                 func(w *world) { w.verify(true) },
	"POST /api/auth/invite/accept": func(w *world) { w.invitation(false) },
	"POST /invite":                 func(w *world) { w.invitation(true) },
	"POST /api/auth/passkey/login": func(w *world) { w.passkeyAlone(false) },
	"POST /login/passkey":          func(w *world) { w.passkeyAlone(true) },
	"POST /api/auth/step-up":       func(w *world) { w.stepUp(false) },
	"POST /step-up":                func(w *world) { w.stepUp(true) },

	"POST /api/auth/factors/totp/{id}/confirm": (*world).enrolAppByAPI,
	"POST /login/setup/{id}":                   (*world).enrolAppByPage,
	"POST /login/setup/{id}/passkey":           (*world).enrolPasskeyByPage,
	"POST /account/authenticator/{id}":         (*world).anotherAppByPage,
	"POST /api/auth/factors/passkeys":          (*world).enrolPasskeyByAPI,
	"POST /account/passkeys":                   (*world).anotherPasskeyByPage,

	"GET /sign-in/{provider}/callback":  func(w *world) { w.provider("GET") },
	"POST /sign-in/{provider}/callback": func(w *world) { w.provider("POST") },
	"POST /api/auth/exchange":           (*world).exchange,

	"POST /api/auth/refresh":           func(w *world) { w.refresh("/api/auth/refresh", "watchword") },
	"POST /api/users/reauth (dialect)": func(w *world) { w.refresh("/api/users/reauth", "refreshTkn") },
	"POST /token (dialect)":            func(w *world) { w.refresh("/token", "jwt") },
	"POST /api/users/login (dialect)":  func(w *world) { w.dialectLogin("/api/users/login") },
	"POST /login (dialect)":            func(w *world) { w.dialectLogin("/login") },
	"POST /api/users/signup (dialect)": func(w *world) { w.signUp("POST /api/users/signup", false) },
}

// MFA-11
func TestEveryEntranceAsksForTheFactor(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store realStore) {
		w := newWorld(t, store)
		for _, name := range slices.Sorted(maps.Keys(ways)) {
			t.Run(strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
				outer := w.T
				defer func() { w.T = outer }()
				w.T, w.phone.t = t, t
				ways[name](w)
			})
		}
	})
}

// The method without runs an attack. The attack must get no credential and must not change Ada's account.
func (w *world) without(attack string, do func() reply) reply {
	w.Helper()
	before := w.state(w.ada.id)
	got := do()
	w.refused(attack, got, w.ada.id, before)
	return got
}

// The method opens runs a complete sign-in. The sign-in must open exactly one session, with a second factor.
func (w *world) opens(id watchword.UserID, do func()) {
	w.Helper()
	before := w.state(id).Sessions
	do()
	after := w.state(id).Sessions
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

// The method enter sends fields to a route: as JSON to the API, or as a form to the page.
func (v *visitor) enter(page bool, api, form string, fields members) reply {
	v.w.Helper()
	if page {
		return v.form(form, fields)
	}
	return v.json("POST", api, fields)
}

// signUp tries to register with Ada's address and password, which must not open a session of Ada. Then it registers
// with a new address, which must succeed.
func (w *world) signUp(route string, page bool) {
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
	w.without("the address of an account", func() reply { return w.visitor().enter(page, path, path, account) })
	account["email"] = "new" + strings.ReplaceAll(path, "/", ".") + "@example.com"
	v := w.visitor()
	if got := v.enter(page, path, path, account); got.Code >= 400 || len(v.cookies) == 0 {
		w.Errorf("a new account: %d %s", got.Code, got.Body)
	}
}

// The method password signs in with Ada's password, each time with other cookies, such as another user's remembered
// device. Each sign-in must ask for the factor.
func (w *world) password(path string, page bool) {
	for name, cookies := range map[string]map[string]string{
		"the password":           {},
		"another user's device":  {"watchword-device": string(w.bob.device)},
		"a known device":         {"watchword-known": string(w.ada.session.DeviceToken)},
		"a device token too":     {"watchword-device": string(w.ada.session.DeviceToken)},
		"an ended refresh token": {"watchword": string(w.ada.old.RefreshToken)},
	} {
		v := w.visitor()
		maps.Copy(v.cookies, cookies)
		w.without(name, func() reply { return v.enter(page, path, path, credentials(w.ada)) })
		if v.cookies["watchword-step"] == "" {
			w.Errorf("%s leads to no second step", name)
		}
	}
	w.opens(w.ada.id, func() {
		v := w.visitor()
		v.enter(page, path, path, credentials(w.ada))
		v.json("POST", "/api/auth/login/factor", members{"totp": w.code(w.ada)}).want(200)
	})
}

// The method waiting signs in with the password of an account. The sign-in then waits for the second factor. The
// method returns the browser and the response.
func (w *world) waiting(who *victim) (*visitor, reply) {
	w.Helper()
	v := w.visitor()
	return v, v.json("POST", "/api/auth/login", credentials(who)).want(403)
}

// The method factor sends proofs that are wrong, already used, or of another user. The server must refuse them. Then
// it sends valid proofs, each of which must open a session.
func (w *world) factor(page bool) {
	send := func(v *visitor, fields members) reply {
		if raw, ok := fields["passkey"]; page && ok {
			text, err := json.Marshal(raw)
			must(w.T, err)
			fields = members{"credential": string(text)}
		}
		return v.enter(page, "/api/auth/login/factor", "/login/factor", fields)
	}
	for name, fields := range map[string]members{
		"no proof":                     {},
		"a wrong code":                 {"totp": "12345"},
		"a used code":                  {"totp": w.ada.usedCode},
		"another user's code":          {"totp": w.code(w.bob)},
		"a used recovery code":         {"recoveryCode": w.ada.usedBack},
		"another user's recovery code": {"recoveryCode": w.bob.codes[0]},
	} {
		v, _ := w.waiting(w.ada)
		w.without(name, func() reply { return send(v, fields) })
	}
	// The passkey must be Ada's, for this ceremony, and from the right origin.
	v, offer := w.waiting(w.ada)
	w.without("another user's passkey", func() reply {
		return send(v, members{"passkey": w.assertion(w.bob, ceremonyOf(offer))})
	})
	_, foreign := w.waiting(w.ada)
	v, offer = w.waiting(w.ada)
	w.without("an answer to another ceremony", func() reply {
		return send(v, members{"passkey": w.assertion(w.ada, ceremonyOf(foreign))})
	})
	party := w.ada.key.party
	w.ada.key.party.Origin = "https://localhost.evil.example"
	w.without("an answer from another origin", func() reply {
		return send(v, members{"passkey": w.assertion(w.ada, ceremonyOf(offer))})
	})
	w.ada.key.party = party
	// The handle must be Ada's, for the second step, and not too old.
	carol := w.visitor()
	carol.json("POST", "/api/auth/login", members{"email": "carol@example.com", "password": goodPassword}).want(403)
	w.without("an enrolment handle", func() reply { return send(carol, members{"totp": w.code(w.ada)}) })
	bob, _ := w.waiting(w.bob)
	w.without("another user's handle", func() reply { return send(bob, members{"totp": w.code(w.ada)}) })
	v, _ = w.waiting(w.ada)
	w.phone.forward.Add(int64(watchword.ChallengeLife))
	w.without("a handle that is too old", func() reply { return send(v, members{"totp": w.code(w.ada)}) })

	code := w.code(w.ada)
	v, _ = w.waiting(w.ada)
	handle := v.cookies["watchword-step"]
	w.opens(w.ada.id, func() { send(v, members{"totp": code}) })
	v.cookies = map[string]string{"watchword-step": handle}
	w.without("a used handle", func() reply { return send(v, members{"recoveryCode": w.ada.codes[0]}) })
	v, _ = w.waiting(w.ada)
	w.without("the same code in another sign-in", func() reply { return send(v, members{"totp": code}) })
	v, offer = w.waiting(w.ada)
	w.opens(w.ada.id, func() { send(v, members{"passkey": w.assertion(w.ada, ceremonyOf(offer))}) })
	v, _ = w.waiting(w.ada)
	back := w.ada.codes[0]
	w.ada.codes = w.ada.codes[1:]
	w.opens(w.ada.id, func() { send(v, members{"recoveryCode": back}) })
	v, _ = w.waiting(w.ada)
	w.without("the same recovery code", func() reply { return send(v, members{"recoveryCode": back}) })
}

// ceremonyOf returns the ceremony in an error response of the API.
func ceremonyOf(r reply) members {
	offer, _ := r.body["challenge"].(members)
	ceremony, _ := offer["passkey"].(members)
	return ceremony
}

// The method assertion returns the response of an account's passkey to a ceremony.
func (w *world) assertion(who *victim, ceremony members) json.RawMessage {
	w.Helper()
	who.key.cred.Counter++
	return json.RawMessage(who.key.use(w.T, ceremony))
}

// The method verify changes Ada's address as an operator, and opens the mailed link with the password. The link must
// verify the address but not open a session. Then the second factor must open a session.
func (w *world) verify(page bool) {
	next := "ada.page@example.com"
	if !page {
		next = "ada.api@example.com"
	}
	must(w.T, w.engine.Operator().ChangeEmail(w.Context(), w.ada.id, next))
	w.ada.email = next
	link := members{"token": string(w.post.take(w.T, watchword.MailVerify, next).Token),
		"password": goodPassword}
	v, sessions := w.visitor(), w.state(w.ada.id).Sessions
	got := v.enter(page, "/api/auth/email/verify", "/verify", link)
	if after := w.state(w.ada.id); len(after.Sessions) != len(sessions) || !after.User.Verified() {
		w.Errorf("%d %s: %d sessions, before %d; verified: %v", got.Code, got.Body, len(after.Sessions), len(sessions),
			after.User.Verified())
	}
	for _, name := range credentialCookies {
		if v.cookies[name] != "" {
			w.Errorf("the link sets the cookie %s", name)
		}
	}
	w.opens(w.ada.id, func() {
		v.json("POST", "/api/auth/login/factor", members{"totp": w.code(w.ada)}).want(200)
	})
}

// The method invitation accepts an invitation for an account that must have a factor. Only the first factor may open
// a session.
func (w *world) invitation(page bool) {
	email := "staff.page@example.com"
	if !page {
		email = "staff.api@example.com"
	}
	u, err := w.engine.Operator().CreateUser(w.Context(), watchword.NewUser{Email: email, Roles: []string{"staff"}})
	must(w.T, err)
	token := string(w.post.take(w.T, watchword.MailInvite, email).Token)
	v := w.visitor()
	v.enter(page, "/api/auth/invite/accept", "/invite",
		members{"token": token, "password": goodPassword, "name": "Staff"})
	w.enrols(v, u.ID)
}

// The method enrols adds the first factor of an account that has no session yet. Only a right code may open a
// session.
func (w *world) enrols(v *visitor, id watchword.UserID) {
	w.Helper()
	if n := len(w.state(id).Sessions); n != 0 || v.cookies["watchword"] != "" {
		w.Errorf("%d sessions before the first factor", n)
	}
	begun := v.json("POST", "/api/auth/factors/totp", members{}).want(201)
	w.phone.secret = secretIn(w.T, begun.text("secret"))
	path := "/api/auth/factors/totp/" + begun.text("id") + "/confirm"
	if got := v.json("POST", path, members{"code": "000000"}); got.Code != 403 || len(w.state(id).Sessions) != 0 {
		w.Errorf("a wrong code: %d", got.Code)
	}
	w.opens(id, func() { v.json("POST", path, members{"code": w.phone.code()}).want(200) })
}

// passkeyAlone signs in with a passkey alone, and then tries invalid responses, such as one without user
// verification.
func (w *world) passkeyAlone(page bool) {
	send := func(change func(*key)) reply {
		options := w.visitor().json("POST", "/api/auth/passkey/options", members{}).want(200)
		before := *w.ada.key
		w.ada.key.cred.Counter++
		change(w.ada.key)
		response := w.ada.key.use(w.T, options.body)
		count := w.ada.key.cred.Counter
		*w.ada.key = before
		w.ada.key.cred.Counter = max(count, before.cred.Counter)
		if page {
			return w.visitor().form("/login/passkey",
				members{"ceremony": options.text("ceremony"), "credential": response})
		}
		return w.visitor().json("POST", "/api/auth/passkey/login",
			members{"ceremony": options.text("ceremony"), "credential": json.RawMessage(response)})
	}
	w.opens(w.ada.id, func() { send(func(*key) {}) })
	for name, change := range map[string]func(*key){
		"a passkey without verification": func(k *key) { k.auth.Options.UserNotVerified = true },
		"a passkey without presence":     func(k *key) { k.auth.Options.UserNotPresent = true },
		"an old counter":                 func(k *key) { k.cred.Counter = 1 },
		"another user's handle":          func(k *key) { k.auth.Options.UserHandle = []byte("bob") },
		"another origin":                 func(k *key) { k.party.Origin = "https://localhost.evil.example" },
		"another rp id":                  func(k *key) { k.party.ID = "sibling.example" },
		"another key":                    func(k *key) { id := k.cred.ID; k.cred = fullKey(); k.cred.ID = id },
	} {
		w.without(name, func() reply { return send(change) })
	}
}

// The method exchange redeems the code that a sign-in at the provider returns to a front-end. The code alone must not
// open a session. With the second factor, a session must open.
func (w *world) exchange() {
	v, verifier := w.visitor(), strings.Repeat("verifier", 6)
	sum := sha256.Sum256([]byte(verifier))
	code := func() string {
		start := url.Values{"return_to": {w.url + "/back"}, "code_challenge_method": {"S256"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}}
		begun := v.send("GET", "/sign-in/campus?"+start.Encode(), "", "").want(303)
		target, err := url.Parse(begun.Header().Get("Location"))
		must(w.T, err)
		query := "state=" + url.QueryEscape(target.Query().Get("state")) + "&code=ada@example.com"
		back, err := url.Parse(w.without("a callback that gets a code", func() reply {
			return v.send("GET", "/sign-in/campus/callback?"+query, "", "")
		}).want(303).Header().Get("Location"))
		must(w.T, err)
		return back.Query().Get("code")
	}
	for _, wrong := range []string{"", strings.Repeat("another", 7)} {
		w.without("a code without its verifier", func() reply {
			return v.json("POST", "/api/auth/exchange", members{"code": code(), "verifier": wrong})
		})
	}
	redeemed := members{"code": code(), "verifier": verifier}
	w.without("a code", func() reply { return v.json("POST", "/api/auth/exchange", redeemed).want(403) })
	w.without("a used code", func() reply { return w.visitor().json("POST", "/api/auth/exchange", redeemed).want(401) })
	w.opens(w.ada.id, func() {
		v.json("POST", "/api/auth/login/factor", members{"totp": w.code(w.ada)}).want(200)
	})
}

// The method provider signs in with the linked identity. The server must still ask for the second factor.
func (w *world) provider(method string) {
	v := w.visitor()
	callback := func(v *visitor) reply {
		target, err := url.Parse(v.send("GET", "/sign-in/campus", "", "").want(303).Header().Get("Location"))
		must(w.T, err)
		query := "state=" + url.QueryEscape(target.Query().Get("state")) + "&code=ada@example.com"
		if method == "POST" {
			return v.send("POST", "/sign-in/campus/callback", "application/x-www-form-urlencoded", query)
		}
		return v.send("GET", "/sign-in/campus/callback?"+query, "", "")
	}
	w.without("the provider", func() reply { return callback(v) })
	v = w.visitor()
	v.cookies["watchword-device"] = string(w.bob.device)
	w.without("the provider and another user's device", func() reply { return callback(v) })
	if method == "POST" { // only the GET signs in, because the POST redirects to it
		return
	}
	w.opens(w.ada.id, func() {
		v.json("POST", "/api/auth/login/factor", members{"totp": w.code(w.ada)}).want(200)
	})
}

// The method refresh sends tokens that are not a live refresh token. No session may open.
func (w *world) refresh(path, cookie string) {
	waiting, _ := w.waiting(w.ada)
	for name, token := range map[string]string{
		"an ended refresh token": string(w.ada.old.RefreshToken), "an access token": string(w.ada.session.AccessToken),
		"a handle": waiting.cookies["watchword-step"], "a remembered device": string(w.ada.device),
		"a known device": string(w.ada.session.DeviceToken),
	} {
		v := w.visitor()
		v.cookies[cookie] = token
		w.without(name, func() reply { return v.json("POST", path, nil) })
		w.without(name, func() reply { return w.visitor().json("POST", path, members{"refreshToken": token}) })
		w.without(name, func() reply { return w.visitor().json("POST", path, members{"token": token}) })
	}
	// A refresh must not raise the level of a session that has proven only the password.
	v := w.visitor()
	v.json("POST", "/api/auth/register", members{"email": "one" + cookie + "@example.com", "password": goodPassword,
		"name": "One"}).want(201)
	v.cookies[cookie] = v.cookies["watchword"]
	if cookie != "watchword" {
		delete(v.cookies, "watchword")
	}
	body := members{"token": v.cookies[cookie]}
	if path != "/token" {
		body = nil
	}
	got := v.json("POST", path, body)
	if acr := claim(w.T, got.text("accessToken"), "acr"); acr != "aal1" {
		w.Errorf("%d %s: level %q after a refresh", got.Code, got.Body, acr)
	}
}

// claim returns a claim of a token.
func claim(t *testing.T, token, name string) string {
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

// dialectLogin signs in through a dialect. Dialects have no second step, so an account with a factor must be refused.
func (w *world) dialectLogin(path string) {
	v := w.visitor()
	v.cookies["watchword-device"] = string(w.ada.device)
	got := w.without("the password and Ada's own device", func() reply {
		return v.json("POST", path, credentials(w.ada))
	})
	if got.Code != 400 || !strings.Contains(got.Body.String(), w.url+"/login") {
		w.Errorf("%d %s", got.Code, got.Body)
	}
	v.json("POST", "/api/auth/register", members{"email": "d" + strings.ReplaceAll(path, "/", ".") + "@example.com",
		"password": goodPassword, "name": "D"}).want(201)
	w.visitor().json("POST", path, members{"email": "d" + strings.ReplaceAll(path, "/", ".") + "@example.com",
		"password": goodPassword}).want(200)
}
