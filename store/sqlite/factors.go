package sqlite

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// factorStore runs transactions for package factors. In each transaction, package factors and the engine can both
// make changes, and all changes commit together or not at all.
type factorStore struct{ *Store }

// Factors returns the store of package factors.
func (s *Store) Factors() factors.Store { return factorStore{s} }

func (s factorStore) View(ctx context.Context, fn func(factors.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(tx.(factors.Tx)) })
}

// Update runs fn once in a transaction, like Store.Update.
func (s factorStore) Update(ctx context.Context, fn func(factors.Tx) error) error {
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(tx.(factors.Tx)) })
}
