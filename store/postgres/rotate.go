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

// Concurrent rotations form a batch: one statement, one round trip and one commit. Usually
// one batch is running while the next batch collects requests. A rotation that arrives
// alone is sent at once.

const (
	// maxBatch bounds the memory of a statement, and how many callers a slow one delays.
	maxBatch = 64

	// patience is how long the next batch waits for the running one. Then it runs
	// concurrently, because the slow batch may wait for a standby, or for a row that another
	// transaction has locked.
	patience = 5 * time.Millisecond

	// lockPatience is how long a batch waits for the lock of a row. Afterwards, each request
	// runs alone, so that only requests for the locked row go on waiting. It is also shorter
	// than deadlock_timeout (a second by default).
	lockPatience = 200 * time.Millisecond
)

// newQueue returns a queue of batches that take turns (patience). The argument most bounds how
// many batches run at the same time.
func newQueue[Q, A any](most int, run func([]*gather.Call[Q, A])) *gather.Queue[Q, A] {
	turn, running := make(chan struct{}, 1), make(chan struct{}, most)
	return gather.New(maxBatch, func() {
		turn <- struct{}{}
		running <- struct{}{}
	}, func(calls []*gather.Call[Q, A]) {
		end := sync.OnceFunc(func() { <-turn })
		overtake := time.AfterFunc(patience, end)
		run(calls)
		overtake.Stop()
		end()
		<-running
	})
}

// Rotate charges and rotates in one statement and one round trip, which it shares with the
// rotations that arrive at the same time. If ctx ends after the statement was sent, the
// rotation may or may not take place. In both cases, the client recovers by presenting the
// same token again, as a repeat or a first use.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Rotate(ctx context.Context, r watchword.RotateRequest) (watchword.RotateResult, error) {
	if len(r.Charges) > maxCharges {
		return watchword.RotateResult{}, fmt.Errorf("rotate: %d charges, want up to %d", len(r.Charges), maxCharges)
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.rotations.Do(limited, r)
	if err = cmp.Or(unavailable(err), got.Err); err != nil { // an unreadable row is not an outage
		return watchword.RotateResult{}, fmt.Errorf("rotate: %w", err)
	}
	if got.Counted == sqlstore.AllCounted(r) {
		return got.Result, nil
	}
	return s.refuse(ctx, r, got.Counted)
}

// refuse returns how long a rate-limited request must wait. It refunds the charges that were
// counted because another request used up one of the limits at the same time.
func (s *Store) refuse(
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

// A rotateCall is one call of Rotate that waits for the answer of a batch.
type rotateCall = gather.Call[watchword.RotateRequest, sqlstore.Rotated]

// rotateBatch answers the calls. If a statement failed or waited too long for a lock, the batch
// was rolled back. Each request then runs alone, so that no request can delay the others or make
// them fail. If the database failed, all calls get the error, because a commit whose response was
// lost may nevertheless have taken place.
func (s *Store) rotateBatch(calls []*rotateCall) {
	if len(calls) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	err := s.retry(ctx, pgconn.SafeToRetry, func() error { return s.rotateOnce(ctx, calls) })
	undone := isLockTimeout(err) || err != nil && !errors.Is(unavailable(err), watchword.ErrUnavailable)
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

// rotateOnce makes one attempt. It sends a single request as one statement, and several
// requests as a pipeline: one round trip and one transaction.
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
	batch.Queue(setLockPatience, strconv.Itoa(int(lockPatience.Milliseconds())))
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

// setLockPatience lasts until the end of the transaction.
const setLockPatience = "SELECT set_config('lock_timeout', $1, true)"

// maxCharges bounds the charges of one rotation. The engine uses two.
const maxCharges = 4

var (
	rotateManyStatement = sqlstore.RotateManyStatement()
	rotateStatements    = func() (texts [maxCharges + 1]string) { // by number of charges
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

// readRotated sets the answers of one statement and closes its rows. After that, a statement
// outside of a pipeline is committed.
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
