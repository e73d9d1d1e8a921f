package factors_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/postgres"
)

// These tests count the SQL statements of a sign-in in the log of PostgreSQL. docs/factors.md lists the statements.

// maxExtraStatements bounds the additional SQL statements of a sign-in with a second factor.
const maxExtraStatements = 8

// statementsWithoutFactor is the number of SQL statements of a sign-in without a second factor. The number was the
// same before the server had second factors.
const statementsWithoutFactor = 11

// The count includes the statements that read the user's factors for the response.
func TestSignInWithAFactorRunsFewStatements(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t, "fsync = off", "log_statement = all", "logging_collector = on", "log_filename = 'all.log'",
		"log_line_prefix = '~~'")
	url := cluster.Database(t)
	_, err := postgres.Migrate(t.Context(), url)
	must(t, err)
	store, err := postgres.Open(t.Context(), url)
	must(t, err)
	r := newRig(t, store)
	api := newAPI(t, r)
	log := newStatementLog(t, url)
	a := r.createAccount(t, "ada@example.com")
	plain := log.shortestRun(t, func() { api.sendPassword(a, http.StatusOK) })
	r.assertRefreshRunsOneStatement(t, log, a)
	r.addTOTP(t, a)
	r.advance(time.Hour)
	challenged := log.shortestRun(t, func() { api.sendPassword(a, http.StatusForbidden) })
	second := log.shortestRun(t, func() {
		r.advance(time.Minute)
		handle := api.sendPassword(a, http.StatusForbidden).Challenge.Handle
		log.discardEarlier(t)
		api.post("login/factor", map[string]any{"handle": handle, "totp": string(r.totpCode(t, a, 0))}, http.StatusOK)
	})
	options, passkey, alone := r.statementsOfPasskeyLogins(t, log, api)
	for name, all := range map[string][]string{"a code as second step": slices.Concat(challenged, second),
		"a passkey as second step": slices.Concat(options, passkey), "a passkey alone": alone} {
		t.Logf("%s, %d:\n%s", name, len(all), strings.Join(all, "\n"))
		if more := len(all) - len(plain); more > maxExtraStatements {
			t.Errorf("%s runs %d statements more than a password, %d are allowed", name, more, maxExtraStatements)
		}
	}
	t.Logf("without a factor, %d:\n%s", len(plain), strings.Join(plain, "\n"))
	if len(plain) > statementsWithoutFactor {
		t.Errorf("a sign-in without a factor runs %d statements, %d are allowed", len(plain), statementsWithoutFactor)
	}
}

// assertRefreshRunsOneStatement checks that a refresh runs only one SQL statement, which also reads the public
// metadata.
func (r *rig) assertRefreshRunsOneStatement(t *testing.T, log *statementLog, a *account) {
	t.Helper()
	in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{Email: a.email, Password: password, Client: laptop})
	must(t, err)
	patch := metadata.Patch{Public: `{"plan":"pro"}`}
	_, err = metadata.New(r.Engine, r.store.(*postgres.Store).Metadata()).Patch(t.Context(), in.User.ID, patch)
	must(t, err)
	refresh := log.shortestRun(t, func() {
		r.advance(time.Minute)
		in, err = r.Engine.Refresh(t.Context(), in.RefreshToken, laptop)
		must(t, err)
	})
	if len(refresh) != 1 || in.User.Metadata != `{"plan":"pro"}` {
		t.Errorf("a refresh with metadata %q runs %d statements: %q", in.User.Metadata, len(refresh), refresh)
	}
}

