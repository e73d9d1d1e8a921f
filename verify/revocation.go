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

	mu        sync.RWMutex
	sessions  map[string]time.Time   // by sid: when the revocation was received
	users     map[string]staleClaims // by sub
	currentAt time.Time              // all revocations until then are stored; zero: never
	overflow  bool                   // a revocation was dropped because the memory was full
}

// staleClaims describes a change of a user's roles. Tokens of the user that were issued before the change are
// rejected.
type staleClaims struct {
	before   int64 // Unix seconds
	received time.Time
}

func newRevocations(limit int) *revocations {
	return &revocations{limit: limit, sessions: map[string]time.Time{}, users: map[string]staleClaims{}}
}

// endSession records that a session has ended. If the feed repeats the event, the time of the first event is kept.
// This is enough, because no token of the session was issued after the first event.
func (r *revocations) endSession(sid string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, found := r.sessions[sid]; !found && r.hasRoom() {
		r.sessions[sid] = now
	}
}

// changeClaims records that a user's tokens are out of date if they were issued before the given Unix second.
func (r *revocations) changeClaims(sub string, before int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, found := r.users[sub]
	if before > known.before && (found || r.hasRoom()) {
		r.users[sub] = staleClaims{before, now}
	}
}

func (r *revocations) hasRoom() bool {
	if len(r.sessions)+len(r.users) < r.limit {
		return true
	}
	r.overflow = true
	return false
}

// deleteExpired deletes the revocations that are no longer needed, because all tokens that they reject have expired.
func (r *revocations) deleteExpired(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for sid, received := range r.sessions {
		if now.Sub(received) > retention {
			delete(r.sessions, sid)
		}
	}
	for sub, claims := range r.users {
		if now.Sub(claims.received) > retention {
			delete(r.users, sub)
		}
	}
}

// markCurrent records that all revocations up to now have been received. It has no effect after an overflow.
func (r *revocations) markCurrent(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.overflow && now.After(r.currentAt) {
		r.currentAt = now
	}
}

// takeOverflow reports whether a revocation was dropped and there is room again, so that the feed must be read from
// its beginning. It returns true only once per overflow.
func (r *revocations) takeOverflow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.overflow || len(r.sessions)+len(r.users) >= r.limit {
		return false
	}
	r.overflow = false
	return true
}

// age returns how long ago the verifier last knew all revocations.
func (r *revocations) age(now time.Time) time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.currentAt.IsZero() {
		return neverCurrent
	}
	return now.Sub(r.currentAt)
}

// check returns ErrRevoked for a token of an ended session. It returns ErrExpired for a token that was issued before
// its user's roles changed. Otherwise, it returns nil.
func (r *revocations) check(sid, sub string, issuedAt int64) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ended := r.sessions[sid]; ended {
		return ErrRevoked
	}
	if issuedAt < r.users[sub].before {
		return ErrExpired
	}
	return nil
}
