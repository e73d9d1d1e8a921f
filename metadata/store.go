package metadata

import (
	"context"

	"github.com/watchword-auth/watchword"
)

// A Store runs transactions on the tables of the engine and of this package.
//
// Unstable: stores implement it.
type Store interface {
	View(ctx context.Context, fn func(Tx) error) error
	Update(ctx context.Context, fn func(Tx) error) error
}

// A Tx is one transaction. Its methods follow the rules of watchword.Tx.
//
// Unstable: stores implement it.
type Tx interface {
	watchword.Tx
	ObjectTx
}

// ObjectTx stores the metadata of accounts.
//
// Unstable: stores implement it.
type ObjectTx interface {
	// Metadata returns the zero Metadata for an account without any.
	Metadata(context.Context, watchword.UserID) (Metadata, error)
	// PrivateMetadata returns the non-empty private objects of the accounts with addresses from first to last.
	PrivateMetadata(ctx context.Context, first, last watchword.Address) (map[watchword.UserID]string, error)
	// SetMetadata stores both objects and Version, if the stored version still equals was (0: no
	// row).
	SetMetadata(ctx context.Context, id watchword.UserID, m Metadata, was int64) (bool, error)
}
