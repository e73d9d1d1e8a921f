// Package steadyclock tells the time of another clock, such as that of a database
// that several processes share: it is read now and then, and reckoned on from with
// the clock at hand.
//
// It knows arithmetic. Who has the other clock, and how it is asked, is others'
// business.
package steadyclock

import (
	"sync/atomic"
	"time"
)

// A Clock is safe for concurrent use.
type Clock struct {
	hand func() time.Time
	last atomic.Pointer[reading]
}

// A reading is what both clocks showed at one moment.
type reading struct{ hand, other time.Time }

// New returns a Clock that tells the time of the clock at hand until another is
// read.
func New(hand func() time.Time) *Clock { return &Clock{hand: hand} }

// Now is the time of the other clock. Between two readings it does not matter if
// the clock at hand is set, provided that its times are those of time.Now: they
// are held against each other by their monotonic part.
func (c *Clock) Now() time.Time {
	now := c.hand()
	if r := c.last.Load(); r != nil {
		return r.other.Add(now.Sub(r.hand))
	}
	return now
}

// tooLong is how long a reading may take: half of it is how far it may be wrong.
const tooLong = time.Second

// Read asks the other clock. What it showed counts as shown in the middle of the
// question, and not at all if the answer took too long.
func (c *Clock) Read(other func() (time.Time, error)) error {
	asked := c.hand()
	shown, err := other()
	if err != nil {
		return err
	}
	if took := c.hand().Sub(asked); took >= 0 && (took <= tooLong || c.last.Load() == nil) {
		c.last.Store(&reading{hand: asked.Add(took / 2), other: shown})
	}
	return nil
}

// Ahead is how far the clock at hand is ahead of the other, as it was read last.
func (c *Clock) Ahead() time.Duration {
	r := c.last.Load()
	if r == nil {
		return 0
	}
	return r.hand.Round(0).Sub(r.other.Round(0))
}
