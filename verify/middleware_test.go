package verify_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/verify"
)

// JWT-16, AZ-6
func TestRequireRespondsAsRFC6750Says(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := newVerifier(t, i.url, verify.Options{Now: i.clock.Now, Realm: "notes"})
	good := i.sign(t, k, nil)
	expired := i.sign(t, k, func(c *accesstoken.Claims) { c.IssuedAt, c.Expires = c.IssuedAt-900, c.IssuedAt })
	ended := i.sign(t, k, func(c *accesstoken.Claims) { c.SessionID = "ended" })
	outdated := i.sign(t, k, func(c *accesstoken.Claims) { c.Subject = "bob" })
	v.Revocations().EndSession("ended")
	v.Revocations().ChangeClaims("bob", i.clock.Now().Unix()+1)
	for name, c := range map[string]struct {
		headers   []string
		status    int
		code      watchword.Code
		challenge string
	}{
		"a good token":           {[]string{"Authorization", "Bearer " + good}, 200, "", ""},
		"in another case":        {[]string{"Authorization", "bEARER " + good}, 200, "", ""},
		"spaces":                 {[]string{"Authorization", "Bearer   " + good}, 200, "", ""},
		"no token":               {nil, 401, watchword.CodeTokenMissing, `Bearer realm="notes"`},
		"an empty header":        {[]string{"Authorization", ""}, 401, watchword.CodeTokenMissing, `Bearer realm="notes"`},
		"another scheme":         {[]string{"Authorization", "Basic YTpi"}, 401, watchword.CodeTokenMissing, `Bearer realm="notes"`},
		"no scheme":              {[]string{"Authorization", good}, 401, watchword.CodeTokenMissing, `Bearer realm="notes"`},
		"in a cookie":            {[]string{"Cookie", "access_token=" + good + "; jwt=" + good}, 401, watchword.CodeTokenMissing, `Bearer realm="notes"`},
		"the scheme alone":       {[]string{"Authorization", "Bearer"}, 401, watchword.CodeTokenInvalid, `Bearer realm="notes", error="invalid_token"`},
		"a forged token":         {[]string{"Authorization", "Bearer " + good[:len(good)-9] + "AAAAAAAAA"}, 401, watchword.CodeTokenInvalid, `Bearer realm="notes", error="invalid_token"`},
		"an expired token":       {[]string{"Authorization", "Bearer " + expired}, 401, watchword.CodeTokenExpired, `Bearer realm="notes", error="invalid_token"`},
		"of an ended session":    {[]string{"Authorization", "Bearer " + ended}, 401, watchword.CodeSessionEnded, `Bearer realm="notes", error="invalid_token"`},
		"before a role change":   {[]string{"Authorization", "Bearer " + outdated}, 401, watchword.CodeTokenExpired, `Bearer realm="notes", error="invalid_token"`},
		"two good tokens":        {[]string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}, 400, apirequest.CodeAmbiguousCredentials, `Bearer realm="notes", error="invalid_request"`},
		"Basic and a good token": {[]string{"Authorization", "Basic YTpi", "Authorization", "Bearer " + good}, 400, apirequest.CodeAmbiguousCredentials, `Bearer realm="notes", error="invalid_request"`},
	} {
		a := serveGet(t, v.Require(http.HandlerFunc(notes)), c.headers...)
		if a.StatusCode != c.status || a.errorCode != string(c.code) ||
			a.Header.Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %s %s", name, a.StatusCode, a.Header.Get("WWW-Authenticate"), a.raw)
		}
		if c.status != 200 {
			wantProblemFormat(t, name, a)
		}
	}
}

// wantProblemFormat expects the format of the server's error responses.
func wantProblemFormat(t *testing.T, name string, a answer) {
	t.Helper()
	if a.Header.Get("Content-Type") != "application/problem+json; charset=utf-8" ||
		a.Header.Get("Cache-Control") != "no-store" ||
		a.body["type"] != "about:blank" || a.body["title"] != http.StatusText(a.StatusCode) ||
		a.body["status"] != float64(a.StatusCode) ||
		a.body["detail"] == "" || a.body["error"] != a.body["detail"] {
		t.Errorf("%s: incomplete problem document: %v %s", name, a.Header, a.raw)
	}
}

