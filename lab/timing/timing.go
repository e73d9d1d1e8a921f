// Package timing measures whether response times reveal which addresses have an account. It calls the engine, on a
// real SQLite file, with addresses that have an account and addresses without one. It compares the times with
// Welch's t-test. For the callbacks of a provider, it sends requests to a server.
//
// The trials are the calls that an attacker without an account can make. The output is the table of
// lab/timing/README.md.
package timing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// A Trial is a call that an attacker without an account can make with any address.
type Trial struct {
	Name string
	Hash watchword.Secret // password hash of all accounts; if empty, the engine computes one
	App  bool             // the accounts have an authenticator app
	Base bool             // every address has an account; only half of the accounts have an app
	Code watchword.Code   // expected error code of both kinds of calls; empty for success
	Try  Try

	// Serve starts a server, if the call needs HTTP. For each address, it also makes the requests that precede the
	// measured call. It returns Try, and a function that stops the server.
	Serve func(ctx context.Context, e *watchword.Engine, store *sqlite.Store, emails []string) (Try, func(), error)
}

// Try makes the call that is measured.
type Try = func(ctx context.Context, e *watchword.Engine, email string, c watchword.Client) error

// Trials returns all calls whose response must not reveal whether the account exists.
func Trials() ([]Trial, error) {
	foreign, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	trials := []Trial{
		{Name: "sign in", Try: signIn("wrong password"), Code: watchword.CodeInvalidCredentials},
		{Name: "sign in, password of 1 character", Try: signIn("x"), Code: watchword.CodeInvalidCredentials},
		{Name: "sign in, password of 200 characters", Try: signIn(watchword.Secret(strings.Repeat("x", 200))),
			Code: watchword.CodeInvalidCredentials},
		{Name: "sign in, password of 300 characters", Try: signIn(watchword.Secret(strings.Repeat("x", 300))),
			Code: watchword.CodeInvalidCredentials},
		{Name: "sign in, bcrypt hash of another system", Try: signIn("wrong password"),
			Code: watchword.CodeInvalidCredentials, Hash: watchword.Secret(foreign)},
		{Name: "sign in, account with an app", Try: signIn("wrong password"), Code: watchword.CodeInvalidCredentials,
			App: true},
		{Name: "sign in, account without and with an app", Try: signIn("wrong password"),
			Code: watchword.CodeInvalidCredentials, App: true, Base: true},
		{
			Name: "sign up by mail",
			Try: func(ctx context.Context, e *watchword.Engine, email string, c watchword.Client) error {
				_, err := e.SignUp(ctx, watchword.SignUpRequest{Email: email, Password: password, Client: c})
				return err
			},
		},
		{
			Name: "request a password reset",
			Try: func(ctx context.Context, e *watchword.Engine, email string, c watchword.Client) error {
				return e.ForgotPassword(ctx, email, "", c)
			},
		},
		{Name: "callback of a provider that does not vouch for the address", Serve: serveCallbacks},
	}
	return trials, nil
}

const password = "river stone candle"

func signIn(with watchword.Secret) Try {
	return func(ctx context.Context, e *watchword.Engine, email string, c watchword.Client) error {
		_, err := e.Login(ctx, watchword.LoginRequest{Email: email, Password: with, Client: c})
		return err
	}
}

// Run creates a database in dir, measures the trial and removes the database. It calls Try for addresses with an
// account and for addresses without. It makes the same number of calls (samples) for both kinds of addresses. The seed
// determines the random order. Run first makes some calls as a warm-up, which do not count.
func Run(ctx context.Context, trial Trial, dir string, samples int, seed uint64) (row Row, err error) {
	dir, err = os.MkdirTemp(dir, "watchword_timing_")
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "watchword.db"))
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	engine, err := watchword.New(ctx, store, watchword.Options{
		PublicURL: "http://localhost", Mailer: noMail{}, MasterKey: make([]byte, 32),
		Signup: watchword.SignupVerified, HashQueue: time.Minute,
	})
	if err != nil {
		return Row{}, err
	}
	defer engine.Close()
	warmUp := 1 + samples/20
	apps := factors.New(engine, store.Factors(), factors.Options{})
	if err := createAccounts(ctx, engine, apps, trial, warmUp+samples); err != nil {
		return Row{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); engine.Run(ctx) }()
	defer func() { stop(); <-done }()

	if trial.Serve != nil {
		var emails []string
		for n := range warmUp + samples {
			emails = append(emails, numberedAddress(n, false), numberedAddress(n, true))
		}
		try, end, err := trial.Serve(ctx, engine, store, emails)
		if err != nil {
			return Row{}, err
		}
		defer end()
		trial.Try = try
	}
	took, err := Measure(warmUp+samples, rand.New(rand.NewPCG(seed, 0)), func(n int, hasAccount bool) error {
		from := watchword.Client{Address: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
		err := trial.Try(ctx, engine, numberedAddress(n, hasAccount), from)
		if refused := err != nil; refused != (trial.Code != "") || refused && watchword.CodeOf(err) != trial.Code {
			return fmt.Errorf("%s, call %d: got %v, want code %q", trial.Name, n, err, trial.Code)
		}
		return nil
	})
	if err != nil {
		return Row{}, err
	}
	return Compare(trial.Name, took[0][warmUp:], took[1][warmUp:]), nil
}

// numberedAddress returns the address number n with an account, or, if hasAccount is false, the one without. All
// addresses have the same length.
func numberedAddress(n int, hasAccount bool) string {
	if hasAccount {
		return fmt.Sprintf("here%06d@example.com", n)
	}
	return fmt.Sprintf("gone%06d@example.com", n)
}

// createAccounts gives each measured call an account of its own, so that no call reaches a rate limit of an account.
func createAccounts(
	ctx context.Context, engine *watchword.Engine, apps *factors.Manager, trial Trial, accounts int,
) error {
	hash := trial.Hash
	if hash == "" {
		first, err := engine.Operator().CreateUser(ctx, watchword.NewUser{Email: "first@example.com", Password: password})
		if err != nil {
			return err
		}
		hash = first.PasswordHash
	}
	var users []accountimport.Account
	for n := range accounts {
		user := accountimport.Account{Email: numberedAddress(n, true), PasswordHash: hash, VerifiedAt: time.Now()}
		if trial.App {
			user.Factors = `[{"kind":"totp","name":"App","secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}]` // of RFC 6238
		}
		users = append(users, user)
		if trial.Base {
			user.Email, user.Factors = numberedAddress(n, false), ""
			users = append(users, user)
		}
	}
	results, err := accountimport.New(engine).With(apps.Imports()).Import(ctx, users)
	for _, r := range results {
		if len(r.Problems) > 0 {
			return fmt.Errorf("create accounts: %v", r.Problems)
		}
	}
	return err
}

// Measure makes n pairs of calls: one call without and one with an account. The order within a pair is random (rng).
// Measure returns the times without and with an account.
func Measure(n int, rng *rand.Rand, callTrial func(n int, hasAccount bool) error) (took [2][]time.Duration, err error) {
	for i := range n {
		first := rng.IntN(2)
		for _, kind := range []int{first, 1 - first} {
			began := time.Now()
			if err := callTrial(i, kind == 1); err != nil {
				return took, err
			}
			took[kind] = append(took[kind], time.Since(began))
		}
	}
	return took, nil
}

type noMail struct{}

func (noMail) Send(context.Context, watchword.Message) error { return nil }
