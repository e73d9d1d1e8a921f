package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Rotations share commits (group commit), because each commit waits for the disk. One
// goroutine takes the write lock, then all rotations that are queued by then, and commits
// them together. A single rotation is never delayed: the goroutine waits only for the lock.

// The bounds limit the memory of the queue and the wait of an Update.
const (
	maxQueue = 1024 // further callers wait for a place in the queue
	maxBatch = 256  // bounds how long an Update waits for one batch
)

// A rotation is one queued request. result and err are valid after done is closed. The goroutine
// that serves the queue writes both before it closes done, so no lock is needed.
type rotation struct {
	ctx     context.Context
	request watchword.RotateRequest
	result  watchword.RotateResult
	err     error
	done    chan struct{}
}

// Rotate queues the request and waits for its commit. If ctx ends during the commit, the
// rotation may or may not take place. A client recovers from both: it presents the same
// token again, which is then a repeat or a first use.
func (s *Store) Rotate(ctx context.Context, r watchword.RotateRequest) (watchword.RotateResult, error) {
	if err := s.begin(); err != nil {
		return watchword.RotateResult{}, err
	}
	defer s.running.Done()
	one := &rotation{ctx: ctx, request: r, done: make(chan struct{})}
	select {
	case s.rotations <- one:
	case <-ctx.Done():
		return watchword.RotateResult{}, fmt.Errorf("wait to rotate: %w", unavailable(ctx, ctx.Err()))
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", unavailable(ctx, ctx.Err()))
	}
	if one.err != nil {
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", unavailable(ctx, one.err))
	}
	return one.result, nil
}

// rotateQueued serves the queue until it is closed and empty.
func (s *Store) rotateQueued() {
	batch := make([]*rotation, 0, maxBatch)
	for one := range s.rotations {
		s.writeLock <- struct{}{}
		batch = s.gather(append(batch[:0], one))
		s.rotateBatch(batch)
		<-s.writeLock
		for _, one := range batch {
			close(one.done)
		}
		clear(batch) // keeps no request alive while the queue is empty
	}
}

// gather adds the queued rotations without waiting for more.
func (s *Store) gather(batch []*rotation) []*rotation {
	for len(batch) < maxBatch {
		select {
		case one, open := <-s.rotations:
			if !open {
				return batch
			}
			batch = append(batch, one)
		default:
			return batch
		}
	}
	return batch
}

// rotateBatch commits the batch and sets the result or error of each rotation. If the database
// fails, all rotations get the error, because a failed commit may nevertheless have taken place. If
// one statement fails, the batch was rolled back. Each rotation is then retried alone, so that one
// bad request can't fail the others.
func (s *Store) rotateBatch(batch []*rotation) {
	err := unavailable(context.Background(), s.commitBatch(batch))
	if err == nil {
		return
	}
	for _, one := range batch {
		one.err = err
		if len(batch) > 1 && !errors.Is(err, watchword.ErrUnavailable) {
			s.rotateBatch([]*rotation{one})
		}
	}
}

// commitBatch runs the rotations in one transaction. It skips those whose callers have gone. It
// uses no caller's context, because one caller must not cancel the others' rotations.
func (s *Store) commitBatch(batch []*rotation) error {
	ctx := context.Background()
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	var changed changes
	shared := sqlstore.NewTx(conn{tx, s.writing, &changed})
	for _, one := range batch {
		if one.err = one.ctx.Err(); one.err != nil {
			continue
		}
		if one.result, err = shared.Rotate(ctx, one.request); err != nil {
			return err
		}
	}
	return s.commit(tx, &changed)
}
