package accountimport

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/derivedid"
	"github.com/watchword-auth/watchword/internal/passhash"
)

func pepperID(engine watchword.Inside, pepper watchword.Secret) string {
	return derivedid.New(engine.MACSecret(watchword.KeyImport), "", "pepper", string(pepper))
}

// sealMissingPeppers returns a sealed key for each pepper that the store does not contain. It skips empty peppers.
func sealMissingPeppers(engine watchword.Inside, peppers []watchword.Secret, now time.Time) (keys []watchword.Key) {
	for _, pepper := range peppers {
		id := pepperID(engine, pepper)
		seen := slices.ContainsFunc(keys, func(k watchword.Key) bool { return k.ID == id })
		if pepper == "" || engine.HasPepper(id) || seen {
			continue
		}
		parsed := uuid.MustParse(id)
		keys = append(keys, engine.SealKey(watchword.Key{
			ID: id, Use: watchword.KeyPepper, Alg: passhash.Pepper, PublishedAt: now, ActiveFrom: now,
			Number: int(binary.BigEndian.Uint32(parsed[:4]) >> 1), // computed from the id: equal on all servers
		}, []byte(pepper)))
	}
	return keys
}

// insertPeppers inserts keys. It skips a key that a concurrent import has already inserted.
func insertPeppers(ctx context.Context, engine watchword.Inside, tx watchword.Tx, keys []watchword.Key) error {
	if len(keys) > 0 {
		if err := engine.HoldMaster(ctx, tx); err != nil {
			return err
		}
	}
	for _, key := range keys {
		inserted, err := tx.InsertKey(ctx, key)
		if err != nil {
			return err
		}
		if inserted {
			continue
		}
		rows, err := tx.Keys(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(rows, func(row watchword.Key) bool { return row.ID == key.ID }) {
			return errors.New("another pepper has the same number")
		}
	}
	return nil
}
