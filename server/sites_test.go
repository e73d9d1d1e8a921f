package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/dialect/lesson"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/server"
)

// In these tests, a front-end is on another site than the server, with cookie-same-site=none. The tests choose the
// cookies of each request, so that they cover combinations that no current browser sends. browser_sites_test.go has
// such tests in a real browser.

const (
	apiOnOwnSite   = "https://id.two.test"
	appOnOtherSite = "https://app.one.test"

	usualName       = "__Host-watchword"
	partitionedName = "__Host-watchword-partitioned"
)

type crossSiteService struct {
	*service
	t *testing.T
}

func startCrossSite(t *testing.T) crossSiteService {
	t.Helper()
	s := start(t, func(o *watchword.Options) { o.PublicURL = apiOnOwnSite }, nil)
	none := http.SameSiteNoneMode
	tutorial, err := users.New(s.engine, users.Options{CookieSameSite: none})
	must(t, err)
	introduction, err := lesson.New(s.engine, lesson.Options{CookieSameSite: none})
	must(t, err)
	s.server, err = server.New(s.engine, server.Options{
		PublicURL: apiOnOwnSite, AllowedOrigins: []string{appOnOtherSite},
		CookieSameSite: none, Dialects: []dialect.Dialect{tutorial, introduction}})
	must(t, err)
	return crossSiteService{s, t}
}

type cookieValues map[string]string

func (c cookieValues) withoutCookie(name string) cookieValues {
	rest := maps.Clone(c)
	delete(rest, name)
	return rest
}