// JWT-16
func TestATokenInQueryOrFormIsIgnored(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := i.verifier(t)
	token := i.sign(t, k, nil)
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/?access_token="+token, nil),
		httptest.NewRequest(http.MethodPost, "/", strings.NewReader("access_token="+token)),
	} {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		v.Require(http.HandlerFunc(notes)).ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || strings.Contains(w.Header().Get("WWW-Authenticate"), "error") {
			t.Errorf("%s: %d %s", r.Method, w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
}

func TestAMissingRoleOrAuthenticationIsNamedInTheChallenge(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := newVerifier(t, i.url, verify.Options{Now: i.clock.Now, Realm: "notes"})
	token := []string{"Authorization", "Bearer " + i.sign(t, k, func(c *accesstoken.Claims) { c.AuthTime -= 600 })}
	for name, c := range map[string]struct {
		guard           func(http.Handler) http.Handler
		status          int
		code, challenge string
	}{
		"a role they have": {v.RequireRole("writer"), 200, "", ""},
		"one of two":       {v.RequireRole("admin", "writer"), 200, "", ""},
		"a role they lack": {v.RequireRole("admin"), 403, "INSUFFICIENT_SCOPE", `error="insufficient_scope"`},
		"in another case":  {v.RequireRole("Writer"), 403, "INSUFFICIENT_SCOPE", `error="insufficient_scope"`},
		"no role at all":   {v.RequireRole(), 403, "INSUFFICIENT_SCOPE", `error="insufficient_scope"`},
		"their acr":        {v.RequireACR("aal2", "aal1"), 200, "", ""},
		"a better acr":     {v.RequireACR("aal2", `a"3`), 401, "INSUFFICIENT_USER_AUTHENTICATION", `error="insufficient_user_authentication", acr_values="aal2 a3"`},
		"recent enough":    {v.RequireRecent(10 * time.Minute), 200, "", ""},
		"too long ago":     {v.RequireRecent(10*time.Minute - time.Second), 401, "INSUFFICIENT_USER_AUTHENTICATION", `error="insufficient_user_authentication", max_age="599"`},
		"behind another guard": {
			func(next http.Handler) http.Handler { return v.Require(v.RequireRole("writer")(next)) }, 200, "", ""},
	} {
		a := serveGet(t, c.guard(http.HandlerFunc(notes)), token...)
		challenge := a.Header.Get("WWW-Authenticate")
		if a.StatusCode != c.status || a.errorCode != c.code ||
			c.challenge != "" && challenge != `Bearer realm="notes", `+c.challenge {
			t.Errorf("%s: %d %s %s", name, a.StatusCode, challenge, a.raw)
		}
		if a := serveGet(t, c.guard(http.HandlerFunc(notes))); a.StatusCode != 401 || a.errorCode != "TOKEN_MISSING" {
			t.Errorf("%s, without a token: %d %s", name, a.StatusCode, a.raw)
		}
	}
}

// RequireACR must accept a token with a required level or a higher one. The highest level is phr, a passkey that
// verified the user (RFC 9470).
func TestRequireACRAcceptsTheLevelsAbove(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := newVerifier(t, i.url, verify.Options{Now: i.clock.Now, Realm: "notes"})
	for _, c := range []struct {
		acr      string
		required []string
		status   int
	}{
		{"aal1", []string{"aal1"}, 200}, {"aal1", []string{"aal2"}, 401}, {"aal1", []string{"phr"}, 401},
		{"aal2", []string{"aal1"}, 200}, {"aal2", []string{"aal2"}, 200}, {"aal2", []string{"phr"}, 401},
		{"phr", []string{"aal1"}, 200}, {"phr", []string{"aal2"}, 200}, {"phr", []string{"phr"}, 200},
		{"phr", nil, 401}, {"phr", []string{"gold"}, 401}, {"gold", []string{"gold"}, 200},
	} {
		token := i.sign(t, k, func(claims *accesstoken.Claims) { claims.ACR = c.acr })
		a := serveGet(t, v.RequireACR(c.required...)(http.HandlerFunc(notes)), "Authorization", "Bearer "+token)
		challenge := `Bearer realm="notes", error="insufficient_user_authentication", acr_values="` +
			strings.Join(c.required, " ") + `"`
		if a.StatusCode != c.status || c.status == 401 && a.Header.Get("WWW-Authenticate") != challenge {
			t.Errorf("%s for %q: %d %s", c.acr, c.required, a.StatusCode, a.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestOptionalPassesRequestsWithoutATokenOnly(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	optional := i.verifier(t).Optional(http.HandlerFunc(notes))
	token := i.sign(t, k, nil)
	for name, c := range map[string]struct {
		headers []string
		status  int
		says    string
	}{
		"no token":       {[]string{"X-User", "eve"}, 200, "nobody"},
		"a good one":     {[]string{"Authorization", "Bearer " + token}, 200, "ada"},
		"a forged token": {[]string{"Authorization", "Bearer " + token + "x"}, 401, ""},
		"two":            {[]string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}, 400, ""},
	} {
		if a := serveGet(t, optional, c.headers...); a.StatusCode != c.status || c.says != "" && a.raw != c.says {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
		}
	}
}

// AZ-6
func TestIdentityHeadersAreRemoved(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	token := i.sign(t, k, nil)
	seen := func(options verify.Options, optional bool) (inside, outside http.Header) {
		t.Helper()
		options.Now = i.clock.Now
		v := newVerifier(t, i.url, options)
		guard := v.Require
		if optional {
			guard = v.Optional
		}
		inner := guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside = r.Header }))
		headers := []string{"X-Tenant", "7", "X-User-Agent-Hint", "eve", "X-User", "eve", "x_user", "eve", "X_User_Id",
			"eve", "X-USER-EMAIL", "eve", "X-Forwarded-User", "eve",
			"X-Forwarded-For", "192.0.2.1", "X-Auth-Request-Email", "eve", "Remote-User", "eve", "REMOTE_USER", "eve",
			"X-Watchword-Subject", "eve", "X-Request-Id", "1"}
		if !optional {
			headers = append(headers, "Authorization", "Bearer "+token)
		}
		a := serveGet(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			outside = r.Header
			inner.ServeHTTP(w, r)
		}), headers...)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, a.raw)
		}
		return inside, outside
	}
	for _, optional := range []bool{false, true} {
		inside, outside := seen(verify.Options{}, optional)
		for name, values := range inside {
			if fmt.Sprint(values) == "[eve]" {
				t.Errorf("%s was not removed", name)
			}
		}
		if inside.Get("X-Tenant") != "7" || inside.Get("X-Forwarded-For") == "" || inside.Get("X-Request-Id") != "1" {
			t.Errorf("too much was removed: %v", inside)
		}
		if outside.Get("X-User") != "eve" {
			t.Error("the request of the outer middleware was changed")
		}
	}
	inside, _ := seen(verify.Options{StripHeaders: []string{"x-tenant", "X-Forwarded-*"}}, false)
	if inside.Get("X-Tenant") != "" || inside.Get("X-Forwarded-For") != "" || inside.Get("X-User") != "eve" {
		t.Errorf("the option was ignored: %v", inside)
	}
	if inside, _ = seen(verify.Options{StripHeaders: []string{}}, false); inside.Get("X-User") != "eve" ||
		inside.Get("X-Tenant") != "7" {
		t.Errorf("a header was removed: %v", inside)
	}
}

