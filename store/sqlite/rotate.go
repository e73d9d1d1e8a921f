package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Rotations share commits. A commit waits for the disk; one goroutine takes all
// rotations that have queued up while it waited, and commits them together. A
// lone one is never delayed: nothing is waited for but the disk.

const (
	maxQueue = 1024
	maxBatch = 256
)

var errClosed = errors.New("the database is closed")

// A rotation is one request that waits for its outcome.
type rotation struct {
	ctx     context.Context
	request watchword.RotateRequest
	result  watchword.RotateResult
	err     error
	done    chan struct{}
}

// Rotate queues the request and waits for its commit. When ctx ends first, the
// rotation may or may not take place: both are states from which a client
// recovers.
func (s *Store) Rotate(ctx context.Context, r watchword.RotateRequest) (watchword.RotateResult, error) {
	one := &rotation{ctx: ctx, request: r, done: make(chan struct{})}
	select {
	case s.rotations <- one:
	case <-ctx.Done():
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", unavailable(ctx.Err()))
	case <-s.closing:
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", unavailable(errClosed))
	}
	select {
	case <-one.done:
		return one.result, one.err
	case <-ctx.Done():
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", unavailable(ctx.Err()))
	case <-s.stopped: // after what was queued then
	}
	select {
	case <-one.done:
		return one.result, one.err
	default:
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", unavailable(errClosed))
	}
}

// rotateQueued serves the queue until the store closes, and then what is left.
func (s *Store) rotateQueued() {
	defer close(s.stopped)
	batch := make([]*rotation, 0, maxBatch)
	for {
		select {
		case one := <-s.rotations:
			batch = s.gather(append(batch[:0], one))
			s.rotateBatch(batch)
		case <-s.closing:
			for len(s.rotations) > 0 {
				s.rotateBatch(s.gather(batch[:0]))
			}
			return
		}
	}
}

// gather adds what has queued up.
func (s *Store) gather(batch []*rotation) []*rotation {
	for len(batch) < maxBatch {
		select {
		case one := <-s.rotations:
			batch = append(batch, one)
		default:
			return batch
		}
	}
	return batch
}

// rotateBatch commits the batch, and tells each its outcome. If that fails, each
// is tried alone, so that one can't spoil the others.
func (s *Store) rotateBatch(batch []*rotation) {
	if err := s.commit(batch); err != nil {
		for _, one := range batch {
			if len(batch) > 1 {
				err = s.commit([]*rotation{one})
			}
			if err != nil {
				one.result = watchword.RotateResult{}
				one.err = fmt.Errorf("rotate: %w", unavailable(err))
			}
		}
	}
	for _, one := range batch {
		close(one.done)
	}
}

// commit carries out the rotations whose callers still wait, in one transaction.
func (s *Store) commit(batch []*rotation) error {
	ctx := context.Background()
	tx, err := s.writer.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	statements := sqlstore.NewTx(tx, s.writing)
	for _, one := range batch {
		if one.err = one.ctx.Err(); one.err != nil {
			continue
		}
		if one.result, err = statements.Rotate(ctx, one.request); err != nil {
			return err
		}
	}
	return tx.Commit()
}
