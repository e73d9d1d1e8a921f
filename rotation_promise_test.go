package watchword_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
)

// These property tests check both guarantees of docs/rotation.md on Judge alone. Package rapid chooses random events,
// and shortens a sequence of events that fails.

// browsing simulates an honest user. Several tabs share one cookie, and the network loses responses.
type browsing struct {
	session  watchword.Rotation
	policy   watchword.RotationPolicy
	now      time.Time
	cookie   int64   // the generation in the cookie
	inFlight []int64 // generations of the tokens in the requests
	lastLost int64   // or neverLost
}

const neverLost = -1 << 40

func newBrowsing(t *rapid.T) *browsing {
	return &browsing{
		session:  watchword.Rotation{Forgiven: watchword.NeverForgiven, RotatedAt: rotatedAt, RotatedBy: sameAgent},
		policy:   drawPolicy(t),
		now:      rotatedAt,
		lastLost: neverLost,
	}
}

// checkOften runs a property 3,000 times, because rapid's 100 runs take only a few milliseconds.
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

func (b *browsing) oneTabSends(t *rapid.T) {
	if len(b.inFlight) == 10 {
		t.Skip("10 requests are in flight")
	}
	b.inFlight = append(b.inFlight, b.cookie)
}

// aRequestArrives judges a random request of those in flight. Its response may be lost in two cases: the last lost
// response had the same generation, or the last lost response is more than Clean generations old.
func (b *browsing) aRequestArrives(t *rapid.T) {
	if len(b.inFlight) == 0 {
		t.Skip("no request is in flight")
	}
	i := rapid.IntRange(0, len(b.inFlight)-1).Draw(t, "which")
	if b.wouldStrand(b.inFlight[i]) {
		t.Skip("the rotation would outdate a request that the grace does not cover")
	}
	g := b.inFlight[i]
	b.inFlight = append(b.inFlight[:i], b.inFlight[i+1:]...)
	b.judgeGeneration(t, g)

	mayBeLost := b.session.Generation == b.lastLost || b.session.Generation-b.lastLost > b.policy.Clean
	if mayBeLost && rapid.Bool().Draw(t, "the response is lost") {
		b.lastLost = b.session.Generation
		return
	}
	b.cookie = b.session.Generation
}

// aBurst simulates a page that sends many refreshes at once.
func (b *browsing) aBurst(t *rapid.T) {
	for range rapid.IntRange(1, 40).Draw(t, "refreshes") {
		if b.wouldStrand(b.cookie) {
			return
		}
		b.judgeGeneration(t, b.cookie)
		b.cookie = b.session.Generation
	}
}

// wouldStrand reports whether a rotation of generation g would outdate the token of a different request in flight.
// The server may refuse a token that was superseded longer ago than the grace period, or that is at least 31
// generations old. docs/rotation.md makes no promise about such a token.
func (b *browsing) wouldStrand(g int64) bool {
	if g != b.session.Generation {
		return false
	}
	for _, other := range b.inFlight {
		if other != g && (b.supersededSince(other) > b.policy.Grace || g-other >= 31) {
			return true
		}
	}
	return false
}

// supersededSince returns the time since generation g was superseded. For a generation whose time is not stored, it
// uses the oldest of the 8 stored times.
func (b *browsing) supersededSince(g int64) time.Duration {
	back := min(b.session.Generation-g, watchword.SupersededKept)
	return b.now.Sub(b.session.Superseded[watchword.SupersededKept-back])
}

func (b *browsing) judgeGeneration(t *rapid.T, g int64) {
	verdict, next := watchword.Judge(b.session, b.policy, watchword.Presentation{
		Generation: g, Agent: sameAgent, At: b.now})
	if !issuesToken(verdict) {
		t.Fatalf("an honest client with generation %d of %d gets the verdict %s", g, b.session.Generation, verdict)
	}
	b.session = next
}

// aRequestIsLost drops a request in flight. A server that crashes before the commit has the
// same effect. A crash after the commit is a lost response.
func (b *browsing) aRequestIsLost(t *rapid.T) {
	if len(b.inFlight) == 0 {
		t.Skip("no request is in flight")
	}
	b.inFlight = b.inFlight[1:]
}

func (b *browsing) theBrowserRestarts(*rapid.T) { b.inFlight = nil }

