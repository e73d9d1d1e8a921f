package verify_test

import (
	"context"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestATokenOfTheServerSaysWhoIsThere(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "Ed25519", "RS256", "HS256"} {
		secret := "a secret that resource servers share"
		s := start(t, func(o *watchword.Options) {
			o.SigningAlg = alg
			o.Claims = watchword.Claims{Email: true, Name: true, Static: map[string]string{"https://example.com/tenant": "7"}}
			if alg == "HS256" {
				o.SigningSecret = watchword.Secret(secret)
			}
		})
		in := s.signUp(t, "ada@example.com", "admin", "writer")
		v := s.verifier(t, func(o *verify.Options) {
			if alg == "HS256" {
				o.SigningSecret = []byte(secret)
			}
		})
		for range 2 { // verified, and remembered
			who, err := v.Verify(t.Context(), string(in.AccessToken))
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			now := s.clock.Now()
			if who.Subject() != string(in.User.ID) || who.SessionID() != string(in.Session.ID) || who.TokenID() == "" ||
				strings.Join(who.Roles(), " ") != "admin writer" || !who.HasRole("writer") || who.HasRole("Writer") ||
				!who.AuthTime().Equal(now.Add(-time.Minute)) || !who.IssuedAt().Equal(now) || !who.ExpiresAt().Equal(now.Add(15*time.Minute)) ||
				who.ACR() != "aal1" || strings.Join(who.AMR(), " ") != "pwd" {
				t.Errorf("%s: %+v", alg, who)
			}
			var email, tenant, sub string
			var verified bool
			if !who.Claim("email", &email) || email != "ada@example.com" || !who.Claim("email_verified", &verified) || verified ||
				!who.Claim("https://example.com/tenant", &tenant) || tenant != "7" {
				t.Errorf("%s: email %q, tenant %q", alg, email, tenant)
			}
			if who.Claim("sub", &sub) || who.Claim("Email", &sub) || who.Claim("email", &verified) {
				t.Errorf("%s: a claim that is not there was given", alg)
			}
		}
	}
}

// An identity is shared by all requests with one token: what one does to it must
// not be seen by another.
func TestAnIdentityCannotBeChanged(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	in := s.signUp(t, "ada@example.com", "writer")
	v := s.verifier(t, nil)
	who, err := v.Verify(t.Context(), string(in.AccessToken))
	must(t, err)
	who.Roles()[0] = "admin"
	who.AMR()[0] = "hwk"
	again, err := v.Verify(t.Context(), string(in.AccessToken))
	must(t, err)
	if again.HasRole("admin") || again.AMR()[0] != "pwd" {
		t.Error("one request has changed the identity of another")
	}
}

func TestNewTalksToNobodyAndReadySaysWhetherItCould(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	v := s.verifier(t, nil)
	if n := s.front.count("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("New has asked %d times", n)
	}
	must(t, v.Ready(t.Context()))
	nobody := newVerifier(t, "http://127.0.0.1:1", verify.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := nobody.Ready(ctx); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAClosedVerifierVerifiesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	in := s.signUp(t, "ada@example.com")
	v := s.verifier(t, nil)
	if _, err := v.Verify(t.Context(), string(in.AccessToken)); err != nil {
		t.Fatal(err)
	}
	v.Close()
	v.Close()
	who, err := v.Verify(t.Context(), string(in.AccessToken))
	if who != nil || !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("got %v, %v", who, err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{
		"", "id.example.com", "http://id.example.com", "https://", "https://ada@id.example.com", "https://id.example.com?x",
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
		"stale":      {OnStale: "maybe"},
		"staleAfter": {StaleAfter: -1},
		"realm":      {Realm: `a"b`},
		"cache":      {CacheSize: 1 << 30},
	} {
		if _, err := verify.New("https://id.example.com", options); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, issuer := range []string{"https://id.example.com", "https://id.example.com/", "https://id.example.com/tenant", "http://localhost:8080", "http://[::1]:80",
		"http://id.localhost:8080", "http://LOCALHOST", "http://127.1.2.3"} {
		if _, err := verify.New(issuer, verify.Options{}); err != nil {
			t.Error(err)
		}
	}
}

func TestAServiceBehindUsLinksNoServer(t *testing.T) {
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
		case path == ours+"/verify", strings.HasPrefix(path, ours+"/internal/"), strings.HasPrefix(path, "github.com/go-jose/go-jose/v4"):
		case strings.HasPrefix(path, "vendor/"), !strings.Contains(host, "."): // the standard library
			if path == "database/sql" || path == "html/template" {
				t.Errorf("links %s", path)
			}
		default:
			t.Errorf("links %s", path)
		}
	}
	if !strings.Contains(string(out), ours+"/internal/accesstoken") {
		t.Errorf("this is not the list of what is linked: %s", out)
	}
}

func notes(w http.ResponseWriter, r *http.Request) {
	who, ok := verify.FromContext(r.Context())
	if !ok {
		_, _ = w.Write([]byte("nobody"))
		return
	}
	_, _ = w.Write([]byte(who.Subject()))
}
