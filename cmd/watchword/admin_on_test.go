package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	main "github.com/watchword-auth/watchword/cmd/watchword"
)

func twoFreeAddresses(t *testing.T) (one, other string) {
	t.Helper()
	return freeAddress(t), freeAddress(t)
}

// With admin-on=admin, only the admin listener serves the administration pages and API. Administrators sign in there
// separately.
//
// CFG-4
func TestAdministrationMovesToTheAdminListener(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, arguments []string) {
		const root, user = "u0@example.com", "u1@example.com"
		public, there := twoFreeAddresses(t)
		s := newServer(t, public)
		dir := startServer(t, s, append(arguments, "--admin-on=admin", "--admin-listen="+there, "--limits=off")...)
		importAccountsWithApps(t, dir, 2, arguments...)
		watchword := func(args ...string) string {
			got := run(t, call{dir: dir, args: append(args, arguments...)})
			if got.code != 0 {
				t.Fatal(got.errors)
			}
			return got.out
		}
		watchword("users", "set-roles", root, "admin")
		at := newPageReader(t, "http://"+there)
		at.wantResponse(t, "GET", "/admin/users", nil, 303, "/login?return_to=")
		login := "/login?" + url.Values{"return_to": {at.url + "/admin/users"}}.Encode()
		form := url.Values{"email": {root}, "password": {firstSecret}}
		at.wantResponse(t, "POST", login, form, 303, "/login/factor?return_to=")
		step := strings.Replace(login, "/login", "/login/factor", 1)
		at.wantResponse(t, "POST", step, url.Values{"totp": {totpCode(t, factorSecret, currentTimeStep())}}, 303,
			at.url+"/admin/users")
		page := at.wantResponse(t, "GET", "/admin/users?q="+user, nil, 200, user)
		path := regexp.MustCompile(`/admin/users/[0-9a-f-]{36}`).FindString(page)
		at.wantResponse(t, "GET", path+"/disable", nil, 200, user)
		at.wantResponse(t, "POST", path+"/disable", nil, 303, path)
		if shown := watchword("users", "show", user, "--json"); !strings.Contains(shown, "disabledAt") {
			t.Error(shown)
		}

		// The public listener must not serve administration, even if a request has the cookies of the administrator's
		// session.
		here := newPageReader(t, s.url())
		here.client.Jar = at.client.Jar
		for _, method := range []string{"GET", "POST"} {
			for _, path := range []string{"/admin", path, path + "/disable", "/api/admin/users", "/api/admin/stats"} {
				here.wantResponse(t, method, path, nil, 404, "")
			}
		}
		here.wantResponse(t, "GET", "/account", nil, 303, "/login")
		token := signInAdminAtAPI(t, s, root)
		for address, status := range map[string]int{s.url(): 404, at.url: 200} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", address+"/api/admin/users", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			response, err := s.client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != status {
				t.Errorf("%s: %d, want %d", address, response.StatusCode, status)
			}
		}
	})
}

// signInAdminAtAPI uses the TOTP code of the next time step, because the sign-in at the pages has used the current
// code.
func signInAdminAtAPI(t *testing.T, s *server, email string) string {
	t.Helper()
	d := newDevice(t, s.address)
	got := d.sendTOTPCode(t, d.startSecondFactor(t, email), totpCode(t, factorSecret,
		currentTimeStep()+1)).wantStatus(t, 200)
	return got.AccessToken
}

// A pageReader is a browser without JavaScript.
type pageReader struct {
	url    string
	client *http.Client
}

