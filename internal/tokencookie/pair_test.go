package tokencookie_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/tokencookie"
)

// CK-8
func TestEmbeddedRequestPrefersThePartitionedCookie(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ embedded, usual, partitioned, want bool }{
		{false, false, false, false},
		{false, true, false, false},
		{false, true, true, false},
		{false, false, true, true}, // the request has only the partitioned cookie
		{true, false, false, false},
		{true, true, false, false}, // an earlier release set only the usual cookie
		{true, false, true, true},
		{true, true, true, true},
	} {
		if got := tokencookie.UsesPartitioned(c.embedded, c.usual, c.partitioned); got != c.want {
			t.Errorf("embedded %t, with usual %t and partitioned %t: partitioned used: %t", c.embedded, c.usual,
				c.partitioned, got)
		}
	}
}

// CK-8
func TestOnlyBackgroundRequestsOfAnotherSiteAreEmbedded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		site, mode string
		want       bool
	}{
		{"cross-site", "cors", true},
		{"cross-site", "no-cors", true},
		{"cross-site", "", true},
		{"cross-site", "navigate", false}, // a link or a form that opens a page of the server
		{"same-site", "cors", false},
		{"same-origin", "cors", false},
		{"none", "navigate", false},
		{"", "cors", false},
		{"", "", false}, // a program, or a browser older than these headers
	} {
		r := requestWithCookies(nil)
		r.Header.Set("Sec-Fetch-Site", c.site)
		r.Header.Set("Sec-Fetch-Mode", c.mode)
		if got := tokencookie.IsEmbedded(r); got != c.want {
			t.Errorf("%q %q: embedded: %t", c.site, c.mode, got)
		}
	}
}

// requestWithCookies takes a list in which each name is followed by its value.
func requestWithCookies(cookies []string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	for i := 0; i < len(cookies); i += 2 {
		r.AddCookie(&http.Cookie{Name: cookies[i], Value: cookies[i+1]})
	}
	return r
}

// CK-8
func TestPairSetsRotatesAndClearsByName(t *testing.T) {
	t.Parallel()
	const (
		usual       = "t=new; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=None"
		partitioned = "t-partitioned=new; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=None; Partitioned"
		noUsual     = "t=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None"
		noOther     = "t-partitioned=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned"
	)
	pair := tokencookie.Pair{Usual: tokencookie.Cookie{Name: "t", Secure: true, SameSite: http.SameSiteNoneMode}}
	old, other := []string{"t", "old"}, []string{"t-partitioned", "other"}
	both := slices.Concat(old, other)
	for _, c := range []struct {
		name     string
		embedded bool
		cookies  []string
		do       func(http.ResponseWriter, *http.Request)
		want     []string
	}{
		{"first sign-in", false, nil, signIn(pair), []string{usual}},
		{"first embedded sign-in", true, nil, signIn(pair), []string{partitioned}},
		{"sign-in again", false, both, signIn(pair), []string{usual}},
		{"embedded sign-in again", true, both, signIn(pair), []string{partitioned}},
		{"embedded sign-in over a usual cookie", true, old, signIn(pair), []string{noUsual, partitioned}},
		{"sign-in over a partitioned cookie", false, other, signIn(pair), []string{noOther, usual}},
		{"rotation", false, both, rotate(pair), []string{usual}},
		{"embedded rotation", true, both, rotate(pair), []string{partitioned}},
		{"embedded rotation of a usual cookie", true, old, rotate(pair), []string{usual}},
		{"renewal of a known value", true, []string{"t", "new"}, renew(pair), nil},
		{"renewal of another value", true, old, renew(pair), []string{partitioned}},
		{"sign-out",
			true, both, func(w http.ResponseWriter, _ *http.Request) { pair.Clear(w) }, []string{noUsual, noOther}},
		{"two of one name", true, slices.Concat(both, old), pair.ClearRepeated, []string{noUsual}},
		{"two names", true, both, pair.ClearRepeated, nil},
	} {
		w, r := httptest.NewRecorder(), requestWithCookies(c.cookies)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if c.embedded {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		if c.do(w, r); !slices.Equal(w.Header().Values("Set-Cookie"), c.want) {
			t.Errorf("%s: got %q", c.name, w.Header().Values("Set-Cookie"))
		}
	}
}

func signIn(p tokencookie.Pair) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { p.SignIn(w, r, "new", time.Minute) }
}

func rotate(p tokencookie.Pair) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { p.Rotate(w, r, "new", time.Minute) }
}

func renew(p tokencookie.Pair) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { p.Renew(w, r, "new", time.Minute) }
}

func TestPairOnOneSiteIsTheUsualCookie(t *testing.T) {
	t.Parallel()
	for _, site := range []http.SameSite{http.SameSiteStrictMode, http.SameSiteLaxMode} {
		pair := tokencookie.Pair{Usual: tokencookie.Cookie{Name: "t", Secure: true, SameSite: site}}
		r := requestWithCookies([]string{"t-partitioned", "other"})
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if names := pair.Names(); !slices.Equal(names, []string{"t"}) || pair.IsIn(r) ||
			pair.Presented(r).Name != "t" || pair.ForSignIn(r).Name != "t" {
			t.Errorf("SameSite %d: the pair has %q", site, names)
		}
	}
}

func TestNamesOfOtherCookiesAreRefused(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{"partitioned", "known", "step", "device", "page", "notice", "link"} {
		if err := tokencookie.CheckName("__Host-mine-" + ending); err == nil || !strings.Contains(err.Error(), ending) {
			t.Errorf("-%s: %v", ending, err)
		}
	}
	if err := tokencookie.CheckName("mine-with-google"); err == nil {
		t.Error("-with- was accepted")
	}
	for _, name := range []string{"", "__Host-watchword", "known", "my-pages", "without"} {
		if err := tokencookie.CheckName(name); err != nil {
			t.Error(err)
		}
	}
}
