package factors_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/store/postgres"
)

// The statements that a sign-in runs, as PostgreSQL logs them. docs/factors.md lists them.

// A sign-in with a factor may run this many statements more than one without.
const moreStatements = 8

// The statements of a sign-in without a factor. There were as many before factors existed.
const plainStatements = 11

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
	log := newStatementLog(t, url)
	a := r.signUp(t, "ada@example.com")
	plain := log.fewest(t, func() {
		login := watchword.LoginRequest{Email: a.email, Password: password, Client: laptop}
		_, err := r.Engine.Login(t.Context(), login)
		must(t, err)
	})
	// The public metadata is part of the statement that rotates.
	in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{Email: a.email, Password: password, Client: laptop})
	must(t, err)
	patch := metadata.Patch{Public: `{"plan":"pro"}`}
	_, err = metadata.New(r.Engine, store.Metadata()).Patch(t.Context(), in.User.ID, patch)
	must(t, err)
	refresh := log.fewest(t, func() {
		r.advance(time.Minute)
		in, err = r.Engine.Refresh(t.Context(), in.RefreshToken, laptop)
		must(t, err)
	})
	if len(refresh) != 1 || in.User.Metadata != `{"plan":"pro"}` {
		t.Errorf("a refresh with metadata %q runs %d statements: %q", in.User.Metadata, len(refresh), refresh)
	}
	r.enrol(t, a)
	r.advance(time.Hour)
	challenged := log.fewest(t, func() { r.challenge(t, a, laptop) })
	if offered := log.fewest(t, func() { r.offer(t, a) }); len(offered) > len(challenged)+1 {
		t.Errorf("the list of the account's factors costs %d statements", len(offered)-len(challenged))
	}
	second := log.fewest(t, func() {
		r.advance(time.Minute)
		handle := r.challenge(t, a, laptop)
		log.mark(t)
		_, err := r.Manager.Login(t.Context(), factors.LoginRequest{
			Handle: handle, Proof: factors.Proof{TOTP: r.code(t, a, 0)}, Client: laptop,
		})
		must(t, err)
	})
	passkey, alone := r.passkeyStatements(t, log)
	for name, all := range map[string][]string{"a passkey as second step": append(challenged, passkey...),
		"a passkey alone": alone} {
		t.Logf("%s, %d:\n%s", name, len(all), strings.Join(all, "\n"))
		if more := len(all) - len(plain); more > moreStatements {
			t.Errorf("%s runs %d statements more than a password, %d are allowed", name, more, moreStatements)
		}
	}
	t.Logf("without a factor, %d:\n%s", len(plain), strings.Join(plain, "\n"))
	t.Logf("password of an account with one, %d:\n%s", len(challenged), strings.Join(challenged, "\n"))
	t.Logf("factor, %d:\n%s", len(second), strings.Join(second, "\n"))
	if len(plain) > plainStatements {
		t.Errorf("a sign-in without a factor runs %d statements, %d are allowed", len(plain), plainStatements)
	}
	if more := len(challenged) + len(second) - len(plain); more > moreStatements {
		t.Errorf("a sign-in with a factor runs %d statements more, %d are allowed", more, moreStatements)
	}
}

// passkeyStatements returns the statements of the second step with a passkey, and of a sign-in with a passkey alone.
func (r *rig) passkeyStatements(t *testing.T, log *statementLog) (second, alone []string) {
	t.Helper()
	a, d := r.signUp(t, "bob@example.com"), newDevice()
	r.addPasskey(t, a, d)
	second = log.fewest(t, func() {
		offer := r.offer(t, a)
		d.key.Counter++
		response := d.use(t, offer.Passkey)
		log.mark(t)
		_, err := r.withPasskey(t, offer.Handle, response)
		must(t, err)
	})
	alone = log.fewest(t, func() { // with its options
		d.key.Counter++
		_, err := r.alone(t, d)
		must(t, err)
	})
	return second, alone
}

// A statementLog reads the log of a cluster.
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

// mark forgets the statements until now.
func (l *statementLog) mark(t *testing.T) { _ = l.since(t) }

var statement = regexp.MustCompile(`~~LOG:  (?:execute [^:]*|statement): ([^~]*)`)

// since returns the statements since the last call, without those that begin and end transactions.
func (l *statementLog) since(t *testing.T) (all []string) {
	t.Helper()
	l.marks++
	mark := "select 'mark " + strings.Repeat("i", l.marks) + "'"
	_, err := l.conn.Exec(t.Context(), mark, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	text := ""
	for !strings.Contains(text, mark) { // the collector writes a little later
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

// fewest runs a flow several times, and returns the shortest list of its statements: the others
// have statements of the background.
func (l *statementLog) fewest(t *testing.T, flow func()) (least []string) {
	t.Helper()
	for i := range 5 {
		l.mark(t)
		flow()
		if all := l.since(t); i == 0 || len(all) < len(least) {
			least = all
		}
	}
	return least
}
