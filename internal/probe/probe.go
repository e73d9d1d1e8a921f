// Package probe decides when to probe a resource, and how long the result stays valid. Its callers supply the
// function that probes.
package probe

import (
	"context"
	"sync"
	"time"
)

const (
	successValidity = 2 * time.Second
	minPause        = 500 * time.Millisecond // between the starts of two probes
	timeout         = 5 * time.Second
	refusalValidity = 5 * time.Second
)

// A Probe keeps the last result. The zero Probe is ready to use. It is safe for concurrent use.
type Probe struct {
	mu          sync.Mutex
	running     *probeRun // nil: no probe is running
	lastRun     *probeRun // nil: before the first probe
	failedSince bool      // after the last probe
	refused     time.Time
	refusal     error
}

type probeRun struct {
	done    chan struct{} // closed when the probe has ended
	endedAt time.Time     // monotonic
	err     error
}

// Suspect records a failed operation, so the next probe is due earlier.
func (p *Probe) Suspect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failedSince = true
}

// Refuse sets err as the result for some seconds, even if a probe succeeds in this time.
func (p *Probe) Refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused, p.refusal = time.Now(), err
}

// Result returns the last result if it still counts, or else the result of a new probe. Concurrent callers share one
// probe. If ctx ends first, Result returns the error of ctx.
func (p *Probe) Result(ctx context.Context, try func(context.Context) error) error {
	p.mu.Lock()
	now := time.Now()
	if p.refusal != nil && now.Sub(p.refused) < refusalValidity {
		defer p.mu.Unlock()
		return p.refusal
	}
	if p.running == nil && p.isFresh(now) {
		defer p.mu.Unlock()
		return p.lastRun.err
	}
	if p.running == nil {
		p.running = &probeRun{done: make(chan struct{})}
		go p.runProbe(context.WithoutCancel(ctx), p.running, try)
	}
	running := p.running
	p.mu.Unlock()
	select {
	case <-running.done:
		return running.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Probe) isFresh(now time.Time) bool {
	if p.lastRun == nil {
		return false
	}
	age := now.Sub(p.lastRun.endedAt)
	return age < minPause || age < successValidity && p.lastRun.err == nil && !p.failedSince
}

// runProbe runs a probe and stores its result. It continues if the caller that started the probe goes away.
func (p *Probe) runProbe(ctx context.Context, r *probeRun, try func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := try(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	r.err, r.endedAt = err, time.Now()
	p.running, p.lastRun, p.failedSince = nil, r, false
	close(r.done)
}
