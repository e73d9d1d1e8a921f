package watchword

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/derivedid"
	"github.com/watchword-auth/watchword/internal/passhash"
)

// Peppers of other systems. A pepper is a secret that another system mixed into each password before hashing (Devise:
// config.pepper). The hash of an imported account contains the id of its pepper. The pepper itself is a key
// (KeyPepper), sealed under the master key:
//
//   - The hash does not contain it, so a copy of the database does not reveal it.
//   - Every server on the store finds it. There is no setting to forget, and Reseal
//     includes it.
//   - Its id is a MAC of the pepper with the secret of KeyImport, so each pepper is
//     stored once.
//
// At the first sign-in, a new hash without the pepper replaces the imported one.

// PepperID returns the id of a pepper.
func (i Inside) PepperID(pepper Secret) string {
	return derivedid.New(i.MACSecret(KeyImport), "", "pepper", string(pepper))
}

// HasPepper reports whether the store has the pepper of an id.
func (i Inside) HasPepper(id string) bool { return i.engine.keys.current.Load().peppers[id] != nil }

// NewPeppers returns sealed keys for the peppers that the store does not have yet. It ignores empty ones.
func (i Inside) NewPeppers(peppers []Secret, now time.Time) (keys []Key) {
	for _, pepper := range peppers {
		id := i.PepperID(pepper)
		seen := slices.ContainsFunc(keys, func(k Key) bool { return k.ID == id })
		if pepper == "" || i.HasPepper(id) || seen {
			continue
		}
		parsed := uuid.MustParse(id)
		key := Key{
			ID: id, Use: KeyPepper, Alg: passhash.Pepper, PublishedAt: now, ActiveFrom: now,
			Number: int(binary.BigEndian.Uint32(parsed[:4]) >> 1), // 31 bits of the id: the same on each server
		}
		key.Sealed = i.Seal(sealContext(key), []byte(pepper))
		keys = append(keys, key)
	}
	return keys
}

// InsertPeppers inserts the keys that do not exist yet. A concurrent import may have inserted some.
func (i Inside) InsertPeppers(ctx context.Context, tx Tx, keys []Key) error {
	if len(keys) > 0 {
		if err := i.engine.keys.holdMaster(ctx, tx); err != nil {
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
		if !slices.ContainsFunc(rows, func(row Key) bool { return row.ID == key.ID }) {
			return errors.New("another pepper has the same number")
		}
	}
	return nil
}

// ReloadKeys reads the keys of the store, such as new peppers.
func (i Inside) ReloadKeys(ctx context.Context) error { return i.engine.keys.reload(ctx) }

// pepper returns the pepper that a hash needs, or nil.
func (k *keyring) pepper(ctx context.Context, hash string) ([]byte, error) {
	id := passhash.KeyID(hash)
	if id == "" {
		return nil, nil
	}
	if pepper := k.current.Load().peppers[id]; pepper != nil {
		return pepper, nil
	}
	if err := k.reload(ctx); err != nil { // another process may have just imported it
		return nil, err
	}
	if pepper := k.current.Load().peppers[id]; pepper != nil {
		return pepper, nil
	}
	return nil, fmt.Errorf("the pepper %s of an imported password is not in the store", id)
}
