package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

func remembering(o *watchword.Options) { o.RememberDevice = 30 * 24 * time.Hour }

func TestRememberedDeviceOverHTTP(t *testing.T) {
	t.Parallel()
	s := addFactorRoutes(t, start(t, remembering, nil))
	access, secret, codes := s.signUpWithApp(t, s.newBrowser(t))

	b := s.newBrowser(t)
	challenged := b.do("POST", "/api/auth/login", loginAda+`}`)
	wantStatus(t, challenged, 403, watchword.CodeSecondFactorRequired)
	if got := challenged.body["challenge"].(map[string]any)["rememberFor"]; got != float64(30*24*3600) {
		t.Errorf("rememberFor is %v", got)
	}
	in := b.do("POST", "/api/auth/login/factor", `{"totp":"`+codeAt(t, secret, 1)+`","rememberDevice":true}`)
	wantStatus(t, in, 200, "")
	var device *http.Cookie
	for _, c := range in.Cookies() {
		if c.Name == "watchword-device" {
			device = c
		}
	}
	if device == nil || !device.HttpOnly || device.SameSite != http.SameSiteStrictMode || device.Path != "/" ||
		device.MaxAge != 30*24*3600 || strings.Contains(string(in.raw), device.Value) {
		t.Fatalf("cookie %v, %s", device, in.raw)
	}
	skipped := b.do("POST", "/api/auth/login", loginAda+`}`)
	wantStatus(t, skipped, 200, "")
	bearer := []string{"Authorization", "Bearer " + skipped.text("accessToken")}
	wantStatus(t, b.do("GET", "/api/auth/devices", "", bearer...), 401, watchword.CodeStepUpRequired)
	wantStatus(t, b.do("DELETE", "/api/auth/devices", "", bearer...), 401, watchword.CodeStepUpRequired)
	wantStatus(t, s.newBrowser(t).do("POST", "/api/auth/login", loginAda+`}`), 403, watchword.CodeSecondFactorRequired)

	list := b.do("GET", "/api/auth/devices", "", access...)
	wantStatus(t, list, 200, "")
	all := list.body["devices"].([]any)
	if len(all) != 1 || all[0].(map[string]any)["lastUsedAt"] == nil {
		t.Fatalf("%s", list.raw)
	}
	id := all[0].(map[string]any)["id"].(string)
	wantStatus(t, b.do("DELETE", "/api/auth/devices/"+id, "", access...), 200, "")
	wantStatus(t, b.do("DELETE", "/api/auth/devices/"+id, "", access...), 404, watchword.CodeNotFound)
	wantStatus(t, b.do("POST", "/api/auth/login", loginAda+`}`), 403, watchword.CodeSecondFactorRequired)
	wantStatus(t, b.do("DELETE", "/api/auth/devices", "", access...), 200, "")

	// The server must not offer to remember a client without cookies.
	a := s.newBrowser(t).do("POST", "/api/auth/login", loginAda+`,"delivery":"body"}`)
	challenge := a.body["challenge"].(map[string]any)
	if challenge["rememberFor"] != nil {
		t.Errorf("%s", a.raw)
	}
	a = s.newBrowser(t).do("POST", "/api/auth/login/factor",
		`{"recoveryCode":"`+codes[0]+`","rememberDevice":true,"handle":"`+challenge["handle"].(string)+`"}`)
	wantStatus(t, a, 422, watchword.CodeValidationFailed)
	a = s.newBrowser(t).do("POST", "/api/auth/login/factor",
		`{"recoveryCode":"`+codes[0]+`","handle":"`+challenge["handle"].(string)+`"}`)
	wantStatus(t, a, 200, "")
}

