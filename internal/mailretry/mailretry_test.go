package mailretry_test

import (
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/mailretry"
)

// RL-14
func TestLinkIsDueWithinItsBudgetOrWhenNoneWorks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attempts              int
		within, needed, works bool
		want                  bool
	}{
		"within the budget":                         {1, true, false, false, true},
		"within the budget, and another link works": {1, true, true, true, true},
		"over it":                                     {1, false, false, false, false},
		"over it, and the owner needs one":            {1, false, true, false, true},
		"over it, needed, and another link works":     {1, false, true, true, false},
		"over it, not needed, and another link works": {1, false, false, true, false},
		"a retry": {2, true, false, false, true},
		"a retry, and a newer link was sent meanwhile": {2, true, true, true, false},
	} {
		if got := mailretry.LinkDue(c.attempts, c.within, c.needed, c.works); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

// An earlier link must make a new mail unnecessary while enough of its lifetime is left: a third, or 5 minutes if
// that is less. An earlier link whose mail is not sent yet must never make a new mail unnecessary.
//
// RL-14
func TestLinkCountsAsSubstituteOnlyOnceItWasSent(t *testing.T) {
	t.Parallel()
	asked := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		attempts int
		life     time.Duration
		now      time.Duration // since the request
		expires  time.Duration // since the request
		want     bool
	}{
		"just sent":                        {1, 15 * time.Minute, 0, 15 * time.Minute, true},
		"being sent":                       {1, 15 * time.Minute, 0, 5 * time.Minute, false},
		"works for 6 minutes more":         {1, 15 * time.Minute, time.Hour, time.Hour + 6*time.Minute, true},
		"works for 4 minutes more":         {1, 15 * time.Minute, time.Hour, time.Hour + 4*time.Minute, false},
		"a short life, a third is left":    {1, time.Minute, 0, 20 * time.Second, false},
		"a retry, sent before the request": {2, 15 * time.Minute, time.Second, 14 * time.Minute, false},
		"a retry, sent after the request":  {2, 15 * time.Minute, time.Minute, 15*time.Minute + 30*time.Second, true},
	} {
		since := mailretry.SentSince(c.attempts, asked, c.life, asked.Add(c.now))
		if got := asked.Add(c.expires).After(since); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
