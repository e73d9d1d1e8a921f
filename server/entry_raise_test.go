package server_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
)

// These functions test the routes that raise the level of a session, or add the first factor.

// The method weak returns a browser that is signed in to Ada's account without a proven factor. The browser was
// remembered, so the sign-in skipped the factor.
func (w *world) weak(page bool) *visitor {
	w.Helper()
	v, _ := w.waiting(w.ada)
	v.json("POST", "/api/auth/login/factor", members{"totp": w.code(w.ada), "rememberDevice": true}).want(200)
	v.cookies = map[string]string{"watchword-device": v.cookies["watchword-device"]}
	if page {
		v.form("/login", credentials(w.ada)).want(303)
		return v
	}
	v.bearer = v.json("POST", "/api/auth/login", credentials(w.ada)).want(200).text("accessToken")
	if acr := claim(w.T, v.bearer, "acr"); acr != "aal1" {
		w.Fatalf("level %q", acr)
	}
	return v
}

// The method stepUp sends different invalid proofs in a session without a proven factor, and then a valid code. Only
// the valid code may raise the level.
func (w *world) stepUp(page bool) {
	v := w.weak(page)
	send := func(fields members) reply {
		if raw, ok := fields["passkey"].(json.RawMessage); page && ok {
			fields = members{"credential": string(raw)}
		}
		if password, ok := fields["password"]; page && ok {
			fields = members{"currentPassword": password}
		}
		return v.enter(page, "/api/auth/step-up", "/step-up", fields)
	}
	waiting, offer := w.waiting(w.ada)
	for name, fields := range map[string]members{
		"the password":                 {"password": goodPassword},
		"a wrong code":                 {"totp": "12345"},
		"a used code":                  {"totp": w.ada.usedCode},
		"another user's code":          {"totp": w.code(w.bob)},
		"a used recovery code":         {"recoveryCode": w.ada.usedBack},
		"another user's recovery code": {"recoveryCode": w.bob.codes[0]},
		"a handle":                     {"recoveryCode": waiting.cookies["watchword-step"]},
		"the ceremony of a sign-in":    {"passkey": w.assertion(w.ada, ceremonyOf(offer))},
	} {
		w.without(name, func() reply { return send(fields) })
	}
	if bob := w.visitor(); !page { // a ceremony that belongs to another session
		bob.bearer = string(w.fresh(w.bob).AccessToken)
		options := bob.json("POST", "/api/auth/step-up/options", members{}).want(200)
		w.without("another user's ceremony", func() reply {
			return send(members{"passkey": w.assertion(w.ada, options.body)})
		})
	}
	count := func() (n int) {
		for _, s := range w.state(w.ada.id).Sessions {
			if slices.Contains(s.Methods, "mfa") {
				n++
			}
		}
		return n
	}
	code, before := w.code(w.ada), count()
	send(members{"totp": code})
	if got := count(); got != before+1 {
		w.Errorf("%d sessions have a factor, before %d", got, before)
	}
	w.without("the same code", func() reply { return send(members{"totp": code}) })
}

// The method fresh opens a session of an account, with the password and a factor proven.
func (w *world) fresh(v *victim) *watchword.SignIn {
	w.Helper()
	in, err := w.engine.Operator().AdmitUser(w.Context(),
		watchword.AdmitRequest{User: v.id, Methods: []string{"pwd", "mfa"}})
	must(w.T, err)
	return in
}

// The method staff creates an account that must have a factor, and enters its password in a browser. The sign-in then
// waits for the first factor.
func (w *world) staff(email string) (*visitor, watchword.UserID) {
	w.Helper()
	u, err := w.engine.Operator().CreateUser(w.Context(), watchword.NewUser{Email: email, Password: goodPassword,
		Roles: []string{"staff"}})
	must(w.T, err)
	must(w.T, w.engine.Operator().MarkVerified(w.Context(), u.ID))
	v := w.visitor()
	v.json("POST", "/api/auth/login", members{"email": email, "password": goodPassword}).want(403)
	return v, u.ID
}