// send returns the response, and the cookies that the browser has afterwards. An embedded request comes from the page
// of the other site. Any other request comes from the server's own pages.
func (s crossSiteService) send(
	embedded bool, path, body string, cookies cookieValues, headers ...string,
) (fullResponse, cookieValues) {
	s.t.Helper()
	method := http.MethodPost
	if path == "/api/auth/me" {
		method = http.MethodDelete
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, apiOnOwnSite+path, strings.NewReader(body))
	r.Header.Set("Origin", apiOnOwnSite)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	if embedded {
		r.Header.Set("Origin", appOnOtherSite)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	for _, name := range slices.Sorted(maps.Keys(cookies)) {
		r.AddCookie(&http.Cookie{Name: name, Value: cookies[name]})
	}
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	a := fullResponse{Response: w.Result(), raw: w.Body.Bytes()}
	a.Request = r
	_ = json.Unmarshal(a.raw, &a.body) // the body may be empty
	after := maps.Clone(cookies)
	if after == nil {
		after = cookieValues{}
	}
	for _, c := range a.Cookies() {
		if c.Partitioned != strings.HasSuffix(c.Name, "-partitioned") ||
			c.SameSite != http.SameSiteNoneMode || !c.Secure {
			s.t.Errorf("%s sets %s", path, c)
		}
		if delete(after, c.Name); c.MaxAge >= 0 {
			after[c.Name] = c.Value
		}
	}
	return a, after
}

func (s crossSiteService) signUp(embedded bool, email string, cookies cookieValues) cookieValues {
	s.t.Helper()
	a, after := s.send(embedded, "/api/auth/register", `{"email":"`+email+`","password":"`+goodPassword+`"}`, cookies)
	wantStatus(s.t, a, 201, "")
	return after
}

// refreshedUser returns the user's address or the error code, and the cookies after the refresh.
func (s crossSiteService) refreshedUser(embedded bool, cookies cookieValues) (string, cookieValues) {
	s.t.Helper()
	a, after := s.send(embedded, "/api/auth/refresh", "", cookies)
	if user, signedIn := a.body["user"].(map[string]any); signedIn {
		return user["email"].(string), after
	}
	return a.text("code"), after
}

func cookieNames(cookies cookieValues) []string { return slices.Sorted(maps.Keys(cookies)) }

func bothNames() []string {
	return []string{usualName, usualName + "-known", usualName + "-known-partitioned", partitionedName}
}

// CK-8
func TestEmbeddedSignInHasACookieOfItsOwn(t *testing.T) {
	t.Parallel()
	s := startCrossSite(t)
	cookies := s.signUp(false, "ada@example.com", nil)
	if got := cookieNames(cookies); !slices.Equal(got, bothNames()[:2]) {
		t.Fatalf("a sign-in on a page of the server sets %q", got)
	}
	// An embedded sign-in must set only the partitioned cookies. The request has no cookies, as in a browser that
	// blocks third-party cookies.
	other := s.signUp(true, "bob@example.com", nil)
	if got := cookieNames(other); !slices.Equal(got, bothNames()[2:]) {
		t.Fatalf("an embedded sign-in sets %q", got)
	}
	// A form on the other site navigates to a page of the server. Such a navigation must set the usual cookies.
	a, byForm := s.send(true, "/api/auth/login", `{"email":"ada@example.com","password":"`+goodPassword+`"}`, nil,
		"Sec-Fetch-Mode", "navigate")
	wantStatus(t, a, 200, "")
	if got := cookieNames(byForm); !slices.Equal(got, bothNames()[:2]) {
		t.Errorf("a navigation sets %q", got)
	}

	maps.Copy(cookies, other)
	for range 2 { // the second round uses the tokens that the first round returned
		for _, c := range []struct {
			embedded     bool
			email, name  string
			unchangedOne string
		}{
			{true, "bob@example.com", partitionedName, usualName},
			{false, "ada@example.com", usualName, partitionedName},
		} {
			who, after := s.refreshedUser(c.embedded, cookies)
			if who != c.email || after[c.name] == cookies[c.name] || after[c.unchangedOne] != cookies[c.unchangedOne] {
				t.Errorf("embedded %t: %s, cookies %q", c.embedded, who, cookieNames(after))
			}
			cookies = after
		}
	}
}

// Users who signed in to a release without partitioned cookies have only the usual cookie. They must stay signed in,
// if the browser sends this cookie in embedded requests.
//
// CK-8
func TestUsualCookieStillWorksInEmbeddedRequests(t *testing.T) {
	t.Parallel()
	s := startCrossSite(t)
	cookies := s.signUp(false, "ada@example.com", nil)
	for range 3 {
		who, after := s.refreshedUser(true, cookies)
		if who != "ada@example.com" || after[usualName] == cookies[usualName] || len(after) != len(cookies) {
			t.Fatalf("%s, cookies %q", who, cookieNames(after))
		}
		cookies = after
	}
	a, after := s.send(true, "/api/auth/logout", "", cookies)
	wantStatus(t, a, 200, "")
	if got := cookieNames(after); !slices.Equal(got, []string{usualName + "-known"}) {
		t.Errorf("%q are left", got)
	}
}

// CK-8
func TestSignOutEndsTheSessionsOfBothCookies(t *testing.T) {
	t.Parallel()
	s := startCrossSite(t)
	for path, body := range map[string]string{
		"/api/auth/logout": "", "/api/auth/logout-all": "", "/api/users/logout": "", "/api/users/master-logout": "",
	} {
		for _, embedded := range []bool{false, true} {
			email := strings.ReplaceAll(path, "/", "-")[1:] + map[bool]string{true: "-embedded", false: ""}[embedded]
			cookies := s.signUp(false, "ada-"+email+"@example.com", nil)
			maps.Copy(cookies, s.signUp(true, "bob-"+email+"@example.com", nil))
			headers := []string{}
			if path == "/api/auth/logout-all" {
				a, rotated := s.send(embedded, "/api/auth/refresh", "", cookies)
				wantStatus(t, a, 200, "")
				cookies, headers = rotated, authorized(a.text("accessToken"))
			}
			if strings.HasPrefix(path, "/api/users") { // the dialect has other cookie names
				cookies["refreshTkn"], cookies["refreshTkn-partitioned"] = cookies[usualName], cookies[partitionedName]
				cookies = cookies.withoutCookie(usualName).withoutCookie(partitionedName)
			}
			a, after := s.send(embedded, path, body, cookies, headers...)
			if a.StatusCode != 200 && a.StatusCode != 205 {
				t.Fatalf("%s: %d %s", path, a.StatusCode, a.raw)
			}
			known := []string{usualName + "-known", usualName + "-known-partitioned"}
			if got := cookieNames(after); !slices.Equal(got, known) {
				t.Errorf("%s, embedded %t: %q are left", path, embedded, got)
			}
			for name, token := range cookies {
				if strings.Contains(name, "known") {
					continue
				}
				if who, _ := s.refreshedUser(embedded, cookieValues{usualName: token}); who != "SESSION_ENDED" {
					t.Errorf("%s, embedded %t: the session of %s: %s", path, embedded, name, who)
				}
			}
		}
	}
}

// CK-8
func TestDeletionOfAnAccountSignsTheBrowserOut(t *testing.T) {
	t.Parallel()
	s := startCrossSite(t)
	cookies := s.signUp(false, "ada@example.com", nil)
	maps.Copy(cookies, s.signUp(true, "bob@example.com", nil))
	a, cookies := s.send(true, "/api/auth/refresh", "", cookies)
	wantStatus(t, a, 200, "")
	a, after := s.send(true, "/api/auth/me", `{"password":"`+goodPassword+`"}`, cookies,
		authorized(a.text("accessToken"))...)
	wantStatus(t, a, 200, "")
	if got := cookieNames(after); slices.Contains(got, usualName) || slices.Contains(got, partitionedName) {
		t.Errorf("%q are left", got)
	}
	if who, _ := s.refreshedUser(false, cookies); who != "SESSION_ENDED" {
		t.Errorf("the session of the other cookie: %s", who)
	}
}

// CK-8
func TestSignInReplacesTheSessionThatTheRequestPresents(t *testing.T) {
	t.Parallel()
	s := startCrossSite(t)
	usual := s.signUp(false, "ada@example.com", nil)
	both := maps.Clone(usual)
	maps.Copy(both, s.signUp(true, "bob@example.com", nil))
	cleo := s.signUp(true, "cleo@example.com", both)
	if who, _ := s.refreshedUser(true, cookieValues{partitionedName: both[partitionedName]}); who != "SESSION_ENDED" {
		t.Errorf("the replaced session: %s", who)
	}
	if who, _ := s.refreshedUser(true, cleo); who != "cleo@example.com" {
		t.Errorf("the new session: %s", who)
	}
	who, usual := s.refreshedUser(false, cleo)
	if who != "ada@example.com" {
		t.Errorf("the session of the server's pages: %s", who)
	}
	// A browser with third-party cookies sends the usual cookie in embedded requests. If a sign-in request has only
	// the usual cookie, the server must end the session of this cookie and delete the cookie.
	alone := s.signUp(true, "dora@example.com", usual.withoutCookie(partitionedName))
	if got := cookieNames(alone); !slices.Equal(got, bothNames()[1:]) {
		t.Errorf("the cookies are %q", got)
	}
	if who, _ := s.refreshedUser(false, cookieValues{usualName: usual[usualName]}); who != "SESSION_ENDED" {
		t.Errorf("the session of the usual cookie: %s", who)
	}
}

// CK-3, CK-8
func TestRefusalsClearTheCookieOfTheRequest(t *testing.T) {
	t.Parallel()
	s := startCrossSite(t)
	cookies := s.signUp(false, "ada@example.com", nil)
	cookies[partitionedName] = "wwr_invalid"
	who, after := s.refreshedUser(true, cookies)
	if who != "REFRESH_INVALID" || after[partitionedName] != "" || after[usualName] != cookies[usualName] {
		t.Errorf("%s, then %q", who, cookieNames(after))
	}
	cookies[partitionedName] = ""
	a, after := s.send(true, "/api/auth/refresh?optional=true", "", cookies)
	if _, left := after[partitionedName]; a.StatusCode != 204 || left || after[usualName] == "" {
		t.Errorf("%d, then %q", a.StatusCode, cookieNames(after))
	}
	a, after = s.send(true, "/api/auth/refresh", "", cookies, "Cookie", partitionedName+"=a; "+partitionedName+"=b")
	wantStatus(t, a, 400, apirequest.CodeAmbiguousCredentials)
	if _, left := after[partitionedName]; left || after[usualName] == "" {
		t.Errorf("%q are left", cookieNames(after))
	}
	// A page of another site in an old browser can send a request without Origin and Sec-Fetch-Site. Such a request
	// with only a partitioned cookie must be rejected.
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, apiOnOwnSite+"/api/auth/refresh", nil)
	for _, name := range []string{partitionedName, "refreshTkn-partitioned"} {
		r.Header.Set("Cookie", name+"=a")
		w := httptest.NewRecorder()
		if s.server.ServeHTTP(w, r); w.Code != 403 {
			t.Errorf("%s alone: %d", name, w.Code)
		}
	}
}

