package watchword_test

import (
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// Benchmarks of the most frequent operations of the engine, on a real SQLite file
// with synchronous=FULL.

func benchEngine(b *testing.B, change func(*watchword.Options)) (*watchword.Engine, *watchword.SignIn) {
	b.Helper()
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "watchword.db"))
	if err != nil {
		b.Fatal(err)
	}
	opts := watchword.Options{
		PublicURL: "https://id.example.com", MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer: &postbox{}, Limits: watchword.Unlimited(),
	}
	if change != nil {
		change(&opts)
	}
	engine, err := watchword.New(b.Context(), store, opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { engine.Close(); _ = store.Close() })
	in, err := engine.SignUp(b.Context(), watchword.SignUpRequest{
		Email: "ada@example.com", Password: goodPassword, Client: laptop})
	if err != nil {
		b.Fatal(err)
	}
	return engine, in
}

func BenchmarkRefresh(b *testing.B) {
	for name, change := range map[string]func(*watchword.Options){
		"ES256":   nil,
		"Ed25519": func(o *watchword.Options) { o.SigningAlg = "Ed25519" },
		"limited": func(o *watchword.Options) {
			much := watchword.Limit{Count: 1_000_000, Per: 1e9}
			o.Limits = watchword.Limits{RefreshPerSession: much, RefreshPerClient: much}
		},
	} {
		b.Run(name, func(b *testing.B) {
			engine, in := benchEngine(b, change)
			token := in.RefreshToken
			for b.Loop() {
				next, err := engine.Refresh(b.Context(), token, laptop)
				if err != nil {
					b.Fatal(err)
				}
				token = next.RefreshToken
			}
		})
	}
}

// On each core, 32 sessions refresh at the same time, so that rotations share commits.
func BenchmarkRefreshTogether(b *testing.B) {
	const each = 32
	engine, in := benchEngine(b, nil)
	tokens := make(chan watchword.Secret, each*runtime.GOMAXPROCS(0))
	for range cap(tokens) {
		mine, err := engine.Login(b.Context(), watchword.LoginRequest{
			Email: string(in.User.Email), Password: goodPassword, Client: laptop})
		if err != nil {
			b.Fatal(err)
		}
		tokens <- mine.RefreshToken
	}
	b.SetParallelism(each)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		token := <-tokens
		for pb.Next() {
			next, err := engine.Refresh(b.Context(), token, laptop)
			if err != nil {
				b.Error(err)
				return
			}
			token = next.RefreshToken
		}
		tokens <- token
	})
}

// One client refreshes while 64 other clients sign in continuously. The benchmark measures the refresh.
func BenchmarkRefreshInAStorm(b *testing.B) {
	for _, c := range []struct {
		name  string
		storm int
	}{{"calm", 0}, {"storm", 64}} {
		b.Run(c.name, func(b *testing.B) {
			engine, in := benchEngine(b, func(o *watchword.Options) { o.HashQueue = time.Minute })
			_, err := engine.SignUp(b.Context(), watchword.SignUpRequest{
				Email: "bob@example.com", Password: goodPassword, Client: phone})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			var all sync.WaitGroup
			for range c.storm {
				all.Go(func() {
					for ctx.Err() == nil {
						_, err := engine.Login(ctx, watchword.LoginRequest{
							Email: "bob@example.com", Password: goodPassword, Client: phone})
						if err != nil && ctx.Err() == nil {
							b.Error(err)
						}
					}
				})
			}
			var took []time.Duration
			token := in.RefreshToken
			for b.Loop() {
				began := time.Now()
				next, err := engine.Refresh(b.Context(), token, laptop)
				if err != nil {
					b.Fatal(err)
				}
				token = next.RefreshToken
				took = append(took, time.Since(began))
			}
			stop()
			all.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
		})
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	engine, in := benchEngine(b, nil)
	for b.Loop() {
		if _, err := engine.Authenticate(b.Context(), in.AccessToken); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLogin(b *testing.B) {
	engine, in := benchEngine(b, nil)
	for b.Loop() {
		_, err := engine.Login(b.Context(), watchword.LoginRequest{
			Email: string(in.User.Email), Password: goodPassword, Client: laptop})
		if err != nil {
			b.Fatal(err)
		}
	}
}
