package watchword

import (
	"context"
	"errors"
	"fmt"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/seal"
)

// Secrets of long-lived MACs, and the replacement of the master key.
//
// A MAC in a mail, the id of an imported account and a known device live longer than
// a master key may. So each purpose has a secret of its own in keys, sealed under the
// master key and never rotated. Until this release the secrets were derived from the
// master key: the first start stores just these, so that outstanding MACs stay valid.
//
// Reseal seals every value again, under another master key, in one transaction. No
// secret changes, and so no MAC. A transaction that adds a sealed key first locks the
// one of KeyMail and looks whether its own master key still opens it. Reseal takes
// the same lock: no key is added under the old master key behind its back.

// derivedFrom is the purpose from which earlier releases derived a secret.
func derivedFrom(use KeyUse) string {
	switch use {
	case KeyMail:
		return "mail token"
	case KeyImport:
		return "import id"
	default:
		return "known device"
	}
}

// secret is the secret of a purpose: the stored one, or, while the store accepted no
// write yet, the derived one, which will be stored.
func (k *keyring) secret(use KeyUse) []byte {
	if stored := k.current.Load().secrets[use]; stored != nil {
		return stored
	}
	return k.box.Derive(derivedFrom(use))
}

// storeSecrets stores the secrets that the store does not have yet. Several processes
// may do so at once: the unique number lets one win, and all have the same secret.
func (k *keyring) storeSecrets(ctx context.Context) error {
	var missing []Key
	for _, use := range []KeyUse{KeyMail, KeyImport, KeyDevice} { // one order, so that no two wait for each other
		if k.current.Load().secrets[use] != nil {
			continue
		}
		key := Key{ID: newID(), Use: use, Alg: accesstoken.HS256, Number: 1}
		key.Sealed = k.box.Seal(sealContext(key), k.box.Derive(derivedFrom(use)))
		missing = append(missing, key)
	}
	if len(missing) == 0 {
		return nil
	}
	err := k.store.Update(ctx, func(tx Tx) error {
		if err := k.holdMaster(ctx, tx); err != nil {
			return err
		}
		for _, key := range missing {
			if _, err := tx.InsertKey(ctx, key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store secrets: %w", err)
	}
	return k.reload(ctx)
}

// ErrMasterKey says that this master key does not open the keys of the store.
var ErrMasterKey = errors.New("this is not the master key that the keys were sealed with")

// holdMaster keeps the master key from being replaced until the transaction ends. It
// returns ErrMasterKey if it has been.
func (k *keyring) holdMaster(ctx context.Context, tx Tx) error {
	held, err := tx.HoldKey(ctx, KeyMail)
	if errors.Is(err, ErrNotFound) {
		return nil // before the first start of this release has stored it
	}
	if err != nil {
		return err
	}
	if _, err := k.box.Open(sealContext(held), held.Sealed); err != nil {
		return fmt.Errorf("%w: it was replaced, restart with the new one", ErrMasterKey)
	}
	return nil
}

// resealBatch is how many waiting sign-ups are read at a time.
const resealBatch = 500

// Reseal replaces the master key: it seals every sealed value under another one, in
// one transaction. No secret changes: tokens, mailed links, ids of imports and known
// devices stay valid. Servers that run with the old master key go on with the keys
// that they have read and are not ready any more: stop them first. The engine itself
// keeps the old master key: close it afterwards.
func (o Operator) Reseal(ctx context.Context, master []byte) error {
	box, err := seal.New(master)
	if err != nil {
		return fmt.Errorf("new master key: %w", err)
	}
	if err := o.engine.keys.reload(ctx); err != nil {
		return err
	}
	if err := o.engine.keys.storeSecrets(ctx); err != nil {
		return err
	}
	err = o.engine.store.Update(ctx, func(tx Tx) error {
		if err := o.engine.keys.holdMaster(ctx, tx); err != nil {
			return err
		}
		if err := o.engine.keys.reseal(ctx, tx, box); err != nil {
			return err
		}
		return o.engine.resealSignups(ctx, tx, box)
	})
	if err != nil {
		return fmt.Errorf("replace the master key: %w", err)
	}
	return nil
}

func (k *keyring) reseal(ctx context.Context, tx Tx, box *seal.Box) error {
	rows, err := tx.Keys(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		secret, err := k.box.Open(sealContext(row), row.Sealed)
		if err != nil {
			return fmt.Errorf("open key %s: %w", row.ID, ErrMasterKey)
		}
		if err := tx.SetSealedKey(ctx, row.ID, box.Seal(sealContext(row), secret)); err != nil {
			return err
		}
	}
	return nil
}

// resealSignups deletes a waiting sign-up that can't be opened: nobody could use it.
func (e *Engine) resealSignups(ctx context.Context, tx Tx, box *seal.Box) error {
	for last := (Signup{}); ; {
		waiting, err := tx.NextSignups(ctx, last, resealBatch)
		if err != nil || len(waiting) == 0 {
			return err
		}
		for _, last = range waiting {
			plain, err := e.keys.box.Open(signupContext(last.ID), last.Sealed)
			if err != nil {
				_, err = tx.TakeSignup(ctx, last.Email, last.ID)
			} else {
				err = tx.SetSealedSignup(ctx, last.Email, last.ID, box.Seal(signupContext(last.ID), plain))
			}
			if err != nil {
				return err
			}
		}
	}
}
