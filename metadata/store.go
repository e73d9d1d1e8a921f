package metadata

import (
	"context"

	"github.com/watchword-auth/watchword"
)

// A Store runs transactions on the tables of the engine and of this package.
//
// Unstable: the stores of this module implement it.
type Store interface {
	View(ctx context.Context, fn func(Tx) error) error
	Update(ctx context.Context, fn func(Tx) error) error
}

// A Tx is one transaction. Its methods follow the rules of watchword.Tx.
//
// Unstable: the stores of this module implement it.
type Tx interface {
	watchword.Tx
	ObjectTx
}

// ObjectTx stores the metadata of accounts.
//
// Unstable: the stores of this module implement it.
type ObjectTx interface {
	// Metadata returns the zero Metadata for an account without metadata.
	Metadata(context.Context, watchword.UserID) (Metadata, error)
	// PrivateMetadata returns the private objects of the accounts with addresses from first to last, except empty
	// ones.
	PrivateMetadata(ctx context.Context, first, last watchword.Address) (map[watchword.UserID]string, error)
	// SetMetadata stores m if the stored version is still the one that the caller has read (the last argument; 0 if
	// there was no row). It reports whether it stored m.
	SetMetadata(ctx context.Context, id watchword.UserID, m Metadata, was int64) (bool, error)
}
