package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
)

// AZ-1
func TestRequireRespondsAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	in := b.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword})
	id := watchword.UserID(in.body["user"].(map[string]any)["id"].(string))
	access := authorized(in.text("accessToken"))
	mux := http.NewServeMux()
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who, ok := server.FromContext(r.Context()); !ok || who.User.ID != id || who.Session.UserID != id {
			t.Errorf("behind Require: %v %v", who, ok)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("/notes", s.server.Require()(hello))
	mux.Handle("/reports", s.server.Require("admin", "editor")(hello))

	ask := func(path string, headers ...string) (*httptest.ResponseRecorder, watchword.Code) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
		r.AddCookie(&http.Cookie{Name: "watchword", Value: "x"})
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var problem struct{ Code watchword.Code }
		if w.Code >= 400 {
			must(t, json.Unmarshal(w.Body.Bytes(), &problem))
		}
		return w, problem.Code
	}
	for _, headers := range [][]string{nil, {"Authorization", "Bearer x"}, {"Authorization", "Basic x"}} {
		w, code := ask("/notes", headers...)
		api := b.do("GET", "/api/auth/me", "", headers...)
		if w.Code != api.StatusCode || string(code) != api.text("code") {
			t.Errorf("%v: %d %s, and the API %d %s", headers, w.Code, code, api.StatusCode, api.text("code"))
		}
		for name := range api.Header {
			if w.Header().Get(name) == "" && name != "Date" && name != "Vary" {
				t.Errorf("%v: no %s", headers, name)
			}
		}
		if w.Header().Get("WWW-Authenticate") != api.Header.Get("WWW-Authenticate") {
			t.Errorf("%v: %s", headers, w.Header().Get("WWW-Authenticate"))
		}
	}
	if w, code := ask("/notes", access...); w.Code != 204 {
		t.Errorf("%d %s", w.Code, code)
	}
	if w, code := ask("/reports", access...); w.Code != 403 || code != watchword.CodeInsufficientScope {
		t.Errorf("%d %s", w.Code, code)
	}
	_, err := s.engine.Operator().SetRoles(t.Context(), id, []string{"editor", "admin"})
	must(t, err)
	access = authorized(b.do("POST", "/api/auth/refresh", "").text("accessToken"))
	if w, code := ask("/reports", access...); w.Code != 204 {
		t.Errorf("%d %s", w.Code, code)
	}
	wantStatus(t, b.do("POST", "/api/auth/logout", ""), 200, "")
	if w, code := ask("/notes", access...); w.Code != 401 || code != watchword.CodeSessionEnded {
		t.Errorf("%d %s", w.Code, code)
	}
	must(t, s.store.Close())
	if w, code := ask("/notes", access...); w.Code != 503 || code != watchword.CodeTryLater ||
		w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, code)
	}
	if _, ok := server.FromContext(t.Context()); ok {
		t.Error("FromContext returns an identity without Require")
	}
}

func TestAdmitUserSignsTheBrowserIn(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	in := b.post("/register", map[string]any{"email": "ada@example.com", "password": goodPassword})
	id := watchword.UserID(in.body["user"].(map[string]any)["id"].(string))
	admit := func(user watchword.UserID, cookies ...*http.Cookie) (*watchword.SignIn, []*http.Cookie, error) {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "POST", s.url+"/badge", nil)
		r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
		for _, one := range cookies {
			r.AddCookie(one)
		}
		opened, err := s.server.AdmitUser(w, r, watchword.AdmitRequest{User: user, Methods: []string{"hwk"}})
		return opened, w.Result().Cookies(), err
	}
	if _, cookies, err := admit("nobody"); watchword.CodeOf(err) != watchword.CodeNotFound || len(cookies) != 0 {
		t.Errorf("an unknown user: %v, cookies %v", err, cookies)
	}
	first, cookies, err := admit(id)
	must(t, err)
	if first.Session.Device != "Firefox on Linux" || len(cookies) != 3 {
		t.Errorf("session on %q, cookies %v", first.Session.Device, cookies)
	}
	second, _, err := admit(id, cookies...)
	must(t, err)
	if second.DeviceToken != first.DeviceToken {
		t.Error("the browser is not a known device")
	}
	ended := b.do("GET", "/api/auth/me", "", authorized(string(first.AccessToken))...)
	if ended.StatusCode != 401 || ended.text("code") != string(watchword.CodeSessionEnded) {
		t.Errorf("the replaced session: %d %s", ended.StatusCode, ended.text("code"))
	}
	if me := b.do("GET", "/api/auth/me", "", authorized(string(second.AccessToken))...); me.StatusCode != 200 {
		t.Errorf("the new session: %d", me.StatusCode)
	}
}
