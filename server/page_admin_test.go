package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
)

// The pages of administration, as requests. The browser test shows them.

// withAdminPages starts a service with the pages, and a browser of an administrator at aal2.
func withAdminPages(t *testing.T) (*service, *browser) {
	t.Helper()
	s := start(t, nil, nil)
	var err error
	s.server, err = server.New(s.engine, server.Options{ // before the first request
		Factors:    factors.New(s.engine, s.store.Factors(), factors.Options{}),
		Admin:      admin.New(s.engine, s.store.Admin(), admin.Options{}),
		Metadata:   metadata.New(s.engine, s.store.Metadata()),
		AdminPages: true,
	})
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	return s, s.withPageOf(t, s.signInAdmin(t, "root@example.com"))
}

// withPageOf returns a browser with the page cookie of a session.
func (s *service) withPageOf(t *testing.T, header []string) *browser {
	t.Helper()
	b := s.browser(t)
	b.Jar.SetCookies(mustURL(t, s.url), []*http.Cookie{
		{Name: "watchword-page", Value: strings.TrimPrefix(header[1], "Bearer "), Path: "/"}})
	return b
}

func (b *browser) call(method, path string, form map[string]string) answer {
	b.t.Helper()
	if method == http.MethodGet {
		return b.visit(path)
	}
	return b.submit(path, form)
}

// Every route is called as every kind of reader. A new page is called too, because the rows come from
// the table of routes.
func TestAdminPagesCheckTheirReader(t *testing.T) {
	t.Parallel()
	s, b := withAdminPages(t)
	users := s.addUsers(t, 2)
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	member := s.withPageOf(t, s.signInAs(t, users[1], "pwd", "otp"))
	low := s.withPageOf(t, s.signInAs(t, root, "pwd"))
	stale, aged := s.signInAs(t, root, "pwd", "otp"), s.signInAs(t, root, "pwd", "otp")
	must(t, s.reprove(t, stale, []string{"pwd", "otp", "mfa"}, 13*time.Hour))
	must(t, s.reprove(t, aged, []string{"pwd", "otp", "mfa"}, 11*time.Hour))
	old, half := s.withPageOf(t, stale), s.withPageOf(t, aged)
	setFactors(t, s, root.ID)
	routes := s.server.AdminPageRoutes()
	if len(routes) < 20 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, r := range routes {
		path := strings.NewReplacer("{id}", string(users[0].ID), "{sid}", "00000000-0000-7000-8000-000000000000").
			Replace(r.Path)
		back := "return_to=" + strings.NewReplacer(":", "%3A", "/", "%2F").Replace(s.url+path)
		wantPage(t, s.browser(t).call(r.Method, path, nil), 303, "/login?", back)
		wantPage(t, member.call(r.Method, path, nil), 404, "Page not found")
		wantPage(t, low.call(r.Method, path, nil), 303, "/step-up?", back)
		wantPage(t, old.call(r.Method, path, nil), 303, "/step-up?", back)
		// A bearer token is for programs.
		wantPage(t, s.browser(t).do(r.Method, path, "", append(stale, "Accept", "text/html")...), 303, "/login?")
		if a := half.call(r.Method, path, nil); (a.StatusCode == 303) != r.Write {
			t.Errorf("%s %s with a proof of 11 hours: %d %s", r.Method, r.Path, a.StatusCode, a.Header)
		}
		if r.Method == http.MethodPost {
			for _, site := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
				{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
				wantPage(t, b.submit(path, nil, site...), 403, "This request came from another site.")
			}
			continue
		}
		a := b.visit(path)
		if a.StatusCode != 200 && !strings.Contains(r.Path, "{sid}") {
			t.Errorf("%s %s as admin: %d", r.Method, r.Path, a.StatusCode)
		}
		h := a.Header
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Frame-Options") != "DENY" ||
			!strings.Contains(h.Get("Content-Security-Policy"), "script-src 'nonce-") ||
			!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", r.Path, h)
		}
	}
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		return tx.SetRoles(t.Context(), root.ID, nil, time.Now().Add(-time.Hour))
	}))
	wantPage(t, b.visit("/admin/users"), 404, "Page not found")
}

// setFactors marks an account as one with a second factor.
func setFactors(t *testing.T, s *service, id watchword.UserID) {
	t.Helper()
	must(t, s.store.Factors().Update(t.Context(), func(tx factors.Tx) error {
		if _, err := tx.InsertFactor(t.Context(), factors.Factor{ID: "01890000-0000-7000-8000-000000000001", UserID: id,
			Kind: factors.KindTOTP, Name: "App", Sealed: []byte("sealed"), CreatedAt: time.Now()}); err != nil {
			return err
		}
		return tx.CountFactors(t.Context(), id, time.Now().Add(-time.Hour)) // before the access tokens
	}))
}

// An administrator without a factor can't reach aal2 by a step-up, so the page says what to do.
func TestAdminPagesLeadToAFirstFactor(t *testing.T) {
	t.Parallel()
	s, _ := withAdminPages(t)
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	b := s.withPageOf(t, s.signInAs(t, root, "pwd"))
	wantPage(t, b.visit("/admin/users"), 403, "Administration needs a sign-in in two steps.", `href="/account#security-title"`)
}

func TestAdminPagesAreOffWithoutTheOption(t *testing.T) {
	t.Parallel()
	s, header := withAdmin(t)
	b := s.withPageOf(t, header)
	wantPage(t, b.visit("/account"), 200)
	for _, r := range s.server.AdminPageRoutes() {
		path := strings.NewReplacer("{id}", "1", "{sid}", "1").Replace(r.Path)
		wantPage(t, b.call(r.Method, path, nil), 404, "Page not found")
		wantPage(t, s.browser(t).call(r.Method, path, nil), 404, "Page not found")
	}
}
