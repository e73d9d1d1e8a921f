package watchword

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/seal"
)

// A KeyUse is the purpose of a key.
//
// Unstable: only stores and the program watchword use it.
type KeyUse string

const (
	KeySign    KeyUse = "sign"    // signs access tokens; its public key is in the JWKS
	KeyRefresh KeyUse = "refresh" // authenticates refresh tokens; has no public key

	// KeyPepper is a secret that another system mixed into the passwords of imported accounts. It is never rotated.
	KeyPepper KeyUse = "pepper"

	// The uses of secrets for MACs that must outlive the rotation of other keys. Each use has one key, with the
	// number 1. This key is never rotated, because a new secret would invalidate the existing MACs.
	KeyMail     KeyUse = "mail"     // computes the tokens in mails
	KeyImport   KeyUse = "import"   // computes the ids of imported accounts and of peppers
	KeyDevice   KeyUse = "device"   // computes the tokens of known devices
	KeyRecovery KeyUse = "recovery" // computes the hashes of recovery codes
	KeyPasskey  KeyUse = "passkey"  // computes the user handles of passkeys
	KeyRemember KeyUse = "remember" // computes the tokens of remembered devices
	KeyService  KeyUse = "service"  // authenticates service keys and cursors of package admin
)

// A Key is a row of the store: a secret that is sealed under the master key. Its times
// alone decide when it signs, so all processes agree (internal/keyschedule).
//
// Unstable: only stores use it.
type Key struct {
	ID     string // `kid` (RFC 7638 thumbprint) for KeySign, a UUID for the others
	Use    KeyUse
	Alg    string // ES256, Ed25519 or RS256 for KeySign, "pepper" for KeyPepper, else HS256
	Number int    // unique among the stored keys of this Use; 1 to 255 for KeyRefresh
	Sealed []byte // the private key or secret, see internal/seal

	PublishedAt time.Time // from this time on, the JWKS contains the key
	ActiveFrom  time.Time // from this time on, the key signs, until a newer key does
	DropAt      time.Time // when everything that the key signed has expired; zero: the key has no successor yet
}

// LoadOrCreateMasterKey reads the master key from a file. If the file does not exist, the function creates it (mode
// 0600) and its directory. If several processes start at the same time, one creates the key and all return it. The
// function refuses a file that other users can read.
func LoadOrCreateMasterKey(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of the master key: %w", err)
	}
	key, _, err := seal.LoadOrCreate(path)
	return key, err
}

// FinishReseal returns the master key that opens the store. Usually, this key is the parameter master, which the caller
// has read from the file at path. After an interrupted Reseal, the store may already need the new key, which
// FinishReseal then returns (seal.Finish).
//
// Unstable: for the program watchword.
func FinishReseal(ctx context.Context, store Store, path string, master []byte) ([]byte, error) {
	return seal.Finish(path, master, func(key []byte) (bool, error) {
		err := CheckKeys(ctx, store, key)
		if errors.Is(err, ErrMasterKey) {
			return false, nil
		}
		return err == nil, err
	})
}

// Secrets of long-lived MACs, and the replacement of the master key.
//
// MACs in mails, ids of imported accounts and tokens of known devices can outlive a master key. Therefore each use has
// its own secret among the keys, sealed under the master key and never rotated. Earlier releases derived these secrets
// from the master key. The first start of this release stores the derived secrets, so existing MACs stay valid.
//
// Reseal seals every value under another master key, in one transaction. Secrets and MACs do not change. A
// transaction that adds a sealed key first locks the key of KeyMail and checks that its master key still opens it.
// Reseal takes the same lock, so no concurrent transaction adds a key under the old master key.

// macUses are the uses of long-lived MACs. Their fixed order avoids deadlocks in storeMissingSecrets.
var macUses = []KeyUse{KeyMail, KeyImport, KeyDevice, KeyRecovery, KeyPasskey, KeyRemember, KeyService}

// derivationLabels are the labels from which earlier releases derived the secrets.
var derivationLabels = map[KeyUse]string{
	KeyMail: "mail token", KeyImport: "import id", KeyDevice: "known device", KeyRecovery: "recovery code",
	KeyPasskey: "passkey user handle", KeyRemember: "remembered device", KeyService: "service key",
}

