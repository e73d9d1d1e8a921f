package server_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
)

// readEntranceKinds returns "opens" or "other" for each route, from testdata/entrances.txt.
func readEntranceKinds(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/entrances.txt")
	must(t, err)
	all := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if kind, route, ok := strings.Cut(strings.TrimSpace(line), " "); ok && kind != "#" {
			all[strings.TrimSpace(route)] = kind
		}
	}
	return all
}

func entranceName(r server.Entrance) string {
	name := strings.TrimSpace(r.Method + " " + r.Path)
	if r.Dialect {
		name += " (dialect)"
	}
	return name
}

// MFA-11
func TestEveryRouteHasARowAmongTheEntrances(t *testing.T) {
	t.Parallel()
	w, rows := newAttackSetup(t, openSQLite(t)), readEntranceKinds(t)
	seen := map[string]bool{}
	for _, r := range w.routes {
		name := entranceName(r)
		seen[name] = true
		if rows[name] != "opens" && rows[name] != "other" {
			t.Errorf("testdata/entrances.txt has no row for %s: can it open a session or raise its level?", name)
		}
		if _, has := entranceTests[name]; has != (rows[name] == "opens") {
			t.Errorf("%s is %q, and entry_ways_test.go has a test: %v", name, rows[name], has)
		}
	}
	for name := range rows {
		if !seen[name] {
			t.Errorf("testdata/entrances.txt: %s is no route", name)
		}
	}
}

// stolenSecrets returns the secrets that an attacker may have in addition to Ada's password, by name.
func (w *attackSetup) stolenSecrets() map[string]string {
	w.Helper()
	carol := w.newVisitor()
	enrol := carol.json("POST", "/api/auth/login",
		members{"email": "carol@example.com", "password": goodPassword, "delivery": "body"}).wantStatus(403)
	ada := w.newVisitor()
	ada.bearer = string(w.ada.provenSession.AccessToken)
	options := w.newVisitor().json("POST", "/api/auth/passkey/options", members{}).wantStatus(200)
	started := w.newVisitor()
	started.sendSameOrigin("GET", "/sign-in/campus", "", "").wantStatus(303)
	all := map[string]string{
		"an enrolment handle": enrol.body["challenge"].(members)["handle"].(string),
		"a used code":         w.ada.usedCode, "a used recovery code": w.ada.usedRecoveryCode,
		"another user's code":          w.nextAppCode(w.bob),
		"another user's recovery code": w.bob.recoveryCodes[0], "another user's device": string(w.bob.device),
		"a known device":         string(w.ada.provenSession.DeviceToken),
		"an ended refresh token": string(w.ada.endedSession.RefreshToken),
		"an ended access token":  string(w.ada.endedSession.AccessToken), "a ceremony": options.text("ceremony"),
		"the password": goodPassword, "an enrolment of her own": "0190a6d2-0000-7000-8000-000000000000",
	}
	for name, value := range started.cookies {
		if strings.HasPrefix(name, "watchword-with-") {
			all["an attempt"] = value
		}
	}
	return all
}

// factorMembers are the members that hold a proof. A request may have only one of them.
var factorMembers = []string{"totp", "recoveryCode", "passkey"}

// attackBodies returns request bodies with Ada's address and password. Each body has the secret in a different
// member.
func attackBodies(r server.Entrance, secret string) (all []members) {
	filled := members{}
	var proofs []string
	for _, name := range r.Members {
		switch {
		case slices.Contains(factorMembers, name):
			proofs = append(proofs, name)
		case name == "email":
			filled[name] = "ada@example.com"
		case name == "password" || name == "currentPassword":
			filled[name] = goodPassword
		case name == "newPassword":
			filled[name] = otherPassword
		case name == "delivery":
			filled[name] = "body"
		default:
			filled[name] = secret
		}
	}
	for _, name := range proofs {
		one := members{name: secret}
		for n, v := range filled {
			one[n] = v
		}
		all = append(all, one)
	}
	if len(proofs) == 0 {
		all = append(all, filled)
	}
	return all
}

// MFA-11
func TestNoSecretOfAnAttackerOpensARoute(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store realStore) { newAttackSetup(t, store).attackEveryRoute() })
}

