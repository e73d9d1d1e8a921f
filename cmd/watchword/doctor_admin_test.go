package main_test

import (
	"testing"
	"time"

	main "github.com/watchword-auth/watchword/cmd/watchword"

	"github.com/watchword-auth/watchword/admin"
)

func TestDoctorReportsForgottenServiceKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 3, 10, 2, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		created, used, left time.Duration // creation and last use before now (0: never), expiry after now
		revoked             bool
		want                string
	}{
		"new":                {day, 0, 90 * day, false, ""},
		"in use":             {300 * day, day, 60 * day, false, ""},
		"not used any more":  {300 * day, 101 * day, 60 * day, false, "unused"},
		"never used":         {101 * day, 0, 60 * day, false, "unused"},
		"in use, ends soon":  {300 * day, day, 13 * day, false, "ends"},
		"unused, ends soon":  {300 * day, 200 * day, 13 * day, false, "unused"},
		"short, never used":  {time.Hour, 0, time.Hour, false, ""},
		"expired":            {300 * day, 200 * day, -day, false, ""},
		"revoked":            {300 * day, 200 * day, 60 * day, true, ""},
		"100 days, not more": {300 * day, 100 * day, 60 * day, false, ""},
	} {
		k := admin.ServiceKey{CreatedAt: now.Add(-c.created), ExpiresAt: now.Add(c.left)}
		if c.used > 0 {
			k.LastUsedAt = now.Add(-c.used)
		}
		if c.revoked {
			k.RevokedAt = now.Add(-day)
		}
		if got := main.DecideKeyWarning(k, now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