// timePasses advances the clock by one millisecond up to one month. No request stays in flight for longer than the
// grace of its token.
func (b *browsing) timePasses(t *rapid.T) {
	most := 30 * 24 * time.Hour
	for _, g := range b.inFlight {
		if g < b.session.Generation {
			most = min(most, max(0, b.policy.Grace-b.supersededSince(g)))
		}
	}
	unit := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
	b.now = b.now.Add(min(most, unit*time.Duration(rapid.IntRange(1, 720).Draw(t, "units"))))
}

func (b *browsing) theClockIsSetBack(t *rapid.T) {
	b.now = b.now.Add(-time.Duration(rapid.IntRange(1, 7200).Draw(t, "seconds")) * time.Second)
}

// RT-5, RT-6
func TestTheNetworkNeverSignsOutAnHonestClient(t *testing.T) {
	t.Parallel()
	checkOften(t, func(t *rapid.T) {
		b := newBrowsing(t)
		t.Repeat(map[string]func(*rapid.T){
			"a tab sends":           b.oneTabSends,
			"a request arrives":     b.aRequestArrives,
			"another arrives":       b.aRequestArrives, // same function as above, so that rapid chooses it more often
			"a burst":               b.aBurst,
			"a request is lost":     b.aRequestIsLost,
			"the browser restarts":  b.theBrowserRestarts,
			"time passes":           b.timePasses,
			"the clock is set back": b.theClockIsSetBack,
		})
	})
}

// sharing simulates a session whose newest token a thief has copied. The user and the thief keep refreshing, each
// time later than the grace period.
type sharing struct {
	session            watchword.Rotation
	policy             watchword.RotationPolicy
	now                time.Time
	held               [2]int64 // of the user and the thief
	agents             [2]watchword.Agent
	rotationsSinceCopy int
	forgiven           map[int64]bool
}

func (s *sharing) presentToken(t *rapid.T, who int, responseArrives bool) (detected bool) {
	s.now = s.now.Add(s.policy.Grace + time.Duration(rapid.IntRange(1, 3_600_000).Draw(t, "ms"))*time.Millisecond)
	verdict, next := watchword.Judge(s.session, s.policy,
		watchword.Presentation{Generation: s.held[who], Agent: s.agents[who], At: s.now})
	s.session = next
	switch verdict {
	case watchword.VerdictReuse:
		return true
	case watchword.VerdictRotate:
		s.rotationsSinceCopy++
	case watchword.VerdictLate:
		s.forgiven[next.Generation] = true
	default:
		t.Fatalf("after the grace, generation %d of %d gets the verdict %s", s.held[who], next.Generation, verdict)
	}
	if responseArrives {
		s.held[who] = next.Generation
	}
	return false
}

// RT-3
func TestTwoPartiesThatRefreshAreDetectedWithinThreeRotations(t *testing.T) {
	t.Parallel()
	checkOften(t, func(t *rapid.T) {
		b := newBrowsing(t)
		for range rapid.IntRange(0, 12).Draw(t, "rotations before the copy") {
			b.judgeGeneration(t, b.session.Generation)
			b.timePasses(t)
		}
		n := b.session.Generation
		s := &sharing{
			session: b.session, policy: b.policy, now: b.now,
			held: [2]int64{n, n}, agents: [2]watchword.Agent{sameAgent, sameAgent}, forgiven: map[int64]bool{},
		}
		// In each round both parties refresh, in any order. One response in four is lost.
		for range 20 {
			first := rapid.IntRange(0, 1).Draw(t, "first")
			for _, who := range []int{first, 1 - first} {
				if s.presentToken(t, who, rapid.IntRange(0, 3).Draw(t, "1 in 4 responses is lost") > 0) {
					return
				}
			}
			if s.rotationsSinceCopy > 3 || len(s.forgiven) > 1 {
				t.Fatalf("%d rotations and %d forgiven generations, reuse is not detected",
					s.rotationsSinceCopy, len(s.forgiven))
			}
		}
		t.Fatal("reuse is not detected after 20 rounds")
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
		if s.presentToken(t, first, true) {
			t.Fatal("the newest token was refused")
		}
		if !s.presentToken(t, 1-first, true) {
			t.Fatal("the late token of another user agent was accepted")
		}
	})
}
