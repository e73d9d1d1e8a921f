package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/gather"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Concurrent rotations form a batch: one statement, one round trip and one commit. Usually one batch is running while
// the next batch collects requests. If no batch is running, a rotation is sent immediately.

const (
	// maxBatch is the maximum number of requests in a batch. It bounds the memory of a statement, and the number of
	// callers that a slow statement delays.
	maxBatch = 64

	// maxBatchWait is how long the next batch waits for the running batch to finish. After that, both run
	// concurrently. A batch can run for longer, because it may wait for a standby, or for a row that another
	// transaction has locked.
	maxBatchWait = 5 * time.Millisecond

	// batchLockTimeout is how long a batch waits for a row lock. After that, the requests of the batch run
	// separately, so that only the requests for the locked row wait longer. It is shorter than deadlock_timeout (a
	// second by default).
	batchLockTimeout = 200 * time.Millisecond
)

// newQueue returns a queue in which a batch starts when the previous one has finished, or after maxBatchWait. At most
// maxRunning batches run at the same time.
func newQueue[Q, A any](maxRunning int, runBatch func([]*gather.Call[Q, A])) *gather.Queue[Q, A] {
	turn, running := make(chan struct{}, 1), make(chan struct{}, maxRunning)
	return gather.New(maxBatch, func() {
		turn <- struct{}{}
		running <- struct{}{}
	}, func(calls []*gather.Call[Q, A]) {
		end := sync.OnceFunc(func() { <-turn })
		overtake := time.AfterFunc(maxBatchWait, end)
		runBatch(calls)
		overtake.Stop()
		end()
		<-running
	})
}

// Rotate charges the limits of the request and rotates its session. Calls that arrive at the same time share one
// statement and one round trip. If ctx ends after the statement was sent, the rotation may have happened or not. In
// both cases, the client can present the same token again.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Rotate(ctx context.Context, r watchword.RotateRequest) (watchword.RotateResult, error) {
	if len(r.Charges) > maxCharges {
		return watchword.RotateResult{}, fmt.Errorf("rotate: %d charges, want up to %d", len(r.Charges), maxCharges)
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.rotations.Do(limited, r)
	if err = cmp.Or(classifyError(err), got.Err); err != nil { // an unreadable row (got.Err) is not an outage
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", err)
	}
	if got.Counted == sqlstore.AllCounted(r) {
		return got.Result, nil
	}
	return s.refuseRotation(ctx, r, got.Counted)
}

// refuseRotation returns how long a rate-limited request must wait. If only some charges of the request were counted,
// refuseRotation refunds them. A concurrent request can cause this by using up the limit of a later charge.
func (s *Store) refuseRotation(
	ctx context.Context, r watchword.RotateRequest, counted int,
) (result watchword.RotateResult, err error) {
	err = s.Update(ctx, func(tx watchword.Tx) error {
		for n, c := range r.Charges {
			if counted>>n&1 == 1 {
				if err := tx.Refund(ctx, c); err != nil {
					return err
				}
				continue
			}
			wait, err := tx.(sqlstore.Tx).Wait(ctx, c)
			if err != nil {
				return err
			}
			result.Wait = max(result.Wait, wait)
		}
		return nil
	})
	return result, err
}

// A rotateCall is one call of Rotate that waits for the result of a batch.
type rotateCall = gather.Call[watchword.RotateRequest, sqlstore.Rotated]

// rotateBatch sends all calls together. If a statement fails or waits too long for a lock, the whole batch is rolled
// back. rotateBatch then runs each request separately, so that a failing request does not affect the other requests.
//
// After an outage, rotateBatch does not run the requests again, because the batch may be committed although the
// response was lost. All calls then get the error.
func (s *Store) rotateBatch(calls []*rotateCall) {
	if len(calls) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	err := s.retry(ctx, pgconn.SafeToRetry, func() error { return s.rotateOnce(ctx, calls) })
	undone := isLockTimeout(err) || err != nil && !errors.Is(classifyError(err), watchword.ErrUnavailable)
	if undone && len(calls) > 1 {
		var alone sync.WaitGroup
		for _, call := range calls {
			if !call.Left() {
				alone.Go(func() { s.rotateBatch([]*rotateCall{call}) })
			}
		}
		alone.Wait()
		return
	}
	for _, call := range calls {
		call.Err = err
		call.End()
	}
}

// rotateOnce makes one attempt. A single request is one statement. Several requests are sent as a pipeline, which is
// one round trip and one transaction.
func (s *Store) rotateOnce(ctx context.Context, calls []*rotateCall) error {
	if len(calls) > 1 {
		return s.rotateMany(ctx, calls)
	}
	r := calls[0].Request
	answer, err := s.pool.Query(ctx, rotateStatements[len(r.Charges)], sqlstore.RotateArgs(r)...)
	if err != nil {
		return err
	}
	return readRotated(answer, calls)
}

func (s *Store) rotateMany(ctx context.Context, calls []*rotateCall) error {
	rounds := sqlstore.RotateRounds(calls, requestOf)
	var batch pgx.Batch
	batch.Queue(setLockTimeout, strconv.Itoa(int(batchLockTimeout.Milliseconds())))
	for _, round := range rounds {
		batch.Queue(rotateManyStatement, sqlstore.RotateManyArgs(requestsOf(round))...)
	}
	answers := s.pool.SendBatch(ctx, &batch)
	_, err := answers.Exec()
	for i := 0; err == nil && i < len(rounds); i++ {
		var answer pgx.Rows
		if answer, err = answers.Query(); err == nil {
			err = readRotated(answer, rounds[i])
		}
	}
	return cmp.Or(err, answers.Close()) // Close waits for the commit
}

// setLockTimeout applies to the current transaction only.
const setLockTimeout = "SELECT set_config('lock_timeout', $1, true)"

// maxCharges is the maximum number of charges of one rotation. The engine uses two.
const maxCharges = 4

var (
	rotateManyStatement = sqlstore.RotateManyStatement()
	rotateStatements    = func() (texts [maxCharges + 1]string) { // indexed by the number of charges
		for charges := range texts {
			texts[charges] = sqlstore.RotateStatement(charges)
		}
		return texts
	}()
)

func requestOf(call *rotateCall) watchword.RotateRequest { return call.Request }

func requestsOf(calls []*rotateCall) []watchword.RotateRequest {
	requests := make([]watchword.RotateRequest, len(calls))
	for i, call := range calls {
		requests[i] = call.Request
	}
	return requests
}

// readRotated stores the rows of one statement in the calls, and closes the rows. If the statement is not part of a
// pipeline, it is committed when readRotated returns.
func readRotated(answer pgx.Rows, calls []*rotateCall) error {
	defer answer.Close()
	seen := 0
	for ; answer.Next(); seen++ {
		got, err := sqlstore.ScanRotated(answer)
		if err != nil {
			return err
		}
		calls[got.Position-1].Answer = got
	}
	answer.Close()
	if seen != len(calls) && answer.Err() == nil {
		return fmt.Errorf("the statement returned %d rows for %d requests", seen, len(calls))
	}
	return answer.Err()
}
