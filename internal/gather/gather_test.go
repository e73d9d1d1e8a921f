package gather_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/watchword-auth/watchword/internal/gather"
)

type (
	queue = gather.Queue[int, int]
	call  = gather.Call[int, int]
)

// A gatedQueue sends on batchWaits before each batch. The batch starts when the test sends on startBatch.
type gatedQueue struct {
	*queue
	batchWaits, startBatch chan struct{}
	batchSizes             chan int
}

// newGatedQueue returns a queue whose batches double each request.
func newGatedQueue(t *testing.T, most int) *gatedQueue {
	g := &gatedQueue{batchWaits: make(chan struct{}), startBatch: make(chan struct{}), batchSizes: make(chan int, 100)}
	g.queue = gather.New(most, func() {
		g.batchWaits <- struct{}{}
		<-g.startBatch
	}, func(calls []*call) {
		g.batchSizes <- len(calls)
		for _, c := range calls {
			c.Answer = 2 * c.Request
			c.End()
		}
	})
	t.Cleanup(g.Close)
	return g
}

// startDo calls Do in a goroutine and checks the answer.
func (g *gatedQueue) startDo(t *testing.T, all *sync.WaitGroup, request int) {
	all.Go(func() {
		if got, err := g.Do(t.Context(), request); err != nil || got != 2*request {
			t.Errorf("%d: got %d, %v", request, got, err)
		}
	})
}

// awaitQueued returns when n calls are in the queue. The first call of the next batch does not count, because it has
// left the queue.
func (g *gatedQueue) awaitQueued(n int) {
	for g.Len() != n {
		runtime.Gosched()
	}
}

func TestCallsJoinTheBatchThatWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	const most, more = 8, 5
	g := newGatedQueue(t, most)
	var all sync.WaitGroup
	g.startDo(t, &all, 0)
	<-g.batchWaits
	for n := range most - 1 + more {
		g.startDo(t, &all, n+1)
	}
	g.awaitQueued(most - 1 + more)
	g.startBatch <- struct{}{}
	<-g.batchWaits
	g.startBatch <- struct{}{}
	all.Wait()
	got := []int{<-g.batchSizes, <-g.batchSizes}
	slices.Sort(got) // both batches may run at the same time
	if !slices.Equal(got, []int{more, most}) {
		t.Errorf("batches of %v, want %d and %d", got, most, more)
	}
}

func TestCallOfCallerWhoLeftIsSkipped(t *testing.T) {
	t.Parallel()
	g := newGatedQueue(t, 8)
	ctx, leave := context.WithCancel(t.Context())
	var leaving, staying sync.WaitGroup
	left := func() {
		if _, err := g.Do(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled", err)
		}
	}
	leaving.Go(left)
	<-g.batchWaits
	leaving.Go(left)
	g.awaitQueued(1)
	g.startDo(t, &staying, 3)
	g.awaitQueued(2)
	leave()
	leaving.Wait() // both callers leave before their batch starts
	left()
	g.startBatch <- struct{}{}
	staying.Wait()
	if got := <-g.batchSizes; got != 1 {
		t.Errorf("a batch of %d, want 1", got)
	}
}

func TestBatchesOverlapIfTurnsDo(t *testing.T) {
	t.Parallel()
	first := make(chan struct{})
	q := gather.New(1, func() {}, func(calls []*call) {
		if calls[0].Request == 1 {
			<-first
		}
		calls[0].End()
	})
	defer q.Close()
	var slow sync.WaitGroup
	slow.Go(func() { _, _ = q.Do(t.Context(), 1) })
	if _, err := q.Do(t.Context(), 2); err != nil {
		t.Error(err)
	}
	close(first)
	slow.Wait()
}

func TestCloseWaitsForCallsAndRefusesLaterOnes(t *testing.T) {
	t.Parallel()
	g := newGatedQueue(t, 8)
	var all, closing sync.WaitGroup
	var closed atomic.Bool
	g.startDo(t, &all, 1)
	<-g.batchWaits
	g.startDo(t, &all, 2)
	g.awaitQueued(1)
	closing.Go(func() {
		g.Close()
		closed.Store(true)
	})
	for {
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if _, err := g.Do(ctx, 3); errors.Is(err, gather.ErrClosed) {
			break
		}
	}
	if closed.Load() {
		t.Error("it closed before its calls had ended")
	}
	g.startBatch <- struct{}{}
	all.Wait()
	closing.Wait()
	if _, err := g.Do(t.Context(), 4); !errors.Is(err, gather.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
