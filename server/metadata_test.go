package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/verify"
)

// The response of /me must contain the public metadata as well as the user. The claims that package verify reads must
// contain the metadata, too.
//
// JWT-21
func TestMetadataIsAtMeAndInClaims(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) {
		o.Claims.Computed = map[string]string{"plan": "@public.plan", "org": "@public.org.id"}
	}, nil)
	b := s.newBrowser(t)
	a := b.do("POST", "/api/auth/register",
		`{"email":"ada@example.com","password":"correct horse battery","name":"Ada"}`)
	wantStatus(t, a, 201, "")
	bearer := []string{"Authorization", "Bearer " + a.text("accessToken")}
	me := b.do("GET", "/api/auth/me", "", bearer...)
	if got, ok := me.body["metadata"].(map[string]any); !ok || len(got) != 0 {
		t.Errorf("without metadata: %s", me.raw)
	}
	who, err := s.engine.Authenticate(t.Context(), watchword.Secret(a.text("accessToken")))
	must(t, err)
	_, err = metadata.New(s.engine, s.store.Metadata()).Patch(t.Context(), who.User.ID, metadata.Patch{
		Public: `{"plan":"pro","org":{"id":9007199254740993},"email":"eve@example.com"}`, Private: `{"note":"secret"}`})
	must(t, err)
	me = b.do("GET", "/api/auth/me", "", bearer...)
	wantStatus(t, me, 200, "")
	var read struct{ Metadata json.RawMessage }
	must(t, json.Unmarshal(me.raw, &read))
	if string(read.Metadata) != `{"email":"eve@example.com","org":{"id":9007199254740993},"plan":"pro"}` ||
		me.body["user"].(map[string]any)["email"] != "ada@example.com" {
		t.Errorf("%s", me.raw)
	}
	// Users must not be able to write their metadata.
	for _, body := range []string{`{"metadata":{"plan":"x"}}`, `{"name":"Ada","metadata":{}}`,
		`{"public":{"plan":"x"}}`} {
		wantStatus(t, b.do("PATCH", "/api/auth/me", body, bearer...), 400, apirequest.CodeBodyInvalid)
	}

	refreshed := b.do("POST", "/api/auth/refresh", "")
	wantStatus(t, refreshed, 200, "")
	verifier, err := verify.New(s.url, verify.Options{})
	must(t, err)
	t.Cleanup(verifier.Close)
	identity, err := verifier.Verify(t.Context(), refreshed.text("accessToken"))
	must(t, err)
	var plan string
	var org json.Number
	if !identity.Claim("plan", &plan) || plan != "pro" || !identity.Claim("org", &org) || org != "9007199254740993" {
		t.Errorf("plan %q, org %s", plan, org)
	}
}

// All parts of a PATCH are one transaction. If one part is refused, no part may be written.
func TestRefusedAdminChangeWritesNoMetadata(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	b := s.newBrowser(t)
	root, err := s.engine.Operator().FindUser(t.Context(), "root@example.com")
	must(t, err)
	path := "/api/admin/users/" + string(root.ID)
	plan := func(rest string) string { return `{"metadata":{"public":{"plan":"pro"}},"name":"Root",` + rest + `}` }
	first := append([]string{"If-Match", `"0"`}, header...)
	wantStatus(t, b.do("PATCH", path, plan(`"roles":[]`), first...), 403, admin.CodeOwnRoles)
	wantStatus(t, b.do("PATCH", path, plan(`"disabled":true`), first...), 409, watchword.CodeLastAdmin)
	a := b.do("GET", path, "", header...)
	if got := a.Header.Get("ETag"); got != `"0"` || strings.Contains(string(a.raw), `"Root"`) {
		t.Errorf("a refusal has left the version %s: %s", got, a.raw)
	}
	a = b.do("PATCH", path, plan(`"disabled":false`), first...)
	wantStatus(t, a, 200, "")
	if got := a.Header.Get("ETag"); got != `"1"` || !strings.Contains(string(a.raw), `"public":{"plan":"pro"}`) {
		t.Errorf("version %s: %s", got, a.raw)
	}
	wantStatus(t, b.do("PATCH", path, `{"name":"Eve"}`, first...), 412, metadata.CodeVersionChanged)
	wantStatus(t, b.do("PATCH", path, `{"name":"Eve","metadata":{"private":[]}}`, header...), 422,
		watchword.CodeValidationFailed)
	if a = b.do("GET", path, "", header...); strings.Contains(string(a.raw), `"Eve"`) {
		t.Errorf("%s", a.raw)
	}
}
