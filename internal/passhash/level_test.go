package passhash_test

import (
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// ID-2, W-26
func TestFailuresTakeTheSameTimeAfterAnImportedHash(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	l := &passhash.Level{}
	for _, c := range []struct {
		name     string
		took     time.Duration
		foreign  bool
		minTotal time.Duration // of took and the wait together
		maxTotal time.Duration
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
		if all := c.took + l.Wait(c.took, c.foreign); all < c.minTotal || all > c.maxTotal {
			t.Errorf("%s: %v in all, want %v to %v", c.name, all, c.minTotal, c.maxTotal)
		}
	}
	for range 500 {
		l.Wait(40*ms, false)
	}
	if all := 40*ms + l.Wait(40*ms, false); all != 200*ms {
		t.Errorf("it does not sink exactly to the most expensive hash: %v", all)
	}

	// Under load, one check takes a second. Two periods later, failures must take the usual time again.
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

func TestRecipeOmitsSaltAndTag(t *testing.T) {
	t.Parallel()
	const tag, crypt = "bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8",
		"abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
	for encoded, want := range map[string]string{
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$" + tag: "$argon2id$v=19$m=19456,t=2,p=1",
		"$argon2id$v=19$m=19456,t=2,p=1$2bFsdHNhbHQ$" + tag: "$argon2id$v=19$m=19456,t=2,p=1",
		"$pbkdf2-sha256$i=600000$c2FsdA$" + tag:             "$pbkdf2-sha256$i=600000",
		"$2b$12$" + crypt:                                   "$2b$12$",
		"bcrypt_sha256$$2b$12$" + crypt:                     "bcrypt_sha256$$2b$12$",
		"{sha256-hex}$2b$12$" + crypt:                       "{sha256-hex}$2b$12$",
		"$wp$2y$10$" + crypt:                                "$wp$2y$10$",
		"$6$rounds=1000$saltsalt$" +
			"4GMtaIz3E1AdDi2SmCokEW0ehi.HdxNDcL3fGE1XXuzvo6kbx7UOloZKONqEk5H3JrQA4NOfU8BmqFPrpGqwA1": "$6$rounds=1000",
		"$bcrypt-sha256$v=2,t=2b,r=4$abcdefghijklmnopqrstuu$DDZkjU09Vim05Ait7x7R.JfuHDNAppu": "$bcrypt-sha256$2,4",
		"": "", "$2": "", "x": "",
	} {
		if got := passhash.Recipe(encoded); got != want {
			t.Errorf("%q: %q, want %q", encoded, got, want)
		}
	}
}
