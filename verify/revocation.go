package verify

import (
	"sync"
	"time"
)

const (
	// retention is how long a revocation is kept after it was received. All tokens
	// that were issued before have expired by then. Wrong clocks don't matter,
	// because the interval is measured with the monotonic clock.
	retention = maxTokenLife + 5*time.Minute

	// maxRevocations bounds the memory. A revocation takes about a hundred bytes. Once the bound is
	// reached, revocations may be missing, and the verifier behaves as if the feed were silent.
	maxRevocations = 500_000

	neverCurrent = time.Duration(1<<63 - 1)
)

// revocations holds the contents of the feed: which sessions have ended, and which
// tokens are older than their user's roles. It does not use the network; feed.go
// fills it. Its times come from time.Now, not from Options.Now.
type revocations struct {
	limit int

	mu        sync.RWMutex
	sessions  map[string]time.Time   // sid → when its revocation was received
	users     map[string]staleClaims // by sub
	currentAt time.Time              // all revocations up to this time are stored; zero: never
	overflow  bool                   // a revocation was dropped because the memory was full
}

// staleClaims rejects a user's tokens that were issued before a time.
type staleClaims struct {
	before   int64 // Unix seconds
	received time.Time
}

func newRevocations(limit int) *revocations {
	return &revocations{limit: limit, sessions: map[string]time.Time{}, users: map[string]staleClaims{}}
}

// endSession records that a session has ended. The feed may repeat and reorder events.
// The first time counts, because no token of the session was issued after it.
func (r *revocations) endSession(sid string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, found := r.sessions[sid]; !found && r.hasRoom() {
		r.sessions[sid] = now
	}
}

// changeClaims records that tokens of a user issued before a Unix second are out of date.
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

// deleteExpired deletes the revocations whose tokens have all expired at now.
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

// markCurrent records that all revocations up to now have been received.
func (r *revocations) markCurrent(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.overflow && now.After(r.currentAt) {
		r.currentAt = now
	}
}

// takeOverflow reports whether a revocation was dropped, so that the feed must be read
// from its beginning. It returns true once per overflow, and only when there is room
// again.
func (r *revocations) takeOverflow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.overflow || len(r.sessions)+len(r.users) >= r.limit {
		return false
	}
	r.overflow = false
	return true
}

// age returns how long ago the revocations were last complete.
func (r *revocations) age(now time.Time) time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.currentAt.IsZero() {
		return neverCurrent
	}
	return now.Sub(r.currentAt)
}

// check returns ErrRevoked for a token of an ended session, ErrExpired for a token that
// was issued before its user's roles changed, and otherwise nil.
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
