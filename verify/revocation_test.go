package verify_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/verify"
)

func TestRevocationsRejectTokensOfEndedSessionsAndOldRoles(t *testing.T) {
	t.Parallel()
	r := verify.NewRevocations(100)
	now := time.Now()
	r.EndSessionAt("s1", now)
	r.ChangeClaimsAt("ada", 1000, now)
	r.ChangeClaimsAt("ada", 900, now) // an older event must not move the time back
	for _, c := range []struct {
		sid, sub string
		issued   int64
		want     error
	}{
		{"s1", "eve", 5000, verify.ErrRevoked},
		{"s1", "ada", 1, verify.ErrRevoked},
		{"s2", "ada", 999, verify.ErrExpired},
		{"s2", "ada", 1000, nil},
		{"s2", "eve", 1, nil},
		{"", "", 0, nil},
	} {
		if err := r.Check(c.sid, c.sub, c.issued); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

// A revocation must be kept for 65 minutes from its first event. A repeated event must not extend this time.
func TestARevocationIsKeptUntilAllItsTokensHaveExpired(t *testing.T) {
	t.Parallel()
	r := verify.NewRevocations(100)
	now := time.Now()
	r.EndSessionAt("s1", now)
	r.ChangeClaimsAt("ada", 1000, now)
	r.DeleteExpired(now.Add(65 * time.Minute))
	if r.Check("s1", "", 0) == nil || r.Check("", "ada", 1) == nil {
		t.Error("deleted too early")
	}
	r.EndSessionAt("s1", now.Add(time.Hour))
	r.ChangeClaimsAt("ada", 1000, now.Add(time.Hour))
	r.DeleteExpired(now.Add(65*time.Minute + 1))
	if r.Check("s1", "", 0) != nil || r.Check("", "ada", 1) != nil {
		t.Error("not deleted")
	}
}

func TestFullMemoryCountsAsAStaleFeed(t *testing.T) {
	t.Parallel()
	r := verify.NewRevocations(10)
	now := time.Now()
	if s := r.Age(now); s < time.Hour {
		t.Errorf("a feed that was never read has age %s", s)
	}
	r.MarkCurrent(now)
	if s := r.Age(now.Add(3 * time.Second)); s != 3*time.Second {
		t.Errorf("age %s", s)
	}
	for n := range 9 {
		r.EndSessionAt(fmt.Sprint("s", n), now)
	}
	r.ChangeClaimsAt("ada", 1, now)
	if r.TakeOverflow() {
		t.Error("an overflow was reported although everything fits")
	}
	r.EndSessionAt("s0", now)          // needs no room: already stored
	r.ChangeClaimsAt("ada", 2, now)    // needs no room: replaces the entry
	r.ChangeClaimsAt("bob", 1000, now) // exceeds the limit of 10
	r.MarkCurrent(now.Add(time.Minute))
	if s := r.Age(now.Add(time.Minute)); s != time.Minute {
		t.Errorf("age %s", s)
	}
	if r.TakeOverflow() {
		t.Error("the overflow was reported while the memory is full")
	}
	r.DeleteExpired(now.Add(2 * time.Hour))
	if !r.TakeOverflow() || r.TakeOverflow() {
		t.Error("an overflow must be reported exactly once")
	}
	r.MarkCurrent(now.Add(2 * time.Hour))
	if s := r.Age(now.Add(2 * time.Hour)); s != 0 {
		t.Errorf("age %s", s)
	}
}
