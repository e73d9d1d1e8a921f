package verify_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/verify"
)

const goodPassword = "correct horse battery"

type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *fakeClock { return &fakeClock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A testServer is a real server on a real port, with a SQLite file.
type testServer struct {
	url    string
	engine *watchword.Engine
	clock  *fakeClock
	front  *countingProxy

	store   *sqlite.Store
	options watchword.Options
	edge    *server.Server
}

// A countingProxy counts requests by path.
type countingProxy struct {
	http.Handler
	mu            sync.Mutex
	requestCounts map[string]int
}

func (f *countingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requestCounts[r.URL.Path]++
	f.mu.Unlock()
	f.Handler.ServeHTTP(w, r)
}

func (f *countingProxy) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requestCounts[path]
}

// startServer uses its own keys for each server. changeOptions may be nil.
func startServer(t testing.TB, changeOptions func(*watchword.Options)) *testServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &testServer{url: "http://" + listener.Addr().String(), clock: newClock()}
	store, err := sqlite.Open(context.Background(), sqlitetest.Path(t, sqlite.Migrate))
	must(t, err)
	options := watchword.Options{
		PublicURL: s.url, Mailer: noMail{}, MasterKey: []byte("a master key for tests, 32 bytes"),
		Limits: watchword.Unlimited(), HashQueue: time.Minute, Now: s.clock.Now,
	}
	if changeOptions != nil {
		changeOptions(&options)
	}
	s.store, s.options = store, options
	s.engine, err = watchword.New(context.Background(), store, options)
	must(t, err)
	s.edge, err = server.New(s.engine, server.Options{PublicURL: options.PublicURL})
	must(t, err)
	s.front = &countingProxy{Handler: s.edge, requestCounts: map[string]int{}}
	web := &http.Server{Handler: s.front, ReadHeaderTimeout: time.Minute}
	var running sync.WaitGroup
	running.Go(func() { _ = web.Serve(listener) })
	t.Cleanup(func() {
		_ = web.Close()
		running.Wait()
		s.engine.Close()
		_ = store.Close()
	})
	return s
}

func (s *testServer) signUpAndSignIn(t testing.TB, email string, roles ...string) *watchword.SignIn {
	t.Helper()
	ctx := context.Background()
	in, err := s.engine.SignUp(ctx, watchword.SignUpRequest{Email: email, Password: goodPassword, Name: "Ada"})
	must(t, err)
	if len(roles) > 0 {
		_, err = s.engine.Operator().SetRoles(ctx, in.User.ID, roles)
		must(t, err)
		s.clock.advance(time.Minute)
		in, err = s.engine.Refresh(ctx, in.RefreshToken, watchword.Client{})
		must(t, err)
	}
	return in
}

// The verifier has the server's clock.
func (s *testServer) newVerifier(t testing.TB, change func(*verify.Options)) *verify.Verifier {
	t.Helper()
	options := verify.Options{Now: s.clock.Now}
	if change != nil {
		change(&options)
	}
	return newVerifier(t, s.url, options)
}

func newVerifier(t testing.TB, issuer string, options verify.Options) *verify.Verifier {
	t.Helper()
	v, err := verify.New(issuer, options)
	must(t, err)
	t.Cleanup(v.Close)
	return v
}

type noMail struct{}

func (noMail) Send(context.Context, watchword.Message) error { return nil }

type answer struct {
	*http.Response
	body      map[string]any
	raw       string
	errorCode string
}

// serveGet serves the handler on a real port. headers alternates names and values.
func serveGet(t testing.TB, handler http.Handler, headers ...string) answer {
	t.Helper()
	web := httptest.NewServer(handler)
	defer web.Close()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, web.URL+"/notes", nil)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	return send(t, web.Client(), r)
}

func send(t testing.TB, client *http.Client, r *http.Request) answer {
	t.Helper()
	response, err := client.Do(r)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	must(t, err)
	a := answer{Response: response, raw: string(raw)}
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		must(t, json.Unmarshal(raw, &a.body))
		a.errorCode, _ = a.body["code"].(string)
	}
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
