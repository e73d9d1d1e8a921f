package watchword

import (
	"slices"
	"time"
)

// A SessionID is a random UUID (version 7) in canonical text form, the `sid` claim of the session's access tokens.
type SessionID string

// A Session is one sign-in on one device, stored as one row for its whole life. The row contains no refresh token and
// no hash of one: the engine computes the token from ID, Generation and the key RefreshKey.
type Session struct {
	ID     SessionID
	UserID UserID

	// Persistent is true if the user chose "stay signed in". Otherwise the session
	// has the shorter idle timeout, and its cookie ends with the browser.
	Persistent bool

	Device  string // display name, from the user agent at sign-in
	Address string // network address of the last sign-in or rotation

	AuthenticatedAt time.Time // `auth_time`
	Methods         []string  // `amr`, RFC 8176

	CreatedAt time.Time
	ExpiresAt time.Time // absolute limit, set at sign-in

	EndedAt  time.Time // when a flow ended the session; zero: active, idle or expired
	EndedWhy EndReason

	// Rotation decides which refresh tokens are valid. See also LastUsed.
	//
	// Unstable: for stores.
	Rotation

	// RefreshKey is the number of the key that signs the newest refresh token. It is stored so that a rotation of
	// keys does not change the token of a generation.
	//
	// Unstable: for stores.
	RefreshKey uint8
}

// LastUsed returns the time of the last refresh, or of the sign-in before the first refresh.
func (s Session) LastUsed() time.Time { return s.RotatedAt }

// An EndReason says why a session ended. The values are stable.
type EndReason string

const (
	EndedLogout    EndReason = "logout"           // signed out on the device of the session
	EndedByUser    EndReason = "ended_by_user"    // ended on another device of the user
	EndedLogoutAll EndReason = "logout_all"       // the user signed out everywhere
	EndedReuse     EndReason = "refresh_reused"   // an old refresh token was presented
	EndedPassword  EndReason = "password_changed" // the password was changed or reset
	EndedOperator  EndReason = "ended_by_operator"
	EndedDisabled  EndReason = "account_disabled"
	EndedDeleted   EndReason = "account_deleted"
	EndedReplaced  EndReason = "replaced" // another sign-in replaced the session's cookie
	EndedIdle      EndReason = "idle"     // computed, never stored
	EndedExpired   EndReason = "expired"  // computed, never stored
)

// These reasons mean that the account changed, or that the user had too many sessions.
//
// Unstable: package admin explains them.
const (
	EndedEmail      EndReason = "email_changed" // an address change was undone
	EndedFirstProof EndReason = "first_proof"   // the mailbox owner took over the account
	EndedTooMany    EndReason = "too_many_sessions"
	EndedFactor     EndReason = "factor_added"
	EndedFactorGone EndReason = "factor_removed"
	EndedFactors    EndReason = "factors_reset" // an operator removed the factors
)

// A SessionPolicy limits the life of sessions, including existing ones, because it is checked at each use.
type SessionPolicy struct {
	Idle      time.Duration // longest time between two rotations
	ShortIdle time.Duration // like Idle, for sessions that are not Persistent
	Max       time.Duration // longest life
}

// Cutoffs are the times that separate active sessions from idle and expired ones. Session.EndedBy and the stores
// compare with the same times, so they give the same result.
//
// Unstable: only stores use it.
type Cutoffs struct {
	Now          time.Time
	Rotated      time.Time // a persistent session rotated at or before this is idle
	RotatedShort time.Time // like Rotated, for a session that is not persistent
	Created      time.Time // a session created at or before this has expired
}

// Cutoffs returns the cutoffs of the policy at now.
//
// Unstable: only stores use it.
func (p SessionPolicy) Cutoffs(now time.Time) Cutoffs {
	return Cutoffs{Now: now, Rotated: now.Add(-p.Idle), RotatedShort: now.Add(-p.ShortIdle), Created: now.Add(-p.Max)}
}

// EndedBy returns why the session is no longer active at c.Now, or "" if it is
// active (rule 1 of docs/rotation.md). It does not check User.Disabled.
//
// Unstable: only stores use it.
func (s Session) EndedBy(c Cutoffs) EndReason {
	rotatedAfter := c.RotatedShort
	if s.Persistent {
		rotatedAfter = c.Rotated
	}
	switch {
	case !s.EndedAt.IsZero():
		return s.EndedWhy
	case !s.ExpiresAt.After(c.Now), !s.CreatedAt.After(c.Created):
		return EndedExpired
	case !s.RotatedAt.After(rotatedAfter):
		return EndedIdle
	}
	return ""
}

func (s Session) expiryWithoutRefresh(p SessionPolicy) time.Time {
	idle := p.ShortIdle
	if s.Persistent {
		idle = p.Idle
	}
	return slices.MinFunc([]time.Time{s.RotatedAt.Add(idle), s.ExpiresAt, s.CreatedAt.Add(p.Max)}, time.Time.Compare)
}
