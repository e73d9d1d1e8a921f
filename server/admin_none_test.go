package server_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
)

// No request may create the first administrator. A stranger and a user call each route with its documented body plus
// the member roles (test 14 of the specification).
//
// ID-7, AZ-3
func TestNoRequestMakesTheFirstAdministrator(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	options := server.Options{
		PublicURL: s.url,
		Factors:   factors.New(s.engine, s.store.Factors(), factors.Options{}),
		Admin:     admin.New(s.engine, s.store.Admin(), admin.Options{}),
		Metadata:  metadata.New(s.engine, s.store.Metadata()),
	}
	var err error
	s.server, err = server.New(s.engine, options)
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	routes, err := s.server.AllRoutes(options)
	must(t, err)
	random := rand.New(rand.NewPCG(14, 14))
	var ada watchword.User
	countByStatus := map[int]int{}
	for n, r := range routes {
		for _, signedIn := range []bool{false, true} {
			b := s.newBrowser(t)
			var header []string
			if signedIn {
				// An earlier request may have deleted the account, so it is created again.
				if _, err := s.engine.Operator().FindUser(t.Context(), "ada@example.com"); err != nil {
					b.register("ada@example.com")
					ada, err = s.engine.Operator().FindUser(t.Context(), "ada@example.com")
					must(t, err)
				}
				header = s.signInAs(t, ada, "pwd", "otp")
			}
			path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(r.Path, string(ada.ID))
			for _, body := range bodiesWithRoles(t, r.Body, n) {
				query := []string{"", "?role=admin&roles=admin&admin=true"}[random.IntN(2)]
				a := b.do(methodOrPOST(r.Method), path+query, body, append([]string{
					"X-HTTP-Method-Override", "PATCH", "X-Original-Roles", "admin"}, header...)...)
				countByStatus[a.StatusCode]++
			}
			form := url.Values{"email": {"form@example.com"}, "password": {goodPassword}, "name": {"Eve"},
				"roles": {"admin"}, "role": {"admin"}, "user.roles": {"admin"}, "verified": {"true"}}
			a := b.do(methodOrPOST(r.Method), path, form.Encode(), append([]string{
				"Content-Type", "application/x-www-form-urlencoded", "Origin", s.url}, header...)...)
			countByStatus[a.StatusCode]++
		}
	}
	if len(routes) < 80 || countByStatus[200] < 30 || countByStatus[201] == 0 ||
		countByStatus[403] < len(s.server.AdminRoutes()) {
		t.Errorf("%d routes, responses by status: %v", len(routes), countByStatus)
	}
	s.wantNoAdministrator(t)
}

func methodOrPOST(method string) string {
	if method == "" {
		return "POST"
	}
	return method
}

// bodiesWithRoles returns two request bodies. The first has the members that bodyType documents. The second also has
// members such as isAdmin, which bodyType does not have.
func bodiesWithRoles(t *testing.T, bodyType any, n int) (all []string) {
	t.Helper()
	known := map[string]any{}
	if bodyType != nil {
		for field := range reflect.TypeOf(bodyType).Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case name == "email":
				known[name] = "user" + string(rune('a'+n%26)) + "@example.com"
			case strings.Contains(strings.ToLower(name), "password"):
				known[name] = goodPassword
			case name == "delivery":
				known[name] = "body"
			case name == "roles":
				known[name] = []string{"admin"}
			case field.Type.Kind() == reflect.String:
				known[name] = "text"
			case field.Type.Kind() == reflect.Bool:
				known[name] = true
			}
		}
	}
	extra := map[string]any{"roles": []string{"admin"}, "Roles": []string{"admin"}, "role": "admin", "admin": true,
		"isAdmin": true, "emailVerified": true, "metadata": map[string]any{"public": map[string]any{"roles": "admin"}}}
	mixed := maps.Clone(known)
	maps.Copy(mixed, extra)
	for _, body := range []any{known, mixed} {
		text, err := json.Marshal(body)
		must(t, err)
		all = append(all, string(text))
	}
	return all
}

// wantNoAdministrator fails if any account has a role, or if the query for administrators finds one.
func (s *service) wantNoAdministrator(t *testing.T) {
	t.Helper()
	users, err := s.engine.Operator().Users(t.Context(), "", 1000)
	must(t, err)
	if len(users) < 2 {
		t.Errorf("only %d accounts were created", len(users))
	}
	for _, u := range users {
		if len(u.Roles) > 0 {
			t.Errorf("%s has the roles %q", u.Email, u.Roles)
		}
	}
	must(t, s.store.Admin().View(t.Context(), func(tx admin.Tx) error {
		_, found, err := tx.LastWithRole(t.Context(), "admin", "", 1)
		if found > 0 {
			t.Error("an account has the role admin")
		}
		return err
	}))
}
