package postgres

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/metadata"
)

// metadataStore runs transactions for package metadata. In each transaction, package metadata and the engine can both
// make changes, and all changes commit together or not at all.
type metadataStore struct{ *Store }

// Metadata returns the store of package metadata.
//
// Unstable: like package metadata.
func (s *Store) Metadata() metadata.Store { return metadataStore{s} }

func (s metadataStore) View(ctx context.Context, fn func(metadata.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(tx.(metadata.Tx)) })
}

// Update runs fn in a transaction. After a conflict it runs fn again, like Store.Update.
func (s metadataStore) Update(ctx context.Context, fn func(metadata.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(tx.(metadata.Tx)) })
}
