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

// The function entrances reads the kind of each route, "opens" or "other", from testdata/entrances.txt.
func entrances(t *testing.T) map[string]string {
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

func nameOf(r server.Entrance) string {
	name := strings.TrimSpace(r.Method + " " + r.Path)
	if r.Dialect {
		name += " (dialect)"
	}
	return name
}

// MFA-11
func TestEveryRouteHasARowAmongTheEntrances(t *testing.T) {
	t.Parallel()
	w, rows := newWorld(t, openSQLite(t)), entrances(t)
	seen := map[string]bool{}
	for _, r := range w.routes {
		name := nameOf(r)
		seen[name] = true
		if rows[name] != "opens" && rows[name] != "other" {
			t.Errorf("testdata/entrances.txt has no row for %s: can it open a session or raise its level?", name)
		}
		if _, has := ways[name]; has != (rows[name] == "opens") {
			t.Errorf("%s is %q, and entry_ways_test.go has a way: %v", name, rows[name], has)
		}
	}
	for name := range rows {
		if !seen[name] {
			t.Errorf("testdata/entrances.txt: %s is no route", name)
		}
	}
}

// secrets returns the secrets that an attacker may have in addition to Ada's password, by name.
func (w *world) secrets() map[string]string {
	w.Helper()
	carol := w.visitor()
	enrol := carol.json("POST", "/api/auth/login",
		members{"email": "carol@example.com", "password": goodPassword, "delivery": "body"}).want(403)
	ada := w.visitor()
	ada.bearer = string(w.ada.session.AccessToken)
	options := w.visitor().json("POST", "/api/auth/passkey/options", members{}).want(200)
	started := w.visitor()
	started.send("GET", "/sign-in/campus", "", "").want(303)
	all := map[string]string{
		"an enrolment handle": enrol.body["challenge"].(members)["handle"].(string),
		"a used code":         w.ada.usedCode, "a used recovery code": w.ada.usedBack,
		"another user's code":          w.code(w.bob),
		"another user's recovery code": w.bob.codes[0], "another user's device": string(w.bob.device),
		"a known device": string(w.ada.session.DeviceToken), "an ended refresh token": string(w.ada.old.RefreshToken),
		"an ended access token": string(w.ada.old.AccessToken), "a ceremony": options.text("ceremony"),
		"the password": goodPassword, "an enrolment of her own": "0190a6d2-0000-7000-8000-000000000000",
	}
	for name, value := range started.cookies {
		if strings.HasPrefix(name, "watchword-with-") {
			all["an attempt"] = value
		}
	}
	return all
}

// proofMembers are the members of a body that can hold a second factor. A request may have only one of them.
var proofMembers = []string{"totp", "recoveryCode", "passkey"}

// bodies returns the bodies to send to a route. Each body has Ada's address and password, and the secret in one of
// the members that can hold it.
func bodies(r server.Entrance, secret string) (all []members) {
	filled := members{}
	var proofs []string
	for _, name := range r.Members {
		switch {
		case slices.Contains(proofMembers, name):
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
	onBothStores(t, func(t *testing.T, store realStore) { newWorld(t, store).attackEveryRoute() })
}

func (w *world) attackEveryRoute() {
	w.Helper()
	before := w.state(w.ada.id)
	secrets := w.secrets()
	for _, r := range w.routes {
		// Each route gets a new handle, because the server accepts a handle only five times.
		waiting := w.visitor().json("POST", "/api/auth/login",
			members{"email": "ada@example.com", "password": goodPassword, "delivery": "body"}).want(403)
		secrets["a handle"] = waiting.body["challenge"].(members)["handle"].(string)
		for name, secret := range secrets {
			w.attack(r, name, secret)
		}
		if after := w.state(w.ada.id); !reflect.DeepEqual(after, before) {
			w.Fatalf("an attack through %s has changed the account:\n%+v\n%+v", nameOf(r), before, after)
		}
	}
}

// readByGET lists the secrets that GET routes read.
var readByGET = []string{
	"a handle", "an enrolment handle", "an ended refresh token", "an ended access token", "an attempt",
}

// The method attack sends a secret to a route: as the access token, in each cookie, and in each member or field. No
// request may open a session.
func (w *world) attack(r server.Entrance, name, secret string) {
	w.Helper()
	path := strings.NewReplacer("{$}", "", "{id}", secret, "{sid}", secret, "{token}", secret, "{name}", "page.css",
		"{provider}", "campus").Replace(r.Path)
	path = strings.ReplaceAll(path, " ", "+")
	plain := strings.ReplaceAll(secret, " ", "")
	query := "?code=bob@example.com&state=" + plain + "&token=" + plain
	switch {
	case r.Path == "/revocations/stream":
		return // the stream does not end
	case r.Method == "GET" && !slices.Contains(readByGET, name):
		return // routes by GET read only the secrets in readByGET
	}
	method := r.Method
	if method == "" {
		method = "GET"
	}
	carriers := []*visitor{w.visitor(), w.visitor(), w.visitor()}
	carriers[1].bearer = plain
	for _, cookie := range append([]string{"watchword-step", "watchword-known"}, credentialCookies...) {
		carriers[2].cookies[cookie] = plain
	}
	for _, v := range carriers {
		if method == "GET" {
			w.noCredential(name, v.send(method, path+query, "", ""))
			continue
		}
		for _, body := range bodies(r, secret) {
			if len(v.cookies) > 0 {
				delete(body, "handle")
				delete(body, "refreshToken")
			}
			if strings.HasPrefix(path, "/api/") {
				w.noCredential(name, v.json(method, path, body))
			}
		}
		if len(r.Members) == 0 {
			fields := members{"email": "ada@example.com", "password": goodPassword, "currentPassword": goodPassword,
				"newPassword": otherPassword, "token": secret, "totp": secret, "code": secret, "state": secret,
				"ceremony": secret, "handle": secret, "passwordConfirm": goodPassword, "username": "ada"}
			if r.Dialect {
				w.noCredential(name, v.json(method, path, fields))
			} else {
				w.noCredential(name, v.form(path, fields))
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
		w := newWorld(t, store)
		_, err := w.engine.Operator().SetRoles(t.Context(), w.ada.id, []string{watchword.RoleAdmin})
		must(t, err)
		v := w.visitor()
		v.json("POST", "/api/auth/login", members{"email": "ada@example.com", "password": goodPassword}).want(403)
		in := v.json("POST", "/api/auth/login/factor", members{"totp": w.code(w.ada)}).want(200)
		v.bearer = in.text("accessToken")
		for _, r := range w.routes {
			for _, id := range []string{"%00", "%ff"} {
				path := pathParameter.ReplaceAllString(r.Path, id)
				if path == r.Path {
					continue
				}
				body := bodies(r, "x")[0]
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
