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

	// A JWKS is fresh for the time in its Cache-Control, but at least minFreshness and at most maxFreshness. Without
	// Cache-Control, it is fresh for defaultFreshness.
	defaultFreshness = 5 * time.Minute
	minFreshness     = time.Minute
	maxFreshness     = time.Hour

	// These intervals limit the requests to the issuer, even if many tokens name unknown keys. After a successful
	// read, the next read is at least rereadInterval later. After failures, the wait doubles from firstBackoff to
	// lastBackoff.
	rereadInterval = 10 * time.Second
	firstBackoff   = time.Second
	lastBackoff    = 30 * time.Second

	// maxOutage is how long the last keys stay in use while the issuer is unreachable.
	// It is bounded, because an attacker who blocks the network must not be able to
	// keep a retired key in use.
	maxOutage = 24 * time.Hour
)

// issuerKeys contains the verification keys of one issuer. Its method run, in one goroutine, reads the JWKS before it
// becomes stale, so that Verify does not wait. It also reads the JWKS if a token names an unknown key, at most once
// in rereadInterval for all callers together.
//
// Intervals use the monotonic clock, not Options.Now.
type issuerKeys struct {
	issuer         *issuer
	log            *slog.Logger
	isSharedSecret bool // HS256, so there is no JWKS
	set            atomic.Pointer[keySet]

	wakeUp chan struct{} // asks run to read the JWKS early

	mu              sync.Mutex
	readFinished    chan struct{} // closed at the end of the running read, or of the next one
	lastReadErr     error
	nextReadAllowed time.Time
	backoff         time.Duration
}

// A keySet contains the keys of one JWKS. While the document does not change, run keeps the same *keySet, because the
// token cache compares the pointers.
type keySet struct {
	byID     map[string]accesstoken.Key // by kid
	document []byte
}

func newKeys(i *issuer, opts Options) (*issuerKeys, error) {
	k := &issuerKeys{issuer: i, log: opts.Log, wakeUp: make(chan struct{}, 1), readFinished: make(chan struct{})}
	if opts.SigningSecret != nil {
		key, err := accesstoken.NewHS256(opts.SigningSecret)
		if err != nil {
			return nil, err
		}
		k.isSharedSecret = true
		k.set.Store(&keySet{byID: map[string]accesstoken.Key{key.ID(): key}})
	}
	return k, nil
}

// currentKeys returns the keys of the last JWKS. It waits only if no JWKS has been read yet.
func (k *issuerKeys) currentKeys(ctx context.Context) (*keySet, error) {
	if set := k.set.Load(); set != nil {
		return set, nil
	}
	return k.rereadUnlessRecent(ctx)
}

// rereadUnlessRecent reads the JWKS again, unless the last read was recent. It returns an error if the last read
// failed, because the issuer may have keys that are missing here.
func (k *issuerKeys) rereadUnlessRecent(ctx context.Context) (*keySet, error) {
	if k.isSharedSecret {
		return k.set.Load(), nil
	}
	k.mu.Lock()
	done, recent := k.readFinished, time.Now().Before(k.nextReadAllowed)
	k.mu.Unlock()
	if !recent {
		select {
		case k.wakeUp <- struct{}{}:
		default: // a read is already requested
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: read the keys: %w", ErrUnavailable, ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lastReadErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, k.lastReadErr)
	}
	return k.set.Load(), nil
}

// run reads the JWKS regularly until ctx ends. It drops the keys after a long outage.
func (k *issuerKeys) run(ctx context.Context) {
	if k.isSharedSecret {
		return
	}
	lastSuccess := time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		freshness, err := k.fetchKeys(ctx)
		if err == nil {
			lastSuccess = time.Now()
		} else if time.Since(lastSuccess) > maxOutage {
			k.set.Store(nil)
		}
		if err != nil && ctx.Err() == nil {
			k.log.Warn("can't read the issuer's keys; the last keys stay in use for up to 24 h",
				slog.String("issuer", k.issuer.name),
				slog.String("for", time.Since(lastSuccess).Round(time.Second).String()), slog.Any("error", err))
		}
		k.waitForNextRead(ctx, k.finishRead(began, freshness, err))
	}
	k.finishRead(time.Now(), 0, errors.New("the verifier is closed")) // ends the wait of rereadUnlessRecent
}

// waitForNextRead returns at nextReadAt, when an early read is requested and allowed, or when ctx ends.
func (k *issuerKeys) waitForNextRead(ctx context.Context, nextReadAt time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(nextReadAt)):
			return
		case <-k.wakeUp:
			if k.mayRead() {
				return
			}
		}
	}
}

// finishRead records the result of a read. It wakes the callers that wait for the read, and returns the time of the
// next read.
func (k *issuerKeys) finishRead(began time.Time, freshness time.Duration, err error) (nextReadAt time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastReadErr = err
	if err == nil {
		k.backoff = 0
		k.nextReadAllowed = began.Add(rereadInterval)
		nextReadAt = began.Add(freshness * 3 / 4)
	} else {
		k.backoff = min(max(2*k.backoff, firstBackoff), lastBackoff)
		k.nextReadAllowed = time.Now().Add(k.backoff)
		nextReadAt = k.nextReadAllowed
	}
	close(k.readFinished)
	k.readFinished = make(chan struct{})
	return nextReadAt
}

func (k *issuerKeys) mayRead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !time.Now().Before(k.nextReadAllowed)
}

// fetchKeys reads the JWKS and replaces all keys by those in it. A key that is no longer in the JWKS is thereby
// dropped, because the issuer has retired it.
func (k *issuerKeys) fetchKeys(ctx context.Context) (freshness time.Duration, err error) {
	about, err := k.issuer.metadata(ctx)
	if err != nil {
		return 0, err
	}
	document, header, err := k.issuer.fetchDocument(ctx, about.JWKSURI, maxJWKS)
	if err != nil {
		k.issuer.invalidateMetadata()
		return 0, fmt.Errorf("read the JWKS: %w", err)
	}
	parsed, err := accesstoken.ParseJWKS(document)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", about.JWKSURI, err)
	}
	if len(parsed) == 0 {
		return 0, fmt.Errorf("%s has no usable key; if the issuer signs with HS256, set Options.SigningSecret",
			about.JWKSURI)
	}
	if before := k.set.Load(); before == nil || !bytes.Equal(before.document, document) {
		k.set.Store(&keySet{byID: parsed, document: document})
	}
	return cacheLifetime(header), nil
}

// cacheLifetime reads Cache-Control (RFC 9111, section 5.2.2.1).
func cacheLifetime(header http.Header) time.Duration {
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
