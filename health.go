package watchword

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Readiness depends on writes: a store that is full or read-only still responds to
// reads, but sign-ins fail. Two sources show whether the store accepts writes:
//
//  1. A probing write, when readiness is queried and the last probe is too old.
//     Concurrent queries share one probe, so strangers cause a bounded number of writes.
//  2. The last write that failed because the store is full or read-only
//     (ErrNotWritable). It counts for a few seconds even if a probe succeeds, because a
//     probe can succeed where a sign-in fails.
//
// After a write that failed for another reason, such as contention, the next probe only
// comes earlier. A stranger who causes contention therefore can't make the server
// unready.

const (
	probeKept    = 2 * time.Second        // how long a successful probe counts
	probePause   = 500 * time.Millisecond // minimum time between two probes
	probeTimeout = 5 * time.Second
	refusalKept  = 5 * time.Second // how long a write refused with ErrNotWritable counts

	probeSize = 8 << 10 // bytes; larger than a page of both stores, so a probe needs free space
)

// health is what this process knows about the store.
type health struct {
	store Store

	mu      sync.Mutex
	running *probe // nil: no probe is running
	last    *probe // nil: before the first probe
	suspect bool   // an operation failed after the last probe
	refused time.Time
	refusal error
}

// A probe is one probing write.
type probe struct {
	done  chan struct{} // closed at the end
	ended time.Time     // monotonic
	err   error
}

// watchedStore is a Store that reports its failures to health.
type watchedStore struct {
	Store
	health *health
}

func (s watchedStore) View(ctx context.Context, fn func(Tx) error) error {
	err := s.Store.View(ctx, fn)
	s.health.observe(ctx, err)
	return err
}

func (s watchedStore) Update(ctx context.Context, fn func(Tx) error) error {
	err := s.Store.Update(ctx, fn)
	s.health.observe(ctx, err)
	return err
}

func (s watchedStore) Rotate(ctx context.Context, r RotateRequest) (RotateResult, error) {
	result, err := s.Store.Rotate(ctx, r)
	s.health.observe(ctx, err)
	return result, err
}

func (s watchedStore) Live(ctx context.Context, id SessionID) (Session, User, error) {
	session, user, err := s.Store.Live(ctx, id)
	s.health.observe(ctx, err)
	return session, user, err
}

// observe records the result of an operation. It ignores operations whose context has
// ended, because they don't show the state of the store.
func (h *health) observe(ctx context.Context, err error) {
	if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.suspect = true
	if errors.Is(err, ErrNotWritable) {
		h.refused, h.refusal = time.Now(), err
	}
}

// writable returns nil if the store accepts writes.
func (h *health) writable(ctx context.Context) error {
	h.mu.Lock()
	now := time.Now()
	if h.refusal != nil && now.Sub(h.refused) < refusalKept {
		defer h.mu.Unlock()
		return h.refusal
	}
	if h.running == nil && h.isFresh(now) {
		defer h.mu.Unlock()
		return h.last.err
	}
	if h.running == nil {
		h.running = &probe{done: make(chan struct{})}
		go h.run(context.WithoutCancel(ctx), h.running)
	}
	running := h.running
	h.mu.Unlock()
	select {
	case <-running.done:
		return running.err
	case <-ctx.Done():
		return fmt.Errorf("%w: a probing write takes too long: %w", ErrUnavailable, ctx.Err())
	}
}

// isFresh reports whether the last probe still counts.
func (h *health) isFresh(now time.Time) bool {
	if h.last == nil {
		return false
	}
	age := now.Sub(h.last.ended)
	return age < probePause || age < probeKept && h.last.err == nil && !h.suspect
}

// run performs one probing write. It continues if the first caller goes away.
func (h *health) run(ctx context.Context, p *probe) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := probeWrite(ctx, h.store)
	h.mu.Lock()
	defer h.mu.Unlock()
	p.err, p.ended = err, time.Now()
	h.running, h.last, h.suspect = nil, p, false
	close(p.done)
}

// probeWrite inserts a mail and deletes it in the same transaction, so it is never
// visible. Its text is random, because a database may compress.
func probeWrite(ctx context.Context, store Store) error {
	text := make([]byte, probeSize/2)
	rand.Read(text)
	mail := Mail{ID: newID(), Kind: "probe", LastError: hex.EncodeToString(text)}
	err := store.Update(ctx, func(tx Tx) error {
		if err := tx.InsertMail(ctx, mail); err != nil {
			return err
		}
		return tx.DeleteMail(ctx, mail.ID)
	})
	if err != nil {
		return fmt.Errorf("probing write: %w", err)
	}
	return nil
}