// macSecret returns the stored secret of a key use, or derives it as storeMissingSecrets does.
func (k *keyring) macSecret(keyUse KeyUse) []byte {
	if stored := k.current.Load().secrets[keyUse]; stored != nil {
		return stored
	}
	return k.box.Derive(derivationLabels[keyUse])
}

// storeMissingSecrets stores a derived secret for each use without one. If several processes call it at the same
// time, only the first stores its secrets, because the numbers of keys are unique. All processes then use these
// secrets.
func (k *keyring) storeMissingSecrets(ctx context.Context) error {
	var missing []Key
	for _, use := range macUses {
		if k.current.Load().secrets[use] != nil {
			continue
		}
		key := Key{ID: newID(), Use: use, Alg: accesstoken.HS256, Number: 1}
		key.Sealed = k.box.Seal(sealContext(key), k.box.Derive(derivationLabels[use]))
		missing = append(missing, key)
	}
	if len(missing) == 0 {
		return nil
	}
	err := k.store.Update(ctx, func(tx Tx) error {
		if err := k.lockMasterKey(ctx, tx); err != nil {
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

// ErrMasterKey means that the master key does not open the keys of the store.
//
// Unstable: for the program watchword.
var ErrMasterKey = errors.New("this is not the master key that the keys were sealed with")

// lockMasterKey locks the key of KeyMail, so that Reseal waits until tx ends. It returns ErrMasterKey if the master
// key has already been replaced.
func (k *keyring) lockMasterKey(ctx context.Context, tx Tx) error {
	held, err := tx.HoldKey(ctx, KeyMail)
	if errors.Is(err, ErrNotFound) {
		return nil // no key to lock: the first start of this release stores it later
	}
	if err != nil {
		return err
	}
	if _, err := k.box.Open(sealContext(held), held.Sealed); err != nil {
		return fmt.Errorf("%w: the key was replaced, restart with the new one", ErrMasterKey)
	}
	return nil
}

const resealBatch = 500

// Reseal replaces the master key: it seals every sealed value under the new key, in one transaction. Tokens, mailed
// links, ids of imports and known devices stay valid. Stop the servers first: with the old master key, a server is no
// longer ready and continues with the keys in memory. Close this engine afterwards.
//
// Unstable: for the program watchword.
func (o Operator) Reseal(ctx context.Context, master []byte) error {
	box, err := seal.New(master)
	if err != nil {
		return fmt.Errorf("new master key: %w", err)
	}
	if err := o.engine.keys.reload(ctx); err != nil {
		return err
	}
	if err := o.engine.keys.storeMissingSecrets(ctx); err != nil {
		return err
	}
	err = o.recordOperation(ctx, eventMasterReplaced, "", func(tx Tx, _ *Event) error {
		if err := o.engine.keys.lockMasterKey(ctx, tx); err != nil {
			return err
		}
		if err := o.engine.keys.resealKeys(ctx, tx, box); err != nil {
			return err
		}
		if err := o.engine.resealSignups(ctx, tx, box); err != nil {
			return err
		}
		return o.engine.resealFactors(ctx, tx, box)
	})
	if err != nil {
		return fmt.Errorf("replace the master key: %w", err)
	}
	return nil
}

func (k *keyring) resealKeys(ctx context.Context, tx Tx, box *seal.Box) error {
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

// resealSignups seals every waiting sign-up under the key of box. It deletes sign-ups that the old key does not open,
// because they are unusable.
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

// resealFactors seals every factor under the key of box. It keeps factors that the old key does not open, so that
// their accounts still need a second factor.
func (e *Engine) resealFactors(ctx context.Context, tx Tx, box *seal.Box) error {
	for last := (SealedFactor{}); ; {
		batch, err := tx.SealedFactors(ctx, last.ID, resealBatch)
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, last = range batch {
			plain, err := e.keys.box.Open(FactorContext(last.ID), last.Sealed)
			if err != nil {
				continue
			}
			last.Sealed = box.Seal(FactorContext(last.ID), plain)
			if err := tx.SetSealedFactor(ctx, last); err != nil {
				return err
			}
		}
	}
}
