package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword/admin"
)

// The table service_keys does not contain the secrets of the keys. Each request with a key reads its row to check
// whether the key is valid.
//
// The scopes of a key never change. If a program needs other scopes than its key has, an operator creates a new key.
// Only the last use and the revocation of a key are recorded later. The row has no column for the state, because a
// key expires without an update.

func serviceKeyRow(k *admin.ServiceKey) []column {
	return []column{
		{"id", &k.ID},
		{"name", &k.Name},
		{"scopes", listColumn{&k.Scopes}},
		{"created_at", timeColumn{&k.CreatedAt}},
		{"expires_at", timeColumn{&k.ExpiresAt}},
		{"last_used_at", timeColumn{&k.LastUsedAt}},
		{"revoked_at", timeColumn{&k.RevokedAt}},
	}
}

var (
	serviceKeyColumns = selectList("service_keys", serviceKeyRow(new(admin.ServiceKey)))

	insertServiceKey  = insertInto("service_keys", serviceKeyRow(new(admin.ServiceKey)), "VALUES (%s)")
	selectServiceKey  = `SELECT ` + serviceKeyColumns + ` FROM service_keys WHERE id = $1`
	selectServiceKeys = `SELECT ` + serviceKeyColumns + ` FROM service_keys WHERE id < $1 ORDER BY id DESC LIMIT $2`
)

const (
	// revokeServiceKey changes the row for only one of two concurrent revocations.
	revokeServiceKey = `UPDATE service_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0`

	// touchServiceKey updates the row only if the stored last use is old enough. The condition is in the statement,
	// because several concurrent requests may have read the same old time.
	touchServiceKey = `UPDATE service_keys SET last_used_at = $1 WHERE id = $2 AND last_used_at <= $3`

	// sweepServiceKeys reads the whole table, which has few rows.
	sweepServiceKeys = `DELETE FROM service_keys WHERE id IN (SELECT id FROM service_keys
		WHERE expires_at < $1 OR (revoked_at > 0 AND revoked_at < $1) LIMIT $2)`
)

func scanServiceKey(s rowScanner) (k admin.ServiceKey, err error) {
	return k, s.Scan(scanTargets(serviceKeyRow(&k))...)
}

// InsertServiceKey can't conflict, because ids are random.
func (t Tx) InsertServiceKey(ctx context.Context, k admin.ServiceKey) error {
	_, err := t.exec(ctx, insertServiceKey, insertArgs(serviceKeyRow(&k))...)
	return err
}

// ServiceKey also returns expired and revoked keys. The caller checks the state.
func (t Tx) ServiceKey(ctx context.Context, id string) (admin.ServiceKey, error) {
	return queryRow(ctx, t, scanServiceKey, selectServiceKey, id)
}

// ServiceKeys lists the newest keys first. It sorts by id, because an id begins with the time of creation.
func (t Tx) ServiceKeys(ctx context.Context, before string, limit int) ([]admin.ServiceKey, error) {
	return queryRows(ctx, t, scanServiceKey, selectServiceKeys, before, limit)
}

// RevokeServiceKey keeps the row, so that lists show the key until the sweep deletes it.
func (t Tx) RevokeServiceKey(ctx context.Context, id string, now time.Time) (bool, error) {
	return t.tryChange(ctx, revokeServiceKey, toMillis(now), id)
}

// TouchServiceKey returns no error if it changes no row, because a concurrent request may have updated the row first.
func (t Tx) TouchServiceKey(ctx context.Context, id string, now, since time.Time) error {
	_, err := t.exec(ctx, touchServiceKey, toMillis(now), id, toMillis(since))
	return err
}
