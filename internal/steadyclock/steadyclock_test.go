package steadyclock_test

import (
	"errors"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/steadyclock"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestTheTimeIsThatOfTheOtherClock(t *testing.T) {
	t.Parallel()
	hand := start
	c := steadyclock.New(func() time.Time { return hand })
	if !c.Now().Equal(start) || c.Ahead() != 0 {
		t.Error("nothing was read, and it is not the time at hand")
	}
	read := func(other time.Time, took time.Duration) {
		t.Helper()
		if err := c.Read(func() (time.Time, error) { hand = hand.Add(took); return other, nil }); err != nil {
			t.Fatal(err)
		}
	}
	read(start.Add(time.Hour), 10*time.Millisecond)
	hand = hand.Add(time.Minute)
	if want := start.Add(time.Hour + 5*time.Millisecond + time.Minute); !c.Now().Equal(want) {
		t.Errorf("it is %s, want %s", c.Now(), want)
	}
	if want := -time.Hour + 5*time.Millisecond; c.Ahead() != want {
		t.Errorf("ahead by %s, want %s", c.Ahead(), want)
	}
	before := c.Now()
	read(start, 2*time.Second)
	if !c.Now().Equal(before.Add(2 * time.Second)) {
		t.Error("an answer that took too long was believed")
	}
	away := errors.New("away")
	if err := c.Read(func() (time.Time, error) { return start, away }); !errors.Is(err, away) || !c.Now().Equal(before.Add(2*time.Second)) {
		t.Error("no answer changed the time")
	}
}
