package watchword_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
)

// Concurrent flows of one account must not deadlock. Every flow therefore takes its locks in one order: the account,
// then sign-ups, then tokens. PostgreSQL notices a deadlock only after a second, so a request with several deadlocks
// would time out.
func TestConcurrentFlowsOfOneAccountDoNotDeadlock(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t, "fsync = off", "deadlock_timeout = '20ms'").Database(t)
	store, err := postgres.Open(t.Context(), url)
	must(t, err)
	r := startWith(t, hideClock(store), func(o *watchword.Options) {
		o.Signup, o.Limits = watchword.SignupVerified, watchword.Unlimited()
	})
	for round := range 6 {
		r.raceForAddress(t, fmt.Sprintf("ada%d@example.com", round))
		r.raceForAccount(t, fmt.Sprintf("eve%d@example.com", round))
	}
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	r.Engine.Close()
	must(t, store.Close())
	var deadlocks int // each connection reports its deadlocks when it closes
	must(t, conn.QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").
		Scan(&deadlocks))
	if deadlocks != 0 {
		t.Errorf("PostgreSQL ended %d deadlocks", deadlocks)
	}
}

// raceForAddress creates two waiting sign-ups for one address. Concurrent flows then use their mailed links to create
// the account, to reset its password, and to disown the sign-ups.
func (r *rig) raceForAddress(t *testing.T, email string) {
	t.Helper()
	links := []watchword.Secret{
		r.signUpWaiting(t, email, "One", goodPassword), r.signUpWaiting(t, email, "Two", otherPassword)}
	var flows []func() error
	for i, link := range links {
		password := []watchword.Secret{goodPassword, otherPassword}[i]
		flows = append(flows,
			func() error { _, err := r.openLink(t, link, password); return err },
			func() error { _, err := r.openLink(t, links[1-i], password); return err },
			func() error { return r.ResetPassword(t.Context(), link, "a third one for "+link[:8], laptop) },
			func() error { return r.DisownLink(t.Context(), watchword.MailVerify, link, laptop) })
	}
	r.runConcurrently(t, flows)
}

// raceForAccount deletes an account. At the same time, other flows send mails to the account, use the mailed links,
// and sign in its user.
func (r *rig) raceForAccount(t *testing.T, email string) {
	t.Helper()
	in, err := r.openLink(t, r.signUpWaiting(t, email, "Eve", goodPassword), goodPassword)
	must(t, err)
	who := r.authenticate(t, in)
	must(t, r.ForgotPassword(t.Context(), email, "", laptop))
	r.deliverMail(t)
	link := r.post.lastMail(t, watchword.MailReset).Token
	running, stop := context.WithCancel(t.Context())
	var worker sync.WaitGroup
	worker.Go(func() { r.Run(running) })
	login := func() error { return r.tryLogin(t, email, goodPassword) }
	r.runConcurrently(t, []func() error{
		login, login,
		func() error { return r.ForgotPassword(t.Context(), email, "", laptop) },
		func() error { return r.ForgotPassword(t.Context(), email, "", phone) },
		func() error { return r.ResetPassword(t.Context(), link, otherPassword, laptop) },
		func() error { return r.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop) },
		func() error { return r.Operator().SendReset(t.Context(), who.User.ID) },
		func() error { return r.Operator().DeleteUser(t.Context(), who.User.ID) },
	})
	r.deliverMail(t) // the call of stop must not interrupt the sending of a mail
	stop()
	worker.Wait()
}

// runConcurrently runs all flows at the same time. It accepts refusals, because only one flow can succeed.
func (r *rig) runConcurrently(t *testing.T, flows []func() error) {
	t.Helper()
	var all sync.WaitGroup
	for _, flow := range flows {
		all.Go(func() {
			if err := flow(); errors.Is(err, watchword.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
}
