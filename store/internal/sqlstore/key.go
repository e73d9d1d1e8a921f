package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
)

func keyRow(k *watchword.Key) []column {
	return []column{
		{"id", &k.ID},
		{"purpose", &k.Use},
		{"alg", &k.Alg},
		{"number", &k.Number},
		{"sealed", &k.Sealed},
		{"published_at", timeColumn{&k.PublishedAt}},
		{"active_from", timeColumn{&k.ActiveFrom}},
		{"drop_at", timeColumn{&k.DropAt}},
	}
}

var (
	keyColumns = selectList("keys", keyRow(new(watchword.Key)))

	// insertKey inserts no row if the key already exists. The column id is unique, and so is the pair of the columns
	// purpose and number. If several processes create the same key concurrently, one inserts it and the others read
	// it.
	insertKey  = insertInto("keys", keyRow(new(watchword.Key)), "VALUES (%s) ON CONFLICT DO NOTHING")
	selectKeys = `SELECT ` + keyColumns + ` FROM keys ORDER BY purpose, active_from, id`

	// holdKey locks the first key of a use, so that only one process at a time replaces the encrypted secret. Another
	// process waits for the lock, and then RETURNING returns the new secret. holdKey locks by an UPDATE to the
	// current values, because SQLite has no SELECT FOR UPDATE.
	holdKey = `UPDATE keys SET number = number WHERE purpose = $1 AND number = 1 RETURNING ` + keyColumns
)

const (
	// updateKey changes the times at which a key becomes active and is deleted. It does not change the encrypted
	// secret. The statement sealKey changes the secret when the master key is replaced.
	updateKey = `UPDATE keys SET active_from = $1, drop_at = $2 WHERE id = $3`
	deleteKey = `DELETE FROM keys WHERE id = $1`
	sealKey   = `UPDATE keys SET sealed = $1 WHERE id = $2`
)

// InsertKey reports false if the key exists already.
func (t Tx) InsertKey(ctx context.Context, k watchword.Key) (bool, error) {
	return t.tryChange(ctx, insertKey, insertArgs(keyRow(&k))...)
}

// Keys returns all keys. They are few, and every process needs all of them.
func (t Tx) Keys(ctx context.Context) ([]watchword.Key, error) {
	return queryRows(ctx, t, scanKey, selectKeys)
}

func scanKey(s rowScanner) (k watchword.Key, err error) {
	return k, s.Scan(scanTargets(keyRow(&k))...)
}

func (t Tx) HoldKey(ctx context.Context, use watchword.KeyUse) (watchword.Key, error) {
	return queryRow(ctx, t, scanKey, holdKey, use)
}

// SetSealedKey replaces the encrypted form of a secret, not the secret itself. The key and its tokens stay valid.
func (t Tx) SetSealedKey(ctx context.Context, id string, sealed []byte) error {
	return t.changeExisting(ctx, sealKey, sealed, id)
}

func (t Tx) SetKeyTimes(ctx context.Context, id string, activeFrom, dropAt time.Time) error {
	return t.changeExisting(ctx, updateKey, toMillis(activeFrom), toMillis(dropAt), id)
}

// DeleteKey can't be undone. The caller deletes a key only after its last token has expired, because tokens can't be
// verified without their key.
func (t Tx) DeleteKey(ctx context.Context, id string) error {
	_, err := t.exec(ctx, deleteKey, id)
	return err
}
