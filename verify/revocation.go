package verify

import (
	"sync"
	"time"
)

const (
	// What the feed told is remembered for so long after it was told: no token
	// from before can be alive then. Clocks that differ, or are set, don't matter,
	// for this is measured time.
	remembered = maxTokenLife + 5*time.Minute

	// The memory is bounded: about a hundred bytes each. When it is full we can't
	// know everything any more, and say so: the feed counts as silent.
	maxRevocations = 500_000

	forever = time.Duration(1<<63 - 1)
)

// revocations are what the feed has told: which sessions have ended, and which
// users' tokens are out of date. They know no network; feed.go fills them. Their
// now is time.Now, not Options.Now.
type revocations struct {
	limit int

	mu       sync.RWMutex
	sessions map[string]time.Time // sid → when it was told
	users    map[string]outdated  // by sub
	heard    time.Time            // zero: never
	overflow bool                 // something was not noted for want of room
}

// outdated says that tokens of a user issued before a second are refused.
type outdated struct {
	before int64
	told   time.Time
}

func newRevocations(limit int) *revocations {
	return &revocations{limit: limit, sessions: map[string]time.Time{}, users: map[string]outdated{}}
}

// endSession notes that a session has ended. It may be told again, and out of
// order: what counts is when it was told first, for no token of the session was
// made after that.
func (r *revocations) endSession(sid string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.sessions[sid]; !known && r.hasRoom() {
		r.sessions[sid] = now
	}
}

// outdateTokens notes that tokens of a user issued before a second are to be
// refused.
func (r *revocations) outdateTokens(sub string, before int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.users[sub]
	if before > known.before && (ok || r.hasRoom()) {
		r.users[sub] = outdated{before, now}
	}
}

func (r *revocations) hasRoom() bool {
	if len(r.sessions)+len(r.users) < r.limit {
		return true
	}
	r.overflow = true
	return false
}

// forget gives up what no token can be alive for at now.
func (r *revocations) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for sid, told := range r.sessions {
		if now.Sub(told) > remembered {
			delete(r.sessions, sid)
		}
	}
	for sub, o := range r.users {
		if now.Sub(o.told) > remembered {
			delete(r.users, sub)
		}
	}
}

// hear notes that everything up to now has been told.
func (r *revocations) hear(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.overflow && now.After(r.heard) {
		r.heard = now
	}
}

// mustStartOver reports whether something was not noted, so that the feed has to
// be read from its beginning. The answer is given once, and only when there is
// room again.
func (r *revocations) mustStartOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.overflow || len(r.sessions)+len(r.users) >= r.limit {
		return false
	}
	r.overflow = false
	return true
}

// silence is for how long we may have missed something.
func (r *revocations) silence(now time.Time) time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.heard.IsZero() {
		return forever
	}
	return now.Sub(r.heard)
}

// refuse returns ErrRevoked for a token of a session that has ended, ErrExpired
// for one that was issued before the user's roles changed, and otherwise nil.
func (r *revocations) refuse(sid, sub string, issuedAt int64) error {
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
