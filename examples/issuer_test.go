package examples_test

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// An issuer is a server whose tokens the examples verify. It can also create tokens that the examples must reject.
type issuer struct {
	url          string
	options      watchword.Options
	store        *sqlite.Store
	session      *watchword.SignIn
	hasCutStream atomic.Bool
}

const password = "seven purple otters"

func newIssuer(t *testing.T, changes ...func(*watchword.Options)) *issuer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	i := &issuer{url: "http://" + listener.Addr().String()}
	i.options = watchword.Options{
		PublicURL: i.url, MasterKey: []byte("a master key for tests, 32 bytes"), Mailer: discardingMailer{}}
	for _, change := range changes {
		change(&i.options)
	}
	i.store, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "watchword.db"))
	must(t, err)
	engine := i.engine(t, i.store, i.options)
	i.session, err = engine.SignUp(t.Context(), watchword.SignUpRequest{Email: "ada@example.com", Password: password})
	must(t, err)
	edge, err := server.New(engine, server.Options{})
	must(t, err)
	var background sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	background.Go(func() { engine.Run(ctx) })
	t.Cleanup(func() { cancel(); background.Wait() })
	web := &http.Server{Handler: i.cutFirstStream(edge)}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close() })
	return i
}

// cutFirstStream cuts the revocation feed once, within an event and within a chunk.
func (i *issuer) cutFirstStream(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/revocations/stream" || i.hasCutStream.Swap(true) {
			next.ServeHTTP(w, r)
			return
		}
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n400\r\ndata: eyJ")
		_ = connection.Close()
	})
}

func (i *issuer) engine(t *testing.T, store *sqlite.Store, options watchword.Options) *watchword.Engine {
	t.Helper()
	engine, err := watchword.New(t.Context(), store, options)
	must(t, err)
	t.Cleanup(engine.Close)
	return engine
}

// issueToken signs in, and returns the access token. The engine of the sign-in has changed options, but the keys of
// the issuer.
func (i *issuer) issueToken(t *testing.T, change func(*watchword.Options)) string {
	t.Helper()
	options := i.options
	change(&options)
	in, err := i.engine(t, i.store, options).Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: password})
	must(t, err)
	return string(in.AccessToken)
}

// invalidTokens are keyed by their fault. A service must reject all of them.
func (i *issuer) invalidTokens(t *testing.T) map[string]string {
	t.Helper()
	good := string(i.session.AccessToken)
	parts := strings.Split(good, ".")
	other, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "other.db"))
	must(t, err)
	t.Cleanup(func() { _ = other.Close() })
	forger := i.options
	if forger.SigningSecret != "" {
		forger.SigningSecret = "another secret, of at least 32 bytes"
	}
	forged, err := i.engine(t, other, forger).SignUp(t.Context(), watchword.SignUpRequest{
		Email: "eve@example.com", Password: password})
	must(t, err)
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	promoted := strings.Replace(string(claims), `"roles":[]`, `"roles":["admin"]`, 1)
	if promoted == string(claims) {
		t.Fatalf("no roles to change in %s", claims)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	return map[string]string{
		"expired": i.issueToken(t, func(o *watchword.Options) {
			o.AccessTTL, o.Now = time.Minute, func() time.Time { return time.Now().Add(-2 * time.Minute) }
		}),
		"for another audience": i.issueToken(t, func(o *watchword.Options) { o.Audience = "https://other.example" }),
		"of another issuer": i.issueToken(t,
			func(o *watchword.Options) { o.PublicURL, o.Audience = "https://other.example", i.url }),
		"signed by another key": string(forged.AccessToken),
		"with other claims": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(promoted)) + "." +
			parts[2],
		"with half a signature": good[:len(good)-len(parts[2])/2],
		"unsigned":              none + "." + parts[1] + ".",
		"no JWT":                "x",
		"a refresh token":       string(i.session.RefreshToken),
	}
}

// getWithToken sends no Authorization header if the token is empty.
func (p process) getWithToken(t *testing.T, path, token string) (status int, challenge, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+path, nil)
	must(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close() //nolint:errcheck // the body was read
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, response.Header.Get("WWW-Authenticate"), string(text)
}

type discardingMailer struct{}

func (discardingMailer) Send(context.Context, watchword.Message) error { return nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
