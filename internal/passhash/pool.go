package passhash

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// ErrClosed says that the pool takes no more work.
var ErrClosed = errors.New("hash pool is closed")

// A BusyError says that the work was not done, because it would have waited for
// too long.
type BusyError struct {
	RetryAfter time.Duration // whole seconds, at least one
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("hash pool is busy: try again in %v", e.RetryAfter)
}

const (
	maxQueued          = 1024 // work waiting, of all clients
	maxQueuedPerClient = 256
)

// A Pool runs work on a fixed number of threads, at low priority where the
// system lets a thread have its own. Those who wait are served in turn: one of
// each client, then the next of each.
type Pool struct {
	longest time.Duration
	exited  sync.WaitGroup

	mu     sync.Mutex
	ready  *sync.Cond // a job was queued, or the pool closed
	queues map[string]*queue
	turns  []*queue // those with jobs, the next to be served first
	mean   time.Duration
	closed bool
	stats  Stats
}

// A queue holds what waits of one client, oldest first. It is never empty.
type queue struct {
	client string
	jobs   []*job
}

type job struct {
	work     func()
	queuedAt time.Time
	done     chan struct{}
	err      error     // why the work was not done; read after done
	panicked *Panicked // what the work panicked with; read after done
}

// Stats are what a pool does now (Queued, Running) and has done since its start.
type Stats struct {
	Workers, Queued, Running int
	Done                     uint64
	Shed                     uint64        // refused with a BusyError
	Waited                   time.Duration // in the queue, in sum, of the work that was begun
}

// Panicked is what Do panics with when the work did.
type Panicked struct {
	Value any
	Stack []byte // of the work
}

func (p *Panicked) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error.
func (p *Panicked) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// NewPool starts workers threads, at least one. Work that would wait for more
// than longest before it begins is refused.
func NewPool(workers int, longest time.Duration) *Pool {
	p := &Pool{longest: longest, queues: map[string]*queue{}}
	p.ready = sync.NewCond(&p.mu)
	p.stats.Workers = max(workers, 1)
	for range p.stats.Workers {
		p.exited.Go(p.serve)
	}
	return p
}

// Do runs work and returns when it has ended. It returns a *BusyError when the
// wait is too long, at once if that can be foreseen; the error of ctx if that
// ends while the work waits; ErrClosed. Only then was the work not done: once
// begun it is not left alone, so that it may write to the caller's variables.
//
// client names who asks, for the order of service. A panic of work comes out of
// Do, as a *Panicked.
func (p *Pool) Do(ctx context.Context, client string, work func()) error {
	j := &job{work: work, queuedAt: time.Now(), done: make(chan struct{})}
	if err := p.enqueue(ctx, client, j); err != nil {
		return err
	}
	patience := time.NewTimer(p.longest)
	defer patience.Stop()
	select {
	case <-j.done:
	case <-ctx.Done():
		p.withdraw(client, j, ctx.Err())
	case <-patience.C:
		p.withdraw(client, j, &BusyError{retryAfter(p.longest)})
	}
	<-j.done
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

func (p *Pool) enqueue(ctx context.Context, client string, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	q := p.queues[client]
	if q == nil {
		q = &queue{client: client}
	}
	wait := p.estimate(q)
	if wait > p.longest || p.stats.Queued >= maxQueued || len(q.jobs) >= maxQueuedPerClient {
		p.stats.Shed++
		return &BusyError{retryAfter(wait)}
	}
	if len(q.jobs) == 0 {
		p.queues[client] = q
		p.turns = append(p.turns, q)
	}
	q.jobs = append(q.jobs, j)
	p.stats.Queued++
	p.ready.Signal()
	return nil
}

// estimate foresees how long the next job of q waits: each of its jobs that wait
// already lets one of every other client go first. While nothing has been done
// yet, the estimate is 0.
func (p *Pool) estimate(q *queue) time.Duration {
	if p.stats.Queued+p.stats.Running < p.stats.Workers {
		return 0
	}
	ahead := 1 + len(q.jobs) // 1 is the one that runs
	for _, other := range p.turns {
		if other != q {
			ahead += min(len(other.jobs), len(q.jobs)+1)
		}
	}
	return p.mean * time.Duration(ahead) / time.Duration(p.stats.Workers)
}

func retryAfter(wait time.Duration) time.Duration {
	return max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
}

// withdraw takes a job out of the queue for the reason given; one that has begun
// it leaves alone.
func (p *Pool) withdraw(client string, j *job, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queues[client]
	if q == nil {
		return
	}
	i := slices.Index(q.jobs, j)
	if i < 0 {
		return
	}
	q.jobs = slices.Delete(q.jobs, i, i+1)
	if len(q.jobs) == 0 {
		delete(p.queues, client)
		p.turns = slices.DeleteFunc(p.turns, func(other *queue) bool { return other == q })
	}
	p.stats.Queued--
	if _, busy := why.(*BusyError); busy {
		p.stats.Shed++
	}
	j.err = why
	close(j.done)
}

// serve is one worker. Its thread is its own and dies with it, so that nobody
// inherits the low priority.
func (p *Pool) serve() {
	runtime.LockOSThread()
	lowerPriority()
	for j := p.next(); j != nil; j = p.next() {
		begun := time.Now()
		j.run()
		p.finished(time.Since(begun))
		close(j.done)
	}
}

// next waits for a job whose turn it is; nil when the pool is closed.
func (p *Pool) next() *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.turns) == 0 {
		if p.closed {
			return nil
		}
		p.ready.Wait()
	}
	q := p.turns[0]
	p.turns = slices.Delete(p.turns, 0, 1)
	j := q.jobs[0]
	q.jobs = slices.Delete(q.jobs, 0, 1)
	if len(q.jobs) == 0 {
		delete(p.queues, q.client)
	} else {
		p.turns = append(p.turns, q)
	}
	p.stats.Queued--
	p.stats.Running++
	p.stats.Waited += time.Since(j.queuedAt)
	return j
}

func (j *job) run() {
	defer func() {
		if v := recover(); v != nil {
			j.panicked = &Panicked{Value: v, Stack: debug.Stack()}
		}
	}()
	j.work()
}

// finished counts, and moves the mean by an eighth of the difference.
func (p *Pool) finished(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Running--
	p.stats.Done++
	if p.mean == 0 {
		p.mean = took
	} else {
		p.mean += (took - p.mean) / 8
	}
}

// Stats returns what the pool does and did.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close turns away what waits, with ErrClosed, and returns when what runs has
// ended.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for _, q := range p.turns {
		for _, j := range q.jobs {
			j.err = ErrClosed
			close(j.done)
		}
	}
	p.turns, p.queues = nil, nil
	p.stats.Queued = 0
	p.ready.Broadcast()
	p.mu.Unlock()
	p.exited.Wait()
}