// enrolAppByAPI tries to add an app to Ada's account: without a proven factor, with an enrolment of another user, and
// with the handle of a second step. These attempts must fail. Then it adds the first app of a member of staff, which
// must open a session.
func (w *world) enrolAppByAPI() {
	weak, bob := w.weak(false), w.visitor()
	w.without("a session of one proof", func() reply {
		return weak.json("POST", "/api/auth/factors/totp", members{}).want(401)
	})
	bob.bearer = string(w.fresh(w.bob).AccessToken)
	begun := bob.json("POST", "/api/auth/factors/totp", members{}).want(201)
	w.phone.secret = secretIn(w.T, begun.text("secret"))
	code := w.phone.code()
	ada := w.visitor()
	ada.bearer = string(w.fresh(w.ada).AccessToken)
	for name, v := range map[string]*visitor{"a session of one proof": weak, "another user's enrolment": ada} {
		w.without(name, func() reply {
			return v.json("POST", "/api/auth/factors/totp/"+begun.text("id")+"/confirm", members{"code": code})
		})
	}
	waiting, _ := w.waiting(w.ada) // a sign-in that waits for a factor must not add another one
	w.without("a handle", func() reply { return waiting.json("POST", "/api/auth/factors/totp", members{}) })
	v, id := w.staff("staff.app@example.com")
	w.enrols(v, id)
}

// enrolAppByPage makes the attempts of enrolAppByAPI on the page that adds the first app.
func (w *world) enrolAppByPage() {
	v, id := w.staff("staff.page.app@example.com")
	other, otherID := w.staff("staff.other@example.com")
	path := v.send("GET", "/login/setup", "", "").want(303).Header().Get("Location")
	path, _, _ = strings.Cut(path, "?")
	shown := aSecret.FindStringSubmatch(v.send("GET", path, "", "").want(200).Body.String())
	w.phone.secret = secretIn(w.T, strings.ReplaceAll(shown[1], " ", ""))
	waiting, _ := w.waiting(w.ada)
	for name, browser := range map[string]*visitor{
		"a handle": waiting, "another user's handle": other, "no cookie": w.visitor(),
	} {
		w.without(name, func() reply { return browser.form(path, members{"totp": w.phone.code()}) })
	}
	v.form(path, members{"totp": "000000"})
	if n := len(w.state(id).Sessions) + len(w.state(otherID).Sessions); n != 0 {
		w.Fatalf("%d sessions without a factor", n)
	}
	w.opens(id, func() { v.form(path, members{"totp": w.phone.code()}).want(200) })
}

var aSecret = regexp.MustCompile(`<code>([A-Z2-7 ]{32,})</code>`)

// anotherAppByPage tries to add an app on the account page, in a session without a proven factor.
func (w *world) anotherAppByPage() {
	weak := w.weak(true)
	got := w.without("a session of one proof", func() reply {
		return weak.send("GET", "/account/authenticator", "", "")
	})
	if !strings.Contains(got.Header().Get("Location"), "/step-up") {
		w.Errorf("%d %s", got.Code, got.Header().Get("Location"))
	}
	bob := w.visitor()
	bob.bearer = string(w.fresh(w.bob).AccessToken)
	begun := bob.json("POST", "/api/auth/factors/totp", members{}).want(201)
	w.phone.secret = secretIn(w.T, begun.text("secret"))
	w.without("another user's enrolment", func() reply {
		return weak.form("/account/authenticator/"+begun.text("id"), members{"totp": w.phone.code()})
	})
}

