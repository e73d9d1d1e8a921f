package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

type noMailer struct{}

func (noMailer) Send(context.Context, watchword.Message) error { return nil }

// ReadyEngine returns an engine on the store, and fails if the store does not accept writes.
func ReadyEngine(t *testing.T, store watchword.Store) *watchword.Engine {
	t.Helper()
	engine, err := watchword.New(t.Context(), store, watchword.Options{
		PublicURL: "https://id.example.com", MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer: noMailer{}, Limits: watchword.Unlimited(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	WantReady(t, engine, true)
	return engine
}

// WantReady waits until Ready and Stats of the engine agree with want: true means that the store accepts writes,
// false that it does not. It fails after a minute, which is enough on a busy machine.
func WantReady(t *testing.T, engine *watchword.Engine, want bool) {
	t.Helper()
	begun := time.Now()
	for {
		err := engine.Ready(t.Context())
		stats, statsErr := engine.Stats(t.Context())
		if err != nil && !errors.Is(err, watchword.ErrUnavailable) {
			t.Fatalf("readiness: %v", err)
		}
		up := stats.Store == nil && statsErr == nil
		if (err == nil) == want && up == want {
			t.Logf("ready %t after %s (%v)", want, time.Since(begun).Round(time.Millisecond), err)
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("after a minute: readiness %v, store %v, %v; want ready %t", err, stats.Store, statsErr, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
