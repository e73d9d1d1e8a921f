package watchword_test

import (
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	grace = 10 * time.Second

	sameAgent  = watchword.Agent("made the newest generation")
	otherAgent = watchword.Agent("some other client")
)

// rotatedAt is when the newest generation was made, in the tests of the judge.
var rotatedAt = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// rotated is a session at generation n whose generations were each made apart
// after the one before.
func rotated(n int64, apart time.Duration, forgiven int64) watchword.Rotation {
	r := watchword.Rotation{Generation: n, Forgiven: forgiven, RotatedAt: rotatedAt, RotatedBy: sameAgent}
	for back := range min(n, watchword.SupersededKept) {
		r.Superseded[watchword.SupersededKept-1-back] = rotatedAt.Add(-time.Duration(back) * apart)
	}
	return r
}

func TestEveryRuleOfRotation(t *testing.T) {
	t.Parallel()
	const never, ms = watchword.NeverForgiven, time.Millisecond
	defaults := watchword.RotationPolicy{Grace: grace, Clean: 1}
	noGrace := watchword.RotationPolicy{}
	roomy := watchword.RotationPolicy{Grace: grace, Clean: 3}
	slow := func(n, forgiven int64) watchword.Rotation { return rotated(n, time.Hour, forgiven) }
	fast := func(n int64, apart time.Duration) watchword.Rotation { return rotated(n, apart, never) }

	for _, c := range []struct {
		rule   string
		state  watchword.Rotation
		policy watchword.RotationPolicy
		g      int64
		after  time.Duration // since the newest generation was made
		agent  watchword.Agent
		want   watchword.Verdict
	}{
		// RT-5
		{"1: a token newer than its session comes from a restored backup", slow(5, never), defaults, 6, 0, sameAgent, watchword.VerdictEnded},
		{"1: however much newer", slow(5, never), defaults, 1 << 62, time.Hour, otherAgent, watchword.VerdictEnded},

		// RT-3
		{"2: the token of the sign-in rotates", slow(0, never), defaults, 0, time.Hour, sameAgent, watchword.VerdictRotate},
		{"2: the newest rotates", slow(5, never), defaults, 5, time.Hour, sameAgent, watchword.VerdictRotate},
		{"2: however young it is", slow(5, never), defaults, 5, 0, sameAgent, watchword.VerdictRotate},
		{"2: however old it is", slow(5, never), defaults, 5, 10_000 * time.Hour, sameAgent, watchword.VerdictRotate},
		{"2: without a grace", slow(5, never), noGrace, 5, time.Hour, sameAgent, watchword.VerdictRotate},
		{"2: from another client", slow(5, never), defaults, 5, time.Hour, otherAgent, watchword.VerdictRotate},
		{"2: right after it was forgiven", slow(5, 5), defaults, 5, time.Hour, sameAgent, watchword.VerdictRotate},

		// RT-6
		{"3: at once", slow(5, never), defaults, 4, 0, sameAgent, watchword.VerdictRepeat},
		{"3: exactly at the grace", slow(5, 4), defaults, 4, grace, sameAgent, watchword.VerdictRepeat},
		{"3: a millisecond beyond", slow(5, 4), defaults, 4, grace + ms, sameAgent, watchword.VerdictReuse},
		{"3: a nanosecond beyond", slow(5, 4), defaults, 4, grace + 1, sameAgent, watchword.VerdictReuse},
		{"3: from another client", slow(5, 4), defaults, 4, grace, otherAgent, watchword.VerdictRepeat},
		{"3: without a grace, in the same moment", slow(5, 4), noGrace, 4, 0, sameAgent, watchword.VerdictRepeat},
		{"3: without a grace, a millisecond later", slow(5, 4), noGrace, 4, ms, otherAgent, watchword.VerdictReuse},
		{"3: the grandparent, by its own time", fast(5, time.Second), defaults, 3, 9 * time.Second, sameAgent, watchword.VerdictRepeat},
		{"3: the grandparent, beyond its own time", fast(5, time.Second), defaults, 3, 9*time.Second + ms, sameAgent, watchword.VerdictReuse},
		{"3: the oldest of the 8 known", fast(20, time.Second), defaults, 12, 3 * time.Second, sameAgent, watchword.VerdictRepeat},
		{"3: the oldest of the 8 known, beyond", fast(20, time.Second), defaults, 12, 3*time.Second + ms, sameAgent, watchword.VerdictReuse},

		{"3: the parent of a forgiven one, as the child was superseded", slow(5, 4), defaults, 3, grace, otherAgent, watchword.VerdictRepeat},
		{"3: the parent of a forgiven one, beyond", slow(5, 4), defaults, 3, grace + ms, sameAgent, watchword.VerdictReuse},
		{"3: the grandparent of a forgiven one", slow(5, 4), defaults, 2, 0, sameAgent, watchword.VerdictReuse},
		{"3: the parent of one that was forgiven long ago", slow(5, 2), defaults, 1, 0, sameAgent, watchword.VerdictReuse},

		{"3: in a burst, the 9th back", fast(40, time.Second), defaults, 31, 3 * time.Second, sameAgent, watchword.VerdictRepeat},
		{"3: in a burst, the 32nd back", fast(40, time.Second), defaults, 8, 3 * time.Second, sameAgent, watchword.VerdictRepeat},
		{"3: in a burst, the 33rd back", fast(40, time.Second), defaults, 7, 3 * time.Second, sameAgent, watchword.VerdictReuse},
		{"3: a burst ends a millisecond beyond its oldest time", fast(40, time.Second), defaults, 31, 3*time.Second + ms, sameAgent, watchword.VerdictReuse},
		{"3: in a burst, another client", fast(40, ms), defaults, 8, 0, otherAgent, watchword.VerdictRepeat},
		{"3: in the first burst, the token of the sign-in", fast(32, ms), defaults, 0, 0, sameAgent, watchword.VerdictRepeat},
		{"3: a young session is no burst", fast(7, ms), defaults, 0, grace, sameAgent, watchword.VerdictReuse},

		// RT-6
		{"4: late, never forgiven before", slow(5, never), defaults, 4, grace + ms, sameAgent, watchword.VerdictLate},
		{"4: however late", slow(5, never), defaults, 4, 10_000 * time.Hour, sameAgent, watchword.VerdictLate},
		{"4: the very first rotation", slow(1, never), defaults, 0, time.Hour, sameAgent, watchword.VerdictLate},
		{"4: without a grace", slow(5, never), noGrace, 4, ms, sameAgent, watchword.VerdictLate},
		{"4: never forgiven, however much must be clean", slow(1, never), watchword.RotationPolicy{Clean: 100}, 0, time.Hour, sameAgent, watchword.VerdictLate},
		{"4: the same response lost again", slow(5, 5), defaults, 4, time.Hour, sameAgent, watchword.VerdictLate},
		{"4: far enough from the last one forgiven", slow(5, 3), defaults, 4, time.Hour, sameAgent, watchword.VerdictLate},
		{"4: far enough, when 3 must be clean", slow(9, 5), roomy, 8, time.Hour, sameAgent, watchword.VerdictLate},
		{"4: none must be clean", slow(5, 4), noGrace, 4, time.Hour, sameAgent, watchword.VerdictLate},
		// RT-3
		{"4: twice running", slow(5, 4), defaults, 4, time.Hour, sameAgent, watchword.VerdictReuse},
		{"4: too near, when 3 must be clean", slow(9, 6), roomy, 8, time.Hour, sameAgent, watchword.VerdictReuse},
		// RT-13
		{"4: late, from another client", slow(5, never), defaults, 4, grace + ms, otherAgent, watchword.VerdictReuse},
		{"4: the same response lost again, from another client", slow(5, 5), defaults, 4, time.Hour, otherAgent, watchword.VerdictReuse},

		// RT-3
		{"5: the grandparent, late", slow(5, never), defaults, 3, time.Hour, sameAgent, watchword.VerdictReuse},
		{"5: the grandparent, while its parent is within the grace", slow(5, never), defaults, 3, 0, sameAgent, watchword.VerdictReuse},
		{"5: the token of the sign-in, long after", slow(500, never), defaults, 0, 0, sameAgent, watchword.VerdictReuse},
		{"5: out of a burst that is over", fast(40, ms), defaults, 20, time.Hour, sameAgent, watchword.VerdictReuse},

		// RT-5
		{"clock set back: the newest rotates", slow(5, never), defaults, 5, -time.Hour, sameAgent, watchword.VerdictRotate},
		{"clock set back: the parent repeats", slow(5, 4), defaults, 4, -time.Hour, otherAgent, watchword.VerdictRepeat},
		{"clock set back: without a grace too", slow(5, 4), noGrace, 4, -time.Hour, otherAgent, watchword.VerdictRepeat},
		{"clock set back: what was old stays old", slow(5, never), defaults, 3, -100 * time.Hour, sameAgent, watchword.VerdictReuse},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			presented := watchword.Presentation{Generation: c.g, Agent: c.agent, At: rotatedAt.Add(c.after)}
			got, next := watchword.Judge(c.state, c.policy, presented)
			if got != c.want {
				t.Fatalf("verdict %s, want %s", got, c.want)
			}
			if want := stateAfter(c.want, c.state, presented); next != want {
				t.Errorf("the session is now %+v, want %+v", next, want)
			}
		})
	}
}

