package accesstoken_test

import (
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

func TestThirdRoleChangeInASecondWaits(t *testing.T) {
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
		if got := accesstoken.RolesWait(c.changed, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
