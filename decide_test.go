package watchword

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword/internal/passhash"
)

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

// ID-2, W-26
func TestAFailureTakesAsLongAsTheDearestHash(t *testing.T) {
	t.Parallel()
	params, err := passhash.ParseParams("argon2id", "")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := passhash.Hash(params, "right")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // where hashing takes no time
		pool := passhash.NewPool(1, time.Minute)
		defer pool.Close()
		e := &Engine{hashing: hashing{pool: pool, params: params, dummy: passhash.Dummy(params), level: &passhash.Level{}}}
		e.hashing.level.Wait(700*time.Millisecond, true)
		for name, c := range map[string]struct {
			hash, given Secret
			took        time.Duration
		}{
			"nobody's":                    {"", "wrong", 700 * time.Millisecond},
			"wrong":                       {Secret(hash), "wrong", 700 * time.Millisecond},
			"wrong, and of two spellings": {Secret(hash), "cafe\u0301", 1400 * time.Millisecond},
			"right":                       {Secret(hash), "right", 0},
		} {
			begun := time.Now()
			ok, err := e.passwordMatches(t.Context(), Client{}, c.hash, c.given)
			if took := time.Since(begun); err != nil || ok != (c.took == 0) || took != c.took {
				t.Errorf("%s: %v, %v after %v, want %v", name, ok, err, took, c.took)
			}
		}
	})
}
