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

// An issuer publishes keys whose private halves the test knows. The test can therefore sign tokens with any claims.
type issuer struct {
	url   string
	clock *clock

	mu       sync.Mutex
	keys     []accesstoken.Key
	answers  map[string]func(http.ResponseWriter) // by path; they override the default responses
	asked    map[string]int
	cacheFor string
}

func newIssuer(t testing.TB, keys ...accesstoken.Key) *issuer {
	t.Helper()
	i := newFakeIssuer(keys...)
	web := httptest.NewServer(i)
	t.Cleanup(web.Close)
	i.url = web.URL
	return i
}

// newFakeIssuer returns an issuer that needs no network, for tests in synthetic time. It implements
// http.RoundTripper, and the clients of the test send their requests to it directly.
func newFakeIssuer(keys ...accesstoken.Key) *issuer {
	return &issuer{url: "https://id.example.com", clock: newClock(), keys: keys,
		answers: map[string]func(http.ResponseWriter){}, asked: map[string]int{}}
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	return w.Result(), nil
}

// fakeVerifier returns a verifier for a fake issuer. The caller closes it.
func (i *issuer) fakeVerifier(t testing.TB, options verify.Options) *verify.Verifier {
	t.Helper()
	options.Now, options.HTTPClient = i.clock.Now, &http.Client{Transport: i}
	v, err := verify.New(i.url, options)
	must(t, err)
	return v
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked[r.URL.Path]++
	if answer, ok := i.answers[r.URL.Path]; ok {
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

func (i *issuer) answer(path string, status int, body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answers[path] = func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// restore removes the responses that override the default responses.
func (i *issuer) restore() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.answers)
}

func (i *issuer) publish(keys ...accesstoken.Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

func (i *issuer) verifier(t testing.TB) *verify.Verifier {
	t.Helper()
	return newVerifier(t, i.url, verify.Options{Now: i.clock.Now})
}

func (i *issuer) claims() accesstoken.Claims {
	now := i.clock.Now().Unix()
	return accesstoken.Claims{
		Issuer: i.url, Audience: accesstoken.Audience{i.url}, Subject: "ada", SessionID: "s1", ID: "t1",
		IssuedAt: now, NotBefore: now, Expires: now + 900, AuthTime: now,
		Roles: []string{"writer"}, AMR: []string{"pwd"}, ACR: "aal1",
	}
}

func (i *issuer) sign(t testing.TB, k accesstoken.Key, change func(*accesstoken.Claims)) string {
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

// signed returns a token that is signed with ES256. Its header and payload are the given texts, which may be invalid.
func signed(t testing.TB, k accesstoken.Key, header, payload string) string {
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
