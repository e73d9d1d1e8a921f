package verify

import (
	"context"
	"time"
)

// What the feed fills is filled by hand in tests.

func (v *Verifier) Revocations() *revocations { return v.revoked }

func NewRevocations(limit int) *revocations { return newRevocations(limit) }

func (r *revocations) EndSession(sid string)                 { r.endSession(sid, time.Now()) }
func (r *revocations) EndSessionAt(sid string, at time.Time) { r.endSession(sid, at) }
func (r *revocations) OutdateTokens(sub string, before int64) {
	r.outdateTokens(sub, before, time.Now())
}
func (r *revocations) OutdateTokensAt(sub string, before int64, at time.Time) {
	r.outdateTokens(sub, before, at)
}
func (r *revocations) Forget(now time.Time)                       { r.forget(now) }
func (r *revocations) Hear(now time.Time)                         { r.hear(now) }
func (r *revocations) MustStartOver() bool                        { return r.mustStartOver() }
func (r *revocations) Silence(now time.Time) time.Duration        { return r.silence(now) }
func (r *revocations) Refuse(sid, sub string, issued int64) error { return r.refuse(sid, sub, issued) }

// ReadKeys does what the background does every few minutes.
func (v *Verifier) ReadKeys(ctx context.Context) error {
	_, err := v.keys.read(ctx)
	return err
}

// Remembers reports whether a token is in the cache.
func (v *Verifier) Remembers(token string) bool { return v.cache.get(token, v.keys.set.Load()) != nil }
