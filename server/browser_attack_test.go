package server_test

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"

	"github.com/watchword-auth/watchword"
)

// These tests attack the pages in a browser. The attackers are a thief of cookies, another site, and the next user of
// the machine.

const reuseMessage = "You were signed out because an old copy of your session was used. Somebody may have copied it."

// markVerified marks an address as verified. The server mails security notices only to verified addresses.
func (s *service) markVerified(t *testing.T, email watchword.Address) {
	t.Helper()
	err := s.store.Update(t.Context(), func(tx watchword.Tx) error {
		user, err := tx.UserByEmail(t.Context(), email)
		if err == nil {
			_, err = tx.SetVerified(t.Context(), user.ID, email, time.Now())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// RT-3
func TestStolenCookieIsDetectedAndBothUsersSeeIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		thiefFirst bool
	}{{"the owner rotates first", false}, {"the thief rotates first", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var clockAhead atomic.Int64
			s := start(t, func(o *watchword.Options) {
				o.Now = func() time.Time { return time.Now().Add(time.Duration(clockAhead.Load())) }
			}, nil)
			owner, thief := s.openTab(t), s.openTab(t)
			owner.signUp("ada@example.com")
			s.markVerified(t, "ada@example.com")
			thief.copyRefreshCookie(owner)

			both := []*tab{owner, thief}
			if c.thiefFirst {
				both = []*tab{thief, owner}
			}
			seen := map[*tab]bool{}
			for round := 0; len(seen) < 2; round++ {
				if round == 5 {
					t.Fatalf("the owner reads\n%s\nthe thief reads\n%s", owner.visibleText(), thief.visibleText())
				}
				for _, who := range both {
					clockAhead.Add(int64(11 * time.Second)) // longer than the grace period
					who.deletePageCookie()
					who.visit("/account")
					if strings.Contains(who.visibleText(), reuseMessage) {
						seen[who] = true
					}
				}
			}
			for _, who := range both {
				left := who.cookiesByName()
				delete(left, "watchword-known") // this cookie grants no access
				if len(left) != 0 {
					t.Errorf("%d cookies are left", len(left))
				}
			}
			s.mailer.awaitMail(t, watchword.MailReuseDetected, "ada@example.com")
			owner.signIn("ada@example.com", goodPassword)
			owner.wantText("Your account", "Signed out because an old copy of a session was used")
		})
	}
}

func (b *tab) copyRefreshCookie(from *tab) {
	b.t.Helper()
	cookie := from.cookiesByName()["watchword"]
	httpOnly := true
	sendDevTools(b, network.SetCookie,
		network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: b.url, Path: cookie.Path,
			HTTPOnly: &httpOnly, SameSite: cookie.SameSite})
}

// deletePageCookie makes the next click rotate the refresh token.
func (b *tab) deletePageCookie() {
	b.t.Helper()
	sendDevTools(b, network.DeleteCookies, network.DeleteCookiesParams{Name: "watchword-page", URL: b.url})
}

// CK-1
func TestScriptsCannotReadTheCookies(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil).openTab(t)
	b.signUp("ada@example.com")
	if got := evaluate[int](b, `() => document.cookie.length`); got != 0 {
		t.Errorf("document.cookie has %d letters", got)
	}
	all := b.cookiesByName()
	if len(all) != 3 || all["watchword"] == nil || all["watchword-page"] == nil || all["watchword-known"] == nil {
		t.Fatalf("there are %d cookies", len(all))
	}
	for name, cookie := range all {
		if !cookie.HTTPOnly || cookie.SameSite != network.CookieSameSiteStrict || cookie.Domain != "127.0.0.1" {
			t.Errorf("%s: HttpOnly %t, SameSite %s, Domain %s", name, cookie.HTTPOnly, cookie.SameSite, cookie.Domain)
		}
	}
}

