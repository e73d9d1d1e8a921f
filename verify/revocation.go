package verify

import (
	"sync"
	"time"
)

const (
	// retention is how long a revocation is kept after it was received. After this time, all tokens that were issued
	// before the revocation have expired. The interval is measured with the monotonic clock, so a wrong system clock
	// has no effect.
	retention = maxTokenLife + 5*time.Minute

	// maxRevocations is the maximum number of revocations in memory, at about a hundred bytes each. If more arrive,
	// the verifier behaves as if the feed were unavailable, because revocations may be missing.
	maxRevocations = 500_000

	neverCurrent = time.Duration(1<<63 - 1)
)

// revocations contains the content of the feed: which sessions have ended, and which users' roles changed. It does
// not use the network: feed.go adds the events. Its times come from time.Now, not from Options.Now.
type revocations struct {
	limit int

	mu            sync.RWMutex
	endedSessions map[string]time.Time  // by sid: when the revocation was received
	roleChanges   map[string]roleChange // by sub
	completeUntil time.Time             // all revocations until then are stored; zero: never
	hasOverflowed bool                  // a revocation was dropped
}

// Tokens of the user that were issued before a roleChange are rejected.
type roleChange struct {
	issuedBefore int64 // Unix seconds
	received     time.Time
}

func newRevocations(limit int) *revocations {
	return &revocations{limit: limit, endedSessions: map[string]time.Time{}, roleChanges: map[string]roleChange{}}
}

// endSession records that a session has ended. If the feed repeats the event, the time of the first event is kept.
// This is enough, because no token of the session was issued after the first event.
func (r *revocations) endSession(sid string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, found := r.endedSessions[sid]; !found && r.hasRoom() {
		r.endedSessions[sid] = now
	}
}

// recordRoleChange makes checkToken reject the user's tokens that were issued before the given Unix second.
func (r *revocations) recordRoleChange(sub string, issuedBefore int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, found := r.roleChanges[sub]
	if issuedBefore > known.issuedBefore && (found || r.hasRoom()) {
		r.roleChanges[sub] = roleChange{issuedBefore, now}
	}
}

func (r *revocations) hasRoom() bool {
	if len(r.endedSessions)+len(r.roleChanges) < r.limit {
		return true
	}
	r.hasOverflowed = true
	return false
}

// deleteExpired deletes the revocations that are no longer needed, because all tokens that they reject have expired.
func (r *revocations) deleteExpired(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for sid, received := range r.endedSessions {
		if now.Sub(received) > retention {
			delete(r.endedSessions, sid)
		}
	}
	for sub, claims := range r.roleChanges {
		if now.Sub(claims.received) > retention {
			delete(r.roleChanges, sub)
		}
	}
}

// markComplete records that all revocations up to now have been received. It has no effect after an overflow.
func (r *revocations) markComplete(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.hasOverflowed && now.After(r.completeUntil) {
		r.completeUntil = now
	}
}

// takeOverflow reports whether a revocation was dropped and there is room again, so that the feed must be read from
// its beginning. It returns true only once per overflow.
func (r *revocations) takeOverflow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.hasOverflowed || len(r.endedSessions)+len(r.roleChanges) >= r.limit {
		return false
	}
	r.hasOverflowed = false
	return true
}

func (r *revocations) timeSinceComplete(now time.Time) time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.completeUntil.IsZero() {
		return neverCurrent
	}
	return now.Sub(r.completeUntil)
}

// checkToken returns ErrRevoked for a token of an ended session. It returns ErrExpired for a token that was issued
// before its user's roles changed.
func (r *revocations) checkToken(sid, sub string, issuedAt int64) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ended := r.endedSessions[sid]; ended {
		return ErrRevoked
	}
	if issuedAt < r.roleChanges[sub].issuedBefore {
		return ErrExpired
	}
	return nil
}
