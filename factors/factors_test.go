package factors_test

import (
	"context"
	"encoding/base32"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

const password = "correct horse battery"

const stepUpAge = 5 * time.Minute

var (
	laptop = watchword.Client{Address: netip.MustParseAddr("203.0.113.7"), UserAgent: "a laptop"}
	phone  = watchword.Client{Address: netip.MustParseAddr("198.51.100.9"), UserAgent: "a phone"}
)

// A rig is two processes on one real store. Both use the rig's clock, which only a test advances.
type rig struct {
	*watchword.Engine
	*factors.Manager
	otherProcess *factors.Manager
	opts         watchword.Options
	store        watchword.Store
	mails        chan watchword.Message
	mailRelay    watchword.Mailer // receives the mails instead of the channel, if set before the engine runs

	mu  sync.Mutex
	now time.Time
}

type realStore interface {
	watchword.Store
	Factors() factors.Store
}

// storeWithoutClock hides the clock of PostgreSQL, so that a test decides the time.
type storeWithoutClock struct{ watchword.Store }

func (r *rig) Send(ctx context.Context, m watchword.Message) error {
	if r.mailRelay != nil {
		return r.mailRelay.Send(ctx, m)
	}
	r.mails <- m
	return nil
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func onBothStores(t *testing.T, test func(t *testing.T, r *rig), changes ...func(*watchword.Options)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		store, err := sqlite.Open(t.Context(), sqlitetest.Path(t, sqlite.Migrate))
		must(t, err)
		test(t, newRig(t, store, changes...))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Migrated(t, postgres.Migrate)
		store, err := postgres.Open(t.Context(), url)
		must(t, err)
		test(t, newRig(t, store, changes...))
	})
}

func newRig(t *testing.T, store realStore, changes ...func(*watchword.Options)) *rig {
	t.Helper()
	r := &rig{now: time.Date(2026, 11, 29, 12, 0, 5, 0, time.UTC), store: store,
		mails: make(chan watchword.Message, 100)}
	t.Cleanup(func() { _ = store.Close() })
	r.opts = watchword.Options{
		PublicURL: "https://id.example.com", MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer: r, Now: r.clock, HashQueue: time.Minute,
	}
	for _, change := range changes {
		change(&r.opts)
	}
	start := func() (*watchword.Engine, *factors.Manager) {
		engine, err := watchword.New(t.Context(), storeWithoutClock{store}, r.opts)
		must(t, err)
		t.Cleanup(engine.Close)
		return engine, factors.New(engine, store.Factors(), factors.Options{Providers: []string{"campus"}})
	}
	r.Engine, r.Manager = start()
	_, r.otherProcess = start()
	return r
}

// An account is a user, with the data of the newest TOTP.
type account struct {
	email  string
	in     *watchword.SignIn
	who    watchword.Identity
	secret []byte
	factor factors.Factor
	codes  []watchword.Secret
}

// createAccount proves the address and signs in. The account has no factor.
func (r *rig) createAccount(t *testing.T, email string) *account {
	t.Helper()
	user, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: email, Name: "Ada", Password: password})
	must(t, err)
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.SetVerified(t.Context(), user.ID, user.Email, r.clock())
		return err
	}))
	a := &account{email: string(user.Email)}
	a.in, err = r.Engine.Login(t.Context(), watchword.LoginRequest{Email: email, Password: password, Client: laptop})
	must(t, err)
	a.who = r.identity(t, a.in)
	return a
}

func (r *rig) identity(t *testing.T, in *watchword.SignIn) watchword.Identity {
	t.Helper()
	who, err := r.Authenticate(t.Context(), in.AccessToken)
	must(t, err)
	return who
}

func (r *rig) addTOTP(t *testing.T, a *account) {
	t.Helper()
	begun, err := r.BeginTOTP(t.Context(), a.who, "")
	must(t, err)
	a.secret = secretOf(t, begun)
	done, err := r.ConfirmTOTP(t.Context(), a.who, begun.ID, r.totpCode(t, a, 0), laptop)
	must(t, err)
	a.factor = done.Factor()
	if len(done.Codes) > 0 {
		a.codes = done.Codes
	}
	a.who = r.identity(t, a.in)
	r.advance(totp.Period) // the enrolment has used the code of this time step
}

func (r *rig) createAccountWithTOTP(t *testing.T) *account {
	t.Helper()
	a := r.createAccount(t, "ada@example.com")
	r.addTOTP(t, a)
	return a
}

// totpCode returns the code of a time step. offset counts steps from the current one.
func (r *rig) totpCode(t *testing.T, a *account, offset int64) watchword.Secret {
	t.Helper()
	code, err := totp.Code(a.secret, totp.Step(r.clock())+offset)
	must(t, err)
	return watchword.Secret(code)
}

// passwordChallenge sends the password, and returns the handle of the challenge.
func (r *rig) passwordChallenge(t *testing.T, a *account, c watchword.Client) watchword.Secret {
	t.Helper()
	in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{Email: a.email, Password: password, Client: c})
	return wantChallenge(t, in, err)
}

func (r *rig) loginWithCode(handle, code watchword.Secret) (*watchword.SignIn, error) {
	return r.Manager.Login(context.Background(), factors.LoginRequest{
		Handle: handle, Proof: factors.Proof{TOTP: code}, Client: phone})
}

func (r *rig) loginWithRecoveryCode(handle, code watchword.Secret) (*watchword.SignIn, error) {
	return r.Manager.Login(context.Background(), factors.LoginRequest{
		Handle: handle, Proof: factors.Proof{RecoveryCode: code}, Client: phone})
}

func (r *rig) countSessions(t *testing.T, a *account) int {
	t.Helper()
	all, err := r.Operator().UserSessions(t.Context(), a.who.User.ID)
	must(t, err)
	return len(all)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, want watchword.Code) {
	t.Helper()
	if err == nil || watchword.CodeOf(err) != want {
		t.Fatalf("got error %v, want %s", err, want)
	}
}

// runInParallel calls fn n times at once. It counts the calls by error code. The code "" counts the calls that
// succeeded.
func runInParallel(n int, fn func(i int) error) map[watchword.Code]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := map[watchword.Code]int{}
	for i := range n {
		wg.Go(func() {
			err := fn(i)
			code := watchword.Code("")
			if err != nil {
				code = watchword.CodeOf(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[code]++
		})
	}
	wg.Wait()
	return got
}

// wantChallenge returns the handle of the challenge in err.
func wantChallenge(t *testing.T, in *watchword.SignIn, err error) watchword.Secret {
	t.Helper()
	wantCode(t, err, watchword.CodeSecondFactorRequired)
	var refusal *watchword.Error
	if in != nil || !errors.As(err, &refusal) || refusal.Challenge == nil || refusal.Challenge.Handle == "" {
		t.Fatalf("got %v and no challenge: %v", in, err)
	}
	return refusal.Challenge.Handle
}

func secretOf(t *testing.T, e factors.Enrolment) []byte {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret))
	must(t, err)
	return secret
}
