package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

const (
	maxJWKS = 256 << 10 // bytes

	// A JWKS is used for as long as its Cache-Control says, within these.
	defaultFreshness = 5 * time.Minute
	minFreshness     = time.Minute
	maxFreshness     = time.Hour

	// Whatever tokens come, the JWKS is not read again sooner than this after it
	// was read, and sooner than these after it could not be.
	againAfter   = 10 * time.Second
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second

	// An outage of the issuer is survived with the keys of before, but not for
	// ever: who cuts us off must not keep a key alive that was retired.
	outlives = 24 * time.Hour
)

// keys are the verification keys of one issuer. One goroutine reads its JWKS,
// ahead of time, so that verifying waits for nobody; and when a token names a key
// that is not known, at most once in againAfter, whoever asks.
//
// Its intervals are measured, not read from a clock that could be set.
type keys struct {
	issuer *issuer
	log    *slog.Logger
	shared bool // HS256: nothing is read
	set    atomic.Pointer[keySet]

	wanted chan struct{} // wakes run

	mu      sync.Mutex
	done    chan struct{} // closed when the attempt that is made now, or next, is over
	err     error         // of the last attempt
	allowed time.Time     // when there may be another
	backoff time.Duration
}

// A keySet is what one JWKS holds. As long as the document stays the same it is
// the same set: the cache of tokens relies on that.
type keySet struct {
	keys     map[string]accesstoken.Key // by kid
	document []byte
}

func newKeys(from *issuer, opts Options) (*keys, error) {
	k := &keys{issuer: from, log: opts.Log, wanted: make(chan struct{}, 1), done: make(chan struct{})}
	if opts.SigningSecret != nil {
		key, err := accesstoken.NewHS256(opts.SigningSecret)
		if err != nil {
			return nil, err
		}
		k.shared = true
		k.set.Store(&keySet{keys: map[string]accesstoken.Key{key.ID(): key}})
	}
	return k, nil
}

// current returns the keys as they are known. It waits only while there are none.
func (k *keys) current(ctx context.Context) (*keySet, error) {
	if set := k.set.Load(); set != nil {
		return set, nil
	}
	return k.reread(ctx)
}

// reread returns the keys after another look at the JWKS, unless there was one a
// moment ago. It fails if that look did: whether a key exists is not known then.
func (k *keys) reread(ctx context.Context) (*keySet, error) {
	if k.shared {
		return k.set.Load(), nil
	}
	k.mu.Lock()
	done, recent := k.done, time.Now().Before(k.allowed)
	k.mu.Unlock()
	if !recent {
		select {
		case k.wanted <- struct{}{}:
		default: // somebody asked before
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: read the keys: %w", ErrUnavailable, ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, k.err)
	}
	return k.set.Load(), nil
}

// run keeps the keys up to date until ctx ends.
func (k *keys) run(ctx context.Context) {
	if k.shared {
		return
	}
	read := time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		freshness, err := k.read(ctx)
		if err == nil {
			read = time.Now()
		} else if time.Since(read) > outlives {
			k.set.Store(nil)
		}
		if err != nil && ctx.Err() == nil {
			k.log.Warn("the keys of the issuer can't be read; those of before stay in use",
				slog.String("issuer", k.issuer.name), slog.String("for", time.Since(read).Round(time.Second).String()), slog.Any("error", err))
		}
		next := k.settle(began, freshness, err)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				waiting = false
			case <-time.After(time.Until(next)):
				waiting = false
			case <-k.wanted:
				waiting = !k.mayRead()
			}
		}
	}
	k.settle(time.Now(), 0, errors.New("the verifier is closed")) // nobody waits for ever
}

// settle notes how an attempt ended, lets those go who waited for it, and returns
// when the next one is due.
func (k *keys) settle(began time.Time, freshness time.Duration, err error) (next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
	if err == nil {
		k.backoff = 0
		k.allowed = began.Add(againAfter)
		next = began.Add(freshness * 3 / 4)
	} else {
		k.backoff = min(max(2*k.backoff, firstBackoff), lastBackoff)
		k.allowed = time.Now().Add(k.backoff)
		next = k.allowed
	}
	close(k.done)
	k.done = make(chan struct{})
	return next
}

func (k *keys) mayRead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !time.Now().Before(k.allowed)
}

// read replaces the keys by those that the issuer publishes now: what is absent
// from a good answer has been retired.
func (k *keys) read(ctx context.Context) (freshness time.Duration, err error) {
	about, err := k.issuer.metadata(ctx)
	if err != nil {
		return 0, err
	}
	document, header, err := k.issuer.get(ctx, about.JWKSURI, maxJWKS)
	if err != nil {
		k.issuer.forget()
		return 0, fmt.Errorf("read the JWKS: %w", err)
	}
	parsed, err := accesstoken.ParseJWKS(document)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", about.JWKSURI, err)
	}
	if len(parsed) == 0 {
		return 0, fmt.Errorf("%s has no key that we can use; if the issuer signs with HS256, give Options.SigningSecret", about.JWKSURI)
	}
	if before := k.set.Load(); before == nil || !bytes.Equal(before.document, document) {
		k.set.Store(&keySet{keys: parsed, document: document})
	}
	return freshnessOf(header), nil
}

// freshnessOf is for how long an answer may be used (RFC 9111, section 5.2.2.1).
func freshnessOf(header http.Header) time.Duration {
	fresh := defaultFreshness
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		switch {
		case strings.EqualFold(name, "no-store"), strings.EqualFold(name, "no-cache"):
			return minFreshness
		case strings.EqualFold(name, "max-age") && err == nil:
			fresh = time.Duration(seconds) * time.Second
		}
	}
	return min(max(fresh, minFreshness), maxFreshness)
}
