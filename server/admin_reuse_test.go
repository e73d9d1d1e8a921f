package server_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

// A browser refreshes its session, and another browser presents a copy of an old token. When support asks why the
// session ended, the answer must name both devices.
//
// AZ-2
func TestAdminExplainNamesBothDevicesOfAReuse(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t, func(o *watchword.Options) {
		o.Rotation = watchword.RotationPolicy{Grace: 0, Clean: 1}
	})
	const (
		iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/18.1 Mobile/15E148 Safari/604.1"
		chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	)
	owner, thief := s.newBrowser(t), s.newBrowser(t)
	a := owner.do("POST", "/api/auth/register",
		`{"email":"ada@example.com","password":"`+goodPassword+`","delivery":"body"}`, "User-Agent", iphone)
	wantStatus(t, a, 201, "")
	stolen, newest := a.text("refreshToken"), a.text("refreshToken")
	id := a.body["user"].(map[string]any)["id"].(string)
	refresh := func(b *browser, token, agent string) fullResponse {
		return b.do("POST", "/api/auth/refresh", `{"refreshToken":"`+token+`"}`, "User-Agent", agent)
	}
	for range 3 {
		a = refresh(owner, newest, iphone)
		wantStatus(t, a, 200, "")
		newest = a.text("refreshToken")
	}
	wantStatus(t, refresh(thief, stolen, chrome), 401, watchword.CodeRefreshReused)
	wantStatus(t, refresh(owner, newest, iphone), 401, watchword.CodeSessionEnded)

	for language, parts := range map[string][]string{
		"en": {"an old copy of the session was used from", "Chrome on Linux", "Safari on iPhone", "generation 3",
			"generation 0"},
		"de": {"Chrome", "Safari", "iPhone", "Linux"},
	} {
		a = s.newBrowser(t).do("GET", "/api/admin/users/"+id+"/explain?language="+language, "", header...)
		wantStatus(t, a, 200, "")
		for _, part := range parts {
			if !strings.Contains(a.text("sentence"), part) {
				t.Errorf("%s: %q is not in %s", language, part, a.text("sentence"))
			}
		}
		if a.text("reason") != string(watchword.EndedReuse) || len(a.body["evidence"].([]any)) == 0 {
			t.Errorf("%s", a.raw)
		}
	}
}