// CK-8
func TestDialectUsersFollowsTheRuleOfTwoSites(t *testing.T) {
	t.Parallel()
	s := startCrossSite(t)
	body := `{"firstName":"Ada","lastName":"Byron","email":"ada@example.com","password":"` + goodPassword + `"}`
	a, cookies := s.send(true, "/api/users/signup", body, nil)
	if got := cookieNames(cookies); a.StatusCode != 201 || !slices.Equal(got,
		[]string{usualName + "-known-partitioned", "refreshTkn-partitioned"}) {
		t.Fatalf("%d, cookies %q", a.StatusCode, got)
	}
	known := cookies[usualName+"-known-partitioned"]
	for range 2 {
		renewed, after := s.send(true, "/api/users/reauth", "", cookies)
		if renewed.StatusCode != 201 || after["refreshTkn-partitioned"] == cookies["refreshTkn-partitioned"] ||
			len(after) != 2 {
			t.Fatalf("%d %s, cookies %q", renewed.StatusCode, renewed.raw, cookieNames(after))
		}
		cookies = after
	}
	a, after := s.send(true, "/api/users/login", `{"email":"ada@example.com","password":"`+goodPassword+`"}`, cookies)
	if a.StatusCode != 200 || after[usualName+"-known-partitioned"] != known {
		t.Errorf("%d: the device became another one", a.StatusCode)
	}
	a, after = s.send(true, "/api/users/reauth", "", cookies)
	if a.StatusCode != 401 || after["refreshTkn-partitioned"] != cookies["refreshTkn-partitioned"] {
		t.Errorf("the replaced session: %d, then %q", a.StatusCode, cookieNames(after))
	}
}

