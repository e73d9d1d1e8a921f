package providers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// Requests to a provider have these bounds: 5 seconds, 1 MiB, no redirects.

// If a provider hangs, its users must wait for only one timeout, and other users must not wait.
//
// SW-16
func TestHangingProviderDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	hang := func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_ = r.FormValue("code") // a server notices a disconnect only after it has read the body
		<-r.Context().Done()
	}
	s := onSQLite(t, setup{newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.acme = newScriptedProvider(t)
		s.acme.endpointOverrides["/.well-known/openid-configuration"] = hang
		return []federation.Provider{newClient(t, s.url, s.acme.URL)}
	}})
	if n := asked.Load(); n != 0 {
		t.Errorf("the start of the server sent %d requests", n)
	}
	slow := onSQLite(t, withScriptedProvider())
	b := newBrowser(t)
	at := b.signInAtProvider(slow, "acme", "")
	slow.acme.update(func(p *scriptedProvider) {
		p.endpointOverrides["/token"] = func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, "{") // the response begins but never ends
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}
	})

	var waiting sync.WaitGroup
	for range 10 {
		waiting.Go(func() {
			newBrowser(t).get(s.url+"/sign-in/acme").assertLoginError(t, federation.CodeProviderUnavailable)
		})
	}
	waiting.Go(func() { b.get(at).assertLoginError(t, federation.CodeProviderUnavailable) })
	if p := newBrowser(t).get(s.url + "/login"); p.StatusCode != 200 {
		t.Errorf("the sign-in page: %d", p.StatusCode)
	}
	waiting.Wait()
	// Users who wait for a hanging endpoint at the same time must share one request to it.
	if n := asked.Load(); n != 2 {
		t.Errorf("the provider got %d requests, want one for each endpoint", n)
	}
}

// The limits must apply to the responses of every endpoint of a provider. A redirect must fail, because it would send
// the client secret, the code or an access token to another host.
//
// SW-16
func TestEachEndpointOfAProviderIsBounded(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(elsewhere.Close)
	broken := map[string]http.HandlerFunc{
		"503":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<!doctype html>") },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"2 MiB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = fmt.Fprintf(w, `{"x":"%s"}`, strings.Repeat("x", 2<<20))
		},
		"an empty object": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			reply(w, map[string]string{})
		},
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/push", "/token", "/jwks", "/userinfo"} {
		for name, handle := range broken {
			if path == "/jwks" && name == "2 MiB" {
				continue // the response has no keys, so it fails even without a size limit
			}
			acme := newScriptedProvider(t)
			acme.metadataOverrides = map[string]any{"userinfo_endpoint": acme.URL + "/userinfo"}
			if path == "/push" {
				acme.metadataOverrides["pushed_authorization_request_endpoint"] = acme.URL + path
				acme.metadataOverrides["require_pushed_authorization_requests"] = true
			}
			acme.userClaims = map[string]any{"sub": "ada"} // without an address, so the client must request userinfo
			acme.endpointOverrides[path] = handle
			p := newClient(t, "http://localhost", acme.URL)
			attempt := federation.Attempt{State: "state", Nonce: "nonce", Verifier: strings.Repeat("v", 43)}
			address, err := p.AuthURL(t.Context(), attempt)
			if err == nil {
				_, err = p.Exchange(t.Context(), attempt, federation.Response{Code: acme.authorizationCode(t, address)})
			}
			if err == nil {
				t.Errorf("%s responds with %s, and the sign-in works", path, name)
				continue
			}
			text := err.Error()
			if strings.Contains(text, clientSecret) || strings.Contains(text, attempt.Verifier) {
				t.Errorf("%s, %s: the error has a secret: %s", path, name, text)
			}
		}
	}
	if reached.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func (s *scriptedProvider) authorizationCode(t *testing.T, address string) watchword.Secret {
	t.Helper()
	to := newBrowser(t).get(address)
	at, err := to.Location()
	must(t, err)
	return watchword.Secret(at.Query().Get("code"))
}