func newPageReader(t *testing.T, address string) *pageReader {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &pageReader{address, &http.Client{Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// The page or the redirect must contain word.
func (p *pageReader) wantResponse(t *testing.T, method, path string, form url.Values, status int,
	word string) (page string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "null") // as browsers send with Referrer-Policy: no-referrer
	}
	response, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status || !strings.Contains(string(text)+response.Header.Get("Location"), word) {
		t.Fatalf("%s %s: %d without %q: %v\n%s", method, path, response.StatusCode, word, response.Header, text)
	}
	return string(text)
}

func TestDoctorFindsAdministrationOnTheWrongListener(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status      int
		there, here string
		want        string
	}{
		"right":                           {401, "TOKEN_MISSING", "NOT_FOUND", ""},
		"right, and no public URL":        {401, "TOKEN_MISSING", "", ""},
		"another Host":                    {421, "MISDIRECTED_REQUEST", "NOT_FOUND", "set admin-url"},
		"another program":                 {404, "", "NOT_FOUND", "pass all paths on"},
		"the public listener":             {404, "NOT_FOUND", "NOT_FOUND", "pass all paths on"},
		"also public":                     {401, "TOKEN_MISSING", "TOKEN_MISSING", "admin-on=admin"},
		"the public proxy leads to admin": {401, "TOKEN_MISSING", "MISDIRECTED_REQUEST", "address in listen"},
	} {
		found, do := main.DiagnoseAdmin(c.status, c.there, c.here)
		if (found == "") != (c.want == "") || !strings.Contains(do, c.want) {
			t.Errorf("%s: %q, %q", name, found, do)
		}
	}
}

// With admin-on=admin, `watchword doctor` must warn if no administrator has an authenticator app. The sign-in of the
// admin listener does not accept passkeys.
func TestDoctorWantsAnAppForTheAdminListener(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{{"users", "create", ada, "--role", "admin"}, {"users", "verify", ada}} {
		if got := run(t, call{dir: dir, args: args}); got.code != 0 {
			t.Fatal(got.errors)
		}
	}
	executeSQL(t, dir, strings.Replace(lostFactors[1], "'',", "x'',", 1))
	executeSQL(t, dir, `UPDATE users SET factors = 1`)
	for _, c := range []struct {
		name, result string
		args         []string
	}{
		{"public", "ok", nil},
		{"admin", "warn", []string{"--admin-on=admin"}},
		{"admin, without pages", "ok", []string{"--admin-on=admin", "--admin-pages=off"}},
	} {
		public, there := twoFreeAddresses(t)
		args := []string{"doctor", "--json", "--listen=" + public, "--public-url=http://" + public,
			"--admin-listen=" + there}
		got := run(t, call{dir: dir, args: append(args, c.args...)})
		var report struct {
			Findings []struct{ Check, Result, Found string }
		}
		if err := json.NewDecoder(bytes.NewReader([]byte(got.out))).Decode(&report); err != nil {
			t.Fatal(err, got.errors)
		}
		for _, f := range report.Findings {
			wantsApp := strings.Contains(f.Found, "authenticator app")
			if f.Check == "admin" && (f.Result != c.result || wantsApp != (c.result == "warn")) {
				t.Errorf("%s: %+v", c.name, f)
			}
			if f.Check == "admin url" && f.Result != "warn" {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
}

func TestAdminURLFollowsTheListener(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ on, listen, url, want string }{
		{"public", "127.0.0.1:9090", "", ""},
		{"admin", "127.0.0.1:9090", "", "http://127.0.0.1:9090"},
		{"admin", "localhost:9090", "", "http://localhost:9090"},
		{"admin", "[::1]:9090", "", "http://[::1]:9090"},
		{"admin", "127.0.0.1:80", "", "http://127.0.0.1"},
		{"admin", ":9090", "", "http://localhost:9090"},
		{"admin", "0.0.0.0:9090", "", "http://localhost:9090"},
		{"admin", "10.0.0.7:9090", "", "http://localhost:9090"},
		{"admin", "10.0.0.7:9090", "https://admin.example.com", "https://admin.example.com"},
	} {
		if got := main.AdminURL(c.on, c.listen, c.url); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// The admin listener must reject a request with an ambiguous length. A proxy that restricts administration could
// otherwise miss a second request in it.
func TestAdminListenerRejectsAmbiguousLengths(t *testing.T) {
	t.Parallel()
	public, there := twoFreeAddresses(t)
	startServer(t, newServer(t, public), "--admin-on=admin", "--admin-listen="+there)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", there)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /login HTTP/1.1\r\nHost: "+there+"\r\nContent-Length: 5\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: "+there+"\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := io.ReadAll(conn) // reads until the server closes or resets the connection
	answered := string(raw)
	if !strings.HasPrefix(answered, "HTTP/1.1 400 ") || strings.Count(answered, "HTTP/1.1 ") != 1 {
		t.Errorf("got %s", answered)
	}
}
