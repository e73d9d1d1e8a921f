package providers_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
	"github.com/watchword-auth/watchword/internal/npmtest"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

const (
	password     = "correct horse battery"
	clientID     = "watchword"
	clientSecret = "a client secret for tests"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A site is a complete server on a real port and a real store.
type site struct {
	url         string
	engine      *watchword.Engine
	store       realStore
	federation  *federation.Manager
	mails       chan watchword.Message
	log         *safeLog
	racingStore *racingStore // nil unless setup.hasRaces
	storeLocation
	realProvider *realProvider     // set by withRealProvider
	acme         *scriptedProvider // set by withScriptedProvider
	evil         *scriptedProvider // a second scripted provider
}

type realStore interface {
	watchword.Store
	Factors() factors.Store
	Federation() federation.Store
}

// A safeLog can be read while it is written.
type safeLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (s *site) Send(_ context.Context, m watchword.Message) error { s.mails <- m; return nil }

// awaitMail returns the next mail of the kind, and skips mails of other kinds.
func (s *site) awaitMail(t *testing.T, kind watchword.MailKind) watchword.Message {
	t.Helper()
	for {
		select {
		case m := <-s.mails:
			if m.Kind == kind {
				return m
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("there was no mail %s", kind)
		}
	}
}

// A setup describes the site of a test. The site already listens when newProviders runs, so newProviders can use the
// URL of the site.
type setup struct {
	newProviders func(t *testing.T, s *site) []federation.Provider
	changeEngine func(*watchword.Options)
	changeServer func(*server.Options)
	linkProven   bool
	httpsHost    string // default: http on localhost
	onRequest    func(*http.Request)
	hasRaces     bool
}

var storeKinds = []string{"sqlite", "postgres"}

func onBothStores(t *testing.T, s setup, test func(*testing.T, *site)) {
	t.Helper()
	t.Parallel()
	for _, store := range storeKinds {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			test(t, startSite(t, store, s))
		})
	}
}

func startSite(t *testing.T, store string, s setup) *site {
	t.Helper()
	if store == "sqlite" {
		return onSQLite(t, s)
	}
	address := pgtest.Migrated(t, postgres.Migrate)
	opened, err := postgres.Open(t.Context(), address)
	must(t, err)
	return newSite(t, opened, storeLocation{postgres: address}, s)
}

func onSQLite(t *testing.T, s setup) *site {
	t.Helper()
	path := sqlitetest.Path(t, sqlite.Migrate)
	store, err := sqlite.Open(t.Context(), path)
	must(t, err)
	return newSite(t, store, storeLocation{sqlite: path}, s)
}

// A storeLocation has exactly one field set.
type storeLocation struct{ sqlite, postgres string }

func (p storeLocation) dumpRows(t *testing.T) string {
	t.Helper()
	row, list := "*", "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
	if p.postgres != "" {
		row = "x::text"
		list = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name"
	}
	var text strings.Builder
	for _, table := range p.queryRows(t, list) {
		fmt.Fprintln(&text, table, p.queryRows(t, `SELECT `+row+` FROM "`+table[0]+`" AS x`))
	}
	return text.String()
}

func (p storeLocation) queryRows(t *testing.T, query string) (all [][]string) {
	t.Helper()
	driver, source := "sqlite", p.sqlite
	if p.postgres != "" {
		driver, source = "pgx", p.postgres
	}
	db, err := sql.Open(driver, source)
	must(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values, targets := make([]sql.RawBytes, len(names)), make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		must(t, rows.Scan(targets...))
		row := make([]string, len(names))
		for i, value := range values {
			row[i] = string(value)
		}
		all = append(all, row)
	}
	must(t, rows.Err())
	return all
}

// countLiveSessions counts the sessions of all users.
func (p storeLocation) countLiveSessions(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(p.queryRows(t, "SELECT COUNT(*) FROM sessions WHERE ended_at = 0")[0][0])
	must(t, err)
	return n
}

func newSite(t *testing.T, store realStore, at storeLocation, with setup) *site {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	// All ports of a host share cookies, so the site and the providers have different hosts.
	origin := "http://localhost:"
	if with.httpsHost != "" {
		origin = "https://" + with.httpsHost + ":"
	}
	s := &site{url: origin + port, store: store, storeLocation: at,
		mails: make(chan watchword.Message, 100), log: &safeLog{}}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	options := engineOptions(s.url)
	options.Mailer, options.Log = s, log
	if with.changeEngine != nil {
		with.changeEngine(&options)
	}
	s.engine, err = watchword.New(t.Context(), store, options)
	must(t, err)
	external := store.Federation()
	if with.hasRaces {
		s.racingStore = &racingStore{Store: external}
		external = s.racingStore
	}
	s.federation, err = federation.New(s.engine, external,
		federation.Options{Providers: with.newProviders(t, s), LinkProven: with.linkProven})
	must(t, err)
	edge := server.Options{Federation: s.federation, Log: log,
		Factors: factors.New(s.engine, store.Factors(), factors.Options{})}
	if with.changeServer != nil {
		with.changeServer(&edge)
	}
	handler, err := server.New(s.engine, edge)
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.engine.Run(ctx) })
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}}
	if with.onRequest != nil {
		web.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			with.onRequest(r)
			handler.ServeHTTP(w, r)
		})
	}
	if with.httpsHost == "" {
		web.Start()
	} else {
		web.StartTLS()
	}
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		stop()
		running.Wait()
		s.engine.Close()
		_ = store.Close()
	})
	return s
}

