package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/sleep"
)

// Idempotency keys. A client that got no response repeats its request under the same key, and the server
// makes the change once.
//
// A request first claims its key, in a transaction of its own. One conditional statement settles the race
// of two requests. The second one waits for the result of the first, and responds with the same status
// and id. A refused request gives its claim back: the next request under this key is tried again.
//
// A claim lasts a minute. It stays if the process ends before the record, or if the store does not say
// whether it has committed. A repeated request then runs again after that minute. It gets what it would
// get without a key, such as EMAIL_TAKEN.

const (
	claimLife  = time.Minute
	recordLife = 24 * time.Hour

	claimPoll = 50 * time.Millisecond
	claimWait = 10 * time.Second // for the result of a request that runs at the same time
)

// A Record is a row of the store: a request under an idempotency key, and its result.
//
// Unstable: stores use it.
type Record struct {
	Owner, Key string
	Hash       string // of the request
	Status     int    // 0: the request still runs
	Result     string // id of what the request created, or another short result
	ExpiresAt  time.Time
}

// A claim is the record of a request that runs, or the result of an earlier one.
type claim struct {
	Record
	repeated bool
}

// Repeated reports whether an earlier request under the same idempotency key has succeeded, and returns its
// result.
func (c Caller) Repeated() (result string, ok bool) {
	if c.claim == nil || !c.claim.repeated {
		return "", false
	}
	return c.claim.Result, true
}

// created notes what the request created, for a later repetition.
func (c Caller) created(result string) {
	if c.claim != nil {
		c.claim.Result = result
	}
}

// RequestHash returns the hash of a request. The parts are those that change its meaning.
func RequestHash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// Begin claims an idempotency key for a request. The returned caller knows whether the request is a
// repetition (Repeated). Otherwise, call Finish after the change, or GiveUp after a refusal. Codes:
// CodeParameterInvalid (not a UUID), CodeValidationFailed (another request), CodeTryLater (the first
// request still runs).
func (m *Manager) Begin(ctx context.Context, by Caller, key, hash string) (Caller, error) {
	id, err := uuid.Parse(key)
	if err != nil || len(key) != 36 {
		return by, refuse(watchword.CodeParameterInvalid, "The header Idempotency-Key is not a UUID.")
	}
	owner := string(by.User.ID)
	if by.Key.ID != "" {
		owner = by.Key.ID
	}
	own := Record{Owner: owner, Key: id.String(), Hash: hash}
	for waited := time.Duration(0); ; waited += claimPoll {
		stored, claimed, err := m.claim(ctx, own)
		switch {
		case err != nil:
			return by, err
		case claimed:
			by.claim = &claim{Record: own}
			return by, nil
		case stored.Hash != hash:
			return by, refuse(watchword.CodeValidationFailed,
				"This Idempotency-Key belongs to another request. Use a new key for each change.")
		case stored.Status != 0:
			by.claim = &claim{Record: stored, repeated: true}
			return by, nil
		case waited >= claimWait:
			refusal := refuse(watchword.CodeTryLater, "The first request with this Idempotency-Key is still running.")
			refusal.RetryAfter = time.Second
			return by, refusal
		}
		if err := sleep.For(ctx, claimPoll); err != nil {
			return by, err
		}
	}
}

// claim takes the key, or returns the record of the request that has it.
func (m *Manager) claim(ctx context.Context, own Record) (stored Record, claimed bool, err error) {
	now := m.engine.Now()
	own.ExpiresAt = now.Add(claimLife)
	err = m.store.Update(ctx, func(tx Tx) error {
		claimed, err = tx.ClaimRecord(ctx, own, now)
		if err == nil && !claimed {
			stored, err = tx.Record(ctx, own.Owner, own.Key)
		}
		return err
	})
	if errors.Is(err, watchword.ErrNotFound) {
		return own, false, nil // given back meanwhile: ask again
	}
	return stored, claimed, err
}

// Finish records the result of a request, for repetitions of the next 24 hours.
func (m *Manager) Finish(ctx context.Context, by Caller, status int) error {
	if by.claim == nil || by.claim.repeated {
		return nil
	}
	done := by.claim.Record
	done.Status, done.ExpiresAt = status, m.engine.Now().Add(recordLife)
	// The change has been committed. A client that hangs up now must not lose the record.
	ctx = context.WithoutCancel(ctx)
	return m.store.Update(ctx, func(tx Tx) error { return tx.FinishRecord(ctx, done) })
}

// GiveUp gives the claim of a request back that failed with why, if why is a refusal. After any other
// error, such as a lost response of the database, the change may have been made. The claim then keeps a
// repetition out until it ends.
func (m *Manager) GiveUp(ctx context.Context, by Caller, why error) error {
	var refusal *watchword.Error
	if by.claim == nil || by.claim.repeated || !errors.As(why, &refusal) {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	return m.store.Update(ctx, func(tx Tx) error { return tx.DropRecord(ctx, by.claim.Record) })
}
