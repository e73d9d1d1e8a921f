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

// Idempotency keys. A client that got no response repeats its request under the same key, and the server makes the
// change once.
//
// A request first claims its key, in a separate transaction. If two requests claim the same key at once, a
// conditional INSERT lets only one of them succeed. The second request waits for the result of the first, and returns
// the same status and id. A refused request releases its claim, so the next request under this key runs.
//
// The transaction of a change also stores its result (finishInTx). Even if the response to the commit is lost, the
// change and the result are stored together or not at all. If another request has taken over the claim, the
// transaction is rolled back, and the other request runs.
//
// Some writes have no such transaction: ending sessions, resetting factors, retrying mails and rotating keys. Their
// result is stored after the change. If the process ends between the change and its result, a repeated request makes
// the change again.
//
// A claim lasts a minute. It is not released if the process ends before the result is stored, or if the outcome of
// the commit is unknown. Repeated requests are then refused with CodeTryLater until the minute is over.

const (
	claimLife  = time.Minute
	recordLife = 24 * time.Hour

	claimPoll = 50 * time.Millisecond
	claimWait = 10 * time.Second // how long a request waits for a concurrent request under its key
)

// HTTP status codes, because this package does not import net/http.
const (
	statusOK       = 200
	statusCreated  = 201
	statusAccepted = 202
)

// A Record is a row of the store: a request under an idempotency key, and its result.
//
// Unstable: stores use it.
type Record struct {
	Owner, Key string
	Hash       string
	Status     int    // 0: the request still runs
	Result     string // id of the created object, or another short result
	ExpiresAt  time.Time
}

// A claim is the stored record of an idempotency key. It belongs to the running request, or to an earlier request
// that has a result.
type claim struct {
	Record
	repeated   bool
	isFinished bool // the transaction of the change has stored the result
}

// Repeated reports whether an earlier request under the same idempotency key has succeeded, and returns its
// result.
func (c Caller) Repeated() (result string, ok bool) {
	if c.claim == nil || !c.claim.repeated {
		return "", false
	}
	return c.claim.Result, true
}

// setClaimResult stores the id of the new object for repeated requests.
func (c Caller) setClaimResult(result string) {
	if c.claim != nil {
		c.claim.Result = result
	}
}

// RequestHash returns the hash of a request. The parts are all values that change its meaning.
func RequestHash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// Begin claims an idempotency key for a request. Caller.Repeated reports whether the request is a
// repetition. If it is not, call Finish after the change, or GiveUp after an error. Codes:
// CodeParameterInvalid (not a UUID), CodeValidationFailed (the key of another request), CodeTryLater
// (the first request still runs).
func (m *Manager) Begin(ctx context.Context, by Caller, key, hash string) (Caller, error) {
	id, err := uuid.Parse(key)
	if err != nil || len(key) != 36 {
		return by, refuse(watchword.CodeParameterInvalid, "The header Idempotency-Key is not a UUID.")
	}
	began, owner := m.engine.Now(), string(by.User.ID)
	if by.Key.ID != "" {
		owner = by.Key.ID
	}
	own := Record{Owner: owner, Key: id.String(), Hash: hash}
	for {
		stored, claimed, err := m.tryClaim(ctx, own)
		switch {
		case err != nil:
			return by, err
		case claimed:
			by.claim = &claim{Record: stored}
			return by, nil
		case stored.Hash != hash:
			return by, refuse(watchword.CodeValidationFailed,
				"This Idempotency-Key belongs to another request. Use a new key for each change.")
		case stored.Status != 0:
			by.claim = &claim{Record: stored, repeated: true}
			return by, nil
		case m.engine.Now().Sub(began) >= claimWait:
			refusal := refuse(watchword.CodeTryLater, "The first request with this Idempotency-Key is still running.")
			refusal.RetryAfter = time.Second
			return by, refusal
		}
		if err := sleep.For(ctx, claimPoll); err != nil {
			return by, err
		}
	}
}

// tryClaim claims a key by storing newRecord. If another request already has the key, it returns the record of that
// request.
func (m *Manager) tryClaim(ctx context.Context, newRecord Record) (stored Record, claimed bool, err error) {
	now := m.engine.Now()
	newRecord.ExpiresAt = now.Add(claimLife)
	err = m.store.Update(ctx, func(tx Tx) error {
		stored = newRecord
		claimed, err = tx.ClaimRecord(ctx, newRecord, now)
		if err == nil && !claimed {
			stored, err = tx.Record(ctx, newRecord.Owner, newRecord.Key)
		}
		return err
	})
	if errors.Is(err, watchword.ErrNotFound) {
		return newRecord, false, nil // the claim was released meanwhile: try again
	}
	return stored, claimed, err
}

// Finish records the result of a request for 24 hours, unless the transaction of the change has recorded it.
func (m *Manager) Finish(ctx context.Context, by Caller, status int) error {
	if by.claim == nil || by.claim.repeated || by.claim.isFinished {
		return nil
	}
	// The change has been committed. The record must be stored even if the client disconnects.
	ctx = context.WithoutCancel(ctx)
	return m.store.Update(ctx, func(tx Tx) error {
		_, err := m.storeResult(ctx, tx, by, status)
		return err
	})
}

// storeResult reports false if another request has taken over the claim.
func (m *Manager) storeResult(ctx context.Context, tx Tx, by Caller, status int) (bool, error) {
	done := by.claim.Record
	done.Status, done.ExpiresAt = status, m.engine.Now().Add(recordLife)
	return tx.FinishRecord(ctx, done, by.claim.ExpiresAt)
}

// finishInTx stores the result at the end of the transaction of the change, so an error rolls back the change. The
// parameter status is the HTTP status of the response. Codes: CodeTryLater (the claim was taken over).
func (m *Manager) finishInTx(ctx context.Context, tx watchword.Tx, by Caller, status int, result string) error {
	if by.claim == nil || by.claim.repeated {
		return nil
	}
	by.setClaimResult(result)
	by.claim.isFinished = true
	held, err := m.storeResult(ctx, tx.(Tx), by, status)
	if err == nil && !held {
		err = &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: time.Second,
			Detail: "This request took too long, and a repetition of it runs now. Repeat it to get the result."}
	}
	return err
}

// finishingOperator returns operations that store the result of the request in the transaction of the change. They
// call checkFirst before that, unless it is nil.
func (m *Manager) finishingOperator(
	by Caller, status int, checkFirst func(context.Context, watchword.Tx) error,
) watchword.Operator {
	return m.engine.Operator(by.Name(), func(ctx context.Context, tx watchword.Tx) error {
		if checkFirst != nil {
			if err := checkFirst(ctx, tx); err != nil {
				return err
			}
		}
		return m.finishInTx(ctx, tx, by, status, "")
	})
}

// GiveUp releases the claim of a request that failed, but only if the cause is a refusal. After any other error, such
// as a lost response of the database, the change may have been made. The claim then stays until it expires, and blocks
// repeated requests.
func (m *Manager) GiveUp(ctx context.Context, by Caller, cause error) error {
	var refusal *watchword.Error
	if by.claim == nil || by.claim.repeated || !errors.As(cause, &refusal) {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	return m.store.Update(ctx, func(tx Tx) error { return tx.DropRecord(ctx, by.claim.Record) })
}
