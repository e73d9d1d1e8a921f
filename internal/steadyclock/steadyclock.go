// Package steadyclock follows a remote clock, such as the clock of a database that
// several processes share. It samples the remote clock periodically and extrapolates with
// the local monotonic clock.
//
// Callers provide both clocks and decide when to sample.
package steadyclock

import (
	"sync/atomic"
	"time"
)

// A Clock returns the time of a remote clock. It is safe for concurrent use.
type Clock struct {
	readLocal func() time.Time
	last      atomic.Pointer[clockSample]
}

// A clockSample contains the times of both clocks at one moment.
type clockSample struct{ local, remote time.Time }

// New returns a Clock. Until the first sample, the Clock returns the local time.
func New(readLocal func() time.Time) *Clock { return &Clock{readLocal: readLocal} }

// Now returns the time of the remote clock. If readLocal is time.Now, setting the local clock has no effect between two
// samples, because Now uses the monotonic reading of the local clock.
func (c *Clock) Now() time.Time {
	now := c.readLocal()
	if s := c.last.Load(); s != nil {
		return s.remote.Add(now.Sub(s.local))
	}
	return now
}

// maxLatency is the maximum duration of a call that samples the remote clock. A sample is wrong by at most half the
// duration of its call.
const maxLatency = time.Second

// Sample samples the remote clock. It assumes that readRemote read the clock in the middle of its call. Sample
// ignores a sample that took longer than one second, except the first one. Errors are those of readRemote.
func (c *Clock) Sample(readRemote func() (time.Time, error)) error {
	began := c.readLocal()
	at, err := readRemote()
	if err != nil {
		return err
	}
	if took := c.readLocal().Sub(began); took >= 0 && (took <= maxLatency || c.last.Load() == nil) {
		c.last.Store(&clockSample{local: began.Add(took / 2), remote: at})
	}
	return nil
}

// Ahead returns how far the local clock was ahead of the remote clock at the last sample,
// or 0 before the first sample.
func (c *Clock) Ahead() time.Duration {
	s := c.last.Load()
	if s == nil {
		return 0
	}
	return s.local.Round(0).Sub(s.remote.Round(0))
}