// CK-8
func TestDialectLessonFollowsTheRuleOfTwoSites(t *testing.T) {
	t.Parallel()
	s := startCrossSite(t)
	signUp := func(embedded bool, email string) (string, cookieValues) {
		a, cookies := s.send(embedded, "/register",
			`{"username":"A","email":"`+email+`","password":"`+goodPassword+`"}`, nil)
		if a.StatusCode != 201 {
			t.Fatalf("%d %s", a.StatusCode, a.raw)
		}
		return a.text("refreshToken"), cookies
	}
	ada, cookies := signUp(false, "ada@example.com")
	bob, other := signUp(true, "bob@example.com")
	if cookies["jwt"] == "" || other["jwt-partitioned"] == "" || other["jwt"] != "" {
		t.Fatalf("the cookies are %q and %q", cookieNames(cookies), cookieNames(other))
	}
	maps.Copy(cookies, other)
	for embedded, email := range map[bool]string{false: "ada@example.com", true: "bob@example.com"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, apiOnOwnSite+"/profile", nil)
		r.Header.Set("Sec-Fetch-Site", map[bool]string{false: "same-origin", true: "cross-site"}[embedded])
		for _, name := range []string{"jwt", "jwt-partitioned"} {
			r.AddCookie(&http.Cookie{Name: name, Value: cookies[name]})
		}
		w := httptest.NewRecorder()
		if s.server.ServeHTTP(w, r); !strings.Contains(w.Body.String(), email) {
			t.Errorf("embedded %t: %d %s", embedded, w.Code, w.Body)
		}
	}
	a, after := s.send(true, "/logout", "", cookies)
	if a.StatusCode != 204 || after["jwt"]+after["jwt-partitioned"] != "" {
		t.Errorf("%d, then %q", a.StatusCode, cookieNames(after))
	}
	for _, token := range []string{ada, bob} {
		if who, _ := s.refreshedUser(true, cookieValues{usualName: token}); who != "SESSION_ENDED" {
			t.Errorf("after the sign-out: %s", who)
		}
	}
}
