package watchword_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
)

// The two halves of the promise of docs/rotation.md, each as a machine that tries
// to break it: rapid draws what happens next, and shortens what it finds.

// browsing is an honest user: several tabs that share one cookie, on a network
// that loses answers.
type browsing struct {
	session watchword.Rotation
	policy  watchword.RotationPolicy
	now     time.Time
	cookie  int64   // the generation that the tabs hold
	sent    []int64 // requests on their way, by the generation they carry
	lost    int64   // the last generation of which an answer was lost, or never
}

const neverLost = -1 << 40

func newBrowsing(t *rapid.T) *browsing {
	return &browsing{
		session: watchword.Rotation{Forgiven: watchword.NeverForgiven, RotatedAt: rotatedAt, RotatedBy: sameAgent},
		policy:  drawPolicy(t),
		now:     rotatedAt,
		lost:    neverLost,
	}
}

// checkOften runs a property 3,000 times, for rapid's 100 take a few milliseconds.
func checkOften(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	for range 30 {
		rapid.Check(t, property)
	}
}

func drawPolicy(t *rapid.T) watchword.RotationPolicy {
	return watchword.RotationPolicy{
		Grace: rapid.SampledFrom([]time.Duration{0, time.Second, grace, time.Minute}).Draw(t, "grace"),
		Clean: rapid.Int64Range(1, 3).Draw(t, "clean"),
	}
}

// oneTabSends sends the cookie, as each request of a page that is loaded does.
func (b *browsing) oneTabSends(t *rapid.T) {
	if len(b.sent) == 10 {
		t.Skip("enough requests are on their way")
	}
	b.sent = append(b.sent, b.cookie)
}

// aRequestArrives is judged, in any order. Its answer may be lost, though never
// that of a second generation within clean + 1.
func (b *browsing) aRequestArrives(t *rapid.T) {
	if len(b.sent) == 0 {
		t.Skip("no request is on its way")
	}
	i := rapid.IntRange(0, len(b.sent)-1).Draw(t, "which")
	if b.wouldStrand(b.sent[i]) {
		t.Skip("it would overtake a request that the grace does not cover")
	}
	g := b.sent[i]
	b.sent = append(b.sent[:i], b.sent[i+1:]...)
	b.present(t, g)

	mayBeLost := b.session.Generation == b.lost || b.session.Generation-b.lost > b.policy.Clean
	if mayBeLost && rapid.Bool().Draw(t, "the answer is lost") {
		b.lost = b.session.Generation
		return
	}
	b.cookie = b.session.Generation
}

// aBurst is a page that refreshes again and again, at once, while other requests
// are still on their way.
func (b *browsing) aBurst(t *rapid.T) {
	for range rapid.IntRange(1, 40).Draw(t, "refreshes") {
		if b.wouldStrand(b.cookie) {
			return
		}
		b.present(t, b.cookie)
		b.cookie = b.session.Generation
	}
}

// wouldStrand reports whether a rotation now would leave another request behind
// with a token that was old before: the promise covers tabs within the grace.
func (b *browsing) wouldStrand(g int64) bool {
	if g != b.session.Generation {
		return false
	}
	for _, other := range b.sent {
		if other != g && (b.age(other) > b.policy.Grace || g-other >= 31) {
			return true
		}
	}
	return false
}

// age is how long ago generation g, one of the last 8, was superseded. In a burst
// the oldest known time stands for those before it.
func (b *browsing) age(g int64) time.Duration {
	back := min(b.session.Generation-g, watchword.SupersededKept)
	return b.now.Sub(b.session.Superseded[watchword.SupersededKept-back])
}

func (b *browsing) present(t *rapid.T, g int64) {
	verdict, next := watchword.Judge(b.session, b.policy, watchword.Presentation{Generation: g, Agent: sameAgent, At: b.now})
	if !answered(verdict) {
		t.Fatalf("an honest client with generation %d of %d is told %s", g, b.session.Generation, verdict)
	}
	b.session = next
}

// aRequestIsLost on its way, or the server dies before it commits: it changes
// nothing. (A server that dies after the commit loses an answer.)
func (b *browsing) aRequestIsLost(t *rapid.T) {
	if len(b.sent) == 0 {
		t.Skip("no request is on its way")
	}
	b.sent = b.sent[1:]
}

func (b *browsing) theBrowserRestarts(*rapid.T) { b.sent = nil }

