package verify_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/verify"
)

// A fakeIssuer publishes keys whose private keys the test knows. The test can therefore sign tokens with any claims.
type fakeIssuer struct {
	url   string
	clock *fakeClock

	mu              sync.Mutex
	keys            []accesstoken.Key
	customResponses map[string]func(http.ResponseWriter) // by path
	requestCounts   map[string]int
	cacheFor        string
}

func newIssuer(t testing.TB, keys ...accesstoken.Key) *fakeIssuer {
	t.Helper()
	i := newFakeIssuer(keys...)
	web := httptest.NewServer(i)
	t.Cleanup(web.Close)
	i.url = web.URL
	return i
}

// newFakeIssuer returns an issuer for tests in synthetic time. It needs no network: it implements http.RoundTripper,
// and the clients of the test send their requests to it directly.
func newFakeIssuer(keys ...accesstoken.Key) *fakeIssuer {
	return &fakeIssuer{url: "https://id.example.com", clock: newClock(), keys: keys,
		customResponses: map[string]func(http.ResponseWriter){}, requestCounts: map[string]int{}}
}

func (i *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	return w.Result(), nil
}

// The caller closes the verifier.
func (i *fakeIssuer) verifierWithoutNetwork(t testing.TB, options verify.Options) *verify.Verifier {
	t.Helper()
	options.Now, options.HTTPClient = i.clock.Now, &http.Client{Transport: i}
	v, err := verify.New(i.url, options)
	must(t, err)
	return v
}

func (i *fakeIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requestCounts[r.URL.Path]++
	if answer, ok := i.customResponses[r.URL.Path]; ok {
		answer(w)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.url, i.url+"/jwks")
	case "/jwks":
		w.Header().Set("Cache-Control", i.cacheFor)
		_, _ = w.Write(accesstoken.JWKS(i.keys))
	default:
		http.NotFound(w, r)
	}
}

func (i *fakeIssuer) answer(path string, status int, body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.customResponses[path] = func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func (i *fakeIssuer) restoreDefaultResponses() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.customResponses)
}

func (i *fakeIssuer) publish(keys ...accesstoken.Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *fakeIssuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requestCounts[path]
}

func (i *fakeIssuer) verifier(t testing.TB) *verify.Verifier {
	t.Helper()
	return newVerifier(t, i.url, verify.Options{Now: i.clock.Now})
}

func (i *fakeIssuer) claims() accesstoken.Claims {
	now := i.clock.Now().Unix()
	return accesstoken.Claims{
		Issuer: i.url, Audience: accesstoken.Audience{i.url}, Subject: "ada", SessionID: "s1", ID: "t1",
		IssuedAt: now, NotBefore: now, Expires: now + 900, AuthTime: now,
		Roles: []string{"writer"}, AMR: []string{"pwd"}, ACR: "aal1",
	}
}

func (i *fakeIssuer) sign(t testing.TB, k accesstoken.Key, change func(*accesstoken.Claims)) string {
	t.Helper()
	c := i.claims()
	if change != nil {
		change(&c)
	}
	token, err := accesstoken.Sign(k, c)
	must(t, err)
	return token
}

func newKey(t testing.TB, alg string) accesstoken.Key {
	t.Helper()
	k, err := accesstoken.GenerateKey(alg)
	must(t, err)
	return k
}

// The header and the payload may be invalid.
func signES256(t testing.TB, k accesstoken.Key, header, payload string) string {
	t.Helper()
	der, err := accesstoken.MarshalKey(k)
	must(t, err)
	private, err := x509.ParsePKCS8PrivateKey(der)
	must(t, err)
	input := encoded(header) + "." + encoded(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(nil, private.(*ecdsa.PrivateKey), digest[:])
	must(t, err)
	return input + "." + encoded(string(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)))
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func inJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}

func parts(token string) (header, payload, signature string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}
