package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Rotations share commits. A commit waits for the disk; one goroutine takes all
// rotations that have queued up until it is its turn to write, and commits them
// together. A lone one is never delayed: nothing is waited for but the turn.

const (
	maxQueue = 1024
	maxBatch = 256
)

// A rotation is one request that waits for its outcome.
type rotation struct {
	ctx     context.Context
	request watchword.RotateRequest
	result  watchword.RotateResult
	err     error
	done    chan struct{}
}

// Rotate queues the request and waits for its commit. When ctx ends while the
// commit is under way, the rotation may or may not take place: both are states
// from which a client recovers.
func (s *Store) Rotate(ctx context.Context, r watchword.RotateRequest) (watchword.RotateResult, error) {
	if err := s.enter(); err != nil {
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
		s.turn <- struct{}{}
		batch = s.gather(append(batch[:0], one))
		s.rotateBatch(batch)
		<-s.turn
		for _, one := range batch {
			close(one.done)
		}
		clear(batch)
	}
}

// gather adds what has queued up.
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

// rotateBatch commits the batch and gives each rotation its outcome. When the
// database fails, that is the outcome of all, and a commit that failed may yet
// have taken place. When one statement fails, each is tried alone, so that one
// can't spoil the others.
func (s *Store) rotateBatch(batch []*rotation) {
	err := unavailable(context.Background(), s.commit(batch))
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

// commit carries out the rotations whose callers still wait, in one transaction.
func (s *Store) commit(batch []*rotation) error {
	ctx := context.Background()
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	work := sqlstore.NewTx(conn{tx, s.writing})
	for _, one := range batch {
		if one.err = one.ctx.Err(); one.err != nil {
			continue
		}
		if one.result, err = work.Rotate(ctx, one.request); err != nil {
			return err
		}
	}
	return tx.Commit()
}
