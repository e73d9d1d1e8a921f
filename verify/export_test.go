package verify

import (
	"context"
	"time"
)

// With these functions, tests add revocations directly instead of over a feed.

func (v *Verifier) Revocations() *revocations { return v.revoked }

func NewRevocations(limit int) *revocations { return newRevocations(limit) }

func (r *revocations) EndSession(sid string)                 { r.endSession(sid, time.Now()) }
func (r *revocations) EndSessionAt(sid string, at time.Time) { r.endSession(sid, at) }
func (r *revocations) ChangeClaims(sub string, before int64) {
	r.recordRoleChange(sub, before, time.Now())
}
func (r *revocations) ChangeClaimsAt(sub string, before int64, at time.Time) {
	r.recordRoleChange(sub, before, at)
}
func (r *revocations) DeleteExpired(now time.Time)     { r.deleteExpired(now) }
func (r *revocations) MarkCurrent(now time.Time)       { r.markComplete(now) }
func (r *revocations) TakeOverflow() bool              { return r.takeOverflow() }
func (r *revocations) Age(now time.Time) time.Duration { return r.timeSinceComplete(now) }
func (r *revocations) Check(sid, sub string, issued int64) error {
	return r.checkToken(sid, sub, issued)
}

// ReadKeys reads the JWKS immediately, as the background task does every few minutes.
func (v *Verifier) ReadKeys(ctx context.Context) error {
	_, err := v.keys.fetchKeys(ctx)
	return err
}

func (v *Verifier) Caches(token string) bool {
	_, ok := v.cache.Get(token, v.keys.set.Load())
	return ok
}

func DefaultsOf(o Options) Options { return o.withDefaults("https://id.example.com", "id.example.com") }
