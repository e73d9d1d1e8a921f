package passhash_test

import (
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// ID-2, W-26
func TestFailuresTakeAlikeOnceAnImportedHashWasChecked(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	l := &passhash.Level{}
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
		{"ours, or nobody's", 40 * ms, false, 200 * ms, 200 * ms},
		{"the quicker one", 3 * ms, true, 200 * ms, 200 * ms},
		{"ours in a bad moment", 300 * ms, false, 300 * ms, 300 * ms},
		{"the slower one after it", 200 * ms, true, 295 * ms, 300 * ms},
		{"ours in a very bad moment", time.Minute, false, time.Minute, time.Minute},
		{"after it", 40 * ms, false, 980 * ms, time.Second},
	} {
		if all := c.took + l.Wait(c.took, c.foreign); all < c.least || all > c.most {
			t.Errorf("%s: %v in all, want %v to %v", c.name, all, c.least, c.most)
		}
	}
	for range 500 {
		l.Wait(40*ms, false)
	}
	if all := 40*ms + l.Wait(40*ms, false); all != 200*ms {
		t.Errorf("it does not sink to the dearest hash, and no further: %v", all)
	}

	// In a bad moment a hash takes a second. That is forgotten after two periods, what
	// it takes otherwise is not.
	l.Wait(time.Second, true)
	for period, want := range []time.Duration{time.Second, 200 * ms} {
		l.Renew()
		l.Wait(200*ms, true)
		for range 500 {
			l.Wait(40*ms, false)
		}
		if all := 40*ms + l.Wait(40*ms, false); all != want {
			t.Errorf("%d periods later: %v, want %v", period+1, all, want)
		}
	}
}

func TestARecipeIsAHashWithoutSaltAndTag(t *testing.T) {
	t.Parallel()
	for encoded, want := range map[string]string{
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$dGFn":                             "$argon2id$v=19$m=19456,t=2,p=1",
		"$pbkdf2-sha256$i=600000$c2FsdA$dGFn":                                         "$pbkdf2-sha256$i=600000",
		"$2b$12$abcdefghijklmnopqrstuuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012":             "$2b$12$",
		"bcrypt_sha256$$2b$12$abcdefghijklmnopqrstuuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0": "bcrypt_sha256$$2b$12$",
		"": "", "$2": "", "x": "",
	} {
		if got := passhash.Recipe(encoded); got != want {
			t.Errorf("%q: %q, want %q", encoded, got, want)
		}
	}
}