// engineOptions are the same for all processes of a site.
func engineOptions(url string) watchword.Options {
	return watchword.Options{PublicURL: url, Mailer: discardMailer{},
		MasterKey: []byte("a master key for tests, 32 bytes"), Limits: watchword.Unlimited(), HashWorkers: 2,
		HashQueue: time.Minute}
}

type discardMailer struct{}

func (discardMailer) Send(context.Context, watchword.Message) error { return nil }

// A browser keeps cookies. It follows a redirect only if a test says so.
type browser struct {
	*http.Client
	t *testing.T
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	// Each browser has its own transport: when an httptest server closes, it also closes the connections of
	// http.DefaultTransport, which other tests would use.
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, Client: &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type page struct {
	*http.Response
	text string
}

func (p page) location() string { return p.Header.Get("Location") }

func (b *browser) send(r *http.Request) page {
	b.t.Helper()
	response, err := b.Do(r)
	must(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(b.t, err)
	return page{response, string(text)}
}

func (b *browser) get(address string) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	must(b.t, err)
	r.Header.Set("Accept", "text/html,application/json")
	r.Header.Set("Sec-Fetch-Site", "none")
	return b.send(r)
}

func (b *browser) post(address string, form url.Values) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.send(r)
}

// followRedirects stops at a page, or before it opens a URL that begins with stopPrefix.
func (b *browser) followRedirects(address, stopPrefix string) (page, string) {
	b.t.Helper()
	for range 20 {
		if stopPrefix != "" && strings.HasPrefix(address, stopPrefix) {
			return page{}, address
		}
		p := b.get(address)
		if p.StatusCode < 300 || p.StatusCode > 399 {
			return p, address
		}
		from, err := url.Parse(address)
		must(b.t, err)
		to, err := from.Parse(p.location())
		must(b.t, err)
		address = to.String()
	}
	b.t.Fatal("too many redirects")
	return page{}, ""
}

// signInAtProvider returns the URL of the provider's response. It does not open that URL.
func (b *browser) signInAtProvider(s *site, provider, query string) string {
	b.t.Helper()
	p, at := b.followRedirects(s.url+"/sign-in/"+provider+query, federation.RedirectURI(s.url, provider))
	if p.Response != nil {
		b.t.Fatalf("the provider responds with %d at %s: %s", p.StatusCode, at, p.text)
	}
	return at
}

// readAccount returns the account of the browser's session, and an access token. It calls the API like a front-end.
func (b *browser) readAccount(s *site) (user map[string]any, access string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, s.url+"/api/auth/refresh", nil)
	must(b.t, err)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	p := b.send(r)
	if p.StatusCode != http.StatusOK {
		return nil, ""
	}
	body := parse[struct {
		User        map[string]any
		AccessToken string
	}](b.t, p.text)
	return body.User, body.AccessToken
}

// A realProvider is a running oidc-provider (npm) in a separate process.
type realProvider struct{ issuer string }

var install = sync.OnceValue(func() error { return npmtest.Install("testdata/op") })

// newRealProvider takes the behaviour as JSON, as provider.mjs describes it.
func newRealProvider(t *testing.T, redirectURI, behaviour string) *realProvider {
	t.Helper()
	return startRealProvider(t, clientSecret, redirectURI, behaviour)
}

func startRealProvider(t *testing.T, secret, redirectURI, behaviour string) *realProvider {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the provider of npm is not run")
	}
	npmtest.Require(t)
	must(t, install())
	cmd := exec.Command("node", "provider.mjs", clientID, secret, redirectURI, behaviour)
	cmd.Dir, cmd.Stderr = filepath.Join("testdata", "op"), t.Output()
	return &realProvider{startAndReadLine(t, cmd)}
}

// startAndReadLine returns the first line of the program's output. The program ends with the test.
func startAndReadLine(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s has ended, or printed no line within a minute: %v", cmd.Path, err)
	}
	return strings.TrimSpace(line)
}

// withRealProvider is a setup whose provider "acme" is npm's oidc-provider.
func withRealProvider(change ...func(*providers.Options)) setup {
	return withBehaviour(`{}`, change...)
}

// withBehaviour is withRealProvider with a behaviour, as provider.mjs describes it.
func withBehaviour(behaviour string, change ...func(*providers.Options)) setup {
	return setup{newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.realProvider = newRealProvider(t, federation.RedirectURI(s.url, "acme"), behaviour)
		return []federation.Provider{newClient(t, s.url, s.realProvider.issuer, change...)}
	}}
}

// configure changes the current user (/test/user) or the keys (/test/keys).
func (h *realProvider) configure(t *testing.T, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, h.issuer+path, strings.NewReader(body))
	must(t, err)
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
}

func newClient(t *testing.T, siteURL, issuer string, change ...func(*providers.Options)) federation.Provider {
	t.Helper()
	o := acmeOptions(siteURL, issuer)
	for _, c := range change {
		c(&o)
	}
	p, err := providers.New(o)
	must(t, err)
	return p
}

func acmeOptions(siteURL, issuer string) providers.Options {
	return providers.Options{ID: "acme", Kind: federation.KindOIDC, Name: "Acme", ClientID: clientID,
		ClientSecret: clientSecret, RedirectURI: federation.RedirectURI(siteURL, "acme"), Issuer: issuer,
		TrustEmail: true}
}
