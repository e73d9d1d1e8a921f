package verify_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/verify"
)

func TestRevocationsSayWhichTokensAreRefused(t *testing.T) {
	t.Parallel()
	r := verify.NewRevocations(100)
	now := time.Now()
	r.EndSessionAt("s1", now)
	r.OutdateTokensAt("ada", 1000, now)
	r.OutdateTokensAt("ada", 900, now) // older news that comes late
	for _, c := range []struct {
		sid, sub string
		issued   int64
		want     error
	}{
		{"s1", "eve", 5000, verify.ErrRevoked},
		{"s1", "ada", 1, verify.ErrRevoked},
		{"s2", "ada", 999, verify.ErrExpired},
		{"s2", "ada", 1000, nil},
		{"s2", "eve", 1, nil},
		{"", "", 0, nil},
	} {
		if err := r.Refuse(c.sid, c.sub, c.issued); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

// What was told first counts: a feed that begins again does not lengthen it.
func TestARevocationIsRememberedUntilNoTokenCanBeAlive(t *testing.T) {
	t.Parallel()
	r := verify.NewRevocations(100)
	now := time.Now()
	r.EndSessionAt("s1", now)
	r.OutdateTokensAt("ada", 1000, now)
	r.Forget(now.Add(65 * time.Minute))
	if r.Refuse("s1", "", 0) == nil || r.Refuse("", "ada", 1) == nil {
		t.Error("forgotten too early")
	}
	r.EndSessionAt("s1", now.Add(time.Hour))
	r.OutdateTokensAt("ada", 1000, now.Add(time.Hour))
	r.Forget(now.Add(65*time.Minute + 1))
	if r.Refuse("s1", "", 0) != nil || r.Refuse("", "ada", 1) != nil {
		t.Error("not forgotten")
	}
}

func TestAMemoryThatIsFullCountsAsSilence(t *testing.T) {
	t.Parallel()
	r := verify.NewRevocations(10)
	now := time.Now()
	if s := r.Silence(now); s < time.Hour {
		t.Errorf("a feed that was never heard is silent for %s", s)
	}
	r.Hear(now)
	if s := r.Silence(now.Add(3 * time.Second)); s != 3*time.Second {
		t.Errorf("silent for %s", s)
	}
	for n := range 9 {
		r.EndSessionAt(fmt.Sprint("s", n), now)
	}
	r.OutdateTokensAt("ada", 1, now)
	if r.MustStartOver() {
		t.Error("there was room for all")
	}
	r.EndSessionAt("s0", now)           // known already
	r.OutdateTokensAt("ada", 2, now)    // likewise
	r.OutdateTokensAt("bob", 1000, now) // one too many
	r.Hear(now.Add(time.Minute))
	if s := r.Silence(now.Add(time.Minute)); s != time.Minute {
		t.Errorf("silent for %s", s)
	}
	if r.MustStartOver() {
		t.Error("there is no room to start over yet")
	}
	r.Forget(now.Add(2 * time.Hour))
	if !r.MustStartOver() || r.MustStartOver() {
		t.Error("it must start over, once")
	}
	r.Hear(now.Add(2 * time.Hour))
	if s := r.Silence(now.Add(2 * time.Hour)); s != 0 {
		t.Errorf("silent for %s", s)
	}
}
