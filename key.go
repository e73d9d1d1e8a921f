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

// A KeyUse is the purpose of a key.
//
// Unstable: only stores and the program watchword use it.
type KeyUse string

const (
	KeySign    KeyUse = "sign"    // signs access tokens; its public half is in the JWKS
	KeyRefresh KeyUse = "refresh" // authenticates refresh tokens; has no public half

	// KeyPepper is a secret that another system mixed into the passwords of imported
	// accounts. It is never rotated.
	KeyPepper KeyUse = "pepper"

	// The secrets of MACs that outlive every rotation. Each use has one key, with number
	// 1. It is never rotated, because another secret would invalidate existing MACs.
	KeyMail   KeyUse = "mail"   // computes the tokens in mails
	KeyImport KeyUse = "import" // computes the ids of imported accounts and of peppers
	KeyDevice KeyUse = "device" // computes the tokens of known devices
)

// A Key is a row of the store: a secret that is sealed under the master key. Its times
// alone decide when it signs, so all processes agree (internal/keyschedule).
//
// Unstable: only stores use it.
type Key struct {
	ID     string // `kid` (RFC 7638 thumbprint) for KeySign, a UUID for the others
	Use    KeyUse
	Alg    string // ES256, Ed25519, RS256; HS256 for KeyRefresh
	Number int    // unique within Use among the keys that exist; 1 to 255 for KeyRefresh
	Sealed []byte // the private key or secret, see internal/seal

	PublishedAt time.Time // from then on, it is in the JWKS
	ActiveFrom  time.Time // from then on, it signs, until a newer key does
	DropAt      time.Time // everything that it signed has expired by then; zero: has no successor yet
}

// LoadOrCreateMasterKey reads the master key from a file. If the file does not exist, it
// creates it (mode 0600) and its directory. If several processes start at the same time,
// one creates the key and all return it. It refuses a file that other users can read.
func LoadOrCreateMasterKey(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of the master key: %w", err)
	}
	key, _, err := seal.LoadOrCreate(path)
	return key, err
}

// FinishReseal returns the master key that opens the store. This is master, as read from
// the file at path, or its successor, if a replacement was interrupted after the store
// was resealed. In that case FinishReseal renames the file of the successor to path.
//
// Unstable: for the program watchword.
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
