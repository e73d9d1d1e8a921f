package watchword

import (
	"testing"
	"time"
)

// ID-2, W-26
func TestFailuresTakeAlikeOnceAnImportedHashWasChecked(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	l := &level{}
	for _, c := range []struct {
		name    string
		took    time.Duration
		foreign bool
		least   time.Duration // that it has to take in all
		most    time.Duration
	}{
		{"ours, and no other was seen", 40 * ms, false, 40 * ms, 40 * ms},
		{"a quicker one", 3 * ms, true, 39 * ms, 40 * ms},
		{"ours", 38 * ms, false, 38 * ms, 40 * ms},
		{"a slower one", 200 * ms, true, 200 * ms, 200 * ms},
		{"ours, or nobody's", 40 * ms, false, 196 * ms, 200 * ms},
		{"the quicker one", 3 * ms, true, 190 * ms, 200 * ms},
		{"one that took for ever", time.Minute, true, time.Minute, time.Minute},
		{"after it", 40 * ms, false, 980 * ms, time.Second},
	} {
		if all := c.took + l.wait(c.took, c.foreign); all < c.least || all > c.most {
			t.Errorf("%s: %v in all, want %v to %v", c.name, all, c.least, c.most)
		}
	}
	for range 500 {
		l.wait(40*ms, false)
	}
	if all := 40*ms + l.wait(40*ms, false); all > 45*ms {
		t.Errorf("a bad moment is remembered for ever: %v", all)
	}
}

func TestAChangeOfRolesWaitsForTheOnesBeforeIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		changed time.Time
		want    time.Duration
	}{
		"the first ever":              {time.Time{}, 0},
		"long ago":                    {now.Add(-time.Hour), 0},
		"a second ahead":              {now.Add(time.Second), 0},
		"two seconds ahead":           {now.Add(2 * time.Second), time.Second},
		"made by a clock a day ahead": {now.Add(24 * time.Hour), 0},
	} {
		if got := rolesWait(c.changed, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
