package ratelimit_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword/internal/ratelimit"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// RL-2
func TestDecideAllowsABurstAndThenAnEvenRate(t *testing.T) {
	t.Parallel()
	const cost, span = 90 * time.Second, 15 * time.Minute // allows 10 uses in 15 minutes
	var tat time.Time
	var wait time.Duration
	for i := range 10 {
		if tat, wait = ratelimit.Decide(tat, start, cost, span); wait != 0 {
			t.Fatalf("use %d waits %s", i+1, wait)
		}
	}
	if _, wait = ratelimit.Decide(tat, start, cost, span); wait != cost {
		t.Errorf("use 11 waits %s", wait)
	}
	if _, wait = ratelimit.Decide(tat, start.Add(cost-1), cost, span); wait != 1 {
		t.Errorf("one nanosecond early: waits %s, want 1ns", wait)
	}
	if _, wait = ratelimit.Decide(tat, start.Add(cost), cost, span); wait != 0 {
		t.Errorf("on time: waits %s, want 0", wait)
	}
	back := ratelimit.Refund(tat, start, cost)
	if _, wait = ratelimit.Decide(back, start, cost, span); wait != 0 {
		t.Errorf("after a refund: waits %s, want 0", wait)
	}
}

func TestClockSetBackBlocksForAtMostOneSpan(t *testing.T) {
	t.Parallel()
	const cost, span = time.Second, time.Minute
	tat := start.Add(span)
	back := start.Add(-1000 * time.Hour)
	after, wait := ratelimit.Decide(tat, back, cost, span)
	if wait != 0 || !after.Equal(back.Add(span)) {
		t.Errorf("waits %s, until %s", wait, after)
	}
	if _, wait = ratelimit.Decide(after, back, cost, span); wait != cost {
		t.Errorf("the next waits %s", wait)
	}
	if _, wait = ratelimit.Decide(start.Add(span), start.Add(-5*time.Second), cost, span); wait != cost+5*time.Second {
		t.Errorf("with a clock 5 s behind: waits %s", wait)
	}
}

// In any interval, Decide must allow at most span/cost uses plus the uses that were refilled in this interval.
func TestDecideNeverExceedsTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 50).Draw(t, "count")
		span := time.Duration(rapid.IntRange(1, 3600).Draw(t, "span")) * time.Second
		cost := span / time.Duration(count)
		now, tat := start, time.Time{}
		var allowed []time.Time
		for _, pause := range rapid.SliceOf(rapid.Int64Range(0, int64(span)/4)).Draw(t, "pauses") {
			now = now.Add(time.Duration(pause))
			after, wait := ratelimit.Decide(tat, now, cost, span)
			if wait == 0 {
				allowed = append(allowed, now)
			} else if after != tat || wait > span {
				t.Fatal("a refusal changed the counter, or the wait exceeds the span")
			} else if _, again := ratelimit.Decide(tat, now.Add(wait), cost, span); again != 0 {
				t.Fatalf("after waiting %s the use is still refused, for %s", wait, again)
			}
			tat = after
		}
		for i := range allowed {
			for j := i; j < len(allowed); j++ {
				if most := int(span/cost) + int(allowed[j].Sub(allowed[i])/cost) + 1; j-i+1 > most {
					t.Fatalf("%d uses in %s, want at most %d", j-i+1, allowed[j].Sub(allowed[i]), most)
				}
			}
		}
	})
}

// RL-8
func TestKeyIsShortAndHidesTheSubject(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 1<<20)
	if key := ratelimit.Key("login", long); len(key) > 40 || strings.Contains(key, "aaaa") {
		t.Errorf("got %s", key)
	}
	if ratelimit.Key("login", "a") == ratelimit.Key("signup", "a") ||
		ratelimit.Key("login", "a") == ratelimit.Key("login", "b") {
		t.Error("two counters have the same key")
	}
}

func BenchmarkDecide(b *testing.B) {
	tat := start
	for b.Loop() {
		tat, _ = ratelimit.Decide(tat, start, time.Nanosecond, time.Hour)
	}
}
