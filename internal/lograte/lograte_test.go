package lograte_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/lograte"
)

func TestAllowLimitsLinesPerKey(t *testing.T) {
	t.Parallel()
	gate, now := lograte.New(lograte.Limit{Window: time.Minute, Total: 100, PerKey: 2}), time.Unix(1000, 0)
	for i, want := range []bool{true, true, false, false} {
		if _, ok := gate.Allow("a", now.Add(time.Duration(i)*time.Second)); ok != want {
			t.Errorf("line %d: allowed %v, want %v", i+1, ok, want)
		}
	}
	if skipped, ok := gate.Allow("b", now); !ok || skipped != 2 {
		t.Errorf("another key: allowed %v after %d skipped lines, want true after 2", ok, skipped)
	}
	if skipped, ok := gate.Allow("a", now.Add(time.Minute)); !ok || skipped != 0 {
		t.Errorf("the next window: allowed %v after %d skipped lines, want true after 0", ok, skipped)
	}
}

// MEM-1
func TestAllowLimitsLinesAndKeysPerWindow(t *testing.T) {
	t.Parallel()
	gate, now := lograte.New(lograte.Limit{Window: time.Minute, Total: 10, PerKey: 2}), time.Unix(1000, 0)
	allowed := 0
	for i := range 100_000 {
		if _, ok := gate.Allow(strconv.Itoa(i), now); ok {
			allowed++
		}
	}
	if allowed != 10 || gate.Keys() != 10 {
		t.Errorf("%d lines were allowed and %d keys kept, want 10 and 10", allowed, gate.Keys())
	}
	if skipped, ok := gate.Allow("next", now.Add(time.Minute)); !ok || skipped != 100_000-10 {
		t.Errorf("the next window: allowed %v after %d skipped lines", ok, skipped)
	}
}

func TestAllowStartsANewWindowAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	gate, now := lograte.New(lograte.Limit{Window: time.Minute, Total: 1, PerKey: 1}), time.Unix(1000, 0)
	gate.Allow("a", now)
	if _, ok := gate.Allow("a", now.Add(-time.Hour)); !ok {
		t.Error("no line for an hour after the clock was set back")
	}
}