func (w *attackSetup) attackEveryRoute() {
	w.Helper()
	before := w.readAccountState(w.ada.id)
	secrets := w.stolenSecrets()
	for _, r := range w.routes {
		// Each route gets a new handle, because the server accepts a handle only five times.
		waiting := w.newVisitor().json("POST", "/api/auth/login",
			members{"email": "ada@example.com", "password": goodPassword, "delivery": "body"}).wantStatus(403)
		secrets["a handle"] = waiting.body["challenge"].(members)["handle"].(string)
		for name, secret := range secrets {
			w.attackRoute(r, name, secret)
		}
		if after := w.readAccountState(w.ada.id); !reflect.DeepEqual(after, before) {
			w.Fatalf("an attack through %s has changed the account:\n%+v\n%+v", entranceName(r), before, after)
		}
	}
}

var secretsReadByGET = []string{
	"a handle", "an enrolment handle", "an ended refresh token", "an ended access token", "an attempt",
}

// attackRoute sends the secret as the access token, in each cookie, and in each member or field. No request may open
// a session.
func (w *attackSetup) attackRoute(r server.Entrance, name, secret string) {
	w.Helper()
	path := strings.NewReplacer("{$}", "", "{id}", secret, "{sid}", secret, "{token}", secret, "{name}", "page.css",
		"{provider}", "campus").Replace(r.Path)
	path = strings.ReplaceAll(path, " ", "+")
	plain := strings.ReplaceAll(secret, " ", "")
	query := "?code=bob@example.com&state=" + plain + "&token=" + plain
	switch {
	case r.Path == "/revocations/stream":
		return // the stream does not end
	case r.Method == "GET" && !slices.Contains(secretsReadByGET, name):
		return
	}
	method := r.Method
	if method == "" {
		method = "GET"
	}
	carriers := []*visitor{w.newVisitor(), w.newVisitor(), w.newVisitor()}
	carriers[1].bearer = plain
	for _, cookie := range append([]string{"watchword-step", "watchword-known"}, credentialCookies...) {
		carriers[2].cookies[cookie] = plain
	}
	for _, v := range carriers {
		if method == "GET" {
			w.wantNoCredential(name, v.sendSameOrigin(method, path+query, "", ""))
			continue
		}
		for _, body := range attackBodies(r, secret) {
			if len(v.cookies) > 0 {
				delete(body, "handle")
				delete(body, "refreshToken")
			}
			if strings.HasPrefix(path, "/api/") {
				w.wantNoCredential(name, v.json(method, path, body))
			}
		}
		if len(r.Members) == 0 {
			fields := members{"email": "ada@example.com", "password": goodPassword, "currentPassword": goodPassword,
				"newPassword": otherPassword, "token": secret, "totp": secret, "code": secret, "state": secret,
				"ceremony": secret, "handle": secret, "passwordConfirm": goodPassword, "username": "ada"}
			if r.Dialect {
				w.wantNoCredential(name, v.json(method, path, fields))
			} else {
				w.wantNoCredential(name, v.form(path, fields))
			}
		}
	}
}

var pathParameter = regexp.MustCompile(`\{[a-z]+\}`)

// A path can contain NUL or invalid UTF-8, for which PostgreSQL returns an error. No route may respond with a 500 to
// such a path.
func TestNoRouteFailsForAnUnstorablePath(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store realStore) {
		w := newAttackSetup(t, store)
		_, err := w.engine.Operator().SetRoles(t.Context(), w.ada.id, []string{watchword.RoleAdmin})
		must(t, err)
		v := w.newVisitor()
		v.json("POST", "/api/auth/login", members{"email": "ada@example.com", "password": goodPassword}).wantStatus(403)
		in := v.json("POST", "/api/auth/login/factor", members{"totp": w.nextAppCode(w.ada)}).wantStatus(200)
		v.bearer = in.text("accessToken")
		for _, r := range w.routes {
			for _, id := range []string{"%00", "%ff"} {
				path := pathParameter.ReplaceAllString(r.Path, id)
				if path == r.Path {
					continue
				}
				body := attackBodies(r, "x")[0]
				if len(body) == 0 {
					body = nil
				}
				got := v.json(r.Method, path, body)
				if r.Method == "POST" && !strings.HasPrefix(path, "/api/") {
					got = v.form(path, body)
				}
				if got.Code >= 500 {
					t.Errorf("%s %s: %d", r.Method, path, got.Code)
				}
			}
		}
	})
}
