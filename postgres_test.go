package watchword_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
)

// These tests cover flows whose outcome depends on how PostgreSQL runs concurrent transactions.

func startOnURL(t *testing.T, url string, wrap func(watchword.Store) watchword.Store) *rig {
	t.Helper()
	store, err := postgres.Open(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return startWith(t, wrap(store), nil)
}

// hideClock hides the clock of a store, so that the engine uses the clock of the test.
func hideClock(store watchword.Store) watchword.Store { return struct{ watchword.Store }{store} }

// A mail must be retried after every error text of the mail server. PostgreSQL refuses to store text that is not UTF-8
// or contains NUL, but error texts can contain such bytes.
func TestMailIsRetriedWithBackoffForAnyErrorText(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"cut in a character":       strings.Repeat("x", 499) + "é und mehr",
		"bytes that are not UTF-8": "550 kein Postfach f\xfcr Sie",
		"NUL":                      "550 \x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startOnURL(t, pgtest.Migrated(t, postgres.Migrate), hideClock)
			r.post.failWith(errors.New(text))
			r.signUp(t, "ada@example.com")
			r.deliverMail(t)
			mails, err := r.Operator().Mails(t.Context(), 10)
			must(t, err)
			if len(mails) != 1 || !mails[0].NextAt.Equal(r.clock.Now().Add(10*time.Second)) {
				t.Fatalf("the mail is not retried after 10 s: %+v", mails)
			}
			if got := mails[0].LastError; len(got) < 4 || len(got) > 500 || !utf8.ValidString(got) {
				t.Errorf("stored error %q", got)
			}
		})
	}
}

// A program that embeds the engine can pass invalid text as request id and as address. A flow must not fail because
// of it.
func TestInvalidTextOfAClientDoesNotFailAFlow(t *testing.T) {
	t.Parallel()
	r := startOnURL(t, pgtest.Migrated(t, postgres.Migrate), hideClock)
	odd := watchword.Client{
		Address:   netip.MustParseAddr("fe80::1").WithZone("eth0\x00\xff"),
		UserAgent: strings.Repeat("a", 511) + "é\xff\x00",
		RequestID: strings.Repeat("r", 127) + "é\x00\xff",
	}
	in, err := r.SignUp(t.Context(), watchword.SignUpRequest{
		Email: "ada@example.com", Password: goodPassword, Client: odd})
	must(t, err)
	_, err = r.Refresh(t.Context(), in.RefreshToken, odd)
	must(t, err)
	r.login(t, "ada@example.com", odd)
	must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", odd))
	r.deliverMail(t)
	r.post.lastMail(t, watchword.MailReset)
	if kinds := r.eventKinds(t, in.User.ID); !slices.Contains(kinds, watchword.EventLogin) {
		t.Errorf("events: %v", kinds)
	}
}

// A pausedStore calls a function whenever the outbox is about to activate a reset link.
type pausedStore struct {
	watchword.Store
	before *func()
}

func (p pausedStore) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	return p.Store.Update(ctx, func(tx watchword.Tx) error { return fn(pausedTx{tx, p.before}) })
}

type pausedTx struct {
	watchword.Tx
	before *func()
}

func (p pausedTx) InsertMailToken(ctx context.Context, m watchword.MailToken) error {
	if m.Kind == watchword.MailReset {
		(*p.before)()
	}
	return p.Tx.InsertMailToken(ctx, m)
}

// After the worker has read the account, and before it activates a link, another flow revokes the links of the
// account. The link must not work afterwards, in either order of the commits.
//
// PW-13
func TestLinkThatIsBeingActivatedIsRevokedByAConcurrentEvent(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]func(*testing.T, *rig, watchword.Identity) error{
		"change of address": func(t *testing.T, r *rig, _ watchword.Identity) error {
			return r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, laptop)
		},
		"change of password": func(t *testing.T, r *rig, who watchword.Identity) error {
			return r.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop)
		},
		"disabling": func(t *testing.T, r *rig, who watchword.Identity) error {
			return errors.Join(r.Operator().DisableUser(t.Context(), who.User.ID),
				r.Operator().EnableUser(t.Context(), who.User.ID))
		},
		"deletion": func(t *testing.T, r *rig, who watchword.Identity) error {
			return r.Operator().DeleteUser(t.Context(), who.User.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := func() {}
			url := pgtest.Database(t)
			r := startOnURL(t, url, func(store watchword.Store) watchword.Store { return pausedStore{store, &before} })
			who := signUpAndVerify(t, r, "ada@example.com")
			must(t, r.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop))
			r.deliverMail(t)

			done := make(chan error, 1)
			before = sync.OnceFunc(func() {
				go func() { defer close(done); done <- revoke(t, r, who) }()
				waitUntilBlocked(t, url, done)
			})
			must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", laptop))
			r.deliverMail(t)
			must(t, <-done)
			if r.post.countMails(watchword.MailReset) > 0 &&
				r.worksAsReset(t, r.post.lastMail(t, watchword.MailReset).Token) {
				t.Error("the revoked link still works")
			}
		})
	}
}

// waitUntilBlocked returns when a statement waits for a lock, or when resultCh has a result.
func waitUntilBlocked(t *testing.T, url string, resultCh chan error) {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(t.Context())
	for blocked := false; !blocked && len(resultCh) == 0; {
		err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_stat_activity "+
			"WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&blocked)
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// Imports and sign-ups run during the confirmation of a new address. They must not get the old address, which the
// owner's undo link can restore. The test uses two default isolation levels of the database.
//
// ID-12
func TestAddressIsNotTakenDuringAConcurrentChange(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"read committed", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			server := pgtest.New(t, "fsync = off", "max_connections = 100",
				"default_transaction_isolation = '"+isolation+"'")
			r := startOnURL(t, server.Database(t), hideClock)
			for round := range 8 {
				email := fmt.Sprintf("ada%d@example.com", round)
				r.confirmAmidSignups(t, email, 12)
				r.deliverMail(t)
				must(t, r.UndoEmail(t.Context(), r.post.lastMail(t, watchword.MailAddressChanged).Token, laptop))
			}
		})
	}
}

// confirmAmidSignups confirms a new address while other requests sign up with the old one or import it.
func (r *rig) confirmAmidSignups(t *testing.T, email string, others int) {
	t.Helper()
	who := signUpAndVerify(t, r, email)
	must(t, r.ChangeEmail(t.Context(), who, "moved."+email, goodPassword, laptop))
	r.deliverMail(t)
	token := r.post.lastMail(t, watchword.MailConfirmAddress).Token
	var all sync.WaitGroup
	begin := make(chan struct{})
	for n := range others {
		all.Go(func() {
			<-begin
			if n%6 == 0 {
				_, err := r.SignUp(t.Context(), watchword.SignUpRequest{
					Email: email, Password: goodPassword, Client: stranger(n)})
				if watchword.CodeOf(err) != watchword.CodeEmailTaken {
					t.Errorf("sign-up: %v", err)
				}
				return
			}
			results, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{
				{ID: fmt.Sprint(email, n), Email: email}})
			if err != nil || results[0].Problems == nil && results[0].User.ID != who.User.ID {
				t.Errorf("import: %+v, %v", results, err)
			}
		})
	}
	all.Go(func() {
		<-begin
		if err := r.confirmEmail(t, token, goodPassword, laptop); err != nil {
			t.Errorf("confirm: %v", err)
		}
	})
	close(begin)
	all.Wait()
}
