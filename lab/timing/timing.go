// Package timing measures what the time of an answer tells a stranger: whether an
// address has an account. It asks the engine, on a real SQLite file, in turn about
// addresses that have one and that have none, and compares by Welch's t-test.
//
// It knows only what a stranger can try, and prints the table of docs/performance.md.
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
	"github.com/watchword-auth/watchword/store/sqlite"
)

// A Trial is what a stranger may try with an address.
type Trial struct {
	Name   string
	Hash   watchword.Secret // of the passwords of the accounts; empty: as they are made here
	Answer watchword.Code   // to either question; empty: no refusal
	Try    func(ctx context.Context, e *watchword.Engine, email string, c watchword.Client) error
}

// Trials are all that say alike whether or not there is an account.
func Trials() ([]Trial, error) {
	elsewhere, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	trials := []Trial{
		{Name: "sign in", Try: signIn("wrong password"), Answer: watchword.CodeInvalidCredentials},
		{Name: "sign in, password of 1 character", Try: signIn("x"), Answer: watchword.CodeInvalidCredentials},
		{Name: "sign in, of 200", Try: signIn(watchword.Secret(strings.Repeat("x", 200))), Answer: watchword.CodeInvalidCredentials},
		{Name: "sign in, of 300", Try: signIn(watchword.Secret(strings.Repeat("x", 300))), Answer: watchword.CodeInvalidCredentials},
		{Name: "sign in, bcrypt of another system", Try: signIn("wrong password"), Answer: watchword.CodeInvalidCredentials, Hash: watchword.Secret(elsewhere)},
		{Name: "sign up by mail", Try: func(ctx context.Context, e *watchword.Engine, email string, c watchword.Client) error {
			_, err := e.SignUp(ctx, watchword.SignUpRequest{Email: email, Password: password, Client: c})
			return err
		}},
		{Name: "forgot the password", Try: func(ctx context.Context, e *watchword.Engine, email string, c watchword.Client) error {
			return e.ForgotPassword(ctx, email, c)
		}},
	}
	return trials, nil
}

const password = "river stone candle"

func signIn(with watchword.Secret) func(context.Context, *watchword.Engine, string, watchword.Client) error {
	return func(ctx context.Context, e *watchword.Engine, email string, c watchword.Client) error {
		_, err := e.Login(ctx, watchword.LoginRequest{Email: email, Password: with, Client: c})
		return err
	}
}

// Run makes a database in dir for a trial, and asks samples questions of each kind,
// in an order drawn from seed; and some before, which don't count.
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
	if err := fill(ctx, engine, trial, warmUp+samples); err != nil {
		return Row{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); engine.Run(ctx) }()
	defer func() { stop(); <-done }()

	took, err := Ask(warmUp+samples, rand.New(rand.NewPCG(seed, 0)), func(n int, with bool) error {
		from := watchword.Client{Address: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
		err := trial.Try(ctx, engine, addressOf(n, with), from)
		if refused := err != nil; refused != (trial.Answer != "") || refused && watchword.CodeOf(err) != trial.Answer {
			return fmt.Errorf("%s, question %d: got %v, want code %q", trial.Name, n, err, trial.Answer)
		}
		return nil
	})
	if err != nil {
		return Row{}, err
	}
	return Compare(trial.Name, took[0][warmUp:], took[1][warmUp:]), nil
}

// addressOf is as long with an account as without.
func addressOf(n int, with bool) string {
	if with {
		return fmt.Sprintf("here%06d@example.com", n)
	}
	return fmt.Sprintf("gone%06d@example.com", n)
}

// fill makes the accounts. Each is asked about once, so that no limit is met.
func fill(ctx context.Context, engine *watchword.Engine, trial Trial, accounts int) error {
	hash := trial.Hash
	if hash == "" {
		first, err := engine.CreateUser(ctx, watchword.NewUser{Email: "first@example.com", Password: password})
		if err != nil {
			return err
		}
		hash = first.PasswordHash
	}
	var users []watchword.ImportedUser
	for n := range accounts {
		users = append(users, watchword.ImportedUser{Email: addressOf(n, true), PasswordHash: hash, VerifiedAt: time.Now()})
	}
	results, err := engine.ImportUsers(ctx, users)
	for _, r := range results {
		if len(r.Problems) > 0 {
			return fmt.Errorf("make accounts: %v", r.Problems)
		}
	}
	return err
}

// Ask puts n questions of each kind in an order drawn by rng, and returns what they
// took: without an account, and with one.
func Ask(n int, rng *rand.Rand, question func(n int, with bool) error) (took [2][]time.Duration, err error) {
	for i := range n {
		first := rng.IntN(2)
		for _, kind := range []int{first, 1 - first} {
			began := time.Now()
			if err := question(i, kind == 1); err != nil {
				return took, err
			}
			took[kind] = append(took[kind], time.Since(began))
		}
	}
	return took, nil
}

type noMail struct{}

func (noMail) Send(context.Context, watchword.Message) error { return nil }