// A network attacker can serve a page of the same host over plain http. That page must neither
// receive the cookies nor replace them.
//
// CK-1, CK-6
func TestOnHTTPSANetworkAttackerCannotReadOrSetTheCookies(t *testing.T) {
	t.Parallel()
	const host = "id.test"
	front := httptest.NewUnstartedServer(nil)
	url := "https://" + strings.Replace(front.Listener.Addr().String(), "127.0.0.1", host, 1)
	s := start(t, func(o *watchword.Options) { o.PublicURL = url }, nil)
	front.Config.Handler = s.server
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // hides errors about the certificate
	front.StartTLS()
	t.Cleanup(front.Close)
	b := s.openTab(t)
	b.url = url
	sendDevTools(b, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	b.signUp("ada@example.com")
	want := []string{"__Host-watchword", "__Host-watchword-known", "__Host-watchword-page"}
	if all := b.cookiesByName(); !slices.Equal(slices.Sorted(maps.Keys(all)), want) {
		t.Fatalf("there are %q", slices.Sorted(maps.Keys(all)))
	}
	for name, cookie := range b.cookiesByName() {
		if !cookie.Secure || !cookie.HTTPOnly || cookie.Path != "/" ||
			cookie.SameSite != network.CookieSameSiteStrict || cookie.Domain != host {
			t.Errorf("%s: Secure %t, HttpOnly %t, Path %s, SameSite %s, Domain %s", name, cookie.Secure,
				cookie.HTTPOnly, cookie.Path, cookie.SameSite, cookie.Domain)
		}
	}

	var asked, sent atomic.Int64
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		sent.Add(int64(len(r.Cookies())))
		for _, name := range want {
			w.Header().Add("Set-Cookie", name+"=evil; Path=/")
			w.Header().Add("Set-Cookie", name+"=evil; Path=/; Secure; HttpOnly; SameSite=Strict")
		}
	}))
	t.Cleanup(plain.Close)
	b.visit(strings.Replace(plain.URL, "127.0.0.1", host, 1))
	if asked.Load() == 0 || sent.Load() != 0 {
		t.Errorf("in %d requests %d cookies went out in the clear", asked.Load(), sent.Load())
	}
	b.visit("/account")
	b.wantText("Signed in as ada@example.com")
	b.pressAndLeave("Sign out")
	if left := slices.Collect(maps.Keys(b.cookiesByName())); !slices.Equal(left, want[1:2]) {
		t.Errorf("%q are left", left)
	}
}

// serveOnOtherSite returns a URL with the host localhost. Browsers treat localhost and 127.0.0.1 as two sites.
func serveOnOtherSite(t *testing.T, page string) (url string) {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><title>elsewhere</title>" + page))
	}))
	t.Cleanup(site.Close)
	return strings.Replace(site.URL, "127.0.0.1", "localhost", 1) + "/"
}

// CSRF-1, CSRF-6
func TestCrossSiteFormChangesNothingInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.openTab(t)
	b.signUp("ada@example.com")
	id := evaluate[string](b, `() => document.querySelector("input[name=username]").value`)
	if id != "ada@example.com" {
		t.Fatalf("signed in as %q", id)
	}
	inputs := ""
	for name, value := range map[string]string{"currentPassword": goodPassword, "newPassword": otherPassword,
		"newEmail": "evil@example.com",
		"name":     "Evil", "email": "evil@example.com", "password": goodPassword} {
		inputs += `<input name="` + name + `" value="` + value + `">`
	}
	for _, path := range []string{"/account/delete", "/logout", "/account/email", "/account/password", "/account/name",
		"/account/sessions", "/signup", "/login"} {
		b.visit(serveOnOtherSite(t,
			`<form method="post" action="`+s.url+path+`">`+inputs+`<button>Win a prize</button></form>`))
		b.pressAndLeave("Win a prize")
		b.wantText("This request came from another site. Nothing was changed.")
		if at := b.currentAddress(); at != path {
			t.Fatalf("the form led to %s", at)
		}
	}
	b.visit("/account")
	b.wantText("Signed in as ada@example.com", "This device")
	if name := evaluate[string](b, `() => document.querySelector("input[name=name]").value`); name != "Ada" {
		t.Errorf("the name is %q", name)
	}
	b.wantNoText("Signed out", "Password changed")
	b.pressAndLeave("Sign out")
	b.signIn("ada@example.com", goodPassword)
	b.wantText("Signed in as ada@example.com")
}

// When the user follows a link from another site, the browser omits the cookies. The server must therefore respond
// with a page that loads the account again, with the cookies. Other cookies of the domain must not prevent this.
func TestCrossSiteLinkLeadsToTheAccount(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]func(*tab) *tab{"with a script": (*tab).same,
		"without a script": (*tab).withoutScript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil, nil)
			b := kind(s.openTab(t))
			b.signUp("ada@example.com")
			for _, others := range []string{"", "lax"} {
				if others != "" {
					sendDevTools(b, network.SetCookie, network.SetCookieParams{
						Name: "statistics", Value: "1", URL: b.url, SameSite: network.CookieSameSiteLax})
				}
				for _, path := range []string{"/account", "/login", "/signup"} {
					b.visit(serveOnOtherSite(t, `<a href="`+s.url+path+`">Your account</a>`))
					b.pressAndLeave("Your account")
					b.waitUntil("the account", `() => location.pathname === "/account" && document.body?.innerText.includes("Signed in as ada@example.com")`)
				}
			}
		})
	}
}

func TestBackButtonShowsNoAccountAfterSignOut(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]func(*tab) *tab{"with a script": (*tab).same,
		"without a script": (*tab).withoutScript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := kind(start(t, nil, nil).openTab(t))
			b.signUp("hedy@example.com")
			b.visit("/account")
			b.visit("/docs")
			b.visit("/account")
			b.pressAndLeave("Sign out")
			for range 3 {
				b.pressBackButton()
				b.wantNoText("hedy@example.com", "Signed in as", "This device")
			}
		})
	}
}
