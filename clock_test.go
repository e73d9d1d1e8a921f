package watchword_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
)

// If the store has a clock, every server uses this clock, so servers with different clocks act as one service. A
// store without a clock is for one process. For such a process, promise_test.go sets the clock back.

type storeWithClock struct {
	watchword.Store
	clock *clock
}

func (c storeWithClock) Clock(context.Context) (time.Time, error) { return c.clock.Now(), nil }

// A fleet is three engines on one store. The clock of each engine is wrong by a different amount.
type fleet struct {
	store   watchword.Store
	opts    watchword.Options
	now     func() time.Time
	engines [3]*watchword.Engine
}

func (f *fleet) restartServer(ctx context.Context, i int, clockError time.Duration) error {
	opts := f.opts
	opts.Now = func() time.Time { return f.now().Add(clockError) }
	engine, err := watchword.NewForTest(ctx, f.store, opts)
	if err != nil {
		return err
	}
	if f.engines[i] != nil {
		f.engines[i].Close()
	}
	f.engines[i] = engine
	if ahead := engine.ClockAhead(); (ahead - clockError).Abs() > time.Second {
		return fmt.Errorf("the clock is wrong by %s, but the engine measured %s", clockError, ahead)
	}
	return nil
}

func (f *fleet) close() {
	for _, e := range f.engines {
		if e != nil {
			e.Close()
		}
	}
}

// RT-3, RT-5, RT-6
func TestServersWithDifferentClocksGiveTheSameVerdict(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the test takes many seconds")
	}
	w := newWorld(t)
	f := &fleet{store: storeWithClock{w.store, w.clock}, opts: w.opts, now: w.clock.Now}
	t.Cleanup(f.close)
	for i, off := range []time.Duration{-5 * time.Second, 0, 5 * time.Second} {
		if err := f.restartServer(t.Context(), i, off); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		some := func() *watchword.Engine { return f.engines[rapid.IntRange(0, 2).Draw(rt, "server")] }
		in := w.login(t, "ada@example.com", laptop)
		tokens := []watchword.Secret{in.RefreshToken}
		refresh := func(token watchword.Secret) *watchword.SignIn {
			in, err := some().Refresh(rt.Context(), token, laptop)
			if err != nil {
				rt.Fatalf("an honest client was refused: %v", err)
			}
			if in.Session.Forgiven != watchword.NeverForgiven {
				rt.Fatal("a refresh in time was judged late")
			}
			if _, err := some().Authenticate(rt.Context(), in.AccessToken); err != nil {
				rt.Fatalf("a server refuses the token of another server: %v", err)
			}
			return in
		}
		rt.Repeat(map[string]func(*rapid.T){
			"time passes": func(rt *rapid.T) {
				w.clock.advance(time.Duration(rapid.IntRange(0, int(5*time.Hour)).Draw(rt, "pause")))
			},
			"a server restarts with another clock": func(rt *rapid.T) {
				off := rapid.IntRange(-3600, 3600).Draw(rt, "seconds off")
				if err := f.restartServer(rt.Context(), rapid.IntRange(0, 2).Draw(rt, "server"),
					time.Duration(off)*time.Second); err != nil {
					rt.Fatal(err)
				}
			},
			"a refresh": func(*rapid.T) { tokens = append(tokens, refresh(tokens[len(tokens)-1]).RefreshToken) },
			"a refresh and its repeat, nine seconds later": func(rt *rapid.T) {
				last := tokens[len(tokens)-1]
				next := refresh(last).RefreshToken
				w.clock.advance(9 * time.Second)
				if refresh(last).RefreshToken != next {
					rt.Fatal("the repeat got another token")
				}
				tokens = append(tokens, next)
			},
		})
		if len(tokens) < 3 {
			return
		}
		w.clock.advance(11 * time.Second)
		_, err := some().Refresh(rt.Context(), tokens[len(tokens)-3], laptop)
		if watchword.CodeOf(err) != watchword.CodeRefreshReused {
			rt.Fatalf("an old token after eleven seconds: %v, want REFRESH_REUSED", err)
		}
	})
}

// Servers on a PostgreSQL database must use the clock of the database.
func TestServersOnPostgresUseTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	store, err := postgres.Open(t.Context(), pgtest.Migrated(t, postgres.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	f := &fleet{store: store, now: time.Now, opts: watchword.Options{
		PublicURL: "https://id.example.com",
		MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer:    &postbox{},
		HashQueue: time.Minute,
	}}
	t.Cleanup(f.close)
	for i, off := range []time.Duration{-5 * time.Second, 5 * time.Second, -time.Hour} {
		if err := f.restartServer(t.Context(), i, off); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range f.engines {
		in, err := e.SignUp(t.Context(), watchword.SignUpRequest{
			Email: fmt.Sprintf("user%d@example.com", i), Password: goodPassword, Client: laptop})
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range f.engines {
			if _, err := other.Authenticate(t.Context(), in.AccessToken); err != nil {
				t.Errorf("server %d refuses the token of server %d: %v", j, i, err)
			}
			next, err := other.Refresh(t.Context(), in.RefreshToken, laptop)
			if err != nil {
				t.Fatal(err)
			}
			if age := time.Since(next.Session.RotatedAt).Abs(); age > time.Minute {
				t.Errorf("server %d stored a time that is wrong by %s", j, age)
			}
			in = next
		}
	}
}
