package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	keyColumns = `id, purpose, alg, number, sealed, published_at, active_from, drop_at`
	insertKey  = `INSERT INTO keys (` + keyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	selectKeys = `SELECT ` + keyColumns + ` FROM keys ORDER BY purpose, active_from, id`
	updateKey  = `UPDATE keys SET active_from = $1, drop_at = $2 WHERE id = $3`
	deleteKey  = `DELETE FROM keys WHERE id = $1`
	holdKey    = `UPDATE keys SET number = number WHERE purpose = $1 AND number = 1 RETURNING ` + keyColumns
	sealKey    = `UPDATE keys SET sealed = $1 WHERE id = $2`
)

func (t Tx) InsertKey(ctx context.Context, k watchword.Key) (bool, error) {
	return t.change(ctx, insertKey, k.ID, k.Use, k.Alg, k.Number, k.Sealed, ms(k.PublishedAt), ms(k.ActiveFrom), ms(k.DropAt))
}

func (t Tx) Keys(ctx context.Context) ([]watchword.Key, error) {
	return rows(ctx, t, scanKey, selectKeys)
}

func scanKey(s scanner) (k watchword.Key, err error) {
	return k, s.Scan(&k.ID, &k.Use, &k.Alg, &k.Number, &k.Sealed,
		moment{&k.PublishedAt}, moment{&k.ActiveFrom}, moment{&k.DropAt})
}

func (t Tx) HoldKey(ctx context.Context, use watchword.KeyUse) (watchword.Key, error) {
	return row(ctx, t, scanKey, holdKey, use)
}

func (t Tx) SetSealedKey(ctx context.Context, id string, sealed []byte) error {
	return t.must(ctx, sealKey, sealed, id)
}

func (t Tx) SetKeyTimes(ctx context.Context, id string, activeFrom, dropAt time.Time) error {
	return t.must(ctx, updateKey, ms(activeFrom), ms(dropAt), id)
}

func (t Tx) DeleteKey(ctx context.Context, id string) error {
	_, err := t.exec(ctx, deleteKey, id)
	return err
}