// Claims must have the issuer of the settings, and userinfo must have the subject of the ID token.
//
// SW-10
func TestDocumentsOfAnotherIssuerOrUserAreRefused(t *testing.T) {
	t.Parallel()
	acme := newScriptedProvider(t)
	acme.userClaims = map[string]any{"sub": "ada"}
	acme.metadataOverrides = map[string]any{"userinfo_endpoint": acme.URL + "/userinfo"}
	signIn := func() (federation.Claims, error) {
		p := newClient(t, "http://localhost", acme.URL)
		attempt := federation.Attempt{State: "state", Nonce: "nonce", Verifier: strings.Repeat("v", 43)}
		address, err := p.AuthURL(t.Context(), attempt)
		if err != nil {
			return federation.Claims{}, err
		}
		return p.Exchange(t.Context(), attempt, federation.Response{Code: acme.authorizationCode(t, address)})
	}
	for sub, works := range map[string]bool{"ada": true, "mallory": false, "": false} {
		acme.update(func(p *scriptedProvider) {
			p.endpointOverrides["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"sub": sub, "email": "ada@example.com", "email_verified": true})
			}
		})
		claims, err := signIn()
		if (err == nil) != works || (claims.Email == "ada@example.com") != works {
			t.Errorf("userinfo of %q: %+v, %v", sub, claims, err)
		}
	}
	acme.update(func(p *scriptedProvider) {
		p.endpointOverrides["/.well-known/openid-configuration"] = func(w http.ResponseWriter, r *http.Request) {
			p.discovery(htmlWriter{w}, r)
		}
	})
	if _, err := signIn(); err == nil || !strings.Contains(err.Error(), "instead of JSON") {
		t.Errorf("a document as text/html: %v", err)
	}
	acme.update(func(p *scriptedProvider) { delete(p.endpointOverrides, "/.well-known/openid-configuration") })
	for member, value := range map[string]string{
		"issuer": acme.URL + "/", "token_endpoint": "http://idp.example/token", "jwks_uri": "http://idp.example/jwks",
		"authorization_endpoint": "javascript:alert(1)", "userinfo_endpoint": "http://idp.example/userinfo",
	} {
		acme.update(func(p *scriptedProvider) { p.metadataOverrides = map[string]any{member: value} })
		if _, err := signIn(); err == nil || !strings.Contains(err.Error(), "discovery: ") {
			t.Errorf("%s %q: %v", member, value, err)
		}
	}
}

// An htmlWriter overwrites the Content-Type of a response with text/html.
type htmlWriter struct{ http.ResponseWriter }

func (w htmlWriter) Write(p []byte) (int, error) {
	w.Header().Set("Content-Type", "text/html")
	return w.ResponseWriter.Write(p)
}

// Errors of libraries quote what a provider sends. The log entry of a failure must be short, and name the provider.
func TestLogOfAFailedProviderIsShort(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("é", 1<<19-100)
	for path, handle := range map[string]http.HandlerFunc{
		"/jwks": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = fmt.Fprint(w, large)
		},
		"/token": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": large})
		},
		"/.well-known/openid-configuration": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, map[string]any{"issuer": large})
		},
	} {
		s := onSQLite(t, withScriptedProvider())
		s.acme.update(func(p *scriptedProvider) { p.endpointOverrides[path] = handle })
		_, at := newBrowser(t).followRedirects(s.url+"/sign-in/acme?page=login", s.url+"/login")
		if log := s.log.String(); len(log) > 8<<10 || !strings.Contains(log, "a provider failed") ||
			!strings.Contains(log, "provider=acme") || !utf8.ValidString(log) || strings.Contains(log, `\x`) {
			t.Errorf("%s: the browser is at %s, and the log has %d bytes: %.3000s", path, at, len(log), log)
		}
	}
}
