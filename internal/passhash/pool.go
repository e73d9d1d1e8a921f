package passhash

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// ErrClosed reports that the pool is closed and accepts no work.
var ErrClosed = errors.New("hash pool is closed")

// A BusyError reports that the work was refused, because it would have waited too long.
type BusyError struct {
	RetryAfter time.Duration // whole seconds, at least one
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("hash pool is busy: try again in %v", e.RetryAfter)
}

const (
	maxQueued          = 1024 // waiting jobs of all clients
	maxQueuedPerClient = 256
)

// A Pool runs work on a fixed number of threads. If the system supports a priority for each thread, these threads
// have a slightly lower priority. The pool serves clients in turn, one job of each (see turns), so a flood of one
// client does not delay the others.
//
// If the work starts goroutines, they run on other threads, with normal priority. Argon2 of golang.org/x/crypto
// starts many goroutines, so most of its work has normal priority.
type Pool struct {
	maxWait time.Duration
	exited  sync.WaitGroup

	mu     sync.Mutex
	ready  *sync.Cond // a job was queued, or the pool closed
	turns  clientTurns
	mean   time.Duration
	closed bool
	stats  Stats
}

type job struct {
	work     func()
	queuedAt time.Time
	finished chan struct{}
	err      error     // why the work was not run; read when finished is closed
	panicked *Panicked // panic of the work; read when finished is closed
}

// Stats are the current state of a pool (Queued, Running) and its counters since the start.
type Stats struct {
	Workers, Queued, Running int
	Done                     uint64
	Shed                     uint64        // refused with a BusyError
	Waited                   time.Duration // total time that started work has waited in the queue
}

// Panicked is the value with which Do panics after the work panicked.
type Panicked struct {
	Value any
	Stack []byte // stack trace of the work
}

func (p *Panicked) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error.
func (p *Panicked) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// NewPool starts a pool with the given number of workers, at least one. The pool refuses work that would wait longer
// than maxWait. The caller closes the pool.
func NewPool(workers int, maxWait time.Duration) *Pool {
	p := &Pool{maxWait: maxWait, turns: clientTurns{queues: map[string]*clientQueue{}}}
	p.ready = sync.NewCond(&p.mu)
	p.stats.Workers = max(workers, 1)
	for range p.stats.Workers {
		p.exited.Go(p.runWorker)
	}
	return p
}

// Do runs doWork on a worker and returns when it has ended. If Do returns an error, doWork was not run. The error is a
// *BusyError if the wait is or would be too long, the error of ctx if ctx ended during the wait, or ErrClosed. Do never
// returns while doWork runs, so doWork may write to variables of the caller.
//
// client is the key by which the pool serves clients in turn. If doWork panics, Do panics with a *Panicked.
func (p *Pool) Do(ctx context.Context, client string, doWork func()) error {
	j := &job{work: doWork, queuedAt: time.Now(), finished: make(chan struct{})}
	if err := p.enqueue(ctx, client, j); err != nil {
		return err
	}
	patience := time.NewTimer(p.maxWait)
	defer patience.Stop()
	select {
	case <-j.finished:
	case <-ctx.Done():
		p.withdraw(client, j, ctx.Err())
	case <-patience.C:
		p.withdraw(client, j, &BusyError{retryAfter(p.maxWait)})
	}
	<-j.finished
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
	waiting, ahead := p.turns.countAhead(client)
	wait := p.estimateWait(ahead)
	if wait > p.maxWait || p.stats.Queued >= maxQueued || waiting >= maxQueuedPerClient {
		p.stats.Shed++
		return &BusyError{retryAfter(wait)}
	}
	p.turns.addJob(client, j)
	p.stats.Queued++
	p.ready.Signal()
	return nil
}

// estimateWait returns the expected wait of a new job. It is 0 while a worker is idle, and until the first job has
// been timed.
func (p *Pool) estimateWait(jobsAhead int) time.Duration {
	if p.stats.Queued+p.stats.Running < p.stats.Workers {
		return 0
	}
	return p.mean * time.Duration(1+jobsAhead) / time.Duration(p.stats.Workers) // the 1 stands for the jobs that run now
}

func retryAfter(wait time.Duration) time.Duration {
	return max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
}

// withdraw sets the error of a queued job and removes it. It has no effect on a job that has started.
func (p *Pool) withdraw(client string, j *job, reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.turns.withdraw(client, j) {
		return
	}
	p.stats.Queued--
	if _, busy := reason.(*BusyError); busy {
		p.stats.Shed++
	}
	j.err = reason
	close(j.finished)
}

// runWorker runs jobs on a thread that it locks and never unlocks. Therefore the Go runtime ends the thread with the
// goroutine, and no other goroutine runs at the lower priority.
func (p *Pool) runWorker() {
	runtime.LockOSThread()
	lowerPriority()
	for j := p.awaitJob(); j != nil; j = p.awaitJob() {
		started := time.Now()
		j.run()
		p.countFinished(time.Since(started))
		close(j.finished)
	}
}

// awaitJob waits for the next job and returns it. It returns nil when the pool is closed.
func (p *Pool) awaitJob() *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	j := p.turns.takeDueJob()
	for ; j == nil; j = p.turns.takeDueJob() {
		if p.closed {
			return nil
		}
		p.ready.Wait()
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

// countFinished gives the job a weight of one eighth in the moving average of the durations.
func (p *Pool) countFinished(took time.Duration) {
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

// Stats returns a snapshot.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close refuses waiting work with ErrClosed and returns when running work has ended.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for j := p.turns.takeDueJob(); j != nil; j = p.turns.takeDueJob() {
		j.err = ErrClosed
		close(j.finished)
	}
	p.stats.Queued = 0
	p.ready.Broadcast()
	p.mu.Unlock()
	p.exited.Wait()
}
