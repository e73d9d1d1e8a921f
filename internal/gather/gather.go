// Package gather runs operations that arrive together as one batch. A database then spends one statement, one round
// trip or one commit on all of them.
//
// A call never waits for other calls to arrive. But until a batch can start, new calls join it.
package gather

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed means that the queue was closed before the call.
var ErrClosed = errors.New("the store is closed")

// maxQueue bounds the queue. If it is full, further callers wait until it has room.
const maxQueue = 1024

// A Call is one request of a caller. The function that runs the batch sets Answer or Err, and then calls End.
type Call[Q, A any] struct {
	Request Q
	Answer  A
	Err     error

	ctx   context.Context
	ended chan struct{} // closed by End
}

// NewCall returns a call whose caller waits for the answer until ctx ends.
func NewCall[Q, A any](ctx context.Context, request Q) *Call[Q, A] {
	return &Call[Q, A]{Request: request, ctx: ctx, ended: make(chan struct{})}
}

// Left reports whether the caller has stopped waiting.
func (c *Call[Q, A]) Left() bool { return c.ctx.Err() != nil }

// End returns Answer and Err to the caller, who may have left.
func (c *Call[Q, A]) End() { close(c.ended) }

// A Queue gathers calls into batches. It is safe for concurrent use.
type Queue[Q, A any] struct {
	max       int
	awaitTurn func()
	runBatch  func([]*Call[Q, A])

	mu           sync.RWMutex // guards isClosed, so that no call is sent on waitingCalls after its close
	isClosed     bool
	waitingCalls chan *Call[Q, A]
	running      sync.WaitGroup // the goroutine of runBatches, and the batches that run
}

// New returns a queue that runs batches of up to max calls. For each batch, it calls awaitTurn, which blocks until
// the batch may start. Calls that arrive while awaitTurn blocks join the batch. Then the queue calls runBatch in a
// separate goroutine.
//
// runBatch must end each call. It must also release the resource for which awaitTurn waits, such as a lock. The batch
// is empty if all its callers have left.
//
// runBatch does not receive the context of a caller, because one caller must not cancel the calls of others.
func New[Q, A any](max int, awaitTurn func(), runBatch func([]*Call[Q, A])) *Queue[Q, A] {
	q := &Queue[Q, A]{max: max, awaitTurn: awaitTurn, runBatch: runBatch}
	q.waitingCalls = make(chan *Call[Q, A], maxQueue)
	q.running.Go(q.runBatches)
	return q
}

// Do adds the request to the queue and waits for its answer. If ctx ends first, Do returns ctx.Err() at once. A
// request whose batch has not started is then skipped. If its batch is already running, the request can still take
// effect.
func (q *Queue[Q, A]) Do(ctx context.Context, request Q) (answer A, err error) {
	call := NewCall[Q, A](ctx, request)
	if err := q.send(call); err != nil {
		return answer, err
	}
	select {
	case <-call.ended:
		return call.Answer, call.Err
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

func (q *Queue[Q, A]) send(call *Call[Q, A]) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.isClosed {
		return ErrClosed
	}
	if err := call.ctx.Err(); err != nil {
		return err // checked before select, which chooses at random and could still queue the call
	}
	select {
	case q.waitingCalls <- call:
		return nil
	case <-call.ctx.Done():
		return call.ctx.Err()
	}
}

// Len returns the number of calls in the queue. It does not count the first call of the next batch, which leaves the
// queue before awaitTurn is called.
func (q *Queue[Q, A]) Len() int { return len(q.waitingCalls) }

// Close waits for all calls that were added before. Later calls of Do return ErrClosed.
func (q *Queue[Q, A]) Close() {
	q.mu.Lock()
	if !q.isClosed {
		q.isClosed = true
		close(q.waitingCalls)
	}
	q.mu.Unlock()
	q.running.Wait()
}

// runBatches starts one batch after the other until the queue is closed and empty.
func (q *Queue[Q, A]) runBatches() {
	for first := range q.waitingCalls {
		q.awaitTurn()
		batch := q.collectBatch(first)
		q.running.Go(func() { q.runBatch(batch) })
	}
}

// collectBatch returns a batch that begins with the given call and continues with calls from the queue, up to max
// calls. It skips calls whose callers have left.
func (q *Queue[Q, A]) collectBatch(first *Call[Q, A]) (batch []*Call[Q, A]) {
	for call := first; call != nil; call = q.takeQueuedCall() {
		if !call.Left() {
			batch = append(batch, call)
		}
		if len(batch) == q.max {
			break
		}
	}
	return batch
}

// takeQueuedCall takes the next call from the queue without waiting. It returns nil if the queue is empty.
func (q *Queue[Q, A]) takeQueuedCall() *Call[Q, A] {
	select {
	case call := <-q.waitingCalls: // nil if the queue is closed and empty
		return call
	default:
		return nil
	}
}
