package watchword_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// The engine under test runs on a real SQLite file. Its clock changes only when a test
// advances it, and a postbox keeps its mails.

const (
	goodPassword  = "correct horse battery"
	otherPassword = "a rainbow over the bay"
)

type rig struct {
	*watchword.Engine
	store watchword.Store
	clock *clock
	post  *postbox
	opts  watchword.Options
}

// startEngine starts an engine on a new SQLite database. Unless changeOptions is nil, the engine gets the
// options that it has changed.
func startEngine(t *testing.T, changeOptions func(*watchword.Options)) *rig {
	t.Helper()
	return startOn(t, newDatabasePath(t), changeOptions)
}

func newDatabasePath(t testing.TB) string { return sqlitetest.Path(t, sqlite.Migrate) }

func startOn(t *testing.T, path string, change func(*watchword.Options)) *rig {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return startWith(t, store, change)
}

// onBothStores runs the test on SQLite and on PostgreSQL. It passes a function start, which starts an engine on an
// empty store. On PostgreSQL, the engine uses the clock of the database.
func onBothStores(t *testing.T, test func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, startEngine)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, func(t *testing.T, change func(*watchword.Options)) *rig {
			t.Helper()
			url := pgtest.Migrated(t, postgres.Migrate)
			store, err := postgres.Open(t.Context(), url)
			must(t, err)
			t.Cleanup(func() { _ = store.Close() })
			return startWith(t, store, change)
		})
	})
}

func startWith(t *testing.T, store watchword.Store, change func(*watchword.Options)) *rig {
	t.Helper()
	r := &rig{store: store, clock: newClock(), post: &postbox{}}
	r.opts = watchword.Options{
		PublicURL: "https://id.example.com",
		MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer:    r.post,
		Now:       r.clock.Now,
		HashQueue: time.Minute, // long, because hashing is slow with the race detector
	}
	if change != nil {
		change(&r.opts)
	}
	engine, err := watchword.NewForTest(t.Context(), store, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	r.Engine = engine
	return r
}

// deliverMail runs the engine until each mail in the outbox was sent or has failed.
func (r *rig) deliverMail(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	for {
		mails, err := r.Operator().Mails(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(mails, func(m watchword.Mail) bool {
			tried := m.LastError != "" && m.NextAt.After(r.clock.Now())
			return !tried && m.GivenUpAt.IsZero()
		}) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	<-done
}

func (r *rig) signUp(t *testing.T, email string) *watchword.SignIn {
	t.Helper()
	in, err := r.SignUp(t.Context(), watchword.SignUpRequest{
		Email: email, Password: goodPassword, Name: "Ada", Persistent: true, Client: laptop})
	if err != nil {
		t.Fatalf("sign up: %v", err)
	}
	return in
}

// ResetPassword ignores the device token that Engine.ResetPassword returns.
func (r *rig) ResetPassword(ctx context.Context, token, password watchword.Secret, c watchword.Client) error {
	_, err := r.Engine.ResetPassword(ctx, token, password, c)
	return err
}

func (r *rig) login(t *testing.T, email string, c watchword.Client) *watchword.SignIn {
	t.Helper()
	in, err := r.Login(t.Context(), watchword.LoginRequest{
		Email: email, Password: goodPassword, Persistent: true, Client: c})
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	return in
}

func (r *rig) verifyWithSession(t *testing.T, token watchword.Secret, in *watchword.SignIn) error {
	t.Helper()
	opened, err := r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
		Token: token, Presented: []watchword.Secret{in.AccessToken}, Client: laptop})
	if opened != nil {
		t.Error("a second session was opened although a live one was presented")
	}
	return err
}

func (r *rig) confirmEmail(t *testing.T, token, password watchword.Secret, c watchword.Client) error {
	t.Helper()
	_, err := r.ConfirmEmail(t.Context(), watchword.MailLinkRequest{
		Token: token, Password: password, Client: c})
	return err
}

func (r *rig) authenticate(t *testing.T, in *watchword.SignIn) watchword.Identity {
	t.Helper()
	who, err := r.Authenticate(t.Context(), in.AccessToken)
	if err != nil {
		t.Fatalf("authenticate: %v", err)
	}
	return who
}

// eventKinds returns the kinds of the account's events, oldest event first.
func (r *rig) eventKinds(t *testing.T, id watchword.UserID) []watchword.EventKind {
	t.Helper()
	events, err := r.Operator().UserEvents(t.Context(), id, 100)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []watchword.EventKind
	for _, ev := range slices.Backward(events) {
		kinds = append(kinds, ev.Kind)
	}
	return kinds
}

func wantCode(t *testing.T, err error, want watchword.Code) {
	t.Helper()
	if err == nil || watchword.CodeOf(err) != want {
		t.Fatalf("got error %v, want %s", err, want)
	}
}

func wantField(t *testing.T, err error, field, code string) {
	t.Helper()
	var refusal *watchword.Error
	if !errors.As(err, &refusal) || !slices.ContainsFunc(refusal.Fields, func(f watchword.FieldError) bool {
		return f.Field == field && f.Code == code
	}) {
		t.Fatalf("got error %v, want %s of %s", err, code, field)
	}
}

var (
	laptop = watchword.Client{
		Address: netip.MustParseAddr("203.0.113.7"),
		UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) " +
			"Chrome/130.0.0.0 Safari/537.36",
		Device:    "Chrome on Windows",
		RequestID: "laptop",
	}
	phone = watchword.Client{
		Address: netip.MustParseAddr("2001:db8::17"),
		UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 " +
			"(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
		Device:    "Safari on iPhone",
		RequestID: "phone",
	}
)

// A clock stands still until a test advances it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A postbox keeps the mails, or returns an error for each.
type postbox struct {
	mu    sync.Mutex
	mails []watchword.Message
	fail  error
}

func (p *postbox) Send(_ context.Context, m watchword.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.mails = append(p.mails, m)
	return nil
}

func (p *postbox) failWith(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

func (p *postbox) lastMail(t *testing.T, kind watchword.MailKind) watchword.Message {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range slices.Backward(p.mails) {
		if m.Kind == kind {
			return m
		}
	}
	t.Fatalf("there is no %s mail among %d", kind, len(p.mails))
	return watchword.Message{}
}

func (p *postbox) countMails(kind watchword.MailKind) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mails {
		if m.Kind == kind {
			n++
		}
	}
	return n
}
