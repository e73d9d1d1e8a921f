package watchword

import (
	"context"
	"sync"
	"time"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// NewForTest is New with the lowest hash cost, unless opts set a cost or select argon2id.
// The tests compute thousands of hashes. With the real cost, hashing took 33 of the 57 CPU
// seconds of the package's short tests.
func NewForTest(ctx context.Context, store Store, opts Options) (*Engine, error) {
	e, err := New(ctx, store, opts)
	if err == nil && opts.HashAlg != "argon2id" && opts.HashCost == "" {
		e.hashing.params = passhash.LowestParams(opts.HashAlg)
		e.hashing.dummy = passhash.Dummy(e.hashing.params)
	}
	return e, err
}

// Level returns how long a failed sign-in would wait if the verification of its password took no time.
func (e *Engine) Level() time.Duration { return e.hashing.level.Wait(0, false) }

// Occupy keeps the only worker of the hash pool busy until release is called.
func (e *Engine) Occupy() (release func()) { return occupy(e.hashing.pool) }

func occupy(pool *passhash.Pool) (release func()) {
	started, done := make(chan struct{}), make(chan struct{})
	go func() {
		// On a busy machine, the pool can refuse the function, because the worker may start after the deadline. The
		// loop then tries again.
		for pool.Do(context.Background(), "", func() { close(started); <-done }) != nil {
		}
	}()
	<-started
	return sync.OnceFunc(func() { close(done) })
}

func WhyReuse(r Rotation, p Presentation) string { return string(whyReuse(r, p)) }

// FeedMemory counts the events of the feed that this process holds, and the bytes of
// their tokens.
func (e *Engine) FeedMemory() (items, tokens, bytes int) {
	items = e.feed.Memory(func(event FeedEvent) {
		if event.Token != "" {
			tokens, bytes = tokens+1, bytes+len(event.Token)+len(event.ID)
		}
	})
	return items, tokens, bytes
}

func DefaultsOf(o Options) Options { return o.withDefaults() }

func (e *Engine) Sweep(ctx context.Context) (int, error) { return e.sweep(ctx) }
