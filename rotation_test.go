package watchword_test

import (
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	grace = 10 * time.Second

	sameAgent  = watchword.Agent("refreshed to the newest generation")
	otherAgent = watchword.Agent("some other client")
)

var rotatedAt = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func rotationAt(n int64, apart time.Duration, forgiven int64) watchword.Rotation {
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
	patient := watchword.RotationPolicy{Clean: 100}
	const (
		ended, rotate = watchword.VerdictEnded, watchword.VerdictRotate
		repeat, late  = watchword.VerdictRepeat, watchword.VerdictLate
		reuse         = watchword.VerdictReuse
	)
	slow := func(n, forgiven int64) watchword.Rotation { return rotationAt(n, time.Hour, forgiven) }
	fast := func(n int64, apart time.Duration) watchword.Rotation { return rotationAt(n, apart, never) }

	for _, c := range []struct {
		rule   string
		state  watchword.Rotation
		policy watchword.RotationPolicy
		g      int64
		after  time.Duration // time since the newest generation was created
		agent  watchword.Agent
		want   watchword.Verdict
	}{
		// RT-5
		{"1: a token newer than its session comes from a restored backup",
			slow(5, never), defaults, 6, 0, sameAgent, ended},
		{"1: a token that is far newer", slow(5, never), defaults, 1 << 62, time.Hour, otherAgent, ended},

		// RT-3
		{"2: the token of the sign-in rotates", slow(0, never), defaults, 0, time.Hour, sameAgent, rotate},
		{"2: the newest rotates", slow(5, never), defaults, 5, time.Hour, sameAgent, rotate},
		{"2: right after it was created", slow(5, never), defaults, 5, 0, sameAgent, rotate},
		{"2: after 10,000 hours", slow(5, never), defaults, 5, 10_000 * time.Hour, sameAgent, rotate},
		{"2: without a grace", slow(5, never), noGrace, 5, time.Hour, sameAgent, rotate},
		{"2: from another client", slow(5, never), defaults, 5, time.Hour, otherAgent, rotate},
		{"2: right after it was forgiven", slow(5, 5), defaults, 5, time.Hour, sameAgent, rotate},

		// RT-6
		{"3: at once", slow(5, never), defaults, 4, 0, sameAgent, repeat},
		{"3: exactly at the grace", slow(5, 4), defaults, 4, grace, sameAgent, repeat},
		{"3: a millisecond beyond", slow(5, 4), defaults, 4, grace + ms, sameAgent, reuse},
		{"3: a nanosecond beyond", slow(5, 4), defaults, 4, grace + 1, sameAgent, reuse},
		{"3: from another client", slow(5, 4), defaults, 4, grace, otherAgent, repeat},
		{"3: without a grace, in the same moment", slow(5, 4), noGrace, 4, 0, sameAgent, repeat},
		{"3: without a grace, a millisecond later", slow(5, 4), noGrace, 4, ms, otherAgent, reuse},
		{"3: the grandparent, by its own time", fast(5, time.Second), defaults, 3, 9 * time.Second, sameAgent, repeat},
		{"3: the grandparent, beyond its own time",
			fast(5, time.Second), defaults, 3, 9*time.Second + ms, sameAgent, reuse},
		{"3: the oldest of the 8 known", fast(20, time.Second), defaults, 12, 3 * time.Second, sameAgent, repeat},
		{"3: the oldest of the 8 known, beyond",
			fast(20, time.Second), defaults, 12, 3*time.Second + ms, sameAgent, reuse},

		{"3: the parent of a forgiven one, as the child was superseded",
			slow(5, 4), defaults, 3, grace, otherAgent, repeat},
		{"3: the parent of a forgiven one, beyond", slow(5, 4), defaults, 3, grace + ms, sameAgent, reuse},
		{"3: the grandparent of a forgiven one", slow(5, 4), defaults, 2, 0, sameAgent, reuse},
		{"3: the parent of one that was forgiven long ago", slow(5, 2), defaults, 1, 0, sameAgent, reuse},

		{"3: in a burst, the 9th back", fast(40, time.Second), defaults, 31, 3 * time.Second, sameAgent, repeat},
		{"3: in a burst, the 32nd back", fast(40, time.Second), defaults, 8, 3 * time.Second, sameAgent, repeat},
		{"3: in a burst, the 33rd back", fast(40, time.Second), defaults, 7, 3 * time.Second, sameAgent, reuse},
		{"3: a burst ends a millisecond beyond its oldest time",
			fast(40, time.Second), defaults, 31, 3*time.Second + ms, sameAgent, reuse},
		{"3: in a burst, another client", fast(40, ms), defaults, 8, 0, otherAgent, repeat},
		{"3: in the first burst, the token of the sign-in", fast(32, ms), defaults, 0, 0, sameAgent, repeat},
		{"3: a young session is no burst", fast(7, ms), defaults, 0, grace, sameAgent, reuse},

		// RT-6
		{"4: late, never forgiven before", slow(5, never), defaults, 4, grace + ms, sameAgent, late},
		{"4: after 10,000 hours", slow(5, never), defaults, 4, 10_000 * time.Hour, sameAgent, late},
		{"4: the very first rotation", slow(1, never), defaults, 0, time.Hour, sameAgent, late},
		{"4: without a grace", slow(5, never), noGrace, 4, ms, sameAgent, late},
		{"4: never forgiven before, when 100 must be clean", slow(1, never), patient, 0, time.Hour, sameAgent, late},
		{"4: the same response lost again", slow(5, 5), defaults, 4, time.Hour, sameAgent, late},
		{"4: far enough from the last one forgiven", slow(5, 3), defaults, 4, time.Hour, sameAgent, late},
		{"4: far enough from it, when 3 must be clean", slow(9, 5), roomy, 8, time.Hour, sameAgent, late},
		{"4: none must be clean", slow(5, 4), noGrace, 4, time.Hour, sameAgent, late},
		// RT-3
		{"4: the next generation lost as well", slow(5, 4), defaults, 4, time.Hour, sameAgent, reuse},
		{"4: too close to the last forgiven one, when 3 must be clean",
			slow(9, 6), roomy, 8, time.Hour, sameAgent, reuse},
		// RT-13
		{"4: late, from another client", slow(5, never), defaults, 4, grace + ms, otherAgent, reuse},
		{"4: the same response lost again, from another client", slow(5, 5), defaults, 4, time.Hour, otherAgent, reuse},

		// RT-3
		{"5: the grandparent, late", slow(5, never), defaults, 3, time.Hour, sameAgent, reuse},
		{"5: the grandparent, while its parent is within the grace", slow(5, never), defaults, 3, 0, sameAgent, reuse},
		{"5: the token of the sign-in, long after", slow(500, never), defaults, 0, 0, sameAgent, reuse},
		{"5: from a burst that is over", fast(40, ms), defaults, 20, time.Hour, sameAgent, reuse},

		// RT-5
		{"clock set back: the newest rotates", slow(5, never), defaults, 5, -time.Hour, sameAgent, rotate},
		{"clock set back: the parent repeats", slow(5, 4), defaults, 4, -time.Hour, otherAgent, repeat},
		{"clock set back: the parent repeats without a grace", slow(5, 4), noGrace, 4, -time.Hour, otherAgent, repeat},
		{"clock set back: the grandparent is still reuse",
			slow(5, never), defaults, 3, -100 * time.Hour, sameAgent, reuse},
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

// stateAfter returns the session state that the rules require after a verdict.
func stateAfter(v watchword.Verdict, r watchword.Rotation, p watchword.Presentation) watchword.Rotation {
	switch v {
	case watchword.VerdictRotate:
		now := p.At
		if now.Before(r.RotatedAt) {
			now = r.RotatedAt // the clock was set back
		}
		next := watchword.Rotation{
			Generation: r.Generation + 1, Forgiven: r.Forgiven, RotatedAt: now, RotatedBy: p.Agent}
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
	for _, other := range []string{firefox + " ", ""} {
		if watchword.AgentOf(firefox) == watchword.AgentOf(other) {
			t.Errorf("the user agent %q has the hash of %q", other, firefox)
		}
	}
	if n := len(watchword.AgentOf(firefox)); n != 16 {
		t.Errorf("the hash has %d characters, want 16", n)
	}
}

// Judge must not panic, and every verdict must have the properties that hold for all sessions. Times are in
// milliseconds.
func FuzzJudge(f *testing.F) {
	f.Add(int64(5), int64(0), int64(3_600_000), int64(-1), int64(10_000), int64(1), int64(3_600_000), true)
	f.Add(int64(5), int64(1), int64(3_600_000), int64(-1), int64(10_000), int64(1), int64(10_000), true)
	f.Add(int64(5), int64(1), int64(3_600_000), int64(4), int64(10_000), int64(1), int64(10_001), true)
	f.Add(int64(5), int64(1), int64(3_600_000), int64(5), int64(10_000), int64(3), int64(-10), false)
	f.Add(int64(40), int64(32), int64(100), int64(20), int64(10_000), int64(1), int64(5), false)
	f.Add(int64(40), int64(-1), int64(100), int64(20), int64(0), int64(0), int64(5), true)
	f.Fuzz(func(t *testing.T, n, back, apart, forgiven, graceMS, clean, at int64, same bool) {
		n, apart, at = reduceInto(n, 1<<40), reduceInto(apart, 1<<32), reduceInto(at+1<<31, 1<<32)-1<<31
		policy := watchword.RotationPolicy{Grace: millis(reduceInto(graceMS, 60_000)), Clean: reduceInto(clean, 100)}
		p := watchword.Presentation{Generation: max(n-back, 0), Agent: sameAgent, At: rotatedAt.Add(millis(at))}
		if !same {
			p.Agent = otherAgent
		}
		r := rotationAt(n, millis(apart), min(max(forgiven, watchword.NeverForgiven), n))
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
			t.Errorf("late for generation %d of %d, %v after the rotation, same agent %t",
				p.Generation, n, p.At.Sub(rotatedAt), same)
		}
		if verdict == watchword.VerdictRepeat && (n-p.Generation > 32 || p.At.Sub(rotatedAt) > policy.Grace) {
			t.Errorf("repeat of generation %d of %d, %v after the rotation", p.Generation, n, p.At.Sub(rotatedAt))
		}
		if p.Generation > n {
			return
		}
		again, after := watchword.Judge(next, policy, p)
		if issuesToken(verdict) != issuesToken(again) || (after.Generation != next.Generation) {
			t.Errorf("presented twice at one time: first %s, then %s at generation %d", verdict, again,
				after.Generation)
		}
		lenient := watchword.RotationPolicy{Grace: policy.Grace + time.Second, Clean: max(policy.Clean-1, 0)}
		withLenient, _ := watchword.Judge(r, lenient, p)
		if issuesToken(verdict) && !issuesToken(withLenient) {
			t.Errorf("a more lenient policy changed %s to %s", verdict, withLenient)
		}
	})
}

// reduceInto maps any number into [0, limit).
func reduceInto(n, limit int64) int64 { return (n%limit + limit) % limit }

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func issuesToken(v watchword.Verdict) bool {
	return v == watchword.VerdictRotate || v == watchword.VerdictRepeat || v == watchword.VerdictLate
}
