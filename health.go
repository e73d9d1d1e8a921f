package watchword

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword/internal/probe"
)

// Readiness depends on writes: a full or read-only store responds to reads, but sign-ins fail. Two sources show it:
//
//  1. A probing write, when readiness is queried and the last probe is too old. Concurrent queries share one probe,
//     so strangers cause a bounded number of writes.
//  2. The last write that failed because the store is full or read-only (ErrNotWritable). It counts for a few seconds
//     even if a probe succeeds, because a probe can succeed where a sign-in fails.
//
// A write that failed for another reason, such as contention, only makes the next probe earlier. A stranger who
// causes contention therefore can't make the server unready.

const probeSize = 8 << 10 // in bytes: more than a page of either database, so a probe needs free space

type storeHealth struct {
	store Store
	probe probe.Probe
}

// A watchedStore reports its failures to health.
type watchedStore struct {
	Store
	health *storeHealth
}

func (s watchedStore) View(ctx context.Context, fn func(Tx) error) error {
	err := s.Store.View(ctx, fn)
	s.health.recordResult(ctx, err)
	return err
}

func (s watchedStore) Update(ctx context.Context, fn func(Tx) error) error {
	err := s.Store.Update(ctx, fn)
	s.health.recordResult(ctx, err)
	return err
}

func (s watchedStore) Rotate(ctx context.Context, r RotateRequest) (RotateResult, error) {
	result, err := s.Store.Rotate(ctx, r)
	s.health.recordResult(ctx, err)
	return result, err
}

func (s watchedStore) Live(ctx context.Context, id SessionID) (Session, User, error) {
	session, user, err := s.Store.Live(ctx, id)
	s.health.recordResult(ctx, err)
	return session, user, err
}

// recordResult tells the probe about a failure of the store. It ignores a failure after ctx has ended, because such a
// failure does not show the state of the store.
func (h *storeHealth) recordResult(ctx context.Context, err error) {
	if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return
	}
	if errors.Is(err, ErrNotWritable) {
		h.probe.Refuse(err)
	}
	h.probe.Suspect()
}

func (h *storeHealth) checkWritable(ctx context.Context) error {
	err := h.probe.Result(ctx, func(ctx context.Context) error { return probeWrite(ctx, h.store) })
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: a probing write takes too long: %w", ErrUnavailable, err)
	}
	return err
}

// probeWrite inserts and deletes a mail in one transaction, so the mail is never visible. The mail contains random
// text, because a database may compress other text.
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
