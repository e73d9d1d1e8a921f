package watchword

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/watchword-auth/watchword/internal/seal"
)

// A KeyUse is what a key is for.
type KeyUse string

const (
	KeySign    KeyUse = "sign"    // signs access tokens; its public half is in the JWKS
	KeyRefresh KeyUse = "refresh" // authenticates refresh tokens; secret throughout

	// KeyPepper is a secret that another system mixed into the passwords of imported
	// accounts. It signs nothing, has no schedule, and stays.
	KeyPepper KeyUse = "pepper"

	// The secrets of MACs that outlive every rotation. Each has one key, with number
	// 1. It has no schedule: another secret would make outstanding MACs invalid.
	KeyMail   KeyUse = "mail"   // makes the tokens in mails
	KeyImport KeyUse = "import" // makes the ids of imported accounts and of peppers
	KeyDevice KeyUse = "device" // recognises known devices
)

// A Key is a row of the store: a secret that is sealed under the master key. When a
// signing or refresh key signs follows from its times alone, so that all processes
// agree (internal/keyschedule).
type Key struct {
	ID     string // `kid` (RFC 7638 thumbprint) for KeySign, a UUID for the others
	Use    KeyUse
	Alg    string // ES256, Ed25519, RS256; HS256 for KeyRefresh
	Number int    // unique within Use among the keys that exist; 1 to 255 for KeyRefresh
	Sealed []byte // the private key or secret, see internal/seal

	PublishedAt time.Time // others may learn of it from here on
	ActiveFrom  time.Time // it signs from here on, until a younger one does
	DropAt      time.Time // nothing that it signed lives beyond; zero: not yet succeeded
}

// LoadOrCreateMasterKey reads the master key of a file, or makes one (mode 0600)
// if there is none, and its folder. Of several processes that start at once one
// makes it. A file that others may read is refused.
func LoadOrCreateMasterKey(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the master key: %w", err)
	}
	key, _, err := seal.LoadOrCreate(path)
	return key, err
}

// FinishReseal returns the master key that opens the store: master, which was read
// from the file, or its successor beside it, if a replacement was interrupted after
// the store was sealed again. Then the successor takes the name of the file.
func FinishReseal(ctx context.Context, store Store, path string, master []byte) ([]byte, error) {
	next, err := seal.LoadNext(path)
	if errors.Is(err, fs.ErrNotExist) {
		return master, nil
	}
	if err != nil {
		return nil, err
	}
	if err := CheckKeys(ctx, store, master); !errors.Is(err, ErrMasterKey) {
		return master, err
	}
	if err := CheckKeys(ctx, store, next); err != nil {
		return master, nil //nolint:nilerr // neither opens the store: New names the reason
	}
	return next, seal.Promote(path)
}
