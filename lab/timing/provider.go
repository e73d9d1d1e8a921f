package timing

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// serveCallbacks starts a server and an OpenID provider on loopback. For each address, it starts a sign-in and signs
// in to the provider. The returned Try then sends only the last request, which is the callback.
func serveCallbacks(
	ctx context.Context, e *watchword.Engine, store *sqlite.Store, emails []string,
) (Try, func(), error) {
	campus, err := newProvider()
	if err != nil {
		return nil, nil, err
	}
	site, err := serveWith(e, store, campus.url)
	if err != nil {
		campus.stop()
		return nil, nil, err
	}
	stop := func() { site.stop(); campus.stop() }
	browser := &http.Client{Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	callbacks := map[string]*http.Request{}
	for _, email := range emails {
		if callbacks[email], err = prepareCallback(ctx, browser, site.url, email); err != nil {
			stop()
			return nil, nil, err
		}
	}
	return func(_ context.Context, _ *watchword.Engine, email string, c watchword.Client) error {
		r := callbacks[email]
		r.Header.Set("X-Forwarded-For", c.Address.String())
		response, size, err := sendRequest(browser, r)
		if err != nil {
			return err
		}
		// The callback must redirect to the page that says that a mail was sent.
		if to := response.Header.Get("Location"); to != "/login?why=mailed" || size != 0 {
			return fmt.Errorf("the callback responds with %s to %q and %d bytes", response.Status, to, size)
		}
		return nil
	}, stop, nil
}

// prepareCallback starts a sign-in, signs in to the provider with the address, and returns the request of the
// callback.
func prepareCallback(ctx context.Context, browser *http.Client, site, email string) (*http.Request, error) {
	start, err := requestFor(ctx, site, "/sign-in/campus?page=login")
	if err != nil {
		return nil, err
	}
	started, _, err := sendRequest(browser, start)
	if err != nil {
		return nil, err
	}
	at, err := requestFor(ctx, started.Header.Get("Location"), "&login_hint="+url.QueryEscape(email))
	if err != nil {
		return nil, err
	}
	back, _, err := sendRequest(browser, at)
	if err != nil {
		return nil, err
	}
	to, err := back.Location()
	if err != nil {
		return nil, err
	}
	callback, err := requestFor(ctx, site, to.RequestURI())
	if err != nil {
		return nil, err
	}
	for _, cookie := range started.Cookies() {
		callback.AddCookie(cookie)
	}
	return callback, nil
}

// requestFor returns a request to site. Its Host is that of the engine's public URL, because the server rejects other
// hosts.
func requestFor(ctx context.Context, site, path string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, site+path, nil)
	if err == nil {
		r.Host = "localhost"
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Site", "none")
	}
	return r, err
}

// sendRequest sends a request and reads the body. It returns the response and the length of its body.
func sendRequest(browser *http.Client, r *http.Request) (*http.Response, int64, error) {
	response, err := browser.Do(r)
	if err != nil {
		return nil, 0, err
	}
	size, err := io.Copy(io.Discard, response.Body)
	return response, size, errors.Join(err, response.Body.Close())
}

type runningServer struct {
	url  string
	stop func()
}

func listen(handler http.Handler) (runningServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return runningServer{}, err
	}
	web := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	var running sync.WaitGroup
	running.Go(func() { _ = web.Serve(listener) })
	return runningServer{"http://" + listener.Addr().String(), func() { _ = web.Close(); running.Wait() }}, nil
}

// serveWith starts an HTTP server for an engine. It trusts X-Forwarded-For, so that each call can have a different
// client address and does not reach a limit.
func serveWith(e *watchword.Engine, store *sqlite.Store, issuer string) (runningServer, error) {
	campus, err := providers.New(providers.Options{ID: "campus", Kind: federation.KindOIDC, ClientID: clientID,
		ClientSecret: "secret", RedirectURI: federation.RedirectURI(e.PublicURL(), "campus"), Issuer: issuer})
	if err != nil {
		return runningServer{}, err
	}
	external, err := federation.New(e, store.Federation(),
		federation.Options{Providers: []federation.Provider{campus}})
	if err != nil {
		return runningServer{}, err
	}
	handler, err := server.New(e, server.Options{Federation: external, TrustedProxies: []string{"127.0.0.1"}})
	if err != nil {
		return runningServer{}, err
	}
	return listen(handler)
}

const clientID = "watchword"

// A fakeProvider signs in the user that the parameter login_hint names.
type fakeProvider struct {
	runningServer
	signer jose.Signer
	keys   jose.JSONWebKeySet

	mu             sync.Mutex
	requestsByCode map[string]url.Values // authorization requests
}

func newProvider() (*fakeProvider, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &fakeProvider{requestsByCode: map[string]url.Values{}, keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: key.Public(), KeyID: "1", Algorithm: string(jose.ES256), Use: "sig"}}}}
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		return nil, err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/.well-known/openid-configuration", p.discovery)
	routes.HandleFunc("/authorize", p.authorize)
	routes.HandleFunc("/token", p.token)
	routes.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { reply(w, p.keys) })
	p.runningServer, err = listen(routes)
	return p, err
}

func (p *fakeProvider) discovery(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"issuer": p.url, "authorization_endpoint": p.url + "/authorize",
		"token_endpoint": p.url + "/token", "jwks_uri": p.url + "/jwks"})
}

func (p *fakeProvider) authorize(w http.ResponseWriter, r *http.Request) {
	code, query := rand.Text(), r.URL.Query()
	p.mu.Lock()
	p.requestsByCode[code] = query
	p.mu.Unlock()
	back := url.Values{"code": {code}, "state": {query.Get("state")}}
	http.Redirect(w, r, query.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (p *fakeProvider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	asked := p.requestsByCode[r.FormValue("code")]
	p.mu.Unlock()
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": p.url, "aud": clientID, "sub": asked.Get("login_hint"),
		"email": asked.Get("login_hint"), "email_verified": false, "nonce": asked.Get("nonce"), "iat": now, "exp": now + 300})
	if err != nil {
		panic(err) // unreachable: the map contains only text and numbers
	}
	object, err := p.signer.Sign(claims)
	if err != nil {
		panic(err) // unreachable: the key is for this algorithm
	}
	idToken, err := object.CompactSerialize()
	if err != nil {
		panic(err) // unreachable: a new signature is complete
	}
	reply(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "id_token": idToken})
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