// statementsOfPasskeyLogins returns the SQL statements of three requests: the password of an account with a passkey,
// the second step with this passkey, and a passwordless sign-in.
func (r *rig) statementsOfPasskeyLogins(
	t *testing.T, log *statementLog, api *apiClient,
) (first, second, passwordless []string) {
	t.Helper()
	a, d := r.createAccount(t, "bob@example.com"), newDevice()
	r.addPasskey(t, a, d)
	r.advance(time.Hour)
	first = log.shortestRun(t, func() { api.sendPassword(a, http.StatusForbidden) })
	second = log.shortestRun(t, func() {
		offer := api.sendPassword(a, http.StatusForbidden).Challenge
		d.key.Counter++
		proof := json.RawMessage(d.respondToRequest(t, offer.Passkey.PublicKey))
		log.discardEarlier(t)
		api.post("login/factor", map[string]any{"handle": offer.Handle, "passkey": proof}, http.StatusOK)
	})
	passwordless = log.shortestRun(t, func() { // with the request for the options
		d.key.Counter++
		begun := api.post("passkey/options", nil, http.StatusOK)
		proof := json.RawMessage(d.respondToRequest(t, begun.PublicKey))
		api.post("passkey/login", map[string]any{"ceremony": begun.Ceremony, "credential": proof, "delivery": "body"},
			http.StatusOK)
	})
	return first, second, passwordless
}

// An apiClient keeps no cookies. Its server does no background work, whose statements would be counted.
type apiClient struct {
	*testing.T
	url, host string
}

func newAPI(t *testing.T, r *rig) *apiClient {
	t.Helper()
	handler, err := server.New(r.Engine, server.Options{PublicURL: r.opts.PublicURL, Factors: r.Manager})
	must(t, err)
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	return &apiClient{t, web.URL + "/api/auth/", strings.TrimPrefix(r.opts.PublicURL, "https://")}
}

type reply struct {
	Challenge struct {
		Handle  string
		Methods []string
		Passkey struct{ PublicKey json.RawMessage }
	}
	Ceremony  string
	PublicKey json.RawMessage
}

func (c *apiClient) post(path string, body any, want int) (r reply) {
	c.Helper()
	text, err := json.Marshal(body)
	must(c.T, err)
	if body == nil {
		text = nil
	}
	request, err := http.NewRequestWithContext(c.Context(), http.MethodPost, c.url+path, bytes.NewReader(text))
	must(c.T, err)
	request.Host = c.host
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	must(c.T, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	must(c.T, err)
	if response.StatusCode != want {
		c.Fatalf("POST %s: %d %s", path, response.StatusCode, raw)
	}
	must(c.T, json.Unmarshal(raw, &r))
	return r
}

func (c *apiClient) sendPassword(a *account, want int) reply {
	c.Helper()
	return c.post("login", map[string]any{"email": a.email, "password": password, "delivery": "body"}, want)
}

// A statementLog reads the log of a PostgreSQL cluster.
type statementLog struct {
	conn  *pgx.Conn
	from  int
	marks int
}

func newStatementLog(t *testing.T, url string) *statementLog {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return &statementLog{conn: conn}
}

func (l *statementLog) discardEarlier(t *testing.T) { _ = l.newStatements(t) }

var statement = regexp.MustCompile(`~~LOG:  (?:execute [^:]*|statement): ([^~]*)`)

// newStatements returns the statements since its last call, without those that begin and end transactions.
func (l *statementLog) newStatements(t *testing.T) (all []string) {
	t.Helper()
	l.marks++
	mark := "select 'mark " + strings.Repeat("i", l.marks) + "'"
	_, err := l.conn.Exec(t.Context(), mark, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	text := ""
	for !strings.Contains(text, mark) { // PostgreSQL writes the log with a delay
		must(t, l.conn.QueryRow(t.Context(), "select pg_read_file('log/all.log', $1, 100000000)", l.from).Scan(&text))
	}
	text, _, _ = strings.Cut(text, "~~LOG:  statement: "+mark)
	l.from += len(text)
	for _, found := range statement.FindAllStringSubmatch(text, -1) {
		sql := strings.Join(strings.Fields(found[1]), " ")
		if !regexp.MustCompile(`(?i)^(begin|commit|rollback|select 'mark|select pg_read_file)`).MatchString(sql) {
			all = append(all, sql)
		}
	}
	return all
}

// shortestRun runs a flow several times and returns the shortest list of statements, because longer lists include
// statements of background work.
func (l *statementLog) shortestRun(t *testing.T, flow func()) (least []string) {
	t.Helper()
	for i := range 5 {
		l.discardEarlier(t)
		flow()
		if all := l.newStatements(t); i == 0 || len(all) < len(least) {
			least = all
		}
	}
	return least
}
