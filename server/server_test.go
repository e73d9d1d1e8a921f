package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

const (
	goodPassword  = "correct horse battery"
	otherPassword = "a rainbow over the bay"
)

// A service listens on a real port. Its store is a SQLite file in most tests.
type service struct {
	url    string
	engine *watchword.Engine
	server *server.Server
	store  realStore
	mailer *recordingMailer

	document *openAPIDocument
}

func start(t testing.TB, changeEngine func(*watchword.Options), changeServer func(*server.Options)) *service {
	t.Helper()
	return startOnStore(t, openSQLite(t), changeEngine, changeServer)
}

type realStore interface {
	watchword.Store
	Factors() factors.Store
	Federation() federation.Store
	Admin() admin.Store
	Metadata() metadata.Store
}

func openSQLite(t testing.TB) realStore {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlitetest.Path(t, sqlite.Migrate))
	must(t, err)
	return store
}

// onBothStores passes an empty store, which the test must close.
func onBothStores(t *testing.T, test func(*testing.T, realStore)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, openSQLite(t))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		store, err := postgres.Open(t.Context(), pgtest.Migrated(t, postgres.Migrate))
		must(t, err)
		test(t, store)
	})
}

// startOnStore closes the store after the test.
func startOnStore(
	t testing.TB, store realStore, engine func(*watchword.Options), edge func(*server.Options),
) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &service{url: "http://" + listener.Addr().String(), mailer: &recordingMailer{}, store: store}
	options := watchword.Options{
		PublicURL: s.url, Mailer: s.mailer, MasterKey: []byte("a master key for tests, 32 bytes"),
		Limits: watchword.Unlimited(), HashWorkers: 2, HashQueue: time.Minute,
	}
	if engine != nil {
		engine(&options)
	}
	s.engine, err = watchword.New(t.Context(), s.store, options)
	must(t, err)
	edges := server.Options{PublicURL: options.PublicURL}
	if edge != nil {
		edge(&edges)
	}
	s.server, err = server.New(s.engine, edges)
	must(t, err)
	s.document = readDocument(t, s.server, options.PublicURL)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.engine.Run(ctx) })
	handler := func(w http.ResponseWriter, r *http.Request) { s.server.ServeHTTP(w, r) }
	web := &http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute,
		ConnContext: server.WithLengths}
	running.Go(func() { _ = web.Serve(server.WatchLengths(listener)) })
	t.Cleanup(func() {
		_ = web.Close()
		stop()
		running.Wait()
		s.engine.Close()
		_ = s.store.Close()
	})
	return s
}

// A browser is a client with a cookie jar.
type browser struct {
	*http.Client
	t        *testing.T
	url      string
	document *openAPIDocument
}

func (s *service) newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	// Each browser has its own transport. If tests shared http.DefaultTransport, the end of one httptest server would
	// break the connections of other tests.
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, url: s.url, document: s.document, Client: &http.Client{Jar: jar, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type fullResponse struct {
	*http.Response
	raw  []byte
	body map[string]any
}

func (a fullResponse) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

// do sends a same-origin request. The headers are pairs of name and value; an empty value removes a header.
func (b *browser) do(method, path, body string, headers ...string) fullResponse {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	must(b.t, err)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return b.send(r)
}

func (b *browser) send(r *http.Request) fullResponse {
	b.t.Helper()
	response, err := b.Do(r)
	must(b.t, err)
	defer response.Body.Close() //nolint:errcheck // the body has been read
	a := fullResponse{Response: response}
	body := io.Reader(response.Body)
	if response.Header.Get("Content-Type") == "text/event-stream" {
		body = io.LimitReader(body, 1) // a stream has no end
	}
	a.raw, err = io.ReadAll(body)
	must(b.t, err)
	if strings.Contains(response.Header.Get("Content-Type"), "json") && len(a.raw) > 0 {
		if err := json.Unmarshal(a.raw, &a.body); err != nil {
			b.t.Fatalf("%s: %v", a.raw, err)
		}
	}
	b.document.checkResponse(b.t, a)
	return a
}

func (b *browser) post(path string, body map[string]any, headers ...string) fullResponse {
	b.t.Helper()
	text, err := json.Marshal(body)
	must(b.t, err)
	return b.do("POST", "/api/auth"+path, string(text), headers...)
}

func (b *browser) register(email string) (accessToken string) {
	b.t.Helper()
	a := b.post("/register", map[string]any{"email": email, "password": goodPassword, "name": "Ada"})
	wantStatus(b.t, a, 201, "")
	return a.text("accessToken")
}

func authorized(token string) []string { return []string{"Authorization", "Bearer " + token} }

// wantStatus also checks the code and the format of an error.
func wantStatus(t *testing.T, a fullResponse, status int, code watchword.Code) {
	t.Helper()
	if a.StatusCode != status || a.text("code") != string(code) {
		t.Fatalf("%s %s: got %d %s, want %d %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.raw, status,
			code)
	}
	if code == "" {
		return
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json; charset=utf-8" {
		t.Errorf("Content-Type: %s", got)
	}
	if a.text("error") != a.text("detail") || a.text("detail") == "" || a.text("title") == "" ||
		a.text("requestId") != a.Header.Get("X-Request-Id") || a.body["status"] != float64(status) {
		t.Errorf("an incomplete problem: %s", a.raw)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type recordingMailer struct {
	mu    sync.Mutex
	mails []watchword.Message
}

func (p *recordingMailer) Send(_ context.Context, m watchword.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, m)
	return nil
}

// awaitUnseenMail returns the newest mail of the kind whose token is not in seenTokens.
func (p *recordingMailer) awaitUnseenMail(
	t *testing.T, kind watchword.MailKind, seenTokens ...watchword.Secret,
) watchword.Message {
	t.Helper()
	for range 12_000 { // waits at least a minute
		p.mu.Lock()
		for _, m := range slices.Backward(p.mails) {
			if m.Kind == kind && !slices.Contains(seenTokens, m.Token) {
				p.mu.Unlock()
				return m
			}
		}
		p.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no %s mail came", kind)
	return watchword.Message{}
}

func equalAnswers(a, b fullResponse) bool {
	hide := func(x fullResponse) []byte {
		return bytes.ReplaceAll(x.raw, []byte(x.Header.Get("X-Request-Id")), []byte("-"))
	}
	return a.StatusCode == b.StatusCode && bytes.Equal(hide(a), hide(b))
}
