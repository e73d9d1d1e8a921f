package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/gather"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Rotations that wait at the same time share one commit (group commit), because each commit waits for the disk. A
// batch starts when it has the write lock, and contains all rotations that are then in the queue. It does not wait
// for more rotations, so a single rotation waits only for the lock.

// maxBatch is the maximum number of rotations in a batch. It bounds how long an Update waits for a batch.
const maxBatch = 256

type (
	rotateQueue = gather.Queue[watchword.RotateRequest, watchword.RotateResult]
	rotateCall  = gather.Call[watchword.RotateRequest, watchword.RotateResult]
)

// newRotations returns a queue that starts a batch as soon as it has the write lock.
func (s *Store) newRotations() *rotateQueue {
	return gather.New(maxBatch, func() { s.writeLock <- struct{}{} }, func(calls []*rotateCall) {
		s.rotateBatch(calls)
		<-s.writeLock
		for _, call := range calls {
			call.End()
		}
	})
}

// Rotate queues the request and waits for its commit. If ctx ends during the commit, the rotation may have happened
// or not. In both cases, the client can present the same token again.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Rotate(ctx context.Context, r watchword.RotateRequest) (watchword.RotateResult, error) {
	if err := s.beginOperation(); err != nil {
		return watchword.RotateResult{}, err
	}
	defer s.running.Done()
	result, err := s.rotations.Do(ctx, r)
	if err != nil {
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", classifyError(ctx, err))
	}
	// The caller gets copies of the slices, because the row in memory shares the originals.
	result.Session, result.User = cloneSlices(result.Session, result.User)
	return result, nil
}

// rotateBatch commits the batch and sets the result or error of each rotation. If one statement fails, no rotation
// was committed. Each rotation then runs again in its own transaction, so that one bad request can't fail the others.
//
// If the database fails, all rotations get the error, because the commit may have succeeded although it returned an
// error.
func (s *Store) rotateBatch(calls []*rotateCall) {
	err := classifyError(context.Background(), s.commitBatch(calls))
	for _, call := range calls {
		if call.Err = err; err != nil && len(calls) > 1 && !errors.Is(err, watchword.ErrUnavailable) {
			s.rotateBatch([]*rotateCall{call})
		}
	}
}

// commitBatch runs the rotations in one transaction. It does not use the context of a caller, because one caller who
// cancels must not cancel the rotations of others.
func (s *Store) commitBatch(calls []*rotateCall) error {
	if len(calls) == 0 {
		return nil
	}
	ctx := context.Background()
	return s.updateLocked(ctx, func(tx sqlstore.Tx, changed *changedRows) (err error) {
		for _, call := range calls {
			if call.Answer, err = s.rotateInTx(ctx, tx, changed, call.Request); err != nil {
				return err
			}
		}
		return nil
	})
}

// rotateInTx rotates a session in the transaction of a batch. If the session is in memory, it does not read the file.
// It keeps the rotated session in memory for the next rotation.
func (s *Store) rotateInTx(
	ctx context.Context, tx sqlstore.Tx, changed *changedRows, r watchword.RotateRequest,
) (result watchword.RotateResult, err error) {
	if row := s.live.rowInTransaction(r.Session, changed); row != nil {
		result, err = tx.RotateKnown(ctx, r, row.session, *row.user)
	} else {
		result, err = tx.Rotate(ctx, r)
	}
	if err == nil && result.Rotated {
		changed.keepRow(result.Session, result.User)
	}
	return result, err
}
