package watchword

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// This file decides about refresh tokens, as docs/rotation.md specifies. It has no clock, no store and no I/O. It can
// therefore be fuzzed, simulated (lab/rotation) and compared with every store (store/storetest).
//
// It gives two guarantees. First, the network never signs out an honest client: a repeat within the grace period
// succeeds, and one lost response is forgiven no matter how late the client returns. Second, a copied token is
// detected: if two parties both keep refreshing, every late refresh needs forgiveness, and the second in a row is
// refused.

// SupersededKept is the number of generations whose supersession times a session stores.
//
// Unstable: stores use it.
const SupersededKept = 8

// maxRepeatAge is the maximum number of generations between a repeated token and the newest one. A client reaches it
// only if it refreshes very often within the grace period.
const maxRepeatAge = 32

// NeverForgiven is the value of Rotation.Forgiven before the first late token was accepted.
//
// Unstable: only stores use it.
const NeverForgiven int64 = -1

// A Rotation is the part of a session that changes when it is refreshed.
//
// Unstable: for stores.
type Rotation struct {
	// Generation is the number of the newest refresh token issued, 0 at sign-in.
	Generation int64

	// Superseded holds the times at which the last generations were superseded, newest last:
	// Superseded[SupersededKept-1] belongs to Generation-1. The zero time means that the generation does not exist.
	Superseded [SupersededKept]time.Time

	// Forgiven is the last generation whose parent was accepted late, or NeverForgiven.
	Forgiven int64

	// RotatedAt is when Generation was issued.
	RotatedAt time.Time

	// RotatedBy is the Agent whose request created Generation.
	RotatedBy Agent
}

// A RotationPolicy limits which superseded tokens are accepted.
type RotationPolicy struct {
	// Grace is how long a superseded token is still accepted. The response then contains the newest token. 0 to 60 s.
	Grace time.Duration

	// Clean is the minimum number of generations between two forgiven ones. It is at least 1: with 0, a thief who
	// refreshes as often as the user would never be detected.
	Clean int64
}

// A Presentation is one use of a refresh token whose MAC is valid.
//
// Unstable: only stores use it.
type Presentation struct {
	Generation int64
	Agent      Agent
	At         time.Time
}

// An Agent is a short hash of a User-Agent header, which distinguishes clients and can't be reversed.
//
// Unstable: for stores.
type Agent string

// AgentOf hashes a User-Agent header of any length.
//
// Unstable: only stores use it.
func AgentOf(userAgent string) Agent {
	sum := sha256.Sum256([]byte(userAgent))
	return Agent(hex.EncodeToString(sum[:8]))
}

// A Verdict is the decision about a presented refresh token.
//
// Unstable: the result of Judge.
type Verdict string

const (
	// VerdictRotate means that the token is the newest. Its successor is issued.
	VerdictRotate Verdict = "rotate"
	// VerdictRepeat means that the token was superseded within the grace period.
	// The session does not change, and the response contains the newest token.
	VerdictRepeat Verdict = "repeat"
	// VerdictLate means that the token is the parent of the newest token, which may never have reached the client.
	// The session stores that the parent was forgiven. The response contains the newest token.
	VerdictLate Verdict = "late"
	// VerdictReuse means that two parties hold tokens of this session. The session ends.
	VerdictReuse Verdict = "reuse"
	// VerdictEnded means that there is no active session to refresh.
	VerdictEnded Verdict = "ended"
)

// Judge returns the verdict on a token that is presented to an active session. The caller checks
// that the session is active (rule 1, Session.EndedBy). Judge returns the rotation state
// afterwards: unchanged unless the verdict is rotate or late.
//
// Times before the last rotation count as the time of that rotation, so that a
// clock that was set back can't move a session backwards.
//
// Unstable: only stores use it.
func Judge(r Rotation, policy RotationPolicy, p Presentation) (Verdict, Rotation) {
	now := p.At
	if now.Before(r.RotatedAt) {
		now = r.RotatedAt
	}
	switch {
	case p.Generation > r.Generation:
		// A genuine token is newer than its session: the store was restored from a backup.
		return VerdictEnded, r
	case p.Generation == r.Generation:
		return VerdictRotate, r.nextRotation(p.Agent, now)
	case r.supersededWithin(policy.Grace, p.Generation, now):
		return VerdictRepeat, r
	case p.Generation == r.Generation-1 && p.Agent == r.RotatedBy && r.mayForgive(policy.Clean):
		r.Forgiven = r.Generation
		return VerdictLate, r
	}
	return VerdictReuse, r
}

// A reuseCause is the reason why a late token was not forgiven (rule 4).
type reuseCause string

const (
	reuseTooOld     reuseCause = "older_than_parent"  // older than the parent of the newest token
	reuseOtherAgent reuseCause = "other_user_agent"   // not the user agent that received the newest token
	reuseNotClean   reuseCause = "forgiven_too_often" // too few generations since the last forgiven one
)

func whyReuse(r Rotation, p Presentation) reuseCause {
	switch {
	case p.Generation < r.Generation-1:
		return reuseTooOld
	case p.Agent != r.RotatedBy:
		return reuseOtherAgent
	}
	return reuseNotClean
}

func (r Rotation) nextRotation(by Agent, now time.Time) Rotation {
	copy(r.Superseded[:], r.Superseded[1:])
	r.Superseded[SupersededKept-1] = now
	r.Generation++
	r.RotatedAt, r.RotatedBy = now, by
	return r
}

// supersededWithin reports whether generation g was superseded within the grace period. If the time of g is not
// stored, it uses the oldest stored time, for at most maxRepeatAge generations. A forgiven parent counts like its
// child, because the client may have more requests in flight with the parent's token.
func (r Rotation) supersededWithin(grace time.Duration, g int64, now time.Time) bool {
	if g == r.Forgiven-1 && r.Forgiven < r.Generation {
		g = r.Forgiven
	}
	back := r.Generation - g // 1 for the parent of the newest
	if back < 1 || back > maxRepeatAge {
		return false
	}
	at := r.Superseded[SupersededKept-min(back, SupersededKept)]
	return !at.IsZero() && now.Sub(at) <= grace
}

// supersededAt returns zero if the time is not stored.
func (r Rotation) supersededAt(g int64) time.Time {
	back := r.Generation - g
	if back < 1 || back > SupersededKept {
		return time.Time{}
	}
	return r.Superseded[SupersededKept-back]
}

// mayForgive reports whether the token before the newest one may be accepted, although the grace period is over. The
// first such token of a session is always accepted. After that, the number of generations since the last forgiven one
// must be 0, or greater than minCleanGenerations.
func (r Rotation) mayForgive(minCleanGenerations int64) bool {
	return r.Forgiven == NeverForgiven || r.Forgiven == r.Generation || r.Generation-r.Forgiven > minCleanGenerations
}
