package sqlite

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// federationStore runs transactions for package federation. In each transaction, package federation and the engine
// can both make changes, and all changes commit together or not at all.
type federationStore struct{ *Store }

// Federation returns the store of package federation.
//
// Unstable: like package federation.
func (s *Store) Federation() federation.Store { return federationStore{s} }

func (s federationStore) View(ctx context.Context, fn func(federation.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(tx.(federation.Tx)) })
}

// Update runs fn once in a transaction, like Store.Update.
func (s federationStore) Update(ctx context.Context, fn func(federation.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(tx.(federation.Tx)) })
}