// stateAfter is what the rules say that a verdict leaves behind.
func stateAfter(v watchword.Verdict, r watchword.Rotation, p watchword.Presentation) watchword.Rotation {
	switch v {
	case watchword.VerdictRotate:
		now := p.At
		if now.Before(r.RotatedAt) {
			now = r.RotatedAt // the clock was set back
		}
		next := watchword.Rotation{Generation: r.Generation + 1, Forgiven: r.Forgiven, RotatedAt: now, RotatedBy: p.Agent}
		for i := range watchword.SupersededKept - 1 {
			next.Superseded[i] = r.Superseded[i+1]
		}
		next.Superseded[watchword.SupersededKept-1] = now
		return next
	case watchword.VerdictLate:
		r.Forgiven = r.Generation
	}
	return r
}

// RT-13
func TestUserAgentsAreDistinguishedAndNotStored(t *testing.T) {
	t.Parallel()
	const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	if again := strings.Clone(firefox); watchword.AgentOf(firefox) != watchword.AgentOf(again) {
		t.Error("one user agent has two hashes")
	}
	if watchword.AgentOf(firefox) == watchword.AgentOf(firefox+" ") || watchword.AgentOf(firefox) == watchword.AgentOf("") {
		t.Error("two user agents have one hash")
	}
	if n := len(watchword.AgentOf(firefox)); n != 16 {
		t.Errorf("the hash has %d characters, want 16", n)
	}
}

