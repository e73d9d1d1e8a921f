package server_test

import (
	"testing"

	"github.com/watchword-auth/watchword"
)

// On both stores, an administrator must be able to list, open and change accounts, and to see why an account was
// signed out.
func TestAdminPagesServeASupportCallOnBothStores(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store realStore) {
		s, b := startOnStore(t, store, nil, nil).addAdminPages(t)
		serveSupportCall(t, s, b)
	})
}

func serveSupportCall(t *testing.T, s *service, b *browser) {
	t.Helper()
	s.addUsers(t, 60)
	operator := s.engine.Operator()
	ada, err := operator.CreateUser(t.Context(), watchword.NewUser{Email: "ada@example.com", Roles: []string{"editor"}})
	must(t, err)
	must(t, operator.MarkVerified(t.Context(), ada.ID))
	s.signInAs(t, ada, "pwd")
	account := "/admin/users/" + string(ada.ID)

	wantPage(t, b.visit("/admin"), 200, `href="/admin/users"`)
	wantPage(t, b.visit("/admin/users"), 200, "ada@example.com", "user000@example.com", "after=")
	wantPage(t, b.visit("/admin/users?email=ada"), 200, `href="`+account+`"`)
	wantPage(t, b.visit("/admin/users?role=editor"), 200, `href="`+account+`"`)
	wantPage(t, b.visit("/admin/users?state=disabled&email=user"), 200, "user050@example.com")
	wantPage(t, b.visit(account), 200, "ada@example.com", "editor", `<p class="answer">Not signed out: `)

	for _, change := range []struct {
		path string
		form map[string]string
	}{
		{"/name", map[string]string{"name": "Ada Lovelace", "confirmed": "yes"}},
		{"/roles", map[string]string{"roles": "auditor", "confirmed": "yes"}},
		{"/disable", map[string]string{"confirmed": "yes"}},
	} {
		wantPage(t, b.visit(account+change.path), 200, "ada@example.com")
		wantPage(t, b.submitForm(account+change.path, change.form), 303, account)
	}
	wantPage(t, b.visit(account), 200, "Ada Lovelace", "auditor", `<p class="answer">Signed out on `,
		"account_disabled")
	wantPage(t, b.visit("/admin/events?kind=account_disabled"), 200, account)
	wantPage(t, b.visit("/admin/mail"), 200, "<h1>Mail</h1>")
	wantPage(t, b.visit("/admin/keys"), 200, "sign")
	wantPage(t, b.submitForm(account+"/delete", map[string]string{"confirmed": "yes"}), 303, "/admin/users")
	wantPage(t, b.visit(account), 404, "The account has been deleted since.")
}