// enrolPasskeyByAPI makes the attempts of enrolAppByAPI with a passkey instead of an app.
func (w *world) enrolPasskeyByAPI() {
	weak, bob, ada := w.weak(false), w.visitor(), w.visitor()
	bob.bearer, ada.bearer = string(w.fresh(w.bob).AccessToken), string(w.fresh(w.ada).AccessToken)
	options := func(v *visitor) reply { return v.json("POST", "/api/auth/factors/passkeys/options", members{}) }
	w.without("a session of one proof", func() reply { return options(weak).want(401) })
	waiting, _ := w.waiting(w.ada)
	w.without("a handle", func() reply { return options(waiting) })
	begun := options(bob).want(200)
	for name, v := range map[string]*visitor{
		"a session of one proof": weak, "another user's ceremony": ada, "a handle": waiting,
	} {
		w.without(name, func() reply {
			return v.create(begun, newKey(w.service))
		})
	}
	v, id := w.staff("staff.passkey@example.com")
	begun = options(v).want(200)
	k := newKey(w.service)
	k.party.Origin = "https://localhost.evil.example"
	v.create(begun, k)
	if n := len(w.state(id).Sessions); n != 0 {
		w.Fatalf("%d sessions without a factor", n)
	}
	begun = options(v).want(200)
	w.opens(id, func() {
		v.create(begun, newKey(w.service)).want(201)
	})
}

// The method create adds a passkey through the API. The key k creates the passkey from the options in a response.
func (v *visitor) create(options reply, k *key) reply {
	v.w.Helper()
	return v.send("POST", "/api/auth/factors/passkeys", "application/json", k.create(v.w.T, options.body, "x"))
}

// anotherPasskeyByPage tries to add a passkey on the account page, in a session without a proven factor.
func (w *world) anotherPasskeyByPage() {
	weak := w.weak(true)
	bob := w.visitor()
	bob.bearer = string(w.fresh(w.bob).AccessToken)
	begun := bob.json("POST", "/api/auth/factors/passkeys/options", members{}).want(200)
	w.without("a session of one proof", func() reply { return weak.send("GET", "/account/passkeys/new", "", "") })
	w.without("another user's ceremony", func() reply {
		return weak.form("/account/passkeys", w.created(begun, newKey(w.service)))
	})
}

// enrolPasskeyByPage makes the attempts of enrolAppByPage with a passkey instead of an app.
func (w *world) enrolPasskeyByPage() {
	v, id := w.staff("staff.page.passkey@example.com")
	other, otherID := w.staff("staff.page.other@example.com")
	path := v.send("GET", "/login/setup", "", "").want(303).Header().Get("Location")
	path, _, _ = strings.Cut(path, "?")
	path += "/passkey"
	waiting, _ := w.waiting(w.ada)
	strangers := map[string]*visitor{"a handle": waiting, "another user's handle": other, "no cookie": w.visitor()}
	begun := v.send("POST", path+"/options", "", "").want(200)
	for name, browser := range strangers {
		w.without(name, func() reply { return browser.form(path, w.created(begun, newKey(w.service))) })
	}
	for _, name := range []string{"a handle", "no cookie"} {
		w.without(name, func() reply { return strangers[name].send("POST", path+"/options", "", "").want(401) })
	}
	k := newKey(w.service)
	k.party.Origin = "https://localhost.evil.example"
	page := v.form(path, w.created(begun, k))
	if !strings.Contains(page.Body.String(), "This passkey was not accepted.") {
		w.Errorf("another site: %d %s", page.Code, page.Body)
	}
	if n := len(w.state(id).Sessions) + len(w.state(otherID).Sessions); n != 0 {
		w.Fatalf("%d sessions without a factor", n)
	}
	w.opens(id, func() { v.form(path, w.created(begun, newKey(w.service))).want(200) })
}

// The method created returns the form fields with a new passkey for the options in a response.
func (w *world) created(options reply, k *key) members {
	w.Helper()
	var created members
	must(w.T, json.Unmarshal([]byte(k.create(w.T, options.body, "x")), &created))
	credential, err := json.Marshal(created["credential"])
	must(w.T, err)
	return members{"ceremony": options.text("ceremony"), "credential": string(credential)}
}
