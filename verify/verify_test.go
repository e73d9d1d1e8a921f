package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/verify"
)

func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault()
	goleak.VerifyTestMain(m)
}

func TestVerifyReturnsTheIdentityOfAServersToken(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "Ed25519", "RS256", "HS256"} {
		secret := "a secret that resource servers share"
		s := startServer(t, func(o *watchword.Options) {
			o.SigningAlg = alg
			o.Claims = watchword.Claims{
				Email: true, Name: true, Static: map[string]string{"https://example.com/tenant": "7"}}
			if alg == "HS256" {
				o.SigningSecret = watchword.Secret(secret)
			}
		})
		in := s.signUpAndSignIn(t, "ada@example.com", "admin", "writer")
		v := s.newVerifier(t, func(o *verify.Options) {
			if alg == "HS256" {
				o.SigningSecret = []byte(secret)
			}
		})
		for range 2 { // first without the cache, then with it
			identity, err := v.Verify(t.Context(), string(in.AccessToken))
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			now := s.clock.Now()
			if identity.Subject() != string(in.User.ID) || identity.SessionID() != string(in.Session.ID) ||
				identity.TokenID() == "" ||
				strings.Join(identity.Roles(), " ") != "admin writer" || !identity.HasRole("writer") ||
				identity.HasRole("Writer") ||
				!identity.AuthTime().Equal(now.Add(-time.Minute)) || !identity.IssuedAt().Equal(now) ||
				!identity.ExpiresAt().Equal(now.Add(15*time.Minute)) ||
				identity.ACR() != "aal1" || strings.Join(identity.AMR(), " ") != "pwd" {
				t.Errorf("%s: %+v", alg, identity)
			}
			var email, tenant, sub string
			var verified bool
			if !identity.Claim("email", &email) || email != "ada@example.com" ||
				!identity.Claim("email_verified", &verified) || verified ||
				!identity.Claim("https://example.com/tenant", &tenant) || tenant != "7" {
				t.Errorf("%s: email %q, tenant %q", alg, email, tenant)
			}
			if identity.Claim("sub", &sub) || identity.Claim("Email", &sub) || identity.Claim("email", &verified) {
				t.Errorf("%s: an absent claim was returned", alg)
			}
		}
	}
}

// Callers must not be able to change an identity, because all requests with the same token share it.
func TestAnIdentityIsImmutable(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	in := s.signUpAndSignIn(t, "ada@example.com", "writer")
	v := s.newVerifier(t, nil)
	identity, err := v.Verify(t.Context(), string(in.AccessToken))
	must(t, err)
	identity.Roles()[0] = "admin"
	identity.AMR()[0] = "hwk"
	again, err := v.Verify(t.Context(), string(in.AccessToken))
	must(t, err)
	if again.HasRole("admin") || again.AMR()[0] != "pwd" {
		t.Error("one request changed the identity of another")
	}
}

func TestNewSendsNoRequestAndReadyReportsAnUnreachableIssuer(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	v := s.newVerifier(t, nil)
	if n := s.front.count("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("New sent %d requests", n)
	}
	must(t, v.Ready(t.Context()))
	unreachable := newVerifier(t, "http://127.0.0.1:1", verify.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := unreachable.Ready(ctx); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAClosedVerifierReturnsErrUnavailable(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	in := s.signUpAndSignIn(t, "ada@example.com")
	v := s.newVerifier(t, nil)
	if _, err := v.Verify(t.Context(), string(in.AccessToken)); err != nil {
		t.Fatal(err)
	}
	v.Close()
	v.Close()
	identity, err := v.Verify(t.Context(), string(in.AccessToken))
	if identity != nil || !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("got %v, %v", identity, err)
	}
}

func TestInvalidIssuersAndOptionsAreRejected(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{
		"", "id.example.com", "http://id.example.com", "https://", "https://ada@id.example.com",
		"https://id.example.com?x",
		"https://id.example.com#", "ftp://id.example.com", "://", "http://127.0.0.1.example.com",
	} {
		if _, err := verify.New(issuer, verify.Options{}); err == nil {
			t.Errorf("issuer %q was accepted", issuer)
		}
	}
	for name, options := range map[string]verify.Options{
		"leeway":     {Leeway: 2 * time.Minute},
		"backwards":  {Leeway: -1},
		"secret":     {SigningSecret: []byte("short")},
		"no secret":  {SigningSecret: []byte{}},
		"staleAfter": {StaleAfter: -1},
		"realm":      {Realm: `a"b`},
		"cache":      {CacheSize: 1 << 30},
	} {
		if _, err := verify.New("https://id.example.com", options); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, issuer := range []string{"https://id.example.com", "https://id.example.com/",
		"https://id.example.com/tenant", "http://localhost:8080", "http://[::1]:80",
		"http://id.localhost:8080", "http://LOCALHOST", "http://127.1.2.3"} {
		if _, err := verify.New(issuer, verify.Options{}); err != nil {
			t.Error(err)
		}
	}
}

func TestThePackageLinksNoServerCode(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const ours = "github.com/watchword-auth/watchword"
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		host, _, _ := strings.Cut(path, "/")
		switch {
		case path == ours+"/verify", strings.HasPrefix(path, ours+"/internal/"),
			strings.HasPrefix(path, "github.com/go-jose/go-jose/v4"),
			strings.HasPrefix(path, "golang.org/x/crypto/cryptobyte"): // the standard library has a copy of it
		case strings.HasPrefix(path, "vendor/"), !strings.Contains(host, "."): // the standard library
			if path == "database/sql" || path == "html/template" {
				t.Errorf("links %s", path)
			}
		default:
			t.Errorf("links %s", path)
		}
	}
	if !strings.Contains(string(out), ours+"/internal/accesstoken") {
		t.Errorf("go list did not list the dependencies: %s", out)
	}
}

func notes(w http.ResponseWriter, r *http.Request) {
	identity, ok := verify.FromContext(r.Context())
	if !ok {
		_, _ = w.Write([]byte("nobody"))
		return
	}
	_, _ = w.Write([]byte(identity.Subject()))
}

func TestCommentsOfOptionsStateTheDefaults(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("verify.go")
	must(t, err)
	o := verify.DefaultsOf(verify.Options{})
	for field, value := range map[string]any{
		"Leeway": o.Leeway, "StaleAfter": o.StaleAfter, "CacheSize": o.CacheSize,
	} {
		stated := regexp.MustCompile(`Default: ([^.]+)\.\n(?:\t[^/\n]*\n)*\t` + field + ` `).FindSubmatch(source)
		if stated == nil || strings.ReplaceAll(string(stated[1]), " ", "") != fmt.Sprint(value) {
			t.Errorf("%s: the comment says %q, the default is %v", field, stated, value)
		}
	}
}
