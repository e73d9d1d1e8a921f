package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword/admin"
)

// SQL statements for requests with an idempotency key. The owner of a key is an account or a service key. Two owners
// may use the same idempotency key.

func recordRow(r *admin.Record) []column {
	return []column{
		{"owner", &r.Owner},
		{"key", &r.Key},
		{"request_hash", &r.Hash},
		{"status", &r.Status},
		{"result_id", &r.Result},
		{"expires_at", timeColumn{&r.ExpiresAt}},
	}
}

var (
	// claimRecord inserts a row for only one of two concurrent requests with the same key. A request also takes over
	// an expired row that the sweep has not deleted yet.
	claimRecord = insertInto("idempotency", recordRow(new(admin.Record)), `VALUES (%s)
		ON CONFLICT (owner, key) DO UPDATE SET request_hash = excluded.request_hash, status = 0, result_id = '',
			expires_at = excluded.expires_at WHERE idempotency.expires_at <= $7`)
	selectRecord = `SELECT ` + selectList("idempotency", recordRow(new(admin.Record))) + ` FROM idempotency
		WHERE owner = $1 AND key = $2`
)

const (
	// finishRecord and dropRecord change the row only if the request still holds its claim. They compare expires_at,
	// because each claim of the same row has a different one. After a claim has expired, another request may have
	// claimed the row.
	finishRecord = `UPDATE idempotency SET status = $1, result_id = $2, expires_at = $3
		WHERE owner = $4 AND key = $5 AND status = 0 AND expires_at = $6`
	dropRecord = `DELETE FROM idempotency WHERE owner = $1 AND key = $2 AND status = 0 AND expires_at = $3`

	// sweepRecords also deletes claims of processes that ended before they had a result.
	sweepRecords = `DELETE FROM idempotency WHERE (owner, key) IN (SELECT owner, key FROM idempotency
		WHERE expires_at < $1 LIMIT $2)`
)

// ClaimRecord reports false if another request has claimed the key.
func (t Tx) ClaimRecord(ctx context.Context, r admin.Record, now time.Time) (bool, error) {
	return t.tryChange(ctx, claimRecord, append(insertArgs(recordRow(&r)), toMillis(now))...)
}

// Record returns ErrNotFound if the record was dropped by the request that claimed it.
func (t Tx) Record(ctx context.Context, owner, key string) (admin.Record, error) {
	return queryRow(ctx, t, func(s rowScanner) (r admin.Record, err error) {
		return r, s.Scan(scanTargets(recordRow(&r))...)
	}, selectRecord, owner, key)
}

// FinishRecord reports false if another request has taken over the claim, or the sweep has deleted it.
func (t Tx) FinishRecord(ctx context.Context, r admin.Record, claimed time.Time) (bool, error) {
	return t.tryChange(ctx, finishRecord, r.Status, r.Result, toMillis(r.ExpiresAt), r.Owner, r.Key, toMillis(claimed))
}

// DropRecord returns no error if another request has taken over the claim.
func (t Tx) DropRecord(ctx context.Context, r admin.Record) error {
	_, err := t.exec(ctx, dropRecord, r.Owner, r.Key, toMillis(r.ExpiresAt))
	return err
}
