package watchword

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// Peppers of other systems. A pepper is a secret that another system mixed into each
// password before it hashed it (Devise: config.pepper). The hash of an imported account
// names it by an id; the pepper itself is a row of keys, sealed under the master key:
//
//   - It is not in the hash, so a copy of the database does not contain it in clear.
//   - Every server of the store finds it. No setting can be forgotten at the start, and
//     replacing the master key seals it again like any other key.
//   - Its id is a MAC of it with the secret of imports. The same pepper is stored once.
//
// At the first sign-in a hash of ours replaces the imported one, and no pepper is needed.

// importedHash is the hash of an imported account in the form that it is stored in.
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
		return refused("the hash was made with a pepper that is not here: name the file that holds it with --pepper-file")
	}
	return Secret(hash), nil
}

func (e *Engine) pepperID(pepper Secret) string {
	return string(madeID(e.keys.secret(KeyImport), "", "pepper", string(pepper)))
}

// newPeppers are the keys of the peppers that the store does not have yet, sealed.
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
			Number: int(binary.BigEndian.Uint32(parsed[:4]) >> 1), // unique enough, and the same on each server
		}
		key.Sealed = e.keys.box.Seal(sealContext(key), []byte(user.Pepper))
		keys = append(keys, key)
	}
	return keys
}

// insertPeppers inserts the keys that are not there yet: another import may have been
// faster.
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
			return errors.New("another pepper has the number of this one")
		}
	}
	return nil
}

// pepper returns the pepper that a hash names, or nil if it names none.
func (k *keyring) pepper(ctx context.Context, hash string) ([]byte, error) {
	id := passhash.KeyID(hash)
	if id == "" {
		return nil, nil
	}
	if pepper := k.current.Load().peppers[id]; pepper != nil {
		return pepper, nil
	}
	if err := k.reload(ctx); err != nil { // imported a moment ago, by another process
		return nil, err
	}
	if pepper := k.current.Load().peppers[id]; pepper != nil {
		return pepper, nil
	}
	return nil, fmt.Errorf("the pepper %s of an imported password is not in the store", id)
}
