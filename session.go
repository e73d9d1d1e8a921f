package watchword

import "time"

// A SessionID is a random UUID (version 7) in its canonical text form. It is the
// `sid` of the access tokens of the session.
type SessionID string

// A Session is one sign-in on one device: one row for its whole life. No
// refresh token, nor a hash of one, is part of it: a token is recomputed from
// ID, Generation and the key RefreshKey.
type Session struct {
	ID     SessionID
	UserID UserID
	Rotation

	// RefreshKey is the number of the key that signs the newest refresh token,
	// so that a generation has the same bytes across a change of keys.
	RefreshKey uint8

	// Persistent: the user asked to be remembered. Otherwise the session has
	// the shorter idle life, and its cookie ends with the browser.
	Persistent bool

	Device  string // a name for people, from the user agent at sign-in
	Address string // network address of the last sign-in or rotation

	AuthenticatedAt time.Time // `auth_time`
	Methods         []string  // `amr`, RFC 8176

	CreatedAt time.Time
	ExpiresAt time.Time // absolute; fixed at sign-in

	EndedAt  time.Time // zero: not ended by anybody
	EndedWhy EndReason
}

// An EndReason says why a session ended.
type EndReason string

const (
	EndedLogout     EndReason = "logout"           // by its own device
	EndedByUser     EndReason = "ended_by_user"    // from another device of the user
	EndedLogoutAll  EndReason = "logout_all"       // signed out everywhere
	EndedReuse      EndReason = "refresh_reused"   // an old refresh token turned up
	EndedPassword   EndReason = "password_changed" // changed or reset
	EndedEmail      EndReason = "email_changed"    // an address change was undone
	EndedFirstProof EndReason = "first_proof"      // the owner of the mailbox took the account
	EndedOperator   EndReason = "ended_by_operator"
	EndedDisabled   EndReason = "account_disabled"
	EndedDeleted    EndReason = "account_deleted"
	EndedTooMany    EndReason = "too_many_sessions"
	EndedReplaced   EndReason = "replaced" // a sign-in overwrote its refresh cookie
	EndedIdle       EndReason = "idle"     // computed, never stored
	EndedExpired    EndReason = "expired"  // computed, never stored
)

// A SessionPolicy bounds the life of sessions. It is applied at each use, so
// that a shorter setting also holds for the sessions that are there already.
type SessionPolicy struct {
	Idle      time.Duration // longest time between two rotations
	ShortIdle time.Duration // the same for sessions that are not Persistent
	Max       time.Duration // longest life
}

// Cutoffs are the moments that a session's times are held against: the same for
// the pure rule (Session.EndedBy) and for the statement of a store.
type Cutoffs struct {
	Now          time.Time
	Rotated      time.Time // a persistent session rotated at or before this is idle
	RotatedShort time.Time // the same for the others
	Created      time.Time // a session created at or before this is past its life
}

// Cutoffs are those of the policy at now.
func (p SessionPolicy) Cutoffs(now time.Time) Cutoffs {
	return Cutoffs{
		Now:          now,
		Rotated:      now.Add(-p.Idle),
		RotatedShort: now.Add(-p.ShortIdle),
		Created:      now.Add(-p.Max),
	}
}

// EndedBy says why the session is no longer alive at c.Now, and "" while it is
// (rule 1 of docs/rotation.md). Whether its user may still use it is User.Disabled.
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

// idleUntil is when the session dies if it is not refreshed again.
func (s Session) idleUntil(p SessionPolicy) time.Time {
	idle := p.ShortIdle
	if s.Persistent {
		idle = p.Idle
	}
	until := s.RotatedAt.Add(idle)
	for _, end := range []time.Time{s.ExpiresAt, s.CreatedAt.Add(p.Max)} {
		if end.Before(until) {
			until = end
		}
	}
	return until
}
