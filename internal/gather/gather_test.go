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

// A gate is a queue whose batches start when the test allows it. Before each batch, the queue sends on the channel
// waits. The batch starts when the test sends on the channel opens. The channel sizes receives the size of each
// batch.
type gate struct {
	*queue
	waits, opens chan struct{}
	sizes        chan int
}

// newGate returns a queue whose batches double each request.
func newGate(t *testing.T, most int) *gate {
	g := &gate{waits: make(chan struct{}), opens: make(chan struct{}), sizes: make(chan int, 100)}
	g.queue = gather.New(most, func() {
		g.waits <- struct{}{}
		<-g.opens
	}, func(calls []*call) {
		g.sizes <- len(calls)
		for _, c := range calls {
			c.Answer = 2 * c.Request
			c.End()
		}
	})
	t.Cleanup(g.Close)
	return g
}

// The method do calls Do in a goroutine and checks the answer.
func (g *gate) do(t *testing.T, all *sync.WaitGroup, request int) {
	all.Go(func() {
		if got, err := g.Do(t.Context(), request); err != nil || got != 2*request {
			t.Errorf("%d: got %d, %v", request, got, err)
		}
	})
}

// The method await returns when n calls are in the queue. The first call of the next batch does not count, because it
// has left the queue.
func (g *gate) await(n int) {
	for g.Len() != n {
		runtime.Gosched()
	}
}

func TestCallsJoinTheBatchThatWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	const most, more = 8, 5
	g := newGate(t, most)
	var all sync.WaitGroup
	g.do(t, &all, 0)
	<-g.waits
	for n := range most - 1 + more {
		g.do(t, &all, n+1)
	}
	g.await(most - 1 + more)
	g.opens <- struct{}{}
	<-g.waits
	g.opens <- struct{}{}
	all.Wait()
	got := []int{<-g.sizes, <-g.sizes}
	slices.Sort(got) // both batches may run at the same time
	if !slices.Equal(got, []int{more, most}) {
		t.Errorf("batches of %v, want %d and %d", got, most, more)
	}
}

func TestCallOfCallerWhoLeftIsSkipped(t *testing.T) {
	t.Parallel()
	g := newGate(t, 8)
	ctx, leave := context.WithCancel(t.Context())
	var leaving, staying sync.WaitGroup
	left := func() {
		if _, err := g.Do(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled", err)
		}
	}
	leaving.Go(left)
	<-g.waits
	leaving.Go(left)
	g.await(1)
	g.do(t, &staying, 3)
	g.await(2)
	leave()
	leaving.Wait() // both callers leave before their batch starts
	left()
	g.opens <- struct{}{}
	staying.Wait()
	if got := <-g.sizes; got != 1 {
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
	g := newGate(t, 8)
	var all, closing sync.WaitGroup
	var closed atomic.Bool
	g.do(t, &all, 1)
	<-g.waits
	g.do(t, &all, 2)
	g.await(1)
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
	g.opens <- struct{}{}
	all.Wait()
	closing.Wait()
	if _, err := g.Do(t.Context(), 4); !errors.Is(err, gather.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
