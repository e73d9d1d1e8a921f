package watchword

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// This file is the judge of refresh tokens: docs/rotation.md in code. It has no
// clock, no store and no I/O, so that it can be read in five minutes, fuzzed,
// simulated (lab/rotation) and held against every store (store/storetest).
//
// The promise has two halves. An honest client is never signed out by the
// network: a repeat within the grace is answered, and one lost response is
// forgiven however late the client comes back. A copied token is found out: two
// parties that both keep refreshing need forgiving at every step, and the
// second step in a row is refused.

// SupersededKept is how many superseding times a session remembers.
const SupersededKept = 8

// burst is how many generations back count as within the grace while even the
// oldest remembered time is within it.
const burst = 32

// NeverForgiven is the value of Rotation.Forgiven before any late parent was
// answered.
const NeverForgiven int64 = -1

// A Rotation is the part of a session that changes when it is refreshed.
type Rotation struct {
	// Generation is the number of the newest refresh token issued, 0 at sign-in.
	Generation int64

	// Superseded holds when each of the last generations was superseded,
	// newest last; Superseded[SupersededKept-1] is when Generation-1 was.
	// The zero time stands for a generation that never was.
	Superseded [SupersededKept]time.Time

	// Forgiven is the last generation for which a late parent was answered,
	// or NeverForgiven.
	Forgiven int64

	// RotatedAt is when Generation was issued.
	RotatedAt time.Time

	// RotatedBy is the Agent that made Generation.
	RotatedBy Agent
}

// A RotationPolicy bounds what is forgiven.
type RotationPolicy struct {
	// Grace is how long after its superseding a token is still answered with
	// its newest successor. 0 to 60 s.
	Grace time.Duration

	// Clean is how many generations must follow the one that was forgiven
	// before another is. At least 1: with 0, a thief who refreshes as often as
	// the user is never found out.
	Clean int64
}

// A Presentation is one refresh token held out to its session, genuine by its
// MAC.
type Presentation struct {
	Generation int64
	Agent      Agent
	At         time.Time
}

// An Agent is a short hash of a client's User-Agent header: enough to tell
// clients apart, nothing to read back.
type Agent string

// AgentOf hashes a User-Agent header, however long.
func AgentOf(userAgent string) Agent {
	sum := sha256.Sum256([]byte(userAgent))
	return Agent(hex.EncodeToString(sum[:8]))
}

// A Verdict is what becomes of a presented refresh token.
type Verdict string

const (
	// VerdictRotate: the newest token. Its successor is issued.
	VerdictRotate Verdict = "rotate"
	// VerdictRepeat: superseded within the grace. Nothing changes, the newest
	// token is answered again.
	VerdictRepeat Verdict = "repeat"
	// VerdictLate: the parent of a token that may never have arrived. It is
	// forgiven, which is remembered, and the newest token is answered again.
	VerdictLate Verdict = "late"
	// VerdictReuse: two parties hold this session. It ends.
	VerdictReuse Verdict = "reuse"
	// VerdictEnded: there is no live session to refresh.
	VerdictEnded Verdict = "ended"
)

// Judge decides what becomes of a token that is presented to a live session
// (rule 1, whether it lives, is Session.Ended), and returns the rotation that
// the session has afterwards: unchanged unless the verdict is rotate or late.
//
// A clock that was set back can't make a time earlier than the last rotation:
// until it has caught up, every presentation counts as made at that moment.
func Judge(r Rotation, policy RotationPolicy, p Presentation) (Verdict, Rotation) {
	now := p.At
	if now.Before(r.RotatedAt) {
		now = r.RotatedAt
	}
	switch {
	case p.Generation > r.Generation:
		// Genuine, yet from the future: the store was restored from a backup.
		return VerdictEnded, r
	case p.Generation == r.Generation:
		return VerdictRotate, r.next(p.Agent, now)
	case r.supersededWithin(policy.Grace, p.Generation, now):
		return VerdictRepeat, r
	case p.Generation == r.Generation-1 && p.Agent == r.RotatedBy && r.forgives(policy.Clean):
		r.Forgiven = r.Generation
		return VerdictLate, r
	}
	return VerdictReuse, r
}

// A reuseCause says which condition of rule 4 kept a token from being forgiven.
type reuseCause string

const (
	reuseTooOld     reuseCause = "older_than_parent"  // the parent of the newest was used already
	reuseOtherAgent reuseCause = "other_user_agent"   // not the user agent that made the newest
	reuseNotClean   reuseCause = "forgiven_too_often" // too few generations since the last that was forgiven
)

// whyReuse returns the cause of a VerdictReuse.
func whyReuse(r Rotation, p Presentation) reuseCause {
	switch {
	case p.Generation < r.Generation-1:
		return reuseTooOld
	case p.Agent != r.RotatedBy:
		return reuseOtherAgent
	}
	return reuseNotClean
}

// next is the rotation after its newest token was used at now.
func (r Rotation) next(by Agent, now time.Time) Rotation {
	copy(r.Superseded[:], r.Superseded[1:])
	r.Superseded[SupersededKept-1] = now
	r.Generation++
	r.RotatedAt, r.RotatedBy = now, by
	return r
}

// supersededWithin reports whether generation g was superseded at most grace
// before now. If even the oldest time remembered is that young, a burst is
// going on, and a few generations more count as young. The parent that was
// forgiven is as young as its child: a client that comes back late may have
// several requests under way, and the first answer must not condemn the others.
func (r Rotation) supersededWithin(grace time.Duration, g int64, now time.Time) bool {
	if g == r.Forgiven-1 && r.Forgiven < r.Generation {
		g = r.Forgiven
	}
	back := r.Generation - g // 1 for the parent of the newest
	if back < 1 || back > burst {
		return false
	}
	at := r.Superseded[SupersededKept-min(back, SupersededKept)]
	return !at.IsZero() && now.Sub(at) <= grace
}

// supersededAt is when generation g was superseded; zero: that is not remembered.
func (r Rotation) supersededAt(g int64) time.Time {
	back := r.Generation - g
	if back < 1 || back > SupersededKept {
		return time.Time{}
	}
	return r.Superseded[SupersededKept-back]
}

// forgives reports whether a late parent of the newest generation may be
// answered: its response was lost once already, or enough generations have
// passed cleanly since the last one forgiven.
func (r Rotation) forgives(clean int64) bool {
	return r.Forgiven == NeverForgiven || r.Forgiven == r.Generation || r.Generation-r.Forgiven > clean
}