// timePasses, from a millisecond to a month, but no request is on its way for
// longer than the grace of its token.
func (b *browsing) timePasses(t *rapid.T) {
	most := 30 * 24 * time.Hour
	for _, g := range b.sent {
		if g < b.session.Generation {
			most = min(most, max(0, b.policy.Grace-b.age(g)))
		}
	}
	unit := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
	b.now = b.now.Add(min(most, unit*time.Duration(rapid.IntRange(1, 720).Draw(t, "units"))))
}

func (b *browsing) theClockIsSetBack(t *rapid.T) {
	b.now = b.now.Add(-time.Duration(rapid.IntRange(1, 7200).Draw(t, "seconds")) * time.Second)
}

// RT-5, RT-6
func TestAnHonestClientIsNeverSignedOutByTheNetwork(t *testing.T) {
	t.Parallel()
	checkOften(t, func(t *rapid.T) {
		b := newBrowsing(t)
		t.Repeat(map[string]func(*rapid.T){
			"a tab sends":           b.oneTabSends,
			"a request arrives":     b.aRequestArrives,
			"another arrives":       b.aRequestArrives, // twice as often as the rest
			"a burst":               b.aBurst,
			"a request is lost":     b.aRequestIsLost,
			"the browser restarts":  b.theBrowserRestarts,
			"time passes":           b.timePasses,
			"the clock is set back": b.theClockIsSetBack,
		})
	})
}

// sharing is a session of which a thief has copied the newest token. Both go on
// refreshing, always later than the grace.
type sharing struct {
	session   watchword.Rotation
	policy    watchword.RotationPolicy
	now       time.Time
	holds     [2]int64 // the generation that victim and thief hold
	agents    [2]watchword.Agent
	rotations int // since the copy
	forgiven  map[int64]bool
}

// refresh lets one party have a turn, and reports whether the copy was found.
func (s *sharing) refresh(t *rapid.T, who int, answerArrives bool) (found bool) {
	s.now = s.now.Add(s.policy.Grace + time.Duration(rapid.IntRange(1, 3_600_000).Draw(t, "ms"))*time.Millisecond)
	verdict, next := watchword.Judge(s.session, s.policy,
		watchword.Presentation{Generation: s.holds[who], Agent: s.agents[who], At: s.now})
	s.session = next
	switch verdict {
	case watchword.VerdictReuse:
		return true
	case watchword.VerdictRotate:
		s.rotations++
	case watchword.VerdictLate:
		s.forgiven[next.Generation] = true
	default:
		t.Fatalf("beyond the grace, generation %d of %d is told %s", s.holds[who], next.Generation, verdict)
	}
	if answerArrives {
		s.holds[who] = next.Generation
	}
	return false
}

// RT-3
func TestTwoPartiesThatRefreshAreDetectedWithinThreeRotations(t *testing.T) {
	t.Parallel()
	checkOften(t, func(t *rapid.T) {
		b := newBrowsing(t)
		for range rapid.IntRange(0, 12).Draw(t, "rotations before the copy") {
			b.present(t, b.session.Generation)
			b.timePasses(t)
		}
		n := b.session.Generation
		s := &sharing{
			session: b.session, policy: b.policy, now: b.now,
			holds: [2]int64{n, n}, agents: [2]watchword.Agent{sameAgent, sameAgent}, forgiven: map[int64]bool{},
		}
		// In each round both have their turn, in any order. Answers may be lost, but
		// not for ever: a party that never hears anything gains nothing either.
		for range 20 {
			first := rapid.IntRange(0, 1).Draw(t, "first")
			for _, who := range []int{first, 1 - first} {
				if s.refresh(t, who, rapid.IntRange(0, 3).Draw(t, "1 in 4 answers is lost") > 0) {
					return
				}
			}
			if s.rotations > 3 || len(s.forgiven) > 1 {
				t.Fatalf("%d rotations and %d generations forgiven later, nobody has noticed", s.rotations, len(s.forgiven))
			}
		}
		t.Fatalf("20 rounds later, nobody has noticed")
	})
}

// RT-3, RT-13
func TestLateTokenOfAnotherUserAgentIsReuse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := newBrowsing(t)
		s := &sharing{
			session: b.session, policy: b.policy, now: b.now,
			agents: [2]watchword.Agent{sameAgent, otherAgent}, forgiven: map[int64]bool{},
		}
		first := rapid.IntRange(0, 1).Draw(t, "first")
		if s.refresh(t, first, true) {
			t.Fatal("the newest token was refused")
		}
		if !s.refresh(t, 1-first, true) {
			t.Fatal("both were answered")
		}
	})
}
