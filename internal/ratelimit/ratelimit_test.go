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
func TestABurstIsAllowedAndThenAnEvenFlow(t *testing.T) {
	t.Parallel()
	const cost, span = 90 * time.Second, 15 * time.Minute // 10 in 15 minutes
	var tat time.Time
	var wait time.Duration
	for i := range 10 {
		if tat, wait = ratelimit.Decide(tat, start, cost, span); wait != 0 {
			t.Fatalf("use %d waits %s", i+1, wait)
		}
	}
	if _, wait = ratelimit.Decide(tat, start, cost, span); wait != cost {
		t.Errorf("the eleventh waits %s", wait)
	}
	if _, wait = ratelimit.Decide(tat, start.Add(cost-1), cost, span); wait != 1 {
		t.Errorf("a nanosecond early waits %s", wait)
	}
	if _, wait = ratelimit.Decide(tat, start.Add(cost), cost, span); wait != 0 {
		t.Errorf("in time waits %s", wait)
	}
	back := ratelimit.Refund(tat, start, cost)
	if _, wait = ratelimit.Decide(back, start, cost, span); wait != 0 {
		t.Errorf("after a refund waits %s", wait)
	}
}

func TestAClockThatWasSetBackLocksNobodyOut(t *testing.T) {
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
		t.Errorf("by the clock of a process that is 5 s behind it waits %s", wait)
	}
}

// Over any stretch of time no more is allowed than a burst and what flows.
func TestNoMoreIsAllowedThanTheLimit(t *testing.T) {
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
				t.Fatal("a refusal changed something, or waits for too long")
			} else if _, again := ratelimit.Decide(tat, now.Add(wait), cost, span); again != 0 {
				t.Fatalf("after waiting %s it waits %s", wait, again)
			}
			tat = after
		}
		for i := range allowed {
			for j := i; j < len(allowed); j++ {
				if most := int(span/cost) + int(allowed[j].Sub(allowed[i])/cost) + 1; j-i+1 > most {
					t.Fatalf("%d uses in %s, at most %d", j-i+1, allowed[j].Sub(allowed[i]), most)
				}
			}
		}
	})
}

// RL-8
func TestAKeyIsShortAndTellsNothing(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 1<<20)
	if key := ratelimit.Key("login", long); len(key) > 40 || strings.Contains(key, "aaaa") {
		t.Errorf("got %s", key)
	}
	if ratelimit.Key("login", "a") == ratelimit.Key("signup", "a") || ratelimit.Key("login", "a") == ratelimit.Key("login", "b") {
		t.Error("two counters are one")
	}
}

func BenchmarkDecide(b *testing.B) {
	tat := start
	for b.Loop() {
		tat, _ = ratelimit.Decide(tat, start, time.Nanosecond, time.Hour)
	}
}
