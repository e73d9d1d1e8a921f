package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
)

// A scripted is a provider whose responses a test can change. Without changes, it behaves like a real provider. It
// checks PKCE, so the code of a different attempt fails.
type scripted struct {
	*httptest.Server

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	codes    map[string]url.Values // query of the authorization request, by code
	handed   []string              // secrets that the provider has issued
	user     map[string]any        // claims of the current user
	metadata map[string]any        // members that replace those of the discovery document
	query    func(url.Values)      // if set, changes the parameters of the response
	change   func(map[string]any)  // if set, changes the claims of the ID token
	sign     func(payload []byte) string
	secret   func(string) bool           // checks the client secret in the body; nil: it is in the header
	endpoint map[string]http.HandlerFunc // handlers that replace endpoints, by path
}

func newScripted(t *testing.T) *scripted {
	t.Helper()
	s := &scripted{codes: map[string]url.Values{}, endpoint: map[string]http.HandlerFunc{},
		user: map[string]any{"sub": "ada", "email": "ada@example.com", "email_verified": true, "name": "Ada"}}
	s.rotate(t)
	usual := map[string]http.HandlerFunc{"/authorize": s.authorize, "/token": s.token, "/jwks": s.jwks}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		handle := s.endpoint[r.URL.Path]
		s.mu.Unlock()
		if handle == nil {
			handle = usual[r.URL.Path]
		}
		if handle == nil && strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
			handle = s.discovery
		}
		if handle == nil {
			handle = http.NotFound
		}
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// The method set changes the fields of the provider, even while requests run.
func (s *scripted) set(change func(*scripted)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// The method as sets the claims of the user who signs in next.
func (s *scripted) as(sub, email string, verified any) {
	s.set(func(s *scripted) { s.user = map[string]any{"sub": sub, "email": email, "email_verified": verified} })
}

func (s *scripted) rotate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	s.set(func(s *scripted) { s.key = key })
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (s *scripted) discovery(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	document := map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize",
		"token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/jwks"}
	maps.Copy(document, s.metadata)
	reply(w, document)
}

func (s *scripted) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := rand.Text()
	s.codes[code] = r.URL.Query()
	s.handed = append(s.handed, code)
	answer := url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}}
	if s.query != nil {
		s.query(answer)
	}
	http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (s *scripted) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, known := s.codes[r.FormValue("code")]
	delete(s.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	id, secret, _ := r.BasicAuth()
	plain, _ := url.QueryUnescape(secret)
	if s.secret != nil && s.secret(r.FormValue("client_secret")) {
		id, plain = r.FormValue("client_id"), clientSecret
	}
	if !known || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || id != clientID ||
		plain != clientSecret || asked.Get("redirect_uri") != r.FormValue("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		reply(w, map[string]any{"error": "invalid_grant"})
		return
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": s.URL, "aud": clientID, "iat": now, "exp": now + 300, "nonce": asked.Get("nonce")}
	maps.Copy(claims, s.user)
	if s.change != nil {
		s.change(claims)
	}
	payload, _ := json.Marshal(claims)
	idToken := s.signed(payload)
	access := rand.Text()
	s.handed = append(s.handed, access, idToken, r.FormValue("code_verifier"))
	reply(w, map[string]any{"access_token": access, "token_type": "Bearer", "id_token": idToken})
}

func (s *scripted) signed(payload []byte) string {
	if s.sign != nil {
		return s.sign(payload)
	}
	return jws(jose.ES256, jose.JSONWebKey{Key: s.key, KeyID: "1"}, payload)
}

// jws signs a payload.
func jws(alg jose.SignatureAlgorithm, key any, payload []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		panic(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

func (s *scripted) jwks(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	public := jose.JSONWebKey{Key: &s.key.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}
	reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
}

// withScripted is a setup whose provider "acme" is scripted.
func withScripted(change ...func(*providers.Options)) setup {
	return setup{offers: func(t *testing.T, s *site) []federation.Provider {
		s.acme = newScripted(t)
		return []federation.Provider{client(t, s.url, s.acme.URL, change...)}
	}}
}