// Without the setting, the server must not offer to remember a browser, and must ignore a request to do so.
func TestDevicesAreNotRememberedWithoutTheSetting(t *testing.T) {
	t.Parallel()
	s := startWithFactorRoutes(t)
	access, secret, _ := s.signUpWithApp(t, s.newBrowser(t))
	b := s.newBrowser(t)
	a := b.do("POST", "/api/auth/login", loginAda+`}`)
	if a.body["challenge"].(map[string]any)["rememberFor"] != nil {
		t.Errorf("%s", a.raw)
	}
	wantStatus(t, b.do("POST", "/api/auth/login/factor", `{"totp":"`+codeAt(t, secret, 1)+`","rememberDevice":true}`),
		422, watchword.CodeValidationFailed)
	list := b.do("GET", "/api/auth/devices", "", access...)
	wantStatus(t, list, 200, "")
	if got := list.body["devices"].([]any); len(got) != 0 {
		t.Errorf("%s", list.raw)
	}
}

var aForget = regexp.MustCompile(`/account/devices/[0-9a-f-]{36}/forget`)

// Without a script, the pages must remember and forget a browser. The checkbox, the list and the confirmation are
// plain forms.
func TestPagesRememberAndForgetABrowser(t *testing.T) {
	t.Parallel()
	s, phone := startWithPhone(t, remembering, nil)
	access, secret, _ := s.signUpWithApp(t, s.newBrowser(t))
	phone.secret = secret
	b := s.newBrowser(t)
	login := map[string]string{"email": "ada@example.com", "password": goodPassword}
	wantPage(t, b.submitForm("/login", login), 303)
	wantPage(t, b.visit("/login/factor"), 200, `name="rememberDevice"`)
	wantPage(t, b.submitForm("/login/factor", map[string]string{"totp": "12345", "rememberDevice": "yes"}), 403,
		`value="yes" checked`)
	wantPage(t, b.submitForm("/login/factor", map[string]string{"totp": phone.nextCode(), "rememberDevice": "yes"},
		"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "+
			"Chrome/130.0.0.0 Safari/537.36"), 303)
	account := b.visit("/account")
	wantPage(t, account, 200, "Browsers without the second step")
	forget := aForget.FindString(string(account.raw))
	wantPage(t, b.visit(forget), 200, "Forget this browser?")
	wantPage(t, s.newBrowser(t).submitForm(forget, nil), 303) // redirects to the sign-in

	wantPage(t, b.submitForm("/logout", nil), 303)
	wantPage(t, b.submitForm("/login", login), 303)
	wantPage(t, b.visit("/account", "Accept-Language", "de"), 200, "Browser ohne zweiten Schritt",
		`aria-label="Chrome unter Windows vergessen"`)
	factor := s.newBrowser(t).do("GET", "/api/auth/factors", "", access...).body["factors"].([]any)[0].(map[string]any)
	for name, shown := range map[string]string{"Safari on iPhone": "Safari auf dem iPhone",
		"Key on my desk": "Key on my desk"} {
		renamed := s.newBrowser(t).do("PATCH", "/api/auth/factors/"+factor["id"].(string), `{"name":"`+name+`"}`,
			access...)
		wantStatus(t, renamed, 200, "")
		wantPage(t, b.visit("/account", "Accept-Language", "de"), 200, shown+" entfernen")
	}
	stale := b.visit(forget) // asks for the step-up, because the sign-in skipped the factor
	if to := stale.Header.Get("Location"); !strings.HasPrefix(to, "/step-up?return_to=") {
		t.Fatalf("%d, to %q", stale.StatusCode, to)
	}
	wantPage(t, b.submitForm("/step-up", map[string]string{"totp": phone.nextCode()}), 303)
	wantPage(t, b.submitForm(forget, nil), 303)
	if page := string(b.visit("/account").raw); strings.Contains(page, "Browsers without") {
		t.Error("the forgotten browser is still listed")
	}
	wantPage(t, b.visit(forget), 404)
	wantPage(t, b.submitForm("/logout", nil), 303)
	if to := b.submitForm("/login", login).Header.Get("Location"); to != "/login/factor" {
		t.Errorf("the forgotten browser goes to %q", to)
	}
}
