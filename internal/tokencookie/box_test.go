package tokencookie_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

func newSealedCookie(t *testing.T, name string) tokencookie.Cookie {
	t.Helper()
	box, err := seal.New([]byte("a master key for tests, 32 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	return tokencookie.Cookie{Name: name, SameSite: http.SameSiteStrictMode, Box: box}
}

// A sealed token must be readable only in the cookie for which it was sealed.
func TestSealedCookieOpensUnderItsNameOnly(t *testing.T) {
	t.Parallel()
	c, w := newSealedCookie(t, "admin"), httptest.NewRecorder()
	c.Set(w, "token", time.Minute)
	value := w.Result().Cookies()[0].Value
	if strings.Contains(value, "token") {
		t.Errorf("the cookie is %s", value)
	}
	changed := []byte(value)
	changed[len(changed)/2] ^= 1
	for name, want := range map[string]struct {
		cookies []string
		tokens  []string
	}{
		"its own":         {[]string{"admin", value}, []string{"token"}},
		"another name":    {[]string{"admin-page", value}, nil},
		"not sealed":      {[]string{"admin", "token"}, nil},
		"not base64":      {[]string{"admin", "@"}, nil},
		"empty":           {[]string{"admin", ""}, nil},
		"changed":         {[]string{"admin", string(changed)}, nil},
		"one of two fits": {[]string{"admin", "token", "admin", value}, []string{"token"}},
	} {
		r := requestWithCookies(want.cookies)
		if got := c.Values(r); !slices.Equal(got, want.tokens) {
			t.Errorf("%s: %q, want %q", name, got, want.tokens)
		}
		if name == "another name" && newSealedCookie(t, "admin-page").Value(r) != "" {
			t.Error("the token of one cookie opens in another one")
		}
	}
	// Two cookies of one name must be deleted, even if the Box can't open one of them.
	w = httptest.NewRecorder()
	tokencookie.Pair{Usual: c}.ClearRepeated(w, requestWithCookies([]string{"admin", "x", "admin", value}))
	if got := w.Header().Values("Set-Cookie"); len(got) != 1 || !strings.Contains(got[0], "Max-Age=0") {
		t.Errorf("%q", got)
	}
}

// CK-5
func TestSealedTokenThatIsTooLongDeletesItsCookie(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]bool{100: true, 3000: true, 3100: false, 4000: false} {
		c, w := newSealedCookie(t, "__Host-watchword-admin-page"), httptest.NewRecorder()
		c.Set(w, strings.Repeat("t", size), time.Minute)
		set := w.Result().Cookies()[0]
		if kept := set.MaxAge > 0; kept != want || len(set.Name)+len(set.Value) > 4096 {
			t.Errorf("a token of %d bytes: kept: %t, %d bytes", size, kept, len(set.Value))
		}
	}
}