// AZ-6
func TestRequireResponds503WhileKeysAreUnavailable(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.answer("/jwks", 503, "")
	guarded := i.verifier(t).Require(http.HandlerFunc(notes))
	a := serveGet(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "r1")
		guarded.ServeHTTP(w, r)
	}), "Authorization", "Bearer "+i.sign(t, newKey(t, accesstoken.ES256), nil))
	if a.StatusCode != 503 || a.errorCode != string(watchword.CodeTryLater) || a.Header.Get("Retry-After") != "1" ||
		a.Header.Get("WWW-Authenticate") != "" || a.body["requestId"] != "r1" {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.raw)
	}
	wantProblemFormat(t, "unavailable", a)
}

func TestNewIdentityServesTestsOfHandlers(t *testing.T) {
	t.Parallel()
	at := time.Unix(1795000000, 0)
	identity := verify.NewIdentity(verify.Claims{Subject: "ada", SessionID: "s1", Roles: []string{"writer"},
		AuthTime: at, IssuedAt: at,
		ExpiresAt: at.Add(time.Minute), ACR: "aal1", AMR: []string{"pwd"}, Extra: map[string]any{
			"email": "ada@example.com"}})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	notes(w, r.WithContext(verify.NewContext(r.Context(), identity)))
	var email string
	if w.Body.String() != "ada" || !identity.HasRole("writer") || !identity.Claim("email", &email) ||
		email != "ada@example.com" || !identity.AuthTime().Equal(at) {
		t.Errorf("got %s, %+v", w.Body, identity)
	}
	if _, ok := verify.FromContext(t.Context()); ok {
		t.Error("an empty context has an identity")
	}
	if _, ok := verify.FromContext(verify.NewContext(t.Context(), nil)); ok {
		t.Error("a nil identity was found")
	}
}
