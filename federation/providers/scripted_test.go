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

// A scriptedProvider has responses that a test can change. Without changes, it behaves like a real provider. It
// checks PKCE, so the code of a different attempt fails.
type scriptedProvider struct {
	*httptest.Server

	mu                sync.Mutex
	key               *ecdsa.PrivateKey
	queryByCode       map[string]url.Values // of the authorization request
	issuedSecrets     []string
	userClaims        map[string]any       // of the current user
	metadataOverrides map[string]any       // replace members of the discovery document
	editResponse      func(url.Values)     // changes the parameters; or nil
	editIDToken       func(map[string]any) // changes the claims; or nil
	sign              func(payload []byte) string
	checkSecret       func(string) bool           // checks a secret in the body; nil: the secret is in the header
	endpointOverrides map[string]http.HandlerFunc // by path
}

func newScriptedProvider(t *testing.T) *scriptedProvider {
	t.Helper()
	s := &scriptedProvider{queryByCode: map[string]url.Values{}, endpointOverrides: map[string]http.HandlerFunc{},
		userClaims: map[string]any{"sub": "ada", "email": "ada@example.com", "email_verified": true, "name": "Ada"}}
	s.rotate(t)
	usual := map[string]http.HandlerFunc{"/authorize": s.authorize, "/token": s.token, "/jwks": s.jwks}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		handle := s.endpointOverrides[r.URL.Path]
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

// update changes fields of the provider. It may be called while requests run.
func (s *scriptedProvider) update(change func(*scriptedProvider)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// setUser sets the claims of the user who signs in next.
func (s *scriptedProvider) setUser(sub, email string, verified any) {
	s.update(func(s *scriptedProvider) {
		s.userClaims = map[string]any{"sub": sub, "email": email, "email_verified": verified}
	})
}

func (s *scriptedProvider) rotate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	s.update(func(s *scriptedProvider) { s.key = key })
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (s *scriptedProvider) discovery(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	document := map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize",
		"token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/jwks"}
	maps.Copy(document, s.metadataOverrides)
	reply(w, document)
}

func (s *scriptedProvider) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := rand.Text()
	s.queryByCode[code] = r.URL.Query()
	s.issuedSecrets = append(s.issuedSecrets, code)
	answer := url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}}
	if s.editResponse != nil {
		s.editResponse(answer)
	}
	http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (s *scriptedProvider) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, known := s.queryByCode[r.FormValue("code")]
	delete(s.queryByCode, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	id, secret, _ := r.BasicAuth()
	plain, _ := url.QueryUnescape(secret)
	if s.checkSecret != nil && s.checkSecret(r.FormValue("client_secret")) {
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
	maps.Copy(claims, s.userClaims)
	if s.editIDToken != nil {
		s.editIDToken(claims)
	}
	payload, _ := json.Marshal(claims)
	idToken := s.signed(payload)
	access := rand.Text()
	s.issuedSecrets = append(s.issuedSecrets, access, idToken, r.FormValue("code_verifier"))
	reply(w, map[string]any{"access_token": access, "token_type": "Bearer", "id_token": idToken})
}

func (s *scriptedProvider) signed(payload []byte) string {
	if s.sign != nil {
		return s.sign(payload)
	}
	return signJWS(jose.ES256, jose.JSONWebKey{Key: s.key, KeyID: "1"}, payload)
}

func signJWS(alg jose.SignatureAlgorithm, key any, payload []byte) string {
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

func (s *scriptedProvider) jwks(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	public := jose.JSONWebKey{Key: &s.key.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}
	reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
}

// withScriptedProvider is a setup whose provider "acme" is a scriptedProvider, site.acme.
func withScriptedProvider(change ...func(*providers.Options)) setup {
	return setup{newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.acme = newScriptedProvider(t)
		return []federation.Provider{newClient(t, s.url, s.acme.URL, change...)}
	}}
}
