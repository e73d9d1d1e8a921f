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

// importedHash returns the hash of an imported account in its stored form.
func (e *Engine) importedHash(from ImportedUser) (Secret, *FieldError) {
	refused := func(why string) (Secret, *FieldError) {
		return "", &FieldError{"passwordHash", FieldInvalid, why}
	}
	hash, err := passhash.Adopt(string(from.PasswordHash))
	if err != nil {
		return refused(err.Error())
	}
	method, key := from.Prehash, ""
	if from.Pepper != "" {
		key = e.pepperID(from.Pepper)
		if method == "" {
			method = passhash.Pepper
		}
	}
	if method != "" {
		if hash, err = passhash.Prehashed(hash, method, key); err != nil {
			return refused(err.Error())
		}
	}
	if id := passhash.KeyID(hash); id != key && e.keys.current.Load().peppers[id] == nil {
		return refused("the hash needs a pepper that the store does not have: give its file with --pepper-file")
	}
	return Secret(hash), nil
}

func (e *Engine) pepperID(pepper Secret) string {
	return derivedid.New(e.keys.secret(KeyImport), "", "pepper", string(pepper))
}

// newPeppers returns sealed keys for the peppers that the store does not have yet.
func (e *Engine) newPeppers(users []ImportedUser, now time.Time) (keys []Key) {
	known := e.keys.current.Load().peppers
	for _, user := range users {
		id := e.pepperID(user.Pepper)
		seen := slices.ContainsFunc(keys, func(k Key) bool { return k.ID == id })
		if user.Pepper == "" || known[id] != nil || seen {
			continue
		}
		parsed := uuid.MustParse(id)
		key := Key{
			ID: id, Use: KeyPepper, Alg: passhash.Pepper, PublishedAt: now, ActiveFrom: now,
			Number: int(binary.BigEndian.Uint32(parsed[:4]) >> 1), // 31 bits of the id: the same on each server
		}
		key.Sealed = e.keys.box.Seal(sealContext(key), []byte(user.Pepper))
		keys = append(keys, key)
	}
	return keys
}

// insertPeppers inserts the keys that do not exist yet. A concurrent import may have inserted some.
func (e *Engine) insertPeppers(ctx context.Context, tx Tx, keys []Key) error {
	if len(keys) > 0 {
		if err := e.keys.holdMaster(ctx, tx); err != nil {
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