// FuzzJudge looks for a panic, and holds every verdict against what must be true
// of it whatever the session went through. Times are in milliseconds.
func FuzzJudge(f *testing.F) {
	f.Add(int64(5), int64(0), int64(3_600_000), int64(-1), int64(10_000), int64(1), int64(3_600_000), true)
	f.Add(int64(5), int64(1), int64(3_600_000), int64(-1), int64(10_000), int64(1), int64(10_000), true)
	f.Add(int64(5), int64(1), int64(3_600_000), int64(4), int64(10_000), int64(1), int64(10_001), true)
	f.Add(int64(5), int64(1), int64(3_600_000), int64(5), int64(10_000), int64(3), int64(-10), false)
	f.Add(int64(40), int64(32), int64(100), int64(20), int64(10_000), int64(1), int64(5), false)
	f.Add(int64(40), int64(-1), int64(100), int64(20), int64(0), int64(0), int64(5), true)
	f.Fuzz(func(t *testing.T, n, back, apart, forgiven, graceMS, clean, at int64, same bool) {
		n, apart, at = bounded(n, 1<<40), bounded(apart, 1<<32), bounded(at+1<<31, 1<<32)-1<<31
		policy := watchword.RotationPolicy{Grace: millis(bounded(graceMS, 60_000)), Clean: bounded(clean, 100)}
		p := watchword.Presentation{Generation: max(n-back, 0), Agent: sameAgent, At: rotatedAt.Add(millis(at))}
		if !same {
			p.Agent = otherAgent
		}
		r := rotated(n, millis(apart), min(max(forgiven, watchword.NeverForgiven), n))
		verdict, next := watchword.Judge(r, policy, p)

		if want := stateAfter(verdict, r, p); next != want {
			t.Errorf("after %s the session is %+v, want %+v", verdict, next, want)
		}
		if (verdict == watchword.VerdictRotate) != (p.Generation == n) {
			t.Errorf("generation %d of %d: %s", p.Generation, n, verdict)
		}
		if (verdict == watchword.VerdictEnded) != (p.Generation > n) {
			t.Errorf("generation %d of %d: %s", p.Generation, n, verdict)
		}
		if verdict == watchword.VerdictLate && (p.Generation != n-1 || !same || p.At.Sub(rotatedAt) <= policy.Grace) {
			t.Errorf("late, but generation %d of %d, %v after, same agent %t", p.Generation, n, p.At.Sub(rotatedAt), same)
		}
		if verdict == watchword.VerdictRepeat && (n-p.Generation > 32 || p.At.Sub(rotatedAt) > policy.Grace) {
			t.Errorf("repeat of generation %d of %d, %v after", p.Generation, n, p.At.Sub(rotatedAt))
		}
		if p.Generation > n {
			return
		}
		again, after := watchword.Judge(next, policy, p)
		if answered(verdict) != answered(again) || (after.Generation != next.Generation) {
			t.Errorf("asked twice in one moment: first %s, then %s at generation %d", verdict, again, after.Generation)
		}
		kinder, _ := watchword.Judge(r, watchword.RotationPolicy{Grace: policy.Grace + time.Second, Clean: max(policy.Clean-1, 0)}, p)
		if answered(verdict) && !answered(kinder) {
			t.Errorf("a kinder policy made %s a %s", verdict, kinder)
		}
	})
}

// bounded brings any number into [0, limit).
func bounded(n, limit int64) int64 { return (n%limit + limit) % limit }

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func answered(v watchword.Verdict) bool {
	return v == watchword.VerdictRotate || v == watchword.VerdictRepeat || v == watchword.VerdictLate
}
