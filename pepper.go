package watchword

import (
	"context"
	"fmt"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// Peppers of other systems. A pepper is a secret that another system mixed into each password before hashing (Devise:
// config.pepper). The hash of an imported account contains the id of its pepper. The pepper itself is a key
// (KeyPepper), sealed under the master key:
//
//   - Without the master key, a copy of the database does not reveal it.
//   - Every server reads it from the store, so it needs no setting. Reseal encrypts it again.
//   - Its id is a MAC of the pepper with the secret of KeyImport, so each pepper is stored once.
//
// At the first sign-in, a new hash without the pepper replaces the imported one.

// HasPepper reports whether the store has the pepper of an id.
func (i Inside) HasPepper(id string) bool { return i.engine.keys.current.Load().peppers[id] != nil }

// SealKey returns the key with its secret sealed under the master key.
func (i Inside) SealKey(k Key, secret []byte) Key {
	k.Sealed = i.Seal(sealContext(k), secret)
	return k
}

// HoldMaster prevents a replacement of the master key until the transaction ends.
func (i Inside) HoldMaster(ctx context.Context, tx Tx) error {
	return i.engine.keys.lockMasterKey(ctx, tx)
}

// ReloadKeys reads the keys of the store, such as new peppers.
func (i Inside) ReloadKeys(ctx context.Context) error { return i.engine.keys.reload(ctx) }

// findPepper returns nil if the hash needs no pepper.
func (k *keyring) findPepper(ctx context.Context, hash string) ([]byte, error) {
	id := passhash.KeyID(hash)
	if id == "" {
		return nil, nil
	}
	if k.current.Load().peppers[id] == nil { // another process may have just imported it
		if err := k.reload(ctx); err != nil {
			return nil, err
		}
	}
	if pepper := k.current.Load().peppers[id]; pepper != nil {
		return pepper, nil
	}
	return nil, fmt.Errorf("the pepper %s of an imported password is not in the store", id)
}
