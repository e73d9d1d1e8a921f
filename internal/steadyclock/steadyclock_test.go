package steadyclock_test

import (
	"errors"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/steadyclock"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestNowFollowsTheRemoteClock(t *testing.T) {
	t.Parallel()
	local := start
	c := steadyclock.New(func() time.Time { return local })
	if !c.Now().Equal(start) || c.Ahead() != 0 {
		t.Error("before the first sample: not the local time")
	}
	sample := func(remote time.Time, took time.Duration) {
		t.Helper()
		if err := c.Sample(func() (time.Time, error) { local = local.Add(took); return remote, nil }); err != nil {
			t.Fatal(err)
		}
	}
	sample(start.Add(time.Hour), 10*time.Millisecond)
	local = local.Add(time.Minute)
	if want := start.Add(time.Hour + 5*time.Millisecond + time.Minute); !c.Now().Equal(want) {
		t.Errorf("now is %s, want %s", c.Now(), want)
	}
	if want := -time.Hour + 5*time.Millisecond; c.Ahead() != want {
		t.Errorf("ahead by %s, want %s", c.Ahead(), want)
	}
	before := c.Now()
	sample(start, 2*time.Second)
	if !c.Now().Equal(before.Add(2 * time.Second)) {
		t.Error("a sample that took too long was used")
	}
	unavailable := errors.New("unavailable")
	if err := c.Sample(func() (time.Time, error) { return start, unavailable }); !errors.Is(err, unavailable) ||
		!c.Now().Equal(before.Add(2*time.Second)) {
		t.Error("a failed sample changed the time")
	}
}
