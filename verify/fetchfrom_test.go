package verify_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/verify"
)

// HTTP-14
func TestFetchFromAnInternalAddress(t *testing.T) {
	t.Parallel()
	const public = "https://id.example.com"
	s := startServer(t, func(o *watchword.Options) { o.PublicURL, o.Now = public, nil })
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.engine.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	in := s.signUpAndSignIn(t, "ada@example.com")

	v := newVerifier(t, public, verify.Options{FetchFrom: s.url, FailClosed: true})
	within, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	must(t, v.Ready(within))
	identity, err := v.Verify(within, string(in.AccessToken))
	must(t, err)
	if identity.Subject() != string(in.User.ID) {
		t.Errorf("subject %s, want %s", identity.Subject(), in.User.ID)
	}
	must(t, s.engine.Logout(t.Context(), in.RefreshToken, "", watchword.Client{}))
	for err == nil && within.Err() == nil {
		time.Sleep(10 * time.Millisecond)
		_, err = v.Verify(within, string(in.AccessToken))
	}
	if !errors.Is(err, verify.ErrRevoked) {
		t.Fatalf("after the logout: %v", err)
	}
	for _, path := range []string{
		"/.well-known/openid-configuration", "/.well-known/jwks.json", "/revocations/stream",
	} {
		if s.front.count(path) == 0 {
			t.Errorf("%s was not fetched from FetchFrom", path)
		}
	}
}

func TestFetchFromMustServeTheConfiguredIssuer(t *testing.T) {
	t.Parallel()
	other := newIssuer(t, newKey(t, accesstoken.ES256))
	v := newVerifier(t, "https://id.example.com", verify.Options{FetchFrom: other.url})
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	err := v.Ready(ctx)
	if !errors.Is(err, verify.ErrUnavailable) {
		t.Fatal(err)
	}
	if text := err.Error(); !strings.Contains(text, `of issuer "`+other.url+`", not of "https://id.example.com"`) {
		t.Error(text)
	}
}

// With FetchFrom, the verifier must use only the paths of the URLs in the metadata, because their host may be
// unreachable.
func TestFetchFromKeepsThePathsOfTheMetadata(t *testing.T) {
	t.Parallel()
	i := newFakeIssuer(newKey(t, accesstoken.ES256))
	i.url = "https://id.example.com/tenant"
	i.answer("/tenant/.well-known/openid-configuration", 404, "")
	i.answer("/.well-known/oauth-authorization-server/tenant", 200,
		`{"issuer":"https://id.example.com/tenant","jwks_uri":"https://id.example.com/tenant/keys?v=2"}`)
	i.answer("/tenant/keys", 200, string(accesstoken.JWKS(i.keys)))
	hosts := map[string]bool{}
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		i.mu.Lock()
		hosts[r.URL.Scheme+"://"+r.URL.Host] = true
		if r.URL.Path == "/tenant/keys" && r.URL.RawQuery != "v=2" {
			t.Errorf("query %q", r.URL.RawQuery)
		}
		i.mu.Unlock()
		return i.RoundTrip(r)
	})}
	v := newVerifier(t, i.url, verify.Options{FetchFrom: "http://watchword:8080", HTTPClient: client, Now: i.clock.Now})
	must(t, v.Ready(t.Context()))
	_, err := v.Verify(t.Context(), i.sign(t, i.keys[0], nil))
	must(t, err)
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(hosts) != 1 || !hosts["http://watchword:8080"] {
		t.Errorf("fetched from %v", hosts)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestFetchFromIsSchemeAndHost(t *testing.T) {
	t.Parallel()
	for address, valid := range map[string]bool{
		"http://watchword:8080": true, "https://id.internal": true, "http://10.0.0.7": true,
		"http://[fd00::7]:8080": true,
		"watchword:8080":        false, "http://watchword:8080/": false, "http://watchword/x": false,
		"http://watchword?x": false, "http://watchword#x": false,
		"http://me:weak-password@watchword": false, "ftp://watchword": false, "http://": false, "http://:8080": false,
		"//watchword": false,
	} {
		v, err := verify.New("https://id.example.com", verify.Options{FetchFrom: address})
		if (err == nil) != valid {
			t.Errorf("%s: %v", address, err)
		}
		if err == nil {
			v.Close()
		} else if !strings.Contains(err.Error(), "Options.FetchFrom") ||
			strings.Contains(err.Error(), "weak-password") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
