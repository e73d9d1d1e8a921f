package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/gather"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Live reads a session and its user. Calls that arrive at the same time share one statement and one round trip. A
// call joins only a statement that has not been sent yet, so it sees all changes that were committed before the call.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Live(
	ctx context.Context, id watchword.SessionID,
) (session watchword.Session, user watchword.User, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.liveReads.Do(ctx, id)
	if err = cmp.Or(classifyError(err), got.Err); err != nil {
		return session, user, fmt.Errorf("read session: %w", err)
	}
	return got.Session, got.User, nil
}

// A liveCall is one call of Live that waits for the result of a batch.
type liveCall = gather.Call[watchword.SessionID, sqlstore.Live]

// readBatch reads the sessions of the calls together. It retries after every temporary error, because a read has no
// side effects. After any other error, it reads each session separately.
//
// If one session is missing or unreadable, only the call for this session gets an error, in Answer.Err. Live does not
// wrap this error in ErrUnavailable, because it is not an outage.
func (s *Store) readBatch(calls []*liveCall) {
	if len(calls) == 0 {
		return
	}
	// The context is independent of the callers, because a caller that cancels must not cancel the reads of other
	// callers.
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	temporary := func(err error) bool { return errors.Is(err, watchword.ErrUnavailable) }
	err := s.retry(ctx, temporary, func() error { return s.readOnce(ctx, calls) })
	if err != nil && !temporary(err) && len(calls) > 1 {
		var alone sync.WaitGroup
		for _, call := range calls {
			alone.Go(func() { s.readBatch([]*liveCall{call}) })
		}
		alone.Wait()
		return
	}
	for _, call := range calls {
		call.Answer.Err = cmp.Or(err, call.Answer.Err)
		call.End()
	}
}

// readOnce makes one attempt to read the sessions of the calls. Only a call whose session is missing gets
// ErrNotFound.
func (s *Store) readOnce(ctx context.Context, calls []*liveCall) (err error) {
	if len(calls) == 1 {
		live := &calls[0].Answer
		live.Session, live.User, err = sqlstore.NewTx(poolConn{s.pool}).Session(ctx, calls[0].Request)
		return err
	}
	ids := make([]string, len(calls))
	for i, call := range calls {
		ids[i], call.Answer.Err = string(call.Request), watchword.ErrNotFound
	}
	answer, err := s.pool.Query(ctx, liveStatement, ids)
	if err != nil {
		return classifyError(err)
	}
	defer answer.Close()
	for answer.Next() {
		live, err := sqlstore.ScanLive(answer)
		if err != nil {
			return err
		}
		calls[live.Position-1].Answer = live
	}
	return classifyError(answer.Err())
}

var liveStatement = sqlstore.LiveStatement()

// A poolConn implements sqlstore.Conn for queries without a transaction. Each query takes a connection from the pool,
// and returns the connection when its rows are closed.
type poolConn struct{ pool *pgxpool.Pool }

// Exec always fails, because a write without a transaction would not be rolled back if a later step of its flow
// fails.
func (c poolConn) Exec(context.Context, string, ...any) (int, error) {
	return 0, errors.New("a write needs a transaction")
}

// Query releases the connection when the rows are closed.
func (c poolConn) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	answer, err := c.pool.Query(ctx, text, args...)
	return resultRows{answer, func() {}}, classifyError(err)
}
